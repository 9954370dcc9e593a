/* quantize.h: a model directory with its weights in fewer bytes, and as a document what that took
 * (docs/formats.md, weights in fewer bytes; docs/method.md, distillation). */
#ifndef SGI_REPORT_QUANTIZE_H
#define SGI_REPORT_QUANTIZE_H

#include "report.h"

typedef struct sgi_quantization {
  const sg_model *model;
  const char *directory;   /* of the model: its tokenizer goes along */
  sg_quantize_request how; /* without progress */
  /* First the model learns, as it will be stored, what it says on a text; data NULL: not. */
  const char *data; /* a file, or a directory with train.* */
  const sg_tokenizer *tokenizer;
  size_t steps, batch_size, seq_len;
  double learning_rate, alpha, tau;
  bool free_all; /* everything learns, not only what is stored in fewer bytes and what chooses units */
  uint64_t seed;
  /* "distilling" (steps), "quantizing" (weights); false stops. NULL allowed */
  bool (*progress)(void *user, const char *what, double done, double wanted);
  void *user;
} sgi_quantization;

/* Writes directory; {model, type, tensors, tensors_possible, bytes_before, bytes, distill: {steps,
 * tokens, tensors, flops, seconds, loss_first, loss_last}}. New reference. */
sg_status sgi_quantize_report(const sgi_quantization *q, const char *directory, json_t **out, sg_error *err);

#endif
