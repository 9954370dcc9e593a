/* Attribution graph, second step: the nodes and edges of most influence (docs/method-reading.md,
 * graph).
 *
 * Idea. The first step (graph.c) gave every node its influence but kept no edges: all edges of a
 * prompt are millions. Here nodes are chosen first, then the edges between them alone are
 * computed once more, so memory is the square of the kept nodes and not of all.
 *
 * Numbers. The builder counts sources from below and logits behind them:
 *
 *   0 .. T-1        tokens           by position
 *   T .. T+biases   biases           (layer, position); none where a kind has no biases
 *   .. errors       errors           (layer, position); none but where features stand for a layer
 *   .. count        units            (layer, position, slot)
 *   .. nodes        logits
 *
 * `kept` holds the chosen numbers ascending; k below is a place in it. Since a source always has
 * a lower number than what reads it, going from n down meets every target before its sources, and
 * the matrices below have their entries under the diagonal:
 *
 *            source s ->                     a      direct effect, signed, all kept pairs
 *   target   [ 0             ]               score  influence of the edge; 0: cut
 *     k      [ a[k,s]  0     ]               alive  false: the node went with its last edge
 *     |      [ ...         0 ]
 *
 * Steps. rank (cumulative influence, for the user), choose_nodes (largest until node_threshold of
 * the influence is held; tokens and logits always), each_row (sweeps of SGI_EDGE_BATCH targets of
 * a layer), score_edges (each node's input shared out over the kept sources by absolute weight),
 * cut_edges (largest until edge_threshold; then neurons without an edge in or out, and biases
 * without one out, go until none is left), trace_inputs, write_graph.
 *
 * Invariants. Edges into an explored node add up to its input: `sum` beside value - constant is
 * the residue that fill_facts reports. input_share divides by the sum over *all* sources
 * (b->abs), not over the kept ones, so cutting can only lower it.
 *
 * Tried. One sweep a node: its products have one row; now a batch of targets of a layer is one
 * sweep. Parts by head of all pairs (n x n x (1 + L H)): now of kept edges alone, found by
 * bisection. Not taken: keeping the edges of the first step, a row of all sources for every
 * explored node. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "read/graph_build.h"
#include "read/run.h"

static const double NODE_THRESHOLD = 0.8, EDGE_THRESHOLD = 0.98;

typedef struct pruner {
  sgi_builder *b;
  size_t last;  /* position that an output is read at */
  size_t *kept; /* (n) numbers of the kept nodes, ascending: sources below what reads them */
  size_t n;
  bool *alive;        /* (n) */
  bool *wanted;       /* (sources) kept ones */
  double *a;          /* (n,n) [target, source] direct effects */
  double *score;      /* (n,n) influence of edges; 0: cut */
  double *cumulative; /* (sources) */
  double all_influence;
} pruner;

static int descending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? 1 : x > y ? -1 : 0;
}

/* The score at which the largest scores, in order, reach the share of their sum. Sorts. */
static double threshold_of(double *scores, size_t n, double share) {
  double sum = 0, so_far = 0;
  qsort(scores, n, sizeof *scores, descending);
  for (size_t i = 0; i < n; i++) sum += scores[i];
  for (size_t i = 0; i < n; i++) {
    so_far += scores[i];
    if (so_far >= share * sum) return scores[i];
  }
  return n ? scores[n - 1] : 0;
}

static bool is_logit(const pruner *p, size_t i) { return i >= p->b->s.count; }
static bool is_token(const pruner *p, size_t i) { return i < p->b->s.T; }
static bool is_error(const pruner *p, size_t i) { return i >= p->b->s.errors && i < p->b->s.neurons; }
static bool is_neuron(const pruner *p, size_t i) { return !is_logit(p, i) && i >= p->b->s.neurons; }

typedef struct ranked {
  double score;
  size_t at;
} ranked;
static int by_score(const void *a, const void *b) {
  const ranked *x = a, *y = b;
  if (x->score != y->score) return x->score < y->score ? 1 : -1;
  return x->at < y->at ? -1 : x->at > y->at;
}

