#include "math/topk.h"

#include <math.h>

/* Insertion into a short sorted list: for the small K of routers most candidates fail the first
 * comparison. */
static inline size_t insert(float *value, int32_t *index, size_t have, size_t k, float x, int32_t i) {
  size_t at = have < k ? have : k - 1;
  for (; at > 0 && value[at - 1] < x; at--) {
    value[at] = value[at - 1];
    index[at] = index[at - 1];
  }
  value[at] = x;
  index[at] = i;
  return have < k ? have + 1 : have;
}

void sgi_topk(float *value, int32_t *index, const float *x, size_t n, size_t k) {
  const sgi_kernels *kern = n > 4 * SGI_LANES ? sgi_kernel_table() : NULL;
  size_t have = 0;
  for (size_t i = 0; i < n; i++) {
    if (kern && have == k && i % SGI_LANES == 0 && (i = kern->skip_small(x, i, n, value[k - 1])) == n) break;
    float v = isnan(x[i]) ? -INFINITY : x[i];
    if (have == k && !(v > value[k - 1])) continue; /* equal: the earlier index stays */
    have = insert(value, index, have, k, v, (int32_t)i);
  }
}

/* Pair (i,j) is preceded by all (i',j') with i' <= i, j' <= j: their sums are not smaller and their
 * ranks lower. So only pairs with (i+1)(j+1) <= k can be among the k largest. */
void sgi_topk_pairs(float *value, int32_t *pair, const float *a, const float *b, size_t k) {
  size_t have = 0;
  for (size_t i = 0; i < k; i++)
    for (size_t j = 0; (i + 1) * (j + 1) <= k; j++) {
      float v = a[i] + b[j];
      if (have == k && !(v > value[k - 1])) break; /* b descends: the rest of the row is not larger */
      have = insert(value, pair, have, k, v, (int32_t)(i * k + j));
    }
}
