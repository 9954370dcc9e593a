/* machine.c: what this machine computes, against plain loops in double on the same numbers. The
 * bound is that of the tests: 1e-5 of the sum of absolute terms. */
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <string.h>

#include "check/inside.h"
#include "core/arena.h"
#include "core/rng.h"
#include "math/gemm.h"
#include "math/kernels.h"
#include "math/topk.h"

static const double BOUND = 1e-5;
enum { N = 257, ROWS = 7, M = 96, KK = 130, STREAM = 77 }; /* odd sizes: tails of vectors and tiles */

typedef struct numbers {
  float a[N], b[N], y[N], z[N];
  double worst; /* error / (BOUND * scale) so far */
} numbers;

static void fill(float *x, size_t n, uint64_t which, double spread) {
  sgi_rng r = sgi_rng_make(which, STREAM, 0);
  for (size_t i = 0; i < n; i++) x[i] = (float)(spread * (2 * sgi_rng_uniform(&r) - 1));
}

static void compare(numbers *x, double got, double want, double scale) {
  double error = fabs(got - want) / (BOUND * (scale + 1e-30));
  x->worst = isfinite(got) ? fmax(x->worst, error) : INFINITY;
}

/* ---- one kernel each ------------------------------------------------------------------------- */

static void check_dot(const sgi_kernels *k, numbers *x) {
  double dot = 0, squares = 0, scale = 0;
  for (size_t i = 0; i < N; i++) {
    dot += (double)x->a[i] * (double)x->b[i];
    scale += fabs((double)x->a[i] * (double)x->b[i]);
    squares += (double)x->a[i] * (double)x->a[i];
  }
  compare(x, (double)k->dot(x->a, x->b, N), dot, scale);
  compare(x, k->sum_squares(x->a, N), squares, squares);
}

static void check_gather(const sgi_kernels *k, numbers *x) {
  enum { D = N / ROWS };
  const int32_t index[4] = {3, 0, ROWS - 1, 3};
  const float coef[4] = {0.5f, -1, 2, 0.25f};
  float out[4];
  double want[D];
  k->gather_dot(out, x->a, index, 4, x->b, D);
  for (size_t d = 0; d < D; d++) want[d] = (double)(x->y[d] = x->b[d]);
  k->gather_axpy(x->y, x->a, index, coef, 4, D);
  for (size_t j = 0; j < 4; j++) {
    double sum = 0, scale = 0;
    for (size_t d = 0; d < D; d++) {
      double w = (double)x->a[(size_t)index[j] * D + d];
      sum += w * (double)x->b[d];
      scale += fabs(w * (double)x->b[d]);
      want[d] += (double)coef[j] * w;
    }
    compare(x, (double)out[j], sum, scale);
  }
  for (size_t d = 0; d < D; d++) compare(x, (double)x->y[d], want[d], 4);
}

static void check_norm(const sgi_kernels *k, numbers *x) {
  enum { D = N / ROWS };
  float r[ROWS];
  k->rmsnorm(x->y, r, x->a, x->b, ROWS, D, 1e-6f);
  for (size_t i = 0; i < ROWS; i++) {
    double sum = 0;
    for (size_t d = 0; d < D; d++) sum += (double)x->a[i * D + d] * (double)x->a[i * D + d];
    double want = 1 / sqrt(sum / D + 1e-6);
    compare(x, (double)r[i], want, want);
    for (size_t d = 0; d < D; d++)
      compare(x, (double)x->y[i * D + d], (double)x->a[i * D + d] * want * (double)x->b[d], 1);
  }
}

static double gelu(double v) { return 0.5 * v * (1 + tanh(sqrt(2 / M_PI) * (v + 0.044715 * v * v * v))); }

static void check_activations(const sgi_kernels *k, numbers *x) {
  k->gelu(x->y, x->a, N);
  k->swish(x->z, x->a, N);
  for (size_t i = 0; i < N; i++) {
    double v = (double)x->a[i];
    compare(x, (double)x->y[i], gelu(v), fmin(fabs(v), 1));
    compare(x, (double)x->z[i], v / (1 + exp(-v)), fmin(fabs(v), 1));
  }
  k->relu(x->y, x->a, N);
  for (size_t i = 0; i < N; i++) compare(x, (double)x->y[i], fmax((double)x->a[i], 0), 1e-30);
}

static void check_softmax(const sgi_kernels *k, numbers *x) {
  float max;
  double top = -INFINITY, sum = 0;
  memcpy(x->y, x->a, sizeof x->y);
  double got = (double)k->softmax_exp(x->y, N, 0.5f, &max);
  for (size_t i = 0; i < N; i++) top = fmax(top, 0.5 * (double)x->a[i]);
  for (size_t i = 0; i < N; i++) sum += exp(0.5 * (double)x->a[i] - top);
  compare(x, (double)max, top, 1 + fabs(top));
  compare(x, got, sum, sum);
  for (size_t i = 0; i < N; i++) compare(x, (double)x->y[i], exp(0.5 * (double)x->a[i] - top), 1);
}

