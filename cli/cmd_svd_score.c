/* cmd_svd_score.c: whether singular directions read better than random directions of their own
 * space. */
#include <math.h>
#include <string.h>

#include "compare/svd_score.h"
#include "curves.h"
#include "own_text.h"
#include "prompt.h"
#include "read/label.h"
#include "text_form.h"

enum { WORD = 64, MOST_CATEGORIES = 64 };

typedef struct work {
  const cli_call *c;
  sgi_prompt p;
  sgi_corpus *corpus;
  sgi_npmi *npmi;
  json_t *labels;
  uint64_t *categories; /* (V) */
  bool *skip;           /* (V) */
  size_t used;          /* tokens that the text has */
  sgi_svd_scores_all *scores;
  cli_progress bar;
} work;

static const int32_t *document(const void *source, size_t i, size_t *n) { return sgi_corpus_document(source, i, n); }

static bool counting(void *user) {
  (void)user;
  return !cli_stop;
}

/* ---- the text and the labels ----------------------------------------------------------------- */

static sg_status count_pairs(work *w, sg_error *err) {
  const sg_config *c = sg_model_config(w->p.model);
  cli_text text = {0};
  sg_status st = cli_text_corpus(w->c, "valid", w->p.tokenizer, c->eos_id, NULL, NULL, &text, &w->corpus, err);
  cli_text_free(&text);
  if (st) return st;
  const sgi_npmi_request q = {.documents = sgi_corpus_documents(w->corpus),
                              .document = document,
                              .source = w->corpus,
                              .vocab = c->vocab_size,
                              .window = cli_size(w->c, "window"),
                              .max_tokens = cli_size(w->c, "tokens"),
                              .max_bytes = cli_size(w->c, "max-memory"),
                              .go_on = counting};
  return sgi_npmi_make(&q, &w->npmi, err);
}

/* The categories of a token's word as it stands, or with a small first letter. */
static const json_t *categories_of(const work *w, size_t token) {
  char word[WORD];
  size_t n = 0, from = 0;
  const char *bytes = sg_tokenizer_token_bytes(w->p.tokenizer, (int32_t)token, &n);
  while (bytes && from < n && bytes[from] == ' ') from++;
  if (!bytes || n - from >= sizeof word || n == from) return NULL;
  memcpy(word, bytes + from, n - from);
  word[n - from] = 0;
  const json_t *list = json_object_get(w->labels, word);
  if (!list && word[0] >= 'A' && word[0] <= 'Z') {
    word[0] = (char)(word[0] - 'A' + 'a');
    list = json_object_get(w->labels, word);
  }
  return list;
}

static sg_status read_labels(work *w, sg_error *err) {
  const char *path = cli_string(w->c, "labels");
  size_t V = sg_model_config(w->p.model)->vocab_size, known = 0, i;
  json_t *names = json_object(), *name;
  if (!path || !names) {
    json_decref(names);
    return path ? sgi_fail(err, SG_ERR_MEMORY, "out of memory") : SG_OK;
  }
  sg_status st = sgi_json_load(path, &w->labels, err);
  if (!st && !json_is_object(w->labels))
    st = sgi_fail(err, SG_ERR_FORMAT,
                  "%s: expected an object of words and their categories, as 'data worlds' writes it", path);
  if (!st && !(w->categories = sgi_alloc(V * sizeof *w->categories))) st = sgi_fail_memory(err, V * 8, "categories");
  for (size_t t = 0; t < V && !st; t++) {
    const json_t *list = categories_of(w, t);
    json_array_foreach((json_t *)list, i, name) {
      if (!json_is_string(name))
        st = sgi_fail(err, SG_ERR_FORMAT, "%s: expected lists of names of categories", path);
      else if (!json_object_get(names, json_string_value(name)))
        json_object_set_new(names, json_string_value(name), json_integer((json_int_t)json_object_size(names)));
      if (!st && json_object_size(names) > MOST_CATEGORIES)
        st = sgi_fail(err, SG_ERR_UNSUPPORTED, "%s: more than %d categories", path, MOST_CATEGORIES);
      if (st) break;
      w->categories[t] |= (uint64_t)1 << json_integer_value(json_object_get(names, json_string_value(name)));
    }
    known += w->categories[t] != 0;
  }
  if (!st && !known)
    st = sgi_fail(err, SG_ERR_ARG, "%s: no token of the model is a word of this list: is it of another corpus?", path);
  json_decref(names);
  return st;
}

