/* cmd_label_score.c: how well labels foretell where neurons fire. */
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "context.h"
#include "label.h"
#include "own_text.h"
#include "names/score.h"
#include "read/score.h"
#include "rows.h"
#include "text_form.h"

typedef struct work {
  const cli_call *c;
  sgi_prompt p;
  sgi_names *names;
  cli_rows rows;
  int32_t *inputs, *category;
  sgi_truth truth;
  sgi_score_words words;
  sgi_label_score_request q;
  sgi_label_scores scores;
  cli_progress bar;
} work;

static bool advance(void *user, size_t done, size_t wanted) {
  (void)wanted;
  cli_progress_update(&((work *)user)->bar, (double)done, NULL);
  return !cli_stop;
}

/* ---- the text -------------------------------------------------------------------------------- */

/* Rows of a text, with the begin token in front; not given, the run's own held-out text. */
static sg_status read_file(work *w, sg_error *err) {
  const sg_config *c = sg_model_config(w->p.model);
  size_t T = cli_is_set(w->c, "seq-len") ? cli_size(w->c, "seq-len") : c->max_position < 512 ? c->max_position : 512;
  sg_status st = T < 2 ? sgi_fail(err, SG_ERR_ARG, "--seq-len %zu: rows of 2 tokens at least", T)
                       : cli_rows_open(&w->rows, w->c, &w->p, T, cli_size(w->c, "positions"), err);
  if (st) return st;
  if (!(w->inputs = sgi_alloc(w->rows.B * T * sizeof *w->inputs)))
    return sgi_fail_memory(err, w->rows.B * T * sizeof *w->inputs, "rows of tokens");
  for (size_t i = 0; i < w->rows.B; i++) {
    w->inputs[i * T] = c->bos_id;
    memcpy(w->inputs + i * T + 1, w->rows.targets + i * T, (T - 1) * sizeof *w->inputs);
  }
  w->q.inputs = w->inputs;
  w->q.B = w->rows.B;
  w->q.T = T;
  return SG_OK;
}

/* Unseen stories of the built-in corpus, with the category of each labelled word. */
static sg_status read_worlds(work *w, sg_error *err) {
  const sg_config *c = sg_model_config(w->p.model);
  sgi_score_settings all = {.positions = SIZE_MAX, .per_word = SIZE_MAX};
  sg_status st = w->p.tokenizer
                     ? sgi_truth_load(&w->truth, cli_string(w->c, "worlds"), cli_size(w->c, "positions") / 16 + 2, err)
                     : sgi_fail(err, SG_ERR_ARG, "%s has no tokenizer.json, which text needs", w->c->args[0]);
  if (!st) st = sgi_score_words_find(&w->words, &w->truth, w->p.tokenizer, c, &all, err);
  if (st) return st;
  size_t n = w->truth.n_stories * w->words.T;
  if (!(w->category = sgi_alloc(n * sizeof *w->category))) return sgi_fail_memory(err, n, "categories");
  for (size_t i = 0; i < n; i++) w->category[i] = -1;
  for (size_t i = 0; i < w->words.n; i++) {
    const sgi_labelled *at = &w->words.at[i];
    w->category[at->story * w->words.T + at->position] = (int32_t)at->category;
  }
  w->q.inputs = w->words.inputs;
  w->q.B = w->truth.n_stories;
  w->q.T = w->words.T;
  w->q.category = w->category;
  w->q.n_categories = w->words.n_categories;
  return SG_OK;
}

static sg_status read_all(work *w, sg_error *err) {
  const cli_call *c = w->c;
  bool worlds = cli_string(c, "worlds") != NULL;
  w->q = (sgi_label_score_request){.neurons = cli_size(c, "neurons"),
                                   .positions = cli_size(c, "positions"),
                                   .others = cli_size(c, "others"),
                                   .share = cli_real(c, "share"),
                                   .seed = cli_u64(c, "seed"),
                                   .progress = advance,
                                   .user = w};
  if (worlds && cli_string(c, "data")) return sgi_fail(err, SG_ERR_ARG, "give either --data or --worlds, not both");
  sg_status st = cli_prompt_open_model(&w->p, c, err);
  w->q.model = w->p.model;
  if (!st) st = cli_names_open(c, w->p.model, false, &w->names, err);
  if (!st) st = worlds ? read_worlds(w, err) : read_file(w, err);
  if (st) return st;
  cli_progress_begin(&w->bar, "reading", "positions", (double)w->q.positions, 0);
  st = sgi_label_score(w->names, &w->q, &w->scores, err);
  cli_progress_end(&w->bar);
  return st;
}

