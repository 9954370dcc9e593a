/* The kernels of every instruction set this processor has, and top-K, against plain loops in
 * double. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/arena.h"
#include "math/kernels.h"
#include "math/rows.h"
#include "math/topk.h"
#include "ref/ref.h"

static const double BOUND = 1e-5;
static const size_t sizes[] = {1, 2, 3, 7, 16, 17, 33, 64, 100, 257};

enum { MOST = 300 };

static void near(const sgi_kernels *k, const char *what, double a, double b, double scale) {
  if (!(fabs(a - b) <= BOUND * scale)) fail_msg("%s, %s: %.9g, expected %.9g", k->isa, what, a, b);
}

/* Calls use with every table and size. */
static void each(void (*use)(const sgi_kernels *k, size_t n)) {
  const sgi_kernels *k;
  for (size_t i = 0; (k = sgi_kernel_table_at(i)); i++)
    for (size_t s = 0; s < SGI_COUNT(sizes); s++) use(k, sizes[s]);
}

static void check_sums(const sgi_kernels *k, size_t n) {
  float a[MOST], b[MOST];
  ref_random r = {.state = n};
  ref_fill(&r, a, n, 0, 1);
  ref_fill(&r, b, n, 0, 1);
  double sum = 0, squares = 0;
  for (size_t i = 0; i < n; i++) {
    sum += (double)a[i] * (double)b[i];
    squares += (double)a[i] * (double)a[i];
  }
  float both[MOST];
  k->sum(both, a, b, n);
  for (size_t i = 0; i < n; i++) assert_true(both[i] == a[i] + b[i]);
  near(k, "dot", (double)k->dot(a, b, n), sum, sqrt((double)n));
  near(k, "sum of squares", k->sum_squares(a, n), squares, 1e-5 * squares);
  float scaled[MOST], added[MOST];
  memcpy(scaled, a, sizeof a);
  memcpy(added, a, sizeof a);
  k->scale(scaled, -1.5f, n);
  k->add(added, b, n);
  for (size_t i = 0; i < n; i++) assert_true(scaled[i] == -1.5f * a[i] && added[i] == a[i] + b[i]);
}

static void sums(void **state) {
  (void)state;
  each(check_sums);
}

/* D = n; rows are taken more than once. */
static void check_gather(const sgi_kernels *k, size_t n) {
  enum { ROWS = 5 };
  float w[ROWS * MOST], x[MOST], y[MOST], out[9], coef[9];
  ref_random r = {.state = n};
  ref_fill(&r, w, ROWS * n, 0, 1);
  ref_fill(&r, x, n, 0, 1);
  ref_fill(&r, coef, 9, 0, 1);
  int32_t index[9];
  for (size_t j = 0; j < 9; j++) index[j] = (int32_t)ref_below(&r, ROWS);
  for (size_t count = 1; count <= 9; count++) {
    ref_fill(&r, y, n, 0, 1);
    double *want = ref_doubles(y, n);
    k->fetch_rows(w, index, count, n); /* changes nothing but speed */
    k->gather_dot(out, w, index, count, x, n);
    k->gather_axpy(y, w, index, coef, count, n);
    for (size_t j = 0; j < count; j++) {
      double sum = 0;
      for (size_t d = 0; d < n; d++) {
        double v = (double)w[(size_t)index[j] * n + d];
        sum += v * (double)x[d];
        want[d] += (double)coef[j] * v;
      }
      near(k, "gather_dot", (double)out[j], sum, sqrt((double)n));
    }
    for (size_t d = 0; d < n; d++) near(k, "gather_axpy", (double)y[d], want[d], 1);
    free(want);
  }
}

static void gathers(void **state) {
  (void)state;
  each(check_gather);
}

/* ---- activations ----------------------------------------------------------------------------- */

typedef struct activation {
  const char *name;
  double (*f)(double);
  void (*forward)(float *y, const float *x, size_t n);
  void (*backward)(float *dx, const float *dy, const float *x, size_t n);
} activation;

static double slope(double (*f)(double), double x) { return (f(x + 1e-6) - f(x - 1e-6)) / 2e-6; }

