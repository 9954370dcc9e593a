#include "math/stored.h"

#include <stdatomic.h>

#include "math/bf16.h"
#include "math/gemm.h"
#include "math/gemv.h"
#include "math/transpose.h"

/* A tile of decoded weights: 64 KB, within a second level cache and any thread's stack. */
enum { TILE_ROWS = 64, TILE_COLUMNS = 256 };
typedef float tile[TILE_ROWS * TILE_COLUMNS];

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

static void decode(float *out, const sgi_weight *w, size_t row, size_t rows, size_t column, size_t columns) {
  const sgi_dtype_traits *t = sgi_weight_traits(w->dtype);
  for (size_t r = 0; r < rows; r++) t->row_to_float(out + r * TILE_COLUMNS, w, row + r, column, columns);
}

/* C (m; columns of rows [first, first + rows) of W) = beta C + A W^T. */
static sg_status across(size_t m, const float *a, size_t lda, const sgi_weight *w, size_t first, size_t rows,
                        float beta, float *c, size_t ldc) {
  tile t;
  sg_status st = SG_OK;
  for (size_t k = 0; k < w->width && !st; k += TILE_COLUMNS) {
    size_t some = least(TILE_COLUMNS, w->width - k);
    decode(t, w, first, rows, k, some);
    st = sgi_gemm1(false, true, m, rows, some, 1, a + k, lda, t, TILE_COLUMNS, k ? 1 : beta, c + first, ldc);
  }
  return st;
}

/* C (m; columns [first, first + columns)) = beta C + A W. */
static sg_status along(size_t m, const float *a, size_t lda, const sgi_weight *w, size_t first, size_t columns,
                       float beta, float *c, size_t ldc) {
  tile t;
  sg_status st = SG_OK;
  for (size_t k = 0; k < w->rows && !st; k += TILE_ROWS) {
    size_t some = least(TILE_ROWS, w->rows - k);
    decode(t, w, k, some, first, columns);
    st = sgi_gemm1(false, false, m, columns, some, 1, a + k, lda, t, TILE_COLUMNS, k ? 1 : beta, c + first, ldc);
  }
  return st;
}

sg_status sgi_stored_linear(float *y, size_t ldy, const float *x, size_t ldx, const sgi_weight *w, size_t n,
                            sgi_arena scratch) {
  size_t in = w->width, out = w->rows;
  if (w->dtype == SGI_F32) return sgi_linear(y, ldy, x, ldx, w->data, n, in, out, scratch);
  if (!n) return SG_OK;
  double at = sgi_work_begin(scratch.profile);
  atomic_int worst = SG_OK;
  if (w->rounds) {
    atomic_store(&worst, sgi_bf16_gemm(false, true, n, out, in, x, ldx, sgi_bf16_stored(w), 0, y, ldy));
  } else if (n <= SGI_GEMV_ROWS) {
    sgi_gemv_stored(y, ldy, x, ldx, w, n);
  } else if (n >= SGI_COPY_ROWS && scratch.base) {
    float *wt = SGI_TAKE(&scratch, in * sgi_stride(out), float);
    sgi_stored_pack(wt, w);
    atomic_store(&worst, sgi_gemm(false, false, n, out, in, x, ldx, wt, sgi_stride(out), 0, y, ldy));
  } else {
#pragma omp parallel for schedule(dynamic, 1)
    for (size_t j = 0; j < out; j += TILE_ROWS) {
      sg_status st = across(n, x, ldx, w, j, least(TILE_ROWS, out - j), 0, y, ldy);
      if (st) atomic_store(&worst, st);
    }
  }
  sgi_work(scratch.profile, at, sgi_product_flops(n, in, out),
           4.0 * (double)n * (double)(in + out) + (double)sgi_weight_bytes(w));
  return (sg_status)atomic_load(&worst);
}

sg_status sgi_stored_linear_dx(float *dx, size_t lddx, const float *dy, size_t lddy, const sgi_weight *w, size_t n,
                               float beta, sgi_arena scratch) {
  size_t in = w->width, out = w->rows;
  if (w->dtype == SGI_F32) return sgi_linear_dx(dx, lddx, dy, lddy, w->data, n, in, out, beta, scratch);
  double at = sgi_work_begin(scratch.profile);
  atomic_int worst = SG_OK;
  if (w->rounds) {
    atomic_store(&worst, sgi_bf16_gemm(false, false, n, in, out, dy, lddy, sgi_bf16_stored(w), beta, dx, lddx));
  } else {
#pragma omp parallel for schedule(dynamic, 1) if (n * in * out > 65536)
    for (size_t j = 0; j < in; j += TILE_COLUMNS) {
      sg_status st = along(n, dy, lddy, w, j, least(TILE_COLUMNS, in - j), beta, dx, lddx);
      if (st) atomic_store(&worst, st);
    }
  }
  sgi_work(scratch.profile, at, sgi_product_flops(n, in, out),
           4.0 * (double)n * (double)(in + out) + (double)sgi_weight_bytes(w));
  return (sg_status)atomic_load(&worst);
}

