#include "compare/tune.h"

#include <lapacke.h>
#include <math.h>
#include <string.h>

#include "core/arena.h"

static const double RESIDUAL = 1e-6; /* of conjugate gradients, relative */
enum { MOST_STEPS = 400 };

struct sgi_tune {
  size_t n, D;
  double *right; /* (n,D) Z^T (Y - O) */
  double *gram;  /* (n,n) lower triangle of Z^T Z; NULL beyond SGI_TUNE_DENSE */
  double trace;
  /* Rows of Z, where no matrix is formed. */
  size_t rows, entries, row_room, entry_room;
  size_t *first; /* (rows + 1) */
  uint32_t *index;
  float *value;
};

sg_status sgi_tune_create(size_t n, size_t D, sgi_tune **out, sg_error *err) {
  *out = NULL;
  sgi_tune *t = sgi_alloc(sizeof *t);
  if (!t) return sgi_fail_memory(err, sizeof *t, "a tuning");
  *t = (sgi_tune){.n = n, .D = D};
  size_t right, gram;
  if (!sgi_size_mul(n, D * sizeof(double), &right) || !sgi_size_mul(n * sizeof(double), n, &gram))
    right = gram = SIZE_MAX;
  t->right = sgi_alloc(right);
  if (n <= SGI_TUNE_DENSE) t->gram = sgi_alloc(gram);
  if (!t->right || (n <= SGI_TUNE_DENSE && !t->gram)) {
    sgi_tune_free(t);
    return sgi_fail_memory(err, n <= SGI_TUNE_DENSE ? gram : right, "the normal equations of a tuning");
  }
  *out = t;
  return SG_OK;
}

void sgi_tune_free(sgi_tune *t) {
  if (!t) return;
  sgi_free(t->right);
  sgi_free(t->gram);
  sgi_free(t->first);
  sgi_free(t->index);
  sgi_free(t->value);
  sgi_free(t);
}

static sg_status keep_row(sgi_tune *t, const uint32_t *index, const float *value, size_t count, sg_error *err) {
  if (t->rows + 2 > t->row_room) {
    size_t room = t->row_room ? 2 * t->row_room : 4096;
    size_t *first = sgi_realloc(t->first, t->row_room * sizeof *first, room * sizeof *first);
    if (!first) return sgi_fail_memory(err, room * sizeof *first, "rows of features");
    t->first = first;
    t->row_room = room;
  }
  if (t->entries + count > t->entry_room) {
    size_t old = t->entry_room, room = 2 * (t->entries + count);
    uint32_t *i = sgi_realloc(t->index, old * sizeof *i, room * sizeof *i);
    if (i) t->index = i;
    float *v = sgi_realloc(t->value, old * sizeof *v, room * sizeof *v);
    if (v) t->value = v;
    if (!i || !v) return sgi_fail_memory(err, room * (sizeof *i + sizeof *v), "rows of features");
    t->entry_room = room;
  }
  memcpy(t->index + t->entries, index, count * sizeof *index);
  memcpy(t->value + t->entries, value, count * sizeof *value);
  t->first[++t->rows] = t->entries += count;
  return SG_OK;
}

sg_status sgi_tune_add(sgi_tune *t, const uint32_t *index, const float *value, size_t count, const float *missing,
                       sg_error *err) {
  size_t n = t->n, D = t->D;
  /* A feature's rows of the sums have one owner: each entry is added to in the order of
   * positions. */
#pragma omp parallel for schedule(static) if (count > 64)
  for (size_t a = 0; a < count; a++) {
    double z = (double)value[a], *right = t->right + index[a] * D;
    for (size_t d = 0; d < D; d++) right[d] += z * (double)missing[d];
    for (size_t b = 0; b < count && t->gram; b++)
      if (index[b] <= index[a]) t->gram[(size_t)index[a] * n + index[b]] += z * (double)value[b];
  }
  for (size_t a = 0; a < count; a++) t->trace += (double)value[a] * (double)value[a];
  return t->gram ? SG_OK : keep_row(t, index, value, count, err);
}

