/* layer.h: the functions that stand for a layer's neurons, and how the layer is computed with them:
 * z = P x, value = factor * phi(z) where a function stands, y = sum value w_out
 * (docs/method-functions.md, the layer). */
#ifndef SGI_FUNCTION_LAYER_H
#define SGI_FUNCTION_LAYER_H

#include "functions/expert.h"
#include "functions/place.h"

enum { SGI_FUNCTION_POINTS = 32, SGI_FUNCTION_PARTS = 4 };

typedef struct sgi_function_layer {
  size_t layer, D, R, F, pools, units;
  size_t C, K; /* channels, chosen of each */
  sgi_grid grid;
  float *projection;  /* (R,D) */
  uint8_t *stands;    /* (units) 0: the neuron stays a row of the matrix */
  sgi_expert *expert; /* (units) hard */
  float *w_out;       /* (units,D); NULL with a basis */
  size_t basis_rows;  /* R_o, 0: none */
  float *basis;       /* (R_o,D) */
  int32_t *part;      /* (units,SGI_FUNCTION_PARTS) rows of the basis */
  float *amount;      /* (units,SGI_FUNCTION_PARTS) */
  float *point;       /* (units,SGI_FUNCTION_POINTS,3) its first edge's feature, value, function */
  int32_t *points;    /* (units) how many */
  int32_t *samples;   /* (units) */
  float *quality;     /* (units,2) share of the weighted variance: by the splines and gates of its fit; as it is */
} sgi_function_layer;

/* Arrays for sizes that are set, basis_rows among them; deinit in any case. */
sg_status sgi_function_layer_make(sgi_function_layer *l, sg_error *err);
void sgi_function_layer_deinit(sgi_function_layer *l);

/* z (n,R) = P x (n,D). */
sg_status sgi_function_layer_features(const sgi_function_layer *l, const float *x, size_t n, float *z, sg_error *err);
/* value (n,C,K) of what was chosen, of z (n,R), index, own and factor (n,C,K). */
void sgi_function_layer_values(const sgi_function_layer *l, size_t n, const float *z, const int32_t *index,
                               const float *own, const float *factor, float *value);
/* y (n,D) assigned; zeta (n,R_o) is written where there is a basis. */
sg_status sgi_function_layer_sum(const sgi_function_layer *l, size_t n, const int32_t *index, const float *value,
                                 float *zeta, float *y, sg_error *err);

#endif
