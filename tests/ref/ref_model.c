/* Weights by name, and the transformer around the feedforward layers. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ref/ref.h"

ref_model *ref_open(const sg_config *c, const sg_tensor *tensors, size_t count) {
  ref_model *m = ref_alloc(1, sizeof *m);
  m->config = *c;
  m->count = count;
  m->tensors = ref_alloc(count, sizeof *m->tensors);
  for (size_t i = 0; i < count; i++) {
    ref_tensor *t = &m->tensors[i];
    snprintf(t->name, sizeof t->name, "%s", tensors[i].name);
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
  free(m);
}

ref_tensor *ref_find(const ref_model *m, const char *prefix, const char *name) {
  size_t length = strlen(prefix);
  for (size_t i = 0; i < m->count; i++)
    if (!strncmp(m->tensors[i].name, prefix, length) && !strcmp(m->tensors[i].name + length, name))
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

/* x += Attn(RMSNorm(x)). */
static void attention_sublayer(const ref_model *m, const char *prefix, const ref_batch *b, double *x) {
  const sg_config *c = &m->config;
  size_t n = b->B * b->T, D = c->hidden_size, W = c->num_heads * c->head_dim;
  int32_t *position = ref_alloc(n, sizeof *position);
  for (size_t i = 0; i < n; i++) position[i] = (int32_t)(i % b->T) - (b->starts ? b->starts[i] : 0);
  double *xn = rows(n, D), *v = rows(n, W), *o = rows(n, W), *y = rows(n, D);
  ref_rmsnorm(xn, x, ref_find(m, prefix, "input_layernorm.weight")->data, n, D, c->rms_norm_eps);
  double *q = project(m, prefix, "q", xn, position, n), *k = project(m, prefix, "k", xn, position, n);
  ref_linear(v, xn, ref_find(m, prefix, "self_attn.v_proj.weight")->data, n, D, W);
  ref_attention(o, q, k, v, b->starts, b->B, b->T, 0, b->T, c->num_heads, c->head_dim);
  ref_linear(y, o, ref_find(m, prefix, "self_attn.o_proj.weight")->data, n, W, D);
  for (size_t i = 0; i < n * D; i++) x[i] += y[i];
  free(position);
  free(xn);
  free(q);
  free(k);
  free(v);
  free(o);
  free(y);
}

/* x += FFN(RMSNorm(x)). */
static bool ffn_sublayer(const ref_model *m, const char *prefix, size_t n, double *x, ref_choice *choice) {
  size_t D = m->config.hidden_size;
  char mlp[96];
  snprintf(mlp, sizeof mlp, "%smlp.", prefix);
  double *xn = rows(n, D), *y = rows(n, D);
  ref_rmsnorm(xn, x, ref_find(m, prefix, "post_attention_layernorm.weight")->data, n, D, m->config.rms_norm_eps);
  bool known = ref_ffn(m, mlp, n, y, xn, choice);
  for (size_t i = 0; i < n * D; i++) x[i] += y[i];
  free(xn);
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

bool ref_forward(const ref_model *m, const ref_batch *b, ref_result *r) {
  const sg_config *c = &m->config;
  size_t n = b->B * b->T, D = c->hidden_size, V = c->vocab_size;
  const double *E = ref_find(m, "", "model.embed_tokens.weight")->data;
  double *x = rows(n, D), *logits = r->logits ? r->logits : rows(n, V);
  for (size_t i = 0; i < n; i++) memcpy(x + i * D, E + (size_t)b->inputs[i] * D, D * sizeof *x);
  bool known = true;
  for (size_t l = 0; l < c->num_layers; l++) {
    char prefix[64];
    snprintf(prefix, sizeof prefix, "model.layers.%zu.", l);
    attention_sublayer(m, prefix, b, x);
    known = ffn_sublayer(m, prefix, n, x, r->choices ? &r->choices[l] : NULL) && known;
  }
  ref_rmsnorm(x, x, ref_find(m, "", "model.norm.weight")->data, n, D, c->rms_norm_eps);
  ref_linear(logits, x, E, n, D, V);
  if (b->targets) loss(m, b, logits, r);
  free(x);
  if (logits != r->logits) free(logits);
  return known;
}
