/* Attention of variants (vary.h): keys and values of a variant's changed positions, queries of its
 * wanted ones, all else of the prompt's own run.
 *
 *   keys    prompt 0 .. from-1 | the variant's `changed` | prompt, behind them up to the query
 *
 * A variant's rows are one thread's. */
#include <math.h>
#include <string.h>

#include "math/gemm.h"
#include "math/rows.h"
#include "math/stored.h"
#include "model/sub_attention.h"
#include "model/vary.h"

typedef struct room {
  int32_t *position;    /* (n) */
  float *xq;            /* (n,D) rows whose queries are made anew, where they are not all that changed */
  float *q, *k, *v, *o; /* (n,W) */
  float *raw, *r;       /* (n,W), (n,H) before the norm of heads, its inverse scales */
  float *pattern;       /* (n,keys) of a variant's first wanted row */
  sgi_arena linear;
} room;

static void layout(const sg_config *c, size_t n, size_t keys, sgi_arena *a, room *x) {
  size_t W = sgi_heads_width(c), D = c->hidden_size;
  x->position = SGI_TAKE(a, n, int32_t);
  x->xq = SGI_TAKE(a, n * D, float);
  x->q = SGI_TAKE(a, n * W, float);
  x->k = SGI_TAKE(a, n * W, float);
  x->v = SGI_TAKE(a, n * W, float);
  x->o = SGI_TAKE(a, n * W, float);
  x->raw = SGI_TAKE(a, n * W, float);
  x->r = SGI_TAKE(a, n * c->num_heads, float);
  x->pattern = SGI_TAKE(a, n * keys, float);
  x->linear = *a;
  sgi_linear_scratch(n, larger(W, D), larger(W, D), a);
}

void sgi_attention_vary_room(const sg_config *c, size_t n, size_t keys, sgi_arena *a) {
  layout(c, n, keys, a, &(room){0});
}

/* out (n,W): projected, normed by heads, turned. */
static sg_status project(sgi_pass *p, const sgi_plan_step *s, room *x, size_t tensor, size_t norm, float *out,
                         const float *xn, size_t n) {
  const sg_config *c = s->sub->config;
  size_t D = c->hidden_size, H = c->num_heads, d = c->head_dim;
  sg_status st = sgi_stored_linear(x->raw, H * d, xn, D, s->sub->weight[tensor], n, x->linear);
  if (st) return st;
  sgi_rmsnorm(out, x->r, x->raw, s->sub->w[norm], n * H, d, c->rms_norm_eps);
  if (check_norms(x->r, n * H)) return SG_ERR_NUMERIC;
  sgi_rotary(out, x->position, p->cos, p->sin, n, H, d, false);
  return SG_OK;
}

/* Positions [first, first + count) of every variant. */
static void place(room *x, size_t R, size_t first, size_t count) {
  for (size_t i = 0; i < R * count; i++) x->position[i] = (int32_t)(first + i % count);
}

typedef struct mixing {
  const sg_config *c;
  const sgi_vary *w;
  const float *sinks; /* (H) or NULL */
  const sgi_kept *base;
  const room *x;
  size_t q_first, q_count; /* positions whose queries are the variant's own */
} mixing;

/* o (d) += pattern (n) v (n,d; step); the first call assigns. */
static void add_values(float *o, const float *pattern, const float *v, size_t step, size_t n, size_t d, bool *any) {
  const sgi_kernels *kern = sgi_kernel_table();
  size_t width = kern->tile_columns, whole = d / width * width;
  if (!n) return;
  if (!*any) memset(o, 0, d * sizeof *o);
  kern->block_product(false, 1, whole, n, pattern, 0, v, step, width, o, 0, true);
  for (size_t j = 0; j < n && whole < d; j++)
    for (size_t e = whole; e < d; e++) o[e] += pattern[j] * v[j * step + e];
  *any = true;
}

