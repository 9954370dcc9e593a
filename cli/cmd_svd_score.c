/* cmd_svd_score.c: whether singular directions read better than random directions of their own
 * space. */
#include "curves.h"
#include "own_text.h"
#include "prompt.h"
#include "report/svd_score.h"
#include "text_form.h"

typedef struct work {
  const cli_call *c;
  sgi_prompt p;
  sgi_corpus *corpus;
  cli_progress bar;
  bool begun;
  sgi_svd_curve curves[SGI_SVD_CURVES];
  size_t n_curves;
} work;

static void begun(void *user) {
  work *w = user;
  cli_progress_begin(&w->bar, "scoring", "rotations", 0, 0);
  w->begun = true;
}

static bool counting(void *unused) {
  (void)unused;
  return !cli_stop;
}

static bool progress(void *user, size_t done, size_t wanted) {
  return cli_progress_advance(&((work *)user)->bar, done, wanted);
}

static sg_status open_text(work *w, sg_error *err) {
  cli_text text = {0};
  sg_status st = cli_text_needs(w->p.tokenizer, w->p.directory, err);
  if (!st)
    st = cli_text_corpus(w->c, "valid", w->p.tokenizer, sg_model_config(w->p.model)->eos_id, NULL, NULL, &text,
                         &w->corpus, err);
  cli_text_free(&text);
  return st;
}

static sg_status score(work *w, json_t **out, sg_error *err) {
  const cli_call *c = w->c;
  sg_status st = cli_prompt_open_model(&w->p, c, err);
  if (!st) st = open_text(w, err);
  if (st) return st;
  const sgi_svd_scoring q = {.p = &w->p,
                             .corpus = w->corpus,
                             .labels = cli_string(c, "labels"),
                             .nearest = cli_size(c, "nearest"),
                             .window = cli_size(c, "window"),
                             .max_tokens = cli_size(c, "tokens"),
                             .rotations = cli_size(c, "rotations"),
                             .draws = cli_size(c, "draws"),
                             .distance = cli_size(c, "distance"),
                             .max_bytes = cli_size(c, "max-memory"),
                             .seed = cli_u64(c, "seed"),
                             .begun = begun,
                             .go_on = counting,
                             .progress = progress,
                             .user = w};
  st = sgi_svd_score_report(&q, out, w->curves, &w->n_curves, err);
  if (w->begun) cli_progress_end(&w->bar);
  return st;
}

/* ---- answer ---------------------------------------------------------------------------------- */

static void print(const void *user, const json_t *o) {
  const cli_call *c = user;
  bool labels = cli_string(c, "labels") != NULL;
  json_t *f;
  size_t i;
  printf("%zu pairs of %zu different tokens; %zu rotations, seed %llu\n\n", sgi_field_size(o, "pairs"),
         sgi_field_size(o, "tokens"), cli_size(c, "rotations"), (unsigned long long)cli_u64(c, "seed"));
  static const char *const head[] = {"",       "sides",  "npmi",          "control",
                                     "mean z", "spread", "z with number", "control as high"};
  cli_table *t = cli_table_begin(labels ? "lrrrrrrrrr" : "lrrrrrrr");
  for (i = 0; i < SGI_COUNT(head); i++) cli_cell(t, "%s", head[i]);
  if (labels) {
    cli_cell(t, "label z");
    cli_cell(t, "spread");
  }
  json_array_foreach(json_object_get(o, "families"), i, f) {
    const json_t *npmi = json_object_get(f, "npmi"), *label = json_object_get(f, "label");
    if (!sgi_field_size(f, "sides")) continue;
    cli_cell(t, "%s", sgi_field_word(f, "family"));
    cli_cell(t, "%zu", sgi_field_size(f, "sides"));
    cli_cell(t, "%.4f", sgi_field_real(npmi, "score"));
    cli_cell(t, "%.4f", sgi_field_real(npmi, "control"));
    cli_cell(t, "%+.3f", sgi_field_real(npmi, "z"));
    cli_cell(t, "%.3f", sgi_field_real(npmi, "spread"));
    cli_cell(t, "%+.3f", sgi_field_real(npmi, "rank_correlation"));
    cli_cell(t, "%.2f", sgi_field_real(npmi, "above"));
    if (!labels) continue;
    cli_cell(t, "%+.3f", sgi_field_real(label, "z"));
    cli_cell(t, "%.3f", sgi_field_real(label, "spread"));
  }
  cli_table_end(t);
}

