/* jump.h: a gradient far above those before it. A batch like that is broken, or the run is about to
 * be: it is better stopped before the step, with the last checkpoint as it is. */
#ifndef SGI_JUMP_H
#define SGI_JUMP_H

#include "core/base.h"

enum { SGI_NORMS = 33 }; /* steps that are looked back on */

typedef struct sgi_norms {
  double last[SGI_NORMS];
  size_t count; /* ever */
} sgi_norms;

/* The median of the norms kept; 0 before half of them are there. */
double sgi_norms_median(const sgi_norms *n);
/* True where norm is above 10^4 times that median (or times 10^-3, where a run has learnt its data
 * by heart and gradients are nearly 0). Else norm is kept. */
bool sgi_norms_jump(sgi_norms *n, double norm);

#endif
