#include "model/config.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/arena.h"
#include "core/file.h"
#include "ffn/ffn.h"
#include "model/config_options.h"
#include "model/form.h"

enum { MAX_LAYERS = 4096, MAX_WIDTH = 1 << 20, MAX_POSITION = 1 << 24, MAX_POOL = 1 << 30 };

/* X(field, config.json key, least, largest): the sizes every kind has. */
#define SIZES(X) \
  X(vocab_size, "vocab_size", 2, MAX_POOL) \
  X(hidden_size, "hidden_size", 1, MAX_WIDTH) \
  X(head_dim, "head_dim", 2, MAX_WIDTH) \
  X(num_heads, "num_attention_heads", 1, MAX_WIDTH) \
  X(num_layers, "num_hidden_layers", 1, MAX_LAYERS) \
  X(max_position, "max_position_embeddings", 1, MAX_POSITION)

/* X(field, key, flag of sgi_ffn_ops.uses): the sizes that only some kinds have. */
#define OPTIONAL_SIZES(X) \
  X(num_channels, "num_channels", SGI_USES_CHANNELS) \
  X(top_k, "top_k", SGI_USES_TOP_K) \
  X(key_dim, "key_dim", SGI_USES_KEY_DIM) \
  X(num_experts, "num_experts", SGI_USES_EXPERTS) \
  X(expert_dim, "expert_dim", SGI_USES_EXPERTS)

static sg_status check_size(const char *key, size_t value, size_t least, size_t largest, sg_error *err) {
  if (value >= least && value <= largest) return SG_OK;
  return sgi_fail(err, SG_ERR_ARG, "%s is %zu: it must be from %zu to %zu", key, value, least, largest);
}

static sg_status check_id(const char *key, int32_t id, size_t vocab, sg_error *err) {
  if (id >= 0 && (size_t)id < vocab) return SG_OK;
  return sgi_fail(err, SG_ERR_ARG, "%s is %d: outside the vocabulary of %zu", key, id, vocab);
}

static sg_status check_optional(const sgi_ffn_ops *ffn, unsigned flag, const char *key, size_t value, sg_error *err) {
  if (ffn->uses & flag) return check_size(key, value, 1, MAX_POOL, err);
  return value ? sgi_fail(err, SG_ERR_ARG, "%s is %zu: %s has no such size", key, value, ffn->name) : SG_OK;
}

static sg_status check_group(const sgi_ffn_ops *ffn, const sg_config *c, sg_error *err) {
  if (ffn->uses & SGI_USES_GROUP || c->router_group <= 1)
    return check_size("feedforward.router_group", c->router_group, 0, MAX_LAYERS, err);
  return sgi_fail(err, SG_ERR_ARG, "feedforward.router_group is %zu: %s shares no router", c->router_group, ffn->name);
}

static bool terminated(const char *s) { return memchr(s, 0, SG_NAME) != NULL; }

static sg_status check_feedforward(const sg_config *c, sg_error *err) {
  if (!terminated(c->feedforward) || !terminated(c->router) || !terminated(c->activation) ||
      !terminated(c->decomposition))
    return sgi_fail(err, SG_ERR_ARG, "feedforward: kind, router, activation and decomposition must end within %d bytes",
                    SG_NAME);
  const sgi_ffn_ops *ffn = sgi_ffn_find(c->feedforward, err);
  if (!ffn) return SG_ERR_ARG;
  sg_status st = ffn->pool ? SG_OK : check_size("feedforward.num_neurons", c->num_neurons, 1, MAX_POOL, err);
  if (!st) st = check_group(ffn, c, err);
#define CHECK(field, key, flag) \
  if (!st) st = check_optional(ffn, flag, "feedforward." key, c->field, err);
  OPTIONAL_SIZES(CHECK)
#undef CHECK
  if (st) return st;
  if (!(ffn->uses & SGI_USES_ROUTER) && c->router[0])
    return sgi_fail(err, SG_ERR_ARG, "feedforward.router is \"%s\": %s has no router", c->router, ffn->name);
  if (!(ffn->uses & SGI_USES_EXPERTS) && c->decomposition[0])
    return sgi_fail(err, SG_ERR_ARG, "feedforward.decomposition is \"%s\": %s has none", c->decomposition, ffn->name);
  if (!(ffn->uses & SGI_USES_ACTIVATION) && strcmp(c->activation, ffn->default_activation))
    return sgi_fail(err, SG_ERR_ARG, "feedforward.activation is \"%s\": %s has %s only", c->activation, ffn->name,
                    ffn->default_activation);
  st = sgi_options_check(c, ffn, err);
  if (st || (st = ffn->check(c, err)) || !ffn->pool || !c->num_neurons || c->num_neurons == ffn->pool(c)) return st;
  return sgi_fail(err, SG_ERR_ARG, "feedforward.num_neurons is %zu: %s counts its own, %zu", c->num_neurons, ffn->name,
                  ffn->pool(c));
}

