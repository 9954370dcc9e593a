/* sub_attention.c: attention as a sublayer (steps.h): projections, norms per head, rotary, causal
 * mixing, output map. */
#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "math/bf16.h"
#include "math/gemm.h"
#include "math/rows.h"
#include "math/stored.h"
#include "model/held.h"
#include "model/sub_attention.h"

typedef struct work {
  float *d_o, *dq, *dk, *dv; /* (n,H*d_head), of the way back */
  float *sinks;              /* (n,H) where there are sinks */
} work;

static void layout_work(const sg_config *c, size_t n, sgi_arena *a, work *w) {
  size_t m = n * sgi_heads_width(c);
  w->d_o = SGI_TAKE(a, m, float);
  w->dq = SGI_TAKE(a, m, float);
  w->dk = SGI_TAKE(a, m, float);
  w->dv = SGI_TAKE(a, m, float);
  if (sgi_has_sinks(c)) w->sinks = SGI_TAKE(a, n * c->num_heads, float);
}

static void saved(const sg_config *c, size_t n, sgi_arena *a) { sgi_attention_kept(c, n, a, &(sgi_kept){0}); }

static void scratch(const sg_config *c, size_t n, size_t keys, bool backward, sgi_arena *a) {
  if (backward) layout_work(c, n, a, &(work){0});
  sgi_arena linear = *a;
  sgi_linear_scratch(n, c->hidden_size, sgi_heads_width(c), &linear);
  sgi_attention_scratch(keys, c->head_dim, backward, a);
  a->used = larger(a->used, linear.used);
}

static sg_status tensors(const sg_config *c, const char *prefix, sgi_table *t, sg_error *err) {
  size_t D = c->hidden_size, d = c->head_dim, W = sgi_heads_width(c);
  double from_D = 1 / sqrt((double)D), from_W = 1 / sqrt((double)W);
  sg_status st = sgi_table_add(t, prefix, "self_attn.q_proj.weight", SGI_DIMS(W, D), true, SGI_INIT_LECUN, from_D, err);
  if (!st) st = sgi_table_add(t, prefix, "self_attn.k_proj.weight", SGI_DIMS(W, D), true, SGI_INIT_LECUN, from_D, err);
  if (!st) st = sgi_table_add(t, prefix, "self_attn.v_proj.weight", SGI_DIMS(W, D), true, SGI_INIT_LECUN, from_D, err);
  if (!st) st = sgi_table_add(t, prefix, "self_attn.q_norm.weight", SGI_DIMS(d), false, SGI_INIT_ONE, 0, err);
  if (!st) st = sgi_table_add(t, prefix, "self_attn.k_norm.weight", SGI_DIMS(d), false, SGI_INIT_ONE, 0, err);
  if (!st) st = sgi_table_add(t, prefix, "self_attn.o_proj.weight", SGI_DIMS(D, W), true, SGI_INIT_LECUN, from_W, err);
  if (st || !sgi_has_sinks(c)) return st;
  return sgi_table_add(t, prefix, "self_attn.sinks", SGI_DIMS(c->num_heads), false, SGI_INIT_ZERO, 0, err);
}

static bool mul(uint64_t a, uint64_t b, uint64_t *out) { return !__builtin_mul_overflow(a, b, out); }

/* Four projections D x W and, over all T positions (the mask saves nothing in this count), scores
 * and weighted values. */
static bool multiply_adds(const sg_config *c, size_t T, uint64_t *out) {
  uint64_t width, projections, mixing;
  return mul(c->num_heads, c->head_dim, &width) && mul(width, 4 * (uint64_t)c->hidden_size, &projections) &&
         mul(width, 2, &mixing) && mul(mixing, T, &mixing) && !__builtin_add_overflow(projections, mixing, out);
}

static bool in_bf16(const sgi_plan_step *s) { return s->sub->weight[SGI_T_Q]->rounds; }

