/* umap_layout.c: the layout, and all stages one after the other. Two things differ from umap-learn
 * on purpose: points of an epoch move at once (bits do not depend on threads), and the step falls
 * with the square of the epochs left, not linearly: at equal epochs the picture keeps more
 * neighbours (tests/golden/test_umap.c). */
#include <math.h>
#include <string.h>

#include "core/arena.h"
#include "core/rng.h"
#include "read/umap.h"

typedef struct layout {
  const sgi_umap_graph *g;
  float *rate; /* of each edge: times an epoch it pulls; 0 for those too weak to pull once */
  float a, b;
  size_t negatives;
  sgi_rng rng;
} layout;

enum { LANES = 8 };
static const float NEAREST = 1e-30f; /* squared distance below which two points are in one place */

static inline float clip(float x) { return x > 4 ? 4 : x < -4 ? -4 : x; }

/* x^b for a finite x > 0 to about 1e-6: log2 by the series of artanh on [sqrt(1/2), sqrt(2)), exp2
 * by Taylor on [-1/2, 1/2]. Without branches and calls, so that several run at once: the layout
 * spends most of its time here. */
static inline float power_of(float x, float b) {
  union {
    float f;
    int32_t i;
  } bits = {.f = x}, mantissa, scale;
  int32_t e = (bits.i - 0x3f3504f3) >> 23; /* exponent with the mantissa from sqrt(1/2) on */
  mantissa.i = bits.i - e * (1 << 23);
  float s = (mantissa.f - 1) / (mantissa.f + 1), s2 = s * s;
  float log2 = (float)e + s * (2.8853901f + s2 * (0.96179669f + s2 * (0.57707802f + s2 * 0.41219859f)));
  float y = b * log2, whole = (y + 12582912.0f) - 12582912.0f, f = y - whole; /* 1.5 * 2^23 rounds to an integer */
  scale.i = ((int32_t)whole + 127) * (1 << 23);
  float r = 1.5403530e-4f;
  r = r * f + 1.3333558e-3f;
  r = r * f + 9.6181291e-3f;
  r = r * f + 5.5504109e-2f;
  r = r * f + 0.24022651f;
  r = r * f + 0.69314718f;
  return (r * f + 1) * scale.f;
}

/* Up to LANES random points push (x, y) away, all from where it stands. Lanes past count push
 * nothing. */
static void push(const layout *l, const float *xy, uint64_t *draw, size_t count, float step, float *x, float *y) {
  float ox[LANES], oy[LANES], mx[LANES], my[LANES], at[2] = {*x, *y};
  for (size_t k = 0; k < LANES; k += 2) {
    uint64_t bits = k < count ? sgi_rng_at(&l->rng, (*draw)++) : 0;
    for (size_t h = 0; h < 2; h++) {
      const float *other = k + h < count ? xy + 2 * (size_t)((bits >> (32 * h) & UINT32_MAX) * l->g->n >> 32) : at;
      ox[k + h] = other[0];
      oy[k + h] = other[1];
    }
  }
#pragma omp simd
  for (size_t k = 0; k < LANES; k++) {
    float dx = at[0] - ox[k], dy = at[1] - oy[k], d2 = dx * dx + dy * dy, safe = d2 > NEAREST ? d2 : NEAREST;
    float strength = 2 * l->b / ((0.001f + d2) * (1 + l->a * power_of(safe, l->b)));
    mx[k] = clip(strength * dx); /* 0 for two points in one place */
    my[k] = clip(strength * dy);
  }
  for (size_t k = 0; k < LANES; k++) {
    *x += step * mx[k];
    *y += step * my[k];
  }
}

/* Where one point goes in an epoch, others as they were. An edge pulls both of its ends from either
 * side: twice each. */