sg_status sg_config_check(const sg_config *c, sg_error *err) {
  sg_status st = SG_OK;
#define CHECK(field, key, least, largest) \
  if (!st) st = check_size(key, c->field, least, largest, err);
  SIZES(CHECK)
#undef CHECK
  if (st) return st;
  if (c->head_dim % 2)
    return sgi_fail(err, SG_ERR_ARG, "head_dim is %zu: rotary embedding needs an even number", c->head_dim);
  if (c->norm[0] && strcmp(c->norm, "rms") && strcmp(c->norm, "none"))
    return sgi_fail(err, SG_ERR_ARG, "norm is \"%s\": expected rms or none", c->norm);
  if (!terminated(c->attention_sink) || (c->attention_sink[0] && strcmp(c->attention_sink, "logit")))
    return sgi_fail(err, SG_ERR_ARG, "attention_sink is \"%.31s\": there is logit only", c->attention_sink);
  if (!(c->rms_norm_eps > 0 && c->rms_norm_eps < 1))
    return sgi_fail(err, SG_ERR_ARG, "rms_norm_eps is %g: it must lie between 0 and 1", c->rms_norm_eps);
  if (!(c->rope_theta > 1 && c->rope_theta <= 1e12))
    return sgi_fail(err, SG_ERR_ARG, "rope_theta is %g: it must lie between 1 and 1e12", c->rope_theta);
  st = check_id("bos_token_id", c->bos_id, c->vocab_size, err);
  if (!st) st = check_id("eos_token_id", c->eos_id, c->vocab_size, err);
  if (!st) st = check_id("pad_token_id", c->pad_id, c->vocab_size, err);
  if (!st) st = check_feedforward(c, err);
  if (!st) st = sgi_config_check_layers(c, err);
  if (!st) st = sgi_form_check(c, err);
  for (size_t i = 0; i < c->n_feedforwards && !st; i++) {
    sg_config view = *c;
    sgi_config_set(&view, &c->feedforwards[i]);
    if (check_feedforward(&view, err)) st = sgi_error_prefix(err, SG_ERR_ARG, "layers");
  }
  if (!st) st = sgi_options_check_shared(c, err);
  return st ? st : sgi_config_check_groups(c, err);
}

static const char *const keys[] = {"model_type",
                                   "architectures",
                                   "vocab_size",
                                   "hidden_size",
                                   "head_dim",
                                   "num_attention_heads",
                                   "num_hidden_layers",
                                   "max_position_embeddings",
                                   "rms_norm_eps",
                                   "rope_theta",
                                   "tie_word_embeddings",
                                   "bos_token_id",
                                   "eos_token_id",
                                   "pad_token_id",
                                   "dtype",
                                   "feedforward",
                                   "layers",
                                   "layer_form",
                                   "ode_steps",
                                   "norm",
                                   "attention_sink",
                                   "pruned_sublayers",
                                   "torch_dtype",
                                   "transformers_version",
                                   "auto_map",
                                   "use_cache"};
static const char *const feedforward_keys[] = {"kind",         "router",     "activation",   "num_neurons",
                                               "num_channels", "top_k",      "key_dim",      "decomposition",
                                               "num_experts",  "expert_dim", "router_group", SGI_OPTION_KEYS};

static sg_status optional_size(const json_t *o, const char *where, const char *key, size_t *out, sg_error *err) {
  *out = 0;
  return json_object_get(o, key) ? sgi_json_size(o, where, key, 1, MAX_POOL, out, err) : SG_OK;
}

