/* distill.h: a student that learns from a teacher, as a model directory and a document of what it
 * took and what came of it (docs/method.md, distillation). */
#ifndef SGI_REPORT_DISTILL_H
#define SGI_REPORT_DISTILL_H

#include "report/convert.h"

typedef struct sgi_distillation {
  const sg_model *teacher, *student;
  const sg_tokenizer *tokenizer;
  const char *data; /* a file, or a directory with train.* */
  const sg_text_form *form;
  sgi_text_rows held_out; /* losses are of these */
  size_t batch_size, seq_len;
  /* Steps of each part; or, with share above 0, as many as that part of the teacher's training
   * FLOPs pays for, of which layers_share goes to the first part. */
  size_t layer_steps, steps;
  double share, layers_share, teacher_flops; /* teacher_flops 0: not known */
  double layer_rate, rate, alpha, tau;
  bool free_all, beyond_context;
  size_t points;
  uint64_t seed;
  bool (*progress)(void *user, const char *what, size_t done, size_t wanted); /* false: what is learned is kept */
  void *user;
} sgi_distillation;

/* FLOPs that the run took whose checkpoint the directory is; 0 where it is none. */
sg_status sgi_training_flops(const char *directory, double *flops, sg_error *err);

/* Writes the student into directory, as it was stored, and distill.json, the document:
 * {teacher_loss, loss_zero, teacher_flops, batch_size, seq_len, layer_steps, steps, stopped,
 * tokens, tensors, flops, share, seconds, layers_first, layers_last, loss_first, loss_last, curve:
 * [{part, step, tokens, flops, share, seconds, loss, recovered}]}. *out: it; new reference. */
sg_status sgi_distillation_make(const sgi_distillation *r, const char *directory, json_t **out, sg_error *err);

/* A figure of such documents: recovered share over cost. */
sg_status sgi_distillation_figure(const json_t *document, const char *path, sg_error *err);

#endif
