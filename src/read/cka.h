/* cka.h: linear centred kernel alignment of two sets of vectors for the same items. */
#ifndef SGI_CKA_H
#define SGI_CKA_H

#include "read/recording.h"

typedef sg_top_token sgi_top_token;

/* CKA between the model's embeddings of those tokens and their gates (raw scores, dense over the
 * pool) at the first position that reads each, of one slot and channel; SGI_ALL_CHANNELS: all
 * channels side by side. */
sg_status sgi_embedding_cka(const sgi_recording *rec, size_t slot, size_t channel, const sg_model *m,
                            const sgi_top_token *tokens, size_t n, double *out, sg_error *err);

#endif
