/* The kind monet against the authors' code and a second computation: single layers and groups of
 * layers (tests/golden/monet/README.md), whole models with their losses, and the expansion into
 * neurons. */
#include "support/golden.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "math/rows.h"
#include "model/config.h"
#include "model/pass.h"
#include "read/trace.h"
#include "support/near.h"

/* As the page recommends: 2e-5 of a tensor's largest, and 1e-6. */
static const double OF_MAX = 2e-5, ABS = 1e-6;

enum { MAX_ROWS = 17 };

typedef struct layer {
  sg_config config;
  sgi_table table;
  float *w, *dw;
  sgi_weight weights[MAX_ROWS];
  const sgi_weight *weight[MAX_ROWS];
  float *grad[MAX_ROWS], *state[MAX_ROWS];
  sgi_arena saved;
} layer;

typedef struct file {
  sgi_safetensors *f;
  json_t *json;
  char name[32];
  size_t n, D;
} file;

static sgi_arena block(size_t bytes) {
  sgi_arena a = {.base = sgi_alloc(bytes), .size = bytes};
  assert_non_null(a.base);
  return a;
}

/* Under the names of the authors' code or of our configuration. */
static size_t number(const file *f, const char *key, const char *ours) {
  json_t *v = json_object_get(f->json, key);
  return (size_t)json_integer_value(v ? v : json_object_get(f->json, ours));
}

static file open_file(const char *form, const char *name) {
  char path[128];
  file f = {0};
  snprintf(f.name, sizeof f.name, "%s_%s", form, name);
  snprintf(path, sizeof path, "tests/golden/monet/%s.safetensors", f.name);
  assert_sg_ok(sgi_safetensors_open(path, &f.f, err));
  snprintf(path, sizeof path, "tests/golden/monet/%s.json", f.name);
  f.json = golden_json(path);
  const sgi_tensor *x = sgi_safetensors_find(f.f, "x");
  assert_non_null(x);
  f.D = x->dims[x->n_dims - 1];
  f.n = x->count / f.D;
  return f;
}

static void close_file(file *f) {
  sgi_safetensors_close(f->f);
  json_decref(f->json);
}

static const sgi_tensor *tensor(const file *f, const char *prefix, const char *name) {
  char full[256];
  snprintf(full, sizeof full, "%s%s", prefix, name);
  const sgi_tensor *t = sgi_safetensors_find(f->f, full);
  if (!t) fail_msg("%s has no tensor %s", f->name, full);
  return t;
}

static void compare(const file *f, const char *what, const float *got, const sgi_tensor *want) {
  const float *b = want->data;
  double most = 0, worst = 0;
  for (size_t i = 0; i < want->count; i++) {
    most = fmax(most, fabs((double)b[i]));
    worst = worse(worst, fabs((double)got[i] - (double)b[i]));
  }
  if (getenv("SGATLIN_TEST_VERBOSE")) print_message("%-10s %-40s %.1e of %.1e\n", f->name, what, worst, most);
  if (!(worst <= OF_MAX * most + ABS)) fail_msg("%s: %s differs by %.3g of %.3g", f->name, what, worst, most);
}

/* Where nothing passes the gate is exactly 0, and nowhere else. */
static void compare_gates(const file *f, const char *what, const float *got, const sgi_tensor *want) {
  compare(f, what, got, want);
  for (size_t i = 0; i < want->count; i++)
    if ((got[i] == 0) != (((const float *)want->data)[i] == 0))
      fail_msg("%s: %s: entry %zu passes where it should not, or does not", f->name, what, i);
}

static void compare_one(const file *f, const char *what, double got, double want) {
  if (!(fabs(got - want) <= OF_MAX * fabs(want) + ABS)) fail_msg("%s: %s is %.9g, not %.9g", f->name, what, got, want);
}

