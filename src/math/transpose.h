/* transpose.h: the copy that turns rows into columns. */
#ifndef SGI_TRANSPOSE_H
#define SGI_TRANSPOSE_H

#include "core/base.h"

/* out[j * ldo + i] = x[i * ldx + j] for i < rows, j < columns. On the calling thread. */
void sgi_transpose(float *out, size_t ldo, const float *x, size_t ldx, size_t rows, size_t columns);

#endif
