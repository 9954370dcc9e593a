#include "core/convert.h"

#include <math.h>
#include <string.h>

#include "core/half.h"

enum { BLOCK = 1 << 16 };

bool sgi_is_real(sgi_dtype t) { return t == SGI_F32 || t == SGI_BF16 || t == SGI_F16 || t == SGI_F64; }

static float from_bits(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

/* Elements [from, to); the first that has no float32, or to. */
static size_t convert(const sgi_tensor *t, size_t from, size_t to, float *out) {
  const uint16_t *half = t->data;
  const double *wide = t->data;
  size_t i = from;
  switch (t->dtype) {
    case SGI_BF16:
      for (; i < to; i++) out[i] = from_bits((uint32_t)half[i] << 16);
      break;
    case SGI_F16:
      for (; i < to; i++) out[i] = sgi_from_half(half[i]);
      break;
    case SGI_F64:
      for (; i < to; i++) {
        out[i] = (float)wide[i];
        if (isinf(out[i]) && !isinf(wide[i])) return i;
      }
      break;
    default: memcpy(out + from, (const float *)t->data + from, (to - from) * sizeof *out); return to;
  }
  return to;
}

bool sgi_to_float(const sgi_tensor *t, float *out, size_t *bad) {
  size_t blocks = (t->count + BLOCK - 1) / BLOCK, first = SIZE_MAX;
#pragma omp parallel for schedule(static) reduction(min : first) if (blocks > 8)
  for (size_t b = 0; b < blocks; b++) {
    size_t from = b * BLOCK, to = t->count - from < BLOCK ? t->count : from + BLOCK, end = convert(t, from, to, out);
    if (end < to && end < first) first = end;
  }
  *bad = first;
  return first == SIZE_MAX;
}
