/* median.h: numbers in order, and the middle of a sample, for timings and shares whose mean a few
 * would decide. */
#ifndef SGI_MEDIAN_H
#define SGI_MEDIAN_H

#include <stddef.h>

/* For qsort of doubles, none of them NaN. */
int sgi_ascending(const void *a, const void *b);

/* The middle one of x (n), or the mean of the two middle ones; sorts x. 0 of none. */
double sgi_median(double *x, size_t n);

#endif
