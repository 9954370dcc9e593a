/* blame.h: which number is not finite, by tensor, layer and place. Slow and thorough: asked when
 * something is wrong, and before a checkpoint is written. Knows passes and arenas, not who
 * trains. */
#ifndef SGI_BLAME_H
#define SGI_BLAME_H

#include "model/pass.h"

/* Floats [from, to) of an arena in the model's offsets that may be at fault. */
typedef struct sgi_suspect {
  const char *words; /* "second moment": of which tensor comes behind */
  const float *x;    /* the one at `from` */
  size_t from, to;
} sgi_suspect;

/* SG_OK if all weights and the n moments are finite; else SG_ERR_NUMERIC naming the tensor and its
 * layer. */
sg_status sgi_blame_state(const sg_model *m, const sgi_suspect *moments, size_t n, sg_error *err);

/* A batch that could not be taken. */
typedef struct sgi_refused {
  const sg_model *model;
  sgi_pass *pass;        /* of the model, for `rows` of the batch's rows at a time */
  const float *gradient; /* what there is of it, an arena */
  const sgi_batch *batch;
  size_t rows;
  size_t first_row; /* of batch, in the one that messages count in */
} sgi_refused;

enum { SGI_BLAME_TEXT = 360 };
/* One sentence: the first of weights, activations (in order of computation) and gradients (in order
 * of theirs) that is not finite or overflows. Runs the batch's forward pass again. False where none
 * is, and the text says only what follows from that. */
bool sgi_blame_batch(const sgi_refused *r, char text[SGI_BLAME_TEXT]);

#endif
