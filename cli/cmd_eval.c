/* cmd_eval.c: loss and perplexity of a model on held-out text, beside those of n-gram models. */
#include <math.h>
#include <string.h>

#include "context.h"
#include "core/file.h"
#include "eval_text.h"
#include "core/json.h"
#include "ids.h"
#include "model.h"
#include "own_text.h"
#include "text_form.h"
#include "text/reader.h"
#include "read/baseline.h"
#include "read/defect.h"
#include "read/origins.h"

typedef struct job {
  const cli_call *call;
  cli_model m;
  const sg_config *config;
  sgi_text_form form;
  bool pack; /* the run has its rows so */
  sgi_corpus *corpus;
  eval_text text;
  int32_t *ids;
  sgi_pass *pass;
  sgi_evaluator *evaluator;
  sgi_ngram *ngram;
  sgi_evaluate_request request;
  cli_progress progress;
  sgi_defect *defect; /* (L), where asked for */
  char *path;         /* of the text, where losses by a field of its lines are asked for */
  double *row_nll;    /* (2,rows), likewise */
  sgi_origins sources;
} job;

/* ---- data ------------------------------------------------------------------------------------ */

static bool counting(void *user, uint64_t done) {
  job *j = user;
  cli_progress_update(&j->progress, (double)done, NULL);
  return cli_stop != 0;
}

/* Text is read as the run read its own, unless told otherwise. */
static sg_status read_form(job *j, sg_error *err) {
  char text[64];
  json_t *own;
  sg_status st = cli_text_form(j->call, &j->form, &own, err);
  if (!st && own && !(st = sgi_json_string(own, "config.json: data", "rows", text, sizeof text, err)))
    j->pack = !strcmp(text, "pack");
  json_decref(own);
  return st;
}

static sg_status open_corpus(job *j, const char *option, const char *split, sgi_corpus **out, sg_error *err) {
  cli_text text;
  sg_status st = cli_text_find(j->call, option, split, &text, err);
  cli_progress_begin(&j->progress, "tokenising", "B", 0, 0);
  if (!st)
    st = cli_text_open(&text, &j->form, j->m.tokenizer, j->config->eos_id, cli_progress_bytes, &j->progress, out, err);
  cli_progress_end(&j->progress);
  if (!st && !strcmp(split, "valid") && cli_is_set(j->call, "by") && !(j->path = sgi_strdup(text.path)))
    st = sgi_fail_memory(err, strlen(text.path), "a path");
  cli_text_free(&text);
  return st;
}

static sg_status open_text(job *j, sg_error *err) {
  bool reference = cli_choice(j->call, "method");
  sg_status st = open_corpus(j, "data", "valid", &j->corpus, err);
  if (!st) st = eval_text_rows(j->call, j->config, j->corpus, j->pack, reference, &j->text, err);
  if (st) return st;
  eval_text_say_cut(&j->text);
  j->request.rows = j->text.batcher;
  j->request.T = j->text.T;
  j->request.n_rows = sgi_eval_rows_limit(&j->text, cli_size(j->call, "max-rows"));
  return SG_OK;
}

static sg_status open_ids(job *j, sg_error *err) {
  size_t rows;
  sg_status st = cli_read_ids(cli_string(j->call, "ids"), &j->ids, &rows, &j->request.T, err);
  j->request.targets = j->ids;
  j->request.n_rows = rows;
  if (!st) st = cli_context_check(j->call, j->config, j->request.T, err);
  return st;
}

/* ---- evaluation ------------------------------------------------------------------------------ */

static bool goes_on(void *unused, size_t done, size_t wanted) {
  (void)unused, (void)done, (void)wanted;
  return !cli_stop;
}

