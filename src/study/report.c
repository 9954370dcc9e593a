/* What the runs say together. Everything is computed from one list of losses, a number a run; an
 * interval comes from making that list again and again with seeds and held-out rows drawn with
 * replacement (the same rows for all runs, since runs are compared on the same text). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/median.h"
#include "core/rng.h"
#include "study/fit.h"
#include "study/study_state.h"

enum { RESAMPLES = 400, MOST = 64 };

/* Of processor time only where steps were timed anew: what a run took of it is not known. */
typedef enum cost { BY_FLOPS, BY_SECONDS, BY_CPU, BY_MEMORY, COSTS } cost;
static const char *const cost_names[COSTS] = {"flops", "seconds", "cpu_seconds", "memory_bytes"};

typedef struct sample {
  const sgi_study *s;
  const double *loss; /* (runs) */
  sgi_rng *seeds;     /* NULL: every seed once */
} sample;

/* One size of a kind at a budget. */
typedef struct point {
  double x, loss; /* log of the parameters without the embedding; mean over seeds */
  double costs[COSTS];
} point;

typedef struct optimum {
  sgi_parabola fit;
  size_t points;
  double costs[COSTS]; /* of the size measured nearest to it */
} optimum;

static bool counts(const sgi_study_run *r) { return !r->sweep && r->state == SGI_STUDY_DONE; }

static bool cell(const sample *p, const char *kind, const char *scale, double budget, point *out) {
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
    out->costs[BY_FLOPS] += r->flops / (double)n;
    out->costs[BY_SECONDS] += sgi_study_seconds(p->s, r) / (double)n;
    if (sgi_study_retimed(p->s, NULL)) out->costs[BY_CPU] += sgi_study_cpu_seconds(p->s, r) / (double)n;
    out->costs[BY_MEMORY] += (double)r->memory / (double)n;
  }
  return n > 0;
}

