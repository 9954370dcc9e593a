/* Options of a layer that change nothing are nothing: the same numbers to the last bit as without
 * them, forwards and backwards. What they cost is counted, and what they cannot be is refused by
 * name. */
#include "support/golden.h"

#include <math.h>
#include <string.h>

#include "model/config.h"
#include "model/metrics.h"
#include "model/pass.h"
#include "support/small.h"

enum { B = SMALL_B, T = SMALL_T };

typedef struct outcome {
  float *logits, *grad;
  double loss;
} outcome;

static outcome run(const sg_model *m) {
  int32_t inputs[B * T], targets[B * T], starts[B * T];
  small_batch(3, inputs, targets, starts);
  outcome o = {sgi_alloc(B * T * m->config.vocab_size * sizeof(float)), sgi_alloc(m->table.floats * sizeof(float)), 0};
  sgi_pass *p;
  sgi_metrics sum = {0};
  assert_sg_ok(sgi_pass_create(m, B, T, true, &p, err));
  sgi_batch batch = {B, T, inputs, targets, starts};
  assert_sg_ok(sgi_pass_forward(p, &batch, NULL, err));
  assert_sg_ok(sgi_pass_logits(p, 0, B * T, o.logits, err));
  assert_sg_ok(sgi_pass_loss(p, &sum, o.grad, 1e-2f, err));
  assert_sg_ok(sgi_pass_backward(p, o.grad, err));
  o.loss = sum.nll;
  sgi_pass_free(p);
  return o;
}

static void outcome_free(outcome *o) {
  sgi_free(o->logits);
  sgi_free(o->grad);
}

/* The row of that name; of a metarouter's first pool where it lies there. */
static ptrdiff_t find(const sg_model *m, const char *name) {
  ptrdiff_t at = sgi_table_find(&m->table, name);
  const char *mlp = strstr(name, ".mlp.");
  char pooled[2 * SGI_MAX_TENSOR_NAME];
  if (at >= 0 || !mlp) return at;
  snprintf(pooled, sizeof pooled, "%.*s.mlp.meta.0.%s", (int)(mlp - name), name, mlp + 5);
  return sgi_table_find(&m->table, pooled);
}

/* Every tensor of plain into the row of that name. */
static void copy_weights(sg_model *to, const sg_model *plain) {
  for (size_t i = 0; i < plain->table.count; i++) {
    const sgi_row *row = &plain->table.rows[i];
    ptrdiff_t at = find(to, row->name);
    assert_true(at >= 0 && to->table.rows[at].count == row->count);
    memcpy(to->arena + to->table.rows[at].offset, plain->arena + row->offset, row->count * sizeof(float));
  }
}

static void compare(const sg_model *plain, const sg_model *with) {
  outcome a = run(plain), b = run(with);
  assert_memory_equal(a.logits, b.logits, B * T * plain->config.vocab_size * sizeof(float));
  assert_memory_equal(&a.loss, &b.loss, sizeof a.loss);
  for (size_t i = 0; i < plain->table.count; i++) {
    const sgi_row *row = &plain->table.rows[i];
    const sgi_row *other = &with->table.rows[find(with, row->name)];
    if (memcmp(a.grad + row->offset, b.grad + other->offset, row->count * sizeof(float)))
      fail_msg("the gradient of %s is another", row->name);
  }
  outcome_free(&a);
  outcome_free(&b);
}

static void gates_that_all_pass(void **state) {
  (void)state;
  static const char *const activations[] = {"identity", "gelu", "swish", "relu2"};
  for (size_t i = 0; i < SGI_COUNT(activations); i++) {
    sg_config c = small_config("sgatlin");
    sg_model *plain, *with;
    snprintf(c.activation, sizeof c.activation, "%s", activations[i]);
    assert_sg_ok(sg_model_create(&c, 5, &plain, err));
    snprintf(c.options.gates, sizeof c.options.gates, "jumprelu");
    c.options.bandwidth = 0.25;
    assert_sg_ok(sg_model_create(&c, 5, &with, err));
    copy_weights(with, plain);
    for (size_t r = 0; r < with->table.count; r++)
      for (size_t k = 0; with->table.rows[r].threshold && k < with->table.rows[r].count; k++)
        with->arena[with->table.rows[r].offset + k] = -INFINITY;
    compare(plain, with);
    sg_model_free(plain);
    sg_model_free(with);
  }
}

