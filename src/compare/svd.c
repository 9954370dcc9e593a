#include "compare/svd.h"

#include <lapacke.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/arena.h"
#include "core/rng.h"
#include "model/sub_attention.h"

const char *const sgi_svd_matrix_names[SGI_SVD_MATRICES] = {"qk",      "ov",        "mlp_in",
                                                            "mlp_out", "embedding", "embedding_centred"};

static const double CHECK = 1e-10; /* sums of squares, relative */

void sgi_svd_name(const sgi_svd_which *w, char out[SGI_SVD_NAME]) {
  const char *name = sgi_svd_matrix_names[w->matrix];
  if (w->matrix <= SGI_SVD_OV)
    snprintf(out, SGI_SVD_NAME, "%s of layer %zu, head %zu", name, w->layer, w->head);
  else if (w->matrix <= SGI_SVD_MLP_OUT)
    snprintf(out, SGI_SVD_NAME, "%s of layer %zu", name, w->layer);
  else
    snprintf(out, SGI_SVD_NAME, "%s", name);
}

void sgi_svd_free(sgi_svd *s) {
  if (!s) return;
  sgi_free(s->values);
  sgi_free(s->left);
  sgi_free(s->right);
  sgi_free(s->subspace);
  sgi_free(s->unit);
  sgi_free(s);
}

/* ---- LAPACK ---------------------------------------------------------------------------------- */

static sg_status judge(lapack_int info, const char *what, const sgi_svd_which *w, sg_error *err) {
  char name[SGI_SVD_NAME];
  if (!info) return SG_OK;
  sgi_svd_name(w, name);
  if (info == LAPACK_WORK_MEMORY_ERROR || info == LAPACK_TRANSPOSE_MEMORY_ERROR)
    return sgi_fail(err, SG_ERR_MEMORY, "%s: out of memory for a %s", name, what);
  if (info > 0) return sgi_fail(err, SG_ERR_NUMERIC, "%s: the %s did not converge", name, what);
  return sgi_fail(err, SG_ERR_NUMERIC, "%s: NaN or infinity in the weights", name);
}

static bool all_finite(const double *x, size_t n) {
  double s = 0;
  for (size_t i = 0; i < n; i++) s += x[i] * 0;
  return s == 0;
}

static double squares(const double *x, size_t n) {
  double s = 0;
  for (size_t i = 0; i < n; i++) s += x[i] * x[i];
  return s;
}

/* Column-major: a (m,n) is overwritten, u (m,k), vt (k,n), k = min(m,n). */
static sg_status decompose(const sgi_svd_which *w, size_t m, size_t n, double *a, double *values, double *u, double *vt,
                           sg_error *err) {
  lapack_int k = (lapack_int)(m < n ? m : n), rows = (lapack_int)m;
  char name[SGI_SVD_NAME];
  sgi_svd_name(w, name);
  if (!all_finite(a, m * n)) return sgi_fail(err, SG_ERR_NUMERIC, "%s: NaN or infinity in the weights", name);
  return judge(LAPACKE_dgesdd(LAPACK_COL_MAJOR, 'S', rows, (lapack_int)n, a, rows, values, u, rows, vt, k),
               "singular value decomposition", w, err);
}

/* x (m,n) column-major becomes q (m,k); r (k,n) column-major gets the triangle. */
static sg_status factor(const sgi_svd_which *w, size_t m, size_t n, double *x, double *r, sg_error *err) {
  size_t k = m < n ? m : n;
  char name[SGI_SVD_NAME];
  sgi_svd_name(w, name);
  if (!all_finite(x, m * n)) return sgi_fail(err, SG_ERR_NUMERIC, "%s: NaN or infinity in the weights", name);
  double *tau = sgi_alloc(k * sizeof *tau);
  if (!tau) return sgi_fail_memory(err, k * sizeof *tau, "a QR decomposition");
  sg_status st =
      judge(LAPACKE_dgeqrf(LAPACK_COL_MAJOR, (lapack_int)m, (lapack_int)n, x, (lapack_int)m, tau), "QR", w, err);
  for (size_t j = 0; j < n && !st; j++)
    for (size_t i = 0; i < k; i++) r[j * k + i] = i <= j ? x[j * m + i] : 0;
  if (!st)
    st = judge(LAPACKE_dorgqr(LAPACK_COL_MAJOR, (lapack_int)m, (lapack_int)k, (lapack_int)k, x, (lapack_int)m, tau),
               "QR", w, err);
  sgi_free(tau);
  return st;
}

