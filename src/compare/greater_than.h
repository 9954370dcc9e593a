/* greater_than.h: does a model know that the second year of a span is above the first, and how few
 * features, or neurons, of a layer carry it (docs/method-comparison.md, greater-than).
 *
 * One prompt for each year YY: "... from the year 17YY to the year 17". What is measured is the
 * mean over YY of p(above YY) - p(YY and below), p among the hundred pairs of digits alone. In a
 * sweep one layer's output is made of the k features (neurons) whose values differ most over the
 * prompts, all others at their mean over the prompts, position by position. */
#ifndef SGI_GREATER_THAN_SCORE_H
#define SGI_GREATER_THAN_SCORE_H

#include "compare/sparse_set.h"

enum { SGI_SPAN_PAIRS = 100, SGI_SPAN_STEPS = 18 }; /* k: 0, 1, 2, 4 ... 65536 */

typedef struct sgi_span_curve {
  size_t count;             /* features or neurons that act in some prompt */
  size_t steps;             /* of k: up to count */
  size_t k[SGI_SPAN_STEPS]; /* the last is count */
  double value[SGI_SPAN_STEPS];
  bool reached;   /* one of these k has nine tenths of the model's own */
  size_t plateau; /* the least that has, where it is reached */
} sgi_span_curve;

typedef struct sgi_span_layer {
  size_t layer;
  double l0;                        /* features at a position */
  double replaced;                  /* whole transcoder in the layer's place */
  sgi_span_curve features, neurons; /* neurons: steps 0 where the layer's units have no values */
} sgi_span_layer;

typedef struct sgi_spans {
  size_t prompts, T;
  double model;       /* the measure of the model itself */
  double accuracy;    /* share of prompts whose likeliest pair is above YY */
  sgi_span_layer *at; /* (n) layers of the set */
  size_t n;
} sgi_spans;

typedef struct sgi_span_request {
  const sg_model *model;
  const sgi_sparse_set *set;
  const int32_t *tokens; /* (prompts,T) */
  const int32_t *years;  /* (prompts) YY of each */
  size_t prompts, T;
  const int32_t *pairs; /* (100) tokens of "00" to "99" */
  size_t max_bytes;
  bool (*progress)(void *user, size_t done, size_t wanted); /* passes; false cancels. NULL allowed */
  void *user;
} sgi_span_request;

/* New: sgi_spans_free. */
sg_status sgi_spans_make(const sgi_span_request *r, sgi_spans **out, sg_error *err);
void sgi_spans_free(sgi_spans *s);

#endif
