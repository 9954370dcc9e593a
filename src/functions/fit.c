/* Rows, features, a function for each neuron, all together, named functions, six digits. */
#include "functions/fit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "functions/features.h"
#include "functions/formula.h"
#include "functions/joint.h"
#include "functions/neuron_fit.h"
#include "functions/outputs.h"

enum { CURVE = 64, CHECKED = 16, ERROR_ROWS = 4096 };
static const double READ_BACK = 1e-4;

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

/* Where each neuron acts: entries of unit u from start[u] on. */
typedef struct firings {
  size_t *start; /* (units + 1) */
  uint32_t *row;
  float *own, *weight;
} firings;

typedef struct fit {
  const sgi_function_settings *s;
  const sgi_function_place *p;
  sgi_function_rows rows;
  sgi_function_layer *l;
  sgi_function_report *report;
  float *z; /* (rows.n,R) */
  firings f;
  sgi_neuron_quality *quality; /* (units) */
  size_t done;
} fit;

static sg_status tell(const sgi_function_settings *s, const char *what, size_t done, size_t wanted, sg_error *err) {
  return s->progress && !s->progress(s->user, what, done, wanted) ? sgi_fail(err, SG_ERR_CANCELLED, "stopped") : SG_OK;
}

/* ---- who fires where ------------------------------------------------------------------------- */

static void firings_deinit(firings *f) {
  sgi_free(f->start);
  sgi_free(f->row);
  sgi_free(f->own);
}

static size_t unit_at(const fit *w, size_t i, size_t e) {
  size_t m = w->p->C * w->p->K;
  return sgi_function_unit(w->p, e, w->rows.index[i * m + e]);
}

