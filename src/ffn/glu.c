/* glu: [g, l] = x W1^T + b1, g = min(g, 7), l = clip(l, -7, 7), y = (g sigmoid(1.702 g) (l + 1)) W2^T + b2
 * (golden README no. 11; docs/method.md, glu). */
#include <math.h>

#include "ffn/ffn.h"
#include "ffn/glu_unit.h"
#include "math/gemm.h"
#include "math/rows.h"

enum { UP, UP_BIAS, DOWN, DOWN_BIAS };

typedef struct kept {
  float *u; /* (n,2F) gate rows first, with bias */
  float *h; /* (n,F; ld) */
  size_t ld;
} kept;

static void layout(const sg_config *c, size_t n, sgi_arena *a, kept *k) {
  k->u = SGI_TAKE(a, n * 2 * c->num_neurons, float);
  k->ld = sgi_stride(c->num_neurons);
  k->h = SGI_TAKE(a, n * k->ld, float);
}

static void saved(const sg_config *c, size_t n, sgi_arena *a) { layout(c, n, a, &(kept){0}); }

static void scratch(const sg_config *c, size_t n, bool backward, sgi_arena *a) {
  if (backward) {
    SGI_TAKE(a, n * c->num_neurons, float);
    SGI_TAKE(a, n * sgi_stride(2 * c->num_neurons), float);
  }
  sgi_linear_scratch(n, c->hidden_size, 2 * c->num_neurons, a);
}

static sg_status check(const sg_config *c, sg_error *err) {
  (void)c, (void)err;
  return SG_OK;
}

static sg_status tensors(const sg_config *c, const char *prefix, sgi_table *t, sg_error *err) {
  size_t D = c->hidden_size, F = c->num_neurons;
  sg_status st = sgi_table_add(t, prefix, "gate_up_proj.weight", SGI_DIMS(2 * F, D), true, SGI_INIT_LECUN,
                               1 / sqrt((double)D), err);
  if (!st) st = sgi_table_add(t, prefix, "gate_up_proj.bias", SGI_DIMS(2 * F), false, SGI_INIT_ZERO, 0, err);
  if (!st)
    st = sgi_table_add(t, prefix, "down_proj.weight", SGI_DIMS(D, F), true, SGI_INIT_LECUN, 1 / sqrt((double)F), err);
  if (!st) st = sgi_table_add(t, prefix, "down_proj.bias", SGI_DIMS(D), false, SGI_INIT_ZERO, 0, err);
  return st;
}

static uint64_t multiply_adds(const sg_config *c) { return (uint64_t)3 * c->hidden_size * c->num_neurons; }

static sg_status hidden(sgi_ffn_call *call, float *y, const float *x) {
  (void)y;
  size_t n = call->n, D = call->config->hidden_size, F = call->config->num_neurons;
  kept k;
  layout(call->config, n, &call->saved, &k);
  sgi_profile *profile = call->scratch.profile;
  double at = sgi_lap_begin(profile);
  sg_status st = sgi_linear(k.u, 2 * F, x, D, call->w[UP], n, D, 2 * F, call->scratch);
  if (st) return st;
  sgi_lap(profile, &at, "feedforward products", sgi_product_flops(n, D, 2 * F), sgi_product_bytes(n, D, 2 * F));
  const sgi_kernels *kern = sgi_kernel_table();
#pragma omp parallel for schedule(static) if (n > 8)
  for (size_t i = 0; i < n; i++) kern->glu(k.h + i * k.ld, k.u + i * 2 * F, call->w[UP_BIAS], 1, F);
  sgi_lap(profile, &at, "activation", 0, 20.0 * (double)(n * F));
  return SG_OK;
}

static sg_status out(sgi_ffn_call *call, float *y, const float *x) {
  (void)x;
  size_t n = call->n, D = call->config->hidden_size, F = call->config->num_neurons;
  kept k;
  layout(call->config, n, &call->saved, &k);
  double at = sgi_lap_begin(call->scratch.profile);
  sg_status st = sgi_linear(y, D, k.h, k.ld, call->w[DOWN], n, F, D, call->scratch);
  if (!st) sgi_add_bias(y, call->w[DOWN_BIAS], n, D);
  sgi_lap(call->scratch.profile, &at, "feedforward products", sgi_product_flops(n, D, F), sgi_product_bytes(n, D, F));
  return st;
}

