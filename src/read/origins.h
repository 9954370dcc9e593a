/* origins.h: held-out loss by where documents come from. Lines of a corpus that is a mixture say of
 * themselves what they are (SlimPajama: "meta": {"redpajama_set_name": ...}). A token cache does
 * not keep that: the lines are read again, beside the losses of rows that are already known. */
#ifndef SGI_ORIGINS_H
#define SGI_ORIGINS_H

#include "data/data.h"

enum { SGI_ORIGIN_NAME = 64, SGI_MAX_ORIGINS = 4096 };

typedef struct sgi_origin {
  char name[SGI_ORIGIN_NAME]; /* cut where it is longer; "" for documents without the field */
  uint64_t documents;         /* of which a token was counted */
  double nll, tokens;         /* sums over those */
} sgi_origin;

typedef struct sgi_origins {
  sgi_origin *list; /* in the order of the text */
  size_t n, list_fit;
  uint16_t *of; /* (documents) */
  size_t documents, of_fit;
} sgi_origins;

/* The string field of every document of path's text files, in their order; field may be a way
 * through objects, "meta.redpajama_set_name". SG_ERR_ARG where no document has it, and for a
 * stream, which cannot be read twice. stop (NULL allowed): true ends it. out:
 * sgi_origins_deinit. */
sg_status sgi_origins_read(const char *path, const sgi_text_form *form, const char *field, bool (*stop)(void *user),
                           void *user, sgi_origins *out, sg_error *err);
void sgi_origins_deinit(sgi_origins *s);

/* Adds the losses of rows (evaluate.h) of a corpus that is all of the text, or its end. Rows are
 * PAD or WINDOWS: PACK has several documents in one. SG_ERR_ARG where the corpus has more
 * documents. */
sg_status sgi_origins_add(sgi_origins *s, const sgi_corpus *corpus, const sgi_batcher *rows, const double *row_nll,
                          const double *row_targets, uint64_t n_rows, sg_error *err);

#endif
