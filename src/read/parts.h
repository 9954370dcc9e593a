/* parts.h: rows of tokens through a model, as many at a time as memory allows: what traces, losses
 * under edits and sg_rows_run have in common. */
#ifndef SGI_PARTS_H
#define SGI_PARTS_H

#include "model/pass.h"

enum { SGI_LOGIT_ROWS = 64 }; /* token rows of the output head at a time: fixes the order of its sums */

typedef struct sgi_parts {
  size_t B, T;
  const int32_t *inputs;  /* (B,T) */
  const int32_t *targets; /* (B,T); NULL: no loss */
  size_t max_bytes;       /* of a pass; 0: 1 GiB */
  const sgi_tap *tap;     /* NULL allowed */
  size_t *first;          /* token row that the part at hand begins with, for the tap; NULL allowed */
  float *grad;            /* arena of the table's offsets, added to: gradient of grad_scale * nll; NULL allowed */
  float grad_scale;
  bool training;              /* statistics of each part's rows (ffn.h); the model's own do not move */
  const sgi_aux_weights *aux; /* what grad is of, too; NULL: of the loss alone */
  void (*measured)(void *user, const sgi_aux *sums); /* with aux: of a part */
  /* Blocks of logits (n,V) of token rows from first on, in order; NULL allowed. */
  sg_status (*logits)(void *user, size_t first, size_t n, const float *logits, sg_error *err);
  /* Losses (n) of a part's token rows, padding too; NULL allowed. */
  void (*losses)(void *user, size_t first, size_t n, const float *nll);
  void *user;
  sgi_pass_progress progress; /* layers of all parts; NULL allowed */
  void *watcher;
} sgi_parts;

/* *sum gets what sgi_pass_loss adds up. */
sg_status sgi_parts_run(const struct sg_model *m, const sgi_parts *q, sgi_metrics *sum, sg_error *err);

/* Shifts targets (B,T) right by one, bos in front of each row, into inputs (B,T). */
void sgi_parts_shift(const struct sg_model *m, const int32_t *targets, size_t B, size_t T, int32_t *inputs);

#endif
