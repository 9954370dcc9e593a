/* Weights by name, and the transformer around the feedforward layers. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ref/ref.h"

static const uint64_t NAME_HASH = 0xcbf29ce484222325u;
/* FNV-1a of text, going on from h. */
static uint64_t hash_on(uint64_t h, const char *text) {
  for (; *text; text++) h = (h ^ (unsigned char)*text) * 0x100000001b3u;
  return h;
}

ref_model *ref_open(const sg_config *c, const sg_tensor *tensors, size_t count) {
  ref_model *m = ref_alloc(1, sizeof *m);
  m->config = *c;
  m->count = count;
  m->tensors = ref_alloc(count, sizeof *m->tensors);
  for (size_t i = 0; i < count; i++) {
    ref_tensor *t = &m->tensors[i];
    snprintf(t->name, sizeof t->name, "%s", tensors[i].name);
    t->hash = hash_on(NAME_HASH, t->name);
    t->n_dims = tensors[i].n_dims;
    memcpy(t->dims, tensors[i].dims, sizeof t->dims);
    t->count = tensors[i].count;
    t->data = ref_doubles(tensors[i].data, t->count);
  }
  return m;
}

ref_model *ref_open_model(const sg_model *m) {
  size_t count = sg_model_tensor_count(m);
  sg_tensor *tensors = ref_alloc(count, sizeof *tensors);
  for (size_t i = 0; i < count; i++) tensors[i] = sg_model_tensor(m, i);
  ref_model *out = ref_open(sg_model_config(m), tensors, count);
  free(tensors);
  return out;
}

void ref_close(ref_model *m) {
  if (!m) return;
  for (size_t i = 0; i < m->count; i++) free(m->tensors[i].data);
  free(m->tensors);
  for (int k = 0; k < 2; k++) free(m->gates[k]);
  free(m->index), free(m->score);
  free(m->pools);
  free(m->picks);
  free(m);
}

/* By a hash first: names are sought in the innermost loops, and most begin alike. */
ref_tensor *ref_find(const ref_model *m, const char *prefix, const char *name) {
  uint64_t hash = hash_on(hash_on(NAME_HASH, prefix), name);
  size_t length = strlen(prefix);
  for (size_t i = 0; i < m->count; i++)
    if (m->tensors[i].hash == hash && !strncmp(m->tensors[i].name, prefix, length) &&
        !strcmp(m->tensors[i].name + length, name))
      return &m->tensors[i];
  fprintf(stderr, "reference: there is no tensor %s%s\n", prefix, name);
  abort();
}

static double *rows(size_t n, size_t width) { return ref_alloc(n * width, sizeof(double)); }

/* q or k: projection, norm per head with one gain for all heads, rotary. */
static double *project(const ref_model *m, const char *prefix, const char *which, const double *x,
                       const int32_t *position, size_t n) {
  const sg_config *c = &m->config;
  size_t H = c->num_heads, d = c->head_dim;
  char map[64], gain[64];
  snprintf(map, sizeof map, "self_attn.%s_proj.weight", which);
  snprintf(gain, sizeof gain, "self_attn.%s_norm.weight", which);
  double *y = rows(n, H * d);
  ref_linear(y, x, ref_find(m, prefix, map)->data, n, c->hidden_size, H * d);
  ref_rmsnorm(y, y, ref_find(m, prefix, gain)->data, n * H, d, c->rms_norm_eps);
  ref_rotary(y, position, n, H, d, c->rope_theta);
  return y;
}

/* y = Attn(RMSNorm(x)); the tensors of another layer where it uses those. */
static void attention_sublayer(const ref_model *m, size_t layer, const ref_batch *b, double *y, const double *x) {
  const sg_config *c = &m->config;
  size_t n = b->B * b->T, D = c->hidden_size, W = c->num_heads * c->head_dim;
  char prefix[64];
  while (c->layers[layer].attention_as) layer = (size_t)c->layers[layer].attention_as - 1;
  snprintf(prefix, sizeof prefix, "model.layers.%zu.", layer);
  int32_t *position = ref_alloc(n, sizeof *position);
  for (size_t i = 0; i < n; i++) position[i] = (int32_t)(i % b->T) - (b->starts ? b->starts[i] : 0);
  double *xn = rows(n, D), *v = rows(n, W), *o = rows(n, W);
  ref_rmsnorm(xn, x, ref_find(m, prefix, "input_layernorm.weight")->data, n, D, c->rms_norm_eps);
  double *q = project(m, prefix, "q", xn, position, n), *k = project(m, prefix, "k", xn, position, n);
  ref_linear(v, xn, ref_find(m, prefix, "self_attn.v_proj.weight")->data, n, D, W);
  const double *sinks = c->attention_sink[0] ? ref_find(m, prefix, "self_attn.sinks")->data : NULL;
  ref_attention(o, q, k, v, sinks, b->starts, b->B, b->T, 0, b->T, c->num_heads, c->head_dim);
  ref_linear(y, o, ref_find(m, prefix, "self_attn.o_proj.weight")->data, n, W, D);
  free(position);
  free(xn);
  free(q);
  free(k);
  free(v);
  free(o);
}

