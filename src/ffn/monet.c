/* monet: N^2 experts composed of 2 N halves, gated by two softmaxes over N (arXiv:2412.04139;
 * docs/method.md, monet). What one layer computes is two maps and small products a row; no expert
 * is ever put together. Layers of a group use the gates of the group's first. */
#include "ffn/monet.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "math/gemm.h"

static sg_status check(const sg_config *c, sg_error *err) {
  size_t N = c->num_experts, m = c->expert_dim, pool;
  if (strcmp(c->decomposition, "horizontal") && strcmp(c->decomposition, "vertical"))
    return sgi_fail(err, SG_ERR_ARG, "feedforward.decomposition is \"%s\": choose horizontal or vertical",
                    c->decomposition);
  if (c->top_k > N)
    return sgi_fail(err, SG_ERR_ARG, "feedforward.top_k is %zu: more than the %zu of feedforward.num_experts", c->top_k,
                    N);
  if (sgi_monet_vertical(c) && (m % 2 || c->hidden_size % 2))
    return sgi_fail(err, SG_ERR_ARG,
                    "feedforward.decomposition is \"vertical\": feedforward.expert_dim, %zu, and hidden_size, %zu, "
                    "must be even",
                    m, c->hidden_size);
  if (!sgi_size_mul(N, N, &pool) || !sgi_size_mul(pool, m, &pool) || pool > INT32_MAX / 2)
    return sgi_fail(err, SG_ERR_ARG,
                    "feedforward.num_experts is %zu: the %zu neurons of each of its square of experts are too many to "
                    "count",
                    N, m);
  return SG_OK;
}

/* ---- tensors --------------------------------------------------------------------------------- */

static sg_status map(sgi_table *t, const char *prefix, const char *name, size_t out, size_t in, sg_error *err) {
  return sgi_table_add(t, prefix, name, SGI_DIMS(out, in), true, SGI_INIT_LECUN, 1 / sqrt((double)in), err);
}

static sg_status bias(sgi_table *t, const char *prefix, const char *name, size_t out, size_t in, sg_error *err) {
  return sgi_table_add(t, prefix, name, SGI_DIMS(out, in), false, SGI_INIT_ZERO, 0, err);
}

static sg_status router_tensors(const sg_config *c, const char *prefix, sgi_table *t, sg_error *err) {
  size_t H = c->num_channels, D = c->hidden_size;
  sg_status st = map(t, prefix, "router.w1.weight", H * c->num_experts, D, err);
  if (!st) st = map(t, prefix, "router.w2.weight", H * c->num_experts, D, err);
  for (int k = 1; k <= SGI_MONET_SIDES && !st; k++) {
    char name[32];
    snprintf(name, sizeof name, "router.running_mean%d", k);
    st = sgi_table_add_state(t, prefix, name, SGI_DIMS(H), SGI_INIT_ZERO, err);
    snprintf(name, sizeof name, "router.running_var%d", k);
    if (!st) st = sgi_table_add_state(t, prefix, name, SGI_DIMS(H), SGI_INIT_ONE, err);
  }
  return st;
}

static sg_status horizontal_tensors(const sg_config *c, const char *prefix, sgi_table *t, sg_error *err) {
  size_t D = c->hidden_size, N = c->num_experts, F = N * c->expert_dim;
  sg_status st = map(t, prefix, "moe.u.weight", F, D, err);
  if (!st) st = bias(t, prefix, "moe.u.bias", F, 0, err);
  if (!st) st = map(t, prefix, "moe.v.weight", D, F, err);
  return st ? st : bias(t, prefix, "moe.b", N, D, err);
}

static sg_status vertical_tensors(const sg_config *c, const char *prefix, sgi_table *t, sg_error *err) {
  size_t D = c->hidden_size, N = c->num_experts, F = N * sgi_monet_width(c);
  sg_status st = map(t, prefix, "moe.u1.weight", F, D, err);
  if (!st) st = bias(t, prefix, "moe.u1.bias", F, 0, err);
  if (!st) st = map(t, prefix, "moe.u2.weight", F, D, err);
  if (!st) st = bias(t, prefix, "moe.u2.bias", F, 0, err);
  if (!st) st = map(t, prefix, "moe.v11.weight", D / 2, F, err);
  if (!st) st = map(t, prefix, "moe.v12.weight", D / 2, F, err);
  if (!st) st = map(t, prefix, "moe.v21.weight", D / 2, F, err);
  if (!st) st = map(t, prefix, "moe.v22.weight", D / 2, F, err);
  if (!st) st = bias(t, prefix, "moe.b1", N, D / 2, err);
  return st ? st : bias(t, prefix, "moe.b2", N, D / 2, err);
}

static sg_status tensors(const sg_config *c, const char *prefix, sgi_table *t, sg_error *err) {
  sg_status st = sgi_ffn_routes(c) ? router_tensors(c, prefix, t, err) : SG_OK;
  if (st) return st;
  return sgi_monet_vertical(c) ? vertical_tensors(c, prefix, t, err) : horizontal_tensors(c, prefix, t, err);
}

