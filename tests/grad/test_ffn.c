/* Every registered feedforward kind, with every router and activation it takes: forward against the
 * reference in double, backward against central differences of the reference, added and not
 * assigned where the contract says so, and the same bits for any number of threads. Nothing here
 * names a kind: what varies follows from ops->uses and from what the kind's check accepts. */
#include <math.h>
#include <omp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "ffn/ffn.h"
#include "math/kernels.h"
#include "math/quantise.h"
#include "model/config.h"
#include "ref/ref.h"
#include "support/near.h"

static const double FORWARD_BOUND = 1e-5, GRADIENT_BOUND = 1e-4, ADDED_BOUND = 1e-6, ISA_BOUND = 1e-5;
/* Gradients are of order 1; below this they are rounding of something that cancels. */
static const double LEAST_SCALE = 1e-3;

typedef struct shape {
  size_t n, D, F, C, K, Q;
  double inputs;  /* their standard deviation: 4 reaches the clamps of glu */
  size_t samples; /* entries of a tensor to take differences of; 0: none */
} shape;

static const shape shapes[] = {
    {7, 20, 49, 3, 4, 12, 1, 24},
    {7, 20, 49, 3, 2, 12, 4, 24},
    {1, 9, 16, 1, 1, 5, 1, 24},
    {5, 17, 37, 5, 5, 3, 1, 24},
    {4, 3, 6, 2, 6, 1, 1, 24},
    {300, 11, 25, 2, 2, 5, 1, 20},
    {600, 48, 144, 4, 3, 16, 1, 0},
    /* An expert's rows are many, too; the gate's products need more room than a hidden row. */
    {900, 20, 36, 4, 3, 5, 1, 0},
    {600, 24, 9, 4, 1, 5, 1, 0},
};
static const char *const routers[] = {"product_dense", "dense", "product_key_value", "key_value"};
/* Of kinds with sub-experts their decompositions, of others options. */
static const char *const decompositions[] = {"horizontal", "vertical", NULL, NULL}, *const options[] = {
                                                                                        "", "jumprelu", "bias",
                                                                                        "jumprelu, bias"};
enum { VARIANTS = 4, FEW = 2 }; /* activations that options beyond FEW are tried with, of the list below */
static const char *const *variants_of(const sgi_ffn_ops *ops) {
  return ops->uses & SGI_USES_EXPERTS ? decompositions : options;
}
static const char *const activations[] = {"gelu", "relu2", "identity", "relu", "swish"};

/* ---- a layer with its data ------------------------------------------------------------------- */

enum { MAX_TENSORS = 16 };

typedef struct layer {
  char name[128];
  sg_config config;
  const sgi_ffn_ops *ops;
  size_t n;
  sgi_table table;
  float *w, *dw; /* arenas in the table's offsets */
  sgi_weight weights[MAX_TENSORS];
  const sgi_weight *weight[MAX_TENSORS];
  float *x, *y, *dx, *dy;
  sgi_arena saved, shared, scratch_forward, scratch_backward;
} layer;

static void *poisoned(size_t bytes) {
  void *p = sgi_alloc(bytes);
  assert_non_null(p);
  memset(p, 0xff, bytes); /* every float a NaN, every index -1: what is read before it is written shows */
  return p;
}

static sgi_arena block(size_t bytes) { return (sgi_arena){.base = poisoned(bytes), .size = bytes}; }

static float *floats(size_t count) { return poisoned(count * sizeof(float)); }

/* False where the kind does not take these settings. */
static bool make_config(sg_config *c, const sgi_ffn_ops *ops, const shape *s, const char *router,
                        const char *activation, const char *variant) {
  *c = (sg_config){
      .vocab_size = 3, .hidden_size = s->D, .head_dim = 2, .num_heads = 1, .num_layers = 1, .max_position = 1};
  c->rms_norm_eps = 1e-6;
  c->rope_theta = 1e4;
  if (!ops->pool) c->num_neurons = s->F;
  if (ops->uses & SGI_USES_EXPERTS) {
    c->num_experts = (size_t)sqrt((double)s->F);
    c->expert_dim = s->Q;
  }
  snprintf(c->decomposition, sizeof c->decomposition, "%s", ops->uses & SGI_USES_EXPERTS ? variant : "");
  if (ops->uses & SGI_USES_CHANNELS) c->num_channels = s->C;
  if (ops->uses & SGI_USES_TOP_K) c->top_k = s->K;
  if (ops->uses & SGI_USES_KEY_DIM) c->key_dim = s->Q;
  snprintf(c->feedforward, sizeof c->feedforward, "%s", ops->name);
  snprintf(c->router, sizeof c->router, "%s", router);
  snprintf(c->activation, sizeof c->activation, "%s", activation);
  snprintf(c->options.gates, sizeof c->options.gates, "%s", strstr(variant, "jumprelu") ? "jumprelu" : "");
  c->options.bias = strstr(variant, "bias") != NULL;
  if (c->options.gates[0]) c->options.bandwidth = 0.6;
  if (sg_config_check(c, NULL) != SG_OK) return false;
  sg_config whole = *c;
  sgi_config_view(&whole, 0, c);
  return true;
}

/* Normal numbers by a layer's size, kept: a third of this test's time went into drawing the same
 * ones for each activation. */
typedef struct normals {
  uint64_t state;
  ref_random random;
  double *drawn;
  size_t n, room, at;
} normals;

static normals *normals_of(uint64_t state) {
  static normals all[256];
  size_t i = 0;
  while (i < SGI_COUNT(all) - 1 && all[i].drawn && all[i].state != state) i++;
  if (all[i].state != state || !all[i].drawn) {
    free(all[i].drawn); /* the last place is taken over */
    all[i] = (normals){.state = state, .random = {.state = state}, .drawn = ref_alloc(1, sizeof(double)), .room = 1};
  }
  all[i].at = 0;
  return &all[i];
}

static void take(normals *r, float *x, size_t n, double mean, double sigma) {
  if (r->at + n > r->room) {
    r->room = 2 * (r->at + n);
    r->drawn = realloc(r->drawn, r->room * sizeof *r->drawn);
    assert_non_null(r->drawn);
  }
  for (size_t i = 0; i < n; i++, r->at++) {
    if (r->at == r->n) r->drawn[r->n++] = ref_normal(&r->random);
    x[i] = (float)(mean + sigma * r->drawn[r->at]);
  }
}

