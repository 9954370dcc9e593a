/* The feedforward layers: routers and kinds. Token by token. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ref/ref.h"

static void decide(ref_choice *c, uint64_t what) { c->decisions = (c->decisions ^ what) * 0x100000001b3u + 1; }

/* ---- routers: u, the scores to choose from, of one token row x ------------------------------- */

/* u (width) = (x A) B. */
static uint64_t dense_scores(const ref_model *m, const char *prefix, double *u, const double *x) {
  size_t Q = m->config.key_dim, D = m->config.hidden_size;
  const ref_tensor *up = ref_find(m, prefix, "router.up.weight");
  double *h = ref_alloc(Q, sizeof *h);
  uint64_t work = ref_linear(h, x, ref_find(m, prefix, "router.down.weight")->data, 1, D, Q);
  work += ref_linear(u, h, up->data, 1, Q, up->count / Q);
  free(h);
  return work;
}

/* u (g, width) = (x Wq[g]) . keys[g] / sqrt(parts * Q) for each group g: a channel, or a part of a
 * channel.
 */
static uint64_t key_value_scores(const ref_model *m, const char *prefix, double *u, const double *x, size_t groups,
                                 size_t parts) {
  size_t Q = m->config.key_dim, D = m->config.hidden_size;
  const ref_tensor *query = ref_find(m, prefix, "router.query.weight"), *keys = ref_find(m, prefix, "router.keys");
  size_t width = keys->count / groups / Q;
  double *q = ref_alloc(Q, sizeof *q);
  uint64_t work = 0;
  for (size_t g = 0; g < groups; g++) {
    work += ref_linear(q, x, query->data + g * Q * D, 1, D, Q);
    work += ref_linear(u + g * width, q, keys->data + g * width * Q, 1, Q, width);
    for (size_t f = 0; f < width; f++) u[g * width + f] /= sqrt((double)(parts * Q));
  }
  free(q);
  return work;
}

static bool is_product(const sg_config *c) { return !strncmp(c->router, "product_", 8); }

static size_t sub_keys(const sg_config *c) {
  size_t s = 0;
  while ((s + 1) * (s + 1) <= c->num_neurons) s++;
  return s;
}

static uint64_t router_scores(const ref_model *m, const char *prefix, double *u, const double *x) {
  size_t C = m->config.num_channels;
  if (!strcmp(m->config.router, "key_value")) return key_value_scores(m, prefix, u, x, C, 1);
  if (!strcmp(m->config.router, "product_key_value")) return key_value_scores(m, prefix, u, x, 2 * C, 2);
  return dense_scores(m, prefix, u, x); /* dense: (C,F); product_dense: (2,C,S) */
}

/* ---- choosing -------------------------------------------------------------------------------- */

/* Score of unit f of channel c. */
static double unit_score(const sg_config *cfg, const double *u, size_t c, size_t f) {
  size_t C = cfg->num_channels, F = cfg->num_neurons, S = sub_keys(cfg);
  return is_product(cfg) ? u[c * S + f / S] + u[(C + c) * S + f % S] : u[c * F + f];
}

/* The K largest sums of a pair out of the K largest of each part; pair (a,b) is unit a*S + b. Of
 * equal sums the earlier candidate, in the order rank in part 0, rank in part 1. */
static void choose_product(const sg_config *cfg, int32_t *index, const double *u, size_t c) {
  size_t C = cfg->num_channels, K = cfg->top_k, S = sub_keys(cfg);
  const double *u0 = u + c * S, *u1 = u + (C + c) * S;
  int32_t *a = ref_alloc(K, sizeof *a), *b = ref_alloc(K, sizeof *b);
  double *sum = ref_alloc(K * K, sizeof *sum);
  ref_top_k(a, u0, S, K);
  ref_top_k(b, u1, S, K);
  for (size_t i = 0; i < K; i++)
    for (size_t j = 0; j < K; j++) sum[i * K + j] = u0[a[i]] + u1[b[j]];
  ref_top_k(index, sum, K * K, K);
  for (size_t k = 0; k < K; k++) index[k] = a[(size_t)index[k] / K] * (int32_t)S + b[(size_t)index[k] % K];
  free(a);
  free(b);
  free(sum);
}

