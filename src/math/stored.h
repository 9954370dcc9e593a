/* stored.h: products with weights as they are stored (weight.h). Float32 goes to gemm.h; other
 * types are decoded by tiles on the stack of the thread that multiplies with them, or, where a
 * product makes a copy of its weights anyway, into that copy. A few rows are dot products of
 * decoding kernels: they cost what it costs to read the weights once. Cuts come from the sizes
 * alone, so the bits do not depend on threads. */
#ifndef SGI_STORED_H
#define SGI_STORED_H

#include "core/arena.h"
#include "math/weight.h"

/* y (n,rows; ldy) = x (n,width; ldx) W^T. From SGI_COPY_ROWS rows on with a copy in scratch, as
 * sgi_linear_scratch measures (gemm.h); scratch without a base: no copy. */
sg_status sgi_stored_linear(float *y, size_t ldy, const float *x, size_t ldx, const sgi_weight *w, size_t n,
                            sgi_arena scratch);
/* dx (n,width; lddx) = beta dx + dy (n,rows; lddy) W. */
sg_status sgi_stored_linear_dx(float *dx, size_t lddx, const float *dy, size_t lddy, const sgi_weight *w, size_t n,
                               float beta, sgi_arena scratch);
/* dw (rows,width) += dy^T x, the gradient of w; in bf16 where w was made so (weight.h, rounds).
 * profile: NULL, or where the product times itself. */
sg_status sgi_stored_linear_dw(float *dw, const float *dy, size_t lddy, const float *x, size_t ldx, const sgi_weight *w,
                               size_t n, sgi_profile *profile);

/* On the calling thread: C (m,rows; ldc) = beta C + A (m,width; lda) W^T or, without tb, C
 * (m,width) = beta C + A (m,rows) W. */
sg_status sgi_stored_product1(bool tb, size_t m, const float *a, size_t lda, const sgi_weight *w, float beta, float *c,
                              size_t ldc);
/* C (width,n; ldc) += W^T B (rows,n; ldb), on the calling thread. */
sg_status sgi_stored_across1(const sgi_weight *w, size_t n, const float *b, size_t ldb, float *c, size_t ldc);
/* c (a->rows, b->width; ldc) = A B of two stored tensors, a->width = b->rows, on the calling
 * thread. */
sg_status sgi_stored_pair1(const sgi_weight *a, const sgi_weight *b, float *c, size_t ldc);

/* W^T (width,rows) with rows sgi_stride(rows) apart, by all threads: sgi_linear_pack. */
void sgi_stored_pack(float *wt, const sgi_weight *w);

#endif
