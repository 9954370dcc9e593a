/* score.h: what functions keep of a model, over documents that they were not fitted to
 * (docs/method-functions.md, what is kept). */
#ifndef SGI_FUNCTION_SCORE_H
#define SGI_FUNCTION_SCORE_H

#include "functions/layer.h"
#include "functions/rows.h"

typedef struct sgi_function_kept {
  double loss, loss_zero; /* with functions; with what the layer writes set to 0 */
  /* 1 - (loss - the model's) / (loss_zero - the model's); NaN where these are as good as equal */
  double recovered;
  double variance; /* 1 - |y' - y|^2 / |y - mean y|^2; NaN for all layers at once */
} sgi_function_kept;

typedef struct sgi_function_score {
  double loss; /* of the model */
  size_t positions, n;
  sgi_function_kept *at; /* (n) each layer alone */
  sgi_function_kept all; /* all at once */
} sgi_function_score;

/* Layers ascend. Deinit in any case. */
sg_status sgi_function_score_run(const sg_model *m, const sgi_function_layer *const *layers, size_t n,
                                 const sgi_function_documents *d, sgi_function_progress progress, void *user,
                                 sgi_function_score *out, sg_error *err);
void sgi_function_score_deinit(sgi_function_score *s);

#endif