/* points 0: no run of it has ended. */
static sg_status best_size(const sample *p, const char *kind, double budget, optimum *out, sg_error *err) {
  point points[MOST];
  double x[MOST], y[MOST];
  *out = (optimum){0};
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

/* factor 0: not enough has ended to say. */
static sg_status factor_of(const sample *p, const char *kind, const char *other, cost by, sgi_factor *out,
                           sg_error *err) {
  double costs[MOST], losses[MOST], at_budget = 0;
  size_t n = 0, budgets = sgi_study_list(p->s, "budgets");
  optimum o, reference = {0};
  *out = (sgi_factor){0};
  for (size_t b = 0; b < budgets; b++) {
    double budget = sgi_study_number(p->s, "budgets", b);
    sg_status st = best_size(p, kind, budget, &o, err);
    if (st) return st;
    if (o.points) costs[n] = o.costs[by], losses[n++] = o.fit.value;
    st = best_size(p, other, budget, &o, err);
    if (st) return st;
    if (o.points && budget > at_budget) at_budget = budget, reference = o;
  }
  bool differ = false;
  for (size_t i = 1; i < n; i++) differ |= costs[i] != costs[0];
  for (size_t i = 0; i < n; i++) differ &= costs[i] > 0;
  if (!differ || !reference.points || !(reference.costs[by] > 0)) return SG_OK;
  return sgi_factor_fit(costs, losses, n, reference.costs[by], reference.fit.value, out, err);
}

/* ---- intervals ------------------------------------------------------------------------------- */

/* Rows of the held-out text, if all runs have the same; else 0. */
static size_t common_rows(const sgi_study *s) {
  size_t rows = 0;
  for (size_t i = 0; i < s->count; i++) {
    const sgi_study_run *r = &s->runs[i];
    if (!counts(r)) continue;
    if (rows && rows != r->rows) return 0;
    rows = r->rows;
  }
  return rows;
}

static void plain_losses(const sgi_study *s, double *loss) {
  for (size_t i = 0; i < s->count; i++) loss[i] = s->runs[i].valid_loss;
}

static void draw_losses(const sgi_study *s, size_t rows, size_t *pick, sgi_rng *rng, double *loss) {
  if (!rows) {
    plain_losses(s, loss);
    return;
  }
  for (size_t i = 0; i < rows; i++) pick[i] = (size_t)sgi_rng_below(rng, rows);
  for (size_t i = 0; i < s->count; i++) {
    const sgi_study_run *r = &s->runs[i];
    double nll = 0, n = 0;
    for (size_t k = 0; k < rows && counts(r); k++) nll += r->row_nll[pick[k]], n += r->row_targets[pick[k]];
    loss[i] = nll / n;
  }
}

typedef struct interval {
  double drawn[RESAMPLES];
  size_t n;
} interval;

static double quantile(const interval *v, double q) {
  return v->n ? v->drawn[(size_t)(q * (double)(v->n - 1) + 0.5)] : NAN;
}

/* For kind against other, by each cost. */
static sg_status intervals(const sgi_study *s, const char *kind, const char *other, interval out[COSTS],
                           sg_error *err) {
  size_t rows = common_rows(s);
  double *loss = sgi_alloc(s->count * sizeof *loss);
  size_t *pick = sgi_alloc((rows + 1) * sizeof *pick);
  sgi_rng rng = sgi_rng_make(0, SGI_STREAM_STUDY, 0);
  sg_status st = loss && pick ? SG_OK : sgi_fail_memory(err, s->count * sizeof *loss, "a resample");
  memset(out, 0, COSTS * sizeof *out);
  for (size_t k = 0; k < RESAMPLES && !st; k++) {
    draw_losses(s, rows, pick, &rng, loss);
    for (cost by = 0; by < COSTS && !st; by++) {
      sgi_rng seeds = sgi_rng_make(k + 1, SGI_STREAM_STUDY, 1); /* the same seeds for every cost */
      sgi_factor f;
      st = factor_of(&(sample){s, loss, &seeds}, kind, other, by, &f, err);
      if (!st && f.factor > 0) out[by].drawn[out[by].n++] = f.factor;
    }
  }
  for (cost by = 0; by < COSTS; by++) qsort(out[by].drawn, out[by].n, sizeof(double), sgi_ascending);
  sgi_free(loss);
  sgi_free(pick);
  return st;
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static json_t *real(double x) { return isfinite(x) ? json_real(x) : json_null(); }

static json_t *run_json(const sgi_study *s, const sgi_study_run *r) {
  static const char *const states[] = {"waiting", "done", "diverged"};
  bool done = r->state == SGI_STUDY_DONE;
  json_t *o = json_pack("{s:s, s:s, s:s, s:b, s:f, s:I, s:s, s:I, s:I, s:I, s:f}", "name", r->name, "kind", r->kind,
                        "scale", r->scale, "sweep", (int)r->sweep, "budget", r->budget, "seed", (json_int_t)r->seed,
                        "state", states[r->state], "parameters", (json_int_t)r->parameters, "non_embedding_parameters",
                        (json_int_t)(r->parameters - r->embedding), "steps", (json_int_t)r->steps, "flops", r->flops);
  if (r->sweep) json_object_set_new(o, "variant", json_integer((json_int_t)r->variant));
  if (r->state == SGI_STUDY_WAITING) return o;
  json_object_set_new(o, "seconds", real(sgi_study_seconds(s, r)));
  json_object_set_new(o, "run_seconds", real(r->seconds));
  if (sgi_study_retimed(s, NULL)) json_object_set_new(o, "cpu_seconds", real(sgi_study_cpu_seconds(s, r)));
  json_object_set_new(o, "memory_bytes", json_integer((json_int_t)r->memory));
  json_object_set_new(o, "train_loss", real(done ? r->train_loss : NAN));
  json_object_set_new(o, "valid_loss", real(done ? r->valid_loss : NAN));
  json_object_set_new(o, "standard_error", real(done ? r->standard_error : NAN));
  json_object_set_new(o, "perplexity", real(done ? exp(r->valid_loss) : NAN));
  return o;
}

static json_t *settings_json(const sgi_study *s) {
  json_t *list = json_array();
  for (size_t k = 0; k < sgi_study_list(s, "kinds") && sgi_study_variants(s); k++) {
    const char *kind = sgi_study_word(s, "kinds", k), *text;
    char edge[200];
    size_t best = sgi_study_best(s, kind, edge, sizeof edge);
    json_t *set = json_array();
    for (size_t i = 0; best != SIZE_MAX && (text = sgi_study_variant(s, best, i)); i++)
      json_array_append_new(set, json_string(text));
    json_array_append_new(list, json_pack("{s:s, s:o, s:o, s:s}", "kind", kind, "variant",
                                          best == SIZE_MAX ? json_null() : json_integer((json_int_t)best), "set", set,
                                          "on_an_edge", edge));
  }
  return list;
}

/* Mean over the seeds that have ended, and how far they scatter. */
static json_t *variant_json(const sgi_study *s, const char *kind, size_t variant) {
  double sum = 0, squares = 0, seconds = 0;
  size_t n = 0, diverged = 0, i;
  const sgi_study_run *like = NULL, *r;
  const char *text;
  json_t *set = json_array();
  for (i = 0; i < s->count; i++) {
    r = &s->runs[i];
    if (!r->sweep || r->variant != variant || strcmp(r->kind, kind)) continue;
    like = r;
    diverged += r->state == SGI_STUDY_DIVERGED;
    if (r->state != SGI_STUDY_DONE) continue;
    sum += r->valid_loss, squares += r->valid_loss * r->valid_loss, seconds += sgi_study_seconds(s, r);
    n++;
  }
  double mean = n ? sum / (double)n : NAN;
  double spread = n > 1 ? sqrt(fmax(0, squares - sum * mean) / (double)(n - 1)) : NAN;
  for (i = 0; (text = sgi_study_variant(s, variant, i)); i++) json_array_append_new(set, json_string(text));
  return json_pack("{s:s, s:I, s:o, s:I, s:I, s:I, s:I, s:f, s:o, s:o, s:o, s:o}", "kind", kind, "variant",
                   (json_int_t)variant, "set", set, "ended", (json_int_t)n, "diverged", (json_int_t)diverged,
                   "parameters", (json_int_t)(like ? like->parameters : 0), "steps",
                   (json_int_t)(like ? like->steps : 0), "flops", like ? like->flops : 0.0, "valid_loss", real(mean),
                   "standard_deviation", real(spread), "perplexity", real(exp(mean)), "seconds",
                   real(n ? seconds / (double)n : NAN));
}

static json_t *variants_json(const sgi_study *s) {
  json_t *list = json_array();
  for (size_t k = 0; k < sgi_study_list(s, "kinds"); k++)
    for (size_t v = 0; v < sgi_study_variants(s); v++)
      json_array_append_new(list, variant_json(s, sgi_study_word(s, "kinds", k), v));
  return list;
}

static sg_status add_optima(const sample *p, json_t *list, sg_error *err) {
  sg_status st = SG_OK;
  for (size_t b = 0; b < sgi_study_list(p->s, "budgets"); b++)
    for (size_t k = 0; k < sgi_study_list(p->s, "kinds") && !st; k++) {
      const char *kind = sgi_study_word(p->s, "kinds", k);
      double budget = sgi_study_number(p->s, "budgets", b);
      optimum o;
      st = best_size(p, kind, budget, &o, err);
      if (st || !o.points) continue;
      json_t *fit = o.fit.fitted ? json_pack("[f, f, f]", o.fit.a, o.fit.b, o.fit.c) : json_null();
      json_t *best = json_pack("{s:s, s:f, s:I, s:f, s:f, s:b, s:o}", "kind", kind, "budget", budget, "points",
                               (json_int_t)o.points, "non_embedding_parameters", exp(o.fit.at), "loss", o.fit.value,
                               "inside", (int)o.fit.inside, "parabola", fit);
      for (cost by = 0; by < COSTS; by++)
        if (by != BY_CPU || sgi_study_retimed(p->s, NULL))
          json_object_set_new(best, cost_names[by], json_real(o.costs[by]));
      json_array_append_new(list, best);
    }
  return st;
}

static sg_status add_factors(const sample *p, const char *other, json_t *list, sg_error *err) {
  interval *v = sgi_alloc(COSTS * sizeof *v);
  sg_status st = v ? SG_OK : sgi_fail_memory(err, COSTS * sizeof *v, "intervals");
  for (size_t k = 0; k < sgi_study_list(p->s, "kinds") && !st; k++) {
    const char *kind = sgi_study_word(p->s, "kinds", k);
    if (!strcmp(kind, other)) continue;
    st = intervals(p->s, kind, other, v, err);
    for (cost by = 0; by < COSTS && !st; by++) {
      sgi_factor f;
      st = factor_of(p, kind, other, by, &f, err);
      if (st || !(f.factor > 0)) continue;
      json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:f, s:o, s:o, s:I, s:b}", "kind", kind, "against", other,
                                            "by", cost_names[by], "factor", f.factor, "low",
                                            real(quantile(&v[by], 0.025)), "high", real(quantile(&v[by], 0.975)),
                                            "resamples", (json_int_t)v[by].n, "extrapolated", (int)f.beyond));
    }
  }
  sgi_free(v);
  return st;
}

