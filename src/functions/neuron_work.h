/* neuron_work.h: between neuron_fit.c (splines) and neuron_logic.c (gates). */
#ifndef SGI_NEURON_WORK_H
#define SGI_NEURON_WORK_H

#include "functions/neuron_fit.h"

/* What counts as more: of the weighted variance. */
#define SGI_NEURON_GAIN 0.002
struct sgi_neuron_work;
/* What a part with so many parameters has to gain where r2 is explained: at least SGI_NEURON_GAIN,
 * and more than chance would give it (Akaike: two parameters' worth of what is left). */
double sgi_neuron_gain(const struct sgi_neuron_work *w, double r2, size_t parameters);

struct sgi_neuron_work {
  const sgi_neuron_fit *f;
  void *memory;
  size_t n, R, M, most;   /* samples at hand; features; coefficients of a spline; samples at most */
  float *z;               /* (R,most) feature by feature */
  double *value, *weight; /* (most) the weights add up to 1 */
  double *left;           /* (most) what is not explained yet */
  uint8_t *cell;          /* (R,most) first coefficient that acts */
  double *basis;          /* (R,most,4) weights of the four */
  double *band;           /* (R,4,M) factors of the features' own normal equations */
  double *A, *x;          /* normal equations of everything */
  double *node;           /* (most, SGI_MOST_BITS + SGI_MOST_GATES) */
  double *row_value;      /* of one sample's columns */
  size_t *row_column;
  double variance;
};

/* Bias, splines, silus and weights of gates by weighted least squares (node: of soft or hard
 * gates); left is what remains, *r2 its share. */
sg_status sgi_neuron_solve(sgi_neuron_work *w, sgi_expert *e, double *r2, sg_error *err);

/* Bits and gates on what is left, fitted soft, made hard; all linear parts refitted. Unless the
 * hard ones gain enough e stays as it was. */
sg_status sgi_neuron_logic(sgi_neuron_work *w, sgi_expert *e, sgi_neuron_quality *quality, sg_error *err);

#endif
