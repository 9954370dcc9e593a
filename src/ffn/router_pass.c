/* The routers' forward and backward pass (docs/method.md, routers).
 *
 * Idea. A score is (x down^T) up^T: a narrow projection, then one row of `up` per unit. Scores of
 * all units of a whole batch are the largest array a model could make (n x C x F), so they never
 * exist: a block of rows goes from scores to its K choices while it lies in one thread's cache.
 *
 * Memory of a forward pass of n rows, W = groups * width scores a row:
 *
 *   saved     low (n, groups*Q)            plain only; merged keeps nothing
 *   scratch   map (W, D)                   merged only: M = up down, made once a pass
 *             room 0 | room 1 | ...        one a thread, each a block's scores
 *
 *   a room, product router, panels:   u0 (some, S, ld) | u1 (some, S, ld) | panel (rows, inner)
 *                                     `some` channels at a time; tokens are columns
 *   a room, product router, few rows: u (W, SGI_LANES), tokens are columns
 *   a room, other routers:            u (rows, W), a token's units side by side
 *
 * Merged and plain. x (up down)^T costs W D a row and W D Q once; (x down^T) up^T costs Q (D + W)
 * a row. Which is cheaper depends on n alone (merged_after), so it is decided by the sizes before
 * the pass and the same way in `saved`, `scratch`, forward and backward: they must agree, or
 * backward reads a projection that nobody kept. A pass made for many rows may be given few; then
 * it is plain, and its rooms, sized for many, serve.
 *
 * Backward. Only chosen scores have a gradient. A block's du (rows, W) is filled by `spread`,
 * almost all zeros, and goes through two dense products. dup and ddown add; blocks go in order,
 * so every sum has one order whatever the threads.
 *
 * Invariants. Cuts into blocks, panels and channels come from the sizes, never from the number of
 * threads. Of equal scores the lower index wins, in every one of the three ways to choose.
 *
 * Tried (SPEED.md). oneDNN for the scores of 64 to 128 tokens: 237 GFLOP/s where our tiles make
 * 267, since it packs all sub-keys again for every block. One product for all rows, then the
 * choice token by token: 24,500 instead of 30,500 tokens a second. Blocks of 256 KiB instead of 1
 * MiB: 7 % slower at F 65,536. Not tried: gradients of chosen scores by gathered rows instead of
 * the two products. */
#include <omp.h>
#include <stdatomic.h>
#include <string.h>

#include "ffn/router_shape.h"
#include "math/gemm.h"
#include "math/gemv.h"
#include "math/rows.h"
#include "math/stored.h"
#include "math/topk.h"
#include "math/transpose.h"

/* Rows are taken in blocks so that scores of all units never exist for a whole batch: forward one
 * thread takes a block from scores to choice while they are in its cache; backward all threads
 * share one. */
enum { BLOCK_FLOATS = 1 << 18, MOST_ROWS = 128, BACK_FLOATS = 1 << 20, BACK_ROWS = 4096 };
/* Product routers with more rows than lanes: tokens in panels of whole registers, channels by so
 * many sub-keys at a time. */
enum { PANEL_ROWS = 32, PANEL_KEYS = 256 };
/* Rows of stored weights that are decoded at a time, and how wide. */
enum { STORED_KEYS = 64, STORED_WIDE = 256 };

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* Up to this many rows the plain way is cheaper. */
static size_t merged_after(const sgi_router_shape *s, const sg_config *c) {
  double D = (double)c->hidden_size, Q = (double)c->key_dim, width = (double)s->width;
  double gain = Q * (D + width) - width * D;
  return gain > 0 && width * D * Q < gain * 1e9 ? (size_t)(width * D * Q / gain) : SIZE_MAX;
}
static bool is_merged(const sgi_router_shape *s, const sg_config *c, size_t n) { return n > merged_after(s, c); }

/* Scores of a group g: its input x + g * step (rows of stride ld, inner wide) times rows g * width
 * and on of up. */
typedef struct scorer {
  const float *x;
  sgi_weight up; /* (groups * width, inner) */
  size_t groups, width, inner, step, ld;
} scorer;

