#include "train/settings.h"

#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "core/number.h"
#include "ffn/ffn.h"
#include "ffn/meta.h"
#include "model/config.h"
#include "model/presets.h"
#include "train/trainer.h"
#include "model/config_options.h"

typedef enum type { SIZE, FLAG, COUNT, REAL, TEXT, NAME, OPTIMIZER, LAYERS, PATH } type;

typedef struct key {
  const char *name;
  type type;
  size_t offset;
  double least, most;
  const char *help;
} key;

#define AT(field) offsetof(sgi_settings, field)
#define SPACE_NAME(name) " " #name
static const key table[] = {
    {"preset", TEXT, AT(preset), 0, 0, "starting point: tinystories, slimpajama;1 ... slimpajama;9"},
    {"feedforward.kind", NAME, AT(model.feedforward), 0, 0, "feedforward layer; takes that kind's sizes of the preset"},
    {"feedforward.router", NAME, AT(model.router), 0, 0, "product_dense, dense, product_key_value or key_value"},
    {"feedforward.activation", NAME, AT(model.activation), 0, 0, "of neurons: identity, gelu, relu, relu2 or swish"},
    {"feedforward.num_neurons", SIZE, AT(model.num_neurons), 1, 1 << 30, "neurons of a pool, or hidden width"},
    {"feedforward.num_channels", SIZE, AT(model.num_channels), 0, 1 << 30, "channels, or experts of moe"},
    {"feedforward.top_k", SIZE, AT(model.top_k), 0, 1 << 30, "units chosen per token and channel"},
    {"feedforward.key_dim", SIZE, AT(model.key_dim), 0, 1 << 30, "width of the router's query"},
    {"feedforward.decomposition", NAME, AT(model.decomposition), 0, 0, "of monet: horizontal or vertical"},
    {"feedforward.num_experts", SIZE, AT(model.num_experts), 0, 1 << 15, "sub-experts an axis of monet"},
    {"feedforward.expert_dim", SIZE, AT(model.expert_dim), 0, 1 << 20, "hidden width of an expert of monet"},
    {"feedforward.router_group", SIZE, AT(model.router_group), 0, 4096, "layers that share a router; 0: 1"},
    {"feedforward.bias", FLAG, AT(model.options.bias), 0, 1, "of peer: true adds a constant to what a neuron reads"},
    {"feedforward.gates.kind", NAME, AT(model.options.gates), 0, 0,
     "jumprelu: of the top_k candidates those above a learned threshold act"},
    {"feedforward.gates.bandwidth", REAL, AT(model.options.bandwidth), 0, 1e6,
     "of the thresholds' gradient, in units of the score; 0: 0.25"},
    {"feedforward.sink_mlp.width", SIZE, AT(model.options.sink_mlp), 0, 1 << 20,
     "hidden width of an MLP beside the kind whose maps all layers share; 0: none"},
    {"feedforward.always_on.neurons", SIZE, AT(model.options.always_on), 0, 1 << 20,
     "neurons beside the kind that act at every token; 0: none"},
    {"feedforward.always_on.activation", NAME, AT(model.options.always_on_activation), 0, 0,
     "of these: gelu, identity, relu, relu2 or swish; gelu unless set"},
    {"feedforward.meta.experts", SIZE, AT(model.options.meta_experts), 0, SGI_META_MOST,
     "metarouter: pools, each with a router and neurons of its own; 0: none"},
    {"feedforward.meta.top_k", SIZE, AT(model.options.meta_top_k), 0, SGI_META_MOST, "pools that run; 0: 1"},
    {"feedforward.meta.choice", NAME, AT(model.options.meta_choice), 0, 0,
     "of pools: token, or sequence (by the mean over a document's first positions)"},
    {"feedforward.meta.prefix", SIZE, AT(model.options.meta_prefix), 0, SGI_META_PREFIX,
     "positions that a choice by sequence is made of; 0: 64"},
    {"feedforward.meta.group", SIZE, AT(model.options.meta_group), 0, SGI_META_GROUP,
     "layers that share a choice of pools; 0: 1 by token, all by sequence"},
    {"model.hidden_size", SIZE, AT(model.hidden_size), 1, 1 << 20, "width of the residual stream (d_model)"},
    {"model.num_hidden_layers", SIZE, AT(model.num_layers), 1, 4096, "layers"},
    {"model.head_dim", SIZE, AT(model.head_dim), 2, 1 << 20, "width of an attention head, even"},
    {"model.layer_form", NAME, AT(model.layer_form), 0, 0, "sequential, parallel, euler, midpoint or rk4"},
    {"model.ode_steps", SIZE, AT(model.ode_steps), 0, SG_MAX_ODE_STEPS, "steps of euler, midpoint and rk4; 0: 1"},
    {"model.norm", NAME, AT(model.norm), 0, 0, "rms, or none: streams as they are, gains stay 1"},
    {"model.attention_sink", NAME, AT(model.attention_sink), 0, 0,
     "logit: a learned logit a head in every row's softmax, without a value"},
    {"model.layers", LAYERS, AT(layers), 0, 0, "one object a layer, as in config.json of a model (docs/formats.md)"},
    {"model.num_attention_heads", SIZE, AT(num_attention_heads), 0, 1 << 20, "heads; 0: hidden_size / head_dim"},
    {"train.steps", COUNT, AT(steps), 0, 1e15, "batches; 0: by flops_budget, else one epoch"},
    {"train.flops_budget", REAL, AT(flops_budget), 0, 1e30, "FLOPs; 0: none"},
    {"train.batch_size", SIZE, AT(batch_size), 1, 1 << 24, "rows of a batch"},
    {"train.seq_len", SIZE, AT(seq_len), 1, 1 << 24, "tokens of a row"},
    {"train.grad_accumulation", SIZE, AT(grad_accumulation), 1, 1 << 20, "batches per update"},
    {"train.micro_batch", SIZE, AT(micro_batch), 0, 1 << 24, "rows computed at a time; 0: as memory allows"},
    {"train.parts", SIZE, AT(parts), 0, 1 << 20,
     "parts of a batch, a power of two, whose gradients are added as a tree: what ranks share; 0: 1, under mpirun 8 "
     "or one a rank"},
    {"train.from", PATH, AT(from), 0, 0, "a model or run of the same kind and sizes whose weights to start with"},
    {"train.init", NAME, AT(init), 0, 0,
     "how maps start: usual, or monet: a normal of deviation 0.02, as the code released for it has them"},
    {"train.precision", TEXT, AT(precision), 0, 0,
     "operands of products: float32, bf16, or auto (bf16 where this processor gains by it)"},
    {"train.pool_precision", TEXT, AT(pool_precision), 0, 0,
     "pools of sgatlin and peer in training: float32, or int4 with a buffer: a byte a weight in place of 16"},
    {"int4.substeps", SIZE, AT(int4.substeps), 1, SGI_INT4_SUBSTEPS,
     "parts of a level that the buffer counts; 1: no buffer"},
    {"int4.lr_scale", REAL, AT(int4.lr_scale), 0, 1e6, "rate of int4 pools, in times of learning_rate"},
    {"int4.scale_lr", REAL, AT(int4.scale_lr), 0, 1e6, "rate of their scales, in times of that; 0: scales stay"},
    {"int4.row_block", SIZE, AT(int4.row_block), 1, 1 << 20, "neurons of int4 pools that a thread takes at a time"},
    {"train.gate_dropout", REAL, AT(gate_dropout), 0, 0.999,
     "probability that a chosen neuron (sgatlin, peer) is left out of a step; 0: none"},
    {"train.seed", COUNT, AT(seed), 0, 1.8e19, "seed of initialisation and order of the data"},
#define AUX_KEY(id, name, usual, help) \
  {"train.aux." name, REAL, AT(aux.part[SGI_AUX_##id]), 0, 1e6, "weight of what is added to the loss; " help},
    SGI_AUX_PARTS(AUX_KEY){"train.aux.target_active", REAL, AT(aux.target_active), 0, 1e9,
                           "gates: how many are to act in a layer; 0: half of the candidates"},
    {"train.aux.threshold_lr", REAL, AT(threshold_lr), 0, 1e6, "gates: rate of thresholds, in times of learning_rate"},
    {"optimizer.kind", OPTIMIZER, AT(optimizer), 0, 0, "one of:" SGI_OPTIMIZERS(SPACE_NAME)},
    {"optimizer.learning_rate", REAL, AT(learning_rate), 0, 1e6, "peak of the schedule"},
    {"optimizer.weight_decay", REAL, AT(weight_decay), 0, 1, "part of a weight lost per update at the peak"},
    {"optimizer.clip", REAL, AT(clip), 0, 1e30, "largest global norm of the gradient; 0: none"},
    {"schedule.kind", TEXT, AT(schedule), 0, 0,
     "constant, cosine, warmup_stable_linear_decay, warmup_stable_sqrt_decay"},
    {"schedule.warmup_steps", COUNT, AT(warmup_steps), 0, 1e15, "updates of linear warm-up"},
    {"schedule.decay_fraction", REAL, AT(decay_fraction), 0, 1, "last part of the run in which the rate decays"},
    {"data.rows", TEXT, AT(rows), 0, 0,
     "pad: one document a row; pack: one behind the other; auto: pack where documents are long"},
    {"data.split", TEXT, AT(split), 0, 0, "documents of .txt end at: endoftext or blank-lines"},
    {"data.line_ends", TEXT, AT(line_ends), 0, 0, ".txt with lines that end in CRLF: lf (read as if in LF) or as-is"},
    {"data.missing_shards", TEXT, AT(missing_shards), 0, 0,
     "numbered files of a directory that are not there: refuse or allow"},
    {"data.held_out", REAL, AT(held_out), 0, 0.5, "part of a single file that is held out, from its end; 0: none"},
    {"data.field", TEXT, AT(field), 0, 0, "string field of .jsonl lines"},
    {"tokenizer.vocab_size", SIZE, AT(tokenizer_vocab_size), 0, 1 << 24,
     "size of a tokenizer trained for the run; 0: the preset's"},
    {"eval.every", COUNT, AT(eval_every), 0, 1e15, "steps between evaluations; 0: only at the end"},
    {"eval.batches", SIZE, AT(eval_batches), 0, 1 << 30, "held-out batches of an evaluation; 0: all"},
    {"checkpoint.every", COUNT, AT(checkpoint_every), 0, 1e15, "steps between checkpoints; 0: only at the end"},
    {"checkpoint.keep", SIZE, AT(checkpoint_keep), 1, 1 << 30, "newest checkpoints kept besides the best"},
    {"log.every", COUNT, AT(log_every), 1, 1e15, "steps between lines of metrics.jsonl"},
};

/* The settings that optimizers bring along: each name once, from the first that has it. */
static const sgi_optimizer_setting *optimizer_setting(size_t i) {
  const sgi_optimizer_ops *ops;
  for (size_t k = 0; (ops = sgi_optimizer_at(k)); k++)
    for (const sgi_optimizer_setting *s = ops->settings; s->name; s++) {
      size_t before = 0;
      while (before < k && sgi_optimizer_setting_at(sgi_optimizer_at(before), s->name) < 0) before++;
      if (before == k && !i--) return s;
    }
  return NULL;
}

const char *sg_setting_key(size_t i, const char **help) {
  const sgi_optimizer_setting *own = i < SGI_COUNT(table) ? NULL : optimizer_setting(i - SGI_COUNT(table));
  if (i >= SGI_COUNT(table) && !own) return NULL;
  if (help) *help = own ? own->help : table[i].help;
  return own ? own->name : table[i].name;
}

/* ---- assignments ----------------------------------------------------------------------------- */

sg_status sgi_assign(sgi_assignments *a, const char *name, const char *value, const char *where, sg_error *err) {
  if (!sgi_room(&a->list, &a->capacity, a->count, sizeof *a->list))
    return sgi_fail_memory(err, 2 * a->count * sizeof *a->list, "settings");
  struct sgi_assignment *x = &a->list[a->count++];
  *x = (struct sgi_assignment){sgi_strdup(name), sgi_strdup(value), sgi_strdup(where), a->rank};
  return x->key && x->value && x->where
             ? SG_OK
             : sgi_fail_memory(err, strlen(name) + strlen(value) + strlen(where), "settings");
}

sg_status sgi_assign_text(sgi_assignments *a, const char *text, const char *where, sg_error *err) {
  const char *equals = strchr(text, '=');
  char name[SGI_SETTING_TEXT];
  if (!equals || equals == text || (size_t)(equals - text) >= sizeof name)
    return sgi_fail(err, SG_ERR_ARG, "\"%s\" is no setting: expected KEY=VALUE, such as train.steps=1000", text);
  memcpy(name, text, (size_t)(equals - text));
  name[equals - text] = '\0';
  return sgi_assign(a, name, equals + 1, where ? where : text, err);
}

static sg_status assign_value(sgi_assignments *a, const char *name, const json_t *v, const char *where, sg_error *err) {
  char text[40];
  if (json_is_string(v)) return sgi_assign(a, name, json_string_value(v), where, err);
  if (json_is_boolean(v))
    snprintf(text, sizeof text, "%s", json_is_true(v) ? "true" : "false");
  else if (json_is_integer(v))
    snprintf(text, sizeof text, "%lld", (long long)json_integer_value(v));
  else if (json_is_real(v))
    snprintf(text, sizeof text, "%.17g", json_real_value(v));
  else if (json_is_boolean(v))
    snprintf(text, sizeof text, "%s", json_is_true(v) ? "true" : "false");
  else if (json_is_array(v) && !strcmp(name, "model.layers")) {
    char *list = sgi_json_text(v);
    sg_status st = list ? sgi_assign(a, name, list, where, err) : sgi_fail_memory(err, 1, "a list of layers");
    sgi_free(list);
    return st;
  } else
    return sgi_fail(err, SG_ERR_ARG, "%s: %s must be a number, a string, true or false", where, name);
  return sgi_assign(a, name, text, where, err);
}

enum { DEEPEST = 4 };

/* Keys of an object of settings, and of those in it, with dots between. */
static sg_status assign_group(sgi_assignments *a, const char *prefix, const json_t *object, size_t depth,
                              const char *where, sg_error *err) {
  const char *inner;
  const json_t *v;
  sg_status st = SG_OK;
  json_object_foreach((json_t *)(uintptr_t)object, inner, v) {
    char name[2 * SGI_SETTING_TEXT];
    if (st) break;
    snprintf(name, sizeof name, "%.60s%s%.60s", prefix, *prefix ? "." : "", inner);
    st = json_is_object(v) && depth < DEEPEST ? assign_group(a, name, v, depth + 1, where, err)
                                              : assign_value(a, name, v, where, err);
  }
  return st;
}

sg_status sgi_assign_json(sgi_assignments *a, const json_t *object, const char *where, sg_error *err) {
  if (!json_is_object(object)) return sgi_fail(err, SG_ERR_FORMAT, "%s: expected an object of settings", where);
  return assign_group(a, "", object, 0, where, err);
}

void sgi_assignments_free(sgi_assignments *a) {
  for (size_t i = 0; i < a->count; i++) {
    sgi_free(a->list[i].key);
    sgi_free(a->list[i].value);
    sgi_free(a->list[i].where);
  }
  sgi_free(a->list);
  memset(a, 0, sizeof *a);
}

/* ---- resolving ------------------------------------------------------------------------------- */

static const key *find(const char *name) {
  for (size_t i = 0; i < SGI_COUNT(table); i++)
    if (!strcmp(table[i].name, name)) return &table[i];
  return NULL;
}

static sg_status unknown(const struct sgi_assignment *x, sg_error *err) {
  const char *names[2 * SGI_COUNT(table)];
  size_t n = 0;
  while (n < SGI_COUNT(names) && (names[n] = sg_setting_key(n, NULL))) n++;
  const char *near = sg_setting_word(x->key);
  if (!near) near = sgi_nearest(x->key, names, n);
  return sgi_fail(err, SG_ERR_ARG, "%s: unknown key \"%s\"%s%s%s", x->where, x->key, near ? "; did you mean \"" : "",
                  near ? near : "", near ? "\"?" : "");
}

static sg_status set_number(const key *k, const struct sgi_assignment *x, void *field, sg_error *err) {
  const char *rest;
  double real;
  uint64_t whole = 0;
  bool is_whole = sgi_number_whole(x->value, &whole);
  bool ok = sgi_number_real(x->value, &rest, &real) && !*rest && real >= k->least && real <= k->most;
  if (k->type != REAL && !is_whole) { /* 1e5 is a whole number, too */
    is_whole = ok && real == floor(real) && real < 9e15;
    whole = is_whole ? (uint64_t)real : 0;
  }
  if (!ok || (k->type != REAL && !is_whole))
    return sgi_fail(err, SG_ERR_ARG, "%s: %s is \"%s\": expected a%s number from %.12g to %.12g", x->where, k->name,
                    x->value, k->type == REAL ? "" : " whole", k->least, k->most);
  if (k->type == REAL)
    *(double *)field = real;
  else if (k->type == COUNT)
    *(uint64_t *)field = whole;
  else
    *(size_t *)field = (size_t)whole;
  return SG_OK;
}

static sg_status set_flag(const key *k, const struct sgi_assignment *x, size_t *field, sg_error *err) {
  bool on = !strcmp(x->value, "true") || !strcmp(x->value, "1");
  if (!on && strcmp(x->value, "false") && strcmp(x->value, "0"))
    return sgi_fail(err, SG_ERR_ARG, "%s: %s is \"%s\": expected true or false", x->where, k->name, x->value);
  *field = on;
  return SG_OK;
}

static bool is_of_an_optimizer(const char *name) {
  const sgi_optimizer_setting *s;
  for (size_t i = 0; (s = optimizer_setting(i)); i++)
    if (!strcmp(s->name, name)) return true;
  return false;
}

static sg_status set_of_optimizer(sgi_settings *s, const struct sgi_assignment *x, sg_error *err) {
  const sgi_optimizer_ops *ops = s->optimizer.ops;
  ptrdiff_t at = sgi_optimizer_setting_at(ops, x->key);
  if (at < 0) return sgi_fail(err, SG_ERR_ARG, "%s: optimizer %s has no %s", x->where, ops->name, x->key);
  key k = {x->key, REAL, 0, ops->settings[at].least, ops->settings[at].below, NULL};
  sg_status st = set_number(&k, x, &s->optimizer.value[at], err);
  return st ? st : sgi_optimizer_check(&s->optimizer, err);
}

static sg_status set(sgi_settings *s, const key *k, const struct sgi_assignment *x, sg_error *err) {
  void *field = (char *)s + k->offset;
  if (k->type == FLAG) return set_flag(k, x, field, err);
  if (k->type != TEXT && k->type != NAME && k->type != LAYERS && k->type != PATH) return set_number(k, x, field, err);
  size_t room = k->type == NAME     ? SG_NAME
                : k->type == LAYERS ? SGI_SETTING_LAYERS
                : k->type == PATH   ? SGI_SETTING_PATH
                                    : SGI_SETTING_TEXT;
  if (strlen(x->value) >= room)
    return sgi_fail(err, SG_ERR_ARG, "%s: %s is longer than %zu bytes", x->where, k->name, room - 1);
  snprintf(field, room, "%s", x->value);
  return SG_OK;
}

static const char *last(const sgi_assignments *a, const char *name, const char *otherwise) {
  for (size_t i = a->count; i-- > 0;)
    if (!strcmp(a->list[i].key, name)) return a->list[i].value;
  return otherwise;
}

static sg_status start(sgi_settings *s, const sgi_assignments *a, sg_error *err) {
  const char *preset = last(a, "preset", "tinystories"), *usual = sgi_optimizer_default()->name;
  const sgi_optimizer_ops *optimizer = sgi_optimizer_find(last(a, "optimizer.kind", usual), err);
  if (!optimizer) return SG_ERR_ARG;
  sgi_preset_t p;
  sg_status st = sgi_preset(preset, last(a, "feedforward.kind", "sgatlin"), &p, err);
  if (st) return st;
  memset(s, 0, sizeof *s);
  s->optimizer = sgi_optimizer_usual(optimizer);
  s->model = p.config;
  s->batch_size = p.batch_size;
  s->seq_len = p.seq_len;
  s->grad_accumulation = 1;
  s->learning_rate = p.learning_rate;
  s->weight_decay = p.weight_decay;
  s->clip = p.clip;
  s->warmup_steps = p.warmup_steps;
  s->decay_fraction = p.decay_fraction;
  s->eval_every = 250;
  s->eval_batches = 4;
  s->checkpoint_every = 500;
  s->checkpoint_keep = 2;
  s->log_every = 10;
  sgi_trainer_settings t = sgi_trainer_defaults(1, 1);
  s->aux = t.aux;
  s->threshold_lr = t.threshold_lr;
  snprintf(s->preset, sizeof s->preset, "%s", preset);
  snprintf(s->schedule, sizeof s->schedule, "%s", p.schedule);
  snprintf(s->rows, sizeof s->rows, "%s", p.pack ? "pack" : "pad");
  s->int4 = t.int4;
  snprintf(s->precision, sizeof s->precision, "float32");
  snprintf(s->pool_precision, sizeof s->pool_precision, "float32");
  snprintf(s->split, sizeof s->split, "endoftext");
  snprintf(s->field, sizeof s->field, "text");
  snprintf(s->line_ends, sizeof s->line_ends, "lf");
  snprintf(s->missing_shards, sizeof s->missing_shards, "refuse");
  s->held_out = 0.05;
  return SG_OK;
}

static sg_status one_of(const char *name, const char *value, const char *a, const char *b, sg_error *err) {
  if (!strcmp(value, a) || !strcmp(value, b)) return SG_OK;
  return sgi_fail(err, SG_ERR_ARG, "%s is \"%s\": choose %s or %s", name, value, a, b);
}

static bool has_gates(const sg_config *c) {
  bool any = c->options.gates[0];
  for (size_t i = 0; i < c->n_feedforwards; i++) any = any || c->feedforwards[i].options.gates[0];
  return any;
}

static bool has_experts(const sg_config *c) {
  bool any = c->num_experts > 0;
  for (size_t i = 0; i < c->n_feedforwards; i++) any = any || c->feedforwards[i].num_experts > 0;
  return any;
}

static bool kind_has_pools(const char *kind) {
  const sgi_ffn_ops *ops = sgi_ffn_find(kind, NULL);
  return ops && ops->sparse;
}

static bool has_pools(const sg_config *c) {
  bool any = kind_has_pools(c->feedforward);
  for (size_t i = 0; i < c->n_feedforwards; i++) any = any || kind_has_pools(c->feedforwards[i].kind);
  return any;
}

static bool in_int4(const sgi_settings *s) { return !strcmp(s->pool_precision, "int4"); }

static bool has_meta(const sg_config *c) {
  bool any = c->options.meta_experts > 0;
  for (size_t i = 0; i < c->n_feedforwards; i++) any = any || c->feedforwards[i].options.meta_experts > 0;
  return any;
}

/* What no layer of the model has cannot be weighed. */
static bool is_idle(const sgi_settings *s, const key *k) {
  if (!strncmp(k->name, "int4.", 5)) return !in_int4(s);
  if (k->offset == AT(gate_dropout)) return !has_pools(&s->model);
  bool experts = k->offset == AT(aux.part[SGI_AUX_UNIFORMITY]) || k->offset == AT(aux.part[SGI_AUX_AMBIGUITY]);
  bool balance = k->offset == AT(aux.part[SGI_AUX_BALANCE]);
  return !strncmp(k->name, "train.aux.", 10) && !(experts   ? has_experts(&s->model)
                                                  : balance ? has_meta(&s->model)
                                                            : has_gates(&s->model));
}

static sg_status refuse_idle(const sgi_settings *s, const sgi_assignments *a, sg_error *err) {
  for (size_t i = 0; i < a->count; i++) {
    const key *k = find(a->list[i].key);
    if (k && is_idle(s, k) && !strncmp(k->name, "int4.", 5))
      return sgi_fail(err, SG_ERR_ARG, "%s is about pools in int4: it goes with train.pool_precision=int4", k->name);
    if (k && is_idle(s, k) && k->offset == AT(gate_dropout))
      return sgi_fail(
          err, SG_ERR_ARG,
          "%s: no layer of the model has chosen neurons that could be left out (feedforward.kind is \"%s\"; "
          "sgatlin and peer have them)",
          k->name, s->model.feedforward);
    if (k && is_idle(s, k))
      return sgi_fail(err, SG_ERR_ARG, "%s: no layer of the model has what it weighs: leave it out", k->name);
  }
  return SG_OK;
}

static sg_status check_int4(const sgi_settings *s, sg_error *err) {
  if (!has_pools(&s->model))
    return sgi_fail(err, SG_ERR_ARG,
                    "train.pool_precision is \"int4\": no layer of the model has pools of chosen neurons "
                    "(feedforward.kind is \"%s\"; sgatlin and peer have them)",
                    s->model.feedforward);
  if (has_meta(&s->model))
    return sgi_fail(err, SG_ERR_ARG,
                    "train.pool_precision is \"int4\" and feedforward.meta.experts is set: pools that a metarouter "
                    "chooses train as float32");
  if (s->parts > 1)
    return sgi_fail(err, SG_ERR_ARG,
                    "train.pool_precision=int4 and train.parts=%zu do not go together: pools are summed in one part",
                    s->parts);
  return sgi_int4_check(&s->int4, err);
}

static sg_status complete(sgi_settings *s, sg_error *err) {
  sgi_schedule_kind kind;
  sg_status st = !strcmp(s->rows, "auto") ? SG_OK : one_of("data.rows", s->rows, "pad", "pack", err);
  if (!st && *s->init) st = one_of("train.init", s->init, "usual", "monet", err);
  if (!st && *s->init && in_int4(s))
    st = sgi_fail(err, SG_ERR_ARG, "train.init is \"%s\" and train.pool_precision is int4: such pools start as usual",
                  s->init);
  if (!st && *s->init && *s->from)
    st = sgi_fail(err, SG_ERR_ARG, "train.init is \"%s\" and train.from is \"%s\": weights start in one way", s->init,
                  s->from);
  if (!st && strcmp(s->precision, "auto") && one_of("train.precision", s->precision, "float32", "bf16", NULL))
    st = sgi_fail(err, SG_ERR_ARG, "train.precision is \"%s\": choose float32, bf16 or auto", s->precision);
  if (!st) st = one_of("train.pool_precision", s->pool_precision, "float32", "int4", err);
  if (!st && in_int4(s)) st = check_int4(s, err);
  if (!st) st = one_of("data.split", s->split, "endoftext", "blank-lines", err);
  if (!st) st = one_of("data.line_ends", s->line_ends, "lf", "as-is", err);
  if (!st) st = one_of("data.missing_shards", s->missing_shards, "refuse", "allow", err);
  if (!st) st = sgi_schedule_find(s->schedule, &kind, err);
  if (st) return st;
  sg_config *c = &s->model;
  if (!s->num_attention_heads && c->hidden_size % c->head_dim)
    return sgi_fail(
        err, SG_ERR_ARG,
        "model.hidden_size is %zu: not a multiple of model.head_dim = %zu (or set model.num_attention_heads)",
        c->hidden_size, c->head_dim);
  c->num_heads = s->num_attention_heads ? s->num_attention_heads : c->hidden_size / c->head_dim;
  c->max_position = s->seq_len;
  sgi_options_complete(&c->options);
  if (s->micro_batch && s->batch_size % s->micro_batch)
    return sgi_fail(err, SG_ERR_ARG, "train.micro_batch is %zu: it must divide train.batch_size = %zu", s->micro_batch,
                    s->batch_size);
  size_t rows = s->batch_size / (s->micro_batch ? s->micro_batch : 1);
  if (s->parts && (s->parts & (s->parts - 1) || rows % s->parts))
    return sgi_fail(err, SG_ERR_ARG, "train.parts is %zu: expected a power of two that divides %s = %zu", s->parts,
                    s->micro_batch ? "train.batch_size / train.micro_batch" : "train.batch_size", rows);
  if (s->layers[0]) {
    json_t *list;
    st = sgi_json_parse(s->layers, strlen(s->layers), "model.layers", &list, err);
    if (!st) st = sgi_config_read_layers(list, "model.layers", c, err);
    json_decref(list);
    if (st) return st;
  }
  return sg_config_check(c, err);
}

/* A kind that is set anew takes its own sizes: those that a source of lower rank gave to another
 * kind do not hold for it. Returns the rank from which on they count. */
static int kind_rank(const sgi_assignments *a, const char *key_of_kind, const char *usual) {
  const char *before = usual, *now = before;
  int rank = INT_MIN, since = INT_MIN;
  for (size_t i = 0; i < a->count; i++) {
    if (strcmp(a->list[i].key, key_of_kind)) continue;
    if (a->list[i].rank > rank) before = now;
    rank = a->list[i].rank;
    now = a->list[i].value;
    if (strcmp(before, now)) since = rank;
  }
  return since;
}

/* Checks of the whole know no source: the last assignment whose key or value the message tells is
 * put in front. */
static sg_status name_source(const sgi_assignments *a, sg_status st, sg_error *err) {
  char quoted[SG_ERROR_TEXT];
  for (size_t i = 0; err && i < a->count; i++)
    if (!strncmp(err->text, a->list[i].where, strlen(a->list[i].where))) return st;
  for (size_t i = a->count; err && i-- > 0;) {
    const struct sgi_assignment *x = &a->list[i];
    snprintf(quoted, sizeof quoted, "\"%s\"", x->value);
    if (!strstr(err->text, x->key) && !strstr(err->text, quoted)) continue;
    return sgi_error_prefix(err, st, "%s", x->where);
  }
  return st;
}

sg_status sgi_settings_resolve(const sgi_assignments *a, sgi_settings *out, sg_error *err) {
  int ffn_since = kind_rank(a, "feedforward.kind", "sgatlin");
  int optimizer_since = kind_rank(a, "optimizer.kind", sgi_optimizer_default()->name);
  const char *preset = last(a, "preset", NULL);
  sg_status st = start(out, a, err);
  out->given_preset = preset;
  out->free_batch = !last(a, "train.batch_size", NULL);
  if (!preset) snprintf(out->rows, sizeof out->rows, "auto"); /* who names a preset has its rows */
  for (size_t i = 0; i < a->count && !st; i++) {
    const struct sgi_assignment *x = &a->list[i];
    const key *k = find(x->key);
    if (!k && !is_of_an_optimizer(x->key))
      st = unknown(x, err);
    else if (!k)
      st = x->rank < optimizer_since ? SG_OK : set_of_optimizer(out, x, err);
    else if (!strncmp(k->name, "feedforward.", 12) && x->rank < ffn_since)
      continue;
    else if (strcmp(k->name, "preset") && strcmp(k->name, "feedforward.kind") && k->type != OPTIMIZER)
      st = set(out, k, x, err);
  }
  if (!st) st = complete(out, err);
  if (!st) st = refuse_idle(out, a, err);
  return st ? name_source(a, st, err) : SG_OK;
}

sg_status sgi_settings_aux(const sgi_assignments *a, sgi_aux_weights *out, sg_error *err) {
  sgi_settings s = {0};
  sg_status st = SG_OK;
  for (size_t i = 0; i < a->count && !st; i++) {
    const struct sgi_assignment *x = &a->list[i];
    const key *k = find(x->key);
    if (!k || strncmp(x->key, "train.aux.", 10) || k->offset == AT(threshold_lr))
      st = sgi_fail(err, SG_ERR_ARG, "%s: only weights of what is added to the loss can be set here: train.aux.NAME",
                    x->where);
    else
      st = set(&s, k, x, err);
  }
  *out = s.aux;
  return st;
}

static json_t *value_of(const sgi_settings *s, const key *k) {
  const void *field = (const char *)s + k->offset;
  switch (k->type) {
    case SIZE: return json_integer((json_int_t) * (const size_t *)field);
    case FLAG: return json_boolean(*(const size_t *)field);
    case COUNT:
      if (*(const uint64_t *)field > INT64_MAX) { /* jansson's integers are signed */
        char text[24];
        snprintf(text, sizeof text, "%llu", (unsigned long long)*(const uint64_t *)field);
        return json_string(text);
      }
      return json_integer((json_int_t) * (const uint64_t *)field);
    case REAL: return json_real(*(const double *)field);
    case TEXT:
    case PATH:
    case NAME: return json_string(field);
    case LAYERS: return json_loads(field, 0, NULL);
    case OPTIMIZER: return json_string(((const sgi_optimizer *)field)->ops->name);
  }
  return NULL;
}

/* "group.name" into an object of the group, "name" beside the groups. Takes the reference. */
static int put(json_t *o, const char *name, json_t *value) {
  const char *dot = strchr(name, '.');
  if (!dot) return json_object_set_new(o, name, value);
  char group[SGI_SETTING_TEXT];
  snprintf(group, sizeof group, "%.*s", (int)(dot - name), name);
  json_t *g = json_object_get(o, group);
  if (!g && json_object_set_new(o, group, g = json_object())) {
    json_decref(value);
    return -1;
  }
  return put(g, dot + 1, value);
}

/* Not said: sizes that the kind does not have, options that are off and what is about them. */
static bool unsaid(const sgi_settings *s, const key *k) {
  const void *field = (const char *)s + k->offset;
  bool optional = !strncmp(k->name, "feedforward.", 12) || !strcmp(k->name, "model.ode_steps");
  if (k->type == NAME || k->type == LAYERS || k->type == PATH) return !*(const char *)field;
  if (is_idle(s, k) || (k->offset == AT(pool_precision) && !in_int4(s))) return true;
  if (k->offset == AT(gate_dropout)) return s->gate_dropout == 0;
  return optional && (k->type == SIZE || k->type == FLAG ? !*(const size_t *)field
                                                         : k->type == REAL && *(const double *)field == 0);
}

json_t *sgi_settings_to_json(const sgi_settings *s) {
  const sgi_ffn_ops *ffn = sgi_ffn_find(s->model.feedforward, NULL);
  const sgi_optimizer_setting *own = s->optimizer.ops->settings;
  json_t *o = json_object();
  int bad = !o;
  for (size_t i = 0; i < SGI_COUNT(table); i++) {
    if (unsaid(s, &table[i])) continue;
    bad |= put(o, table[i].name, value_of(s, &table[i]));
  }
  for (size_t i = 0; own[i].name; i++) bad |= put(o, own[i].name, json_real(s->optimizer.value[i]));
  if (!bad && ffn) return o;
  json_decref(o);
  return NULL;
}

/* ---- comparing ------------------------------------------------------------------------------- */

/* Of these nothing in the weights depends: when is looked and saved, what was resolved or trained
 * before the first step. */
static bool matters(const char *name) {
  static const char *const others[] = {"preset",       "tokenizer.vocab_size", "eval.every",
                                       "eval.batches", "checkpoint.every",     "checkpoint.keep",
                                       "log.every",    "train.from",           "int4.row_block"};
  for (size_t i = 0; i < SGI_COUNT(others); i++)
    if (!strcmp(name, others[i])) return false;
  return true;
}

static const json_t *at_key(const json_t *o, const char *name) {
  const char *dot = strchr(name, '.');
  char group[SGI_SETTING_TEXT];
  if (!dot) return json_object_get(o, name);
  snprintf(group, sizeof group, "%.*s", (int)(dot - name), name);
  return at_key(json_object_get(o, group), dot + 1);
}

static void show(const json_t *v, char out[SGI_SETTING_TEXT]) {
  if (json_is_string(v))
    snprintf(out, SGI_SETTING_TEXT, "\"%.40s\"", json_string_value(v));
  else if (json_is_integer(v))
    snprintf(out, SGI_SETTING_TEXT, "%lld", (long long)json_integer_value(v));
  else
    snprintf(out, SGI_SETTING_TEXT, "%.9g", json_real_value(v));
}

sg_status sgi_settings_compare(const sgi_settings *now, const json_t *then,
                               void (*changed)(void *user, const char *key, const char *then, const char *now,
                                               bool matters),
                               void *user, sg_error *err) {
  json_t *o = sgi_settings_to_json(now), *usual = json_string(sgi_optimizer_default()->name), *none = json_real(0);
  const char *name;
  for (size_t i = 0; o && usual && none && (name = sg_setting_key(i, NULL)); i++) {
    const json_t *a = at_key(then, name), *b = at_key(o, name);
    char old[SGI_SETTING_TEXT], new[SGI_SETTING_TEXT];
    if (!a && !strcmp(name, "optimizer.kind")) a = usual; /* it was not written down while there was one */
    if (!strcmp(name, "train.gate_dropout")) a = a ? a : none, b = b ? b : none; /* off is not written down */
    if (!a || !b || json_equal(a, b) ||
        (json_is_number(a) && json_is_number(b) && json_number_value(a) == json_number_value(b)))
      continue;
    show(a, old);
    show(b, new);
    changed(user, name, old, new, matters(name));
  }
  sg_status st = o && usual && none ? SG_OK : sgi_fail_memory(err, 4096, "settings");
  json_decref(o);
  json_decref(usual);
  json_decref(none);
  return st;
}