sg_status sgi_svd_rotation(uint64_t seed, uint64_t sub, size_t n, double *q, sg_error *err) {
  sgi_rng rng = sgi_rng_make(seed, SGI_STREAM_ROTATION, sub);
  sgi_svd_which w = {.matrix = SGI_SVD_EMBEDDING};
  double *r = sgi_alloc(n * n * sizeof *r);
  if (!r) return sgi_fail_memory(err, n * n * sizeof *r, "a rotation");
  for (size_t i = 0; i < n * n; i++) q[i] = sgi_rng_normal(&rng);
  sg_status st = factor(&w, n, n, q, r, err);
  /* With a positive diagonal the factorisation is unique, so that Q is uniform. */
  for (size_t j = 0; j < n && !st; j++)
    for (size_t i = 0; i < n && r[j * n + j] < 0; i++) q[j * n + i] = -q[j * n + i];
  sgi_free(r);
  return st;
}

/* ---- heads: M = A B^T with (D,d) factors ----------------------------------------------------- */

/* out (d,D): column a of a head's projection W (H d, D), times the norm's gain: diag(g) W_h^T. */
static void projection(const sgi_sublayer *s, size_t tensor, size_t head, double *out) {
  size_t D = s->config->hidden_size, d = s->config->head_dim;
  const float *gain = s->w[SGI_T_NORM];
  for (size_t a = 0; a < d; a++) {
    sgi_slice row = sgi_weight_row(s->weight[tensor], head * d + a);
    for (size_t i = 0; i < D; i++) out[a * D + i] = (double)sgi_slice_at(&row, i) * (double)gain[i];
  }
}

static void scale_columns(double *x, const float *gain, size_t d, size_t D) {
  for (size_t a = 0; a < d; a++)
    for (size_t i = 0; i < D; i++) x[a * D + i] *= (double)gain[a];
}

/* Keys as a query sees them `distance` positions further on: turned back by that many steps
 * (rotary.c: first and second half of a head are a pair's numbers). */
static void turn_back(double *x, size_t distance, double theta, size_t d, size_t D) {
  size_t half = d / 2;
  for (size_t j = 0; j < half; j++) {
    double angle = -(double)distance * pow(theta, -2.0 * (double)j / (double)d), c = cos(angle), s = sin(angle);
    double *a = x + j * D, *b = x + (j + half) * D;
    for (size_t i = 0; i < D; i++) {
      double u = a[i], v = b[i];
      a[i] = u * c - v * s;
      b[i] = v * c + u * s;
    }
  }
}

/* out (d,D): a head's columns of the output map (D, H d). */
static void written(const sgi_sublayer *s, size_t head, double *out) {
  size_t D = s->config->hidden_size, d = s->config->head_dim;
  for (size_t i = 0; i < D; i++) {
    sgi_slice row = sgi_weight_row(s->weight[SGI_T_O], i);
    for (size_t a = 0; a < d; a++) out[a * D + i] = (double)sgi_slice_at(&row, head * d + a);
  }
}

/* |A B^T|^2 = sum over a, b of (A^T A)[a,b] (B^T B)[a,b]; x, y (d,D). */
static double product_squares(const double *x, const double *y, size_t d, size_t D) {
  double sum = 0;
  for (size_t a = 0; a < d; a++)
    for (size_t b = 0; b < d; b++) {
      double xx = 0, yy = 0;
      for (size_t i = 0; i < D; i++) {
        xx += x[a * D + i] * x[b * D + i];
        yy += y[a * D + i] * y[b * D + i];
      }
      sum += xx * yy;
    }
  return sum;
}