/* A pass for at most `most` rows at a time, within --max-memory. */
static sg_status make_pass(job *j, size_t most, sg_error *err) {
  size_t rows, T = j->request.T;
  sg_status st = sgi_pass_fit_within(j->config, most, T, false, cli_size(j->call, "max-memory"), &rows, err);
  if (!st) st = sgi_pass_create(j->m.model, rows, T, false, &j->pass, err);
  if (!st) st = sgi_evaluator_create(j->pass, j->m.model, rows, T, &j->evaluator, err);
  if (!st) sgi_pass_watch(j->pass, goes_on, NULL);
  return st;
}

static sg_status evaluate(job *j, sgi_evaluation *out, sg_error *err) {
  sgi_evaluate_request *r = &j->request;
  size_t limit = cli_size(j->call, "max-rows");
  if (j->ids && limit && limit < r->n_rows) r->n_rows = limit;
  r->batch_rows = cli_size(j->call, "batch-size");
  r->method = cli_choice(j->call, "method") ? SGI_EVAL_BATCHES : SGI_EVAL_TOKENS;
  r->stop = counting;
  r->user = j;
  /* A part's rows divide those of a batch, so that parts never cross one. */
  size_t most = r->method == SGI_EVAL_BATCHES ? r->batch_rows : 16;
  if (most > r->n_rows) most = (size_t)r->n_rows;
  sg_status st = most ? make_pass(j, most, err) : sgi_fail(err, SG_ERR_ARG, "there is no row to evaluate");
  if (st) return st;
  cli_progress_begin(&j->progress, "evaluating", "rows", (double)r->n_rows, 0);
  st = sgi_evaluate(j->evaluator, r, out, err);
  cli_progress_end(&j->progress);
  if (!st && !(isfinite(out->loss) && isfinite(out->perplexity) && isfinite(out->perplexity_last_token)))
    st = sgi_fail(err, SG_ERR_NUMERIC, "the loss is %g, the perplexity %g: not finite", out->loss, out->perplexity);
  return st;
}

static sg_status baseline(job *j, sgi_ngram_score *out, sg_error *err) {
  sgi_corpus *train = NULL;
  sg_status st = open_corpus(j, "train", "train", &train, err);
  if (!st) {
    cli_progress_begin(&j->progress, "counting", "documents", (double)sgi_corpus_documents(train), 0);
    st = sgi_baseline_create(train, j->config, counting, j, &j->ngram, err);
    cli_progress_end(&j->progress);
  }
  sgi_corpus_close(train);
  if (!st) {
    cli_progress_begin(&j->progress, "scoring", "rows", (double)j->request.n_rows, 0);
    st = sgi_baseline_score(j->ngram, &j->request, j->config->pad_id, out, err);
    cli_progress_end(&j->progress);
  }
  if (!st && sgi_ngram_dropped(j->ngram))
    cli_warn("%llu trigrams found no room in the table: the trigram baseline is a little worse than it could be",
             (unsigned long long)sgi_ngram_dropped(j->ngram));
  return st;
}

/* ---- losses by source ------------------------------------------------------------------------ */

static bool stop_reading(void *unused) {
  (void)unused;
  return cli_stop != 0;
}

/* Before evaluation: where each row's loss goes. */
static sg_status row_losses(job *j, sg_error *err) {
  size_t n = (size_t)j->request.n_rows;
  if (!j->path) return SG_OK;
  if (j->text.rows == SGI_ROWS_PACK)
    return sgi_fail(err, SG_ERR_ARG, "--by: packed rows hold several documents; choose --rows windows or pad");
  if (!(j->row_nll = sgi_alloc(2 * n * sizeof *j->row_nll)))
    return sgi_fail_memory(err, 2 * n * sizeof *j->row_nll, "losses of rows");
  j->request.row_nll = j->row_nll;
  j->request.row_targets = j->row_nll + n;
  return SG_OK;
}

static sg_status by_source(job *j, sg_error *err) {
  if (!j->path) return SG_OK;
  sg_status st = sgi_origins_read(j->path, &j->form, cli_string(j->call, "by"), stop_reading, NULL, &j->sources, err);
  const sgi_evaluate_request *r = &j->request;
  return st ? st : sgi_origins_add(&j->sources, j->corpus, r->rows, r->row_nll, r->row_targets, r->n_rows, err);
}

