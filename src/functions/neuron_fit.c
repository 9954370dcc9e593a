/* Splines one after the other: the feature whose own spline takes most of what is left (a banded
 * system each, factored once), then all of them anew together. */
#include <lapacke.h>
#include <math.h>
#include <string.h>

#include "core/arena.h"
#include "functions/neuron_work.h"

static const double RIDGE = 1e-3; /* of the mean diagonal */
enum { PER_EDGE = 20, MOST_COLUMNS = 1 + SGI_MOST_EDGES * PER_EDGE + SGI_MOST_GATES };

/* ---- memory ---------------------------------------------------------------------------------- */

static void layout(sgi_neuron_work *w, sgi_arena *a) {
  size_t n = w->most, R = w->R;
  w->z = SGI_TAKE(a, R * n, float);
  w->value = SGI_TAKE(a, n, double);
  w->weight = SGI_TAKE(a, n, double);
  w->left = SGI_TAKE(a, n, double);
  w->cell = SGI_TAKE(a, R * n, uint8_t);
  w->basis = SGI_TAKE(a, R * n * 4, double);
  w->band = SGI_TAKE(a, R * 4 * w->M, double);
  w->A = SGI_TAKE(a, (size_t)MOST_COLUMNS * MOST_COLUMNS, double);
  w->x = SGI_TAKE(a, MOST_COLUMNS, double);
  w->node = SGI_TAKE(a, n * (SGI_MOST_BITS + SGI_MOST_GATES), double);
  w->row_value = SGI_TAKE(a, MOST_COLUMNS, double);
  w->row_column = SGI_TAKE(a, MOST_COLUMNS, size_t);
}

sg_status sgi_neuron_work_create(const sgi_neuron_fit *f, sgi_neuron_work **out, sg_error *err) {
  sgi_arena a = {0};
  *out = NULL;
  sgi_neuron_work *w = sgi_alloc(sizeof *w);
  if (!w) return sgi_fail_memory(err, sizeof *w, "a neuron's fit");
  *w = (sgi_neuron_work){.f = f, .R = f->features, .M = sgi_grid_coefs(&f->grid), .most = f->samples};
  layout(w, &a);
  w->memory = a.used == SIZE_MAX ? NULL : sgi_alloc(a.used);
  if (!w->memory) {
    sgi_free(w);
    return sgi_fail_memory(err, a.used, "a neuron's fit");
  }
  a = (sgi_arena){.base = w->memory, .size = a.used};
  layout(w, &a);
  *out = w;
  return SG_OK;
}

void sgi_neuron_work_free(sgi_neuron_work *w) {
  if (!w) return;
  sgi_free(w->memory);
  sgi_free(w);
}

/* ---- least squares --------------------------------------------------------------------------- */

static sg_status judge(lapack_int info, sg_error *err) {
  if (info == LAPACK_WORK_MEMORY_ERROR) return sgi_fail_memory(err, 1, "normal equations");
  if (info) return sgi_fail(err, SG_ERR_NUMERIC, "a neuron's normal equations are not definite");
  return SG_OK;
}

/* Columns of sample i that are not 0; bias first, then edge by edge, then weighted gates. */
static size_t columns(const sgi_neuron_work *w, const sgi_expert *e, size_t i) {
  size_t k = 0, at = 1, step = w->M + w->f->base;
  w->row_column[k] = 0;
  w->row_value[k++] = 1;
  for (size_t j = 0; j < e->edges; j++, at += step) {
    size_t f = e->edge[j].feature;
    for (size_t c = 0; c < 4; c++) {
      w->row_column[k] = at + w->cell[f * w->most + i] + c;
      w->row_value[k++] = w->basis[(f * w->most + i) * 4 + c];
    }
    if (!w->f->base) continue;
    w->row_column[k] = at + w->M;
    w->row_value[k++] = sgi_silu((double)w->z[f * w->most + i]);
  }
  for (size_t g = e->gates - e->outputs; g < e->gates; g++) {
    w->row_column[k] = at++;
    w->row_value[k++] = w->node[i * (SGI_MOST_BITS + SGI_MOST_GATES) + e->bits + g];
  }
  return k;
}

