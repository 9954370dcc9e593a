/* Batches of variants, and what the logit is in each (exact.h). */
#include <string.h>

#include "read/exact.h"
#include "read/run.h"

/* Rows beside each other, variants times positions: a product of so many has its full rate, and
 * what it works on is still in cache. */
enum { ROWS = 512 };

static const size_t DEFAULT_BYTES = (size_t)4 << 30;

/* What of `bytes` fits; the number does not depend on threads, so no bit of a result does. */
static sg_status rows_within(const sg_model *m, size_t T, size_t position, size_t bytes, size_t *out, sg_error *err) {
  size_t least = position + 1, need;
  for (*out = least > ROWS ? least : ROWS;; *out = *out / 2 > least ? *out / 2 : least) {
    sg_status st = sgi_varier_bytes(m, *out, T, &need, err);
    if (st || need <= bytes) return st;
    if (*out == least)
      return sgi_fail(err, SG_ERR_MEMORY,
                      "true effects at position %zu need %zu MB beside the prompt's own run, more than is allowed: "
                      "shorten the prompt or raise --max-memory",
                      position, (need >> 20) + 1);
  }
}

static double logit_of(const sgi_exact_base *b, const float *xn) {
  sgi_slice target = sgi_embedding_of(b->f.model, (size_t)b->target);
  double y = sgi_slice_dot(&target, xn, b->f.D);
  if (b->against < 0) return y;
  sgi_slice against = sgi_embedding_of(b->f.model, (size_t)b->against);
  return y - sgi_slice_dot(&against, xn, b->f.D);
}

sg_status sgi_exact_begin(sgi_exact_base *b, const sg_model *m, const sg_attribute_request *r, sg_error *err) {
  *b = (sgi_exact_base){.against = r->against};
  size_t half = (r->max_bytes ? r->max_bytes : DEFAULT_BYTES) / 2, rows;
  sg_status st = sgi_form_readable(&m->config, "true effects", err);
  if (!st) st = sgi_prompt_check(m, r->tokens, r->count, err);
  if (!st) st = sgi_prompt_position(r->position, r->count, &b->position, err);
  if (!st) st = rows_within(m, r->count, b->position, half, &rows, err);
  if (!st) st = sgi_frozen_init(&b->f, m, r->tokens, r->count, half, err);
  if (st) return st;
  float *logits = sgi_alloc(b->f.V * sizeof *logits);
  b->fit = rows;
  b->delta = sgi_alloc(rows * b->f.D * sizeof *b->delta);
  if (!logits || !b->delta)
    st = sgi_fail_memory(err, rows * b->f.D * sizeof *b->delta, "true effects");
  else
    st = sgi_frozen_target(&b->f, b->position, r->target, r->against, logits, &b->target, err);
  sgi_free(logits);
  if (!st) st = sgi_varier_create(b->f.pass, rows, &b->variants, err);
  if (!st) b->logit = logit_of(b, sgi_pass_final_norm(b->f.pass) + b->position * b->f.D);
  return st;
}

void sgi_exact_end(sgi_exact_base *b) {
  sgi_varier_free(b->variants);
  sgi_free(b->delta);
  sgi_frozen_deinit(&b->f);
  *b = (sgi_exact_base){0};
}

sg_status sgi_exact_effects(sgi_exact_base *b, size_t step, size_t t, size_t n, sgi_exact_taken taken, const void *user,
                            double *effect, bool (*tick)(void *user, size_t n), void *tick_user, sg_error *err) {
  size_t D = b->f.D, most = t > b->position ? n : sgi_varier_fit(b->variants, t, b->position);
  for (size_t first = 0, R; first < n; first += R) {
    const float *xn = NULL;
    R = n - first < most ? n - first : most;
    if (t <= b->position) {
      for (size_t i = 0; i < R; i++) taken(user, first + i, b->delta + i * D);
      sg_status st = sgi_varier_run(b->variants, step, t, b->position, R, b->delta, &xn, err);
      if (st) return st;
    }
    for (size_t i = 0; i < R; i++) effect[first + i] = xn ? b->logit - logit_of(b, xn + i * D) : 0;
    if (tick && !tick(tick_user, R)) return sgi_fail(err, SG_ERR_CANCELLED, "stopped");
  }
  return SG_OK;
}

void sgi_exact_head(const sgi_held *h, size_t head, size_t t, double *z) {
  const float *pattern = sgi_held_pattern(h, head, t);
  for (size_t e = 0; e < h->d_head; e++) z[e] = 0;
  for (size_t s = 0; s <= t; s++) {
    const float *v = h->v + (s * h->heads + head) * h->d_head;
    for (size_t e = 0; e < h->d_head; e++) z[e] += (double)pattern[s] * v[e];
  }
}

void sgi_exact_head_out(const sgi_held *h, size_t head, const double *z, double factor, float *y) {
  size_t W = h->heads * h->d_head;
  for (size_t d = 0; d < h->D; d++) {
    const float *w = h->w_out + d * W + head * h->d_head;
    double sum = 0;
    for (size_t e = 0; e < h->d_head; e++) sum += w[e] * z[e];
    y[d] = (float)(factor * sum);
  }
}
