/* Rows, features, a function for each neuron, all together, named functions (fit_names.c), the
 * count (fit_report.c). */
#include "functions/fit.h"

#include <string.h>

#include "core/arena.h"
#include "functions/features.h"
#include "functions/fit_inside.h"
#include "functions/joint.h"
#include "functions/outputs.h"

enum { ERROR_ROWS = 4096 };

sgi_function_settings sgi_function_usual(void) {
  return (sgi_function_settings){.features = 64,
                                 .edges = SGI_MOST_EDGES,
                                 .cells = 8,
                                 .samples = 512,
                                 .least = 32,
                                 .steps = 1000,
                                 .batch = 256,
                                 .logic = true,
                                 .symbols = true};
}

static sg_status tell(const sgi_function_settings *s, const char *what, size_t done, size_t wanted, sg_error *err) {
  return s->progress && !s->progress(s->user, what, done, wanted) ? sgi_fail(err, SG_ERR_CANCELLED, "stopped") : SG_OK;
}

/* ---- who fires where ------------------------------------------------------------------------- */

static void firings_deinit(sgi_firings *f) {
  sgi_free(f->start);
  sgi_free(f->row);
  sgi_free(f->own);
}

static size_t unit_at(const sgi_fit *w, size_t i, size_t e) {
  size_t m = w->p->C * w->p->K;
  return sgi_function_unit(w->p->pools, w->p->F, w->p->K, e, w->rows.index[i * m + e]);
}

static sg_status find_firings(sgi_fit *w, sg_error *err) {
  size_t m = w->p->C * w->p->K, units = w->p->units, all = 0;
  sgi_firings *f = &w->f;
  f->start = sgi_alloc((units + 2) * sizeof *f->start);
  if (!f->start) return sgi_fail_memory(err, units * sizeof *f->start, "who fires where");
  for (size_t i = 0; i < w->rows.n; i++)
    for (size_t e = 0; e < m; e++)
      if (w->rows.factor[i * m + e] != 0) f->start[unit_at(w, i, e) + 2]++;
  for (size_t u = 0; u < units; u++) f->start[u + 2] += f->start[u + 1];
  all = f->start[units + 1];
  f->row = sgi_alloc((all + 1) * sizeof *f->row);
  f->own = sgi_alloc(2 * (all + 1) * sizeof *f->own);
  if (!f->row || !f->own) return sgi_fail_memory(err, 3 * all * sizeof *f->own, "who fires where");
  f->weight = f->own + all + 1;
  for (size_t i = 0; i < w->rows.n; i++)
    for (size_t e = 0; e < m; e++) {
      float factor = w->rows.factor[i * m + e];
      if (factor == 0) continue;
      size_t at = f->start[unit_at(w, i, e) + 1]++;
      f->row[at] = (uint32_t)i;
      f->own[at] = w->rows.own[i * m + e];
      f->weight[at] = factor * factor;
    }
  return SG_OK;
}

size_t sgi_fit_sample(const sgi_fit *w, size_t unit, sgi_fit_hand *h) {
  size_t from = w->f.start[unit], have = w->f.start[unit + 1] - from;
  size_t n = have < w->s->samples ? have : w->s->samples;
  for (size_t i = 0; i < n; i++) {
    size_t at = from + i * have / n;
    h->row[i] = w->f.row[at];
    h->own[i] = w->f.own[at];
    h->weight[i] = w->f.weight[at];
  }
  return n;
}

/* ---- a thread's part ------------------------------------------------------------------------- */

static sg_status hand_make(const sgi_fit *w, const sgi_neuron_fit *f, sgi_fit_hand *h, sg_error *err) {
  size_t n = w->s->samples;
  *h = (sgi_fit_hand){.row = sgi_alloc(n * sizeof *h->row), .own = sgi_alloc(2 * n * sizeof *h->own)};
  h->t = sgi_alloc((n + 2 * SGI_FIT_CURVE) * sizeof *h->t);
  if (!h->row || !h->own || !h->t) return sgi_fail_memory(err, n * sizeof *h->row, "a neuron's samples");
  h->weight = h->own + n;
  h->y = h->t + n;
  h->work = h->y + SGI_FIT_CURVE;
  return f ? sgi_neuron_work_create(f, &h->neuron, err) : SG_OK;
}

