#include "support/small.h"

#include <stdio.h>
#include <string.h>

#include "core/rng.h"
#include "model/config.h"
#include "model/presets.h"

void small_experts(sg_config *c) {
  if (!(sgi_ffn_of(c)->uses & SGI_USES_EXPERTS)) return;
  snprintf(c->decomposition, sizeof c->decomposition, "horizontal");
  c->num_neurons = 0;
  c->num_experts = 5;
  c->expert_dim = 4;
  c->router_group = c->num_layers;
}

sg_config small_config(const char *kind) {
  const sgi_ffn_ops *ffn = sgi_ffn_find(kind, NULL);
  sgi_preset_t preset;
  assert_sg_ok(sgi_preset("tinystories", kind, &preset, err));
  sg_config c = {.vocab_size = SMALL_V,
                 .hidden_size = 32,
                 .head_dim = 16,
                 .num_heads = 2,
                 .num_layers = SMALL_LAYERS,
                 .max_position = SMALL_T,
                 .rms_norm_eps = 1e-6,
                 .rope_theta = 1e4,
                 .bos_id = 1,
                 .eos_id = 1,
                 .num_neurons = 36};
  snprintf(c.feedforward, sizeof c.feedforward, "%s", kind);
  memcpy(c.activation, preset.config.activation, sizeof c.activation);
  memcpy(c.router, preset.config.router, sizeof c.router);
  if (ffn->uses & SGI_USES_CHANNELS) c.num_channels = 3;
  if (ffn->uses & SGI_USES_TOP_K) c.top_k = 2;
  if (ffn->uses & SGI_USES_KEY_DIM) c.key_dim = 8;
  small_experts(&c);
  return c;
}

/* Layer by layer: sgatlin, peer with gates, the first again, moe without attention, attention
 * alone, glu with the second's attention, nothing, the mlp of one layer in two. */
static const char LAYERS[] =
    "[{},"
    " {\"feedforward\": {\"kind\": \"peer\", \"router\": \"product_key_value\", \"activation\": \"gelu\", "
    "\"num_neurons\": 25,"
    "                   \"num_channels\": 2, \"top_k\": 3, \"key_dim\": 4, \"gates\": {\"kind\": \"jumprelu\"}}},"
    " {\"same_as\": 0},"
    " {\"attention\": false, \"feedforward\": {\"kind\": \"moe\", \"activation\": \"sigmoid\", \"num_neurons\": 7,"
    "                                         \"num_channels\": 5, \"top_k\": 2}},"
    " {\"feedforward\": false},"
    " {\"attention\": {\"same_as\": 1}, \"feedforward\": {\"kind\": \"glu\", \"activation\": \"sigmoid\", "
    "\"num_neurons\": 9}},"
    " {\"attention\": false, \"feedforward\": false},"
    " {\"feedforward\": {\"kind\": \"mlp\", \"activation\": \"gelu\", \"num_neurons\": 11}},"
    " {\"feedforward\": {\"same_as\": 7}}]";

/* The same of linear neurons alone, whose held network is exact for any change. */
static const char LINEAR[] =
    "[{},"
    " {\"feedforward\": {\"kind\": \"sgatlin\", \"router\": \"dense\", \"activation\": \"identity\", \"num_neurons\": "
    "10,"
    "                   \"num_channels\": 2, \"top_k\": 4, \"key_dim\": 4, \"gates\": {\"kind\": \"jumprelu\"}}},"
    " {\"attention\": false, \"feedforward\": {\"same_as\": 0}},"
    " {\"attention\": {\"same_as\": 0}, \"feedforward\": false},"
    " {}]";

