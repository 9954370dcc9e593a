/* cmd_sinks.c: how much attention goes to a document's first position. */
#include <math.h>
#include <string.h>

#include "bars.h"
#include "context.h"
#include "model.h"
#include "own_text.h"
#include "report/sinks.h"
#include "text_form.h"

typedef struct watch {
  cli_progress bar;
  bool begun;
  size_t last, before; /* documents of this model, of the one before it */
} watch;

static bool progress(void *user, size_t done, size_t total) {
  watch *w = user;
  if (!w->begun) cli_progress_begin(&w->bar, "looking", "documents", (double)total, 0);
  w->begun = true;
  if (done < w->last) w->before += w->last;
  w->last = done;
  cli_progress_update(&w->bar, (double)(w->before + done), NULL);
  return cli_stop == 0;
}

static void cells(cli_table *t, const json_t *model, size_t k) {
  const json_t *h = json_array_get(json_object_get(model, "heads"), k);
  json_int_t layer = json_integer_value(json_object_get(h, "layer"));
  const json_t *ratio = json_array_get(json_object_get(model, "norm_ratio"), (size_t)layer);
  cli_cell(t, "%.4f", sgi_field_real(h, "share"));
  cli_cell(t, "%+.4f", sgi_field_real(h, "excess"));
  cli_cell(t, "%.4f", sgi_field_real(h, "share_out"));
  if (sgi_field_flag(model, "attention_sink")) cli_cell(t, "%.4f", sgi_field_real(h, "logit"));
  cli_cell(t, "%.3f", json_number_value(ratio));
}

static void heads_of(cli_table *t, const json_t *model) {
  cli_cell(t, "share");
  cli_cell(t, "excess");
  cli_cell(t, "of output");
  if (sgi_field_flag(model, "attention_sink")) cli_cell(t, "to logit");
  cli_cell(t, "norm ratio");
}

/* Columns of the first model, then of the second. */
static void print_table(const void *user, const json_t *o) {
  const cli_call *c = user;
  const json_t *after = json_object_get(o, "after"), *heads = json_object_get(o, "heads");
  const json_t *both[] = {o, after};
  char columns[16] = "rr";
  for (size_t i = 0; i < 2 && both[i]; i++)
    strcat(columns, sgi_field_flag(both[i], "attention_sink") ? "rrrrr" : "rrrr");
  if (after) printf("first %s, then %s\n", c->args[0], c->args[1]);
  cli_table *t = cli_table_begin(columns);
  cli_cell(t, "layer");
  cli_cell(t, "head");
  for (size_t i = 0; i < 2 && both[i]; i++) heads_of(t, both[i]);
  for (size_t k = 0; k < json_array_size(heads); k++) {
    const json_t *h = json_array_get(heads, k);
    cli_cell(t, "%lld", (long long)json_integer_value(json_object_get(h, "layer")));
    cli_cell(t, "%lld", (long long)json_integer_value(json_object_get(h, "head")));
    for (size_t i = 0; i < 2 && both[i]; i++) cells(t, both[i], k);
  }
  cli_table_end(t);
  printf("%lld documents; even attention gives %.4f; %.0f %% of the heads give the first position over 0.3",
         (long long)json_integer_value(json_object_get(o, "rows")), sgi_field_real(o, "even"),
         100 * sgi_field_real(o, "sink_heads"));
  if (after) printf(", of the second model %.0f %%", 100 * sgi_field_real(after, "sink_heads"));
  printf("\n");
}

static void head_label(const void *user, size_t group, char *out, size_t size) {
  const json_t *h = json_array_get(json_object_get(user, "heads"), group);
  snprintf(out, size, "%lld.%lld", (long long)json_integer_value(json_object_get(h, "layer")),
           (long long)json_integer_value(json_object_get(h, "head")));
}

