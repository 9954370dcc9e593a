/* sample.h: choosing a token from logits. */
#ifndef SGI_SAMPLE_H
#define SGI_SAMPLE_H

#include "core/base.h"
#include "core/rng.h"

typedef struct sgi_candidate {
  float logit;
  int32_t id;
  double weight; /* exp((logit - largest) / temperature) */
} sgi_candidate;

/* SG_OK if the settings can be used; otherwise the field, its value and what is allowed. */
sg_status sgi_sampling_check(const sg_sampling *s, sg_error *err);

/* The candidates (at most V, the caller's buffer) that are left of logits (V), likeliest first
 * where any limit is set, else in the order of ids; returns how many (0: a logit is NaN, or none is
 * finite). temperature > 0. */
size_t sgi_sample_candidates(const sg_sampling *s, const float *logits, size_t V, sgi_candidate *out);

/* The id for a uniform number u in [0, 1). -1 as above. */
int32_t sgi_sample(const sg_sampling *s, const float *logits, size_t V, double u, sgi_candidate *scratch);

#endif
