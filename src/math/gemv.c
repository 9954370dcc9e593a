#include "math/gemv.h"

#include "math/kernels.h"

/* Each thread reads one stretch of W in order, each row of it from memory once and for every x from
 * the cache. */
void sgi_gemv(float *y, size_t ldy, const float *x, size_t ldx, const float *w, size_t ldw, size_t n, size_t in,
              size_t out) {
  const sgi_kernels *kern = sgi_kernel_table();
#pragma omp parallel for schedule(static) if (out * in > 65536)
  for (size_t j = 0; j < out; j++)
    for (size_t i = 0; i < n; i++) y[i * ldy + j] = kern->dot(x + i * ldx, w + j * ldw, in);
}

void sgi_gemv_stored(float *y, size_t ldy, const float *x, size_t ldx, const sgi_weight *w, size_t n) {
  const sgi_dtype_traits *t = sgi_weight_traits(w->dtype);
#pragma omp parallel for schedule(static) if (w->rows * w->width > 65536)
  for (size_t j = 0; j < w->rows; j++)
    for (size_t i = 0; i < n; i++) y[i * ldy + j] = t->dot_row(w, j, x + i * ldx);
}
