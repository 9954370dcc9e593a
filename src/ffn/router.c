#include "ffn/router.h"

#include <math.h>
#include <omp.h>
#include <stdatomic.h>
#include <string.h>

#include "math/gemm.h"
#include "math/gemv.h"
#include "math/rows.h"
#include "math/topk.h"

/* All four are one computation: low (n, G*Q) = x w0^T, scores (n, G, width) = low_g w1_g^T, times a scale; the
 * kinds differ in the number of groups G and in whether a channel's units are single (width F) or pairs of
 * sub-keys (two lists of S). Rows are taken in blocks so that scores of all units never exist for a whole batch:
 * forward one thread takes a block from scores to choice while they are in its cache; backward all threads share one. */
enum { BLOCK_FLOATS = 1 << 18, LEAST_ROWS = SGI_LANES, MOST_ROWS = 128, BACK_FLOATS = 1 << 20, BACK_ROWS = 4096 };

typedef struct shape {
  size_t groups, width; /* width of one group */
  float scale;
} shape;

static size_t sub_keys(const sg_config *c) { return (size_t)(sqrt((double)c->num_neurons) + 0.5); }

static bool is_key_value(const sgi_router *r) { return strstr(r->name, "key_value") != NULL; }

static shape shape_of(const sgi_router *r, const sg_config *c) {
  size_t parts = r->product ? 2 : 1, units = r->product ? sub_keys(c) : c->num_neurons;
  if (is_key_value(r))
    return (shape){parts * c->num_channels, units, (float)(1.0 / sqrt((double)(parts * c->key_dim)))};
  return (shape){1, parts * c->num_channels * units, 1.0f};
}

static sg_status dense_tensors(const sg_config *c, const char *prefix, sgi_table *t, sg_error *err) {
  size_t Q = c->key_dim, D = c->hidden_size, C = c->num_channels, S = sub_keys(c);
  bool product = !strcmp(c->router, "product_dense");
  sg_status st =
      sgi_table_add(t, prefix, "router.down.weight", SGI_DIMS(Q, D), true, SGI_INIT_LECUN, 1 / sqrt((double)D), err);
  if (st) return st;
  double sigma = 1 / sqrt((double)Q);
  return product ? sgi_table_add(t, prefix, "router.up.weight", SGI_DIMS(2, C, S, Q), true, SGI_INIT_LECUN, sigma, err)
                 : sgi_table_add(t, prefix, "router.up.weight", SGI_DIMS(C, c->num_neurons, Q), true, SGI_INIT_LECUN,
                                 sigma, err);
}

static sg_status key_tensors(const sg_config *c, const char *prefix, sgi_table *t, sg_error *err) {
  size_t Q = c->key_dim, D = c->hidden_size, C = c->num_channels, S = sub_keys(c);
  bool product = !strcmp(c->router, "product_key_value");
  double sigma = 1 / sqrt((double)D);
  sg_status st =
      product ? sgi_table_add(t, prefix, "router.query.weight", SGI_DIMS(2, C, Q, D), true, SGI_INIT_LECUN, sigma, err)
              : sgi_table_add(t, prefix, "router.query.weight", SGI_DIMS(C, Q, D), true, SGI_INIT_LECUN, sigma, err);
  if (st) return st;
  return product ? sgi_table_add(t, prefix, "router.keys", SGI_DIMS(2, C, S, Q), true, SGI_INIT_TRUNCATED, 1, err)
                 : sgi_table_add(t, prefix, "router.keys", SGI_DIMS(C, c->num_neurons, Q), true, SGI_INIT_TRUNCATED, 1,
                                 err);
}

static const sgi_router routers[] = {
    {.name = "product_dense", .product = true, .tensors = dense_tensors},
    {.name = "dense", .product = false, .tensors = dense_tensors},
    {.name = "product_key_value", .product = true, .tensors = key_tensors},
    {.name = "key_value", .product = false, .tensors = key_tensors},
};

const sgi_router *sgi_router_find(const char *name, sg_error *err) {
  const char *names[SGI_COUNT(routers)];
  for (size_t i = 0; i < SGI_COUNT(routers); i++) {
    if (!strcmp(routers[i].name, name)) return &routers[i];
    names[i] = routers[i].name;
  }
  const char *near = sgi_nearest(name, names, SGI_COUNT(names));
  sgi_fail(err, SG_ERR_ARG, "unknown router \"%s\": choose product_dense, dense, product_key_value or key_value%s%s%s",
           name, near ? " (did you mean " : "", near ? near : "", near ? "?)" : "");
  return NULL;
}

