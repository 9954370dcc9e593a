/* kernels_digits.h: rows of int8 and int4 times a vector, in whole numbers; a part of
 * kernels_impl.h (docs/method.md, stored products).
 *
 * x becomes three signed digits of base 256, X = 65536 d0 + 256 d1 + d2, x = unit X but for at most
 * half a unit. Products of levels and digits are whole and so are their sums: a row's is exact, in
 * any order, on any path. Levels are read as unsigned numbers, bias higher than they are; what that
 * adds is bias times the sum of the digits. */

enum { DIGITS = 3, LARGEST = 8355000 }; /* under 127 * (65536 + 256 + 1): no digit overflows */

INLINE void place_digits(const sgi_digits *out, const float *x, size_t n, size_t step, size_t at, float inverse,
                         int64_t sum[DIGITS]) {
  int8_t *restrict d0 = out->plane[0] + at, *restrict d1 = out->plane[1] + at, *restrict d2 = out->plane[2] + at;
  int32_t s0 = 0, s1 = 0, s2 = 0;
#pragma omp simd reduction(+ : s0, s1, s2)
  for (size_t i = 0; i < n; i++) {
    float t = x[i * step] * inverse;
    int32_t X = (int32_t)(t + (t < 0 ? -0.5f : 0.5f));
    int32_t low = (int8_t)X, rest = (X - low) >> 8, middle = (int8_t)rest, high = (rest - middle) >> 8;
    d0[i] = (int8_t)high;
    d1[i] = (int8_t)middle;
    d2[i] = (int8_t)low;
    s0 += high, s1 += middle, s2 += low;
  }
  sum[0] += s0, sum[1] += s1, sum[2] += s2;
}

static bool split_digits(sgi_digits *out, const float *x, size_t n, bool halves) {
  float most = 0;
  uint32_t broken = 0;
#pragma omp simd reduction(max : most) reduction(| : broken)
  for (size_t i = 0; i < n; i++) {
    float a = x[i] < 0 ? -x[i] : x[i];
    uint32_t bits;
    memcpy(&bits, x + i, sizeof bits);
    broken |= (bits & 0x7f800000u) == 0x7f800000u;
    most = a > most ? a : most;
  }
  if (broken || (most > 0 && most < 1e-30f)) return false;
  float inverse = most > 0 ? (float)LARGEST / most : 0;
  for (size_t k = 0; k < DIGITS; k++) {
    memset(out->plane[k], 0, out->room);
    out->sum[k] = 0;
  }
  out->unit = most / (float)LARGEST;
  if (!halves) {
    place_digits(out, x, n, 1, 0, inverse, out->sum);
  } else {
    place_digits(out, x, (n + 1) / 2, 2, 0, inverse, out->sum);
    place_digits(out, x + 1, n / 2, 2, out->room / 2, inverse, out->sum);
  }
  return true;
}

/* Sums of unsigned levels times each digit, to the sum of levels times X. */
INLINE double whole_sum(const int64_t s[DIGITS], const sgi_digits *x, int64_t bias) {
  return (double)(65536 * (s[0] - bias * x->sum[0]) + 256 * (s[1] - bias * x->sum[1]) + (s[2] - bias * x->sum[2]));
}

#if defined(__AVX2__)
INLINE int64_t total_256(__m256i s) {
  int32_t part[8];
  int64_t sum = 0;
  _mm256_storeu_si256((__m256i *)(void *)part, s);
  for (size_t i = 0; i < 8; i++) sum += part[i];
  return sum;
}