static sg_status find_firings(fit *w, sg_error *err) {
  size_t m = w->p->C * w->p->K, units = w->p->units, all = 0;
  firings *f = &w->f;
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

/* At most s->samples of a unit's firings, evenly taken, into the caller's arrays. */
static size_t sample(const fit *w, size_t unit, uint32_t *row, float *own, float *weight) {
  size_t from = w->f.start[unit], have = w->f.start[unit + 1] - from;
  size_t n = have < w->s->samples ? have : w->s->samples;
  for (size_t i = 0; i < n; i++) {
    size_t at = from + i * have / n;
    row[i] = w->f.row[at];
    own[i] = w->f.own[at];
    weight[i] = w->f.weight[at];
  }
  return n;
}

/* ---- a thread's part ------------------------------------------------------------------------- */

typedef struct hand {
  uint32_t *row;
  float *own, *weight;
  double *t, *y, *work;
  sgi_neuron_work *neuron;
} hand;

static sg_status hand_make(const fit *w, const sgi_neuron_fit *f, hand *h, sg_error *err) {
  size_t n = w->s->samples;
  *h = (hand){.row = sgi_alloc(n * sizeof *h->row), .own = sgi_alloc(2 * n * sizeof *h->own)};
  h->t = sgi_alloc((n + 2 * CURVE + n) * sizeof *h->t);
  if (!h->row || !h->own || !h->t) return sgi_fail_memory(err, n * sizeof *h->row, "a neuron's samples");
  h->weight = h->own + n;
  h->y = h->t + n;
  h->work = h->y + CURVE;
  return f ? sgi_neuron_work_create(f, &h->neuron, err) : SG_OK;
}

static void hand_free(hand *h) {
  sgi_free(h->row);
  sgi_free(h->own);
  sgi_free(h->t);
  sgi_neuron_work_free(h->neuron);
}

static sg_status fit_one(fit *w, const sgi_neuron_fit *f, hand *h, size_t unit, sg_error *err) {
  size_t n = sample(w, unit, h->row, h->own, h->weight);
  sgi_neuron_samples s = {n, w->z, h->row, h->own, h->weight};
  w->l->samples[unit] = (int32_t)n;
  if (n < w->s->least || !n) return SG_OK;
  sg_status st = sgi_neuron_fit_run(f, h->neuron, &s, &w->l->expert[unit], &w->quality[unit], err);
  w->l->stands[unit] = 1;
  w->l->quality[2 * unit] = (float)w->quality[unit].final;
  return st;
}

/* work of every unit by all threads; the first failure in the order of units is told. */
typedef sg_status (*unit_work)(fit *w, const sgi_neuron_fit *f, hand *h, size_t unit, sg_error *err);

static sg_status every_unit(fit *w, const sgi_neuron_fit *f, unit_work one, const char *what, sg_error *err) {
  sg_status st = SG_OK;
  enum { PART = 256 };
  for (size_t first = 0; first < w->p->units && !st; first += PART) {
    size_t end = first + PART < w->p->units ? first + PART : w->p->units, bad = SIZE_MAX;
    sg_error why = {0};
#pragma omp parallel
    {
      hand h;
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

/* ---- named functions ------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* The edge's curve over the values its feature takes where the neuron acts. False: the edge says
 * nothing and has gone into the bias. */
static bool name_edge(const fit *w, hand *h, size_t n, sgi_expert *e, size_t k) {
  sgi_edge *edge = &e->edge[k];
  size_t points = n < CURVE ? n : CURVE;
  for (size_t i = 0; i < n; i++) h->t[i] = (double)w->z[(size_t)h->row[i] * w->l->R + edge->feature];
  qsort(h->t, n, sizeof *h->t, by_value);
  for (size_t i = 0; i < points; i++) {
    h->t[i] = h->t[points > 1 ? i * (n - 1) / (points - 1) : 0];
    h->y[i] = sgi_edge_value(edge, &w->l->grid, h->t[i]);
  }
  sgi_symbol s = sgi_symbol_choose(h->t, h->y, points, true, h->work, NULL);
  if (s.form == SGI_SYMBOL_NONE) return true;
  e->bias += s.d;
  if (s.form == SGI_SYMBOL_ZERO) return false;
  edge->form = s.form;
  edge->a = s.a;
  edge->b = s.b;
  edge->c = s.c;
  return true;
}

static void six_digits(sgi_expert *e, const sgi_grid *g) {
  e->bias = sgi_six_digits(e->bias);
  for (size_t k = 0; k < e->edges; k++) {
    sgi_edge *d = &e->edge[k];
    d->base = sgi_six_digits(d->base);
    for (size_t c = 0; c < sgi_grid_coefs(g); c++) d->coef[c] = sgi_six_digits(d->coef[c]);
  }
  for (size_t b = 0; b < e->bits; b++) e->threshold[b] = sgi_six_digits(e->threshold[b]);
  for (size_t i = 0; i < e->gates; i++) e->gamma[i] = sgi_six_digits(e->gamma[i]);
}

/* The formula of e read back beside e itself, as it will be read from the file. */
static sg_status read_back(const fit *w, const hand *h, size_t n, const sgi_expert *e, double *out, sg_error *err) {
  char *text = sgi_formula_text(e, &w->l->grid);
  sgi_formula *f = NULL;
  double lo = INFINITY, hi = -INFINITY, off = 0;
  sg_status st = text ? sgi_formula_parse(text, strlen(text), &f, err) : sgi_fail_memory(err, 1000, "a formula");
  for (size_t i = 0; i < n && !st; i++) {
    const float *z = w->z + (size_t)h->row[i] * w->l->R;
    double own = sgi_expert_value(e, &w->l->grid, z);
    lo = fmin(lo, own);
    hi = fmax(hi, own);
    if (i % (n / CHECKED + 1) == 0) off = fmax(off, fabs(own - sgi_formula_value(f, z)));
  }
  *out = hi > lo ? off / (hi - lo) : 0;
  sgi_formula_free(f);
  sgi_free(text);
  return st;
}

/* R2 and points of what is kept. */
static void describe(const fit *w, const hand *h, size_t n, size_t unit) {
  const sgi_expert *e = &w->l->expert[unit];
  double sum = 0, mean = 0, squares = 0, errors = 0;
  size_t points = n < SGI_FUNCTION_POINTS ? n : SGI_FUNCTION_POINTS;
  for (size_t i = 0; i < n; i++) {
    sum += (double)h->weight[i];
    mean += (double)h->weight[i] * (double)h->own[i];
  }
  if (!(sum > 0)) return;
  mean /= sum;
  for (size_t i = 0; i < n; i++) {
    double y = (double)h->own[i], p = sgi_expert_value(e, &w->l->grid, w->z + (size_t)h->row[i] * w->l->R);
    squares += (double)h->weight[i] * (y - mean) * (y - mean);
    errors += (double)h->weight[i] * (y - p) * (y - p);
  }
  w->l->quality[2 * unit + 1] = (float)(squares > 0 ? 1 - errors / squares : 1);
  w->l->points[unit] = (int32_t)points;
  for (size_t i = 0; i < points; i++) {
    size_t at = i * n / points;
    const float *z = w->z + (size_t)h->row[at] * w->l->R;
    float *point = w->l->point + (unit * SGI_FUNCTION_POINTS + i) * 3;
    point[0] = e->edges ? z[e->edge[0].feature] : 0;
    point[1] = h->own[at];
    point[2] = (float)sgi_expert_value(e, &w->l->grid, z);
  }
}

static sg_status name_one(fit *w, const sgi_neuron_fit *f, hand *h, size_t unit, sg_error *err) {
  (void)f;
  sgi_expert *e = &w->l->expert[unit], splines = *e;
  double off = 0;
  if (!w->l->stands[unit]) return SG_OK;
  size_t n = sample(w, unit, h->row, h->own, h->weight), kept = 0;
  for (size_t k = 0; k < e->edges && w->s->symbols; k++)
    if (name_edge(w, h, n, e, k)) e->edge[kept++] = e->edge[k];
  if (w->s->symbols) e->edges = kept;
  six_digits(e, &w->l->grid);
  sg_status st = read_back(w, h, n, e, &off, err);
  if (!st && off > READ_BACK) { /* large terms that cancel: splines do not */
    *e = splines;
    six_digits(e, &w->l->grid);
    st = read_back(w, h, n, e, &off, err);
  }
  w->quality[unit].edges = off; /* the share by splines alone is no longer asked */
  if (!st) describe(w, h, n, unit);
  return st;
}

/* ---- the report ------------------------------------------------------------------------------ */

size_t sgi_function_bytes(const sgi_expert *e, const sgi_grid *g) {
  size_t bytes = 8;
  for (size_t k = 0; k < e->edges; k++)
    bytes += e->edge[k].form == SGI_SYMBOL_NONE ? 4 + 4 * (1 + sgi_grid_coefs(g)) : 4 + 12;
  return bytes + e->bits * 8 + e->gates * 8;
}

/* A spline: place 3, four weights 12, the sum 8; a named function: 4 and a call; a gate 1. */
double sgi_function_flops(const sgi_expert *e) {
  double flops = 0;
  for (size_t k = 0; k < e->edges; k++) flops += e->edge[k].form == SGI_SYMBOL_NONE ? 23 : 4;
  return flops + (double)e->bits + 2 * (double)e->gates;
}

static void count_up(fit *w) {
  const sgi_function_layer *l = w->l;
  sgi_function_report *r = w->report;
  size_t D = l->D, row = D * sizeof(float), m = w->p->C * w->p->K;
  double fired = 0, flops = 0;
  r->units = l->units;
  r->bytes = l->R * row + (l->basis_rows ? l->basis_rows * row : 0);
  for (size_t u = 0; u < l->units; u++) {
    const sgi_expert *e = &l->expert[u];
    size_t n = w->f.start[u + 1] - w->f.start[u];
    r->never += n == 0;
    r->bytes += l->basis_rows ? SGI_FUNCTION_PARTS * 8 : row;
    fired += (double)n;
    if (!l->stands[u]) {
      r->bytes += row;
      flops += (double)n * 2 * (double)D;
      continue;
    }
    flops += (double)n * sgi_function_flops(e);
    r->functions++;
    r->bytes += sgi_function_bytes(e, &l->grid);
    r->edges += e->edges;
    r->bits += e->bits;
    r->gates += e->gates;
    for (size_t k = 0; k < e->edges; k++) r->symbolic += e->edge[k].form != SGI_SYMBOL_NONE;
    r->r2_fit += (double)l->quality[2 * u];
    r->r2 += (double)l->quality[2 * u + 1];
    r->tried_logic += w->quality[u].tried;
    r->with_logic += w->quality[u].logic;
    r->error_soft += w->quality[u].error_soft;
    r->error_hard += w->quality[u].error_hard;
    r->read_back = fmax(r->read_back, w->quality[u].edges);
  }
  if (r->functions) {
    r->r2_fit /= (double)r->functions;
    r->r2 /= (double)r->functions;
  }
  double acting = w->rows.n ? fired / (double)w->rows.n : (double)m;
  r->flops_matrix = 4 * acting * (double)D;
  r->flops = 2 * (double)l->R * (double)D + (fired > 0 ? flops / fired * acting : 0) +
             (l->basis_rows ? acting * 2 * SGI_FUNCTION_PARTS + 2 * (double)l->basis_rows * (double)D
                            : 2 * acting * (double)D);
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

static sg_status begin(fit *w, const sg_model *m, const sgi_function_documents *d, sg_error *err) {
  const sgi_function_settings *s = w->s;
  sgi_function_layer *l = w->l;
  sg_status st = sgi_function_rows_make(m, w->p, d, s->progress, s->user, &w->rows, err);
  if (!st) st = sgi_function_layer_make(l, err);
  if (!st) st = sgi_function_features(w->p, &w->rows, s->features, l->projection, err);
  if (st) return st;
  sgi_weight_to_float(l->w_out, w->p->w_out);
  w->z = sgi_alloc(w->rows.n * s->features * sizeof *w->z);
  w->quality = sgi_alloc(l->units * sizeof *w->quality);
  if (!w->z || !w->quality) return sgi_fail_memory(err, w->rows.n * s->features * sizeof *w->z, "features of all rows");
  st = sgi_function_layer_features(l, w->rows.x, w->rows.n, w->z, err);
  return st ? st : find_firings(w, err);
}

static sg_status work(fit *w, const sg_model *m, const sgi_function_documents *d, sgi_function_layer *splines,
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
  if (!st) count_up(w);
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
  fit w = {.s = s, .p = &p, .l = out, .report = report};
  st = work(&w, m, d, splines, err);
  sgi_function_rows_deinit(&w.rows);
  firings_deinit(&w.f);
  sgi_free(w.z);
  sgi_free(w.quality);
  return st;
}