/* Routers shared by two layers, vertical; one of its own, horizontal; with others between. */
static const char SHARED[] =
    "[{\"feedforward\": {\"kind\": \"monet\", \"decomposition\": \"vertical\", \"activation\": \"relu2\", "
    "\"num_channels\": 3, \"num_experts\": 4, \"expert_dim\": 6, \"top_k\": 2, \"router_group\": 2}},"
    " {\"feedforward\": {\"kind\": \"monet\", \"decomposition\": \"vertical\", \"activation\": \"relu2\", "
    "\"num_channels\": 3, \"num_experts\": 4, \"expert_dim\": 2, \"top_k\": 2, \"router_group\": 2}},"
    " {},"
    " {\"attention\": false, \"feedforward\": {\"kind\": \"monet\", \"decomposition\": \"horizontal\", "
    "\"activation\": \"relu2\", \"num_channels\": 2, \"num_experts\": 3, \"expert_dim\": 3, \"top_k\": 1}}]";

/* What stands beside kinds of every form, in one layer or another, with layers that share all of
 * it. */
static const char BESIDE[] =
    "[{\"feedforward\": {\"kind\": \"sgatlin\", \"router\": \"dense\", \"activation\": \"identity\", \"num_neurons\": "
    "10,"
    "                   \"num_channels\": 2, \"top_k\": 4, \"key_dim\": 4, \"always_on\": {\"neurons\": 3},"
    "                   \"sink_mlp\": {\"width\": 6}}},"
    " {\"feedforward\": {\"kind\": \"glu\", \"activation\": \"sigmoid\", \"num_neurons\": 9,"
    "                   \"always_on\": {\"neurons\": 2}}},"
    " {\"same_as\": 0},"
    " {\"feedforward\": {\"kind\": \"moe\", \"activation\": \"sigmoid\", \"num_neurons\": 7,"
    "                   \"num_channels\": 5, \"top_k\": 2, \"sink_mlp\": {\"width\": 6}}},"
    " {\"feedforward\": {\"kind\": \"peer\", \"router\": \"product_key_value\", \"activation\": \"gelu\", "
    "\"num_neurons\": 25,"
    "                   \"num_channels\": 2, \"top_k\": 3, \"key_dim\": 4, \"gates\": {\"kind\": \"jumprelu\"},"
    "                   \"always_on\": {\"neurons\": 1, \"activation\": \"swish\"}, \"sink_mlp\": {\"width\": 6}}},"
    " {\"feedforward\": {\"kind\": \"monet\", \"decomposition\": \"horizontal\", \"activation\": \"relu2\", "
    "\"num_channels\": 2, \"num_experts\": 3, \"expert_dim\": 3, \"top_k\": 1,"
    "                   \"always_on\": {\"neurons\": 2, \"activation\": \"identity\"}}},"
    " {\"feedforward\": {\"kind\": \"mlp\", \"activation\": \"gelu\", \"num_neurons\": 4, \"sink_mlp\": {\"width\": 6},"
    "                   \"always_on\": {\"neurons\": 2, \"activation\": \"relu2\"}}}]";

/* Neurons under routers shared by layers: peer with constants, then without; sgatlin, with gates
 * and another activation in between. */
static const char CHOSEN[] =
    "[{\"feedforward\": {\"kind\": \"peer\", \"router\": \"product_key_value\", \"activation\": \"relu2\", \"bias\": "
    "true, \"num_neurons\": 25, \"num_channels\": 2, \"top_k\": 3, \"key_dim\": 4, \"router_group\": 2}},"
    " {\"feedforward\": {\"kind\": \"peer\", \"router\": \"product_key_value\", \"activation\": \"gelu\", "
    "\"num_neurons\": 25, \"num_channels\": 2, \"top_k\": 3, \"key_dim\": 4, \"router_group\": 2}},"
    " {},"
    " {\"feedforward\": {\"kind\": \"sgatlin\", \"router\": \"product_dense\", \"activation\": \"identity\", "
    "\"num_neurons\": 16, \"num_channels\": 3, \"top_k\": 3, \"key_dim\": 5, \"router_group\": 3}},"
    " {\"attention\": false, \"feedforward\": {\"kind\": \"sgatlin\", \"router\": \"product_dense\", \"activation\": "
    "\"identity\", \"num_neurons\": 16, \"num_channels\": 3, \"top_k\": 3, \"key_dim\": 5, \"router_group\": 3, "
    "\"gates\": {\"kind\": \"jumprelu\"}}},"
    " {\"feedforward\": {\"kind\": \"sgatlin\", \"router\": \"product_dense\", \"activation\": \"swish\", "
    "\"num_neurons\": 16, \"num_channels\": 3, \"top_k\": 3, \"key_dim\": 5, \"router_group\": 3}}]";

