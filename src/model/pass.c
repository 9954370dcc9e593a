#include "model/pass.h"

#include "math/gemm.h"
#include "math/kernels.h"
#include "math/rows.h"
#include "model/loss.h"
#include "model/pass_inside.h"

static size_t saved_bytes(const sg_config *c, const sgi_ffn_ops *ffn, size_t n) {
  sgi_arena a = {0};
  layout_kept(c, n, &a, &(kept){0});
  ffn->saved(c, n, &a);
  return a.used;
}

static size_t scratch_bytes(const sg_config *c, const sgi_ffn_ops *ffn, size_t n, size_t keys, bool backward) {
  sgi_arena attention = {0}, feed = {0}, loss = {0};
  work w;
  layout_work(c, n, &attention, &w);
  if (backward) layout_attention_work(c, n, &attention, &w);
  sgi_arena linear = attention;
  sgi_linear_scratch(n, c->hidden_size, attention_width(c), &linear);
  sgi_attention_scratch(keys, c->head_dim, backward, &attention);
  attention.used = larger(attention.used, linear.used);
  layout_work(c, n, &feed, &w);
  ffn->scratch(c, n, backward, &feed);
  sgi_loss_scratch(n, c->hidden_size, c->vocab_size, &loss);
  return larger(attention.used, larger(feed.used, loss.used));
}

/* Counts (base NULL) or places everything of a pass. */
static void layout_pass(sgi_pass *p, const sg_config *c, const sgi_ffn_ops *ffn, sgi_arena *a) {
  size_t n = p->max_B * p->max_T, D = c->hidden_size;
  p->cos = SGI_TAKE(a, p->max_keys * (c->head_dim / 2), float);
  p->sin = SGI_TAKE(a, p->max_keys * (c->head_dim / 2), float);
  p->position = SGI_TAKE(a, n, int32_t);
  p->x = SGI_TAKE(a, n * D, float);
  p->xn = SGI_TAKE(a, n * D, float);
  p->r = SGI_TAKE(a, n, float);
  if (p->backward) p->dx = SGI_TAKE(a, n * D, float);
  p->nll = SGI_TAKE(a, n, float);
  p->best = SGI_TAKE(a, n, int32_t);
  p->before = SGI_TAKE(a, larger(n, 2 * c->num_heads * p->max_T), float);
  p->partial = SGI_TAKE(a, SGI_NORM_PARTIALS * larger(D, c->head_dim), float);
  p->saved = SGI_TAKE(a, c->num_layers, sgi_arena);
  size_t block = saved_bytes(c, ffn, n), layers = p->backward ? c->num_layers : 1;
  char *saved = sgi_take(a, layers, block);
  if (p->saved)
    for (size_t l = 0; l < c->num_layers; l++)
      p->saved[l] = (sgi_arena){.base = saved + (p->backward ? l : 0) * block, .size = block};
  size_t scratch = scratch_bytes(c, ffn, n, p->max_keys, p->backward);
  p->scratch = (sgi_arena){.base = sgi_take(a, scratch, 1), .size = scratch};
}

static sg_status measure(const sg_config *c, size_t B, size_t T, size_t keys, bool backward, size_t *bytes,
                         sg_error *err) {
  size_t n, entries;
  if (!B || !T || !sgi_size_mul(B, T, &n) || n > INT32_MAX ||
      (c->top_k && (!sgi_size_mul(n, larger(c->num_channels, 1) * c->top_k, &entries) || entries > INT32_MAX)))
    return sgi_fail(err, SG_ERR_ARG, "a batch of %zu x %zu tokens is empty or too large: use fewer rows at a time", B,
                    T);
  const sgi_ffn_ops *ffn = sgi_ffn_find(c->feedforward, err);
  if (!ffn) return SG_ERR_ARG;
  sgi_pass p = {.max_B = B, .max_T = T, .max_keys = keys, .backward = backward};
  sgi_arena a = {0};
  layout_pass(&p, c, ffn, &a);
  *bytes = a.used;
  return a.used == SIZE_MAX ? sgi_fail(err, SG_ERR_MEMORY,
                                       "a batch of %zu x %zu tokens needs more than this machine can address", B, T)
                            : SG_OK;
}

sg_status sgi_pass_bytes(const sg_config *c, size_t B, size_t T, bool backward, size_t *bytes, sg_error *err) {
  return measure(c, B, T, T, backward, bytes, err);
}

sg_status sgi_pass_fit(const sg_config *c, size_t B, size_t T, bool backward, size_t max_bytes, size_t *rows,
                       sg_error *err) {
  for (size_t parts = 1; parts <= B; parts++) {
    size_t bytes;
    if (B % parts) continue;
    *rows = B / parts;
    sg_status st = measure(c, *rows, T, T, backward, &bytes, *rows == 1 ? err : NULL);
    if (*rows == 1 || (!st && bytes <= max_bytes)) return st;
  }
  return sgi_fail(err, SG_ERR_ARG, "a batch needs at least one row");
}

