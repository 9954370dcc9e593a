#include "study/fit.h"

#include <lapacke.h>
#include <math.h>

#include "core/arena.h"

/* Least squares of y on 1, t, ..., t^(terms - 1) with t = x - mean(x). */
static sg_status solve(const double *x, const double *y, size_t n, size_t terms, double mean, double *out,
                       sg_error *err) {
  double *m = sgi_alloc(n * (terms + 1) * sizeof *m);
  if (!m) return sgi_fail_memory(err, n * (terms + 1) * sizeof *m, "a fit");
  double *right = m + n * terms;
  for (size_t i = 0; i < n; i++) {
    double t = 1;
    for (size_t j = 0; j < terms; j++, t *= x[i] - mean) m[i * terms + j] = t;
    right[i] = y[i];
  }
  lapack_int info =
      LAPACKE_dgels(LAPACK_ROW_MAJOR, 'N', (lapack_int)n, (lapack_int)terms, 1, m, (lapack_int)terms, right, 1);
  for (size_t j = 0; j < terms && !info; j++) out[j] = right[j];
  sgi_free(m);
  if (info == LAPACK_WORK_MEMORY_ERROR || info == LAPACK_TRANSPOSE_MEMORY_ERROR)
    return sgi_fail_memory(err, n * terms * sizeof *m, "a fit");
  return info ? sgi_fail(err, SG_ERR_NUMERIC, "a fit of %zu points: they do not decide its %zu coefficients", n, terms)
              : SG_OK;
}

static double mean_of(const double *x, size_t n) {
  double sum = 0;
  for (size_t i = 0; i < n; i++) sum += x[i];
  return sum / (double)n;
}

static size_t different(const double *x, size_t n) {
  size_t count = 0;
  for (size_t i = 0; i < n; i++) {
    size_t j = 0;
    while (j < i && x[j] != x[i]) j++;
    count += j == i;
  }
  return count;
}

sg_status sgi_parabola_fit(const double *x, const double *y, size_t n, sgi_parabola *out, sg_error *err) {
  *out = (sgi_parabola){0};
  if (!n) return sgi_fail(err, SG_ERR_ARG, "a parabola through no points");
  size_t low = 0;
  double first = x[0], last = x[0];
  for (size_t i = 1; i < n; i++) {
    if (y[i] < y[low]) low = i;
    first = fmin(first, x[i]);
    last = fmax(last, x[i]);
  }
  out->at = x[low];
  out->value = y[low];
  if (different(x, n) < 3) return SG_OK;
  double p[3], mean = mean_of(x, n);
  sg_status st = solve(x, y, n, 3, mean, p, err);
  if (st) return st;
  out->c = p[2];
  out->b = p[1] - 2 * p[2] * mean;
  out->a = p[0] - p[1] * mean + p[2] * mean * mean;
  out->fitted = p[2] > 0;
  double at = mean - p[1] / (2 * p[2]);
  out->inside = out->fitted && at >= first && at <= last;
  if (!out->inside) return SG_OK;
  out->at = at;
  out->value = p[0] - p[1] * p[1] / (4 * p[2]);
  return SG_OK;
}

sg_status sgi_factor_fit(const double *cost, const double *loss, size_t n, double other_cost, double other_loss,
                         sgi_factor *out, sg_error *err) {
  *out = (sgi_factor){0};
  double *x = sgi_alloc(n * sizeof *x), p[2], first = INFINITY, last = -INFINITY;
  if (!x) return sgi_fail_memory(err, n * sizeof *x, "a fit");
  for (size_t i = 0; i < n; i++) {
    x[i] = log(cost[i]);
    first = fmin(first, x[i]);
    last = fmax(last, x[i]);
  }
  double mean = mean_of(x, n);
  sg_status st = different(x, n) < 2 ? sgi_fail(err, SG_ERR_ARG, "a line through fewer than two different costs")
                                     : solve(x, loss, n, 2, mean, p, err);
  sgi_free(x);
  if (st || !(p[1] < 0)) return st;
  double needed = mean + (other_loss - p[0]) / p[1];
  out->factor = exp(log(other_cost) - needed);
  out->beyond = needed < first || needed > last;
  return SG_OK;
}