static json_t *sources_json(const job *j) {
  json_t *list = json_array();
  for (size_t i = 0; i < j->sources.n; i++) {
    const sgi_origin *s = &j->sources.list[i];
    double loss = s->nll / s->tokens;
    json_t *o = json_pack("{s:o, s:I, s:I}", "source", sgi_report_text(s->name, strlen(s->name)), "documents",
                          (json_int_t)s->documents, "tokens", (json_int_t)s->tokens);
    json_object_set_new(o, "loss", sgi_report_real(loss));
    json_object_set_new(o, "perplexity", sgi_report_real(exp(loss)));
    json_array_append_new(list, o);
  }
  return list;
}

static void print_sources(const job *j) {
  cli_table *t = cli_table_begin("lrrrr");
  cli_cell(t, "%s", cli_string(j->call, "by"));
  cli_cell(t, "documents"), cli_cell(t, "tokens"), cli_cell(t, "loss"), cli_cell(t, "perplexity");
  for (size_t i = 0; i < j->sources.n; i++) {
    const sgi_origin *s = &j->sources.list[i];
    if (!(s->tokens > 0)) continue;
    cli_cell(t, "%s", s->name[0] ? s->name : "(none)");
    cli_cell(t, "%llu", (unsigned long long)s->documents);
    cli_cell(t, "%.0f", s->tokens);
    cli_cell(t, "%.4f", s->nll / s->tokens);
    cli_cell(t, "%.3f", exp(s->nll / s->tokens));
  }
  putchar('\n');
  cli_table_end(t);
}

/* ---- layers as steps of a flow --------------------------------------------------------------- */

/* Rows of the text, as many as DEFECT_TOKENS allow, for the defect of layers. */
enum { DEFECT_TOKENS = 2048 };
static sg_status defects(job *j, sg_error *err) {
  size_t T = j->request.T, B = DEFECT_TOKENS / T ? DEFECT_TOKENS / T : 1;
  if (B > j->request.n_rows) B = (size_t)j->request.n_rows;
  size_t n = B * T;
  int32_t *ids = sgi_alloc(3 * n * sizeof *ids), *targets = ids + n, *starts = ids + 2 * n;
  j->defect = sgi_alloc(j->config->num_layers * sizeof *j->defect);
  sg_status st = ids && j->defect ? SG_OK : sgi_fail_memory(err, 3 * n * sizeof *ids, "rows of tokens");
  for (size_t i = 0; i < B && !st && j->request.rows; i++)
    sgi_batcher_get(j->request.rows, i, ids + i * T, targets + i * T, starts + i * T);
  for (size_t i = 0; i < n && !st && !j->request.rows; i++)
    ids[i] = i % T ? j->request.targets[i - 1] : j->config->bos_id;
  sgi_batch batch = {.B = B, .T = T, .inputs = ids, .starts = j->request.rows ? starts : NULL};
  cli_progress_begin(&j->progress, "defect", "evaluations", 0, 0);
  if (!st) st = sgi_ode_defect(j->m.model, &batch, j->defect, cli_progress_advance, &j->progress, err);
  cli_progress_end(&j->progress);
  sgi_free(ids);
  return st;
}

static json_t *defect_json(const job *j) {
  json_t *list = json_array();
  for (size_t l = 0; l < j->config->num_layers; l++) {
    json_t *o = json_pack("{s:I}", "layer", (json_int_t)l);
    for (size_t i = 0; i < SGI_DEFECT_FORMS; i++)
      json_object_set_new(o, sgi_defect_form(i), sgi_report_real(j->defect[l].of[i]));
    json_object_set_new(o, "rerouted", sgi_report_real(j->defect[l].rerouted));
    json_array_append_new(list, o);
  }
  return list;
}

