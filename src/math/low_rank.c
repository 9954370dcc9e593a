#include "math/low_rank.h"

#include <lapacke.h>
#include <string.h>

#include "core/arena.h"

/* eye (n; ld) of `rows` rows and w beside it: the two cases without a decomposition. */
static void identity(float *x, size_t rows, size_t ld, size_t n) {
  memset(x, 0, rows * ld * sizeof *x);
  for (size_t i = 0; i < n; i++) x[i * ld + i] = 1;
}

static void copy_rows(float *to, size_t ld, const float *from, size_t rows, size_t n) {
  for (size_t i = 0; i < rows; i++) memcpy(to + i * ld, from + i * n, n * sizeof *to);
}

static sg_status decompose(const float *w, size_t m, size_t n, size_t q, float *up, float *down) {
  size_t k = m < n ? m : n;
  double *a = sgi_alloc((m * n + k + m * k + k * n) * sizeof *a), *values, *u, *vt, finite = 0;
  if (!a) return SG_ERR_MEMORY;
  values = a + m * n;
  u = values + k;
  vt = u + m * k;
  for (size_t i = 0; i < m * n; i++) {
    a[i] = (double)w[i];
    finite += a[i] * 0;
  }
  sg_status st = finite == 0 ? SG_OK : SG_ERR_NUMERIC;
  if (!st) {
    lapack_int info = LAPACKE_dgesdd(LAPACK_ROW_MAJOR, 'S', (lapack_int)m, (lapack_int)n, a, (lapack_int)n, values, u,
                                     (lapack_int)k, vt, (lapack_int)n);
    if (info)
      st = info == LAPACK_WORK_MEMORY_ERROR || info == LAPACK_TRANSPOSE_MEMORY_ERROR ? SG_ERR_MEMORY : SG_ERR_NUMERIC;
  }
  for (size_t i = 0; i < m && !st; i++)
    for (size_t r = 0; r < q; r++) up[i * q + r] = (float)(u[i * k + r] * values[r]);
  for (size_t i = 0; i < q * n && !st; i++) down[i] = (float)vt[i];
  sgi_free(a);
  return st;
}

sg_status sgi_low_rank(const float *w, size_t m, size_t n, size_t q, float *up, float *down) {
  if (q >= n) { /* up = (w 0), down = (1 0)^T */
    memset(up, 0, m * q * sizeof *up);
    copy_rows(up, q, w, m, n);
    identity(down, q, n, n);
    return SG_OK;
  }
  if (q >= m) {
    identity(up, m, q, m);
    memset(down, 0, q * n * sizeof *down);
    copy_rows(down, n, w, m, n);
    return SG_OK;
  }
  return decompose(w, m, n, q, up, down);
}
