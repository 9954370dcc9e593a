/* gemv.h: products of a few rows with a large matrix, which cost what it costs to read the matrix
 * once. */
#ifndef SGI_GEMV_H
#define SGI_GEMV_H

#include "math/weight.h"

enum { SGI_GEMV_ROWS = 8 }; /* the most rows for which this is the better way */

/* y (n,out; row stride ldy) = x (n,in; ldx) W^T, W (out,in; ldw), n <= SGI_GEMV_ROWS. A row's bits
 * depend neither on the number of rows nor on that of threads. */
void sgi_gemv(float *y, size_t ldy, const float *x, size_t ldx, const float *w, size_t ldw, size_t n, size_t in,
              size_t out);
/* The same with W as it is stored. */
void sgi_gemv_stored(float *y, size_t ldy, const float *x, size_t ldx, const sgi_weight *w, size_t n);

#endif