static void check_activation(const sgi_kernels *k, const activation *a) {
  static const float far[] = {0, -0.0f, 1e-30f, -1e-30f, 20, -20, 100, -100, 1e4f, -1e4f};
  enum { POINTS = 1201, ALL = POINTS + SGI_COUNT(far) };
  float x[ALL], y[ALL], dx[ALL], dy[ALL];
  ref_random r = {.state = 1};
  ref_fill(&r, dy, ALL, 0, 1);
  for (size_t i = 0; i < POINTS; i++) x[i] = ((float)i - 600.0f) / 100.0f + 0.00123f;
  memcpy(x + POINTS, far, sizeof far);
  a->forward(y, x, ALL);
  a->backward(dx, dy, x, ALL);
  for (size_t i = 0; i < ALL; i++) {
    double at = (double)x[i];
    near(k, a->name, (double)y[i], a->f(at), fmin(fabs(at), 1) + 1e-30); /* near 0, relative */
    if (i < POINTS) near(k, a->name, (double)dx[i], (double)dy[i] * slope(a->f, at), fabs((double)dy[i]));
    assert_true(isfinite(dx[i]));
  }
  /* In place, and piece by piece. */
  sgi_apply_backward(a->backward, dy, dy, x, ALL);
  sgi_apply(a->forward, x, x, ALL);
  for (size_t i = 0; i < ALL; i++) {
    near(k, a->name, (double)dy[i], (double)dx[i], 1);
    near(k, a->name, (double)x[i], (double)y[i], 1);
  }
}

static void activations(void **state) {
  (void)state;
  const sgi_kernels *k;
  for (size_t i = 0; (k = sgi_kernel_table_at(i)); i++) {
    const activation all[] = {{"gelu", ref_gelu, k->gelu, k->gelu_backward},
                              {"swish", ref_swish, k->swish, k->swish_backward},
                              {"relu", ref_relu, k->relu, k->relu_backward}};
    for (size_t a = 0; a < SGI_COUNT(all); a++) check_activation(k, &all[a]);
  }
}

/* F = n; gates and linear parts on both sides of their clamps. */
static void check_glu(const sgi_kernels *k, size_t n) {
  enum { N = 3 };
  float u[N * 2 * MOST], bias[2 * MOST], h[N * MOST], dh[N * MOST], du[N * 2 * MOST];
  ref_random r = {.state = n};
  ref_fill(&r, u, N * 2 * n, 0, 6);
  ref_fill(&r, bias, 2 * n, 0, 1);
  ref_fill(&r, dh, N * n, 0, 1);
  double *before = ref_doubles(u, N * 2 * n);
  k->glu(h, u, bias, N, n);
  k->glu_backward(du, dh, u, N, n);
  for (size_t i = 0; i < N; i++)
    for (size_t f = 0; f < n; f++) {
      size_t g = i * 2 * n + f, l = g + n;
      near(k, "glu: gate with bias", (double)u[g], before[g] + (double)bias[f], 1);
      near(k, "glu: linear with bias", (double)u[l], before[l] + (double)bias[n + f], 1);
      double gate = (double)u[g], linear = (double)u[l], d = (double)dh[i * n + f], e = 1e-6,
             want = ref_glu(gate, linear);
      near(k, "glu", (double)h[i * n + f], want, 1 + fabs(want));
      near(k, "glu: slope of the gate", (double)du[g],
           d * (ref_glu(gate + e, linear) - ref_glu(gate - e, linear)) / (2 * e), 9 * fabs(d));
      near(k, "glu: slope of the linear part", (double)du[l],
           d * (ref_glu(gate, linear + e) - ref_glu(gate, linear - e)) / (2 * e), 9 * fabs(d));
    }
  free(before);
}

static void glu(void **state) {
  (void)state;
  each(check_glu);
}

/* ---- softmax and argmax ---------------------------------------------------------------------- */

static void check_exp_sum(const sgi_kernels *k, size_t n) {
  float s[MOST], before[MOST];
  ref_random r = {.state = n};
  ref_fill(&r, s, n, 2, 10);
  memcpy(before, s, sizeof s);
  double top = -INFINITY, sum = 0;
  for (size_t i = 0; i < n; i++) top = fmax(top, (double)s[i]);
  for (size_t i = 0; i < n; i++) sum += exp((double)s[i] - top);
  near(k, "sum of exponentials", (double)k->exp_sum(s, n, (float)top), sum, sum);
  assert_memory_equal(s, before, n * sizeof *s);
}

static void exp_sum(void **state) {
  (void)state;
  each(check_exp_sum);
}

