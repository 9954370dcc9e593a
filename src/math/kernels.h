/* kernels.h: the loops that the compiler is given once per instruction set (generic C, AVX2,
 * AVX-512). One source, kernels_impl.h, compiled three times; the table is chosen at first use by
 * what the processor has, or by the environment variable SGATLIN_ISA=generic|avx2|avx512 (tests run
 * every path). A name that it does not know, or that this processor cannot run, is an error where a
 * pass is made: the fastest path in its place would test something else. All run on the calling
 * thread, allocate nothing, and give the same bits for the same arguments. */
#ifndef SGI_KERNELS_H
#define SGI_KERNELS_H

#include "core/base.h"

enum { SGI_LANES = 16, SGI_MAX_TOP_K = 144 };

/* bias1, bias2 correct the moments: 1 / (1 - beta^(t + 1)). */
typedef struct sgi_adamw_step {
  float grad_scale, lr, decay, bias1, bias2, beta1, beta2, eps;
} sgi_adamw_step;

/* One row of weights trained as int4 (train/int4.h): a step of weight e is g[e] * factor, cut to
 * +-substeps; its random bits are those of element + e of the tensor, whose words begin with
 * base. */
typedef struct sgi_int4_row {
  float factor;
  int substeps;
  uint64_t key, base, element;
} sgi_int4_row;
/* Added to: weights that moved a level, that were to leave -7 .. 7, how many more stand at +-7 than
 * before. Assigned: the sum of g times the levels before. */
typedef struct sgi_int4_moved {
  int64_t steps, saturated, at_end;
  double dot;
} sgi_int4_moved;

/* Types of weights that are decoded while they are read; int4 has column 2k in the low nibble of
 * byte k and 2k + 1 in the high one. */
typedef enum sgi_stored_type {
  SGI_STORED_BF16,
  SGI_STORED_F16,
  SGI_STORED_INT8,
  SGI_STORED_INT4,
  SGI_STORED
} sgi_stored_type;
typedef struct sgi_stored_kernels {
  float (*dot)(const void *w, const float *x, size_t n);    /* sum over d < n of w[d] x[d] */
  void (*axpy)(float *y, const void *w, float a, size_t n); /* y (n) += a w */
  /* y (n) = a w, element by element the same on every path */
  void (*decode)(float *y, const void *w, float a, size_t n);
} sgi_stored_kernels;

/* A vector x (n) in whole numbers: x = unit (65536 d0 + 256 d1 + d2) but for half a unit. Digits
 * are signed bytes, in planes of `room` = sgi_digits_room(n) bytes, 0 behind the last; for int4 in
 * two halves, of even elements and of odd ones. */
typedef struct sgi_digits {
  int8_t *plane[3];
  size_t room;
  int64_t sum[3]; /* of a plane */
  float unit;
} sgi_digits;
static inline size_t sgi_digits_room(size_t n) { return ((n + 1) / 2 + 63) / 64 * 128; }
enum { SGI_DIGITS_WIDTH = 8192 }; /* the most n, so that sums of products fit into 32 bits */
typedef struct sgi_digit_kernels {
  /* plane and room are given. False where x is not finite or too small for a unit. */
  bool (*split)(sgi_digits *out, const float *x, size_t n, bool halves);
  /* out[r] = the sum of row r's levels times X, exactly; rows of `bytes` one behind the other.
   * NULL: this processor has nothing that is faster than decoding. */
  void (*int8)(double *out, const void *w, size_t bytes, size_t rows, const sgi_digits *x);
  void (*int4)(double *out, const void *w, size_t bytes, size_t rows, const sgi_digits *x);
} sgi_digit_kernels;

