/* neuron_fit.h: one neuron's function from samples of its value
 * (docs/method-functions.md, fit of one neuron). */
#ifndef SGI_NEURON_FIT_H
#define SGI_NEURON_FIT_H

#include "functions/expert.h"

typedef struct sgi_neuron_fit {
  sgi_grid grid;
  size_t features; /* R */
  size_t edges;    /* at most */
  bool base;       /* a silu beside each spline */
  bool logic;      /* bits and gates on what splines leave */
  size_t samples;  /* at most */
} sgi_neuron_fit;

/* Samples of one neuron: rows of z (.,R), its own value there and a weight. */
typedef struct sgi_neuron_samples {
  size_t n;
  const float *z;
  const uint32_t *row; /* (n) */
  const float *value;  /* (n) */
  const float *weight; /* (n) at least 0 */
} sgi_neuron_samples;

/* Shares of the weighted variance. */
typedef struct sgi_neuron_quality {
  double edges;                  /* by splines alone */
  double final;                  /* of what was kept */
  double error_soft, error_hard; /* 1 - R2 with soft bits and tables, and with hard ones; 0 where none were tried */
  bool tried, logic;             /* gates were tried, are kept */
} sgi_neuron_quality;

/* A thread's memory. */
typedef struct sgi_neuron_work sgi_neuron_work;
sg_status sgi_neuron_work_create(const sgi_neuron_fit *f, sgi_neuron_work **out, sg_error *err);
void sgi_neuron_work_free(sgi_neuron_work *w);

/* Hard: every bit and table is 0 or 1. The same for any number of threads. */
sg_status sgi_neuron_fit_run(const sgi_neuron_fit *f, sgi_neuron_work *w, const sgi_neuron_samples *s, sgi_expert *out,
                             sgi_neuron_quality *quality, sg_error *err);

#endif