/* 32 bytes of a row times its digits: pairs of products fit into 16 bits, 2 * 2 * 15 * 128. */
INLINE void add_int4_256(__m256i s[DIGITS], const uint8_t *w, size_t k, const sgi_digits *x) {
  const __m256i low = _mm256_set1_epi8(15), ones = _mm256_set1_epi16(1);
  __m256i v = _mm256_xor_si256(_mm256_loadu_si256((const __m256i *)(const void *)w), _mm256_set1_epi8((char)0x88));
  __m256i even = _mm256_and_si256(v, low), odd = _mm256_and_si256(_mm256_srli_epi16(v, 4), low);
  for (size_t i = 0; i < DIGITS; i++) {
    const int8_t *p = x->plane[i] + k;
    __m256i a = _mm256_maddubs_epi16(even, _mm256_loadu_si256((const __m256i *)(const void *)p));
    __m256i b = _mm256_maddubs_epi16(odd, _mm256_loadu_si256((const __m256i *)(const void *)(p + x->room / 2)));
    s[i] = _mm256_add_epi32(s[i], _mm256_madd_epi16(_mm256_add_epi16(a, b), ones));
  }
}

static void rows_int4_256(double *out, const void *w, size_t bytes, size_t rows, const sgi_digits *x) {
  for (size_t r = 0; r < rows; r++) {
    const uint8_t *row = (const uint8_t *)w + r * bytes;
    __m256i s[DIGITS] = {_mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256()};
    size_t k = 0;
    for (; k + 32 <= bytes; k += 32) add_int4_256(s, row + k, k, x);
    if (k < bytes) {
      uint8_t last[32] = {0};
      memcpy(last, row + k, bytes - k);
      add_int4_256(s, last, k, x);
    }
    int64_t sum[DIGITS] = {total_256(s[0]), total_256(s[1]), total_256(s[2])};
    out[r] = whole_sum(sum, x, 8);
  }
}

static const sgi_digit_kernels digits_256 = {split_digits, NULL, rows_int4_256};
#endif

#if defined(__AVX512F__)
#define VNNI __attribute__((target("avx512vnni")))
#define VNNI_INLINE static inline __attribute__((always_inline, target("avx512vnni")))

/* Totals of up to four sums at once; for n up to SGI_DIGITS_WIDTH they fit into 32 bits. */
INLINE void totals_512(int32_t out[4], __m512i s0, __m512i s1, __m512i s2, __m512i s3) {
  __m256i a = _mm256_add_epi32(_mm512_castsi512_si256(s0), _mm512_extracti64x4_epi64(s0, 1));
  __m256i b = _mm256_add_epi32(_mm512_castsi512_si256(s1), _mm512_extracti64x4_epi64(s1, 1));
  __m256i c = _mm256_add_epi32(_mm512_castsi512_si256(s2), _mm512_extracti64x4_epi64(s2, 1));
  __m256i d = _mm256_add_epi32(_mm512_castsi512_si256(s3), _mm512_extracti64x4_epi64(s3, 1));
  __m256i all = _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
  _mm_storeu_si128((__m128i *)(void *)out,
                   _mm_add_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1)));
}

INLINE void whole_sums(const size_t rows, double *out, __m512i (*s)[DIGITS], const sgi_digits *x, int64_t bias) {
  int32_t t[DIGITS][4];
  for (size_t i = 0; i < DIGITS; i++)
    totals_512(t[i], s[0][i], s[rows > 1 ? 1 : 0][i], s[rows > 2 ? 2 : 0][i], s[rows > 3 ? 3 : 0][i]);
  for (size_t r = 0; r < rows; r++) out[r] = whole_sum((const int64_t[]){t[0][r], t[1][r], t[2][r]}, x, bias);
}

/* rows is a constant where these are inlined: so many rows share a load of the digits. */
VNNI_INLINE void rows_int8_of(const size_t rows, double *out, const uint8_t *w, size_t bytes, const sgi_digits *x) {
  __m512i s[4][DIGITS];
  const __m512i bias = _mm512_set1_epi8((char)0x80);
  for (size_t r = 0; r < rows; r++)
    for (size_t i = 0; i < DIGITS; i++) s[r][i] = _mm512_setzero_si512();
  for (size_t k = 0; k < bytes; k += 64) {
    __mmask64 there = bytes - k < 64 ? ((__mmask64)1 << (bytes - k)) - 1 : ~(__mmask64)0;
    __m512i d0 = _mm512_loadu_si512(x->plane[0] + k), d1 = _mm512_loadu_si512(x->plane[1] + k);
    __m512i d2 = _mm512_loadu_si512(x->plane[2] + k);
#pragma GCC unroll 4
    for (size_t r = 0; r < rows; r++) {
      __m512i u = _mm512_xor_si512(_mm512_maskz_loadu_epi8(there, w + r * bytes + k), bias);
      s[r][0] = _mm512_dpbusd_epi32(s[r][0], u, d0);
      s[r][1] = _mm512_dpbusd_epi32(s[r][1], u, d1);
      s[r][2] = _mm512_dpbusd_epi32(s[r][2], u, d2);
    }
  }
  whole_sums(rows, out, s, x, 128);
}