static void give_back(const sgi_neuron_work *w, sgi_expert *e) {
  size_t at = 1;
  e->bias = w->x[0];
  for (size_t j = 0; j < e->edges; j++) {
    memcpy(e->edge[j].coef, w->x + at, w->M * sizeof *w->x);
    at += w->M;
    e->edge[j].base = w->f->base ? w->x[at++] : 0;
  }
  for (size_t g = e->gates - e->outputs; g < e->gates; g++) e->gamma[g] = w->x[at++];
}

sg_status sgi_neuron_solve(sgi_neuron_work *w, sgi_expert *e, double *r2, sg_error *err) {
  size_t q = 1 + e->edges * (w->M + w->f->base) + e->outputs;
  double trace = 0, errors = 0;
  memset(w->A, 0, q * q * sizeof *w->A);
  memset(w->x, 0, q * sizeof *w->x);
  for (size_t i = 0; i < w->n; i++) {
    size_t k = columns(w, e, i);
    for (size_t a = 0; a < k; a++) {
      double x = w->weight[i] * w->row_value[a];
      w->x[w->row_column[a]] += x * w->value[i];
      for (size_t b = a; b < k; b++) w->A[w->row_column[a] * q + w->row_column[b]] += x * w->row_value[b];
    }
  }
  for (size_t a = 1; a < q; a++) trace += w->A[a * q + a];
  for (size_t a = 1; a < q; a++) w->A[a * q + a] += RIDGE * trace / (double)(q - 1) + 1e-12;
  sg_status st =
      judge(LAPACKE_dposv_work(LAPACK_COL_MAJOR, 'L', (lapack_int)q, 1, w->A, (lapack_int)q, w->x, (lapack_int)q), err);
  if (st) return st;
  give_back(w, e);
  for (size_t i = 0; i < w->n; i++) {
    size_t k = columns(w, e, i);
    double y = 0;
    for (size_t a = 0; a < k; a++) y += w->row_value[a] * w->x[w->row_column[a]];
    w->left[i] = w->value[i] - y;
    errors += w->weight[i] * w->left[i] * w->left[i];
  }
  *r2 = w->variance > 0 ? 1 - errors / w->variance : 1;
  return SG_OK;
}

/* ---- forward selection ----------------------------------------------------------------------- */

/* The features' own normal equations, lower bands by columns (LAPACK), factored. */
static sg_status factor_bands(sgi_neuron_work *w, sg_error *err) {
  size_t M = w->M;
  sg_status st = SG_OK;
  memset(w->band, 0, w->R * 4 * M * sizeof *w->band);
  for (size_t f = 0; f < w->R && !st; f++) {
    double *band = w->band + f * 4 * M, trace = 0;
    for (size_t i = 0; i < w->n; i++) {
      const double *b = w->basis + (f * w->most + i) * 4;
      double *at = band + (size_t)w->cell[f * w->most + i] * 4;
      for (size_t c = 0; c < 4; c++)
        for (size_t r = c; r < 4; r++) at[c * 4 + r - c] += w->weight[i] * b[c] * b[r];
    }
    for (size_t c = 0; c < M; c++) trace += band[c * 4];
    for (size_t c = 0; c < M; c++) band[c * 4] += RIDGE * trace / (double)M + 1e-12;
    st = judge(LAPACKE_dpbtrf_work(LAPACK_COL_MAJOR, 'L', (lapack_int)M, 3, band, 4), err);
  }
  return st;
}

/* How much of what is left a spline of the feature takes. */
static sg_status gain(sgi_neuron_work *w, size_t f, double *out, sg_error *err) {
  double right[SGI_MOST_COEFS] = {0}, x[SGI_MOST_COEFS];
  for (size_t i = 0; i < w->n; i++) {
    const double *b = w->basis + (f * w->most + i) * 4;
    double y = w->weight[i] * w->left[i];
    double *at = right + w->cell[f * w->most + i];
    for (size_t c = 0; c < 4; c++) at[c] += y * b[c];
  }
  memcpy(x, right, sizeof x);
  sg_status st = judge(LAPACKE_dpbtrs_work(LAPACK_COL_MAJOR, 'L', (lapack_int)w->M, 3, 1, w->band + f * 4 * w->M, 4, x,
                                           (lapack_int)w->M),
                       err);
  *out = 0;
  for (size_t c = 0; c < w->M; c++) *out += right[c] * x[c];
  return st;
}

