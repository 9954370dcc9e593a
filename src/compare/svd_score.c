#include "compare/svd_score.h"

#include <math.h>
#include <string.h>

#include "core/arena.h"
#include "math/gemm.h"
#include "read/score.h"

enum { SIZES = 4 }; /* different numbers of directions whose rotations are kept */

typedef struct rotations {
  size_t n;
  float *q; /* (rotations,n,n) */
} rotations;

typedef struct job {
  const sg_model *m;
  const sgi_svd_score_request *r;
  sgi_svd_scores_all *out;
  float *rows[2]; /* (V,D): tokens as they are read and written; the first may be the model's */
  sgi_svd_words words;
  float *gained;
  rotations kept[SIZES];
  size_t done, wanted;
} job;

/* ---- lists of tokens ------------------------------------------------------------------------- */

static double mean_npmi(const sgi_npmi *t, const int32_t *ids, size_t n) {
  double sum = 0;
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < i; j++) sum += sgi_npmi_of(t, ids[i], ids[j]);
  return n > 1 ? sum / (double)(n * (n - 1) / 2) : 0;
}

static double shared_category(const uint64_t *categories, const int32_t *ids, size_t n) {
  size_t count[64] = {0}, most = 0;
  for (size_t i = 0; i < n; i++)
    for (uint64_t left = categories[ids[i]]; left; left &= left - 1) {
      size_t c = ++count[__builtin_ctzll(left)];
      if (c > most) most = c;
    }
  return n ? (double)most / (double)n : 0;
}

void sgi_svd_score_list(const sgi_svd_score_request *r, const int32_t *ids, size_t n, double score[SGI_SVD_MEASURES]) {
  score[SGI_SVD_NPMI] = mean_npmi(r->npmi, ids, n);
  score[SGI_SVD_LABEL] = r->categories ? shared_category(r->categories, ids, n) : 0;
}

/* The largest products, or the smallest: ties to the lower id. */
static size_t ends_of(const float *p, const bool *skip, size_t V, float sign, size_t n, int32_t *ids) {
  size_t found = 0;
  for (size_t t = 0; t < V; t++) {
    float s = sign * p[t];
    if ((found == n && !(s > sign * p[ids[n - 1]])) || skip[t]) continue;
    size_t at = found < n ? found++ : n - 1;
    for (; at && s > sign * p[ids[at - 1]]; at--) ids[at] = ids[at - 1];
    ids[at] = (int32_t)t;
  }
  return found;
}

/* scores (n,2,MEASURES) of directions with products p (n,V). */
static void score_all(const job *j, const float *p, size_t n, double *scores) {
  size_t V = j->words.V;
#pragma omp parallel for schedule(dynamic, 4)
  for (size_t e = 0; e < 2 * n; e++) {
    int32_t ids[SGI_SVD_NEAREST];
    size_t found = ends_of(p + e / 2 * V, j->r->skip, V, e % 2 ? -1 : 1, j->r->nearest, ids);
    sgi_svd_score_list(j->r, ids, found, scores + e * SGI_SVD_MEASURES);
  }
}

/* ---- rotations ------------------------------------------------------------------------------- */

static sg_status rotations_of(job *j, size_t n, const float **q, sg_error *err) {
  size_t i = 0, bytes, R = j->r->rotations;
  for (; i < SIZES && j->kept[i].n; i++)
    if (j->kept[i].n == n) {
      *q = j->kept[i].q;
      return SG_OK;
    }
  if (i == SIZES) {
    sgi_free(j->kept[--i].q);
    j->kept[i] = (rotations){0};
  }
  if (!sgi_size_mul(R * sizeof(float), n * n, &bytes)) bytes = SIZE_MAX;
  double *x = sgi_alloc(n * n * sizeof *x);
  float *all = sgi_alloc(bytes);
  sg_status st = x && all ? SG_OK : sgi_fail_memory(err, bytes, "random rotations");
  for (size_t k = 0; k < R && !st; k++) {
    st = sgi_svd_rotation(j->r->seed, k, n, x, err);
    for (size_t e = 0; e < n * n && !st; e++) all[k * n * n + e] = (float)x[e];
    if (!st && j->r->progress && !j->r->progress(j->r->user, j->done, j->wanted))
      st = sgi_fail(err, SG_ERR_CANCELLED, "stopped");
  }
  sgi_free(x);
  if (st) {
    sgi_free(all);
    return st;
  }
  j->kept[i] = (rotations){n, all};
  *q = all;
  return SG_OK;
}

