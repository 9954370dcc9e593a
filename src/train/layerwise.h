/* layerwise.h: a student's feedforward layers, each on the teacher's normed input (docs/method.md,
 * distillation). The teacher runs once; no gradient goes from one layer to another, but for routers
 * that layers of the student share. */
#ifndef SGI_LAYERWISE_H
#define SGI_LAYERWISE_H

#include "model/pass.h"

/* Sums over counted rows, those whose target is not padding. */
typedef struct sgi_layer_fit {
  double error, square; /* |y - y_T|^2, |y_T|^2 */
  double cross, own;    /* y . y_T, |y|^2 */
  uint64_t rows;
} sgi_layer_fit;

/* What a layer has just done, for who looks: call.saved is its block. */
typedef struct sgi_layer_seen {
  void (*seen)(void *user, size_t layer, const sgi_ffn_call *call, const bool *counted);
  const sgi_tap *teacher; /* looks at the teacher's pass, or NULL */
  void *user;
} sgi_layer_seen;

typedef struct sgi_layerwise sgi_layerwise;

/* Of the layers of which (L): both models (borrowed) have a feedforward there. For batches of up to
 * B x T. New: sgi_layerwise_free. */
sg_status sgi_layerwise_create(const sg_model *teacher, const sg_model *student, const bool *which, size_t B, size_t T,
                               bool backward, sgi_layerwise **out, sg_error *err);
void sgi_layerwise_free(sgi_layerwise *x);
/* Adds to fit (L). grad (the student's arena, NULL: none): the gradient of the sum over layers of
 * error / square of this batch is added. */
sg_status sgi_layerwise_run(sgi_layerwise *x, const sgi_batch *batch, sgi_layer_fit *fit, float *grad,
                            const sgi_layer_seen *seen, sg_error *err);
/* FLOPs of one row of T tokens: of the student's layers in a forward pass. */
double sgi_layerwise_flops(const sg_model *student, const bool *which, size_t T);

#endif
