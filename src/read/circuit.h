/* circuit.h: circuits of a prompt, in the form of a recording, so that one can be sought in the
 * other. */
#ifndef SGI_CIRCUIT_H
#define SGI_CIRCUIT_H

#include "model/model.h"
#include "read/recording.h"

/* index, score (count,C,K) of a layer at each position of the prompt, by one forward pass; C and K
 * of the recording. SG_ERR_ARG where it was recorded from a model of other sizes. */
sg_status sgi_prompt_circuits(const sg_model *m, const sgi_recording *rec, const int32_t *tokens, size_t count,
                              size_t layer, int32_t *index, float *score, sg_error *err);

#endif
