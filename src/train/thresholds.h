/* thresholds.h: where gates' thresholds start (docs/method.md, gates): at the quantile of the first
 * batch's scores that lets as many candidates act as are wanted, layer by layer, so that each sees
 * what the layers before it let through. */
#ifndef SGI_THRESHOLDS_H
#define SGI_THRESHOLDS_H

#include "train/trainer.h"

/* Before the first step. Thresholds that are not all 0 were set by somebody and stay. */
sg_status sgi_thresholds_start(sgi_trainer *t, const sgi_batch *batch, sg_error *err);

/* The q-quantile of x (n), which is sorted in place; between two values linear. */
double sgi_quantile(float *x, size_t n, double q);

#endif
