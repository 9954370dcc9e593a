/* Weights in other types than float32: rows and columns as readers see them, gathers, and what is
 * refused by name. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/half.h"
#include "core/safetensors.h"
#include "math/weight.h"
#include "model/model.h"
#include "support/golden.h"

/* x cut to what the type holds. */
static void encode(sgi_dtype t, char *out, const float *x, size_t n) {
  for (size_t i = 0; i < n; i++) {
    uint32_t bits;
    memcpy(&bits, &x[i], sizeof bits);
    if (t == SGI_F64) ((double *)(void *)out)[i] = (double)x[i] * (1 + 1e-12); /* rounds back to x */
    if (t == SGI_F16) ((uint16_t *)(void *)out)[i] = sgi_to_half(x[i]);
    if (t == SGI_BF16) ((uint16_t *)(void *)out)[i] = (uint16_t)(bits >> 16);
    if (t == SGI_F32) ((float *)(void *)out)[i] = x[i];
    if (t == SGI_I8) out[i] = 1;
  }
}

static float expected(sgi_dtype t, float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  bits &= 0xffff0000u;
  if (t == SGI_F16) return sgi_from_half(sgi_to_half(x));
  if (t == SGI_BF16) memcpy(&x, &bits, sizeof x);
  return x;
}

static void refused_by_name(void **state) {
  (void)state;
  sg_error e = {0};
  assert_int_equal(sgi_weight_check("a.map", SGI_F32, SGI_WEIGHT_PLAIN, &e), SG_OK);
  static const sgi_dtype computed[] = {SGI_F32, SGI_BF16, SGI_F16, SGI_I8, SGI_U8};
  for (size_t i = 0; i < SGI_COUNT(computed); i++)
    assert_int_equal(sgi_weight_check("a.pool", computed[i], SGI_WEIGHT_STORED, &e), SG_OK);
  assert_int_equal(sgi_weight_check("a.map", SGI_BF16, SGI_WEIGHT_PLAIN, &e), SG_ERR_UNSUPPORTED);
  assert_string_equal(e.text,
                      "tensor a.map is stored as bf16: nothing computes with it in that type (open it as float32)");
  assert_int_equal(sgi_weight_check("a.pool", SGI_BOOL, SGI_WEIGHT_STORED, &e), SG_ERR_UNSUPPORTED);
  assert_string_equal(e.text, "tensor a.pool is stored as BOOL: nothing computes with it in that type");
  assert_int_equal(sgi_weight_check("a.pool", SGI_F64, SGI_WEIGHT_STORED, &e), SG_ERR_UNSUPPORTED);
  sgi_dtype type;
  assert_true(sgi_weight_type("int4", &type) && type == SGI_U8);
  assert_false(sgi_weight_type("float64", &type));
}

/* Rows and columns of each type against plain loops. */
static void slices(void **state) {
  (void)state;
  enum { ROWS = 5, WIDTH = 700 };
  static const sgi_dtype types[] = {SGI_F32, SGI_F64, SGI_F16, SGI_BF16};
  float *x = malloc(ROWS * WIDTH * sizeof *x), *copy = malloc(WIDTH * sizeof *copy), y[WIDTH] = {0}, dots[3];
  char *data = malloc(ROWS * WIDTH * 8);
  for (size_t i = 0; i < ROWS * WIDTH; i++) x[i] = (float)((i * 7919) % 1001) / 500 - 1;
  for (size_t i = 0; i < SGI_COUNT(types); i++) {
    encode(types[i], data, x, ROWS * WIDTH);
    sgi_weight w = {.dtype = types[i], .rows = ROWS, .width = WIDTH, .data = data};
    sgi_slice row = {.weight = &w, .at = 2 * WIDTH, .stride = 1}, column = {.weight = &w, .at = 3, .stride = WIDTH};
    double want = 0, down = 0;
    for (size_t d = 0; d < WIDTH; d++) want += (double)expected(types[i], x[2 * WIDTH + d]) * (double)x[d];
    for (size_t d = 0; d < ROWS; d++) down += (double)expected(types[i], x[d * WIDTH + 3]) * (double)x[d];
    assert_true(fabs(sgi_slice_dot(&row, x, WIDTH) - want) < 1e-9);
    assert_true(fabs((double)sgi_slice_dot_float(&row, x, WIDTH) - want) < 1e-3);
    assert_true(fabs(sgi_slice_dot(&column, x, ROWS) - down) < 1e-9);
    /* Two columns one behind the other; nothing. */
    sgi_slice two = {&w, 3, WIDTH, &w, 4, 2}, none = {0};
    double both = 0;
    for (size_t d = 0; d < 4; d++) {
      float element = expected(types[i], x[d < 2 ? d * WIDTH + 3 : (d - 2) * WIDTH + 4]);
      assert_true(sgi_slice_at(&two, d) == element && sgi_slice_at(&none, d) == 0);
      both += (double)element * (double)x[d];
    }
    assert_true(fabs(sgi_slice_dot(&two, x, 4) - both) < 1e-9 && sgi_slice_dot(&none, x, WIDTH) == 0);
    assert_true(sgi_slice_squares(&none, WIDTH) == 0);
    sgi_slice_copy(&row, copy, WIDTH);
    memset(y, 0, sizeof y);
    sgi_slice_add(&row, 2, y, WIDTH);
    for (size_t d = 0; d < WIDTH; d++)
      assert_true(copy[d] == expected(types[i], x[2 * WIDTH + d]) && y[d] == 2 * copy[d]);
    const sgi_dtype_traits *t = sgi_weight_traits(types[i]);
    if (!t->gather_dot) continue;
    int32_t index[3] = {1, 0, 1};
    t->gather_dot(dots, &w, 1, index, 3, x);
    assert_true(fabs((double)dots[0] - want) < 1e-3 && dots[0] == dots[2]);
    memset(y, 0, sizeof y);
    t->gather_axpy(y, &w, 1, index, (float[]){1, 0, 3}, 3);
    for (size_t d = 0; d < WIDTH; d++) assert_true(fabsf(y[d] - 4 * copy[d]) < 1e-5f);
  }
  free(x), free(copy), free(data);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(refused_by_name), cmocka_unit_test(slices)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
