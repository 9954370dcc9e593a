/* pass_forward.c: tokens to logits and loss. */
#include <string.h>

#include "core/file_guard.h"
#include "math/gemm.h"
#include "math/rows.h"
#include "model/finite.h"
#include "model/loss.h"
#include "model/metrics.h"
#include "model/pass_inside.h"

static sg_status check_batch(const sgi_pass *p, const sgi_batch *b, sg_error *err) {
  size_t V = p->model->config.vocab_size;
  if (!b->B || !b->T || b->B > p->max_B || b->T > p->max_T)
    return sgi_fail(err, SG_ERR_ARG, "batch of %zu x %zu tokens does not fit a pass made for %zu x %zu", b->B, b->T,
                    p->max_B, p->max_T);
  const sgi_cache *kv = p->cache;
  if (kv && (b->starts || b->B > kv->streams || kv->past > kv->capacity || b->T > kv->capacity - kv->past))
    return sgi_fail(err, SG_ERR_ARG,
                    "%zu sequences of %zu more tokens do not fit a cache of %zu x %zu positions, %zu used", b->B, b->T,
                    kv->streams, kv->capacity, kv->past);
  for (size_t i = 0; i < b->B * b->T; i++) {
    if (b->inputs[i] < 0 || (size_t)b->inputs[i] >= V ||
        (b->targets && (b->targets[i] < 0 || (size_t)b->targets[i] >= V)))
      return sgi_fail(err, SG_ERR_ARG, "row %zu, position %zu: token id %d is outside the vocabulary of %zu", i / b->T,
                      i % b->T, b->inputs[i] < 0 || (size_t)b->inputs[i] >= V ? b->inputs[i] : b->targets[i], V);
    if (b->starts &&
        (b->starts[i] < 0 || (size_t)b->starts[i] > i % b->T || (i % b->T && b->starts[i] < b->starts[i - 1])))
      return sgi_fail(err, SG_ERR_ARG, "row %zu, position %zu: document start %d is not in order", i / b->T, i % b->T,
                      b->starts[i]);
  }
  return SG_OK;
}

/* A sum of squares beyond float32 makes an inverse norm of 0, and the row would silently become 0.
 */
static sg_status check_norms(const float *r, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (r[i] == 0) return SG_ERR_NUMERIC;
  return SG_OK;
}

/* Puts the batch's keys and values behind those of the layer's cache; *k and *v then point to all
 * of them. */
static void append_to_cache(const sgi_pass *p, size_t l, const float **k, const float **v) {
  const sgi_cache *kv = p->cache;
  if (!kv) return;
  size_t W = attention_width(&p->model->config), T = p->batch.T, layer = l * kv->streams * kv->capacity * W;
  for (size_t b = 0; b < p->batch.B; b++) {
    size_t at = layer + (b * kv->capacity + kv->past) * W;
    memcpy(kv->k + at, *k + b * T * W, T * W * sizeof(float));
    memcpy(kv->v + at, *v + b * T * W, T * W * sizeof(float));
  }
  *k = kv->k + layer;
  *v = kv->v + layer;
}

/* Rows of a site outside the feedforward kind, one behind the other. */
static sg_status show(const sgi_pass *p, const sgi_tap *tap, ptrdiff_t layer, sgi_site_id id, void *data) {
  sgi_at at = {&p->model->config, layer, p->batch.T};
  return sgi_tap_visit(tap, &at, id, &(sgi_left){.data = data}, 0, p->batch.B * p->batch.T);
}

/* A norm's inverse scale as a site; where the tap changed it, y = x r g once more. */
static sg_status visit_scale(sgi_pass *p, const sgi_tap *tap, ptrdiff_t layer, sgi_site_id id, float *y, float *r,
                             const float *x, const float *g) {
  size_t n = p->batch.B * p->batch.T, D = p->model->config.hidden_size;
  if (!sgi_tap_wants(tap, layer, id)) return SG_OK;
  memcpy(p->before, r, n * sizeof *r);
  sg_status st = show(p, tap, layer, id, r);
  for (size_t i = 0; i < n && !st; i++)
    for (size_t d = 0; d < D && p->before[i] != r[i]; d++) y[i * D + d] = x[i * D + d] * r[i] * g[d];
  return st;
}