static scorer plain_scorer(const sgi_router_shape *s, const sg_config *c, const float *low, const sgi_weight *up) {
  size_t Q = c->key_dim;
  return (scorer){low, *up, s->groups, s->width, Q, Q, s->groups * Q};
}
static scorer merged_scorer(const sgi_router_shape *s, const sg_config *c, const float *x, const float *map) {
  size_t D = c->hidden_size;
  return (scorer){x, sgi_weight_floats(map, s->groups * s->width, D), 1, s->groups * s->width, D, 0, D};
}

/* map (groups, width, D) = up_g (width,Q) down_g (Q,D). */
static sg_status merge(const sgi_router_shape *s, const sg_config *c, const sgi_weight *const *w, float *map) {
  size_t Q = c->key_dim, D = c->hidden_size;
  atomic_int worst = SG_OK;
#pragma omp parallel for schedule(static)
  for (size_t g = 0; g < s->groups; g++) {
    sgi_weight up = sgi_weight_rows(w[1], g * s->width, s->width), down = sgi_weight_rows(w[0], g * Q, Q);
    sg_status st = sgi_stored_pair1(&up, &down, map + g * s->width * D, D);
    if (st) atomic_store(&worst, st);
  }
  return (sg_status)atomic_load(&worst);
}

/* dup += dmap down^T, ddown += up^T dmap, group by group. */
static sg_status merge_backward(const sgi_router_shape *s, const sg_config *c, const sgi_weight *const *w,
                                float *const *dw, const float *dmap) {
  size_t Q = c->key_dim, D = c->hidden_size;
  atomic_int worst = SG_OK;
#pragma omp parallel for schedule(static)
  for (size_t g = 0; g < s->groups; g++) {
    sgi_weight up = sgi_weight_rows(w[1], g * s->width, s->width), down = sgi_weight_rows(w[0], g * Q, Q);
    const float *dm = dmap + g * s->width * D;
    sg_status st = sgi_stored_product1(true, s->width, dm, D, &down, 1, dw[1] + g * s->width * Q, Q);
    if (!st) st = sgi_stored_across1(&up, D, dm, D, dw[0] + g * Q * D, D);
    if (st) atomic_store(&worst, st);
  }
  return (sg_status)atomic_load(&worst);
}

static size_t lanes_of(size_t rows) { return (rows + SGI_LANES - 1) / SGI_LANES * SGI_LANES; }

/* Rows whose scores fill about `floats`, a multiple of the lanes, from the sizes alone. */
static size_t rows_of(size_t width, size_t n, size_t floats, size_t most) {
  size_t rows = floats / width / SGI_LANES * SGI_LANES;
  rows = rows < SGI_LANES ? SGI_LANES : least(rows, most);
  return least(rows, lanes_of(n));
}
static size_t block_rows(size_t width, size_t n) { return rows_of(width, n, BLOCK_FLOATS, MOST_ROWS); }
static size_t back_rows(size_t width, size_t n) { return rows_of(width, n, BACK_FLOATS, BACK_ROWS); }

/* What one thread holds of a block. A room made for many rows serves fewer, too. */
static bool by_panels(const sgi_router *r, size_t n) { return r->product && n >= SGI_LANES; }
static size_t panel_rows(const sgi_router_shape *s) { return s->units > PANEL_KEYS ? PANEL_ROWS : 2 * PANEL_ROWS; }
static size_t panel_channels(const sgi_router_shape *s, const sg_config *c) {
  return s->units < PANEL_KEYS ? least(PANEL_KEYS / s->units, c->num_channels) : 1;
}
static size_t panel_floats(const sgi_router_shape *s, const sg_config *c) {
  size_t inner = c->key_dim > c->hidden_size ? c->key_dim : c->hidden_size;
  return panel_rows(s) * (inner + 2 * panel_channels(s, c) * s->units);
}
static size_t room_bytes(const sgi_router *r, const sgi_router_shape *s, const sg_config *c, size_t n) {
  size_t width = s->groups * s->width, rows = r->product ? SGI_LANES : block_rows(width, n);
  size_t plain = rows * width, panels = by_panels(r, n) ? panel_floats(s, c) : 0; /* whole cache lines */
  return sizeof(float) * (plain > panels ? plain : panels);
}