static sgi_attention shape_of(const sgi_pass *p, const sgi_plan_step *s) {
  const sg_config *c = &p->model->config;
  const sgi_cache *kv = p->cache;
  return (sgi_attention){.B = p->batch.B,
                         .T = p->batch.T,
                         .past = kv ? kv->past : 0,
                         .capacity = kv ? kv->capacity : p->batch.T,
                         .H = c->num_heads,
                         .d_head = c->head_dim,
                         .starts = p->batch.starts,
                         .sinks = sgi_sinks_of(s->sub),
                         .bf16 = in_bf16(s)};
}

/* products of (T,d_head) with the causal half of (T,T) and what came before, and arrays read or
 * written. */
static void lap_attention(const sgi_pass *p, double *at, const char *name, size_t products, size_t arrays) {
  double n = (double)rows_of(p), W = (double)sgi_heads_width(&p->model->config);
  double past = p->cache ? (double)p->cache->past : 0;
  sgi_lap(p->scratch.profile, at, name, (double)products * n * W * (2 * past + (double)(p->batch.T + 1)),
          4.0 * W * (n * (double)arrays + 2 * past * (double)p->batch.B));
}

/* Puts the batch's keys and values behind those of the step's cache; *k and *v then point to all of
 * them. */
static void append_to_cache(const sgi_pass *p, const sgi_plan_step *s, const float **k, const float **v) {
  const sgi_cache *kv = p->cache;
  if (!kv) return;
  size_t W = sgi_heads_width(&p->model->config), T = p->batch.T, own = s->cache * kv->streams * kv->capacity * W;
  for (size_t b = 0; b < p->batch.B; b++) {
    size_t at = own + (b * kv->capacity + kv->past) * W;
    memcpy(kv->k + at, *k + b * T * W, T * W * sizeof(float));
    memcpy(kv->v + at, *v + b * T * W, T * W * sizeof(float));
  }
  *k = kv->k + own;
  *v = kv->v + own;
}

/* ---- forward, in stages: projections, mixing, output ----------------------------------------- */

typedef struct run {
  sgi_pass *p;
  const sgi_plan_step *s;
  sgi_kept k;
  sgi_arena scratch;
  const sgi_tap *tap;
  float *y;        /* (n,D) */
  const float *xn; /* (n,D) */
} run;

static sg_status project(run *r) {
  sgi_pass *p = r->p;
  const sg_config *c = r->s->sub->config;
  const float *const *w = r->s->sub->w;
  const sgi_weight *const *map = r->s->sub->weight;
  size_t n = rows_of(p), D = c->hidden_size, H = c->num_heads, d = c->head_dim, W = H * d;
  sgi_kept *k = &r->k;
  double at = sgi_lap_begin(r->scratch.profile);
  sg_status st = sgi_stored_linear(k->q_raw, W, r->xn, D, map[SGI_T_Q], n, r->scratch);
  if (!st) st = sgi_stored_linear(k->k_raw, W, r->xn, D, map[SGI_T_K], n, r->scratch);
  if (!st) st = sgi_stored_linear(k->v, W, r->xn, D, map[SGI_T_V], n, r->scratch);
  if (st) return st;
  lap_product(p, &at, "qkv", n, map[SGI_T_Q], 3);
  sgi_rmsnorm(k->q, k->rq, k->q_raw, w[SGI_T_Q_NORM], n * H, d, c->rms_norm_eps);
  sgi_rmsnorm(k->k, k->rk, k->k_raw, w[SGI_T_K_NORM], n * H, d, c->rms_norm_eps);
  if (check_norms(k->rq, n * H) || check_norms(k->rk, n * H)) return SG_ERR_NUMERIC;
  sgi_rotary(k->q, p->position, p->cos, p->sin, n, H, d, false);
  sgi_rotary(k->k, p->position, p->cos, p->sin, n, H, d, false);
  float *const rounded[] = {k->q, k->k, k->v};
  for (size_t i = 0; i < SGI_COUNT(rounded) && in_bf16(r->s); i++) sgi_bf16_round(rounded[i], n * W);
  lap_moved(p, &at, "q and k norm, rotary", n, W, 8);
  return SG_OK;
}

