/* eval_model.c: the loss of a model on held-out text or rows of ids, as one call. */
#include <math.h>

#include "core/arena.h"
#include "read/eval_rows.h"
#include "read/evaluate.h"

static const size_t DEFAULT_BYTES = (size_t)1 << 30;
enum { ROWS_AT_ONCE = 16 };

typedef struct job {
  const sg_model *model;
  const sg_evaluate_request *q;
  sgi_corpus *corpus;
  sgi_eval_rows text;
  sgi_evaluate_request rows;
} job;

static bool tokenising(void *user, uint64_t done, uint64_t total) {
  const sg_evaluate_request *q = user;
  return !q->progress || q->progress(q->user, "tokenising", done, total);
}

static bool stop(void *user, uint64_t done) {
  const job *j = user;
  return j->q->progress && !j->q->progress(j->q->user, "evaluating", done, j->rows.n_rows);
}

static sg_status take_text(job *j, sg_error *err) {
  const sg_evaluate_request *q = j->q;
  const sg_config *c = &j->model->config;
  sgi_eval_form form = {
      .rows = q->rows, .seq_len = q->seq_len, .stride = q->stride, .reference = q->method == SG_EVAL_BATCHES};
  sg_status st = sgi_need(q->tokenizer, "the tokenizer that reads data", err);
  if (!st && (q->rows < SG_EVAL_ROWS_AUTO || q->rows > SG_EVAL_WINDOWS))
    st = sgi_fail(err, SG_ERR_ARG, "rows: %d is no form of rows", (int)q->rows);
  if (!st)
    st = sgi_corpus_open(q->data, &q->form, q->tokenizer, c->eos_id, tokenising, (void *)(uintptr_t)q, &j->corpus, err);
  if (!st && !sgi_corpus_documents(j->corpus)) st = sgi_fail(err, SG_ERR_FORMAT, "%s: holds no document", q->data);
  if (!st) st = sgi_eval_rows_choose(c, j->corpus, &form, &j->text, err);
  if (!st) st = sgi_eval_rows_open(c, j->corpus, &form, &j->text, err);
  if (st) return st;
  j->rows.rows = j->text.batcher;
  j->rows.T = j->text.T;
  j->rows.n_rows = sgi_eval_rows_limit(&j->text, q->max_rows);
  return SG_OK;
}

static sg_status take_targets(job *j, sg_error *err) {
  const sg_evaluate_request *q = j->q;
  size_t n, V = j->model->config.vocab_size;
  sg_status st = sgi_need(q->targets, "data, or targets", err);
  if (!st && (!q->B || !q->T || !sgi_size_mul(q->B, q->T, &n)))
    st = sgi_fail(err, SG_ERR_ARG, "%zu rows of %zu tokens: none, or too many", q->B, q->T);
  for (size_t i = 0; !st && i < q->B * q->T; i++)
    if (q->targets[i] < 0 || (size_t)q->targets[i] >= V)
      st = sgi_fail(err, SG_ERR_ARG, "row %zu, position %zu: token id %d is outside the vocabulary of %zu", i / q->T,
                    i % q->T, q->targets[i], V);
  j->rows.targets = q->targets;
  j->rows.T = q->T;
  j->rows.n_rows = q->max_rows && q->max_rows < q->B ? q->max_rows : q->B;
  return st;
}

static sg_status run(job *j, sg_evaluation *out, sg_error *err) {
  const sg_evaluate_request *q = j->q;
  sgi_evaluate_request *r = &j->rows;
  r->batch_rows = q->batch_rows;
  r->method = q->method == SG_EVAL_BATCHES ? SGI_EVAL_BATCHES : SGI_EVAL_TOKENS;
  r->stop = stop;
  r->user = j;
  /* A part's rows divide those of a batch, so that parts never cross one. */
  size_t most = r->method == SGI_EVAL_BATCHES ? r->batch_rows : ROWS_AT_ONCE, rows;
  if (most > r->n_rows) most = (size_t)r->n_rows;
  if (!most) return sgi_fail(err, SG_ERR_ARG, "there is no row to evaluate, or batches have none");
  sgi_pass *pass = NULL;
  sgi_evaluator *e = NULL;
  sg_status st = sgi_pass_fit_within(&j->model->config, most, r->T, false, q->max_bytes ? q->max_bytes : DEFAULT_BYTES,
                                     &rows, err);
  if (!st) st = sgi_pass_create(j->model, rows, r->T, false, &pass, err);
  if (!st) st = sgi_evaluator_create(pass, j->model, rows, r->T, &e, err);
  if (!st) st = sgi_evaluate(e, r, out, err);
  sgi_evaluator_free(e);
  sgi_pass_free(pass);
  if (!st && !(isfinite(out->loss) && isfinite(out->perplexity) && isfinite(out->perplexity_last_token)))
    st = sgi_fail(err, SG_ERR_NUMERIC, "the loss is %g, the perplexity %g: not finite", out->loss, out->perplexity);
  return st;
}

sg_status sg_evaluate(const sg_model *m, const sg_evaluate_request *q, sg_evaluation *out, sg_error *err) {
  sg_status st = sgi_need(out, "the place for the result", err);
  if (st) return st;
  *out = (sg_evaluation){0};
  st = sgi_need(m, "the model", err);
  if (!st) st = sgi_need(q, "the request", err);
  if (st) return st;
  job j = {.model = m, .q = q};
  st = q->data ? take_text(&j, err) : take_targets(&j, err);
  if (!st) st = run(&j, out, err);
  sgi_batcher_free(j.text.batcher);
  sgi_corpus_close(j.corpus);
  return st;
}
