/* Attribution graph, first step: logits, and the influence of every node (docs/method-reading.md,
 * graph).
 *
 * An edge only goes down, so taking the layers from the top gives each neuron its whole influence
 * before its own edges are needed: one pass, each sweep used once and forgotten. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "math/kernels.h"
#include "read/graph_build.h"
#include "read/run.h"

enum { DEFAULT_LOGITS = 10, DEFAULT_NODES = 2000 };
static const double DEFAULT_SHARE = 0.95;
/* A layer's neurons are explored until what is left of it holds less than this share of the logits'
 * weight. */
static const double LEFT = 0.002;

sgi_edge_target sgi_builder_target(const sgi_builder *b, size_t i) {
  const sgi_frozen *f = &b->f;
  if (i >= b->s.count)
    return (sgi_edge_target){
        .step = f->n_steps, .position = b->logits_at[i - b->s.count], .token = b->logits[i - b->s.count]};
  size_t at, step = sgi_source_step(&b->s, f, i, &at);
  const sgi_held *h = &f->steps[step];
  return (sgi_edge_target){.step = step, .position = at / h->units, .unit = h->unit + at, .token = -1};
}

typedef struct ranked {
  double score;
  size_t at;
} ranked;

static int descending(const void *a, const void *b) {
  const ranked *x = a, *y = b;
  if (x->score != y->score) return x->score < y->score ? 1 : -1;
  return x->at < y->at ? -1 : x->at > y->at;
}

/* Largest logit and what the exponentials of all add up to, over it. */
static sg_status scale_of(const float *logits, size_t V, double *max, double *z, sg_error *err) {
  *max = -INFINITY;
  *z = 0;
  for (size_t i = 0; i < V; i++) *max = fmax(*max, logits[i]);
  for (size_t i = 0; i < V; i++) *z += exp(logits[i] - *max);
  return isfinite(*z) ? SG_OK : sgi_fail(err, SG_ERR_NUMERIC, "the logits are not finite");
}

static void take_logit(sgi_builder *b, int32_t token, size_t at, const float *logits, double max, double z) {
  size_t k = b->n_logits++;
  b->logits[k] = token;
  b->logits_at[k] = at;
  b->logit[k] = logits[token];
  b->probability[k] = exp(logits[token] - max) / z;
}

static sg_status given_logits(sgi_builder *b, size_t position, float *logits, sg_error *err) {
  const sg_graph_request *r = b->request;
  size_t V = b->f.V, last = SIZE_MAX;
  double max = 0, z = 0;
  for (size_t k = 0; k < r->n_targets; k++) {
    size_t at = r->target_positions ? r->target_positions[k] : position;
    if (at >= r->count) return sgi_fail(err, SG_ERR_ARG, "position %zu is outside the prompt of %zu", at, r->count);
    if (r->targets[k] < 0 || (size_t)r->targets[k] >= V)
      return sgi_fail(err, SG_ERR_ARG, "token id %d is outside the vocabulary of %zu", r->targets[k], V);
    sg_status st = at == last ? SG_OK : sgi_frozen_logits(&b->f, at, logits, err);
    if (!st) st = scale_of(logits, V, &max, &z, err);
    if (st) return st;
    take_logit(b, r->targets[k], last = at, logits, max, z);
  }
  return SG_OK;
}

static sg_status likeliest_logits(sgi_builder *b, size_t position, size_t wanted, float *logits, sg_error *err) {
  size_t V = b->f.V;
  ranked *order = sgi_alloc(V * sizeof *order);
  if (!order) return sgi_fail_memory(err, V * sizeof *order, "logits");
  double max, z, total = 0, share = b->request->logit_share > 0 ? b->request->logit_share : DEFAULT_SHARE;
  sg_status st = sgi_frozen_logits(&b->f, position, logits, err);
  if (!st) st = scale_of(logits, V, &max, &z, err);
  for (size_t i = 0; i < V && !st; i++) order[i] = (ranked){logits[i], i};
  if (!st) qsort(order, V, sizeof *order, descending);
  for (size_t k = 0; k < wanted && !st && total < share; k++) {
    take_logit(b, (int32_t)order[k].at, position, logits, max, z);
    total += b->probability[k];
  }
  sgi_free(order);
  return st;
}