static sg_status cholesky(sgi_tune *t, double lambda, double *x, sg_error *err) {
  size_t n = t->n;
  double *a = sgi_alloc(n * n * sizeof *a);
  if (!a) return sgi_fail_memory(err, n * n * sizeof *a, "the normal equations of a tuning");
  memcpy(a, t->gram, n * n * sizeof *a);
  for (size_t i = 0; i < n; i++) a[i * n + i] += lambda;
  lapack_int info =
      LAPACKE_dposv(LAPACK_ROW_MAJOR, 'L', (lapack_int)n, (lapack_int)t->D, a, (lapack_int)n, x, (lapack_int)t->D);
  sgi_free(a);
  if (info == LAPACK_WORK_MEMORY_ERROR || info == LAPACK_TRANSPOSE_MEMORY_ERROR)
    return sgi_fail_memory(err, n * n * sizeof *a, "a Cholesky decomposition");
  if (info)
    return sgi_fail(err, SG_ERR_NUMERIC,
                    "tuning: the normal equations of %zu features are not definite: raise the damping", n);
  return SG_OK;
}

/* out (n,D) = (Z^T Z + lambda I) p, sparse row by sparse row; a thread owns columns. */
static void apply(const sgi_tune *t, double lambda, const double *p, double *out) {
  size_t D = t->D;
  enum { COLUMNS = 32 };
#pragma omp parallel for schedule(static)
  for (size_t from = 0; from < D; from += COLUMNS) {
    size_t to = D - from < COLUMNS ? D : from + COLUMNS;
    for (size_t i = 0; i < t->n; i++)
      for (size_t d = from; d < to; d++) out[i * D + d] = lambda * p[i * D + d];
    for (size_t r = 0; r < t->rows; r++) {
      double y[COLUMNS] = {0};
      for (size_t e = t->first[r]; e < t->first[r + 1]; e++)
        for (size_t d = from; d < to; d++) y[d - from] += (double)t->value[e] * p[t->index[e] * D + d];
      for (size_t e = t->first[r]; e < t->first[r + 1]; e++)
        for (size_t d = from; d < to; d++) out[t->index[e] * D + d] += (double)t->value[e] * y[d - from];
    }
  }
}

static double dot(const double *a, const double *b, size_t n) {
  double s = 0;
  for (size_t i = 0; i < n; i++) s += a[i] * b[i];
  return s;
}

/* All columns share a step length: the system is one of n D unknowns, block diagonal. */
static sg_status conjugate(sgi_tune *t, double lambda, double *x, sg_error *err) {
  size_t m = t->n * t->D;
  double *r = sgi_alloc(3 * m * sizeof *r);
  if (!r) return sgi_fail_memory(err, 3 * m * sizeof *r, "conjugate gradients");
  double *p = r + m, *q = p + m;
  memcpy(r, x, m * sizeof *r);
  memcpy(p, x, m * sizeof *p);
  memset(x, 0, m * sizeof *x);
  double first = dot(r, r, m), now = first;
  for (int k = 0; k < MOST_STEPS && now > RESIDUAL * RESIDUAL * first; k++) {
    apply(t, lambda, p, q);
    double length = now / dot(p, q, m), before = now;
    for (size_t i = 0; i < m; i++) {
      x[i] += length * p[i];
      r[i] -= length * q[i];
    }
    now = dot(r, r, m);
    for (size_t i = 0; i < m; i++) p[i] = r[i] + now / before * p[i];
  }
  sgi_free(r);
  return now <= RESIDUAL * RESIDUAL * first || first == 0
             ? SG_OK
             : sgi_fail(err, SG_ERR_NUMERIC,
                        "tuning: conjugate gradients of %zu features did not settle in %d steps: raise the damping",
                        t->n, MOST_STEPS);
}

sg_status sgi_tune_solve(sgi_tune *t, double damping, double *change, sg_error *err) {
  double lambda = damping * t->trace / (double)t->n;
  memcpy(change, t->right, t->n * t->D * sizeof *change);
  if (!(t->trace > 0)) {
    memset(change, 0, t->n * t->D * sizeof *change);
    return SG_OK; /* no feature ever acted */
  }
  return t->gram ? cholesky(t, lambda, change, err) : conjugate(t, lambda, change, err);
}
