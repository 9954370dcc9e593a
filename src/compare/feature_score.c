#include "compare/feature_score.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/rng.h"
#include "read/score.h"
#include "read/silence.h"

enum { POSITIONS = 512 };

/* ---- runs side by side ----------------------------------------------------------------------- */

typedef struct runs {
  const sgi_feature_net *n;
  const sgi_feature_target *t;
  sgi_pass *pass;
  size_t B, here; /* runs of a pass, and of the one at hand */
  int32_t *inputs;
  float *x; /* (B*T,D) what the layer at hand read */
  float *logits;
  /* One write taken out of each run. */
  const sgi_feature_place *cut; /* (here) */
  /* Or all but the first k kept. */
  const uint32_t *rank; /* (L,T,M) place in the order; UINT32_MAX: not in it */
  const size_t *k;      /* (here) */
  bool errors;
  sgi_sparse_work *work;
  double *value; /* (here) of a feature target */
} runs;

static void cut_out(const runs *r, size_t l, float *y, size_t first, size_t rows) {
  const sgi_feature_net *n = r->n;
  for (size_t b = 0; b < r->here; b++) {
    const sgi_feature_place *c = &r->cut[b];
    size_t row = b * n->T + c->position;
    if (c->layer != l || row < first || row >= first + rows) continue;
    const float *w = n->layer[l]->p.at[SGI_SPARSE_W_D] + (size_t)c->feature * n->D;
    double h = sgi_net_h(n, l, c->position, c->feature);
    for (size_t d = 0; d < n->D; d++) y[(row - first) * n->D + d] -= (float)(h * (double)w[d]);
  }
}

static sg_status keep_first(runs *r, size_t l, float *y, size_t first, size_t rows, sg_error *err) {
  const sgi_feature_net *n = r->n;
  const sgi_sparse_layer *s = n->layer[l];
  sgi_sparse_active a;
  size_t D = n->D;
  sg_status st = sgi_sparse_forward(r->work, &s->form, &s->p, r->x + first * D, rows, NULL, &a, err);
  for (size_t i = 0; i < rows && !st; i++) {
    size_t b = (first + i) / n->T, t = (first + i) % n->T, at = a.start[i], kept = at;
    const uint32_t *rank = r->rank + (l * n->T + t) * n->M;
    for (size_t j = at; j < at + a.count[i]; j++)
      if (rank[a.feature[j]] < r->k[b]) {
        a.feature[kept] = a.feature[j];
        a.h[kept++] = a.h[j];
      }
    a.count[i] = kept - at;
  }
  if (!st) sgi_sparse_decode(&s->form, &s->p, &a, rows, true, y);
  for (size_t i = 0; i < rows && !st && r->errors; i++) {
    const float *e = n->error + (l * n->T + (first + i) % n->T) * D;
    for (size_t d = 0; d < D; d++) y[i * D + d] += e[d];
  }
  return st;
}

static sg_status visit(void *user, const sgi_site *site, sg_error *err) {
  runs *r = user;
  const sgi_feature_net *n = r->n;
  size_t l = site->layer < 0 ? 0 : (size_t)site->layer;
  float *data = site->data;
  if (site->id == SGI_SITE_MLP_NORM) {
    if (r->rank) memcpy(r->x + site->first * n->D, data, site->n * n->D * sizeof *data);
    for (size_t b = 0; b < r->here && !r->t->logit && r->t->layer == l; b++) {
      size_t row = b * n->T + r->t->position;
      if (row < site->first || row >= site->first + site->n) continue;
      const sgi_sparse_layer *s = n->layer[l];
      const float *w = s->p.at[SGI_SPARSE_W_E] + r->t->feature * n->D;
      r->value[b] = (double)s->p.at[SGI_SPARSE_B_E][r->t->feature];
      for (size_t d = 0; d < n->D; d++) r->value[b] += (double)w[d] * (double)data[(row - site->first) * n->D + d];
    }
  }
  if (site->id != SGI_SITE_MLP_OUT) return SG_OK;
  if (r->rank) return keep_first(r, l, data, site->first, site->n, err);
  cut_out(r, l, data, site->first, site->n);
  return SG_OK;
}

