/* sparse_kind.c: what all kinds of chosen neurons do alike (sparse_kind.h). Where an option of the
 * layer comes in: what chooses (another router, routers shared by layers, more candidates than K)
 * in choose(), which leaves score and index; which of these act in jump.c; what a neuron computes
 * in the kind's gate; how rows of the pools are stored in sparse.c, which alone reads them. */
#include "ffn/sparse_kind.h"

#include <math.h>

#include "ffn/router.h"
#include "ffn/sparse.h"

enum { W_IN, W_OUT, ROUTER, THRESHOLD = ROUTER + 2 };

typedef struct kept {
  int32_t *index; /* (n,C,K) */
  float *score;   /* (n,C,K) */
  float *dot;     /* (n,C,K) x . w_in */
  float *gate[SGI_GATE_KEPT];
  float *value; /* (n,C,K) */
  sgi_jump jump;
} kept;

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

static void layout_work(const sg_config *c, size_t n, sgi_arena *a, work *w) {
  sgi_sparse s = sparse_of(c, n);
  w->dvalue = SGI_TAKE(a, entries(c, n), float);
  w->dscore = SGI_TAKE(a, entries(c, n), float);
  sgi_sparse_sort_take(&s, a, &w->sorted);
  sgi_jump_work_take(c, n, a, &w->jump);
}

void sgi_sparse_saved(const sg_config *c, size_t n, sgi_arena *a) {
  layout(c, n, a, &(kept){0});
  sgi_router_saved(router_of(c), c, n, a);
}

void sgi_sparse_scratch(const sg_config *c, size_t n, bool backward, sgi_arena *a) {
  if (backward) layout_work(c, n, a, &(work){0});
  sgi_router_scratch(router_of(c), c, n, backward, a);
}

sg_status sgi_sparse_check(const sg_config *c, sg_error *err) {
  const sgi_router *r = sgi_router_find(c->router, err);
  sg_status st = r ? form_of(c)->check(c, err) : SG_ERR_ARG;
  return st ? st : sgi_router_check(r, c, err);
}

/* The reference takes the axis of the neurons as the pools' fan-in (golden README no. 12). */
sg_status sgi_sparse_tensors(const sg_config *c, const char *prefix, sgi_table *t, sg_error *err) {
  size_t C = c->num_channels, F = c->num_neurons, D = c->hidden_size;
  const size_t *dims = form_of(c)->pool_per_channel ? SGI_DIMS(C, F, D) : SGI_DIMS(F, D);
  double sigma = 1 / sqrt((double)F);
  sg_status st = sgi_table_add(t, prefix, "experts.w_in", dims, true, SGI_INIT_LECUN, sigma, err);
  if (!st) st = sgi_table_add(t, prefix, "experts.w_out", dims, true, SGI_INIT_LECUN, sigma, err);
  for (size_t i = 1; i <= 2 && !st; i++) t->rows[t->count - i].pool = true;
  if (!st) st = router_of(c)->tensors(c, prefix, t, err);
  return st ? st : sgi_jump_tensors(c, prefix, t, err);
}

uint64_t sgi_sparse_multiply_adds(const sg_config *c) {
  return sgi_router_multiply_adds(router_of(c), c) + (uint64_t)2 * c->top_k * c->num_channels * c->hidden_size;
}

static sgi_gate gate_of(const sg_config *c, size_t n, const kept *k) {
  sgi_gate g = {c, entries(c, n), c->top_k, k->score, k->dot, {0}, k->value};
  for (size_t i = 0; i < SGI_GATE_KEPT; i++) g.kept[i] = k->gate[i];
  return g;
}

/* ---- forward --------------------------------------------------------------------------------- */

static sg_status choose(sgi_ffn_call *call, float *y, const float *x) {
  (void)y;
  const sg_config *c = call->config;
  kept k;
  layout(c, call->n, &call->saved, &k);
  return sgi_router_forward(router_of(c), c, call->n, &call->saved, call->scratch, call->w + ROUTER, x, k.score,
                            k.index);
}

static const float *theta_of(const sgi_ffn_call *call) { return sgi_f32(call->w[THRESHOLD]); }

static sg_status act(sgi_ffn_call *call, float *y, const float *x) {
  (void)y, (void)x;
  kept k;
  layout(call->config, call->n, &call->saved, &k);
  if (k.jump.active) sgi_jump_choose(call->config, call->n, theta_of(call), k.score, &k.jump);
  return SG_OK;
}

static sg_status neurons(sgi_ffn_call *call, float *y, const float *x) {
  (void)y;
  const sg_config *c = call->config;
  kept k;
  layout(c, call->n, &call->saved, &k);
  sgi_sparse s = sparse_of(c, call->n);
  if (k.jump.active) sgi_jump_ends(c, call->n, &k.jump, NULL);
  s.end = k.jump.end;
  sgi_sparse_dot(&s, call->scratch.profile, k.dot, call->w[W_IN], k.index, x);
  if (k.jump.active) sgi_jump_silence(c, call->n, &k.jump, k.dot);
  double at = sgi_lap_begin(call->scratch.profile);
  sgi_gate g = gate_of(c, call->n, &k);
  form_of(c)->forward(&g);
  sgi_sparse_lap_values(&s, call->scratch.profile, &at, "gates", form_of(c)->moved[0]);
  return SG_OK;
}

