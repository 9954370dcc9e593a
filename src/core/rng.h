/* rng.h: random numbers as a pure function of (seed, stream, counter), so that a resumed run needs
 * no replay and any thread may draw any number. */
#ifndef SGI_RNG_H
#define SGI_RNG_H

#include "core/base.h"

/* Purposes that never share numbers. */
enum {
  SGI_STREAM_INIT = 1,
  SGI_STREAM_SHUFFLE = 2,
  SGI_STREAM_SAMPLE = 3,
  SGI_STREAM_WORLDS = 4,
  SGI_STREAM_INT4 = 5,
  SGI_STREAM_DROP = 6,
  SGI_STREAM_PRUNE = 7,
  SGI_STREAM_STUDY = 8,
  SGI_STREAM_ROTATION = 9,
  SGI_STREAM_SPARSE = 11,
  SGI_STREAM_SUPERPOSITION = 12,
  SGI_STREAM_SPANS = 13,
  SGI_STREAM_FUNCTIONS = 14,
  SGI_STREAM_TOPICS = 15
};

/* A stream: set seed, stream (and any sub-stream) once, then draw by counter. */
typedef struct sgi_rng {
  uint64_t key;     /* mixed from seed, stream and sub */
  uint64_t counter; /* next draw */
} sgi_rng;

/* Finaliser of splitmix64: every input bit reaches every output bit. */
static inline uint64_t sgi_rng_mix(uint64_t x) {
  x ^= x >> 30;
  x *= UINT64_C(0xbf58476d1ce4e5b9);
  x ^= x >> 27;
  x *= UINT64_C(0x94d049bb133111eb);
  return x ^ x >> 31;
}
#define SGI_RNG_STEP UINT64_C(0x9e3779b97f4a7c15)
/* Draw `counter` of a stream's key. Two rounds, so that neighbouring keys and counters do not meet
 * on one line of splitmix. */
static inline uint64_t sgi_rng_word(uint64_t key, uint64_t counter) {
  return sgi_rng_mix(sgi_rng_mix(counter * SGI_RNG_STEP + key) + (key << 1 | 1));
}

sgi_rng sgi_rng_make(uint64_t seed, uint64_t stream, uint64_t sub);
uint64_t sgi_rng_at(const sgi_rng *r, uint64_t counter); /* 64 random bits, without advancing */
uint64_t sgi_rng_next(sgi_rng *r);
double sgi_rng_uniform(sgi_rng *r);             /* [0, 1), 53 bits */
uint64_t sgi_rng_below(sgi_rng *r, uint64_t n); /* 0 .. n-1 without bias; 0 for n = 0 */
double sgi_rng_normal(sgi_rng *r);              /* standard normal */
double sgi_rng_truncated(
    sgi_rng *r, double limit); /* standard normal conditioned on |x| < limit, by inversion of uniform or rejection */

/* Image of i under a random permutation of 0..n-1 fixed by (seed, stream, sub): random access, no
 * table. */
uint64_t sgi_rng_permute(uint64_t seed, uint64_t stream, uint64_t sub, uint64_t n, uint64_t i);

#endif