static sg_status choose_tokens(work *w, sg_error *err) {
  size_t V = sg_model_config(w->p.model)->vocab_size;
  if (!(w->skip = sgi_label_silent(w->p.model, w->p.tokenizer))) return sgi_fail_memory(err, V, "tokens");
  for (size_t t = 0; t < V; t++) {
    w->skip[t] |= !sgi_npmi_ends(w->npmi, (int32_t)t);
    w->used += !w->skip[t];
  }
  return w->used >= 2 * cli_size(w->c, "nearest")
             ? SG_OK
             : sgi_fail(err, SG_ERR_ARG, "the text has %zu different tokens: too few for lists of %zu", w->used,
                        cli_size(w->c, "nearest"));
}

static sg_status score(work *w, sg_error *err) {
  sg_status st = cli_prompt_open_model(&w->p, w->c, err);
  if (!st) st = cli_text_needs(w->p.tokenizer, w->p.directory, err);
  if (!st) st = count_pairs(w, err);
  if (!st) st = read_labels(w, err);
  if (!st) st = choose_tokens(w, err);
  if (st) return st;
  const sgi_svd_score_request q = {.npmi = w->npmi,
                                   .categories = w->categories,
                                   .skip = w->skip,
                                   .nearest = cli_size(w->c, "nearest"),
                                   .rotations = cli_size(w->c, "rotations"),
                                   .draws = cli_size(w->c, "draws"),
                                   .distance = cli_size(w->c, "distance"),
                                   .seed = cli_u64(w->c, "seed"),
                                   .progress = cli_progress_advance,
                                   .user = &w->bar};
  cli_progress_begin(&w->bar, "scoring", "rotations", 0, 0);
  st = sgi_svd_score(w->p.model, &q, &w->scores, err);
  cli_progress_end(&w->bar);
  return st;
}

/* ---- answer ---------------------------------------------------------------------------------- */

static const char *const measures[] = {"npmi", "label"};

static json_t *measure_json(double score, double control, double z, double spread, double falls, double above) {
  return json_pack("{so so so so so so}", "score", sgi_report_real(score), "control", sgi_report_real(control), "z",
                   sgi_report_real(z), "spread", sgi_report_real(spread), "rank_correlation", sgi_report_real(falls),
                   "above", sgi_report_real(above));
}

static json_t *family_json(const sgi_svd_scores_all *s, size_t i) {
  const sgi_svd_family *f = &s->families[i];
  json_t *o = json_pack("{ss sI}", "family", f->name, "sides", (json_int_t)f->sides), *curve = json_array();
  for (size_t k = 0; k < SGI_SVD_MEASURES && f->sides; k++)
    if (k == SGI_SVD_NPMI || s->labels)
      json_object_set_new(
          o, measures[k],
          measure_json(f->of[k].score, f->of[k].control, f->of[k].z, f->of[k].spread, f->of[k].falls, f->of[k].above));
  for (size_t b = 0; b < SGI_SVD_BINS && f->sides; b++) json_array_append_new(curve, sgi_report_real(s->curve[i][b]));
  json_object_set_new(o, "z_by_tenth", curve);
  return o;
}

static json_t *side_json(const sgi_svd_scores_all *s, const sgi_svd_scored *x) {
  json_t *ends = json_array();
  for (size_t i = 0; i < x->n; i++)
    json_array_append_new(ends, json_pack("[o,o]", sgi_report_real(x->score[SGI_SVD_NPMI][2 * i]),
                                          sgi_report_real(x->score[SGI_SVD_NPMI][2 * i + 1])));
  bool layer = x->which.matrix <= SGI_SVD_MLP_OUT;
  json_t *o = json_pack("{ss ss so so so}", "family", s->families[x->family].name, "side",
                        x->side == SGI_SVD_WRITTEN ? "written" : "read", "layer",
                        layer ? json_integer((json_int_t)x->which.layer) : json_null(), "head",
                        x->which.matrix <= SGI_SVD_OV ? json_integer((json_int_t)x->which.head) : json_null(),
                        "npmi_of_ends", ends);
  for (size_t k = 0; k < SGI_SVD_MEASURES; k++) {
    double sum = 0;
    for (size_t e = 0; e < 2 * x->n; e++) sum += x->score[k][e];
    if (k == SGI_SVD_NPMI || s->labels)
      json_object_set_new(
          o, measures[k],
          measure_json(sum / (double)(2 * x->n), x->control[k], x->z[k], x->spread[k], x->falls[k], x->above[k]));
  }
  return o;
}

