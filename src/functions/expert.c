#include "functions/expert.h"

#include <math.h>

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }

double sgi_silu(double z) { return z * sigmoid(z); }

/* ---- splines --------------------------------------------------------------------------------- */

size_t sgi_grid_at(const sgi_grid *g, double z, double weight[4], double slope[4]) {
  double h = (g->hi - g->lo) / (double)g->cells;
  double u = ((z < g->lo ? g->lo : z > g->hi ? g->hi : z) - g->lo) / h;
  size_t j = (size_t)u;
  if (j > g->cells - 1) j = g->cells - 1;
  u -= (double)j;
  double v = 1 - u;
  weight[0] = v * v * v / 6;
  weight[1] = (3 * u * u * u - 6 * u * u + 4) / 6;
  weight[2] = (-3 * u * u * u + 3 * u * u + 3 * u + 1) / 6;
  weight[3] = u * u * u / 6;
  if (slope) {
    double inside = z < g->lo || z > g->hi ? 0 : 1 / h;
    slope[0] = -v * v / 2 * inside;
    slope[1] = (3 * u * u - 4 * u) / 2 * inside;
    slope[2] = (-3 * u * u + 2 * u + 1) / 2 * inside;
    slope[3] = u * u / 2 * inside;
  }
  return j;
}

double sgi_edge_value(const sgi_edge *e, const sgi_grid *g, double z) {
  if (e->form != SGI_SYMBOL_NONE) return e->a * sgi_symbol_value(e->form, e->b * z + e->c);
  double w[4], sum = e->base != 0 ? e->base * sgi_silu(z) : 0;
  size_t j = sgi_grid_at(g, z, w, NULL);
  for (size_t k = 0; k < 4; k++) sum += w[k] * e->coef[j + k];
  return sum;
}

double sgi_expert_edges(const sgi_expert *e, const sgi_grid *g, const float *z) {
  double sum = 0;
  for (size_t i = 0; i < e->edges; i++) sum += sgi_edge_value(&e->edge[i], g, (double)z[e->edge[i].feature]);
  return sum;
}

/* ---- logic ----------------------------------------------------------------------------------- */

double sgi_expert_logic(const sgi_expert *e, double temperature, const float *z, double *node) {
  double sum = 0;
  for (size_t i = 0; i < e->bits; i++) {
    double x = (double)z[e->bit_feature[i]] - e->threshold[i];
    node[i] = temperature > 0 ? sigmoid(x / temperature) : x > 0;
  }
  for (size_t i = 0; i < e->gates; i++) {
    double a = node[e->input[i][0]], c = node[e->input[i][1]], t[4];
    for (size_t k = 0; k < 4; k++) t[k] = temperature > 0 ? e->table[i][k] : e->table[i][k] > 0.5;
    node[e->bits + i] = t[0] * (1 - a) * (1 - c) + t[1] * (1 - a) * c + t[2] * a * (1 - c) + t[3] * a * c;
    sum += e->gamma[i] * node[e->bits + i];
  }
  return sum;
}

double sgi_expert_value(const sgi_expert *e, const sgi_grid *g, const float *z) {
  double node[SGI_MOST_BITS + SGI_MOST_GATES];
  return e->bias + sgi_expert_edges(e, g, z) + (e->gates ? sgi_expert_logic(e, 0, z, node) : 0);
}

/* ---- gradients ------------------------------------------------------------------------------- */

/* silu' = s (1 + z (1 - s)), s its sigmoid; the spline is linear in its coefficients. */
static void edge_backward(const sgi_edge *e, const sgi_grid *g, double z, double dphi, sgi_edge *d, double *dz) {
  double w[4], slope[4], s = sigmoid(z);
  size_t j = sgi_grid_at(g, z, w, slope);
  double change = e->base * s * (1 + z * (1 - s));
  d->base += dphi * z * s;
  for (size_t k = 0; k < 4; k++) {
    d->coef[j + k] += dphi * w[k];
    change += slope[k] * e->coef[j + k];
  }
  if (dz) *dz += dphi * change;
}

/* From the last gate down: what reaches a node is whole before its own inputs get theirs. */
static void logic_backward(const sgi_expert *e, double temperature, const double *node, double dphi, sgi_expert *d,
                           double *dz) {
  double dn[SGI_MOST_BITS + SGI_MOST_GATES] = {0};
  for (size_t i = e->gates; i-- > 0;) {
    double a = node[e->input[i][0]], c = node[e->input[i][1]];
    const double *t = e->table[i];
    double own = dn[e->bits + i] + dphi * e->gamma[i];
    if (i + e->outputs >= e->gates) d->gamma[i] += dphi * node[e->bits + i];
    d->table[i][0] += own * (1 - a) * (1 - c);
    d->table[i][1] += own * (1 - a) * c;
    d->table[i][2] += own * a * (1 - c);
    d->table[i][3] += own * a * c;
    dn[e->input[i][0]] += own * ((t[2] - t[0]) * (1 - c) + (t[3] - t[1]) * c);
    dn[e->input[i][1]] += own * ((t[1] - t[0]) * (1 - a) + (t[3] - t[2]) * a);
  }
  for (size_t i = 0; i < e->bits; i++) {
    double change = dn[i] * node[i] * (1 - node[i]) / temperature;
    d->threshold[i] -= change;
    if (dz) dz[e->bit_feature[i]] += change;
  }
}

void sgi_expert_backward(const sgi_expert *e, const sgi_grid *g, double temperature, const float *z, const double *node,
                         double dphi, sgi_expert *d, double *dz) {
  d->bias += dphi;
  for (size_t i = 0; i < e->edges; i++) {
    size_t f = e->edge[i].feature;
    edge_backward(&e->edge[i], g, (double)z[f], dphi, &d->edge[i], dz ? dz + f : NULL);
  }
  if (e->gates) logic_backward(e, temperature, node, dphi, d, dz);
}