sg_status sgi_router_check(const sgi_router *r, const sg_config *c, sg_error *err) {
  size_t F = c->num_neurons, S = sub_keys(c), K = c->top_k;
  if (c->key_dim == 0) return sgi_fail(err, SG_ERR_ARG, "feedforward.key_dim is 0: a router needs at least 1");
  if (K > SGI_MAX_TOP_K) return sgi_fail(err, SG_ERR_ARG, "feedforward.top_k is %zu: at most %d", K, SGI_MAX_TOP_K);
  if (r->product && S * S != F)
    return sgi_fail(err, SG_ERR_ARG,
                    "feedforward.num_neurons is %zu: router %s needs a perfect square (near: %zu, %zu)", F, r->name,
                    S * S, (S + 1) * (S + 1));
  if (r->product && K >= S)
    return sgi_fail(err, SG_ERR_ARG, "feedforward.top_k is %zu: router %s needs top_k < sqrt(num_neurons) = %zu", K,
                    r->name, S);
  if (!r->product && K > F)
    return sgi_fail(err, SG_ERR_ARG, "feedforward.top_k is %zu: more than num_neurons = %zu", K, F);
  return SG_OK;
}

uint64_t sgi_router_multiply_adds(const sgi_router *r, const sg_config *c) {
  shape s = shape_of(r, c);
  return (uint64_t)c->key_dim * s.groups * (c->hidden_size + s.width);
}

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* Rows whose scores fill about `floats`, a multiple of the lanes, from the sizes alone. */
static size_t rows_of(size_t width, size_t n, size_t floats, size_t most) {
  size_t rows = floats / width / SGI_LANES * SGI_LANES;
  rows = rows < LEAST_ROWS ? LEAST_ROWS : least(rows, most);
  return least(rows, (n + SGI_LANES - 1) / SGI_LANES * SGI_LANES);
}
static size_t block_rows(size_t width, size_t n) { return rows_of(width, n, BLOCK_FLOATS, MOST_ROWS); }
static size_t block_bytes(size_t width, size_t n) {
  return sizeof(float) * block_rows(width, n) * width; /* rows are a multiple of the lanes: whole cache lines */
}
static size_t back_rows(size_t width, size_t n) { return rows_of(width, n, BACK_FLOATS, BACK_ROWS); }

void sgi_router_saved(const sgi_router *r, const sg_config *c, size_t n, sgi_arena *a) {
  SGI_TAKE(a, n * shape_of(r, c).groups * c->key_dim, float);
}

void sgi_router_scratch(const sgi_router *r, const sg_config *c, size_t n, bool backward, sgi_arena *a) {
  shape s = shape_of(r, c);
  size_t width = s.groups * s.width;
  size_t low_width = s.groups * c->key_dim;
  sgi_arena back = *a, down = *a;
  sgi_room_take(a, block_bytes(width, n));
  sgi_linear_scratch(n, c->hidden_size, low_width, &down);
  if (down.used > a->used) *a = down;
  if (!backward) return;
  SGI_TAKE(&back, back_rows(width, n) * width, float);
  SGI_TAKE(&back, back_rows(width, n) * low_width, float);
  sgi_linear_scratch(back_rows(width, n), c->hidden_size, low_width, &back);
  if (back.used > a->used) *a = back;
}

/* The scores of a few rows (decoding), which cost what it costs to read the weights once: u (width, rows). */
static sg_status score_few(const shape *s, float *u, const float *up, const float *low, size_t rows, size_t Q) {
  size_t width = s->groups * s->width, low_width = s->groups * Q;
  float *flat = rows == 1 ? u : u + rows * width; /* (rows, width); there is room for SGI_LANES rows */
  sg_status st = SG_OK;
  for (size_t g = 0; g < s->groups && !st; g++)
    st = sgi_gemm(false, true, rows, s->width, Q, low + g * Q, low_width, up + g * s->width * Q, Q, 0,
                  flat + g * s->width, width);
  for (size_t i = 0; i < width && rows > 1; i++)
    for (size_t j = 0; j < rows; j++) u[i * rows + j] = flat[j * width + i];
  return st;
}

