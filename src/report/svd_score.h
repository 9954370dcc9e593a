/* svd_score.h: whether singular directions read better than random directions of their own space,
 * as a document. */
#ifndef SGI_REPORT_SVD_SCORE_H
#define SGI_REPORT_SVD_SCORE_H

#include "text.h"

enum { SGI_SVD_SCORE_NEAREST = 64 }; /* tokens of an end, at most */

typedef struct sgi_svd_scoring {
  const sgi_prompt *p; /* model and tokenizer */
  const sgi_corpus *corpus;
  const char *labels; /* categories of words (labels.json of 'data worlds'); NULL: none */
  size_t nearest, window;
  size_t max_tokens; /* of the text; 0: all */
  size_t rotations, draws, distance, max_bytes;
  uint64_t seed;
  void (*begun)(void *user);                                /* pairs are counted: rotations begin */
  bool (*go_on)(void *user);                                /* while pairs are counted; false ends it */
  bool (*progress)(void *user, size_t done, size_t wanted); /* rotations */
  void *user;
} sgi_svd_scoring;

/* Mean z of the directions of a family in tenths of their number, and its standard error over
 * sides, for a figure. */
enum { SGI_SVD_CURVES = 8, SGI_SVD_TENTHS = 10 };
typedef struct sgi_svd_curve {
  const char *name; /* borrowed for ever */
  double z[SGI_SVD_TENTHS], error[SGI_SVD_TENTHS];
  bool control;
} sgi_svd_curve;

/* {seed, pairs, tokens, rotations, families: [{family, sides, npmi, label: {score, control, z,
 * spread, rank_correlation, above}, z_by_tenth}], sides}; a family without sides has no more than
 * that. New reference. curves (*n of them) as families that have sides. */
sg_status sgi_svd_score_report(const sgi_svd_scoring *request, json_t **out, sgi_svd_curve curves[SGI_SVD_CURVES],
                               size_t *n, sg_error *err);

#endif
