/* loss.h: tied output head, cross-entropy and their gradient by blocks of rows, so that (n,V)
 * logits never exist. */
#ifndef SGI_LOSS_H
#define SGI_LOSS_H

#include "core/arena.h"
#include "math/weight.h"

void sgi_loss_scratch(size_t n, size_t D, size_t V, sgi_arena *a);

/* nll (n): -log p of each row's target, padding too (only the gradient leaves it out); best (n):
 * first largest logit. With dx (n,D; assigned) and dE (V,D; added): the gradient of grad_scale *
 * sum of nll. x (n,D) is the final norm's output, E (V,D). */
sg_status sgi_loss(float *nll, int32_t *best, float *dx, float *dE, const float *x, const sgi_weight *E,
                   const int32_t *targets, int32_t pad, float grad_scale, size_t n, size_t D, size_t V,
                   sgi_arena scratch);

#endif