/* ---- results --------------------------------------------------------------------------------- */

static const struct measure {
  const char *key, *title;
  size_t offset;
} measures[] = {{"reads", "fires on the label's tokens", offsetof(sgi_label_scored, reads)},
                {"others", "  labels of other neurons", offsetof(sgi_label_scored, others)},
                {"rank", "  share of those that do worse", offsetof(sgi_label_scored, rank)},
                {"writes", "the next token is one that it raises", offsetof(sgi_label_scored, writes)},
                {"either", "one or the other", offsetof(sgi_label_scored, either)},
                {"category", "truth: the best category of words", offsetof(sgi_label_scored, category)}};

static sg_status summary_json(const work *w, json_t *o, sg_error *err) {
  for (size_t i = 0; i < SGI_COUNT(measures); i++) {
    sgi_quartiles x;
    sg_status st = sgi_label_quartiles(&w->scores, measures[i].offset, &x, err);
    if (st) return st;
    json_object_set_new(
        o, measures[i].key,
        json_pack("{so so so sI}", "lower", sgi_report_real(x.lower), "median", sgi_report_real(x.median), "upper",
                  sgi_report_real(x.upper), "neurons", (json_int_t)x.n));
  }
  return SG_OK;
}

static json_t *neuron_json(const sgi_label_scored *n) {
  return json_pack("{sI sI sI sI so so so so so so}", "layer", (json_int_t)n->at.layer, "channel",
                   (json_int_t)n->at.channel, "index", (json_int_t)n->at.index, "fired", (json_int_t)n->fired, "reads",
                   sgi_report_real(n->reads), "others", sgi_report_real(n->others), "rank", sgi_report_real(n->rank),
                   "writes", sgi_report_real(n->writes), "either", sgi_report_real(n->either), "category",
                   sgi_report_real(n->category));
}

static int print_json(const work *w) {
  sg_error err = {0};
  json_t *summary = json_object(), *list = json_array();
  if (summary_json(w, summary, &err)) {
    json_decref(summary);
    json_decref(list);
    return cli_fail(&err);
  }
  for (size_t i = 0; i < w->scores.n; i++) json_array_append_new(list, neuron_json(&w->scores.neurons[i]));
  return cli_json(json_pack("{ss sI sI sI so so so}", "feedforward", sg_model_config(w->p.model)->feedforward,
                            "positions", (json_int_t)w->scores.positions, "scored", (json_int_t)w->scores.n, "silent",
                            (json_int_t)w->scores.silent, "share", sgi_report_real(w->q.share), "summary", summary,
                            "neurons", list));
}

static int print(const work *w) {
  sg_error err = {0};
  printf("%zu neurons (%zu more fired fewer than ten times) at %zu positions; balanced accuracy, 0.5 is chance\n",
         w->scores.n, w->scores.silent, w->scores.positions);
  cli_table *t = cli_table_begin("lrrr");
  cli_cell(t, "foretold by");
  cli_cell(t, "lower quartile");
  cli_cell(t, "median");
  cli_cell(t, "upper quartile");
  sg_status st = SG_OK;
  for (size_t i = 0; i < SGI_COUNT(measures) && !st; i++) {
    sgi_quartiles x;
    st = sgi_label_quartiles(&w->scores, measures[i].offset, &x, &err);
    if (st || !x.n) continue;
    cli_cell(t, "%s", measures[i].title);
    cli_cell(t, "%.3f", x.lower);
    cli_cell(t, "%.3f", x.median);
    cli_cell(t, "%.3f", x.upper);
  }
  cli_table_end(t);
  return st ? cli_fail(&err) : 0;
}

static int run(const cli_call *c) {
  sg_error err = {0};
  work w = {.c = c};
  cli_signals_install();
  sg_status st = read_all(&w, &err);
  int code = st ? cli_end(st, &err) : cli_flag(c, "json") ? print_json(&w) : print(&w);
  sgi_label_scores_deinit(&w.scores);
  sgi_score_words_deinit(&w.words);
  sgi_truth_deinit(&w.truth);
  sgi_free(w.inputs);
  sgi_free(w.category);
  cli_rows_free(&w.rows);
  sgi_names_close(w.names);
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
