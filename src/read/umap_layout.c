/* umap_layout.c: the layout, and all stages one after the other. */
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

static float clip(float x) { return x > 4 ? 4 : x < -4 ? -4 : x; }

/* Where one point goes in an epoch, others as they were. An edge pulls both of its ends from either side: twice each. */
static void move(const layout *l, const float *xy, size_t i, size_t epoch, float step, float out[2]) {
  const sgi_umap_graph *g = l->g;
  float x = xy[2 * i], y = xy[2 * i + 1];
  uint64_t draw = ((uint64_t)epoch * g->n + i) << 16;
  for (size_t e = g->start[i]; e < g->start[i + 1]; e++) {
    double rate = (double)l->rate[e];
    if (floor((double)(epoch + 1) * rate) == floor((double)epoch * rate)) continue;
    const float *other = xy + 2 * (size_t)g->column[e];
    for (int side = 0; side < 2; side++) {
      float dx = x - other[0], dy = y - other[1], d2 = dx * dx + dy * dy;
      if (d2 <= 0) break;
      float power = powf(d2, l->b), pull = -2 * l->a * l->b * power / (d2 * (1 + l->a * power));
      x += step * clip(pull * dx);
      y += step * clip(pull * dy);
    }
    for (size_t k = 0; k < l->negatives; k++) {
      size_t j = (size_t)(((unsigned __int128)sgi_rng_at(&l->rng, draw++) * g->n) >> 64);
      float dx = x - xy[2 * j], dy = y - xy[2 * j + 1], d2 = dx * dx + dy * dy;
      if (j == i || d2 <= 0) continue;
      float push = 2 * l->b / ((0.001f + d2) * (1 + l->a * powf(d2, l->b)));
      x += step * clip(push * dx);
      y += step * clip(push * dy);
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
    float step = 1 - (float)epoch / (float)epochs;
#pragma omp parallel for schedule(dynamic, 64) if (n > 128)
    for (size_t i = 0; i < n; i++) move(&l, xy, i, epoch, step, next + 2 * i);
    memcpy(xy, next, 2 * n * sizeof *xy);
    if (progress && !progress(user, epoch + 1, epochs)) st = sgi_fail(err, SG_ERR_CANCELLED, "the map was stopped");
  }
  sgi_free(l.rate);
  sgi_free(next);
  return st;
}

static sg_status graph_of(const sgi_vectors *v, const sgi_umap_settings *s, sgi_umap_graph *g, sg_error *err) {
  sgi_knn knn;
  *g = (sgi_umap_graph){0};
  sg_status st = sgi_knn_exact(v, s->neighbors, &knn, err);
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
  sg_status st = graph_of(v, s, &g, err);
  sgi_umap_curve(s->min_dist, s->spread, &a, &b);
  if (!st) st = sgi_umap_spectral(&g, s->seed, xy, err);
  size_t epochs = s->epochs ? s->epochs : v->n <= 10000 ? 500 : 200;
  if (!st) st = sgi_umap_layout(&g, a, b, epochs, s->negatives, s->seed, xy, progress, user, err);
  sgi_umap_graph_free(&g);
  return st;
}