/* One head's row of one variant, at position t. */
static void mix_row(const mixing *m, size_t r, size_t t, size_t h, const float *q, float *pattern, float *o) {
  const sgi_kernels *kern = sgi_kernel_table();
  const sgi_vary *w = m->w;
  size_t d = m->c->head_dim, W = sgi_heads_width(m->c), end = w->from + w->changed;
  size_t own = (r * w->changed) * W + h * d, last = t + 1 < end ? t + 1 : end;
  const float *k = m->base->k + h * d, *v = m->base->v + h * d, *ok = m->x->k + own, *ov = m->x->v + own;
  float max, lse;
  for (size_t j = 0; j < w->from; j++) pattern[j] = kern->dot(q, k + j * W, d);
  for (size_t j = w->from; j < last; j++) pattern[j] = kern->dot(q, ok + (j - w->from) * W, d);
  for (size_t j = end; j <= t; j++) pattern[j] = kern->dot(q, k + j * W, d);
  float sum = kern->softmax_exp(pattern, t + 1, (float)(1.0 / sqrt((double)d)), &max);
  bool any = false;
  add_values(o, pattern, v, W, w->from, d, &any);
  add_values(o, pattern + w->from, ov, W, last - w->from, d, &any);
  if (end <= t) add_values(o, pattern + end, v + end * W, W, t + 1 - end, d, &any);
  kern->scale(o, sgi_attention_part(sum, max, m->sinks ? m->sinks + h : NULL, &lse), d);
}

static void mix(const mixing *m, size_t keys) {
  const sgi_vary *w = m->w;
  size_t H = m->c->num_heads, d = m->c->head_dim, W = H * d;
#pragma omp parallel for schedule(static) if (w->R > 1)
  for (size_t r = 0; r < w->R; r++)
    for (size_t i = 0; i < w->count; i++) {
      size_t t = w->first + i, row = r * w->count + i;
      bool own = t >= m->q_first && t < m->q_first + m->q_count;
      const float *q = own ? m->x->q + (r * m->q_count + t - m->q_first) * W : m->base->q + t * W;
      for (size_t h = 0; h < H; h++)
        mix_row(m, r, t, h, q + h * d, m->x->pattern + row * keys, m->x->o + row * W + h * d);
    }
}

/* The wanted positions among the changed ones; their rows (R,count,D), gathered where they are not
 * all. */
static const float *gather(mixing *m, const room *x, const float *xn) {
  const sgi_vary *w = m->w;
  size_t end = w->from + w->changed, wanted = w->first + w->count, D = m->c->hidden_size;
  m->q_first = larger(w->first, w->from);
  if (wanted < end) end = wanted;
  m->q_count = end > m->q_first ? end - m->q_first : 0;
  if (m->q_count == w->changed) return xn;
  for (size_t r = 0; r < w->R && m->q_count; r++)
    memcpy(x->xq + r * m->q_count * D, xn + (r * w->changed + m->q_first - w->from) * D, m->q_count * D * sizeof *xn);
  return x->xq;
}

sg_status sgi_attention_vary(sgi_pass *p, const sgi_plan_step *s, const sgi_vary *w, sgi_arena a, float *y,
                             const float *xn) {
  const sg_config *c = s->sub->config;
  size_t D = c->hidden_size, W = sgi_heads_width(c), n = w->R * w->changed;
  float *scales;
  sgi_arena block = block_of(p, s, &scales);
  sgi_kept base;
  room x;
  sgi_attention_kept(c, rows_of(p), &block, &base);
  layout(c, larger(n, w->R * w->count), p->batch.T, &a, &x);
  mixing m = {.c = c, .w = w, .sinks = sgi_sinks_of(s->sub), .base = &base, .x = &x};
  const float *queries = gather(&m, &x, xn);
  place(&x, w->R, w->from, w->changed);
  sg_status st = project(p, s, &x, SGI_T_K, SGI_T_K_NORM, x.k, xn, n);
  if (!st) st = sgi_stored_linear(x.v, W, xn, D, s->sub->weight[SGI_T_V], n, x.linear);
  if (!st && m.q_count) {
    place(&x, w->R, m.q_first, m.q_count);
    st = project(p, s, &x, SGI_T_Q, SGI_T_Q_NORM, x.q, queries, w->R * m.q_count);
  }
  if (st) return st;
  mix(&m, p->batch.T);
  return sgi_stored_linear(y, D, x.o, W, s->sub->weight[SGI_T_O], w->R * w->count, x.linear);
}
