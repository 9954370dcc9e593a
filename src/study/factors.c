#include "study/factors.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/median.h"

enum { RESAMPLES = 400, MOST = 64 };

const char *const sgi_study_cost_names[SGI_STUDY_COSTS] = {"flops", "seconds", "cpu_seconds", "memory_bytes"};

bool sgi_study_cost_known(const sgi_study *s, sgi_study_cost_by by) {
  return by != SGI_STUDY_BY_CPU || sgi_study_retimed(s, NULL);
}

static bool counts(const sgi_study_run *r) { return !r->sweep && r->state == SGI_STUDY_DONE; }

/* ---- best sizes ------------------------------------------------------------------------------ */

/* One size of a kind at a budget. */
typedef struct point {
  double x, loss; /* log of the parameters without the embedding; mean over seeds */
  double costs[SGI_STUDY_COSTS];
} point;

static bool cell(const sgi_study_sample *p, const char *kind, const char *scale, double budget, point *out) {
  size_t found[MOST], n = 0;
  for (size_t i = 0; i < p->s->count && n < MOST; i++) {
    const sgi_study_run *r = &p->s->runs[i];
    if (counts(r) && r->budget == budget && !strcmp(r->kind, kind) && !strcmp(r->scale, scale)) found[n++] = i;
  }
  *out = (point){0};
  for (size_t k = 0; k < n; k++) {
    size_t i = found[p->seeds ? sgi_rng_below(p->seeds, n) : k];
    const sgi_study_run *r = &p->s->runs[i];
    out->x = log((double)(r->parameters - r->embedding));
    out->loss += p->loss[i] / (double)n;
    out->costs[SGI_STUDY_BY_FLOPS] += r->flops / (double)n;
    out->costs[SGI_STUDY_BY_SECONDS] += sgi_study_seconds(p->s, r) / (double)n;
    if (sgi_study_retimed(p->s, NULL)) out->costs[SGI_STUDY_BY_CPU] += sgi_study_cpu_seconds(p->s, r) / (double)n;
    out->costs[SGI_STUDY_BY_MEMORY] += (double)r->memory / (double)n;
  }
  return n > 0;
}

sg_status sgi_study_best_size(const sgi_study_sample *p, const char *kind, double budget, sgi_study_optimum *out,
                              sg_error *err) {
  point points[MOST];
  double x[MOST], y[MOST];
  *out = (sgi_study_optimum){0};
  for (size_t c = 0; c < sgi_study_list(p->s, "scales") && out->points < MOST; c++)
    if (cell(p, kind, sgi_study_word(p->s, "scales", c), budget, &points[out->points])) {
      x[out->points] = points[out->points].x;
      y[out->points] = points[out->points].loss;
      out->points++;
    }
  if (!out->points) return SG_OK;
  sg_status st = sgi_parabola_fit(x, y, out->points, &out->fit, err);
  size_t near = 0;
  for (size_t i = 1; i < out->points; i++)
    if (fabs(x[i] - out->fit.at) < fabs(x[near] - out->fit.at)) near = i;
  memcpy(out->costs, points[near].costs, sizeof out->costs);
  return st;
}

/* ---- factors --------------------------------------------------------------------------------- */

static bool has_kind(const sgi_study *s, const char *kind) {
  for (size_t k = 0; k < sgi_study_list(s, "kinds"); k++)
    if (!strcmp(sgi_study_word(s, "kinds", k), kind)) return true;
  return false;
}

sg_status sgi_study_factor(const sgi_study_sample *p, const char *kind, const char *other, sgi_study_cost_by by,
                           sgi_factor *out, const char **why, sg_error *err) {
  double costs[MOST], losses[MOST], at_budget = 0;
  size_t n = 0, budgets = sgi_study_list(p->s, "budgets");
  sgi_study_optimum o, reference = {0};
  *out = (sgi_factor){0};
  *why = NULL;
  for (size_t b = 0; b < budgets; b++) {
    double budget = sgi_study_number(p->s, "budgets", b);
    sg_status st = sgi_study_best_size(p, kind, budget, &o, err);
    if (st) return st;
    if (o.points) costs[n] = o.costs[by], losses[n++] = o.fit.value;
    st = sgi_study_best_size(p, other, budget, &o, err);
    if (st) return st;
    if (o.points && budget > at_budget) at_budget = budget, reference = o;
  }
  bool differ = false, known = reference.costs[by] > 0;
  for (size_t i = 1; i < n; i++) differ |= costs[i] != costs[0];
  for (size_t i = 0; i < n; i++) known &= costs[i] > 0;
  *why = !has_kind(p->s, other)       ? "the study has no runs of the other kind"
         : budgets < 2                ? "the study has one budget, and a line needs two"
         : n < 2 || !reference.points ? "not enough has ended"
         : !known                     ? "what its runs cost is not known"
         : !differ                    ? "it costs the same at every budget"
                                      : NULL;
  if (*why) return SG_OK;
  sg_status st = sgi_factor_fit(costs, losses, n, reference.costs[by], reference.fit.value, out, err);
  if (!(out->factor > 0)) *why = "its loss does not fall with the cost";
  return st;
}

