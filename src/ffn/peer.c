/* peer: y = sum act(x . w_in + b) p w_out, p the softmax over the K scores of a channel, one pool
 * for all channels (arXiv:2407.04153, with gelu and no b; golden README no. 9; docs/method.md,
 * peer). */
#include <string.h>

#include "ffn/activation.h"
#include "ffn/sparse_kind.h"
#include "math/kernels.h"

enum { BLOCK = 256 };  /* channels of tokens */
enum { P, ACT, KEPT }; /* softmax of the scores, act(x . w_in + b) */

static sg_status check(const sg_config *c, sg_error *err) {
  if (strcmp(c->router, "product_key_value"))
    return sgi_fail(err, SG_ERR_ARG, "feedforward.router is \"%s\": peer has product_key_value only", c->router);
  return sgi_activation_find(c->activation, err) == SGI_NO_ACTIVATION ? SG_ERR_ARG : SG_OK;
}

static sgi_activation activation_of(const sg_config *c) { return sgi_activation_find(c->activation, NULL); }

static size_t kept(const sg_config *c) {
  (void)c;
  return KEPT;
}

/* With gates the score itself stands where the softmax does: a softmax over as many as act would
 * couple them. */
static void forward_gated(const sgi_gate *g) {
  float *p = g->kept[P], *act = g->kept[ACT];
  sgi_activate(activation_of(g->config), act, g->dot, g->m);
#pragma omp parallel for simd schedule(static) if (g->m > 4096)
  for (size_t i = 0; i < g->m; i++) {
    p[i] = g->score[i];
    g->value[i] = act[i] * p[i];
  }
}

/* p [from, to) = the softmax over each K scores, of which the first is the largest. */
static void probabilities(const float *score, float *p, size_t from, size_t to, size_t K) {
  for (size_t i = from; i < to; i += K)
    for (size_t j = i; j < i + K; j++) p[j] = score[j] - score[i];
  sgi_kernel_table()->exp_shift(p + from, to - from, 1, 0);
  for (size_t i = from; i < to; i += K) {
    float sum = 0;
    for (size_t j = i; j < i + K; j++) sum += p[j];
    for (size_t j = i; j < i + K; j++) p[j] /= sum;
  }
}

static void forward(const sgi_gate *g) {
  if (sgi_jump_on(g->config)) {
    forward_gated(g);
    return;
  }
  float *p = g->kept[P], *act = g->kept[ACT];
  size_t m = g->m, K = g->K;
  sgi_activate(activation_of(g->config), act, g->dot, m);
#pragma omp parallel for schedule(static) if (m > 4096)
  for (size_t b = 0; b < m; b += BLOCK * K) {
    size_t end = b + BLOCK * K < m ? b + BLOCK * K : m;
    probabilities(g->score, p, b, end, K);
    for (size_t j = b; j < end; j++) g->value[j] = act[j] * p[j];
  }
}

static void factor(const sg_config *c, size_t n, const float *score, float *p) {
  size_t m = n * c->num_channels * c->top_k;
  if (sgi_jump_on(c))
    memcpy(p, score, m * sizeof *p);
  else
    for (size_t b = 0; b < m; b += BLOCK * c->top_k)
      probabilities(score, p, b, b + BLOCK * c->top_k < m ? b + BLOCK * c->top_k : m, c->top_k);
}

/* v = act(a) s: ds = dv act(a); da = dv s act'(a). */
static void backward_gated(const sgi_gate *g, float *dvalue, float *dscore) {
  const float *p = g->kept[P], *act = g->kept[ACT];
#pragma omp parallel for simd schedule(static) if (g->m > 4096)
  for (size_t i = 0; i < g->m; i++) {
    dscore[i] = dvalue[i] * act[i];
    dvalue[i] *= p[i];
  }
  sgi_activate_backward(activation_of(g->config), dvalue, dvalue, g->dot, g->m);
}

/* dJ = (dy . w_out) act(a). */
static void outside(const sg_config *c, size_t m, float *dvalue, float *dot) {
  sgi_activate(activation_of(c), dot, dot, m);
#pragma omp parallel for simd schedule(static) if (m > 4096)
  for (size_t i = 0; i < m; i++) dvalue[i] *= dot[i];
}

/* v = act(a) p: dp = dv act(a); ds = p (dp - sum_j p_j dp_j); da = dv p act'(a). */
static void backward(const sgi_gate *g, float *dvalue, float *dscore) {
  if (sgi_jump_on(g->config)) {
    backward_gated(g, dvalue, dscore);
    return;
  }
  const float *p = g->kept[P], *act = g->kept[ACT];
  size_t m = g->m, K = g->K;
#pragma omp parallel for schedule(static) if (m > 4096)
  for (size_t i = 0; i < m; i += K) {
    float mean = 0;
    for (size_t j = i; j < i + K; j++) mean += p[j] * (dscore[j] = dvalue[j] * act[j]);
    for (size_t j = i; j < i + K; j++) {
      dscore[j] = p[j] * (dscore[j] - mean);
      dvalue[j] *= p[j];
    }
  }
  sgi_activate_backward(activation_of(g->config), dvalue, dvalue, g->dot, m);
}

static const sgi_sparse_kind form = {
    .pool_per_channel = false,
    .check = check,
    .kept = kept,
    .forward = forward,
    .backward = backward,
    .outside = outside,
    .moved = {6, 8},
};

const sgi_ffn_ops sgi_ffn_peer = {
    SGI_SPARSE_KIND(&form),
    .name = "peer",
    .factor = factor,
    .default_activation = "gelu",
    .uses = SGI_USES_ROUTER | SGI_USES_CHANNELS | SGI_USES_TOP_K | SGI_USES_KEY_DIM | SGI_USES_ACTIVATION |
            SGI_USES_GROUP | SGI_USES_BIAS,
    .preset = {.router = "product_key_value",
               .top_k = 8,
               .key_dim = 128,
               .tinystories = {1024, 8},
               .slimpajama = {.root = 32, .root_step = 24, .num_channels = 16}},
};
