/* Each document is run as it is, with each layer's update set to 0, with functions in each layer's
 * place, and both for all layers at once. In the place of functions what the model's own neurons
 * would add is silenced where their values show, and what functions add is put to what remains. */
#include "functions/score.h"

#include <math.h>
#include <string.h>

#include "compare/sparse_eval.h"
#include "core/arena.h"

typedef enum way { AS_IS, TAKEN, ZERO, FUNCTIONS } way; /* TAKEN: as it is, and base holds it */

typedef struct place {
  sgi_function_place p;
  const sgi_function_layer *l;
  sgi_function_seen seen;
  float *z, *value, *y, *base, *zeta; /* (T,R), (T,C,K), (T,D) of functions, of the model, (T,R_o) */
  double *mean;                       /* (D) sums */
  double squares, errors;
  way way;
} place;

typedef struct walk {
  const sg_model *m;
  const sgi_function_documents *d;
  sgi_function_score *out;
  place *at;
  size_t n, D, T;
  sgi_pass *pass;
  int32_t *inputs, *targets;
  size_t done, wanted;
  sgi_function_progress progress;
  void *user;
} walk;

/* ---- one pass -------------------------------------------------------------------------------- */

static sg_status functions(walk *w, place *p, float *value, sg_error *err) {
  sg_status st = sgi_function_layer_features(p->l, p->seen.x, w->T, p->z, err);
  if (st) return st;
  sgi_function_layer_values(p->l, w->T, p->z, p->seen.index, p->seen.own, p->seen.factor, p->value);
  st = sgi_function_layer_sum(p->l, w->T, p->seen.index, p->value, p->zeta, p->y, err);
  memset(value, 0, w->T * p->p.C * p->p.K * sizeof *value);
  return st;
}

static void output(walk *w, place *p, const sgi_site *site) {
  float *y = site->data;
  size_t at = site->first * w->D, n = site->n * w->D;
  if (p->way == TAKEN) memcpy(p->base + at, y, n * sizeof *y);
  if (p->way == ZERO) memset(y, 0, n * sizeof *y);
  for (size_t i = 0; i < n && p->way == FUNCTIONS; i++) y[i] += p->y[at + i];
  if (p->way == FUNCTIONS) memcpy(p->y + at, y, n * sizeof *y);
}

static sg_status visit(void *user, const sgi_site *site, sg_error *err) {
  walk *w = user;
  sg_status st = SG_OK;
  for (size_t k = 0; k < w->n && !st; k++) {
    place *p = &w->at[k];
    if (site->layer != (ptrdiff_t)p->p.layer) continue;
    if (p->way == FUNCTIONS && sgi_function_seen_visit(&p->seen, site)) st = functions(w, p, site->data, err);
    if (!st && site->id == SGI_SITE_MLP_OUT) output(w, p, site);
  }
  return st;
}

/* Layer k (n: all) that way, others as they are; the document's loss is added to *sum. */
static sg_status one_run(walk *w, size_t k, way how, double *sum, sg_error *err) {
  sgi_metrics metrics = {0};
  for (size_t i = 0; i < w->n; i++) w->at[i].way = k == w->n || i == k ? how : AS_IS;
  sgi_tap tap = {.visit = visit, .user = w, .err = err};
  sg_status st =
      sgi_pass_forward(w->pass, &(sgi_batch){.B = 1, .T = w->T, .inputs = w->inputs, .targets = w->targets}, &tap, err);
  if (!st) st = sgi_pass_loss(w->pass, &metrics, NULL, 0, err);
  *sum += metrics.nll;
  if (how == TAKEN) w->out->positions += metrics.targets;
  w->done++;
  if (!st && w->progress && !w->progress(w->user, "measuring", w->done, w->wanted))
    st = sgi_fail(err, SG_ERR_CANCELLED, "stopped");
  return st;
}

/* base holds what the layer wrote in the document as it is; y what it writes with functions. */
static void compare(walk *w, place *p) {
  for (size_t i = 0; i < w->T * w->D; i++) {
    double y = (double)p->base[i], e = (double)p->y[i] - y;
    p->mean[i % w->D] += y;
    p->squares += y * y;
    p->errors += e * e;
  }
}

