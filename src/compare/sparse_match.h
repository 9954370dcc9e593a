/* sparse_match.h: features held against the neurons of the layer that they stand for
 * (docs/method-comparison.md, match). */
#ifndef SGI_SPARSE_MATCH_H
#define SGI_SPARSE_MATCH_H

#include "compare/sparse_set.h"

enum { SGI_MATCH_SHARES = 3, SGI_MATCH_CONTROL = 2048 };
extern const double sgi_match_levels[SGI_MATCH_SHARES]; /* 0.5, 0.8, 0.95 */

typedef struct sgi_match_one {
  uint32_t neuron;         /* the best encoder match; channel * units + index */
  double encoder, decoder; /* cosines with that neuron's input and output row */
  uint32_t best;           /* the best product of both */
  double product;
} sgi_match_one;

typedef struct sgi_sparse_match {
  size_t layer, features, live, neurons, units;                         /* units of a channel */
  sgi_match_one *at;                                                    /* (features) */
  double share_encoder[SGI_MATCH_SHARES], share_both[SGI_MATCH_SHARES]; /* of live ones: encoder; encoder and decoder */
  double chance_encoder[SGI_MATCH_SHARES], chance_both[SGI_MATCH_SHARES]; /* of random directions */
  double median_encoder, median_decoder;                                  /* of live features */
} sgi_sparse_match;

/* Of set's layer k. live (M) or NULL: which features count. The control: as many directions as
 * features, at most SGI_MATCH_CONTROL, drawn with the covariance of the neurons' rows. Deinit in
 * any case. */
sg_status sgi_match_make(const sg_model *m, const sgi_sparse_set *set, size_t k, const bool *live, uint64_t seed,
                         sgi_sparse_match *out, sg_error *err);
void sgi_match_deinit(sgi_sparse_match *x);

/* One feature's best neuron, out of all of its layer; units: of a channel. */
sg_status sgi_match_of(const sg_model *m, const sgi_sparse_set *set, size_t k, size_t feature, sgi_match_one *out,
                       size_t *units, sg_error *err);

/* All cosines of features' rows (M,D) with neurons' rows (N,D): out (M,N). */
void sgi_match_cosines(const float *features, size_t M, const float *neurons, size_t N, size_t D, float *out);

#endif
