#include "math/rows.h"

#include <omp.h>
#include <string.h>

enum { CHUNK = 4096 };

static inline size_t least(size_t a, size_t b) { return a < b ? a : b; }

void sgi_room_take(sgi_arena *a, size_t bytes) {
  sgi_take(a, (size_t)(a->threads ? a->threads : omp_get_max_threads()), bytes);
}

int sgi_room_threads(const sgi_arena *scratch, size_t bytes) {
  size_t pieces = (scratch->size - scratch->used) / bytes;
  return (int)least(pieces, (size_t)omp_get_max_threads());
}

void sgi_apply(void (*f)(float *, const float *, size_t), float *y, const float *x, size_t count) {
#pragma omp parallel for schedule(static) if (count > CHUNK)
  for (size_t i = 0; i < count; i += CHUNK) f(y + i, x + i, least(CHUNK, count - i));
}

void sgi_apply_backward(void (*f)(float *, const float *, const float *, size_t), float *dx, const float *dy,
                        const float *x, size_t count) {
#pragma omp parallel for schedule(static) if (count > CHUNK)
  for (size_t i = 0; i < count; i += CHUNK) f(dx + i, dy + i, x + i, least(CHUNK, count - i));
}

/* Where there is no norm: y = x g, r = 1. */
static void gain_alone(float *y, float *r, const float *x, const float *g, size_t n, size_t D) {
  for (size_t i = 0; i < n; i++) {
    r[i] = 1;
    for (size_t d = 0; d < D; d++) y[i * D + d] = x[i * D + d] * g[d];
  }
}

void sgi_gain_backward(float *dx, const float *dy, const float *g, size_t n, size_t D, bool add) {
#pragma omp parallel for schedule(static) if (n > SGI_ROW_BLOCK)
  for (size_t i = 0; i < n; i++)
    for (size_t d = 0; d < D; d++) dx[i * D + d] = dy[i * D + d] * g[d] + (add ? dx[i * D + d] : 0);
}

static void norm_rows(const sgi_kernels *k, float *y, float *r, const float *x, const float *g, size_t n, size_t D,
                      double eps) {
  if (eps == SGI_NO_NORM)
    gain_alone(y, r, x, g, n, D);
  else
    k->rmsnorm(y, r, x, g, n, D, (float)eps);
}

void sgi_rmsnorm(float *y, float *r, const float *x, const float *g, size_t n, size_t D, double eps) {
  const sgi_kernels *k = sgi_kernel_table();
#pragma omp parallel for schedule(static) if (n > SGI_ROW_BLOCK)
  for (size_t i = 0; i < n; i += SGI_ROW_BLOCK)
    norm_rows(k, y + i * D, r + i, x + i * D, g, least(SGI_ROW_BLOCK, n - i), D, eps);
}

void sgi_sum_rmsnorm(float *z, const float *x, const float *a, float *y, float *r, const float *g, size_t n, size_t D,
                     double eps) {
  const sgi_kernels *k = sgi_kernel_table();
#pragma omp parallel for schedule(static) if (n > SGI_ROW_BLOCK)
  for (size_t i = 0; i < n; i += SGI_ROW_BLOCK) {
    size_t rows = least(SGI_ROW_BLOCK, n - i);
    k->sum(z + i * D, x + i * D, a + i * D, rows * D);
    norm_rows(k, y + i * D, r + i, z + i * D, g, rows, D, eps);
  }
}

/* The rows are cut into SGI_NORM_PARTIALS blocks whose gain gradients are summed in order, so the
 * bits do not depend on the number of threads. */
void sgi_rmsnorm_backward(float *dx, float *dg, const float *dy, const float *x, const float *r, const float *g,
                          size_t n, size_t D, bool add, float *partial) {
  const sgi_kernels *k = sgi_kernel_table();
  size_t rows = (n + SGI_NORM_PARTIALS - 1) / SGI_NORM_PARTIALS, blocks = (n + rows - 1) / rows;
#pragma omp parallel for schedule(static) if (blocks > 1 && n * D > CHUNK)
  for (size_t b = 0; b < blocks; b++) {
    size_t i = b * rows;
    memset(partial + b * D, 0, D * sizeof *partial);
    k->rmsnorm_backward(dx + i * D, partial + b * D, dy + i * D, x + i * D, r + i, g, least(rows, n - i), D, add);
  }
  for (size_t b = 0; b < blocks; b++) k->add(dg, partial + b * D, D);
}

void sgi_sum(float *z, const float *x, const float *y, size_t count) {
  const sgi_kernels *k = sgi_kernel_table();
#pragma omp parallel for schedule(static) if (count > CHUNK)
  for (size_t i = 0; i < count; i += CHUNK) k->sum(z + i, x + i, y + i, least(CHUNK, count - i));
}

void sgi_sum_scaled(float *z, const float *x, float a, const float *y, size_t count) {
#pragma omp parallel for simd schedule(static) if (count > CHUNK)
  for (size_t i = 0; i < count; i++) z[i] = x[i] + a * y[i];
}

void sgi_add_bias(float *y, const float *bias, size_t n, size_t width) {
  const sgi_kernels *k = sgi_kernel_table();
#pragma omp parallel for schedule(static) if (n * width > CHUNK)
  for (size_t i = 0; i < n; i++) k->add(y + i * width, bias, width);
}

void sgi_column_sums(float *db, const float *x, size_t ldx, size_t n, size_t width) {
  const sgi_kernels *k = sgi_kernel_table();
  enum { COLUMNS = 64 };
#pragma omp parallel for schedule(static) if (n * width > CHUNK)
  for (size_t j = 0; j < width; j += COLUMNS)
    for (size_t i = 0; i < n; i++) k->add(db + j, x + i * ldx + j, least(COLUMNS, width - j));
}
