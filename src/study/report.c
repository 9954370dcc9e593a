/* What the runs say together, as a document (numbers: factors.c). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "study/factors.h"

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

static sg_status add_optima(const sgi_study_sample *p, json_t *list, sg_error *err) {
  sg_status st = SG_OK;
  for (size_t b = 0; b < sgi_study_list(p->s, "budgets"); b++)
    for (size_t k = 0; k < sgi_study_list(p->s, "kinds") && !st; k++) {
      const char *kind = sgi_study_word(p->s, "kinds", k);
      double budget = sgi_study_number(p->s, "budgets", b);
      sgi_study_optimum o;
      st = sgi_study_best_size(p, kind, budget, &o, err);
      if (st || !o.points) continue;
      json_t *fit = o.fit.fitted ? json_pack("[f, f, f]", o.fit.a, o.fit.b, o.fit.c) : json_null();
      json_t *best = json_pack("{s:s, s:f, s:I, s:f, s:f, s:b, s:o}", "kind", kind, "budget", budget, "points",
                               (json_int_t)o.points, "non_embedding_parameters", exp(o.fit.at), "loss", o.fit.value,
                               "inside", (int)o.fit.inside, "parabola", fit);
      for (sgi_study_cost_by by = 0; by < SGI_STUDY_COSTS; by++)
        if (sgi_study_cost_known(p->s, by)) json_object_set_new(best, sgi_study_cost_names[by], json_real(o.costs[by]));
      json_array_append_new(list, best);
    }
  return st;
}

static json_t *factor_json(const char *kind, const char *other, sgi_study_cost_by by, const sgi_factor *f,
                           const sgi_study_interval *v) {
  return json_pack("{s:s, s:s, s:s, s:f, s:o, s:o, s:I, s:b}", "kind", kind, "against", other, "by",
                   sgi_study_cost_names[by], "factor", f->factor, "low", real(v->low), "high", real(v->high),
                   "resamples", (json_int_t)v->n, "extrapolated", (int)f->beyond);
}

typedef struct factor_lists {
  json_t *factors, *missing;
} factor_lists;

static sg_status add_factors(const sgi_study_sample *p, const sgi_study_resamples *drawn, const char *other,
                             const factor_lists *to, const sgi_study_going *going, double part, sg_error *err) {
  sg_status st = SG_OK;
  for (size_t k = 0; k < sgi_study_list(p->s, "kinds") && !st; k++) {
    const char *kind = sgi_study_word(p->s, "kinds", k);
    sgi_study_interval v[SGI_STUDY_COSTS];
    if (!strcmp(kind, other)) continue;
    if (going && !going->on(going->user, part)) return sgi_fail(err, SG_ERR_CANCELLED, "the resampling was stopped");
    st = sgi_study_intervals(p->s, drawn, kind, other, v, err);
    for (sgi_study_cost_by by = 0; by < SGI_STUDY_COSTS && !st; by++) {
      sgi_factor f;
      const char *why;
      if (!sgi_study_cost_known(p->s, by)) continue;
      st = sgi_study_factor(p, kind, other, by, &f, &why, err);
      if (st) break;
      if (f.factor > 0)
        json_array_append_new(to->factors, factor_json(kind, other, by, &f, &v[by]));
      else
        json_array_append_new(to->missing, json_pack("{s:s, s:s, s:s, s:s}", "kind", kind, "against", other, "by",
                                                     sgi_study_cost_names[by], "why", why));
    }
  }
  return st;
}

/* sgi_study_factors into o: factors and what the intervals are of. */
static sg_status put_factors(const sgi_study_sample *p, const char *const *against, size_t n, json_t *o,
                             const sgi_study_going *going, sg_error *err) {
  const factor_lists to = {json_array(), json_array()};
  sgi_study_resamples drawn = {0};
  sg_status st = n ? sgi_study_resample(p->s, &drawn, going, err) : SG_OK;
  if (!n) drawn.units = sgi_study_units(p->s, &drawn.by_rows);
  for (size_t i = 0; i < n && !st; i++)
    st = add_factors(p, &drawn, against[i], &to, going, 0.5 + 0.5 * (double)i / (double)n, err);
  json_object_set_new(o, "resampled_documents", json_integer(drawn.by_rows ? 0 : (json_int_t)drawn.units));
  json_object_set_new(o, "resampled_rows", json_integer(drawn.by_rows ? (json_int_t)drawn.units : 0));
  json_object_set_new(o, "factors", to.factors);
  json_object_set_new(o, "no_factors", to.missing);
  sgi_study_resamples_free(&drawn);
  return st;
}

static sg_status whole(sg_status st, json_t **o, sg_error *err) {
  if (!st && (sgi_json_state() || !*o)) st = sgi_json_incomplete("the study's results", err);
  if (!st) return SG_OK;
  json_decref(*o);
  *o = NULL;
  return st;
}

sg_status sgi_study_factors(const sgi_study *s, const char *const *against, size_t n, const sgi_study_going *going,
                            json_t **out, sg_error *err) {
  double *loss = sgi_alloc((s->count + 1) * sizeof *loss);
  *out = NULL;
  if (!loss) return sgi_fail_memory(err, s->count * sizeof *loss, "losses");
  for (size_t i = 0; i < s->count; i++) loss[i] = s->runs[i].valid_loss;
  *out = json_pack("{s:I}", "left", (json_int_t)sgi_study_left(s));
  sg_status st = put_factors(&(sgi_study_sample){s, loss, NULL}, against, n, *out, going, err);
  sgi_free(loss);
  return whole(st, out, err);
}

sg_status sgi_study_report(const sgi_study *s, const char *const *against, size_t n, const sgi_study_going *going,
                           json_t **out, sg_error *err) {
  double *loss = sgi_alloc(2 * (s->count + 1) * sizeof *loss), *train = loss + s->count;
  *out = NULL;
  if (!loss) return sgi_fail_memory(err, 2 * s->count * sizeof *loss, "losses");
  for (size_t i = 0; i < s->count; i++) loss[i] = s->runs[i].valid_loss, train[i] = s->runs[i].train_loss;
  const sgi_study_sample p = {s, loss, NULL};
  json_t *runs = json_array(), *optima = json_array(), *train_optima = json_array();
  for (size_t i = 0; i < s->count; i++) json_array_append_new(runs, run_json(s, &s->runs[i]));
  sg_status st = add_optima(&p, optima, err);
  if (!st) st = add_optima(&(sgi_study_sample){s, train, NULL}, train_optima, err);
  *out = json_pack("{s:i, s:O, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o}", "format", 1, "asked", s->asked, "left",
                   (json_int_t)sgi_study_left(s), "runs_of_unknown_text", (json_int_t)sgi_study_untold(s), "timing",
                   sgi_study_timing(s), "runs", runs, "best_settings", settings_json(s), "variants", variants_json(s),
                   "optima", optima, "train_optima", train_optima);
  if (!st) st = put_factors(&p, against, n, *out, going, err);
  sgi_free(loss);
  return whole(st, out, err);
}
