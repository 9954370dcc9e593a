/* optim.h: AdamW with the reference's decoupled decay, and the norm that clipping asks for (docs/method.md, training). */
#ifndef SGI_OPTIM_H
#define SGI_OPTIM_H

#include "core/table.h"

typedef struct sgi_adamw {
  double beta1, beta2, eps;
  double decay; /* weight_decay / peak learning rate: a decayed weight moves by lr(t) * decay * w */
} sgi_adamw;

/* One update of all rows of table; w, g, m, v are arenas in its offsets. g is scaled by grad_scale first and is left zero.
 * update is the number of updates before this one. Dense: an entry with gradient 0 still moves (golden README no. 22). */
void sgi_adamw_update(const sgi_adamw *s, const sgi_table *table, float *w, float *g, float *m, float *v,
                      double grad_scale, double lr, uint64_t update);

/* Euclidean norm of an arena (gaps between rows are zero). Summed in blocks fixed by the size: same bits for any threads. */
double sgi_arena_norm(const float *x, size_t floats);

/* Factor that brings a gradient of this norm under max: 1 below it, max / norm from it on (no epsilon); 1 where max is 0. */
double sgi_clip_scale(double norm, double max);

#endif