typedef struct sgi_kernels {
  const char *isa;

  /* A product of blocks that lie in cache, on registers of tile_rows x tile_columns (largest where
   * m, n are multiples): C (m,n; ldc) = or, with add, += op(A) B. op(A) (m,k) is A (m,k; lda) or,
   * with ta, the transpose of A (k,m; lda). B (k,n) is cut into panels of tile_columns columns:
   * element (p, j) is at b[j / tile_columns * panel + p * ldb + j % tile_columns]; the last panel
   * is whole (its columns past n are read, and kept out of C). */
  size_t tile_rows, tile_columns;
  void (*block_product)(bool ta, size_t m, size_t n, size_t k, const float *a, size_t lda, const float *b, size_t ldb,
                        size_t panel, float *c, size_t ldc, bool add);

  float (*dot)(const float *a, const float *b, size_t n);
  /* Asks for the rows w[index[j]] (rows, D), j < k: they are on their way into the cache while
   * others are worked on. */
  void (*fetch_rows)(const float *w, const int32_t *index, size_t k, size_t D);
  /* out (k): out[j] = x (D) . w[index[j]], w (rows, D). */
  void (*gather_dot)(float *out, const float *w, const int32_t *index, size_t k, const float *x, size_t D);
  /* y (D) += sum_j coef[j] w[index[j]], in the order of j. */
  void (*gather_axpy)(float *y, const float *w, const int32_t *index, const float *coef, size_t k, size_t D);

  /* y (n,D) = x * r * g, r (n) = 1/sqrt(mean(x^2) + eps). y may be x. */
  void (*rmsnorm)(float *y, float *r, const float *x, const float *g, size_t n, size_t D, float eps);
  /* dx (n,D) assigned or, with add, added; dg (D) added. */
  void (*rmsnorm_backward)(float *dx, float *dg, const float *dy, const float *x, const float *r, const float *g,
                           size_t n, size_t D, bool add);

  /* y = act(x), element by element; gelu in its tanh form. y may be x. */
  void (*gelu)(float *y, const float *x, size_t n);
  void (*swish)(float *y, const float *x, size_t n);
  void (*relu)(float *y, const float *x, size_t n);
  /* dx = dy * act'(x). dx may be dy. */
  void (*gelu_backward)(float *dx, const float *dy, const float *x, size_t n);
  void (*swish_backward)(float *dx, const float *dy, const float *x, size_t n);
  void (*relu_backward)(float *dx, const float *dy, const float *x, size_t n);

  /* h (n,F) from u (n,2F) (biased inside: u += bias (2F)): gate rows first, clamps at 7
   * (docs/method.md, glu). */
  void (*glu)(float *h, float *u, const float *bias, size_t n, size_t F);
  /* du (n,2F) from dh (n,F) and the biased u. */
  void (*glu_backward)(float *du, const float *dh, const float *u, size_t n, size_t F);

  /* In place on scores (n): exp(scale * s - max), returns the sum; *max is the largest of scale *
   * s. */
  float (*softmax_exp)(float *s, size_t n, float scale, float *max);
  /* The sum of exp(s - shift), s (n) left as they are; shift is their largest. */
  float (*exp_sum)(const float *s, size_t n, float shift);
  /* p = exp(scale * s - shift). */
  void (*exp_shift)(float *s, size_t n, float scale, float shift);
  void (*scale)(float *x, float a, size_t n);
  void (*add)(float *y, const float *x, size_t n);                 /* y += x */
  void (*sum)(float *z, const float *x, const float *y, size_t n); /* z = x + y */

  /* One head's gates of one row (docs/method.md, monet): g (N) from scores z (N), with what makes a
   * normed value of one, (z - mean) * scale, and the threshold's quantile. */
  void (*gates)(float *g, const float *z, size_t N, float mean, float scale, float quantile);
  /* Small products of one row's gates g (H,N), one after the other in order. lift: out (H,m) = g v,
   * v (N,m). drop: out (N,m) = g^T w, w (H,m), or with add, added. weigh: where g is not 0, dg
   * (H,N)
   * += v w^T; elsewhere it is left as it is. */
  void (*lift)(float *out, const float *g, const float *v, size_t H, size_t N, size_t m);
  void (*drop)(float *out, const float *g, const float *w, size_t H, size_t N, size_t m, bool add);
  void (*weigh)(float *dg, const float *g, const float *v, const float *w, size_t H, size_t N, size_t m);

  /* Product routers, SGI_LANES token rows side by side. Lane l has two lists of S scores, u0[s *
   * stride + l] and u1[s * stride + l]. Of each the K largest, times scale; of their K*K sums the K
   * largest, descending: score and index (lanes rows of stride ld), index = a * S + b. Whole
   * vectors of up to SGI_LANES are read, also past the last lane. Ties and NaN as sgi_topk and
   * sgi_topk_pairs (topk.h). K < S. */
  void (*choose_pairs)(float *score, int32_t *index, size_t ld, const float *u0, const float *u1, size_t stride,
                       size_t lanes, size_t S, size_t K, float scale);
  /* The first position in [i, n) from which SGI_LANES elements should be looked at one by one,
   * because one of them is larger than least or NaN; n - n % SGI_LANES (at least i) if none. i is a
   * multiple of SGI_LANES. */
  size_t (*skip_small)(const float *x, size_t i, size_t n, float least);

  /* Index of the first largest element. */
  size_t (*argmax)(const float *x, size_t n);

  /* Sum of squares in double. */
  double (*sum_squares)(const float *x, size_t n);
  /* AdamW on n floats: g is scaled first and left 0 (docs/method.md, optimizer). */
  void (*adamw)(float *w, float *g, float *m, float *v, size_t n, const sgi_adamw_step *s);

  /* Levels q and what their buffers hold, two to a byte; g (n) are finite. */
  void (*int4_row)(uint8_t *q, uint8_t *a, const float *g, size_t n, const sgi_int4_row *r, sgi_int4_moved *moved);

  sgi_stored_kernels stored[SGI_STORED];
  const sgi_digit_kernels *(*digits)(void); /* by what the processor has besides */
  /* gather_dot and gather_axpy of rows of bf16. */
  void (*gather_dot_bf16)(float *out, const void *w, const int32_t *index, size_t k, const float *x, size_t D);
  void (*gather_axpy_bf16)(float *y, const void *w, const int32_t *index, const float *coef, size_t k, size_t D);
  /* The nearest bf16, ties to even; NaN stays NaN. The same on every path. */
  void (*round_bf16)(float *y, const float *x, size_t n); /* as float32; y may be x */
  void (*to_bf16)(void *y, const float *x, size_t n);     /* as stored */
} sgi_kernels;

/* SG_OK, or SG_ERR_ARG where SGATLIN_ISA asks for what there is not; empty is unset. */
sg_status sgi_kernels_check(sg_error *err);
/* The table in use. Borrowed for ever. */
const sgi_kernels *sgi_kernel_table(void);
/* Every table this processor can run, NULL past the last: for tests. */
const sgi_kernels *sgi_kernel_table_at(size_t i);

#endif
