/* greater_than.h: the greater-than test of a model and the sweep over transcoders' features and the
 * layers' own neurons, as JSON: what `circuit greater-than --json` prints. */
#ifndef SGI_REPORT_GREATER_THAN_H
#define SGI_REPORT_GREATER_THAN_H

#include "prompt.h"

struct sgi_sparse_set;

typedef struct sgi_spans_ask {
  const sgi_prompt *p;                      /* model and tokenizer */
  const struct sgi_sparse_set *const *sets; /* (n_sets) transcoders of the model */
  size_t n_sets;
  size_t template, event, century; /* of the prompts (text/greater_than.h) */
  size_t max_bytes;
  bool (*progress)(void *user, size_t done, size_t wanted); /* passes of a set; false cancels. NULL allowed */
  void *user;
} sgi_spans_ask;

/* {prompt, prompts, model, accuracy, sets: [{transcoders, activation, lambda, top_k, layers:
 * [{layer, l0, replaced, features, neurons: {count, plateau, curve: [{k, value}]}}]}]}: plateau is
 * the least k of the curve with nine tenths of the model's value, null where none has it.
 * SG_ERR_ARG where the tokenizer does not keep two digits together, or the template has no such
 * event or century. */
sg_status sgi_spans_json(const sgi_spans_ask *a, json_t **out, sg_error *err);

#endif
