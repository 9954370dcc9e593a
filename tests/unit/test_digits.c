/* Products in whole numbers (kernels_digits.h): digits of a vector, and rows of int8 and int4 times
 * them on every instruction set, against plain loops over 64-bit numbers. */
#include "support/golden.h"

#include <math.h>

#include "core/rng.h"
#include "math/kernels.h"
#include "math/quantise.h"

enum { WIDEST = 5000, LEVEL_ROWS = 7 };

static int level(const void *row, bool four, size_t d) { return four ? sgi_int4_at(row, d) : ((const int8_t *)row)[d]; }

/* Digits give back each element to half a unit; rows times digits are the whole number that a plain
 * loop has. */
static void digits_case(const sgi_digit_kernels *k, bool four, size_t n, const float *v, const char *isa) {
  static int8_t planes[3][2 * WIDEST + 256];
  static uint8_t levels[LEVEL_ROWS * WIDEST];
  sgi_digits x = {.plane = {planes[0], planes[1], planes[2]}, .room = sgi_digits_room(n)};
  size_t bytes = four ? (n + 1) / 2 : n;
  assert_true(k->split(&x, v, n, four));
  static int64_t whole[WIDEST];
  for (size_t d = 0; d < n; d++) {
    size_t at = four ? d / 2 + d % 2 * (x.room / 2) : d;
    whole[d] = 65536 * (int64_t)planes[0][at] + 256 * (int64_t)planes[1][at] + planes[2][at];
    if (!(fabs((double)whole[d] * (double)x.unit - (double)v[d]) <= 0.51 * (double)x.unit + 2e-7 * fabs((double)v[d])))
      fail_msg("%s: element %zu of %zu is %g, its digits %g", isa, d, n, (double)v[d],
               (double)whole[d] * (double)x.unit);
  }
  sgi_rng rng = sgi_rng_make(n, SGI_STREAM_SAMPLE, four);
  for (size_t i = 0; i < LEVEL_ROWS * bytes; i++) {
    int a = (int)sgi_rng_below(&rng, four ? 15 : 255) - (four ? 7 : 127), b = (int)sgi_rng_below(&rng, 15) - 7;
    if (i % 5 == 0) a = b = four ? 7 : 127; /* runs of the largest */
    levels[i] = (uint8_t)(four ? (a & 15) | (2 * (i % bytes) + 1 < n ? b & 15 : 0) << 4 : a);
  }
  double out[LEVEL_ROWS];
  void (*rows)(double *, const void *, size_t, size_t, const sgi_digits *) = four ? k->int4 : k->int8;
  if (!rows) return;
  rows(out, levels, bytes, LEVEL_ROWS, &x);
  for (size_t r = 0; r < LEVEL_ROWS; r++) {
    int64_t want = 0;
    for (size_t d = 0; d < n; d++) want += whole[d] * level(levels + r * bytes, four, d);
    if (out[r] != (double)want)
      fail_msg("%s, %zu columns, row %zu: %.0f, expected %lld", isa, n, r, out[r], (long long)want);
  }
}

static void whole_numbers(void **state) {
  (void)state;
  static float v[WIDEST];
  static const size_t widths[] = {1, 2, 63, 64, 65, 127, 128, 129, 300, 1024, WIDEST};
  sgi_rng rng = sgi_rng_make(4, SGI_STREAM_SAMPLE, 0);
  for (size_t d = 0; d < WIDEST; d++) v[d] = (float)(sgi_rng_normal(&rng) * (d % 97 ? 1 : 40));
  for (size_t t = 0; sgi_kernel_table_at(t); t++) {
    const sgi_kernels *kern = sgi_kernel_table_at(t);
    for (size_t i = 0; i < SGI_COUNT(widths); i++)
      for (int four = 0; four < 2; four++) digits_case(kern->digits(), four, widths[i], v, kern->isa);
    for (size_t d = 0; d < WIDEST; d++) v[d] = v[d] > 0 ? 3 : -3; /* all at the ends */
    digits_case(kern->digits(), false, WIDEST, v, kern->isa);
    digits_case(kern->digits(), true, WIDEST, v, kern->isa);
    float few[3] = {0};
    int8_t room[3][128];
    sgi_digits x = {.plane = {room[0], room[1], room[2]}, .room = sgi_digits_room(3)};
    assert_true(kern->digits()->split(&x, few, 3, false) && x.unit == 0 && !x.sum[0]);
    few[1] = NAN;
    assert_false(kern->digits()->split(&x, few, 3, false));
    few[1] = -INFINITY;
    assert_false(kern->digits()->split(&x, few, 3, false));
    few[1] = 1e-35f;
    assert_false(kern->digits()->split(&x, few, 3, true));
    for (size_t d = 0; d < WIDEST; d++) v[d] = (float)sgi_rng_normal(&rng);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(whole_numbers)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
