/* kernels_impl.h: bodies of kernels.h, included once per instruction set after its target pragma.
 * Plain loops that the compiler vectorises; every reduction that may be reordered says so. */
#include <string.h>

#include "core/half.h"
#include "core/rng.h"
#include "math/kernels.h"
#include "math/quantise.h"

/* 2^n * e^f with |f| <= ln2/2; e^f = 1 + f + f^2 p(f) with p of degree 3, fitted to the least
 * relative error, 1.1e-7. x is where float does not end: above -87.33, below 88.37. */
static inline float exp_within(float x) {
  float z = x * 1.44269504f + 12582912.0f; /* 1.5 * 2^23: rounds to the nearest integer */
  float n = z - 12582912.0f;
  float f = x - n * 0.693359375f + n * 2.12194440e-4f;
  float p = 8.312430299e-3f;
  p = p * f + 4.189098921e-2f;
  p = p * f + 1.666711818e-1f;
  p = p * f + 4.999922584e-1f;
  p = p * f * f + f + 1.0f;
  uint32_t e; /* n stands in the low bits of z; taken from there it is defined for NaN, too */
  memcpy(&e, &z, sizeof e);
  e = (e - UINT32_C(0x4B400000) + 127) << 23;
  float s;
  memcpy(&s, &e, sizeof s);
  return p * s;
}

/* Of what is not above 0 but by rounding: differences to a maximum. */
static inline float exp_below(float x) { return exp_within(x < -87.33f ? -87.33f : x); }
static inline float exp_approx(float x) { return exp_below(x > 88.37f ? 88.37f : x); }

static inline float sigmoid_approx(float x) { return 1.0f / (1.0f + exp_approx(-x)); }

/* Registers: the accumulators, one row of B, one element of A. */
#if defined(__AVX512F__)
enum { VECTOR = 16, TILE_ROWS = 12, VECTORS = 2 };
#elif defined(__AVX2__)
enum { VECTOR = 8, TILE_ROWS = 6, VECTORS = 2 };
#else
enum { VECTOR = 4, TILE_ROWS = 4, VECTORS = 2 };
#endif
enum { TILE_COLUMNS = VECTOR * VECTORS };
typedef float vector __attribute__((vector_size(VECTOR * sizeof(float)), aligned(4), may_alias));

#define INLINE static inline __attribute__((always_inline))

/* rows and ta are constants where this is inlined. */
INLINE void tile_product(const size_t rows, const bool ta, size_t k, const float *a, size_t lda, const float *b,
                         size_t ldb, float *c, size_t ldc, bool add) {
  vector sum[TILE_ROWS][VECTORS];
#pragma GCC unroll 12
  for (size_t r = 0; r < rows; r++)
#pragma GCC unroll 2
    for (size_t j = 0; j < VECTORS; j++) sum[r][j] = add ? *(const vector *)(c + r * ldc + j * VECTOR) : (vector){0};
  for (size_t p = 0; p < k; p++) {
    vector b0 = *(const vector *)(b + p * ldb), b1 = *(const vector *)(b + p * ldb + VECTOR);
#pragma GCC unroll 12
    for (size_t r = 0; r < rows; r++) {
      float x = ta ? a[p * lda + r] : a[r * lda + p];
      sum[r][0] += x * b0;
      sum[r][1] += x * b1;
    }
  }
#pragma GCC unroll 12
  for (size_t r = 0; r < rows; r++)
#pragma GCC unroll 2
    for (size_t j = 0; j < VECTORS; j++) *(vector *)(c + r * ldc + j * VECTOR) = sum[r][j];
}

/* One tile at the right edge: through a tile of its own, so that nothing past column n is
 * written. */
INLINE void edge_product(const size_t rows, const bool ta, size_t n, size_t k, const float *a, size_t lda,
                         const float *b, size_t ldb, float *c, size_t ldc, bool add) {
  float tile[TILE_ROWS * TILE_COLUMNS];
  tile_product(rows, ta, k, a, lda, b, ldb, tile, TILE_COLUMNS, false);
  for (size_t r = 0; r < rows; r++)
    for (size_t j = 0; j < n; j++) c[r * ldc + j] = tile[r * TILE_COLUMNS + j] + (add ? c[r * ldc + j] : 0);
}