static void check_softmax(const sgi_kernels *k, size_t n) {
  for (int spread = 0; spread < 3; spread++) {
    float s[MOST], shifted[MOST], max;
    ref_random r = {.state = n};
    ref_fill(&r, s, n, 5, spread == 0 ? 1 : spread == 1 ? 30 : 3000);
    memcpy(shifted, s, n * sizeof *s);
    double *want = ref_doubles(s, n), sum = 0, top = -INFINITY;
    for (size_t i = 0; i < n; i++) top = fmax(top, 0.3 * want[i]);
    for (size_t i = 0; i < n; i++) sum += exp(0.3 * want[i] - top);
    double got = (double)k->softmax_exp(s, n, 0.3f, &max);
    near(k, "softmax maximum", (double)max, top, 1 + fabs(top));
    near(k, "softmax sum", got, sum, 20 * sum); /* 0.3 is rounded, and so is the difference to the maximum */
    k->exp_shift(shifted, n, 0.3f, max);
    for (size_t i = 0; i < n; i++) {
      near(k, "softmax", (double)s[i], exp(0.3 * want[i] - top), 20);
      assert_true(shifted[i] == s[i] && s[i] >= 0);
    }
    free(want);
  }
}

static void softmax(void **state) {
  (void)state;
  each(check_softmax);
}

static void check_argmax(const sgi_kernels *k, size_t n) {
  float x[MOST];
  ref_random r = {.state = n};
  for (size_t i = 0; i < n; i++) x[i] = (float)ref_below(&r, 6) - 9; /* many ties */
  size_t best = 0;
  for (size_t i = 1; i < n; i++)
    if (x[i] > x[best]) best = i;
  assert_int_equal(k->argmax(x, n), best);
  x[n / 2] = NAN; /* no promise but an index in range */
  assert_true(k->argmax(x, n) < n);
}

static void argmax(void **state) {
  (void)state;
  each(check_argmax);
}

/* ---- AdamW ----------------------------------------------------------------------------------- */

static void check_adamw(const sgi_kernels *k, size_t n) {
  float w[MOST], g[MOST], m[MOST], v[MOST];
  ref_random r = {.state = n};
  ref_fill(&r, w, n, 0, 1);
  ref_fill(&r, g, n, 0, 1);
  ref_fill(&r, m, n, 0, 0.1);
  for (size_t i = 0; i < n; i++) v[i] = (float)(0.01 * (double)ref_below(&r, 100));
  const double scale = 0.5, lr = 0.01, decay = 0.1, bias1 = 1 / (1 - 0.9), bias2 = 1 / (1 - 0.999), b1 = 0.9,
               b2 = 0.999;
  double *w0 = ref_doubles(w, n), *g0 = ref_doubles(g, n), *m0 = ref_doubles(m, n), *v0 = ref_doubles(v, n);
  sgi_adamw_step step = {.grad_scale = (float)scale,
                         .lr = (float)lr,
                         .decay = (float)decay,
                         .bias1 = (float)bias1,
                         .bias2 = (float)bias2,
                         .beta1 = (float)b1,
                         .beta2 = (float)b2,
                         .eps = 1e-8f};
  k->adamw(w, g, m, v, n, &step);
  for (size_t i = 0; i < n; i++) {
    double gi = g0[i] * scale, mi = b1 * m0[i] + (1 - b1) * gi, vi = b2 * v0[i] + (1 - b2) * gi * gi;
    near(k, "adamw: m", (double)m[i], mi, 1);
    near(k, "adamw: v", (double)v[i], vi, 1);
    near(k, "adamw: w", (double)w[i], w0[i] - lr * (mi * bias1 / (sqrt(vi * bias2) + 1e-8) + decay * w0[i]),
         1 + fabs(w0[i]));
    assert_true(g[i] == 0);
  }
  free(w0);
  free(g0);
  free(m0);
  free(v0);
}

static void adamw(void **state) {
  (void)state;
  each(check_adamw);
}

/* ---- top-K ----------------------------------------------------------------------------------- */

static void check_topk(const float *x, size_t n, size_t k) {
  float value[SGI_MAX_TOP_K];
  int32_t index[SGI_MAX_TOP_K], want[SGI_MAX_TOP_K];
  double *wide = ref_doubles(x, n);
  for (size_t i = 0; i < n; i++)
    if (isnan(wide[i])) wide[i] = -INFINITY; /* a NaN counts as lowest */
  ref_top_k(want, wide, n, k);
  sgi_topk(value, index, x, n, k);
  for (size_t i = 0; i < k; i++)
    if (index[i] != want[i] || (double)value[i] != wide[want[i]])
      fail_msg("top-K n=%zu k=%zu: entry %zu is %d (%g), expected %d", n, k, i, index[i], (double)value[i], want[i]);
  free(wide);
}