/* One row's choice among pairs; what choose_pairs makes of it with one lane, but quicker. u0, u1 (S). */
static void choose_one(float *score, int32_t *index, const float *u0, const float *u1, size_t S, size_t K,
                       float scale) {
  float a[SGI_MAX_TOP_K], b[SGI_MAX_TOP_K];
  int32_t first[SGI_MAX_TOP_K], second[SGI_MAX_TOP_K];
  sgi_topk(a, first, u0, S, K);
  sgi_topk(b, second, u1, S, K);
  for (size_t k = 0; k < K; k++) {
    a[k] *= scale;
    b[k] *= scale;
  }
  sgi_topk_pairs(score, index, a, b, K);
  for (size_t k = 0; k < K; k++) index[k] = first[(size_t)index[k] / K] * (int32_t)S + second[(size_t)index[k] % K];
}

/* One block of rows, on the calling thread unless it is the only one. Product routers have u (width, rows) so that lanes are tokens; the others u
 * (rows, width), one token's units side by side. */
static sg_status choose_block(const sgi_router *r, const sg_config *c, const shape *s, bool alone, float *u,
                              const float *up, const float *low, size_t rows, float *score, int32_t *index) {
  const sgi_kernels *kern = sgi_kernel_table();
  size_t C = c->num_channels, F = c->num_neurons, K = c->top_k, S = sub_keys(c), Q = c->key_dim, CK = C * K;
  size_t low_width = s->groups * Q, width = s->groups * s->width;
  bool few = r->product && rows <= SGI_GEMV_ROWS;
  sg_status st = few ? score_few(s, u, up, low, rows, Q) : SG_OK;
  for (size_t g = 0; g < s->groups && !st && !few; g++) {
    const float *w = up + g * s->width * Q, *x = low + g * Q;
    const float *a = r->product ? w : x, *b = r->product ? x : w;
    size_t m = r->product ? s->width : rows, n = r->product ? rows : s->width, to = r->product ? rows : width;
    size_t lda = r->product ? Q : low_width, ldb = r->product ? low_width : Q;
    float *out = u + g * s->width * (r->product ? rows : 1);
    st = alone ? sgi_gemm(false, true, m, n, Q, a, lda, b, ldb, 0, out, to)
               : sgi_gemm1(false, true, m, n, Q, 1, a, lda, b, ldb, 0, out, to);
  }
  if (st) return st;
  for (size_t ch = 0; ch < C; ch++) {
    if (r->product) {
      const float *u0 = u + ch * S * rows, *u1 = u + (C + ch) * S * rows;
      if (rows == 1) choose_one(score + ch * K, index + ch * K, u0, u1, S, K, s->scale);
      for (size_t i = 0; i < rows && rows > 1; i += SGI_LANES)
        kern->choose_pairs(score + i * CK + ch * K, index + i * CK + ch * K, CK, u0 + i, u1 + i, rows,
                           least(SGI_LANES, rows - i), S, K, s->scale);
    } else {
      for (size_t i = 0; i < rows; i++) {
        float *at = score + i * CK + ch * K;
        sgi_topk(at, index + i * CK + ch * K, u + i * width + ch * F, F, K);
        for (size_t k = 0; k < K; k++) at[k] *= s->scale;
      }
    }
  }
  return SG_OK;
}

sg_status sgi_router_forward(const sgi_router *r, const sg_config *c, size_t n, sgi_arena *saved, sgi_arena scratch,
                             const float *const *w, const float *x, float *score, int32_t *index) {
  shape s = shape_of(r, c);
  size_t D = c->hidden_size, low_width = s.groups * c->key_dim, width = s.groups * s.width;
  size_t CK = c->num_channels * c->top_k, block = block_rows(width, n);
  double at = sgi_lap_begin(scratch.profile);
  float *low = SGI_TAKE(saved, n * low_width, float);
  sg_status st = sgi_linear(low, low_width, x, D, w[0], n, D, low_width, scratch);
  if (st) return st;
  sgi_lap(scratch.profile, &at, "router, down", sgi_product_flops(n, low_width, D), sgi_product_bytes(n, low_width, D));
  int threads = sgi_room_threads(&scratch, block_bytes(width, n));
  float *u = SGI_TAKE(&scratch, (size_t)threads * block * width, float);
  atomic_int worst = SG_OK;
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads) if (n > block)
  for (size_t i = 0; i < n; i += block) {
    sg_status one = choose_block(r, c, &s, n <= block, u + (size_t)omp_get_thread_num() * block * width, w[1],
                                 low + i * low_width, least(block, n - i), score + i * CK, index + i * CK);
    if (one) atomic_store(&worst, one);
  }
  sgi_lap(scratch.profile, &at, "router, scores and choice", sgi_product_flops(n, width, c->key_dim),
          4.0 * ((double)n * (double)low_width + (double)width * (double)c->key_dim + 2.0 * (double)n * (double)CK));
  return (sg_status)atomic_load(&worst);
}