static sg_status figure(const work *w, const char *path, sg_error *err) {
  cli_curve curves[SGI_SVD_CURVES];
  double x[SGI_SVD_TENTHS];
  cli_curves f = {.title = "Readability of singular directions over random ones",
                  .x = "number of the direction, share of all",
                  .y = "mean z of NPMI",
                  .curves = curves,
                  .n = w->n_curves};
  for (size_t b = 0; b < SGI_SVD_TENTHS; b++) x[b] = ((double)b + 0.5) / SGI_SVD_TENTHS;
  for (size_t i = 0; i < w->n_curves; i++) {
    const sgi_svd_curve *k = &w->curves[i];
    curves[i] = (cli_curve){.x = x, .y = k->z, .error = k->error, .n = SGI_SVD_TENTHS, .dashed = k->control};
    snprintf(curves[i].name, sizeof curves[i].name, "%s", k->name);
  }
  return cli_curves_save(&f, path, err);
}

static int run(const cli_call *c) {
  sg_error err = {0};
  work w = {.c = c};
  json_t *o = NULL;
  cli_signals_install();
  sg_status st = score(&w, &o, &err);
  if (!st && cli_string(c, "svg")) st = figure(&w, cli_string(c, "svg"), &err);
  int code = cli_answer(c, st, &err, o, print, c);
  sgi_text_close(w.corpus);
  cli_prompt_close(&w.p);
  return code;
}

static const cli_option options[] = {
    CLI_HELD_OUT_OPTION("text in which tokens stand together: a file, or a directory's valid.*"),
    {.name = "labels",
     .type = CLI_STRING,
     .argument = "LABELS.json",
     .help = "categories of words (labels.json of 'data worlds'): the second measure"},
    {.name = "svg", .type = CLI_STRING, .argument = "FILE", .help = "draw the mean z over the directions' numbers"},
    {.name = "nearest",
     .letter = 'n',
     .type = CLI_SIZE,
     .argument = "N",
     .value = "10",
     .min = 2,
     .max = SGI_SVD_SCORE_NEAREST,
     .help = "tokens at an end of a direction"},
    {.name = "window",
     .type = CLI_SIZE,
     .argument = "N",
     .value = "10",
     .min = 1,
     .max = 10000,
     .help = "two tokens at most so many positions apart stand together"},
    {.name = "tokens",
     .type = CLI_SIZE,
     .argument = "N",
     .value_text = "all",
     .help = "read so many tokens of the text"},
    {.name = "rotations",
     .type = CLI_SIZE,
     .argument = "N",
     .value = "100",
     .min = 1,
     .max = 10000,
     .help = "random rotations of each space: the control"},
    {.name = "draws",
     .type = CLI_SIZE,
     .argument = "N",
     .value = "3",
     .max = 1000,
     .help = "draws of as many random neurons as a head is wide"},
    {.name = "distance", .type = CLI_SIZE, .argument = "N", .value = "0", .help = "of qk, as in 'svd'"},
    {.name = "max-memory",
     .type = CLI_BYTES,
     .argument = "BYTES",
     .value = "2G",
     .min = 1,
     .help = "refuse a table of pairs beyond this"},
    CLI_FORM_OPTIONS,
    CLI_SEED_OPTION,
    CLI_MODEL_OPTIONS,
    CLI_JSON_OPTION,
    CLI_END};

const cli_command cli_svd_score = {
    .name = "svd score",
    .group = "Reading",
    .summary = "whether singular directions read better than random ones of the same space",
    .usage = "MODEL [--data TEXT] [--labels LABELS.json] [--svg FILE]",
    .examples =
        "# all matrices of a run, on the text that it held out\n"
        "sgatlin svd score run\n"
        "# with the categories of the built-in corpus, and a figure\n"
        "sgatlin svd score run --data worlds/valid.txt --labels worlds/labels.json --svg svd.svg",
    .description =
        "The tokens at each end of a direction are scored by how they stand together in a text (mean NPMI of their "
        "pairs) and by the category that most of them share. Lists of any subspace that holds frequent words score, so "
        "each set of directions is held against random rotations of itself: z counts the standard deviations of a "
        "rotated direction's score. The spread is that of z between the sides of a family (a head has two). 'z with "
        "number' is the rank correlation of a direction's z with its number: below 0 where the first directions read "
        "better. 'Control as high' is the share of rotations whose mean score is at least that of the directions: "
        "0.50 is chance. Cut: as many random neurons as a head is wide, which tells rank from kind.\n\n"
        "JSON: families and sides with score, control, z, spread, rank_correlation, above.",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