/* Metarouters: two layers of different kinds that share a choice by sequence, attention alone, one
 * with gates by token, the same tensors once more. Fewer neurons would start with weights so large
 * that rounding of what cancels with a single token passes the bound of grad/test_model. */
static const char METAROUTERS[] =
    "[{\"feedforward\": {\"kind\": \"sgatlin\", \"router\": \"product_dense\", \"activation\": \"gelu\", "
    "\"num_neurons\": 64, \"num_channels\": 2, \"top_k\": 3, \"key_dim\": 4, "
    "\"meta\": {\"experts\": 3, \"top_k\": 2, \"choice\": \"sequence\", \"prefix\": 4, \"group\": 2}}},"
    " {\"attention\": false, \"feedforward\": {\"kind\": \"peer\", \"router\": \"product_key_value\", \"activation\": "
    "\"gelu\", "
    "\"num_neurons\": 64, \"num_channels\": 3, \"top_k\": 2, \"key_dim\": 4, \"always_on\": {\"neurons\": 2}, "
    "\"meta\": {\"experts\": 3, \"top_k\": 2, \"choice\": \"sequence\", \"prefix\": 4, \"group\": 2}}},"
    " {\"feedforward\": false},"
    " {\"feedforward\": {\"kind\": \"sgatlin\", \"router\": \"dense\", \"activation\": \"identity\", "
    "\"num_neurons\": 64, \"num_channels\": 2, \"top_k\": 4, \"key_dim\": 4, "
    "\"gates\": {\"kind\": \"jumprelu\"}, "
    "\"meta\": {\"experts\": 4, \"top_k\": 1, \"choice\": \"token\"}}},"
    " {\"attention\": false, \"feedforward\": {\"same_as\": 3}}]";

bool mixed_config(size_t i, sg_config *out, const char **name) {
  static const struct {
    const char *name, *layers;
    size_t n;
    const char *form, *pruned, *sink;
  } all[] = {{"mixed", LAYERS, 9, NULL, NULL, NULL},
             {"mixed, parallel", LAYERS, 9, "parallel", NULL, NULL},
             {"mixed, pruned", LAYERS, 9, NULL, "[0, 3, 15]", NULL},
             {"linear", LINEAR, 5, NULL, NULL, NULL},
             {"linear, parallel", LINEAR, 5, "parallel", NULL, NULL},
             {"shared routers", SHARED, 4, NULL, NULL, NULL},
             {"shared routers, parallel", SHARED, 4, "parallel", NULL, NULL},
             {"shared choices", CHOSEN, 6, NULL, NULL, NULL},
             {"shared choices, parallel", CHOSEN, 6, "parallel", NULL, NULL},
             {"beside", BESIDE, 7, NULL, NULL, "logit"},
             {"beside, parallel", BESIDE, 7, "parallel", "[13]", "logit"},
             {"metarouters", METAROUTERS, 5, NULL, NULL, NULL},
             {"metarouters, parallel", METAROUTERS, 5, "parallel", NULL, NULL}};
  if (i >= SGI_COUNT(all)) return false;
  sg_config plain = small_config("sgatlin");
  plain.num_layers = all[i].n;
  json_t *o = sgi_config_to_json(&plain);
  assert_int_equal(json_object_set_new(o, "layers", json_loads(all[i].layers, 0, NULL)), 0);
  if (all[i].form) json_object_set_new(o, "layer_form", json_string(all[i].form));
  if (all[i].sink) json_object_set_new(o, "attention_sink", json_string(all[i].sink));
  if (all[i].pruned) json_object_set_new(o, "pruned_sublayers", json_loads(all[i].pruned, 0, NULL));
  assert_sg_ok(sgi_config_from_json(o, all[i].name, out, err));
  json_decref(o);
  *name = all[i].name;
  return true;
}

