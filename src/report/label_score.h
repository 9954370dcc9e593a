/* label_score.h: how well labels foretell where neurons fire, as a document. */
#ifndef SGI_REPORT_LABEL_SCORE_H
#define SGI_REPORT_LABEL_SCORE_H

#include "text.h"

typedef struct sgi_label_scoring {
  const sgi_prompt *p;       /* model and tokenizer */
  sg_names *names;           /* the labels; a neuron without one is not drawn */
  const sgi_text_rows *rows; /* held-out text, T 2 or more; NULL: worlds */
  const char *worlds;        /* directory of 'data worlds': unseen stories, with the truth about their words */
  size_t neurons, positions, others;
  double share;
  uint64_t seed;
  void (*begun)(void *user);                                /* the text is there */
  bool (*progress)(void *user, size_t done, size_t wanted); /* positions; false stops; NULL allowed */
  void *user;
} sgi_label_scoring;

/* {feedforward, positions, scored, silent, share, summary: {MEASURE: {lower, median, upper,
 * neurons}}, neurons: [{layer, channel, index, fired, MEASURE...}]}; measures: reads, others, rank,
 * writes, either, category (docs/method-reading.md, scores of labels). New reference. */
sg_status sgi_label_score_report(const sgi_label_scoring *request, json_t **out, sg_error *err);

#endif
