/* sparse_kind.c: what all kinds of chosen neurons do alike (sparse_kind.h). Where an option of the
 * layer comes in: what chooses (another router, routers shared by layers, more candidates than K)
 * in choose(), which leaves score and index; which of these act in jump.c; what a neuron computes
 * in the kind's gate; how rows of the pools are stored in sparse.c, which alone reads them. Where a
 * metarouter chooses pools, meta_pools.c runs all of this on each of them: a layer with that option
 * is handed over to it at the entry of every function. */
#include "ffn/sparse_kind.h"

#include <math.h>
#include <string.h>

#include "ffn/router.h"
#include "ffn/sparse.h"

/* Tensors: the pools, then what there is of constants, the router's two and thresholds. */
enum { W_IN, W_OUT, B_IN };
static size_t router_at(const sg_config *c) { return c->options.bias ? B_IN + 1 : B_IN; }
static size_t threshold_at(const sg_config *c) { return router_at(c) + (sgi_ffn_routes(c) ? 2 : 0); }

typedef struct kept {
  int32_t *index; /* (n,C,K) */
  float *score;   /* (n,C,K) */
  float *dot;     /* (n,C,K) x . w_in */
  float *gate[SGI_GATE_KEPT];
  float *value; /* (n,C,K) */
  sgi_jump jump;
} kept;

/* What the layers of a group share; nothing where each has its own router. */
typedef struct group {
  int32_t *index;        /* (n,C,K) */
  float *score, *dscore; /* (n,C,K) */
} group;

typedef struct work {
  float *dvalue, *dscore; /* (n,C,K) */
  sgi_sparse_sorted sorted;
  sgi_jump_work jump;
} work;

static const sgi_sparse_kind *form_of(const sg_config *c) { return sgi_ffn_of(c)->sparse; }
static const sgi_router *router_of(const sg_config *c) { return sgi_router_find(c->router, NULL); }
static size_t entries(const sg_config *c, size_t n) { return n * c->num_channels * c->top_k; }

static sgi_sparse sparse_of(const sg_config *c, size_t n) {
  return (sgi_sparse){.n = n,
                      .channels = c->num_channels,
                      .top_k = c->top_k,
                      .pool = c->num_neurons,
                      .D = c->hidden_size,
                      .pool_per_channel = form_of(c)->pool_per_channel};
}

static void layout(const sg_config *c, size_t n, sgi_arena *a, kept *k) {
  size_t m = entries(c, n), gates = form_of(c)->kept(c);
  *k = (kept){.index = SGI_TAKE(a, m, int32_t), .score = SGI_TAKE(a, m, float), .dot = SGI_TAKE(a, m, float)};
  for (size_t i = 0; i < gates; i++) k->gate[i] = SGI_TAKE(a, m, float);
  k->value = SGI_TAKE(a, m, float);
  sgi_jump_saved(c, n, a, &k->jump);
}

static bool shares(const sg_config *c) { return c->router_group > 1; }

static void layout_group(const sg_config *c, size_t n, bool backward, sgi_arena *a, group *g) {
  size_t m = shares(c) ? entries(c, n) : 0;
  *g = (group){.index = SGI_TAKE(a, m, int32_t), .score = SGI_TAKE(a, m, float)};
  if (backward) g->dscore = SGI_TAKE(a, m, float);
}

void sgi_sparse_shared(const sg_config *c, size_t n, bool backward, sgi_arena *a) {
  sgi_meta_take_shared(c, n, backward, a);
  if (shares(c)) layout_group(c, n, backward, a, &(group){0});
}

bool sgi_sparse_shares(const sg_config *c) { return shares(c) || sgi_meta_on(c); }

void sgi_sparse_clear(const sg_config *c, size_t n, sgi_arena block) {
  group g;
  sgi_meta_clear(c, n, block);
  if (!shares(c)) return;
  layout_group(c, n, true, &block, &g);
  memset(g.dscore, 0, entries(c, n) * sizeof *g.dscore);
}

void sgi_sparse_shared_row(const sg_config *c, sgi_shared_row to, sgi_shared_row from) {
  size_t m = entries(c, 1);
  group a, b;
  sgi_meta_shared_row(c, to, from);
  if (!shares(c)) return;
  layout_group(c, to.n, false, &to.block, &a);
  layout_group(c, from.n, false, &from.block, &b);
  memcpy(a.index + to.row * m, b.index + from.row * m, m * sizeof *a.index);
  memcpy(a.score + to.row * m, b.score + from.row * m, m * sizeof *a.score);
}

