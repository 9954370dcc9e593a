/* json.h: jansson with limits, places in errors, and typed getters. */
#ifndef SGI_JSON_H
#define SGI_JSON_H

#include <jansson.h>

#include "core/base.h"

/* New reference: json_decref. where names the text in errors ("run/config.json"); duplicate keys are an error. */
sg_status sgi_json_parse(const char *text, size_t n, const char *where, json_t **out, sg_error *err);
sg_status sgi_json_load(const char *path, json_t **out, sg_error *err); /* at most 256 MB */
/* Whole or not at all; indented by 2, keys in order of insertion, a newline at the end. */
sg_status sgi_json_save(const char *path, const json_t *value, sg_error *err);
/* New, compact text: sgi_free. NULL when memory is out. */
char *sgi_json_text(const json_t *value);

/* Getters: object's key must be there with the type and in [min, max]; the error names where, the key, what was found and what
 * is expected. where may be "config.json: feedforward". */
sg_status sgi_json_size(const json_t *object, const char *where, const char *key, size_t min, size_t max, size_t *out,
                        sg_error *err);
sg_status sgi_json_i32(const json_t *object, const char *where, const char *key, int32_t min, int32_t max, int32_t *out,
                       sg_error *err);
sg_status sgi_json_u64(const json_t *object, const char *where, const char *key, uint64_t *out,
                       sg_error *err); /* a number or a decimal string */
sg_status sgi_json_real(const json_t *object, const char *where, const char *key, double min, double max, double *out,
                        sg_error *err);
sg_status sgi_json_bool(const json_t *object, const char *where, const char *key, bool *out, sg_error *err);
/* Copies with the NUL; longer than size - 1 is an error. */
sg_status sgi_json_string(const json_t *object, const char *where, const char *key, char *out, size_t size,
                          sg_error *err);
sg_status sgi_json_object(const json_t *object, const char *where, const char *key, const json_t **out,
                          sg_error *err); /* borrowed */
/* Every key of object is one of keys (count of them); else the nearest is suggested. */
sg_status sgi_json_only_keys(const json_t *object, const char *where, const char *const *keys, size_t count,
                             sg_error *err);

#endif