/* The model as a layer's feedforward sees it: with the fields of that layer's kind. */
static ref_model seen_by(const ref_model *m, size_t layer) {
  ref_model own = *m;
  own.config.layer = layer;
  const sg_feedforward *f = m->config.feedforwards + m->config.layers[layer].feedforward;
  if (!m->config.layers[layer].feedforward) return own;
  f--;
  memcpy(own.config.feedforward, f->kind, SG_NAME);
  memcpy(own.config.router, f->router, SG_NAME);
  memcpy(own.config.activation, f->activation, SG_NAME);
  own.config.num_neurons = f->num_neurons;
  own.config.num_channels = f->num_channels;
  own.config.top_k = f->top_k;
  own.config.key_dim = f->key_dim;
  own.config.options = f->options;
  memcpy(own.config.decomposition, f->decomposition, SG_NAME);
  own.config.num_experts = f->num_experts;
  own.config.expert_dim = f->expert_dim;
  own.config.router_group = f->router_group;
  return own;
}

/* y += always_on(x) + sink_mlp(x), each neuron by itself: act(x . w_in) w_out. */
static void add_beside(const ref_model *m, const char *mlp, size_t n, double *y, const double *x, ref_choice *choice) {
  const sg_options *o = &m->config.options;
  size_t D = m->config.hidden_size;
  for (size_t i = 0; i < n && o->always_on; i++)
    for (size_t a = 0; a < o->always_on; a++) {
      double u = ref_dot(x + i * D, ref_find(m, mlp, "always.w_in")->data + a * D, D);
      double h = ref_activate(o->always_on_activation, u, choice);
      for (size_t d = 0; d < D; d++) y[i * D + d] += h * ref_find(m, mlp, "always.w_out")->data[a * D + d];
    }
  for (size_t i = 0; i < n && o->sink_mlp; i++)
    for (size_t f = 0; f < o->sink_mlp; f++) {
      double h = ref_gelu(ref_dot(x + i * D, ref_find(m, "model.sink_mlp.", "up_proj.weight")->data + f * D, D));
      const double *down = ref_find(m, "model.sink_mlp.", "down_proj.weight")->data;
      for (size_t d = 0; d < D; d++) y[i * D + d] += h * down[d * o->sink_mlp + f];
    }
}

/* y = FFN(RMSNorm(x)). */
static bool ffn_sublayer(ref_model *m, size_t layer, size_t n, double *y, const double *x, ref_choice *choice) {
  size_t D = m->config.hidden_size;
  char prefix[64], mlp[96];
  while (m->config.layers[layer].feedforward_as) layer = (size_t)m->config.layers[layer].feedforward_as - 1;
  snprintf(prefix, sizeof prefix, "model.layers.%zu.", layer);
  snprintf(mlp, sizeof mlp, "%smlp.", prefix);
  double *xn = rows(n, D);
  ref_rmsnorm(xn, x, ref_find(m, prefix, "post_attention_layernorm.weight")->data, n, D, m->config.rms_norm_eps);
  ref_model own = seen_by(m, layer);
  bool known = ref_ffn(&own, mlp, n, y, xn, choice);
  add_beside(&own, mlp, n, y, xn, choice);
  memcpy(m->gates, own.gates, sizeof m->gates);
  m->index = own.index;
  m->score = own.score;
  m->pools = own.pools;
  m->picks = own.picks;
  free(xn);
  return known;
}

static void add_to(double *x, double a, const double *y, size_t count) {
  for (size_t i = 0; i < count; i++) x[i] += a * y[i];
}

/* k = Attn(x) + FFN(x) of one layer, whichever it has. */
static bool field(ref_model *m, size_t l, const ref_batch *b, double *k, const double *x, ref_choice *choice) {
  const sg_layer *layer = &m->config.layers[l];
  unsigned without = layer->absent | layer->pruned;
  size_t n = b->B * b->T, count = n * m->config.hidden_size;
  double *y = rows(n, m->config.hidden_size);
  bool known = true;
  memset(k, 0, count * sizeof *k);
  if (!(without & SG_ATTENTION)) attention_sublayer(m, l, b, y, x), add_to(k, 1, y, count);
  if (!(without & SG_FEEDFORWARD)) known = ffn_sublayer(m, l, n, y, x, choice), add_to(k, 1, y, count);
  free(y);
  return known;
}

