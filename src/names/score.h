/* score.h: how good labels are: from a neuron's label alone, foretell on text that it was not made
 * from where the neuron fires (docs/method-reading.md, scores of labels). */
#ifndef SGI_LABEL_SCORE_H
#define SGI_LABEL_SCORE_H

#include "names/names.h"

typedef struct sgi_label_score_request {
  const sg_model *model;
  const int32_t *inputs; /* (B,T) begin token in front, padding behind */
  size_t B, T;
  const int32_t *category; /* (B,T) of the word that ends there, -1: none; NULL: no truth is known */
  size_t n_categories;
  size_t neurons;   /* scored at most, drawn at random over all that fire */
  size_t positions; /* read at most */
  size_t others;    /* labels of other neurons of the layer, of each */
  double share;     /* of positions that count as fired: the strongest, at most where it fires at all */
  uint64_t seed;
  bool (*progress)(void *user, size_t done, size_t wanted); /* false ends with SG_ERR_CANCELLED; NULL allowed */
  void *user;
} sgi_label_score_request;

/* Balanced accuracy: the mean of the shares of fired and of silent positions that are foretold
 * right; 0.5 is chance. */
typedef struct sgi_label_scored {
  sgi_neuron_at at;
  size_t fired;    /* positions */
  double reads;    /* foretold where the token is one of those that the label fires on */
  double writes;   /* where the next token of the text is one that the label raises */
  double either;   /* where one or the other holds */
  double others;   /* reads, with labels of other neurons of the layer: their mean */
  double rank;     /* share of those that do worse than its own (a tie counts half) */
  double category; /* the best category of words on half of the rows, on the other half; NaN: no truth */
} sgi_label_scored;

typedef struct sgi_label_scores {
  size_t positions; /* that counted */
  size_t silent;    /* drawn neurons that fired fewer than ten times: not scored */
  sgi_label_scored *neurons;
  size_t n;
} sgi_label_scores;

/* names holds the labels; a neuron without one is not drawn. Deinit in any case. */
sg_status sgi_label_score(sg_names *names, const sgi_label_score_request *q, sgi_label_scores *out, sg_error *err);
void sgi_label_scores_deinit(sgi_label_scores *s);

/* Quartiles and median of the field at offset of all neurons, NaN left out. */
typedef struct sgi_quartiles {
  double lower, median, upper;
  size_t n;
} sgi_quartiles;
sg_status sgi_label_quartiles(const sgi_label_scores *s, size_t offset, sgi_quartiles *out, sg_error *err);

#endif
