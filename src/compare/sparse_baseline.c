#include "compare/sparse_baseline.h"

#include <lapacke.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- own activations ------------------------------------------------------------------------- */

static bool has_values(const sgi_ffn_ops *ops) { return sgi_ffn_site(ops, SGI_SITE_VALUES) != SGI_SITE_NONE; }

sg_status sgi_own_units_make(const sg_model *m, size_t layer, size_t n, sgi_own_units *u, bool *there, sg_error *err) {
  const sgi_sublayer *s;
  *u = (sgi_own_units){0};
  sg_status st = sgi_feedforward_find(m, layer, &s, err);
  if (st) return st;
  *there = has_values(s->ffn);
  if (!*there) return SG_OK;
  const sg_config *c = s->config;
  u->channels = c->num_channels ? c->num_channels : 1;
  u->units = c->num_neurons;
  u->norm = sgi_alloc(u->channels * u->units * sizeof *u->norm);
  float *row = sgi_alloc(c->hidden_size * sizeof *row);
  sgi_largest largest = sgi_model_largest(m);
  u->choice_room = n * largest.entries;
  u->choice = sgi_alloc((u->choice_room + 1) * sizeof *u->choice);
  u->score_room = u->channels * u->units + largest.entries;
  u->score = sgi_alloc(2 * u->score_room * sizeof *u->score);
  if (!u->norm || !row || !u->choice || !u->score) st = sgi_fail_memory(err, n * largest.entries * 4, "a baseline");
  for (size_t ch = 0; ch < u->channels && !st; ch++)
    for (size_t i = 0; i < u->units; i++) {
      sgi_unit unit;
      if (!s->ffn->unit_at(c, s->weight + SGI_T_OWN, ch, i, &unit)) continue;
      sgi_unit_out(&unit, row, c->hidden_size);
      double sum = 0;
      for (size_t d = 0; d < c->hidden_size; d++) sum += (double)row[d] * (double)row[d];
      u->norm[ch * u->units + i] = (float)sqrt(sum);
    }
  sgi_free(row);
  return st;
}

void sgi_own_units_deinit(sgi_own_units *u) {
  sgi_free(u->norm);
  sgi_free(u->choice);
  sgi_free(u->score);
  *u = (sgi_own_units){0};
}

static int descending(const void *a, const void *b) {
  float x = *(const float *)a, y = *(const float *)b;
  return x > y ? -1 : x < y;
}

/* Which unit entry i of a row is. */
static float norm_of(const sgi_own_units *u, const sgi_site *site, size_t row, size_t i) {
  const sgi_site_row *r = sgi_site_row_of(site->id);
  size_t per = site->dims[1], channel = 0, unit = i;
  if (r->chosen_by != SGI_SITE_NONE) {
    const int32_t *choice = u->choice + (site->first + row) * u->choice_width;
    if (sgi_site_row_of(r->chosen_by)->holds == SGI_AXIS_CHANNEL) { /* experts, and all units of each */
      channel = (size_t)choice[i / per];
      unit = i % per;
    } else {
      channel = u->channels > 1 ? i / per : 0;
      unit = (size_t)choice[i];
    }
  }
  return channel < u->channels && unit < u->units ? u->norm[channel * u->units + unit] : 0;
}

static void keep_largest(sgi_own_units *u, const sgi_site *site, size_t row, size_t K) {
  size_t width = sgi_site_width(site);
  float *h = (float *)site->data + row * width, *score = u->score, *sorted = score + u->score_room;
  if (K >= width) return;
  for (size_t i = 0; i < width; i++) score[i] = sorted[i] = fabsf(h[i]) * norm_of(u, site, row, i);
  qsort(sorted, width, sizeof *sorted, descending);
  float least = K ? sorted[K - 1] : INFINITY;
  size_t left = K;
  for (size_t i = 0; i < width; i++) left -= score[i] > least && left;
  for (size_t i = 0; i < width; i++) {
    if (score[i] > least) continue;
    if (score[i] == least && left && K)
      left--; /* of equal ones the lower entry stays */
    else
      h[i] = 0;
  }
}

void sgi_own_units_visit(sgi_own_units *u, const sgi_site *site, size_t K) {
  const sgi_site_row *r = sgi_site_row_of(site->id);
  size_t width = sgi_site_width(site);
  if (r->role == SGI_SITE_CHOICE && (site->first + site->n) * width <= u->choice_room) {
    u->choice_width = width;
    memcpy(u->choice + site->first * width, site->data, site->n * width * sizeof *u->choice);
  }
  if (r->role == SGI_SITE_VALUES && width <= u->score_room)
    for (size_t i = 0; i < site->n; i++) keep_largest(u, site, i, K);
}

/* ---- a linear map ---------------------------------------------------------------------------- */

struct sgi_linear_fit {
  size_t D, n;
  double *xx, *xy; /* (D,D) sums of products */
  double *x, *y;   /* (D) sums */
};