/* prefix: of the layer's tensors in the file. */
static void open_layer(layer *l, const file *f, size_t number_of, size_t group, const char *prefix) {
  sg_config c = {.vocab_size = 3,
                 .hidden_size = f->D,
                 .head_dim = 2,
                 .num_heads = 1,
                 .num_layers = 8,
                 .max_position = 1,
                 .rms_norm_eps = 1e-6,
                 .rope_theta = 1e4,
                 .num_channels = number(f, "moe_heads", "num_channels"),
                 .top_k = number(f, "moe_topk", "top_k"),
                 .num_experts = number(f, "moe_experts", "num_experts"),
                 .expert_dim = number(f, "moe_dim", "expert_dim"),
                 .router_group = group};
  snprintf(c.feedforward, sizeof c.feedforward, "monet");
  snprintf(c.activation, sizeof c.activation, "relu2");
  snprintf(c.decomposition, sizeof c.decomposition, "%s", json_string_value(json_object_get(f->json, "kind")));
  assert_sg_ok(sg_config_check(&c, err));
  *l = (layer){0};
  sgi_config_view(&c, number_of, &l->config);
  const sgi_ffn_ops *ops = sgi_ffn_of(&l->config);
  assert_sg_ok(ops->tensors(&l->config, "", &l->table, err));
  l->w = sgi_alloc(l->table.floats * sizeof(float));
  l->dw = sgi_alloc(l->table.floats * sizeof(float));
  for (size_t i = 0; i < l->table.count; i++) {
    const sgi_row *row = &l->table.rows[i];
    size_t width = row->dims[row->n_dims - 1];
    l->weights[i] = sgi_weight_floats(l->w + row->offset, row->count / width, width);
    l->weight[i] = &l->weights[i];
    l->grad[i] = l->dw + row->offset;
    if (row->state) l->state[i] = l->w + row->offset;
    if (!row->state)
      memcpy(l->w + row->offset, tensor(f, prefix, row->name)->data, row->count * sizeof(float));
    else
      for (size_t k = 0; k < row->count; k++) l->w[row->offset + k] = row->init == SGI_INIT_ONE;
  }
  sgi_arena saved = {0};
  ops->saved(&l->config, f->n, &saved);
  l->saved = block(saved.used);
}

static void close_layer(layer *l) {
  sgi_table_deinit(&l->table);
  sgi_free(l->w);
  sgi_free(l->dw);
  sgi_free(l->saved.base);
}

/* What layers need beside their own: the router's block, scratch. */
typedef struct rooms {
  sgi_arena shared, scratch;
} rooms;

static rooms open_rooms(const layer *l, size_t n) {
  sgi_arena shared = {0}, scratch = {0};
  const sgi_ffn_ops *ops = sgi_ffn_of(&l->config);
  ops->shared(&l->config, n, true, &shared);
  ops->scratch(&l->config, n, true, &scratch);
  return (rooms){block(shared.used), block(scratch.used)};
}

static void close_rooms(rooms *r) {
  sgi_free(r->shared.base);
  sgi_free(r->scratch.base);
}

static sgi_ffn_call call_of(layer *l, const rooms *r, size_t n, bool training) {
  return (sgi_ffn_call){.config = &l->config,
                        .w = l->weight,
                        .dw = l->grad,
                        .n = n,
                        .saved = l->saved,
                        .shared = r->shared,
                        .scratch = r->scratch,
                        .training = training};
}

typedef struct gates_seen {
  const file *f;
  const char *prefix;
  size_t seen;
} gates_seen;

static sg_status see_gates(void *user, const sgi_site *s, sg_error *err) {
  (void)err;
  gates_seen *g = user;
  if (s->id != SGI_SITE_ROUTER_G1 && s->id != SGI_SITE_ROUTER_G2) return SG_OK;
  const char *name = s->id == SGI_SITE_ROUTER_G1 ? "g1" : "g2";
  compare_gates(g->f, name, s->data, tensor(g->f, g->prefix, name));
  g->seen++;
  return SG_OK;
}

static void forward(layer *l, const rooms *r, const file *f, const char *prefix, bool training, const float *x,
                    float *y) {
  gates_seen g = {f, prefix, 0};
  sgi_tap tap = {.visit = see_gates, .user = &g};
  sgi_ffn_call call = call_of(l, r, f->n, training);
  call.at = (sgi_at){.config = &l->config, .T = f->n};
  call.tap = &tap;
  assert_int_equal(sgi_ffn_forward(sgi_ffn_of(&l->config), &call, y, x), SG_OK);
  assert_int_equal(g.seen, l->config.layer % (l->config.router_group ? l->config.router_group : 1) ? 0 : 2);
}

