/* sparse_feature.h: one feature of a sparse MLP: which tokens it reads and writes by its weights,
 * where it acts in a text. */
#ifndef SGI_SPARSE_FEATURE_H
#define SGI_SPARSE_FEATURE_H

#include "compare/sparse_eval.h"

/* De-embedding: reads (V) = E (g2 * W_e[:,j]) for a feature behind the feedforward norm (without
 * the gain elsewhere; the norm's scale is left out, which is positive); writes (V) = E (g *
 * W_d[j]), g the last norm's gain. */
sg_status sgi_sparse_tokens(const sg_model *m, const sgi_sparse_set *set, size_t k, size_t feature, float *reads,
                            float *writes, sg_error *err);

typedef struct sgi_sparse_firing {
  size_t row, position;
  float h;
} sgi_sparse_firing;

typedef struct sgi_sparse_firings {
  uint64_t positions, count;
  double mean;            /* of h where it acts */
  sgi_sparse_firing *top; /* largest first */
  size_t n_top;
} sgi_sparse_firings;

/* Over counted positions; the `most` largest are kept. Deinit in any case. */
sg_status sgi_sparse_fires(const sg_model *m, const sgi_sparse_set *set, size_t k, size_t feature,
                           const sgi_sparse_rows *rows, size_t most, bool (*go_on)(void *user), void *user,
                           sgi_sparse_firings *out, sg_error *err);
void sgi_sparse_firings_deinit(sgi_sparse_firings *f);

#endif
