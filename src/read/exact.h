/* exact.h: true effects of many vectors taken out of one prompt's run (docs/method-reading.md,
 * exact effects). */
#ifndef SGI_EXACT_H
#define SGI_EXACT_H

#include "model/vary.h"
#include "read/frozen.h"

/* One prompt, its own run, and what is read of every other run. */
typedef struct sgi_exact_base {
  sgi_frozen f;
  sgi_varier *variants;
  size_t position;
  int32_t target, against;
  double logit; /* of the prompt's own run, as the variants' are made */
  float *delta; /* (fit,D) of a batch */
  size_t fit;
} sgi_exact_base;

/* Runs the prompt. Deinit in any case. */
sg_status sgi_exact_begin(sgi_exact_base *b, const sg_model *m, const sg_attribute_request *r, sg_error *err);
void sgi_exact_end(sgi_exact_base *b);

/* What a variant takes out of the stream behind a step at a position: writes it into delta (D),
 * with its sign turned. */
typedef void (*sgi_exact_taken)(const void *user, size_t i, float *delta);
/* effect (n) on the logit (difference) of n vectors taken out, each on its own. tick (NULL allowed)
 * after each batch, with how many it had; false ends it with SG_ERR_CANCELLED. */
sg_status sgi_exact_effects(sgi_exact_base *b, size_t step, size_t t, size_t n, sgi_exact_taken taken, const void *user,
                            double *effect, bool (*tick)(void *user, size_t n), void *tick_user, sg_error *err);

/* z (d_head) of a head at a position: its mixed values, before the output map. */
void sgi_exact_head(const sgi_held *h, size_t head, size_t t, double *z);
/* y (D) = factor times what the output map makes of it. */
void sgi_exact_head_out(const sgi_held *h, size_t head, const double *z, double factor, float *y);

#endif
