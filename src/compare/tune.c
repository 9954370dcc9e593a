#include "compare/tune.h"

#include <lapacke.h>
#include <math.h>
#include <string.h>

#include "core/arena.h"

/* Conjugate gradients end where the residual is this small against the first, or where so many
 * steps have lowered the sum of squares by no more than this part of what all steps have: what is
 * left lies in directions that hardly act, and its weights are those that damping holds anyway. */
static const double RESIDUAL = 1e-6, GAIN = 1e-4;
enum { MOST_STEPS = 1000, LOOK_BACK = 20 };

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
                    "tuning: the normal equations of %zu features are not definite: raise --damping", n);
  return SG_OK;
}

/* ---- without a matrix
 * Columns of the map are systems of their own with one matrix. A block of columns is solved by one
 * thread, whose vectors (n, COLUMNS) stay in its cache, by conjugate gradients with steps of each
 * column's own, preconditioned by the diagonal: how often features act differs by orders of
 * magnitude, and with it the matrix's scale (without it 8,192 features took above 400 steps). */
enum { COLUMNS = 32 };

typedef struct block {
  const sgi_tune *t;
  double lambda;
  const double *diagonal; /* (n) of Z^T Z + lambda I */
  double *r, *p, *q;      /* (n, COLUMNS) */
} block;

/* q = (Z^T Z + lambda I) p, sparse row by sparse row. */
static void apply(const block *b) {
  const sgi_tune *t = b->t;
  for (size_t i = 0; i < t->n * COLUMNS; i++) b->q[i] = b->lambda * b->p[i];
  for (size_t r = 0; r < t->rows; r++) {
    double y[COLUMNS] = {0};
    for (size_t e = t->first[r]; e < t->first[r + 1]; e++) {
      const double *p = b->p + (size_t)t->index[e] * COLUMNS;
      for (size_t d = 0; d < COLUMNS; d++) y[d] += (double)t->value[e] * p[d];
    }
    for (size_t e = t->first[r]; e < t->first[r + 1]; e++) {
      double *q = b->q + (size_t)t->index[e] * COLUMNS;
      for (size_t d = 0; d < COLUMNS; d++) q[d] += (double)t->value[e] * y[d];
    }
  }
}

/* out (COLUMNS): sums over features of a b, divided by the diagonal where it is given. */
static void dots(const block *b, const double *x, const double *y, const double *divide, double out[COLUMNS]) {
  memset(out, 0, COLUMNS * sizeof *out);
  for (size_t i = 0; i < b->t->n; i++)
    for (size_t d = 0; d < COLUMNS; d++) out[d] += x[i * COLUMNS + d] * y[i * COLUMNS + d] / (divide ? divide[i] : 1);
}

static double total(const double v[COLUMNS]) {
  double s = 0;
  for (size_t d = 0; d < COLUMNS; d++) s += v[d];
  return s;
}

/* x: the right side of columns [from, to), then the solution. Returns whether it settled. */
static bool conjugate_block(const block *b, size_t from, size_t to, double *x) {
  size_t n = b->t->n, D = b->t->D;
  double now[COLUMNS], along[COLUMNS], norm[COLUMNS], gained[MOST_STEPS + 1] = {0};
  memset(b->r, 0, n * COLUMNS * sizeof *b->r);
  for (size_t i = 0; i < n; i++) memcpy(b->r + i * COLUMNS, x + i * D + from, (to - from) * sizeof *x);
  for (size_t i = 0; i < n; i++) memset(x + i * D + from, 0, (to - from) * sizeof *x);
  for (size_t i = 0; i < n * COLUMNS; i++) b->p[i] = b->r[i] / b->diagonal[i / COLUMNS];
  dots(b, b->r, b->r, NULL, norm);
  dots(b, b->r, b->r, b->diagonal, now);
  double first = total(norm);
  bool settled = first == 0;
  for (int k = 0; k < MOST_STEPS && !settled; k++) {
    double step[COLUMNS], next[COLUMNS];
    apply(b);
    dots(b, b->p, b->q, NULL, along);
    gained[k + 1] = gained[k];
    for (size_t d = 0; d < COLUMNS; d++) {
      step[d] = along[d] > 0 ? now[d] / along[d] : 0;
      gained[k + 1] += step[d] * now[d] / 2;
    }
    for (size_t i = 0; i < n; i++)
      for (size_t d = 0; d < COLUMNS; d++) b->r[i * COLUMNS + d] -= step[d] * b->q[i * COLUMNS + d];
    for (size_t i = 0; i < n; i++)
      for (size_t d = from; d < to; d++) x[i * D + d] += step[d - from] * b->p[i * COLUMNS + d - from];
    dots(b, b->r, b->r, b->diagonal, next);
    for (size_t d = 0; d < COLUMNS; d++) along[d] = now[d] > 0 ? next[d] / now[d] : 0;
    for (size_t i = 0; i < n; i++)
      for (size_t d = 0; d < COLUMNS; d++) {
        size_t at = i * COLUMNS + d;
        b->p[at] = b->r[at] / b->diagonal[i] + along[d] * b->p[at];
      }
    memcpy(now, next, sizeof now);
    dots(b, b->r, b->r, NULL, norm);
    settled = total(norm) <= RESIDUAL * RESIDUAL * first ||
              (k >= LOOK_BACK && gained[k + 1] - gained[k + 1 - LOOK_BACK] <= GAIN * gained[k + 1]);
  }
  return settled;
}

static sg_status conjugate(sgi_tune *t, double lambda, double *x, sg_error *err) {
  size_t blocks = (t->D + COLUMNS - 1) / COLUMNS, each = t->n * COLUMNS, settled = 0, bytes;
  if (!sgi_size_mul(blocks * 3 * COLUMNS + 1, t->n * sizeof(double), &bytes)) bytes = SIZE_MAX;
  double *room = sgi_alloc(bytes);
  if (!room) return sgi_fail_memory(err, bytes, "conjugate gradients");
  double *diagonal = room + blocks * 3 * each;
  for (size_t i = 0; i < t->n; i++) diagonal[i] = lambda;
  for (size_t e = 0; e < t->entries; e++) diagonal[t->index[e]] += (double)t->value[e] * (double)t->value[e];
#pragma omp parallel for schedule(dynamic) reduction(+ : settled)
  for (size_t k = 0; k < blocks; k++) {
    block b = {t, lambda, diagonal, room + 3 * k * each, room + (3 * k + 1) * each, room + (3 * k + 2) * each};
    size_t to = (k + 1) * COLUMNS < t->D ? (k + 1) * COLUMNS : t->D;
    settled += conjugate_block(&b, k * COLUMNS, to, x);
  }
  sgi_free(room);
  return settled == blocks
             ? SG_OK
             : sgi_fail(err, SG_ERR_NUMERIC,
                        "tuning: conjugate gradients of %zu features did not settle in %d steps: raise --damping", t->n,
                        MOST_STEPS);
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