/* Gradients of one of the three losses of the file. */
static void gradients(layer *l, const rooms *r, const file *f, const char *loss, const sgi_aux *aux, const float *dy) {
  const sgi_ffn_ops *ops = sgi_ffn_of(&l->config);
  float *dx = sgi_alloc(f->n * f->D * sizeof *dx);
  char prefix[64];
  snprintf(prefix, sizeof prefix, "grad.%s.", loss);
  sgi_ffn_call call = call_of(l, r, f->n, true);
  call.aux = aux;
  memset(l->dw, 0, l->table.floats * sizeof(float));
  ops->clear(&l->config, f->n, r->shared);
  const float *x = tensor(f, "", "x")->data;
  assert_int_equal(sgi_ffn_backward(ops, &call, dx, dy, x), SG_OK);
  compare(f, prefix, dx, tensor(f, prefix, "x"));
  for (size_t i = 0; i < l->table.count; i++) {
    const sgi_row *row = &l->table.rows[i];
    if (row->state || (strcmp(loss, "loss_y") && strncmp(row->name, "router.", 7))) continue;
    char what[192];
    snprintf(what, sizeof what, "%s%s", prefix, row->name);
    compare(f, what, l->dw + row->offset, tensor(f, prefix, row->name));
  }
  sgi_free(dx);
}

static void compare_state(const layer *l, const file *f, const char *prefix, int step) {
  for (size_t i = 0; i < l->table.count; i++) {
    const sgi_row *row = &l->table.rows[i];
    char name[64];
    if (!row->state) continue;
    snprintf(name, sizeof name, step ? "running.%s.step%d" : "running.%s", strchr(row->name, '_') + 1, step);
    compare(f, name, l->w + row->offset, tensor(f, prefix, name));
  }
}

static void one_layer(const char *form, const char *name) {
  file f = open_file(form, name);
  layer l;
  open_layer(&l, &f, 0, 1, "");
  rooms r = open_rooms(&l, f.n);
  const sgi_ffn_ops *ops = sgi_ffn_of(&l.config);
  float *y = sgi_alloc(f.n * f.D * sizeof *y), *nothing = sgi_alloc(f.n * f.D * sizeof *nothing);
  forward(&l, &r, &f, "train.", true, tensor(&f, "", "x")->data, y);
  compare(&f, "train.y", y, tensor(&f, "train.", "y"));
  sgi_aux sums = {.share = 1, .rows = f.n};
  sgi_ffn_call call = call_of(&l, &r, f.n, true);
  ops->measure(&call, &sums);
  assert_int_equal(sums.routers, 1);
  compare_one(&f, "uniformity", sgi_aux_value(&sums, SGI_AUX_UNIFORMITY),
              (double)*(const float *)tensor(&f, "train.", "uniformity")->data);
  compare_one(&f, "ambiguity", sgi_aux_value(&sums, SGI_AUX_AMBIGUITY),
              (double)*(const float *)tensor(&f, "train.", "ambiguity")->data);
  gradients(&l, &r, &f, "loss_y", NULL, tensor(&f, "", "cotangent")->data);
  sums.weights.part[SGI_AUX_UNIFORMITY] = 1;
  gradients(&l, &r, &f, "uniformity", &sums, nothing);
  sums.weights = (sgi_aux_weights){.part = {[SGI_AUX_AMBIGUITY] = 1}};
  gradients(&l, &r, &f, "ambiguity", &sums, nothing);
  ops->settle(&call, l.state);
  compare_state(&l, &f, "", 1);
  for (int step = 2; step <= 3; step++) {
    char x[24];
    snprintf(x, sizeof x, "x.step%d", step);
    call = call_of(&l, &r, f.n, true);
    assert_int_equal(sgi_ffn_forward(ops, &call, y, tensor(&f, "", x)->data), SG_OK);
    ops->settle(&call, l.state);
    compare_state(&l, &f, "", step);
  }
  forward(&l, &r, &f, "eval.", false, tensor(&f, "eval.", "x")->data, y);
  compare(&f, "eval.y", y, tensor(&f, "eval.", "y"));
  sgi_free(y);
  sgi_free(nothing);
  close_rooms(&r);
  close_layer(&l);
  close_file(&f);
}

static void layers(void **state) {
  (void)state;
  static const char *const names[] = {"base", "one", "all", "odd"};
  for (size_t i = 0; i < SGI_COUNT(names); i++) {
    one_layer("hd", names[i]);
    one_layer("vd", names[i]);
  }
}

/* ---- groups ---------------------------------------------------------------------------------- */

enum { LAYERS = 4, GROUP = 2 };