/* Merged, no projection is kept. A pass made for many rows may be given few. */
void sgi_router_saved(const sgi_router *r, const sg_config *c, size_t n, sgi_arena *a) {
  sgi_router_shape s = sgi_router_shape_of(r, c);
  SGI_TAKE(a, least(n, merged_after(&s, c)) * s.groups * c->key_dim, float);
}

void sgi_router_saved_parts(const sgi_router *r, const sg_config *c, size_t n, size_t parts, sgi_arena *a) {
  sgi_router_shape s = sgi_router_shape_of(r, c);
  size_t each = merged_after(&s, c), most = each < SIZE_MAX / parts ? each * parts : SIZE_MAX;
  SGI_TAKE(a, least(n, most) * s.groups * c->key_dim, float);
}

static void take_more(sgi_arena *a, sgi_arena b) {
  if (b.used > a->used) *a = b;
}

void sgi_router_scratch(const sgi_router *r, const sg_config *c, size_t n, bool backward, sgi_arena *a) {
  sgi_router_shape s = sgi_router_shape_of(r, c);
  size_t width = s.groups * s.width, low_width = s.groups * c->key_dim, D = c->hidden_size;
  size_t map = is_merged(&s, c, n) ? width * D : 0, low = least(n, merged_after(&s, c));
  sgi_arena back = *a, down = *a;
  sgi_linear_scratch(low, D, low_width, &down);
  SGI_TAKE(a, map, float);
  sgi_room_take(a, room_bytes(r, &s, c, n));
  take_more(a, down);
  if (!backward) return;
  size_t rows = back_rows(width, n);
  SGI_TAKE(&back, map, float);
  SGI_TAKE(&back, map, float);
  SGI_TAKE(&back, rows * sgi_stride(width), float);
  sgi_arena plain = back;
  sgi_linear_scratch(rows, D, width, &back);
  SGI_TAKE(&plain, least(rows, low) * low_width, float);
  sgi_linear_scratch(least(rows, low), D, low_width, &plain);
  take_more(a, back);
  take_more(a, plain);
}

/* Of one group, its rows of up stored in another type: tokens side by side, then turned where they
 * are columns. */
static sg_status score_stored(const sgi_router *r, const scorer *f, const sgi_weight *up, bool alone, const float *x,
                              size_t rows, float *u) {
  if (!r->product) {
    size_t ld = f->groups * f->width;
    return alone ? sgi_stored_linear(u, ld, x, f->ld, up, rows, (sgi_arena){0})
                 : sgi_stored_product1(true, rows, x, f->ld, up, 0, u, ld);
  }
  float part[STORED_KEYS * SGI_LANES];
  sg_status st = SG_OK;
  for (size_t i = 0; i < up->rows && !st; i += STORED_KEYS) {
    size_t keys = least(STORED_KEYS, up->rows - i);
    sgi_weight some = sgi_weight_rows(up, i, keys);
    st = alone ? sgi_stored_linear(part, keys, x, f->ld, &some, rows, (sgi_arena){0})
               : sgi_stored_product1(true, rows, x, f->ld, &some, 0, part, keys);
    sgi_transpose(u + i * SGI_LANES, SGI_LANES, part, keys, rows, keys);
  }
  return st;
}

/* One block of rows, by all threads where it is the only one. Few rows of a product router have u
 * (width, lanes) so that lanes are tokens; the other routers' rows u (rows, width), one token's
 * units side by side. */
static sg_status score_block(const sgi_router *r, const scorer *f, bool alone, size_t first, size_t rows, float *u) {
  sg_status st = SG_OK;
  for (size_t g = 0; g < f->groups && !st; g++) {
    const float *x = f->x + first * f->ld + g * f->step;
    if (f->up.dtype != SGI_F32) {
      sgi_weight up = sgi_weight_rows(&f->up, g * f->width, f->width);
      st = score_stored(r, f, &up, alone, x, rows, u + g * f->width * (r->product ? SGI_LANES : 1));
      continue;
    }
    const float *w = sgi_f32(&f->up) + g * f->width * f->inner;
    const float *a = r->product ? w : x, *b = r->product ? x : w;
    size_t m = r->product ? f->width : rows, n = r->product ? rows : f->width;
    size_t lda = r->product ? f->inner : f->ld, ldb = r->product ? f->ld : f->inner;
    size_t to = r->product ? SGI_LANES : f->groups * f->width;
    float *out = u + g * f->width * (r->product ? to : 1);
    st = alone ? sgi_gemm(false, true, m, n, f->inner, a, lda, b, ldb, 0, out, to)
               : sgi_gemm1(false, true, m, n, f->inner, 1, a, lda, b, ldb, 0, out, to);
  }
  return st;
}