/* Both decompositions cost the same. */
static uint64_t multiply_adds(const sg_config *c) {
  uint64_t H = c->num_channels, N = c->num_experts, D = c->hidden_size, m = c->expert_dim;
  return (sgi_ffn_routes(c) ? 2 * D * H * N : 0) + 2 * D * N * m + 2 * H * N * m;
}

/* ---- memory ---------------------------------------------------------------------------------- */

void sgi_monet_layout_shared(const sg_config *c, size_t n, bool backward, sgi_arena *a, sgi_monet_shared *s) {
  size_t H = c->num_channels, width = H * c->num_experts;
  for (int k = 0; k < SGI_MONET_SIDES; k++) {
    s->g[k] = SGI_TAKE(a, n * width, float);
    s->mean[k] = SGI_TAKE(a, H, float);
    s->variance[k] = SGI_TAKE(a, H, float);
    s->used[k] = SGI_TAKE(a, width, float);
  }
  for (int k = 0; k < SGI_MONET_SIDES; k++) s->dg[k] = backward ? SGI_TAKE(a, n * width, float) : NULL;
}

void sgi_monet_layout(const sg_config *c, size_t n, sgi_arena *a, sgi_monet_kept *k) {
  size_t width = sgi_monet_width(c);
  for (size_t i = 0; i < sgi_monet_sides(c); i++) {
    k->act[i] = SGI_TAKE(a, n * c->num_experts * width, float);
    k->mix[i] = SGI_TAKE(a, n * c->num_channels * width, float);
  }
}

static void shared(const sg_config *c, size_t n, bool backward, sgi_arena *a) {
  sgi_monet_layout_shared(c, n, backward, a, &(sgi_monet_shared){0});
}

static void clear(const sg_config *c, size_t n, sgi_arena block) {
  sgi_monet_shared s;
  sgi_monet_layout_shared(c, n, true, &block, &s);
  for (int k = 0; k < SGI_MONET_SIDES; k++) memset(s.dg[k], 0, n * c->num_channels * c->num_experts * sizeof(float));
}

static void shared_row(const sg_config *c, sgi_shared_row to, sgi_shared_row from) {
  size_t width = c->num_channels * c->num_experts;
  sgi_monet_shared a, b;
  sgi_monet_layout_shared(c, to.n, false, &to.block, &a);
  sgi_monet_layout_shared(c, from.n, false, &from.block, &b);
  for (int k = 0; k < SGI_MONET_SIDES; k++)
    memcpy(a.g[k] + to.row * width, b.g[k] + from.row * width, width * sizeof(float));
}

static void saved(const sg_config *c, size_t n, sgi_arena *a) { sgi_monet_layout(c, n, a, &(sgi_monet_kept){0}); }

/* ---- sites ----------------------------------------------------------------------------------- */

static const sgi_stage stages[] = {
    {"router", sgi_monet_route, {SGI_SITE_ROUTER_G1, SGI_SITE_ROUTER_G2}},
    {"experts, input", sgi_monet_hidden, {SGI_SITE_NONE}},
    {"experts, output", sgi_monet_out, {SGI_SITE_NEURONS}},
    {.run = NULL},
};

/* The units' values are put together for who looks, with y already made: what is changed in them is
 * added there. */
static void left(const sgi_ffn_call *call, sgi_site_id id, sgi_left *out) {
  const sg_config *c = call->config;
  sgi_arena block = call->shared, room = call->scratch;
  sgi_monet_shared s;
  sgi_monet_layout_shared(c, call->n, false, &block, &s);
  if (id == SGI_SITE_NEURONS)
    *out = (sgi_left){.row = SGI_TAKE(&room, 2 * c->num_neurons, float),
                      .make = sgi_monet_make,
                      .take = sgi_monet_take,
                      .user = (void *)(uintptr_t)call};
  else if (sgi_ffn_routes(c))
    out->data = s.g[id == SGI_SITE_ROUTER_G2];
}

/* Training needs a variance: two values a head. */
static size_t least_rows(const sg_config *c) { return c->num_experts > 1 ? 1 : 2; }

const sgi_ffn_ops sgi_ffn_monet = {
    .name = "monet",
    .default_activation = "relu2",
    .uses = SGI_USES_CHANNELS | SGI_USES_TOP_K | SGI_USES_EXPERTS | SGI_USES_GROUP,
    .joined = true,
    .preset = {.top_k = 8,
               .tinystories = {.num_channels = 8},
               .slimpajama = {.over = 1, .multiple = 1, .num_channels = 8},
               .experts = {.decomposition = "horizontal", .num_experts = 32, .width_over = 32, .router_group = 4}},
    .pool = sgi_monet_pool,
    .check = check,
    .tensors = tensors,
    .saved = saved,
    .scratch = sgi_monet_scratch,
    .shared = shared,
    .clear = clear,
    .shared_row = shared_row,
    .measure = sgi_monet_measure,
    .settle = sgi_monet_settle,
    .least_rows = least_rows,
    .multiply_adds = multiply_adds,
    .stages = stages,
    .left = left,
    .backward = sgi_monet_backward,
    .convert_to = sgi_monet_convert_to,
    .convert = sgi_monet_convert,
    .convert_loose = sgi_monet_convert_loose,
    .unit_count = sgi_monet_pool,
    .units = sgi_monet_units,
    .unit_at = sgi_monet_unit_at,
};