static void check_adamw(const sgi_kernels *k, numbers *x) {
  float w[N], g[N], m[N], v[N];
  memcpy(w, x->a, sizeof w);
  memcpy(g, x->b, sizeof g);
  for (size_t i = 0; i < N; i++) m[i] = 0.1f * x->b[N - 1 - i], v[i] = 0.01f * x->a[i] * x->a[i];
  double m0[N], v0[N];
  for (size_t i = 0; i < N; i++) m0[i] = (double)m[i], v0[i] = (double)v[i];
  sgi_adamw_step step = {.grad_scale = 0.5f,
                         .lr = 0.01f,
                         .decay = 0.1f,
                         .bias1 = 10.0f,
                         .bias2 = 1000.0f,
                         .beta1 = 0.9f,
                         .beta2 = 0.999f,
                         .eps = 1e-8f};
  k->adamw(w, g, m, v, N, &step);
  for (size_t i = 0; i < N; i++) {
    double gi = 0.5 * (double)x->b[i], b1 = (double)0.9f, b2 = (double)0.999f;
    double mi = b1 * m0[i] + (1 - b1) * gi, vi = b2 * v0[i] + (1 - b2) * gi * gi, w0 = (double)x->a[i];
    double want = w0 - (double)0.01f * (mi * 10 / (sqrt(vi * 1000) + 1e-8) + (double)0.1f * w0);
    compare(x, (double)w[i], want, 1 + fabs(w0));
    compare(x, (double)g[i], 0, 1e-30);
  }
}

static void check_topk(const sgi_kernels *k, numbers *x) {
  enum { TOP = 8 };
  float value[TOP];
  int32_t index[TOP];
  (void)k;                                                      /* uses the table in use */
  for (size_t i = 0; i < N; i++) x->y[i] = floorf(4 * x->a[i]); /* many ties: the lower index first */
  sgi_topk(value, index, x->y, N, TOP);
  bool taken[N] = {false};
  for (size_t j = 0; j < TOP; j++) {
    size_t best = N;
    for (size_t i = 0; i < N; i++)
      if (!taken[i] && (best == N || x->y[i] > x->y[best])) best = i;
    taken[best] = true;
    compare(x, (double)index[j], (double)best, 1e-30);
    compare(x, (double)value[j], (double)x->y[best], 1e-30);
  }
}

/* ---- products -------------------------------------------------------------------------------- */

/* c (M,N) = a (M,KK) b (KK,N) by oneDNN, twice: with one thread and with all; the bits are the
 * same. */
static sg_status check_product(sgi_checks *checks, sg_error *err) {
  float *a = sgi_alloc(M * KK * sizeof *a), *b = sgi_alloc(KK * N * sizeof *b), *c = sgi_alloc(2 * M * N * sizeof *c);
  sg_status st = a && b && c ? SG_OK : sgi_fail_memory(err, M * N * sizeof *c, "a product");
  numbers x = {.worst = 0};
  int threads = omp_get_max_threads();
  if (!st) {
    fill(a, M * KK, 11, 1);
    fill(b, KK * N, 12, 1);
    omp_set_num_threads(1);
    st = sgi_gemm(false, false, M, N, KK, a, KK, b, N, 0, c, N);
    omp_set_num_threads(threads > 1 ? threads : 2);
    if (!st) st = sgi_gemm(false, false, M, N, KK, a, KK, b, N, 0, c + M * N, N);
    omp_set_num_threads(threads);
    if (st) sgi_fail(err, st, "a matrix product failed");
  }
  for (size_t i = 0; i < M && !st; i++)
    for (size_t j = 0; j < N; j++) {
      double sum = 0, scale = 0;
      for (size_t p = 0; p < KK; p++) {
        sum += (double)a[i * KK + p] * (double)b[p * N + j];
        scale += fabs((double)a[i * KK + p] * (double)b[p * N + j]);
      }
      compare(&x, (double)c[i * N + j], sum, scale);
    }
  bool same = !st && !memcmp(c, c + M * N, M * N * sizeof *c);
  if (!st)
    sgi_checks_say(checks, "oneDNN", "product", x.worst <= 1 && same ? SG_OK : SG_ERR_NUMERIC,
                   "%d x %d x %d: largest error %.2g of the bound; %s", M, N, KK, x.worst,
                   same ? "one thread and more give the same bits" : "one thread and more give other bits");
  sgi_free(a);
  sgi_free(b);
  sgi_free(c);
  return st;
}

void sgi_check_kernels(sgi_checks *c, const sgi_kernels *k) {
  static const struct {
    const char *name;
    void (*check)(const sgi_kernels *k, numbers *x);
  } all[] = {{"dot products", check_dot}, {"gathered rows", check_gather},
             {"norms", check_norm},       {"activations", check_activations},
             {"softmax", check_softmax},  {"AdamW", check_adamw},
             {"top-K", check_topk}};
  bool in_use = k == sgi_kernel_table();
  for (size_t i = 0; i < SGI_COUNT(all); i++) {
    numbers x = {.worst = 0};
    if (all[i].check == check_topk && !in_use) continue;
    fill(x.a, N, 1 + i, 3);
    fill(x.b, N, 21 + i, 1);
    all[i].check(k, &x);
    sgi_checks_say(c, k->isa, all[i].name, x.worst <= 1 ? SG_OK : SG_ERR_NUMERIC, "largest error %.2g of the bound%s",
                   x.worst, in_use ? " (in use)" : "");
  }
}

sg_status sgi_check_machine(sgi_checks *c, sg_error *err) {
  for (size_t t = 0; sgi_kernel_table_at(t); t++) sgi_check_kernels(c, sgi_kernel_table_at(t));
  return check_product(c, err);
}
