/* dense_kind.c: what all dense kinds do alike (dense_kind.h). */
#include "ffn/dense_kind.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "math/gemm.h"
#include "math/rows.h"
#include "math/stored.h"

/* Places of the tensors, in the order in which they are added; -1: there is none. */
typedef struct places {
  int in, in_bias, out, out_bias;
} places;

typedef struct kept {
  float *u; /* (n, rows F) */
  float *h; /* (n,F; ldh) */
  size_t ldh;
} kept;

typedef struct work {
  float *dh; /* (n,F; lddh), the same array as du where a unit has one row */
  float *du; /* (n, rows F; lddu) */
  size_t lddh, lddu;
} work;

static const sgi_dense_kind *form_of(const sg_config *c) {
  const sgi_dense_kind *k = sgi_ffn_of(c)->dense;
  return k->relu && !strcmp(c->activation, "relu") ? k->relu : k;
}
static size_t wide(const sg_config *c) { return form_of(c)->rows * c->num_neurons; }
static places places_of(const sgi_dense_kind *k) { return k->bias ? (places){0, 1, 2, 3} : (places){0, -1, 1, -1}; }

static void layout(const sg_config *c, size_t n, sgi_arena *a, kept *k) {
  k->u = SGI_TAKE(a, n * wide(c), float);
  k->ldh = sgi_stride(c->num_neurons);
  k->h = SGI_TAKE(a, n * k->ldh, float);
}

static void layout_work(const sg_config *c, size_t n, sgi_arena *a, work *w) {
  bool one = form_of(c)->rows == 1;
  w->lddu = sgi_stride(wide(c));
  w->lddh = one ? w->lddu : c->num_neurons;
  w->dh = one ? NULL : SGI_TAKE(a, n * w->lddh, float);
  w->du = SGI_TAKE(a, n * w->lddu, float);
  if (one) w->dh = w->du;
}

void sgi_dense_saved(const sg_config *c, size_t n, sgi_arena *a) { layout(c, n, a, &(kept){0}); }

void sgi_dense_scratch(const sg_config *c, size_t n, bool backward, sgi_arena *a) {
  if (backward) layout_work(c, n, a, &(work){0});
  sgi_linear_scratch(n, c->hidden_size, wide(c), a);
}

sg_status sgi_dense_check(const sg_config *c, sg_error *err) {
  const sgi_ffn_ops *ops = sgi_ffn_of(c);
  if (!ops->dense->relu || !strcmp(c->activation, "relu") || !strcmp(c->activation, ops->default_activation))
    return SG_OK;
  return sgi_fail(err, SG_ERR_ARG, "feedforward.activation is \"%s\": %s has %s and relu", c->activation, ops->name,
                  ops->default_activation);
}

static sg_status map(sgi_table *t, const char *prefix, const char *name, size_t out, size_t in, bool bias,
                     sg_error *err) {
  char full[SGI_MAX_TENSOR_NAME];
  snprintf(full, sizeof full, "%s.weight", name);
  sg_status st = sgi_table_add(t, prefix, full, SGI_DIMS(out, in), true, SGI_INIT_LECUN, 1 / sqrt((double)in), err);
  if (st || !bias) return st;
  snprintf(full, sizeof full, "%s.bias", name);
  return sgi_table_add(t, prefix, full, SGI_DIMS(out), false, SGI_INIT_ZERO, 0, err);
}

sg_status sgi_dense_tensors(const sg_config *c, const char *prefix, sgi_table *t, sg_error *err) {
  const sgi_dense_kind *k = form_of(c);
  sg_status st = map(t, prefix, k->in, wide(c), c->hidden_size, k->bias, err);
  return st ? st : map(t, prefix, k->out, c->hidden_size, c->num_neurons, k->bias, err);
}

uint64_t sgi_dense_multiply_adds(const sg_config *c) { return (uint64_t)(wide(c) + c->num_neurons) * c->hidden_size; }

/* ---- forward --------------------------------------------------------------------------------- */

static sg_status hidden(sgi_ffn_call *call, float *y, const float *x) {
  (void)y;
  const sg_config *c = call->config;
  const sgi_dense_kind *form = form_of(c);
  places p = places_of(form);
  size_t n = call->n, D = c->hidden_size, F = c->num_neurons, W = wide(c);
  kept k;
  layout(c, n, &call->saved, &k);
  sg_status st = sgi_stored_linear(k.u, W, x, D, call->w[p.in], n, call->scratch);
  if (st) return st;
  double at = sgi_lap_begin(call->scratch.profile);
  const float *bias = form->bias ? sgi_f32(call->w[p.in_bias]) : NULL;
#pragma omp parallel for schedule(static) if (n * F > 4096)
  for (size_t i = 0; i < n; i++) form->forward(k.h + i * k.ldh, k.u + i * W, bias, F);
  sgi_lap(call->scratch.profile, &at, "activation", 0, 4 * form->moved[0] * (double)(n * F));
  return SG_OK;
}

