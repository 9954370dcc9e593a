#include "functions/features.h"

#include <lapacke.h>
#include <math.h>
#include <string.h>

#include "core/arena.h"
#include "math/gemm.h"

enum { BLOCK = 4096 };
static const double RANK = 1e-10; /* of the largest eigenvalue of C */

typedef struct work {
  size_t D;
  float *block, *part;                /* (BLOCK,D), (D,D) */
  double *C, *G, *one, *two, *values; /* (D,D) each; values (D) */
} work;

/* out (D,D) += rows^T rows (n,D), blocks in order. */
static sg_status add_squares(work *w, const float *rows, size_t n, double scale, double *out, sg_error *err) {
  size_t D = w->D;
  for (size_t first = 0; first < n; first += BLOCK) {
    size_t k = n - first < BLOCK ? n - first : BLOCK;
    sg_status st = sgi_gemm(true, false, D, D, k, rows + first * D, D, rows + first * D, D, 0, w->part, D);
    if (st) return sgi_fail(err, st, "second moments: %s", sg_status_text(st));
    for (size_t i = 0; i < D * D; i++) out[i] += scale * (double)w->part[i];
  }
  return SG_OK;
}

static double trace_of_product(const double *A, const double *B, size_t n) {
  double sum = 0;
  for (size_t i = 0; i < n; i++) sum += A[i] * B[i];
  return sum;
}

/* G: squares of what the target reads, pool and where it matters router. */
static sg_status readers(work *w, const sgi_function_place *p, sg_error *err) {
  size_t D = w->D;
  sg_status st = SG_OK;
  for (size_t first = 0; first < p->units && !st; first += BLOCK) {
    size_t k = p->units - first < BLOCK ? p->units - first : BLOCK;
    sgi_weight_read(w->block, p->w_in, first * D, k * D);
    st = add_squares(w, w->block, k, 1, w->G, err);
  }
  const sgi_ffn_ops *ops = p->sub->ffn;
  /* A router that layers share reads what another of them reads. */
  if (st || p->factored || !ops->routes || p->sub->config->router_group > 1) return st;
  sgi_routes r;
  ops->routes(p->sub->config, &r);
  size_t n = r.parts * r.units;
  float *rows = sgi_alloc(n * D * sizeof *rows);
  if (!rows) return sgi_fail_memory(err, n * D * sizeof *rows, "a router's rows");
  for (size_t c = 0; c < r.channels && !st; c++) {
    st = ops->route_rows(p->sub->config, p->sub->weight + SGI_T_OWN, c, rows);
    if (st) st = sgi_fail(err, st, "a router's rows: %s", sg_status_text(st));
    if (!st) st = add_squares(w, rows, n, 1, w->one, err);
  }
  sgi_free(rows);
  double pool = trace_of_product(w->C, w->G, D * D), router = trace_of_product(w->C, w->one, D * D);
  for (size_t i = 0; i < D * D && router > 0; i++) w->G[i] += pool / router * w->one[i];
  return st;
}

/* Eigenvectors of the symmetric A (D,D) in its place, one a row, values ascending. */
static sg_status eigen(work *w, double *A, sg_error *err) {
  lapack_int n = (lapack_int)w->D;
  double sum = 0;
  for (size_t i = 0; i < w->D * w->D; i++) sum += A[i] * 0;
  if (sum != 0)
    return sgi_fail(err, SG_ERR_NUMERIC, "features: what the layer reads, or its weights, are NaN or infinite");
  lapack_int info = LAPACKE_dsyevd(LAPACK_COL_MAJOR, 'V', 'L', n, A, n, w->values);
  if (info == LAPACK_WORK_MEMORY_ERROR) return sgi_fail_memory(err, w->D * w->D * sizeof *A, "eigenvectors");
  return info ? sgi_fail(err, SG_ERR_NUMERIC, "features: the eigenvectors of %zu dimensions were not found", w->D)
              : SG_OK;
}