/* Weights as they start (biases and gains not 0 and 1), inputs and gradients normal. */
static void fill(layer *l, const shape *s) {
  normals *r = normals_of(l->table.parameters);
  for (size_t i = 0; i < l->table.count; i++) {
    const sgi_row *row = &l->table.rows[i];
    double sigma = row->init == SGI_INIT_ZERO ? 0.3 : row->init == SGI_INIT_ONE ? 0.1 : row->sigma;
    take(r, l->w + row->offset, row->count, row->init == SGI_INIT_ONE ? 1 : 0, sigma);
  }
  take(r, l->x, l->n * s->D, 0, s->inputs);
  take(r, l->dy, l->n * s->D, 0, 1);
}

static bool open_layer(layer *l, const sgi_ffn_ops *ops, const shape *s, const char *router, const char *activation,
                       const char *variant) {
  memset(l, 0, sizeof *l);
  if (!make_config(&l->config, ops, s, router, activation, variant)) return false;
  l->ops = ops;
  l->n = s->n;
  snprintf(l->name, sizeof l->name, "%s %s %s%s%s n=%zu D=%zu F=%zu C=%zu K=%zu Q=%zu", ops->name, router, activation,
           *variant ? " " : "", variant, s->n, s->D, s->F, l->config.num_channels, l->config.top_k, l->config.key_dim);
  assert_int_equal(ops->tensors(&l->config, "mlp.", &l->table, NULL), SG_OK);
  assert_true(l->table.count <= MAX_TENSORS);
  l->w = floats(l->table.floats);
  l->dw = floats(l->table.floats);
  for (size_t i = 0; i < l->table.count; i++) {
    const sgi_row *row = &l->table.rows[i];
    size_t width = row->dims[row->n_dims - 1];
    l->weights[i] = sgi_weight_floats(l->w + row->offset, row->count / width, width);
    l->weight[i] = &l->weights[i];
  }
  l->x = floats(s->n * s->D);
  l->y = floats(s->n * s->D);
  l->dx = floats(s->n * s->D);
  l->dy = floats(s->n * s->D);
  sgi_arena saved = {0}, shared = {0}, forward = {0}, backward = {0};
  ops->saved(&l->config, s->n, &saved);
  ops->scratch(&l->config, s->n, false, &forward);
  ops->scratch(&l->config, s->n, true, &backward);
  assert_true(backward.used >= forward.used); /* a pass with gradients runs both in one block */
  if (ops->shared) ops->shared(&l->config, s->n, true, &shared);
  l->shared = block(shared.used);
  l->saved = block(saved.used);
  l->scratch_forward = block(forward.used);
  l->scratch_backward = block(backward.used);
  fill(l, s);
  return true;
}

static void close_layer(layer *l) {
  sgi_table_deinit(&l->table);
  float *all[] = {l->w, l->dw, l->x, l->y, l->dx, l->dy};
  for (size_t i = 0; i < SGI_COUNT(all); i++) sgi_free(all[i]);
  sgi_free(l->saved.base);
  sgi_free(l->shared.base);
  sgi_free(l->scratch_forward.base);
  sgi_free(l->scratch_backward.base);
}

/* Forward and backward into y, dx and dw (added to what is there). */
static void run(layer *l) {
  float *dw[MAX_TENSORS];
  for (size_t i = 0; i < l->table.count; i++) dw[i] = l->dw + l->table.rows[i].offset;
  size_t bytes = l->n * l->config.hidden_size * sizeof(float);
  memset(l->y, 0xff, bytes);
  memset(l->dx, 0xff, bytes);
  memset(l->saved.base, 0xff, l->saved.size);
  memset(l->shared.base, 0xff, l->shared.size);
  memset(l->scratch_forward.base, 0xff, l->scratch_forward.size);
  memset(l->scratch_backward.base, 0xff, l->scratch_backward.size);
  sgi_ffn_call call = {.config = &l->config,
                       .w = l->weight,
                       .n = l->n,
                       .saved = l->saved,
                       .shared = l->shared,
                       .scratch = l->scratch_forward};
  assert_int_equal(sgi_ffn_forward(l->ops, &call, l->y, l->x), SG_OK);
  call = (sgi_ffn_call){.config = &l->config,
                        .w = l->weight,
                        .dw = dw,
                        .n = l->n,
                        .saved = l->saved,
                        .shared = l->shared,
                        .scratch = l->scratch_backward};
  if (l->ops->clear) l->ops->clear(&l->config, l->n, l->shared);
  assert_int_equal(sgi_ffn_backward(l->ops, &call, l->dx, l->dy, l->x), SG_OK);
}

static void run_from_zero(layer *l) {
  memset(l->dw, 0, l->table.floats * sizeof(float));
  run(l);
}

/* name is a word of list. */
static bool listed(const char *list, const char *name) {
  size_t n = strlen(name);
  for (const char *p = list; (p = strstr(p, name)); p += n)
    if ((p == list || p[-1] == ' ') && (p[n] == 0 || p[n] == ' ')) return true;
  return false;
}

/* Calls use for every kind, router, activation and shape that goes together. */
static void each_layer(void (*use)(layer *l, const shape *s)) {
  const sgi_ffn_ops *ops;
  const char *only = getenv("SGATLIN_TEST_KIND"); /* tools/mutants.sh */
  for (size_t i = 0; (ops = sgi_ffn_at(i)); i++) {
    if (only && !listed(only, ops->name)) continue;
    size_t n_routers = ops->uses & SGI_USES_ROUTER ? SGI_COUNT(routers) : 1;
    size_t n_activations = ops->uses & SGI_USES_ACTIVATION ? SGI_COUNT(activations) : 1, accepted = 0;
    for (size_t r = 0; r < n_routers; r++)
      for (size_t a = 0; a < n_activations; a++)
        for (size_t s = 0; s < VARIANTS * SGI_COUNT(shapes); s++) {
          layer l;
          const shape *size = &shapes[s % SGI_COUNT(shapes)];
          const char *variant = variants_of(ops)[s / SGI_COUNT(shapes)];
          const char *router = ops->uses & SGI_USES_ROUTER ? routers[r] : "";
          const char *activation = ops->uses & SGI_USES_ACTIVATION ? activations[a] : ops->default_activation;
          if (s / SGI_COUNT(shapes) >= 2 && a >= FEW) continue;
          if (!variant || !open_layer(&l, ops, size, router, activation, variant)) continue;
          use(&l, size);
          close_layer(&l);
          accepted++;
        }
    if (accepted < 4) fail_msg("%s: only %zu of the test's shapes are accepted", ops->name, accepted);
  }
  assert_true(sgi_ffn_at(0) != NULL);
}

