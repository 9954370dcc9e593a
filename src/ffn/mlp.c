/* mlp: y = gelu(x W1^T) W2^T (docs/method.md, mlp). */
#include <math.h>

#include "ffn/ffn.h"
#include "math/gemm.h"
#include "math/rows.h"

enum { UP, DOWN };

typedef struct kept {
  float *u; /* (n,F) before the activation */
  float *h; /* (n,F; ld) after it */
  size_t ld;
} kept;

static void layout(const sg_config *c, size_t n, sgi_arena *a, kept *k) {
  k->u = SGI_TAKE(a, n * c->num_neurons, float);
  k->ld = sgi_stride(c->num_neurons);
  k->h = SGI_TAKE(a, n * k->ld, float);
}

static void saved(const sg_config *c, size_t n, sgi_arena *a) { layout(c, n, a, &(kept){0}); }

static void scratch(const sg_config *c, size_t n, bool backward, sgi_arena *a) {
  if (backward) SGI_TAKE(a, n * sgi_stride(c->num_neurons), float);
  sgi_linear_scratch(n, c->hidden_size, c->num_neurons, a);
}

static sg_status check(const sg_config *c, sg_error *err) {
  (void)c, (void)err;
  return SG_OK;
}

static sg_status tensors(const sg_config *c, const char *prefix, sgi_table *t, sg_error *err) {
  size_t D = c->hidden_size, F = c->num_neurons;
  sg_status st =
      sgi_table_add(t, prefix, "up_proj.weight", SGI_DIMS(F, D), true, SGI_INIT_LECUN, 1 / sqrt((double)D), err);
  if (st) return st;
  return sgi_table_add(t, prefix, "down_proj.weight", SGI_DIMS(D, F), true, SGI_INIT_LECUN, 1 / sqrt((double)F), err);
}

static uint64_t multiply_adds(const sg_config *c) { return (uint64_t)2 * c->hidden_size * c->num_neurons; }

static sg_status hidden(sgi_ffn_call *call, float *y, const float *x) {
  (void)y;
  size_t n = call->n, D = call->config->hidden_size, F = call->config->num_neurons;
  kept k;
  layout(call->config, n, &call->saved, &k);
  sgi_profile *profile = call->scratch.profile;
  double at = sgi_lap_begin(profile);
  sg_status st = sgi_linear(k.u, F, x, D, call->w[UP], n, D, F, call->scratch);
  if (st) return st;
  sgi_lap(profile, &at, "feedforward products", sgi_product_flops(n, D, F), sgi_product_bytes(n, D, F));
  sgi_apply_rows(sgi_kernel_table()->gelu, k.h, k.ld, k.u, n, F);
  sgi_lap(profile, &at, "activation", 0, 8.0 * (double)(n * F));
  return SG_OK;
}

static sg_status out(sgi_ffn_call *call, float *y, const float *x) {
  (void)x;
  size_t n = call->n, D = call->config->hidden_size, F = call->config->num_neurons;
  kept k;
  layout(call->config, n, &call->saved, &k);
  double at = sgi_lap_begin(call->scratch.profile);
  sg_status st = sgi_linear(y, D, k.h, k.ld, call->w[DOWN], n, F, D, call->scratch);
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

/* dW2 = dy^T h; dh = dy W2; du = dh gelu'(u); dW1 = du^T x; dx = du W1. */
static sg_status backward(sgi_ffn_call *call, float *dx, const float *dy, const float *x) {
  size_t n = call->n, D = call->config->hidden_size, F = call->config->num_neurons;
  kept k;
  layout(call->config, n, &call->saved, &k);
  float *du = SGI_TAKE(&call->scratch, n * k.ld, float); /* (n,F; ld) */
  sgi_profile *profile = call->scratch.profile;
  double at = sgi_lap_begin(profile);
  sg_status st = sgi_linear_dw(call->dw[DOWN], dy, D, k.h, k.ld, n, F, D);
  if (!st) st = sgi_linear_dx(du, k.ld, dy, D, call->w[DOWN], n, F, D, 0, call->scratch);
  if (st) return st;
  sgi_lap(profile, &at, "feedforward products backward", 2 * sgi_product_flops(n, D, F),
          2 * sgi_product_bytes(n, D, F));
  sgi_apply_backward_rows(sgi_kernel_table()->gelu_backward, du, du, k.ld, k.u, n, F);
  sgi_lap(profile, &at, "activation backward", 0, 12.0 * (double)(n * F));
  st = sgi_linear_dw(call->dw[UP], du, k.ld, x, D, n, D, F);
  if (!st) st = sgi_linear_dx(dx, D, du, k.ld, call->w[UP], n, D, F, 0, call->scratch);
  sgi_lap(profile, &at, "feedforward products backward", 2 * sgi_product_flops(n, D, F),
          2 * sgi_product_bytes(n, D, F));
  return st;
}

static bool unit_at(const sg_config *c, const float *const *w, size_t channel, size_t index, sgi_unit *out) {
  if (channel || index >= c->num_neurons) return false;
  *out = (sgi_unit){.index = (int32_t)index,
                    .w_in = w[UP] + index * c->hidden_size,
                    .w_out = w[DOWN] + index,
                    .stride = c->num_neurons};
  return true;
}

static size_t unit_count(const sg_config *c) { return c->num_neurons; }

static void units(const sgi_ffn_call *call, size_t row, sgi_unit *out, double *bias) {
  size_t D = call->config->hidden_size, F = call->config->num_neurons;
  sgi_arena block = call->saved;
  kept k;
  layout(call->config, call->n, &block, &k);
  for (size_t f = 0; f < F; f++) {
    double value = k.h[row * k.ld + f], dot = k.u[row * F + f];
    out[f] = (sgi_unit){.index = (int32_t)f,
                        .value = value,
                        .gate = dot != 0 ? value / dot : 0,
                        .constant = dot != 0 ? 0 : value,
                        .w_in = call->w[UP] + f * D,
                        .w_out = call->w[DOWN] + f,
                        .stride = F};
  }
  for (size_t d = 0; d < D; d++) bias[d] = 0;
}

const sgi_ffn_ops sgi_ffn_mlp = {
    .name = "mlp",
    .default_activation = "gelu",
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