sg_status sgi_stored_linear_dw(float *dw, const float *dy, size_t lddy, const float *x, size_t ldx, const sgi_weight *w,
                               size_t n, sgi_profile *profile) {
  size_t in = w->width, out = w->rows;
  if (!w->rounds) return sgi_linear_dw(dw, dy, lddy, x, ldx, n, in, out, profile);
  double at = sgi_work_begin(profile);
  sg_status st = sgi_bf16_gemm(true, false, out, in, n, dy, lddy, sgi_bf16_floats(x, ldx), 1, dw, in);
  sgi_work(profile, at, sgi_product_flops(n, in, out), sgi_product_bytes(n, in, out));
  return st;
}

sg_status sgi_stored_product1(bool tb, size_t m, const float *a, size_t lda, const sgi_weight *w, float beta, float *c,
                              size_t ldc) {
  sg_status st = SG_OK;
  if (w->dtype == SGI_F32)
    return tb ? sgi_gemm1(false, true, m, w->rows, w->width, 1, a, lda, w->data, w->width, beta, c, ldc)
              : sgi_gemm1(false, false, m, w->width, w->rows, 1, a, lda, w->data, w->width, beta, c, ldc);
  if (w->rounds)
    return tb ? sgi_bf16_gemm1(false, true, m, w->rows, w->width, a, lda, sgi_bf16_stored(w), beta, c, ldc)
              : sgi_bf16_gemm1(false, false, m, w->width, w->rows, a, lda, sgi_bf16_stored(w), beta, c, ldc);
  for (size_t j = 0; tb && j < w->rows && !st; j += TILE_ROWS)
    st = across(m, a, lda, w, j, least(TILE_ROWS, w->rows - j), beta, c, ldc);
  for (size_t j = 0; !tb && j < w->width && !st; j += TILE_COLUMNS)
    st = along(m, a, lda, w, j, least(TILE_COLUMNS, w->width - j), beta, c, ldc);
  return st;
}

sg_status sgi_stored_across1(const sgi_weight *w, size_t n, const float *b, size_t ldb, float *c, size_t ldc) {
  tile t;
  sg_status st = SG_OK;
  if (w->dtype == SGI_F32) return sgi_gemm1(true, false, w->width, n, w->rows, 1, w->data, w->width, b, ldb, 1, c, ldc);
  for (size_t i = 0; i < w->rows; i += TILE_ROWS)
    for (size_t k = 0; k < w->width && !st; k += TILE_COLUMNS) {
      size_t rows = least(TILE_ROWS, w->rows - i), some = least(TILE_COLUMNS, w->width - k);
      decode(t, w, i, rows, k, some);
      st = sgi_gemm1(true, false, some, n, rows, 1, t, TILE_COLUMNS, b + i * ldb, ldb, 1, c + k * ldc, ldc);
    }
  return st;
}

sg_status sgi_stored_pair1(const sgi_weight *a, const sgi_weight *b, float *c, size_t ldc) {
  tile left, right;
  sg_status st = SG_OK;
  if (a->dtype == SGI_F32) return sgi_stored_product1(false, a->rows, a->data, a->width, b, 0, c, ldc);
  for (size_t i = 0; i < a->rows; i += TILE_ROWS)
    for (size_t k = 0; k < a->width; k += TILE_ROWS) {
      size_t rows = least(TILE_ROWS, a->rows - i), inner = least(TILE_ROWS, a->width - k);
      decode(left, a, i, rows, k, inner);
      for (size_t j = 0; j < b->width && !st; j += TILE_COLUMNS) {
        size_t columns = least(TILE_COLUMNS, b->width - j);
        decode(right, b, k, inner, j, columns);
        st = sgi_gemm1(false, false, rows, columns, inner, 1, left, TILE_COLUMNS, right, TILE_COLUMNS, k ? 1 : 0,
                       c + i * ldc + j, ldc);
      }
    }
  return st;
}

void sgi_stored_pack(float *wt, const sgi_weight *w) {
  size_t in = w->width, out = w->rows, ld = sgi_stride(out);
  if (w->dtype == SGI_F32) {
    sgi_linear_pack(wt, w->data, in, out);
    return;
  }
#pragma omp parallel for schedule(static) if (out * in > 65536)
  for (size_t j = 0; j < out; j += TILE_ROWS) {
    tile t;
    size_t rows = least(TILE_ROWS, out - j);
    for (size_t k = 0; k < in; k += TILE_COLUMNS) {
      size_t some = least(TILE_COLUMNS, in - k);
      decode(t, w, j, rows, k, some);
      sgi_transpose(wt + k * ld + j, ld, t, TILE_COLUMNS, rows, some);
    }
  }
}