/* x <- x + layer(norm(x)), four times, and the gradient of loss_total back through it. */
static void one_group(const char *form) {
  file f = open_file(form, "group");
  layer l[LAYERS];
  rooms r[LAYERS / GROUP];
  size_t n = f.n, D = f.D, bytes = n * D * sizeof(float);
  float *x[LAYERS + 1], *xn[LAYERS], *scale[LAYERS], *y = sgi_alloc(bytes), *dx = sgi_alloc(bytes);
  float *dgain = sgi_alloc(D * sizeof *dgain), *partial = sgi_alloc(SGI_NORM_PARTIALS * D * sizeof *partial);
  char prefix[LAYERS][24], at[48];
  sgi_aux sums = {.share = 1, .rows = n};
  for (int k = 0; k < SGI_AUX_COUNT; k++) sums.weights.part[k] = json_real_value(json_object_get(f.json, "aux_weight"));
  x[0] = sgi_alloc(bytes);
  memcpy(x[0], tensor(&f, "", "x")->data, bytes);
  for (size_t i = 0; i < LAYERS; i++) {
    snprintf(prefix[i], sizeof prefix[i], "layers.%zu.", i);
    open_layer(&l[i], &f, i, GROUP, prefix[i]);
    if (i % GROUP == 0) r[i / GROUP] = open_rooms(&l[i], n);
    x[i + 1] = sgi_alloc(bytes);
    xn[i] = sgi_alloc(bytes);
    scale[i] = sgi_alloc(n * sizeof(float));
    sgi_rmsnorm(xn[i], scale[i], x[i], tensor(&f, prefix[i], "norm.weight")->data, n, D, 1e-6);
    compare(&f, "normed", xn[i], tensor(&f, prefix[i], "normed"));
    forward(&l[i], &r[i / GROUP], &f, prefix[i], true, xn[i], y);
    compare(&f, "moe_out", y, tensor(&f, prefix[i], "moe_out"));
    sgi_sum(x[i + 1], x[i], y, n * D);
    compare(&f, "out", x[i + 1], tensor(&f, prefix[i], "out"));
    sgi_ffn_call call = call_of(&l[i], &r[i / GROUP], n, true);
    sgi_ffn_of(&l[i].config)->measure(&call, &sums);
    if (i % GROUP) continue;
    sgi_ffn_of(&l[i].config)->settle(&call, l[i].state);
    compare_state(&l[i], &f, prefix[i], 0);
  }
  assert_int_equal(sums.routers, LAYERS / GROUP);
  compare_one(&f, "uniformity", sgi_aux_value(&sums, SGI_AUX_UNIFORMITY),
              (double)*(const float *)tensor(&f, "", "uniformity")->data);
  compare_one(&f, "ambiguity", sgi_aux_value(&sums, SGI_AUX_AMBIGUITY),
              (double)*(const float *)tensor(&f, "", "ambiguity")->data);
  compare_one(&f, "loss_total", (double)*(const float *)tensor(&f, "", "loss_y")->data + sgi_aux_total(&sums),
              (double)*(const float *)tensor(&f, "", "loss_total")->data);
  const float *cotangent = tensor(&f, "", "cotangent")->data;
  for (size_t i = 0; i < n * D; i++) dx[i] = cotangent[i] / (float)n;
  for (size_t i = LAYERS; i-- > 0;) {
    const sgi_ffn_ops *ops = sgi_ffn_of(&l[i].config);
    sgi_ffn_call call = call_of(&l[i], &r[i / GROUP], n, true);
    call.aux = &sums;
    if (i % GROUP == GROUP - 1) ops->clear(&l[i].config, n, r[i / GROUP].shared);
    assert_int_equal(sgi_ffn_backward(ops, &call, y, dx, xn[i]), SG_OK);
    memset(dgain, 0, D * sizeof *dgain);
    const float *gain = tensor(&f, prefix[i], "norm.weight")->data;
    sgi_rmsnorm_backward(dx, dgain, y, x[i], scale[i], gain, n, D, true, partial);
    snprintf(at, sizeof at, "grad.%s", prefix[i]);
    compare(&f, "gain", dgain, tensor(&f, at, "norm.weight"));
    for (size_t k = 0; k < l[i].table.count; k++)
      if (!l[i].table.rows[k].state)
        compare(&f, l[i].table.rows[k].name, l[i].grad[k], tensor(&f, at, l[i].table.rows[k].name));
  }
  compare(&f, "grad.x", dx, tensor(&f, "grad.", "x"));
  for (size_t i = 0; i < LAYERS; i++) {
    if (i % GROUP == 0) close_rooms(&r[i / GROUP]);
    close_layer(&l[i]);
    sgi_free(x[i]);
    sgi_free(xn[i]);
    sgi_free(scale[i]);
  }
  sgi_free(x[LAYERS]);
  sgi_free(y);
  sgi_free(dx);
  sgi_free(dgain);
  sgi_free(partial);
  close_file(&f);
}

