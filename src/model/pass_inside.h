/* pass_inside.h: what the three files of a pass share: pass.c lays it out and looks back at it, pass_forward.c and pass_backward.c
 * run it. */
#ifndef SGI_PASS_INSIDE_H
#define SGI_PASS_INSIDE_H

#include "model/attention.h"
#include "model/pass.h"

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

/* Buffers shared by both sublayers of both directions. */
typedef struct work {
  float *xn;                 /* (n,D) normed input of a sublayer */
  float *y;                  /* (n,D) its output, or the gradient of xn */
  float *d_o, *dq, *dk, *dv; /* (n,H*d_head), backward of attention */
} work;

static inline size_t attention_width(const sg_config *c) { return c->num_heads * c->head_dim; }

static inline void layout_kept(const sg_config *c, size_t n, sgi_arena *a, kept *k) {
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

static inline void layout_work(const sg_config *c, size_t n, sgi_arena *a, work *w) {
  w->xn = SGI_TAKE(a, n * c->hidden_size, float);
  w->y = SGI_TAKE(a, n * c->hidden_size, float);
}

static inline void layout_attention_work(const sg_config *c, size_t n, sgi_arena *a, work *w) {
  size_t m = n * attention_width(c);
  w->d_o = SGI_TAKE(a, m, float);
  w->dq = SGI_TAKE(a, m, float);
  w->dk = SGI_TAKE(a, m, float);
  w->dv = SGI_TAKE(a, m, float);
}

static inline size_t larger(size_t a, size_t b) { return a > b ? a : b; }

static inline const float *weight(const sgi_pass *p, size_t layer, size_t row) {
  return p->model->w[sgi_layer_row(p->model, layer, row)];
}

static inline float *gradient(const sgi_pass *p, float *grad, size_t layer, size_t row) {
  return grad + p->model->table.rows[sgi_layer_row(p->model, layer, row)].offset;
}

static inline sgi_attention attention_of(const sgi_pass *p) {
  const sg_config *c = &p->model->config;
  const sgi_cache *kv = p->cache;
  return (sgi_attention){p->batch.B,   p->batch.T,  kv ? kv->past : 0, kv ? kv->capacity : p->batch.T,
                         c->num_heads, c->head_dim, p->batch.starts};
}

/* Laps of the profile (core/profile.h). Moved: (n,D) arrays that are read or written. */
static inline void lap_product(const sgi_pass *p, double *at, const char *name, size_t n, size_t in, size_t out,
                               size_t times) {
  sgi_lap(p->scratch.profile, at, name, (double)times * sgi_product_flops(n, in, out),
          (double)times * sgi_product_bytes(n, in, out));
}

static inline void lap_moved(const sgi_pass *p, double *at, const char *name, size_t n, size_t D, size_t arrays) {
  sgi_lap(p->scratch.profile, at, name, 0, 4.0 * (double)n * (double)D * (double)arrays);
}

/* products of (T,d_head) with the causal half of (T,T) and what came before, and arrays read or written. */
static inline void lap_attention(const sgi_pass *p, double *at, const char *name, size_t products, size_t arrays) {
  const sg_config *c = &p->model->config;
  double n = (double)(p->batch.B * p->batch.T), W = (double)attention_width(c);
  double past = p->cache ? (double)p->cache->past : 0;
  sgi_lap(p->scratch.profile, at, name, (double)products * n * W * (2 * past + (double)(p->batch.T + 1)),
          4.0 * W * (n * (double)arrays + 2 * past * (double)p->batch.B));
}

static inline sgi_ffn_call ffn_call(sgi_pass *p, size_t l, sgi_arena saved, sgi_arena scratch) {
  return (sgi_ffn_call){.config = &p->model->config,
                        .w = p->model->w + sgi_layer_row(p->model, l, SGI_LAYER_MLP),
                        .n = p->batch.B * p->batch.T,
                        .saved = saved,
                        .scratch = scratch,
                        .layer = l};
}

static inline sg_status named(sg_status st, sg_error *err, const char *what) {
  if (st == SG_ERR_MEMORY || st == SG_ERR_INTERNAL)
    return sgi_fail(err, st, "%s: a matrix product failed (%s)", what, sg_status_text(st));
  return st;
}

#endif