sg_status sgi_pass_fit_within(const sg_config *c, size_t B, size_t T, bool backward, size_t max_bytes, size_t *rows,
                              sg_error *err) {
  size_t bytes;
  sg_status st = sgi_pass_fit(c, B, T, backward, max_bytes, rows, err);
  if (!st) st = sgi_pass_bytes(c, *rows, T, backward, &bytes, err);
  if (st || bytes <= max_bytes) return st;
  return sgi_fail(err, SG_ERR_MEMORY,
                  "one row of %zu tokens needs %zu KB, more than the %zu KB that are allowed: take shorter rows, or allow "
                  "more (--max-memory)",
                  T, bytes >> 10, max_bytes >> 10);
}

static sg_status create(const sg_model *m, size_t B, size_t T, size_t keys, bool backward, sgi_pass **out,
                        sg_error *err) {
  *out = NULL;
  size_t bytes;
  sg_status st = measure(&m->config, B, T, keys, backward, &bytes, err);
  if (!st) st = sgi_kernels_check(err);
  if (st) return st;
  sgi_pass *p = sgi_alloc(sizeof *p);
  char *block = sgi_alloc(bytes);
  if (!p || !block) {
    sgi_free(p);
    sgi_free(block);
    return sgi_fail_memory(err, bytes, "the activations of a batch");
  }
  *p = (sgi_pass){.model = m, .backward = backward, .max_B = B, .max_T = T, .max_keys = keys, .block = block};
  sgi_arena a = {.base = block, .size = bytes};
  layout_pass(p, &m->config, m->ffn, &a);
  sgi_rotary_tables(p->cos, p->sin, keys, m->config.head_dim, m->config.rope_theta);
  *out = p;
  return SG_OK;
}

sg_status sgi_pass_create(const sg_model *m, size_t B, size_t T, bool backward, sgi_pass **out, sg_error *err) {
  return create(m, B, T, T, backward, out, err);
}

sg_status sgi_pass_create_cached(const sg_model *m, size_t B, size_t T, const sgi_cache *cache, sgi_pass **out,
                                 sg_error *err) {
  sg_status st = create(m, B, T, larger(T, cache->capacity), false, out, err);
  if (!st) (*out)->cache = cache;
  return st;
}

void sgi_pass_free(sgi_pass *p) {
  if (!p) return;
  sgi_free(p->block);
  sgi_free(p);
}

void sgi_pass_profile(sgi_pass *p, sgi_profile *profile) { p->scratch.profile = profile; }

void sgi_pass_watch(sgi_pass *p, sgi_pass_progress progress, void *user) {
  p->progress = progress;
  p->user = user;
}

const float *sgi_pass_nll(const sgi_pass *p) { return p->nll; }

bool sgi_pass_gates(sgi_pass *p, size_t layer, sgi_gates *out) {
  const sg_config *c = &p->model->config;
  if (!p->model->ffn->gates || (!p->backward && layer + 1 != c->num_layers)) return false;
  sgi_arena saved = p->saved[layer];
  size_t n = p->batch.B * p->batch.T;
  layout_kept(c, n, &saved, &(kept){0});
  p->model->ffn->gates(c, n, saved, out);
  return true;
}

/* ---- looking back ------------------------------------------------------------------------------------------------ */

void sgi_pass_layer_view(sgi_pass *p, size_t layer, sgi_pass_layer *out) {
  const sg_config *c = &p->model->config;
  size_t n = p->batch.B * p->batch.T;
  sgi_arena saved = p->saved[layer];
  kept k;
  layout_kept(c, n, &saved, &k);
  *out = (sgi_pass_layer){k.x_in, k.x_mid, k.r1, k.r2, k.q, k.k, k.v};
}

const float *sgi_pass_final_scale(const sgi_pass *p) { return p->r; }
const float *sgi_pass_final_norm(const sgi_pass *p) { return p->xn; }
const float *sgi_pass_residual(const sgi_pass *p) { return p->x; }

void sgi_pass_units(sgi_pass *p, size_t layer, size_t row, sgi_unit *out, double *bias) {
  const sg_config *c = &p->model->config;
  sgi_arena saved = p->saved[layer];
  layout_kept(c, p->batch.B * p->batch.T, &saved, &(kept){0});
  sgi_ffn_call call = ffn_call(p, layer, saved, (sgi_arena){0});
  p->model->ffn->units(&call, row, out, bias);
}

sg_status sgi_pass_pattern(sgi_pass *p, size_t layer, size_t row, size_t head, float *pattern) {
  sgi_pass_layer v;
  sgi_pass_layer_view(p, layer, &v);
  sgi_attention s = attention_of(p);
  return sgi_attention_pattern(&s, row / p->batch.T, head, row % p->batch.T, pattern, v.q, v.k);
}
