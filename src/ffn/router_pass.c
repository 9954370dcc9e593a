#include <omp.h>
#include <stdatomic.h>
#include <string.h>

#include "ffn/router_shape.h"
#include "math/gemm.h"
#include "math/rows.h"
#include "math/topk.h"

/* Rows are taken in blocks so that scores of all units never exist for a whole batch: forward one thread takes a block from
 * scores to choice while they are in its cache; backward all threads share one. */
enum { BLOCK_FLOATS = 1 << 18, LEAST_ROWS = SGI_LANES, MOST_ROWS = 128, BACK_FLOATS = 1 << 20, BACK_ROWS = 4096 };

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* (x down^T) up^T is x (up down)^T. The second costs width * D a row and group, and width * D * Q once for the merged map;
 * the first Q * (D + width) a row. Up to this many rows the first is cheaper. */
static size_t merged_after(const sgi_router_shape *s, const sg_config *c) {
  double D = (double)c->hidden_size, Q = (double)c->key_dim, width = (double)s->width;
  double gain = Q * (D + width) - width * D;
  return gain > 0 && width * D * Q < gain * 1e9 ? (size_t)(width * D * Q / gain) : SIZE_MAX;
}
static bool is_merged(const sgi_router_shape *s, const sg_config *c, size_t n) { return n > merged_after(s, c); }

/* Scores of a group g: its input x + g * step (rows of stride ld, inner wide) times up + g * width * inner. */
typedef struct scorer {
  const float *x, *up;
  size_t groups, width, inner, step, ld;
} scorer;

static scorer plain_scorer(const sgi_router_shape *s, const sg_config *c, const float *low, const float *up) {
  size_t Q = c->key_dim;
  return (scorer){low, up, s->groups, s->width, Q, Q, s->groups * Q};
}
static scorer merged_scorer(const sgi_router_shape *s, const sg_config *c, const float *x, const float *map) {
  size_t D = c->hidden_size;
  return (scorer){x, map, 1, s->groups * s->width, D, 0, D};
}

/* map (groups, width, D) = up_g (width,Q) down_g (Q,D). */
static sg_status merge(const sgi_router_shape *s, const sg_config *c, const float *const *w, float *map) {
  size_t Q = c->key_dim, D = c->hidden_size;
  atomic_int worst = SG_OK;
#pragma omp parallel for schedule(static)
  for (size_t g = 0; g < s->groups; g++) {
    sg_status st = sgi_gemm1(false, false, s->width, D, Q, 1, w[1] + g * s->width * Q, Q, w[0] + g * Q * D, D, 0,
                             map + g * s->width * D, D);
    if (st) atomic_store(&worst, st);
  }
  return (sg_status)atomic_load(&worst);
}

/* dup += dmap down^T, ddown += up^T dmap, group by group. */
static sg_status merge_backward(const sgi_router_shape *s, const sg_config *c, const float *const *w, float *const *dw,
                                const float *dmap) {
  size_t Q = c->key_dim, D = c->hidden_size;
  atomic_int worst = SG_OK;
#pragma omp parallel for schedule(static)
  for (size_t g = 0; g < s->groups; g++) {
    size_t up = g * s->width * Q, down = g * Q * D;
    const float *dm = dmap + g * s->width * D;
    sg_status st = sgi_gemm1(false, true, s->width, Q, D, 1, dm, D, w[0] + down, D, 1, dw[1] + up, Q);
    if (!st) st = sgi_gemm1(true, false, Q, D, s->width, 1, w[1] + up, Q, dm, D, 1, dw[0] + down, D);
    if (st) atomic_store(&worst, st);
  }
  return (sg_status)atomic_load(&worst);
}

static size_t lanes_of(size_t rows) { return (rows + SGI_LANES - 1) / SGI_LANES * SGI_LANES; }

/* Rows whose scores fill about `floats`, a multiple of the lanes, from the sizes alone. */
static size_t rows_of(size_t width, size_t n, size_t floats, size_t most) {
  size_t rows = floats / width / SGI_LANES * SGI_LANES;
  rows = rows < LEAST_ROWS ? LEAST_ROWS : least(rows, most);
  return least(rows, lanes_of(n));
}
static size_t block_rows(size_t width, size_t n) { return rows_of(width, n, BLOCK_FLOATS, MOST_ROWS); }
static size_t block_bytes(size_t width, size_t n) {
  return sizeof(float) * block_rows(width, n) * width; /* rows are a multiple of the lanes: whole cache lines */
}
static size_t back_rows(size_t width, size_t n) { return rows_of(width, n, BACK_FLOATS, BACK_ROWS); }

/* Merged, no projection is kept. A pass made for many rows may be given few. */
void sgi_router_saved(const sgi_router *r, const sg_config *c, size_t n, sgi_arena *a) {
  sgi_router_shape s = sgi_router_shape_of(r, c);
  SGI_TAKE(a, least(n, merged_after(&s, c)) * s.groups * c->key_dim, float);
}

