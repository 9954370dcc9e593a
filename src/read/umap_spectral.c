/* umap_spectral.c: where the layout starts: the two eigenvectors of S = D^-1/2 W D^-1/2 with the
 * largest eigenvalues below 1, by subspace iteration with a Chebyshev filter. The eigenvalue 1
 * belongs to the parts of the graph, one vector each and known beforehand; it is projected out. A
 * start needs few digits, and LAPACK has no sparse solver. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "core/rng.h"
#include "read/umap.h"

enum { BLOCK = 8, DEGREE = 24, ROUNDS = 40 };

typedef struct work {
  const sgi_umap_graph *g;
  size_t n, m;          /* m vectors */
  double *root;         /* (n) D^-1/2 */
  int32_t *part;        /* (n) number of the point's part of the graph */
  double *mass, *share; /* (parts) sum of degrees; scratch */
  size_t parts;
  double *x, *y, *z, *sx; /* (n,m) */
} work;

/* out = S x. */
static void multiply(const work *w, double *out, const double *x) {
  size_t m = w->m;
#pragma omp parallel for schedule(static) if (w->n > 512)
  for (size_t i = 0; i < w->n; i++) {
    double sum[BLOCK] = {0};
    for (size_t e = w->g->start[i]; e < w->g->start[i + 1]; e++) {
      size_t j = (size_t)w->g->column[e];
      double v = w->g->weight[e] * w->root[j];
      for (size_t c = 0; c < m; c++) sum[c] += v * x[j * m + c];
    }
    for (size_t c = 0; c < m; c++) out[i * m + c] = sum[c] * w->root[i];
  }
}

/* Takes the vectors of eigenvalue 1 out of column c: in each part they go with the square root of
 * the degree. */
static void project(const work *w, double *x, size_t c) {
  memset(w->share, 0, w->parts * sizeof *w->share);
  for (size_t i = 0; i < w->n; i++)
    if (w->root[i] > 0) w->share[w->part[i]] += x[i * w->m + c] / w->root[i];
  for (size_t i = 0; i < w->n; i++)
    x[i * w->m + c] = w->root[i] > 0 ? x[i * w->m + c] - w->share[w->part[i]] / w->mass[w->part[i]] / w->root[i] : 0;
}

/* Twice modified Gram-Schmidt; a vector that vanishes is left 0. */
static void orthonormalise(const work *w, double *x) {
  size_t m = w->m;
  for (size_t c = 0; c < m; c++) {
    project(w, x, c);
    for (size_t b = 0; b < 2 * c; b++) {
      double dot = 0;
      for (size_t i = 0; i < w->n; i++) dot += x[i * m + c] * x[i * m + b % c];
      for (size_t i = 0; i < w->n; i++) x[i * m + c] -= dot * x[i * m + b % c];
    }
    double norm = 0;
    for (size_t i = 0; i < w->n; i++) norm += x[i * m + c] * x[i * m + c];
    double scale = norm > 1e-300 ? 1 / sqrt(norm) : 0;
    for (size_t i = 0; i < w->n; i++) x[i * m + c] *= scale;
  }
}

/* x = T_DEGREE((S - centre) / half) x: small on [-1, edge], large above it. */
static void filter(work *w, double edge) {
  double centre = (edge - 1) / 2, half = (edge + 1) / 2;
  size_t cells = w->n * w->m;
  multiply(w, w->y, w->x);
  for (size_t i = 0; i < cells; i++) w->y[i] = (w->y[i] - centre * w->x[i]) / half;
  for (int k = 2; k <= DEGREE; k++) {
    multiply(w, w->z, w->y);
    for (size_t i = 0; i < cells; i++) w->z[i] = 2 * (w->z[i] - centre * w->y[i]) / half - w->x[i];
    double *t = w->x;
    w->x = w->y;
    w->y = w->z;
    w->z = t;
  }
  double *t = w->x;
  w->x = w->y;
  w->y = t;
}

/* Eigenvectors of a small symmetric matrix by Jacobi's rotations: a (m,m) becomes diagonal, q (m,m)
 * holds them as columns. */
