/* config_options.h: what a feedforward layer has beside its kind, as keys of its object in
 * config.json: "gates": {"kind": "jumprelu", "bandwidth": 0.25}, "meta": {"experts": 4, "top_k":
 * 1}, "bias": true. Absent where it is off. */
#ifndef SGI_CONFIG_OPTIONS_H
#define SGI_CONFIG_OPTIONS_H

#include "core/json.h"
#include "ffn/ffn.h"

/* Keys of the feedforward object. */
#define SGI_OPTION_KEYS "gates", "bias", "meta", "sink_mlp", "always_on"

sg_status sgi_options_read(const json_t *feedforward, const char *where, sg_options *out, sg_error *err);
/* Nonzero where memory is out. */
int sgi_options_write(const sg_options *x, json_t *feedforward);
/* Values, and whether the kind can have them. */
sg_status sgi_options_check(const sg_config *c, const sgi_ffn_ops *ffn, sg_error *err);
sg_status sgi_options_check_shared(const sg_config *c, sg_error *err);
/* Numbers that were left open get what is usual. */
void sgi_options_complete(sg_options *x);

#endif
