/* umap_graph.c: from neighbours to the graph of memberships, and the curve of the picture. */
#include <math.h>
#include <stdlib.h>

#include "core/arena.h"
#include "read/umap.h"

/* Memberships of a row at scale sigma, its first entry (the point itself) left out. */
static double total(const double *d, size_t k, double rho, double sigma) {
  double sum = 0;
  for (size_t j = 1; j < k; j++) sum += d[j] > rho ? exp(-(d[j] - rho) / sigma) : 1;
  return sum;
}

static double scale_of(const double *d, size_t k, double rho) {
  double low = 0, high = INFINITY, sigma = 1, wanted = log2((double)k);
  for (int i = 0; i < 400 && (isinf(high) || high - low > 1e-15 * high); i++) {
    if (total(d, k, rho, sigma) > wanted)
      high = sigma;
    else
      low = sigma;
    sigma = isinf(high) ? 2 * sigma : (low + high) / 2;
    if (sigma < 1e-300 || sigma > 1e300) break;
  }
  return sigma;
}

void sgi_umap_scales(const sgi_knn *knn, double *rho, double *sigma) {
  size_t n = knn->n, k = knn->k;
  double all = 0;
  for (size_t i = 0; i < n * k; i++) all += knn->distance[i];
#pragma omp parallel for schedule(static) if (n > 256)
  for (size_t i = 0; i < n; i++) {
    const double *d = knn->distance + i * k;
    double mean = 0;
    rho[i] = 0;
    for (size_t j = 0; j < k; j++) {
      mean += d[j] / (double)k;
      if (d[j] > 0 && rho[i] == 0) rho[i] = d[j]; /* they ascend */
    }
    if (rho[i] == 0) mean = all / (double)(n * k); /* all neighbours are equal: the scale of the whole */
    sigma[i] = scale_of(d, k, rho[i]);
    if (sigma[i] < 1e-3 * mean) sigma[i] = 1e-3 * mean;
  }
}

double sgi_umap_membership(const sgi_knn *knn, const double *rho, const double *sigma, size_t i, size_t j) {
  if ((size_t)knn->index[i * knn->k + j] == i) return 0;
  double past = knn->distance[i * knn->k + j] - rho[i];
  return past <= 0 || sigma[i] == 0 ? 1 : exp(-past / sigma[i]);
}

/* ---- union ----------------------------------------------------------------------------------- */

typedef struct edge {
  int32_t column;
  double p, q; /* this way, the other way */
} edge;

static int by_column(const void *a, const void *b) {
  const edge *x = a, *y = b;
  return (x->column > y->column) - (x->column < y->column);
}

/* Both directions of every membership as edges of rows; start (n+1). */
static void scatter(const sgi_knn *knn, const double *rho, const double *sigma, size_t *next, edge *edges) {
  for (size_t i = 0; i < knn->n; i++)
    for (size_t j = 0; j < knn->k; j++) {
      double p = sgi_umap_membership(knn, rho, sigma, i, j);
      int32_t other = knn->index[i * knn->k + j];
      if (p <= 0) continue;
      edges[next[i]++] = (edge){other, p, 0};
      edges[next[other]++] = (edge){(int32_t)i, 0, p};
    }
}

/* Sorts a row and joins the two halves of an edge; returns how many remain. */
static size_t join(edge *row, size_t n) {
  size_t used = 0;
  qsort(row, n, sizeof *row, by_column);
  for (size_t i = 0; i < n; i++) {
    if (used && row[used - 1].column == row[i].column) {
      row[used - 1].p += row[i].p;
      row[used - 1].q += row[i].q;
    } else {
      row[used++] = row[i];
    }
  }
  return used;
}

sg_status sgi_umap_graph_make(const sgi_knn *knn, const double *rho, const double *sigma, sgi_umap_graph *g,
                              sg_error *err) {
  size_t n = knn->n, most = 2 * n * knn->k;
  *g = (sgi_umap_graph){.n = n, .start = sgi_alloc((n + 1) * sizeof *g->start)};
  size_t *begin = sgi_alloc((n + 2) * sizeof *begin);
  edge *edges = sgi_alloc(most * sizeof *edges);
  g->column = sgi_alloc(most * sizeof *g->column);
  g->weight = sgi_alloc(most * sizeof *g->weight);
  if (!g->start || !begin || !edges || !g->column || !g->weight) {
    sgi_umap_graph_free(g);
    sgi_free(begin);
    sgi_free(edges);
    return sgi_fail_memory(err, most * sizeof *edges, "the graph of neighbours");
  }
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < knn->k; j++)
      if (sgi_umap_membership(knn, rho, sigma, i, j) > 0) begin[i + 2]++, begin[knn->index[i * knn->k + j] + 2]++;
  for (size_t i = 2; i < n + 2; i++) begin[i] += begin[i - 1];
  scatter(knn, rho, sigma, begin + 1, edges);
  for (size_t i = 0, at = 0; i < n; i++) {
    edge *row = edges + begin[i];
    size_t m = join(row, begin[i + 1] - begin[i]);
    for (size_t e = 0; e < m; e++, at++) {
      g->column[at] = row[e].column;
      g->weight[at] = row[e].p + row[e].q - row[e].p * row[e].q;
    }
    g->start[i + 1] = at;
  }
  sgi_free(begin);
  sgi_free(edges);
  return SG_OK;
}

void sgi_umap_graph_free(sgi_umap_graph *g) {
  sgi_free(g->start);
  sgi_free(g->column);
  sgi_free(g->weight);
  *g = (sgi_umap_graph){0};
}

/* ---- curve ----------------------------------------------------------------------------------- */

enum { POINTS = 300 };

static double wanted_at(double t, double min_dist, double spread) {
  return t < min_dist ? 1 : exp(-(t - min_dist) / spread);
}

/* Sum of squares; with g and h also gradient (2) and Gauss-Newton matrix (aa, ab, bb). */
static double misfit(double min_dist, double spread, double a, double b, double g[2], double h[3]) {
  double sum = 0;
  for (int i = 0; i < POINTS; i++) {
    double t = 3 * spread * i / (POINTS - 1), power = t > 0 ? pow(t, 2 * b) : 0, f = 1 / (1 + a * power);
    double r = f - wanted_at(t, min_dist, spread), da = -f * f * power,
           db = t > 0 ? -f * f * a * power * 2 * log(t) : 0;
    sum += r * r;
    if (!g) continue;
    g[0] += r * da;
    g[1] += r * db;
    h[0] += da * da;
    h[1] += da * db;
    h[2] += db * db;
  }
  return sum;
}

void sgi_umap_curve(double min_dist, double spread, double *a, double *b) {
  *a = *b = 1;
  double damp = 1e-3;
  for (int i = 0; i < 200; i++) {
    double g[2] = {0}, h[3] = {0}, now = misfit(min_dist, spread, *a, *b, g, h);
    double aa = h[0] * (1 + damp), bb = h[2] * (1 + damp), det = aa * bb - h[1] * h[1];
    double da = -(bb * g[0] - h[1] * g[1]) / det, db = -(aa * g[1] - h[1] * g[0]) / det;
    if (!isfinite(da) || !isfinite(db)) return;
    if (*a + da > 0 && *b + db > 0 && misfit(min_dist, spread, *a + da, *b + db, NULL, NULL) <= now) {
      *a += da;
      *b += db;
      damp *= 0.1;
      if (fabs(da) < 1e-14 * *a && fabs(db) < 1e-14 * *b) return;
    } else {
      damp *= 10;
      if (damp > 1e12) return;
    }
  }
}