sg_status sgi_config_read_feedforward(const json_t *o, const char *where, sg_feedforward *f, sg_error *err) {
  sg_status st = sgi_json_only_keys(o, where, feedforward_keys, SGI_COUNT(feedforward_keys), err);
  if (!st) st = sgi_json_string(o, where, "kind", f->kind, sizeof f->kind, err);
  if (!st && json_object_get(o, "router")) st = sgi_json_string(o, where, "router", f->router, sizeof f->router, err);
  if (!st) st = sgi_json_string(o, where, "activation", f->activation, sizeof f->activation, err);
  const sgi_ffn_ops *kind = st ? NULL : sgi_ffn_find(f->kind, NULL);
  if (!st && !(kind && kind->pool)) st = sgi_json_size(o, where, "num_neurons", 1, MAX_POOL, &f->num_neurons, err);
  if (!st && json_object_get(o, "decomposition"))
    st = sgi_json_string(o, where, "decomposition", f->decomposition, sizeof f->decomposition, err);
  if (!st && json_object_get(o, "router_group"))
    st = sgi_json_size(o, where, "router_group", 1, MAX_LAYERS, &f->router_group, err);
#define READ(field, key, flag) \
  if (!st) st = optional_size(o, where, key, &f->field, err);
  OPTIONAL_SIZES(READ)
#undef READ
  return st ? st : sgi_options_read(o, where, &f->options, err);
}

static sg_status read_forms(const json_t *o, const char *where, sg_config *c, sg_error *err) {
  sg_status st = SG_OK;
  const json_t *layers = json_object_get(o, "layers"), *pruned = json_object_get(o, "pruned_sublayers");
  if (layers) st = sgi_config_read_layers(layers, where, c, err);
  if (!st && pruned) st = sgi_config_read_pruned(pruned, where, c, err);
  if (!st && json_object_get(o, "layer_form"))
    st = sgi_json_string(o, where, "layer_form", c->layer_form, sizeof c->layer_form, err);
  if (!st && json_object_get(o, "ode_steps"))
    st = sgi_json_size(o, where, "ode_steps", 1, SG_MAX_ODE_STEPS, &c->ode_steps, err);
  if (!st && json_object_get(o, "norm")) st = sgi_json_string(o, where, "norm", c->norm, sizeof c->norm, err);
  if (!st && json_object_get(o, "attention_sink"))
    st = sgi_json_string(o, where, "attention_sink", c->attention_sink, sizeof c->attention_sink, err);
  return st;
}

/* What the weights' files hold; the files themselves are believed (weights.h). */
static sg_status check_dtype(const char *where, const char *name, sg_error *err) {
  static const char *const names[] = {"float32", "bfloat16", "float16", "float64"};
  for (size_t i = 0; i < SGI_COUNT(names); i++)
    if (!strcmp(names[i], name)) return SG_OK;
  return sgi_fail(err, SG_ERR_UNSUPPORTED, "%s: dtype is \"%s\": expected float32, bfloat16, float16 or float64", where,
                  name);
}

sg_status sgi_config_from_json(const json_t *o, const char *where, sg_config *c, sg_error *err) {
  memset(c, 0, sizeof *c);
  char type[SG_NAME], inner[256];
  sg_status st = sgi_json_only_keys(o, where, keys, SGI_COUNT(keys), err);
  if (!st) st = sgi_json_string(o, where, "model_type", type, sizeof type, err);
  if (!st && strcmp(type, "sgatlin"))
    st = sgi_fail(err, SG_ERR_UNSUPPORTED, "%s: model_type is \"%s\": only \"sgatlin\" can be read", where, type);
  if (!st && json_object_get(o, "dtype")) st = sgi_json_string(o, where, "dtype", type, sizeof type, err);
  if (!st && json_object_get(o, "dtype")) st = check_dtype(where, type, err);
  if (!st && json_object_get(o, "tie_word_embeddings") && !json_is_true(json_object_get(o, "tie_word_embeddings")))
    st = sgi_fail(err, SG_ERR_UNSUPPORTED, "%s: tie_word_embeddings must be true: the output head is the embedding",
                  where);
#define READ(field, key, least, largest) \
  if (!st) st = sgi_json_size(o, where, key, least, largest, &c->field, err);
  SIZES(READ)
#undef READ
  if (!st) st = sgi_json_real(o, where, "rms_norm_eps", 0, 1, &c->rms_norm_eps, err);
  if (!st) st = sgi_json_real(o, where, "rope_theta", 1, 1e12, &c->rope_theta, err);
  if (!st) st = sgi_json_i32(o, where, "bos_token_id", 0, INT32_MAX, &c->bos_id, err);
  if (!st) st = sgi_json_i32(o, where, "eos_token_id", 0, INT32_MAX, &c->eos_id, err);
  if (!st) st = sgi_json_i32(o, where, "pad_token_id", 0, INT32_MAX, &c->pad_id, err);
  const json_t *feedforward = NULL;
  if (!st) st = sgi_json_object(o, where, "feedforward", &feedforward, err);
  if (st) return st;
  snprintf(inner, sizeof inner, "%s: feedforward", where);
  sg_feedforward own = {0};
  st = sgi_config_read_feedforward(feedforward, inner, &own, err);
  sgi_config_set(c, &own);
  if (!st) st = read_forms(o, where, c, err);
  if (st) return st;
  st = sg_config_check(c, err);
  return st ? sgi_error_prefix(err, SG_ERR_FORMAT, "%s", where) : SG_OK;
}