static sg_status begin(runs *r, size_t most, sg_error *err) {
  const sgi_feature_net *n = r->n;
  size_t V = n->f.V;
  r->B = POSITIONS / n->T ? POSITIONS / n->T : 1;
  if (r->B > most) r->B = most ? most : 1;
  size_t rows = r->B * n->T;
  r->inputs = sgi_alloc(rows * sizeof *r->inputs);
  r->x = sgi_alloc((rows * n->D + V) * sizeof *r->x);
  r->value = sgi_alloc(r->B * sizeof *r->value);
  if (!r->inputs || !r->x || !r->value) return sgi_fail_memory(err, rows * n->D * sizeof *r->x, "runs side by side");
  r->logits = r->x + rows * n->D;
  for (size_t i = 0; i < rows; i++) r->inputs[i] = n->f.tokens[i % n->T];
  sg_status st = sgi_pass_create(n->f.model, r->B, n->T, false, &r->pass, err);
  if (!st && r->rank) {
    sgi_sparse_form largest = n->set->at[0].form; /* room for every layer */
    for (size_t k = 0; k < n->set->n; k++)
      if (n->set->at[k].form.features > largest.features) largest = n->set->at[k].form;
    st = sgi_sparse_work_create(&largest, rows, false, &r->work, err);
  }
  return st;
}

static void end(runs *r) {
  sgi_pass_free(r->pass);
  sgi_sparse_work_free(r->work);
  sgi_free(r->inputs);
  sgi_free(r->x);
  sgi_free(r->value);
}

/* The target's value in each run of one pass. */
static sg_status run(runs *r, size_t here, double *out, sg_error *err) {
  const sgi_feature_net *n = r->n;
  r->here = here;
  sgi_batch batch = {.B = here, .T = n->T, .inputs = r->inputs};
  sg_status st = sgi_pass_forward(r->pass, &batch, &(sgi_tap){.visit = visit, .user = r, .err = err}, err);
  for (size_t b = 0; b < here && !st; b++) {
    if (r->t->logit) {
      st = sgi_pass_logits(r->pass, b * n->T + r->t->position, 1, r->logits, err);
      out[b] = (double)r->logits[r->t->token] - (r->t->against >= 0 ? (double)r->logits[r->t->against] : 0);
    } else {
      out[b] = r->value[b];
    }
  }
  return st;
}

sg_status sgi_features_removed(const sgi_feature_net *n, const sgi_feature_target *t, const sgi_feature_place *at,
                               size_t count, double *change, bool (*go_on)(void *user), void *user, sg_error *err) {
  runs r = {.n = n, .t = t};
  double base = 0;
  sgi_feature_place none = {.layer = UINT32_MAX};
  sg_status st = begin(&r, count, err);
  r.cut = &none;
  if (!st) st = run(&r, 1, &base, err);
  for (size_t i = 0; i < count && !st; i += r.B) {
    size_t here = count - i < r.B ? count - i : r.B;
    r.cut = at + i;
    st = run(&r, here, change + i, err);
    for (size_t b = 0; b < here; b++) change[i + b] = base - change[i + b];
    if (!st && go_on && !go_on(user)) st = sgi_fail(err, SG_ERR_CANCELLED, "stopped");
  }
  end(&r);
  return st;
}

sg_status sgi_features_kept(const sgi_feature_net *n, const sgi_feature_target *t, const sgi_feature_place *places,
                            size_t count, const size_t *k, size_t n_k, bool errors, double *left,
                            bool (*go_on)(void *user), void *user, sg_error *err) {
  size_t cells = n->L * n->T * n->M;
  uint32_t *rank = sgi_alloc(cells * sizeof *rank);
  if (!rank) return sgi_fail_memory(err, cells * sizeof *rank, "an order of features");
  memset(rank, 0xff, cells * sizeof *rank);
  for (size_t i = 0; i < count; i++)
    rank[((size_t)places[i].layer * n->T + places[i].position) * n->M + places[i].feature] = (uint32_t)i;
  runs r = {.n = n, .t = t, .rank = rank, .errors = errors};
  sg_status st = begin(&r, n_k, err);
  for (size_t i = 0; i < n_k && !st; i += r.B) {
    r.k = k + i;
    st = run(&r, n_k - i < r.B ? n_k - i : r.B, left + i, err);
    if (!st && go_on && !go_on(user)) st = sgi_fail(err, SG_ERR_CANCELLED, "stopped");
  }
  end(&r);
  sgi_free(rank);
  return st;
}

/* ---- orders ---------------------------------------------------------------------------------- */

