/* tokenizer_file.h: reading a tokenizer.json: what its two readers (tokenizer_load.c,
 * tokenizer_parts.c) share. */
#ifndef SGI_TOKENIZER_FILE_H
#define SGI_TOKENIZER_FILE_H

#include "core/json.h"
#include "text/tokenizer.h"

typedef struct sgi_loading {
  const char *path; /* for messages */
  const json_t *vocab;
  sg_tokenizer *t;
  sg_error *err;
} sgi_loading;

/* A value as short JSON text, for messages. */
void sgi_loading_show(const json_t *v, char *out, size_t size);
/* SG_ERR_UNSUPPORTED: "FILE: KEY: VALUE; only SUPPORTED is supported". */
sg_status sgi_loading_unsupported(const sgi_loading *l, const char *key, const json_t *v, const char *supported);
/* SG_ERR_FORMAT: "FILE: KEY is VALUE; expected EXPECTED". */
sg_status sgi_loading_wrong(const sgi_loading *l, const char *key, const json_t *v, const char *expected);
/* Every key of object (named where, "" for the whole file) is one of keys, which NULL ends. */
sg_status sgi_loading_only_keys(const sgi_loading *l, const json_t *object, const char *where, const char *const *keys);
/* key of object is null or missing. */
sg_status sgi_loading_only_null(const sgi_loading *l, const json_t *object, const char *where, const char *key);
/* A flag of object; missing: its value where it is not there (-1: it must be). */
sg_status sgi_loading_flag(const sgi_loading *l, const json_t *object, const char *where, const char *key, int missing,
                           bool *out);

/* normalizer, pre_tokenizer, post_processor and decoder of the file into l->t. */
sg_status sgi_loading_parts(const sgi_loading *l, const json_t *file);

#endif
