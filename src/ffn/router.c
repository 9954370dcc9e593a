#include "ffn/router.h"

#include <math.h>
#include <string.h>

#include "ffn/router_shape.h"
#include "math/gemm.h"
#include "math/kernels.h"
#include "math/stored.h"

static size_t sub_keys(const sg_config *c) { return (size_t)(sqrt((double)c->num_neurons) + 0.5); }

static bool is_key_value(const sgi_router *r) { return strstr(r->name, "key_value") != NULL; }

sgi_router_shape sgi_router_shape_of(const sgi_router *r, const sg_config *c) {
  size_t parts = r->product ? 2 : 1, units = r->product ? sub_keys(c) : c->num_neurons;
  if (is_key_value(r))
    return (sgi_router_shape){parts * c->num_channels, units, units, (float)(1.0 / sqrt((double)(parts * c->key_dim)))};
  return (sgi_router_shape){1, parts * c->num_channels * units, units, 1.0f};
}

static sg_status dense_tensors(const sg_config *c, const char *prefix, sgi_table *t, sg_error *err) {
  size_t Q = c->key_dim, D = c->hidden_size, C = c->num_channels, S = sub_keys(c);
  bool product = !strcmp(c->router, "product_dense");
  sg_status st =
      sgi_table_add(t, prefix, "router.down.weight", SGI_DIMS(Q, D), true, SGI_INIT_LECUN, 1 / sqrt((double)D), err);
  if (st) return st;
  double sigma = 1 / sqrt((double)Q);
  return product ? sgi_table_add(t, prefix, "router.up.weight", SGI_DIMS(2, C, S, Q), true, SGI_INIT_LECUN, sigma, err)
                 : sgi_table_add(t, prefix, "router.up.weight", SGI_DIMS(C, c->num_neurons, Q), true, SGI_INIT_LECUN,
                                 sigma, err);
}

static sg_status key_tensors(const sg_config *c, const char *prefix, sgi_table *t, sg_error *err) {
  size_t Q = c->key_dim, D = c->hidden_size, C = c->num_channels, S = sub_keys(c);
  bool product = !strcmp(c->router, "product_key_value");
  double sigma = 1 / sqrt((double)D);
  sg_status st =
      product ? sgi_table_add(t, prefix, "router.query.weight", SGI_DIMS(2, C, Q, D), true, SGI_INIT_LECUN, sigma, err)
              : sgi_table_add(t, prefix, "router.query.weight", SGI_DIMS(C, Q, D), true, SGI_INIT_LECUN, sigma, err);
  if (st) return st;
  return product ? sgi_table_add(t, prefix, "router.keys", SGI_DIMS(2, C, S, Q), true, SGI_INIT_TRUNCATED, 1, err)
                 : sgi_table_add(t, prefix, "router.keys", SGI_DIMS(C, c->num_neurons, Q), true, SGI_INIT_TRUNCATED, 1,
                                 err);
}

static const sgi_router routers[] = {
    {.name = "product_dense", .product = true, .tensors = dense_tensors},
    {.name = "dense", .product = false, .tensors = dense_tensors},
    {.name = "product_key_value", .product = true, .tensors = key_tensors},
    {.name = "key_value", .product = false, .tensors = key_tensors},
};

const sgi_router *sgi_router_find(const char *name, sg_error *err) {
  const char *names[SGI_COUNT(routers)];
  for (size_t i = 0; i < SGI_COUNT(routers); i++) {
    if (!strcmp(routers[i].name, name)) return &routers[i];
    names[i] = routers[i].name;
  }
  const char *near = sgi_nearest(name, names, SGI_COUNT(names));
  sgi_fail(err, SG_ERR_ARG, "unknown router \"%s\": choose product_dense, dense, product_key_value or key_value%s%s%s",
           name, near ? " (did you mean " : "", near ? near : "", near ? "?)" : "");
  return NULL;
}

sg_status sgi_router_check(const sgi_router *r, const sg_config *c, sg_error *err) {
  size_t F = c->num_neurons, S = sub_keys(c), K = c->top_k;
  if (c->key_dim == 0) return sgi_fail(err, SG_ERR_ARG, "feedforward.key_dim is 0: a router needs at least 1");
  if (K > SGI_MAX_TOP_K) return sgi_fail(err, SG_ERR_ARG, "feedforward.top_k is %zu: at most %d", K, SGI_MAX_TOP_K);
  if (r->product && S * S != F)
    return sgi_fail(err, SG_ERR_ARG,
                    "feedforward.num_neurons is %zu: router %s needs a perfect square (near: %zu, %zu)", F, r->name,
                    S * S, (S + 1) * (S + 1));
  if (r->product && K >= S)
    return sgi_fail(err, SG_ERR_ARG, "feedforward.top_k is %zu: router %s needs top_k < sqrt(num_neurons) = %zu", K,
                    r->name, S);
  if (!r->product && K > F)
    return sgi_fail(err, SG_ERR_ARG, "feedforward.top_k is %zu: more than num_neurons = %zu", K, F);
  return SG_OK;
}

uint64_t sgi_router_multiply_adds(const sgi_router *r, const sg_config *c) {
  sgi_router_shape s = sgi_router_shape_of(r, c);
  return (uint64_t)c->key_dim * s.groups * (c->hidden_size + s.width);
}

void sgi_router_routes(const sgi_router *r, const sg_config *c, sgi_routes *out) {
  *out = (sgi_routes){c->num_channels, r->product ? 2 : 1, sgi_router_shape_of(r, c).units, c->top_k, 1};
}

/* Row f of part p is scale * w1[group, f] w0[group]: the down map is shared by all, or each part
 * and channel has its own query. */
sg_status sgi_router_rows(const sgi_router *r, const sg_config *c, const sgi_weight *const *w, size_t channel,
                          float *rows) {
  sgi_router_shape s = sgi_router_shape_of(r, c);
  sgi_routes t;
  sgi_router_routes(r, c, &t);
  size_t Q = c->key_dim, D = c->hidden_size;
  sg_status st = SG_OK;
  for (size_t p = 0; p < t.parts && !st; p++) {
    size_t at = p * c->num_channels + channel;
    sgi_weight up = sgi_weight_rows(w[1], at * t.units, t.units);
    sgi_weight down = sgi_weight_rows(w[0], s.groups == 1 ? 0 : at * Q, Q);
    st = sgi_stored_pair1(&up, &down, rows + p * t.units * D, D);
  }
  sgi_kernel_table()->scale(rows, s.scale, t.parts * t.units * D);
  return st;
}