static void top_k(void **state) {
  (void)state;
  ref_random r = {.state = 3};
  float x[MOST];
  for (size_t n = 1; n < MOST; n += 1 + n / 5)
    for (size_t k = 1; k <= n && k <= SGI_MAX_TOP_K; k += 1 + k / 4)
      for (int kind = 0; kind < 4; kind++) {
        ref_fill(&r, x, n, 0, 1);
        for (size_t i = 0; i < n && kind; i++) { /* ties; infinities and NaN; all equal */
          x[i] = kind == 3 ? -2.5f : (float)ref_below(&r, 5);
          if (kind == 2 && !ref_below(&r, 3)) x[i] = ref_below(&r, 2) ? NAN : ref_below(&r, 2) ? INFINITY : -INFINITY;
        }
        check_topk(x, n, k);
      }
  /* Many of many: what a transcoder chooses. */
  enum { MANY = 3001 };
  float *many = ref_alloc(MANY, sizeof *many);
  for (int kind = 0; kind < 6; kind++)
    for (size_t n = 255; n <= MANY; n += 549 + 3 * (size_t)kind)
      for (size_t k = 15; k <= SGI_MAX_TOP_K && k <= n; k += k / 2) {
        ref_fill(&r, many, n, 0, 1);
        /* few values; with infinities and NaN; all but a few equal; tiny; falling */
        for (size_t i = 0; i < n && kind; i++) {
          if (kind < 3) many[i] = (float)ref_below(&r, 40);
          if (kind == 2 && !ref_below(&r, 9))
            many[i] = ref_below(&r, 2) ? NAN : ref_below(&r, 2) ? INFINITY : -INFINITY;
          if (kind == 3) many[i] = ref_below(&r, 500) ? 0 : many[i];
          if (kind == 4) many[i] *= 1e-39f;
          if (kind == 5) many[i] = -(float)i;
        }
        check_topk(many, n, k);
      }
  free(many);
}

static int descending(const void *a, const void *b) {
  float x = *(const float *)a, y = *(const float *)b;
  return x < y ? 1 : x > y ? -1 : 0;
}

static void top_pairs(void **state) {
  (void)state;
  ref_random r = {.state = 4};
  for (int trial = 0; trial < 400; trial++) {
    size_t k = 1 + ref_below(&r, trial % 20 ? 12 : SGI_MAX_TOP_K);
    float a[SGI_MAX_TOP_K], b[SGI_MAX_TOP_K], value[SGI_MAX_TOP_K];
    int32_t pair[SGI_MAX_TOP_K], want[SGI_MAX_TOP_K];
    ref_fill(&r, a, k, 0, 1);
    ref_fill(&r, b, k, 0, 3);
    for (size_t i = 0; i < k && trial % 2; i++) { /* every other time: many ties */
      a[i] = (float)ref_below(&r, 4);
      b[i] = (float)ref_below(&r, 3);
    }
    qsort(a, k, sizeof *a, descending);
    qsort(b, k, sizeof *b, descending);
    double *sum = ref_alloc(k * k, sizeof *sum);
    for (size_t i = 0; i < k * k; i++) sum[i] = (double)(a[i / k] + b[i % k]);
    ref_top_k(want, sum, k * k, k);
    sgi_topk_pairs(value, pair, a, b, k);
    for (size_t i = 0; i < k; i++)
      if (pair[i] != want[i] || (double)value[i] != sum[want[i]])
        fail_msg("pairs k=%zu: entry %zu is %d, expected %d", k, i, pair[i], want[i]);
    free(sum);
  }
}

/* Every edge: rows and columns that fill no tile, both orders of A, added or not; nothing past
 * column n is touched. */
static void check_product(const sgi_kernels *kern, size_t m, size_t n, size_t k, bool ta, bool add) {
  enum { LDC = 75, SPARE = 7 };
  size_t width = kern->tile_columns, panels = (n + width - 1) / width, ldb = width + 3, panel = ldb * k + 5;
  size_t lda = (ta ? m : k) + 2;
  float *a = malloc((ta ? k : m) * lda * sizeof *a), *b = malloc(panels * panel * sizeof *b), c[40 * LDC],
        old[40 * LDC];
  ref_random r = {.state = m + 50 * n + 5000 * k};
  ref_fill(&r, a, (ta ? k : m) * lda, 0, 1);
  ref_fill(&r, b, panels * panel, 0, 1);
  ref_fill(&r, c, SGI_COUNT(c), 0, 1);
  memcpy(old, c, sizeof c);
  kern->block_product(ta, m, n, k, a, lda, b, ldb, panel, c, LDC, add);
  for (size_t i = 0; i < m; i++)
    for (size_t j = 0; j < n + SPARE; j++) {
      double sum = add ? (double)old[i * LDC + j] : 0;
      for (size_t p = 0; p < k && j < n; p++)
        sum += (double)(ta ? a[p * lda + i] : a[i * lda + p]) * (double)b[j / width * panel + p * ldb + j % width];
      if (j < n)
        near(kern, "block product", (double)c[i * LDC + j], sum, 1 + sqrt((double)k));
      else
        assert_true(c[i * LDC + j] == old[i * LDC + j]);
    }
  free(a);
  free(b);
}

