/* blame.h: which number is not finite, by tensor, layer and place. Slow and thorough: asked when something is wrong, and before a
 * checkpoint is written. */
#ifndef SGI_BLAME_H
#define SGI_BLAME_H

#include "train/trainer.h"

/* SG_OK if all weights and moments are finite; else SG_ERR_NUMERIC naming the tensor and its layer. */
sg_status sgi_blame_state(const sgi_trainer *t, sg_error *err);

/* SG_ERR_NUMERIC for the batch that t could not take: the first of weights, activations (in order of computation) and gradients (in
 * order of theirs) that is not finite or overflows. why: what the step saw, "the loss is nan". Runs the batch's forward pass again
 * and clears the gradient. */
sg_status sgi_blame_batch(sgi_trainer *t, const int32_t *inputs, const int32_t *targets, const int32_t *starts,
                          const char *why, sg_error *err);

#endif