static sg_status rank(pruner *p, sg_error *err) {
  size_t n = p->b->s.count;
  ranked *order = sgi_alloc(n * sizeof *order);
  p->cumulative = sgi_alloc(n * sizeof *p->cumulative);
  if (!order || !p->cumulative) {
    sgi_free(order);
    return sgi_fail_memory(err, n * sizeof *order, "the nodes of a graph");
  }
  for (size_t i = 0; i < n; i++) order[i] = (ranked){p->b->influence[i], i};
  qsort(order, n, sizeof *order, by_score);
  double so_far = 0;
  for (size_t i = 0; i < n; i++) p->all_influence += order[i].score;
  for (size_t i = 0; i < n; i++) {
    so_far += order[i].score;
    p->cumulative[order[i].at] = p->all_influence > 0 ? so_far / p->all_influence : 1;
  }
  sgi_free(order);
  return SG_OK;
}

static sg_status choose_nodes(pruner *p, sg_error *err) {
  sgi_builder *b = p->b;
  double share = b->request->node_threshold > 0 ? b->request->node_threshold : NODE_THRESHOLD;
  double *scores = sgi_alloc(b->s.count * sizeof *scores);
  p->kept = sgi_alloc(b->nodes * sizeof *p->kept);
  if (!scores || !p->kept) {
    sgi_free(scores);
    return sgi_fail_memory(err, b->nodes * sizeof *scores, "the nodes of a graph");
  }
  memcpy(scores, b->influence, b->s.count * sizeof *scores);
  double least = threshold_of(scores, b->s.count, share);
  sgi_free(scores);
  for (size_t i = 0; i < b->nodes; i++) {
    bool enough = !is_logit(p, i) && b->influence[i] > 0 && b->influence[i] >= least;
    bool keep = is_logit(p, i) || (is_token(p, i) && i <= p->last) || (enough && (!is_neuron(p, i) || b->explored[i]));
    if (keep) p->kept[p->n++] = i;
  }
  size_t bytes;
  if (!sgi_size_mul(p->n, p->n, &bytes) || !sgi_size_mul(bytes, sizeof(double), &bytes))
    return sgi_fail(err, SG_ERR_MEMORY, "%zu nodes are too many: lower --max-nodes", p->n);
  p->alive = sgi_alloc(p->n);
  p->wanted = sgi_alloc(b->s.count);
  p->a = sgi_alloc(bytes);
  p->score = sgi_alloc(bytes);
  if (!p->alive || !p->wanted || !p->a || !p->score) return sgi_fail_memory(err, bytes, "the edges of a graph");
  memset(p->alive, 1, p->n);
  for (size_t k = 0; k < p->n; k++)
    if (!is_logit(p, p->kept[k])) p->wanted[p->kept[k]] = true;
  return SG_OK;
}

static sgi_edge_target target_of(const pruner *p, size_t k) { return sgi_builder_target(p->b, p->kept[k]); }

/* Calls use for every kept neuron and logit with the row of its edges, sweeps in batches of one
 * step. */
static sg_status each_row(pruner *p, size_t part, void (*use)(pruner *p, size_t k, const double *row, void *user),
                          void *user, sg_error *err) {
  sg_status st = SG_OK;
  size_t first = 0;
  while (first < p->n && !is_neuron(p, p->kept[first]) && !is_logit(p, p->kept[first])) first++;
  for (size_t k = first; k < p->n && !st;) {
    sgi_edge_target target[SGI_EDGE_BATCH];
    size_t node[SGI_EDGE_BATCH], R = 0;
    for (; k < p->n && R < SGI_EDGE_BATCH; k++) {
      if (!p->alive[k]) continue;
      sgi_edge_target t = target_of(p, k);
      if (R && t.step != target[0].step) break;
      target[R] = t;
      node[R++] = k;
    }
    if (!R) break;
    st = sgi_edges(&p->b->f, &p->b->s, target, R, part, p->wanted, p->b->rows, &p->b->work, err);
    for (size_t r = 0; r < R && !st; r++) use(p, node[r], p->b->rows + r * p->b->s.count, user);
  }
  return st;
}

static void take_row(pruner *p, size_t k, const double *row, void *user) {
  (void)user;
  for (size_t s = 0; s < p->n; s++) p->a[k * p->n + s] = is_logit(p, p->kept[s]) ? 0 : row[p->kept[s]];
}

