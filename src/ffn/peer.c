/* peer: y = sum gelu(x . w_in) * p * w_out, p the softmax over the K scores of a channel, one pool for all channels
 * (arXiv:2407.04153; golden README no. 9; docs/method.md, peer). */
#include <math.h>
#include <string.h>

#include "ffn/activation.h"
#include "ffn/ffn.h"
#include "ffn/router.h"
#include "ffn/sparse.h"
#include "math/kernels.h"

enum { W_IN, W_OUT, ROUTER };
enum { BLOCK = 256 }; /* channels of tokens */

typedef struct kept {
  int32_t *index; /* (n,C,K) */
  float *score;   /* (n,C,K) before the softmax */
  float *p;       /* (n,C,K) after it */
  float *dot;     /* (n,C,K) x . w_in */
  float *act;     /* (n,C,K) gelu(dot) */
  float *value;   /* (n,C,K) act * p */
} kept;

static size_t entries(const sg_config *c, size_t n) { return n * c->num_channels * c->top_k; }

static void layout(const sg_config *c, size_t n, sgi_arena *a, kept *k) {
  size_t m = entries(c, n);
  k->index = SGI_TAKE(a, m, int32_t);
  k->score = SGI_TAKE(a, m, float);
  k->p = SGI_TAKE(a, m, float);
  k->dot = SGI_TAKE(a, m, float);
  k->act = SGI_TAKE(a, m, float);
  k->value = SGI_TAKE(a, m, float);
}

static void saved(const sg_config *c, size_t n, sgi_arena *a) {
  layout(c, n, a, &(kept){0});
  sgi_router_saved(sgi_router_find(c->router, NULL), c, n, a);
}

static sgi_sparse sparse_of(const sg_config *c, size_t n) {
  return (sgi_sparse){n, c->num_channels, c->top_k, c->num_neurons, c->hidden_size, false};
}

typedef struct work {
  float *dvalue, *dscore; /* (n,C,K) */
  sgi_sparse_sorted sorted;
} work;

static void layout_work(const sg_config *c, size_t n, sgi_arena *a, work *w) {
  sgi_sparse s = sparse_of(c, n);
  w->dvalue = SGI_TAKE(a, entries(c, n), float);
  w->dscore = SGI_TAKE(a, entries(c, n), float);
  sgi_sparse_sort_take(&s, a, &w->sorted);
}

static void scratch(const sg_config *c, size_t n, bool backward, sgi_arena *a) {
  if (backward) layout_work(c, n, a, &(work){0});
  sgi_router_scratch(sgi_router_find(c->router, NULL), c, n, backward, a);
}

static sg_status check(const sg_config *c, sg_error *err) {
  if (strcmp(c->router, "product_key_value"))
    return sgi_fail(err, SG_ERR_ARG, "feedforward.router is \"%s\": peer has product_key_value only", c->router);
  if (strcmp(c->activation, "gelu"))
    return sgi_fail(err, SG_ERR_ARG, "feedforward.activation is \"%s\": peer has gelu only", c->activation);
  return sgi_router_check(sgi_router_find(c->router, NULL), c, err);
}

static sg_status tensors(const sg_config *c, const char *prefix, sgi_table *t, sg_error *err) {
  size_t F = c->num_neurons, D = c->hidden_size;
  double sigma = 1 / sqrt((double)F);
  sg_status st = sgi_table_add(t, prefix, "experts.w_in", SGI_DIMS(F, D), true, SGI_INIT_LECUN, sigma, err);
  if (!st) st = sgi_table_add(t, prefix, "experts.w_out", SGI_DIMS(F, D), true, SGI_INIT_LECUN, sigma, err);
  return st ? st : sgi_router_find(c->router, NULL)->tensors(c, prefix, t, err);
}

static uint64_t multiply_adds(const sg_config *c) {
  return sgi_router_multiply_adds(sgi_router_find(c->router, NULL), c) +
         (uint64_t)2 * c->top_k * c->num_channels * c->hidden_size;
}

