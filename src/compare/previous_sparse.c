/* Features that say what the token before was (previous.h, sgi_previous_features).
 *
 * Counts of a feature with every token, as the token before and as its own, on both halves; which
 * token it tells is chosen on the first half, how well (F1) is told on the second, so that the best
 * of many is not its own judge. */
#include <math.h>
#include <string.h>

#include "compare/previous.h"
#include "compare/sparse_set.h"

static const double F1_LEAST = 0.8, F1_ABOVE = 0.2;

enum { BEFORE, OWN, KINDS };

typedef struct job {
  const sg_model *m;
  const sgi_sparse_set *set;
  const sgi_previous_request *r;
  size_t V, T, half, row; /* row: of the pass at hand */
  int32_t *inputs;        /* (T) */
  sgi_sparse_work **work; /* (n) */
  size_t *at;             /* (n) of a layer's first feature in the lists below */
  size_t features;
  uint32_t *together; /* (2,KINDS,features,V) */
  uint32_t *acts;     /* (2,features) */
  uint32_t *tokens;   /* (2,KINDS,V) */
} job;

static bool counts(const job *j, size_t t) { return t > 0 && j->r->targets[j->row * j->T + t] != j->m->config.pad_id; }

static uint32_t *cell(const job *j, size_t half, int kind, size_t feature, size_t token) {
  return &j->together[((half * KINDS + (size_t)kind) * j->features + feature) * j->V + token];
}

static sg_status look(void *user, size_t k, const float *x, size_t first, size_t rows, sg_error *err) {
  job *j = user;
  const sgi_sparse_layer *l = &j->set->at[k];
  sgi_sparse_active a;
  size_t half = j->row >= j->half;
  sg_status st = sgi_sparse_forward(j->work[k], &l->form, &l->p, x, rows, NULL, &a, err);
  for (size_t i = 0; i < rows && !st; i++) {
    size_t t = first + i;
    if (!counts(j, t)) continue;
    for (size_t e = a.start[i]; e < a.start[i] + a.count[i]; e++) {
      size_t f = j->at[k] + a.feature[e];
      j->acts[half * j->features + f]++;
      ++*cell(j, half, BEFORE, f, (size_t)j->inputs[t - 1]);
      ++*cell(j, half, OWN, f, (size_t)j->inputs[t]);
    }
  }
  return st;
}

static sg_status run_rows(job *j, const sgi_sparse_place *places, sg_error *err) {
  sgi_pass *pass = NULL;
  sgi_sparse_watch watch = {.places = places, .n = j->set->n, .input = look, .user = j, .stop = true};
  sg_status st = sgi_pass_create(j->m, 1, j->T, false, &pass, err);
  for (j->row = 0; j->row < j->r->rows && !st; j->row++) {
    const int32_t *targets = j->r->targets + j->row * j->T;
    size_t half = j->row >= j->half;
    j->inputs[0] = j->m->config.bos_id;
    memcpy(j->inputs + 1, targets, (j->T - 1) * sizeof *j->inputs);
    for (size_t t = 1; t < j->T; t++)
      if (counts(j, t)) {
        j->tokens[(half * KINDS + BEFORE) * j->V + (size_t)j->inputs[t - 1]]++;
        j->tokens[(half * KINDS + OWN) * j->V + (size_t)j->inputs[t]]++;
      }
    sgi_batch b = {.B = 1, .T = j->T, .inputs = j->inputs};
    st = sgi_sparse_watch_pass(&watch, pass, &b, err);
    if (!st && j->r->progress && !j->r->progress(j->r->user, j->row + 1, j->r->rows))
      st = sgi_fail(err, SG_ERR_CANCELLED, "stopped");
  }
  sgi_pass_free(pass);
  return st;
}

static double f1(const job *j, size_t half, int kind, size_t f, size_t token) {
  double both = (double)*cell(j, half, kind, f, token);
  double all =
      (double)j->acts[half * j->features + f] + (double)j->tokens[(half * KINDS + (size_t)kind) * j->V + token];
  return all > 0 ? 2 * both / all : 0;
}

/* The token that the feature tells best on the first half; -1: it acts at none there. */
static int32_t best_token(const job *j, int kind, size_t f) {
  int32_t best = -1;
  double most = 0;
  for (size_t v = 0; v < j->V; v++) {
    if (kind == BEFORE && j->r->skip && j->r->skip[v]) continue;
    double x = f1(j, 0, kind, f, v);
    if (x > most) {
      most = x;
      best = (int32_t)v;
    }
  }
  return best;
}

