/* Bits and gates on what splines leave (docs/method-functions.md, fit of one neuron): two pairs of
 * bits, 3 gates over them, 300 steps of Adam while the temperature falls, then hard. */
#include <math.h>
#include <string.h>

#include "functions/neuron_work.h"

enum { BITS = 4, GATES = 3, STEPS = 300, PLACES = 7, NODES = SGI_MOST_BITS + SGI_MOST_GATES };
enum { OMEGA = 0, TAU = 4 * GATES, GAMMA = TAU + BITS, BIAS = GAMMA + GATES, PARAMETERS };
enum { MOST = (SGI_MOST_EDGES + 2) * PLACES };
static const double RATE = 0.05, COLD = 0.1;

typedef struct logic {
  double p[PARAMETERS], m[PARAMETERS], v[PARAMETERS];
} logic;

/* ---- where to begin -------------------------------------------------------------------------- */

/* Splines have taken what single features say, so a bit alone says nothing of what is left: bits
 * are looked for in pairs. Candidates: thresholds about the mean of each feature that an edge
 * reads, and of the two whose steps take most. */
typedef struct candidates {
  size_t feature[MOST], n; /* one for each threshold */
  double threshold[MOST];
} candidates;

static void thresholds(const sgi_neuron_work *w, size_t f, double tau[PLACES]) {
  const float *z = w->z + f * w->most;
  double mean = 0, squares = 0;
  for (size_t i = 0; i < w->n; i++) mean += w->weight[i] * (double)z[i];
  for (size_t i = 0; i < w->n; i++) squares += w->weight[i] * ((double)z[i] - mean) * ((double)z[i] - mean);
  for (int k = 0; k < PLACES; k++) tau[k] = mean + sqrt(squares) * 0.5 * (k - PLACES / 2);
}

/* What the steps over one feature take of left (which has mean 0), at best. */
static double step_takes(const sgi_neuron_work *w, const double *left, size_t f) {
  const float *z = w->z + f * w->most;
  double tau[PLACES], best = 0;
  thresholds(w, f, tau);
  for (size_t k = 0; k < PLACES; k++) {
    double above = 0, sum = 0;
    for (size_t i = 0; i < w->n; i++)
      if ((double)z[i] > tau[k]) {
        above += w->weight[i];
        sum += w->weight[i] * left[i];
      }
    if (above > 0.01 && above < 0.99) best = fmax(best, sum * sum / (above * (1 - above)));
  }
  return best;
}

static void add_candidate(const sgi_neuron_work *w, candidates *c, size_t f) {
  double tau[PLACES];
  for (size_t k = 0; k < c->n; k++)
    if (c->feature[k] == f) return;
  thresholds(w, f, tau);
  for (size_t k = 0; k < PLACES; k++) {
    c->feature[c->n] = f;
    c->threshold[c->n++] = tau[k];
  }
}

static void find_candidates(const sgi_neuron_work *w, const sgi_expert *e, const double *left, candidates *c) {
  size_t first = w->R, second = w->R;
  double most = -1, next = -1;
  c->n = 0;
  for (size_t k = 0; k < e->edges; k++) add_candidate(w, c, e->edge[k].feature);
  for (size_t f = 0; f < w->R; f++) {
    double takes = step_takes(w, left, f);
    if (takes > most) {
      second = first;
      next = most;
      first = f;
      most = takes;
    } else if (takes > next) {
      second = f;
      next = takes;
    }
  }
  if (first < w->R) add_candidate(w, c, first);
  if (second < w->R) add_candidate(w, c, second);
}

/* Weights and sums of left in the four cells of two bits. */
typedef struct cells {
  double weight[4], sum[4];
} cells;

static cells count_cells(const sgi_neuron_work *w, const candidates *c, const double *left, const size_t pair[2]) {
  const float *a = w->z + c->feature[pair[0]] * w->most, *b = w->z + c->feature[pair[1]] * w->most;
  float ta = (float)c->threshold[pair[0]], tb = (float)c->threshold[pair[1]];
  cells s = {{0}, {0}};
  for (size_t i = 0; i < w->n; i++) {
    size_t cell = (size_t)(a[i] > ta) * 2 + (size_t)(b[i] > tb);
    s.weight[cell] += w->weight[i];
    s.sum[cell] += w->weight[i] * left[i];
  }
  return s;
}

