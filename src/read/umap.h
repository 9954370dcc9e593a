/* umap.h: a two-dimensional picture of vectors that keeps neighbours together (McInnes et al.
 * 2018), each stage on its own.
 *
 * Stages: exact nearest neighbours by cosine distance; per point a scale (rho, sigma); a graph of
 * fuzzy memberships; the curve of the picture (a, b); a spectral start; a layout by stochastic
 * gradient. Everything is in double but the layout. The layout moves all points of an epoch at once
 * from where they were after the last one, each by the thread that owns it, with random numbers
 * that depend on (seed, epoch, point) alone: the same bits for any number of threads. */
#ifndef SGI_UMAP_H
#define SGI_UMAP_H

#include "core/base.h"

/* n vectors of `columns` coordinates, only those that are not 0. */
typedef struct sgi_vectors {
  size_t n, columns;
  const size_t *start;    /* (n+1) */
  const uint32_t *column; /* (start[n]) each row's in any order, none twice */
  const float *value;
} sgi_vectors;

/* Vectors from dense rows x (n,d). New arrays: sgi_vectors_free. */
sg_status sgi_vectors_dense(const float *x, size_t n, size_t d, sgi_vectors *out, sg_error *err);
void sgi_vectors_free(sgi_vectors *v);

/* ---- stages ---------------------------------------------------------------------------------- */

/* The k nearest of each point, the point itself first at distance 0, then by (distance, number).
 * Both new: sgi_free. */
typedef struct sgi_knn {
  size_t n, k;
  int32_t *index;   /* (n,k) */
  double *distance; /* (n,k) 1 - cosine; 1 where a vector is 0 */
} sgi_knn;
sg_status sgi_knn_exact(const sgi_vectors *v, size_t k, sgi_knn *out, sg_error *err);
/* The same; progress (NULL allowed) hears of the points done, false stops with SG_ERR_CANCELLED. */
typedef bool (*sgi_umap_progress)(void *user, size_t done, size_t wanted);
sg_status sgi_knn_watched(const sgi_vectors *v, size_t k, sgi_knn *out, sgi_umap_progress progress, void *user,
                          sg_error *err);
void sgi_knn_free(sgi_knn *knn);

/* rho, sigma (n): smallest distance that is not 0; the scale at which the memberships add up to
 * log2(k). */
void sgi_umap_scales(const sgi_knn *knn, double *rho, double *sigma);
/* Membership of the j-th neighbour of point i. */
double sgi_umap_membership(const sgi_knn *knn, const double *rho, const double *sigma, size_t i, size_t j);

/* Symmetric, columns ascending in each row. sgi_umap_graph_free. */
typedef struct sgi_umap_graph {
  size_t n;
  size_t *start; /* (n+1) */
  int32_t *column;
  double *weight; /* p + q - p q of both directions, 0 < weight <= 1 */
} sgi_umap_graph;
sg_status sgi_umap_graph_make(const sgi_knn *knn, const double *rho, const double *sigma, sgi_umap_graph *out,
                              sg_error *err);
void sgi_umap_graph_free(sgi_umap_graph *g);

/* Least squares of 1/(1 + a t^(2b)) to 1 for t < min_dist, exp(-(t - min_dist)/spread) otherwise,
 * 300 points. */
void sgi_umap_curve(double min_dist, double spread, double *a, double *b);

/* xy (n,2), each axis from 0 to 10: second and third eigenvector of the normalised graph, with a
 * little noise. */
sg_status sgi_umap_spectral(const sgi_umap_graph *g, uint64_t seed, float *xy, sg_error *err);

/* Moves xy (n,2). progress, of epochs, may be NULL; false stops with SG_ERR_CANCELLED. */
sg_status sgi_umap_layout(const sgi_umap_graph *g, double a, double b, size_t epochs, size_t negatives, uint64_t seed,
                          float *xy, sgi_umap_progress progress, void *user, sg_error *err);

/* ---- all of it ------------------------------------------------------------------------------- */

typedef struct sgi_umap_settings {
  size_t neighbors; /* 15, the point itself among them */
  double min_dist, spread;
  size_t epochs;    /* 0: 500 */
  size_t negatives; /* 5 */
  uint64_t seed;
  sgi_umap_progress search; /* of the nearest neighbours, before the layout; NULL allowed */
} sgi_umap_settings;
#define SGI_UMAP_DEFAULTS \
  (sgi_umap_settings) { .neighbors = 15, .min_dist = 0.1, .spread = 1, .negatives = 5 }

sg_status sgi_umap(const sgi_vectors *v, const sgi_umap_settings *s, float *xy, sgi_umap_progress progress, void *user,
                   sg_error *err);

/* How well the picture xy (n,2) keeps each point's k nearest: 1 - 2/(n k (2n - 3k - 1)) * sum of
 * max(0, rank - k), rank among the data's neighbours of those that are near in the picture. Ties
 * among the data make ranks ambiguous: the value lies between min and max, which are equal without
 * ties. k < n/2. */
sg_status sgi_trustworthiness(const sgi_vectors *v, const float *xy, size_t k, double *min, double *max, sg_error *err);

/* Share of each point's k nearest in the picture that have its own label. */
sg_status sgi_label_share(const int32_t *label, const float *xy, size_t n, size_t k, double *out, sg_error *err);

#endif
