/* config_layers.c: in what layers differ: checks, views, and the keys "layers", "pruned_sublayers"
 * (docs/formats.md). */
#include <stdio.h>
#include <string.h>

#include "ffn/ffn.h"
#include "ffn/meta.h"
#include "model/config.h"
#include "model/form.h"

static const sg_layer plain;

static bool is_plain(const sg_layer *x) {
  return !x->feedforward && !x->absent && !x->pruned && !x->attention_as && !x->feedforward_as;
}

const sg_layer *sgi_config_layer(const sg_config *c, size_t layer) {
  return layer < SG_MAX_LISTED_LAYERS ? &c->layers[layer] : &plain;
}

bool sgi_config_has(const sg_config *c, size_t layer, unsigned sublayer) {
  const sg_layer *l = sgi_config_layer(c, layer);
  return !((l->absent | l->pruned) & sublayer);
}

size_t sgi_config_owner(const sg_config *c, size_t layer, unsigned sublayer) {
  const sg_layer *l = sgi_config_layer(c, layer);
  size_t as = sublayer == SG_ATTENTION ? l->attention_as : l->feedforward_as;
  return as && as <= layer ? sgi_config_owner(c, as - 1, sublayer) : layer;
}

bool sgi_config_holds(const sg_config *c, size_t layer, unsigned sublayer) {
  if (sgi_config_owner(c, layer, sublayer) != layer) return false;
  for (size_t l = layer; l < c->num_layers; l++)
    if (sgi_config_has(c, l, sublayer) && sgi_config_owner(c, l, sublayer) == layer) return true;
  return false;
}

void sgi_config_view(const sg_config *c, size_t layer, sg_config *out) {
  size_t v = sgi_config_layer(c, sgi_config_owner(c, layer, SG_FEEDFORWARD))->feedforward;
  *out = *c;
  if (v && v <= c->n_feedforwards && v <= SG_MAX_FEEDFORWARDS) sgi_config_set(out, &c->feedforwards[v - 1]);
  const sgi_ffn_ops *kind = sgi_ffn_of(out);
  if (kind && kind->pool) out->num_neurons = kind->pool(out);
  sgi_meta_view(out);
  out->layer = layer;
  out->n_feedforwards = 0;
  memset(out->feedforwards, 0, sizeof out->feedforwards);
  memset(out->layers, 0, sizeof out->layers);
}

void sgi_config_set(sg_config *c, const sg_feedforward *f) {
  memcpy(c->feedforward, f->kind, sizeof c->feedforward);
  memcpy(c->router, f->router, sizeof c->router);
  memcpy(c->activation, f->activation, sizeof c->activation);
  c->num_neurons = f->num_neurons;
  c->num_channels = f->num_channels;
  c->top_k = f->top_k;
  c->key_dim = f->key_dim;
  c->options = f->options;
  memcpy(c->decomposition, f->decomposition, sizeof c->decomposition);
  c->num_experts = f->num_experts;
  c->expert_dim = f->expert_dim;
  c->router_group = f->router_group;
}

sg_feedforward sgi_config_feedforward(const sg_config *c) {
  sg_feedforward f = {.num_neurons = c->num_neurons,
                      .num_channels = c->num_channels,
                      .top_k = c->top_k,
                      .key_dim = c->key_dim,
                      .options = c->options,
                      .num_experts = c->num_experts,
                      .expert_dim = c->expert_dim,
                      .router_group = c->router_group};
  memcpy(f.kind, c->feedforward, sizeof f.kind);
  memcpy(f.router, c->router, sizeof f.router);
  memcpy(f.activation, c->activation, sizeof f.activation);
  memcpy(f.decomposition, c->decomposition, sizeof f.decomposition);
  return f;
}

size_t sgi_config_router(const sg_config *view, size_t layer) {
  size_t group = sgi_meta_on(view) ? sgi_meta_group(view) : view->router_group;
  return group > 1 ? layer - layer % group : layer;
}

bool sgi_config_alike(const sg_config *c) {
  for (size_t l = 0; l < SG_MAX_LISTED_LAYERS; l++)
    if (!is_plain(&c->layers[l])) return false;
  return true;
}

/* ---- checks ---------------------------------------------------------------------------------- */

/* as: 1 + the layer whose tensors are used; that layer must come before and have the sublayer. */
static sg_status check_tie(const sg_config *c, size_t layer, size_t as, unsigned sublayer, sg_error *err) {
  const char *what = sublayer == SG_ATTENTION ? "attention" : "feedforward";
  if (!as) return SG_OK;
  if (as > layer)
    return sgi_fail(err, SG_ERR_ARG, "layers: layer %zu has the %s of layer %zu: it must be one before it", layer, what,
                    as - 1);
  if (sgi_config_layer(c, as - 1)->absent & sublayer)
    return sgi_fail(err, SG_ERR_ARG, "layers: layer %zu has the %s of layer %zu, which has none", layer, what, as - 1);
  return SG_OK;
}