/* index, score (C,K) of token row i. */
static void route(const ref_model *m, const char *prefix, size_t i, int32_t *index, double *score, const double *x,
                  ref_choice *choice) {
  const sg_config *c = &m->config;
  size_t C = c->num_channels, K = c->top_k;
  double *u = ref_alloc(C * (is_product(c) ? 2 * sub_keys(c) : c->num_neurons), sizeof *u);
  choice->multiply_adds += router_scores(m, prefix, u, x);
  for (size_t ch = 0; ch < C; ch++) {
    if (choice->held)
      memcpy(index + ch * K, choice->held + (i * C + ch) * K, K * sizeof *index);
    else if (is_product(c))
      choose_product(c, index + ch * K, u, ch);
    else
      ref_top_k(index + ch * K, u + ch * c->num_neurons, c->num_neurons, K);
    for (size_t k = ch * K; k < (ch + 1) * K; k++) score[k] = unit_score(c, u, ch, (size_t)index[k]);
  }
  free(u);
}

/* Hands out what token row i chose, `units` of them. */
static void report(ref_choice *choice, size_t i, size_t units, const int32_t *index, const double *score,
                   const double *value) {
  if (choice->index) memcpy(choice->index + i * units, index, units * sizeof *index);
  if (choice->score) memcpy(choice->score + i * units, score, units * sizeof *score);
  if (choice->value && value) memcpy(choice->value + i * units, value, units * sizeof *value);
  for (size_t k = 0; k < units; k++) decide(choice, (uint64_t)index[k]);
}

/* ---- kinds ----------------------------------------------------------------------------------- */

double ref_activate(const char *name, double x, ref_choice *choice) {
  if (choice && (!strcmp(name, "relu") || !strcmp(name, "relu2"))) decide(choice, x > 0);
  return !strcmp(name, "gelu")    ? ref_gelu(x)
         : !strcmp(name, "relu")  ? ref_relu(x)
         : !strcmp(name, "relu2") ? ref_relu(x) * ref_relu(x)
         : !strcmp(name, "swish") ? ref_swish(x)
                                  : ref_identity(x);
}

static bool has_gates(const sg_config *c) { return c->options.gates[0] != 0; }

/* What a gate leaves of a score: s where it passes the channel's threshold, else 0. */
static double gated(const ref_model *m, const char *prefix, size_t i, size_t entry, double score, ref_choice *choice) {
  const sg_config *c = &m->config;
  const double *theta = ref_find(m, prefix, "router.threshold")->data;
  bool acts = score > theta[entry / c->top_k];
  decide(choice, acts);
  return (acts ? score : 0) + (choice->shift ? choice->shift[i * c->num_channels * c->top_k + entry] : 0);
}

static bool has_router(const sg_config *c) { return c->router_group <= 1 || c->layer % c->router_group == 0; }

/* What the layer's router chooses, or what that of its group's first layer chose: only a group's
 * layers have room for it, made for their sizes (prepare). */
static void route_or_take(const ref_model *m, const char *prefix, size_t i, int32_t *index, double *score,
                          const double *x, ref_choice *choice) {
  size_t units = m->config.num_channels * m->config.top_k;
  if (has_router(&m->config)) {
    route(m, prefix, i, index, score, x, choice);
    if (m->config.router_group <= 1) return;
    memcpy(m->index + i * units, index, units * sizeof *index);
    memcpy(m->score + i * units, score, units * sizeof *score);
  } else {
    memcpy(index, m->index + i * units, units * sizeof *index);
    memcpy(score, m->score + i * units, units * sizeof *score);
  }
}

/* With gates their J stands for the score, and in peer's for the softmax, too.
 * y = sum over c, k of value w_out; value is act((x . w_in) score) for sgatlin, act(x . w_in + b)
 * softmax(score) for peer, whose channels share one pool. */