static void judge(const job *j, sgi_previous_features *out) {
  for (size_t k = 0; k < j->set->n; k++) {
    sgi_previous_layer *l = &out->layers[k];
    l->layer = j->set->at[k].layer;
    l->features = j->set->at[k].form.features;
    for (size_t i = 0; i < l->features; i++) {
      size_t f = j->at[k] + i;
      sgi_previous_feature *x = &out->at[f];
      *x = (sgi_previous_feature){
          .layer = l->layer, .feature = i, .count = j->acts[j->features + f], .before = -1, .own = -1};
      l->live += j->acts[f] > 0;
      x->before = best_token(j, BEFORE, f);
      x->own = best_token(j, OWN, f);
      if (x->before >= 0) x->before_f1 = f1(j, 1, BEFORE, f, (size_t)x->before);
      if (x->own >= 0) x->own_f1 = f1(j, 1, OWN, f, (size_t)x->own);
      l->mean_before += x->before_f1;
      l->mean_own += x->own_f1;
      l->previous += x->before_f1 > F1_LEAST && x->before_f1 - x->own_f1 >= F1_ABOVE;
      l->current += x->own_f1 > F1_LEAST && x->own_f1 - x->before_f1 >= F1_ABOVE;
    }
    l->mean_before /= l->live ? (double)l->live : 1;
    l->mean_own /= l->live ? (double)l->live : 1;
  }
}

static sg_status make_room(job *j, sgi_previous_features *out, sg_error *err) {
  size_t n = j->set->n, bytes;
  j->at = sgi_alloc(n * sizeof *j->at);
  j->work = sgi_alloc(n * sizeof *j->work);
  j->inputs = sgi_alloc(j->T * sizeof *j->inputs);
  out->layers = sgi_alloc(n * sizeof *out->layers);
  if (!j->at || !j->work || !j->inputs || !out->layers) return sgi_fail_memory(err, n * 64, "features of layers");
  for (size_t k = 0; k < n; k++) {
    j->at[k] = j->features;
    j->features += j->set->at[k].form.features;
  }
  if (!sgi_size_mul(2 * KINDS * sizeof *j->together, j->features, &bytes) || !sgi_size_mul(bytes, j->V, &bytes) ||
      bytes > j->r->max_bytes)
    return sgi_fail(err, SG_ERR_MEMORY,
                    "counts of %zu features with %zu tokens need more than is allowed: raise --max-memory", j->features,
                    j->V);
  j->together = sgi_alloc(bytes);
  j->acts = sgi_alloc(2 * j->features * sizeof *j->acts);
  j->tokens = sgi_alloc(2 * KINDS * j->V * sizeof *j->tokens);
  out->at = sgi_alloc(j->features * sizeof *out->at);
  if (!j->together || !j->acts || !j->tokens || !out->at) return sgi_fail_memory(err, bytes, "counts of features");
  sg_status st = SG_OK;
  for (size_t k = 0; k < n && !st; k++) st = sgi_sparse_work_create(&j->set->at[k].form, j->T, false, &j->work[k], err);
  out->n_layers = n;
  out->n = j->features;
  return st;
}

sg_status sgi_previous_features_make(const sg_model *m, const sgi_sparse_set *set, const sgi_previous_request *r,
                                     sgi_previous_features *out, sg_error *err) {
  job j = {.m = m, .set = set, .r = r, .V = m->config.vocab_size, .T = r->T, .half = r->rows / 2};
  sgi_sparse_place *places = sgi_alloc(set->n * sizeof *places);
  *out = (sgi_previous_features){0};
  sg_status st = places ? sgi_sparse_set_places(set, m, places, err) : sgi_fail_memory(err, set->n * 32, "places");
  if (!st) st = make_room(&j, out, err);
  if (!st) st = run_rows(&j, places, err);
  if (!st) judge(&j, out);
  for (size_t k = 0; j.work && k < set->n; k++) sgi_sparse_work_free(j.work[k]);
  void *all[] = {places, j.at, j.work, j.inputs, j.together, j.acts, j.tokens};
  for (size_t i = 0; i < SGI_COUNT(all); i++) sgi_free(all[i]);
  return st;
}

void sgi_previous_features_deinit(sgi_previous_features *f) {
  sgi_free(f->layers);
  sgi_free(f->at);
  *f = (sgi_previous_features){0};
}