/* act = gelu(dot), p = softmax of a channel's scores, of which the first is the largest; value = act p. */
static void gate(const kept *k, size_t m, size_t K) {
  const sgi_kernels *kern = sgi_kernel_table();
  sgi_activate(SGI_GELU, k->act, k->dot, m);
#pragma omp parallel for schedule(static) if (m > 4096)
  for (size_t b = 0; b < m; b += BLOCK * K) {
    size_t end = b + BLOCK * K < m ? b + BLOCK * K : m;
    for (size_t i = b; i < end; i += K)
      for (size_t j = i; j < i + K; j++) k->p[j] = k->score[j] - k->score[i];
    kern->exp_shift(k->p + b, end - b, 1, 0);
    for (size_t i = b; i < end; i += K) {
      float sum = 0;
      for (size_t j = i; j < i + K; j++) sum += k->p[j];
      for (size_t j = i; j < i + K; j++) {
        k->p[j] /= sum;
        k->value[j] = k->act[j] * k->p[j];
      }
    }
  }
}

static sg_status choose(sgi_ffn_call *call, float *y, const float *x) {
  (void)y;
  const sg_config *c = call->config;
  kept k;
  layout(c, call->n, &call->saved, &k);
  return sgi_router_forward(sgi_router_find(c->router, NULL), c, call->n, &call->saved, call->scratch, call->w + ROUTER,
                            x, k.score, k.index);
}

static sg_status neurons(sgi_ffn_call *call, float *y, const float *x) {
  (void)y;
  const sg_config *c = call->config;
  kept k;
  layout(c, call->n, &call->saved, &k);
  sgi_sparse s = sparse_of(c, call->n);
  sgi_profile *profile = call->scratch.profile;
  double at = sgi_lap_begin(profile);
  sgi_sparse_dot(&s, k.dot, call->w[W_IN], k.index, x);
  sgi_sparse_lap(&s, profile, &at, "neurons, input", 1);
  gate(&k, entries(c, call->n), c->top_k);
  sgi_sparse_lap_values(&s, profile, &at, "gates", 6);
  return SG_OK;
}

static sg_status sum(sgi_ffn_call *call, float *y, const float *x) {
  (void)x;
  kept k;
  layout(call->config, call->n, &call->saved, &k);
  sgi_sparse s = sparse_of(call->config, call->n);
  double at = sgi_lap_begin(call->scratch.profile);
  sgi_sparse_sum(&s, y, call->w[W_OUT], k.index, k.value);
  sgi_sparse_lap(&s, call->scratch.profile, &at, "neurons, output", 1);
  return SG_OK;
}

static const sgi_stage stages[] = {{"router", choose, {SGI_SITE_ROUTER_SCORES, SGI_SITE_ROUTER_INDICES}},
                                   {"neurons", neurons, {SGI_SITE_CHOSEN_NEURONS}},
                                   {"output", sum, {SGI_SITE_NONE}},
                                   {.run = NULL}};

static void left(const sgi_ffn_call *call, sgi_site_id id, sgi_left *out) {
  sgi_arena block = call->saved;
  kept k;
  layout(call->config, call->n, &block, &k);
  out->data = id == SGI_SITE_ROUTER_SCORES    ? (void *)k.score
              : id == SGI_SITE_ROUTER_INDICES ? (void *)k.index
                                              : (void *)k.value;
}

/* v = gelu(a) p: dv = dy . w_out; dp = dv gelu(a); ds = p (dp - sum_j p_j dp_j); da = dv p gelu'(a);
 * the weights and dx as in sgatlin.c. */
