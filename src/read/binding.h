/* binding.h: what a file that was made from a model (a recording, a map) says about that model, and
 * whether it is the one at hand.
 *
 * "model_hash" (identity.h) is that of the weights. "model_config" is the model's configuration:
 * rope_theta, rms_norm_eps, activation, top_k or a layer's form change every number that is
 * computed and no weight. It stands there whole and not as a hash, so that a message can name what
 * differs and keys of later versions, which are written only where they say something, keep old
 * files readable. "model", the path as it was given then, only helps people. A file without one of
 * the two is older than it: nothing can be said of that. */
#ifndef SGI_BINDING_H
#define SGI_BINDING_H

#include "core/bound.h"
#include "core/json.h"
#include "model/model.h"

#define SGI_BINDING_KEY "model_hash"
#define SGI_BINDING_CONFIG "model_config"
enum { SGI_HASH_TEXT = 17 };

typedef struct sgi_binding {
  char hash[SGI_HASH_TEXT]; /* 16 hexadecimal digits, "" for none */
  json_t *config;           /* NULL for none */
} sgi_binding;

/* Of this model: two keys for the object o; false when memory is out. */
bool sgi_binding_write(const sg_model *m, json_t *o);
/* What o says; a hash that is none, or a configuration that is no object, is SG_ERR_FORMAT. New:
 * sgi_binding_free, also after an error. */
sg_status sgi_binding_read(const json_t *o, const char *where, sgi_binding *out, sg_error *err);
void sgi_binding_free(sgi_binding *b);
/* Compares. Where they differ, err says so with both hashes, or the key that differs and both
 * values (text only, SG_OK: the caller decides what follows); made_from may be "". */
sg_status sgi_binding_compare(const sgi_binding *file, const sg_model *m, const char *name, const char *made_from,
                              sgi_bound *out, sg_error *err);
/* The first key in which two configurations differ that changes what is computed; NULL for none. */
const char *sgi_binding_differs(const json_t *config, const json_t *other);

#endif