/* One model: its shares of attention and of the output. Two: the share of each, head by head. */
static sg_status figure(const cli_call *c, const json_t *o, const char *path, sg_error *err) {
  const json_t *after = json_object_get(o, "after");
  const json_t *from[] = {json_object_get(o, "heads"), json_object_get(after ? after : o, "heads")};
  const char *const series[] = {after ? c->args[0] : "of attention", after ? c->args[1] : "of the output"};
  size_t n = json_array_size(from[0]);
  double *value = sgi_alloc(2 * n * sizeof *value);
  if (!value) return sgi_fail_memory(err, 2 * n * sizeof *value, "a figure");
  for (size_t k = 0; k < 2 * n; k++)
    value[k] = sgi_field_real(json_array_get(from[k % 2], k / 2), k % 2 && !after ? "share_out" : "share");
  cli_bars b = {.title = "Attention to a document's first position",
                .x = "layer.head",
                .y = "share",
                .series = series,
                .n_series = 2,
                .n_groups = n,
                .value = value,
                .label = head_label,
                .user = o,
                .line = sgi_field_real(o, "even"),
                .line_name = "even attention"};
  sg_status st = cli_bars_save(&b, path, err);
  sgi_free(value);
  return st;
}

/* The second model reads the tokens of the first. */
static sg_status open_after(const cli_call *c, cli_model *m, sg_error *err) {
  if (c->n_args < 2) return SG_OK;
  cli_call own = *c;
  own.args++;
  own.n_args--;
  return cli_model_open(&own, CLI_WITHOUT_TOKENIZER, m, err);
}

static int run(const cli_call *c) {
  sg_error err = {0};
  cli_model m = {0}, after = {0};
  cli_text text = {0};
  sgi_corpus *corpus = NULL;
  json_t *o = NULL;
  watch shown = {0};
  cli_signals_install();
  sg_status st = cli_model_open(c, CLI_WITH_TOKENIZER, &m, &err);
  if (!st) st = open_after(c, &after, &err);
  if (!st)
    st = cli_text_corpus(c, "valid", m.tokenizer, sg_model_config(m.model)->eos_id, NULL, NULL, &text, &corpus, &err);
  size_t length = st ? 0 : cli_is_set(c, "seq-len") ? cli_size(c, "seq-len") : sg_model_config(m.model)->max_position;
  if (!st) st = cli_context_check(c, sg_model_config(m.model), length, &err);
  if (!st && after.model) st = cli_context_check(c, sg_model_config(after.model), length, &err);
  sgi_sinks_request r = {.model = m.model,
                         .after = after.model,
                         .text = corpus,
                         .rows = cli_size(c, "rows"),
                         .seq_len = length,
                         .progress = progress,
                         .user = &shown};
  if (!st) st = sgi_sinks_json(&r, &o, &err);
  if (shown.begun) cli_progress_end(&shown.bar);
  if (!st && cli_string(c, "svg")) st = figure(c, o, cli_string(c, "svg"), &err);
  int code = cli_answer(c, st, &err, o, print_table, c);
  sgi_text_close(corpus);
  cli_text_free(&text);
  cli_model_close(&after);
  cli_model_close(&m);
  return code;
}

static const cli_option options[] = {{.name = "data",
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
                                     {.name = "svg",
                                      .type = CLI_STRING,
                                      .argument = "OUT.svg",
                                      .help = "a figure: the share of each head, of two models side by side"},
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
    .usage = "MODEL [OTHER] [--data PATH] [--rows N] [--svg OUT.svg]",
    .examples =
        "# is there an attention sink?\nsgatlin sinks run --svg sinks.svg\n"
        "# has a remedy taken it away? both head by head\nsgatlin sinks run with-sink-mlp --svg both.svg\n"
        "# of a text, for a script\nsgatlin sinks MODEL --data valid.txt --json",
    .description =
        "Documents run one by one, each behind bos. share: mean over positions t >= 1 of the attention that a head "
        "gives position 0; excess: over what even attention gives, the mean of 1/(t+1); of output: mean of |P[t,0] "
        "v[0]| / |o[t]|, since a sink whose value is zero costs nothing; to logit, with attention_sink: what the "
        "head's learned logit takes; norm ratio: of the stream behind the layer at position 0 over the median of the "
        "others. A head with a share over 0.3 counts as a sink. With OTHER, a model with the same heads, both read "
        "the tokens of the first. Remedies to train with: --set feedforward.sink_mlp.width=128, "
        "feedforward.always_on.neurons=8, model.attention_sink=logit.",
    .options = options,
    .min_args = 1,
    .max_args = 2,
    .run = run,
};