sg_status sgi_config_check_layers(const sg_config *c, sg_error *err) {
  if (c->n_feedforwards > SG_MAX_FEEDFORWARDS)
    return sgi_fail(err, SG_ERR_ARG, "layers: %zu different feedforward layers: at most %d beside the model's own",
                    c->n_feedforwards, SG_MAX_FEEDFORWARDS);
  sg_status st = SG_OK;
  for (size_t l = 0; l < SG_MAX_LISTED_LAYERS && !st; l++) {
    const sg_layer *x = &c->layers[l];
    if (is_plain(x)) continue;
    if (l >= c->num_layers)
      return sgi_fail(err, SG_ERR_ARG, "layers: layer %zu is described, but num_hidden_layers is %zu", l,
                      c->num_layers);
    if (x->feedforward > c->n_feedforwards)
      return sgi_fail(err, SG_ERR_ARG, "layers: layer %zu names feedforward %d of %zu", l, x->feedforward,
                      c->n_feedforwards);
    if ((x->absent | x->pruned) & ~(SG_ATTENTION | SG_FEEDFORWARD) || (x->absent & x->pruned))
      return sgi_fail(err, SG_ERR_ARG, "layers: layer %zu: a sublayer that is not there can not be left out or pruned",
                      l);
    if (x->feedforward_as && x->feedforward)
      return sgi_fail(err, SG_ERR_ARG, "layers: layer %zu has a feedforward of its own and that of layer %d", l,
                      x->feedforward_as - 1);
    st = check_tie(c, l, x->attention_as, SG_ATTENTION, err);
    if (!st) st = check_tie(c, l, x->feedforward_as, SG_FEEDFORWARD, err);
  }
  return st;
}

/* Both layers choose pools alike. */
static bool same_meta(const sg_options *a, const sg_options *b) {
  return a->meta_experts == b->meta_experts && a->meta_top_k == b->meta_top_k && a->meta_prefix == b->meta_prefix &&
         a->meta_group == b->meta_group && !strcmp(a->meta_choice, b->meta_choice);
}

/* One layer of those that share a metarouter's gate: other sizes of pools are allowed. */
static sg_status check_meta(const sg_config *c, size_t l, const sg_config *own, sg_error *err) {
  size_t group = sgi_meta_group(own), source = sgi_config_router(own, l);
  sg_config first;
  if (group <= 1) return SG_OK;
  if (sgi_config_owner(c, l, SG_FEEDFORWARD) != l)
    return sgi_fail(
        err, SG_ERR_ARG,
        "layers: layer %zu has the feedforward of another layer, and feedforward.meta.group is %zu: a layer "
        "can not share both",
        l, group);
  if (sgi_form_evaluations(c) > 1)
    return sgi_fail(err, SG_ERR_ARG,
                    "layer_form is \"%s\" and feedforward.meta.group is %zu: a choice is shared only where a layer "
                    "runs once: set feedforward.meta.group=1",
                    c->layer_form, group);
  sgi_config_view(c, source, &first);
  if (sgi_config_has(c, source, SG_FEEDFORWARD) && same_meta(&own->options, &first.options)) return SG_OK;
  return sgi_fail(err, SG_ERR_ARG,
                  "feedforward.meta.group is %zu: layer %zu takes the choice of layer %zu, which has no metarouter or "
                  "another one",
                  group, l, source);
}

/* One layer of a group: the group's first must have made what it uses, and of the same form. */
static sg_status check_member(const sg_config *c, size_t l, const sg_config *own, const sg_config *first,
                              sg_error *err) {
  size_t source = first->layer;
  if (!sgi_config_has(c, source, SG_FEEDFORWARD))
    return sgi_fail(err, SG_ERR_ARG,
                    "feedforward.router_group is %zu: layer %zu uses the router of layer %zu, which has no feedforward",
                    own->router_group, l, source);
  bool units = sgi_ffn_of(own)->pool || own->num_neurons == first->num_neurons;
  if (!strcmp(own->feedforward, first->feedforward) && own->router_group == first->router_group && units &&
      own->num_channels == first->num_channels && own->top_k == first->top_k &&
      own->num_experts == first->num_experts && own->key_dim == first->key_dim && !strcmp(own->router, first->router))
    return SG_OK;
  return sgi_fail(
      err, SG_ERR_ARG,
      "feedforward.router_group is %zu: layer %zu uses the router of layer %zu, which is of another kind or "
      "size",
      own->router_group, l, source);
}