/* The pair whose four means take most of left; they are taken out. */
static cells best_pair(const sgi_neuron_work *w, const candidates *c, double *left, size_t pair[2]) {
  double best = -1;
  cells kept = {{0}, {0}};
  for (size_t a = 0; a < c->n; a++)
    for (size_t b = a + 1; b < c->n; b++) {
      if (c->feature[a] == c->feature[b]) continue;
      cells s = count_cells(w, c, left, (size_t[2]){a, b});
      double takes = 0;
      for (size_t k = 0; k < 4; k++)
        if (s.weight[k] > 0.01) takes += s.sum[k] * s.sum[k] / s.weight[k];
      if (!(takes > best)) continue;
      best = takes;
      kept = s;
      pair[0] = a;
      pair[1] = b;
    }
  const float *za = w->z + c->feature[pair[0]] * w->most, *zb = w->z + c->feature[pair[1]] * w->most;
  for (size_t i = 0; i < w->n; i++) {
    size_t cell = (size_t)((double)za[i] > c->threshold[pair[0]]) * 2 + (size_t)((double)zb[i] > c->threshold[pair[1]]);
    if (kept.weight[cell] > 0.01) left[i] -= kept.sum[cell] / kept.weight[cell];
  }
  return kept;
}

/* g2(g0(b0, b1), g1(b2, b3)): the first two begin with the cells whose mean is above 0, the third
 * with either. */
static void begin(const sgi_neuron_work *w, sgi_expert *e, logic *l, double *left) {
  static const size_t inputs[GATES][2] = {{0, 1}, {2, 3}, {BITS, BITS + 1}};
  candidates c;
  *l = (logic){0};
  find_candidates(w, e, left, &c);
  e->bits = BITS;
  e->gates = e->outputs = GATES;
  memcpy(e->input, inputs, sizeof inputs);
  for (size_t g = 0; g < 2; g++) {
    size_t pair[2] = {0, 0};
    cells s = best_pair(w, &c, left, pair);
    for (size_t k = 0; k < 2; k++) {
      e->bit_feature[2 * g + k] = c.feature[pair[k]];
      l->p[TAU + 2 * g + k] = c.threshold[pair[k]];
    }
    for (size_t k = 0; k < 4; k++) l->p[OMEGA + 4 * g + k] = s.sum[k] > 0 ? 1 : -1;
  }
  for (size_t k = 0; k < 4; k++) l->p[OMEGA + 8 + k] = k ? 1 : -1;
  for (size_t g = 0; g < GATES; g++) l->p[GAMMA + g] = 0.1;
}

/* ---- Adam ------------------------------------------------------------------------------------ */

static void place(const logic *l, sgi_expert *e, double scale) {
  for (size_t b = 0; b < BITS; b++) e->threshold[b] = l->p[TAU + b];
  for (size_t g = 0; g < GATES; g++) {
    for (size_t k = 0; k < 4; k++) e->table[g][k] = 1 / (1 + exp(-l->p[OMEGA + 4 * g + k]));
    e->gamma[g] = l->p[GAMMA + g] * scale;
  }
}

/* Gradient of the weighted mean square; values are in units of scale. */
static void gradient(const sgi_neuron_work *w, const sgi_expert *e, const logic *l, double temperature, double scale,
                     const double *target, double *d) {
  sgi_expert sum = {0};
  sgi_expert bits = *e; /* of the bits' own features alone */
  bits.edges = 0;
  float z[BITS];
  for (size_t b = 0; b < BITS; b++) bits.bit_feature[b] = b;
  for (size_t i = 0; i < w->n; i++) {
    double node[NODES];
    for (size_t b = 0; b < BITS; b++) z[b] = w->z[e->bit_feature[b] * w->most + i];
    double y = sgi_expert_logic(&bits, temperature, z, node) + l->p[BIAS];
    double dphi = 2 * w->weight[i] * (y - target[i] / scale);
    sgi_expert_backward(&bits, &w->f->grid, temperature, z, node, dphi, &sum, NULL);
  }
  for (size_t b = 0; b < BITS; b++) d[TAU + b] = sum.threshold[b];
  for (size_t g = 0; g < GATES; g++) {
    for (size_t k = 0; k < 4; k++) d[OMEGA + 4 * g + k] = sum.table[g][k] * e->table[g][k] * (1 - e->table[g][k]);
    d[GAMMA + g] = sum.gamma[g];
  }
  d[BIAS] = sum.bias;
}

