/* schema.h: what a request may hold. server/openapi.json is a part of the program: keys, types,
 * ranges and defaults of every call stand there and nowhere else. */
#ifndef SGS_SCHEMA_H
#define SGS_SCHEMA_H

#include "core/json.h"

extern const char schema_text[]; /* openapi.json, of schema_bytes; made by the build */
extern const size_t schema_bytes;

/* The call of path in the document, borrowed for ever; *post: how it is asked. NULL where there is
 * no such call. */
const json_t *schema_call(const char *path, bool *post, sg_error *err);
/* A copy of the body with the defaults of what it lacks, when it is as the call's schema says; else
 * SG_ERR_ARG, which names the key. *out is new. */
sg_status schema_take(const json_t *call, const json_t *body, json_t **out, sg_error *err);

#endif
