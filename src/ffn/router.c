#include "ffn/router.h"

#include <math.h>
#include <string.h>

#include "math/gemm.h"
#include "math/kernels.h"
#include "math/topk.h"

/* All four are one computation: low (n, G*Q) = x w0^T, scores (n, G, width) = low_g w1_g^T, times a scale; the
 * kinds differ in the number of groups G and in whether a channel's units are single (width F) or pairs of
 * sub-keys (two lists of S). Rows are taken in blocks so that scores of all units never exist for a whole batch. */
enum { BLOCK = 256 };

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

static size_t block_rows(size_t n) { return n < BLOCK ? n : BLOCK; }

void sgi_router_saved(const sgi_router *r, const sg_config *c, size_t n, sgi_arena *a) {
  SGI_TAKE(a, n * shape_of(r, c).groups * c->key_dim, float);
}

void sgi_router_scratch(const sgi_router *r, const sg_config *c, size_t n, bool backward, sgi_arena *a) {
  shape s = shape_of(r, c);
  SGI_TAKE(a, block_rows(n) * s.groups * s.width, float);
  if (backward) SGI_TAKE(a, block_rows(n) * s.groups * c->key_dim, float);
}

static void choose(const sgi_router *r, const sg_config *c, float scale, const float *u, float *score, int32_t *index) {
  size_t C = c->num_channels, F = c->num_neurons, K = c->top_k, S = sub_keys(c);
  for (size_t ch = 0; ch < C; ch++, score += K, index += K) {
    if (!r->product) {
      sgi_topk(score, index, u + ch * F, F, K);
      for (size_t k = 0; k < K; k++) score[k] *= scale;
      continue;
    }
    float value[2][SGI_MAX_TOP_K];
    int32_t key[2][SGI_MAX_TOP_K];
    for (size_t p = 0; p < 2; p++) {
      sgi_topk(value[p], key[p], u + (p * C + ch) * S, S, K);
      for (size_t k = 0; k < K; k++) value[p][k] *= scale;
    }
    sgi_topk_pairs(score, index, value[0], value[1], K);
    for (size_t k = 0; k < K; k++) {
      size_t pair = (size_t)index[k];
      index[k] = key[0][pair / K] * (int32_t)S + key[1][pair % K];
    }
  }
}

sg_status sgi_router_forward(const sgi_router *r, const sg_config *c, size_t n, sgi_arena *saved, sgi_arena scratch,
                             const float *const *w, const float *x, float *score, int32_t *index) {
  shape s = shape_of(r, c);
  size_t Q = c->key_dim, low_width = s.groups * Q, width = s.groups * s.width, CK = c->num_channels * c->top_k;
  float *low = SGI_TAKE(saved, n * low_width, float);
  float *u = SGI_TAKE(&scratch, block_rows(n) * width, float);
  sg_status st = sgi_linear(low, x, w[0], n, c->hidden_size, low_width);
  for (size_t i = 0; i < n && !st; i += BLOCK) {
    size_t rows = n - i < BLOCK ? n - i : BLOCK;
    for (size_t g = 0; g < s.groups && !st; g++)
      st = sgi_gemm(false, true, rows, s.width, Q, low + i * low_width + g * Q, low_width, w[1] + g * s.width * Q, Q, 0,
                    u + g * s.width, width);
#pragma omp parallel for schedule(static) if (rows > 8)
    for (size_t j = 0; j < rows; j++) choose(r, c, s.scale, u + j * width, score + (i + j) * CK, index + (i + j) * CK);
  }
  return st;
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
  size_t CK = c->num_channels * c->top_k;
  const float *low = SGI_TAKE(saved, n * low_width, float);
  float *du = SGI_TAKE(&scratch, block_rows(n) * width, float);
  float *dlow = SGI_TAKE(&scratch, block_rows(n) * low_width, float);
  sg_status st = SG_OK;
  for (size_t i = 0; i < n && !st; i += BLOCK) {
    size_t rows = n - i < BLOCK ? n - i : BLOCK;
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
    if (!st) st = sgi_linear_dw(dw[0], dlow, x + i * D, rows, D, low_width);
    if (!st) st = sgi_linear_dx(dx + i * D, dlow, w[0], rows, D, low_width, 1);
  }
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