/* Influence of edges, each node's input shared out over the kept sources alone. */
static sg_status score_edges(pruner *p, sg_error *err) {
  double *flow = sgi_alloc(p->n * sizeof *flow);
  if (!flow) return sgi_fail_memory(err, p->n * sizeof *flow, "the edges of a graph");
  for (size_t k = p->n; k-- > 0;) {
    const double *a = p->a + k * p->n;
    double abs = 0;
    if (is_logit(p, p->kept[k])) flow[k] += p->b->probability[p->kept[k] - p->b->s.count];
    for (size_t s = 0; s < k; s++) abs += fabs(a[s]);
    for (size_t s = 0; s < k && abs > 0; s++) flow[s] += p->score[k * p->n + s] = flow[k] * fabs(a[s]) / abs;
  }
  sgi_free(flow);
  return SG_OK;
}

static sg_status cut_edges(pruner *p, sg_graph *g, sg_error *err) {
  double share = p->b->request->edge_threshold > 0 ? p->b->request->edge_threshold : EDGE_THRESHOLD;
  size_t n = p->n, count = 0;
  double *scores = sgi_alloc(n * n * sizeof *scores), all = 0, left = 0;
  if (!scores) return sgi_fail_memory(err, n * n * sizeof *scores, "the edges of a graph");
  for (size_t i = 0; i < n * n; i++)
    if (p->score[i] > 0) all += scores[count++] = p->score[i];
  double least = threshold_of(scores, count, share);
  sgi_free(scores);
  for (size_t i = 0; i < n * n; i++)
    if (p->score[i] < least) p->score[i] = 0;
  /* Neurons without an edge in or out, and biases and errors without one out, go, with their edges,
   * until none is left. */
  for (bool again = true; again;) {
    again = false;
    for (size_t k = 0; k < n; k++) {
      if (!p->alive[k] || is_token(p, p->kept[k]) || is_logit(p, p->kept[k])) continue;
      bool in = !is_neuron(p, p->kept[k]), out = false;
      for (size_t s = 0; s < n; s++) {
        in = in || p->score[k * n + s] > 0;
        out = out || p->score[s * n + k] > 0;
      }
      if (in && out) continue;
      for (size_t s = 0; s < n; s++) p->score[k * n + s] = p->score[s * n + k] = 0;
      p->alive[k] = false;
      again = true;
    }
  }
  for (size_t i = 0; i < n * n; i++) left += p->score[i];
  g->edge_share = all > 0 ? left / all : 1;
  return SG_OK;
}

/* Share of the logits' input that kept edges lead back to tokens and biases, each node's input
 * shared out over all sources. */
static sg_status trace_inputs(pruner *p, sg_graph *g, sg_error *err) {
  double *flow = sgi_alloc(p->n * sizeof *flow), weight = 0;
  if (!flow) return sgi_fail_memory(err, p->n * sizeof *flow, "the edges of a graph");
  for (size_t k = p->n; k-- > 0;) {
    size_t i = p->kept[k];
    if (is_logit(p, i)) {
      flow[k] += p->b->probability[i - p->b->s.count];
      weight += p->b->probability[i - p->b->s.count];
    }
    if (!is_neuron(p, i) && !is_logit(p, i)) {
      if (!is_error(p, i)) g->input_share += flow[k];
      continue;
    }
    for (size_t s = 0; s < k; s++)
      if (p->score[k * p->n + s] > 0) flow[s] += flow[k] * fabs(p->a[k * p->n + s]) / p->b->abs[i];
  }
  if (weight > 0) g->input_share /= weight;
  sgi_free(flow);
  return SG_OK;
}

