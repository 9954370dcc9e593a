/* rows.h: positions of a recording through the model again: the rows that functions of a layer are
 * fitted to, and the documents that are held out. */
#ifndef SGI_FUNCTION_ROWS_H
#define SGI_FUNCTION_ROWS_H

#include "functions/place.h"
#include "read/recording.h"

/* Which documents: evenly spread over the recording until positions are enough; every eighth of
 * them (of fewer the last) is held out. */
typedef struct sgi_function_documents {
  const sgi_recording *rec;
  size_t *fit, n_fit, *held, n_held; /* numbers of documents */
  size_t longest, fit_positions, held_positions;
} sgi_function_documents;
sg_status sgi_function_documents_choose(const sgi_recording *rec, size_t positions, sgi_function_documents *out,
                                        sg_error *err);
void sgi_function_documents_deinit(sgi_function_documents *d);
/* Inputs and targets of a document into the caller's buffers (longest); returns how many. */
size_t sgi_function_document(const sgi_function_documents *d, size_t document, int32_t *inputs, int32_t *targets);

typedef struct sgi_function_rows {
  size_t n;
  float *x;            /* (n,D) */
  int32_t *index;      /* (n,C,K) */
  float *own, *factor; /* (n,C,K) */
} sgi_function_rows;

typedef bool (*sgi_function_progress)(void *user, const char *what, size_t done, size_t wanted);

/* All positions of d->fit at a layer whose target is no padding. Deinit in any case. */
sg_status sgi_function_rows_make(const sg_model *m, const sgi_function_place *p, const sgi_function_documents *d,
                                 sgi_function_progress progress, void *user, sgi_function_rows *out, sg_error *err);
void sgi_function_rows_deinit(sgi_function_rows *r);

#endif
