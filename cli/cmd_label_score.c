/* cmd_label_score.c: how well labels foretell where neurons fire. */
#include "context.h"
#include "label.h"
#include "own_text.h"
#include "report/label_score.h"
#include "rows.h"
#include "text_form.h"

typedef struct work {
  const cli_call *c;
  sgi_prompt p;
  sg_names *names;
  cli_rows rows;
  cli_progress bar;
  bool begun;
} work;

static void begun(void *user) {
  work *w = user;
  cli_progress_begin(&w->bar, "reading", "positions", (double)cli_size(w->c, "positions"), 0);
  w->begun = true;
}

static bool advance(void *user, size_t done, size_t wanted) {
  (void)wanted;
  cli_progress_update(&((work *)user)->bar, (double)done, NULL);
  return !cli_stop;
}

/* Rows of a text; not given, the run's own held-out text. */
static sg_status read_file(work *w, sg_error *err) {
  size_t longest = sg_model_config(w->p.model)->max_position;
  size_t T = cli_is_set(w->c, "seq-len") ? cli_size(w->c, "seq-len") : longest < 512 ? longest : 512;
  return T < 2 ? sgi_fail(err, SG_ERR_ARG, "--seq-len %zu: rows of 2 tokens at least", T)
               : cli_rows_open(&w->rows, w->c, &w->p, T, cli_size(w->c, "positions"), err);
}

static sg_status score(work *w, json_t **out, sg_error *err) {
  const cli_call *c = w->c;
  const char *worlds = cli_string(c, "worlds");
  if (worlds && cli_string(c, "data")) return sgi_fail(err, SG_ERR_ARG, "give either --data or --worlds, not both");
  sg_status st = cli_prompt_open_model(&w->p, c, err);
  if (!st) st = cli_names_open(c, w->p.model, false, &w->names, err);
  if (!st && !worlds) st = read_file(w, err);
  if (st) return st;
  const sgi_label_scoring q = {.p = &w->p,
                               .names = w->names,
                               .rows = worlds ? NULL : &w->rows,
                               .worlds = worlds,
                               .neurons = cli_size(c, "neurons"),
                               .positions = cli_size(c, "positions"),
                               .others = cli_size(c, "others"),
                               .share = cli_real(c, "share"),
                               .seed = cli_u64(c, "seed"),
                               .begun = begun,
                               .progress = advance,
                               .user = w};
  st = sgi_label_score_report(&q, out, err);
  if (w->begun) cli_progress_end(&w->bar);
  return st;
}

/* ---- results --------------------------------------------------------------------------------- */

static const struct measure {
  const char *key, *title;
} measures[] = {{"reads", "fires on the label's tokens"},
                {"others", "  labels of other neurons"},
                {"rank", "  share of those that do worse"},
                {"writes", "the next token is one that it raises"},
                {"either", "one or the other"},
                {"category", "truth: the best category of words"}};

static void print(const void *user, const json_t *o) {
  (void)user;
  printf("%zu neurons (%zu more fired fewer than ten times) at %zu positions; balanced accuracy, 0.5 is chance\n",
         sgi_field_size(o, "scored"), sgi_field_size(o, "silent"), sgi_field_size(o, "positions"));
  cli_table *t = cli_table_begin("lrrr");
  cli_cell(t, "foretold by");
  cli_cell(t, "lower quartile");
  cli_cell(t, "median");
  cli_cell(t, "upper quartile");
  for (size_t i = 0; i < SGI_COUNT(measures); i++) {
    const json_t *x = json_object_get(json_object_get(o, "summary"), measures[i].key);
    if (!sgi_field_size(x, "neurons")) continue;
    cli_cell(t, "%s", measures[i].title);
    cli_cell(t, "%.3f", sgi_field_real(x, "lower"));
    cli_cell(t, "%.3f", sgi_field_real(x, "median"));
    cli_cell(t, "%.3f", sgi_field_real(x, "upper"));
  }
  cli_table_end(t);
}

static int run(const cli_call *c) {
  sg_error err = {0};
  work w = {.c = c};
  json_t *o = NULL;
  cli_signals_install();
  sg_status st = score(&w, &o, &err);
  int code = cli_answer(c, st, &err, o, print, NULL);
  cli_rows_free(&w.rows);
  sg_names_close(w.names);
  cli_prompt_close(&w.p);
  return code;
}

static const cli_option options[] = {
    CLI_HELD_OUT_OPTION("held-out text: a file, or a directory with valid.*"),
    CLI_FORM_OPTIONS,
    CLI_BEYOND_OPTION,
    {.name = "worlds",
     .letter = 'w',
     .type = CLI_STRING,
     .argument = "DIR",
     .help = "in place of --data: unseen stories of 'data worlds', with the truth about their words"},
    {.name = "neurons",
     .letter = 'n',
     .type = CLI_SIZE,
     .argument = "N",
     .value = "400",
     .min = 1,
     .max = 1000000,
     .help = "labelled neurons, drawn at random"},
    {.name = "positions",
     .type = CLI_SIZE,
     .argument = "N",
     .value = "20000",
     .min = 100,
     .max = 100000000,
     .help = "positions read at most"},
    {.name = "share",
     .type = CLI_REAL,
     .argument = "X",
     .value = "0.01",
     .min = 0,
     .max = 0.5,
     .help = "share of positions, the strongest, that count as fired"},
    {.name = "others",
     .type = CLI_SIZE,
     .argument = "N",
     .value = "20",
     .max = 10000,
     .help = "labels of other neurons tried on each"},
    {.name = "seq-len",
     .old = "length",
     .type = CLI_SIZE,
     .argument = "T",
     .value_text = "the model's, 512 at most",
     .help = "tokens of a row"},
    CLI_SEED_OPTION,
    CLI_NAMES_OPTION,
    CLI_MODEL_OPTIONS,
    CLI_JSON_OPTION,
    CLI_END};

const cli_command cli_label_score = {
    .name = "label score",
    .group = "Reading",
    .summary = "how well labels foretell where neurons fire, on unseen text",
    .usage = "MODEL [--data PATH | --worlds DIR] [--neurons N] [--positions N]",
    .examples =
        "# labels from one text, scored on another\nsgatlin label make run --recording rec\n"
        "sgatlin label score run --data valid.txt\n"
        "# beside what the corpus's own categories could foretell\nsgatlin label score run --worlds worlds --json",
    .description =
        "Detection: a neuron fires at the strongest 1 % (--share) of positions by |value|, at most where it fires at "
        "all; its "
        "label foretells firing where the token is one of those in front of the bar. Told is the balanced accuracy, "
        "the mean of the shares of fired and of silent positions that are foretold right: 0.5 is chance. Beside it: "
        "the same with labels of other neurons of the layer, and the share of those that do worse; where the next "
        "token of the text is one that the label raises; and, with --worlds, the best category of words, found on half "
        "of the stories and judged on the other half. The same definition for every kind "
        "(docs/method-reading.md, scores of labels).",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