static void hand_free(sgi_fit_hand *h) {
  sgi_free(h->row);
  sgi_free(h->own);
  sgi_free(h->t);
  sgi_neuron_work_free(h->neuron);
}

static sg_status fit_one(sgi_fit *w, const sgi_neuron_fit *f, sgi_fit_hand *h, size_t unit, sg_error *err) {
  size_t n = sgi_fit_sample(w, unit, h);
  sgi_neuron_samples s = {n, w->z, h->row, h->own, h->weight};
  w->l->samples[unit] = (int32_t)n;
  if (n < w->s->least || !n) return SG_OK;
  sg_status st = sgi_neuron_fit_run(f, h->neuron, &s, &w->l->expert[unit], &w->quality[unit], err);
  w->l->stands[unit] = 1;
  w->l->quality[2 * unit] = (float)w->quality[unit].final;
  return st;
}

static sg_status name_one(sgi_fit *w, const sgi_neuron_fit *f, sgi_fit_hand *h, size_t unit, sg_error *err) {
  (void)f;
  return w->l->stands[unit] ? sgi_fit_name(w, h, unit, err) : SG_OK;
}

/* work of every unit by all threads; the first failure in the order of units is told. */
typedef sg_status (*unit_work)(sgi_fit *w, const sgi_neuron_fit *f, sgi_fit_hand *h, size_t unit, sg_error *err);

static sg_status every_unit(sgi_fit *w, const sgi_neuron_fit *f, unit_work one, const char *what, sg_error *err) {
  sg_status st = SG_OK;
  enum { PART = 256 };
  for (size_t first = 0; first < w->p->units && !st; first += PART) {
    size_t end = first + PART < w->p->units ? first + PART : w->p->units, bad = SIZE_MAX;
    sg_error why = {0};
#pragma omp parallel
    {
      sgi_fit_hand h;
      sg_error own = {0};
      sg_status mine = hand_make(w, f, &h, &own);
      size_t at = first;
#pragma omp for schedule(dynamic, 4)
      for (size_t unit = first; unit < end; unit++) {
        if (mine) continue;
        at = unit;
        mine = one(w, f, &h, unit, &own);
      }
#pragma omp critical(sgi_function_fit)
      if (mine && at <= bad) {
        bad = at;
        why = own;
      }
      hand_free(&h);
    }
    if (bad != SIZE_MAX) {
      st = why.code;
      if (err) *err = why;
    }
    if (!st) st = tell(w->s, what, end, w->p->units, err);
  }
  return st;
}

/* ---- all of it ------------------------------------------------------------------------------- */

static sg_status copy_layer(const sgi_function_layer *from, sgi_function_layer *to, sg_error *err) {
  *to = (sgi_function_layer){.layer = from->layer,
                             .D = from->D,
                             .R = from->R,
                             .F = from->F,
                             .pools = from->pools,
                             .units = from->units,
                             .C = from->C,
                             .K = from->K,
                             .grid = from->grid};
  sg_status st = sgi_function_layer_make(to, err);
  if (st) return st;
  memcpy(to->projection, from->projection, from->R * from->D * sizeof(float));
  memcpy(to->stands, from->stands, from->units);
  memcpy(to->expert, from->expert, from->units * sizeof *from->expert);
  memcpy(to->w_out, from->w_out, from->units * from->D * sizeof(float));
  return SG_OK;
}