static int by_effect(const void *a, const void *b) {
  const sgi_feature_place *x = a, *y = b;
  double u = fabs(x->effect), v = fabs(y->effect);
  if (u != v) return u < v ? 1 : -1;
  const uint32_t kx[] = {x->layer, x->position, x->feature}, ky[] = {y->layer, y->position, y->feature};
  for (size_t i = 0; i < 3; i++)
    if (kx[i] != ky[i]) return kx[i] < ky[i] ? -1 : 1;
  return 0;
}

sg_status sgi_features_ranked(const sgi_feature_net *n, const double *u, const sgi_net_stream *at,
                              sgi_feature_place **out, size_t *count, double *error_share, sg_error *err) {
  size_t cells = n->L * n->T * n->M, small = n->T + 2 * n->L + n->L * n->T;
  double *room = sgi_alloc((cells + small) * sizeof *room), errors = 0, all = 0;
  *out = sgi_alloc((cells + 1) * sizeof **out);
  *count = 0;
  if (!room || !*out) {
    sgi_free(room);
    return sgi_fail_memory(err, cells * sizeof **out, "total effects");
  }
  sgi_net_totals x = {room, room + n->T, room + n->T + n->L, room + n->T + 2 * n->L, room + small};
  sg_status st = sgi_net_totals_of(n, u, at, &x, err);
  for (size_t l = 0; l < at->ffn && !st; l++)
    for (size_t t = 0; t <= at->position; t++)
      for (size_t i = 0; i < sgi_net_features(n, l); i++)
        if (sgi_net_h(n, l, t, i) != 0)
          (*out)[(*count)++] =
              (sgi_feature_place){(uint32_t)l, (uint32_t)t, (uint32_t)i, x.features[(l * n->T + t) * n->M + i]};
  for (size_t i = 0; i < small && !st; i++) all += fabs(room[i]);
  for (size_t i = 0; i < n->L * n->T && !st; i++) errors += fabs(x.error[i]);
  *error_share = all > 0 ? errors / all : 0;
  if (!st) qsort(*out, *count, sizeof **out, by_effect);
  sgi_free(room);
  return st;
}

/* ---- scores ---------------------------------------------------------------------------------- */

typedef struct work {
  const sgi_feature_score_request *r;
  sgi_feature_scores *out;
  double sum[SGI_SCORE_WAYS], rival;
  double *terms, *changes; /* of all removals */
  size_t room, done, wanted;
  sgi_rng rng;
} work;

static bool goes_on(void *user) {
  work *w = user;
  return !w->r->progress || w->r->progress(w->r->user, w->done, w->wanted);
}

static void shuffle(work *w, sgi_feature_place *at, size_t n) {
  for (size_t i = n; i > 1; i--) {
    size_t j = (size_t)sgi_rng_below(&w->rng, i);
    sgi_feature_place x = at[i - 1];
    at[i - 1] = at[j];
    at[j] = x;
  }
}

static sg_status curve(work *w, sgi_score_way way, const sgi_feature_net *n, const sgi_feature_target *t,
                       const sgi_feature_place *at, size_t count, sg_error *err) {
  double left[SGI_SCORE_STEPS];
  sg_status st =
      sgi_features_kept(n, t, at, count, w->out->k, SGI_SCORE_STEPS, way != SGI_SCORE_NO_ERRORS, left, goes_on, w, err);
  for (size_t i = 0; i < SGI_SCORE_STEPS && !st; i++) w->out->share[way][i] += left[i];
  w->out->has[way] = true;
  return st;
}

/* Direct terms of features at the target's own position, the largest and as many random ones. */
static sg_status removals(work *w, const sgi_feature_net *n, const sgi_feature_target *t, const double *u,
                          const sgi_net_stream *at, sg_error *err) {
  size_t most = n->L * n->M, count = 0;
  sgi_feature_place *list = sgi_alloc((most + 1) * sizeof *list);
  double *f = sgi_alloc((most + 2 * n->L + n->L * n->heads * n->T) * sizeof *f);
  sg_status st = list && f ? SG_OK : sgi_fail_memory(err, most * sizeof *list, "direct terms");
  if (!st) {
    sgi_net_terms x = {.features = f, .b_d = f + most, .error = f + most + n->L, .heads = f + most + 2 * n->L};
    sgi_net_terms_of(n, u, at, &x);
    for (size_t l = 0; l < at->ffn; l++)
      for (size_t i = 0; i < sgi_net_features(n, l); i++)
        if (f[l * n->M + i] != 0)
          list[count++] = (sgi_feature_place){(uint32_t)l, (uint32_t)at->position, (uint32_t)i, f[l * n->M + i]};
    qsort(list, count, sizeof *list, by_effect);
    size_t largest = count < w->r->removals ? count : w->r->removals, rest = count - largest;
    shuffle(w, list + largest, rest);
    size_t all = largest + (rest < w->r->removals ? rest : w->r->removals);
    double *changes = w->changes + w->out->removals;
    st = sgi_features_removed(n, t, list, all, changes, goes_on, w, err);
    for (size_t i = 0; i < all; i++) w->terms[w->out->removals + i] = list[i].effect;
    w->out->removals += all;
  }
  sgi_free(list);
  sgi_free(f);
  return st;
}

