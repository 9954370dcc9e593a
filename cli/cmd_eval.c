/* cmd_eval.c: loss and perplexity of a model on held-out text, beside those of n-gram models. */
#include <math.h>
#include <string.h>

#include "context.h"
#include "core/json.h"
#include "eval_text.h"
#include "ids.h"
#include "model.h"
#include "own_text.h"
#include "text_form.h"
#include "report/evaluate.h"

typedef struct job {
  const cli_call *call;
  cli_model m;
  sg_text_form form;
  bool packs; /* the run has its rows so */
  cli_text text, train;
  int32_t *ids;
  size_t n_ids, T;
  cli_eval_watch watch;
} job;

/* ---- what is asked --------------------------------------------------------------------------- */

static sg_status open_all(job *j, sg_error *err) {
  const cli_call *c = j->call;
  bool ids = cli_is_set(c, "ids"), train = cli_is_set(c, "train");
  sg_status st = cli_model_open(c, !ids || train ? CLI_WITH_TOKENIZER : CLI_WITHOUT_TOKENIZER, &j->m, err);
  /* Text is read as the run read its own, unless told otherwise. */
  if (!st) st = cli_text_form_packs(c, &j->form, &j->packs, err);
  if (!st && ids) st = cli_read_ids(cli_string(c, "ids"), &j->ids, &j->n_ids, &j->T, err);
  if (!st && !ids) st = cli_text_find(c, "data", "valid", &j->text, err);
  return !st && train ? cli_text_find(c, "train", "train", &j->train, err) : st;
}

static sg_status work(job *j, json_t **out, sg_error *err) {
  const cli_call *c = j->call;
  sg_status st = open_all(j, err);
  if (st) return st;
  sgi_eval_request q = {
      .model = j->m.model,
      .tokenizer = j->m.tokenizer,
      .name = j->m.directory,
      .layer_form = cli_is_set(c, "layer-form") ? cli_string(c, "layer-form") : NULL,
      .ode_steps = cli_is_set(c, "ode-steps") ? cli_size(c, "ode-steps") : 0,
      .text = j->text.path ? &j->text : NULL,
      .form = &j->form,
      .packs = j->packs,
      .rows = cli_is_set(c, "rows") ? (sg_eval_rows)(SG_EVAL_PAD + cli_choice(c, "rows")) : SG_EVAL_ROWS_AUTO,
      .seq_len = cli_is_set(c, "seq-len") ? cli_size(c, "seq-len") : 0,
      .stride = cli_is_set(c, "stride") ? cli_size(c, "stride") : 0,
      .ids = j->ids,
      .n_ids = j->n_ids,
      .T = j->T,
      .train = j->train.path ? &j->train : NULL,
      .batches = cli_choice(c, "method") == 1,
      .batch_rows = cli_size(c, "batch-size"),
      .max_rows = cli_size(c, "max-rows"),
      .max_memory = cli_size(c, "max-memory"),
      .by = j->text.path ? cli_string(c, "by") : NULL,
      .defect = cli_flag(c, "ode-defect")};
  j->watch = (cli_eval_watch){.call = c, .model = j->m.model};
  cli_eval_watched(&j->watch, &q);
  return sgi_eval_report(&q, out, err);
}

/* ---- output ---------------------------------------------------------------------------------- */

static void print_sources(const char *by, const json_t *sources) {
  json_t *s;
  size_t i;
  cli_table *t = cli_table_begin("lrrrr");
  cli_cell(t, "%s", by);
  cli_cell(t, "documents"), cli_cell(t, "tokens"), cli_cell(t, "loss"), cli_cell(t, "perplexity");
  json_array_foreach((json_t *)sources, i, s) {
    const char *name = sgi_field_word(s, "source");
    if (!sgi_field_size(s, "tokens")) continue;
    cli_cell(t, "%s", *name ? name : "(none)");
    cli_cell(t, "%zu", sgi_field_size(s, "documents"));
    cli_cell(t, "%zu", sgi_field_size(s, "tokens"));
    cli_cell(t, "%.4f", sgi_field_real(s, "loss"));
    cli_cell(t, "%.3f", sgi_field_real(s, "perplexity"));
  }
  putchar('\n');
  cli_table_end(t);
}

static bool is_form(const char *key) { return strcmp(key, "layer") && strcmp(key, "rerouted"); }

