/* gemm.h: row-major float32 matrix products by oneDNN. The only way to a matrix product in the library. */
#ifndef SGI_GEMM_H
#define SGI_GEMM_H

#include "core/base.h"

/* C (m,n; row stride ldc) = op(A) op(B) + beta C, beta 0 or 1. op(A) is (m,k): A is (m,k) or, with ta, (k,m); op(B) is
 * (k,n): B is (k,n) or, with tb, (n,k).
 * The product is cut into tiles by its sizes alone and each tile is made by one thread, so the bits do not depend on
 * the number of threads. Opens a parallel region; called inside one it runs on the calling thread. */
sg_status sgi_gemm(bool ta, bool tb, size_t m, size_t n, size_t k, const float *a, size_t lda, const float *b,
                   size_t ldb, float beta, float *c, size_t ldc);

/* The same on the calling thread, in one piece. */
sg_status sgi_gemm1(bool ta, bool tb, size_t m, size_t n, size_t k, float alpha, const float *a, size_t lda,
                    const float *b, size_t ldb, float beta, float *c, size_t ldc);

/* c (n,n) = a b by one call of oneDNN with all threads: the yardstick of the bench, nothing else. */
sg_status sgi_gemm_yardstick(size_t n, const float *a, const float *b, float *c);

/* y (n,out) = x (n,in) W^T, W (out,in). */
static inline sg_status sgi_linear(float *y, const float *x, const float *w, size_t n, size_t in, size_t out) {
  return sgi_gemm(false, true, n, out, in, x, in, w, in, 0, y, out);
}
/* dx (n,in) = beta dx + dy (n,out) W. */
static inline sg_status sgi_linear_dx(float *dx, const float *dy, const float *w, size_t n, size_t in, size_t out,
                                      float beta) {
  return sgi_gemm(false, false, n, in, out, dy, out, w, in, beta, dx, in);
}
/* dw (out,in) += dy^T x. */
static inline sg_status sgi_linear_dw(float *dw, const float *dy, const float *x, size_t n, size_t in, size_t out) {
  return sgi_gemm(true, false, out, in, n, dy, out, x, in, 1, dw, in);
}

#endif
