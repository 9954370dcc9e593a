#include "model/pass.h"

#include <math.h>
#include <string.h>

#include "math/gemm.h"
#include "math/rows.h"
#include "model/attention.h"
#include "model/loss.h"
#include "model/metrics.h"

/* What a layer keeps for its backward pass; the feedforward kind's own block follows in the same arena. */
typedef struct kept {
  float *x_in;          /* (n,D) residual stream before the layer */
  float *x_mid;         /* (n,D) after attention */
  float *r1, *r2;       /* (n) inverse norms */
  float *q_raw, *k_raw; /* (n,H*d_head) before norm and rotary */
  float *rq, *rk;       /* (n,H) inverse norms of heads */
  float *q, *k, *v;     /* (n,H*d_head) as attention takes them */
  float *o, *lse;       /* (n,H*d_head), (n,H) */
} kept;

struct sgi_pass {
  const sg_model *model;
  bool backward;
  size_t max_B, max_T;
  const sgi_cache *cache; /* NULL, or what came before */
  size_t max_keys;        /* positions that a query may see: max_T, or the capacity of a cache */
  sgi_batch batch;
  char *block; /* everything below */
  float *cos, *sin;
  int32_t *position; /* (n) */
  float *x;          /* (n,D) residual stream after the last layer */
  float *xn, *r;     /* (n,D), (n) its norm */
  float *dx;         /* (n,D) gradient of the residual stream */
  float *nll;
  int32_t *best;
  float *before;  /* (n), (2,H,T): values of a site before a tap sees them */
  float *partial; /* SGI_NORM_PARTIALS * max(D, d_head) */
  sgi_pass_progress progress;
  void *user;
  sgi_arena *saved; /* (L) each with used = 0 */
  sgi_arena scratch;
};

static size_t attention_width(const sg_config *c) { return c->num_heads * c->head_dim; }

static void layout_kept(const sg_config *c, size_t n, sgi_arena *a, kept *k) {
  size_t D = c->hidden_size, W = attention_width(c), H = c->num_heads;
  k->x_in = SGI_TAKE(a, n * D, float);
  k->x_mid = SGI_TAKE(a, n * D, float);
  k->r1 = SGI_TAKE(a, n, float);
  k->r2 = SGI_TAKE(a, n, float);
  k->q_raw = SGI_TAKE(a, n * W, float);
  k->k_raw = SGI_TAKE(a, n * W, float);
  k->rq = SGI_TAKE(a, n * H, float);
  k->rk = SGI_TAKE(a, n * H, float);
  k->q = SGI_TAKE(a, n * W, float);
  k->k = SGI_TAKE(a, n * W, float);
  k->v = SGI_TAKE(a, n * W, float);
  k->o = SGI_TAKE(a, n * W, float);
  k->lse = SGI_TAKE(a, n * H, float);
}

/* Buffers shared by both sublayers of both directions. */
typedef struct work {
  float *xn;                 /* (n,D) normed input of a sublayer */
  float *y;                  /* (n,D) its output, or the gradient of xn */
  float *d_o, *dq, *dk, *dv; /* (n,H*d_head), backward of attention */
} work;

static void layout_work(const sg_config *c, size_t n, sgi_arena *a, work *w) {
  w->xn = SGI_TAKE(a, n * c->hidden_size, float);
  w->y = SGI_TAKE(a, n * c->hidden_size, float);
}

static void layout_attention_work(const sg_config *c, size_t n, sgi_arena *a, work *w) {
  size_t m = n * attention_width(c);
  w->d_o = SGI_TAKE(a, m, float);
  w->dq = SGI_TAKE(a, m, float);
  w->dk = SGI_TAKE(a, m, float);
  w->dv = SGI_TAKE(a, m, float);
}

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

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

