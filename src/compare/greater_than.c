#include "compare/greater_than.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "read/unit_watch.h"

static const double PLATEAU = 0.9;

typedef struct work {
  const sgi_span_request *r;
  sgi_spans *out;
  sgi_pass *pass;
  size_t D, V, rows; /* rows: prompts * T */
  float *logits;
  /* The layer at hand. */
  const sgi_sparse_layer *s;
  float *x, *y; /* (rows,D) what it read, what it wrote */
  float *h;     /* (rows,M) of features */
  float *value; /* (rows,N) of neurons */
  size_t M, N, units;
  const float *instead; /* (rows,D) written in the layer's place; NULL: looked at */
  sgi_unit_watch watch;
  size_t done, wanted;
} work;

static void take_value(void *user, size_t layer, size_t row, size_t channel, size_t index, float value) {
  const work *w = user;
  if (w->value && layer == w->s->layer) w->value[row * w->N + channel * w->units + index] = value;
}

static sg_status visit(void *user, const sgi_site *site, sg_error *err) {
  work *w = user;
  if (!w->s || site->layer < 0 || (size_t)site->layer != w->s->layer) return SG_OK;
  size_t n = site->n * w->D * sizeof(float), at = site->first * w->D;
  if (site->id == SGI_SITE_MLP_NORM && !w->instead) memcpy(w->x + at, site->data, n);
  if (site->id == SGI_SITE_MLP_OUT && !w->instead) memcpy(w->y + at, site->data, n);
  if (site->id == SGI_SITE_MLP_OUT && w->instead) memcpy(site->data, w->instead + at, n);
  return w->instead || !w->value ? SG_OK : sgi_unit_watch_visit(&w->watch, site, err);
}

/* p(above) - p(not above) of one prompt; above: the likeliest pair is. */
static double measure(const work *w, int32_t year, bool *above) {
  double max = -INFINITY, sum = 0, difference = 0;
  size_t best = 0;
  for (size_t i = 0; i < SGI_SPAN_PAIRS; i++) {
    double x = (double)w->logits[w->r->pairs[i]];
    if (x > max) best = i;
    max = fmax(max, x);
  }
  for (size_t i = 0; i < SGI_SPAN_PAIRS; i++) {
    double p = exp((double)w->logits[w->r->pairs[i]] - max);
    sum += p;
    difference += (int32_t)i > year ? p : -p;
  }
  *above = (int32_t)best > year;
  return difference / sum;
}

static sg_status run(work *w, const float *instead, double *value, double *accuracy, sg_error *err) {
  const sgi_span_request *r = w->r;
  w->instead = instead;
  sg_status st = sgi_pass_forward(w->pass, &(sgi_batch){.B = r->prompts, .T = r->T, .inputs = r->tokens},
                                  &(sgi_tap){.visit = visit, .user = w, .err = err}, err);
  *value = 0;
  size_t right = 0;
  for (size_t i = 0; i < r->prompts && !st; i++) {
    bool above;
    st = sgi_pass_logits(w->pass, i * r->T + r->T - 1, 1, w->logits, err);
    *value += measure(w, r->years[i], &above) / (double)r->prompts;
    right += above;
  }
  if (accuracy) *accuracy = (double)right / (double)r->prompts;
  if (!st && r->progress && !r->progress(r->user, ++w->done, w->wanted))
    st = sgi_fail(err, SG_ERR_CANCELLED, "stopped");
  return st;
}

/* ---- orders ---------------------------------------------------------------------------------- */

typedef struct entry {
  double variance;
  size_t at;
} entry;

static int by_variance(const void *a, const void *b) {
  const entry *x = a, *y = b;
  if (x->variance != y->variance) return x->variance < y->variance ? 1 : -1;
  return x->at < y->at ? -1 : x->at > y->at;
}

/* Variance over prompts, summed over positions; mean (T,n); order of what acts at all. */
static size_t rank(const work *w, const float *value, size_t n, double *mean, entry *order) {
  size_t B = w->r->prompts, T = w->r->T, count = 0;
  for (size_t i = 0; i < n; i++) {
    double variance = 0;
    bool acts = false;
    for (size_t t = 0; t < T; t++) {
      double sum = 0, squares = 0;
      for (size_t b = 0; b < B; b++) {
        double v = (double)value[(b * T + t) * n + i];
        sum += v;
        acts = acts || v != 0;
      }
      mean[t * n + i] = sum / (double)B;
      for (size_t b = 0; b < B; b++) squares += pow((double)value[(b * T + t) * n + i] - mean[t * n + i], 2);
      variance += squares / (double)B;
    }
    if (acts) order[count++] = (entry){variance, i};
  }
  qsort(order, count, sizeof *order, by_variance);
  return count;
}

