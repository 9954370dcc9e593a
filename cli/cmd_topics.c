/* cmd_topics.c: whether a metarouter's choice of pools goes with what a text is about. */
#include <math.h>

#include "bars.h"
#include "context.h"
#include "model.h"
#include "own_text.h"
#include "report/report.h"
#include "report/topics.h"
#include "text_form.h"

static const char *text_at(const json_t *list, size_t i) { return json_string_value(json_array_get(list, i)); }

enum { MOST_COLUMNS = 28 }; /* of pools; the others are in the JSON */

static void print_gate(const json_t *answer, const json_t *gate) {
  static const char *const heads[] = {"over", "mi", "null", "of", "separation", "p", "purity"};
  const json_t *topics = json_object_get(answer, "topics"), *own = json_object_get(answer, "topic_documents");
  size_t pools = sgi_field_size(gate, "pools");
  printf("layer %zu%s: %zu pools by %s\n", sgi_field_size(gate, "layer"),
         sgi_field_size(gate, "layers") > 1 ? " and those that share" : "", pools,
         json_string_value(json_object_get(gate, "choice")));
  if (pools > MOST_COLUMNS) pools = MOST_COLUMNS;
  cli_table *t = cli_table_begin("lrrrrrr");
  for (size_t i = 0; i < SGI_COUNT(heads); i++) cli_cell(t, "%s", heads[i]);
  for (int k = 0; k < 2; k++) {
    const json_t *s = json_object_get(gate, k ? "documents" : "tokens");
    cli_cell(t, "%s", k ? "documents" : "tokens");
    cli_cell(t, "%.4f", sgi_field_real(s, "mi"));
    cli_cell(t, "%.4f", sgi_field_real(s, "null"));
    cli_cell(t, "%.4f", sgi_field_real(s, "topic_entropy"));
    cli_cell(t, "%.3f", sgi_field_real(s, "separation"));
    cli_cell(t, "%.3f", sgi_field_real(s, "p"));
    cli_cell(t, "%.3f", sgi_field_real(s, "purity"));
  }
  cli_table_end(t);
  char columns[2 + MOST_COLUMNS + 1] = "lr";
  for (size_t e = 0; e < pools; e++) columns[2 + e] = 'r', columns[3 + e] = 0;
  t = cli_table_begin(columns);
  cli_cell(t, "documents by topic");
  cli_cell(t, "all");
  for (size_t e = 0; e < pools; e++) cli_cell(t, "pool %zu", e);
  const json_t *counts = json_object_get(json_object_get(gate, "documents"), "counts");
  for (size_t k = 0; k < json_array_size(topics); k++) {
    cli_cell(t, "%s", text_at(topics, k));
    cli_cell(t, "%lld", json_integer_value(json_array_get(own, k)));
    for (size_t e = 0; e < pools; e++)
      cli_cell(t, "%lld", json_integer_value(json_array_get(json_array_get(counts, k), e)));
  }
  cli_table_end(t);
}

static void print_answer(const void *user, const json_t *answer) {
  (void)user;
  const json_t *gates = json_object_get(answer, "gates");
  for (size_t g = 0; g < json_array_size(gates); g++) print_gate(answer, json_array_get(gates, g));
  printf("%zu documents, %zu tokens, topics by %s", sgi_field_size(answer, "documents"),
         sgi_field_size(answer, "tokens"), json_string_value(json_object_get(answer, "by")));
  if (sgi_field_size(answer, "without_topic"))
    printf("; %zu documents have none and are left out", sgi_field_size(answer, "without_topic"));
  printf("\n");
}

/* ---- the figure: of each gate and topic, the share of tokens of every pool ------------------- */

typedef struct groups {
  const json_t *answer;
  size_t topics;
} groups;

static void group_label(const void *user, size_t group, char *out, size_t size) {
  const groups *g = user;
  const json_t *gate = json_array_get(json_object_get(g->answer, "gates"), group / g->topics);
  const char *topic = text_at(json_object_get(g->answer, "topics"), group % g->topics);
  if (json_array_size(json_object_get(g->answer, "gates")) > 1)
    snprintf(out, size, "%zu: %s", sgi_field_size(gate, "layer"), topic);
  else
    snprintf(out, size, "%s", topic);
}

static sg_status figure(const json_t *answer, const char *path, sg_error *err) {
  const json_t *gates = json_object_get(answer, "gates");
  groups g = {answer, json_array_size(json_object_get(answer, "topics"))};
  size_t n = json_array_size(gates) * g.topics, pools = 0;
  for (size_t k = 0; k < json_array_size(gates); k++) {
    size_t own = sgi_field_size(json_array_get(gates, k), "pools");
    pools = own > pools ? own : pools;
  }
  double *share = sgi_alloc(n * pools * sizeof *share);
  char(*names)[32] = sgi_alloc(pools * sizeof *names);
  const char **series = sgi_alloc(pools * sizeof *series);
  sg_status st = share && names && series ? SG_OK : sgi_fail_memory(err, n * pools * sizeof *share, "a figure");
  for (size_t e = 0; e < pools && !st; e++) {
    snprintf(names[e], sizeof names[e], "pool %zu", e);
    series[e] = names[e];
  }
  for (size_t i = 0; i < n && !st; i++) {
    const json_t *tokens = json_object_get(json_array_get(gates, i / g.topics), "tokens");
    const json_t *row = json_array_get(json_object_get(tokens, "counts"), i % g.topics);
    double sum = 0;
    for (size_t e = 0; e < json_array_size(row); e++) sum += json_number_value(json_array_get(row, e));
    for (size_t e = 0; e < json_array_size(row) && sum > 0; e++)
      share[i * pools + e] = json_number_value(json_array_get(row, e)) / sum;
  }
  cli_bars b = {.title = "Pools chosen, by topic",
                .x = json_array_size(gates) > 1 ? "layer: topic" : "topic",
                .y = "share of the topic's tokens",
                .series = series,
                .n_series = pools,
                .n_groups = n,
                .value = share,
                .label = group_label,
                .user = &g,
                .line = NAN};
  if (!st) st = cli_bars_save(&b, path, err);
  sgi_free(share);
  sgi_free(names);
  sgi_free(series);
  return st;
}