static sg_status create(const sg_model *m, size_t B, size_t T, size_t keys, bool backward, sgi_pass **out,
                        sg_error *err) {
  *out = NULL;
  size_t bytes;
  sg_status st = measure(&m->config, B, T, keys, backward, &bytes, err);
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

static const float *weight(const sgi_pass *p, size_t layer, size_t row) {
  return p->model->w[sgi_layer_row(p->model, layer, row)];
}
static float *gradient(const sgi_pass *p, float *grad, size_t layer, size_t row) {
  return grad + p->model->table.rows[sgi_layer_row(p->model, layer, row)].offset;
}

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

/* A sum of squares beyond float32 makes an inverse norm of 0, and the row would silently become 0. */
static sg_status check_norms(const float *r, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (r[i] == 0) return SG_ERR_NUMERIC;
  return SG_OK;
}

static sgi_attention attention_of(const sgi_pass *p) {
  const sg_config *c = &p->model->config;
  const sgi_cache *kv = p->cache;
  return (sgi_attention){p->batch.B,   p->batch.T,  kv ? kv->past : 0, kv ? kv->capacity : p->batch.T,
                         c->num_heads, c->head_dim, p->batch.starts};
}

/* Puts the batch's keys and values behind those of the layer's cache; *k and *v then point to all of them. */
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

/* Laps of the profile (core/profile.h). Moved: (n,D) arrays that are read or written. */
static void lap_product(const sgi_pass *p, double *at, const char *name, size_t n, size_t in, size_t out,
                        size_t times) {
  sgi_lap(p->scratch.profile, at, name, (double)times * sgi_product_flops(n, in, out),
          (double)times * sgi_product_bytes(n, in, out));
}
static void lap_moved(const sgi_pass *p, double *at, const char *name, size_t n, size_t D, size_t arrays) {
  sgi_lap(p->scratch.profile, at, name, 0, 4.0 * (double)n * (double)D * (double)arrays);
}
/* products of (T,d_head) with the causal half of (T,T) and what came before, and arrays read or written. */
static void lap_attention(const sgi_pass *p, double *at, const char *name, size_t products, size_t arrays) {
  const sg_config *c = &p->model->config;
  double n = (double)(p->batch.B * p->batch.T), W = (double)attention_width(c);
  double past = p->cache ? (double)p->cache->past : 0;
  sgi_lap(p->scratch.profile, at, name, (double)products * n * W * (2 * past + (double)(p->batch.T + 1)),
          4.0 * W * (n * (double)arrays + 2 * past * (double)p->batch.B));
}
/* A norm's inverse scale as a site; where the tap changed it, y = x r g once more. */
static sg_status visit_scale(sgi_pass *p, const sgi_tap *tap, ptrdiff_t layer, const char *name, float *y, float *r,
                             const float *x, const float *g) {
  size_t n = p->batch.B * p->batch.T, D = p->model->config.hidden_size;
  if (!sgi_tap_wants(tap, layer, name)) return SG_OK;
  memcpy(p->before, r, n * sizeof *r);
  sg_status st = sgi_tap_visit(tap, layer, name, SGI_SITE_FLOAT, r, n, 0, 0, 0);
  for (size_t i = 0; i < n && !st; i++)
    for (size_t d = 0; d < D && p->before[i] != r[i]; d++) y[i * D + d] = x[i * D + d] * r[i] * g[d];
  return st;
}

/* Every row's pattern (H,T) as a site; where the tap changed a head's, its output once more. */
static sg_status visit_pattern(sgi_pass *p, const sgi_tap *tap, ptrdiff_t layer, const kept *k) {
  const sg_config *c = &p->model->config;
  size_t T = p->batch.T, H = c->num_heads, d = c->head_dim;
  if (p->cache || !sgi_tap_wants(tap, layer, "attn.pattern")) return SG_OK; /* the rows above are of this batch alone */
  sgi_attention s = attention_of(p);
  float *pattern = p->before, *old = p->before + H * T;
  sg_status st = SG_OK;
  for (size_t i = 0; i < p->batch.B * T && !st; i++) {
    size_t b = i / T, t = i % T;
    memset(pattern, 0, H * T * sizeof *pattern);
    for (size_t h = 0; h < H && !st; h++) st = sgi_attention_pattern(&s, b, h, t, pattern + h * T, k->q, k->k);
    memcpy(old, pattern, H * T * sizeof *old);
    if (!st) st = sgi_tap_visit_row(tap, layer, "attn.pattern", pattern, i, H, T);
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
  st = sgi_tap_visit(tap, layer, "attn.q", SGI_SITE_FLOAT, k->q, n, H, d, 0);
  if (!st) st = sgi_tap_visit(tap, layer, "attn.k", SGI_SITE_FLOAT, k->k, n, H, d, 0);
  if (!st) st = sgi_tap_visit(tap, layer, "attn.v", SGI_SITE_FLOAT, k->v, n, H, d, 0);
  lap_moved(p, &at, "q and k norm, rotary", n, W, 8);
  sgi_attention s = attention_of(p);
  const float *keys = k->k, *values = k->v;
  append_to_cache(p, l, &keys, &values);
  if (!st) st = sgi_attention_forward(&s, scratch, k->o, k->lse, k->q, keys, values);
  lap_attention(p, &at, "attention", 2, 4);
  if (!st && !p->cache) st = visit_pattern(p, tap, layer, k);
  if (!st) st = sgi_tap_visit(tap, layer, "attn.z", SGI_SITE_FLOAT, k->o, n, H, d, 0);
  if (!st) st = sgi_linear(a, D, k->o, W, weight(p, l, SGI_LAYER_O), n, W, D, scratch);
  lap_product(p, &at, "attention output", n, W, D, 1);
  return st ? st : sgi_tap_visit(tap, layer, "attn.out", SGI_SITE_FLOAT, a, n, D, 0, 0);
}

static sgi_ffn_call ffn_call(sgi_pass *p, size_t l, sgi_arena saved, sgi_arena scratch) {
  return (sgi_ffn_call){.config = &p->model->config,
                        .w = p->model->w + sgi_layer_row(p->model, l, SGI_LAYER_MLP),
                        .n = p->batch.B * p->batch.T,
                        .saved = saved,
                        .scratch = scratch,
                        .layer = l};
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
  if (!st) st = visit_scale(p, tap, layer, "attn.norm_scale", w.xn, k.r1, k.x_in, weight(p, l, SGI_LAYER_NORM1));
  if (!st) st = sgi_tap_visit(tap, layer, "attn.norm", SGI_SITE_FLOAT, w.xn, n, D, 0, 0);
  if (!st) st = attention_sublayer(p, l, &k, w.y, w.xn, scratch, tap);
  if (st) return st;
  at = sgi_lap_begin(scratch.profile);
  const float *gain = weight(p, l, SGI_LAYER_NORM2);
  if (tap) { /* who may change the sum before its norm is taken */
    sgi_sum(k.x_mid, k.x_in, w.y, n * D);
    st = sgi_tap_visit(tap, layer, "resid_mid", SGI_SITE_FLOAT, k.x_mid, n, D, 0, 0);
    if (st) return st;
    sgi_rmsnorm(w.xn, k.r2, k.x_mid, gain, n, D, c->rms_norm_eps);
  } else {
    sgi_sum_rmsnorm(k.x_mid, k.x_in, w.y, w.xn, k.r2, gain, n, D, c->rms_norm_eps);
  }
  st = check_norms(k.r2, n);
  if (!st) st = visit_scale(p, tap, layer, "mlp.norm_scale", w.xn, k.r2, k.x_mid, gain);
  if (!st) st = sgi_tap_visit(tap, layer, "mlp.norm", SGI_SITE_FLOAT, w.xn, n, D, 0, 0);
  if (st) return st;
  lap_moved(p, &at, "norms, residual", n, D, 4);
  sgi_ffn_call call = ffn_call(p, l, saved, scratch);
  call.tap = tap;
  st = p->model->ffn->forward(&call, w.y, w.xn);
  at = sgi_lap_begin(scratch.profile);
  if (!st) st = sgi_tap_visit(tap, layer, "mlp.out", SGI_SITE_FLOAT, w.y, n, D, 0, 0);
  if (st) return st;
  float *out = stream_into(p, l + 1);
  sgi_sum(out, k.x_mid, w.y, n * D);
  lap_moved(p, &at, "norms, residual", n, D, 3);
  return sgi_tap_visit(tap, layer, "resid_post", SGI_SITE_FLOAT, out, n, D, 0, 0);
}

static sg_status named(sg_status st, sg_error *err, const char *what) {
  if (st == SG_ERR_MEMORY || st == SG_ERR_INTERNAL)
    return sgi_fail(err, st, "%s: a matrix product failed (%s)", what, sg_status_text(st));
  return st;
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
  st = sgi_tap_visit(tap, -1, "embed", SGI_SITE_FLOAT, x, n, D, 0, 0);
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
  if (st == SG_ERR_NUMERIC && !(tap && tap->err && tap->err->code == SG_ERR_NUMERIC))
    return sgi_fail(err, st, "activations at the norms of layer %zu are too large for float32", l ? l - 1 : 0);
  if (st) return named(st, err, "forward pass");
  st = visit_scale(p, tap, -1, "final_norm_scale", p->xn, p->r, p->x, m->w[sgi_final_norm_row(m)]);
  return st ? st : sgi_tap_visit(tap, -1, "final_norm", SGI_SITE_FLOAT, p->xn, n, D, 0, 0);
}

sg_status sgi_pass_logits(sgi_pass *p, size_t first, size_t count, float *logits, sg_error *err) {
  const sg_config *c = &p->model->config;
  size_t D = c->hidden_size, V = c->vocab_size;
  double at = sgi_lap_begin(p->scratch.profile);
  sg_status st = sgi_linear(logits, V, p->xn + first * D, D, p->model->w[SGI_ROW_EMBED], count, D, V, p->scratch);
  lap_product(p, &at, "head", count, D, V, 1);
  return named(st, err, "output head");
}

sg_status sgi_pass_loss(sgi_pass *p, sgi_metrics *sum, float *grad, float grad_scale, sg_error *err) {
  const sg_model *m = p->model;
  const sg_config *c = &m->config;
  const sgi_batch *b = &p->batch;
  sg_status st = sgi_loss(p->nll, p->best, grad ? p->dx : NULL,
                          grad ? grad + m->table.rows[SGI_ROW_EMBED].offset : NULL, p->xn, m->w[SGI_ROW_EMBED],
                          b->targets, c->pad_id, grad_scale, b->B * b->T, c->hidden_size, c->vocab_size, p->scratch);
  if (st) return named(st, err, "loss");
  sgi_metrics_add(sum, p->nll, p->best, b->targets, c->pad_id, b->B, b->T);
  return SG_OK;
}

static sg_status attention_backward(sgi_pass *p, size_t l, const kept *k, float *grad, sgi_arena scratch, work *w) {
  const sg_config *c = &p->model->config;
  size_t n = p->batch.B * p->batch.T, D = c->hidden_size, H = c->num_heads, d = c->head_dim, W = H * d;
  layout_attention_work(c, n, &scratch, w);
  double at = sgi_lap_begin(scratch.profile);
  sg_status st = sgi_linear_dw(gradient(p, grad, l, SGI_LAYER_O), p->dx, D, k->o, W, n, W, D);
  if (!st) st = sgi_linear_dx(w->d_o, W, p->dx, D, weight(p, l, SGI_LAYER_O), n, W, D, 0, scratch);
  lap_product(p, &at, "attention output backward", n, W, D, 2);
  sgi_attention s = attention_of(p);
  if (!st) st = sgi_attention_backward(&s, scratch, w->dq, w->dk, w->dv, k->o, k->lse, w->d_o, k->q, k->k, k->v);
  lap_attention(p, &at, "attention backward", 5, 8);
  if (st) return st;
  sgi_rotary(w->dq, p->position, p->cos, p->sin, n, H, d, true);
  sgi_rotary(w->dk, p->position, p->cos, p->sin, n, H, d, true);
  sgi_rmsnorm_backward(w->dq, gradient(p, grad, l, SGI_LAYER_Q_NORM), w->dq, k->q_raw, k->rq,
                       weight(p, l, SGI_LAYER_Q_NORM), n * H, d, false, p->partial);
  sgi_rmsnorm_backward(w->dk, gradient(p, grad, l, SGI_LAYER_K_NORM), w->dk, k->k_raw, k->rk,
                       weight(p, l, SGI_LAYER_K_NORM), n * H, d, false, p->partial);
  lap_moved(p, &at, "q and k norm, rotary backward", n, W, 10);
  const float *dout[3] = {w->dq, w->dk, w->dv};
  for (size_t i = 0; i < 3 && !st; i++) {
    st = sgi_linear_dw(gradient(p, grad, l, SGI_LAYER_Q + i), dout[i], W, w->xn, D, n, D, W);
    if (!st) st = sgi_linear_dx(w->y, D, dout[i], W, weight(p, l, SGI_LAYER_Q + i), n, D, W, i ? 1 : 0, scratch);
  }
  lap_product(p, &at, "qkv backward", n, D, W, 6);
  return st;
}

static sg_status layer_backward(sgi_pass *p, size_t l, float *grad) {
  const sg_config *c = &p->model->config;
  size_t n = p->batch.B * p->batch.T, D = c->hidden_size;
  sgi_arena saved = p->saved[l], scratch = p->scratch;
  kept k;
  work w;
  layout_kept(c, n, &saved, &k);
  layout_work(c, n, &scratch, &w);

  double at = sgi_lap_begin(scratch.profile);
  sgi_rmsnorm(w.xn, k.r2, k.x_mid, weight(p, l, SGI_LAYER_NORM2), n, D, c->rms_norm_eps);
  sgi_ffn_call call = ffn_call(p, l, saved, scratch);
  float *dw[16];
  for (size_t i = 0; i < p->model->layer_rows - SGI_LAYER_MLP; i++) dw[i] = gradient(p, grad, l, SGI_LAYER_MLP + i);
  call.dw = dw;
  lap_moved(p, &at, "norms, residual backward", n, D, 2);
  sg_status st = p->model->ffn->backward(&call, w.y, p->dx, w.xn);
  if (st) return st;
  at = sgi_lap_begin(scratch.profile);
  sgi_rmsnorm_backward(p->dx, gradient(p, grad, l, SGI_LAYER_NORM2), w.y, k.x_mid, k.r2, weight(p, l, SGI_LAYER_NORM2),
                       n, D, true, p->partial);

  sgi_rmsnorm(w.xn, k.r1, k.x_in, weight(p, l, SGI_LAYER_NORM1), n, D, c->rms_norm_eps);
  lap_moved(p, &at, "norms, residual backward", n, D, 6);
  st = attention_backward(p, l, &k, grad, scratch, &w);
  if (st) return st;
  at = sgi_lap_begin(scratch.profile);
  sgi_rmsnorm_backward(p->dx, gradient(p, grad, l, SGI_LAYER_NORM1), w.y, k.x_in, k.r1, weight(p, l, SGI_LAYER_NORM1),
                       n, D, true, p->partial);
  lap_moved(p, &at, "norms, residual backward", n, D, 4);
  return SG_OK;
}

/* Rows of dE by token: a thread owns columns, so rows add in order whoever runs. */
static void embed_backward(const sgi_pass *p, float *dE) {
  size_t n = p->batch.B * p->batch.T, D = p->model->config.hidden_size;
  const sgi_kernels *kern = sgi_kernel_table();
  enum { COLUMNS = 64 };
#pragma omp parallel for schedule(static)
  for (size_t d = 0; d < D; d += COLUMNS)
    for (size_t i = 0; i < n; i++)
      kern->add(dE + (size_t)p->batch.inputs[i] * D + d, p->dx + i * D + d, D - d < COLUMNS ? D - d : COLUMNS);
}

sg_status sgi_pass_backward(sgi_pass *p, float *grad, sg_error *err) {
  const sg_model *m = p->model;
  size_t n = p->batch.B * p->batch.T, D = m->config.hidden_size, norm = sgi_final_norm_row(m);
  double at = sgi_lap_begin(p->scratch.profile);
  sgi_rmsnorm_backward(p->dx, grad + m->table.rows[norm].offset, p->dx, p->x, p->r, m->w[norm], n, D, false,
                       p->partial);
  lap_moved(p, &at, "norms, residual backward", n, D, 4);
  sg_status st = SG_OK;
  for (size_t l = m->config.num_layers; l-- > 0 && !st;) st = layer_backward(p, l, grad);
  if (st) return named(st, err, "backward pass");
  at = sgi_lap_begin(p->scratch.profile);
  embed_backward(p, grad + m->table.rows[SGI_ROW_EMBED].offset);
  lap_moved(p, &at, "embedding backward", n, D, 3);
  return SG_OK;
}

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
