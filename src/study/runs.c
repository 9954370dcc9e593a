/* From what is asked to the list of runs. First each kind's sweep: every variant at the smallest
 * budget, at one scale. A kind whose sweep has ended has its best variant, and all its other runs
 * with it. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "model/flops.h"
#include "study/study_state.h"

char *sgi_study_run_path(const sgi_study *s, const char *name, const char *file) {
  char text[2 * SGI_STUDY_TEXT];
  snprintf(text, sizeof text, "runs/%s%s%s", name, file ? "/" : "", file ? file : "");
  return sgi_path_join(s->directory, text);
}

size_t sgi_study_variants(const sgi_study *s) { return sgi_study_list(s, "variants"); }

const char *sgi_study_variant(const sgi_study *s, size_t variant, size_t i) {
  return json_string_value(json_array_get(json_array_get(json_object_get(s->asked, "variants"), variant), i));
}

static bool sweep_only(const sgi_study *s) { return json_is_true(json_object_get(s->asked, "sweep_only")); }

/* "ladder;64x2" in a file's name: "ladder-64x2". */
static void name_run(sgi_study_run *r) {
  char *at = r->name;
  size_t room = sizeof r->name;
  int n = r->sweep ? snprintf(at, room, "sweep-%s-%03zu-s%llu", r->kind, r->variant, (unsigned long long)r->seed)
                   : snprintf(at, room, "%s-%s-%g-s%llu", r->kind, r->scale, r->budget, (unsigned long long)r->seed);
  for (int i = 0; i < n && at[i]; i++)
    if (strchr(";:/+ ", at[i])) at[i] = '-';
}

static sgi_study_run of(const char *kind, const char *scale, double budget, double seed) {
  sgi_study_run r = {.budget = budget, .seed = (uint64_t)seed};
  snprintf(r.kind, sizeof r.kind, "%s", kind);
  snprintf(r.scale, sizeof r.scale, "%s", scale);
  return r;
}

/* ---- settings -------------------------------------------------------------------------------- */

static sg_status assign(const sgi_study *s, const sgi_study_run *r, sgi_assignments *a, sg_error *err) {
  static const char where[] = "the study";
  char text[64];
  /* A line a step, for the mean of the last ones; held-out text whole, and once. */
  static const char *const usual[][2] = {
      {"log.every", "1"}, {"eval.every", "0"}, {"eval.batches", "0"}, {"checkpoint.keep", "1"}, {"data.rows", "auto"}};
  sg_status st = SG_OK;
  for (size_t i = 0; i < SGI_COUNT(usual) && !st; i++) st = sgi_assign(a, usual[i][0], usual[i][1], where, err);
  if (!st) st = sgi_assign(a, "preset", r->scale, where, err);
  if (!st) st = sgi_assign(a, "feedforward.kind", r->kind, where, err);
  a->rank = 1;
  for (size_t i = 0; i < sgi_study_list(s, "set") && !st; i++)
    st = sgi_assign_text(a, sgi_study_word(s, "set", i), NULL, err);
  size_t variant = r->sweep ? r->variant : sgi_study_best(s, r->kind, NULL, 0);
  if (!sgi_study_variants(s)) variant = 0;
  const char *more;
  for (size_t i = 0; !st && sgi_study_variants(s) && (more = sgi_study_variant(s, variant, i)); i++)
    st = sgi_assign_text(a, more, NULL, err);
  snprintf(text, sizeof text, "%llu", (unsigned long long)r->seed);
  if (!st) st = sgi_assign(a, "train.seed", text, where, err);
  snprintf(text, sizeof text, "%.17g", r->budget);
  if (!st && r->budget > 0) st = sgi_assign(a, "train.flops_budget", text, where, err);
  if (!st && r->budget > 0) st = sgi_assign(a, "train.steps", "0", where, err);
  return st;
}

static sg_status resolve(const sgi_study *s, const sgi_study_run *r, sgi_settings *out, sg_error *err) {
  sgi_assignments a = {0};
  sg_error why = {0};
  sg_status st = assign(s, r, &a, &why);
  if (!st) st = sgi_settings_resolve(&a, out, &why);
  sgi_assignments_free(&a);
  return st ? sgi_fail(err, st, "%s, %s%s%s: %s", r->kind, r->scale, *r->name ? ", run " : "", r->name, why.text)
            : SG_OK;
}

sg_status sgi_study_settings(const sgi_study *s, size_t i, sgi_settings *out, sg_error *err) {
  if (i >= s->count) return sgi_fail(err, SG_ERR_ARG, "the study has %zu runs, no run %zu", s->count, i);
  return resolve(s, &s->runs[i], out, err);
}

