/* Named functions in the place of edges' curves, six digits, and the formula read back. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "functions/fit_inside.h"
#include "functions/formula.h"

enum { CHECKED = 16 };
static const double READ_BACK = 1e-4;

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* The edge's curve over the values its feature takes where the neuron acts. False: the edge says
 * nothing and has gone into the bias. */
static bool name_edge(const sgi_fit *w, sgi_fit_hand *h, size_t n, sgi_expert *e, size_t k) {
  sgi_edge *edge = &e->edge[k];
  size_t points = n < SGI_FIT_CURVE ? n : SGI_FIT_CURVE;
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
static sg_status read_back(const sgi_fit *w, const sgi_fit_hand *h, size_t n, const sgi_expert *e, double *out,
                           sg_error *err) {
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
static void describe(const sgi_fit *w, const sgi_fit_hand *h, size_t n, size_t unit) {
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

sg_status sgi_fit_name(sgi_fit *w, sgi_fit_hand *h, size_t unit, sg_error *err) {
  sgi_expert *e = &w->l->expert[unit], splines = *e;
  double *off = &w->read_back[unit];
  size_t n = sgi_fit_sample(w, unit, h), kept = 0;
  for (size_t k = 0; k < e->edges && w->s->symbols; k++)
    if (name_edge(w, h, n, e, k)) e->edge[kept++] = e->edge[k];
  if (w->s->symbols) e->edges = kept;
  six_digits(e, &w->l->grid);
  sg_status st = read_back(w, h, n, e, off, err);
  if (!st && *off > READ_BACK) { /* large terms that cancel: splines do not */
    *e = splines;
    six_digits(e, &w->l->grid);
    st = read_back(w, h, n, e, off, err);
  }
  if (!st) describe(w, h, n, unit);
  return st;
}
