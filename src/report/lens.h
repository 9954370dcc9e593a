/* lens.h: what the output head would say after each layer, of every position, and what it would say
 * of a word: the logit lens as a document. */
#ifndef SGI_REPORT_LENS_H
#define SGI_REPORT_LENS_H

#include "word.h"

typedef struct sgi_lens_request {
  const sgi_prompt *p;
  size_t top;                                               /* most probable tokens of each place */
  const sgi_word *target;                                   /* a token, word or phrase; NULL: none */
  size_t position;                                          /* behind which the target stands */
  bool (*progress)(void *user, size_t done, size_t wanted); /* levels; false cancels; NULL allowed */
  void *user;
} sgi_lens_request;

/* {tokens, layers: [{site, predictions: [[{id, text, probability, logit}]]}]}: the embedding, then
 * every layer. With a target also target: {word: {text, ids, log_probability, probability},
 * position, layers: [{site, log_probability, probability, logit, rank}]}. The model runs along the
 * word, and each level is read at the places of its tokens: log_probability and logit are their
 * sums, rank that of the first token (0: the most probable). The last level's log_probability is
 * the word's own. New reference. */
sg_status sgi_lens_report(const sgi_lens_request *request, json_t **out, sg_error *err);

#endif