/* Sizes and names that kinds with sub-experts could not compute. */
static void check_refused_experts(const sgi_ffn_ops *ops) {
  sg_config right, c;
  assert_true(make_config(&right, ops, &shapes[6], "", ops->default_activation, "vertical"));
  assert_int_equal(sg_config_check(&right, NULL), SG_OK);
  for (int wrong = 0; wrong < 5; wrong++) {
    c = right;
    c.num_neurons = 0; /* counted anew */
    if (wrong == 0) snprintf(c.decomposition, sizeof c.decomposition, "diagonal");
    if (wrong == 1) c.top_k = c.num_experts + 1;
    if (wrong == 2) c.expert_dim++; /* halves of it */
    if (wrong == 3) c.hidden_size++;
    if (wrong == 4) c.num_experts = 1 << 14, c.expert_dim = 1 << 10;
    if (sg_config_check(&c, NULL) != SG_ERR_ARG) fail_msg("%s: wrong sizes, number %d, are taken", ops->name, wrong);
  }
}

/* A kind takes the routers and activations that the reference knows it with, and no other: one
 * that it would not compute must not be believed. */
static void refusals_are_the_reference_s(void **state) {
  (void)state;
  const sgi_ffn_ops *ops;
  const char *only = getenv("SGATLIN_TEST_KIND");
  for (size_t i = 0; (ops = sgi_ffn_at(i)); i++) {
    if (only && !listed(only, ops->name)) continue;
    if (ops->uses & SGI_USES_EXPERTS) check_refused_experts(ops);
    size_t n_routers = ops->uses & SGI_USES_ROUTER ? SGI_COUNT(routers) : 1;
    for (size_t r = 0; r < n_routers; r++)
      for (size_t a = 0; a <= SGI_COUNT(activations); a++) {
        layer l;
        const char *router = ops->uses & SGI_USES_ROUTER ? routers[r] : "";
        const char *activation = a < SGI_COUNT(activations) ? activations[a] : ops->default_activation;
        bool taken = open_layer(&l, ops, &shapes[1], router, activation, variants_of(ops)[0]);
        if (taken != ref_ffn_takes(&l.config))
          fail_msg("%s with router \"%s\" and %s is %s", ops->name, router, activation,
                   taken ? "taken; the reference knows of no such thing" : "refused; the reference takes it");
        if (taken) close_layer(&l);
      }
  }
}

static void say(const char *name, const char *what, double value) {
  if (getenv("SGATLIN_TEST_VERBOSE")) print_message("%-70s %-10s %.2e\n", name, what, value);
}

static void check(const char *name, const char *what, double value, double bound) {
  if (!(value <= bound)) fail_msg("%s: %s differs by %.3g, tolerated %.1g", name, what, value, bound);
}

/* ---- against the reference ------------------------------------------------------------------- */

typedef struct reference {
  const layer *l;
  ref_model *m;
  double *x, *y, *dy;
  ref_choice choice;
} reference;

static reference open_reference(const layer *l) {
  reference r = {.l = l};
  sg_tensor t[MAX_TENSORS] = {0};
  for (size_t i = 0; i < l->table.count; i++) {
    const sgi_row *row = &l->table.rows[i];
    t[i] = (sg_tensor){.name = row->name, .n_dims = row->n_dims, .count = row->count, .data = l->w + row->offset};
    memcpy(t[i].dims, row->dims, sizeof t[i].dims);
  }
  size_t count = l->n * l->config.hidden_size,
         units = l->n * (l->config.top_k ? l->config.top_k * (l->config.num_channels + 1) : 1);
  r.m = ref_open(&l->config, t, l->table.count);
  r.x = ref_doubles(l->x, count);
  r.dy = ref_doubles(l->dy, count);
  r.y = ref_alloc(count, sizeof(double));
  r.choice.index = ref_alloc(units, sizeof(int32_t));
  r.choice.score = ref_alloc(units, sizeof(double));
  r.choice.value = ref_alloc(units, sizeof(double));
  if (!ref_ffn(r.m, "mlp.", l->n, r.y, r.x, &r.choice))
    fail_msg("%s: this kind has no reference (tests/ref/ref_ffn.c)", l->name);
  return r;
}

static void close_reference(reference *r) {
  ref_close(r->m);
  free(r->x);
  free(r->y);
  free(r->dy);
  free(r->choice.index);
  free(r->choice.score);
  free(r->choice.value);
}

/* Where two units' scores are equal but for float32's rounding, either choice is right: the
 * reference takes the layer's. Anything else that was chosen otherwise fails. */
static void settle_ties(const layer *l, reference *r, const sgi_gates *g) {
  size_t units = l->n * g->channels * g->top_k;
  if (!memcmp(g->index, r->choice.index, units * sizeof *g->index)) return;
  ref_choice held = {.held = g->index,
                     .index = ref_alloc(units, sizeof(int32_t)),
                     .score = ref_alloc(units, sizeof(double)),
                     .value = ref_alloc(units, sizeof(double))};
  assert_true(ref_ffn(r->m, "mlp.", l->n, r->y, r->x, &held));
  for (size_t i = 0; i < units; i++)
    if (g->index[i] != r->choice.index[i] &&
        !(fabs(held.score[i] - r->choice.score[i]) < 5e-7 * (1 + fabs(r->choice.score[i]))))
      fail_msg("%s: entry %zu of the gates is unit %d (score %.9g), expected %d (score %.9g)", l->name, i, g->index[i],
               held.score[i], r->choice.index[i], r->choice.score[i]);
  free(r->choice.index);
  free(r->choice.score);
  free(r->choice.value);
  r->choice = held;
  r->choice.held = NULL;
}

static void check_gates(const layer *l, reference *r) {
  if (!l->ops->gates) return;
  sgi_gates g;
  l->ops->gates(&l->config, l->n, l->saved, &g);
  size_t units = l->n * g.channels * g.top_k;
  settle_ties(l, r, &g);
  check(l->name, "router score", ref_difference(g.score, r->choice.score, units), FORWARD_BOUND);
  if (g.value) check(l->name, "gate value", ref_difference(g.value, r->choice.value, units), FORWARD_BOUND);
}

