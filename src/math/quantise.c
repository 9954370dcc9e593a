#include "math/quantise.h"

#include <math.h>
#include <string.h>

#include "core/half.h"

enum { CLIPS = 11, CLIP_STEPS = 20 };

size_t sgi_quantise_groups(size_t width, size_t group) { return group ? (width + group - 1) / group : 1; }

static uint16_t to_bf16(float x) {
  uint32_t u;
  memcpy(&u, &x, sizeof u);
  if (isnan(x)) return (uint16_t)(u >> 16 | 0x40u); /* stays one where the payload is cut off */
  return (uint16_t)((u + 0x7FFFu + (u >> 16 & 1u)) >> 16);
}

static bool is_infinite(uint16_t bits, uint16_t infinity) { return (bits & 0x7FFFu) == infinity; }

static bool halves(sgi_dtype to, uint16_t *out, const float *x, size_t n, size_t *bad) {
  for (size_t d = 0; d < n; d++) {
    out[d] = to == SGI_BF16 ? to_bf16(x[d]) : sgi_to_half(x[d]);
    *bad = d;
    if (is_infinite(out[d], to == SGI_BF16 ? 0x7F80u : 0x7C00u) && isfinite(x[d])) return false;
  }
  return true;
}

/* A level of -Q .. Q; the quotient in float32, half to even as the processor rounds. */
static int level(float x, float scale, int Q) {
  float q = scale > 0 ? rintf(x / scale) : 0;
  return q > (float)Q ? Q : q < (float)-Q ? -Q : (int)q;
}

static double squared_error(const float *x, size_t n, float scale, int Q) {
  double sum = 0;
  for (size_t d = 0; d < n; d++) {
    double e = (double)x[d] - (double)((float)level(x[d], scale, Q) * scale);
    sum += e * e;
  }
  return sum;
}

static float scale_of(const float *x, size_t n, int Q, bool clip) {
  float most = 0;
  for (size_t d = 0; d < n; d++) most = fabsf(x[d]) > most ? fabsf(x[d]) : most;
  float largest = most / (float)Q, best = largest;
  double least = clip ? squared_error(x, n, best, Q) : 0;
  for (int k = 1; k < CLIPS && clip; k++) {
    float scale = (float)((double)largest * (CLIP_STEPS - k) / CLIP_STEPS);
    double error = squared_error(x, n, scale, Q);
    if (error < least) least = error, best = scale;
  }
  return best;
}

static bool levels(const sgi_quantise *q, uint8_t *out, float *scale, const float *x, size_t n, size_t *bad) {
  bool packed = q->to == SGI_U8;
  int Q = packed ? 7 : 127;
  size_t step = q->group ? q->group : n;
  for (size_t d = 0; d < n; d++) {
    *bad = d;
    if (!isfinite(x[d])) return false;
  }
  if (packed) memset(out, 0, (n + 1) / 2);
  for (size_t g = 0; g * step < n; g++) {
    size_t from = g * step, to = n - from < step ? n : from + step;
    scale[g] = scale_of(x + from, to - from, Q, q->clip && packed);
    for (size_t d = from; d < to; d++) {
      int v = level(x[d], scale[g], Q);
      if (packed)
        out[d / 2] |= (uint8_t)((v & 15) << (d % 2 ? 4 : 0));
      else
        out[d] = (uint8_t)(int8_t)v;
    }
  }
  return true;
}

bool sgi_quantise_row(const sgi_quantise *q, void *out, float *scale, const float *x, size_t n, size_t *bad) {
  if (q->to == SGI_F32) {
    memcpy(out, x, n * sizeof *x);
    return true;
  }
  if (q->to == SGI_BF16 || q->to == SGI_F16) return halves(q->to, out, x, n, bad);
  return levels(q, out, scale, x, n, bad);
}