/* out (D,D) = V^T diag(f) V of rows V. */
static void compose(const double *V, const double *f, size_t D, double *out) {
  memset(out, 0, D * D * sizeof *out);
#pragma omp parallel for schedule(static)
  for (size_t i = 0; i < D; i++)
    for (size_t k = 0; k < D; k++) {
      double x = V[k * D + i] * f[k];
      for (size_t j = 0; j < D; j++) out[i * D + j] += x * V[k * D + j];
    }
}

static void multiply(const double *A, const double *B, size_t rows, size_t D, double *out) {
  memset(out, 0, rows * D * sizeof *out);
#pragma omp parallel for schedule(static)
  for (size_t i = 0; i < rows; i++)
    for (size_t k = 0; k < D; k++)
      for (size_t j = 0; j < D; j++) out[i * D + j] += A[i * D + k] * B[k * D + j];
}

/* C^(1/2) into one, C^(-1/2) into two; C is used up. */
static sg_status roots(work *w, sg_error *err) {
  size_t D = w->D;
  sg_status st = eigen(w, w->C, err);
  if (st) return st;
  double least = RANK * w->values[D - 1];
  if (!(w->values[D - 1] > 0)) return sgi_fail(err, SG_ERR_NUMERIC, "features: what the layer reads is 0 everywhere");
  for (size_t i = 0; i < D; i++) w->values[i] = w->values[i] > least ? sqrt(w->values[i]) : 0;
  compose(w->C, w->values, D, w->one);
  for (size_t i = 0; i < D; i++) w->values[i] = w->values[i] > 0 ? 1 / w->values[i] : 0;
  compose(w->C, w->values, D, w->two);
  return SG_OK;
}

static sg_status make(work *w, const sgi_function_place *p, const sgi_function_rows *rows, size_t R, float *P,
                      sg_error *err) {
  size_t D = w->D;
  sg_status st = add_squares(w, rows->x, rows->n, 1 / (double)rows->n, w->C, err);
  if (!st) st = readers(w, p, err);
  if (!st) st = roots(w, err);
  if (st) return st;
  multiply(w->one, w->G, D, D, w->C);
  multiply(w->C, w->one, D, D, w->G);
  for (size_t i = 0; i < D; i++)
    for (size_t j = 0; j < i; j++) w->G[i * D + j] = w->G[j * D + i] = (w->G[i * D + j] + w->G[j * D + i]) / 2;
  st = eigen(w, w->G, err);
  if (st) return st;
  /* The last rows are the largest; a direction's sign is such that its largest part is positive. */
  for (size_t r = 0; r < R; r++) memcpy(w->one + r * D, w->G + (D - 1 - r) * D, D * sizeof *w->one);
  multiply(w->one, w->two, R, D, w->C);
  for (size_t r = 0; r < R; r++) {
    size_t top = 0;
    for (size_t d = 1; d < D; d++)
      if (fabs(w->C[r * D + d]) > fabs(w->C[r * D + top])) top = d;
    double sign = w->C[r * D + top] < 0 ? -1 : 1;
    for (size_t d = 0; d < D; d++) P[r * D + d] = (float)(sign * w->C[r * D + d]);
  }
  return SG_OK;
}

sg_status sgi_function_features(const sgi_function_place *p, const sgi_function_rows *rows, size_t R, float *P,
                                sg_error *err) {
  size_t D = p->D;
  if (R > D) return sgi_fail(err, SG_ERR_ARG, "%zu features: the stream has %zu dimensions", R, D);
  if (!rows->n) return sgi_fail(err, SG_ERR_ARG, "the recording has no position to fit to");
  work w = {.D = D};
  w.block = sgi_alloc((BLOCK * D + D * D) * sizeof *w.block);
  w.C = sgi_alloc((4 * D * D + D) * sizeof *w.C);
  sg_status st = w.block && w.C ? SG_OK : sgi_fail_memory(err, (4 * D * D + D) * sizeof *w.C, "features");
  if (!st) {
    w.part = w.block + BLOCK * D;
    w.G = w.C + D * D;
    w.one = w.G + D * D;
    w.two = w.one + D * D;
    w.values = w.two + D * D;
    st = make(&w, p, rows, R, P, err);
  }
  sgi_free(w.block);
  sgi_free(w.C);
  return st;
}
