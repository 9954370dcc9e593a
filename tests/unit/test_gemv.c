/* A few rows times a matrix: right on every instruction set and ragged size, and a row's bits are
 * its own. */
#include "support/golden.h"

#include <math.h>
#include <omp.h>
#include <string.h>

#include "math/gemm.h"
#include "math/gemv.h"
#include "math/quantise.h"

enum { OUT = 613, IN = 331 };

static float value(size_t i) { return (float)((i * 2654435761u) % 2001) / 1000 - 1; }

static float w[OUT * IN], x[SGI_GEMV_ROWS * IN], y[SGI_GEMV_ROWS * OUT], alone[OUT], other[SGI_GEMV_ROWS * OUT];

static void product(void **state) {
  (void)state;
  for (size_t i = 0; i < OUT * IN; i++) w[i] = value(i);
  for (size_t i = 0; i < SGI_GEMV_ROWS * IN; i++) x[i] = value(i + 77777);
  static const size_t ins[] = {1, 7, 16, 33, 64, 255, IN}, outs[] = {1, 2, 5, 64, OUT};
  for (size_t a = 0; a < SGI_COUNT(ins); a++)
    for (size_t b = 0; b < SGI_COUNT(outs); b++)
      for (size_t n = 1; n <= SGI_GEMV_ROWS; n++) {
        assert_int_equal(sgi_linear(y, outs[b], x, ins[a], w, n, ins[a], outs[b], (sgi_arena){0}), SG_OK);
        for (size_t i = 0; i < n; i++)
          for (size_t j = 0; j < outs[b]; j++) {
            double want = 0, size = 0;
            for (size_t k = 0; k < ins[a]; k++) {
              double term = (double)x[i * ins[a] + k] * (double)w[j * ins[a] + k];
              want += term;
              size += fabs(term);
            }
            if (!(fabs((double)y[i * outs[b] + j] - want) <= 1e-6 * size))
              fail_msg("%zu x %zu x %zu: entry %zu, %zu is %g, expected %g", n, ins[a], outs[b], i, j,
                       (double)y[i * outs[b] + j], want);
          }
      }
}

static void bits(void **state) {
  (void)state;
  int threads = omp_get_max_threads();
  sgi_gemv(y, OUT, x, IN, w, IN, SGI_GEMV_ROWS, IN, OUT);
  for (size_t i = 0; i < SGI_GEMV_ROWS; i++) {
    sgi_gemv(alone, OUT, x + i * IN, IN, w, IN, 1, IN, OUT);
    assert_memory_equal(alone, y + i * OUT, sizeof alone);
  }
  for (int t = 1; t <= 4; t++) {
    omp_set_num_threads(t);
    sgi_gemv(other, OUT, x, IN, w, IN, SGI_GEMV_ROWS, IN, OUT);
    assert_memory_equal(other, y, sizeof y);
  }
  omp_set_num_threads(threads);
}

/* A product with stored levels beside the double one; NaN comes through; bits are the row's own. */
static void stored_case(sgi_dtype type, size_t in, size_t out) {
  static uint8_t levels[OUT * IN];
  static float scale[OUT], plain[IN];
  sgi_quantise how = {.to = type};
  sgi_weight s = {.dtype = type, .rows = out, .width = in, .data = levels, .scale = scale};
  size_t bytes = sgi_weight_traits(type)->bytes(in), bad;
  for (size_t j = 0; j < out; j++)
    assert_true(sgi_quantise_row(&how, levels + j * bytes, scale + j, w + j * in, in, &bad));
  sgi_gemv_stored(y, out, x, in, &s, SGI_GEMV_ROWS);
  for (size_t i = 0; i < SGI_GEMV_ROWS; i++) {
    for (size_t j = 0; j < out; j++) {
      double want = 0, size = 0, most = 0;
      sgi_weight_read(plain, &s, j * in, in);
      for (size_t k = 0; k < in; k++) {
        want += (double)x[i * in + k] * (double)plain[k];
        size += fabs((double)plain[k]);
        most = fmax(most, fabs((double)x[i * in + k]));
      }
      if (!(fabs((double)y[i * out + j] - want) <= 4e-7 * size * most))
        fail_msg("%zu x %zu: entry %zu, %zu is %g, expected %g", in, out, i, j, (double)y[i * out + j], want);
    }
    sgi_gemv_stored(alone, out, x + i * in, in, &s, 1);
    assert_memory_equal(alone, y + i * out, out * sizeof *alone);
  }
  omp_set_num_threads(1);
  sgi_gemv_stored(other, out, x, in, &s, SGI_GEMV_ROWS);
  assert_memory_equal(other, y, SGI_GEMV_ROWS * out * sizeof *y);
  omp_set_num_threads(2);
  float kept = x[in - 1];
  x[in - 1] = NAN;
  sgi_gemv_stored(alone, out, x, in, &s, 1);
  for (size_t j = 0; j < out; j++) assert_true(isnan(alone[j]));
  x[in - 1] = kept;
}

static void stored_rows(void **state) {
  (void)state;
  for (size_t i = 0; i < OUT * IN; i++) w[i] = value(i);
  for (size_t i = 0; i < SGI_GEMV_ROWS * IN; i++) x[i] = value(i + 77777);
  static const size_t ins[] = {7, 64, 127, 200, IN}, outs[] = {1, 3, 8, OUT};
  for (size_t a = 0; a < SGI_COUNT(ins); a++)
    for (size_t b = 0; b < SGI_COUNT(outs); b++) {
      stored_case(SGI_I8, ins[a], outs[b]);
      stored_case(SGI_U8, ins[a], outs[b]);
    }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(product), cmocka_unit_test(bits), cmocka_unit_test(stored_rows)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
