/* A dictionary by turns: with B held each row takes its amounts by matching pursuit (four rounds,
 * each the basis row that meets most of what is left, all amounts anew by least squares); with the
 * amounts held B by least squares (method of optimal directions). */
#include "functions/outputs.h"

#include <lapacke.h>
#include <math.h>
#include <string.h>

#include "core/arena.h"
#include "math/rows.h"

enum { TURNS = 8, Q = SGI_FUNCTION_PARTS };
static const double RIDGE = 1e-6;

typedef struct work {
  sgi_function_layer *l;
  size_t R, D, units;
  double *gram, *right; /* (R,R), (R,D) */
  double *left;         /* (units) squares that are not met */
} work;

/* Amounts of the k parts chosen so far, for row w. */
static bool amounts(const work *w, const float *row, const int32_t *part, size_t k, double *x) {
  double A[Q * Q];
  for (size_t a = 0; a < k; a++) {
    const float *b = w->l->basis + (size_t)part[a] * w->D;
    x[a] = sgi_dot_double(b, row, w->D);
    for (size_t c = 0; c < k; c++)
      A[a * k + c] = sgi_dot_double(b, w->l->basis + (size_t)part[c] * w->D, w->D) + (a == c ? RIDGE : 0);
  }
  return LAPACKE_dposv_work(LAPACK_COL_MAJOR, 'L', (lapack_int)k, 1, A, (lapack_int)k, x, (lapack_int)k) == 0;
}

static void code(const work *w, size_t unit, float *left) {
  const float *row = w->l->w_out + unit * w->D;
  int32_t *part = w->l->part + unit * Q;
  double x[Q] = {0};
  memcpy(left, row, w->D * sizeof *left);
  memset(part, 0, Q * sizeof *part);
  for (size_t k = 0; k < Q; k++) {
    double best = -1;
    for (size_t r = 0; r < w->R; r++) {
      bool taken = false;
      for (size_t a = 0; a < k; a++) taken = taken || part[a] == (int32_t)r;
      double meets = taken ? -1 : fabs(sgi_dot_double(w->l->basis + r * w->D, left, w->D));
      if (meets > best) {
        best = meets;
        part[k] = (int32_t)r;
      }
    }
    double next[Q];
    if (best <= 0 || !amounts(w, row, part, k + 1, next)) break;
    memcpy(x, next, sizeof x);
    memcpy(left, row, w->D * sizeof *left);
    for (size_t a = 0; a <= k; a++)
      for (size_t d = 0; d < w->D; d++) left[d] -= (float)x[a] * w->l->basis[(size_t)part[a] * w->D + d];
  }
  for (size_t a = 0; a < Q; a++) w->l->amount[unit * Q + a] = (float)x[a];
  w->left[unit] = sgi_dot_double(left, left, w->D);
}

static sg_status code_all(const work *w, sg_error *err) {
  bool lost = false;
#pragma omp parallel
  {
    float *left = sgi_alloc(w->D * sizeof *left);
#pragma omp for schedule(static)
    for (size_t unit = 0; unit < w->units; unit++)
      if (left) code(w, unit, left);
#pragma omp critical(sgi_function_outputs)
    lost = lost || !left;
    sgi_free(left);
  }
  return lost ? sgi_fail_memory(err, w->D * sizeof(float), "an output row") : SG_OK;
}

static void normalise(const work *w, size_t r, size_t spare) {
  float *b = w->l->basis + r * w->D;
  double length = sqrt(sgi_dot_double(b, b, w->D));
  if (!(length > 1e-12)) { /* nobody takes it: a row of the pool instead */
    memcpy(b, w->l->w_out + spare % w->units * w->D, w->D * sizeof *b);
    length = sqrt(sgi_dot_double(b, b, w->D));
  }
  for (size_t d = 0; d < w->D && length > 0; d++) b[d] = (float)((double)b[d] / length);
}

static sg_status update(work *w, size_t turn, sg_error *err) {
  size_t R = w->R, D = w->D;
  memset(w->gram, 0, R * R * sizeof *w->gram);
  memset(w->right, 0, R * D * sizeof *w->right);
  for (size_t unit = 0; unit < w->units; unit++)
    for (size_t a = 0; a < Q; a++) {
      size_t i = (size_t)w->l->part[unit * Q + a];
      double x = (double)w->l->amount[unit * Q + a];
      for (size_t c = 0; c < Q; c++)
        w->gram[i * R + (size_t)w->l->part[unit * Q + c]] += x * (double)w->l->amount[unit * Q + c];
      for (size_t d = 0; d < D; d++) w->right[i * D + d] += x * (double)w->l->w_out[unit * D + d];
    }
  for (size_t i = 0; i < R; i++) w->gram[i * R + i] += RIDGE;
  lapack_int info = LAPACKE_dposv(LAPACK_ROW_MAJOR, 'L', (lapack_int)R, (lapack_int)D, w->gram, (lapack_int)R, w->right,
                                  (lapack_int)D);
  if (info == LAPACK_WORK_MEMORY_ERROR || info == LAPACK_TRANSPOSE_MEMORY_ERROR)
    return sgi_fail_memory(err, R * R * sizeof *w->gram, "a basis of outputs");
  if (info) return sgi_fail(err, SG_ERR_NUMERIC, "a basis of outputs: its normal equations are not definite");
  for (size_t i = 0; i < R * D; i++) w->l->basis[i] = (float)w->right[i];
  for (size_t r = 0; r < R; r++) normalise(w, r, r * 7919 + turn);
  return SG_OK;
}

static sg_status learn(work *w, double *kept, sg_error *err) {
  sg_status st = SG_OK;
  double all = 0, left = 0;
  for (size_t r = 0; r < w->R; r++) {
    memcpy(w->l->basis + r * w->D, w->l->w_out + r * w->units / w->R * w->D, w->D * sizeof(float));
    normalise(w, r, r * 7919);
  }
  for (size_t turn = 0; turn <= TURNS && !st; turn++) {
    st = code_all(w, err);
    if (!st && turn < TURNS) st = update(w, turn + 1, err);
  }
  for (size_t unit = 0; unit < w->units; unit++) {
    all += sgi_dot_double(w->l->w_out + unit * w->D, w->l->w_out + unit * w->D, w->D);
    left += w->left[unit];
  }
  *kept = all > 0 ? 1 - left / all : 1;
  return st;
}

sg_status sgi_function_outputs(sgi_function_layer *l, size_t rows, double *kept, sg_error *err) {
  work w = {.l = l, .R = rows, .D = l->D, .units = l->units};
  *kept = 1;
  if (rows < Q || rows > l->units)
    return sgi_fail(err, SG_ERR_ARG, "a basis of %zu outputs: expected %d to the layer's %zu neurons", rows, Q,
                    l->units);
  l->basis = sgi_alloc(rows * l->D * sizeof *l->basis);
  l->part = sgi_alloc(l->units * Q * sizeof *l->part);
  l->amount = sgi_alloc(l->units * Q * sizeof *l->amount);
  w.gram = sgi_alloc((rows * rows + rows * l->D) * sizeof *w.gram);
  w.left = sgi_alloc(l->units * sizeof *w.left);
  bool there = l->basis && l->part && l->amount && w.gram && w.left;
  w.right = there ? w.gram + rows * rows : NULL;
  sg_status st =
      there ? learn(&w, kept, err) : sgi_fail_memory(err, rows * rows * sizeof *w.gram, "a basis of outputs");
  sgi_free(w.gram);
  sgi_free(w.left);
  if (st) return st;
  l->basis_rows = rows;
  sgi_free(l->w_out);
  l->w_out = NULL;
  return SG_OK;
}
