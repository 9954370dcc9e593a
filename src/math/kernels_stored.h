/* kernels_stored.h: weights of fewer bytes, decoded while they are read; a part of kernels_impl.h.
 * A type is a load of one vector and of one element; the loops over them are the same for all. */

#if defined(__AVX512F__)
INLINE vector load_bf16(const void *w, size_t d) {
  __m256i h = _mm256_loadu_si256((const __m256i *)(const void *)((const uint16_t *)w + d));
  return (vector)_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16));
}
INLINE vector load_f16(const void *w, size_t d) {
  return (vector)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)((const uint16_t *)w + d)));
}
INLINE vector load_int8(const void *w, size_t d) {
  __m128i b = _mm_loadu_si128((const __m128i *)(const void *)((const int8_t *)w + d));
  return (vector)_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(b));
}
/* Each byte into two lanes; its low nibble to the top of the first, its high one to the top of the
 * second, from where a shift brings both down with their sign. */
INLINE vector load_int4(const void *w, size_t d) {
  __m128i b = _mm_loadl_epi64((const __m128i *)(const void *)((const uint8_t *)w + d / 2));
  __m512i x = _mm512_cvtepu8_epi32(_mm_unpacklo_epi8(b, b)), by = _mm512_set1_epi64(28 | (long long)24 << 32);
  return (vector)_mm512_cvtepi32_ps(_mm512_srai_epi32(_mm512_sllv_epi32(x, by), 28));
}
#elif defined(__AVX2__)
INLINE vector load_bf16(const void *w, size_t d) {
  __m128i h = _mm_loadu_si128((const __m128i *)(const void *)((const uint16_t *)w + d));
  return (vector)_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16));
}
INLINE vector load_f16(const void *w, size_t d) {
  return (vector)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)((const uint16_t *)w + d)));
}
INLINE vector load_int8(const void *w, size_t d) {
  __m128i b = _mm_loadl_epi64((const __m128i *)(const void *)((const int8_t *)w + d));
  return (vector)_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(b));
}
INLINE vector load_int4(const void *w, size_t d) {
  int32_t four;
  memcpy(&four, (const uint8_t *)w + d / 2, sizeof four);
  __m128i b = _mm_cvtsi32_si128(four);
  __m256i x = _mm256_cvtepu8_epi32(_mm_unpacklo_epi8(b, b)), by = _mm256_set1_epi64x(28 | (long long)24 << 32);
  return (vector)_mm256_cvtepi32_ps(_mm256_srai_epi32(_mm256_sllv_epi32(x, by), 28));
}
#else
#define LOAD_BY_ELEMENT
#endif

INLINE float one_bf16(const void *w, size_t d) {
  uint32_t bits = (uint32_t)((const uint16_t *)w)[d] << 16;
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}
INLINE float one_f16(const void *w, size_t d) { return sgi_from_half(((const uint16_t *)w)[d]); }
INLINE float one_int8(const void *w, size_t d) { return ((const int8_t *)w)[d]; }
INLINE float one_int4(const void *w, size_t d) { return (float)sgi_int4_at(w, d); }

#ifdef LOAD_BY_ELEMENT
#define LOAD(type) \
  INLINE vector load_##type(const void *w, size_t d) { \
    return (vector){one_##type(w, d), one_##type(w, d + 1), one_##type(w, d + 2), one_##type(w, d + 3)}; \
  }
LOAD(bf16)
LOAD(f16)
LOAD(int8)
LOAD(int4)
#endif

/* Four sums side by side; d stays a multiple of a whole vector, so that no vector of int4 begins in
 * the middle of a byte. */
#define STORED(type) \
  static float dot_##type(const void *w, const float *x, size_t n) { \
    vector s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0}; \
    size_t d = 0; \
    for (; d + 4 * VECTOR <= n; d += 4 * VECTOR) { \
      s0 += load_##type(w, d) * *(const vector *)(x + d); \
      s1 += load_##type(w, d + VECTOR) * *(const vector *)(x + d + VECTOR); \
      s2 += load_##type(w, d + 2 * VECTOR) * *(const vector *)(x + d + 2 * VECTOR); \
      s3 += load_##type(w, d + 3 * VECTOR) * *(const vector *)(x + d + 3 * VECTOR); \
    } \
    for (; d + VECTOR <= n; d += VECTOR) s0 += load_##type(w, d) * *(const vector *)(x + d); \
    s0 = (s0 + s1) + (s2 + s3); \
    float sum = 0; \
    for (size_t i = 0; i < VECTOR; i++) sum += s0[i]; \
    for (; d < n; d++) sum += one_##type(w, d) * x[d]; \
    return sum; \
  } \
  static void axpy_##type(float *restrict y, const void *w, float a, size_t n) { \
    size_t d = 0; \
    for (; d + VECTOR <= n; d += VECTOR) *(vector *)(y + d) += a * load_##type(w, d); \
    for (; d < n; d++) y[d] += a * one_##type(w, d); \
  } \
  static void decode_##type(float *restrict y, const void *w, float a, size_t n) { \
    size_t d = 0; \
    for (; d + VECTOR <= n; d += VECTOR) *(vector *)(y + d) = a * load_##type(w, d); \
    for (; d < n; d++) y[d] = a * one_##type(w, d); \
  }
STORED(bf16)
STORED(f16)
STORED(int8)
STORED(int4)

/* Adding half of the last place, and the last place where it would be a tie, carries into the
 * upper half; a NaN would lose its mark that way, so it keeps its upper half and gets another. */