/* ---- one set of directions ------------------------------------------------------------------- */

typedef struct control {
  double sum, squares;
  size_t above;
} control;

static void add_rotation(const double *scores, size_t ends, size_t measure, double own, control *c) {
  double sum = 0;
  for (size_t e = 0; e < ends; e++) {
    double x = scores[e * SGI_SVD_MEASURES + measure];
    sum += x;
    c->squares += x * x;
  }
  c->sum += sum;
  c->above += sum / (double)ends >= own;
}

static double mean_of(const double *x, size_t n) {
  double s = 0;
  for (size_t i = 0; i < n; i++) s += x[i];
  return s / (double)n;
}

/* z of the ends, and what a side says of all its directions. */
static void judge(sgi_svd_scored *s, size_t k, const control *c, size_t R, double *work) {
  size_t ends = 2 * s->n;
  double count = (double)(R * ends), mean = c->sum / count, var = c->squares / count - mean * mean;
  double *z = work, *index = work + s->n;
  s->control[k] = mean;
  s->spread[k] = var > 0 ? sqrt(var) : 0;
  s->above[k] = (double)c->above / (double)R;
  for (size_t i = 0; i < s->n; i++) {
    z[i] = s->spread[k] > 0 ? (0.5 * (s->score[k][2 * i] + s->score[k][2 * i + 1]) - mean) / s->spread[k] : 0;
    index[i] = (double)i;
  }
  s->z[k] = mean_of(z, s->n);
  s->falls[k] = s->n > 1 ? sgi_rank_correlation(z, index, s->n, work + 2 * s->n) : 0;
}

static sg_status measure(job *j, sgi_svd_scored *s, const float *p, float *turned, double *scores, sg_error *err) {
  size_t n = s->n, V = j->words.V, R = j->r->rotations;
  control c[SGI_SVD_MEASURES] = {{0}};
  double own[SGI_SVD_MEASURES];
  const float *q;
  score_all(j, p, n, scores);
  for (size_t k = 0; k < SGI_SVD_MEASURES; k++) {
    for (size_t e = 0; e < 2 * n; e++) s->score[k][e] = scores[e * SGI_SVD_MEASURES + k];
    own[k] = mean_of(s->score[k], 2 * n);
  }
  sg_status st = rotations_of(j, n, &q, err);
  for (size_t r = 0; r < R && !st; r++) {
    st = sgi_gemm(false, false, n, V, n, q + r * n * n, n, p, V, 0, turned, V);
    if (st) return sgi_fail(err, st, "rotated directions: a matrix product failed");
    score_all(j, turned, n, scores);
    for (size_t k = 0; k < SGI_SVD_MEASURES; k++) add_rotation(scores, 2 * n, k, own[k], &c[k]);
    if (j->r->progress && !j->r->progress(j->r->user, ++j->done, j->wanted))
      st = sgi_fail(err, SG_ERR_CANCELLED, "stopped");
  }
  for (size_t k = 0; k < SGI_SVD_MEASURES && !st; k++) judge(s, k, &c[k], R, scores);
  return st;
}

static sg_status score_side(job *j, size_t family, const sgi_svd *d, bool right, sg_error *err) {
  sgi_svd_scores_all *o = j->out;
  size_t n = d->n, V = j->words.V, D = j->words.D, bytes;
  if (!sgi_room(&o->sides, &o->room, o->n, sizeof *o->sides)) return sgi_fail_memory(err, sizeof *o->sides, "scores");
  sgi_svd_scored *s = &o->sides[o->n++];
  *s = (sgi_svd_scored){.which = d->which, .family = family, .side = right ? d->on_right : d->on_left, .n = n};
  for (size_t k = 0; k < SGI_SVD_MEASURES; k++)
    if (!(s->score[k] = sgi_alloc(2 * n * sizeof *s->score[k]))) return sgi_fail_memory(err, 16 * n, "scores");
  if (!sgi_size_mul(2 * n * sizeof(float), V, &bytes)) bytes = SIZE_MAX;
  float *p = sgi_alloc(bytes), *u = sgi_alloc(n * D * sizeof *u);
  double *scores = sgi_alloc(4 * n * SGI_SVD_MEASURES * sizeof *scores);
  sg_status st = p && u && scores ? SG_OK : sgi_fail_memory(err, bytes, "products of tokens and directions");
  const double *from = right ? d->right : d->left;
  for (size_t i = 0; i < n * D && !st; i++) u[i] = (float)from[i];
  if (!st) {
    st = sgi_gemm(false, true, n, V, D, u, D, j->rows[s->side], D, 0, p, V);
    if (st) sgi_fail(err, st, "tokens along directions: a matrix product failed");
  }
  if (!st) st = measure(j, s, p, p + n * V, scores, err);
  sgi_free(p);
  sgi_free(u);
  sgi_free(scores);
  return st;
}