INLINE void panel_product(const bool ta, size_t m, size_t n, size_t k, const float *a, size_t lda, const float *b,
                          size_t ldb, float *c, size_t ldc, bool add) {
  size_t i = 0, step = ta ? 1 : lda; /* from one row of op(A) to the next */
  for (; i + TILE_ROWS <= m; i += TILE_ROWS)
    if (n >= TILE_COLUMNS)
      tile_product(TILE_ROWS, ta, k, a + i * step, lda, b, ldb, c + i * ldc, ldc, add);
    else
      edge_product(TILE_ROWS, ta, n, k, a + i * step, lda, b, ldb, c + i * ldc, ldc, add);
  for (; i + 4 <= m; i += 4)
    if (n >= TILE_COLUMNS)
      tile_product(4, ta, k, a + i * step, lda, b, ldb, c + i * ldc, ldc, add);
    else
      edge_product(4, ta, n, k, a + i * step, lda, b, ldb, c + i * ldc, ldc, add);
  for (; i < m; i++)
    if (n >= TILE_COLUMNS)
      tile_product(1, ta, k, a + i * step, lda, b, ldb, c + i * ldc, ldc, add);
    else
      edge_product(1, ta, n, k, a + i * step, lda, b, ldb, c + i * ldc, ldc, add);
}

static void block_product(bool ta, size_t m, size_t n, size_t k, const float *a, size_t lda, const float *b, size_t ldb,
                          size_t panel, float *c, size_t ldc, bool add) {
  for (size_t j = 0; j < n; j += TILE_COLUMNS, b += panel)
    if (ta)
      panel_product(true, m, n - j, k, a, lda, b, ldb, c + j, ldc, add);
    else
      panel_product(false, m, n - j, k, a, lda, b, ldb, c + j, ldc, add);
}

static float dot(const float *a, const float *b, size_t n) {
  float s = 0;
#pragma omp simd reduction(+ : s)
  for (size_t i = 0; i < n; i++) s += a[i] * b[i];
  return s;
}

static void rmsnorm(float *y, float *r, const float *x, const float *g, size_t n, size_t D, float eps) {
  for (size_t i = 0; i < n; i++) {
    const float *xi = x + i * D;
    float *yi = y + i * D;
    float ri = 1.0f / __builtin_sqrtf(dot(xi, xi, D) / (float)D + eps);
    r[i] = ri;
#pragma omp simd
    for (size_t d = 0; d < D; d++) yi[d] = xi[d] * (ri * g[d]);
  }
}

/* y = x r g, r = (mean x^2 + eps)^-1/2. With t = dy g: dx = r t - x r^3 mean(x t); dg = sum over
 * rows of dy x r. */
static void rmsnorm_backward(float *dx, float *restrict dg, const float *dy, const float *x, const float *r,
                             const float *g, size_t n, size_t D, bool add) {
  for (size_t i = 0; i < n; i++) {
    const float *xi = x + i * D, *dyi = dy + i * D;
    float *dxi = dx + i * D;
    float ri = r[i], s = 0;
#pragma omp simd reduction(+ : s)
    for (size_t d = 0; d < D; d++) s += dyi[d] * g[d] * xi[d];
    float a = s * ri * ri * ri / (float)D;
#pragma omp simd
    for (size_t d = 0; d < D; d++) dg[d] += dyi[d] * xi[d] * ri;
    if (add) {
#pragma omp simd
      for (size_t d = 0; d < D; d++) dxi[d] += ri * dyi[d] * g[d] - a * xi[d];
    } else {
#pragma omp simd
      for (size_t d = 0; d < D; d++) dxi[d] = ri * dyi[d] * g[d] - a * xi[d];
    }
  }
}

#define GELU_A 0.7978845608f /* sqrt(2/pi) */
#define GELU_B 0.044715f

/* (1 + tanh u) / 2 = 1 / (1 + e^-2u): no difference of nearly equal numbers anywhere. */
static inline float gelu_gate(float x) { return sigmoid_approx(2.0f * GELU_A * (x + GELU_B * x * x * x)); }

static void gelu(float *y, const float *x, size_t n) {
#pragma omp simd
  for (size_t i = 0; i < n; i++) y[i] = x[i] * gelu_gate(x[i]);
}