static void products(void **state) {
  (void)state;
  static const size_t rows[] = {1, 3, 4, 6, 11, 12, 13, 29, 40}, columns[] = {1, 8, 15, 16, 31, 32, 33, 64, 67},
                      depth[] = {1, 5, 64};
  const sgi_kernels *k;
  for (size_t i = 0; (k = sgi_kernel_table_at(i)); i++)
    for (size_t m = 0; m < SGI_COUNT(rows); m++)
      for (size_t n = 0; n < SGI_COUNT(columns); n++)
        for (size_t d = 0; d < SGI_COUNT(depth); d++)
          for (int how = 0; how < 4; how++) check_product(k, rows[m], columns[n], depth[d], how & 1, how & 2);
}

/* Lanes of scores with ties and NaN, against the plain top-K of each list and then of the pairs. */
static void check_choice(const sgi_kernels *kern, size_t S, size_t K, size_t lanes) {
  enum { STRIDE = 19, LD = 70 };
  float *u = malloc(2 * S * STRIDE * sizeof *u), score[SGI_LANES * LD], list[SGI_LANES * LD];
  int32_t index[SGI_LANES * LD];
  ref_random r = {.state = S + 100 * K + lanes};
  for (size_t i = 0; i < 2 * S * STRIDE; i++)
    u[i] = ref_below(&r, 40) ? (float)ref_below(&r, 50) - 25 : ref_below(&r, 2) ? NAN : -INFINITY;
  kern->choose_pairs(score, index, LD, u, u + S * STRIDE, STRIDE, lanes, S, K, 0.25f);
  for (size_t l = 0; l < lanes; l++) {
    float value[2][SGI_MAX_TOP_K], want[SGI_MAX_TOP_K];
    int32_t key[2][SGI_MAX_TOP_K], pair[SGI_MAX_TOP_K];
    for (size_t p = 0; p < 2; p++) {
      bool taken[LD] = {0};
      for (size_t s = 0; s < S; s++) {
        float x = u[(p * S + s) * STRIDE + l];
        list[s] = isnan(x) ? -INFINITY : x;
      }
      for (size_t k = 0; k < K; k++) { /* first largest of what is left */
        size_t best = S;
        for (size_t s = 0; s < S; s++)
          if (!taken[s] && (best == S || list[s] > list[best])) best = s;
        taken[best] = true;
        value[p][k] = 0.25f * list[best];
        key[p][k] = (int32_t)best;
      }
    }
    sgi_topk_pairs(want, pair, value[0], value[1], K);
    for (size_t k = 0; k < K; k++) {
      int32_t unit = key[0][(size_t)pair[k] / K] * (int32_t)S + key[1][(size_t)pair[k] % K];
      if (score[l * LD + k] != want[k] || index[l * LD + k] != unit)
        fail_msg("%s, S %zu, K %zu, lane %zu: choice %zu is %d (%g), expected %d (%g)", kern->isa, S, K, l, k,
                 index[l * LD + k], (double)score[l * LD + k], unit, (double)want[k]);
    }
  }
  free(u);
}

static void choices(void **state) {
  (void)state;
  static const size_t shapes[][2] = {{2, 1}, {3, 2}, {9, 8}, {32, 8}, {57, 8}, {70, 8}, {65, 64}, {33, 5}};
  const sgi_kernels *k;
  for (size_t i = 0; (k = sgi_kernel_table_at(i)); i++)
    for (size_t s = 0; s < SGI_COUNT(shapes); s++)
      for (size_t lanes = 1; lanes <= SGI_LANES; lanes += lanes == 1 ? 6 : 9)
        check_choice(k, shapes[s][0], shapes[s][1], lanes);
}