/* What it costs. vocab: the tokenizer's, as a run has it; 0 before there is one, and no FLOPs
 * depend on it. */
static sg_status cost(const sgi_study *s, sgi_study_run *r, size_t vocab, sg_error *err) {
  sgi_settings *set = sgi_alloc(sizeof *set);
  if (!set) return sgi_fail_memory(err, sizeof *set, "settings");
  sg_error why = {0};
  uint64_t forward = 0;
  sg_status st = resolve(s, r, set, err);
  if (!st) {
    if (vocab) set->model.vocab_size = vocab;
    st = sgi_config_parameters(&set->model, &r->parameters, &why);
    if (!st) st = sg_config_flops(&set->model, set->seq_len, &forward, &why);
    r->steps = set->steps;
    if (!st && !r->steps) st = sgi_budget_steps(set->flops_budget, forward, set->batch_size, &r->steps, &why);
    if (!st && !r->steps) st = sgi_fail(&why, SG_ERR_ARG, "neither a budget nor train.steps says how long it takes");
    if (st) st = sgi_fail(err, st, "%s, %s%s%s: %s", r->kind, r->scale, *r->name ? ", run " : "", r->name, why.text);
    r->embedding = set->model.vocab_size * set->model.hidden_size;
    r->flops = 3.0 * (double)forward * (double)set->batch_size * (double)r->steps;
  }
  sgi_free(set);
  return st;
}

sg_status sgi_study_try(const sgi_study *s, sg_error *err) {
  size_t variants = sgi_study_variants(s) ? sgi_study_variants(s) : 1;
  sg_status st = SG_OK;
  for (size_t k = 0; k < sgi_study_list(s, "kinds"); k++)
    for (size_t c = 0; c < sgi_study_list(s, "scales"); c++)
      for (size_t v = 0; v < variants; v++)
        for (size_t b = 0; b < sgi_study_list(s, "budgets") && !st; b++) {
          sgi_study_run r = of(sgi_study_word(s, "kinds", k), sgi_study_word(s, "scales", c),
                               sgi_study_number(s, "budgets", b), sgi_study_number(s, "seeds", 0));
          r.sweep = true; /* so that a variant is named, and not looked for among results */
          r.variant = v;
          st = cost(s, &r, 0, err);
        }
  return st;
}

/* ---- the list -------------------------------------------------------------------------------- */

static sg_status add(sgi_study *s, const sgi_study_run *r, size_t vocab, sg_error *err) {
  if (!sgi_room(&s->runs, &s->capacity, s->count, sizeof *s->runs))
    return sgi_fail_memory(err, (s->count + 1) * sizeof *s->runs, "the runs of a study");
  sgi_study_run *to = &s->runs[s->count];
  *to = *r;
  name_run(to);
  sg_status st = cost(s, to, vocab, err);
  if (!st) st = sgi_study_read(s, to, err);
  if (!st) s->count++;
  return st;
}

static double least_budget(const sgi_study *s) {
  double least = sgi_study_number(s, "budgets", 0);
  for (size_t i = 1; i < sgi_study_list(s, "budgets"); i++) least = fmin(least, sgi_study_number(s, "budgets", i));
  return least;
}

static sg_status add_sweep(sgi_study *s, const char *kind, size_t vocab, sg_error *err) {
  const char *scale = json_string_value(json_object_get(s->asked, "sweep_scale"));
  size_t seeds = sweep_only(s) ? sgi_study_list(s, "seeds") : 1;
  sg_status st = SG_OK;
  for (size_t v = 0; v < sgi_study_variants(s); v++)
    for (size_t k = 0; k < seeds && !st; k++) {
      sgi_study_run r = of(kind, scale, least_budget(s), sgi_study_number(s, "seeds", k));
      r.sweep = true;
      r.variant = v;
      st = add(s, &r, vocab, err);
    }
  return st;
}

static sg_status add_question(sgi_study *s, const char *kind, size_t vocab, sg_error *err) {
  sg_status st = SG_OK;
  for (size_t b = 0; b < sgi_study_list(s, "budgets"); b++)
    for (size_t c = 0; c < sgi_study_list(s, "scales"); c++)
      for (size_t k = 0; k < sgi_study_seeds_of(s, b) && !st; k++) {
        sgi_study_run r = of(kind, sgi_study_word(s, "scales", c), sgi_study_number(s, "budgets", b),
                             sgi_study_number(s, "seeds", k));
        st = add(s, &r, vocab, err);
      }
  return st;
}

