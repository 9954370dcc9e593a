#include "read/merge.h"

#include <lapacke.h>
#include <math.h>

/* Below this share of their product two sums of squares are those of one regressor: values that are
 * recorded in half precision reach 1e-7. */
static const double COLLINEAR = 1e-6;

bool sgi_merge_add(sgi_merge_sums *s, const double v[2], const double g[2]) {
  double q[2];
  for (size_t k = 0; k < 2; k++) q[k] = g[k] * v[1 - k] / g[1 - k];
  if (g[0] == 0 || g[1] == 0 || !isfinite(v[0]) || !isfinite(v[1]) || !isfinite(q[0]) || !isfinite(q[1])) return false;
  s->n++;
  for (size_t k = 0; k < 2; k++) {
    s->qq[k] += q[k] * q[k];
    for (size_t b = 0; b < 2; b++) {
      s->vv[k][b] += v[k] * v[b];
      s->q_v[k][b] += q[k] * v[b];
    }
  }
  return true;
}

static double dot(const float *a, const float *b, size_t D) {
  double sum = 0;
  for (size_t d = 0; d < D; d++) sum += (double)a[d] * (double)b[d];
  return sum;
}

/* The larger eigenvalue of the symmetric matrix {a, b; b, d} and its unit vector e; false where
 * none is found. */
static bool first_eigenvector(double a, double b, double d, double *value, double e[2]) {
  double matrix[4] = {a, b, b, d}, values[2], work[8];
  if (LAPACKE_dsyev_work(LAPACK_COL_MAJOR, 'V', 'L', 2, matrix, 2, values, work, 8)) return false;
  *value = values[1];
  e[0] = matrix[2], e[1] = matrix[3];
  return true;
}

/* What u . y is made of: t = part[0] v_0 + part[1] v_1, sum t^2 = first, sum |y|^2 = total. */
typedef struct direction {
  double part[2], first, total;
} direction;

/* Y = V W with V (n,2), W (2,D). W^T = Q R with orthonormal columns of Q, so Y^T Y = Q R M R^T Q^T
 * with M = V^T V, and u = Q e, e the first eigenvector of the 2 x 2 matrix R M R^T. Gram-Schmidt
 * begins with the longer row: row x of the two, then row z. */
static bool find_direction(const sgi_merge_sums *s, const float *const out[2], size_t D, direction *to, float *u) {
  double square[2] = {dot(out[0], out[0], D), dot(out[1], out[1], D)}, e[2];
  size_t x = square[1] > square[0], z = 1 - x;
  double xx = sqrt(square[x]), xz = xx > 0 ? dot(out[0], out[1], D) / xx : 0, zz = 0;
  if (!(xx > 0) || !isfinite(xx)) return false;
  for (size_t d = 0; d < D; d++) {
    double rest = (double)out[z][d] - xz / xx * (double)out[x][d];
    zz += rest * rest;
  }
  zz = sqrt(zz);
  double mxx = s->vv[x][x], mxz = s->vv[x][z], mzz = s->vv[z][z];
  double a = xx * xx * mxx + 2 * xx * xz * mxz + xz * xz * mzz, b = zz * (xx * mxz + xz * mzz), d = zz * zz * mzz;
  to->total = a + d;
  if (!(to->total > 0) || !isfinite(to->total) || !first_eigenvector(a, b, d, &to->first, e)) return false;
  to->part[x] = xx * e[0];
  to->part[z] = xz * e[0] + zz * e[1];
  for (size_t i = 0; i < D; i++) {
    double q = (double)out[x][i] / xx, rest = (double)out[z][i] - xz * q;
    u[i] = (float)(e[0] * q + (zz > 0 ? e[1] * rest / zz : 0));
  }
  return true;
}

/* Least squares of t by v_k and q_k, neuron k being the one that becomes both; the share of sum t^2
 * that is met goes to *met. False where both are 0 everywhere. */
static bool fit_input(const sgi_merge_sums *s, const direction *t, size_t k, double in[2], double *met) {
  size_t o = 1 - k;
  double pp = s->vv[k][k], pq = s->q_v[k][k], qq = s->qq[k], det = pp * qq - pq * pq;
  double pt = t->part[k] * s->vv[k][k] + t->part[o] * s->vv[k][o];
  double qt = t->part[k] * s->q_v[k][k] + t->part[o] * s->q_v[k][o];
  if (!(pp > 0) && !(qq > 0)) return false;
  in[0] = in[1] = 0;
  if (det > COLLINEAR * pp * qq) {
    in[k] = (qq * pt - pq * qt) / det;
    in[o] = (pp * qt - pq * pt) / det;
  } else if (pp >= qq)
    in[k] = pt / pp;
  else
    in[o] = qt / qq;
  *met = (in[k] * pt + in[o] * qt) / t->first;
  return isfinite(in[0]) && isfinite(in[1]);
}

bool sgi_merge_fit(const sgi_merge_sums *s, const float *const out[2], size_t D, sgi_merge_form *form, float *u) {
  direction t = {0};
  bool any = false;
  if (!find_direction(s, out, D, &t, u)) return false;
  *form = (sgi_merge_form){.explained = t.first / t.total};
  for (size_t k = 0; k < 2; k++) {
    double in[2], met;
    if (!fit_input(s, &t, k, in, &met) || (any && !(form->explained * met > form->kept))) continue;
    any = true;
    form->into = k;
    form->in[0] = in[0], form->in[1] = in[1];
    form->kept = form->explained * met;
  }
  return any;
}