/* out (k,D) = rows j: sum over a of u[j * k + a] q row a. */
static void lift(double *out, const double *u, size_t step_j, size_t step_a, const double *q, size_t k, size_t D) {
  for (size_t j = 0; j < k; j++)
    for (size_t a = 0; a < k; a++) {
      double f = u[j * step_j + a * step_a];
      for (size_t i = 0; i < D; i++) out[j * D + i] += f * q[a * D + i];
    }
}

/* x, y (d,D) are used up. */
static sg_status of_factors(sgi_svd *s, double *x, double *y, size_t d, sg_error *err) {
  size_t D = s->rows, k = s->n, cells = k * (2 * d + 4 * k);
  double *room = sgi_alloc(cells * sizeof *room);
  if (!room) return sgi_fail_memory(err, cells * sizeof *room, "a head's core");
  double *rx = room, *ry = rx + k * d, *core = ry + k * d, *u = core + k * k, *vt = u + k * k;
  s->frobenius2 = product_squares(x, y, d, D);
  sg_status st = factor(&s->which, D, d, x, rx, err);
  if (!st) st = factor(&s->which, D, d, y, ry, err);
  for (size_t j = 0; j < k && !st; j++)
    for (size_t a = 0; a < d; a++)
      for (size_t i = 0; i < k; i++) core[j * k + i] += rx[a * k + i] * ry[a * k + j];
  if (!st) st = decompose(&s->which, k, k, core, s->values, u, vt, err);
  if (!st) {
    lift(s->left, u, k, 1, x, k, D);
    lift(s->right, vt, 1, k, y, k, D);
  }
  sgi_free(room);
  return st;
}

static sg_status of_head(const sg_model *m, sgi_svd *s, sg_error *err) {
  const sgi_sublayer *a = sgi_attention_of(m, s->which.layer);
  size_t D = s->rows, d = a->config->head_dim, head = s->which.head;
  double *x = sgi_alloc(2 * d * D * sizeof *x);
  if (!x) return sgi_fail_memory(err, 2 * d * D * sizeof *x, "a head's factors");
  double *y = x + d * D;
  if (s->which.matrix == SGI_SVD_QK) {
    projection(a, SGI_T_Q, head, x);
    projection(a, SGI_T_K, head, y);
    scale_columns(x, a->w[SGI_T_Q_NORM], d, D);
    scale_columns(y, a->w[SGI_T_K_NORM], d, D);
    turn_back(y, s->which.distance, m->config.rope_theta, d, D);
  } else {
    projection(a, SGI_T_V, head, x);
    written(a, head, y);
  }
  sg_status st = of_factors(s, x, y, d, err);
  sgi_free(x);
  return st;
}

/* ---- rows: X (N,D) of neurons or tokens ------------------------------------------------------ */

/* x (N,D) is used up; wide: (n,N) directions over the rows, deep: (n,D). */
static sg_status of_rows(sgi_svd *s, double *x, size_t N, size_t D, double *wide, double *deep, sg_error *err) {
  size_t k = s->n;
  double *vt = sgi_alloc(k * N * sizeof *vt);
  if (!vt) return sgi_fail_memory(err, k * N * sizeof *vt, "singular directions");
  s->frobenius2 = squares(x, N * D);
  /* Row by row is column by column of the transpose: U belongs to the D side. */
  sg_status st = decompose(&s->which, D, N, x, s->values, deep, vt, err);
  for (size_t j = 0; j < k && !st; j++)
    for (size_t i = 0; i < N; i++) wide[j * N + i] = vt[i * k + j];
  sgi_free(vt);
  return st;
}