static void adam(logic *l, const double *d, size_t step) {
  double one = 1 - pow(0.9, (double)step), two = 1 - pow(0.999, (double)step);
  for (size_t i = 0; i < PARAMETERS; i++) {
    l->m[i] = 0.9 * l->m[i] + 0.1 * d[i];
    l->v[i] = 0.999 * l->v[i] + 0.001 * d[i] * d[i];
    l->p[i] -= RATE * (l->m[i] / one) / (sqrt(l->v[i] / two) + 1e-8);
  }
}

static void run(const sgi_neuron_work *w, sgi_expert *e, logic *l, double scale, const double *target) {
  double d[PARAMETERS];
  for (size_t step = 1; step <= STEPS; step++) {
    double temperature = pow(COLD, (double)step / STEPS);
    place(l, e, 1);
    gradient(w, e, l, temperature, scale, target, d);
    adam(l, d, step);
  }
  place(l, e, scale);
}

/* ---- soft and hard --------------------------------------------------------------------------- */

static void nodes(sgi_neuron_work *w, const sgi_expert *e, double temperature) {
  sgi_expert bits = *e;
  float z[SGI_MOST_BITS];
  for (size_t b = 0; b < e->bits; b++) bits.bit_feature[b] = b;
  for (size_t i = 0; i < w->n; i++) {
    for (size_t b = 0; b < e->bits; b++) z[b] = w->z[e->bit_feature[b] * w->most + i];
    sgi_expert_logic(&bits, temperature, z, w->node + i * NODES);
  }
}

static void harden(sgi_expert *e) {
  for (size_t g = 0; g < e->gates; g++)
    for (size_t k = 0; k < 4; k++) e->table[g][k] = e->table[g][k] > 0.5;
}

/* Forms with fewer terms, simplest first: one gate of two bits, two such, their joint gate alone,
 * with the second, all three. */
static const struct { size_t gates, outputs, bits; } forms[] = {{1, 1, 2}, {2, 2, 4}, {3, 1, 4}, {3, 2, 4}, {3, 3, 4}};

/* The simplest that takes as much as all three gates, but for the least gain. */
static sg_status simplest(sgi_neuron_work *w, sgi_expert *e, double *r2, sg_error *err) {
  sgi_expert all = *e;
  double most;
  sg_status st = SG_OK;
  nodes(w, &all, 0);
  st = sgi_neuron_solve(w, &all, &most, err);
  for (size_t i = 0; i < SGI_COUNT(forms) && !st; i++) {
    sgi_expert less = *e;
    less.gates = forms[i].gates;
    less.outputs = forms[i].outputs;
    less.bits = forms[i].bits;
    /* gates count from the bits on */
    for (size_t g = 0; g < less.gates; g++)
      for (size_t k = 0; k < 2; k++)
        if (less.input[g][k] >= BITS) less.input[g][k] -= BITS - less.bits;
    for (size_t g = 0; g + less.outputs < less.gates; g++) less.gamma[g] = 0;
    nodes(w, &less, 0);
    st = sgi_neuron_solve(w, &less, r2, err);
    if (st || most - *r2 >= SGI_NEURON_GAIN) continue;
    *e = less;
    return SG_OK;
  }
  return st;
}

sg_status sgi_neuron_logic(sgi_neuron_work *w, sgi_expert *e, sgi_neuron_quality *quality, sg_error *err) {
  sgi_expert with = *e, soft;
  logic l;
  double scale = 0, r2;
  for (size_t i = 0; i < w->n; i++) scale += w->weight[i] * w->left[i] * w->left[i];
  scale = sqrt(scale);
  if (!(scale > 0)) return SG_OK;
  double *left = w->node, *target = w->left; /* the nodes are not there yet */
  memcpy(left, target, w->n * sizeof *left);
  begin(w, &with, &l, left);
  run(w, &with, &l, scale, target);
  soft = with;
  nodes(w, &soft, COLD);
  sg_status st = sgi_neuron_solve(w, &soft, &r2, err);
  quality->error_soft = 1 - r2;
  harden(&with);
  if (!st) st = simplest(w, &with, &r2, err);
  quality->error_hard = 1 - r2;
  quality->tried = true;
  if (st || r2 - quality->edges < sgi_neuron_gain(w, quality->edges, PARAMETERS)) return st;
  quality->logic = true;
  quality->final = r2;
  *e = with;
  return SG_OK;
}
