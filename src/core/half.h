/* half.h: binary16 and float32, by their bits: not every compiler has a type for the first (clang
 * 14 on x86 has none). Rounds to nearest, ties to even, as the hardware does. */
#ifndef SGI_HALF_H
#define SGI_HALF_H

#include <stdint.h>
#include <string.h>

static inline uint16_t sgi_to_half(float x) {
  uint32_t u, sign, h;
  memcpy(&u, &x, sizeof u);
  sign = u >> 16 & 0x8000u;
  u &= 0x7FFFFFFFu;
  if (u >= 0x7F800000u) return (uint16_t)(sign | 0x7C00u | (u > 0x7F800000u ? 0x200u : 0));
  if (u >= 0x477FF000u) return (uint16_t)(sign | 0x7C00u); /* 65520 and above */
  if (u >= 0x38800000u) {                                  /* 2^-14: normal there, too; a carry moves the exponent on */
    h = (u - 0x38000000u + 0xFFFu + (u >> 13 & 1u)) >> 13;
  } else { /* adding 2^-1 leaves 24 places behind the point: the sum rounds where a subnormal half ends */
    float sum;
    memcpy(&sum, &u, sizeof sum);
    sum += 0.5f;
    memcpy(&h, &sum, sizeof h);
    h -= 0x3F000000u;
  }
  return (uint16_t)(sign | h);
}

/* A subnormal half is a normal float32, so no setting of the processor makes small ones 0. */
static inline float sgi_from_half(uint16_t h) {
  uint32_t sign = (uint32_t)(h & 0x8000u) << 16, rest = h & 0x7FFFu, u;
  float x;
  if (rest >= 0x7C00u)
    u = 0x7F800000u | (rest & 0x3FFu) << 13;
  else if (rest >= 0x400u)
    u = (rest << 13) + 0x38000000u;
  else {
    x = (float)rest * 0x1p-24f;
    memcpy(&u, &x, sizeof u);
  }
  u |= sign;
  memcpy(&x, &u, sizeof x);
  return x;
}

#endif
