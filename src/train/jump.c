#include "train/jump.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/median.h"

static const double FAR = 1e4, LEAST = 1e-3;

double sgi_norms_median(const sgi_norms *n) {
  double sorted[SGI_NORMS];
  size_t have = n->count < SGI_NORMS ? n->count : SGI_NORMS;
  if (have <= SGI_NORMS / 2) return 0;
  memcpy(sorted, n->last, have * sizeof *sorted);
  qsort(sorted, have, sizeof *sorted, sgi_ascending);
  return sorted[have / 2];
}

bool sgi_norms_jump(sgi_norms *n, double norm) {
  double median = sgi_norms_median(n);
  if (n->count > SGI_NORMS / 2 && norm > FAR * fmax(median, LEAST)) return true;
  n->last[n->count++ % SGI_NORMS] = norm;
  return false;
}