static void print_defect(const job *j) {
  cli_table *t = cli_table_begin("rrrrrr");
  cli_cell(t, "layer");
  for (size_t i = 0; i < SGI_DEFECT_FORMS; i++) cli_cell(t, "%s", sgi_defect_form(i));
  cli_cell(t, "units that change between stages");
  for (size_t l = 0; l < j->config->num_layers; l++) {
    cli_cell(t, "%zu", l);
    for (size_t i = 0; i < SGI_DEFECT_FORMS; i++) cli_cell(t, "%.3f", j->defect[l].of[i]);
    if (isnan(j->defect[l].rerouted))
      cli_cell(t, "-");
    else
      cli_cell(t, "%.2f %%", 100 * j->defect[l].rerouted);
  }
  printf("\nDefect of each layer, |one step - flow| / |flow - x|; 1 is as far off as doing nothing:\n");
  cli_table_end(t);
}

/* ---- output ---------------------------------------------------------------------------------- */

static json_t *baseline_json(double nll, uint64_t tokens) {
  double loss = nll / (double)tokens;
  return json_pack("{s:o, s:o}", "loss", sgi_report_real(loss), "perplexity", sgi_report_real(exp(loss)));
}

/* How the numbers came about, in one sentence. */
static const char *method_text(const job *j, const sgi_evaluation *e, char *out, size_t size) {
  bool windows = j->text.batcher && j->text.rows == SGI_ROWS_WINDOWS;
  char rows[160];
  eval_text_method(&j->text, rows, sizeof rows);
  snprintf(out, size, "%s%s%s%s", windows ? rows : "", windows ? "; " : "", sgi_eval_method_text(j->request.method),
           windows && e->units < e->rows ? " of one document together" : "");
  return out;
}

static size_t seq_len(const job *j) { return j->text.batcher ? j->text.seq_len : j->request.T; }

static void add_text(json_t *o, const job *j) {
  if (!j->text.batcher) return;
  json_object_set_new(o, "text_tokens", json_integer((json_int_t)j->text.tokens));
  json_object_set_new(o, "cut_tokens", json_integer((json_int_t)j->text.cut));
  if (j->text.rows == SGI_ROWS_WINDOWS) json_object_set_new(o, "stride", json_integer((json_int_t)j->text.stride));
}

static int print_json(const job *j, const sgi_evaluation *e, const sgi_ngram_score *b) {
  static const char *const forms[] = {"pad", "pack", "windows"};
  bool batches = j->request.method == SGI_EVAL_BATCHES;
  char method[400];
  json_t *o = json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:s, s:s, s:s}", "model", j->m.directory, "loss",
                        sgi_report_real(e->loss), "accuracy", sgi_report_real(e->accuracy), "perplexity",
                        sgi_report_real(e->perplexity), "perplexity_last_token",
                        sgi_report_real(e->perplexity_last_token), "standard_error", sgi_report_real(e->standard_error),
                        "tokens", (json_int_t)e->tokens, "rows", (json_int_t)e->rows, "seq_len", (json_int_t)seq_len(j),
                        "row_form", j->ids ? "ids" : forms[j->text.rows], "method", batches ? "batches" : "tokens",
                        "method_text", method_text(j, e, method, sizeof method));
  add_text(o, j);
  if (batches) {
    json_object_set_new(o, "batches", json_integer((json_int_t)e->batches));
    json_object_set_new(o, "batch_size", json_integer((json_int_t)j->request.batch_rows));
  }
  if (b->tokens)
    json_object_set_new(o, "baselines",
                        json_pack("{s:o, s:o}", "unigram", baseline_json(b->unigram, b->tokens), "trigram",
                                  baseline_json(b->trigram, b->tokens)));
  if (j->defect) json_object_set_new(o, "ode_defect", defect_json(j));
  if (j->path) json_object_set_new(o, "sources", sources_json(j));
  if (cli_is_set(j->call, "layer-form"))
    json_object_set_new(o, "layer_form", json_string(cli_string(j->call, "layer-form")));
  return cli_json(o);
}

