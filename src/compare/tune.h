/* tune.h: an output map tuned so that its sublayer makes up for what was cut before it: ridge
 * towards the present weights,
 *
 *     min |Z W + R - Y|^2 + lambda |W - W0|^2     (docs/method-comparison.md, pruning)
 *
 * over counted positions. With O = Z W0 + R, the stream as it is, this is a step dW that solves
 * (Z^T Z + lambda I) dW = Z^T (Y - O), so nothing but the stream and the features need be known.
 * Up to SGI_TUNE_DENSE features the matrix is formed (sums in double) and solved by LAPACK's
 * Cholesky; beyond that, conjugate gradients on the sparse rows. */
#ifndef SGI_TUNE_H
#define SGI_TUNE_H

#include "core/base.h"

enum { SGI_TUNE_DENSE = 4096 };

typedef struct sgi_tune sgi_tune;

/* For n features and a width D. New: sgi_tune_free. */
sg_status sgi_tune_create(size_t n, size_t D, sgi_tune **out, sg_error *err);
void sgi_tune_free(sgi_tune *t);

/* One position: count features (index, value), and what is missing there, Y - O (D). */
sg_status sgi_tune_add(sgi_tune *t, const uint32_t *index, const float *value, size_t count, const float *missing,
                       sg_error *err);

/* dW (n,D) into change (double), with lambda = damping * trace(Z^T Z) / n. Features that never
 * acted keep 0. */
sg_status sgi_tune_solve(sgi_tune *t, double damping, double *change, sg_error *err);

#endif