static sg_status sum(sgi_ffn_call *call, float *y, const float *x) {
  (void)x;
  kept k;
  layout(call->config, call->n, &call->saved, &k);
  sgi_sparse s = sparse_of(call->config, call->n);
  if (k.jump.active && call->tap) sgi_jump_ends(call->config, call->n, &k.jump, k.value);
  s.end = k.jump.end;
  sgi_sparse_sum(&s, call->scratch.profile, y, call->w[W_OUT], k.index, k.value);
  return SG_OK;
}

const sgi_stage sgi_sparse_stages[] = {
    {"router", choose, {SGI_SITE_ROUTER_SCORES, SGI_SITE_ROUTER_INDICES}},
    {"gates", act, {SGI_SITE_ROUTER_ACTIVE}},
    {"neurons, input", neurons, {SGI_SITE_CHOSEN_NEURONS}},
    {"neurons, output", sum, {SGI_SITE_NONE}},
    {.run = NULL},
};

void sgi_sparse_left(const sgi_ffn_call *call, sgi_site_id id, sgi_left *out) {
  sgi_arena block = call->saved;
  kept k;
  layout(call->config, call->n, &block, &k);
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

/* With a = x . w_in, v = gate(s, a): dv = dy . w_out; da, ds by the gate; dw_out += v dy; dw_in +=
 * da x; dx = sum da w_in + the router's part of ds. */
sg_status sgi_sparse_backward(sgi_ffn_call *call, float *dx, const float *dy, const float *x) {
  const sg_config *c = call->config;
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
  double at = sgi_lap_begin(profile);
  sgi_gate g = gate_of(c, call->n, &k);
  form_of(c)->backward(&g, w.dvalue, w.dscore);
  sgi_sparse_lap_values(&s, profile, &at, "gates backward", form_of(c)->moved[1]);
  if (k.jump.active)
    sgi_jump_backward(&(sgi_jump_back){c, call, s, &k.jump, call->w[W_IN], call->w[W_OUT], theta_of(call), k.index,
                                       k.score, w.dscore, x, dy, form_of(c)->outside},
                      &w.jump, call->dw[THRESHOLD]);
  sgi_profile_stage(profile, "neurons, input backward");
  sgi_sparse_sum(&s, profile, dx, call->w[W_IN], k.index, w.dvalue);
  sgi_profile_stage(profile, "neurons, weight gradients");
  sgi_sparse_sort(&s, profile, k.index, &w.sorted);
  add_gradient(call, W_OUT, &s, &w.sorted, k.value, dy);
  add_gradient(call, W_IN, &s, &w.sorted, w.dvalue, x);
  return sgi_router_backward(router_of(c), c, call->n, &call->saved, call->scratch, call->w + ROUTER, call->dw + ROUTER,
                             x, k.index, w.dscore, dx);
}

void sgi_sparse_measure(const sgi_ffn_call *call, sgi_aux *sum) {
  sgi_arena block = call->saved;
  kept k;
  layout(call->config, call->n, &block, &k);
  if (k.jump.active) sgi_jump_measure(call->config, call->n, theta_of(call), k.score, &k.jump, sum);
}

/* ---- reading --------------------------------------------------------------------------------- */

void sgi_sparse_gates(const sg_config *c, size_t n, sgi_arena block, sgi_gates *out) {
  kept k;
  layout(c, n, &block, &k);
  *out =
      (sgi_gates){k.index, k.score, k.value, c->num_channels, c->top_k, c->num_neurons, form_of(c)->pool_per_channel};
}

/* Where the pool is shared a channel only chooses. */
bool sgi_sparse_unit_at(const sg_config *c, const sgi_weight *const *w, size_t channel, size_t index, sgi_unit *out) {
  if (channel >= c->num_channels || index >= c->num_neurons) return false;
  size_t at = (form_of(c)->pool_per_channel ? channel * c->num_neurons + index : index) * c->hidden_size;
  *out = (sgi_unit){(int32_t)channel, (int32_t)index, .in = {.weight = w[W_IN], .at = at, .stride = 1},
                    .out = {.weight = w[W_OUT], .at = at, .stride = 1}};
  return true;
}

size_t sgi_sparse_unit_count(const sg_config *c) { return c->num_channels * c->top_k; }

/* Where dot is 0 there is no ratio: the value (0 for every gate here) stands as a constant. */
void sgi_sparse_units(const sgi_ffn_call *call, size_t row, sgi_unit *out, double *bias) {
  const sg_config *c = call->config;
  sgi_arena block = call->saved;
  kept k;
  layout(c, call->n, &block, &k);
  size_t m = sgi_sparse_unit_count(c);
  for (size_t j = 0, at = row * m; j < m; j++, at++) {
    double value = k.value[at], dot = k.dot[at];
    sgi_sparse_unit_at(c, call->w, j / c->top_k, (size_t)k.index[at], &out[j]);
    out[j].value = value;
    out[j].gate = dot != 0 ? value / dot : 0;
    out[j].constant = dot != 0 ? 0 : value;
  }
  for (size_t d = 0; d < c->hidden_size; d++) bias[d] = 0;
}

void sgi_sparse_routes(const sg_config *c, sgi_routes *out) { sgi_router_routes(router_of(c), c, out); }

sg_status sgi_sparse_route_rows(const sg_config *c, const sgi_weight *const *w, size_t channel, float *rows) {
  return sgi_router_rows(router_of(c), c, w + ROUTER, channel, rows);
}