/* sum dy y with the units held that the reference chose. */
static double scalar(void *user, uint64_t *decisions) {
  reference *r = user;
  ref_choice held = {.held = r->choice.index};
  ref_ffn(r->m, "mlp.", r->l->n, r->y, r->x, &held);
  *decisions = held.decisions;
  return ref_dot(r->dy, r->y, r->l->n * r->l->config.hidden_size);
}

static size_t checked, skipped;

/* The estimate of the thresholds' gradient written out: of each candidate in the window the
 * derivative by what the gate leaves of its score, by differences, whether it acts or not. */
static void check_thresholds(const layer *l, reference *r) {
  const sg_config *c = &l->config;
  const double h = 1e-5;
  size_t C = c->num_channels, K = c->top_k;
  ptrdiff_t row = sgi_table_find(&l->table, "mlp.router.threshold");
  double *shift = ref_alloc(l->n * C * K, sizeof *shift), *expected = ref_alloc(C, sizeof *expected),
         most = LEAST_SCALE;
  const double *theta = ref_find(r->m, "mlp.", "router.threshold")->data;
  for (size_t i = 0; i < l->n * C * K; i++) {
    size_t ch = i / K % C;
    if (!(fabs(r->choice.score[i] - theta[ch]) < c->options.bandwidth / 2)) continue;
    if (!strncmp(c->activation, "relu", 4) && !(r->choice.score[i] > theta[ch])) continue; /* at the kink: 0 */
    double y[2];
    for (int side = 0; side < 2; side++) {
      ref_choice held = {.held = r->choice.index, .shift = shift};
      shift[i] = side ? -h : h;
      ref_ffn(r->m, "mlp.", l->n, r->y, r->x, &held);
      y[side] = ref_dot(r->dy, r->y, l->n * c->hidden_size);
    }
    shift[i] = 0;
    expected[ch] -= theta[ch] / c->options.bandwidth * (y[0] - y[1]) / (2 * h);
  }
  for (size_t ch = 0; ch < C; ch++) most = fmax(most, fabs(expected[ch]));
  for (size_t ch = 0; ch < C; ch++) {
    double got = (double)l->dw[l->table.rows[row].offset + ch];
    if (!(fabs(got - expected[ch]) < GRADIENT_BOUND * most))
      fail_msg("%s: gradient of threshold %zu is %g, its estimate written out %g", l->name, ch, got, expected[ch]);
  }
  free(shift), free(expected);
}

static void check_gradients(const layer *l, reference *r, size_t samples) {
  ref_report report = {0};
  ref_check_gradient(&report, "x", scalar, r, r->x, l->dx, l->n * l->config.hidden_size, samples, LEAST_SCALE);
  for (size_t i = 0; i < l->table.count; i++) {
    const sgi_row *row = &l->table.rows[i];
    if (row->threshold && l->n < 8) check_thresholds(l, r);
    if (row->threshold) continue;
    ref_check_gradient(&report, row->name, scalar, r, r->m->tensors[i].data, l->dw + row->offset, row->count, samples,
                       LEAST_SCALE);
  }
  say(l->name, "entries", report.entry);
  say(l->name, "directions", report.direction);
  if (!(report.entry < GRADIENT_BOUND)) fail_msg("%s: gradient of %s: %.3g", l->name, report.worst, report.entry);
  if (!(report.direction < GRADIENT_BOUND))
    fail_msg("%s: along all of %s: %.3g", l->name, report.worst_direction, report.direction);
  checked += report.checked;
  skipped += report.skipped;
}

static void check_against_reference(layer *l, const shape *s) {
  reference r = open_reference(l);
  run_from_zero(l);
  check_gates(l, &r);
  double forward = ref_difference(l->y, r.y, l->n * s->D);
  say(l->name, "forward", forward);
  check(l->name, "the output", forward, FORWARD_BOUND);
  assert_int_equal(r.choice.multiply_adds, l->n * l->ops->multiply_adds(&l->config));
  if (s->samples) check_gradients(l, &r, s->samples);
  close_reference(&r);
}

static void every_kind_against_the_reference(void **state) {
  (void)state;
  each_layer(check_against_reference);
  say("all kinds", "skipped", (double)skipped / (double)checked);
  assert_true(skipped * 100 < checked);
}

/* ---- the contract ---------------------------------------------------------------------------- */

/* Weight gradients add to what is there. */
static void check_added(layer *l, const shape *s) {
  (void)s;
  size_t count = l->table.floats;
  run_from_zero(l);
  float *from_zero = floats(count), *start = floats(count);
  memcpy(from_zero, l->dw, count * sizeof(float));
  ref_random r = {.state = 5};
  ref_fill(&r, start, count, 0, 1);
  memcpy(l->dw, start, count * sizeof(float));
  run(l);
  for (size_t t = 0; t < l->table.count; t++) {
    const sgi_row *row = &l->table.rows[t];
    double largest = 4, worst = 0; /* of the start */
    for (size_t i = row->offset; i < row->offset + row->count; i++) {
      largest = fmax(largest, fabs((double)from_zero[i]));
      worst = worse(worst, fabs((double)l->dw[i] - (double)start[i] - (double)from_zero[i]));
      if (from_zero[i] == 0) assert_true(l->dw[i] == start[i]);
    }
    check(l->name, row->name, worst / largest, ADDED_BOUND);
  }
  sgi_free(from_zero);
  sgi_free(start);
}

static void weight_gradients_are_added(void **state) {
  (void)state;
  each_layer(check_added);
}

/* ---- what a kind says of itself: tensors, units, sites --------------------------------------- */

/* Names, shapes, how they start and whether they decay: as the reference says, and nothing else. */
static void check_tensors(layer *l, const shape *s) {
  (void)s;
  ref_form forms[REF_MOST_FORMS];
  size_t n = ref_ffn_forms(&l->config, forms);
  if (n != l->table.count) fail_msg("%s: %zu tensors, the reference has %zu", l->name, l->table.count, n);
  for (size_t i = 0; i < n; i++) {
    char name[128], dims[64], *at = dims, *word;
    snprintf(name, sizeof name, "mlp.%s", forms[i].name);
    snprintf(dims, sizeof dims, "%s", forms[i].dims);
    ptrdiff_t found = sgi_table_find(&l->table, name);
    if (found < 0) fail_msg("%s: there is no %s", l->name, name);
    const sgi_row *row = &l->table.rows[found];
    int k = 0;
    for (; (word = strtok_r(at, " ", &at)); k++)
      if (k >= row->n_dims || row->dims[k] != ref_factor(&l->config, word))
        fail_msg("%s: %s: dim %d is not %s", l->name, name, k, word);
    assert_int_equal(k, row->n_dims);
    if (row->decay != forms[i].decay) fail_msg("%s: %s: weight decay should be %d", l->name, name, forms[i].decay);
    char start[2] = {forms[i].start, 0};
    double sigma = *start == '0' ? 0 : 1 / sqrt((double)ref_factor(&l->config, *start == '1' ? "" : start));
    if ((row->init == SGI_INIT_ONE) != (*start == 'I') || (row->init == SGI_INIT_ZERO) != (*start == '0') ||
        (*start != '0' && *start != 'I' && fabs(row->sigma - sigma) > 1e-12))
      fail_msg("%s: %s starts with deviation %g, expected %g", l->name, name, row->sigma, sigma);
  }
}

