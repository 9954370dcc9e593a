/* trace.h: one forward (and backward) pass with every named site of it written to a safetensors
 * file. */
#ifndef SGI_TRACE_H
#define SGI_TRACE_H

#include "model/model.h"

typedef struct sgi_trace_request {
  const int32_t *targets; /* (B,T); the model's bos goes in front of each row, its pad id is not counted */
  size_t B, T;
  bool grad; /* also grad.<tensor> of the loss */
  /* with grad: of the loss and these parts, each of which is written, and total; NULL: none */
  const sgi_aux_weights *aux;
  const char *const *only; /* n_only patterns ('*', '?') over output names; 0: the default set */
  size_t n_only;
  size_t max_bytes; /* memory for activations; 0: 1 GB */
} sgi_trace_request;

/* Writes path with (names of docs/formats.md, trace) logits (B,T,V), loss, acc, perplexity,
 * perplexity_last_token [], and sites (B,T,...): by default layers.{l}.resid_mid, .resid_post,
 * .router.scores, .router.indices, .gate.logits, .gate.indices; with patterns every output and site
 * that matches one, and nothing else. SG_ERR_ARG when a pattern matches nothing. */
sg_status sgi_trace_write(const sg_model *m, const sgi_trace_request *r, const char *path, sg_error *err);

#endif
