/* silence.h: one prompt run many times beside itself, each time with other neurons and heads
 * silent. */
#ifndef SGI_SILENCE_H
#define SGI_SILENCE_H

#include "read/means.h"

typedef struct sgi_silencer {
  const sg_model *model;
  const int32_t *tokens; /* (T) borrowed */
  size_t T, rows;
  sg_term *members; /* (count) neurons and heads, by layer, heads first, position, channel, number */
  size_t count;
  sgi_pass *pass;
  int32_t *inputs;              /* (rows,T) */
  float *logits;                /* (V) */
  const bool *silent;           /* (R,count) during a run */
  bool others;                  /* what is no member is silent, too */
  bool heads;                   /* heads are members */
  const struct sg_means *means; /* what is silent is at its mean; NULL: at 0 */
  size_t *first;                /* (L*T + 1) number of the first member that is a neuron of a layer and position */
  sgi_site chosen;              /* the choice of units seen last */
  size_t runs;                  /* so far */
} sgi_silencer;

/* Prompt up to its last token; members copied and sorted: *at (count) is where each went. Deinit in
 * any case. */
sg_status sgi_silencer_init(sgi_silencer *s, const sg_model *m, const int32_t *tokens, size_t T, const sg_term *members,
                            size_t count, bool heads, const struct sg_means *means, size_t max_bytes, size_t *at,
                            sg_error *err);
void sgi_silencer_deinit(sgi_silencer *s);
/* margin (R), R <= rows: of target at the last position, with the members silent that silent
 * (R,count) says, and with others all neurons that are no members. against -1: over the largest
 * other logit. */
sg_status sgi_silencer_run(sgi_silencer *s, size_t R, const bool *silent, bool others, int32_t target, int32_t against,
                           double *margin, sg_error *err);

#endif