static void print_defect(const json_t *layers) {
  json_t *l, *x;
  size_t i;
  const char *key;
  cli_table *t = cli_table_begin("rrrrrr");
  cli_cell(t, "layer");
  json_object_foreach(json_array_get(layers, 0), key, x) if (is_form(key)) cli_cell(t, "%s", key);
  cli_cell(t, "units that change between stages");
  json_array_foreach((json_t *)layers, i, l) {
    double rerouted = sgi_field_real(l, "rerouted");
    cli_cell(t, "%zu", sgi_field_size(l, "layer"));
    json_object_foreach(l, key, x) if (is_form(key)) cli_cell(t, "%.3f", sgi_field_real(l, key));
    if (isnan(rerouted))
      cli_cell(t, "-");
    else
      cli_cell(t, "%.2f %%", 100 * rerouted);
  }
  printf("\nDefect of each layer, |one step - flow| / |flow - x|; 1 is as far off as doing nothing:\n");
  cli_table_end(t);
}

static void print_text(const json_t *o, const char *kind) {
  static const char *const names[] = {"trigram", "unigram"};
  const json_t *baselines = json_object_get(o, "baselines");
  size_t rows = sgi_field_size(o, "rows");
  cli_table *t = cli_table_begin("lrrrr");
  cli_cell(t, "model"), cli_cell(t, "loss"), cli_cell(t, "perplexity"), cli_cell(t, "accuracy"),
      cli_cell(t, "last token's perplexity");
  cli_cell(t, "%s", kind);
  cli_cell(t, "%.4f +- %.4f", sgi_field_real(o, "loss"), sgi_field_real(o, "standard_error"));
  cli_cell(t, "%.3f", sgi_field_real(o, "perplexity"));
  cli_cell(t, "%.2f %%", 100 * sgi_field_real(o, "accuracy"));
  cli_cell(t, "%.3f", sgi_field_real(o, "perplexity_last_token"));
  for (size_t i = 0; i < SGI_COUNT(names) && baselines; i++) {
    const json_t *b = json_object_get(baselines, names[i]);
    cli_cell(t, "%s", names[i]), cli_cell(t, "%.4f", sgi_field_real(b, "loss"));
    cli_cell(t, "%.3f", sgi_field_real(b, "perplexity")), cli_cell(t, "-"), cli_cell(t, "-");
  }
  cli_table_end(t);
  printf("loss %.4f +- %.4f over %zu tokens in %zu row%s of up to %zu; %s\n", sgi_field_real(o, "loss"),
         sgi_field_real(o, "standard_error"), sgi_field_size(o, "tokens"), rows, rows == 1 ? "" : "s",
         sgi_field_size(o, "seq_len"), sgi_field_word(o, "method_text"));
}

static int run(const cli_call *c) {
  sg_error err = {0};
  job j = {.call = c};
  json_t *o = NULL;
  if (cli_is_set(c, "data") && cli_is_set(c, "ids")) return cli_usage(c, "give either --data PATH or --ids IDS.json");
  bool own = true;
  if (!cli_is_set(c, "data") && !cli_is_set(c, "ids") && cli_text_own(c, &own, &err)) return cli_fail(&err);
  if (!own)
    return cli_usage(c, "%s is no training run with a text of its own: give --data PATH or --ids IDS.json", c->args[0]);
  static const char *const of_text[] = {"rows", "stride", "seq-len", "by"};
  for (size_t i = 0; i < SGI_COUNT(of_text) && cli_is_set(c, "ids"); i++)
    if (cli_source_of(c, of_text[i]) == CLI_GIVEN)
      return cli_usage(c, "--%s says how --data is read; the rows of --ids come as they are", of_text[i]);
  cli_signals_install();
  sg_status st = work(&j, &o, &err);
  int code = 0;
  if (!st && cli_flag(c, "json")) {
    code = cli_json(json_incref(o));
  } else if (!st) {
    print_text(o, sg_model_config(j.m.model)->feedforward);
    if (json_object_get(o, "ode_defect")) print_defect(json_object_get(o, "ode_defect"));
    if (json_object_get(o, "sources")) print_sources(cli_string(c, "by"), json_object_get(o, "sources"));
  }
  json_decref(o);
  cli_text_free(&j.text);
  cli_text_free(&j.train);
  sgi_free(j.ids);
  cli_model_close(&j.m);
  if (st == SG_ERR_CANCELLED && cli_stop) return 128 + cli_stop;
  return st ? cli_fail(&err) : code;
}