/* Only the chosen scores have a gradient; a pair's goes to both of its parts. */
static void spread(const sgi_router *r, const sg_config *c, float scale, const float *dscore, const int32_t *index,
                   float *du) {
  size_t C = c->num_channels, F = c->num_neurons, K = c->top_k, S = sub_keys(c);
  for (size_t ch = 0; ch < C; ch++)
    for (size_t k = 0; k < K; k++) {
      size_t unit = (size_t)index[ch * K + k];
      float d = scale * dscore[ch * K + k];
      if (r->product) {
        du[ch * S + unit / S] += d;
        du[(C + ch) * S + unit % S] += d;
      } else {
        du[ch * F + unit] += d;
      }
    }
}

sg_status sgi_router_backward(const sgi_router *r, const sg_config *c, size_t n, sgi_arena *saved, sgi_arena scratch,
                              const float *const *w, float *const *dw, const float *x, const int32_t *index,
                              const float *dscore, float *dx) {
  shape s = shape_of(r, c);
  size_t Q = c->key_dim, D = c->hidden_size, low_width = s.groups * Q, width = s.groups * s.width;
  size_t CK = c->num_channels * c->top_k, block = back_rows(width, n);
  double began = sgi_lap_begin(scratch.profile);
  const float *low = SGI_TAKE(saved, n * low_width, float);
  float *du = SGI_TAKE(&scratch, block * width, float);
  float *dlow = SGI_TAKE(&scratch, block * low_width, float);
  sg_status st = SG_OK;
  for (size_t i = 0; i < n && !st; i += block) {
    size_t rows = least(block, n - i);
#pragma omp parallel for schedule(static) if (rows > 8)
    for (size_t j = 0; j < rows; j++) {
      memset(du + j * width, 0, width * sizeof *du);
      spread(r, c, s.scale, dscore + (i + j) * CK, index + (i + j) * CK, du + j * width);
    }
    for (size_t g = 0; g < s.groups && !st; g++) {
      const float *dug = du + g * s.width;
      const size_t at = g * s.width * Q;
      st =
          sgi_gemm(true, false, s.width, Q, rows, dug, width, low + i * low_width + g * Q, low_width, 1, dw[1] + at, Q);
      if (!st) st = sgi_gemm(false, false, rows, Q, s.width, dug, width, w[1] + at, Q, 0, dlow + g * Q, low_width);
    }
    if (!st) st = sgi_linear_dw(dw[0], dlow, low_width, x + i * D, D, rows, D, low_width);
    if (!st) st = sgi_linear_dx(dx + i * D, D, dlow, low_width, w[0], rows, D, low_width, 1, scratch);
  }
  sgi_lap(scratch.profile, &began, "router backward",
          2 * sgi_product_flops(n, width, Q) + 2 * sgi_product_flops(n, low_width, D),
          2 * sgi_product_bytes(n, width, Q) + 2 * sgi_product_bytes(n, low_width, D));
  return st;
}

void sgi_router_routes(const sgi_router *r, const sg_config *c, sgi_routes *out) {
  *out = (sgi_routes){c->num_channels, r->product ? 2 : 1, r->product ? sub_keys(c) : c->num_neurons, c->top_k};
}

/* Row f of part p is scale * w1[group, f] w0[group]: the down map is shared by all, or each part and channel has its own query. */
sg_status sgi_router_rows(const sgi_router *r, const sg_config *c, const float *const *w, size_t channel, float *rows) {
  shape s = shape_of(r, c);
  sgi_routes t;
  sgi_router_routes(r, c, &t);
  size_t Q = c->key_dim, D = c->hidden_size;
  sg_status st = SG_OK;
  for (size_t p = 0; p < t.parts && !st; p++) {
    size_t at = p * c->num_channels + channel;
    const float *up = w[1] + at * t.units * Q, *down = w[0] + (s.groups == 1 ? 0 : at * Q * D);
    st = sgi_gemm(false, false, t.units, D, Q, up, Q, down, D, 0, rows + p * t.units * D, D);
  }
  sgi_kernel_table()->scale(rows, s.scale, t.parts * t.units * D);
  return st;
}
