/* umap_knn.c: exact neighbours of sparse vectors, through lists of each column's points; and how
 * well a picture keeps them. */
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "read/umap.h"

sg_status sgi_vectors_dense(const float *x, size_t n, size_t d, sgi_vectors *out, sg_error *err) {
  size_t used = 0, at = 0;
  *out = (sgi_vectors){.n = n, .columns = d};
  if (d > UINT32_MAX) return sgi_fail(err, SG_ERR_ARG, "vectors of %zu numbers are too long", d);
  for (size_t i = 0; i < n * d; i++) used += x[i] != 0;
  size_t *start = sgi_alloc((n + 1) * sizeof *start);
  uint32_t *column = sgi_alloc((used + 1) * sizeof *column);
  float *value = sgi_alloc((used + 1) * sizeof *value);
  out->start = start;
  out->column = column;
  out->value = value;
  if (!start || !column || !value) {
    sgi_vectors_free(out);
    return sgi_fail_memory(err, used * sizeof *value, "vectors");
  }
  for (size_t i = 0; i < n; i++) {
    for (size_t j = 0; j < d; j++) {
      if (x[i * d + j] == 0) continue;
      column[at] = (uint32_t)j;
      value[at++] = x[i * d + j];
    }
    start[i + 1] = at;
  }
  return SG_OK;
}

void sgi_vectors_free(sgi_vectors *v) {
  sgi_free((void *)(uintptr_t)v->start);
  sgi_free((void *)(uintptr_t)v->column);
  sgi_free((void *)(uintptr_t)v->value);
  *v = (sgi_vectors){0};
}

/* ---- distances of one point to all ----------------------------------------------------------- */

/* Column lists: which points have a coordinate, and its value. */
typedef struct columns {
  const sgi_vectors *v;
  size_t *start; /* (columns + 1) */
  uint32_t *point;
  float *value;
  double *norm2; /* (n) */
} columns;

static void columns_free(columns *c) {
  sgi_free(c->start);
  sgi_free(c->point);
  sgi_free(c->value);
  sgi_free(c->norm2);
}

static sg_status columns_make(const sgi_vectors *v, columns *c, sg_error *err) {
  size_t used = v->start[v->n];
  *c = (columns){.v = v,
                 .start = sgi_alloc((v->columns + 2) * sizeof *c->start),
                 .point = sgi_alloc((used + 1) * sizeof *c->point),
                 .value = sgi_alloc((used + 1) * sizeof *c->value),
                 .norm2 = sgi_alloc(v->n * sizeof *c->norm2)};
  if (!c->start || !c->point || !c->value || !c->norm2) {
    columns_free(c);
    return sgi_fail_memory(err, used * sizeof *c->value, "lists of neighbours");
  }
  for (size_t k = 0; k < used; k++) c->start[v->column[k] + 2]++;
  for (size_t j = 2; j < v->columns + 2; j++) c->start[j] += c->start[j - 1];
  for (size_t i = 0; i < v->n; i++)
    for (size_t k = v->start[i]; k < v->start[i + 1]; k++) {
      size_t at = c->start[v->column[k] + 1]++;
      c->point[at] = (uint32_t)i;
      c->value[at] = v->value[k];
      c->norm2[i] += (double)v->value[k] * (double)v->value[k];
    }
  return SG_OK;
}

/* distance (n) of point i to every point. Sums run in the order of i's coordinates, as in norm2:
 * equal vectors are at 0. */
static void distances(const columns *c, size_t i, double *distance) {
  const sgi_vectors *v = c->v;
  memset(distance, 0, v->n * sizeof *distance);
  for (size_t k = v->start[i]; k < v->start[i + 1]; k++) {
    double x = (double)v->value[k];
    for (size_t at = c->start[v->column[k]]; at < c->start[v->column[k] + 1]; at++)
      distance[c->point[at]] += x * (double)c->value[at];
  }
  for (size_t j = 0; j < v->n; j++) {
    double both = sqrt(c->norm2[i] * c->norm2[j]), d = distance[j] != 0 && both > 0 ? 1 - distance[j] / both : 1;
    distance[j] = d > 0 ? d : 0;
  }
}

