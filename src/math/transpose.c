#include "math/transpose.h"

typedef float four __attribute__((vector_size(16), aligned(4), may_alias));

/* (i, j, k, l) count through the four of a, then the four of b. */
#if defined(__clang__)
#define PICK(a, b, i, j, k, l) __builtin_shufflevector(a, b, i, j, k, l)
#else
typedef int32_t places __attribute__((vector_size(16)));
#define PICK(a, b, i, j, k, l) __builtin_shuffle(a, b, (places){i, j, k, l})
#endif

/* out[j * ldo + i] = x[i * ldx + j] for i, j < 4. */
static void transpose_four(float *out, size_t ldo, const float *x, size_t ldx) {
  four a = *(const four *)x, b = *(const four *)(x + ldx);
  four c = *(const four *)(x + 2 * ldx), e = *(const four *)(x + 3 * ldx);
  four ab = PICK(a, b, 0, 4, 1, 5), ce = PICK(c, e, 0, 4, 1, 5);
  *(four *)out = PICK(ab, ce, 0, 1, 4, 5);
  *(four *)(out + ldo) = PICK(ab, ce, 2, 3, 6, 7);
  ab = PICK(a, b, 2, 6, 3, 7);
  ce = PICK(c, e, 2, 6, 3, 7);
  *(four *)(out + 2 * ldo) = PICK(ab, ce, 0, 1, 4, 5);
  *(four *)(out + 3 * ldo) = PICK(ab, ce, 2, 3, 6, 7);
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