static void sparse_neurons(const ref_model *m, const char *prefix, bool peer, size_t i, double *y, const double *x,
                           ref_choice *choice) {
  const sg_config *c = &m->config;
  size_t C = c->num_channels, K = c->top_k, D = c->hidden_size, F = c->num_neurons;
  const double *w_in = ref_find(m, prefix, "experts.w_in")->data, *w_out = ref_find(m, prefix, "experts.w_out")->data;
  int32_t *index = ref_alloc(C * K, sizeof *index);
  double *score = ref_alloc(C * K, sizeof *score), *value = ref_alloc(C * K, sizeof *value),
         *p = ref_alloc(C * K, sizeof *p);
  const double *b_in = c->options.bias ? ref_find(m, prefix, "experts.b_in")->data : NULL;
  route_or_take(m, prefix, i, index, score, x, choice);
  memcpy(p, score, C * K * sizeof *p);
  for (size_t ch = 0; ch < C && peer && !has_gates(c); ch++) ref_softmax(p + ch * K, K);
  for (size_t k = 0; k < C * K && has_gates(c); k++) p[k] = gated(m, prefix, i, k, score[k], choice);
  memset(y, 0, D * sizeof *y);
  for (size_t ch = 0; ch < C; ch++)
    for (size_t k = ch * K; k < (ch + 1) * K; k++) {
      size_t neuron = (peer ? 0 : ch * F) + (size_t)index[k];
      double a = ref_dot(x, w_in + neuron * D, D) + (b_in ? b_in[neuron] : 0);
      value[k] = peer ? ref_activate(c->activation, a, choice) * p[k] : ref_activate(c->activation, a * p[k], choice);
      for (size_t d = 0; d < D; d++) y[d] += value[k] * w_out[neuron * D + d];
      choice->multiply_adds += 2 * D;
    }
  report(choice, i, C * K, index, score, value);
  free(index);
  free(score);
  free(value);
  free(p);
}

/* y = act(x W1) W2. */
static void mlp(const ref_model *m, const char *prefix, double *y, const double *x, ref_choice *choice) {
  size_t D = m->config.hidden_size, F = m->config.num_neurons;
  double *h = ref_alloc(F, sizeof *h);
  choice->multiply_adds += ref_linear(h, x, ref_find(m, prefix, "up_proj.weight")->data, 1, D, F);
  for (size_t f = 0; f < F; f++) h[f] = ref_activate(m->config.activation, h[f], choice);
  choice->multiply_adds += ref_linear(y, h, ref_find(m, prefix, "down_proj.weight")->data, 1, F, D);
  free(h);
}

/* [g, l] = x W1 + b1; y = glu(g, l) W2 + b2. Unit e of stacked tensors. */
static void glu(const ref_model *m, const char *prefix, size_t e, double *y, const double *x, ref_choice *choice) {
  size_t D = m->config.hidden_size, F = m->config.num_neurons;
  const double *w1 = ref_find(m, prefix, "gate_up_proj.weight")->data + e * 2 * F * D;
  const double *b1 = ref_find(m, prefix, "gate_up_proj.bias")->data + e * 2 * F;
  const double *w2 = ref_find(m, prefix, "down_proj.weight")->data + e * D * F;
  const double *b2 = ref_find(m, prefix, "down_proj.bias")->data + e * D;
  double *u = ref_alloc(2 * F, sizeof *u), *h = ref_alloc(F, sizeof *h);
  choice->multiply_adds += ref_linear(u, x, w1, 1, D, 2 * F);
  for (size_t f = 0; f < F; f++) {
    double g = u[f] + b1[f], l = u[F + f] + b1[F + f];
    decide(choice, (g > 7) + 2 * (l > 7) + 4 * (l < -7));
    h[f] = ref_glu(g, l);
  }
  choice->multiply_adds += ref_linear(y, h, w2, 1, F, D);
  for (size_t d = 0; d < D; d++) y[d] += b2[d];
  free(u);
  free(h);
}

