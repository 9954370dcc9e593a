/* config.h: config.json <-> sg_config (docs/formats.md, model directory). */
#ifndef SGI_CONFIG_H
#define SGI_CONFIG_H

#include "core/json.h"

/* Reads and checks a config.json object; where names it in errors. */
sg_status sgi_config_from_json(const json_t *object, const char *where, sg_config *out, sg_error *err);
/* New reference; NULL when memory is out. */
json_t *sgi_config_to_json(const sg_config *c);

#endif
