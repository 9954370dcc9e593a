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

/* Path patching: the direct effect of what is written at a position below a neuron, on that neuron
 * alone. The stream that the neuron's step reads at its position is without what the source wrote
 * there, all else is as it was; value is then what the neuron has left (0 where it is chosen no
 * more), and effect what the logit loses when it has that value instead of its own, everything
 * above running anew. */
typedef struct sgi_exact_edge {
  sg_term source; /* embedding, neuron or head of the neuron's position; effect: linear, on its value */
  double value;   /* of the neuron without the source */
  double effect;  /* logit (difference) with the edge, less without it */
} sgi_exact_edge;

/* All sources of one neuron: new list (count), largest |effect| first, sgi_free. neuron: by layer,
 * position, channel, index; SG_ERR_ARG where it did not fire or stands behind the read position. */
sg_status sgi_exact_edges(sgi_exact_base *b, const sg_term *neuron, sgi_exact_edge **out, size_t *count, sg_error *err);

#endif