/* A metarouter of one pool is the layer itself: p is 1. */
static void one_pool(void **state) {
  (void)state;
  static const struct {
    const char *kind, *choice;
    size_t prefix;
    bool gates;
  } all[] = {{"sgatlin", "token", 0, false}, {"peer", "sequence", 3, false}, {"sgatlin", "sequence", 64, true}};
  for (size_t i = 0; i < SGI_COUNT(all); i++) {
    sg_config c = small_config(all[i].kind);
    sg_model *plain, *with;
    if (all[i].gates) snprintf(c.options.gates, sizeof c.options.gates, "jumprelu");
    c.options.bandwidth = all[i].gates ? 0.25 : 0;
    assert_sg_ok(sg_model_create(&c, 5, &plain, err));
    c.options.meta_experts = c.options.meta_top_k = 1;
    c.options.meta_prefix = all[i].prefix;
    snprintf(c.options.meta_choice, sizeof c.options.meta_choice, "%s", all[i].choice);
    assert_sg_ok(sg_model_create(&c, 5, &with, err));
    copy_weights(with, plain);
    compare(plain, with);
    sg_model_free(plain);
    sg_model_free(with);
  }
}

/* What is off is not there: neither a tensor nor a key. */
static void what_is_off(void **state) {
  (void)state;
  sg_config c = small_config("sgatlin"), d;
  json_t *o = sgi_config_to_json(&c), *f = json_object_get(o, "feedforward"), *again;
  json_object_set_new(f, "always_on", json_pack("{s:i, s:s}", "neurons", 0, "activation", "gelu"));
  json_object_set_new(f, "sink_mlp", json_pack("{s:i}", "width", 0));
  assert_sg_ok(sgi_config_from_json(o, "off", &d, err));
  json_object_del(f, "always_on");
  json_object_del(f, "sink_mlp");
  again = sgi_config_to_json(&d);
  assert_true(json_equal(o, again));
  sg_model *plain, *with;
  assert_sg_ok(sg_model_create(&c, 5, &plain, err));
  assert_sg_ok(sg_model_create(&d, 5, &with, err));
  assert_int_equal(plain->table.floats, with->table.floats);
  assert_memory_equal(plain->arena, with->arena, plain->table.floats * sizeof *plain->arena);
  compare(plain, with);
  sg_model_free(plain);
  sg_model_free(with);
  json_decref(o);
  json_decref(again);
}

/* Neurons that write nothing, and a sink that takes nothing. */
static void what_adds_nothing(void **state) {
  (void)state;
  const sgi_ffn_ops *ops;
  for (size_t i = 0; (ops = sgi_ffn_at(i)); i++) {
    sg_config c = small_config(ops->name);
    sg_model *plain, *with;
    assert_sg_ok(sg_model_create(&c, 5, &plain, err));
    c.options.always_on = 3;
    snprintf(c.options.always_on_activation, SG_NAME, "gelu");
    c.options.sink_mlp = 5;
    snprintf(c.attention_sink, SG_NAME, "logit");
    assert_sg_ok(sg_model_create(&c, 5, &with, err));
    copy_weights(with, plain);
    for (size_t r = 0; r < with->table.count; r++) {
      const sgi_row *row = &with->table.rows[r];
      bool sink = strstr(row->name, "self_attn.sinks");
      if (sink || strstr(row->name, "always.w_out") || strstr(row->name, "sink_mlp.down"))
        for (size_t k = 0; k < row->count; k++) with->arena[row->offset + k] = sink ? -INFINITY : 0;
    }
    compare(plain, with);
    sg_model_free(plain);
    sg_model_free(with);
  }
}