static sg_node node_of(const pruner *p, size_t k) {
  const sgi_builder *b = p->b;
  size_t i = p->kept[k];
  sg_node n = {.layer = -1, .channel = -1, .index = -1, .token = -1};
  if (is_logit(p, i)) {
    size_t j = i - b->s.count;
    n.kind = SG_NODE_LOGIT;
    n.layer = (int32_t)b->f.L;
    n.position = (int32_t)b->logits_at[j];
    n.token = b->logits[j];
    n.value = n.input = b->logit[j];
    n.probability = b->probability[j];
  } else {
    n.influence = b->influence[i];
    n.cumulative = p->cumulative[i];
  }
  if (is_token(p, i)) {
    n.kind = SG_NODE_TOKEN;
    n.position = (int32_t)i;
    n.token = b->f.tokens[i];
  } else if (is_neuron(p, i)) {
    const sgi_edge_target t = sgi_builder_target(b, i);
    n.kind = SG_NODE_NEURON;
    n.layer = (int32_t)b->f.steps[t.step].step->layer;
    n.position = (int32_t)t.position;
    n.channel = t.unit->channel;
    n.index = t.unit->index;
    n.value = t.unit->value;
    n.input = t.unit->value - t.unit->constant;
  } else if (!is_logit(p, i)) {
    size_t at, step = sgi_source_step(&b->s, &b->f, i, &at);
    n.kind = is_error(p, i) ? SG_NODE_ERROR : SG_NODE_BIAS;
    n.layer = (int32_t)b->f.steps[step].step->layer;
    n.position = (int32_t)at;
  }
  n.edges_sum = b->sum[i];
  n.edges_abs = b->abs[i];
  return n;
}

typedef struct parts {
  sg_graph *g;
  const size_t *number; /* (n) node of the graph */
  const size_t *origin; /* (n_nodes) the builder's number of a node */
  size_t part, width;
} parts;

/* Edges are sorted by target: the first of one. */
static size_t first_edge(const sg_graph *g, size_t target) {
  size_t lo = 0, hi = g->n_edges;
  while (lo < hi) {
    size_t mid = lo + (hi - lo) / 2;
    if (g->edges[mid].target < target)
      lo = mid + 1;
    else
      hi = mid;
  }
  return lo;
}

static void take_part(pruner *p, size_t k, const double *row, void *user) {
  parts *x = user;
  const sg_graph *g = x->g;
  (void)p;
  for (size_t e = first_edge(g, x->number[k]); e < g->n_edges && g->edges[e].target == x->number[k]; e++)
    g->parts[e * x->width + x->part] = (float)row[x->origin[g->edges[e].source]];
}

static int by_target(const void *a, const void *b) {
  const sg_edge_link *x = a, *y = b;
  if (x->target != y->target) return x->target < y->target ? -1 : 1;
  if (fabs(x->weight) != fabs(y->weight)) return fabs(x->weight) < fabs(y->weight) ? 1 : -1;
  return x->source < y->source ? -1 : x->source > y->source;
}

static sg_status split_heads(pruner *p, sg_graph *g, const size_t *number, const size_t *origin, sg_error *err) {
  size_t width = 1 + p->b->f.L * p->b->f.heads, bytes;
  if (!sgi_size_mul(width * sizeof *g->parts, g->n_edges, &bytes))
    return sgi_fail(err, SG_ERR_MEMORY, "edges split by head need more than this machine can address");
  g->parts = sgi_alloc(bytes);
  if (!g->parts) return sgi_fail_memory(err, bytes, "edges split by head");
  sg_status st = SG_OK;
  for (size_t part = 0; part < width && !st; part++) {
    parts x = {g, number, origin, part, width};
    st = each_row(p, part + SGI_PART_NONE, take_part, &x, err);
  }
  for (size_t e = 0; e < g->n_edges; e++) g->edges[e].parts = g->parts + e * width;
  return st;
}

