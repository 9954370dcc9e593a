/* sgatlin: sparsely gated linear neurons, y = sum_c sum_k act((x . w_in) s) w_out, every channel
 * with neurons of its own (arXiv:2606.07414; docs/method.md, sgatlin). */
#include "ffn/activation.h"
#include "ffn/sparse_kind.h"

static sgi_activation activation_of(const sg_config *c) { return sgi_activation_find(c->activation, NULL); }

static sg_status check(const sg_config *c, sg_error *err) {
  return sgi_activation_find(c->activation, err) == SGI_NO_ACTIVATION ? SG_ERR_ARG : SG_OK;
}

/* p = a s, which is the value itself for linear neurons. */
static size_t kept(const sg_config *c) { return activation_of(c) == SGI_IDENTITY ? 0 : 1; }

static void forward(const sgi_gate *g) {
  bool linear = !g->kept[0];
  float *p = linear ? g->value : g->kept[0];
#pragma omp parallel for simd schedule(static) if (g->m > 4096)
  for (size_t i = 0; i < g->m; i++) p[i] = g->dot[i] * g->score[i];
  if (!linear) sgi_activate(activation_of(g->config), g->value, p, g->m);
}

/* With p = a s, v = act(p): dp = dv act'(p); ds = dp a; da = dp s. */
static void backward(const sgi_gate *g, float *dvalue, float *dscore) {
  if (g->kept[0]) sgi_activate_backward(activation_of(g->config), dvalue, dvalue, g->kept[0], g->m);
#pragma omp parallel for simd schedule(static) if (g->m > 4096)
  for (size_t i = 0; i < g->m; i++) {
    float dp = dvalue[i];
    dscore[i] = dp * g->dot[i];
    dvalue[i] = dp * g->score[i];
  }
}

/* At J = 0: dJ = (dy . w_out) act'(0) a. */
static void outside(const sg_config *c, size_t m, float *dvalue, float *dot) {
  float slope = 1, zero = 0;
  if (activation_of(c) != SGI_IDENTITY) sgi_activate_backward(activation_of(c), &slope, &slope, &zero, 1);
#pragma omp parallel for simd schedule(static) if (m > 4096)
  for (size_t i = 0; i < m; i++) dvalue[i] *= slope * dot[i];
}

static const sgi_sparse_kind form = {
    .pool_per_channel = true,
    .check = check,
    .kept = kept,
    .forward = forward,
    .backward = backward,
    .outside = outside,
    .moved = {3, 5},
};

const sgi_ffn_ops sgi_ffn_sgatlin = {
    SGI_SPARSE_KIND(&form),
    .name = "sgatlin",
    .default_activation = "identity",
    .uses =
        SGI_USES_ROUTER | SGI_USES_CHANNELS | SGI_USES_TOP_K | SGI_USES_KEY_DIM | SGI_USES_ACTIVATION | SGI_USES_GROUP,
    .preset = {.router = "product_dense",
               .top_k = 8,
               .key_dim = 128,
               .tinystories = {1024, 8},
               .slimpajama = {.root = 16, .root_step = 12, .num_channels = 16}},
};