/* ---- the command ----------------------------------------------------------------------------- */

static sg_status ask(const cli_call *c, const cli_model *m, cli_text *text, cli_progress *bar, json_t **answer,
                     sg_error *err) {
  sg_text_form form;
  json_t *own = NULL;
  size_t length = cli_is_set(c, "seq-len") ? cli_size(c, "seq-len") : sg_model_config(m->model)->max_position;
  sg_status st = cli_context_check(c, sg_model_config(m->model), length, err);
  if (!st) st = cli_text_form(c, &form, &own, err);
  json_decref(own);
  if (!st) st = cli_text_find(c, "data", "valid", text, err);
  if (!st && text->held_out > 0)
    st = sgi_fail(err, SG_ERR_ARG,
                  "the run held out a part of a file, whose documents have no topics: give a text with --data");
  sgi_topics_request r = {.path = text->path,
                          .form = &form,
                          .by = cli_string(c, "by"),
                          .documents = cli_size(c, "documents"),
                          .seq_len = length,
                          .permutations = cli_size(c, "permutations"),
                          .seed = cli_size(c, "seed"),
                          .progress = cli_progress_advance,
                          .user = bar};
  return st ? st : sgi_topics_json(m->model, m->tokenizer, &r, answer, err);
}

static int run(const cli_call *c) {
  sg_error err = {0};
  cli_model m = {0};
  cli_text text = {0};
  cli_progress bar;
  json_t *answer = NULL;
  cli_signals_install();
  cli_progress_begin(&bar, "reading", "bytes", 0, 0);
  sg_status st = cli_model_open(c, CLI_WITH_TOKENIZER, &m, &err);
  if (!st) st = ask(c, &m, &text, &bar, &answer, &err);
  cli_progress_end(&bar);
  if (!st && cli_string(c, "svg")) st = figure(answer, cli_string(c, "svg"), &err);
  int code = cli_answer(c, st, &err, answer, print_answer, NULL);
  cli_text_free(&text);
  cli_model_close(&m);
  return code;
}

static const cli_option options[] = {
    {.name = "data",
     .type = CLI_STRING,
     .argument = "PATH",
     .value_text = "the run's own held-out text",
     .help = "text: a file, or a directory with valid.* or whose files are all meant"},
    {.name = "by",
     .type = CLI_STRING,
     .argument = "topic|file|FIELD",
     .value_text = "topic where there is a topics.jsonl, else source",
     .help = "a document's topic: what topics.jsonl says, the name of its file, or a field of its line in a .jsonl"},
    {.name = "documents",
     .type = CLI_SIZE,
     .argument = "N",
     .value = "1000",
     .max = 1e9,
     .help = "documents of each file to read; 0: all"},
    {.name = "seq-len",
     .letter = 's',
     .type = CLI_SIZE,
     .argument = "T",
     .value_text = "the model's",
     .min = 2,
     .max = 1 << 24,
     .help = "documents are cut here"},
    {.name = "permutations",
     .type = CLI_SIZE,
     .argument = "N",
     .value = "200",
     .min = 1,
     .max = 1e6,
     .help = "of the topics among the documents, for null and p"},
    {.name = "seed", .type = CLI_SIZE, .argument = "N", .value = "1", .help = "of the permutations"},
    {.name = "svg", .type = CLI_STRING, .argument = "OUT.svg", .help = "a figure: each topic's share of every pool"},
    CLI_BEYOND_OPTION,
    CLI_FORM_OPTIONS,
    CLI_TOKENIZER_OPTION,
    CLI_CHECKPOINT_OPTION,
    CLI_JSON_OPTION,
    CLI_END};

const cli_command cli_topics = {
    .name = "topics",
    .group = "Reading",
    .summary = "whether a metarouter's pools go with the topics of a text",
    .usage = "MODEL [--data PATH] [--by topic|file|FIELD] [--svg OUT.svg]",
    .examples =
        "# stories whose topics are known\nsgatlin topics run --data worlds --svg topics.svg\n"
        "# records that say where they are from, for a script\nsgatlin topics run --data valid.jsonl --by source "
        "--json",
    .description =
        "Documents run one by one, each behind bos, and every gate's choice is counted (of several pools at a position "
        "the likeliest). mi: bits that choice and topic have in common, over tokens, and over documents, each with its "
        "most frequent pool; null: the mean of that over permutations of the topics among the documents; separation: "
        "(mi - null) over the entropy of the topics, 1 where the choice tells the topic; p: the share of permutations "
        "that reach mi; purity: the share that has the most frequent topic of its pool. Documents are the unit for "
        "p: tokens of one are not independent.",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