static bool unit_at(const sgi_sublayer *s, size_t channel, size_t index, sgi_unit *u) {
  return s->ffn->unit_at && s->ffn->unit_at(s->config, s->weight + SGI_T_OWN, channel, index, u);
}

sg_status sgi_svd_pool(const sg_model *m, size_t layer, size_t *channels, size_t *per_channel, sg_error *err) {
  const sgi_sublayer *s;
  sgi_unit a, b;
  sg_status st = sgi_feedforward_find(m, layer, &s, err);
  if (st) return st;
  if (!unit_at(s, 0, 0, &a))
    return sgi_fail(err, SG_ERR_UNSUPPORTED, "layer %zu: feedforward kind \"%s\" has no neurons with rows of their own",
                    layer, s->ffn->name);
  *per_channel = s->config->num_neurons;
  *channels = sgi_unit_channels(s->config);
  if (*channels > 1 && unit_at(s, 1, 0, &b) && a.in.weight == b.in.weight && a.in.at == b.in.at) *channels = 1;
  return SG_OK;
}

/* The neurons that take part, in order: all of the channels asked for, or a draw of them. */
static sg_status choose_units(const sg_model *m, sgi_svd *s, size_t *count, sg_error *err) {
  const sgi_svd_which *w = &s->which;
  size_t channels, per, first = 0, all, bytes;
  sg_status st = sgi_svd_pool(m, w->layer, &channels, &per, err);
  if (st) return st;
  if (w->channel >= (ptrdiff_t)channels)
    return sgi_fail(err, SG_ERR_ARG, "channel %td: layer %zu has channels 0 to %zu", w->channel, w->layer,
                    channels - 1);
  if (w->channel >= 0) {
    first = (size_t)w->channel * per;
    channels = 1;
  }
  all = channels * per;
  *count = w->draw && w->draw < all ? w->draw : all;
  if (all > UINT32_MAX || !sgi_size_mul(*count, sizeof *s->unit, &bytes) || !(s->unit = sgi_alloc(bytes)))
    return sgi_fail_memory(err, *count * sizeof *s->unit, "a list of neurons");
  s->per_channel = per;
  for (size_t i = 0; i < *count; i++)
    s->unit[i] = (uint32_t)(first + (*count == all ? i : sgi_rng_permute(w->seed, SGI_STREAM_ROTATION, 1, all, i)));
  return SG_OK;
}

/* x (N,D): input rows times the norm's gain, or output rows. */
static void unit_rows(const sg_model *m, const sgi_svd *s, size_t N, double *x) {
  const sgi_sublayer *f = sgi_feedforward_of(m, s->which.layer);
  size_t D = m->config.hidden_size;
  const float *gain = f->w[SGI_T_NORM];
  for (size_t r = 0; r < N; r++) {
    sgi_unit u = {0};
    unit_at(f, s->unit[r] / s->per_channel, s->unit[r] % s->per_channel, &u);
    for (size_t d = 0; d < D; d++)
      x[r * D + d] = s->which.matrix == SGI_SVD_MLP_IN ? (double)sgi_slice_at(&u.in, d) * (double)gain[d]
                                                       : (double)sgi_slice_at(&u.out, d);
  }
}

static void token_rows(const sg_model *m, const sgi_svd *s, size_t V, double *x) {
  size_t D = m->config.hidden_size;
  for (size_t t = 0; t < V; t++) {
    sgi_slice row = sgi_embedding_of(m, t);
    for (size_t d = 0; d < D; d++) x[t * D + d] = (double)sgi_slice_at(&row, d);
  }
  for (size_t d = 0; d < D && s->which.matrix == SGI_SVD_CENTRED; d++) {
    double mean = 0;
    for (size_t t = 0; t < V; t++) mean += x[t * D + d];
    for (size_t t = 0; t < V; t++) x[t * D + d] -= mean / (double)V;
  }
}

/* ---- all of them ----------------------------------------------------------------------------- */

