/* distill.h: a student's loss against what a teacher says (docs/method.md, distillation). Per
 * counted row, with z the student's logits and t the teacher's,
 *
 *   alpha tau^2 KL(softmax(t / tau) || softmax(z / tau)) + (1 - alpha) CE(z, target),
 *
 * by blocks of rows, so that no more than a block of logits exists. */
#ifndef SGI_DISTILL_H
#define SGI_DISTILL_H

#include "model/pass.h"

typedef struct sgi_distill_loss {
  double alpha, tau; /* 0 to 1; above 0 */
} sgi_distill_loss;

/* Sums over counted rows. */
typedef struct sgi_distill_sum {
  double kl, ce;
  size_t targets;
} sgi_distill_sum;

/* The mean loss of a sum. */
double sgi_distill_mean(const sgi_distill_loss *d, const sgi_distill_sum *s);

/* One row: z (V) becomes grad_scale times the gradient to it, t (V) and room (V) are used up. */
void sgi_distill_row(const sgi_distill_loss *d, float *z, float *t, float *room, size_t V, int32_t target,
                     float grad_scale, double *kl, double *ce);

/* Floats of room for a vocabulary. */
size_t sgi_distill_room(size_t V);
/* After forward passes of both over the same batch with targets: adds to *sum, and the gradient of
 * grad_scale times the summed loss to grad (the arena of the student's table); call
 * sgi_pass_backward then. room: sgi_distill_room floats. */
sg_status sgi_pass_distill(sgi_pass *student, sgi_pass *teacher, const sgi_distill_loss *d, sgi_distill_sum *sum,
                           float *grad, float grad_scale, float *room, sg_error *err);

#endif