sg_status sgi_study_report(const sgi_study *s, const char *const *against, size_t n, json_t **out, sg_error *err) {
  double *loss = sgi_alloc((s->count + 1) * sizeof *loss);
  *out = NULL;
  if (!loss) return sgi_fail_memory(err, s->count * sizeof *loss, "losses");
  plain_losses(s, loss);
  sample p = {s, loss, NULL};
  json_t *runs = json_array(), *optima = json_array(), *factors = json_array();
  for (size_t i = 0; i < s->count; i++) json_array_append_new(runs, run_json(s, &s->runs[i]));
  sg_status st = add_optima(&p, optima, err);
  for (size_t i = 0; i < n && !st; i++) st = add_factors(&p, against[i], factors, err);
  size_t rows = common_rows(s);
  *out = json_pack("{s:i, s:O, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o}", "format", 1, "asked", s->asked, "left",
                   (json_int_t)sgi_study_left(s), "resampled_rows", (json_int_t)rows, "timing", sgi_study_timing(s),
                   "runs", runs, "best_settings", settings_json(s), "variants", variants_json(s), "optima", optima,
                   "factors", factors);
  sgi_free(loss);
  if (!st && (sgi_json_state() || !*out)) st = sgi_json_incomplete("the study's results", err);
  if (st) {
    json_decref(*out);
    *out = NULL;
  }
  return st;
}
