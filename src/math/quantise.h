/* quantise.h: a row of float32 as a type of fewer bytes (docs/formats.md, weights in fewer bytes).
 *
 * bf16 and f16 round to the nearest, ties to even. int8 and int4 have a scale for each group of
 * columns: scale = max|w| / Q, q = round_half_even(w / scale), Q 127 or 7, so -128 and -8 never
 * occur; a group of zeros has scale 0. */
#ifndef SGI_QUANTISE_H
#define SGI_QUANTISE_H

#include "core/safetensors.h"

/* Element d of a row packed two to a byte. */
static inline int sgi_int4_at(const void *row, size_t d) {
  int nibble = ((const uint8_t *)row)[d / 2] >> (d % 2 ? 4 : 0) & 15;
  return nibble > 7 ? nibble - 16 : nibble;
}

typedef struct sgi_quantise {
  sgi_dtype to; /* SGI_F32, SGI_BF16, SGI_F16, SGI_I8, or SGI_U8 for int4 */
  size_t group; /* columns that share a scale; 0: all of the row */
  /* int4: of the scales max/Q (20 - k)/20, k 0..10, that of least squared error, the smallest k on
   * ties */
  bool clip;
} sgi_quantise;

/* Groups of a row. */
size_t sgi_quantise_groups(size_t width, size_t group);
/* out: the row's bytes; scale (groups), unused where the type has none. False where an element is
 * finite and its number in the new type, or a scale, is not: *bad is its index. NaN and infinity
 * have no int8 or int4, either. */
bool sgi_quantise_row(const sgi_quantise *q, void *out, float *scale, const float *x, size_t n, size_t *bad);

#endif