static void groups(void **state) {
  (void)state;
  one_group("hd");
  one_group("vd");
}

/* ---- models ---------------------------------------------------------------------------------- */

static double bound_of(const char *name) {
  return strstr(name, "logits") ? 3e-5 : strstr(name, "running") ? 1e-5 : 5e-6;
}

/* Gradients, and what a site holds: of the tensor's largest; all others as they are. */
static void compare_output(const char *model, const sgi_tensor *got, const sgi_tensor *want) {
  bool gradient = !strncmp(want->name, "grad.", 5), site = !strncmp(want->name, "layers.", 7);
  golden_difference d = golden_compare(got->data, want->data, want->count);
  double value = gradient || site ? d.of_max : d.abs, bound = gradient ? 3e-5 : site ? OF_MAX : bound_of(want->name);
  assert_int_equal(got->count, want->count);
  if (!(value <= bound)) fail_msg("%s: %s differs by %.3g, tolerated %.1g", model, want->name, value, bound);
  for (size_t i = 0; i < want->count && (gradient || strstr(want->name, "router.g")); i++)
    if (((const float *)want->data)[i] == 0 && ((const float *)got->data)[i] != 0)
      fail_msg("%s: %s: entry %zu should be 0", model, want->name, i);
}

/* Statistics after each of three batches; then inference with them. */
static void running(const char *name, sg_model *m, const sgi_safetensors *f) {
  const sgi_tensor *batches = sgi_safetensors_find(f, "batches");
  size_t B = batches->dims[1], T = batches->dims[2], n = B * T;
  sgi_pass *p;
  int32_t *inputs = sgi_alloc(n * sizeof *inputs);
  assert_sg_ok(sgi_model_own(m, err));
  assert_sg_ok(sgi_pass_create(m, B, T, false, &p, err));
  sgi_pass_train(p, true);
  for (int step = 0; step < 3; step++) {
    const int32_t *targets = (const int32_t *)batches->data + (size_t)step * n;
    for (size_t i = 0; i < n; i++) inputs[i] = i % T ? targets[i - 1] : m->config.bos_id;
    assert_sg_ok(sgi_pass_forward(p, &(sgi_batch){.B = B, .T = T, .inputs = inputs}, NULL, err));
    sgi_pass_settle(p, m);
    for (size_t i = 0; i < m->table.count; i++) {
      char full[160];
      if (!m->table.rows[i].state) continue;
      snprintf(full, sizeof full, "running.%s.step%d", m->table.rows[i].name, step + 1);
      const sgi_tensor *want = sgi_safetensors_find(f, full);
      assert_non_null(want);
      compare_output(name, &(sgi_tensor){.data = m->arena + m->table.rows[i].offset, .count = want->count}, want);
    }
  }
  sgi_pass_train(p, false);
  const int32_t *targets = batches->data;
  for (size_t i = 0; i < n; i++) inputs[i] = i % T ? targets[i - 1] : m->config.bos_id;
  sgi_batch b = {.B = B, .T = T, .inputs = inputs, .targets = targets};
  sgi_metrics sum = {0};
  float *logits = sgi_alloc(n * m->config.vocab_size * sizeof *logits), loss;
  assert_sg_ok(sgi_pass_forward(p, &b, NULL, err));
  assert_sg_ok(sgi_pass_loss(p, &sum, NULL, 0, err));
  assert_sg_ok(sgi_pass_logits(p, 0, n, logits, err));
  loss = (float)(sum.nll / (double)sum.targets);
  const sgi_tensor *want = sgi_safetensors_find(f, "eval.logits");
  compare_output(name, &(sgi_tensor){.data = logits, .count = want->count}, want);
  compare_output(name, &(sgi_tensor){.data = &loss, .count = 1}, sgi_safetensors_find(f, "eval.loss"));
  sgi_free(logits);
  sgi_free(inputs);
  sgi_pass_free(p);
}