static void gelu_backward(float *dx, const float *dy, const float *x, size_t n) {
#pragma omp simd
  for (size_t i = 0; i < n; i++) {
    float v = x[i], s = gelu_gate(v);
    dx[i] = dy[i] * (s + 2.0f * GELU_A * v * s * (1.0f - s) * (1.0f + 3.0f * GELU_B * v * v));
  }
}

static void swish(float *y, const float *x, size_t n) {
#pragma omp simd
  for (size_t i = 0; i < n; i++) y[i] = x[i] * sigmoid_approx(x[i]);
}

static void swish_backward(float *dx, const float *dy, const float *x, size_t n) {
#pragma omp simd
  for (size_t i = 0; i < n; i++) {
    float s = sigmoid_approx(x[i]);
    dx[i] = dy[i] * (s + x[i] * s * (1.0f - s));
  }
}

static void relu(float *y, const float *x, size_t n) {
#pragma omp simd
  for (size_t i = 0; i < n; i++) y[i] = x[i] > 0 ? x[i] : 0.0f;
}

static void relu_backward(float *dx, const float *dy, const float *x, size_t n) {
#pragma omp simd
  for (size_t i = 0; i < n; i++) dx[i] = x[i] > 0 ? dy[i] : 0.0f;
}

#define GLU_LIMIT 7.0f
#define GLU_SLOPE 1.702f

static void glu(float *h, float *u, const float *bias, size_t n, size_t F) {
  for (size_t i = 0; i < n; i++) {
    float *ug = u + i * 2 * F, *ul = ug + F, *hi = h + i * F;
#pragma omp simd
    for (size_t f = 0; f < F; f++) {
      float a = ug[f] + bias[f], b = ul[f] + bias[F + f];
      ug[f] = a;
      ul[f] = b;
      a = a > GLU_LIMIT ? GLU_LIMIT : a;
      b = b > GLU_LIMIT ? GLU_LIMIT : b < -GLU_LIMIT ? -GLU_LIMIT : b;
      hi[f] = a * sigmoid_approx(GLU_SLOPE * a) * (b + 1.0f);
    }
  }
}

static void glu_backward(float *du, const float *dh, const float *u, size_t n, size_t F) {
  for (size_t i = 0; i < n; i++) {
    const float *ug = u + i * 2 * F, *ul = ug + F, *dhi = dh + i * F;
    float *dg = du + i * 2 * F, *dl = dg + F;
#pragma omp simd
    for (size_t f = 0; f < F; f++) {
      float a = ug[f] > GLU_LIMIT ? GLU_LIMIT : ug[f];
      float b = ul[f] > GLU_LIMIT ? GLU_LIMIT : ul[f] < -GLU_LIMIT ? -GLU_LIMIT : ul[f];
      float s = sigmoid_approx(GLU_SLOPE * a), d = dhi[f];
      float da = d * (b + 1.0f) * (s + a * GLU_SLOPE * s * (1.0f - s)), db = d * a * s;
      dg[f] = ug[f] > GLU_LIMIT ? 0.0f : da;
      dl[f] = ul[f] > GLU_LIMIT || ul[f] < -GLU_LIMIT ? 0.0f : db;
    }
  }
}

/* Four maxima side by side: one alone would wait for itself. */
static float largest(const float *s, size_t n) {
  size_t q = n / 4;
  const float *s1 = s + q, *s2 = s1 + q, *s3 = s2 + q;
  float m = s[0], m1 = m, m2 = m, m3 = m;
#pragma omp simd reduction(max : m, m1, m2, m3)
  for (size_t i = 0; i < q; i++) {
    m = s[i] > m ? s[i] : m;
    m1 = s1[i] > m1 ? s1[i] : m1;
    m2 = s2[i] > m2 ? s2[i] : m2;
    m3 = s3[i] > m3 ? s3[i] : m3;
  }
  for (size_t i = 4 * q; i < n; i++) m = s[i] > m ? s[i] : m;
  m = m1 > m ? m1 : m;
  m = m2 > m ? m2 : m;
  return m3 > m ? m3 : m;
}

static float softmax_exp(float *s, size_t n, float factor, float *max) {
  float shift = largest(s, n) * factor, sum = 0;
#pragma omp simd reduction(+ : sum)
  for (size_t i = 0; i < n; i++) {
    float e = exp_below(s[i] * factor - shift);
    s[i] = e;
    sum += e;
  }
  *max = shift;
  return sum;
}

