/* features.h: the output map of a sublayer as a matrix of rows, y = bias + sum over features f of
 * z_f W[f]: what tuning changes. Attention: the mixed values of all heads, W the columns of o_proj.
 * Feedforward: the units that act at a position with what multiplies their output rows; where the
 * layer adds an output bias of its own, that is one more feature of value 1. */
#ifndef SGI_FEATURES_H
#define SGI_FEATURES_H

#include "compare/cut.h"
#include "model/held.h"

typedef struct sgi_features {
  const sgi_sublayer *sub;
  size_t step; /* of the plan */
  size_t n, D;
  size_t most; /* features that act at one position */
  size_t per;  /* feedforward: units of a channel */
  float *rows; /* attention: o_proj (D,n) */
  float *bias; /* (D) of the layer's own, NULL: none; then the last feature */
} sgi_features;

/* Of sublayer s (cut.h) of m, whose weights are in its own arena where they are to be changed. A
 * feedforward kind whose units tell no output rows is SG_ERR_UNSUPPORTED. */
sg_status sgi_features_of(sg_model *m, size_t s, sgi_features *out, sg_error *err);

/* Element d of row f. */
float *sgi_features_element(const sgi_features *f, size_t row, size_t d);

/* Features that act at position t of the last run: index and value (most) of each; returns how
 * many. h: the feedforward step held (sgi_pass_hold), or NULL; z (T,n): attention's mixed
 * values. */
size_t sgi_features_at(const sgi_features *f, const sgi_held *h, const float *z, size_t t, uint32_t *index,
                       float *value);

#endif
