/* monet_convert.c: a composed layer as a layer of chosen neurons (docs/method.md, Monet to peer).
 *
 * Two facts carry it. The product of two softmaxes is the softmax of the sums, so the two gates are
 * a product router whose sub-keys are the rows of W1 and W2. And expert (i,j) is m neurons of one
 * gate with a constant one, the units of monet_units.c. A pair's neurons lie in a square of `side`
 * squared places: sub-key i side + r0 of axis 0 and j side + r1 of axis 1 are copies of rows i and
 * j, place r = r0 side + r1 is neuron r. Copies score the same, so that the K = side^2 P best are
 * the P best pairs, whole. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/arena.h"
#include "ffn/monet.h"
#include "math/low_rank.h"

enum { P_W_IN, P_W_OUT, P_REST };

static bool to_peer(const sgi_ffn_convert *how) { return !strcmp(how->to, "peer"); }

/* A linear neuron's value is a . score; that of these is relu(a)^2 p, with a gate that is no
 * score. */
bool sgi_monet_convert_loose(const sgi_ffn_convert *how) { return !to_peer(how); }

/* Least s with s^2 at least a pair's neurons. */
static size_t side_of(const sg_config *c, const sgi_ffn_convert *how) {
  size_t s = 1, neurons = c->expert_dim + to_peer(how);
  while (s * s < neurons) s++;
  return s;
}

/* Of the matrices that are to be put as products: peer has one a head and axis, sgatlin one for
 * all. */
static size_t exact_width(const sg_config *c, const sgi_ffn_convert *how) {
  size_t rows = to_peer(how) ? c->num_experts : 2 * c->num_channels * c->num_experts;
  return rows < c->hidden_size ? rows : c->hidden_size;
}

sg_status sgi_monet_convert_to(const sg_config *c, const sgi_ffn_convert *how, sg_feedforward *out, sg_error *err) {
  bool peer = to_peer(how);
  size_t N = c->num_experts, side = side_of(c, how), S, F, K;
  if (!peer && strcmp(how->to, "sgatlin"))
    return sgi_fail(err, SG_ERR_ARG, "a layer of monet becomes one of peer or of sgatlin, not of \"%.40s\"", how->to);
  if (!sgi_size_mul(N, side, &S) || !sgi_size_mul(S, S, &F) || F > INT32_MAX)
    return sgi_fail(err, SG_ERR_ARG, "%zu squared experts of %zu neurons are too many for a pool", N, c->expert_dim);
  if (!how->pairs || !sgi_size_mul(how->pairs, side * side, &K) || K >= S)
    return sgi_fail(err, SG_ERR_ARG,
                    "%zu pairs a head: with %zu neurons to a pair there can be from 1 to %zu of the layer's %zu "
                    "sub-experts an axis",
                    how->pairs, side * side, (S - 1) / (side * side), N);
  if (how->key_dim > c->hidden_size)
    return sgi_fail(err, SG_ERR_ARG, "a query of %zu numbers: the layer reads %zu", how->key_dim, c->hidden_size);
  *out = (sg_feedforward){.num_neurons = F,
                          .num_channels = c->num_channels,
                          .top_k = K,
                          .key_dim = how->key_dim ? how->key_dim : exact_width(c, how),
                          .router_group = how->ungroup ? 0 : c->router_group};
  snprintf(out->kind, sizeof out->kind, "%s", how->to);
  snprintf(out->router, sizeof out->router, "%s", peer ? "product_key_value" : "product_dense");
  snprintf(out->activation, sizeof out->activation, "%s", peer ? "relu2" : "identity");
  out->options.bias = peer;
  return SG_OK;
}

/* ---- router ---------------------------------------------------------------------------------- */

/* to (N side, width): each row of from (N, width) `side` times, times scale. */
static void repeat(float *to, const float *from, size_t N, size_t side, size_t width, float scale) {
  for (size_t i = 0; i < N * side; i++)
    for (size_t d = 0; d < width; d++) to[i * width + d] = from[i / side * width + d] * scale;
}

/* Keys and query of each axis and head: keys sqrt(2Q), since its scores are divided by that. */
static sg_status peer_router(const sg_config *c, const sg_config *to, size_t side, const float *const *map,
                             float *query, float *keys, float *room) {
  size_t H = c->num_channels, N = c->num_experts, D = c->hidden_size, Q = to->key_dim, S = N * side;
  float scale = (float)sqrt(2 * (double)Q);
  sg_status st = SG_OK;
  for (size_t g = 0; g < 2 * H && !st; g++) {
    st = sgi_low_rank(map[g / H] + g % H * N * D, N, D, Q, room, query + g * Q * D);
    repeat(keys + g * S * Q, room, N, side, Q, scale);
  }
  return st;
}

