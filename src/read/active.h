/* active.h: how many units of a layer with gates act, token by token (docs/method.md, options of a
 * feedforward layer). */
#ifndef SGI_ACTIVE_H
#define SGI_ACTIVE_H

#include "core/base.h"

/* Of one recorded layer; positions whose target is padding are left out. */
typedef struct sgi_active {
  size_t layer, candidates; /* C K */
  size_t tokens;
  double mean, sd; /* of the number acting */
  size_t least, most;
  uint64_t *histogram; /* (candidates + 1) */
  bool has_loss;
  double correlation;      /* of the number and the token's loss, Pearson's */
  double flops, all_flops; /* of the neurons, a token: 4 D times the mean, and times all candidates */
} sgi_active;

/* nll (positions) of every recorded position, or NULL; D the width of the stream. New:
 * sgi_free(out->histogram). */
sg_status sgi_recording_active(const sg_recording *r, size_t slot, const double *nll, size_t D, sgi_active *out,
                               sg_error *err);

/* Losses (positions) of a recording's tokens by the model that it was made from, document by
 * document as they were recorded. progress may be NULL; false stops. */
sg_status sgi_recording_losses(const sg_recording *r, const sg_model *m,
                               bool (*progress)(void *user, size_t done, size_t total), void *user, double *nll,
                               sg_error *err);

#endif