static void layout_work(const sg_config *c, size_t n, sgi_arena *a, work *w) {
  sgi_sparse s = sparse_of(c, n);
  w->dvalue = SGI_TAKE(a, entries(c, n), float);
  w->dscore = SGI_TAKE(a, entries(c, n), float);
  sgi_sparse_sort_take(&s, a, &w->sorted);
  sgi_jump_work_take(c, n, a, &w->jump);
}

size_t sgi_sparse_tensor_count(const sg_config *c) { return threshold_at(c) + (sgi_jump_on(c) ? 1 : 0); }

void sgi_sparse_saved_parts(const sg_config *c, size_t n, size_t parts, sgi_arena *a) {
  enum { ARRAYS = 16 }; /* each may begin on a line of its own */
  layout(c, n, a, &(kept){0});
  sgi_take(a, parts * ARRAYS, SGI_ALIGN);
  sgi_router_saved_parts(router_of(c), c, n, parts, a);
}

void sgi_sparse_saved(const sg_config *c, size_t n, sgi_arena *a) {
  if (sgi_meta_on(c)) {
    sgi_meta_saved(c, n, a);
    return;
  }
  layout(c, n, a, &(kept){0});
  if (sgi_ffn_routes(c)) sgi_router_saved(router_of(c), c, n, a);
}

void sgi_sparse_scratch(const sg_config *c, size_t n, bool backward, sgi_arena *a) {
  if (sgi_meta_on(c)) {
    sgi_meta_scratch(c, n, backward, a);
    return;
  }
  if (backward) layout_work(c, n, a, &(work){0});
  if (sgi_ffn_routes(c)) sgi_router_scratch(router_of(c), c, n, backward, a);
}

sg_status sgi_sparse_check(const sg_config *c, sg_error *err) {
  sg_config pool;
  sgi_meta_pool(c, &pool);
  const sgi_router *r = sgi_router_find(c->router, err);
  sg_status st = r ? form_of(c)->check(&pool, err) : SG_ERR_ARG;
  return st ? st : sgi_router_check(r, &pool, err);
}

/* The reference takes the axis of the neurons as the pools' fan-in (golden README no. 12). */
sg_status sgi_sparse_tensors(const sg_config *c, const char *prefix, sgi_table *t, sg_error *err) {
  if (sgi_meta_on(c)) return sgi_meta_tensors(c, prefix, t, err);
  size_t C = c->num_channels, F = c->num_neurons, D = c->hidden_size;
  const size_t *dims = form_of(c)->pool_per_channel ? SGI_DIMS(C, F, D) : SGI_DIMS(F, D);
  double sigma = 1 / sqrt((double)F);
  sg_status st = sgi_table_add(t, prefix, "experts.w_in", dims, true, SGI_INIT_LECUN, sigma, err);
  if (!st) st = sgi_table_add(t, prefix, "experts.w_out", dims, true, SGI_INIT_LECUN, sigma, err);
  for (size_t i = 1; i <= 2 && !st; i++) t->rows[t->count - i].pool = true;
  if (!st && c->options.bias) st = sgi_table_add(t, prefix, "experts.b_in", SGI_DIMS(F), false, SGI_INIT_ZERO, 0, err);
  if (!st && sgi_ffn_routes(c)) st = router_of(c)->tensors(c, prefix, t, err);
  return st ? st : sgi_jump_tensors(c, prefix, t, err);
}

uint64_t sgi_sparse_multiply_adds(const sg_config *c) {
  if (sgi_meta_on(c)) return sgi_meta_multiply_adds(c);
  return (sgi_ffn_routes(c) ? sgi_router_multiply_adds(router_of(c), c) : 0) +
         (uint64_t)2 * c->top_k * c->num_channels * c->hidden_size;
}

static sgi_gate gate_of(const sg_config *c, size_t n, const kept *k) {
  sgi_gate g = {c, entries(c, n), c->top_k, k->score, k->dot, {0}, k->value};
  for (size_t i = 0; i < SGI_GATE_KEPT; i++) g.kept[i] = k->gate[i];
  return g;
}

/* ---- forward --------------------------------------------------------------------------------- */