/* Every row's pattern (H,T) as a site; where the tap changed a head's, its output once more. */
static sg_status visit_pattern(sgi_pass *p, const sgi_tap *tap, ptrdiff_t layer, const kept *k) {
  const sg_config *c = &p->model->config;
  size_t T = p->batch.T, H = c->num_heads, d = c->head_dim;
  if (p->cache || !sgi_tap_wants(tap, layer, SGI_SITE_ATTN_PATTERN))
    return SG_OK; /* the rows above are of this batch alone */
  sgi_attention s = attention_of(p);
  sgi_at at = {c, layer, T};
  float *pattern = p->before, *old = p->before + H * T;
  sg_status st = SG_OK;
  for (size_t i = 0; i < p->batch.B * T && !st; i++) {
    size_t b = i / T, t = i % T;
    memset(pattern, 0, H * T * sizeof *pattern);
    for (size_t h = 0; h < H && !st; h++) st = sgi_attention_pattern(&s, b, h, t, pattern + h * T, k->q, k->k);
    memcpy(old, pattern, H * T * sizeof *old);
    if (!st) st = sgi_tap_visit(tap, &at, SGI_SITE_ATTN_PATTERN, &(sgi_left){.data = pattern}, i, 1);
    for (size_t h = 0; h < H && !st; h++) {
      if (!memcmp(old + h * T, pattern + h * T, T * sizeof *old)) continue;
      float *o = k->o + (i * H + h) * d;
      memset(o, 0, d * sizeof *o);
      for (size_t j = 0; j < T; j++)
        for (size_t e = 0; e < d; e++) o[e] += pattern[h * T + j] * k->v[((b * T + j) * H + h) * d + e];
    }
  }
  return st;
}

/* a (n,D) = attention sublayer of the normed stream. */
static sg_status attention_sublayer(sgi_pass *p, size_t l, kept *k, float *a, const float *xn, sgi_arena scratch,
                                    const sgi_tap *tap) {
  const sg_config *c = &p->model->config;
  size_t n = p->batch.B * p->batch.T, D = c->hidden_size, H = c->num_heads, d = c->head_dim, W = H * d;
  ptrdiff_t layer = (ptrdiff_t)l;
  double at = sgi_lap_begin(scratch.profile);
  sg_status st = sgi_linear(k->q_raw, W, xn, D, weight(p, l, SGI_LAYER_Q), n, D, W, scratch);
  if (!st) st = sgi_linear(k->k_raw, W, xn, D, weight(p, l, SGI_LAYER_K), n, D, W, scratch);
  if (!st) st = sgi_linear(k->v, W, xn, D, weight(p, l, SGI_LAYER_V), n, D, W, scratch);
  if (st) return st;
  lap_product(p, &at, "qkv", n, D, W, 3);
  sgi_rmsnorm(k->q, k->rq, k->q_raw, weight(p, l, SGI_LAYER_Q_NORM), n * H, d, c->rms_norm_eps);
  sgi_rmsnorm(k->k, k->rk, k->k_raw, weight(p, l, SGI_LAYER_K_NORM), n * H, d, c->rms_norm_eps);
  if (check_norms(k->rq, n * H) || check_norms(k->rk, n * H)) return SG_ERR_NUMERIC;
  sgi_rotary(k->q, p->position, p->cos, p->sin, n, H, d, false);
  sgi_rotary(k->k, p->position, p->cos, p->sin, n, H, d, false);
  st = show(p, tap, layer, SGI_SITE_ATTN_Q, k->q);
  if (!st) st = show(p, tap, layer, SGI_SITE_ATTN_K, k->k);
  if (!st) st = show(p, tap, layer, SGI_SITE_ATTN_V, k->v);
  lap_moved(p, &at, "q and k norm, rotary", n, W, 8);
  sgi_attention s = attention_of(p);
  const float *keys = k->k, *values = k->v;
  append_to_cache(p, l, &keys, &values);
  if (!st) st = sgi_attention_forward(&s, scratch, k->o, k->lse, k->q, keys, values);
  lap_attention(p, &at, "attention", 2, 4);
  if (!st && !p->cache) st = visit_pattern(p, tap, layer, k);
  if (!st) st = show(p, tap, layer, SGI_SITE_ATTN_Z, k->o);
  if (!st) st = sgi_linear(a, D, k->o, W, weight(p, l, SGI_LAYER_O), n, W, D, scratch);
  lap_product(p, &at, "attention output", n, W, D, 1);
  return st ? st : show(p, tap, layer, SGI_SITE_ATTN_OUT, a);
}