sg_status sgi_linear_fit_create(size_t D, sgi_linear_fit **out, sg_error *err) {
  *out = NULL;
  sgi_linear_fit *f = sgi_alloc(sizeof *f);
  double *memory = sgi_alloc((2 * D * D + 2 * D) * sizeof *memory);
  if (!f || !memory) {
    sgi_free(f);
    sgi_free(memory);
    return sgi_fail_memory(err, 2 * D * D * sizeof *memory, "a linear map");
  }
  *f = (sgi_linear_fit){.D = D, .xx = memory, .xy = memory + D * D, .x = memory + 2 * D * D};
  f->y = f->x + D;
  *out = f;
  return SG_OK;
}

void sgi_linear_fit_free(sgi_linear_fit *f) {
  if (!f) return;
  sgi_free(f->xx);
  sgi_free(f);
}

void sgi_linear_fit_add(sgi_linear_fit *f, const float *x, const float *y, size_t n) {
  size_t D = f->D;
#pragma omp parallel for schedule(static)
  for (size_t a = 0; a < D; a++) {
    for (size_t i = 0; i < n; i++) {
      double v = (double)x[i * D + a];
      double *xx = f->xx + a * D, *xy = f->xy + a * D;
      for (size_t b = 0; b < D; b++) xx[b] += v * (double)x[i * D + b];
      for (size_t b = 0; b < D; b++) xy[b] += v * (double)y[i * D + b];
      f->x[a] += v;
      f->y[a] += (double)y[i * D + a];
    }
  }
  f->n += n;
}

/* B = (Sxx + tiny)^-1 Sxy of centred sums, and the eigenvectors of B^T Sxy, ascending. */
static sg_status regress(const sgi_linear_fit *f, double *sxx, double *B, double *G, double *values, sg_error *err) {
  size_t D = f->D;
  lapack_int d = (lapack_int)D;
  double trace = 0;
  for (size_t a = 0; a < D; a++)
    for (size_t b = 0; b < D; b++) {
      sxx[a * D + b] = f->xx[a * D + b] - f->x[a] * f->x[b] / (double)f->n;
      B[a * D + b] = f->xy[a * D + b] - f->x[a] * f->y[b] / (double)f->n;
    }
  memcpy(G, B, D * D * sizeof *G); /* Sxy */
  for (size_t a = 0; a < D; a++) trace += sxx[a * D + a];
  for (size_t a = 0; a < D; a++) sxx[a * D + a] += 1e-9 * trace / (double)D + 1e-300;
  if (LAPACKE_dposv(LAPACK_ROW_MAJOR, 'L', d, d, sxx, d, B, d))
    return sgi_fail(err, SG_ERR_NUMERIC, "least squares: the inputs' second moments are not positive definite");
  double *S = sxx; /* no longer needed */
  for (size_t a = 0; a < D; a++)
    for (size_t b = 0; b < D; b++) {
      double s = 0;
      for (size_t i = 0; i < D; i++) s += B[i * D + a] * G[i * D + b];
      S[a * D + b] = s;
    }
  for (size_t a = 0; a < D; a++)
    for (size_t b = 0; b < D; b++) G[a * D + b] = (S[a * D + b] + S[b * D + a]) / 2;
  if (LAPACKE_dsyev(LAPACK_ROW_MAJOR, 'V', 'L', d, G, d, values))
    return sgi_fail(err, SG_ERR_NUMERIC, "least squares: no eigenvectors of what the map explains");
  return SG_OK;
}

sg_status sgi_linear_fit_solve(const sgi_linear_fit *f, size_t rank, float *A, float *c, sg_error *err) {
  size_t D = f->D;
  if (f->n < 2) return sgi_fail(err, SG_ERR_ARG, "a linear map is fitted to 2 positions or more");
  if (rank > D) rank = D;
  double *room = sgi_alloc((4 * D * D + D) * sizeof *room);
  if (!room) return sgi_fail_memory(err, 4 * D * D * sizeof *room, "a linear map");
  double *B = room + D * D, *G = B + D * D, *P = G + D * D, *values = P + D * D;
  sg_status st = regress(f, room, B, G, values, err);
  for (size_t a = 0; a < D && !st; a++)
    for (size_t b = 0; b < D; b++) {
      double s = 0;
      for (size_t v = D - rank; v < D; v++) s += G[a * D + v] * G[b * D + v];
      P[a * D + b] = s;
    }
  for (size_t b = 0; b < D && !st; b++) {
    double at = f->y[b] / (double)f->n;
    for (size_t a = 0; a < D; a++) {
      double s = 0;
      for (size_t i = 0; i < D; i++) s += B[a * D + i] * P[i * D + b];
      A[a * D + b] = (float)s;
      at -= f->x[a] / (double)f->n * s;
    }
    c[b] = (float)at;
  }
  sgi_free(room);
  return st;
}
