/* features.h: the directions that functions of a layer read, z = P x
 * (docs/method-functions.md, features). */
#ifndef SGI_FUNCTION_FEATURES_H
#define SGI_FUNCTION_FEATURES_H

#include "functions/rows.h"

/* P (R,D) of a layer's rows: with C = E[x x^T] the R directions of C^(1/2) that explain most of the
 * pool's inputs, times C^(-1/2), so that each feature has second moment 1. Where a score stands
 * inside the target the router's rows count like the pool's, as a whole. */
sg_status sgi_function_features(const sgi_function_place *p, const sgi_function_rows *rows, size_t R, float *P,
                                sg_error *err);

#endif