/* A group's layers come one behind the other, each run once and with a feedforward of its own. */
sg_status sgi_config_check_groups(const sg_config *c, sg_error *err) {
  for (size_t l = 0; l < c->num_layers; l++) {
    sg_config own, first;
    sgi_config_view(c, l, &own);
    if (!sgi_config_has(c, l, SG_FEEDFORWARD)) continue;
    if (sgi_meta_on(&own)) {
      sg_status st = check_meta(c, l, &own, err);
      if (st) return st;
    }
    if (own.router_group <= 1) continue;
    if (sgi_config_owner(c, l, SG_FEEDFORWARD) != l)
      return sgi_fail(err, SG_ERR_ARG,
                      "layers: layer %zu has the feedforward of another layer, and feedforward.router_group is %zu: a "
                      "layer can not share both",
                      l, own.router_group);
    if (sgi_form_evaluations(c) > 1)
      return sgi_fail(err, SG_ERR_ARG,
                      "layer_form is \"%s\" and feedforward.router_group is %zu: routers are shared only where a layer "
                      "runs once",
                      c->layer_form, own.router_group);
    sgi_config_view(c, sgi_config_router(&own, l), &first);
    sg_status st = check_member(c, l, &own, &first, err);
    if (st) return st;
  }
  return SG_OK;
}

/* ---- reading --------------------------------------------------------------------------------- */

static sg_status read_tie(const json_t *o, const char *where, size_t layer, uint16_t *as, sg_error *err) {
  size_t k;
  if (!layer) return sgi_fail(err, SG_ERR_FORMAT, "%s: same_as: there is no layer before the first", where);
  sg_status st = sgi_json_size(o, where, "same_as", 0, layer - 1, &k, err);
  if (!st) *as = (uint16_t)(k + 1);
  return st;
}

static sg_status read_attention(const json_t *v, const char *where, size_t l, sg_layer *x, sg_error *err) {
  static const char *const keys[] = {"same_as"};
  if (json_is_false(v)) return x->absent |= SG_ATTENTION, SG_OK;
  if (!json_is_object(v))
    return sgi_fail(err, SG_ERR_FORMAT, "%s: attention must be false or {\"same_as\": layer}", where);
  sg_status st = sgi_json_only_keys(v, where, keys, 1, err);
  return st ? st : read_tie(v, where, l, &x->attention_as, err);
}

/* Equal ones are kept once. */
static sg_status add_feedforward(sg_config *c, const char *where, const sg_feedforward *f, sg_layer *x, sg_error *err) {
  for (size_t i = 0; i < c->n_feedforwards; i++)
    if (!memcmp(&c->feedforwards[i], f, sizeof *f)) return x->feedforward = (uint8_t)(i + 1), SG_OK;
  if (c->n_feedforwards == SG_MAX_FEEDFORWARDS)
    return sgi_fail(err, SG_ERR_FORMAT, "%s: more than %d different feedforward layers beside the model's own", where,
                    SG_MAX_FEEDFORWARDS);
  c->feedforwards[c->n_feedforwards] = *f;
  x->feedforward = (uint8_t)++c->n_feedforwards;
  return SG_OK;
}

static sg_status read_feedforward(sg_config *c, const json_t *v, const char *where, size_t l, sg_error *err) {
  sg_layer *x = &c->layers[l];
  static const char *const keys[] = {"same_as"};
  if (json_is_false(v)) return x->absent |= SG_FEEDFORWARD, SG_OK;
  if (!json_is_object(v))
    return sgi_fail(err, SG_ERR_FORMAT,
                    "%s: feedforward must be false, {\"same_as\": layer} or an object like the model's own", where);
  if (json_object_get(v, "same_as")) {
    sg_status st = sgi_json_only_keys(v, where, keys, 1, err);
    return st ? st : read_tie(v, where, l, &x->feedforward_as, err);
  }
  sg_feedforward f = {0};
  sg_status st = sgi_config_read_feedforward(v, where, &f, err);
  return st ? st : add_feedforward(c, where, &f, x, err);
}

static sg_status read_layer(sg_config *c, const json_t *o, const char *where, size_t l, sg_error *err) {
  static const char *const keys[] = {"attention", "feedforward", "same_as"};
  char inner[280];
  snprintf(inner, sizeof inner, "%s: layers[%zu]", where, l);
  if (!json_is_object(o)) return sgi_fail(err, SG_ERR_FORMAT, "%s: expected an object", inner);
  sg_layer *x = &c->layers[l];
  const json_t *attention = json_object_get(o, "attention"), *feedforward = json_object_get(o, "feedforward");
  sg_status st = sgi_json_only_keys(o, inner, keys, SGI_COUNT(keys), err);
  if (!st && json_object_get(o, "same_as")) {
    uint16_t as = 0;
    st = read_tie(o, inner, l, &as, err);
    if (!attention) x->attention_as = as;
    if (!feedforward) x->feedforward_as = as;
  }
  if (!st && attention) st = read_attention(attention, inner, l, x, err);
  if (!st && feedforward) st = read_feedforward(c, feedforward, inner, l, err);
  return st;
}