static sg_status choose_logits(sgi_builder *b, size_t position, sg_error *err) {
  const sg_graph_request *r = b->request;
  size_t V = b->f.V, wanted = r->n_targets ? r->n_targets : r->max_logits ? r->max_logits : DEFAULT_LOGITS;
  if (!r->n_targets && wanted > V) wanted = V;
  float *logits = sgi_alloc(V * sizeof *logits);
  b->logits = sgi_alloc(wanted * sizeof *b->logits);
  b->logits_at = sgi_alloc(wanted * sizeof *b->logits_at);
  b->probability = sgi_alloc(wanted * sizeof *b->probability);
  b->logit = sgi_alloc(wanted * sizeof *b->logit);
  sg_status st = logits && b->logits && b->logits_at && b->probability && b->logit
                     ? SG_OK
                     : sgi_fail_memory(err, V * sizeof *logits, "logits");
  if (!st && r->n_targets) st = given_logits(b, position, logits, err);
  if (!st && !r->n_targets) st = likeliest_logits(b, position, wanted, logits, err);
  sgi_free(logits);
  return st;
}

static sg_status allocate(sgi_builder *b, sg_error *err) {
  sg_status st = sgi_sources_init(&b->s, &b->f, err);
  if (st) return st;
  b->nodes = b->s.count + b->n_logits;
  b->rows = sgi_alloc(SGI_EDGE_BATCH * b->s.count * sizeof *b->rows);
  b->influence = sgi_alloc(b->nodes * sizeof *b->influence);
  b->sum = sgi_alloc(b->nodes * sizeof *b->sum);
  b->abs = sgi_alloc(b->nodes * sizeof *b->abs);
  b->explored = sgi_alloc(b->nodes);
  if (!b->rows || !b->influence || !b->sum || !b->abs || !b->explored)
    return sgi_fail_memory(err, SGI_EDGE_BATCH * b->s.count * sizeof *b->rows, "the nodes of a graph");
  return sgi_sweep_init(&b->work, &b->f, SGI_EDGE_BATCH, b->f.T, err);
}

/* Sweeps of R nodes of one step; their influence (weight) goes on to their sources by the share of
 * each edge. */
static sg_status explore(sgi_builder *b, const ranked *nodes, size_t R, sg_error *err) {
  sgi_edge_target target[SGI_EDGE_BATCH] = {0};
  for (size_t r = 0; r < R; r++) target[r] = sgi_builder_target(b, nodes[r].at);
  sg_status st = sgi_edges(&b->f, &b->s, target, R, SGI_PART_ALL, NULL, b->rows, &b->work, err);
  for (size_t r = 0; r < R && !st; r++) {
    const double *row = b->rows + r * b->s.count;
    size_t i = nodes[r].at;
    double sum = 0, abs = 0;
    for (size_t k = 0; k < b->s.count; k++) {
      sum += row[k];
      abs += fabs(row[k]);
    }
    b->sum[i] = sum;
    b->abs[i] = abs;
    b->explored[i] = true;
    for (size_t k = 0; k < b->s.count && abs > 0; k++) b->influence[k] += nodes[r].score * fabs(row[k]) / abs;
  }
  return st;
}