double sgi_neuron_gain(const sgi_neuron_work *w, double r2, size_t parameters) {
  return fmax(SGI_NEURON_GAIN, (1 - r2) * 2 * (double)parameters / (double)w->n);
}

static bool has(const sgi_expert *e, size_t feature) {
  for (size_t j = 0; j < e->edges; j++)
    if (e->edge[j].feature == feature) return true;
  return false;
}

static sg_status add_edges(sgi_neuron_work *w, sgi_expert *e, double *r2, sg_error *err) {
  size_t most = w->f->edges, fit = w->n / (2 * w->M);
  sg_status st = sgi_neuron_solve(w, e, r2, err);
  if (fit < most) most = fit ? fit : 1; /* at least two samples a coefficient */
  while (e->edges < most && !st) {
    sgi_expert before = *e;
    double best = -1, own, now = *r2;
    size_t feature = w->R;
    for (size_t f = 0; f < w->R && !st; f++) {
      if (has(e, f)) continue;
      st = gain(w, f, &own, err);
      if (own > best) {
        best = own;
        feature = f;
      }
    }
    if (st || feature == w->R) break;
    e->edge[e->edges++] = (sgi_edge){.feature = feature, .form = SGI_SYMBOL_NONE};
    st = sgi_neuron_solve(w, e, &now, err);
    if (!st && now - *r2 < sgi_neuron_gain(w, *r2, w->M)) {
      *e = before;
      return sgi_neuron_solve(w, e, r2, err);
    }
    *r2 = now;
  }
  return st;
}

/* An edge whose leaving costs less than the least gain: others say it, too. */
static sg_status drop_edges(sgi_neuron_work *w, sgi_expert *e, double *r2, sg_error *err) {
  sg_status st = SG_OK;
  for (size_t j = e->edges; j-- > 0 && e->edges > 1 && !st;) {
    sgi_expert less = *e;
    double now;
    memmove(less.edge + j, less.edge + j + 1, (less.edges - j - 1) * sizeof *less.edge);
    less.edges--;
    st = sgi_neuron_solve(w, &less, &now, err);
    if (st || *r2 - now >= sgi_neuron_gain(w, now, w->M)) continue;
    *e = less;
    *r2 = now;
  }
  return st ? st : sgi_neuron_solve(w, e, r2, err);
}

/* ---- all of it ------------------------------------------------------------------------------- */

static sg_status take(sgi_neuron_work *w, const sgi_neuron_samples *s, sg_error *err) {
  double sum = 0, mean = 0;
  w->n = s->n < w->most ? s->n : w->most;
  w->variance = 0;
  for (size_t i = 0; i < w->n; i++) sum += (double)s->weight[i];
  for (size_t i = 0; i < w->n; i++) {
    w->value[i] = (double)s->value[i];
    w->weight[i] = sum > 0 ? (double)s->weight[i] / sum : 1 / (double)w->n;
    mean += w->weight[i] * w->value[i];
  }
  for (size_t i = 0; i < w->n; i++) w->variance += w->weight[i] * (w->value[i] - mean) * (w->value[i] - mean);
  if (!isfinite(w->variance) || !isfinite(sum))
    return sgi_fail(err, SG_ERR_NUMERIC, "a neuron's values are NaN or infinite");
  for (size_t f = 0; f < w->R; f++)
    for (size_t i = 0; i < w->n; i++) {
      float z = s->z[(size_t)s->row[i] * w->R + f];
      w->z[f * w->most + i] = z;
      w->cell[f * w->most + i] = (uint8_t)sgi_grid_at(&w->f->grid, (double)z, w->basis + (f * w->most + i) * 4, NULL);
    }
  return SG_OK;
}

sg_status sgi_neuron_fit_run(const sgi_neuron_fit *f, sgi_neuron_work *w, const sgi_neuron_samples *s, sgi_expert *out,
                             sgi_neuron_quality *quality, sg_error *err) {
  *out = (sgi_expert){0};
  *quality = (sgi_neuron_quality){0};
  sg_status st = take(w, s, err);
  if (!st) st = factor_bands(w, err);
  if (!st) st = add_edges(w, out, &quality->edges, err);
  if (!st) st = drop_edges(w, out, &quality->edges, err);
  quality->final = quality->edges;
  if (!st && f->logic && 1 - quality->edges >= SGI_NEURON_GAIN) st = sgi_neuron_logic(w, out, quality, err);
  return st;
}
