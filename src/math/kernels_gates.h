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

enum { GATE_HEADS = 4 };

/* Up to GATE_HEADS heads at once: their sums wait for each other no longer. */
INLINE void lift_heads(const size_t heads, const size_t m, float *out, const float *g, const float *v, size_t N) {
  float sum[GATE_HEADS * 16] = {0};
  for (size_t i = 0; i < N; i++)
    for (size_t h = 0; h < heads; h++)
      for (size_t r = 0; r < m; r++) sum[h * m + r] += g[h * N + i] * v[i * m + r];
  memcpy(out, sum, heads * m * sizeof *out);
}

INLINE void lift_width(const size_t m, float *out, const float *g, const float *v, size_t H, size_t N) {
  size_t h = 0;
  for (; h + GATE_HEADS <= H; h += GATE_HEADS) lift_heads(GATE_HEADS, m, out + h * m, g + h * N, v, N);
  for (; h < H; h++) lift_heads(1, m, out + h * m, g + h * N, v, N);
}

INLINE void drop_width(const size_t m, float *out, const float *g, const float *w, size_t H, size_t N, bool add) {
  for (size_t i = 0; i < N; i++) {
    float sum[16] = {0};
    for (size_t h = 0; h < H; h++)
      for (size_t r = 0; r < m; r++) sum[r] += g[h * N + i] * w[h * m + r];
    for (size_t r = 0; r < m; r++) out[i * m + r] = sum[r] + (add ? out[i * m + r] : 0);
  }
}

INLINE void weigh_width(const size_t m, float *dg, const float *g, const float *v, const float *w, size_t H, size_t N) {
  for (size_t h = 0; h < H; h++)
    for (size_t i = 0; i < N; i++) {
      float s = 0;
#pragma omp simd reduction(+ : s)
      for (size_t r = 0; r < m; r++) s += v[i * m + r] * w[h * m + r];
      dg[h * N + i] += g[h * N + i] != 0 ? s : 0;
    }
}

static void lift(float *out, const float *g, const float *v, size_t H, size_t N, size_t m) {
  if (m == 4) return lift_width(4, out, g, v, H, N);
  if (m == 8) return lift_width(8, out, g, v, H, N);
  if (m == 16) return lift_width(16, out, g, v, H, N);
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
  if (m == 4) return drop_width(4, out, g, w, H, N, add);
  if (m == 8) return drop_width(8, out, g, w, H, N, add);
  if (m == 16) return drop_width(16, out, g, w, H, N, add);
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
  weigh_width(m, dg, g, v, w, H, N);
}
