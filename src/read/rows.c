/* rows.c: logits, losses and gradients of rows into the caller's buffers. */
#include <math.h>
#include <string.h>

#include "read/parts.h"

typedef struct job {
  const sg_model *model;
  const sg_rows_request *q;
  size_t targets; /* counted */
} job;

static sg_status check_ids(const job *j, const int32_t *ids, const char *what, sg_error *err) {
  size_t T = j->q->T, V = j->model->config.vocab_size;
  for (size_t i = 0; ids && i < j->q->B * T; i++)
    if (ids[i] < 0 || (size_t)ids[i] >= V)
      return sgi_fail(err, SG_ERR_ARG, "%s, row %zu, position %zu: token id %d is outside the vocabulary of %zu", what,
                      i / T, i % T, ids[i], V);
  return SG_OK;
}

static sg_status check_gradients(const job *j, sg_error *err) {
  const sgi_table *table = &j->model->table;
  if (j->q->n_gradients && !j->q->gradients) return sgi_need(NULL, "gradients", err);
  for (size_t i = 0; i < j->q->n_gradients; i++) {
    const sg_gradient *g = &j->q->gradients[i];
    ptrdiff_t row = g->name ? sgi_table_find(table, g->name) : -1;
    if (row < 0)
      return sgi_fail(err, SG_ERR_ARG, "gradient %zu: the model has no tensor \"%s\"", i, g->name ? g->name : "NULL");
    if (g->count != table->rows[row].count || !g->data)
      return sgi_fail(err, SG_ERR_ARG, "gradient of %s: expected a buffer of %zu floats, found %s%zu", g->name,
                      table->rows[row].count, g->data ? "" : "NULL with a count of ", g->count);
  }
  return SG_OK;
}

static sg_status check(job *j, sg_error *err) {
  const sg_rows_request *q = j->q;
  size_t n, logits;
  if (!q->B || !q->T || !sgi_size_mul(q->B, q->T, &n) || !sgi_size_mul(n, j->model->config.vocab_size, &logits) ||
      logits > SIZE_MAX / 8)
    return sgi_fail(err, SG_ERR_ARG, "%zu rows of %zu tokens: none, or too many", q->B, q->T);
  if (!q->inputs && !q->targets) return sgi_fail(err, SG_ERR_ARG, "rows need inputs or targets: both are NULL");
  if (!q->targets && (q->nll || q->n_gradients))
    return sgi_fail(err, SG_ERR_ARG, "%s need targets: without them there is no loss", q->nll ? "losses" : "gradients");
  sg_status st = check_ids(j, q->inputs, "inputs", err);
  if (!st) st = check_ids(j, q->targets, "targets", err);
  if (!st) st = check_gradients(j, err);
  for (size_t i = 0; !st && q->targets && i < n; i++) j->targets += q->targets[i] != j->model->config.pad_id;
  if (!st && q->targets && !j->targets) st = sgi_fail(err, SG_ERR_ARG, "the rows hold no target but padding");
  return st;
}

static sg_status take_logits(void *user, size_t first, size_t n, const float *logits, sg_error *err) {
  const job *j = user;
  size_t V = j->model->config.vocab_size;
  (void)err;
  memcpy(j->q->logits + first * V, logits, n * V * sizeof *logits);
  return SG_OK;
}

static void take_losses(void *user, size_t first, size_t n, const float *nll) {
  memcpy(((const job *)user)->q->nll + first, nll, n * sizeof *nll);
}

static sg_status run(job *j, const int32_t *inputs, float *grad, sg_loss *out, sg_error *err) {
  const sg_rows_request *q = j->q;
  sgi_parts parts = {.B = q->B,
                     .T = q->T,
                     .inputs = inputs,
                     .targets = q->targets,
                     .max_bytes = q->max_bytes,
                     .grad = grad,
                     .grad_scale = j->targets ? (float)(1.0 / (double)j->targets) : 0,
                     .logits = q->logits ? take_logits : NULL,
                     .losses = q->nll ? take_losses : NULL,
                     .user = j,
                     .progress = q->progress,
                     .watcher = q->user};
  sgi_metrics sum = {0};
  sg_status st = sgi_parts_run(j->model, &parts, &sum, err);
  if (st) return st;
  const sgi_table *table = &j->model->table;
  for (size_t i = 0; i < q->n_gradients; i++) {
    const sg_gradient *g = &q->gradients[i];
    memcpy(g->data, grad + table->rows[sgi_table_find(table, g->name)].offset, g->count * sizeof *grad);
  }
  if (!out || !q->targets) return SG_OK;
  double loss = sum.nll / (double)sum.targets;
  *out = (sg_loss){.loss = loss,
                   .accuracy = (double)sum.correct / (double)sum.targets,
                   .perplexity = exp(loss),
                   .perplexity_last_token = exp(sum.last_nll / (double)sum.rows),
                   .targets = sum.targets};
  return SG_OK;
}

sg_status sg_rows_run(const sg_model *m, const sg_rows_request *q, sg_loss *out, sg_error *err) {
  job j = {m, q, 0};
  if (out) *out = (sg_loss){0};
  sg_status st = sgi_need(m, "the model", err);
  if (!st) st = sgi_need(q, "the request", err);
  if (!st) st = check(&j, err);
  if (st) return st;
  size_t n = q->B * q->T, floats = q->n_gradients ? m->table.floats : 0;
  int32_t *shifted = q->inputs ? NULL : sgi_alloc(n * sizeof *shifted);
  float *grad = floats ? sgi_alloc(floats * sizeof *grad) : NULL;
  if ((!q->inputs && !shifted) || (floats && !grad))
    st = sgi_fail_memory(err, n * sizeof *shifted + floats * sizeof *grad, "rows of tokens and their gradient");
  if (!st && shifted) sgi_parts_shift(m, q->targets, q->B, q->T, shifted);
  if (!st) st = run(&j, shifted ? shifted : q->inputs, grad, out, err);
  sgi_free(shifted);
  sgi_free(grad);
  return st;
}