static float exp_sum(const float *s, size_t n, float shift) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (size_t i = 0; i < n; i++) sum += exp_below(s[i] - shift);
  return sum;
}

static void exp_shift(float *s, size_t n, float factor, float shift) {
#pragma omp simd
  for (size_t i = 0; i < n; i++) s[i] = exp_approx(s[i] * factor - shift);
}

static void scale(float *x, float a, size_t n) {
#pragma omp simd
  for (size_t i = 0; i < n; i++) x[i] *= a;
}

static void add(float *y, const float *x, size_t n) {
#pragma omp simd
  for (size_t i = 0; i < n; i++) y[i] += x[i];
}

static void sum(float *z, const float *x, const float *y, size_t n) {
#pragma omp simd
  for (size_t i = 0; i < n; i++) z[i] = x[i] + y[i];
}

static size_t argmax(const float *x, size_t n) {
  float m = largest(x, n);
  size_t at = 0;
  for (; at + 64 <= n; at += 64) {
    int any = 0;
#pragma omp simd reduction(| : any)
    for (size_t l = 0; l < 64; l++) any |= x[at + l] == m;
    if (any) break;
  }
  for (; at < n; at++)
    if (x[at] == m) return at;
  return 0;
}

static double sum_squares(const float *x, size_t n) {
  double s = 0;
#pragma omp simd reduction(+ : s)
  for (size_t i = 0; i < n; i++) s += (double)x[i] * (double)x[i];
  return s;
}

static void adamw(float *w, float *g, float *m, float *v, size_t n, const sgi_adamw_step *s) {
  const float grad_scale = s->grad_scale, lr = s->lr, decay = s->decay, bias1 = s->bias1, bias2 = s->bias2;
  const float beta1 = s->beta1, beta2 = s->beta2, eps = s->eps;
#pragma omp simd
  for (size_t i = 0; i < n; i++) {
    float gi = g[i] * grad_scale;
    float mi = beta1 * m[i] + (1.0f - beta1) * gi;
    float vi = beta2 * v[i] + (1.0f - beta2) * (gi * gi);
    m[i] = mi;
    v[i] = vi;
    g[i] = 0;
    w[i] -= lr * (mi * bias1 / (__builtin_sqrtf(vi * bias2) + eps) + decay * w[i]);
  }
}

#include "math/kernels_gather.h"
#include "math/kernels_gates.h"
#include "math/kernels_int4.h"
#include "math/kernels_route.h"
#include "math/kernels_stored.h"
#include "math/kernels_digits.h"

const sgi_kernels SGI_KERNELS_NAME = {
    .isa = SGI_KERNELS_ISA,
    .tile_rows = TILE_ROWS,
    .tile_columns = TILE_COLUMNS,
    .block_product = block_product,
    .dot = dot,
    .fetch_rows = fetch_rows,
    .gather_dot = gather_dot,
    .gather_axpy = gather_axpy,
    .rmsnorm = rmsnorm,
    .rmsnorm_backward = rmsnorm_backward,
    .gelu = gelu,
    .swish = swish,
    .relu = relu,
    .gelu_backward = gelu_backward,
    .swish_backward = swish_backward,
    .relu_backward = relu_backward,
    .glu = glu,
    .glu_backward = glu_backward,
    .softmax_exp = softmax_exp,
    .exp_sum = exp_sum,
    .exp_shift = exp_shift,
    .scale = scale,
    .add = add,
    .sum = sum,
    .gates = gates,
    .lift = lift,
    .drop = drop,
    .weigh = weigh,
    .choose_pairs = choose_pairs,
    .skip_small = skip_small,
    .argmax = argmax,
    .sum_squares = sum_squares,
    .adamw = adamw,
    .int4_row = int4_row,
    .stored = {[SGI_STORED_BF16] = {dot_bf16, axpy_bf16, decode_bf16},
               [SGI_STORED_F16] = {dot_f16, axpy_f16, decode_f16},
               [SGI_STORED_INT8] = {dot_int8, axpy_int8, decode_int8},
               [SGI_STORED_INT4] = {dot_int4, axpy_int4, decode_int4}},
    .digits = digits,
    .gather_dot_bf16 = gather_dot_bf16,
    .gather_axpy_bf16 = gather_axpy_bf16,
    .round_bf16 = round_bf16,
    .to_bf16 = to_bf16,
};