/* A model's own neurons by their total effects, all others silent. */
static sg_status neurons(work *w, sgi_score_way way, const sg_model *m, const int32_t *tokens, int32_t target,
                         int32_t against, sg_error *err) {
  size_t T = w->r->T;
  sg_attribution *a = NULL;
  sgi_silencer s = {0};
  sg_attribute_request q = {
      .tokens = tokens, .count = T, .position = -1, .target = target, .against = against, .max_bytes = w->r->max_bytes};
  sg_status st = sg_attribute(m, &q, &a, err);
  size_t count = st ? 0 : a->neurons.count;
  size_t *at = sgi_alloc((count + 1) * sizeof *at);
  bool *silent = sgi_alloc((count + 1) * SGI_SCORE_STEPS);
  if (!st && (!at || !silent)) st = sgi_fail_memory(err, count * SGI_SCORE_STEPS, "an order of neurons");
  if (!st) st = sgi_silencer_init(&s, m, tokens, T, a->neurons.terms, count, false, NULL, w->r->max_bytes, at, err);
  for (size_t i = 0; i < SGI_SCORE_STEPS && !st; i++) {
    double margin;
    for (size_t j = 0; j < count; j++) silent[at[j]] = j >= w->out->k[i];
    st = sgi_silencer_run(&s, 1, silent, true, target, against, &margin, err);
    w->out->share[way][i] += margin;
    if (!st && !goes_on(w)) st = sgi_fail(err, SG_ERR_CANCELLED, "stopped");
  }
  w->out->has[way] = true;
  if (way == SGI_SCORE_RIVAL)
    w->out->rivals += (double)count;
  else
    w->out->neurons += (double)count;
  sgi_silencer_deinit(&s);
  sg_attribution_free(a);
  sgi_free(at);
  sgi_free(silent);
  return st;
}

/* The two most probable tokens behind a prompt, and their difference. */
static sg_status best_two(const sg_model *m, const int32_t *tokens, size_t T, int32_t two[2], double *difference,
                          sg_error *err) {
  sgi_pass *p = NULL;
  size_t V = m->config.vocab_size;
  float *logits = sgi_alloc(V * sizeof *logits);
  sg_status st = logits ? sgi_pass_create(m, 1, T, false, &p, err) : sgi_fail_memory(err, V * sizeof *logits, "logits");
  if (!st) st = sgi_pass_forward(p, &(sgi_batch){.B = 1, .T = T, .inputs = tokens}, NULL, err);
  if (!st) st = sgi_pass_logits(p, T - 1, 1, logits, err);
  two[0] = two[1] = -1;
  for (size_t v = 0; v < V && !st; v++) {
    if (two[0] < 0 || logits[v] > logits[two[0]]) {
      two[1] = two[0];
      two[0] = (int32_t)v;
    } else if (two[1] < 0 || logits[v] > logits[two[1]]) {
      two[1] = (int32_t)v;
    }
  }
  if (!st) *difference = (double)logits[two[0]] - (double)logits[two[1]];
  sgi_pass_free(p);
  sgi_free(logits);
  return st;
}