/* Where the residual stream (n,D) before layer l lies; after the last layer, x. */
static float *stream_into(const sgi_pass *p, size_t l) {
  const sg_config *c = &p->model->config;
  if (l == c->num_layers) return p->x;
  sgi_arena saved = p->saved[l];
  kept k;
  layout_kept(c, p->batch.B * p->batch.T, &saved, &k);
  return k.x_in;
}

static sg_status layer_forward(sgi_pass *p, size_t l, const sgi_tap *tap) {
  const sg_config *c = &p->model->config;
  size_t n = p->batch.B * p->batch.T, D = c->hidden_size;
  ptrdiff_t layer = (ptrdiff_t)l;
  sgi_arena saved = p->saved[l], scratch = p->scratch;
  kept k;
  work w;
  layout_kept(c, n, &saved, &k);
  layout_work(c, n, &scratch, &w);
  double at = sgi_lap_begin(scratch.profile);
  sgi_rmsnorm(w.xn, k.r1, k.x_in, weight(p, l, SGI_LAYER_NORM1), n, D, c->rms_norm_eps);
  sg_status st = check_norms(k.r1, n);
  lap_moved(p, &at, "norms, residual", n, D, 2);
  if (!st) st = visit_scale(p, tap, layer, SGI_SITE_ATTN_NORM_SCALE, w.xn, k.r1, k.x_in, weight(p, l, SGI_LAYER_NORM1));
  if (!st) st = show(p, tap, layer, SGI_SITE_ATTN_NORM, w.xn);
  if (!st) st = attention_sublayer(p, l, &k, w.y, w.xn, scratch, tap);
  if (st) return st;
  at = sgi_lap_begin(scratch.profile);
  const float *gain = weight(p, l, SGI_LAYER_NORM2);
  if (tap) { /* who may change the sum before its norm is taken */
    sgi_sum(k.x_mid, k.x_in, w.y, n * D);
    st = show(p, tap, layer, SGI_SITE_RESID_MID, k.x_mid);
    if (st) return st;
    sgi_rmsnorm(w.xn, k.r2, k.x_mid, gain, n, D, c->rms_norm_eps);
  } else {
    sgi_sum_rmsnorm(k.x_mid, k.x_in, w.y, w.xn, k.r2, gain, n, D, c->rms_norm_eps);
  }
  st = check_norms(k.r2, n);
  if (!st) st = visit_scale(p, tap, layer, SGI_SITE_MLP_NORM_SCALE, w.xn, k.r2, k.x_mid, gain);
  if (!st) st = show(p, tap, layer, SGI_SITE_MLP_NORM, w.xn);
  if (st) return st;
  lap_moved(p, &at, "norms, residual", n, D, 4);
  sgi_ffn_call call = ffn_call(p, l, saved, scratch);
  call.tap = tap;
  st = sgi_ffn_forward(p->model->ffn, &call, w.y, w.xn);
  at = sgi_lap_begin(scratch.profile);
  if (!st) st = show(p, tap, layer, SGI_SITE_MLP_OUT, w.y);
  if (st) return st;
  float *out = stream_into(p, l + 1);
  sgi_sum(out, k.x_mid, w.y, n * D);
  lap_moved(p, &at, "norms, residual", n, D, 3);
  return show(p, tap, layer, SGI_SITE_RESID_POST, out);
}

