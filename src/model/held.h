/* held.h: a step with everything held that makes it a linear map of the stream it reads: its norm's
 * scales, attention's patterns, a feedforward layer's gates
 * (docs/method-reading.md, frozen network). */
#ifndef SGI_HELD_H
#define SGI_HELD_H

#include "math/rows.h"
#include "model/steps.h"

typedef struct sgi_held {
  const sgi_plan_step *step;
  size_t T, D;
  const float *x, *r; /* (T,D) the stream it reads, (T) inverse scales; of the pass */
  const float *gain;  /* (D) */
  /* Attention: heads 0 elsewhere. */
  size_t heads, d_head;
  float *pattern;     /* (heads,T,T) [destination, source], 0 above the diagonal */
  const float *v;     /* (T,heads,d_head) of the pass */
  const float *w_out; /* (D,heads*d_head) output map; in outputs where it is stored in another type */
  /* What writes unit by unit: units 0 elsewhere. */
  size_t units;       /* acting at one row */
  sgi_unit *unit;     /* (T,units) */
  double *bias;       /* (T,D) added beside them; NULL where all are 0 */
  double *error;      /* (T,D) added besides, and explained by nothing; NULL: none (compare/feature_hold.h) */
  float *outputs;     /* copies of output rows, or NULL where they are read where they lie */
  sgi_weight *copied; /* the same as a tensor */
  bool has_constants; /* some unit has a constant, or there is a bias */
} sgi_held;

void sgi_held_deinit(sgi_held *h);

/* Bytes that sgi_pass_hold takes for a step at T positions; false where they can not be counted. */
bool sgi_held_bytes(const sgi_plan_step *s, size_t T, size_t *bytes);

static inline const sgi_unit *sgi_held_units(const sgi_held *h, size_t t) {
  return h->unit ? h->unit + t * h->units : NULL;
}
static inline const double *sgi_held_bias(const sgi_held *h, size_t t) { return h->bias ? h->bias + t * h->D : NULL; }
static inline const double *sgi_held_error(const sgi_held *h, size_t t) {
  return h->error ? h->error + t * h->D : NULL;
}
static inline const float *sgi_held_pattern(const sgi_held *h, size_t head, size_t t) {
  return h->pattern + (head * h->T + t) * h->T;
}

/* before (R,rows,D) += what after (R,rows,D), a gradient of the stream that the step adds to, is to
 * the stream it reads; before may be after. head >= 0: that head's part alone, assigned. work has
 * 2*R*rows*max(D, heads*d_head) floats. */
sg_status sgi_held_pull(const sgi_held *h, size_t R, size_t rows, ptrdiff_t head, float *before, const float *after,
                        float *work);

#endif