static void tensors_are_the_reference_s(void **state) {
  (void)state;
  each_layer(check_tensors);
}

static sgi_ffn_call forward_call(const layer *l, const sgi_tap *tap) {
  return (sgi_ffn_call){.config = &l->config,
                        .at = {.config = &l->config, .T = l->n},
                        .w = l->weight,
                        .n = l->n,
                        .saved = l->saved,
                        .shared = l->shared,
                        .scratch = l->scratch_forward,
                        .tap = tap};
}

static double dot_in(const layer *l, const sgi_unit *u, size_t row) {
  double sum = 0;
  for (size_t d = 0; d < l->config.hidden_size; d++)
    sum += (double)sgi_slice_at(&u->in, d) * (double)l->x[row * l->config.hidden_size + d];
  return sum;
}

static bool same_slice(const sgi_slice *a, const sgi_slice *b) {
  return a->weight == b->weight && a->at == b->at && a->stride == b->stride;
}

/* The units of a row are the layer there: value = gate (w_in . x) + constant, y = bias + sum value
 * w_out; unit_at names the same weights, and where no clamp holds the same value from the input it
 * names: gate (w_in . x + constant). */
static void check_units(layer *l, const shape *s) {
  size_t D = s->D, count = l->ops->unit_count(&l->config);
  sgi_unit *u = ref_alloc(count, sizeof *u), at;
  double *bias = ref_alloc(D, sizeof *bias), *sum = ref_alloc(D, sizeof *sum);
  sgi_ffn_call call = forward_call(l, NULL);
  assert_int_equal(sgi_ffn_forward(l->ops, &call, l->y, l->x), SG_OK);
  for (size_t i = 0; i < l->n && i < 8; i++) {
    l->ops->units(&call, i, u, bias);
    memcpy(sum, bias, D * sizeof *sum);
    for (size_t j = 0; j < count; j++) {
      double dot = dot_in(l, &u[j], i), held = u[j].gate * dot + u[j].constant, scale = 1 + fabs(u[j].value);
      if (!(fabs(held - u[j].value) < 1e-4 * scale))
        fail_msg("%s: unit %zu of row %zu is %g, its frozen form %g", l->name, j, i, u[j].value, held);
      if (!l->ops->unit_at(&l->config, l->weight, (size_t)u[j].channel, (size_t)u[j].index, &at) ||
          !same_slice(&at.in, &u[j].in) || !same_slice(&at.out, &u[j].out) || at.channel != u[j].channel ||
          at.index != u[j].index)
        fail_msg("%s: unit_at(%d, %d) has other weights than the unit", l->name, u[j].channel, u[j].index);
      if (fabs(dot + at.constant) < 5 && u[j].gate != 0 &&
          !(fabs(u[j].gate * (dot + at.constant) - u[j].value) < 1e-4 * scale))
        fail_msg("%s: unit %zu of row %zu is %g, from the input that unit_at names %g", l->name, j, i, u[j].value,
                 u[j].gate * (dot + at.constant));
      for (size_t d = 0; d < D; d++) sum[d] += u[j].value * (double)sgi_slice_at(&u[j].out, d);
    }
    check(l->name, "the sum of a row's units", ref_difference(l->y + i * D, sum, D), 1e-4);
  }
  if (l->ops->unit_at(&l->config, l->weight, 0, l->config.num_neurons, &at) ||
      l->ops->unit_at(&l->config, l->weight, (size_t)1 << 30, 0, &at))
    fail_msg("%s: unit_at gives units that are not there", l->name);
  free(u), free(bias), free(sum);
}

static void units_are_the_layer(void **state) {
  (void)state;
  each_layer(check_units);
}

/* A tap that notes what it sees and turns entry `entry` of the values of row `row` round; 0 becomes
 * 1. */
typedef struct watch {
  layer *l;
  size_t seen[4], row, entry; /* by role */
  bool turns;
  float was;
  int32_t *index; /* copies of whole sites */
  float *score;
} watch;

static sg_status watch_visit(void *user, const sgi_site *site, sg_error *err) {
  (void)err;
  watch *k = user;
  sgi_site_role role = sgi_site_row_of(site->id)->role;
  size_t width = sgi_site_width(site);
  k->seen[role] += site->n;
  if (role == SGI_SITE_CHOICE) memcpy(k->index, site->data, site->n * width * sizeof *k->index);
  if (role == SGI_SITE_SCORES && sgi_site_row_of(site->id)->chosen_by)
    memcpy(k->score, site->data, site->n * width * sizeof *k->score);
  if (k->turns && role == SGI_SITE_VALUES && k->row >= site->first && k->row < site->first + site->n) {
    float *value = (float *)site->data + (k->row - site->first) * width + k->entry;
    k->was = *value;
    *value = k->was != 0 ? -k->was : 1;
  }
  return SG_OK;
}

/* Thresholds in the midst of their scores, so that some candidates act and some do not; false where
 * the layer has none. */
static bool raise_thresholds(layer *l) {
  ptrdiff_t row = sgi_table_find(&l->table, "mlp.router.threshold");
  if (row < 0) return false;
  float *theta = l->w + l->table.rows[row].offset;
  size_t count = l->ops->unit_count(&l->config);
  sgi_gates g;
  run_from_zero(l);
  l->ops->gates(&l->config, l->n, l->saved, &g);
  for (size_t ch = 0; ch < g.channels; ch++) theta[ch] = 1e-3F; /* a little above the mean score */
  for (size_t i = 0; i < l->n * count; i++) theta[i / g.top_k % g.channels] += g.score[i] / (float)(l->n * g.top_k);
  return true;
}