sg_status sgi_pass_forward(sgi_pass *p, const sgi_batch *batch, const sgi_tap *tap, sg_error *err) {
  const sg_model *m = p->model;
  sg_status st = check_batch(p, batch, err);
  if (st) return st;
  p->batch = *batch;
  size_t n = batch->B * batch->T, D = m->config.hidden_size;
  const float *E = m->w[SGI_ROW_EMBED];
  float *x = stream_into(p, 0);
  double at = sgi_lap_begin(p->scratch.profile);
  int32_t past = p->cache ? (int32_t)p->cache->past : 0;
#pragma omp parallel for schedule(static) if (n > 64)
  for (size_t i = 0; i < n; i++) {
    p->position[i] = past + (int32_t)(i % batch->T) - (batch->starts ? batch->starts[i] : 0);
    memcpy(x + i * D, E + (size_t)batch->inputs[i] * D, D * sizeof *E);
  }
  lap_moved(p, &at, "embedding", n, D, 2);
  st = show(p, tap, -1, SGI_SITE_EMBED, x);
  size_t l = 0;
  for (; l < m->config.num_layers && !st; l++) {
    st = layer_forward(p, l, tap);
    if (!st && p->progress && !p->progress(p->user, l + 1, m->config.num_layers))
      return sgi_fail(err, SG_ERR_CANCELLED, "stopped");
  }
  at = sgi_lap_begin(p->scratch.profile);
  if (!st) sgi_rmsnorm(p->xn, p->r, p->x, m->w[sgi_final_norm_row(m)], n, D, m->config.rms_norm_eps);
  if (!st && check_norms(p->r, n)) st = SG_ERR_NUMERIC;
  lap_moved(p, &at, "norms, residual", n, D, 2);
  if (m->file && sgi_guard_check(err)) return SG_ERR_IO; /* whatever else came of it */
  if (st == SG_ERR_NUMERIC && m->watched && sgi_model_check_finite(m, err)) return SG_ERR_FORMAT;
  if (st == SG_ERR_NUMERIC && !(tap && tap->err && tap->err->code == SG_ERR_NUMERIC))
    return sgi_fail(err, st, "activations at the norms of layer %zu are too large for float32", l ? l - 1 : 0);
  if (st) return named(st, err, "forward pass");
  if ((st = sgi_model_watch(m, p->r, n, "the residual stream", err))) return st;
  st = visit_scale(p, tap, -1, SGI_SITE_FINAL_NORM_SCALE, p->xn, p->r, p->x, m->w[sgi_final_norm_row(m)]);
  return st ? st : show(p, tap, -1, SGI_SITE_FINAL_NORM, p->xn);
}

sg_status sgi_pass_logits(sgi_pass *p, size_t first, size_t count, float *logits, sg_error *err) {
  const sg_config *c = &p->model->config;
  size_t D = c->hidden_size, V = c->vocab_size;
  double at = sgi_lap_begin(p->scratch.profile);
  sg_status st = sgi_linear(logits, V, p->xn + first * D, D, p->model->w[SGI_ROW_EMBED], count, D, V, p->scratch);
  lap_product(p, &at, "head", count, D, V, 1);
  if (st) return named(st, err, "output head");
  if (p->model->file && sgi_guard_check(err)) return SG_ERR_IO;
  return sgi_model_watch(p->model, logits, count * V, "the logits", err);
}

sg_status sgi_pass_loss(sgi_pass *p, sgi_metrics *sum, float *grad, float grad_scale, sg_error *err) {
  const sg_model *m = p->model;
  const sg_config *c = &m->config;
  const sgi_batch *b = &p->batch;
  sg_status st = sgi_loss(p->nll, p->best, grad ? p->dx : NULL,
                          grad ? grad + m->table.rows[SGI_ROW_EMBED].offset : NULL, p->xn, m->w[SGI_ROW_EMBED],
                          b->targets, c->pad_id, grad_scale, b->B * b->T, c->hidden_size, c->vocab_size, p->scratch);
  if (st) return named(st, err, "loss");
  if ((st = sgi_model_watch(m, p->nll, b->B * b->T, "the loss", err))) return st;
  sgi_metrics_add(sum, p->nll, p->best, b->targets, c->pad_id, b->B, b->T);
  return SG_OK;
}
