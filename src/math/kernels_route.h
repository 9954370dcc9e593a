/* kernels_route.h: the choice of K scores; a part of kernels_impl.h. Lanes are tokens: a vector
 * holds one unit's score for each of them, a sorted list is K vectors of values and K of names. */
#if defined(__x86_64__)
#include <immintrin.h>
#endif

typedef int32_t names __attribute__((vector_size(VECTOR * sizeof(int32_t)), aligned(4), may_alias));

/* Comparisons give a mask; pick takes the first where it is set. smaller and larger give y where
 * either is no number. */
#if defined(__AVX512F__)
typedef __mmask16 mask;
INLINE mask above(vector x, vector y) { return _mm512_cmp_ps_mask((__m512)x, (__m512)y, _CMP_GT_OQ); }
INLINE bool any_of(mask m) { return m != 0; }
INLINE names pick(mask m, names a, names b) { return (names)_mm512_mask_blend_epi32(m, (__m512i)b, (__m512i)a); }
INLINE vector smaller(vector x, vector y) { return (vector)_mm512_min_ps((__m512)x, (__m512)y); }
INLINE vector larger(vector x, vector y) { return (vector)_mm512_max_ps((__m512)x, (__m512)y); }
#elif defined(__AVX2__)
typedef __m256 mask;
INLINE mask above(vector x, vector y) { return _mm256_cmp_ps((__m256)x, (__m256)y, _CMP_GT_OQ); }
INLINE bool any_of(mask m) { return _mm256_movemask_ps(m) != 0; }
INLINE names pick(mask m, names a, names b) { return (names)_mm256_blendv_ps((__m256)b, (__m256)a, m); }
INLINE vector smaller(vector x, vector y) { return (vector)_mm256_min_ps((__m256)x, (__m256)y); }
INLINE vector larger(vector x, vector y) { return (vector)_mm256_max_ps((__m256)x, (__m256)y); }
#else
typedef names mask;
INLINE mask above(vector x, vector y) { return x > y; }
INLINE bool any_of(mask m) { return m[0] | m[1] | m[2] | m[3]; }
INLINE names pick(mask m, names a, names b) { return (m & a) | (~m & b); }
INLINE vector smaller(vector x, vector y) { return (vector)pick(x < y, (names)x, (names)y); }
INLINE vector larger(vector x, vector y) { return (vector)pick(x > y, (names)x, (names)y); }
#endif

INLINE vector lowest(void) { return (vector){0} - __builtin_inff(); }

/* x with its name into lists of K that descend. A list below it moves down by one; equals stay in
 * front. A NaN is above none, and the order of the arguments keeps it out. */
INLINE void insert_lanes(vector *value, names *name, const size_t K, vector x, names id) {
#pragma GCC unroll 8
  for (size_t k = K - 1; k > 0; k--) {
    name[k] = pick(above(x, value[k - 1]), name[k - 1], pick(above(x, value[k]), id, name[k]));
    value[k] = larger(smaller(value[k - 1], x), value[k]);
  }
  name[0] = pick(above(x, value[0]), id, name[0]);
  value[0] = larger(x, value[0]);
}

/* The k-th of all, k < K: its place in the list is free. A score of -inf lands here, since it is
 * larger than none. */
INLINE void insert_early(vector *value, names *name, const size_t K, size_t k, vector x, names id) {
  value[k] = lowest();
  name[k] = id;
  insert_lanes(value, name, k + 1 < K ? k + 1 : K, x, id);
}

/* value, name (K) of u (S, stride). */
INLINE void top_lanes(vector *value, names *name, const float *u, size_t stride, size_t S, const size_t K) {
  enum { SELDOM = 48 }; /* before, there is hardly a row that no lane wants */
#pragma GCC unroll 8
  for (size_t s = 0; s < K; s++)
    insert_early(value, name, K, s, larger(*(const vector *)(u + s * stride), lowest()), (names){0} + (int32_t)s);
  for (size_t s = K; s < S; s++) {
    vector x = *(const vector *)(u + s * stride); /* a NaN is above none */
    if (s >= SELDOM && !any_of(above(x, value[K - 1]))) continue;
    insert_lanes(value, name, K, x, (names){0} + (int32_t)s);
  }
}

INLINE void choose_lanes(float *score, int32_t *index, size_t ld, const float *u0, const float *u1, size_t stride,
                         size_t lanes, size_t S, const size_t K, float factor) {
  vector a[SGI_MAX_TOP_K], b[SGI_MAX_TOP_K], best[SGI_MAX_TOP_K];
  names na[SGI_MAX_TOP_K], nb[SGI_MAX_TOP_K], unit[SGI_MAX_TOP_K];
  top_lanes(a, na, u0, stride, S, K);
  top_lanes(b, nb, u1, stride, S, K);
  for (size_t k = 0; k < K; k++) {
    a[k] *= factor;
    b[k] *= factor;
    na[k] *= (int32_t)S;
  }
  size_t have = 0;
#pragma GCC unroll 8
  for (size_t i = 0; i < K; i++)
#pragma GCC unroll 8
    for (size_t j = 0; (i + 1) * (j + 1) <= K; j++, have++) /* see sgi_topk_pairs */
      if (have < K)
        insert_early(best, unit, K, have, a[i] + b[j], na[i] + nb[j]);
      else
        insert_lanes(best, unit, K, a[i] + b[j], na[i] + nb[j]);
  for (size_t l = 0; l < lanes; l++)
    for (size_t k = 0; k < K; k++) {
      score[l * ld + k] = best[k][l];
      index[l * ld + k] = unit[k][l];
    }
}

static void choose_pairs(float *score, int32_t *index, size_t ld, const float *u0, const float *u1, size_t stride,
                         size_t lanes, size_t S, size_t K, float factor) {
  for (size_t l = 0; l < lanes; l += VECTOR, u0 += VECTOR, u1 += VECTOR) {
    size_t some = lanes - l < VECTOR ? lanes - l : VECTOR;
    if (K == 8) /* the usual size, for lists in registers */
      choose_lanes(score + l * ld, index + l * ld, ld, u0, u1, stride, some, S, 8, factor);
    else
      choose_lanes(score + l * ld, index + l * ld, ld, u0, u1, stride, some, S, K, factor);
  }
}

static size_t skip_small(const float *x, size_t i, size_t n, float least) {
  for (; i + SGI_LANES <= n; i += SGI_LANES) {
    int any = 0;
#pragma omp simd reduction(| : any)
    for (size_t l = 0; l < SGI_LANES; l++) any |= !(x[i + l] <= least);
    if (any) break;
  }
  return i;
}