static void print_text(const job *j, const sgi_evaluation *e, const sgi_ngram_score *b) {
  cli_table *t = cli_table_begin("lrrrr");
  cli_cell(t, "model"), cli_cell(t, "loss"), cli_cell(t, "perplexity"), cli_cell(t, "accuracy"),
      cli_cell(t, "last token's perplexity");
  cli_cell(t, "%s", j->config->feedforward), cli_cell(t, "%.4f +- %.4f", e->loss, e->standard_error);
  cli_cell(t, "%.3f", e->perplexity), cli_cell(t, "%.2f %%", 100 * e->accuracy);
  cli_cell(t, "%.3f", e->perplexity_last_token);
  const char *names[] = {"trigram", "unigram"};
  double sums[] = {b->trigram, b->unigram};
  for (size_t i = 0; i < SGI_COUNT(sums) && b->tokens; i++) {
    double loss = sums[i] / (double)b->tokens;
    cli_cell(t, "%s", names[i]), cli_cell(t, "%.4f", loss), cli_cell(t, "%.3f", exp(loss)), cli_cell(t, "-"),
        cli_cell(t, "-");
  }
  cli_table_end(t);
  char method[400];
  printf("loss %.4f +- %.4f over %llu tokens in %llu row%s of up to %zu; %s\n", e->loss, e->standard_error,
         (unsigned long long)e->tokens, (unsigned long long)e->rows, e->rows == 1 ? "" : "s", seq_len(j),
         method_text(j, e, method, sizeof method));
}

static sg_status work(job *j, sgi_evaluation *e, sgi_ngram_score *b, sg_error *err) {
  const cli_call *c = j->call;
  bool text = !cli_is_set(c, "ids") || cli_is_set(c, "train");
  sg_status st = cli_model_open(c, text ? CLI_WITH_TOKENIZER : CLI_WITHOUT_TOKENIZER, &j->m, err);
  if (st) return st;
  if (cli_is_set(c, "layer-form") || cli_is_set(c, "ode-steps"))
    st = sgi_model_set_form(
        j->m.model, cli_is_set(c, "layer-form") ? cli_string(c, "layer-form") : sg_model_config(j->m.model)->layer_form,
        cli_is_set(c, "ode-steps") ? cli_size(c, "ode-steps") : 0, err);
  if (st) return st;
  j->config = sg_model_config(j->m.model);
  st = read_form(j, err);
  if (!st) st = cli_is_set(c, "ids") ? open_ids(j, err) : open_text(j, err);
  if (!st) st = row_losses(j, err);
  if (!st) st = evaluate(j, e, err);
  if (!st) st = by_source(j, err);
  if (!st && cli_flag(c, "ode-defect")) st = defects(j, err);
  if (!st && cli_is_set(c, "train")) st = baseline(j, b, err);
  return st;
}

static int run(const cli_call *c) {
  sg_error err = {0};
  job j = {.call = c};
  sgi_evaluation e = {0};
  sgi_ngram_score b = {0};
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
  sg_status st = work(&j, &e, &b, &err);
  int code = 0;
  if (!st && cli_flag(c, "json"))
    code = print_json(&j, &e, &b);
  else if (!st) {
    print_text(&j, &e, &b);
    if (j.defect) print_defect(&j);
    if (j.path) print_sources(&j);
  }
  sgi_free(j.defect);
  sgi_free(j.path);
  sgi_free(j.row_nll);
  sgi_origins_deinit(&j.sources);
  sgi_ngram_free(j.ngram);
  sgi_evaluator_free(j.evaluator);
  sgi_pass_free(j.pass);
  sgi_batcher_free(j.text.batcher);
  sgi_corpus_close(j.corpus);
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
     .argument = EVAL_ROWS_WORDS,
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
