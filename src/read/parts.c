#include "read/parts.h"

#include "core/arena.h"

static const size_t DEFAULT_BYTES = (size_t)1 << 30;

typedef struct watch {
  const sgi_parts *q;
  size_t done, parts; /* layers of the parts before this one; parts in all */
} watch;

static bool tick(void *user, size_t done, size_t wanted) {
  const watch *w = user;
  return w->q->progress(w->q->watcher, w->done + done, w->parts * wanted);
}

static sg_status show_logits(const sgi_parts *q, sgi_pass *p, size_t first, size_t n, float *buffer, sg_error *err) {
  sg_status st = SG_OK;
  for (size_t i = 0; i < n && !st; i += SGI_LOGIT_ROWS) {
    size_t k = n - i < SGI_LOGIT_ROWS ? n - i : SGI_LOGIT_ROWS;
    st = sgi_pass_logits(p, i, k, buffer, err);
    if (!st) st = q->logits(q->user, first + i, k, buffer, err);
  }
  return st;
}

static sg_status part(const sgi_parts *q, sgi_pass *p, size_t row, size_t rows, float *buffer, sgi_metrics *sum,
                      sg_error *err) {
  size_t at = row * q->T, n = rows * q->T;
  if (q->first) *q->first = at;
  sgi_batch batch = {.B = rows, .T = q->T, .inputs = q->inputs + at, .targets = q->targets ? q->targets + at : NULL};
  sg_status st = sgi_pass_forward(p, &batch, q->tap, err);
  sgi_aux sums;
  if (!st && q->aux) {
    sgi_pass_measure(p, q->aux, (double)rows / (double)q->B, &sums);
    q->measured(q->user, &sums);
  }
  if (!st && q->logits) st = show_logits(q, p, at, n, buffer, err);
  if (!st && q->targets) st = sgi_pass_loss(p, sum, q->grad, q->grad_scale, err);
  if (!st && q->targets && q->losses) q->losses(q->user, at, n, sgi_pass_nll(p));
  return !st && q->grad ? sgi_pass_backward(p, q->grad, err) : st;
}

sg_status sgi_parts_run(const sg_model *m, const sgi_parts *q, sgi_metrics *sum, sg_error *err) {
  size_t rows, bytes = SGI_LOGIT_ROWS * m->config.vocab_size * sizeof(float);
  sgi_pass *p = NULL;
  float *buffer = NULL;
  sg_status st = sgi_pass_fit_within(&m->config, q->B, q->T, q->grad != NULL,
                                     q->max_bytes ? q->max_bytes : DEFAULT_BYTES, &rows, err);
  if (!st && q->logits && !(buffer = sgi_alloc(bytes))) st = sgi_fail_memory(err, bytes, "logits");
  if (!st) st = sgi_pass_create(m, rows, q->T, q->grad != NULL, &p, err);
  if (!st) sgi_pass_train(p, q->training);
  watch w = {q, 0, st ? 0 : q->B / rows};
  if (!st && q->progress) sgi_pass_watch(p, tick, &w);
  for (size_t b = 0; b < q->B && !st; b += rows) {
    st = part(q, p, b, rows, buffer, sum, err);
    w.done += m->config.num_layers;
  }
  sgi_pass_free(p);
  sgi_free(buffer);
  return st;
}

void sgi_parts_shift(const sg_model *m, const int32_t *targets, size_t B, size_t T, int32_t *inputs) {
  for (size_t i = 0; i < B * T; i++) inputs[i] = i % T ? targets[i - 1] : m->config.bos_id;
}