static sg_status one_document(walk *w, size_t document, sg_error *err) {
  sg_status st = sgi_recording_check(w->d->rec, err);
  w->T = sgi_function_document(w->d, document, w->inputs, w->targets);
  if (!st) st = one_run(w, w->n, TAKEN, &w->out->loss, err);
  for (size_t k = 0; k < w->n && !st; k++) {
    /* Alone: what lies in front of it is as it was, so base and y differ by the functions only. */
    st = one_run(w, k, ZERO, &w->out->at[k].loss_zero, err);
    if (!st) st = one_run(w, k, FUNCTIONS, &w->out->at[k].loss, err);
    if (!st) compare(w, &w->at[k]);
  }
  if (!st) st = one_run(w, w->n, ZERO, &w->out->all.loss_zero, err);
  return st ? st : one_run(w, w->n, FUNCTIONS, &w->out->all.loss, err);
}

/* ---- making ---------------------------------------------------------------------------------- */

static sg_status make_place(walk *w, size_t k, const sgi_function_layer *l, sg_error *err) {
  place *p = &w->at[k];
  size_t T = w->d->longest, D = w->D;
  p->l = l;
  sg_status st = sgi_function_place_of(w->m, l->layer, &p->p, err);
  if (!st) st = sgi_function_seen_make(&p->p, T, &p->seen, err);
  if (st) return st;
  p->z = sgi_alloc(T * (l->R + l->basis_rows) * sizeof *p->z);
  p->value = sgi_alloc(T * p->p.C * p->p.K * sizeof *p->value);
  p->y = sgi_alloc(2 * T * D * sizeof *p->y);
  p->mean = sgi_alloc(D * sizeof *p->mean);
  if (!p->z || !p->value || !p->y || !p->mean)
    return sgi_fail_memory(err, 2 * T * D * sizeof *p->y, "a layer's update");
  p->zeta = p->z + T * l->R;
  p->base = p->y + T * D;
  return SG_OK;
}

static void finish(walk *w) {
  sgi_function_score *s = w->out;
  double n = (double)s->positions;
  s->loss /= n;
  for (size_t k = 0; k <= w->n; k++) {
    sgi_function_kept *kept = k < w->n ? &s->at[k] : &s->all;
    kept->loss /= n;
    kept->loss_zero /= n;
    kept->recovered = sgi_loss_recovered(s->loss, kept->loss, kept->loss_zero);
    kept->variance = NAN;
    if (k == w->n) continue;
    const place *p = &w->at[k];
    double squares = p->squares, rows = (double)w->d->held_positions;
    for (size_t d = 0; d < w->D; d++) squares -= p->mean[d] * p->mean[d] / rows;
    if (squares > 0) kept->variance = 1 - p->errors / squares;
  }
}

sg_status sgi_function_score_run(const sg_model *m, const sgi_function_layer *const *layers, size_t n,
                                 const sgi_function_documents *d, sgi_function_progress progress, void *user,
                                 sgi_function_score *out, sg_error *err) {
  walk w = {.m = m, .d = d, .out = out, .n = n, .D = m->config.hidden_size, .progress = progress, .user = user};
  *out = (sgi_function_score){.n = n, .at = sgi_alloc(n * sizeof *out->at)};
  w.at = sgi_alloc(n * sizeof *w.at);
  w.inputs = sgi_alloc(2 * d->longest * sizeof *w.inputs);
  w.wanted = d->n_held * (2 * n + 3);
  sg_status st = out->at && w.at && w.inputs ? SG_OK : sgi_fail_memory(err, n * sizeof *w.at, "a measurement");
  w.targets = w.inputs + (w.inputs ? d->longest : 0);
  for (size_t k = 0; k < n && !st; k++) st = make_place(&w, k, layers[k], err);
  if (!st) st = sgi_pass_create(m, 1, d->longest, false, &w.pass, err);
  for (size_t i = 0; i < d->n_held && !st; i++) st = one_document(&w, d->held[i], err);
  if (!st && !out->positions) st = sgi_fail(err, SG_ERR_ARG, "the documents held out have no token that counts");
  if (!st) finish(&w);
  sgi_pass_free(w.pass);
  for (size_t k = 0; w.at && k < n; k++) {
    sgi_function_seen_deinit(&w.at[k].seen);
    sgi_free(w.at[k].z);
    sgi_free(w.at[k].value);
    sgi_free(w.at[k].y);
    sgi_free(w.at[k].mean);
  }
  sgi_free(w.at);
  sgi_free(w.inputs);
  return st;
}

void sgi_function_score_deinit(sgi_function_score *s) {
  sgi_free(s->at);
  *s = (sgi_function_score){0};
}