static void nearest(const double *distance, size_t n, size_t i, size_t k, int32_t *index, double *out) {
  size_t used = 1;
  index[0] = (int32_t)i;
  out[0] = 0;
  for (size_t j = 0; j < n; j++) {
    if (j == i || (used == k && distance[j] >= out[k - 1])) continue;
    size_t at = used < k ? used++ : k - 1;
    for (; at > 1 && out[at - 1] > distance[j]; at--) {
      out[at] = out[at - 1];
      index[at] = index[at - 1];
    }
    out[at] = distance[j];
    index[at] = (int32_t)j;
  }
}

static size_t threads_for(size_t n) {
  size_t t = (size_t)omp_get_max_threads();
  return t < n ? t : n;
}

/* Points between two looks at the caller's progress. */
enum { KNN_PART = 1024 };

sg_status sgi_knn_exact(const sgi_vectors *v, size_t k, sgi_knn *out, sg_error *err) {
  return sgi_knn_watched(v, k, out, NULL, NULL, err);
}

sg_status sgi_knn_watched(const sgi_vectors *v, size_t k, sgi_knn *out, sgi_umap_progress progress, void *user,
                          sg_error *err) {
  size_t n = v->n, T = threads_for(n), cells;
  *out = (sgi_knn){.n = n, .k = k};
  if (k < 2 || k > n || n > INT32_MAX || !sgi_size_mul(n, k, &cells))
    return sgi_fail(err, SG_ERR_ARG, "%zu neighbours of %zu points: expected 2 to the number of points", k, n);
  columns c;
  sg_status st = columns_make(v, &c, err);
  if (st) return st;
  out->index = sgi_alloc(cells * sizeof *out->index);
  out->distance = sgi_alloc(cells * sizeof *out->distance);
  double *all = sgi_alloc(T * n * sizeof *all);
  if (!out->index || !out->distance || !all) {
    st = sgi_fail_memory(err, T * n * sizeof *all, "neighbours");
  }
  for (size_t from = 0; from < n && !st; from += KNN_PART) {
    size_t to = from + KNN_PART < n ? from + KNN_PART : n;
#pragma omp parallel for schedule(dynamic, 16) num_threads((int)T)
    for (size_t i = from; i < to; i++) {
      double *row = all + (size_t)omp_get_thread_num() * n;
      distances(&c, i, row);
      nearest(row, n, i, k, out->index + i * k, out->distance + i * k);
    }
    if (progress && !progress(user, to, n)) st = sgi_fail(err, SG_ERR_CANCELLED, "the map was stopped");
  }
  if (st) sgi_knn_free(out);
  sgi_free(all);
  columns_free(&c);
  return st;
}

void sgi_knn_free(sgi_knn *knn) {
  sgi_free(knn->index);
  sgi_free(knn->distance);
  *knn = (sgi_knn){0};
}

/* ---- the picture against the data ------------------------------------------------------------ */

