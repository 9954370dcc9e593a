/* cmd_sinks.c: how much attention goes to a document's first position. */
#include <math.h>

#include "bars.h"
#include "context.h"
#include "model.h"
#include "own_text.h"
#include "read/sinks.h"
#include "report/report.h"
#include "text_form.h"

typedef struct watch {
  cli_progress bar;
  bool begun;
} watch;

static bool progress(void *user, size_t done, size_t total) {
  watch *w = user;
  if (!w->begun) cli_progress_begin(&w->bar, "looking", "documents", (double)total, 0);
  w->begun = true;
  cli_progress_update(&w->bar, (double)done, NULL);
  return cli_stop == 0;
}

static json_t *result_json(const sgi_sinks *s) {
  json_t *heads = json_array(), *ratio = json_array();
  for (size_t k = 0; k < s->n_heads; k++)
    json_array_append_new(
        heads, json_pack("{s:I, s:I, s:o, s:o, s:o}", "layer", (json_int_t)s->heads[k].layer, "head",
                         (json_int_t)s->heads[k].head, "share", sgi_report_real(s->heads[k].share), "excess",
                         sgi_report_real(s->heads[k].excess), "share_out", sgi_report_real(s->heads[k].share_out)));
  for (size_t l = 0; l < s->n_layers; l++) json_array_append_new(ratio, sgi_report_real(s->norm_ratio[l]));
  return json_pack("{s:I, s:I, s:o, s:o, s:o, s:o}", "rows", (json_int_t)s->rows, "positions", (json_int_t)s->positions,
                   "even", sgi_report_real(s->even), "sink_heads", sgi_report_real(s->sink_heads), "heads", heads,
                   "norm_ratio", ratio);
}

static void print_table(const sgi_sinks *s) {
  static const char *const heads[] = {"layer", "head", "share", "excess", "of output", "norm ratio"};
  cli_table *t = cli_table_begin("rrrrrr");
  for (size_t i = 0; i < SGI_COUNT(heads); i++) cli_cell(t, "%s", heads[i]);
  for (size_t k = 0; k < s->n_heads; k++) {
    const sgi_sink_head *h = &s->heads[k];
    cli_cell(t, "%zu", h->layer);
    cli_cell(t, "%zu", h->head);
    cli_cell(t, "%.4f", h->share);
    cli_cell(t, "%+.4f", h->excess);
    cli_cell(t, "%.4f", h->share_out);
    cli_cell(t, "%.3f", s->norm_ratio[h->layer]);
  }
  cli_table_end(t);
  printf("%zu documents; even attention gives %.4f; %.0f %% of the heads give the first position over 0.3\n", s->rows,
         s->even, 100 * s->sink_heads);
}

static void head_label(const void *user, size_t group, char *out, size_t size) {
  const sgi_sinks *s = user;
  snprintf(out, size, "%zu.%zu", s->heads[group].layer, s->heads[group].head);
}

static sg_status figure(const sgi_sinks *s, const char *path, sg_error *err) {
  static const char *const series[] = {"of attention", "of the output"};
  double *value = sgi_alloc(2 * s->n_heads * sizeof *value);
  if (!value) return sgi_fail_memory(err, 2 * s->n_heads * sizeof *value, "a figure");
  for (size_t k = 0; k < s->n_heads; k++) {
    value[2 * k] = s->heads[k].share;
    value[2 * k + 1] = s->heads[k].share_out;
  }
  cli_bars b = {.title = "Attention to a document's first position",
                .x = "layer.head",
                .y = "share",
                .series = series,
                .n_series = 2,
                .n_groups = s->n_heads,
                .value = value,
                .label = head_label,
                .user = s,
                .line = s->even,
                .line_name = "even attention"};
  sg_status st = cli_bars_save(&b, path, err);
  sgi_free(value);
  return st;
}

static int run(const cli_call *c) {
  sg_error err = {0};
  cli_model m = {0};
  cli_text text = {0};
  sgi_corpus *corpus = NULL;
  sgi_sinks s = {0};
  watch shown = {0};
  cli_signals_install();
  sg_status st = cli_model_open(c, CLI_WITH_TOKENIZER, &m, &err);
  if (!st)
    st = cli_text_corpus(c, "valid", m.tokenizer, sg_model_config(m.model)->eos_id, NULL, NULL, &text, &corpus, &err);
  size_t length = st ? 0 : cli_is_set(c, "seq-len") ? cli_size(c, "seq-len") : sg_model_config(m.model)->max_position;
  if (!st) st = cli_context_check(c, sg_model_config(m.model), length, &err);
  if (!st) st = sgi_sinks_run(m.model, corpus, cli_size(c, "rows"), length, progress, &shown, &s, &err);
  if (shown.begun) cli_progress_end(&shown.bar);
  if (!st && cli_string(c, "svg")) st = figure(&s, cli_string(c, "svg"), &err);
  int code = 0;
  if (st)
    code = cli_end(st, &err);
  else if (cli_flag(c, "json"))
    code = cli_json(result_json(&s));
  else
    print_table(&s);
  sgi_sinks_deinit(&s);
  sgi_corpus_close(corpus);
  cli_text_free(&text);
  cli_model_close(&m);
  return code;
}

static const cli_option options[] = {
    {.name = "data",
     .type = CLI_STRING,
     .argument = "PATH",
     .value_text = "the run's own held-out text",
     .help = "text: a file, or a directory with train.* and valid.*"},
    {.name = "rows",
     .type = CLI_SIZE,
     .argument = "N",
     .value = "64",
     .max = 1e9,
     .help = "documents to look at; 0: all"},
    {.name = "seq-len",
     .letter = 's',
     .type = CLI_SIZE,
     .argument = "T",
     .value_text = "the model's",
     .min = 2,
     .max = 1 << 24,
     .help = "documents are cut here"},
    {.name = "svg", .type = CLI_STRING, .argument = "OUT.svg", .help = "a figure: the share of each head"},
    CLI_BEYOND_OPTION,
    CLI_FORM_OPTIONS,
    CLI_TOKENIZER_OPTION,
    CLI_CHECKPOINT_OPTION,
    CLI_JSON_OPTION,
    CLI_END};

const cli_command cli_sinks = {
    .name = "sinks",
    .group = "Reading",
    .summary = "how much attention goes to a document's first position",
    .usage = "MODEL [--data PATH] [--rows N] [--svg OUT.svg]",
    .examples =
        "# is there an attention sink?\nsgatlin sinks run --svg sinks.svg\n"
        "# of a text, for a script\nsgatlin sinks MODEL --data valid.txt --json",
    .description =
        "Documents run one by one, each behind bos. share: mean over positions t >= 1 of the attention that a head "
        "gives position 0; excess: over what even attention gives, the mean of 1/(t+1); of output: mean of |P[t,0] "
        "v[0]| / |o[t]|, since a sink whose value is zero costs nothing; norm ratio: of the stream behind the layer "
        "at position 0 over the median of the others. A head with a share over 0.3 counts as a sink.",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