void sgi_router_scratch(const sgi_router *r, const sg_config *c, size_t n, bool backward, sgi_arena *a) {
  sgi_router_shape s = sgi_router_shape_of(r, c);
  size_t width = s.groups * s.width, map = is_merged(&s, c, n) ? width * c->hidden_size : 0;
  sgi_arena back = *a;
  SGI_TAKE(a, map, float);
  sgi_room_take(a, block_bytes(width, n));
  if (!backward) return;
  SGI_TAKE(&back, map, float);
  SGI_TAKE(&back, map, float);
  SGI_TAKE(&back, back_rows(width, n) * width, float);
  SGI_TAKE(&back, least(back_rows(width, n), merged_after(&s, c)) * s.groups * c->key_dim, float);
  if (back.used > a->used) *a = back;
}

/* One block of rows, on the calling thread unless it is the only one. Product routers have u (width, lanes_of(rows)) so that
 * lanes are tokens; the others u (rows, width), one token's units side by side. */
static sg_status score_block(const sgi_router *r, const scorer *f, bool alone, size_t first, size_t rows, float *u) {
  sg_status st = SG_OK;
  for (size_t g = 0; g < f->groups && !st; g++) {
    const float *w = f->up + g * f->width * f->inner, *x = f->x + first * f->ld + g * f->step;
    const float *a = r->product ? w : x, *b = r->product ? x : w;
    size_t m = r->product ? f->width : rows, n = r->product ? rows : f->width,
           to = r->product ? lanes_of(rows) : f->groups * f->width;
    size_t lda = r->product ? f->inner : f->ld, ldb = r->product ? f->ld : f->inner;
    float *out = u + g * f->width * (r->product ? to : 1);
    st = alone ? sgi_gemm(false, true, m, n, f->inner, a, lda, b, ldb, 0, out, to)
               : sgi_gemm1(false, true, m, n, f->inner, 1, a, lda, b, ldb, 0, out, to);
  }
  return st;
}

/* score, index (rows,C,K) of scores u. */
static void choose_block(const sgi_router *r, const sg_config *c, const sgi_router_shape *s, const float *u,
                         size_t rows, float *score, int32_t *index) {
  const sgi_kernels *kern = sgi_kernel_table();
  size_t C = c->num_channels, K = c->top_k, S = s->units, CK = C * K, ld = lanes_of(rows);
  for (size_t ch = 0; ch < C; ch++) {
    if (r->product) {
      const float *u0 = u + ch * S * ld, *u1 = u + (C + ch) * S * ld;
      for (size_t i = 0; i < rows; i += SGI_LANES)
        kern->choose_pairs(score + i * CK + ch * K, index + i * CK + ch * K, CK, u0 + i, u1 + i, ld,
                           least(SGI_LANES, rows - i), S, K, s->scale);
    } else {
      for (size_t i = 0; i < rows; i++) {
        float *at = score + i * CK + ch * K;
        sgi_topk(at, index + i * CK + ch * K, u + (i * C + ch) * S, S, K);
        for (size_t k = 0; k < K; k++) at[k] *= s->scale;
      }
    }
  }
}

sg_status sgi_router_forward(const sgi_router *r, const sg_config *c, size_t n, sgi_arena *saved, sgi_arena scratch,
                             const float *const *w, const float *x, float *score, int32_t *index) {
  sgi_router_shape s = sgi_router_shape_of(r, c);
  size_t D = c->hidden_size, low_width = s.groups * c->key_dim, width = s.groups * s.width;
  size_t CK = c->num_channels * c->top_k, block = block_rows(width, n);
  bool merged = is_merged(&s, c, n);
  double at = sgi_lap_begin(scratch.profile);
  float *low = SGI_TAKE(saved, merged ? 0 : n * low_width, float);
  float *map = SGI_TAKE(&scratch, merged ? width * D : 0, float);
  sg_status st = merged ? merge(&s, c, w, map) : sgi_linear(low, x, w[0], n, D, low_width);
  if (st) return st;
  size_t once = merged ? width : n, wide = merged ? c->key_dim : low_width;
  sgi_lap(scratch.profile, &at, "router, down", sgi_product_flops(once, wide, D), sgi_product_bytes(once, wide, D));
  scorer f = merged ? merged_scorer(&s, c, x, map) : plain_scorer(&s, c, low, w[1]);
  int threads = sgi_room_threads(&scratch, block_bytes(width, n));
  float *room = SGI_TAKE(&scratch, (size_t)threads * block * width, float);
  atomic_int worst = SG_OK;
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads) if (n > block)
  for (size_t i = 0; i < n; i += block) {
    float *u = room + (size_t)omp_get_thread_num() * block * width;
    size_t rows = least(block, n - i);
    sg_status one = score_block(r, &f, n <= block, i, rows, u);
    if (one)
      atomic_store(&worst, one);
    else
      choose_block(r, c, &s, u, rows, score + i * CK, index + i * CK);
  }
  sgi_lap(scratch.profile, &at, "router, scores and choice", sgi_product_flops(n, width, f.inner),
          4.0 * ((double)n * (double)f.ld + (double)width * (double)f.inner + 2.0 * (double)n * (double)CK));
  return (sg_status)atomic_load(&worst);
}