json_t *sgi_config_write_feedforward(const sg_feedforward *f) {
  json_t *o = json_object();
  int bad = json_object_set_new(o, "kind", json_string(f->kind));
  if (f->router[0]) bad |= json_object_set_new(o, "router", json_string(f->router));
  bad |= json_object_set_new(o, "activation", json_string(f->activation));
  if (f->decomposition[0]) bad |= json_object_set_new(o, "decomposition", json_string(f->decomposition));
  if (f->num_neurons) bad |= json_object_set_new(o, "num_neurons", json_integer((json_int_t)f->num_neurons));
#define WRITE(field, key, flag) \
  if (f->field) bad |= json_object_set_new(o, key, json_integer((json_int_t)f->field));
  OPTIONAL_SIZES(WRITE)
#undef WRITE
  bad |= sgi_options_write(&f->options, o);
  if (f->router_group > 1) bad |= json_object_set_new(o, "router_group", json_integer((json_int_t)f->router_group));
  if (!bad) return o;
  json_decref(o);
  return NULL;
}

json_t *sgi_config_to_json(const sg_config *c) {
  sg_feedforward own = sgi_config_feedforward(c);
  int bad = 0;
  json_t *o = json_pack("{s:s, s:[s]}", "model_type", "sgatlin", "architectures", "SgatlinForCausalLM");
#define WRITE(field, key, least, largest) bad |= json_object_set_new(o, key, json_integer((json_int_t)c->field));
  SIZES(WRITE)
#undef WRITE
  bad |= json_object_set_new(o, "rms_norm_eps", json_real(c->rms_norm_eps));
  bad |= json_object_set_new(o, "rope_theta", json_real(c->rope_theta));
  bad |= json_object_set_new(o, "tie_word_embeddings", json_true());
  bad |= json_object_set_new(o, "bos_token_id", json_integer(c->bos_id));
  bad |= json_object_set_new(o, "eos_token_id", json_integer(c->eos_id));
  bad |= json_object_set_new(o, "pad_token_id", json_integer(c->pad_id));
  bad |= json_object_set_new(o, "dtype", json_string("float32"));
  bad |= json_object_set_new(o, "feedforward", sgi_config_write_feedforward(&own));
  bad |= sgi_config_add_layers(c, o);
  if (c->layer_form[0] && strcmp(c->layer_form, sg_layer_form_name(0)))
    bad |= json_object_set_new(o, "layer_form", json_string(c->layer_form));
  if (c->ode_steps > 1) bad |= json_object_set_new(o, "ode_steps", json_integer((json_int_t)c->ode_steps));
  if (c->attention_sink[0]) bad |= json_object_set_new(o, "attention_sink", json_string(c->attention_sink));
  if (!strcmp(c->norm, "none")) bad |= json_object_set_new(o, "norm", json_string(c->norm));
  if (!bad) return o;
  json_decref(o);
  return NULL;
}

sg_status sg_config_load(const char *directory, sg_config *out, sg_error *err) {
  char *path = sgi_path_join(directory, "config.json");
  if (!path) return sgi_fail_memory(err, strlen(directory) + 13, "a path");
  json_t *o = NULL;
  sg_status st = sgi_json_load(path, &o, err);
  if (!st) st = sgi_config_from_json(o, path, out, err);
  json_decref(o);
  sgi_free(path);
  return st;
}
