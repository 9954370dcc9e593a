/* Presets, FLOPs, parameters and steps per budget: every number of flops.json, in integers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "model/flops.h"
#include "model/model.h"
#include "model/presets.h"

static const json_t *get(const json_t *o, const char *key) {
  const json_t *v = json_object_get(o, key);
  if (!v) fail_msg("flops.json: key %s is missing", key);
  return v;
}
static const char *text(const json_t *o, const char *key) { return json_string_value(get(o, key)); }
static double real(const json_t *o, const char *key) { return json_number_value(get(o, key)); }
/* Numbers are read as reals, since jansson's integers end at 2^63: exact up to 2^53, which only
 * n_flops passes. */
static uint64_t whole(const json_t *o, const char *key) {
  double v = real(o, key);
  assert_true(v >= 0 && v < 9007199254740992.0);
  return (uint64_t)v;
}

static json_t *load(void) {
  json_error_t e;
  json_t *o = json_load_file("tests/golden/flops.json", JSON_DECODE_INT_AS_REAL, &e);
  if (!o) fail_msg("flops.json: line %d: %s", e.line, e.text);
  return o;
}

static void costs_agree(const json_t *o, const sg_config *c, size_t batch, size_t seq_len) {
  sg_error err = {0};
  uint64_t flops = 0;
  size_t parameters = 0;
  if (sg_config_flops(c, seq_len, &flops, &err) || sgi_config_parameters(c, &parameters, &err))
    fail_msg("%s", err.text);
  assert_int_equal(flops, whole(o, "forward_flops_per_sequence"));
  assert_int_equal(parameters, whole(o, "parameters"));
  const char *key;
  json_t *v;
  json_object_foreach((json_t *)(uintptr_t)get(o, "steps"), key, v) {
    uint64_t steps = 0;
    if (!strcmp(key, "one_epoch")) { /* of the 2119719 stories, one a row */
      assert_int_equal(2119719 / batch, whole(v, "n_steps"));
      continue;
    }
    if (sgi_budget_steps(strtod(key, NULL), flops, batch, &steps, &err)) fail_msg("%s", err.text);
    assert_int_equal(steps, whole(v, "n_steps"));
    assert_int_equal(steps * batch * seq_len, whole(v, "n_tokens"));
    assert_true((double)(3 * flops * batch * steps) == real(v, "n_flops"));
  }
}

static void every_preset(void **state) {
  (void)state;
  json_t *o = load();
  const json_t *presets = get(o, "presets");
  size_t i;
  json_t *e;
  assert_int_equal(json_array_size(presets), 50);
  json_array_foreach(presets, i, e) {
    char name[64];
    const char *kind = text(e, "kind"), *full = text(e, "name"), *scale = strrchr(full, ';');
    if (!strncmp(full, "tinystories", 11))
      snprintf(name, sizeof name, "tinystories");
    else
      snprintf(name, sizeof name, "slimpajama%s", scale);
    sg_error err = {0};
    sgi_preset_t p;
    if (sgi_preset(name, kind, &p, &err)) fail_msg("%s: %s", full, err.text);
    const sg_config *c = &p.config;
    assert_int_equal(c->hidden_size, whole(e, "d_model"));
    assert_int_equal(c->head_dim, whole(e, "d_head"));
    assert_int_equal(c->num_heads, whole(e, "n_heads"));
    assert_int_equal(c->num_layers, whole(e, "n_layers"));
    assert_int_equal(c->num_neurons, whole(e, "num_neurons"));
    assert_int_equal(c->num_channels, whole(e, "num_channels"));
    assert_int_equal(c->top_k, whole(e, "top_k"));
    assert_int_equal(c->key_dim, whole(e, "key_dim"));
    assert_int_equal(c->vocab_size, whole(e, "vocab_size"));
    assert_int_equal(c->max_position, whole(e, "seq_len"));
    assert_string_equal(c->router, text(e, "router"));
    assert_string_equal(c->activation, text(e, "activation"));
    assert_string_equal(c->feedforward, kind);
    assert_int_equal(p.batch_size, whole(e, "batch_size"));
    assert_int_equal(p.seq_len, whole(e, "seq_len"));
    const json_t *optimizer = get(e, "optimizer");
    assert_true(p.learning_rate == real(optimizer, "learning_rate"));
    assert_true(p.weight_decay == real(optimizer, "weight_decay"));
    assert_true(p.clip == real(optimizer, "clip_by_global_norm"));
    assert_true(p.decay_fraction == real(optimizer, "decay_fraction"));
    assert_int_equal(p.warmup_steps, whole(optimizer, "warmup_steps"));
    assert_string_equal(p.schedule, text(optimizer, "schedule"));
    costs_agree(e, c, p.batch_size, p.seq_len);
  }
  json_decref(o);
}

