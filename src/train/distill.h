/* distill.h: a model in fewer bytes that learns from the model it was made of (docs/method.md,
 * distillation). Float32 masters; each step sees them through the type they will be stored in, and
 * the gradient goes straight to them. */
#ifndef SGI_TRAIN_DISTILL_H
#define SGI_TRAIN_DISTILL_H

#include "math/quantise.h"
#include "model/distill.h"

typedef struct sgi_distill_request {
  sgi_quantise how; /* without clip */
  const char *only; /* as in sgi_quantize_request */
  const char *data; /* a file, or a directory with train.* */
  const sg_tokenizer *tokenizer;
  size_t steps, batch_size, seq_len;
  double learning_rate; /* falls to 0 in a line */
  sgi_distill_loss loss;
  bool free_all; /* everything learns, not only what is stored in fewer bytes and what chooses units */
  uint64_t seed; /* of the order of the data */
  bool (*progress)(void *user, double done, double wanted); /* steps; NULL, or false to stop */
  void *user;
} sgi_distill_request;

typedef struct sgi_distilled {
  size_t tensors; /* that learned */
  uint64_t tokens;
  double flops, seconds; /* both models'; products */
  double first, last;    /* mean loss of the first and of the last tenth of the steps */
} sgi_distilled;

/* *out: the masters, to be quantised. The teacher is borrowed. New: sg_model_free. */
sg_status sgi_distill(const sg_model *teacher, const sgi_distill_request *r, sg_model **out, sgi_distilled *report,
                      sg_error *err);

#endif
