/* profile.h: where a pass spends its time. A profile rides in the scratch arena that every kernel
 * is handed, so no call carries an argument more and nothing is global; without one a lap costs a
 * comparison.
 *
 *   double at = sgi_lap_begin(scratch.profile);
 *   ... work ...
 *   sgi_lap(scratch.profile, &at, "qkv forward", flops, bytes);   the time since `at`, which moves
 * on
 *
 * Laps are taken outside parallel regions, by the thread that opened them. */
#ifndef SGI_PROFILE_H
#define SGI_PROFILE_H

#include "core/base.h"

enum { SGI_PROFILE_KERNELS = 48 };

typedef struct sgi_profile {
  double (*clock)(void); /* sgi_now or sgi_cpu_now */
  const char *stage;     /* NULL, or the name under which products and gathers time themselves (sgi_work) */
  size_t count;
  struct {
    const char *name; /* borrowed for ever */
    uint64_t calls;
    double seconds;
    double flops; /* multiply and add are two; 0 for what only moves memory */
    double bytes; /* read and written at least once, were every cache empty before */
  } kernels[SGI_PROFILE_KERNELS];
} sgi_profile;

/* Adds to the row of that name; what finds no room is left out. */
void sgi_profile_add(sgi_profile *p, const char *name, double seconds, double flops, double bytes);

static inline double sgi_lap_begin(const sgi_profile *p) { return p ? p->clock() : 0; }

static inline void sgi_lap(sgi_profile *p, double *at, const char *name, double flops, double bytes) {
  if (!p) return;
  double now = p->clock();
  sgi_profile_add(p, name, now - *at, flops, bytes);
  *at = p->clock();
}

/* What knows its own cost times itself: the row is the stage's that the walk is in. Outside stages
 * its caller takes the lap. */
static inline void sgi_profile_stage(sgi_profile *p, const char *name) {
  if (p) p->stage = name;
}
static inline double sgi_work_begin(const sgi_profile *p) { return p && p->stage ? p->clock() : 0; }
static inline void sgi_work(sgi_profile *p, double at, double flops, double bytes) {
  if (p && p->stage) sgi_profile_add(p, p->stage, p->clock() - at, flops, bytes);
}

/* The cost of a matrix product (m,n,k): every operand once. */
static inline double sgi_product_flops(size_t m, size_t n, size_t k) { return 2.0 * (double)m * (double)n * (double)k; }
static inline double sgi_product_bytes(size_t m, size_t n, size_t k) {
  return 4.0 * ((double)m * (double)n + (double)m * (double)k + (double)n * (double)k);
}

#endif