static sg_status backward(sgi_ffn_call *call, float *dx, const float *dy, const float *x) {
  const sg_config *c = call->config;
  size_t n = call->n, m = entries(c, n), K = c->top_k;
  kept k;
  work w;
  layout(c, n, &call->saved, &k);
  layout_work(c, n, &call->scratch, &w);
  sgi_sparse s = sparse_of(c, n);
  sgi_profile *profile = call->scratch.profile;
  double at = sgi_lap_begin(profile);
  sgi_sparse_dot(&s, w.dvalue, call->w[W_OUT], k.index, dy);
  sgi_sparse_lap(&s, profile, &at, "neurons, output backward", 1);
#pragma omp parallel for schedule(static) if (m > 4096)
  for (size_t i = 0; i < m; i += K) {
    float mean = 0;
    for (size_t j = i; j < i + K; j++) mean += k.p[j] * (w.dscore[j] = w.dvalue[j] * k.act[j]);
    for (size_t j = i; j < i + K; j++) {
      w.dscore[j] = k.p[j] * (w.dscore[j] - mean);
      w.dvalue[j] *= k.p[j];
    }
  }
  sgi_activate_backward(SGI_GELU, w.dvalue, w.dvalue, k.dot, m);
  sgi_sparse_lap_values(&s, profile, &at, "gates backward", 8);
  sgi_sparse_sum(&s, dx, call->w[W_IN], k.index, w.dvalue);
  sgi_sparse_lap(&s, profile, &at, "neurons, input backward", 1);
  sgi_sparse_sort(&s, k.index, &w.sorted);
  sgi_sparse_lap_values(&s, profile, &at, "neurons, sort", 4);
  sgi_sparse_scatter(&s, call->dw[W_OUT], &w.sorted, k.value, dy);
  sgi_sparse_scatter(&s, call->dw[W_IN], &w.sorted, w.dvalue, x);
  sgi_sparse_lap(&s, profile, &at, "neurons, weight gradients", 2);
  return sgi_router_backward(sgi_router_find(c->router, NULL), c, n, &call->saved, call->scratch, call->w + ROUTER,
                             call->dw + ROUTER, x, k.index, w.dscore, dx);
}

static void gates(const sg_config *c, size_t n, sgi_arena block, sgi_gates *out) {
  kept k;
  layout(c, n, &block, &k);
  *out = (sgi_gates){k.index, k.score, k.value, c->num_channels, c->top_k, c->num_neurons, false};
}

/* The pool is shared: a channel only chooses. */
static bool unit_at(const sg_config *c, const float *const *w, size_t channel, size_t index, sgi_unit *out) {
  if (channel >= c->num_channels || index >= c->num_neurons) return false;
  size_t at = index * c->hidden_size;
  *out = (sgi_unit){(int32_t)channel, (int32_t)index, .w_in = w[W_IN] + at, .w_out = w[W_OUT] + at, .stride = 1};
  return true;
}

static size_t unit_count(const sg_config *c) { return c->num_channels * c->top_k; }

static void units(const sgi_ffn_call *call, size_t row, sgi_unit *out, double *bias) {
  sgi_arena block = call->saved;
  sgi_sparse s = sparse_of(call->config, call->n);
  kept k;
  layout(call->config, call->n, &block, &k);
  sgi_sparse_units(&s, row, k.index, k.dot, k.value, call->w[W_IN], call->w[W_OUT], out, bias);
}

static void routes(const sg_config *c, sgi_routes *out) { sgi_router_routes(sgi_router_find(c->router, NULL), c, out); }

static sg_status route_rows(const sg_config *c, const float *const *w, size_t channel, float *rows) {
  return sgi_router_rows(sgi_router_find(c->router, NULL), c, w + ROUTER, channel, rows);
}

const sgi_ffn_ops sgi_ffn_peer = {
    .name = "peer",
    .default_activation = "gelu",
    .uses = SGI_USES_ROUTER | SGI_USES_CHANNELS | SGI_USES_TOP_K | SGI_USES_KEY_DIM,
    .check = check,
    .tensors = tensors,
    .saved = saved,
    .scratch = scratch,
    .multiply_adds = multiply_adds,
    .stages = stages,
    .left = left,
    .backward = backward,
    .gates = gates,
    .unit_count = unit_count,
    .units = units,
    .unit_at = unit_at,
    .routes = routes,
    .route_rows = route_rows,
};