static sg_status begin(sgi_fit *w, const sg_model *m, const sgi_function_documents *d, sg_error *err) {
  const sgi_function_settings *s = w->s;
  sgi_function_layer *l = w->l;
  sg_status st = sgi_function_rows_make(m, w->p, d, s->progress, s->user, &w->rows, err);
  if (!st) st = sgi_function_layer_make(l, err);
  if (!st) st = sgi_function_features(w->p, &w->rows, s->features, l->projection, err);
  if (st) return st;
  sgi_weight_to_float(l->w_out, w->p->w_out);
  w->z = sgi_alloc(w->rows.n * s->features * sizeof *w->z);
  w->quality = sgi_alloc(l->units * sizeof *w->quality);
  w->read_back = sgi_alloc(l->units * sizeof *w->read_back);
  if (!w->z || !w->quality || !w->read_back)
    return sgi_fail_memory(err, w->rows.n * s->features * sizeof *w->z, "features of all rows");
  st = sgi_function_layer_features(l, w->rows.x, w->rows.n, w->z, err);
  return st ? st : find_firings(w, err);
}

static sg_status work(sgi_fit *w, const sg_model *m, const sgi_function_documents *d, sgi_function_layer *splines,
                      sg_error *err) {
  const sgi_function_settings *s = w->s;
  sgi_function_report *r = w->report;
  sgi_neuron_fit f = {w->l->grid, s->features, s->edges, s->base, s->logic, s->samples};
  sgi_joint_request joint = {.place = w->p,
                             .rows = &w->rows,
                             .steps = s->steps,
                             .batch = s->batch,
                             .base = s->base,
                             .seed = s->seed,
                             .progress = s->progress,
                             .user = s->user};
  sg_status st = begin(w, m, d, err);
  joint.z = w->z;
  if (!st) st = every_unit(w, &f, fit_one, "fitting neurons", err);
  if (!st) st = sgi_function_error(&joint, w->l, ERROR_ROWS, &r->error_before, err);
  if (!st) st = sgi_function_joint(&joint, w->l, err);
  if (!st) st = sgi_function_error(&joint, w->l, ERROR_ROWS, &r->error_joint, err);
  if (!st && splines) st = copy_layer(w->l, splines, err);
  if (!st) st = every_unit(w, NULL, name_one, "naming functions", err);
  if (!st) st = sgi_function_error(&joint, w->l, ERROR_ROWS, &r->error_symbols, err);
  r->error = r->error_symbols;
  r->outputs_kept = 1;
  if (!st && s->outputs) {
    st = sgi_function_outputs(w->l, s->outputs, &r->outputs_kept, err);
    if (!st) st = sgi_function_error(&joint, w->l, ERROR_ROWS, &r->error, err);
  }
  if (!st) sgi_fit_count_up(w);
  return st;
}

sg_status sgi_function_fit(const sg_model *m, const sgi_function_documents *d, size_t layer,
                           const sgi_function_settings *s, sgi_function_layer *out, sgi_function_layer *splines,
                           sgi_function_report *report, sg_error *err) {
  sgi_function_place p;
  *out = (sgi_function_layer){0};
  *report = (sgi_function_report){0};
  if (splines) *splines = (sgi_function_layer){0};
  sg_status st = sgi_function_place_of(m, layer, &p, err);
  if (st) return st;
  if (s->features > p.D)
    return sgi_fail(err, SG_ERR_ARG, "%zu features: the model's stream has %zu dimensions", s->features, p.D);
  *out = (sgi_function_layer){.layer = layer,
                              .D = p.D,
                              .R = s->features,
                              .F = p.F,
                              .pools = p.pools,
                              .units = p.units,
                              .C = p.C,
                              .K = p.K,
                              .grid = {-3, 3, s->cells}};
  sgi_fit w = {.s = s, .p = &p, .l = out, .report = report};
  st = work(&w, m, d, splines, err);
  sgi_function_rows_deinit(&w.rows);
  firings_deinit(&w.f);
  sgi_free(w.z);
  sgi_free(w.quality);
  sgi_free(w.read_back);
  return st;
}
