/* fit.h: from losses to statements: the size that is best at a budget, and how much less compute
 * one kind needs than another for the same loss (docs/method.md, scaling study). Numbers in,
 * numbers out. */
#ifndef SGI_FIT_H
#define SGI_FIT_H

#include "core/base.h"

/* y = a + b x + c x^2 by least squares. fitted: there were three different x and c > 0, so that
 * there is a minimum; inside: it lies between the outermost x. at, value: the minimum where it is
 * inside, else the lowest point that was measured. */
typedef struct sgi_parabola {
  double a, b, c;
  double at, value;
  bool fitted, inside;
} sgi_parabola;

/* n at least 1, all finite. */
sg_status sgi_parabola_fit(const double *x, const double *y, size_t n, sgi_parabola *out, sg_error *err);

/* How many times less of a cost (FLOPs, seconds, bytes) a kind needs than another: its losses over
 * the logarithm of its costs are a line (least squares, n of at least 2), which says where it
 * reaches the other's loss. 0 where the line does not fall. beyond: that cost lies outside those
 * measured. */
typedef struct sgi_factor {
  double factor;
  bool beyond;
} sgi_factor;
sg_status sgi_factor_fit(const double *cost, const double *loss, size_t n, double other_cost, double other_loss,
                         sgi_factor *out, sg_error *err);

#endif