sg_status sgi_config_read_layers(const json_t *list, const char *where, sg_config *c, sg_error *err) {
  if (!json_is_array(list) || json_array_size(list) != c->num_layers || c->num_layers > SG_MAX_LISTED_LAYERS)
    return sgi_fail(err, SG_ERR_FORMAT,
                    "%s: layers must be a list of one object a layer, %zu of them (at most %d layers can be listed)",
                    where, c->num_layers, SG_MAX_LISTED_LAYERS);
  sg_status st = SG_OK;
  for (size_t l = 0; l < c->num_layers && !st; l++) st = read_layer(c, json_array_get(list, l), where, l, err);
  return st;
}

sg_status sgi_config_read_pruned(const json_t *list, const char *where, sg_config *c, sg_error *err) {
  size_t end = 2 * (c->num_layers < SG_MAX_LISTED_LAYERS ? c->num_layers : SG_MAX_LISTED_LAYERS);
  if (!json_is_array(list))
    return sgi_fail(err, SG_ERR_FORMAT,
                    "%s: pruned_sublayers must be a list of numbers: 2 l is the attention of layer l, 2 l + 1 its "
                    "feedforward layer",
                    where);
  for (size_t i = 0; i < json_array_size(list); i++) {
    const json_t *v = json_array_get(list, i);
    json_int_t s = json_integer_value(v);
    if (!json_is_integer(v) || s < 0 || (size_t)s >= end)
      return sgi_fail(err, SG_ERR_FORMAT, "%s: pruned_sublayers[%zu] must be a whole number from 0 to %zu", where, i,
                      end - 1);
    uint8_t *pruned = &c->layers[s / 2].pruned, bit = s % 2 ? SG_FEEDFORWARD : SG_ATTENTION;
    if (*pruned & bit)
      return sgi_fail(err, SG_ERR_FORMAT, "%s: pruned_sublayers names %lld twice", where, (long long)s);
    *pruned |= bit;
  }
  return SG_OK;
}

/* ---- writing --------------------------------------------------------------------------------- */

static json_t *tie(uint16_t as) { return json_pack("{s:i}", "same_as", (int)as - 1); }

static json_t *write_layer(const sg_config *c, const sg_layer *x) {
  json_t *o = json_object();
  bool both = x->attention_as && x->attention_as == x->feedforward_as;
  int bad = !o;
  if (both) bad |= json_object_set_new(o, "same_as", json_integer(x->attention_as - 1));
  if (x->absent & SG_ATTENTION)
    bad |= json_object_set_new(o, "attention", json_false());
  else if (x->attention_as && !both)
    bad |= json_object_set_new(o, "attention", tie(x->attention_as));
  if (x->absent & SG_FEEDFORWARD)
    bad |= json_object_set_new(o, "feedforward", json_false());
  else if (x->feedforward_as && !both)
    bad |= json_object_set_new(o, "feedforward", tie(x->feedforward_as));
  else if (x->feedforward)
    bad |= json_object_set_new(o, "feedforward", sgi_config_write_feedforward(&c->feedforwards[x->feedforward - 1]));
  if (!bad) return o;
  json_decref(o);
  return NULL;
}

json_t *sgi_config_write_layers(const sg_config *c) {
  json_t *list = json_array();
  int bad = !list;
  for (size_t l = 0; l < c->num_layers; l++) bad |= json_array_append_new(list, write_layer(c, sgi_config_layer(c, l)));
  if (!bad) return list;
  json_decref(list);
  return NULL;
}

/* Adds "layers" and "pruned_sublayers" where there is anything to say. */
int sgi_config_add_layers(const sg_config *c, json_t *o) {
  bool differ = false;
  json_t *pruned = json_array();
  int bad = !pruned;
  for (size_t l = 0; l < SG_MAX_LISTED_LAYERS && l < c->num_layers; l++) {
    sg_layer x = c->layers[l];
    for (unsigned s = 0; s < 2; s++)
      if (x.pruned & (s ? SG_FEEDFORWARD : SG_ATTENTION))
        bad |= json_array_append_new(pruned, json_integer((json_int_t)(2 * l + s)));
    x.pruned = 0;
    differ = differ || !is_plain(&x);
  }
  if (differ) bad |= json_object_set_new(o, "layers", sgi_config_write_layers(c));
  if (json_array_size(pruned)) bad |= json_object_set(o, "pruned_sublayers", pruned);
  json_decref(pruned);
  return bad;
}