static sg_status output(sgi_ffn_call *call, float *y, const float *x) {
  (void)x;
  const sg_config *c = call->config;
  places p = places_of(form_of(c));
  size_t n = call->n, D = c->hidden_size;
  kept k;
  layout(c, n, &call->saved, &k);
  sg_status st = sgi_stored_linear(y, D, k.h, k.ldh, call->w[p.out], n, call->scratch);
  if (!st && form_of(c)->bias) sgi_add_bias(y, sgi_f32(call->w[p.out_bias]), n, D);
  return st;
}

const sgi_stage sgi_dense_stages[] = {
    {"feedforward products", hidden, {SGI_SITE_NEURONS}},
    {"feedforward products", output, {SGI_SITE_NONE}},
    {.run = NULL},
};

void sgi_dense_left(const sgi_ffn_call *call, sgi_site_id id, sgi_left *out) {
  (void)id;
  sgi_arena block = call->saved;
  kept k;
  layout(call->config, call->n, &block, &k);
  *out = (sgi_left){.data = k.h, .ld = k.ldh};
}

/* ---- backward -------------------------------------------------------------------------------- */

/* dW_out = dy^T h; dh = dy W_out; du by the activation; dW_in = du^T x; dx = du W_in. Biases get
 * column sums. */
sg_status sgi_dense_backward(sgi_ffn_call *call, float *dx, const float *dy, const float *x) {
  const sg_config *c = call->config;
  const sgi_dense_kind *form = form_of(c);
  places p = places_of(form);
  size_t n = call->n, D = c->hidden_size, F = c->num_neurons, W = wide(c);
  sgi_profile *profile = call->scratch.profile;
  kept k;
  work w;
  layout(c, n, &call->saved, &k);
  layout_work(c, n, &call->scratch, &w);
  sgi_profile_stage(profile, "feedforward products backward");
  if (form->bias) sgi_column_sums(call->dw[p.out_bias], dy, D, n, D);
  sg_status st = sgi_stored_linear_dw(call->dw[p.out], dy, D, k.h, k.ldh, call->w[p.out], n, profile);
  if (!st) st = sgi_stored_linear_dx(w.dh, w.lddh, dy, D, call->w[p.out], n, 0, call->scratch);
  if (st) return st;
  double at = sgi_lap_begin(profile);
#pragma omp parallel for schedule(static) if (n * F > 4096)
  for (size_t i = 0; i < n; i++) form->backward(w.du + i * w.lddu, w.dh + i * w.lddh, k.u + i * W, F);
  if (form->bias) sgi_column_sums(call->dw[p.in_bias], w.du, w.lddu, n, W);
  sgi_lap(profile, &at, "activation backward", 0, 4 * form->moved[1] * (double)(n * F));
  st = sgi_stored_linear_dw(call->dw[p.in], w.du, w.lddu, x, D, call->w[p.in], n, profile);
  return st ? st : sgi_stored_linear_dx(dx, D, w.du, w.lddu, call->w[p.in], n, 0, call->scratch);
}

/* ---- reading --------------------------------------------------------------------------------- */

/* Of a unit's two rows the second: the first is its gate. */
bool sgi_dense_unit_at(const sg_config *c, const sgi_weight *const *w, size_t channel, size_t index, sgi_unit *out) {
  const sgi_dense_kind *form = form_of(c);
  places p = places_of(form);
  size_t F = c->num_neurons, row = (form->rows - 1) * F + index;
  if (channel || index >= F) return false;
  *out = (sgi_unit){.index = (int32_t)index,
                    .constant = (form->bias ? sgi_f32(w[p.in_bias])[row] : 0) + form->shift,
                    .in = {.weight = w[p.in], .at = row * c->hidden_size, .stride = 1},
                    .out = {.weight = w[p.out], .at = index, .stride = F}};
  return true;
}

size_t sgi_dense_unit_count(const sg_config *c) { return c->num_neurons; }

void sgi_dense_units(const sgi_ffn_call *call, size_t row, sgi_unit *out, double *bias) {
  const sg_config *c = call->config;
  const sgi_dense_kind *form = form_of(c);
  places p = places_of(form);
  size_t F = c->num_neurons, last = (form->rows - 1) * F;
  sgi_arena block = call->saved;
  kept k;
  layout(c, call->n, &block, &k);
  for (size_t f = 0; f < F; f++) {
    double h = k.h[row * k.ldh + f], u = k.u[row * wide(c) + last + f];
    sgi_unit held = {.value = h, .gate = u != 0 ? h / u : 0, .constant = u != 0 ? 0 : h};
    if (form->unit) held = form->unit(h, u, form->bias ? sgi_f32(call->w[p.in_bias])[last + f] : 0, 1);
    sgi_dense_unit_at(c, call->w, 0, f, &out[f]);
    out[f].value = held.value;
    out[f].gate = held.gate;
    out[f].constant = held.constant;
  }
  for (size_t d = 0; d < c->hidden_size; d++) bias[d] = form->bias ? sgi_f32(call->w[p.out_bias])[d] : 0;
}