static sg_status score_net(work *w, sgi_feature_net *n, sgi_feature_target *t, sg_error *err) {
  sgi_net_stream at;
  sgi_feature_place *list = NULL;
  size_t count = 0;
  double value, own, share = 0;
  double *u = sgi_alloc(n->D * sizeof *u);
  sg_status st = u ? sgi_feature_target_find(n, t, u, &at, &value, &own, err)
                   : sgi_fail_memory(err, n->D * sizeof *u, "a direction");
  if (!st) st = sgi_features_ranked(n, u, &at, &list, &count, &share, err);
  w->out->error_share += share;
  w->out->features += (double)count;
  if (!st) st = removals(w, n, t, u, &at, err);
  if (!st) st = curve(w, SGI_SCORE_FEATURES, n, t, list, count, err);
  if (!st) st = curve(w, SGI_SCORE_NO_ERRORS, n, t, list, count, err);
  if (!st) {
    shuffle(w, list, count);
    st = curve(w, SGI_SCORE_RANDOM, n, t, list, count, err);
  }
  sgi_free(list);
  sgi_free(u);
  return st;
}

static sg_status score_prompt(work *w, const int32_t *tokens, sg_error *err) {
  const sgi_feature_score_request *r = w->r;
  sgi_feature_net n = {0};
  int32_t two[2];
  double difference;
  sg_status st = best_two(r->model, tokens, r->T, two, &difference, err);
  w->out->difference += difference;
  if (!st) st = sgi_feature_net_init(&n, r->model, r->set, tokens, r->T, r->max_bytes, err);
  if (!st)
    st = score_net(w, &n,
                   &(sgi_feature_target){.logit = true, .position = r->T - 1, .token = two[0], .against = two[1]}, err);
  sgi_feature_net_deinit(&n);
  if (!st) st = neurons(w, SGI_SCORE_NEURONS, r->model, tokens, two[0], two[1], err);
  if (st || !r->rival) return st;
  st = best_two(r->rival, tokens, r->T, two, &difference, err);
  w->out->rival += difference;
  return st ? st : neurons(w, SGI_SCORE_RIVAL, r->rival, tokens, two[0], two[1], err);
}

static sg_status summarise(work *w, sg_error *err) {
  sgi_feature_scores *o = w->out;
  double *room = sgi_alloc((2 * o->removals + 1) * sizeof *room), terms = 0, changes = 0;
  if (!room) return sgi_fail_memory(err, 2 * o->removals * sizeof *room, "ranks");
  for (size_t i = 0; i < o->removals; i++) {
    terms += w->terms[i];
    changes += w->changes[i];
    o->agreement += (w->terms[i] > 0) == (w->changes[i] > 0);
  }
  o->agreement = o->removals ? o->agreement / (double)o->removals : NAN;
  o->quotient = changes != 0 ? terms / changes : NAN;
  o->rank = o->removals > 1 ? sgi_rank_correlation(w->terms, w->changes, o->removals, room) : NAN;
  double n = (double)o->prompts;
  for (int way = 0; way < SGI_SCORE_WAYS; way++)
    for (size_t i = 0; i < SGI_SCORE_STEPS; i++) o->share[way][i] /= way == SGI_SCORE_RIVAL ? o->rival : o->difference;
  o->difference /= n;
  o->rival /= n;
  o->error_share /= n;
  o->features /= n;
  o->neurons /= n;
  o->rivals /= n;
  sgi_free(room);
  return SG_OK;
}

sg_status sgi_feature_score(const sgi_feature_score_request *r, sgi_feature_scores *out, sg_error *err) {
  *out = (sgi_feature_scores){.prompts = r->prompts};
  work w = {.r = r, .out = out, .wanted = r->prompts, .rng = sgi_rng_make(r->seed, SGI_STREAM_SPARSE, 6)};
  for (size_t i = 1; i < SGI_SCORE_STEPS; i++) out->k[i] = (size_t)1 << (i - 1);
  w.room = 2 * r->removals * r->prompts + 1;
  w.terms = sgi_alloc(2 * w.room * sizeof *w.terms);
  w.changes = w.terms + w.room;
  sg_status st = w.terms ? SG_OK : sgi_fail_memory(err, 2 * w.room * sizeof *w.terms, "scores");
  if (!st && r->rival && r->rival->config.vocab_size != r->model->config.vocab_size)
    st = sgi_fail(err, SG_ERR_ARG, "the rival knows %zu tokens, the model %zu: the same tokenizer is needed",
                  r->rival->config.vocab_size, r->model->config.vocab_size);
  for (size_t i = 0; i < r->prompts && !st; i++) {
    st = score_prompt(&w, r->tokens + i * r->T, err);
    w.done++;
    if (!st && !goes_on(&w)) st = sgi_fail(err, SG_ERR_CANCELLED, "stopped");
  }
  if (!st) st = summarise(&w, err);
  sgi_free(w.terms);
  return st;
}
