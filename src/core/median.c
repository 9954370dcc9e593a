#include "core/median.h"

#include <stdlib.h>

int sgi_ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

double sgi_median(double *x, size_t n) {
  if (!n) return 0;
  qsort(x, n, sizeof *x, sgi_ascending);
  return n % 2 ? x[n / 2] : (x[n / 2 - 1] + x[n / 2]) / 2;
}