/* A few rows of a product router (decoding) cost what it costs to read its weights once: u (width,
 * rows). A room has place for SGI_LANES rows. */
static sg_status score_few(const scorer *f, size_t first, size_t rows, float *u) {
  size_t width = f->groups * f->width;
  float *flat = rows == 1 ? u : u + rows * width; /* (rows, width) */
  sg_status st = SG_OK;
  for (size_t g = 0; g < f->groups && !st; g++) {
    sgi_weight up = sgi_weight_rows(&f->up, g * f->width, f->width);
    st = sgi_stored_linear(flat + g * f->width, width, f->x + first * f->ld + g * f->step, f->ld, &up, rows,
                           (sgi_arena){0});
  }
  for (size_t i = 0; i < width && rows > 1; i++)
    for (size_t j = 0; j < rows; j++) u[i * rows + j] = flat[j * width + i];
  return st;
}

/* score, index (rows,C,K) of the scores u (rows,C,F). */
static void choose_single(const sg_config *c, const sgi_router_shape *s, const float *u, size_t rows, float *score,
                          int32_t *index) {
  size_t C = c->num_channels, K = c->top_k;
  for (size_t i = 0; i < rows * C; i++) {
    sgi_topk(score + i * K, index + i * K, u + i * s->units, s->units, K);
    for (size_t k = 0; k < K; k++) score[i * K + k] *= s->scale;
  }
}

/* Channels [ch, ch + count): u0, u1 (count,S,ld) are their two lists. */
static void choose_product(const sg_config *c, const sgi_router_shape *s, size_t ch, size_t count, const float *u0,
                           const float *u1, size_t ld, size_t rows, float *score, int32_t *index) {
  const sgi_kernels *kern = sgi_kernel_table();
  size_t K = c->top_k, S = s->units, CK = c->num_channels * K;
  for (size_t j = 0; j < count; j++)
    for (size_t i = 0; i < rows; i += SGI_LANES) {
      size_t at = i * CK + (ch + j) * K, from = j * S * ld + i;
      kern->choose_pairs(score + at, index + at, CK, u0 + from, u1 + from, ld, least(SGI_LANES, rows - i), S, K,
                         s->scale);
    }
}

/* Columns are rows of x, in panels of whole registers; those past the last row are 0. */
static void pack_panels(float *panel, const float *x, size_t ld, size_t rows, size_t inner) {
  size_t wide = sgi_kernel_table()->tile_columns;
  for (size_t i = 0; i < rows; i += wide, panel += wide * inner) {
    if (rows - i < wide) memset(panel, 0, wide * inner * sizeof *panel);
    sgi_transpose(panel, wide, x + i * ld, ld, least(wide, rows - i), inner);
  }
}

/* u (rows, n; ld) = rows [first, first + rows) of up times a panel of n tokens. */
static void panel_product(const scorer *f, size_t first, size_t rows, size_t n, const float *panel, float *u,
                          size_t ld) {
  const sgi_kernels *kern = sgi_kernel_table();
  size_t wide = kern->tile_columns, step = wide * f->inner;
  if (f->up.dtype == SGI_F32) {
    const float *up = sgi_f32(&f->up) + first * f->inner;
    kern->block_product(false, rows, n, f->inner, up, f->inner, panel, wide, step, u, ld, false);
    return;
  }
  float tile[STORED_KEYS * STORED_WIDE];
  const sgi_dtype_traits *t = sgi_weight_traits(f->up.dtype);
  for (size_t i = 0; i < rows; i += STORED_KEYS)
    for (size_t p = 0; p < f->inner; p += STORED_WIDE) {
      size_t keys = least(STORED_KEYS, rows - i), inner = least(STORED_WIDE, f->inner - p);
      for (size_t j = 0; j < keys; j++) t->row_to_float(tile + j * inner, &f->up, first + i + j, p, inner);
      kern->block_product(false, keys, n, inner, tile, inner, panel + p * wide, wide, step, u + i * ld, ld, p > 0);
    }
}