/* y = sum over the K experts of largest logit of softmax(logits over all C)[e] glu_e(x). */
static void moe(const ref_model *m, const char *prefix, size_t i, double *y, const double *x, ref_choice *choice) {
  const sg_config *c = &m->config;
  size_t C = c->num_channels, K = c->top_k, D = c->hidden_size;
  char experts[160];
  size_t length = strlen(prefix);
  memcpy(experts, prefix, length);
  memcpy(experts + length, "experts.", sizeof "experts.");
  double *p = ref_alloc(C, sizeof *p), *score = ref_alloc(K, sizeof *score), *out = ref_alloc(D, sizeof *out);
  int32_t *index = ref_alloc(K, sizeof *index);
  choice->multiply_adds += ref_linear(p, x, ref_find(m, prefix, "gate.weight")->data, 1, D, C);
  if (choice->held)
    memcpy(index, choice->held + i * K, K * sizeof *index);
  else
    ref_top_k(index, p, C, K);
  for (size_t k = 0; k < K; k++) score[k] = p[index[k]];
  ref_softmax(p, C);
  memset(y, 0, D * sizeof *y);
  for (size_t k = 0; k < K; k++) {
    glu(m, experts, (size_t)index[k], out, x, choice);
    for (size_t d = 0; d < D; d++) y[d] += p[index[k]] * out[d];
  }
  report(choice, i, K, index, score, NULL);
  free(p);
  free(score);
  free(out);
  free(index);
}

/* ---- monet ----------------------------------------------------------------------------------- */

/* The x with a share s of a normal above it, by halving. */
static double normal_above(double s) {
  double low = -40, high = 40;
  for (int i = 0; i < 200; i++) {
    double x = (low + high) / 2;
    if (0.5 * erfc(x / sqrt(2)) > s)
      low = x;
    else
      high = x;
  }
  return low;
}

/* g (n,C,N) of one axis: a softmax of the scores whose normed value is at least theta. */
static void monet_gates(const ref_model *m, const char *prefix, int axis, size_t n, double *g, const double *x,
                        ref_choice *choice) {
  const sg_config *c = &m->config;
  size_t C = c->num_channels, N = c->num_experts, D = c->hidden_size;
  const ref_tensor *w = ref_find(m, prefix, axis ? "router.w2.weight" : "router.w1.weight");
  const double *mean = ref_find(m, prefix, axis ? "router.running_mean2" : "router.running_mean1")->data;
  const double *variance = ref_find(m, prefix, axis ? "router.running_var2" : "router.running_var1")->data;
  double quantile = c->top_k == N ? -INFINITY : normal_above((double)c->top_k / (double)N);
  choice->multiply_adds += ref_linear(g, x, w->data, n, D, C * N);
  for (size_t i = 0; i < n * C; i++) {
    double *z = g + i * N, most = -INFINITY, sum = 0;
    for (size_t k = 0; k < N; k++) most = fmax(most, z[k]);
#define NORMED(z) (((z)-mean[i % C]) / sqrt(variance[i % C] + 1e-5))
    double theta = fmin(NORMED(most), quantile);
    for (size_t k = 0; k < N; k++) {
      bool passes = NORMED(z[k]) >= theta;
      decide(choice, passes);
      z[k] = passes ? exp(z[k] - most) : 0;
      sum += z[k];
    }
#undef NORMED
    for (size_t k = 0; k < N; k++) z[k] /= sum;
  }
}

static double squared_relu(const ref_model *m, const char *prefix, const char *which, size_t row, const double *x,
                           ref_choice *choice) {
  char weight[32], bias[32];
  size_t D = m->config.hidden_size;
  snprintf(weight, sizeof weight, "moe.%s.weight", which);
  snprintf(bias, sizeof bias, "moe.%s.bias", which);
  double a = ref_dot(ref_find(m, prefix, weight)->data + row * D, x, D) + ref_find(m, prefix, bias)->data[row];
  decide(choice, a > 0);
  return a > 0 ? a * a : 0;
}

/* What a composed layer reads: of the horizontal form the first of each. */
typedef struct monet_maps {
  bool vertical;
  const double *own[2], *crossed[2], *b[2]; /* by half of y: v11, v21; v12, v22; b1, b2 */
} monet_maps;

