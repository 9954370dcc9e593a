#include "math/topk.h"

#include <float.h>
#include <math.h>

/* A bound is looked for from this k on, by at most so many groups. */
enum { FEWEST_BOUNDED = 16, MOST_GROUPS = 256 };

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

/* A number below which no element is among the k largest: of at least 2 k groups of elements each
 * has its largest, and k elements are not below the k-th of these. For many k of many n, where
 * almost all that would be inserted on the way is pushed out again. */
static float bound(const float *x, size_t n, size_t k) {
  float most[MOST_GROUPS], largest[MOST_GROUPS / 2];
  int32_t at[MOST_GROUPS / 2];
  size_t groups = SGI_LANES, have = 0;
  while (groups < 2 * k) groups *= 2;
  if (k < FEWEST_BOUNDED || groups > MOST_GROUPS || n < 8 * groups) return -INFINITY;
  for (size_t g = 0; g < groups; g++) most[g] = -INFINITY;
  for (size_t i = 0; i + groups <= n; i += groups) {
#pragma omp simd
    for (size_t g = 0; g < groups; g++) most[g] = x[i + g] > most[g] ? x[i + g] : most[g];
  }
  for (size_t g = 0; g < groups; g++)
    if (have < k || most[g] > largest[k - 1]) have = insert(largest, at, have, k, most[g], 0);
  float b = largest[k - 1];
  return !isfinite(b) ? -INFINITY : b - 1e-6F * fabsf(b) - FLT_MIN; /* below it in any rounding: k elements are above */
}

void sgi_topk(float *value, int32_t *index, const float *x, size_t n, size_t k) {
  const sgi_kernels *kern = n > 4 * SGI_LANES ? sgi_kernel_table() : NULL;
  float least = bound(x, n, k);
  bool bounded = least > -INFINITY;
  size_t have = 0;
  for (size_t i = 0; i < n; i++) {
    if (have == k) least = value[k - 1];
    if (kern && (bounded || have == k) && i % SGI_LANES == 0 && (i = kern->skip_small(x, i, n, least)) == n) break;
    float v = isnan(x[i]) ? -INFINITY : x[i];
    if ((bounded || have == k) && !(v > least)) continue; /* equal to the k-th: the earlier index stays */
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