static sg_status mix(run *r) {
  const float *keys = r->k.k, *values = r->k.v;
  sgi_attention shape = shape_of(r->p, r->s);
  double at = sgi_lap_begin(r->scratch.profile);
  append_to_cache(r->p, r->s, &keys, &values);
  sg_status st = sgi_attention_forward(&shape, r->scratch, r->k.o, r->k.lse, r->k.q, keys, values);
  lap_attention(r->p, &at, "attention", 2, 4);
  return st;
}

static sg_status output(run *r) {
  const sg_config *c = r->s->sub->config;
  size_t n = rows_of(r->p), D = c->hidden_size, W = sgi_heads_width(c);
  double at = sgi_lap_begin(r->scratch.profile);
  sg_status st = sgi_stored_linear(r->y, D, r->k.o, W, r->s->sub->weight[SGI_T_O], n, r->scratch);
  lap_product(r->p, &at, "attention output", n, r->s->sub->weight[SGI_T_O], 1);
  return st;
}

/* Every row's pattern (H,T) as a site; where the tap changed a head's, its output once more. */
static sg_status visit_pattern(const run *r) {
  sgi_pass *p = r->p;
  const sg_config *c = r->s->sub->config;
  const sgi_kept *k = &r->k;
  sgi_at at = sgi_step_at(p, r->s);
  size_t T = p->batch.T, H = c->num_heads, d = c->head_dim;
  if (p->cache || !sgi_tap_wants(r->tap, &at, SGI_SITE_ATTN_PATTERN))
    return SG_OK; /* the rows above are of this batch alone */
  sgi_attention s = shape_of(p, r->s);
  float *pattern = p->before, *old = p->before + H * T;
  sg_status st = SG_OK;
  for (size_t i = 0; i < p->batch.B * T && !st; i++) {
    size_t b = i / T, t = i % T;
    memset(pattern, 0, H * T * sizeof *pattern);
    for (size_t h = 0; h < H && !st; h++) st = sgi_attention_pattern(&s, b, h, t, pattern + h * T, k->q, k->k);
    memcpy(old, pattern, H * T * sizeof *old);
    if (!st) st = sgi_show(p, r->s, r->tap, SGI_SITE_ATTN_PATTERN, pattern, i, 1);
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

/* What each stage leaves for a tap; the pattern is made on demand, before the mixed values that it
 * may change are shown. */
static sg_status mix_and_pattern(run *r) {
  sg_status st = mix(r);
  return st ? st : visit_pattern(r);
}

static const struct stage {
  sg_status (*run)(run *r);
  sgi_site_id leaves[3];
} stages[] = {
    {project, {SGI_SITE_ATTN_Q, SGI_SITE_ATTN_K, SGI_SITE_ATTN_V}},
    {mix_and_pattern, {SGI_SITE_ATTN_Z}},
    {output, {SGI_SITE_NONE}},
};

static float *left(const run *r, sgi_site_id id) {
  switch (id) {
    case SGI_SITE_ATTN_Q: return r->k.q;
    case SGI_SITE_ATTN_K: return r->k.k;
    case SGI_SITE_ATTN_V: return r->k.v;
    default: return r->k.o;
  }
}

static sg_status forward(sgi_pass *p, const sgi_plan_step *s, sgi_arena block, sgi_arena room, const sgi_tap *tap,
                         float *y, const float *xn) {
  const sg_config *c = s->sub->config;
  size_t n = rows_of(p);
  run r = {.p = p, .s = s, .scratch = room, .tap = tap, .y = y, .xn = xn};
  sgi_attention_kept(c, n, &block, &r.k);
  sg_status st = SG_OK;
  for (size_t i = 0; i < SGI_COUNT(stages) && !st; i++) {
    st = stages[i].run(&r);
    for (size_t k = 0; tap && !st && k < 3 && stages[i].leaves[k]; k++)
      st = sgi_show(p, s, tap, stages[i].leaves[k], left(&r, stages[i].leaves[k]), 0, n);
  }
  return st;
}

/* ---- backward -------------------------------------------------------------------------------- */

static sg_status backward(sgi_pass *p, const sgi_plan_step *s, sgi_arena block, sgi_arena room, float *grad, float *dxn,
                          const float *dy, const float *xn) {
  const sg_config *c = s->sub->config;
  const float *const *w = s->sub->w;
  const sgi_weight *const *map = s->sub->weight;
  size_t n = rows_of(p), D = c->hidden_size, H = c->num_heads, d = c->head_dim, W = H * d;
  sgi_kept k;
  work x;
  sgi_attention_kept(c, n, &block, &k);
  layout_work(c, n, &room, &x);
  double at = sgi_lap_begin(room.profile);
  sg_status st = sgi_stored_linear_dw(gradient(p, grad, s, SGI_T_O), dy, D, k.o, W, map[SGI_T_O], n, NULL);
  if (!st) st = sgi_stored_linear_dx(x.d_o, W, dy, D, map[SGI_T_O], n, 0, room);
  lap_product(p, &at, "attention output backward", n, map[SGI_T_O], 2);
  sgi_attention shape = shape_of(p, s);
  if (!st) st = sgi_attention_backward(&shape, room, x.dq, x.dk, x.dv, k.o, k.lse, x.d_o, k.q, k.k, k.v);
  if (!st && shape.sinks)
    sgi_attention_sinks_backward(&shape, gradient(p, grad, s, SGI_T_SINKS), x.sinks, k.o, k.lse, x.d_o);
  lap_attention(p, &at, "attention backward", 5, 8);
  if (st) return st;
  sgi_rotary(x.dq, p->position, p->cos, p->sin, n, H, d, true);
  sgi_rotary(x.dk, p->position, p->cos, p->sin, n, H, d, true);
  sgi_rmsnorm_backward(x.dq, gradient(p, grad, s, SGI_T_Q_NORM), x.dq, k.q_raw, k.rq, w[SGI_T_Q_NORM], n * H, d, false,
                       p->partial);
  sgi_rmsnorm_backward(x.dk, gradient(p, grad, s, SGI_T_K_NORM), x.dk, k.k_raw, k.rk, w[SGI_T_K_NORM], n * H, d, false,
                       p->partial);
  lap_moved(p, &at, "q and k norm, rotary backward", n, W, 10);
  const float *dout[3] = {x.dq, x.dk, x.dv};
  for (size_t i = 0; i < 3 && !st; i++) {
    st = sgi_stored_linear_dw(gradient(p, grad, s, SGI_T_Q + i), dout[i], W, xn, D, map[SGI_T_Q + i], n, NULL);
    if (!st) st = sgi_stored_linear_dx(dxn, D, dout[i], W, map[SGI_T_Q + i], n, i ? 1 : 0, room);
  }
  lap_product(p, &at, "qkv backward", n, map[SGI_T_Q], 6);
  return st;
}

/* ---- reading --------------------------------------------------------------------------------- */

static bool held_bytes(const sgi_sublayer *s, size_t T, size_t *bytes) {
  const sgi_weight *map = s->weight[SGI_T_O];
  size_t copy = map->dtype == SGI_F32 ? 0 : map->rows * map->width * sizeof(float);
  return sgi_size_mul(sizeof(float) * s->config->num_heads, T, bytes) && sgi_size_mul(*bytes, T, bytes) &&
         sgi_size_add(*bytes, copy, bytes);
}

static sg_status hold(sgi_pass *p, const sgi_plan_step *s, sgi_held *out, sg_error *err) {
  const sg_config *c = s->sub->config;
  size_t T = out->T, H = c->num_heads;
  float *r;
  sgi_arena block = block_of(p, s, &r);
  sgi_kept k;
  sgi_attention_kept(c, rows_of(p), &block, &k);
  sgi_attention shape = shape_of(p, s);
  out->heads = H;
  out->d_head = c->head_dim;
  out->v = k.v;
  const sgi_weight *w_out = s->sub->weight[SGI_T_O];
  if (w_out->dtype == SGI_F32) {
    out->w_out = sgi_f32(w_out);
  } else {
    out->outputs = sgi_alloc(w_out->rows * w_out->width * sizeof *out->outputs);
    if (!out->outputs) return sgi_fail_memory(err, w_out->rows * w_out->width * sizeof(float), "an output map");
    sgi_weight_to_float(out->outputs, w_out);
    out->w_out = out->outputs;
  }
  out->pattern = sgi_alloc(H * T * T * sizeof *out->pattern);
  if (!out->pattern) return sgi_fail_memory(err, H * T * T * sizeof *out->pattern, "attention patterns");
  for (size_t t = 0; t < T; t++)
    for (size_t h = 0; h < H; h++) {
      sg_status st = sgi_attention_pattern(&shape, 0, h, t, out->pattern + (h * T + t) * T, k.q, k.k);
      if (st) return sgi_fail(err, st, "attention pattern of layer %zu", s->layer);
    }
  return SG_OK;
}

/* dv (R,rows,W) from dz: dv[s] = sum over t >= s of P[t,s] dz[t], head by head. */
static sg_status mix_back(const sgi_held *h, size_t R, size_t rows, ptrdiff_t only, float *dv, const float *dz) {
  size_t T = h->T, d = h->d_head, W = h->heads * d;
  atomic_int worst = SG_OK;
#pragma omp parallel for collapse(2) schedule(static) if (R * h->heads * rows > 512)
  for (size_t r = 0; r < R; r++)
    for (size_t i = 0; i < h->heads; i++) {
      float *out = dv + r * rows * W + i * d;
      if (only >= 0 && (size_t)only != i) {
        for (size_t s = 0; s < rows; s++) memset(out + s * W, 0, d * sizeof *out);
        continue;
      }
      sg_status st = sgi_gemm1(true, false, rows, d, rows, 1, sgi_held_pattern(h, i, 0), T, dz + r * rows * W + i * d,
                               W, 0, out, W);
      if (st) atomic_store(&worst, st);
    }
  return (sg_status)atomic_load(&worst);
}

static sg_status pull(const sgi_held *h, size_t R, size_t rows, ptrdiff_t head, float *before, const float *after,
                      float *room) {
  size_t D = h->D, W = h->heads * h->d_head, n = R * rows;
  const sgi_weight *const *map = h->step->sub->weight;
  float *dz = room, *dv = room + n * larger(W, D);
  sg_status st = sgi_stored_linear_dx(dz, W, after, D, map[SGI_T_O], n, 0, (sgi_arena){0});
  if (!st) st = mix_back(h, R, rows, head, dv, dz);
  if (!st) st = sgi_stored_linear_dx(dz, D, dv, W, map[SGI_T_V], n, 0, (sgi_arena){0});
  for (size_t i = 0; i < n && !st; i++) {
    float *to = before + i * D;
    const float *dx = dz + i * D;
    if (head >= 0) memset(to, 0, D * sizeof *to);
#pragma omp simd
    for (size_t d = 0; d < D; d++) to[d] += h->r[i % rows] * h->gain[d] * dx[d];
  }
  return st;
}

const sgi_sublayer_ops sgi_sublayer_attention = {
    .name = "attention",
    .bit = SG_ATTENTION,
    .norm = "input_layernorm.weight",
    .norm_scale_site = SGI_SITE_ATTN_NORM_SCALE,
    .norm_site = SGI_SITE_ATTN_NORM,
    .out_site = SGI_SITE_ATTN_OUT,
    .tensors = tensors,
    .saved = saved,
    .scratch = scratch,
    .multiply_adds = multiply_adds,
    .forward = forward,
    .backward = backward,
    .held_bytes = held_bytes,
    .hold = hold,
    .pull = pull,
    .mixes = true,
    .vary_room = sgi_attention_vary_room,
    .vary = sgi_attention_vary,
};
