/* fit_inside.h: what fit.c, fit_names.c and fit_report.c hand each other. */
#ifndef SGI_FUNCTION_FIT_INSIDE_H
#define SGI_FUNCTION_FIT_INSIDE_H

#include "functions/fit.h"
#include "functions/neuron_fit.h"

enum { SGI_FIT_CURVE = 64 }; /* points of an edge's curve that a name is found for */

/* Where each neuron acts: entries of unit u from start[u] on. */
typedef struct sgi_firings {
  size_t *start; /* (units + 1) */
  uint32_t *row;
  float *own, *weight;
} sgi_firings;

typedef struct sgi_fit {
  const sgi_function_settings *s;
  const sgi_function_place *p;
  sgi_function_rows rows;
  sgi_function_layer *l;
  sgi_function_report *report;
  float *z; /* (rows.n,R) */
  sgi_firings f;
  sgi_neuron_quality *quality; /* (units) */
  double *read_back;           /* (units) difference of the formula read back, over its span */
} sgi_fit;

/* A thread's memory. */
typedef struct sgi_fit_hand {
  uint32_t *row;
  float *own, *weight;  /* (s->samples), as row */
  double *t, *y, *work; /* (s->samples), (SGI_FIT_CURVE), (SGI_FIT_CURVE) */
  sgi_neuron_work *neuron;
} sgi_fit_hand;

/* fit.c: at most s->samples of a unit's firings, evenly taken, into h; returns how many. */
size_t sgi_fit_sample(const sgi_fit *w, size_t unit, sgi_fit_hand *h);
/* fit_names.c: a unit's function as it is kept, with its quality and points. */
sg_status sgi_fit_name(sgi_fit *w, sgi_fit_hand *h, size_t unit, sg_error *err);
/* fit_report.c */
void sgi_fit_count_up(sgi_fit *w);

#endif