static void skips(void **state) {
  (void)state;
  const sgi_kernels *k;
  float x[70];
  for (size_t i = 0; (k = sgi_kernel_table_at(i)); i++)
    for (size_t at = 0; at < SGI_COUNT(x); at++)
      for (int nan = 0; nan < 2; nan++) {
        for (size_t j = 0; j < SGI_COUNT(x); j++) x[j] = j % 3 ? 1 : -1;
        x[at] = nan ? NAN : 2;
        size_t want = at / SGI_LANES * SGI_LANES;
        assert_int_equal(k->skip_small(x, 0, SGI_COUNT(x), 1), want < 64 ? want : 64);
        assert_int_equal(k->skip_small(x, 64, SGI_COUNT(x), 1), 64);
      }
}

/* Small products under gates, most of which are 0, of every width against plain sums. */
static void small_products(const sgi_kernels *k, size_t H, size_t N, size_t m) {
  ref_random r = {.state = H * 1000 + N * 20 + m};
  size_t longest = (H * N + H * m + N * m) * sizeof(float);
  float *g = malloc(longest), *v = malloc(longest), *w = malloc(longest), *out = malloc(longest),
        *before = malloc(longest);
  ref_fill(&r, g, H * N, 0, 1);
  ref_fill(&r, v, N * m, 0, 1);
  ref_fill(&r, w, H * m, 0, 1);
  ref_fill(&r, before, H * N + N * m, 0, 1);
  for (size_t i = 0; i < H * N; i++)
    if (ref_below(&r, 4)) g[i] = 0;
  k->lift(out, g, v, H, N, m);
  for (size_t h = 0; h < H; h++)
    for (size_t c = 0; c < m; c++) {
      double want = 0;
      for (size_t i = 0; i < N; i++) want += (double)g[h * N + i] * (double)v[i * m + c];
      assert_true(fabs((double)out[h * m + c] - want) < 1e-5 * (1 + fabs(want)) * sqrt((double)N));
    }
  for (int add = 0; add < 2; add++) {
    memcpy(out, before, N * m * sizeof *out);
    k->drop(out, g, w, H, N, m, add);
    for (size_t i = 0; i < N; i++)
      for (size_t c = 0; c < m; c++) {
        double want = add ? (double)before[i * m + c] : 0;
        for (size_t h = 0; h < H; h++) want += (double)g[h * N + i] * (double)w[h * m + c];
        assert_true(fabs((double)out[i * m + c] - want) < 1e-5 * (1 + fabs(want)) * sqrt((double)H));
      }
  }
  memcpy(out, before, H * N * sizeof *out);
  k->weigh(out, g, v, w, H, N, m);
  for (size_t h = 0; h < H; h++)
    for (size_t i = 0; i < N; i++) {
      double want = (double)before[h * N + i];
      for (size_t c = 0; c < m && g[h * N + i] != 0; c++) want += (double)v[i * m + c] * (double)w[h * m + c];
      assert_true(fabs((double)out[h * N + i] - want) < 1e-5 * (1 + fabs(want)) * sqrt((double)m));
      if (g[h * N + i] == 0) assert_true(out[h * N + i] == before[h * N + i]);
    }
  free(g), free(v), free(w), free(out), free(before);
}

static void products_under_gates(void **state) {
  (void)state;
  static const size_t heads[] = {1, 2, 3, 4, 7, 8, 9, 17}, experts[] = {1, 2, 5, 15, 16, 17, 32, 64, 70},
                      widths[] = {1, 2, 3, 4, 5, 8, 12, 16, 17};
  const sgi_kernels *k;
  for (size_t p = 0; (k = sgi_kernel_table_at(p)); p++)
    for (size_t h = 0; h < SGI_COUNT(heads); h++)
      for (size_t n = 0; n < SGI_COUNT(experts); n++)
        for (size_t m = 0; m < SGI_COUNT(widths); m++) small_products(k, heads[h], experts[n], widths[m]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(sums),        cmocka_unit_test(gathers),
      cmocka_unit_test(activations), cmocka_unit_test(glu),
      cmocka_unit_test(softmax),     cmocka_unit_test(exp_sum),
      cmocka_unit_test(argmax),      cmocka_unit_test(adamw),
      cmocka_unit_test(top_k),       cmocka_unit_test(top_pairs),
      cmocka_unit_test(choices),     cmocka_unit_test(skips),
      cmocka_unit_test(products),    cmocka_unit_test(products_under_gates),
  };
  return cmocka_run_group_tests_name("kernels", tests, NULL, NULL);
}