static sg_status write_graph(pruner *p, sg_graph *g, sg_error *err) {
  size_t n = p->n, edges = 0;
  size_t *number = sgi_alloc((2 * n + 1) * sizeof *number);
  for (size_t i = 0; i < n * n; i++) edges += p->score[i] > 0;
  g->nodes = sgi_alloc(n * sizeof *g->nodes);
  g->edges = sgi_alloc((edges + 1) * sizeof *g->edges);
  if (!number || !g->nodes || !g->edges) {
    sgi_free(number);
    return sgi_fail_memory(err, edges * sizeof *g->edges, "a graph");
  }
  double influence = 0;
  size_t *origin = number + n;
  for (size_t k = 0; k < n; k++) {
    number[k] = g->n_nodes;
    if (!p->alive[k]) continue;
    g->nodes[g->n_nodes] = node_of(p, k);
    origin[g->n_nodes] = p->kept[k];
    influence += g->nodes[g->n_nodes++].influence;
  }
  g->node_share = p->all_influence > 0 ? influence / p->all_influence : 1;
  for (size_t k = 0; k < n; k++)
    for (size_t s = 0; s < n; s++)
      if (p->score[k * n + s] > 0)
        g->edges[g->n_edges++] = (sg_edge_link){.source = number[s], .target = number[k], .weight = p->a[k * n + s]};
  qsort(g->edges, g->n_edges, sizeof *g->edges, by_target);
  sg_status st = p->b->request->heads ? split_heads(p, g, number, origin, err) : SG_OK;
  sgi_free(number);
  return st;
}

/* Rounding of an input is judged by the larger of its edges' absolute sum and that of its own dot
 * product: one edge may be a small sum of large ways. */
static double scale_of(const pruner *p, size_t i) {
  const sgi_frozen *f = &p->b->f;
  size_t D = f->D;
  double own = 0;
  if (is_logit(p, i)) {
    const float *x = sgi_pass_final_norm(f->pass) + p->b->logits_at[i - p->b->s.count] * D;
    sgi_slice e = sgi_embedding_of(f->model, (size_t)p->b->logits[i - p->b->s.count]);
    for (size_t d = 0; d < D; d++) own += fabs((double)x[d] * (double)sgi_slice_at(&e, d));
    return fmax(own, p->b->abs[i]);
  }
  sgi_edge_target t = sgi_builder_target(p->b, i);
  const sgi_held *h = &f->steps[t.step];
  const float *x = h->x + t.position * D;
  for (size_t d = 0; d < D; d++) own += fabs((double)x[d] * h->gain[d] * sgi_slice_at(&t.unit->in, d));
  return fmax(own * fabs(t.unit->gate) * h->r[t.position], p->b->abs[i]);
}

static void fill_facts(const pruner *p, sg_graph *g) {
  const sgi_builder *b = p->b;
  g->position = p->last;
  g->n_layers = b->f.L;
  g->n_heads = b->f.heads;
  g->n_tokens = b->f.T;
  sgi_largest most = sgi_model_largest(b->f.model);
  g->pool = most.neurons > most.beside ? most.neurons : most.beside;
  g->explored = b->n_explored;
  double weight = 0, missed = 0;
  for (size_t k = 0; k < b->n_logits; k++) weight += b->probability[k];
  for (size_t i = b->s.errors; i < b->s.neurons; i++) missed += b->influence[i];
  g->error_share = weight > 0 ? missed / weight : 0;
  for (size_t i = 0; i < b->nodes; i++) {
    if (i < b->s.count ? b->influence[i] > 0 : true) g->all_nodes++;
    if (!b->explored[i] || b->abs[i] <= 0) continue;
    const sgi_unit *u = i < b->s.count ? sgi_builder_target(b, i).unit : NULL;
    double input = u ? u->value - u->constant : b->logit[i - b->s.count];
    g->worst_residue = fmax(g->worst_residue, fabs(b->sum[i] - input) / scale_of(p, i));
  }
}

sg_status sgi_builder_prune(sgi_builder *b, sg_graph *g, sg_error *err) {
  pruner p = {.b = b};
  for (size_t k = 0; k < b->n_logits; k++) p.last = b->logits_at[k] > p.last ? b->logits_at[k] : p.last;
  sg_status st = rank(&p, err);
  if (!st) st = choose_nodes(&p, err);
  if (!st) st = each_row(&p, SGI_PART_ALL, take_row, NULL, err);
  if (!st) st = score_edges(&p, err);
  if (!st) st = cut_edges(&p, g, err);
  if (!st) st = trace_inputs(&p, g, err);
  if (!st) st = write_graph(&p, g, err);
  if (!st) fill_facts(&p, g);
  void *owned[] = {p.kept, p.alive, p.wanted, p.a, p.score, p.cumulative};
  for (size_t i = 0; i < SGI_COUNT(owned); i++) sgi_free(owned[i]);
  return st;
}