static monet_maps monet_open(const ref_model *m, const char *prefix) {
  static const char *const names[3][2] = {
      {"moe.v11.weight", "moe.v21.weight"}, {"moe.v12.weight", "moe.v22.weight"}, {"moe.b1", "moe.b2"}};
  monet_maps o = {.vertical = !strcmp(m->config.decomposition, "vertical")};
  if (!o.vertical) {
    o.own[0] = ref_find(m, prefix, "moe.v.weight")->data;
    o.b[0] = ref_find(m, prefix, "moe.b")->data;
    return o;
  }
  for (int k = 0; k < 2; k++) {
    o.own[k] = ref_find(m, prefix, names[0][k])->data;
    o.crossed[k] = ref_find(m, prefix, names[1][k])->data;
    o.b[k] = ref_find(m, prefix, names[2][k])->data;
  }
  return o;
}

/* y (D) += gate times the output of expert (i,j), whose hidden units are first of i and, vertical,
 * second of j. */
static void monet_expert(const sg_config *c, const monet_maps *o, size_t i, size_t j, double gate, const double *first,
                         const double *second, double *y) {
  size_t D = c->hidden_size, N = c->num_experts, M = c->expert_dim, W = M / 2;
  for (size_t d = 0; d < D; d++) {
    double sum;
    if (!o->vertical) {
      sum = ref_dot(o->own[0] + (d * N + j) * M, first + i * M, M) + o->b[0][j * D + d];
    } else {
      size_t upper = d >= D / 2, e = d - upper * (D / 2), own = upper ? j : i;
      sum = ref_dot(o->own[upper] + (e * N + own) * W, first + i * W, W) +
            ref_dot(o->crossed[upper] + (e * N + own) * W, second + j * W, W) + o->b[upper][own * (D / 2) + e];
    }
    y[d] += gate * sum;
  }
}

/* Expert by expert: y = sum over heads, i, j of g1[i] g2[j] times what the composed expert (i,j)
 * makes of x. */
static void monet_row(const ref_model *m, const char *prefix, size_t row, double *y, const double *x,
                      ref_choice *choice) {
  const sg_config *c = &m->config;
  size_t C = c->num_channels, N = c->num_experts, M = c->expert_dim, D = c->hidden_size, W = M / 2;
  monet_maps o = monet_open(m, prefix);
  double *first = ref_alloc(N * M, sizeof *first), *second = ref_alloc(N * M, sizeof *second);
  for (size_t k = 0; k < N * (o.vertical ? W : M); k++)
    first[k] = squared_relu(m, prefix, o.vertical ? "u1" : "u", k, x, choice);
  for (size_t k = 0; k < N * W && o.vertical; k++) second[k] = squared_relu(m, prefix, "u2", k, x, choice);
  memset(y, 0, D * sizeof *y);
  for (size_t i = 0; i < N; i++)
    for (size_t j = 0; j < N; j++) {
      double gate = 0;
      for (size_t h = 0; h < C; h++) gate += m->gates[0][(row * C + h) * N + i] * m->gates[1][(row * C + h) * N + j];
      if (gate > 0) monet_expert(c, &o, i, j, gate, first, second, y);
    }
  choice->multiply_adds += 2 * D * N * M + 2 * C * N * M; /* of the form that shares what experts have in common */
  free(first);
  free(second);
}

/* Gates of all rows, where the layer has a router; room for what others choose. */
static void prepare(ref_model *m, const char *prefix, size_t n, const double *x, ref_choice *choice) {
  size_t units = n * m->config.num_channels * m->config.top_k;
  if (m->config.router_group > 1 && has_router(&m->config)) {
    free(m->index), free(m->score);
    m->index = ref_alloc(units, sizeof *m->index);
    m->score = ref_alloc(units, sizeof *m->score);
  }
  if (strcmp(m->config.feedforward, "monet") || !has_router(&m->config)) return;
  for (int axis = 0; axis < 2; axis++) {
    free(m->gates[axis]);
    m->gates[axis] = ref_alloc(n * m->config.num_channels * m->config.num_experts, sizeof(double));
    monet_gates(m, prefix, axis, n, m->gates[axis], x, choice);
  }
}

/* ---- the list -------------------------------------------------------------------------------- */