/* Only the chosen scores have a gradient; a pair's goes to both of its parts. */
static void spread(const sgi_router *r, const sg_config *c, const sgi_router_shape *s, const float *dscore,
                   const int32_t *index, float *du) {
  size_t C = c->num_channels, K = c->top_k, S = s->units;
  for (size_t ch = 0; ch < C; ch++)
    for (size_t k = 0; k < K; k++) {
      size_t unit = (size_t)index[ch * K + k];
      float d = s->scale * dscore[ch * K + k];
      if (r->product) {
        du[ch * S + unit / S] += d;
        du[(C + ch) * S + unit % S] += d;
      } else {
        du[ch * S + unit] += d;
      }
    }
}

/* Of one block: dup += du^T low, dlow = du up, ddown += dlow^T x, dx += dlow down. */
static sg_status block_backward(const sgi_router_shape *s, const sg_config *c, size_t rows, const float *const *w,
                                float *const *dw, const float *x, const float *low, const float *du, float *dlow,
                                float *dx) {
  size_t Q = c->key_dim, D = c->hidden_size, low_width = s->groups * Q, width = s->groups * s->width;
  sg_status st = SG_OK;
  for (size_t g = 0; g < s->groups && !st; g++) {
    const float *dug = du + g * s->width;
    const size_t at = g * s->width * Q;
    st = sgi_gemm(true, false, s->width, Q, rows, dug, width, low + g * Q, low_width, 1, dw[1] + at, Q);
    if (!st) st = sgi_gemm(false, false, rows, Q, s->width, dug, width, w[1] + at, Q, 0, dlow + g * Q, low_width);
  }
  if (!st) st = sgi_linear_dw(dw[0], dlow, x, rows, D, low_width);
  return st ? st : sgi_linear_dx(dx, dlow, w[0], rows, D, low_width, 1);
}

sg_status sgi_router_backward(const sgi_router *r, const sg_config *c, size_t n, sgi_arena *saved, sgi_arena scratch,
                              const float *const *w, float *const *dw, const float *x, const int32_t *index,
                              const float *dscore, float *dx) {
  sgi_router_shape s = sgi_router_shape_of(r, c);
  size_t Q = c->key_dim, D = c->hidden_size, low_width = s.groups * Q, width = s.groups * s.width;
  size_t CK = c->num_channels * c->top_k, block = back_rows(width, n);
  bool merged = is_merged(&s, c, n);
  double began = sgi_lap_begin(scratch.profile);
  const float *low = SGI_TAKE(saved, merged ? 0 : n * low_width, float);
  float *map = SGI_TAKE(&scratch, merged ? width * D : 0, float);
  float *dmap = SGI_TAKE(&scratch, merged ? width * D : 0, float);
  float *du = SGI_TAKE(&scratch, block * width, float);
  float *dlow = SGI_TAKE(&scratch, merged ? 0 : least(block, n) * low_width, float);
  sg_status st = merged ? merge(&s, c, w, map) : SG_OK;
  for (size_t i = 0; i < n && !st; i += block) {
    size_t rows = least(block, n - i);
#pragma omp parallel for schedule(static) if (rows > 8)
    for (size_t j = 0; j < rows; j++) {
      memset(du + j * width, 0, width * sizeof *du);
      spread(r, c, &s, dscore + (i + j) * CK, index + (i + j) * CK, du + j * width);
    }
    if (!merged) {
      st = block_backward(&s, c, rows, w, dw, x + i * D, low + i * low_width, du, dlow, dx + i * D);
      continue;
    }
    st = sgi_gemm(true, false, width, D, rows, du, width, x + i * D, D, i ? 1 : 0, dmap, D);
    if (!st) st = sgi_linear_dx(dx + i * D, du, map, rows, D, width, 1);
  }
  if (!st && merged) st = merge_backward(&s, c, w, dw, dmap);
  size_t once = merged ? width : n, wide = merged ? Q : low_width, inner = merged ? D : Q;
  sgi_lap(scratch.profile, &began, "router backward",
          2 * sgi_product_flops(n, width, inner) + (merged ? 3 : 2) * sgi_product_flops(once, wide, D),
          2 * sgi_product_bytes(n, width, inner) + (merged ? 3 : 2) * sgi_product_bytes(once, wide, D));
  return st;
}