static const sgi_stage stages[] = {
    {"hidden", hidden, {SGI_SITE_NEURONS}}, {"output", out, {SGI_SITE_NONE}}, {.run = NULL}};

static void left(const sgi_ffn_call *call, sgi_site_id id, sgi_left *place) {
  (void)id;
  sgi_arena block = call->saved;
  kept k;
  layout(call->config, call->n, &block, &k);
  *place = (sgi_left){.data = k.h, .ld = k.ld};
}

/* As mlp, with du by the clamped gate's derivative; past a clamp it is 0. Biases get column sums. */
static sg_status backward(sgi_ffn_call *call, float *dx, const float *dy, const float *x) {
  size_t n = call->n, D = call->config->hidden_size, F = call->config->num_neurons;
  kept k;
  layout(call->config, n, &call->saved, &k);
  float *dh = SGI_TAKE(&call->scratch, n * F, float);
  size_t ldu = sgi_stride(2 * F);
  float *du = SGI_TAKE(&call->scratch, n * ldu, float); /* (n,2F; ldu) */
  sgi_profile *profile = call->scratch.profile;
  double at = sgi_lap_begin(profile);
  sgi_column_sums(call->dw[DOWN_BIAS], dy, D, n, D);
  sg_status st = sgi_linear_dw(call->dw[DOWN], dy, D, k.h, k.ld, n, F, D);
  if (!st) st = sgi_linear_dx(dh, F, dy, D, call->w[DOWN], n, F, D, 0, call->scratch);
  if (st) return st;
  sgi_lap(profile, &at, "feedforward products backward", 2 * sgi_product_flops(n, D, F),
          2 * sgi_product_bytes(n, D, F));
  const sgi_kernels *kern = sgi_kernel_table();
#pragma omp parallel for schedule(static) if (n > 8)
  for (size_t i = 0; i < n; i++) kern->glu_backward(du + i * ldu, dh + i * F, k.u + i * 2 * F, 1, F);
  sgi_column_sums(call->dw[UP_BIAS], du, ldu, n, 2 * F);
  sgi_lap(profile, &at, "activation backward", 0, 28.0 * (double)(n * F));
  st = sgi_linear_dw(call->dw[UP], du, ldu, x, D, n, D, 2 * F);
  if (!st) st = sgi_linear_dx(dx, D, du, ldu, call->w[UP], n, D, 2 * F, 0, call->scratch);
  sgi_lap(profile, &at, "feedforward products backward", 4 * sgi_product_flops(n, D, F),
          2 * sgi_product_bytes(n, D, 2 * F));
  return st;
}

/* Of a unit's two inputs the linear one: the other is its gate. */
static bool unit_at(const sg_config *c, const float *const *w, size_t channel, size_t index, sgi_unit *out) {
  size_t F = c->num_neurons;
  if (channel || index >= F) return false;
  *out = (sgi_unit){.index = (int32_t)index,
                    .constant = w[UP_BIAS][F + index] + 1,
                    .w_in = w[UP] + (F + index) * c->hidden_size,
                    .w_out = w[DOWN] + index,
                    .stride = F};
  return true;
}

static size_t unit_count(const sg_config *c) { return c->num_neurons; }

static void units(const sgi_ffn_call *call, size_t row, sgi_unit *out, double *bias) {
  size_t D = call->config->hidden_size, F = call->config->num_neurons;
  sgi_arena block = call->saved;
  kept k;
  layout(call->config, call->n, &block, &k);
  for (size_t f = 0; f < F; f++) {
    out[f] = sgi_glu_unit(k.h[row * k.ld + f], k.u[row * 2 * F + F + f], call->w[UP_BIAS][F + f], 1);
    out[f].index = (int32_t)f;
    out[f].w_in = call->w[UP] + (F + f) * D;
    out[f].w_out = call->w[DOWN] + f;
    out[f].stride = F;
  }
  for (size_t d = 0; d < D; d++) bias[d] = call->w[DOWN_BIAS][d];
}

const sgi_ffn_ops sgi_ffn_glu = {
    .name = "glu",
    .default_activation = "sigmoid",
    .check = check,
    .tensors = tensors,
    .saved = saved,
    .scratch = scratch,
    .multiply_adds = multiply_adds,
    .stages = stages,
    .left = left,
    .backward = backward,
    .unit_count = unit_count,
    .units = units,
    .unit_at = unit_at,
};