/* One down map for all: of the rows of both axes together. */
static sg_status dense_router(const sg_config *c, const sg_config *to, size_t side, const float *both, float *down,
                              float *up, float *room) {
  size_t H = c->num_channels, N = c->num_experts, Q = to->key_dim;
  sg_status st = sgi_low_rank(both, 2 * H * N, c->hidden_size, Q, room, down);
  repeat(up, room, 2 * H * N, side, Q, 1);
  return st;
}

static sg_status routers(const sg_config *c, const sgi_ffn_convert *how, const sg_config *to,
                         const sgi_weight *const *router, float *const *out, sg_error *err) {
  size_t rows = c->num_channels * c->num_experts, D = c->hidden_size;
  float *both = sgi_alloc(2 * rows * (D + to->key_dim) * sizeof *both), *room = both ? both + 2 * rows * D : NULL;
  if (!both) return sgi_fail_memory(err, 2 * rows * (D + to->key_dim) * sizeof *both, "a router's rows");
  const float *const map[] = {both, both + rows * D};
  for (int k = 0; k < SGI_MONET_SIDES; k++) sgi_weight_to_float(both + (size_t)k * rows * D, router[MONET_W1 + k]);
  sg_status st = to_peer(how) ? peer_router(c, to, side_of(c, how), map, out[0], out[1], room)
                              : dense_router(c, to, side_of(c, how), both, out[0], out[1], room);
  sgi_free(both);
  if (st == SG_ERR_MEMORY) return sgi_fail_memory(err, rows * D * sizeof(double), "a singular value decomposition");
  return st ? sgi_fail(err, st, "layer %zu: the router's rows could not be decomposed: are they finite?", c->layer)
            : SG_OK;
}

/* ---- pools ----------------------------------------------------------------------------------- */

/* The constant of expert (i,j). */
static void constant_row(const sg_config *c, const sgi_weight *const *w, size_t i, size_t j, float *out) {
  size_t D = c->hidden_size, half = D / 2;
  if (!sgi_monet_vertical(c)) {
    memcpy(out, sgi_f32(sgi_monet_weight(c, w, MONET_B)) + j * D, D * sizeof *out);
    return;
  }
  memcpy(out, sgi_f32(sgi_monet_weight(c, w, MONET_B1)) + i * half, half * sizeof *out);
  memcpy(out + half, sgi_f32(sgi_monet_weight(c, w, MONET_B2)) + j * half, half * sizeof *out);
}

/* Neuron r of expert (i,j), in place f of the pools. */
static void put_neuron(const sg_config *c, const sgi_weight *const *w, size_t i, size_t j, size_t r, size_t f,
                       float scale, float *const *out, float *bias) {
  size_t D = c->hidden_size, m = c->expert_dim;
  float *in = out[P_W_IN] + f * D, *write = out[P_W_OUT] + f * D;
  sgi_unit u;
  if (r < m && sgi_monet_unit_at(c, w, 0, (i * c->num_experts + j) * m + r, &u)) {
    sgi_unit_in(&u, in, D);
    sgi_unit_out(&u, write, D);
    if (bias) bias[f] = (float)u.constant;
  } else if (r == m && bias) {
    constant_row(c, w, i, j, write);
    bias[f] = 1;
  }
  for (size_t d = 0; d < D; d++) write[d] *= scale;
}

/* The softmax runs over all places of the chosen pairs: side^2 to a pair. */
sg_status sgi_monet_convert(const sg_config *c, const sgi_ffn_convert *how, const sg_config *to,
                            const sgi_weight *const *w, const sgi_weight *const *router, float *const *out,
                            sg_error *err) {
  bool peer = to_peer(how);
  size_t side = side_of(c, how), S = c->num_experts * side, F = S * S, D = c->hidden_size;
  float *bias = peer ? out[P_REST] : NULL, scale = peer ? (float)(side * side) : 1;
#pragma omp parallel for schedule(static)
  for (size_t f = 0; f < F; f++) {
    size_t a = f / S, b = f % S;
    put_neuron(c, w, a / side, b / side, a % side * side + b % side, f, scale, out, bias);
  }
  for (size_t h = 1; h < c->num_channels && !peer; h++) {
    memcpy(out[P_W_IN] + h * F * D, out[P_W_IN], F * D * sizeof(float));
    memcpy(out[P_W_OUT] + h * F * D, out[P_W_OUT], F * D * sizeof(float));
  }
  return sgi_ffn_routes(to) ? routers(c, how, to, router, out + P_REST + peer, err) : SG_OK;
}