/* ---- sweeps ---------------------------------------------------------------------------------- */

typedef struct sweep {
  const float *value; /* (rows,n) */
  size_t n;
  double *mean; /* (T,n) */
  entry *order;
  float *base;                                      /* (rows,D) all at their mean */
  float *y;                                         /* (rows,D) of one k */
  void (*row)(const work *w, size_t i, float *out); /* (D) what entry i writes per unit */
} sweep;

static void feature_row(const work *w, size_t i, float *out) {
  memcpy(out, w->s->p.at[SGI_SPARSE_W_D] + i * w->D, w->D * sizeof *out);
}

static void neuron_row(const work *w, size_t i, float *out) {
  const sgi_sublayer *s = sgi_feedforward_of(w->r->model, w->s->layer);
  sgi_unit u;
  if (s->ffn->unit_at(s->config, s->weight + SGI_T_OWN, i / w->units, i % w->units, &u))
    sgi_unit_out(&u, out, w->D);
  else
    memset(out, 0, w->D * sizeof *out);
}

/* y += (value - mean) of entry i, everywhere. */
static void let_through(const work *w, const sweep *s, size_t i, double sign, float *row, float *y) {
  s->row(w, i, row);
  for (size_t k = 0; k < w->rows; k++) {
    double a = sign * ((double)s->value[k * s->n + i] - s->mean[k % w->r->T * s->n + i]);
    for (size_t d = 0; d < w->D && a != 0; d++) y[k * w->D + d] += (float)(a * (double)row[d]);
  }
}

/* Of k = 0, 1, 2, 4 ... and all. base holds all of them let through. */
static sg_status sweep_all(work *w, sweep *s, sgi_span_curve *out, sg_error *err) {
  float *row = sgi_alloc(w->D * sizeof *row);
  if (!row) return sgi_fail_memory(err, w->D * sizeof *row, "an output row");
  out->count = rank(w, s->value, s->n, s->mean, s->order);
  memcpy(s->y, s->base, w->rows * w->D * sizeof *s->y);
  for (size_t i = 0; i < out->count; i++) let_through(w, s, s->order[i].at, -1, row, s->y);
  sg_status st = SG_OK;
  size_t through = 0;
  for (size_t step = 0; step < SGI_SPAN_STEPS && !st; step++) {
    size_t k = step ? (size_t)1 << (step - 1) : 0;
    bool last = k >= out->count || step + 1 == SGI_SPAN_STEPS;
    if (last) k = out->count;
    for (; through < k; through++) let_through(w, s, s->order[through].at, 1, row, s->y);
    out->k[out->steps] = k;
    st = run(w, s->y, &out->value[out->steps], NULL, err);
    if (!st && !out->reached && out->value[out->steps] >= PLATEAU * w->out->model) {
      out->reached = true;
      out->plateau = k;
    }
    out->steps++;
    if (last) break;
  }
  sgi_free(row);
  return st;
}

/* What the transcoder writes in the layer's place, and its features. */
static sg_status read_features(work *w, float *y, double *l0, sg_error *err) {
  const sgi_sparse_form *f = &w->s->form;
  sgi_sparse_work *room = NULL;
  sgi_sparse_active a;
  memset(w->h, 0, w->rows * w->M * sizeof *w->h);
  sg_status st = sgi_sparse_work_create(f, w->rows, false, &room, err);
  if (!st) st = sgi_sparse_forward(room, f, &w->s->p, w->x, w->rows, y, &a, err);
  *l0 = 0;
  for (size_t i = 0; i < w->rows && !st; i++) {
    *l0 += (double)a.count[i] / (double)w->rows;
    for (size_t j = a.start[i]; j < a.start[i] + a.count[i]; j++) w->h[i * w->M + a.feature[j]] = a.h[j];
  }
  sgi_sparse_work_free(room);
  return st;
}

