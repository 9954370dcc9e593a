/* expert.h: one neuron as a function of a few features of what its layer reads
 * (docs/method-functions.md, expert):
 *
 *   phi(z) = bias + sum over edges of psi_e(z_f) + sum over gates of gamma_o g_o
 *
 * An edge is a uniform cubic spline with a silu beside it, or a named function a f(b z + c); a gate
 * is a table of two bits, each a feature above a threshold or an earlier gate. While it is fitted
 * bits and tables are soft; a function that is kept is hard. */
#ifndef SGI_EXPERT_H
#define SGI_EXPERT_H

#include "functions/symbol.h"

enum {
  SGI_MOST_EDGES = 8,
  SGI_MOST_CELLS = 16,
  SGI_MOST_COEFS = SGI_MOST_CELLS + 3,
  SGI_MOST_BITS = 8,
  SGI_MOST_GATES = 8
};

/* Cells of equal width over [lo, hi]; outside a spline is constant. */
typedef struct sgi_grid {
  double lo, hi;
  size_t cells;
} sgi_grid;
static inline size_t sgi_grid_coefs(const sgi_grid *g) { return g->cells + 3; }

/* The cell of z: the first of the four coefficients that act there, their weights, and the weights'
 * slopes over z (NULL: not wanted). */
size_t sgi_grid_at(const sgi_grid *g, double z, double weight[4], double slope[4]);

typedef struct sgi_edge {
  size_t feature;
  sgi_symbol_form form; /* SGI_SYMBOL_NONE: the spline */
  double base, coef[SGI_MOST_COEFS];
  double a, b, c;
} sgi_edge;

typedef struct sgi_expert {
  size_t edges, bits, gates, outputs; /* the last `outputs` gates are weighted */
  double bias;
  sgi_edge edge[SGI_MOST_EDGES];
  size_t bit_feature[SGI_MOST_BITS];
  double threshold[SGI_MOST_BITS];
  size_t input[SGI_MOST_GATES][2]; /* nodes: bits first, then gates */
  double table[SGI_MOST_GATES][4]; /* of 00, 01, 10, 11: the first input is the high digit */
  double gamma[SGI_MOST_GATES];    /* by gate; 0 but of the last */
} sgi_expert;

double sgi_silu(double z);
double sgi_edge_value(const sgi_edge *e, const sgi_grid *g, double z);
double sgi_expert_edges(const sgi_expert *e, const sgi_grid *g, const float *z);
/* Nodes (bits + gates) and the sum of the weighted ones. temperature 0: hard, a table's number
 * being 1 above a half. */
double sgi_expert_logic(const sgi_expert *e, double temperature, const float *z, double *node);
/* The whole, hard. */
double sgi_expert_value(const sgi_expert *e, const sgi_grid *g, const float *z);
/* From dphi, soft (temperature above 0), all edges splines: to d is added the gradient of bias,
 * splines, silus, thresholds, tables and gammas; to dz (R; NULL allowed) that of z (R). node: as
 * sgi_expert_logic left it at z and that temperature. */
void sgi_expert_backward(const sgi_expert *e, const sgi_grid *g, double temperature, const float *z, const double *node,
                         double dphi, sgi_expert *d, double *dz);

#endif