static void sgatlin_row(const ref_model *m, const char *prefix, size_t i, double *y, const double *x, ref_choice *c) {
  sparse_neurons(m, prefix, false, i, y, x, c);
}
static void peer_row(const ref_model *m, const char *prefix, size_t i, double *y, const double *x, ref_choice *c) {
  sparse_neurons(m, prefix, true, i, y, x, c);
}
static void mlp_row(const ref_model *m, const char *prefix, size_t i, double *y, const double *x, ref_choice *c) {
  (void)i;
  mlp(m, prefix, y, x, c);
}
static void glu_row(const ref_model *m, const char *prefix, size_t i, double *y, const double *x, ref_choice *c) {
  (void)i;
  glu(m, prefix, 0, y, x, c);
}

/* One row a kind: what it computes for token row i, its tensors beside the router's, and the
 * routers and activations that it is defined with (NULL: all). */
static const struct ref_kind {
  const char *name;
  void (*row)(const ref_model *m, const char *prefix, size_t i, double *y, const double *x, ref_choice *choice);
  ref_form forms[16];
  const char *router, *activation, *decomposition;
} kinds[] = {
    {"sgatlin",
     sgatlin_row,
     {{"experts.w_in", "C F D", 'F', true}, {"experts.w_out", "C F D", 'F', true}},
     NULL,
     NULL,
     NULL},
    {"peer",
     peer_row,
     {{"experts.w_in", "F D", 'F', true}, {"experts.w_out", "F D", 'F', true}},
     "product_key_value",
     NULL,
     NULL},
    {"mlp",
     mlp_row,
     {{"up_proj.weight", "F D", 'D', true}, {"down_proj.weight", "D F", 'F', true}},
     NULL,
     "gelu relu",
     NULL},
    {"glu",
     glu_row,
     {{"gate_up_proj.weight", "2F D", 'D', true},
      {"gate_up_proj.bias", "2F", '0', false},
      {"down_proj.weight", "D F", 'F', true},
      {"down_proj.bias", "D", '0', false}},
     NULL,
     "sigmoid",
     NULL},
    {"moe",
     moe,
     {{"gate.weight", "C D", 'D', true},
      {"experts.gate_up_proj.weight", "C 2F D", 'D', true},
      {"experts.gate_up_proj.bias", "C 2F", '0', false},
      {"experts.down_proj.weight", "C D F", 'F', true},
      {"experts.down_proj.bias", "C D", '0', false}},
     NULL,
     "sigmoid",
     NULL},
#define MONET_ROUTER \
  {"router.w1.weight", "CN D", 'D', true}, {"router.w2.weight", "CN D", 'D', true}, \
      {"router.running_mean1", "C", '0', false}, {"router.running_var1", "C", 'I', false}, \
      {"router.running_mean2", "C", '0', false}, { \
    "router.running_var2", "C", 'I', false \
  }
    {"monet",
     monet_row,
     {MONET_ROUTER,
      {"moe.u.weight", "P D", 'D', true},
      {"moe.u.bias", "P", '0', false},
      {"moe.v.weight", "D P", 'P', true},
      {"moe.b", "N D", '0', false}},
     NULL,
     "relu2",
     "horizontal"},
    {"monet",
     monet_row,
     {MONET_ROUTER,
      {"moe.u1.weight", "R D", 'D', true},
      {"moe.u1.bias", "R", '0', false},
      {"moe.u2.weight", "R D", 'D', true},
      {"moe.u2.bias", "R", '0', false},
      {"moe.v11.weight", "E R", 'R', true},
      {"moe.v12.weight", "E R", 'R', true},
      {"moe.v21.weight", "E R", 'R', true},
      {"moe.v22.weight", "E R", 'R', true},
      {"moe.b1", "N E", '0', false},
      {"moe.b2", "N E", '0', false}},
     NULL,
     "relu2",
     "vertical"},
};

static const struct {
  const char *name;
  ref_form forms[2];
} routers[] = {
    {"product_dense", {{"router.down.weight", "Q D", 'D', true}, {"router.up.weight", "2 C S Q", 'Q', true}}},
    {"dense", {{"router.down.weight", "Q D", 'D', true}, {"router.up.weight", "C F Q", 'Q', true}}},
    {"product_key_value", {{"router.query.weight", "2 C Q D", 'D', true}, {"router.keys", "2 C S Q", '1', true}}},
    {"key_value", {{"router.query.weight", "C Q D", 'D', true}, {"router.keys", "C F Q", '1', true}}},
};