static void jacobi(double *a, double *q, size_t m) {
  for (size_t i = 0; i < m * m; i++) q[i] = i % (m + 1) == 0;
  for (int sweep = 0; sweep < 50; sweep++) {
    double off = 0;
    for (size_t r = 0; r < m; r++)
      for (size_t s = r + 1; s < m; s++) off += a[r * m + s] * a[r * m + s];
    if (off < 1e-28) return;
    for (size_t r = 0; r < m; r++)
      for (size_t s = r + 1; s < m; s++) {
        if (a[r * m + s] == 0) continue;
        double theta = (a[s * m + s] - a[r * m + r]) / (2 * a[r * m + s]);
        double t = (theta >= 0 ? 1 : -1) / (fabs(theta) + sqrt(theta * theta + 1)), c = 1 / sqrt(t * t + 1), d = t * c;
        for (size_t k = 0; k < m; k++) {
          double u = a[k * m + r], v = a[k * m + s];
          a[k * m + r] = c * u - d * v;
          a[k * m + s] = d * u + c * v;
        }
        for (size_t k = 0; k < m; k++) {
          double u = a[r * m + k], v = a[s * m + k];
          a[r * m + k] = c * u - d * v;
          a[s * m + k] = d * u + c * v;
          u = q[k * m + r], v = q[k * m + s];
          q[k * m + r] = c * u - d * v;
          q[k * m + s] = d * u + c * v;
        }
      }
  }
}

/* Rotates x to Ritz vectors by falling Ritz value (value (m)); returns the largest residual of the
 * first two. */
static double rotate(work *w, double *value) {
  size_t m = w->m, n = w->n, order[BLOCK];
  double a[BLOCK * BLOCK] = {0}, q[BLOCK * BLOCK], worst = 0;
  multiply(w, w->sx, w->x);
  for (size_t i = 0; i < n; i++)
    for (size_t r = 0; r < m; r++)
      for (size_t s = 0; s < m; s++) a[r * m + s] += w->x[i * m + r] * w->sx[i * m + s];
  for (size_t r = 0; r < m; r++)
    for (size_t s = 0; s < r; s++) a[r * m + s] = a[s * m + r] = (a[r * m + s] + a[s * m + r]) / 2;
  jacobi(a, q, m);
  for (size_t r = 0; r < m; r++) {
    size_t at = r;
    for (; at > 0 && a[order[at - 1] * (m + 1)] < a[r * (m + 1)]; at--) order[at] = order[at - 1];
    order[at] = r;
  }
  double residual[BLOCK] = {0};
  for (size_t i = 0; i < n; i++) {
    double x[BLOCK] = {0}, sx[BLOCK] = {0};
    for (size_t r = 0; r < m; r++)
      for (size_t s = 0; s < m; s++) {
        x[r] += w->x[i * m + s] * q[s * m + order[r]];
        sx[r] += w->sx[i * m + s] * q[s * m + order[r]];
      }
    for (size_t r = 0; r < m; r++) {
      double d = sx[r] - a[order[r] * (m + 1)] * x[r];
      residual[r] += d * d;
      w->x[i * m + r] = x[r];
    }
  }
  for (size_t r = 0; r < m; r++) value[r] = a[order[r] * (m + 1)];
  for (size_t r = 0; r < m && r < 2; r++) worst = fmax(worst, sqrt(residual[r]));
  return worst;
}

static void iterate(work *w, uint64_t seed) {
  sgi_rng rng = sgi_rng_make(seed, SGI_STREAM_SAMPLE, 1);
  double value[BLOCK], edge = 0.5;
  for (size_t i = 0; i < w->n * w->m; i++) w->x[i] = sgi_rng_uniform(&rng) - 0.5;
  for (int round = 0; round < ROUNDS; round++) {
    filter(w, edge);
    orthonormalise(w, w->x);
    if (rotate(w, value) < 1e-4) return;
    edge = fmin(fmax(value[w->m - 1], 0), 0.999);
  }
}

typedef struct place {
  double value;
  size_t point;
} place;