static sg_status gate(sgi_ffn_call *call, float *y, const float *x) {
  return sgi_meta_on(call->config) ? sgi_meta_stage(SGI_SPARSE_GATE, call, y, x) : SG_OK;
}

static sg_status choose(sgi_ffn_call *call, float *y, const float *x) {
  if (sgi_meta_on(call->config)) return sgi_meta_stage(SGI_SPARSE_ROUTE, call, y, x);
  const sg_config *c = call->config;
  kept k;
  layout(c, call->n, &call->saved, &k);
  if (sgi_ffn_routes(c))
    return sgi_router_forward(router_of(c), c, call->n, &call->saved, call->scratch, call->w + router_at(c), x, k.score,
                              k.index);
  group g;
  layout_group(c, call->n, false, &call->shared, &g);
  memcpy(k.index, g.index, entries(c, call->n) * sizeof *k.index);
  memcpy(k.score, g.score, entries(c, call->n) * sizeof *k.score);
  return SG_OK;
}

static const float *theta_of(const sgi_ffn_call *call) { return sgi_f32(call->w[threshold_at(call->config)]); }
static const float *bias_of(const sgi_ffn_call *call) {
  return call->config->options.bias ? sgi_f32(call->w[B_IN]) : NULL;
}

/* What was chosen, with what a tap made of it, for the layers that use it. */
static void hand_on(const sgi_ffn_call *call, const kept *k) {
  const sg_config *c = call->config;
  sgi_arena block = call->shared;
  group g;
  if (!shares(c) || !sgi_ffn_routes(c)) return;
  layout_group(c, call->n, false, &block, &g);
  memcpy(g.index, k->index, entries(c, call->n) * sizeof *g.index);
  memcpy(g.score, k->score, entries(c, call->n) * sizeof *g.score);
}

static sg_status act(sgi_ffn_call *call, float *y, const float *x) {
  if (sgi_meta_on(call->config)) return sgi_meta_stage(SGI_SPARSE_ACT, call, y, x);
  kept k;
  layout(call->config, call->n, &call->saved, &k);
  hand_on(call, &k);
  if (k.jump.active) sgi_jump_choose(call->config, call->n, theta_of(call), k.score, &k.jump);
  return SG_OK;
}

static sg_status neurons(sgi_ffn_call *call, float *y, const float *x) {
  if (sgi_meta_on(call->config)) return sgi_meta_stage(SGI_SPARSE_NEURONS, call, y, x);
  const sg_config *c = call->config;
  kept k;
  layout(c, call->n, &call->saved, &k);
  sgi_sparse s = sparse_of(c, call->n);
  if (k.jump.active) sgi_jump_ends(c, call->n, &k.jump, NULL);
  s.end = k.jump.end;
  sgi_sparse_dot(&s, call->scratch.profile, k.dot, call->w[W_IN], k.index, x);
  double at = sgi_lap_begin(call->scratch.profile);
  if (bias_of(call)) sgi_sparse_add_bias(&s, k.dot, bias_of(call), k.index);
  if (k.jump.active) sgi_jump_silence(c, call->n, &k.jump, k.dot);
  sgi_gate g = gate_of(c, call->n, &k);
  form_of(c)->forward(&g);
  if (call->drop) sgi_drop_values(call->drop, c, k.index, k.value, call->n);
  sgi_sparse_lap_values(&s, call->scratch.profile, &at, "gates", form_of(c)->moved[0]);
  return SG_OK;
}

static sg_status sum(sgi_ffn_call *call, float *y, const float *x) {
  if (sgi_meta_on(call->config)) return sgi_meta_stage(SGI_SPARSE_SUM, call, y, x);
  kept k;
  layout(call->config, call->n, &call->saved, &k);
  sgi_sparse s = sparse_of(call->config, call->n);
  if (k.jump.active && call->tap) sgi_jump_ends(call->config, call->n, &k.jump, k.value);
  s.end = k.jump.end;
  sgi_sparse_sum(&s, call->scratch.profile, y, call->w[W_OUT], k.index, k.value);
  return SG_OK;
}

const sgi_stage sgi_sparse_stages[] = {
    {"metarouter", gate, {SGI_SITE_META_PROBABILITIES, SGI_SITE_META_CHOICE}},
    {"router", choose, {SGI_SITE_ROUTER_SCORES, SGI_SITE_ROUTER_INDICES}},
    {"gates", act, {SGI_SITE_ROUTER_ACTIVE}},
    {"neurons, input", neurons, {SGI_SITE_CHOSEN_NEURONS}},
    {"neurons, output", sum, {SGI_SITE_NONE}},
    {.run = NULL},
};

