/* Tuning: the step is a stationary point of the ridge problem, checked by its gradient in plain
 * loops; many sparse features by conjugate gradients end where Cholesky does. */
#include <math.h>
#include <string.h>

#include "compare/tune.h"
#include "core/rng.h"
#include "support/golden.h"

enum { ROWS = 60, D = 5 };

/* The same positions for features 0 .. n-1 of which `most` act, written at `stride` times their
 * number. */
static void fill(sgi_tune *t, size_t n, size_t most, size_t stride, double *z, double *missing) {
  sgi_rng rng = sgi_rng_make(3, 1, 0);
  for (size_t r = 0; r < ROWS; r++) {
    uint32_t index[64];
    float value[64], miss[D];
    size_t at = sgi_rng_below(&rng, n - most + 1);
    for (size_t k = 0; k < most; k++) {
      index[k] = (uint32_t)((at + k) * stride);
      value[k] = (float)sgi_rng_normal(&rng);
      if (z) z[r * n + at + k] = (double)value[k];
    }
    for (size_t d = 0; d < D; d++) {
      miss[d] = (float)sgi_rng_normal(&rng);
      if (missing) missing[r * D + d] = (double)miss[d];
    }
    assert_sg_ok(sgi_tune_add(t, index, value, most, miss, err));
  }
}

static void stationary(void **state) {
  (void)state;
  enum { N = 12, MOST = 4 };
  static double z[ROWS * N], missing[ROWS * D], w[N * D];
  sgi_tune *t;
  assert_sg_ok(sgi_tune_create(N, D, &t, err));
  fill(t, N, MOST, 1, z, missing);
  assert_sg_ok(sgi_tune_solve(t, 0.01, w, err));
  double trace = 0;
  for (size_t i = 0; i < ROWS * N; i++) trace += z[i] * z[i];
  double lambda = 0.01 * trace / N;
  for (size_t f = 0; f < N; f++)
    for (size_t d = 0; d < D; d++) {
      double g = lambda * w[f * D + d];
      for (size_t r = 0; r < ROWS; r++) {
        double left = -missing[r * D + d];
        for (size_t k = 0; k < N; k++) left += z[r * N + k] * w[k * D + d];
        g += z[r * N + f] * left;
      }
      if (!(fabs(g) < 1e-9)) fail_msg("gradient of [%zu,%zu] is %g", f, d, g);
    }
  sgi_tune_free(t);
}

static void gradients_agree(void **state) {
  (void)state;
  enum { N = 12, MOST = 4, STRIDE = 400 }; /* 4,800 features: no matrix is formed */
  static double few[N * D];
  double *many = calloc((size_t)N * STRIDE * D, sizeof *many);
  sgi_tune *a, *b;
  assert_sg_ok(sgi_tune_create(N, D, &a, err));
  assert_sg_ok(sgi_tune_create((size_t)N * STRIDE, D, &b, err));
  fill(a, N, MOST, 1, NULL, NULL);
  fill(b, N, MOST, STRIDE, NULL, NULL);
  assert_sg_ok(sgi_tune_solve(a, 0.01, few, err));
  assert_sg_ok(sgi_tune_solve(b, 0.01 * STRIDE, many, err)); /* the same lambda */
  for (size_t f = 0; f < (size_t)N * STRIDE; f++)
    for (size_t d = 0; d < D; d++) {
      double want = f % STRIDE ? 0 : few[f / STRIDE * D + d], got = many[f * D + d];
      if (f % STRIDE ? got != 0 : !(fabs(got - want) < 1e-4)) fail_msg("[%zu,%zu]: %g, expected %g", f, d, got, want);
    }
  free(many);
  sgi_tune_free(a);
  sgi_tune_free(b);
}

/* Many features, whose scales and counts differ by orders of magnitude: what is left of the
 * gradient is small against what there was. */
static void many_scales(void **state) {
  (void)state;
  enum { N = 5000, MANY = 700, EACH = 16 };
  uint32_t(*index)[EACH] = malloc(MANY * sizeof *index);
  float(*value)[EACH] = malloc(MANY * sizeof *value), (*missing)[D] = malloc(MANY * sizeof *missing);
  double *w = malloc((size_t)N * D * sizeof *w), *g = calloc((size_t)N * D, sizeof *g), trace = 0, first = 0, left = 0;
  sgi_rng rng = sgi_rng_make(5, 1, 0);
  sgi_tune *t;
  assert_sg_ok(sgi_tune_create(N, D, &t, err));
  for (size_t r = 0; r < MANY; r++) {
    size_t at = (size_t)(exp(sgi_rng_uniform(&rng) * log(N - EACH)));
    for (size_t k = 0; k < EACH; k++) {
      index[r][k] = (uint32_t)(at + k);
      value[r][k] = (float)(sgi_rng_normal(&rng) * pow(10, -(double)((at + k) % 4)));
      trace += (double)value[r][k] * (double)value[r][k];
    }
    for (size_t d = 0; d < D; d++) missing[r][d] = (float)sgi_rng_normal(&rng);
    assert_sg_ok(sgi_tune_add(t, index[r], value[r], EACH, missing[r], err));
  }
  assert_sg_ok(sgi_tune_solve(t, 1e-3, w, err));
  for (size_t r = 0; r < MANY; r++)
    for (size_t d = 0; d < D; d++) {
      double y = (double)missing[r][d];
      for (size_t k = 0; k < EACH; k++) y -= (double)value[r][k] * w[index[r][k] * D + d];
      for (size_t k = 0; k < EACH; k++) g[index[r][k] * D + d] += (double)value[r][k] * y;
    }
  for (size_t i = 0; i < (size_t)N * D; i++) left += pow(g[i] - 1e-3 * trace / N * w[i], 2);
  memset(g, 0, (size_t)N * D * sizeof *g);
  for (size_t r = 0; r < MANY; r++)
    for (size_t d = 0; d < D; d++)
      for (size_t k = 0; k < EACH; k++) g[index[r][k] * D + d] += (double)value[r][k] * (double)missing[r][d];
  for (size_t i = 0; i < (size_t)N * D; i++) first += g[i] * g[i];
  if (!(sqrt(left / first) < 2e-3)) fail_msg("%g of the gradient is left", sqrt(left / first));
  free(index);
  free(value);
  free(missing);
  free(w);
  free(g);
  sgi_tune_free(t);
}

/* Nothing acts: nothing changes. */
static void silent(void **state) {
  (void)state;
  double w[3 * D] = {1};
  sgi_tune *t;
  assert_sg_ok(sgi_tune_create(3, D, &t, err));
  assert_sg_ok(sgi_tune_solve(t, 0.01, w, err));
  for (size_t i = 0; i < 3 * D; i++) assert_true(w[i] == 0);
  sgi_tune_free(t);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(stationary), cmocka_unit_test(gradients_agree),
                                     cmocka_unit_test(many_scales), cmocka_unit_test(silent)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