static int by_value(const void *a, const void *b) {
  const place *x = a, *y = b;
  return x->value != y->value ? (x->value > y->value ? 1 : -1) : (x->point > y->point) - (x->point < y->point);
}

/* Column c of the vectors to one axis of xy: the points' ranks, 0..10, those of equal value in
 * random order. Ranks, since in a graph of several parts an eigenvector may stand far out at one
 * part and be 0 elsewhere, and the layout can not undo a start in a heap. */
static void axis(const work *w, size_t c, size_t at, sgi_rng *rng, place *order, float *xy) {
  double largest = 0;
  size_t peak = 0;
  for (size_t i = 0; i < w->n; i++)
    if (fabs(w->x[i * w->m + c]) > largest) largest = fabs(w->x[i * w->m + c]), peak = i;
  double scale = largest > 0 ? 1 / w->x[peak * w->m + c] : 0; /* the largest entry points up: no sign is left open */
  for (size_t i = 0; i < w->n; i++) order[i] = (place){w->x[i * w->m + c] * scale + 1e-5 * sgi_rng_normal(rng), i};
  qsort(order, w->n, sizeof *order, by_value);
  for (size_t r = 0; r < w->n; r++) xy[2 * order[r].point + at] = (float)(10 * (double)r / (double)(w->n - 1));
}

/* Numbers the parts of the graph; stack (n). */
static void find_parts(work *w, size_t *stack) {
  const sgi_umap_graph *g = w->g;
  for (size_t i = 0; i < w->n; i++) w->part[i] = -1;
  for (size_t i = 0; i < w->n; i++) {
    size_t top = 0;
    if (w->part[i] >= 0) continue;
    w->part[i] = (int32_t)w->parts++;
    for (stack[top++] = i; top;) {
      size_t at = stack[--top];
      for (size_t e = g->start[at]; e < g->start[at + 1]; e++) {
        size_t other = (size_t)g->column[e];
        if (w->part[other] >= 0) continue;
        w->part[other] = w->part[i];
        stack[top++] = other;
      }
    }
  }
}

static void degrees(work *w) {
  const sgi_umap_graph *g = w->g;
  for (size_t i = 0; i < w->n; i++) {
    double degree = 0;
    for (size_t e = g->start[i]; e < g->start[i + 1]; e++) degree += g->weight[e];
    w->root[i] = degree > 0 ? 1 / sqrt(degree) : 0;
    w->mass[w->part[i]] += degree;
  }
}

sg_status sgi_umap_spectral(const sgi_umap_graph *g, uint64_t seed, float *xy, sg_error *err) {
  size_t n = g->n, m = n < BLOCK ? n : BLOCK;
  if (n < 3) return sgi_fail(err, SG_ERR_ARG, "a map of %zu points: expected at least 3", n);
  work w = {.g = g,
            .n = n,
            .m = m,
            .root = sgi_alloc(n * sizeof(double)),
            .part = sgi_alloc(n * sizeof(int32_t)),
            .mass = sgi_alloc(n * sizeof(double)),
            .share = sgi_alloc(n * sizeof(double))};
  double *block = sgi_alloc(4 * n * m * sizeof *block);
  place *order = sgi_alloc(n * sizeof *order);
  size_t *stack = sgi_alloc(n * sizeof *stack);
  sg_status st = SG_OK;
  if (!w.root || !w.part || !w.mass || !w.share || !block || !order || !stack) {
    st = sgi_fail_memory(err, 4 * n * m * sizeof *block, "a spectral start");
  } else {
    w.x = block;
    w.y = block + n * m;
    w.z = block + 2 * n * m;
    w.sx = block + 3 * n * m;
    find_parts(&w, stack);
    degrees(&w);
    iterate(&w, seed);
    sgi_rng rng = sgi_rng_make(seed, SGI_STREAM_SAMPLE, 2);
    axis(&w, 0, 0, &rng, order, xy);
    axis(&w, 1, 1, &rng, order, xy);
  }
  sgi_free(w.root);
  sgi_free(w.part);
  sgi_free(w.mass);
  sgi_free(w.share);
  sgi_free(block);
  sgi_free(order);
  sgi_free(stack);
  return st;
}
