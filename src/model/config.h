/* config.h: config.json <-> sg_config (docs/formats.md), and what a
 * layer sees of it.
 *
 * A layer has its own *view*: a plain sg_config in which the feedforward fields are that layer's.
 * Kinds take a view and never learn that layers may differ; everybody else asks a model for its
 * layers (model.h). */
#ifndef SGI_CONFIG_H
#define SGI_CONFIG_H

#include "core/json.h"

/* Reads and checks a config.json object; where names it in errors. */
sg_status sgi_config_from_json(const json_t *object, const char *where, sg_config *out, sg_error *err);
/* New reference; NULL when memory is out. */
json_t *sgi_config_to_json(const sg_config *c);

/* Whether the streams are normed in front of sublayers and at the end; what sgi_rmsnorm is told
 * (math/rows.h). Queries and keys have their norms in any case. */
static inline bool sgi_has_norm(const sg_config *c) { return c->norm[0] != 'n'; }
static inline double sgi_norm_eps(const sg_config *c) { return sgi_has_norm(c) ? c->rms_norm_eps : -1.0; }

/* ---- layers (config_layers.c); sublayer is SG_ATTENTION or SG_FEEDFORWARD -------------------- */

/* What is said of a layer; borrowed from c. */
const sg_layer *sgi_config_layer(const sg_config *c, size_t layer);
/* The layer runs the sublayer: it is neither absent nor pruned. */
bool sgi_config_has(const sg_config *c, size_t layer, unsigned sublayer);
/* The layer under whose name the tensors lie that this one uses; itself where they are its own. */
size_t sgi_config_owner(const sg_config *c, size_t layer, unsigned sublayer);
/* Tensors of the sublayer lie under this layer's name: it, or one that shares them, runs it. */
bool sgi_config_holds(const sg_config *c, size_t layer, unsigned sublayer);
/* Every layer is like the configuration says. */
bool sgi_config_alike(const sg_config *c);
/* The layer's view: c with its feedforward fields, and no lists. */
void sgi_config_view(const sg_config *c, size_t layer, sg_config *out);
/* Feedforward fields of a configuration, put and taken. */
void sgi_config_set(sg_config *c, const sg_feedforward *f);
sg_feedforward sgi_config_feedforward(const sg_config *c);
/* The layer whose router's output a layer with this view uses: itself where it has a router, and
 * where its kind shares none. */
size_t sgi_config_router(const sg_config *view, size_t layer);

/* Between config.c and config_layers.c. */
sg_status sgi_config_check_groups(const sg_config *c, sg_error *err);
sg_status sgi_config_check_layers(const sg_config *c, sg_error *err);
sg_status sgi_config_read_layers(const json_t *list, const char *where, sg_config *c, sg_error *err);
sg_status sgi_config_read_pruned(const json_t *list, const char *where, sg_config *c, sg_error *err);
json_t *sgi_config_write_layers(const sg_config *c);
int sgi_config_add_layers(const sg_config *c, json_t *o);
sg_status sgi_config_read_feedforward(const json_t *o, const char *where, sg_feedforward *f, sg_error *err);
json_t *sgi_config_write_feedforward(const sg_feedforward *f);

#endif