/* A block of a product router: scores of some channels at a time, then their choice. Tiles of our
 * own: the product library would pack all sub-keys again for every block. */
static void route_block(const sg_config *c, const sgi_router_shape *s, const scorer *f, size_t first, size_t rows,
                        float *room, float *score, int32_t *index) {
  size_t C = c->num_channels, S = s->units, ld = panel_rows(s), some = panel_channels(s, c);
  const float *x = f->x + first * f->ld;
  float *u = room, *panel = room + 2 * some * S * ld;
  if (f->groups == 1) pack_panels(panel, x, f->ld, rows, f->inner);
  for (size_t ch = 0; ch < C; ch += some) {
    size_t count = least(some, C - ch), step = f->groups == 1 ? count : 1;
    for (size_t part = 0; part < 2; part++)
      for (size_t j = 0; j < count; j += step) {
        size_t list = part * C + ch + j;
        if (f->groups > 1) pack_panels(panel, x + list * f->step, f->ld, rows, f->inner);
        panel_product(f, list * S, step * S, lanes_of(rows), panel, u + (part * some + j) * S * ld, ld);
      }
    choose_product(c, s, ch, count, u, u + some * S * ld, ld, rows, score, index);
  }
}

/* scores and choice of rows [first, first + rows); alone: of all rows. */
static sg_status one_block(const sgi_router *r, const sg_config *c, const sgi_router_shape *s, const scorer *f,
                           bool alone, size_t first, size_t rows, float *room, float *score, int32_t *index) {
  if (!(alone && rows < SGI_LANES) && r->product) {
    route_block(c, s, f, first, rows, room, score, index);
    return SG_OK;
  }
  bool few = r->product && rows <= SGI_GEMV_ROWS;
  sg_status st = few ? score_few(f, first, rows, room) : score_block(r, f, alone, first, rows, room);
  if (st) return st;
  if (r->product) {
    size_t C = c->num_channels, ld = few ? rows : SGI_LANES;
    choose_product(c, s, 0, C, room, room + C * s->units * ld, ld, rows, score, index);
  } else {
    choose_single(c, s, room, rows, score, index);
  }
  return SG_OK;
}

sg_status sgi_router_forward(const sgi_router *r, const sg_config *c, size_t n, sgi_arena *saved, sgi_arena scratch,
                             const sgi_weight *const *w, const float *x, float *score, int32_t *index) {
  sgi_router_shape s = sgi_router_shape_of(r, c);
  size_t D = c->hidden_size, low_width = s.groups * c->key_dim, width = s.groups * s.width,
         CK = c->num_channels * c->top_k;
  bool merged = is_merged(&s, c, n);
  float *low = SGI_TAKE(saved, merged ? 0 : n * low_width, float);
  sgi_profile_stage(scratch.profile, "router, down");
  double at = sgi_work_begin(scratch.profile);
  sg_status st = merged ? SG_OK : sgi_stored_linear(low, low_width, x, D, w[0], n, scratch);
  float *map = SGI_TAKE(&scratch, merged ? width * D : 0, float);
  if (merged) st = merge(&s, c, w, map);
  if (st) return st;
  if (merged)
    sgi_work(scratch.profile, at, sgi_product_flops(width, c->key_dim, D), sgi_product_bytes(width, c->key_dim, D));
  at = sgi_lap_begin(scratch.profile);
  scorer f = merged ? merged_scorer(&s, c, x, map) : plain_scorer(&s, c, low, w[1]);
  size_t bytes = room_bytes(r, &s, c, n), block = by_panels(r, n) ? panel_rows(&s) : block_rows(width, n);
  int threads = sgi_room_threads(&scratch, bytes);
  char *rooms = sgi_take(&scratch, (size_t)threads, bytes);
  if (n <= block) { /* not a region with if(): in it the block's products would start their threads anew */
    st = one_block(r, c, &s, &f, true, 0, n, (float *)(void *)rooms, score, index);
  } else {
    atomic_int worst = SG_OK;
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads)
    for (size_t i = 0; i < n; i += block) {
      float *room = (float *)(void *)(rooms + (size_t)omp_get_thread_num() * bytes);
      sg_status one = one_block(r, c, &s, &f, false, i, least(block, n - i), room, score + i * CK, index + i * CK);
      if (one) atomic_store(&worst, one);
    }
    st = (sg_status)atomic_load(&worst);
  }
  sgi_lap(scratch.profile, &at, "router, scores and choice", sgi_product_flops(n, width, f.inner),
          4.0 * ((double)n * (double)f.ld + (double)width * (double)f.inner + 2.0 * (double)n * (double)CK));
  return st;
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
static sg_status plain_backward(const sgi_router_shape *s, const sg_config *c, size_t rows, const sgi_weight *const *w,
                                float *const *dw, const float *x, const float *low, const float *du, size_t ldu,
                                float *dx, sgi_arena scratch) {
  size_t Q = c->key_dim, D = c->hidden_size, low_width = s->groups * Q;
  float *dlow = SGI_TAKE(&scratch, rows * low_width, float);
  sg_status st = SG_OK;
  for (size_t g = 0; g < s->groups && !st; g++) {
    const float *dug = du + g * s->width;
    const size_t at = g * s->width * Q;
    st = sgi_gemm(true, false, s->width, Q, rows, dug, ldu, low + g * Q, low_width, 1, dw[1] + at, Q);
    sgi_weight up = sgi_weight_rows(w[1], g * s->width, s->width);
    if (!st) st = sgi_stored_linear_dx(dlow + g * Q, low_width, dug, ldu, &up, rows, 0, (sgi_arena){0});
  }
  if (!st) st = sgi_linear_dw(dw[0], dlow, low_width, x, D, rows, D, low_width, NULL);
  return st ? st : sgi_stored_linear_dx(dx, D, dlow, low_width, w[0], rows, 1, scratch);
}