static const struct ref_kind *kind_of(const sg_config *c) {
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
    if (!strcmp(kinds[i].name, c->feedforward) &&
        (!kinds[i].decomposition || !strcmp(kinds[i].decomposition, c->decomposition)))
      return &kinds[i];
  return NULL;
}

size_t ref_ffn_forms(const sg_config *c, ref_form out[REF_MOST_FORMS]) {
  const struct ref_kind *k = kind_of(c);
  size_t n = 0;
  for (size_t i = 0; k && i < 16 && k->forms[i].name; i++) out[n++] = k->forms[i];
  if (k && c->options.bias) out[n++] = (ref_form){"experts.b_in", "F", '0', false};
  for (size_t r = 0; k && has_router(c) && *c->router && r < sizeof routers / sizeof *routers; r++)
    for (size_t i = 0; i < 2 && !strcmp(routers[r].name, c->router); i++) out[n++] = routers[r].forms[i];
  if (k && has_gates(c)) out[n++] = (ref_form){"router.threshold", "C", '0', false};
  return n;
}

static bool is_word_of(const char *list, const char *name) {
  size_t n = strlen(name);
  for (const char *p = list; n && (p = strstr(p, name)); p += n)
    if ((p == list || p[-1] == ' ') && (!p[n] || p[n] == ' ')) return true;
  return false;
}

bool ref_ffn_takes(const sg_config *c) {
  const struct ref_kind *k = kind_of(c);
  return k && (!k->router || !strcmp(k->router, c->router)) &&
         (!k->activation || is_word_of(k->activation, c->activation));
}

size_t ref_factor(const sg_config *c, const char *text) {
  char *letter;
  size_t times = strtoul(text, &letter, 10);
  if (letter == text) times = 1;
  for (; *letter; letter++) {
    size_t value = *letter == 'D'   ? c->hidden_size
                   : *letter == 'F' ? c->num_neurons
                   : *letter == 'C' ? c->num_channels
                   : *letter == 'K' ? c->top_k
                   : *letter == 'Q' ? c->key_dim
                   : *letter == 'S' ? sub_keys(c)
                   : *letter == 'N' ? c->num_experts
                   : *letter == 'M' ? c->expert_dim
                   : *letter == 'E' ? c->hidden_size / 2
                   : *letter == 'W' ? c->expert_dim / 2
                   : *letter == 'P' ? c->num_experts * c->expert_dim
                   : *letter == 'R' ? c->num_experts * (c->expert_dim / 2)
                                    : 1;
    times *= value;
  }
  return times;
}

/* ---- metarouters ----------------------------------------------------------------------------- */

/* Of one row: the mean of z (n,M) over the first W positions of its document up to its own, or its
 * own z. */
static void gate_logits(const ref_model *m, size_t i, const double *z, double *out) {
  size_t M = m->config.options.meta_experts, W = m->config.options.meta_prefix, first = i, end = i + 1;
  if (!strcmp(m->config.options.meta_choice, "sequence")) {
    size_t T = m->batch ? m->batch->T : SIZE_MAX,
           start = m->batch && m->batch->starts ? (size_t)m->batch->starts[i] : 0;
    first = i / T * T + start;
    if (end - first > W) end = first + W;
  }
  memset(out, 0, M * sizeof *out);
  for (size_t u = first; u < end; u++)
    for (size_t e = 0; e < M; e++) out[e] += z[u * M + e] / (double)(end - first);
}

