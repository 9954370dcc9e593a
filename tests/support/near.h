/* near.h: near(what, got, want, bound): a number beside what it should be. A failure prints both,
 * the bound and the place; NaN is near nothing. */
#ifndef TEST_NEAR_H
#define TEST_NEAR_H

#include <math.h>

#include "support/golden.h"

#define near(what, got, want, bound) near_at(what, got, want, bound, __FILE__, __LINE__)

static inline void near_at(const char *what, double got, double want, double bound, const char *file, int line) {
  if (got == want || fabs(got - want) <= bound) return; /* infinite ones are equal or far apart */
  print_error("%s: %.17g, expected %.17g +- %.3g; off by %.3g\n", what, got, want, bound, got - want);
  _fail(file, line);
}

/* The worst so far and a difference: NaN is the worst of all, where fmax would pass it by. */
static inline double worse(double worst, double difference) {
  return difference <= worst ? worst : isnan(difference) ? INFINITY : difference;
}

#endif
