/* gemm.h: row-major float32 matrix products by oneDNN; products of blocks in cache are in
 * kernels.h. */
#ifndef SGI_GEMM_H
#define SGI_GEMM_H

#include "core/arena.h"

/* Before the first product, where a failure can still be told: oneDNN makes its kernels then, once
 * in a process, and throws a C++ exception where memory is out. SG_ERR_MEMORY where there is no
 * room for them. Cheap once it has succeeded. */
sg_status sgi_gemm_ready(sg_error *err);
/* A thread is at it: an end of the process meanwhile is oneDNN's. For the command, which then tells
 * of memory. */
bool sgi_gemm_making(void);

/* C (m,n; row stride ldc) = op(A) op(B) + beta C, beta 0 or 1. op(A) is (m,k): A is (m,k) or, with
 * ta, (k,m); op(B) is (k,n): B is (k,n) or, with tb, (n,k). The product is cut into tiles by its
 * sizes alone and each tile is made by one thread, so the bits do not depend on the number of
 * threads. Opens a parallel region; called inside one it runs on the calling thread. */
sg_status sgi_gemm(bool ta, bool tb, size_t m, size_t n, size_t k, const float *a, size_t lda, const float *b,
                   size_t ldb, float beta, float *c, size_t ldc);

/* The same on the calling thread, in one piece. */
sg_status sgi_gemm1(bool ta, bool tb, size_t m, size_t n, size_t k, float alpha, const float *a, size_t lda,
                    const float *b, size_t ldb, float beta, float *c, size_t ldc);

/* The rows and columns of a tile of a product (m,n): by its sizes alone. */
void sgi_gemm_tile(size_t m, size_t n, size_t *tm, size_t *tn);

/* Products of bf16 blocks by the processor's own instructions (bf16.h): C (SGI_BF16_ROWS,
 * SGI_BF16_COLUMNS) = op(A) op(B), assigned, with sums over SGI_BF16_INNER in float32. op(A) is A
 * or, with ta, its transpose, likewise B; all whole and one row behind the other. Ready once
 * sgi_gemm_bf16_ready has succeeded. */
enum { SGI_BF16_ROWS = 64, SGI_BF16_COLUMNS = 256, SGI_BF16_INNER = 256 };
sg_status sgi_gemm_bf16_ready(sg_error *err);
sg_status sgi_gemm_bf16_block(bool ta, bool tb, const uint16_t *a, const uint16_t *b, float *c);
/* What oneDNN multiplies bf16 with here: "amx", "avx512_bf16", or NULL where it has no
 * instructions for it. */
const char *sgi_gemm_bf16_instructions(void);

/* y (m,n) = x (m,k) W (n,k)^T by one call of oneDNN with all threads: the yardstick of the bench,
 * nothing else. */
sg_status sgi_gemm_yardstick(size_t m, size_t n, size_t k, const float *x, const float *w, float *y);

/* Row stride of a matrix of our own with that width: the width, or where its rows would begin at
 * the same places of a page, a cache line more. Rows 4 KB apart share few places of a cache:
 * products with such operands lose up to a fifth of their rate. */
static inline size_t sgi_stride(size_t width) { return width % 512 ? width : width + 16; }

/* The three products of a linear layer with W (out,in) and n rows, whose strides are ldy, ldx ...
 * (at least the width). From SGI_COPY_ROWS rows on the first two work on a copy of W in scratch,
 * laid out as the product likes it best (docs/architecture.md, products): sgi_linear_scratch takes
 * what they need, at most. */
enum { SGI_COPY_ROWS = 512 }; /* below, the copy costs more than it gains */
void sgi_linear_scratch(size_t n, size_t in, size_t out, sgi_arena *a);
/* y (n,out) = x (n,in) W^T. scratch without a base: no copy, for a few rows. */
sg_status sgi_linear(float *y, size_t ldy, const float *x, size_t ldx, const float *w, size_t n, size_t in, size_t out,
                     sgi_arena scratch);
/* dx (n,in) = beta dx + dy (n,out) W. */
sg_status sgi_linear_dx(float *dx, size_t lddx, const float *dy, size_t lddy, const float *w, size_t n, size_t in,
                        size_t out, float beta, sgi_arena scratch);
/* dw (out,in) += dy^T x. profile: NULL, or where the product times itself; the two above ask their
 * scratch. */
sg_status sgi_linear_dw(float *dw, const float *dy, size_t lddy, const float *x, size_t ldx, size_t n, size_t in,
                        size_t out, sgi_profile *profile);

/* W^T (in,out) with rows sgi_stride(out) apart, by all threads: what sgi_linear makes, for who uses
 * it many times. */
void sgi_linear_pack(float *wt, const float *w, size_t in, size_t out);

#endif