static sg_status room_for(sgi_svd *s, sg_error *err) {
  size_t left, right;
  s->n = s->rows < s->columns ? s->rows : s->columns;
  if (s->which.matrix <= SGI_SVD_OV && s->per_channel < s->n) s->n = s->per_channel; /* a head's width */
  if (!sgi_size_mul(s->n, s->rows * sizeof(double), &left) ||
      !sgi_size_mul(s->n, s->columns * sizeof(double), &right) || s->rows > INT32_MAX / 2 / (s->columns + 1))
    return sgi_fail(err, SG_ERR_UNSUPPORTED, "a matrix of %zu x %zu is too large to decompose", s->rows, s->columns);
  s->values = sgi_alloc(s->n * sizeof *s->values);
  s->left = sgi_alloc(left);
  s->right = sgi_alloc(right);
  s->subspace = sgi_alloc(s->n * sizeof *s->subspace);
  return s->values && s->left && s->right && s->subspace ? SG_OK
                                                         : sgi_fail_memory(err, left + right, "singular directions");
}

static void find_ties(sgi_svd *s) {
  for (size_t i = 1; i < s->n; i++)
    s->subspace[i] = s->values[i - 1] - s->values[i] < SGI_SVD_TIE * s->values[0] ? s->subspace[i - 1] : i;
}

static sg_status make_head(const sg_model *m, sgi_svd *s, sg_error *err) {
  const sgi_svd_which *w = &s->which;
  const sg_config *c = &m->config;
  const sgi_sublayer *a = w->layer < c->num_layers ? sgi_attention_of(m, w->layer) : NULL;
  if (w->layer >= c->num_layers)
    return sgi_fail(err, SG_ERR_ARG, "layer %zu: the model has layers 0 to %zu", w->layer, c->num_layers - 1);
  if (!a) return sgi_fail(err, SG_ERR_UNSUPPORTED, "layer %zu of this model has no attention", w->layer);
  if (w->head >= a->config->num_heads)
    return sgi_fail(err, SG_ERR_ARG, "head %zu: layer %zu has heads 0 to %zu", w->head, w->layer,
                    a->config->num_heads - 1);
  s->rows = s->columns = c->hidden_size;
  s->per_channel = a->config->head_dim;
  s->on_left = SGI_SVD_READ;
  s->on_right = w->matrix == SGI_SVD_QK ? SGI_SVD_READ : SGI_SVD_WRITTEN;
  sg_status st = room_for(s, err);
  return st ? st : of_head(m, s, err);
}

static sg_status make_rows(const sg_model *m, sgi_svd *s, sg_error *err) {
  size_t D = m->config.hidden_size, N = m->config.vocab_size;
  bool in = s->which.matrix == SGI_SVD_MLP_IN, tokens = s->which.matrix >= SGI_SVD_EMBEDDING;
  sg_status st = tokens ? SG_OK : choose_units(m, s, &N, err);
  s->rows = in ? D : N;
  s->columns = in ? N : D;
  s->on_left = in ? SGI_SVD_READ : tokens ? SGI_SVD_TOKENS : SGI_SVD_NEURONS;
  s->on_right = in ? SGI_SVD_NEURONS : tokens ? SGI_SVD_READ : SGI_SVD_WRITTEN;
  if (!st) st = room_for(s, err);
  double *x = st ? NULL : sgi_alloc(N * D * sizeof *x);
  if (!st && !x) st = sgi_fail_memory(err, N * D * sizeof *x, "a matrix of weights");
  if (!st) {
    if (tokens)
      token_rows(m, s, N, x);
    else
      unit_rows(m, s, N, x);
    st = of_rows(s, x, N, D, in ? s->right : s->left, in ? s->left : s->right, err);
  }
  sgi_free(x);
  return st;
}