/* Every row comes once at each of the layer's sites, before it is used: the choice is what gates
 * say, and one entry of the values turned round turns that unit's output in y, also where the unit
 * was silent. Entries of the values stand in the order of the units. */
static void check_sites(layer *l, const shape *s) {
  size_t D = s->D, count = l->ops->unit_count(&l->config), chosen = l->ops->gates ? count * l->n : 1;
  float *before = floats(l->n * D);
  sgi_unit *u = ref_alloc(count, sizeof *u);
  double *bias = ref_alloc(D, sizeof *bias);
  watch k = {.l = l,
             .row = l->n - 1,
             .entry = count / 2,
             .index = ref_alloc(chosen, sizeof *k.index),
             .score = ref_alloc(chosen, sizeof *k.score)};
  bool gates = raise_thresholds(l);
  sgi_tap tap = {.visit = watch_visit, .user = &k};
  sgi_ffn_call call = forward_call(l, &tap);
  assert_int_equal(sgi_ffn_forward(l->ops, &call, before, l->x), SG_OK);
  l->ops->units(&call, k.row, u, bias);
  for (size_t i = 0; gates && i < count; i++) /* the last that does not act, behind those that do */
    if (u[i].value == 0 && u[i].gate == 0) k.entry = i;
  size_t sites = l->ops->gates ? l->n : 0;
  if (k.seen[SGI_SITE_VALUES] != l->n || k.seen[SGI_SITE_CHOICE] != sites || k.seen[SGI_SITE_SCORES] != sites)
    fail_msg("%s: of %zu rows %zu have values at a site, %zu a choice, %zu scores", l->name, l->n,
             k.seen[SGI_SITE_VALUES], k.seen[SGI_SITE_CHOICE], k.seen[SGI_SITE_SCORES]);
  if (l->ops->gates) {
    sgi_gates g;
    l->ops->gates(&l->config, l->n, l->saved, &g);
    size_t entries = l->n * g.channels * g.top_k;
    assert_memory_equal(g.index, k.index, entries * sizeof *k.index);
    if (g.value) assert_memory_equal(g.score, k.score, entries * sizeof *k.score);
  }
  k.turns = true;
  assert_int_equal(sgi_ffn_forward(l->ops, &call, l->y, l->x), SG_OK);
  assert_memory_equal(l->y, before, k.row * D * sizeof *before);
  /* beside the largest that y was: a unit that two channels chose cancels when turned round */
  double most = 0, apart = 0;
  for (size_t d = 0; d < D; d++) {
    double was = (double)before[k.row * D + d];
    double want = was + (k.was != 0 ? -2 * u[k.entry].value : 1) * (double)sgi_slice_at(&u[k.entry].out, d);
    apart = fmax(apart, fabs((double)l->y[k.row * D + d] - want));
    most = fmax(most, fmax(fabs(was), fabs(want)));
  }
  check(l->name, "y with one value turned round", apart / most, 1e-4);
  sgi_free(before);
  free(u), free(bias), free(k.index), free(k.score);
}

static void sites_come_before_their_use(void **state) {
  (void)state;
  each_layer(check_sites);
}

/* ---- storage types --------------------------------------------------------------------------- */

/* The rows of w as the type keeps them. */
static void encode(sgi_dtype t, sgi_weight *w, void *out, float *scale, const float *x) {
  size_t bytes = sgi_weight_traits(t)->bytes(w->width), bad;
  for (size_t r = 0; r < w->rows; r++)
    if (!sgi_quantise_row(&(sgi_quantise){.to = t}, (char *)out + r * bytes, scale + r, x + r * w->width, w->width,
                          &bad))
      fail_msg("the test cannot write %s", sgi_dtype_name(t));
  w->dtype = t;
  w->data = out;
  w->scale = sgi_weight_traits(t)->levels ? scale : NULL;
}

static const sgi_dtype dtypes[] = {SGI_F32, SGI_F64, SGI_F16, SGI_BF16, SGI_I8, SGI_U8, SGI_BOOL};
static size_t computed[SGI_COUNT(dtypes)];

/* With the tensors that may be so in a type, and the reference fed with what they then are: y and
 * the input's gradient. A tensor of a type without the kernels it needs is refused by its name. */
static void check_type(layer *l, const shape *s, size_t type) {
  sgi_dtype t = dtypes[type];
  void *stored[MAX_TENSORS] = {0};
  float *scales[MAX_TENSORS] = {0};
  bool any = false;
  for (size_t i = 0; i < l->table.count; i++) {
    const sgi_row *row = &l->table.rows[i];
    sg_error e = {0};
    sg_status st = sgi_weight_check(row->name, t, row->stored ? SGI_WEIGHT_STORED : SGI_WEIGHT_PLAIN, &e);
    if (st && (st != SG_ERR_UNSUPPORTED || !strstr(e.text, row->name) ||
               (sgi_weight_traits(t)->name && !strstr(e.text, sgi_weight_traits(t)->name))))
      fail_msg("%s: %s is refused without being named: %s", l->name, row->name, e.text);
    if (st) continue;
    const sgi_dtype_traits *traits = sgi_weight_traits(t);
    stored[i] = ref_alloc(l->weights[i].rows * traits->bytes(l->weights[i].width), 1);
    scales[i] = ref_alloc(l->weights[i].rows, sizeof(float));
    encode(t, &l->weights[i], stored[i], scales[i], l->w + row->offset);
    sgi_weight_to_float(l->w + row->offset, &l->weights[i]); /* what the reference is given */
    any = true;
  }
  if (any) {
    reference r = open_reference(l);
    run_from_zero(l);
    check_gates(l, &r);
    check(l->name, sgi_dtype_name(t), ref_difference(l->y, r.y, l->n * s->D), FORWARD_BOUND);
    ref_report report = {0};
    ref_check_gradient(&report, "x", scalar, &r, r.x, l->dx, l->n * s->D, 8, LEAST_SCALE);
    check(l->name, "the input's gradient", report.entry, GRADIENT_BOUND);
    check_units(l, s);
    close_reference(&r);
    computed[type]++;
  }
  for (size_t i = 0; i < l->table.count; i++) {
    const sgi_row *row = &l->table.rows[i];
    l->weights[i] = sgi_weight_floats(l->w + row->offset, l->weights[i].rows, l->weights[i].width);
    free(stored[i]);
    free(scales[i]);
  }
}

