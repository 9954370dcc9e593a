/* topk.h: K largest of a row, descending, of equal values the lower index first. */
#ifndef SGI_TOPK_H
#define SGI_TOPK_H

#include "math/kernels.h"

/* value (k), index (k) of x (n); 1 <= k <= n, k <= SGI_MAX_TOP_K. No NaN in x (a NaN counts as
 * lowest). */
void sgi_topk(float *value, int32_t *index, const float *x, size_t n, size_t k);

/* The k largest of the k*k sums a[i] + b[j] of two descending lists; pair = i*k + j, ties to the
 * lower pair. */
void sgi_topk_pairs(float *value, int32_t *pair, const float *a, const float *b, size_t k);

#endif