void sgi_sparse_left(const sgi_ffn_call *call, sgi_site_id id, sgi_left *out) {
  if (sgi_meta_on(call->config)) {
    sgi_meta_left(call, id, out);
    return;
  }
  sgi_arena block = call->saved;
  kept k;
  layout(call->config, call->n, &block, &k);
  if (id == SGI_SITE_META_PROBABILITIES || id == SGI_SITE_META_CHOICE) return;
  out->data = id == SGI_SITE_ROUTER_SCORES    ? (void *)k.score
              : id == SGI_SITE_ROUTER_INDICES ? (void *)k.index
              : id == SGI_SITE_ROUTER_ACTIVE  ? (void *)k.jump.active
                                              : (void *)k.value;
}

/* ---- backward -------------------------------------------------------------------------------- */

/* A pool's gradient: to the arena, or row by row to whoever takes it. Nothing reads the pool
 * afterwards in this pass. */
static void add_gradient(const sgi_ffn_call *call, size_t pool, const sgi_sparse *s, const sgi_sparse_sorted *sorted,
                         const float *value, const float *x) {
  const sgi_row_sink *sink = call->sink ? call->sink[pool] : NULL;
  if (sink)
    sgi_sparse_scatter_rows(s, call->scratch.profile, sink, sorted, value, x);
  else
    sgi_sparse_scatter(s, call->scratch.profile, call->dw[pool], sorted, value, x);
}

/* Scores' gradients of a group's layers add up; its router gets the sum. */
static sg_status router_backward(sgi_ffn_call *call, const kept *k, const float *dscore, float *dx, const float *x) {
  const sg_config *c = call->config;
  if (shares(c)) {
    group g;
    layout_group(c, call->n, true, &call->shared, &g);
    size_t m = entries(c, call->n);
#pragma omp parallel for simd schedule(static) if (m > 4096)
    for (size_t i = 0; i < m; i++) g.dscore[i] += dscore[i];
    dscore = g.dscore;
  }
  if (!sgi_ffn_routes(c)) return SG_OK;
  return sgi_router_backward(router_of(c), c, call->n, &call->saved, call->scratch, call->w + router_at(c),
                             call->dw + router_at(c), x, k->index, dscore, dx);
}

/* With a = x . w_in + b, v = gate(s, a): dv = dy . w_out; da, ds by the gate; dw_out += v dy; dw_in
 * += da x; db += da; dx = sum da w_in + the router's part of ds. */
sg_status sgi_sparse_backward(sgi_ffn_call *call, float *dx, const float *dy, const float *x) {
  const sg_config *c = call->config;
  if (sgi_meta_on(c)) return sgi_meta_backward(call, dx, dy, x);
  sgi_profile *profile = call->scratch.profile;
  kept k;
  work w;
  layout(c, call->n, &call->saved, &k);
  layout_work(c, call->n, &call->scratch, &w);
  sgi_sparse s = sparse_of(c, call->n);
  s.end = k.jump.end;
  sgi_profile_stage(profile, "neurons, output backward");
  sgi_sparse_dot(&s, profile, w.dvalue, call->w[W_OUT], k.index, dy);
  if (k.jump.active) sgi_jump_silence(c, call->n, &k.jump, w.dvalue);
  if (call->drop) sgi_drop_values(call->drop, c, k.index, w.dvalue, call->n);
  double at = sgi_lap_begin(profile);
  sgi_gate g = gate_of(c, call->n, &k);
  form_of(c)->backward(&g, w.dvalue, w.dscore);
  sgi_sparse_lap_values(&s, profile, &at, "gates backward", form_of(c)->moved[1]);
  if (k.jump.active)
    sgi_jump_backward(&(sgi_jump_back){c, call, s, &k.jump, call->w[W_IN], call->w[W_OUT], bias_of(call),
                                       theta_of(call), k.index, k.score, w.dscore, x, dy, form_of(c)->outside},
                      &w.jump, call->dw[threshold_at(c)]);
  sgi_profile_stage(profile, "neurons, input backward");
  sgi_sparse_sum(&s, profile, dx, call->w[W_IN], k.index, w.dvalue);
  sgi_profile_stage(profile, "neurons, weight gradients");
  sgi_sparse_sort(&s, profile, k.index, &w.sorted);
  add_gradient(call, W_OUT, &s, &w.sorted, k.value, dy);
  add_gradient(call, W_IN, &s, &w.sorted, w.dvalue, x);
  if (bias_of(call)) sgi_sparse_scatter_bias(&s, call->dw[B_IN], &w.sorted, w.dvalue);
  return router_backward(call, &k, w.dscore, dx, x);
}