static void check_types(layer *l, const shape *s) {
  if (!s->samples || s->n > 100) return;
  for (size_t i = 0; i < SGI_COUNT(dtypes); i++) check_type(l, s, i);
}

static void every_type_that_computes(void **state) {
  (void)state;
  each_layer(check_types);
  for (size_t i = 0; i < SGI_COUNT(dtypes); i++) say(sgi_dtype_name(dtypes[i]), "layers", (double)computed[i]);
  assert_true(computed[0] > 0);
}

static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Weights whose products take their other operand in bf16, too (as a model trained in bf16 has
 * them): a row alone is what it is among many, for which a kind may go another way. The median of
 * some rows: a hidden value at the edge of two bf16 numbers may fall to either side. */
static void check_rounded(layer *l, const shape *s) {
  if (s->samples || s->n > 1000) return;
  enum { ROWS = 15 };
  sgi_weight was[MAX_TENSORS];
  void *stored[MAX_TENSORS] = {0};
  memcpy(was, l->weights, sizeof was);
  for (size_t i = 0; i < l->table.count; i++) {
    const sgi_row *row = &l->table.rows[i];
    size_t name = strlen(row->name);
    bool chooses = strstr(row->name, ".router.") || (name > 12 && !strcmp(row->name + name - 12, ".gate.weight"));
    if (!row->stored || chooses) continue;
    stored[i] = ref_alloc(row->count, sizeof(uint16_t));
    encode(SGI_BF16, &l->weights[i], stored[i], NULL, l->w + row->offset);
    l->weights[i].rounds = true;
  }
  float *many = floats(s->n * s->D), *x = l->x;
  double apart[ROWS], scale = 0;
  run_from_zero(l);
  memcpy(many, l->y, s->n * s->D * sizeof *many);
  for (size_t i = 0; i < s->n * s->D; i++) scale = fmax(scale, fabs((double)many[i]));
  l->n = 1;
  for (size_t k = 0; k < ROWS; k++) {
    size_t row = k * s->n / ROWS;
    l->x = x + row * s->D;
    run_from_zero(l);
    apart[k] = 0;
    for (size_t d = 0; d < s->D; d++)
      apart[k] = fmax(apart[k], fabs((double)l->y[d] - (double)many[row * s->D + d]) / scale);
  }
  qsort(apart, ROWS, sizeof *apart, by_size);
  say(l->name, "bf16, alone", apart[ROWS / 2]);
  check(l->name, "a row alone, rounded to bf16", apart[ROWS / 2], 2e-6);
  l->x = x;
  l->n = s->n;
  memcpy(l->weights, was, sizeof was);
  for (size_t i = 0; i < l->table.count; i++) free(stored[i]);
  sgi_free(many);
}

static void rounded_alone_and_among_many(void **state) {
  (void)state;
  each_layer(check_rounded);
}

typedef struct bits {
  float *y, *dx, *dw;
} bits;

static bits run_with(layer *l, int threads) {
  omp_set_num_threads(threads);
  run_from_zero(l);
  size_t count = l->n * l->config.hidden_size;
  bits b = {floats(count), floats(count), floats(l->table.floats)};
  memcpy(b.y, l->y, count * sizeof(float));
  memcpy(b.dx, l->dx, count * sizeof(float));
  memcpy(b.dw, l->dw, l->table.floats * sizeof(float));
  return b;
}

static void check_threads(layer *l, const shape *s) {
  size_t count = s->n * s->D;
  int before = omp_get_max_threads();
  bits one = run_with(l, 1);
  static const int numbers[] = {3, 1, 2, 4}; /* of threads; make check asks the first */
  for (size_t k = 0; k < (getenv("SGATLIN_TEST_QUICK") ? 1 : SGI_COUNT(numbers)); k++) {
    int threads = numbers[k];
    bits more = run_with(l, threads);
    if (memcmp(one.y, more.y, count * sizeof(float)))
      fail_msg("%s: y depends on the number of threads (%d)", l->name, threads);
    if (memcmp(one.dx, more.dx, count * sizeof(float)))
      fail_msg("%s: dx depends on the number of threads (%d)", l->name, threads);
    for (size_t i = 0; i < l->table.count; i++) {
      const sgi_row *row = &l->table.rows[i];
      if (memcmp(one.dw + row->offset, more.dw + row->offset, row->count * sizeof(float)))
        fail_msg("%s: gradient of %s depends on the number of threads (%d)", l->name, row->name, threads);
    }
    sgi_free(more.y);
    sgi_free(more.dx);
    sgi_free(more.dw);
  }
  sgi_free(one.y);
  sgi_free(one.dx);
  sgi_free(one.dw);
  omp_set_num_threads(before);
}

static void same_bits_for_any_number_of_threads(void **state) {
  (void)state;
  each_layer(check_threads);
}

/* A block that was measured for many rows serves fewer, too, whatever the kind makes of their
 * number. */
static void check_fewer(layer *l, const shape *s) {
  for (l->n = 1; l->n < s->n; l->n += 1 + l->n * 2) {
    run_from_zero(l);
    for (size_t i = 0; i < l->n * s->D; i++)
      if (!isfinite(l->y[i]) || !isfinite(l->dx[i])) fail_msg("%s: %zu rows in its block: no number", l->name, l->n);
  }
}

static void fewer_rows_in_the_same_block(void **state) {
  (void)state;
  each_layer(check_fewer);
}

/* The elements of a slice in the layer's own arena become those of `from`, or NaN. */
static void put_slice(layer *l, const sgi_slice *s, size_t width, const float *from) {
  size_t i = 0;
  while (l->weight[i] != s->weight) i++;
  assert_null(s->next);
  for (size_t d = 0; d < width; d++) {
    size_t at = l->table.rows[i].offset + s->at + d * s->stride;
    l->w[at] = from ? from[at] : NAN;
  }
}

/* Gates that count themselves (docs/method.md, gates): with every candidate that does not act made
 * NaN in both pools, nothing changes by a bit, forward or backward. So it is left out, which is
 * what the gates are for, and not computed and put to 0. */
