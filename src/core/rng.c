#include "core/rng.h"

#include <math.h>

sgi_rng sgi_rng_make(uint64_t seed, uint64_t stream, uint64_t sub) {
  uint64_t key = sgi_rng_mix(seed + SGI_RNG_STEP);
  key = sgi_rng_mix(key ^ (stream + 1) * UINT64_C(0xd1342543de82ef95));
  key = sgi_rng_mix(key ^ (sub + 1) * UINT64_C(0xaf251af3b0f025b5));
  return (sgi_rng){.key = key};
}

uint64_t sgi_rng_at(const sgi_rng *r, uint64_t counter) { return sgi_rng_word(r->key, counter); }

uint64_t sgi_rng_next(sgi_rng *r) { return sgi_rng_at(r, r->counter++); }

double sgi_rng_uniform(sgi_rng *r) { return (double)(sgi_rng_next(r) >> 11) * 0x1p-53; }

uint64_t sgi_rng_below(sgi_rng *r, uint64_t n) {
  if (n == 0) return 0;
  uint64_t reject = -n % n; /* 2^64 mod n: values under it would come once too often */
  for (;;) {
    unsigned __int128 product = (unsigned __int128)sgi_rng_next(r) * n;
    if ((uint64_t)product >= reject) return (uint64_t)(product >> 64);
  }
}

/* Box and Muller; the second number of the pair is left unused so that a stream has no memory but
 * its counter. */
double sgi_rng_normal(sgi_rng *r) {
  double u = 1 - sgi_rng_uniform(r), v = sgi_rng_uniform(r);
  return sqrt(-2 * log(u)) * cos(6.283185307179586477 * v);
}

double sgi_rng_truncated(sgi_rng *r, double limit) {
  for (;;) {
    double x = sgi_rng_normal(r);
    if (fabs(x) < limit) return x;
  }
}

/* Six rounds of a Feistel network on the smallest even number of bits that holds n; numbers outside
 * are sent round again. */
uint64_t sgi_rng_permute(uint64_t seed, uint64_t stream, uint64_t sub, uint64_t n, uint64_t i) {
  if (n < 2) return 0;
  sgi_rng r = sgi_rng_make(seed, stream, sub);
  unsigned bits = 1;
  while (bits < 32 && (n - 1) >> (2 * bits)) bits++;
  uint64_t mask = bits == 32 ? UINT64_C(0xffffffff) : (UINT64_C(1) << bits) - 1;
  do {
    uint64_t left = i >> bits & mask, right = i & mask;
    for (unsigned round = 0; round < 6; round++) {
      uint64_t next = left ^ (sgi_rng_at(&r, (uint64_t)round << 32 | right) & mask);
      left = right;
      right = next;
    }
    i = left << bits | right;
  } while (i >= n);
  return i;
}
