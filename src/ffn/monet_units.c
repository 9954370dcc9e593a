/* monet_units.c: a composed layer as a list of neurons (docs/method.md, monet). Expert (i,j) is m
 * neurons relu(w_in . x + b)^2 under one gate c = sum over heads of g1[i] g2[j]; neuron r of it is
 * number (i N + j) m + r. Its constant is part of the layer's bias there, as moe's are. Together
 * they are the layer, to rounding. Nothing of it is stored: rows and columns are read where they
 * lie. */
#include <string.h>

#include "ffn/monet.h"

size_t sgi_monet_pool(const sg_config *c) { return c->num_experts * c->num_experts * c->expert_dim; }

/* What a row's units are made of. */
typedef struct row {
  size_t H, N, m, width;
  const float *g1, *g2;     /* (H,N) */
  const float *act1, *act2; /* (N,width); the second of the vertical form */
} row;

static row row_of(const sgi_ffn_call *call, size_t i) {
  const sg_config *c = call->config;
  sgi_arena block = call->shared, kept = call->saved;
  sgi_monet_shared g;
  sgi_monet_kept k = {0};
  sgi_monet_layout_shared(c, call->n, false, &block, &g);
  sgi_monet_layout(c, call->n, &kept, &k);
  row r = {.H = c->num_channels, .N = c->num_experts, .m = c->expert_dim, .width = sgi_monet_width(c)};
  r.g1 = g.g[0] + i * r.H * r.N;
  r.g2 = g.g[1] + i * r.H * r.N;
  r.act1 = k.act[0] + i * r.N * r.width;
  r.act2 = sgi_monet_vertical(c) ? k.act[1] + i * r.N * r.width : NULL;
  return r;
}

static double gate_of(const row *r, size_t i, size_t j) {
  double sum = 0;
  for (size_t h = 0; h < r->H; h++) sum += (double)r->g1[h * r->N + i] * (double)r->g2[h * r->N + j];
  return sum;
}

/* relu of the input of neuron k < m. */
static double act_of(const row *r, size_t i, size_t j, size_t k) {
  return k < r->width ? r->act1[i * r->width + k] : r->act2[j * r->width + k - r->width];
}

bool sgi_monet_unit_at(const sg_config *c, const sgi_weight *const *w, size_t channel, size_t index, sgi_unit *out) {
  size_t N = c->num_experts, m = c->expert_dim, D = c->hidden_size, width = sgi_monet_width(c), F = N * width;
  if (channel || index >= sgi_monet_pool(c)) return false;
  size_t k = index % m, i = index / m / N, j = index / m % N, a = k % width;
  bool vertical = sgi_monet_vertical(c), second = k >= width;
  const int u = second ? MONET_U2 : MONET_U, v = !vertical ? MONET_V : second ? MONET_V12 : MONET_V11;
  size_t from = (second ? j : i) * width + a;
  *out = (sgi_unit){.index = (int32_t)index, .constant = sgi_f32(sgi_monet_weight(c, w, u + 1))[from]};
  out->in = (sgi_slice){.weight = sgi_monet_weight(c, w, u), .at = from * D, .stride = 1};
  out->out = (sgi_slice){.weight = sgi_monet_weight(c, w, v), .at = (vertical ? i : j) * width + a, .stride = F};
  if (!vertical) return true;
  out->out.next = sgi_monet_weight(c, w, v + MONET_V21 - MONET_V11);
  out->out.next_at = j * width + a;
  out->out.split = D / 2;
  return true;
}

/* Element d of what the constants of a row's experts add up to. */
static double constant_at(const sg_config *c, const sgi_weight *const *w, const row *r, size_t d) {
  bool vertical = sgi_monet_vertical(c);
  size_t half = c->hidden_size / 2, upper = vertical && d >= half, width = vertical ? half : c->hidden_size;
  const float *b = sgi_f32(sgi_monet_weight(c, w, vertical ? MONET_B1 + (int)upper : MONET_B)) + (d - upper * half);
  const float *g = vertical && !upper ? r->g1 : r->g2;
  double sum = 0;
  for (size_t k = 0; k < r->H * r->N; k++) sum += (double)g[k] * (double)b[k % r->N * width];
  return sum;
}

/* value = c act^2 = (c act) (w_in . x + b): the gate held is c act, the bias' part a constant. */
void sgi_monet_units(const sgi_ffn_call *call, size_t i, sgi_unit *out, double *bias) {
  row r = row_of(call, i);
  for (size_t a = 0, at = 0; a < r.N; a++)
    for (size_t b = 0; b < r.N; b++) {
      double gate = gate_of(&r, a, b);
      for (size_t k = 0; k < r.m; k++, at++) {
        sgi_unit *u = &out[at];
        double act = act_of(&r, a, b, k);
        sgi_monet_unit_at(call->config, call->w, 0, at, u);
        u->value = gate * act * act;
        u->gate = gate * act;
        u->constant *= gate * act;
      }
    }
  for (size_t d = 0; d < call->config->hidden_size; d++) bias[d] = constant_at(call->config, call->w, &r, d);
}

void sgi_monet_make(void *user, size_t i, float *values) {
  const sgi_ffn_call *call = user;
  row r = row_of(call, i);
  float *at = values;
  for (size_t a = 0; a < r.N; a++)
    for (size_t b = 0; b < r.N; b++) {
      double gate = gate_of(&r, a, b);
      for (size_t k = 0; k < r.m; k++) {
        double act = act_of(&r, a, b, k);
        *at++ = (float)(gate * act * act);
      }
    }
  memcpy(at, values, call->config->num_neurons * sizeof *values);
}

/* Where most of a row was changed, y is made anew: what is taken away leaves no rounding behind. */
void sgi_monet_take(void *user, size_t i, const float *values) {
  const sgi_ffn_call *call = user;
  const sg_config *c = call->config;
  size_t F = c->num_neurons, D = c->hidden_size, changed = 0, acting = 0;
  const float *before = values + F;
  float *y = call->y + i * D;
  for (size_t f = 0; f < F; f++) {
    acting += before[f] != 0;
    changed += values[f] != before[f];
  }
  bool anew = 2 * changed > acting;
  if (anew) {
    row r = row_of(call, i);
    for (size_t d = 0; d < D; d++) y[d] = (float)constant_at(c, call->w, &r, d);
  }
  for (size_t f = 0; f < F && changed; f++) {
    float a = anew ? values[f] : values[f] - before[f];
    sgi_unit u;
    if (a == 0) continue;
    sgi_monet_unit_at(c, call->w, 0, f, &u);
    sgi_slice_add(&u.out, a, y, D);
  }
}
