#include "evaluate.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "data/data.h"
#include "model/pass.h"
#include "read/baseline.h"
#include "read/defect.h"
#include "read/eval_rows.h"
#include "read/origins.h"

typedef struct job {
  const sgi_eval_request *q;
  const sg_config *config;
  sgi_corpus *corpus;
  sgi_eval_rows text;
  sgi_pass *pass;
  sgi_evaluator *evaluator;
  sgi_ngram *ngram;
  sgi_evaluate_request request;
  sgi_defect *defect; /* (L), where asked for */
  double *row_nll;    /* (2,rows), where losses by a field are asked for */
  sgi_origins sources;
} job;

/* ---- data ------------------------------------------------------------------------------------ */

static void begun(const job *j, const char *what, const char *unit, uint64_t total) {
  j->q->begun(j->q->user, what, unit, total);
}

/* Asked by those that count whether to stop. */
static bool counting(void *user, uint64_t done) {
  const job *j = user;
  return !j->q->progress(j->q->user, done, 0);
}

static bool goes_on(void *user, size_t done, size_t wanted) {
  const job *j = user;
  return (void)done, (void)wanted, j->q->progress(j->q->user, UINT64_MAX, 0);
}

static bool stop_reading(void *user) { return !goes_on(user, 0, 0); }

static bool passes(void *user, size_t done, size_t wanted) {
  const job *j = user;
  return j->q->progress(j->q->user, done, wanted);
}

static sg_status open_corpus(job *j, const sgi_text *text, sgi_corpus **out, sg_error *err) {
  const sgi_text_watch watch = {.note = j->q->note, .progress = j->q->progress, .user = j->q->user};
  begun(j, "tokenising", "B", 0);
  sg_status st = sgi_text_open(text, j->q->form, j->q->tokenizer, j->config->eos_id, &watch, out, err);
  begun(j, NULL, NULL, 0);
  return st;
}

static sg_status open_text(job *j, sg_error *err) {
  const sgi_eval_request *q = j->q;
  const sgi_eval_form form = {
      .rows = q->rows, .seq_len = q->seq_len, .stride = q->stride, .packs = q->packs, .reference = q->batches};
  char cut[200];
  sg_status st = open_corpus(j, q->text, &j->corpus, err);
  if (!st) st = sgi_eval_rows_choose(j->config, j->corpus, &form, &j->text, err);
  if (!st) st = q->fits(q->user, j->text.T, err);
  if (!st) st = sgi_eval_rows_open(j->config, j->corpus, &form, &j->text, err);
  if (st) return st;
  sgi_eval_rows_cut(&j->text, cut, sizeof cut);
  if (*cut) q->note(q->user, cut);
  j->request.rows = j->text.batcher;
  j->request.T = j->text.T;
  j->request.n_rows = sgi_eval_rows_limit(&j->text, q->max_rows);
  return SG_OK;
}

static sg_status take_ids(job *j, sg_error *err) {
  j->request.targets = j->q->ids;
  j->request.T = j->q->T;
  j->request.n_rows = j->q->max_rows && j->q->max_rows < j->q->n_ids ? j->q->max_rows : j->q->n_ids;
  return j->q->fits(j->q->user, j->request.T, err);
}

/* ---- evaluation ------------------------------------------------------------------------------ */

/* A pass for at most `most` rows at a time, within max_memory. */
static sg_status make_pass(job *j, size_t most, sg_error *err) {
  size_t rows, T = j->request.T;
  sg_status st = sgi_pass_fit_within(j->config, most, T, false, j->q->max_memory, &rows, err);
  if (!st) st = sgi_pass_create(j->q->model, rows, T, false, &j->pass, err);
  if (!st) st = sgi_evaluator_create(j->pass, j->q->model, rows, T, &j->evaluator, err);
  if (!st) sgi_pass_watch(j->pass, goes_on, j);
  return st;
}

static sg_status evaluate(job *j, sgi_evaluation *out, sg_error *err) {
  sgi_evaluate_request *r = &j->request;
  r->batch_rows = j->q->batch_rows;
  r->method = j->q->batches ? SGI_EVAL_BATCHES : SGI_EVAL_TOKENS;
  r->stop = counting;
  r->user = j;
  /* A part's rows divide those of a batch, so that parts never cross one. */
  size_t most = r->method == SGI_EVAL_BATCHES ? r->batch_rows : 16;
  if (most > r->n_rows) most = (size_t)r->n_rows;
  sg_status st = most ? make_pass(j, most, err) : sgi_fail(err, SG_ERR_ARG, "there is no row to evaluate");
  if (st) return st;
  begun(j, "evaluating", "rows", r->n_rows);
  st = sgi_evaluate(j->evaluator, r, out, err);
  begun(j, NULL, NULL, 0);
  if (!st && !(isfinite(out->loss) && isfinite(out->perplexity) && isfinite(out->perplexity_last_token)))
    st = sgi_fail(err, SG_ERR_NUMERIC, "the loss is %g, the perplexity %g: not finite", out->loss, out->perplexity);
  return st;
}