static sg_status explore_step(sgi_builder *b, size_t step, ranked *order, double weight, sg_error *err) {
  const sg_graph_request *r = b->request;
  size_t first = b->s.neuron[step], n = b->s.neuron[step + 1] - first, count = 0;
  size_t limit = r->max_nodes ? r->max_nodes : DEFAULT_NODES;
  double left = 0;
  for (size_t k = 0; k < n; k++) {
    if (!(b->influence[first + k] > 0)) continue;
    order[count++] = (ranked){b->influence[first + k], first + k};
    left += b->influence[first + k];
  }
  qsort(order, count, sizeof *order, descending);
  sg_status st = SG_OK;
  for (size_t k = 0; k < count && left > LEFT * weight && b->n_explored < limit && !st;) {
    size_t R = count - k < SGI_EDGE_BATCH ? count - k : SGI_EDGE_BATCH;
    if (R > limit - b->n_explored) R = limit - b->n_explored;
    st = explore(b, order + k, R, err);
    for (size_t j = 0; j < R; j++) left -= order[k + j].score;
    k += R;
    b->n_explored += R;
    if (!st && r->progress && !r->progress(r->user, b->n_explored, limit))
      st = sgi_fail(err, SG_ERR_CANCELLED, "cancelled after %zu nodes", b->n_explored);
  }
  return st;
}

sg_status sgi_builder_explore(sgi_builder *b, sg_error *err) {
  size_t position;
  sg_status st = sgi_prompt_position(b->request->position, b->request->count, &position, err);
  if (!st) st = choose_logits(b, position, err);
  if (!st) st = allocate(b, err);
  if (st) return st;
  size_t n = b->s.T * b->f.units > b->n_logits ? b->s.T * b->f.units : b->n_logits;
  ranked *order = sgi_alloc(n * sizeof *order);
  if (!order) return sgi_fail_memory(err, n * sizeof *order, "the nodes of a graph");
  double weight = 0;
  for (size_t k = 0; k < b->n_logits; k++) {
    order[k] = (ranked){b->probability[k], b->s.count + k};
    weight += b->probability[k];
  }
  for (size_t k = 0; k < b->n_logits && !st; k += SGI_EDGE_BATCH)
    st = explore(b, order + k, b->n_logits - k < SGI_EDGE_BATCH ? b->n_logits - k : SGI_EDGE_BATCH, err);
  for (size_t s = b->f.n_steps; s-- > 0 && !st;) st = explore_step(b, s, order, weight, err);
  sgi_free(order);
  return st;
}

sg_status sg_graph_create(const sg_model *m, const sg_graph_request *r, sg_graph **out, sg_error *err) {
  return sgi_graph_create(m, r, NULL, out, err);
}

sg_status sgi_graph_create(const sg_model *m, const sg_graph_request *r, const sgi_hold *hold, sg_graph **out,
                           sg_error *err) {
  *out = NULL;
  if (r->node_threshold < 0 || r->node_threshold > 1 || r->edge_threshold < 0 || r->edge_threshold > 1)
    return sgi_fail(err, SG_ERR_ARG, "thresholds are shares from 0 to 1: node %g, edge %g", r->node_threshold,
                    r->edge_threshold);
  sg_graph *g = sgi_alloc(sizeof *g);
  sgi_builder *b = sgi_alloc(sizeof *b);
  sg_status st = g && b ? SG_OK : sgi_fail_memory(err, sizeof *b, "a graph");
  if (!st) {
    b->request = r;
    st = sgi_frozen_init(&b->f, m, r->tokens, r->count, r->max_bytes, err);
    if (!st && hold) st = sgi_frozen_hold(&b->f, hold, err);
    if (!st) st = sgi_builder_explore(b, err);
    if (!st) st = sgi_builder_prune(b, g, err);
    sgi_sweep_deinit(&b->work);
    sgi_sources_deinit(&b->s);
    sgi_frozen_deinit(&b->f);
    void *owned[] = {b->rows,      b->logits, b->logits_at, b->probability, b->logit,
                     b->influence, b->sum,    b->abs,       b->explored};
    for (size_t i = 0; i < SGI_COUNT(owned); i++) sgi_free(owned[i]);
  }
  sgi_free(b);
  if (st)
    sg_graph_free(g);
  else
    *out = g;
  return st;
}

void sg_graph_free(sg_graph *g) {
  if (!g) return;
  sgi_free(g->nodes);
  sgi_free(g->edges);
  sgi_free(g->parts);
  sgi_free(g);
}