void sgi_sparse_measure(const sgi_ffn_call *call, sgi_aux *sum) {
  if (sgi_meta_on(call->config)) {
    sgi_meta_measure(call, sum);
    return;
  }
  sgi_arena block = call->saved;
  kept k;
  layout(call->config, call->n, &block, &k);
  if (k.jump.active) sgi_jump_measure(call->config, call->n, theta_of(call), k.score, &k.jump, sum);
}

/* ---- reading --------------------------------------------------------------------------------- */

void sgi_sparse_gates(const sg_config *c, size_t n, sgi_arena block, sgi_gates *out) {
  if (sgi_meta_on(c)) {
    sgi_meta_gates(c, n, block, out);
    return;
  }
  kept k;
  layout(c, n, &block, &k);
  *out =
      (sgi_gates){k.index, k.score, k.value, c->num_channels, c->top_k, c->num_neurons, form_of(c)->pool_per_channel};
}

/* Where the pool is shared a channel only chooses. */
bool sgi_sparse_unit_at(const sg_config *c, const sgi_weight *const *w, size_t channel, size_t index, sgi_unit *out) {
  if (sgi_meta_on(c)) return sgi_meta_unit_at(c, w, channel, index, out);
  if (channel >= c->num_channels || index >= c->num_neurons) return false;
  size_t at = (form_of(c)->pool_per_channel ? channel * c->num_neurons + index : index) * c->hidden_size;
  *out = (sgi_unit){(int32_t)channel, (int32_t)index, .in = {.weight = w[W_IN], .at = at, .stride = 1},
                    .out = {.weight = w[W_OUT], .at = at, .stride = 1}};
  if (c->options.bias) out->constant = sgi_f32(w[B_IN])[at / c->hidden_size];
  return true;
}

size_t sgi_sparse_unit_count(const sg_config *c) { return c->num_channels * c->top_k; }

/* value = gate (x . w_in + b). Where that is 0 there is no ratio: the value (0 for every gate here)
 * stands as a constant. */
void sgi_sparse_channel_units(const sgi_ffn_call *call, size_t row, size_t channel, sgi_unit *out) {
  const sg_config *c = call->config;
  sgi_arena block = call->saved;
  kept k;
  layout(c, call->n, &block, &k);
  size_t at = (row * c->num_channels + channel) * c->top_k;
  for (size_t j = 0; j < c->top_k; j++, at++) {
    double value = k.value[at], dot = k.dot[at];
    sgi_sparse_unit_at(c, call->w, channel, (size_t)k.index[at], &out[j]);
    out[j].value = value;
    out[j].gate = dot != 0 ? value / dot : 0;
    out[j].constant = dot != 0 ? out[j].gate * out[j].constant : value;
  }
}

void sgi_sparse_units(const sgi_ffn_call *call, size_t row, sgi_unit *out, double *bias) {
  const sg_config *c = call->config;
  if (sgi_meta_on(c)) {
    sgi_meta_units(call, row, out, bias);
    return;
  }
  for (size_t channel = 0; channel < c->num_channels; channel++)
    sgi_sparse_channel_units(call, row, channel, out + channel * c->top_k);
  for (size_t d = 0; d < c->hidden_size; d++) bias[d] = 0;
}

void sgi_sparse_routes(const sg_config *c, sgi_routes *out) {
  if (sgi_meta_on(c))
    sgi_meta_routes(c, out);
  else
    sgi_router_routes(router_of(c), c, out);
}

sg_status sgi_sparse_route_rows(const sg_config *c, const sgi_weight *const *w, size_t channel, float *rows) {
  if (sgi_meta_on(c)) return sgi_meta_route_rows(c, w, channel, rows);
  return sgi_router_rows(router_of(c), c, w + router_at(c), channel, rows);
}
