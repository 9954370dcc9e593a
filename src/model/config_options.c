#include "model/config_options.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const double USUAL_BANDWIDTH = 0.25;

static sg_status read_gates(const json_t *o, const char *where, sg_options *out, sg_error *err) {
  static const char *const keys[] = {"kind", "bandwidth"};
  char inner[300];
  snprintf(inner, sizeof inner, "%s.gates", where);
  if (!json_is_object(o))
    return sgi_fail(err, SG_ERR_FORMAT, "%s: expected an object like {\"kind\": \"jumprelu\"}", inner);
  sg_status st = sgi_json_only_keys(o, inner, keys, SGI_COUNT(keys), err);
  if (!st) st = sgi_json_string(o, inner, "kind", out->gates, sizeof out->gates, err);
  if (!st && json_object_get(o, "bandwidth")) st = sgi_json_real(o, inner, "bandwidth", 0, 1e6, &out->bandwidth, err);
  return st;
}

void sgi_options_complete(sg_options *x) {
  if (x->gates[0] && x->bandwidth == 0) x->bandwidth = USUAL_BANDWIDTH;
}

sg_status sgi_options_read(const json_t *feedforward, const char *where, sg_options *out, sg_error *err) {
  const json_t *gates = json_object_get(feedforward, "gates");
  sg_status st = gates ? read_gates(gates, where, out, err) : SG_OK;
  if (!st) sgi_options_complete(out);
  return st;
}

int sgi_options_write(const sg_options *x, json_t *feedforward) {
  if (!x->gates[0]) return 0;
  return json_object_set_new(feedforward, "gates",
                             json_pack("{s:s, s:f}", "kind", x->gates, "bandwidth", x->bandwidth));
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

sg_status sgi_options_check(const sg_config *c, const sgi_ffn_ops *ffn, sg_error *err) {
  return check_gates(c, ffn, err);
}
