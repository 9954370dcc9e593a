/* sinks.h: attention sinks of one model, or of two on one text, as JSON. */
#ifndef SGI_REPORT_SINKS_H
#define SGI_REPORT_SINKS_H

#include "report.h"

struct sgi_corpus;

typedef struct sgi_sinks_request {
  const sg_model *model, *after; /* after: NULL, or a second one with the same heads, which reads the same tokens */
  const struct sgi_corpus *text; /* in the tokens of model */
  size_t rows, seq_len;          /* documents, 0: all; where they are cut */
  bool (*progress)(void *user, size_t done, size_t total); /* of one model's documents; false cancels */
  void *user;
} sgi_sinks_request;

/* {rows, positions, even, sink_heads, attention_sink, heads: [{layer, head, share, excess,
 * share_out, logit}], norm_ratio: [a number a layer]}, and with a second model "after", the same of
 * it without rows, positions and even. logit only where attention_sink is true. New reference. */
sg_status sgi_sinks_json(const sgi_sinks_request *r, json_t **out, sg_error *err);

#endif
