/* kernels_int4.h: one row of weights trained as int4 (docs/method.md, pools in four bits); a part
 * of kernels_impl.h. The step is a float32, the decision which way it rounds is made of whole
 * numbers, so that a step smaller than a random word can tell never moves anything. */

enum { INT4_PIECE = 256 }; /* weights that are taken apart at a time; a multiple of 4 */

/* Levels of a row's bytes, from an even column on. */
INLINE void levels_of(int32_t *restrict out, const uint8_t *restrict packed, size_t n) {
#pragma omp simd
  for (size_t i = 0; i < n / 2; i++) {
    out[2 * i] = (int32_t)((uint32_t)packed[i] << 28) >> 28;
    out[2 * i + 1] = (int32_t)((uint32_t)packed[i] << 24) >> 28;
  }
  if (n % 2) out[n - 1] = (int32_t)((uint32_t)packed[n / 2] << 28) >> 28;
}

INLINE void pack_levels(uint8_t *restrict packed, const int32_t *restrict q, size_t n) {
#pragma omp simd
  for (size_t i = 0; i < n / 2; i++) packed[i] = (uint8_t)((q[2 * i] & 15) | (q[2 * i + 1] & 15) << 4);
  if (n % 2) packed[n / 2] = (uint8_t)(q[n - 1] & 15);
}

/* Sixteen bits for each of n elements from number e of a tensor on: element e has those from bit 16
 * (e mod 4) on of word base + e / 4. bits has room for n + 8. Returns where the first stands. */
INLINE const int32_t *int4_bits(int32_t *restrict bits, uint64_t key, uint64_t base, uint64_t e, size_t n) {
  uint64_t words[INT4_PIECE / 4 + 2], first = base + e / 4;
  size_t count = (size_t)((e + n + 3) / 4 - e / 4);
#pragma omp simd
  for (size_t i = 0; i < count; i++) words[i] = sgi_rng_word(key, first + i);
  for (size_t i = 0; i < count; i++)
    for (size_t k = 0; k < 4; k++) bits[4 * i + k] = (int32_t)(words[i] >> 16 * k & 0xffff);
  return bits + e % 4;
}

static void int4_row(uint8_t *restrict q4, uint8_t *restrict a4, const float *restrict g, size_t n,
                     const sgi_int4_row *r, sgi_int4_moved *moved) {
  int32_t q[INT4_PIECE], a[INT4_PIECE], room[INT4_PIECE + 8];
  const float factor = r->factor, most = (float)r->substeps;
  const int32_t A = r->substeps;
  int32_t steps = 0, saturated = 0, at_end = 0;
  double sum = 0;
  for (size_t at = 0; at < n; at += INT4_PIECE) {
    size_t m = n - at < INT4_PIECE ? n - at : INT4_PIECE;
    const int32_t *bits = int4_bits(room, r->key, r->base, r->element + at, m);
    levels_of(q, q4 + at / 2, m);
    levels_of(a, a4 + at / 2, m);
#pragma omp simd reduction(+ : sum)
    for (size_t i = 0; i < m; i++) sum += (double)g[at + i] * (double)q[i];
#pragma omp simd reduction(+ : steps, saturated, at_end)
    for (size_t i = 0; i < m; i++) {
      float d = g[at + i] * factor;
      d = d < most ? d : most;
      d = d > -most ? d : -most;
      float x = d * 65536.0f; /* exact */
      int32_t whole = (int32_t)x;
      whole -= (float)whole > x;
      whole += x - (float)whole >= 0.5f;            /* of words: floor(d + (bits + 1/2) / 65536) */
      int32_t b = a[i] + ((whole + bits[i]) >> 16); /* is (whole + bits) / 65536, rounded down */
      int32_t up = b >= A, down = b <= -A, old = q[i];
      int32_t rises = up & (old < 7), falls = down & (old > -7);
      int32_t stops = (up | down) & !(rises | falls);
      int32_t now = old + rises - falls;
      int32_t rest = b - A * (rises - falls);
      rest = rest > A - 1 ? A - 1 : rest;
      rest = rest < 1 - A ? 1 - A : rest;
      steps += rises | falls;
      saturated += stops;
      at_end += ((now == 7) | (now == -7)) - ((old == 7) | (old == -7));
      q[i] = now;
      a[i] = rest;
    }
    pack_levels(q4 + at / 2, q, m);
    pack_levels(a4 + at / 2, a, m);
  }
  moved->dot = sum;
  moved->steps += steps;
  moved->saturated += saturated;
  moved->at_end += at_end;
}
