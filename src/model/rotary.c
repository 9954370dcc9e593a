#include <math.h>

#include "model/attention.h"

void sgi_rotary_tables(float *cos_, float *sin_, size_t T, size_t d_head, double theta) {
  size_t half = d_head / 2;
  for (size_t j = 0; j < half; j++) {
    float frequency = (float)(1.0 / pow(theta, 2.0 * (double)j / (double)d_head));
    for (size_t t = 0; t < T; t++) {
      float angle = (float)t * frequency;
      cos_[t * half + j] = cosf(angle);
      sin_[t * half + j] = sinf(angle);
    }
  }
}

/* (a, b) -> (a cos - b sin, b cos + a sin) with a the first half of a head and b the second. */
void sgi_rotary(float *x, const int32_t *position, const float *cos_, const float *sin_, size_t n, size_t H,
                size_t d_head, bool inverse) {
  size_t half = d_head / 2;
  float sign = inverse ? -1.0f : 1.0f;
#pragma omp parallel for schedule(static) if (n > 8)
  for (size_t i = 0; i < n; i++) {
    const float *c = cos_ + (size_t)position[i] * half, *s = sin_ + (size_t)position[i] * half;
    for (size_t h = 0; h < H; h++) {
      float *a = x + (i * H + h) * d_head, *b = a + half;
#pragma omp simd
      for (size_t j = 0; j < half; j++) {
        float u = a[j], v = b[j], sj = sign * s[j];
        a[j] = u * c[j] - v * sj;
        b[j] = v * c[j] + u * sj;
      }
    }
  }
}
