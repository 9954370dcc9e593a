#include "model/config_options.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ffn/activation.h"
#include "ffn/meta.h"

static const double USUAL_BANDWIDTH = 0.25;
static const size_t USUAL_PREFIX = 64;

/* Of what stands beside a kind: as many units as a hidden layer may have. */
enum { MOST_BESIDE = 1 << 20 };

/* Of an option that is an object with these keys: its place in messages. */
static sg_status begin(const json_t *o, const char *where, const char *name, const char *like, const char *const *keys,
                       size_t n_keys, char inner[300], sg_error *err) {
  snprintf(inner, 300, "%s.%s", where, name);
  if (!json_is_object(o)) return sgi_fail(err, SG_ERR_FORMAT, "%s: expected an object like %s", inner, like);
  return sgi_json_only_keys(o, inner, keys, n_keys, err);
}

static sg_status read_gates(const json_t *o, const char *where, sg_options *out, sg_error *err) {
  static const char *const keys[] = {"kind", "bandwidth"};
  char inner[300];
  sg_status st = begin(o, where, "gates", "{\"kind\": \"jumprelu\"}", keys, SGI_COUNT(keys), inner, err);
  if (!st) st = sgi_json_string(o, inner, "kind", out->gates, sizeof out->gates, err);
  if (!st && json_object_get(o, "bandwidth")) st = sgi_json_real(o, inner, "bandwidth", 0, 1e6, &out->bandwidth, err);
  return st;
}

static sg_status read_sink_mlp(const json_t *o, const char *where, sg_options *out, sg_error *err) {
  static const char *const keys[] = {"width"};
  char inner[300];
  sg_status st = begin(o, where, "sink_mlp", "{\"width\": 128}", keys, SGI_COUNT(keys), inner, err);
  return st ? st : sgi_json_size(o, inner, "width", 0, MOST_BESIDE, &out->sink_mlp, err);
}

static sg_status read_always_on(const json_t *o, const char *where, sg_options *out, sg_error *err) {
  static const char *const keys[] = {"neurons", "activation"};
  char inner[300];
  sg_status st =
      begin(o, where, "always_on", "{\"neurons\": 8, \"activation\": \"gelu\"}", keys, SGI_COUNT(keys), inner, err);
  if (!st) st = sgi_json_size(o, inner, "neurons", 0, MOST_BESIDE, &out->always_on, err);
  if (!st && json_object_get(o, "activation"))
    st = sgi_json_string(o, inner, "activation", out->always_on_activation, sizeof out->always_on_activation, err);
  if (!st && !out->always_on) memset(out->always_on_activation, 0, sizeof out->always_on_activation);
  return st;
}

static sg_status read_meta(const json_t *o, const char *where, sg_options *out, sg_error *err) {
  static const char *const keys[] = {"experts", "top_k", "choice", "prefix", "group"};
  char inner[300];
  sg_status st = begin(o, where, "meta", "{\"experts\": 4, \"top_k\": 1}", keys, SGI_COUNT(keys), inner, err);
  if (!st) st = sgi_json_size(o, inner, "experts", 1, SGI_META_MOST, &out->meta_experts, err);
  if (!st && json_object_get(o, "top_k"))
    st = sgi_json_size(o, inner, "top_k", 1, SGI_META_MOST, &out->meta_top_k, err);
  if (!st && json_object_get(o, "choice"))
    st = sgi_json_string(o, inner, "choice", out->meta_choice, sizeof out->meta_choice, err);
  if (!st && json_object_get(o, "prefix"))
    st = sgi_json_size(o, inner, "prefix", 0, SGI_META_PREFIX, &out->meta_prefix, err);
  if (!st && json_object_get(o, "group"))
    st = sgi_json_size(o, inner, "group", 1, SGI_META_GROUP, &out->meta_group, err);
  return st;
}

void sgi_options_complete(sg_options *x) {
  if (x->gates[0] && x->bandwidth == 0) x->bandwidth = USUAL_BANDWIDTH;
  if (x->always_on && !x->always_on_activation[0])
    snprintf(x->always_on_activation, sizeof x->always_on_activation, "gelu");
  if (!x->meta_experts) return;
  if (!x->meta_top_k) x->meta_top_k = 1;
  if (!x->meta_choice[0]) snprintf(x->meta_choice, sizeof x->meta_choice, "token");
  if (!strcmp(x->meta_choice, "sequence") && !x->meta_prefix) x->meta_prefix = USUAL_PREFIX;
}

sg_status sgi_options_read(const json_t *feedforward, const char *where, sg_options *out, sg_error *err) {
  const json_t *gates = json_object_get(feedforward, "gates"), *sink = json_object_get(feedforward, "sink_mlp");
  const json_t *always = json_object_get(feedforward, "always_on"), *meta = json_object_get(feedforward, "meta");
  const json_t *bias = json_object_get(feedforward, "bias");
  sg_status st = gates ? read_gates(gates, where, out, err) : SG_OK;
  if (!st && meta) st = read_meta(meta, where, out, err);
  if (!st && sink) st = read_sink_mlp(sink, where, out, err);
  if (!st && always) st = read_always_on(always, where, out, err);
  if (!st && bias && !json_is_boolean(bias))
    return sgi_fail(err, SG_ERR_FORMAT, "%s: bias must be true or false", where);
  out->bias = json_is_true(bias);
  if (!st) sgi_options_complete(out);
  return st;
}