static sg_status score_matrix(job *j, size_t family, const sgi_svd_which *w, sg_error *err) {
  sgi_svd *d = NULL;
  sg_status st = sgi_svd_make(j->m, w, &d, err);
  if (!st && d->on_left <= SGI_SVD_WRITTEN) st = score_side(j, family, d, false, err);
  if (!st && d->on_right <= SGI_SVD_WRITTEN) st = score_side(j, family, d, true, err);
  sgi_svd_free(d);
  return st;
}

/* ---- all of a model -------------------------------------------------------------------------- */

static bool has_neurons(const sg_model *m, size_t layer, size_t *count) {
  sg_error ignored = {0};
  size_t channels, per;
  bool has = !sgi_svd_pool(m, layer, &channels, &per, &ignored);
  *count = has ? channels * per : 0;
  return has;
}

/* Calls each for every matrix of a family; with job NULL counts its sides times rotations. */
static sg_status walk(job *j, size_t family, size_t *sides, sg_error *err) {
  const sgi_svd_family *f = &j->out->families[family];
  const sg_config *c = &j->m->config;
  sg_status st = SG_OK;
  sgi_svd_which w = {.matrix = f->matrix, .distance = j->r->distance, .channel = -1, .seed = j->r->seed};
  bool head = f->matrix <= SGI_SVD_OV, tokens = f->matrix >= SGI_SVD_EMBEDDING;
  size_t neurons = 0;
  for (w.layer = 0; w.layer < (tokens ? 1 : c->num_layers) && !st; w.layer++) {
    if (head ? !sgi_attention_of(j->m, w.layer) : !tokens && !has_neurons(j->m, w.layer, &neurons)) continue;
    if (f->cut && neurons <= c->head_dim) continue;
    size_t times = head ? c->num_heads : f->cut ? j->r->draws : 1;
    for (size_t i = 0; i < times && !st; i++) {
      if (sides) {
        *sides += head ? 2 : 1;
        continue;
      }
      if (head) w.head = i;
      if (f->cut) w.draw = c->head_dim;
      w.seed = j->r->seed + i;
      st = score_matrix(j, family, &w, err);
    }
  }
  return st;
}

/* Means over the sides of a family, and its curve over the directions' numbers. */
static void sum_up(sgi_svd_scores_all *o, size_t family) {
  sgi_svd_family *f = &o->families[family];
  double squares[SGI_SVD_MEASURES] = {0}, bin2[SGI_SVD_BINS] = {0};
  for (size_t i = 0; i < o->n; i++) {
    const sgi_svd_scored *s = &o->sides[i];
    if (s->family != family) continue;
    f->sides++;
    for (size_t k = 0; k < SGI_SVD_MEASURES; k++) {
      f->of[k].z += s->z[k];
      squares[k] += s->z[k] * s->z[k];
      f->of[k].score += mean_of(s->score[k], 2 * s->n);
      f->of[k].control += s->control[k];
      f->of[k].falls += s->falls[k];
      f->of[k].above += s->above[k];
    }
    for (size_t b = 0; b < SGI_SVD_BINS; b++) {
      size_t from = b * s->n / SGI_SVD_BINS, to = (b + 1) * s->n / SGI_SVD_BINS;
      double z = 0;
      if (to > from && s->spread[0] > 0)
        z = (mean_of(s->score[0] + 2 * from, 2 * (to - from)) - s->control[0]) / s->spread[0];
      o->curve[family][b] += z;
      bin2[b] += z * z;
    }
  }
  double n = (double)f->sides;
  for (size_t k = 0; k < SGI_SVD_MEASURES && f->sides; k++) {
    f->of[k].z /= n;
    f->of[k].score /= n;
    f->of[k].control /= n;
    f->of[k].falls /= n;
    f->of[k].above /= n;
    double var = squares[k] / n - f->of[k].z * f->of[k].z;
    f->of[k].spread = n > 1 && var > 0 ? sqrt(var * n / (n - 1)) : 0;
  }
  for (size_t b = 0; b < SGI_SVD_BINS && f->sides; b++) {
    double mean = o->curve[family][b] /= n, var = bin2[b] / n - mean * mean;
    o->error[family][b] = n > 1 && var > 0 ? sqrt(var / (n - 1)) : 0;
  }
}