static const cli_option options[] = {
    {.name = "data",
     .type = CLI_STRING,
     .letter = 'd',
     .argument = "PATH",
     .value_text = "what the run held out",
     .help = "text file, or directory (its valid.* where it has one)"},
    {.name = "ids",
     .type = CLI_STRING,
     .argument = "IDS.json",
     .help = "instead of text: [[ids of row 1], [row 2], ...], rows of equal length; - for standard input"},
    {.name = "train",
     .type = CLI_STRING,
     .argument = "PATH",
     .help = "training text: also unigram and trigram models of it on the same tokens"},
    {.name = "method",
     .type = CLI_CHOICE,
     .argument = "tokens|batches",
     .value = "tokens",
     .help = "mean over tokens, or over batches of each one's metrics"},
    {.name = "batch-size",
     .type = CLI_SIZE,
     .argument = "N",
     .value = "32",
     .min = 1,
     .max = 1 << 24,
     .help = "rows of a batch, for the method batches; the rest of the rows is left out"},
    {.name = "rows",
     .type = CLI_CHOICE,
     .argument = "pad|pack|windows",
     .value_text = "the run's; windows where a document is longer than a row",
     .help = "one document a row, documents one behind the other, or documents whole in windows"},
    {.name = "stride",
     .type = CLI_SIZE,
     .argument = "N",
     .value_text = "half a row",
     .min = 1,
     .max = 1 << 24,
     .help = "tokens from one window to the next; fewer give each token more before it and take longer"},
    {.name = "seq-len",
     .type = CLI_SIZE,
     .argument = "N",
     .value_text = "what the model was made for",
     .min = 1,
     .max = 1 << 24,
     .help = "tokens of a row or window"},
    {.name = "layer-form",
     .type = CLI_STRING,
     .argument = "FORM",
     .value_text = "the model's",
     .help = "run the layers in another form: sequential, parallel, euler, midpoint or rk4"},
    {.name = "ode-steps",
     .type = CLI_SIZE,
     .argument = "N",
     .value_text = "1",
     .min = 1,
     .max = SG_MAX_ODE_STEPS,
     .help = "steps of that form"},
    {.name = "ode-defect",
     .type = CLI_FLAG,
     .help = "also how far each layer is from a step along a flow (first 2,048 tokens)"},
    {.name = "by",
     .type = CLI_STRING,
     .argument = "FIELD",
     .help = "also the loss of each source: a field of the lines of a .jsonl, such as meta.redpajama_set_name"},
    CLI_BEYOND_OPTION,
    CLI_FORM_OPTIONS,
    {.name = "max-rows",
     .type = CLI_SIZE,
     .argument = "N",
     .value = "0",
     .help = "rows to evaluate at most, from the first; 0: all; windows to the end of their document"},
    {.name = "max-memory",
     .type = CLI_BYTES,
     .argument = "BYTES",
     .value = "512M",
     .min = 1,
     .help = "memory for activations; rows are computed in parts that fit"},
    CLI_CHECKPOINT_OPTION,
    CLI_TOKENIZER_OPTION,
    CLI_JSON_OPTION,
    CLI_END};

const cli_command cli_eval = {
    .name = "eval",
    .group = "Running",
    .summary = "loss, accuracy and perplexity of a model on held-out text",
    .usage = "RUN\nMODEL PATH [--train PATH]\nMODEL --ids IDS.json",
    .examples =
        "# a run on the text that it held out\nsgatlin eval RUN\n"
        "# on a directory's valid.*, beside a unigram and a trigram model of its train.*\n"
        "sgatlin eval RUN --data DIR --train DIR\n"
        "# the best checkpoint on another text\nsgatlin eval RUN book.txt --checkpoint best --rows pack --json\n"
        "# given tokens, summed up as the reference does\nsgatlin eval MODEL --ids ids.json --method batches "
        "--batch-size 4\n"
        "# by source, of a mixture in SlimPajama's layout\nsgatlin eval RUN --data valid.jsonl.zst --by "
        "meta.redpajama_set_name",
    .description =
        "Every row begins with the model's bos as its first input; targets that are the model's pad id are not "
        "counted. "
        "Method tokens: one mean over all tokens, perplexity = exp(loss), and the standard error of the loss with rows "
        "as the sampling unit. Method batches: every number is the plain mean of what each whole batch gives, as the "
        "reference evaluates (the perplexity is a mean of exp(loss)).\n\n"
        "A document that is longer than a row is counted whole in windows: each begins --stride tokens behind the one "
        "before, every token counts once, in the first window that has it, and the last window ends where the document "
        "ends. The standard error then has documents as the sampling unit. --rows pad, the reference's way, counts the "
        "first tokens of a document alone.\n\n"
        "--json keys: model, loss, accuracy, perplexity, perplexity_last_token, standard_error, tokens, rows, seq_len, "
        "row_form, method, method_text, text_tokens and cut_tokens (of --data: those that no row counts), stride (of "
        "windows); with --method batches also batches, batch_size; with --train baselines "
        "(unigram, trigram: loss, perplexity); with --by sources (source, documents, tokens, loss, perplexity).",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .also = "data",
    .run = run,
};