static bool is_dense(const char *kind) { return strcmp(kind, "sgatlin") && strcmp(kind, "peer"); }

/* The sweeps are exactly what the table of budgets makes: none is missing, none is more. */
static void every_isoflop_sweep(void **state) {
  (void)state;
  json_t *o = load();
  const json_t *sweeps = get(o, "isoflop_sweeps");
  size_t i, wanted = 0;
  json_t *e;
  json_array_foreach(sweeps, i, e) {
    const char *kind = text(e, "kind"), *name = text(e, "name");
    int scale = atoi(strrchr(name, ';') + 1);
    const char *budget = json_object_iter_key(json_object_iter((json_t *)(uintptr_t)get(e, "steps")));
    const sgi_isoflop *f = NULL;
    for (size_t k = 0; (f = sgi_isoflop_at(k)) && f->budget != strtod(budget, NULL);) k++;
    assert_non_null(f);
    assert_int_equal(f->batch_size, whole(e, "batch_size"));
    assert_int_equal(f->seq_len, whole(e, "seq_len"));
    assert_in_range(scale, is_dense(kind) ? f->first_scale_dense : f->first_scale, f->last_scale);
    char preset[64];
    snprintf(preset, sizeof preset, "slimpajama:%d", scale);
    sgi_preset_t p;
    assert_int_equal(sgi_preset(preset, kind, &p, NULL), SG_OK);
    costs_agree(e, &p.config, f->batch_size, f->seq_len);
  }
  const sgi_isoflop *f;
  for (size_t k = 0; (f = sgi_isoflop_at(k)); k++)
    wanted += (size_t)(2 * (f->last_scale - f->first_scale + 1) + 3 * (f->last_scale - f->first_scale_dense + 1));
  assert_int_equal(json_array_size(sweeps), wanted);
  json_decref(o);
}

/* The formulas of each router at one set of sizes, written out (docs/method.md, FLOPs). */
static void routers_by_formula(void **state) {
  (void)state;
  const uint64_t T = 24, D = 32, L = 2, F = 64, S = 8, C = 3, K = 4, Q = 16;
  const uint64_t rest = 8 * T * D * D + 4 * T * T * D + 4 * T * K * C * D;
  const struct {
    const char *router;
    uint64_t flops;
  } cases[] = {
      {"dense", T * (2 * D * Q + 2 * Q * F * C)},
      {"product_dense", T * (2 * D * Q + 4 * C * S * Q)},
      {"key_value", T * (2 * C * Q * D + 2 * C * F * Q)},
      {"product_key_value", T * (4 * C * Q * D + 4 * C * S * Q)},
  };
  sg_config c = {.vocab_size = 97,
                 .hidden_size = D,
                 .head_dim = 16,
                 .num_heads = 2,
                 .num_layers = L,
                 .max_position = T,
                 .rms_norm_eps = 1e-6,
                 .rope_theta = 1e4,
                 .feedforward = "sgatlin",
                 .activation = "identity",
                 .num_neurons = F,
                 .num_channels = C,
                 .top_k = K,
                 .key_dim = Q};
  for (size_t i = 0; i < SGI_COUNT(cases); i++) {
    uint64_t flops = 0;
    snprintf(c.router, sizeof c.router, "%s", cases[i].router);
    assert_int_equal(sg_config_flops(&c, T, &flops, NULL), SG_OK);
    assert_int_equal(flops, L * (rest + cases[i].flops));
    assert_int_equal(sgi_config_head_flops(&c, T, &flops, NULL), SG_OK);
    assert_int_equal(flops, 2 * T * 97 * D);
  }
}