static void move(const layout *l, const float *xy, size_t i, size_t epoch, float step, float out[2]) {
  const sgi_umap_graph *g = l->g;
  float x = xy[2 * i], y = xy[2 * i + 1];
  uint64_t draw = ((uint64_t)epoch * g->n + i) << 24;
  for (size_t e = g->start[i]; e < g->start[i + 1]; e++) {
    double rate = (double)l->rate[e];
    if ((int64_t)((double)(epoch + 1) * rate) == (int64_t)((double)epoch * rate))
      continue; /* pulls `rate` times an epoch */
    const float *other = xy + 2 * (size_t)g->column[e];
    for (int side = 0; side < 2; side++) {
      float dx = x - other[0], dy = y - other[1], d2 = dx * dx + dy * dy;
      if (d2 < NEAREST) break;
      float power = power_of(d2, l->b), pull = -2 * l->a * l->b * power / (d2 * (1 + l->a * power));
      x += step * clip(pull * dx);
      y += step * clip(pull * dy);
    }
    for (size_t left = l->negatives; left;) {
      size_t count = left < LANES ? left : LANES;
      push(l, xy, &draw, count, step, &x, &y);
      left -= count;
    }
  }
  out[0] = x;
  out[1] = y;
}

static void rates(layout *l, size_t epochs) {
  const sgi_umap_graph *g = l->g;
  double largest = 0;
  for (size_t e = 0; e < g->start[g->n]; e++) largest = fmax(largest, g->weight[e]);
  for (size_t e = 0; e < g->start[g->n]; e++)
    l->rate[e] = g->weight[e] < largest / (double)epochs ? 0 : (float)(g->weight[e] / largest);
}

sg_status sgi_umap_layout(const sgi_umap_graph *g, double a, double b, size_t epochs, size_t negatives, uint64_t seed,
                          float *xy, sgi_umap_progress progress, void *user, sg_error *err) {
  size_t n = g->n, edges = g->start[n];
  layout l = {g,         sgi_alloc((edges + 1) * sizeof(float)),  (float)a, (float)b,
              negatives, sgi_rng_make(seed, SGI_STREAM_SAMPLE, 3)};
  float *next = sgi_alloc(2 * n * sizeof *next);
  sg_status st = l.rate && next ? SG_OK : sgi_fail_memory(err, 2 * n * sizeof *next, "a layout");
  if (!st) rates(&l, epochs);
  for (size_t epoch = 0; epoch < epochs && !st; epoch++) {
    float left = 1 - (float)epoch / (float)epochs, step = left * left;
#pragma omp parallel for schedule(dynamic, 64) if (n > 128)
    for (size_t i = 0; i < n; i++) move(&l, xy, i, epoch, step, next + 2 * i);
    memcpy(xy, next, 2 * n * sizeof *xy);
    if (progress && !progress(user, epoch + 1, epochs)) st = sgi_fail(err, SG_ERR_CANCELLED, "the map was stopped");
  }
  sgi_free(l.rate);
  sgi_free(next);
  return st;
}

static sg_status graph_of(const sgi_vectors *v, const sgi_umap_settings *s, void *user, sgi_umap_graph *g,
                          sg_error *err) {
  sgi_knn knn;
  *g = (sgi_umap_graph){0};
  sg_status st = sgi_knn_watched(v, s->neighbors, &knn, s->search, user, err);
  if (st) return st;
  double *rho = sgi_alloc(v->n * sizeof *rho), *sigma = sgi_alloc(v->n * sizeof *sigma);
  if (rho && sigma) {
    sgi_umap_scales(&knn, rho, sigma);
    st = sgi_umap_graph_make(&knn, rho, sigma, g, err);
  } else {
    st = sgi_fail_memory(err, v->n * sizeof *rho, "a map");
  }
  sgi_free(rho);
  sgi_free(sigma);
  sgi_knn_free(&knn);
  return st;
}

sg_status sgi_umap(const sgi_vectors *v, const sgi_umap_settings *s, float *xy, sgi_umap_progress progress, void *user,
                   sg_error *err) {
  sgi_umap_graph g;
  double a, b;
  if (!(s->min_dist >= 0) || !(s->spread > 0) || s->min_dist > 3 * s->spread)
    return sgi_fail(err, SG_ERR_ARG, "min_dist %g, spread %g: expected 0 <= min_dist <= 3 spread", s->min_dist,
                    s->spread);
  sg_status st = graph_of(v, s, user, &g, err);
  sgi_umap_curve(s->min_dist, s->spread, &a, &b);
  if (!st) st = sgi_umap_spectral(&g, s->seed, xy, err);
  size_t epochs = s->epochs ? s->epochs : 500;
  if (!st) st = sgi_umap_layout(&g, a, b, epochs, s->negatives, s->seed, xy, progress, user, err);
  sgi_umap_graph_free(&g);
  return st;
}