static int by_cost(const void *a, const void *b) {
  const sgi_study_run *x = a, *y = b;
  if (x->sweep != y->sweep) return x->sweep ? -1 : 1;
  if (x->flops != y->flops) return x->flops < y->flops ? -1 : 1;
  return strcmp(x->name, y->name);
}

sg_status sgi_study_list_runs(sgi_study *s, sg_error *err) {
  sg_tokenizer *t = NULL;
  sg_status st = sg_tokenizer_load(s->tokenizer, &t, err);
  if (st) return st;
  size_t vocab = sg_tokenizer_vocab_size(t);
  if (sg_tokenizer_special(t, "<|pad|>") < 0) vocab++; /* the run adds one (train/run.c) */
  sg_tokenizer_free(t);
  s->vocab = vocab;
  for (size_t i = 0; i < s->count; i++) sgi_study_forget(&s->runs[i]);
  s->count = 0;
  for (size_t k = 0; k < sgi_study_list(s, "kinds") && !st; k++)
    st = add_sweep(s, sgi_study_word(s, "kinds", k), vocab, err);
  for (size_t k = 0; k < sgi_study_list(s, "kinds") && !st && !sweep_only(s); k++) {
    const char *kind = sgi_study_word(s, "kinds", k);
    if (sgi_study_best(s, kind, NULL, 0) != SIZE_MAX) st = add_question(s, kind, vocab, err);
  }
  if (!st) qsort(s->runs, s->count, sizeof *s->runs, by_cost);
  return st ? st : sgi_study_read_timings(s, NULL, err);
}

bool sgi_study_counts(const sgi_study *s, const sgi_study_run *r) { return r->sweep == sweep_only(s); }

size_t sgi_study_variant_of(const sgi_study *s, const sgi_study_run *r) {
  return r->sweep ? r->variant : sgi_study_best(s, r->kind, NULL, 0);
}

/* ---- the best variant ------------------------------------------------------------------------ */

/* Mean held-out loss of a variant over its seeds: NaN while one has not ended, infinite where one
 * diverged. */
static double variant_loss(const sgi_study *s, const char *kind, size_t variant) {
  double sum = 0;
  size_t n = 0;
  for (size_t i = 0; i < s->count; i++) {
    const sgi_study_run *r = &s->runs[i];
    if (!r->sweep || r->variant != variant || strcmp(r->kind, kind)) continue;
    if (r->state == SGI_STUDY_WAITING) return NAN;
    sum += r->state == SGI_STUDY_DONE ? r->valid_loss : INFINITY;
    n++;
  }
  return n ? sum / (double)n : NAN;
}

/* The value of key in a variant, NaN where it has none or none that is a number. */
static double value_of(const sgi_study *s, size_t variant, const char *key, size_t length) {
  const char *text;
  for (size_t i = 0; (text = sgi_study_variant(s, variant, i)); i++) {
    char *end;
    if (strncmp(text, key, length) || text[length] != '=') continue;
    double v = strtod(text + length + 1, &end);
    return *end ? NAN : v;
  }
  return NAN;
}

static void edges(const sgi_study *s, size_t best, char *out, size_t size) {
  const char *text;
  out[0] = '\0';
  for (size_t i = 0; (text = sgi_study_variant(s, best, i)); i++) {
    size_t length = strcspn(text, "=");
    double here = value_of(s, best, text, length), low = INFINITY, high = -INFINITY;
    for (size_t v = 0; v < sgi_study_variants(s); v++) {
      double x = value_of(s, v, text, length);
      low = fmin(low, x);
      high = fmax(high, x);
    }
    if (!isfinite(here) || !(low < high) || (here > low && here < high)) continue;
    size_t at = strlen(out);
    if (at + length + 3 < size) snprintf(out + at, size - at, "%s%.*s", at ? ", " : "", (int)length, text);
  }
}

size_t sgi_study_best(const sgi_study *s, const char *kind, char *edge, size_t size) {
  size_t best = SIZE_MAX;
  double least = INFINITY;
  if (size) edge[0] = '\0';
  if (!sgi_study_variants(s)) return 0;
  for (size_t v = 0; v < sgi_study_variants(s); v++) {
    double loss = variant_loss(s, kind, v);
    if (isnan(loss)) return SIZE_MAX;
    if (loss < least) least = loss, best = v;
  }
  if (best != SIZE_MAX && size) edges(s, best, edge, size);
  return best;
}