static bool is_form(const ref_model *m, const char *name) { return !strcmp(m->config.layer_form, name); }

/* One step of length h, from the Butcher tables: x += h sum b_i k_i, k_i = f(x + h sum a_ij
 * k_j). */
static bool ode_step(ref_model *m, size_t l, const ref_batch *b, double *x, double h, ref_choice *choice) {
  static const double half[4][4] = {{0}, {0.5}}, classic[4][4] = {{0}, {0.5}, {0, 0.5}, {0, 0, 1}};
  static const double one[4] = {1}, second[4] = {0, 1}, four[4] = {1. / 6, 1. / 3, 1. / 3, 1. / 6};
  bool rk4 = is_form(m, "rk4"), midpoint = is_form(m, "midpoint");
  size_t stages = rk4 ? 4 : midpoint ? 2 : 1, n = b->B * b->T, count = n * m->config.hidden_size;
  const double *weight = rk4 ? four : midpoint ? second : one;
  double *k[4] = {0}, *u = rows(n, m->config.hidden_size);
  bool known = true;
  for (size_t i = 0; i < stages; i++) {
    k[i] = rows(n, m->config.hidden_size);
    memcpy(u, x, count * sizeof *u);
    for (size_t j = 0; j < i; j++) add_to(u, h * (rk4 ? classic : half)[i][j], k[j], count);
    known = field(m, l, b, k[i], u, choice ? choice + i : NULL) && known;
  }
  for (size_t i = 0; i < stages; i++) add_to(x, h * weight[i], k[i], count), free(k[i]);
  free(u);
  return known;
}

size_t ref_evaluations(const sg_config *c) {
  size_t stages = !strcmp(c->layer_form, "rk4") ? 4 : !strcmp(c->layer_form, "midpoint") ? 2 : 1;
  return stages * (c->ode_steps ? c->ode_steps : 1);
}

static bool one_layer(ref_model *m, size_t l, const ref_batch *b, double *x, ref_choice *choice) {
  const sg_layer *layer = &m->config.layers[l];
  unsigned without = layer->absent | layer->pruned;
  size_t n = b->B * b->T, count = n * m->config.hidden_size, steps = m->config.ode_steps ? m->config.ode_steps : 1;
  bool known = true;
  if (m->config.layer_form[0] && !is_form(m, "sequential")) {
    size_t stages = ref_evaluations(&m->config) / steps;
    for (size_t i = 0; i < steps; i++)
      known = ode_step(m, l, b, x, 1.0 / (double)steps, choice ? choice + i * stages : NULL) && known;
    return known;
  }
  double *y = rows(n, m->config.hidden_size);
  if (!(without & SG_ATTENTION)) attention_sublayer(m, l, b, y, x), add_to(x, 1, y, count);
  if (!(without & SG_FEEDFORWARD)) known = ffn_sublayer(m, l, n, y, x, choice), add_to(x, 1, y, count);
  free(y);
  return known;
}

static void loss(const ref_model *m, const ref_batch *b, const double *logits, ref_result *r) {
  size_t n = b->B * b->T, V = m->config.vocab_size;
  double sum = 0;
  r->targets = 0;
  for (size_t i = 0; i < n; i++) {
    double nll = ref_nll(logits + i * V, b->targets[i], V);
    if (r->nll) r->nll[i] = nll;
    if (b->targets[i] == m->config.pad_id) continue;
    sum += nll;
    r->targets++;
  }
  r->loss = r->targets ? sum / (double)r->targets : 0;
}

bool ref_forward(ref_model *m, const ref_batch *b, ref_result *r) {
  const sg_config *c = &m->config;
  size_t n = b->B * b->T, D = c->hidden_size, V = c->vocab_size;
  const double *E = ref_find(m, "", "model.embed_tokens.weight")->data;
  double *x = rows(n, D), *logits = r->logits ? r->logits : rows(n, V);
  for (size_t i = 0; i < n; i++) memcpy(x + i * D, E + (size_t)b->inputs[i] * D, D * sizeof *x);
  bool known = true;
  m->batch = b;
  for (size_t l = 0; l < c->num_layers; l++) {
    known = one_layer(m, l, b, x, r->choices ? &r->choices[l * ref_evaluations(c)] : NULL) && known;
  }
  m->batch = NULL;
  ref_rmsnorm(x, x, ref_find(m, "", "model.norm.weight")->data, n, D, c->rms_norm_eps);
  ref_linear(logits, x, E, n, D, V);
  if (b->targets) loss(m, b, logits, r);
  free(x);
  if (logits != r->logits) free(logits);
  return known;
}