static void check_left_out(layer *l, const shape *s) {
  ptrdiff_t row = sgi_table_find(&l->table, "mlp.router.threshold");
  if (!raise_thresholds(l)) return;
  l->config.options.bandwidth = 1e-12; /* the thresholds' estimate reads what is near them, too */
  size_t floats_of = l->table.floats, rows = l->n * s->D, count = l->ops->unit_count(&l->config), silent = 0;
  float *was = floats(floats_of), *dw = floats(floats_of), *y = floats(rows), *dx = floats(rows);
  sgi_unit *u = ref_alloc(l->n * count, sizeof *u);
  double *bias = ref_alloc(s->D, sizeof *bias);
  const float *theta = l->w + l->table.rows[row].offset;
  sgi_gates g;
  run_from_zero(l);
  memcpy(was, l->w, floats_of * sizeof *was);
  memcpy(dw, l->dw, floats_of * sizeof *dw);
  memcpy(y, l->y, rows * sizeof *y);
  memcpy(dx, l->dx, rows * sizeof *dx);
  l->ops->gates(&l->config, l->n, l->saved, &g);
  sgi_ffn_call call = forward_call(l, NULL);
  for (size_t i = 0; i < l->n; i++) l->ops->units(&call, i, u + i * count, bias);
  for (int acting = 0; acting < 2; acting++) /* a neuron that acts at one token may be silent at another */
    for (size_t i = 0; i < l->n * count; i++)
      if ((g.score[i] > theta[i / g.top_k % g.channels]) == acting) {
        put_slice(l, &u[i].in, s->D, acting ? was : NULL);
        put_slice(l, &u[i].out, s->D, acting ? was : NULL);
        silent += !acting;
      }
  if (l->n > 1 && !silent) fail_msg("%s: every candidate acts; nothing is tried", l->name);
  run_from_zero(l);
  if (memcmp(l->y, y, rows * sizeof *y)) fail_msg("%s: forward reads what does not act", l->name);
  if (memcmp(l->dx, dx, rows * sizeof *dx) || memcmp(l->dw, dw, floats_of * sizeof *dw))
    fail_msg("%s: backward reads what does not act", l->name);
  free(u), free(bias), sgi_free(was), sgi_free(dw), sgi_free(y), sgi_free(dx);
}

static void what_does_not_act_is_left_out(void **state) {
  (void)state;
  each_layer(check_left_out);
}

/* ---- instruction sets: the table is chosen once a process, so each set gets a process of its
 * own */

static void put(const char *what, const float *x, size_t count) {
  char name[192] = "";
  snprintf(name, sizeof name, "%s", what);
  fwrite(name, sizeof name, 1, stdout);
  fwrite(&count, sizeof count, 1, stdout);
  fwrite(x, sizeof *x, count, stdout);
}

static void dump(layer *l, const shape *s) {
  char what[192];
  run_from_zero(l);
  snprintf(what, sizeof what, "%s: y", l->name);
  put(what, l->y, s->n * s->D);
  snprintf(what, sizeof what, "%s: dx", l->name);
  put(what, l->dx, s->n * s->D);
  for (size_t i = 0; i < l->table.count; i++) {
    if (l->table.rows[i].threshold) continue; /* sums that cancel, of terms that dx has shown */
    snprintf(what, sizeof what, "%s: %.40s", l->name, l->table.rows[i].name);
    put(what, l->dw + l->table.rows[i].offset, l->table.rows[i].count);
  }
}

static FILE *start(const char *isa) {
  char command[256];
  const char *dnnl = !strcmp(isa, "generic") ? "SSE41" : !strcmp(isa, "avx2") ? "AVX2" : "DEFAULT";
  snprintf(command, sizeof command, "OMP_NUM_THREADS=1 SGATLIN_ISA=%s ONEDNN_MAX_CPU_ISA=%s /proc/%ld/exe --dump", isa,
           dnnl, (long)getpid());
  FILE *f = popen(command, "r");
  assert_non_null(f);
  return f;
}

/* One array of a dump; false at its end. */
static bool get(FILE *f, char name[192], float **x, size_t *count) {
  if (fread(name, 192, 1, f) != 1) return false;
  assert_int_equal(fread(count, sizeof *count, 1, f), 1);
  *x = floats(*count);
  assert_int_equal(fread(*x, sizeof **x, *count, f), *count);
  return true;
}

static void compare(const char *isa, FILE *f, FILE *generic) {
  char name[192], expected[192];
  float *a, *b;
  size_t count, expected_count, arrays = 0;
  double worst = 0;
  for (; get(generic, expected, &b, &expected_count); arrays++) {
    assert_true(get(f, name, &a, &count));
    assert_string_equal(name, expected);
    assert_int_equal(count, expected_count);
    double *wide = ref_doubles(b, count), difference = ref_difference(a, wide, count);
    if (!(difference <= ISA_BOUND)) fail_msg("%s: %s and generic differ by %.3g", name, isa, difference);
    worst = fmax(worst, difference);
    free(wide);
    sgi_free(a);
    sgi_free(b);
  }
  assert_true((arrays > 100 || getenv("SGATLIN_TEST_KIND")) && fgetc(f) == EOF);
  say(isa, "generic", worst);
}

static void same_numbers_for_every_instruction_set(void **state) {
  (void)state;
  const sgi_kernels *k;
  for (size_t i = 0; (k = sgi_kernel_table_at(i)); i++) {
    if (!strcmp(k->isa, "generic")) continue;
    FILE *f = start(k->isa), *generic = start("generic");
    compare(k->isa, f, generic);
    assert_int_equal(pclose(f), 0);
    assert_int_equal(pclose(generic), 0);
  }
}

int main(int argc, char **argv) {
  if (argc == 2 && !strcmp(argv[1], "--dump")) {
    each_layer(dump);
    return fflush(stdout) ? 1 : 0;
  }
  const struct CMUnitTest tests[] = {
      /* Quickest first: tools/mutants.sh stops at the first that fails. */
      cmocka_unit_test(refusals_are_the_reference_s),
      cmocka_unit_test(tensors_are_the_reference_s),
      cmocka_unit_test(units_are_the_layer),
      cmocka_unit_test(sites_come_before_their_use),
      cmocka_unit_test(every_kind_against_the_reference),
      cmocka_unit_test(weight_gradients_are_added),
      cmocka_unit_test(fewer_rows_in_the_same_block),
      cmocka_unit_test(what_does_not_act_is_left_out),
      cmocka_unit_test(same_bits_for_any_number_of_threads),
      cmocka_unit_test(every_type_that_computes),
      cmocka_unit_test(rounded_alone_and_among_many),
      cmocka_unit_test(same_numbers_for_every_instruction_set),
  };
  return cmocka_run_group_tests_name("ffn", tests, NULL, NULL);
}