const char *mixed_layers(size_t *n) {
  *n = 9;
  return LAYERS;
}

sg_config mixed_like(size_t i, const sg_config *like) {
  sg_config c;
  const char *name;
  assert_true(mixed_config(i, &c, &name));
  c.vocab_size = like->vocab_size;
  c.max_position = like->max_position;
  c.bos_id = like->bos_id;
  c.eos_id = like->eos_id;
  c.pad_id = like->pad_id;
  return c;
}

bool formed_config(size_t i, sg_config *out, const char **name) {
  static const struct {
    const char *name, *kind, *form;
    size_t steps;
  } all[] = {{"mlp, parallel", "mlp", "parallel", 0},
             {"sgatlin, parallel", "sgatlin", "parallel", 0},
             {"mlp, 2 of euler", "mlp", "euler", 2},
             {"sgatlin, 2 of euler", "sgatlin", "euler", 2},
             {"mlp, midpoint", "mlp", "midpoint", 1},
             {"sgatlin, midpoint", "sgatlin", "midpoint", 1},
             {"mlp, 3 of midpoint", "mlp", "midpoint", 3},
             {"sgatlin, rk4", "sgatlin", "rk4", 1},
             {"mlp, 2 of rk4", "mlp", "rk4", 2}};
  if (i >= SGI_COUNT(all)) return false;
  *out = small_config(all[i].kind);
  snprintf(out->layer_form, sizeof out->layer_form, "%s", all[i].form);
  out->ode_steps = all[i].steps;
  *name = all[i].name;
  return true;
}

sgi_trainer_settings small_settings(void) {
  sgi_trainer_settings s = sgi_trainer_defaults(SMALL_B, SMALL_T);
  s.micro_batch = 2;
  s.clip = 1;
  s.schedule = (sgi_schedule){
      .kind = SGI_SCHEDULE_WARMUP_LINEAR, .peak = 1e-2, .updates = 20, .warmup = 3, .decay_fraction = 0.4};
  return s;
}

sgi_trainer *small_trainer(const char *kind, const sgi_trainer_settings *s) {
  sg_config c = small_config(kind);
  sg_model *m;
  sgi_trainer *t;
  assert_sg_ok(sg_model_create(&c, 5, &m, err));
  assert_sg_ok(sgi_trainer_create(m, s, &t, err));
  return t;
}

void small_batch(uint64_t i, int32_t *inputs, int32_t *targets, int32_t *starts) {
  sgi_rng r = sgi_rng_make(9, SGI_STREAM_SAMPLE, i);
  for (size_t k = 0; k < SMALL_B * SMALL_T; k++) {
    size_t t = k % SMALL_T;
    targets[k] = t + 1 == SMALL_T ? 0 : (int32_t)(2 + sgi_rng_below(&r, SMALL_V - 2));
    inputs[k] = t == 0 || t == SMALL_T / 2 ? 1 : targets[k - 1];
    if (starts) starts[k] = t < SMALL_T / 2 ? 0 : SMALL_T / 2;
  }
}

void small_text(const char *path) {
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  for (int i = 0; i < 60; i++) fprintf(f, "Day %d: Tom went to the %s.<|endoftext|>\n", i, i % 3 ? "sea" : "park");
  fclose(f);
}

sgi_step small_step(sgi_trainer *t) {
  int32_t inputs[SMALL_B * SMALL_T], targets[SMALL_B * SMALL_T], starts[SMALL_B * SMALL_T];
  sgi_step s;
  small_batch(t->steps, inputs, targets, starts);
  assert_sg_ok(sgi_trainer_step(t, inputs, targets, starts, &s, err));
  return s;
}
