#include "math/transpose.h"

typedef float four __attribute__((vector_size(16), aligned(4), may_alias));
typedef int32_t places __attribute__((vector_size(16)));

/* out[j * ldo + i] = x[i * ldx + j] for i, j < 4. */
static void transpose_four(float *out, size_t ldo, const float *x, size_t ldx) {
  const places low = {0, 4, 1, 5}, high = {2, 6, 3, 7}, even = {0, 1, 4, 5}, odd = {2, 3, 6, 7};
  four a = *(const four *)x, b = *(const four *)(x + ldx);
  four c = *(const four *)(x + 2 * ldx), e = *(const four *)(x + 3 * ldx);
  four ab = __builtin_shuffle(a, b, low), ce = __builtin_shuffle(c, e, low);
  *(four *)out = __builtin_shuffle(ab, ce, even);
  *(four *)(out + ldo) = __builtin_shuffle(ab, ce, odd);
  ab = __builtin_shuffle(a, b, high);
  ce = __builtin_shuffle(c, e, high);
  *(four *)(out + 2 * ldo) = __builtin_shuffle(ab, ce, even);
  *(four *)(out + 3 * ldo) = __builtin_shuffle(ab, ce, odd);
}

/* Up to 16 rows of x at a time fill whole cache lines of out. */
static void transpose_strip(float *out, size_t ldo, const float *x, size_t ldx, size_t rows, size_t columns) {
  size_t j = 0;
  for (; j + 4 <= columns; j += 4) {
    size_t i = 0;
    for (; i + 4 <= rows; i += 4) transpose_four(out + j * ldo + i, ldo, x + i * ldx + j, ldx);
    for (; i < rows; i++)
      for (size_t l = j; l < j + 4; l++) out[l * ldo + i] = x[i * ldx + l];
  }
  for (; j < columns; j++)
    for (size_t i = 0; i < rows; i++) out[j * ldo + i] = x[i * ldx + j];
}

void sgi_transpose(float *out, size_t ldo, const float *x, size_t ldx, size_t rows, size_t columns) {
  enum { STRIP = 16 };
  for (size_t i = 0; i < rows; i += STRIP)
    transpose_strip(out + i, ldo, x + i * ldx, ldx, rows - i < STRIP ? rows - i : STRIP, columns);
}