static sg_status run(job *j, sg_error *err) {
  static const sgi_svd_family all[] = {{.name = "qk", .matrix = SGI_SVD_QK},
                                       {.name = "ov", .matrix = SGI_SVD_OV},
                                       {.name = "mlp_in", .matrix = SGI_SVD_MLP_IN},
                                       {.name = "mlp_out", .matrix = SGI_SVD_MLP_OUT},
                                       {.name = "mlp_in, cut", .matrix = SGI_SVD_MLP_IN, .cut = true},
                                       {.name = "mlp_out, cut", .matrix = SGI_SVD_MLP_OUT, .cut = true},
                                       {.name = "embedding", .matrix = SGI_SVD_EMBEDDING},
                                       {.name = "embedding_centred", .matrix = SGI_SVD_CENTRED}};
  sg_status st = sgi_svd_words_make(j->m, &j->words, err);
  if (st) return st;
  size_t V = j->words.V, D = j->words.D, sides = 0;
  if (!(j->gained = sgi_alloc(V * D * sizeof *j->gained))) return sgi_fail_memory(err, V * D * 4, "an embedding");
  for (size_t i = 0; i < V * D; i++) j->gained[i] = j->words.rows[i] * j->words.gain[i % D];
  j->rows[SGI_SVD_READ] = (float *)(uintptr_t)j->words.rows;
  j->rows[SGI_SVD_WRITTEN] = j->gained;
  memcpy(j->out->families, all, sizeof all);
  j->out->n_families = SGI_COUNT(all);
  j->out->labels = j->r->categories != NULL;
  for (size_t f = 0; f < j->out->n_families; f++) walk(j, f, &sides, err);
  j->wanted = sides * j->r->rotations;
  for (size_t f = 0; f < j->out->n_families && !st; f++) {
    st = walk(j, f, NULL, err);
    if (!st) sum_up(j->out, f);
  }
  return st;
}

sg_status sgi_svd_score(const sg_model *m, const sgi_svd_score_request *r, sgi_svd_scores_all **out, sg_error *err) {
  *out = NULL;
  if (r->nearest < 2 || r->nearest > SGI_SVD_NEAREST || !r->rotations || r->rotations > 10000 || r->draws > 1000)
    return sgi_fail(err, SG_ERR_ARG, "expected 2 to %d tokens of an end, 1 to 10000 rotations, at most 1000 draws",
                    SGI_SVD_NEAREST);
  sg_status st = sgi_gemm_ready(err);
  if (st) return st;
  job j = {.m = m, .r = r, .out = sgi_alloc(sizeof *j.out)};
  if (!j.out) return sgi_fail_memory(err, sizeof *j.out, "scores");
  st = run(&j, err);
  for (size_t i = 0; i < SIZES; i++) sgi_free(j.kept[i].q);
  sgi_free(j.gained);
  sgi_svd_words_deinit(&j.words);
  if (st)
    sgi_svd_scores_free(j.out);
  else
    *out = j.out;
  return st;
}

void sgi_svd_scores_free(sgi_svd_scores_all *s) {
  if (!s) return;
  for (size_t i = 0; i < s->n; i++)
    for (size_t k = 0; k < SGI_SVD_MEASURES; k++) sgi_free(s->sides[i].score[k]);
  sgi_free(s->sides);
  sgi_free(s);
}
