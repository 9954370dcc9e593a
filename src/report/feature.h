/* feature.h: features of transcoders and SAEs as answers: one feature's card, features scaled, what
 * a feature is called. `sparse feature`, `circuit` and the explorer. */
#ifndef SGI_REPORT_FEATURE_H
#define SGI_REPORT_FEATURE_H

#include "prompt.h"
#include "recorded.h"

struct sgi_sparse_set;

typedef struct sgi_feature_card {
  const sgi_prompt *p;
  const struct sgi_sparse_set *set;
  size_t layer, index;
  size_t top, width;            /* tokens, features and excerpts that are told; tokens on each side of an excerpt */
  const sgi_record_reader *rec; /* NULL: without where it acts */
  /* documents of the recording; false cancels. NULL allowed */
  bool (*progress)(void *user, size_t done, size_t wanted);
  void *user;
} sgi_feature_card;

/* {layer, feature, features, bias, threshold, reads, writes: [{token, value}], nearest: {channel,
 * neuron, encoder, decoder}, alike: [{feature, encoder, decoder}], upstream, downstream: [{layer,
 * feature, weight}], recorded: {positions, count, density, mean, top: [{position, value,
 * excerpt}]}}. threshold: of jumprelu alone; nearest, upstream and downstream: of transcoders;
 * alike: features of the layer by the mean of both cosines. */
sg_status sgi_feature_card_json(const sgi_feature_card *c, json_t **out, sg_error *err);

/* {name, layers, features, activation}: null without a set. name: as the page calls it. */
json_t *sgi_sparse_json(const struct sgi_sparse_set *set, const char *name);

/* "was | macaroni +, soup -", from its weights (read/label.h). */
enum { SGI_FEATURE_LABEL = 96 };
sg_status sgi_feature_label(const sgi_prompt *p, const struct sgi_sparse_set *set, size_t layer, size_t index,
                            char out[SGI_FEATURE_LABEL], sg_error *err);

/* Features scaled on a prompt: the target's change with everything held, and in a true run in which
 * what the features miss stays. */
typedef struct sgi_feature_factor {
  size_t layer, feature;
  ptrdiff_t position; /* -1: everywhere */
  double scale;
} sgi_feature_factor;
typedef struct sgi_feature_steer {
  const sgi_prompt *p;
  const struct sgi_sparse_set *set;
  size_t position, top; /* top: predictions of each run */
  int32_t target;       /* -1: the most probable */
  const sgi_feature_factor *factors;
  size_t n_factors;
  bool (*progress)(void *user, size_t done, size_t wanted); /* NULL allowed; false cancels */
  void *user;
} sgi_feature_steer;
/* {tokens, position, target, edits: [{layer, feature, position, scale, met}], features: [{layer,
 * feature, position, value, effect}], logit_change, linear_change, probability_before,
 * probability_after, kl, before, after}: effect of a unit of value, everything held. */
sg_status sgi_feature_steer_json(const sgi_feature_steer *s, json_t **out, sg_error *err);

#endif