/* ---- intervals ------------------------------------------------------------------------------- */

/* The run whose units all others have, too; NULL: there is none. */
static const sgi_study_run *alike(const sgi_study *s) {
  const sgi_study_run *first = NULL;
  for (size_t i = 0; i < s->count; i++) {
    const sgi_study_run *r = &s->runs[i];
    if (!counts(r)) continue;
    if (!first) first = r;
    if (r->units != first->units || r->by_rows != first->by_rows) return NULL;
  }
  return first;
}

/* list: NULL, or with room for all. */
static size_t list_units(const sgi_study *s, size_t *list) {
  const sgi_study_run *first = alike(s);
  size_t n = 0;
  for (size_t k = 0; first && k < first->units; k++) {
    bool all = true;
    for (size_t i = 0; i < s->count && all; i++) all = !counts(&s->runs[i]) || s->runs[i].targets[k] > 0;
    if (all && list) list[n] = k;
    n += all;
  }
  return n;
}

size_t sgi_study_units(const sgi_study *s, bool *by_rows) {
  const sgi_study_run *first = alike(s);
  *by_rows = first && first->by_rows;
  return list_units(s, NULL);
}

/* pick: room for (units). */
static void draw_losses(const sgi_study *s, const size_t *list, size_t units, size_t *pick, sgi_rng *rng,
                        double *loss) {
  for (size_t i = 0; i < units; i++) pick[i] = list[sgi_rng_below(rng, units)];
  for (size_t i = 0; i < s->count; i++) {
    const sgi_study_run *r = &s->runs[i];
    double nll = 0, n = 0;
    for (size_t k = 0; k < units && counts(r); k++) nll += r->nll[pick[k]], n += r->targets[pick[k]];
    loss[i] = units ? nll / n : r->valid_loss;
  }
}

void sgi_study_resamples_free(sgi_study_resamples *r) {
  sgi_free(r->loss);
  *r = (sgi_study_resamples){0};
}

sg_status sgi_study_resample(const sgi_study *s, sgi_study_resamples *out, const sgi_study_going *going,
                             sg_error *err) {
  *out = (sgi_study_resamples){0};
  size_t units = out->units = sgi_study_units(s, &out->by_rows), bytes;
  if (!sgi_size_mul(RESAMPLES * sizeof(double), s->count + 1, &bytes)) bytes = SIZE_MAX;
  size_t *list = sgi_alloc((2 * units + 1) * sizeof *list);
  sg_status st = list && (out->loss = sgi_alloc(bytes)) ? SG_OK : sgi_fail_memory(err, bytes, "resamples");
  sgi_rng rng = sgi_rng_make(0, SGI_STREAM_STUDY, 0);
  if (!st) list_units(s, list);
  for (size_t k = 0; k < RESAMPLES && !st; k++) {
    draw_losses(s, list, units, list + units, &rng, out->loss + k * s->count);
    if (going && !going->on(going->user, 0.5 * (double)k / RESAMPLES))
      st = sgi_fail(err, SG_ERR_CANCELLED, "the resampling was stopped");
  }
  sgi_free(list);
  return st;
}

/* The place of q among n sorted numbers. */
static double quantile(const double *x, size_t n, double q) { return n ? x[(size_t)(q * (double)(n - 1) + 0.5)] : NAN; }

sg_status sgi_study_intervals(const sgi_study *s, const sgi_study_resamples *drawn, const char *kind, const char *other,
                              sgi_study_interval out[SGI_STUDY_COSTS], sg_error *err) {
  sg_status st = SG_OK;
  for (sgi_study_cost_by by = 0; by < SGI_STUDY_COSTS && !st; by++) {
    double factors[RESAMPLES];
    size_t n = 0;
    for (size_t k = 0; k < RESAMPLES && !st; k++) {
      sgi_rng seeds = sgi_rng_make(k + 1, SGI_STREAM_STUDY, 1); /* the same seeds for every cost */
      const char *why;
      sgi_factor f;
      st = sgi_study_factor(&(sgi_study_sample){s, drawn->loss + k * s->count, &seeds}, kind, other, by, &f, &why, err);
      if (!st && f.factor > 0) factors[n++] = f.factor;
    }
    qsort(factors, n, sizeof *factors, sgi_ascending);
    out[by] = (sgi_study_interval){quantile(factors, n, 0.025), quantile(factors, n, 0.975), n};
  }
  return st;
}