sg_status sgi_svd_make(const sg_model *m, const sgi_svd_which *w, sgi_svd **out, sg_error *err) {
  *out = NULL;
  sgi_svd *s = sgi_alloc(sizeof *s);
  if (!s) return sgi_fail_memory(err, sizeof *s, "a decomposition");
  s->which = *w;
  sg_status st = w->matrix <= SGI_SVD_OV ? make_head(m, s, err) : make_rows(m, s, err);
  if (!st) {
    double sum = squares(s->values, s->n);
    if (!(fabs(sum - s->frobenius2) <= CHECK * s->frobenius2))
      st = sgi_fail(err, SG_ERR_INTERNAL,
                    "%s: squares of the singular values add up to %.17g, those of the matrix to %.17g",
                    sgi_svd_matrix_names[w->matrix], sum, s->frobenius2);
    find_ties(s);
  }
  if (st)
    sgi_svd_free(s);
  else
    *out = s;
  return st;
}

/* ---- tokens ---------------------------------------------------------------------------------- */

sg_status sgi_svd_words_make(const sg_model *m, sgi_svd_words *out, sg_error *err) {
  const sgi_weight *e = &m->weights[SGI_ROW_EMBED];
  size_t V = m->config.vocab_size, D = m->config.hidden_size;
  *out = (sgi_svd_words){.V = V, .D = D, .gain = m->w[sgi_final_norm_row(m)]};
  if (e->dtype == SGI_F32) {
    out->rows = sgi_f32(e);
  } else {
    out->rows = out->own = sgi_alloc(V * D * sizeof *out->own);
    if (!out->own) return sgi_fail_memory(err, V * D * sizeof *out->own, "an embedding");
    sgi_weight_to_float(out->own, e);
  }
  for (int side = 0; side < 2; side++) {
    double *norm = out->norm[side] = sgi_alloc(V * sizeof *norm);
    if (!norm) {
      sgi_svd_words_deinit(out);
      return sgi_fail_memory(err, V * sizeof *norm, "lengths of tokens");
    }
    for (size_t t = 0; t < V; t++) {
      double s = 0;
      for (size_t d = 0; d < D; d++) {
        double x = (double)out->rows[t * D + d] * (side == SGI_SVD_WRITTEN ? (double)out->gain[d] : 1);
        s += x * x;
      }
      norm[t] = sqrt(s);
    }
  }
  return SG_OK;
}

void sgi_svd_words_deinit(sgi_svd_words *w) {
  sgi_free(w->own);
  sgi_free(w->norm[0]);
  sgi_free(w->norm[1]);
  *w = (sgi_svd_words){0};
}

void sgi_svd_scores(const sgi_svd_words *w, sgi_svd_side side, bool cosine, const double *direction, double *scores) {
#pragma omp parallel for schedule(static) if (w->V > 1024)
  for (size_t t = 0; t < w->V; t++) {
    const float *row = w->rows + t * w->D;
    double s = 0;
    if (side == SGI_SVD_WRITTEN)
      for (size_t d = 0; d < w->D; d++) s += (double)row[d] * (double)w->gain[d] * direction[d];
    else
      for (size_t d = 0; d < w->D; d++) s += (double)row[d] * direction[d];
    double norm = w->norm[side][t];
    scores[t] = !cosine ? s : norm > 0 ? s / norm : 0;
  }
}

size_t sgi_svd_nearest(const double *scores, const bool *skip, size_t V, bool smallest, size_t n, int32_t *ids) {
  size_t found = 0;
  for (size_t t = 0; t < V && n; t++) {
    if (skip && skip[t]) continue;
    double s = smallest ? -scores[t] : scores[t];
    if (found == n && !(s > (smallest ? -scores[ids[n - 1]] : scores[ids[n - 1]]))) continue;
    size_t at = found < n ? found++ : n - 1;
    for (; at && s > (smallest ? -scores[ids[at - 1]] : scores[ids[at - 1]]); at--) ids[at] = ids[at - 1];
    ids[at] = (int32_t)t;
  }
  return found;
}