static json_t *result_json(const work *w) {
  const sgi_svd_scores_all *s = w->scores;
  json_t *families = json_array(), *sides = json_array();
  for (size_t i = 0; i < s->n_families; i++) json_array_append_new(families, family_json(s, i));
  for (size_t i = 0; i < s->n; i++) json_array_append_new(sides, side_json(s, &s->sides[i]));
  return json_pack("{sI sI sI sI so so}", "seed", (json_int_t)cli_u64(w->c, "seed"), "pairs",
                   (json_int_t)sgi_npmi_pairs(w->npmi), "tokens", (json_int_t)w->used, "rotations",
                   (json_int_t)cli_size(w->c, "rotations"), "families", families, "sides", sides);
}

static void print(const work *w) {
  const sgi_svd_scores_all *s = w->scores;
  printf("%llu pairs of %zu different tokens; %zu rotations, seed %llu\n\n",
         (unsigned long long)sgi_npmi_pairs(w->npmi), w->used, cli_size(w->c, "rotations"),
         (unsigned long long)cli_u64(w->c, "seed"));
  static const char *const head[] = {"",       "sides",  "npmi",          "control",
                                     "mean z", "spread", "z with number", "control as high"};
  cli_table *t = cli_table_begin(s->labels ? "lrrrrrrrrr" : "lrrrrrrr");
  for (size_t i = 0; i < SGI_COUNT(head); i++) cli_cell(t, "%s", head[i]);
  if (s->labels) {
    cli_cell(t, "label z");
    cli_cell(t, "spread");
  }
  for (size_t i = 0; i < s->n_families; i++) {
    const sgi_svd_family *f = &s->families[i];
    if (!f->sides) continue;
    cli_cell(t, "%s", f->name);
    cli_cell(t, "%zu", f->sides);
    cli_cell(t, "%.4f", f->of[0].score);
    cli_cell(t, "%.4f", f->of[0].control);
    cli_cell(t, "%+.3f", f->of[0].z);
    cli_cell(t, "%.3f", f->of[0].spread);
    cli_cell(t, "%+.3f", f->of[0].falls);
    cli_cell(t, "%.2f", f->of[0].above);
    if (!s->labels) continue;
    cli_cell(t, "%+.3f", f->of[1].z);
    cli_cell(t, "%.3f", f->of[1].spread);
  }
  cli_table_end(t);
}

static sg_status figure(const work *w, const char *path, sg_error *err) {
  const sgi_svd_scores_all *s = w->scores;
  cli_curve curves[SGI_SVD_FAMILIES];
  double x[SGI_SVD_BINS];
  cli_curves f = {.title = "Readability of singular directions over random ones",
                  .x = "number of the direction, share of all",
                  .y = "mean z of NPMI",
                  .curves = curves};
  for (size_t b = 0; b < SGI_SVD_BINS; b++) x[b] = ((double)b + 0.5) / SGI_SVD_BINS;
  for (size_t i = 0; i < s->n_families; i++) {
    if (!s->families[i].sides) continue;
    cli_curve *k = &curves[f.n++];
    *k = (cli_curve){.x = x, .y = s->curve[i], .error = s->error[i], .n = SGI_SVD_BINS, .dashed = s->families[i].cut};
    snprintf(k->name, sizeof k->name, "%s", s->families[i].name);
  }
  return cli_curves_save(&f, path, err);
}

static int run(const cli_call *c) {
  sg_error err = {0};
  work w = {.c = c};
  int code = 0;
  cli_signals_install();
  sg_status st = score(&w, &err);
  if (!st && cli_string(c, "svg")) st = figure(&w, cli_string(c, "svg"), &err);
  if (st)
    code = cli_end(st, &err);
  else if (cli_flag(c, "json"))
    code = cli_json(result_json(&w));
  else
    print(&w);
  sgi_svd_scores_free(w.scores);
  sgi_npmi_free(w.npmi);
  sgi_corpus_close(w.corpus);
  json_decref(w.labels);
  sgi_free(w.categories);
  sgi_free(w.skip);
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
     .max = SGI_SVD_NEAREST,
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
