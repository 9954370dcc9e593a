/* kernels_gates.h: the small loops of one row of a composed layer (kernels.h; docs/method.md,
 * monet), compiled with kernels_impl.h. Gates are mostly 0, yet all are multiplied: a branch a gate
 * costs more than the product. Widths that presets have are constants where they are inlined. */

/* Entries below theta are 0, exactly; the largest always passes. */
static void gates(float *g, const float *z, size_t N, float mean, float factor, float quantile) {
  float top = (largest(z, N) - mean) * factor, shift = largest(z, N), sum = 0;
  float theta = top < quantile ? top : quantile;
#pragma omp simd reduction(+ : sum)
  for (size_t i = 0; i < N; i++) {
    float e = (z[i] - mean) * factor >= theta ? exp_below(z[i] - shift) : 0;
    g[i] = e;
    sum += e;
  }
  float part = 1.0f / sum;
#pragma omp simd
  for (size_t i = 0; i < N; i++) g[i] *= part;
}

/* Widths that presets have: a row of v, or of w, is one vector, and sums over gates are vectors in
 * registers. */
enum { GATE_HEADS = VECTOR >= 8 ? 8 : 4 }; /* sums that there are registers for */
#define NARROW(M, HEADS) \
  typedef float narrow##M __attribute__((vector_size(M * sizeof(float)), aligned(4), may_alias)); \
  INLINE void lift_heads##M(const size_t heads, float *out, const float *g, const float *v, size_t N) { \
    narrow##M sum[HEADS]; \
    _Pragma("GCC unroll 8") for (size_t h = 0; h < heads; h++) sum[h] = (narrow##M){0}; \
    for (size_t i = 0; i < N; i++) { \
      narrow##M x = *(const narrow##M *)(v + i * M); \
      _Pragma("GCC unroll 8") for (size_t h = 0; h < heads; h++) sum[h] += g[h * N + i] * x; \
    } \
    _Pragma("GCC unroll 8") for (size_t h = 0; h < heads; h++) * (narrow##M *)(out + h * M) = sum[h]; \
  } \
  static void lift##M(float *out, const float *g, const float *v, size_t H, size_t N) { \
    size_t h = 0; \
    for (; h + HEADS <= H; h += HEADS) lift_heads##M(HEADS, out + h * M, g + h * N, v, N); \
    for (; h < H; h++) lift_heads##M(1, out + h * M, g + h * N, v, N); \
  } \
  INLINE void drop_heads##M(const size_t heads, float *out, const float *g, const float *w, size_t N, bool add) { \
    narrow##M x[HEADS]; \
    _Pragma("GCC unroll 8") for (size_t h = 0; h < heads; h++) x[h] = *(const narrow##M *)(w + h * M); \
    for (size_t i = 0; i < N; i++) { \
      narrow##M sum = add ? *(const narrow##M *)(out + i * M) : (narrow##M){0}; \
      _Pragma("GCC unroll 8") for (size_t h = 0; h < heads; h++) sum += g[h * N + i] * x[h]; \
      *(narrow##M *)(out + i * M) = sum; \
    } \
  } \
  static void drop##M(float *out, const float *g, const float *w, size_t H, size_t N, bool add) { \
    size_t h = 0; \
    for (; h + HEADS <= H; h += HEADS, add = true) drop_heads##M(HEADS, out, g + h * N, w + h * M, N, add); \
    for (; h < H; h++, add = true) drop_heads##M(1, out, g + h * N, w + h * M, N, add); \
  }
NARROW(4, GATE_HEADS)
NARROW(8, GATE_HEADS)
NARROW(16, GATE_HEADS)
#undef NARROW

/* v . w of many i at once: v is turned, a block of i at a time. */
enum { WEIGH_BLOCK = 64 };
typedef int32_t passing __attribute__((vector_size(VECTOR * sizeof(int32_t)), aligned(4), may_alias));
INLINE void weigh_width(const size_t m, float *dg, const float *g, const float *v, const float *w, size_t H, size_t N) {
  float turned[16 * WEIGH_BLOCK];
  for (size_t at = 0; at < N; at += WEIGH_BLOCK) {
    size_t some = N - at < WEIGH_BLOCK ? N - at : WEIGH_BLOCK, full = (some + VECTOR - 1) / VECTOR * VECTOR;
    for (size_t i = 0; i < some; i++)
      for (size_t r = 0; r < m; r++) turned[r * WEIGH_BLOCK + i] = v[(at + i) * m + r];
    for (size_t r = 0; r < m && full > some; r++)
      for (size_t i = some; i < full; i++) turned[r * WEIGH_BLOCK + i] = 0;
    for (size_t h = 0; h < H; h++) {
      const float *own = g + h * N + at;
      float *out = dg + h * N + at;
      for (size_t i = 0; i < full; i += VECTOR) {
        vector s = {0};
#pragma GCC unroll 16
        for (size_t r = 0; r < m; r++) s += w[h * m + r] * *(const vector *)(turned + r * WEIGH_BLOCK + i);
        if (i + VECTOR <= some) {
          vector o = *(const vector *)(own + i), d = *(const vector *)(out + i);
          *(vector *)(out + i) = d + (vector)((passing)s & (o != 0));
        } else {
          for (size_t k = i; k < some; k++) out[k] += own[k] != 0 ? s[k - i] : 0;
        }
      }
    }
  }
}

static void lift(float *out, const float *g, const float *v, size_t H, size_t N, size_t m) {
  if (m == 4) return lift4(out, g, v, H, N);
  if (m == 8) return lift8(out, g, v, H, N);
  if (m == 16) return lift16(out, g, v, H, N);
  for (size_t h = 0; h < H; h++) {
    float *o = out + h * m;
    for (size_t r = 0; r < m; r++) o[r] = 0;
    for (size_t i = 0; i < N; i++) {
      float a = g[h * N + i];
#pragma omp simd
      for (size_t r = 0; r < m; r++) o[r] += a * v[i * m + r];
    }
  }
}

static void drop(float *out, const float *g, const float *w, size_t H, size_t N, size_t m, bool add) {
  if (m == 4) return drop4(out, g, w, H, N, add);
  if (m == 8) return drop8(out, g, w, H, N, add);
  if (m == 16) return drop16(out, g, w, H, N, add);
  for (size_t i = 0; i < N; i++) {
    float *o = out + i * m;
    for (size_t r = 0; r < m && !add; r++) o[r] = 0;
    for (size_t h = 0; h < H; h++) {
      float a = g[h * N + i];
#pragma omp simd
      for (size_t r = 0; r < m; r++) o[r] += a * w[h * m + r];
    }
  }
}

static void weigh(float *dg, const float *g, const float *v, const float *w, size_t H, size_t N, size_t m) {
  if (m == 4) return weigh_width(4, dg, g, v, w, H, N);
  if (m == 8) return weigh_width(8, dg, g, v, w, H, N);
  if (m == 16) return weigh_width(16, dg, g, v, w, H, N);
  for (size_t h = 0; h < H; h++)
    for (size_t i = 0; i < N; i++) {
      float s = 0;
#pragma omp simd reduction(+ : s)
      for (size_t r = 0; r < m; r++) s += v[i * m + r] * w[h * m + r];
      dg[h * N + i] += g[h * N + i] != 0 ? s : 0;
    }
}