INLINE uint32_t bf16_bits(float x) {
  uint32_t u;
  memcpy(&u, &x, sizeof u);
  uint32_t nearest = u + 0x7FFFu + (u >> 16 & 1u);
  return (u & 0x7FFFFFFFu) > 0x7F800000u ? u | 0x400000u : nearest;
}

static void round_bf16(float *y, const float *x, size_t n) {
#pragma omp simd
  for (size_t i = 0; i < n; i++) {
    uint32_t u = bf16_bits(x[i]) & 0xFFFF0000u;
    memcpy(y + i, &u, sizeof u);
  }
}

static void to_bf16(void *y, const float *x, size_t n) {
  uint16_t *out = y;
#pragma omp simd
  for (size_t i = 0; i < n; i++) out[i] = (uint16_t)(bf16_bits(x[i]) >> 16);
}

/* ---- gathered rows of bf16 ------------------------------------------------------------------- */

/* A vector of pairs: as float32 its even numbers are the pairs shifted up, its odd ones the pairs
 * without their lower half, which costs less than widening each number. What they meet is taken
 * apart in the same way once for four rows. */
typedef uint32_t pairs __attribute__((vector_size(VECTOR * sizeof(uint32_t)), aligned(2), may_alias));
#if defined(__AVX512F__)
#define EVEN 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
#define ODD 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31
#define FIRST 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define SECOND 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#elif defined(__AVX2__)
#define EVEN 0, 2, 4, 6, 8, 10, 12, 14
#define ODD 1, 3, 5, 7, 9, 11, 13, 15
#define FIRST 0, 8, 1, 9, 2, 10, 3, 11
#define SECOND 4, 12, 5, 13, 6, 14, 7, 15
#else
#define EVEN 0, 2, 4, 6
#define ODD 1, 3, 5, 7
#define FIRST 0, 4, 1, 5
#define SECOND 2, 6, 3, 7
#endif

INLINE vector even_of(pairs w) { return (vector)(w << 16); }
INLINE vector odd_of(pairs w) { return (vector)(w & 0xFFFF0000u); }
INLINE float sum_of(vector s) {
  float sum = 0;
  for (size_t i = 0; i < VECTOR; i++) sum += s[i];
  return sum;
}

/* rows is a constant where this is inlined. */
INLINE void dots_bf16(const size_t rows, float *out, const uint16_t *w, const int32_t *index, const float *x,
                      size_t D) {
  const uint16_t *row[4];
  vector even[4], odd[4];
  size_t d = 0;
  for (size_t r = 0; r < rows; r++) row[r] = w + (size_t)index[r] * D, even[r] = odd[r] = (vector){0};
  for (; d + 2 * VECTOR <= D; d += 2 * VECTOR) {
    vector x0 = *(const vector *)(x + d), x1 = *(const vector *)(x + d + VECTOR);
    vector xe = __builtin_shufflevector(x0, x1, EVEN), xo = __builtin_shufflevector(x0, x1, ODD);
#pragma GCC unroll 4
    for (size_t r = 0; r < rows; r++) {
      pairs p = *(const pairs *)(const void *)(row[r] + d);
      even[r] += even_of(p) * xe;
      odd[r] += odd_of(p) * xo;
    }
  }
  for (size_t r = 0; r < rows; r++) {
    float sum = sum_of(even[r] + odd[r]);
    for (size_t e = d; e < D; e++) sum += one_bf16(row[r], e) * x[e];
    out[r] = sum;
  }
}

static void gather_dot_bf16(float *out, const void *w, const int32_t *index, size_t k, const float *x, size_t D) {
  size_t j = 0;
  for (; j + 4 <= k; j += 4) dots_bf16(4, out + j, w, index + j, x, D);
  for (; j < k; j++) dots_bf16(1, out + j, w, index + j, x, D);
}

INLINE void sums_bf16(const size_t rows, float *restrict y, const uint16_t *w, const int32_t *index, const float *coef,
                      size_t D) {
  const uint16_t *row[4];
  size_t d = 0;
  for (size_t r = 0; r < rows; r++) row[r] = w + (size_t)index[r] * D;
  for (; d + 2 * VECTOR <= D; d += 2 * VECTOR) {
    vector y0 = *(const vector *)(y + d), y1 = *(const vector *)(y + d + VECTOR);
    vector even = __builtin_shufflevector(y0, y1, EVEN), odd = __builtin_shufflevector(y0, y1, ODD);
#pragma GCC unroll 4
    for (size_t r = 0; r < rows; r++) {
      pairs p = *(const pairs *)(const void *)(row[r] + d);
      even += coef[r] * even_of(p);
      odd += coef[r] * odd_of(p);
    }
    *(vector *)(y + d) = __builtin_shufflevector(even, odd, FIRST);
    *(vector *)(y + d + VECTOR) = __builtin_shufflevector(even, odd, SECOND);
  }
  for (; d < D; d++)
    for (size_t r = 0; r < rows; r++) y[d] += coef[r] * one_bf16(row[r], d);
}

static void gather_axpy_bf16(float *restrict y, const void *w, const int32_t *index, const float *coef, size_t k,
                             size_t D) {
  size_t j = 0;
  for (; j + 4 <= k; j += 4) sums_bf16(4, y, w, index + j, coef + j, D);
  for (; j < k; j++) sums_bf16(1, y, w, index + j, coef + j, D);
}
#undef EVEN
#undef ODD
#undef FIRST
#undef SECOND
