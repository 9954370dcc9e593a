/* cka.h: linear centred kernel alignment of two sets of vectors for the same items. */
#ifndef SGI_CKA_H
#define SGI_CKA_H

#include "read/recording.h"

/* CKA of x (n,a) and y (n,b), columns centred: |y'x|^2 / (|x'x| |y'y|), norms by Frobenius, the
 * denominator at least 1e-12 (golden README no. 32). All sums in double. */
sg_status sgi_linear_cka(const float *x, size_t a, const float *y, size_t b, size_t n, double *out, sg_error *err);

typedef struct sgi_top_token {
  int32_t id;
  size_t count;
  size_t first; /* first position that reads it */
} sgi_top_token;

/* The n most frequent tokens among the inputs of the first `documents` documents (0: all), `skip`
 * left out (-1: none); of equal counts the lower id. *found may be less. by_target: among the
 * targets instead. */
sg_status sgi_top_tokens(const sgi_recording *rec, size_t n, size_t documents, int32_t skip, bool by_target,
                         sgi_top_token *out, size_t *found, sg_error *err);

/* CKA between the embeddings (V,D) of those tokens and their gates (raw scores, dense over the
 * pool) at the first position that reads each, of one slot and channel; SGI_ALL_CHANNELS: all
 * channels side by side. */
sg_status sgi_embedding_cka(const sgi_recording *rec, size_t slot, size_t channel, const float *embedding, size_t V,
                            size_t D, const sgi_top_token *tokens, size_t n, double *out, sg_error *err);

#endif