static void what_does_not_fit_is_refused(void **state) {
  (void)state;
  sg_error err = {0};
  sgi_preset_t p;
  uint64_t n;
  size_t parameters;
  assert_int_equal(sgi_preset("tinystories", "mlp", &p, &err), SG_OK);
  assert_int_equal(sg_config_flops(&p.config, SIZE_MAX, &n, &err), SG_ERR_ARG);
  assert_int_equal(sg_config_flops(&p.config, SIZE_MAX / 4096, &n, &err), SG_ERR_ARG);
  assert_int_equal(sg_config_flops(&p.config, 0, &n, &err), SG_ERR_ARG);
  assert_int_equal(sgi_config_head_flops(&p.config, SIZE_MAX / 64, &n, &err), SG_ERR_ARG);
  p.config.num_layers = SIZE_MAX;
  assert_int_equal(sgi_config_parameters(&p.config, &parameters, &err), SG_ERR_ARG);
  assert_int_equal(sgi_preset("slimpajama;9", "moe", &p, &err), SG_OK);
  p.config.num_neurons = (size_t)1 << 30, p.config.num_channels = (size_t)1 << 30,
  p.config.hidden_size = (size_t)1 << 20;
  assert_int_equal(sg_config_flops(&p.config, 2048, &n, &err), SG_ERR_ARG);
  assert_int_equal(sgi_budget_steps(1e18, UINT64_MAX / 2, 2, &n, &err), SG_ERR_ARG);
  assert_int_equal(sgi_budget_steps(1e18, 0, 2, &n, &err), SG_ERR_ARG);
  assert_int_equal(sgi_budget_steps(10, 100, 2, &n, &err), SG_ERR_ARG);
  assert_int_equal(sgi_budget_steps(1e30, 1, 1, &n, &err), SG_ERR_ARG);
  assert_int_equal(sgi_budget_steps(-1, 1, 1, &n, &err), SG_ERR_ARG);
  /* over 2^64, still exact */
  assert_int_equal(sgi_budget_steps(1e22, UINT64_C(1) << 40, 64, &n, &err), SG_OK);
  assert_int_equal(n, 47369515); /* 10^22 // (3 * 64 * 2^40) */
}

static void names_are_checked(void **state) {
  (void)state;
  sg_error err = {0};
  sgi_preset_t p;
  const char *bad[] = {
      "", "tinystories;1", "slimpajama", "slimpajama;", "slimpajama;0", "slimpajama;10", "slimpajama;1 "};
  for (size_t i = 0; i < SGI_COUNT(bad); i++) assert_int_equal(sgi_preset(bad[i], "mlp", &p, &err), SG_ERR_ARG);
  assert_int_equal(sgi_preset("tinystories", "sgatln", &p, &err), SG_ERR_ARG);
  assert_non_null(strstr(err.text, "did you mean sgatlin"));
  for (size_t i = 0; sgi_preset_name(i); i++)
    for (size_t k = 0; sg_feedforward_name(k); k++)
      if (sgi_preset(sgi_preset_name(i), sg_feedforward_name(k), &p, &err)) fail_msg("%s", err.text);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_preset),       cmocka_unit_test(every_isoflop_sweep),
      cmocka_unit_test(routers_by_formula), cmocka_unit_test(what_does_not_fit_is_refused),
      cmocka_unit_test(names_are_checked),
  };
  return cmocka_run_group_tests_name("flops", tests, NULL, NULL);
}
