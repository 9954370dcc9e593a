/* kernels_gather.h: rows gathered from a pool; a part of kernels_impl.h. */

/* Rows that will be gathered next, on their way into the cache while others are worked on. */
static void fetch_rows(const float *w, const int32_t *index, size_t k, size_t D) {
  enum { LINE = 64 / sizeof(float) };
  for (size_t j = 0; j < k; j++)
    for (size_t d = 0; d < D; d += LINE) __builtin_prefetch(w + (size_t)index[j] * D + d, 0, 3);
}

static void gather_dot(float *out, const float *w, const int32_t *index, size_t k, const float *x, size_t D) {
  size_t j = 0;
  for (; j + 4 <= k; j += 4) {
    const float *w0 = w + (size_t)index[j] * D, *w1 = w + (size_t)index[j + 1] * D;
    const float *w2 = w + (size_t)index[j + 2] * D, *w3 = w + (size_t)index[j + 3] * D;
    float s0 = 0, s1 = 0, s2 = 0, s3 = 0;
#pragma omp simd reduction(+ : s0, s1, s2, s3)
    for (size_t d = 0; d < D; d++) {
      s0 += w0[d] * x[d];
      s1 += w1[d] * x[d];
      s2 += w2[d] * x[d];
      s3 += w3[d] * x[d];
    }
    out[j] = s0;
    out[j + 1] = s1;
    out[j + 2] = s2;
    out[j + 3] = s3;
  }
  for (; j < k; j++) out[j] = dot(w + (size_t)index[j] * D, x, D);
}

static void gather_axpy(float *restrict y, const float *w, const int32_t *index, const float *coef, size_t k,
                        size_t D) {
  size_t j = 0;
  for (; j + 4 <= k; j += 4) {
    const float *w0 = w + (size_t)index[j] * D, *w1 = w + (size_t)index[j + 1] * D;
    const float *w2 = w + (size_t)index[j + 2] * D, *w3 = w + (size_t)index[j + 3] * D;
    float c0 = coef[j], c1 = coef[j + 1], c2 = coef[j + 2], c3 = coef[j + 3];
#pragma omp simd
    for (size_t d = 0; d < D; d++) {
      float s = y[d];
      s += c0 * w0[d];
      s += c1 * w1[d];
      s += c2 * w2[d];
      s += c3 * w3[d];
      y[d] = s;
    }
  }
  for (; j < k; j++) {
    const float *w0 = w + (size_t)index[j] * D;
    float c0 = coef[j];
#pragma omp simd
    for (size_t d = 0; d < D; d++) y[d] += c0 * w0[d];
  }
}
