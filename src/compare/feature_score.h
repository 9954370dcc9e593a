/* feature_score.h: circuits of features held against true runs: one feature's write taken out, and
 * all but the best k (docs/method-comparison.md, circuits). */
#ifndef SGI_FEATURE_SCORE_H
#define SGI_FEATURE_SCORE_H

#include "compare/feature_net.h"

typedef struct sgi_feature_place {
  uint32_t layer, position, feature;
  double effect; /* by which places are ordered */
} sgi_feature_place;

/* change (count): what the target loses when h W_d of one place is taken out of mlp.out in a true
 * run, nothing held, the rest of the layer as it was. */
sg_status sgi_features_removed(const sgi_feature_net *n, const sgi_feature_target *t, const sgi_feature_place *at,
                               size_t count, double *change, bool (*go_on)(void *user), void *user, sg_error *err);

/* left (n_k): the logit difference when of all transcoders only the k[i] first of places write,
 * with what the true run then makes of them; errors as in the prompt's own run, or none. */
sg_status sgi_features_kept(const sgi_feature_net *n, const sgi_feature_target *t, const sgi_feature_place *places,
                            size_t count, const size_t *k, size_t n_k, bool errors, double *left,
                            bool (*go_on)(void *user), void *user, sg_error *err);

/* All that act up to the target's position by |total effect|, largest first: new (count), sgi_free;
 * error_share: sum of |total error terms| over the sum of all |total terms|. */
sg_status sgi_features_ranked(const sgi_feature_net *n, const double *u, const sgi_net_stream *at,
                              sgi_feature_place **out, size_t *count, double *error_share, sg_error *err);

enum { SGI_SCORE_STEPS = 16 }; /* k: 0, 1, 2, 4 ... 16384 */
typedef enum sgi_score_way {
  SGI_SCORE_FEATURES,  /* by total effect, errors kept */
  SGI_SCORE_NO_ERRORS, /* the same, errors dropped */
  SGI_SCORE_RANDOM,    /* in random order, errors kept */
  SGI_SCORE_NEURONS,   /* the model's own neurons by total effect */
  SGI_SCORE_RIVAL,     /* another model's own, in its own difference */
  SGI_SCORE_WAYS
} sgi_score_way;

typedef struct sgi_feature_scores {
  size_t prompts, removals;
  double rank, agreement, quotient; /* of direct terms and true changes: Spearman, share of equal signs, sum of terms
                                     * over sum of changes */
  double error_share;               /* mean over prompts */
  double difference, rival;         /* mean logit differences */
  size_t k[SGI_SCORE_STEPS];
  double share[SGI_SCORE_WAYS][SGI_SCORE_STEPS]; /* sum of what is left over the sum of differences */
  bool has[SGI_SCORE_WAYS];
  double features, neurons, rivals; /* mean number of places */
} sgi_feature_scores;

typedef struct sgi_feature_score_request {
  const sg_model *model;
  const sgi_sparse_set *set;
  const sg_model *rival;       /* NULL: none; of the same tokens */
  const int32_t *tokens;       /* (prompts,T), bos in front */
  size_t prompts, T, removals; /* removals: of a prompt, as many largest as random */
  uint64_t seed;
  size_t max_bytes;
  bool (*progress)(void *user, size_t done, size_t wanted);
  void *user;
} sgi_feature_score_request;
sg_status sgi_feature_score(const sgi_feature_score_request *r, sgi_feature_scores *out, sg_error *err);

#endif