/* pools, picks of all rows; held choices of units say which pools they are of. */
static void choose_pools(ref_model *m, const char *prefix, size_t n, const double *x, ref_choice *choice) {
  const sg_config *c = &m->config;
  size_t M = c->options.meta_experts, k = c->options.meta_top_k, D = c->hidden_size, C = c->num_channels, K = c->top_k;
  double *z = ref_alloc(n * M, sizeof *z);
  free(m->pools);
  free(m->picks);
  m->pools = ref_alloc(n * M, sizeof *m->pools);
  m->picks = ref_alloc(n * k, sizeof *m->picks);
  choice->multiply_adds += ref_linear(z, x, ref_find(m, prefix, "meta.gate.weight")->data, n, D, M);
  for (size_t i = 0; i < n; i++) {
    gate_logits(m, i, z, m->pools + i * M);
    ref_top_k(m->picks + i * k, m->pools + i * M, M, k);
    ref_softmax(m->pools + i * M, M);
    for (size_t q = 0; q < k; q++) {
      if (choice->held) m->picks[i * k + q] = choice->held[(i * C * k + q) * K] / (int32_t)c->num_neurons;
      decide(choice, (uint64_t)m->picks[i * k + q]);
    }
  }
  free(z);
}

/* y = sum over the picks of p_e times the kind on pool e; units of pool e are number e F and on. */
static void pooled_row(const ref_model *m, const char *prefix, const struct ref_kind *kind, size_t i, double *y,
                       const double *x, ref_choice *choice) {
  const sg_config *c = &m->config;
  size_t M = c->options.meta_experts, k = c->options.meta_top_k, D = c->hidden_size, C = c->num_channels, K = c->top_k;
  ref_model own = *m;
  own.config.options.meta_experts = 0;
  int32_t *held = ref_alloc(C * K, sizeof *held), *index = ref_alloc(C * K, sizeof *index);
  double *score = ref_alloc(C * K, sizeof *score), *value = ref_alloc(C * K, sizeof *value),
         *out = ref_alloc(D, sizeof *out);
  memset(y, 0, D * sizeof *y);
  for (size_t q = 0; q < k; q++) {
    size_t e = (size_t)m->picks[i * k + q], first = e * c->num_neurons;
    double p = m->pools[i * M + e];
    char pool[192];
    snprintf(pool, sizeof pool, "%smeta.%zu.", prefix, e);
    ref_choice one = {.held = choice->held ? held : NULL, .index = index, .score = score, .value = value};
    for (size_t j = 0; j < C * K && choice->held; j++)
      held[j] = choice->held[((i * C + j / K) * k + q) * K + j % K] - (int32_t)first;
    kind->row(&own, pool, 0, out, x, &one);
    for (size_t d = 0; d < D; d++) y[d] += p * out[d];
    choice->multiply_adds += one.multiply_adds;
    decide(choice, one.decisions);
    for (size_t j = 0; j < C * K; j++) {
      size_t at = ((i * C + j / K) * k + q) * K + j % K;
      if (choice->index) choice->index[at] = index[j] + (int32_t)first;
      if (choice->score) choice->score[at] = score[j];
      if (choice->value) choice->value[at] = p * value[j];
    }
  }
  free(held);
  free(index);
  free(score);
  free(value);
  free(out);
}

static bool pooled(ref_model *m, const char *prefix, const struct ref_kind *kind, size_t n, double *y, const double *x,
                   ref_choice *choice) {
  const sg_options *o = &m->config.options;
  size_t group = o->meta_group ? o->meta_group : !strcmp(o->meta_choice, "sequence") ? m->config.num_layers : 1;
  if (m->config.layer % group == 0) choose_pools(m, prefix, n, x, choice);
  for (size_t i = 0; i < n; i++)
    pooled_row(m, prefix, kind, i, y + i * m->config.hidden_size, x + i * m->config.hidden_size, choice);
  return true;
}

bool ref_ffn(ref_model *m, const char *prefix, size_t n, double *y, const double *x, ref_choice *choice) {
  const struct ref_kind *k = kind_of(&m->config);
  size_t D = m->config.hidden_size;
  ref_choice nobody = {0};
  if (k && m->config.options.meta_experts) return pooled(m, prefix, k, n, y, x, choice ? choice : &nobody);
  if (k) prepare(m, prefix, n, x, choice ? choice : &nobody);
  for (size_t i = 0; k && i < n; i++) k->row(m, prefix, i, y + i * D, x + i * D, choice ? choice : &nobody);
  return k != NULL;
}