static sg_status baseline(job *j, sgi_ngram_score *out, sg_error *err) {
  sgi_corpus *train = NULL;
  sg_status st = open_corpus(j, j->q->train, &train, err);
  if (!st) {
    begun(j, "counting", "documents", sgi_corpus_documents(train));
    st = sgi_baseline_create(train, j->config, counting, j, &j->ngram, err);
    begun(j, NULL, NULL, 0);
  }
  sgi_corpus_close(train);
  if (!st) {
    begun(j, "scoring", "rows", j->request.n_rows);
    st = sgi_baseline_score(j->ngram, &j->request, j->config->pad_id, out, err);
    begun(j, NULL, NULL, 0);
  }
  if (!st && sgi_ngram_dropped(j->ngram)) {
    char text[160];
    snprintf(text, sizeof text,
             "%llu trigrams found no room in the table: the trigram baseline is a little worse than it could be",
             (unsigned long long)sgi_ngram_dropped(j->ngram));
    j->q->warn(j->q->user, text);
  }
  return st;
}

/* ---- losses by source ------------------------------------------------------------------------ */

/* Before evaluation: where each row's loss goes. */
static sg_status row_losses(job *j, sg_error *err) {
  size_t n = (size_t)j->request.n_rows;
  if (!j->q->by) return SG_OK;
  if (j->text.rows == SGI_ROWS_PACK)
    return sgi_fail(err, SG_ERR_ARG, "--by: packed rows hold several documents; choose --rows windows or pad");
  if (!(j->row_nll = sgi_alloc(2 * n * sizeof *j->row_nll)))
    return sgi_fail_memory(err, 2 * n * sizeof *j->row_nll, "losses of rows");
  j->request.row_nll = j->row_nll;
  j->request.row_targets = j->row_nll + n;
  return SG_OK;
}

static sg_status by_source(job *j, sg_error *err) {
  const sgi_evaluate_request *r = &j->request;
  if (!j->q->by) return SG_OK;
  sg_status st = sgi_origins_read(j->q->text->path, j->q->form, j->q->by, stop_reading, j, &j->sources, err);
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
  begun(j, "defect", "evaluations", 0);
  if (!st) st = sgi_ode_defect(j->q->model, &batch, j->defect, passes, j, err);
  begun(j, NULL, NULL, 0);
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

/* ---- the document ---------------------------------------------------------------------------- */

static json_t *baseline_json(double nll, uint64_t tokens) {
  double loss = nll / (double)tokens;
  return json_pack("{s:o, s:o}", "loss", sgi_report_real(loss), "perplexity", sgi_report_real(exp(loss)));
}

/* How the numbers came about, in one sentence. */
static const char *method_text(const job *j, const sgi_evaluation *e, char *out, size_t size) {
  bool windows = j->text.batcher && j->text.rows == SGI_ROWS_WINDOWS;
  char rows[160];
  sgi_eval_rows_method(&j->text, rows, sizeof rows);
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

static json_t *result_json(const job *j, const sgi_evaluation *e, const sgi_ngram_score *b) {
  static const char *const forms[] = {"pad", "pack", "windows"};
  bool batches = j->request.method == SGI_EVAL_BATCHES;
  char method[400];
  json_t *o = json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:s, s:s, s:s}", "model", j->q->name, "loss",
                        sgi_report_real(e->loss), "accuracy", sgi_report_real(e->accuracy), "perplexity",
                        sgi_report_real(e->perplexity), "perplexity_last_token",
                        sgi_report_real(e->perplexity_last_token), "standard_error", sgi_report_real(e->standard_error),
                        "tokens", (json_int_t)e->tokens, "rows", (json_int_t)e->rows, "seq_len", (json_int_t)seq_len(j),
                        "row_form", !j->q->text ? "ids" : forms[j->text.rows], "method", batches ? "batches" : "tokens",
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
  if (j->q->by) json_object_set_new(o, "sources", sources_json(j));
  if (j->q->layer_form) json_object_set_new(o, "layer_form", json_string(j->q->layer_form));
  return o;
}

static sg_status work(job *j, sgi_evaluation *e, sgi_ngram_score *b, sg_error *err) {
  const sgi_eval_request *q = j->q;
  sg_status st = SG_OK;
  if (q->layer_form || q->ode_steps)
    st = sgi_model_set_form(q->model, q->layer_form ? q->layer_form : sg_model_config(q->model)->layer_form,
                            q->ode_steps, err);
  if (st) return st;
  j->config = sg_model_config(q->model);
  st = q->text ? open_text(j, err) : take_ids(j, err);
  if (!st) st = row_losses(j, err);
  if (!st) st = evaluate(j, e, err);
  if (!st) st = by_source(j, err);
  if (!st && q->defect) st = defects(j, err);
  if (!st && q->train) st = baseline(j, b, err);
  return st;
}

sg_status sgi_eval_report(const sgi_eval_request *q, json_t **out, sg_error *err) {
  job j = {.q = q};
  sgi_evaluation e = {0};
  sgi_ngram_score b = {0};
  sg_status st = work(&j, &e, &b, err);
  if (!st) *out = result_json(&j, &e, &b);
  sgi_free(j.defect);
  sgi_free(j.row_nll);
  sgi_origins_deinit(&j.sources);
  sgi_ngram_free(j.ngram);
  sgi_evaluator_free(j.evaluator);
  sgi_pass_free(j.pass);
  sgi_batcher_free(j.text.batcher);
  sgi_corpus_close(j.corpus);
  return st ? st : sgi_report_whole(out, "the evaluation", err);
}