static void picture_distances(const float *xy, size_t n, size_t i, double *distance) {
  for (size_t j = 0; j < n; j++) {
    double dx = (double)xy[2 * i] - (double)xy[2 * j], dy = (double)xy[2 * i + 1] - (double)xy[2 * j + 1];
    distance[j] = dx * dx + dy * dy;
  }
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Penalty of one point: its k nearest in the picture sorted by data distance `near`; points that
 * tie in the data share ranks lo..hi, and the m of them that are near take the lowest (least) or
 * the highest (most) of these. */
static void penalty(const double *data, size_t n, size_t i, double *near, size_t k, double *least, double *most) {
  qsort(near, k, sizeof *near, ascending);
  for (size_t a = 0; a < k;) {
    size_t m = 1, lower = 0, equal = 0;
    while (a + m < k && near[a + m] == near[a]) m++;
    for (size_t j = 0; j < n; j++) {
      lower += j != i && data[j] < near[a];
      equal += j != i && data[j] == near[a];
    }
    for (size_t t = 0; t < m; t++) {
      double low = (double)(lower + 1 + t), high = (double)(lower + equal - t);
      *least += low > (double)k ? low - (double)k : 0;
      *most += high > (double)k ? high - (double)k : 0;
    }
    a += m;
  }
}

/* Scratch of one thread: distances in data and picture, and the k nearest. */
typedef struct scratch {
  double *data, *picture, *near;
  int32_t *index;
} scratch;

static scratch *scratch_make(size_t T, size_t n, size_t k, char **block) {
  size_t each = 2 * n + k;
  scratch *s = sgi_alloc(T * sizeof *s);
  double *numbers = sgi_alloc(T * (each + k + 1) * sizeof *numbers);
  int32_t *index = sgi_alloc(T * (k + 1) * sizeof *index);
  *block = NULL;
  if (!s || !numbers || !index) {
    sgi_free(s);
    sgi_free(numbers);
    sgi_free(index);
    return NULL;
  }
  *block = (char *)numbers;
  for (size_t t = 0; t < T; t++) {
    double *at = numbers + t * (each + k + 1);
    s[t] = (scratch){at, at + n, at + 2 * n, index + t * (k + 1)};
  }
  return s;
}

static void scratch_free(scratch *s, char *block) {
  if (s) sgi_free(s[0].index);
  sgi_free(s);
  sgi_free(block);
}

sg_status sgi_trustworthiness(const sgi_vectors *v, const float *xy, size_t k, double *min, double *max,
                              sg_error *err) {
  size_t n = v->n, T = threads_for(n);
  if (!k || 2 * k >= n)
    return sgi_fail(err, SG_ERR_ARG, "trustworthiness at %zu of %zu points: expected less than half", k, n);
  columns c;
  sg_status st = columns_make(v, &c, err);
  if (st) return st;
  char *block;
  scratch *all = scratch_make(T, n, k, &block);
  double *low = sgi_alloc(n * sizeof *low), *high = sgi_alloc(n * sizeof *high);
  if (!all || !low || !high) {
    st = sgi_fail_memory(err, 2 * T * n * sizeof *low, "trustworthiness");
  } else {
#pragma omp parallel for schedule(dynamic, 16) num_threads((int)T)
    for (size_t i = 0; i < n; i++) {
      scratch *s = &all[omp_get_thread_num()];
      distances(&c, i, s->data);
      picture_distances(xy, n, i, s->picture);
      nearest(s->picture, n, i, k + 1, s->index, s->near);
      for (size_t a = 0; a < k; a++) s->near[a] = s->data[s->index[a + 1]];
      penalty(s->data, n, i, s->near, k, &low[i], &high[i]);
    }
    double least = 0, most = 0;
    for (size_t i = 0; i < n; i++) least += low[i], most += high[i];
    double unit = 2 / ((double)n * (double)k * (2 * (double)n - 3 * (double)k - 1));
    *max = 1 - unit * least;
    *min = 1 - unit * most;
  }
  sgi_free(low);
  sgi_free(high);
  scratch_free(all, block);
  columns_free(&c);
  return st;
}

sg_status sgi_label_share(const int32_t *label, const float *xy, size_t n, size_t k, double *out, sg_error *err) {
  if (!k || k >= n) return sgi_fail(err, SG_ERR_ARG, "%zu neighbours of %zu points", k, n);
  char *block;
  scratch *s = scratch_make(1, n, k, &block);
  if (!s) return sgi_fail_memory(err, 2 * n * sizeof(double), "shares of labels");
  size_t same = 0;
  for (size_t i = 0; i < n; i++) {
    picture_distances(xy, n, i, s->picture);
    nearest(s->picture, n, i, k + 1, s->index, s->near);
    for (size_t a = 1; a <= k; a++) same += label[s->index[a]] == label[i];
  }
  *out = (double)same / (double)(n * k);
  scratch_free(s, block);
  return SG_OK;
}
