/* previous.h: what the stream says of the token before, as a document. */
#ifndef SGI_REPORT_PREVIOUS_H
#define SGI_REPORT_PREVIOUS_H

#include "text.h"

struct sgi_sparse_set;
typedef struct sgi_previous_asked {
  const sgi_prompt *p;              /* model and tokenizer */
  const sgi_text_rows *rows;        /* the first half fits, the second tests */
  const struct sgi_sparse_set *set; /* whose features are asked, too; NULL: none */
  size_t best;                      /* of them that are told */
  size_t min_count, most, rotations, max_bytes;
  uint64_t seed;
  bool (*progress)(void *user, size_t done, size_t wanted); /* false cancels; NULL allowed */
  void *user;
} sgi_previous_asked;

/* {seed, fitted, tested, sites: [{site, auc: {all, after, matched}, tokens_matched}], heads:
 * [{layer, head, looks_back, cosine}], cosine_of_layer, compositions: [{from, to, key, query,
 * control}], tokens: [{token, after, fitted, tested, auc}], features: {layers: [{layer, features,
 * live, previous, current, mean_previous_f1, mean_current_f1}], best: [{layer, feature, count,
 * previous, previous_f1, current, current_f1}]}}: features with a set alone. New reference. */
sg_status sgi_previous_report(const sgi_previous_asked *request, json_t **out, sg_error *err);

#endif