VNNI_INLINE void rows_int4_of(const size_t rows, double *out, const uint8_t *w, size_t bytes, const sgi_digits *x) {
  __m512i s[4][DIGITS];
  const __m512i bias = _mm512_set1_epi8((char)0x88), low = _mm512_set1_epi8(15);
  const size_t half = x->room / 2;
  for (size_t r = 0; r < rows; r++)
    for (size_t i = 0; i < DIGITS; i++) s[r][i] = _mm512_setzero_si512();
  for (size_t k = 0; k < bytes; k += 64) {
    __mmask64 there = bytes - k < 64 ? ((__mmask64)1 << (bytes - k)) - 1 : ~(__mmask64)0;
    __m512i e0 = _mm512_loadu_si512(x->plane[0] + k), o0 = _mm512_loadu_si512(x->plane[0] + half + k);
    __m512i e1 = _mm512_loadu_si512(x->plane[1] + k), o1 = _mm512_loadu_si512(x->plane[1] + half + k);
    __m512i e2 = _mm512_loadu_si512(x->plane[2] + k), o2 = _mm512_loadu_si512(x->plane[2] + half + k);
#pragma GCC unroll 4
    for (size_t r = 0; r < rows; r++) {
      __m512i v = _mm512_xor_si512(_mm512_maskz_loadu_epi8(there, w + r * bytes + k), bias);
      __m512i even = _mm512_and_si512(v, low), odd = _mm512_and_si512(_mm512_srli_epi16(v, 4), low);
      s[r][0] = _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(s[r][0], even, e0), odd, o0);
      s[r][1] = _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(s[r][1], even, e1), odd, o1);
      s[r][2] = _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(s[r][2], even, e2), odd, o2);
    }
  }
  whole_sums(rows, out, s, x, 8);
}

VNNI static void rows_int8_vnni(double *out, const void *w, size_t bytes, size_t rows, const sgi_digits *x) {
  size_t r = 0;
  for (; r + 4 <= rows; r += 4) rows_int8_of(4, out + r, (const uint8_t *)w + r * bytes, bytes, x);
  for (; r < rows; r++) rows_int8_of(1, out + r, (const uint8_t *)w + r * bytes, bytes, x);
}

VNNI static void rows_int4_vnni(double *out, const void *w, size_t bytes, size_t rows, const sgi_digits *x) {
  size_t r = 0;
  for (; r + 4 <= rows; r += 4) rows_int4_of(4, out + r, (const uint8_t *)w + r * bytes, bytes, x);
  for (; r < rows; r++) rows_int4_of(1, out + r, (const uint8_t *)w + r * bytes, bytes, x);
}

static const sgi_digit_kernels digits_vnni = {split_digits, rows_int8_vnni, rows_int4_vnni};

static const sgi_digit_kernels *digits(void) {
  return __builtin_cpu_supports("avx512vnni") ? &digits_vnni : &digits_256;
}
#elif defined(__AVX2__)
static const sgi_digit_kernels *digits(void) { return &digits_256; }
#else
/* Plain loops over three digits are slower than decoding; the vector's digits are there for
 * tests. */
static const sgi_digit_kernels digits_none = {split_digits, NULL, NULL};
static const sgi_digit_kernels *digits(void) { return &digits_none; }
#endif
