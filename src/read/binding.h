/* binding.h: what a file that was made from a model (a recording, a map) says about that model, and
 * whether it is the one at hand.
 *
 * "model_hash" (identity.h) is what counts; "model", the path as it was given then, only helps
 * people. A file without a hash is older than the hash: nothing can be said of it. */
#ifndef SGI_BINDING_H
#define SGI_BINDING_H

#include "core/json.h"
#include "model/model.h"

#define SGI_BINDING_KEY "model_hash"
enum { SGI_HASH_TEXT = 17 };

typedef struct sgi_binding {
  char hash[SGI_HASH_TEXT]; /* 16 hexadecimal digits, "" for none */
} sgi_binding;

typedef enum sgi_bound { SGI_BOUND, SGI_UNKNOWN, SGI_OF_ANOTHER } sgi_bound;

/* Of this model. */
sgi_binding sgi_binding_of(const sg_model *m);
/* What o says; a hash that is none is SG_ERR_FORMAT. */
sg_status sgi_binding_read(const json_t *o, const char *where, sgi_binding *out, sg_error *err);
/* Compares. Where they differ, err says so with both hashes (text only: the caller decides what
 * follows); made_from may be "". */
sgi_bound sgi_binding_compare(const sgi_binding *file, const sg_model *m, const char *name, const char *made_from,
                              sg_error *err);

#endif