static sg_status layer(work *w, size_t k, sg_error *err) {
  const sgi_sublayer *sub = sgi_feedforward_of(w->r->model, w->r->set->at[k].layer);
  sgi_span_layer *o = &w->out->at[k];
  sgi_unit u;
  w->s = &w->r->set->at[k];
  o->layer = w->s->layer;
  w->M = w->s->form.features;
  bool values = sub->ffn->unit_at && sub->ffn->unit_at(sub->config, sub->weight + SGI_T_OWN, 0, 0, &u);
  w->units = sub->config->num_neurons;
  w->N = values ? sgi_unit_channels(sub->config) * w->units : 0;
  size_t most = w->M > w->N ? w->M : w->N;
  w->h = sgi_alloc(w->rows * w->M * sizeof *w->h);
  w->value = values ? sgi_alloc(w->rows * w->N * sizeof *w->value) : NULL;
  sweep s = {.mean = sgi_alloc(w->r->T * most * sizeof *s.mean),
             .order = sgi_alloc((most + 1) * sizeof *s.order),
             .base = sgi_alloc(w->rows * w->D * sizeof *s.base),
             .y = sgi_alloc(w->rows * w->D * sizeof *s.y)};
  double model;
  sg_status st = w->h && (w->value || !values) && s.mean && s.order && s.base && s.y
                     ? SG_OK
                     : sgi_fail_memory(err, w->rows * most * sizeof *w->h, "values of a layer");
  if (!st && values) memset(w->value, 0, w->rows * w->N * sizeof *w->value);
  if (!st) st = run(w, NULL, &model, NULL, err);
  if (!st) st = read_features(w, s.base, &o->l0, err);
  if (!st) st = run(w, s.base, &o->replaced, NULL, err);
  s.value = w->h;
  s.n = w->M;
  s.row = feature_row;
  if (!st) st = sweep_all(w, &s, &o->features, err);
  s.value = w->value;
  s.n = w->N;
  s.row = neuron_row;
  if (!st && values) memcpy(s.base, w->y, w->rows * w->D * sizeof *s.base);
  if (!st && values) st = sweep_all(w, &s, &o->neurons, err);
  sgi_free(w->h);
  sgi_free(w->value);
  sgi_free(s.mean);
  sgi_free(s.order);
  sgi_free(s.base);
  sgi_free(s.y);
  w->h = w->value = NULL;
  return st;
}

static sg_status check(const sgi_span_request *r, sg_error *err) {
  sgi_sparse_place *places = sgi_alloc(r->set->n * sizeof *places);
  if (!places) return sgi_fail_memory(err, r->set->n * sizeof *places, "a list of places");
  sg_status st = sgi_sparse_set_places(r->set, r->model, places, err);
  sgi_free(places);
  if (!st && r->set->site != SGI_PLACE_MLP)
    st = sgi_fail(err, SG_ERR_UNSUPPORTED, "%s holds SAEs of %s: the sweep needs transcoders", r->set->directory,
                  sgi_sparse_site_name(r->set->site));
  return st;
}

sg_status sgi_spans_make(const sgi_span_request *r, sgi_spans **out, sg_error *err) {
  *out = NULL;
  sg_status st = check(r, err);
  if (st) return st;
  size_t fits = 0;
  work w = {.r = r,
            .D = r->model->config.hidden_size,
            .V = r->model->config.vocab_size,
            .rows = r->prompts * r->T,
            .wanted = 1 + r->set->n * (2 + 2 * SGI_SPAN_STEPS)};
  w.watch = (sgi_unit_watch){.value = take_value, .user = &w};
  w.out = sgi_alloc(sizeof *w.out);
  if (!w.out) return sgi_fail_memory(err, sizeof *w.out, "a sweep");
  *w.out = (sgi_spans){.prompts = r->prompts, .T = r->T, .n = r->set->n};
  w.out->at = sgi_alloc(r->set->n * sizeof *w.out->at);
  w.logits = sgi_alloc(w.V * sizeof *w.logits);
  w.x = sgi_alloc(2 * w.rows * w.D * sizeof *w.x);
  w.y = w.x + w.rows * w.D;
  if (!w.out->at || !w.logits || !w.x) st = sgi_fail_memory(err, 2 * w.rows * w.D * sizeof *w.x, "a sweep");
  if (!st) {
    memset(w.out->at, 0, r->set->n * sizeof *w.out->at);
    st = sgi_pass_fit_within(&r->model->config, r->prompts, r->T, false, r->max_bytes, &fits, err);
  }
  if (!st && fits < r->prompts)
    st = sgi_fail(err, SG_ERR_MEMORY, "%zu prompts of %zu tokens at once need more than is allowed: raise --max-memory",
                  r->prompts, r->T);
  if (!st) st = sgi_pass_create(r->model, r->prompts, r->T, false, &w.pass, err);
  if (!st) st = run(&w, NULL, &w.out->model, &w.out->accuracy, err);
  for (size_t k = 0; k < r->set->n && !st; k++) st = layer(&w, k, err);
  sgi_pass_free(w.pass);
  sgi_unit_watch_deinit(&w.watch);
  sgi_free(w.logits);
  sgi_free(w.x);
  if (st)
    sgi_spans_free(w.out);
  else
    *out = w.out;
  return st;
}

void sgi_spans_free(sgi_spans *s) {
  if (!s) return;
  sgi_free(s->at);
  sgi_free(s);
}
