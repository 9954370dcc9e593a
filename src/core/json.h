/* json.h: jansson with limits, places in errors, typed getters, and documents that are written
 * whole or not at all (json_whole.c). */
#ifndef SGI_JSON_H
#define SGI_JSON_H

#include <jansson.h>

#include "core/base.h"

/* ---- whole or not at all --------------------------------------------------------------------- */

/* What went wrong in this thread while it built JSON. While it is not WHOLE, json_dumps returns
 * NULL and begins anew. */
typedef enum sgi_json_fault {
  SGI_JSON_WHOLE,
  SGI_JSON_LOST,  /* a value that jansson does not take: no UTF-8, NaN */
  SGI_JSON_MEMORY /* an allocation of jansson failed */
} sgi_json_fault;
sgi_json_fault sgi_json_state(void);
/* sgi_fail calls it for errors of memory: they tell of the failure. */
void sgi_json_told(void);
/* For answers to many requests: nothing has failed yet; and what has failed since then in this
 * thread, the library's own allocations included: something that an answer quotes may be
 * missing. */
void sgi_json_begin(void);
size_t sgi_json_failures(void);
/* The error of a document that is not whole; begins anew. what: "config.json". */
sg_status sgi_json_incomplete(const char *what, sg_error *err);

/* jansson's functions of the same names, whose failures are known to sgi_json_state. sgi_json_loadb
 * tells failed allocations from wrong text: json_error_code is json_error_out_of_memory for them,
 * and for nothing else. */
int sgi_json_set_new(json_t *object, const char *key, json_t *value);
int sgi_json_set(json_t *object, const char *key, json_t *value);
int sgi_json_append_new(json_t *array, json_t *value);
int sgi_json_append(json_t *array, json_t *value);
json_t *sgi_json_pack(const char *format, ...);
char *sgi_json_dumps(const json_t *value, size_t flags);
json_t *sgi_json_loadb(const char *text, size_t n, size_t flags, json_error_t *e);
#ifndef SGI_JSON_INSIDE
#define json_object_set_new sgi_json_set_new
#define json_object_set sgi_json_set
#define json_array_append_new sgi_json_append_new
#define json_array_append sgi_json_append
#define json_pack sgi_json_pack
#define json_dumps sgi_json_dumps
#define json_loadb sgi_json_loadb
#endif

/* ---- files and text -------------------------------------------------------------------------- */

/* Bytes that jansson will take for the text, about, and how deep it nests; looks at no grammar. */
size_t sgi_json_estimate(const char *text, size_t n, size_t *depth);

/* Texts that would take more than ten times their size (and 64 MB), or nest deeper than 64, are
 * refused. New reference: json_decref. where names the text in errors ("run/config.json");
 * duplicate keys are an error. */
sg_status sgi_json_parse(const char *text, size_t n, const char *where, json_t **out, sg_error *err);
sg_status sgi_json_load(const char *path, json_t **out, sg_error *err); /* at most 256 MB */
/* Whole or not at all; indented by 2, keys in order of insertion, a newline at the end. */
sg_status sgi_json_save(const char *path, const json_t *value, sg_error *err);
/* New, compact text: sgi_free. NULL when memory is out. */
char *sgi_json_text(const json_t *value);

/* Getters: object's key must be there with the type and in [min, max]; the error names where, the
 * key, what was found and what is expected. where may be "config.json: feedforward". */
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