int sgi_options_write(const sg_options *x, json_t *feedforward) {
  int bad = x->bias ? json_object_set_new(feedforward, "bias", json_true()) : 0;
  if (x->gates[0])
    bad |=
        json_object_set_new(feedforward, "gates", json_pack("{s:s, s:f}", "kind", x->gates, "bandwidth", x->bandwidth));
  if (x->sink_mlp)
    bad |= json_object_set_new(feedforward, "sink_mlp", json_pack("{s:I}", "width", (json_int_t)x->sink_mlp));
  if (x->always_on)
    bad |= json_object_set_new(
        feedforward, "always_on",
        json_pack("{s:I, s:s}", "neurons", (json_int_t)x->always_on, "activation", x->always_on_activation));
  if (!x->meta_experts) return bad;
  json_t *meta = json_pack("{s:I, s:I, s:s}", "experts", (json_int_t)x->meta_experts, "top_k",
                           (json_int_t)x->meta_top_k, "choice", x->meta_choice);
  if (x->meta_prefix) bad |= json_object_set_new(meta, "prefix", json_integer((json_int_t)x->meta_prefix));
  if (x->meta_group) bad |= json_object_set_new(meta, "group", json_integer((json_int_t)x->meta_group));
  return bad | json_object_set_new(feedforward, "meta", meta);
}

static sg_status check_gates(const sg_config *c, const sgi_ffn_ops *ffn, sg_error *err) {
  const sg_options *x = &c->options;
  if (!memchr(x->gates, 0, SG_NAME))
    return sgi_fail(err, SG_ERR_ARG, "feedforward.gates.kind must end within %d bytes", SG_NAME);
  if (!x->gates[0])
    return x->bandwidth == 0
               ? SG_OK
               : sgi_fail(err, SG_ERR_ARG, "feedforward.gates.bandwidth is %g, but there is no feedforward.gates.kind",
                          x->bandwidth);
  if (strcmp(x->gates, "jumprelu"))
    return sgi_fail(err, SG_ERR_ARG, "feedforward.gates.kind is \"%s\": there is jumprelu only", x->gates);
  if (!ffn->sparse)
    return sgi_fail(err, SG_ERR_ARG, "feedforward.gates.kind is \"%s\": %s has no router whose scores could be gated",
                    x->gates, ffn->name);
  if (!(x->bandwidth > 0 && x->bandwidth <= 1e6))
    return sgi_fail(err, SG_ERR_ARG, "feedforward.gates.bandwidth is %g: it must lie above 0, at most 1e6",
                    x->bandwidth);
  return SG_OK;
}

static sg_status check_beside(const sg_options *x, sg_error *err) {
  if (x->sink_mlp > MOST_BESIDE)
    return sgi_fail(err, SG_ERR_ARG, "feedforward.sink_mlp.width is %zu: it must be from 0 to %d", x->sink_mlp,
                    MOST_BESIDE);
  if (x->always_on > MOST_BESIDE)
    return sgi_fail(err, SG_ERR_ARG, "feedforward.always_on.neurons is %zu: it must be from 0 to %d", x->always_on,
                    MOST_BESIDE);
  if (!memchr(x->always_on_activation, 0, SG_NAME))
    return sgi_fail(err, SG_ERR_ARG, "feedforward.always_on.activation must end within %d bytes", SG_NAME);
  if (!x->always_on)
    return !x->always_on_activation[0]
               ? SG_OK
               : sgi_fail(err, SG_ERR_ARG,
                          "feedforward.always_on.activation is \"%s\", but feedforward.always_on.neurons is 0",
                          x->always_on_activation);
  if (sgi_activation_find(x->always_on_activation, err) != SGI_NO_ACTIVATION) return SG_OK;
  return sgi_error_prefix(err, SG_ERR_ARG, "feedforward.always_on.activation");
}

/* All layers share one pair of maps. */
sg_status sgi_options_check_shared(const sg_config *c, sg_error *err) {
  size_t width = c->options.sink_mlp;
  for (size_t i = 0; i < c->n_feedforwards; i++) {
    size_t own = c->feedforwards[i].options.sink_mlp;
    if (own && width && own != width)
      return sgi_fail(err, SG_ERR_ARG,
                      "feedforward.sink_mlp.width is %zu in one layer and %zu in another: all that have it share its "
                      "maps, so give one width",
                      width, own);
    if (own) width = own;
  }
  return SG_OK;
}

sg_status sgi_options_check(const sg_config *c, const sgi_ffn_ops *ffn, sg_error *err) {
  if (c->options.bias > 1)
    return sgi_fail(err, SG_ERR_ARG, "feedforward.bias is %zu: it must be true or false", c->options.bias);
  if (c->options.bias && !(ffn->uses & SGI_USES_BIAS))
    return sgi_fail(err, SG_ERR_ARG, "feedforward.bias is true: the neurons of %s have no constant of that kind",
                    ffn->name);
  sg_status st = check_gates(c, ffn, err);
  if (!st) st = sgi_meta_check(c, err);
  if (!st && sgi_meta_on(c) && !ffn->sparse)
    st = sgi_fail(err, SG_ERR_ARG,
                  "feedforward.meta.experts is %zu, but feedforward.kind is \"%s\": pools are of kinds that choose "
                  "neurons by a router, sgatlin and peer",
                  c->options.meta_experts, ffn->name);
  return st ? st : check_beside(&c->options, err);
}
