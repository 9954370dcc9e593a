/* merge.h: pairs of neurons that nearly always fire together as one neuron each, written as a model
 * of its own, and what that costs (docs/method-reading.md, superposition). */
#ifndef SGI_REPORT_MERGE_H
#define SGI_REPORT_MERGE_H

#include "evaluate.h"
#include "recorded.h"

typedef struct sgi_merge_request {
  const sg_model *model;
  const char *directory; /* of the model: it is read anew to be changed, and its tokenizer goes along */
  bool allow_nonfinite;
  const sg_recording *recording;
  size_t slot;                  /* of the recorded layer */
  size_t most;                  /* merges */
  size_t min_together;          /* positions at which a pair fires */
  double min_share;             /* of those at which either does */
  const char *out;              /* directory of the new model */
  const sgi_eval_request *eval; /* a text for the losses, its model left out; NULL: none are measured */
  bool (*goes_on)(void *user);  /* false ends with SG_ERR_CANCELLED; NULL allowed */
  void *user;
} sgi_merge_request;

/* Before anything is run: SG_ERR_UNSUPPORTED, saying why, where the layer's neurons can not be
 * merged, SG_ERR_ARG where the recording has no values or out is there already. */
sg_status sgi_merge_possible(const sgi_merge_request *q, sg_error *err);

/* After sgi_merge_possible. Adds to *document, which is freed where memory is out: merged:
 * [{neurons: [{channel, neuron} x 2], together, fitted, share, explained, kept}], the first of two
 * being the one that is both; merge: {most, min_together, min_share, found, passed_over_channels,
 * passed_over_taken, passed_over_silent, left, model}; with eval loss: {before, merged, silenced,
 * tokens}. model is null and nothing is measured or written where there is no pair. */
sg_status sgi_merge_report(const sgi_merge_request *q, json_t **document, sg_error *err);

#endif
