/* bf16.h: matrix products whose operands are bf16 and whose sums are float32 (docs/method.md,
 * precision).
 *
 * An operand of float32 is rounded block by block on its way into the product, on the stack of the
 * thread that multiplies, so no copy of an activation is kept. Two ways to multiply the blocks:
 *
 *   native    the processor's bf16 instructions, by oneDNN (gemm.h): AMX, or AVX512-BF16
 *   emulated  float32 products of the rounded numbers: the same operands, sums of the same kind
 *
 * A product of two bf16 numbers is exact in float32, so the two differ in the order of sums alone.
 * Which one is taken depends on the processor, never on a clock: native where it is the faster one
 * (sgi_bf16_gains), else emulated; SGATLIN_BF16=native|emulated asks for one. */
#ifndef SGI_BF16_H
#define SGI_BF16_H

#include "math/weight.h"

/* "amx", "avx512_bf16", or "emulated". */
const char *sgi_bf16_path(void);
/* Whether bf16 products are faster than float32 ones here: AMX, or AVX512-BF16 of AMD. Intel's own
 * AVX512-BF16 without AMX sums half as many products a second as its float32 does (SPEED.md). */
bool sgi_bf16_gains(void);
/* SG_ERR_ARG where SGATLIN_BF16 asks for what there is not; empty is unset. */
sg_status sgi_bf16_check(sg_error *err);
/* Before the first product: that, and what oneDNN makes once. */
sg_status sgi_bf16_ready(sg_error *err);

/* One of the two: float32, or bf16 as stored. */
typedef struct sgi_bf16_operand {
  const float *floats;
  const uint16_t *halves;
  size_t ld;
} sgi_bf16_operand;

/* C (m,n; ldc) = beta C + op(A) op(B), beta 0 or 1, as sgi_gemm: tiles by the sizes, each by one
 * thread; the second on the calling thread. */
sg_status sgi_bf16_gemm(bool ta, bool tb, size_t m, size_t n, size_t k, const float *a, size_t lda, sgi_bf16_operand b,
                        float beta, float *c, size_t ldc);
sg_status sgi_bf16_gemm1(bool ta, bool tb, size_t m, size_t n, size_t k, const float *a, size_t lda, sgi_bf16_operand b,
                         float beta, float *c, size_t ldc);

static inline sgi_bf16_operand sgi_bf16_stored(const sgi_weight *w) {
  return (sgi_bf16_operand){.halves = w->data, .ld = w->width};
}
static inline sgi_bf16_operand sgi_bf16_floats(const float *x, size_t ld) {
  return (sgi_bf16_operand){.floats = x, .ld = ld};
}

/* x (count) = the nearest bf16 numbers, by all threads. */
void sgi_bf16_round(float *x, size_t count);

#endif