sg_status sgi_router_backward(const sgi_router *r, const sg_config *c, size_t n, sgi_arena *saved, sgi_arena scratch,
                              const sgi_weight *const *w, float *const *dw, const float *x, const int32_t *index,
                              const float *dscore, float *dx) {
  sgi_router_shape s = sgi_router_shape_of(r, c);
  size_t Q = c->key_dim, D = c->hidden_size, low_width = s.groups * Q, width = s.groups * s.width;
  size_t CK = c->num_channels * c->top_k, block = back_rows(width, n), ldu = sgi_stride(width);
  bool merged = is_merged(&s, c, n);
  sgi_profile_stage(scratch.profile, NULL);
  double began = sgi_lap_begin(scratch.profile);
  const float *low = SGI_TAKE(saved, merged ? 0 : n * low_width, float);
  float *map = SGI_TAKE(&scratch, merged ? width * D : 0, float);
  float *dmap = SGI_TAKE(&scratch, merged ? width * D : 0, float);
  float *du = SGI_TAKE(&scratch, block * ldu, float);
  sg_status st = merged ? merge(&s, c, w, map) : SG_OK;
  for (size_t i = 0; i < n && !st; i += block) {
    size_t rows = least(block, n - i);
#pragma omp parallel for schedule(static) if (rows > 8)
    for (size_t j = 0; j < rows; j++) {
      memset(du + j * ldu, 0, width * sizeof *du);
      spread(r, c, &s, dscore + (i + j) * CK, index + (i + j) * CK, du + j * ldu);
    }
    if (merged) {
      st = sgi_gemm(true, false, width, D, rows, du, ldu, x + i * D, D, i ? 1 : 0, dmap, D);
      if (!st) st = sgi_linear_dx(dx + i * D, D, du, ldu, map, rows, D, width, 1, scratch);
    } else {
      st = plain_backward(&s, c, rows, w, dw, x + i * D, low + i * low_width, du, ldu, dx + i * D, scratch);
    }
  }
  if (!st && merged) st = merge_backward(&s, c, w, dw, dmap);
  size_t once = merged ? width : n, wide = merged ? Q : low_width, inner = merged ? D : Q;
  sgi_lap(scratch.profile, &began, "router backward",
          2 * sgi_product_flops(n, width, inner) + (merged ? 3 : 2) * sgi_product_flops(once, wide, D),
          2 * sgi_product_bytes(n, width, inner) + (merged ? 3 : 2) * sgi_product_bytes(once, wide, D));
  return st;
}