static void one_model(const char *name) {
  char dir[64], path[160];
  sg_model *m;
  sgi_safetensors *expected, *got;
  snprintf(dir, sizeof dir, "tests/golden/monet/lm/%s", name);
  snprintf(path, sizeof path, "%s/case.json", dir);
  json_t *json = golden_json(path), *train = json_object_get(json, "train");
  sgi_aux_weights aux = {.part = {
                             [SGI_AUX_UNIFORMITY] = json_real_value(json_object_get(train, "uniformity")),
                             [SGI_AUX_AMBIGUITY] = json_real_value(json_object_get(train, "ambiguity")),
                         }};
  snprintf(path, sizeof path, "%s/expected.safetensors", dir);
  assert_sg_ok(sgi_safetensors_open(path, &expected, err));
  assert_sg_ok(sg_model_load(dir, &m, err));
  const sgi_tensor *targets = sgi_safetensors_find(expected, "targets");
  static const char *const all[] = {"*"};
  sgi_trace_request r = {.targets = targets->data,
                         .B = targets->dims[0],
                         .T = targets->dims[1],
                         .grad = true,
                         .aux = &aux,
                         .only = all,
                         .n_only = 1};
  char *tmp = golden_temporary();
  snprintf(path, sizeof path, "%s/out.safetensors", tmp);
  assert_sg_ok(sgi_trace_write(m, &r, path, err));
  assert_sg_ok(sgi_safetensors_open(path, &got, err));
  size_t compared = 0;
  for (size_t i = 0; i < sgi_safetensors_count(expected); i++) {
    const sgi_tensor *want = sgi_safetensors_at(expected, i), *have = sgi_safetensors_find(got, want->name);
    if (want->dtype != SGI_F32 || !strncmp(want->name, "running.", 8) || !strncmp(want->name, "eval.", 5)) continue;
    if (!have) fail_msg("%s: %s is not written", name, want->name);
    compare_output(name, have, want);
    compared++;
  }
  assert_true(compared > 40);
  for (size_t i = 0; i < m->table.count; i++) {
    snprintf(path, sizeof path, "grad.%s", m->table.rows[i].name);
    assert_true((sgi_safetensors_find(got, path) != NULL) == !m->table.rows[i].state);
  }
  running(name, m, expected);
  sgi_safetensors_close(got);
  sgi_safetensors_close(expected);
  json_decref(json);
  sg_model_free(m);
  golden_remove(tmp);
}

static void models(void **state) {
  (void)state;
  one_model("hd");
  one_model("vd");
}

/* ---- the expansion --------------------------------------------------------------------------- */

/* A layer's neurons added up are what it writes, in double and by the layer itself. */
static void one_expansion(const char *form) {
  file f = open_file("peer/monet", form);
  layer l;
  open_layer(&l, &f, 0, 1, "");
  for (size_t i = 0; i < l.table.count; i++) {
    const sgi_row *row = &l.table.rows[i];
    if (row->state) memcpy(l.state[i], tensor(&f, "", row->name)->data, row->count * sizeof(float));
  }
  rooms r = open_rooms(&l, f.n);
  const sgi_ffn_ops *ops = sgi_ffn_of(&l.config);
  size_t units = ops->unit_count(&l.config);
  float *y = sgi_alloc(f.n * f.D * sizeof *y), *sum = sgi_alloc(f.n * f.D * sizeof *sum);
  sgi_unit *u = sgi_alloc(units * sizeof *u);
  double *bias = sgi_alloc(f.D * sizeof *bias), *all = sgi_alloc(f.D * sizeof *all);
  const float *x = tensor(&f, "", "x")->data;
  forward(&l, &r, &f, "", false, x, y);
  compare(&f, "y_monet", y, tensor(&f, "", "y_monet"));
  assert_int_equal(units, l.config.num_experts * l.config.num_experts * l.config.expert_dim);
  for (size_t i = 0; i < f.n; i++) {
    sgi_ffn_call call = call_of(&l, &r, f.n, false);
    ops->units(&call, i, u, bias);
    memcpy(all, bias, f.D * sizeof *all);
    for (size_t k = 0; k < units; k++)
      for (size_t d = 0; d < f.D; d++) all[d] += u[k].value * (double)sgi_slice_at(&u[k].out, d);
    for (size_t d = 0; d < f.D; d++) sum[i * f.D + d] = (float)all[d];
  }
  compare(&f, "y_expanded", sum, tensor(&f, "", "y_expanded"));
  sgi_free(u);
  sgi_free(bias);
  sgi_free(all);
  sgi_free(y);
  sgi_free(sum);
  close_rooms(&r);
  close_layer(&l);
  close_file(&f);
}

static void expansions(void **state) {
  (void)state;
  one_expansion("hd");
  one_expansion("vd");
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(layers), cmocka_unit_test(groups), cmocka_unit_test(models),
                                     cmocka_unit_test(expansions)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