/* Parameters and FLOPs: 2 D n a layer and 2 D d once; 4 D n and 4 D d a token and layer. */
static void what_is_counted(void **state) {
  (void)state;
  sg_config c = small_config("peer");
  sg_model *plain, *with;
  uint64_t before, after;
  size_t D = c.hidden_size, L = c.num_layers, H = c.num_heads;
  assert_sg_ok(sg_model_create(&c, 5, &plain, err));
  assert_sg_ok(sg_config_flops(&c, 7, &before, err));
  c.options.always_on = 3;
  snprintf(c.options.always_on_activation, SG_NAME, "gelu");
  c.options.sink_mlp = 5;
  snprintf(c.attention_sink, SG_NAME, "logit");
  assert_sg_ok(sg_model_create(&c, 5, &with, err));
  assert_sg_ok(sg_config_flops(&c, 7, &after, err));
  assert_int_equal(after - before, 7 * L * 4 * D * (3 + 5));
  assert_int_equal(with->table.parameters - plain->table.parameters, L * (2 * D * 3 + H) + 2 * D * 5);
  for (size_t r = 0; r < with->table.count; r++) {
    const sgi_row *row = &with->table.rows[r];
    if (strstr(row->name, "always.") || strstr(row->name, "sink_mlp.")) assert_true(row->decay && row->stored);
    if (strstr(row->name, ".sinks")) assert_false(row->decay || row->stored);
    if (strstr(row->name, "always.w_in") || strstr(row->name, "sink_mlp.up"))
      assert_true(fabs(row->sigma - 1 / sqrt((double)D)) < 1e-12);
    if (strstr(row->name, "always.w_out")) assert_true(fabs(row->sigma - 1 / sqrt(3)) < 1e-12);
    if (strstr(row->name, "sink_mlp.down")) assert_true(fabs(row->sigma - 1 / sqrt(5)) < 1e-12);
  }
  sg_model_free(plain);
  sg_model_free(with);
}

/* Each of these is refused with the key that is wrong. */
static void what_is_refused(void **state) {
  (void)state;
  static const struct {
    const char *json, *named;
  } bad[] = {{"{\"feedforward\": {\"always_on\": {\"neurons\": -1}}}", "neurons"},
             {"{\"feedforward\": {\"always_on\": {\"neurons\": 1.5}}}", "neurons"},
             {"{\"feedforward\": {\"always_on\": {\"neurons\": 99999999}}}", "neurons"},
             {"{\"feedforward\": {\"always_on\": {}}}", "neurons"},
             {"{\"feedforward\": {\"always_on\": 4}}", "always_on"},
             {"{\"feedforward\": {\"always_on\": {\"neurons\": 2, \"activation\": \"sigmoid\"}}}", "activation"},
             {"{\"feedforward\": {\"always_on\": {\"neurons\": 2, \"width\": 3}}}", "width"},
             {"{\"feedforward\": {\"sink_mlp\": {\"width\": -3}}}", "width"},
             {"{\"feedforward\": {\"sink_mlp\": {\"neurons\": 3}}}", "neurons"},
             {"{\"feedforward\": {\"sink_mlp\": []}}", "sink_mlp"},
             {"{\"attention_sink\": \"value\"}", "attention_sink"},
             {"{\"attention_sink\": 1}", "attention_sink"}};
  for (size_t i = 0; i < SGI_COUNT(bad); i++) {
    sg_config c = small_config("sgatlin"), d;
    json_t *o = sgi_config_to_json(&c), *x = json_loads(bad[i].json, 0, NULL);
    const json_t *options = json_object_get(x, "feedforward");
    sg_error e = {0};
    if (options) json_object_update(json_object_get(o, "feedforward"), (json_t *)(uintptr_t)options);
    if (!options) json_object_update(o, x);
    if (!sgi_config_from_json(o, "bad", &d, &e)) fail_msg("%s is taken", bad[i].json);
    if (!strstr(e.text, bad[i].named)) fail_msg("%s is refused without \"%s\": %s", bad[i].json, bad[i].named, e.text);
    json_decref(o);
    json_decref(x);
  }
  sg_config c = small_config("sgatlin");
  c.options.sink_mlp = 5;
  c.n_feedforwards = 1;
  c.feedforwards[0] = sgi_config_feedforward(&c);
  c.feedforwards[0].options.sink_mlp = 6;
  c.layers[1].feedforward = 1;
  sg_error e = {0};
  assert_int_equal(sg_config_check(&c, &e), SG_ERR_ARG);
  assert_non_null(strstr(e.text, "sink_mlp.width"));
  c.feedforwards[0].options.sink_mlp = 0;
  assert_sg_ok(sg_config_check(&c, err)); /* one layer has none */
  snprintf(c.options.always_on_activation, SG_NAME, "gelu");
  assert_int_equal(sg_config_check(&c, &e), SG_ERR_ARG);
  assert_non_null(strstr(e.text, "always_on.neurons"));
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(gates_that_all_pass), cmocka_unit_test(what_is_off),
                                     cmocka_unit_test(what_adds_nothing),   cmocka_unit_test(what_is_counted),
                                     cmocka_unit_test(what_is_refused),     cmocka_unit_test(one_pool)};
  return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
