/* timing.c: a step's seconds of every form of a study, timed anew on one machine (timings.json,
 * docs/formats.md): read, held against the runs, and what a run costs by them. All or nothing:
 * costs that were measured in two ways are not compared. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/file.h"
#include "study/study_state.h"

enum { MOST_ROUNDS = 1000, MOST_FORMS = 10000, WORD = 256 };

/* ---- the file -------------------------------------------------------------------------------- */

static sg_status rounds(const json_t *form, const char *where, const char *key, size_t n, bool whole, sg_error *err) {
  const json_t *list = json_object_get(form, key);
  size_t have = json_array_size(list);
  if (!json_is_array(list) || have > n || (whole && have != n))
    return sgi_fail(err, SG_ERR_FORMAT, "%s: \"%s\" must be a list of %zu numbers, one a round", where, key, n);
  for (size_t i = 0; i < have; i++) {
    double x = json_number_value(json_array_get(list, i));
    if (!(x > 0 && x < 1e12)) /* no number is 0 */
      return sgi_fail(err, SG_ERR_FORMAT, "%s: \"%s\": round %zu must be seconds above 0", where, key, i);
  }
  return SG_OK;
}

static sg_status check_form(const json_t *form, const char *where, size_t n, bool whole, sg_error *err) {
  static const char *const keys[] = {
      "kind",    "scale",       "variant",           "parameters",           "step_flops",
      "seconds", "cpu_seconds", "seconds_of_rounds", "cpu_seconds_of_rounds"};
  char text[SGI_SETTING_TEXT];
  size_t size;
  double x, cpu;
  sg_status st = sgi_json_only_keys(form, where, keys, SGI_COUNT(keys), err);
  if (!st) st = sgi_json_string(form, where, "kind", text, sizeof text, err);
  if (!st) st = sgi_json_string(form, where, "scale", text, sizeof text, err);
  if (!st) st = sgi_json_size(form, where, "variant", 0, MOST_FORMS, &size, err);
  if (!st) st = sgi_json_size(form, where, "parameters", 1, SIZE_MAX / 2, &size, err);
  if (!st) st = sgi_json_real(form, where, "step_flops", 0, 1e40, &x, err);
  if (!st) st = rounds(form, where, "seconds_of_rounds", n, whole, err);
  if (!st) st = rounds(form, where, "cpu_seconds_of_rounds", n, whole, err);
  if (st || !whole) return st;
  st = sgi_json_real(form, where, "seconds", 0, 1e12, &x, err);
  if (!st) st = sgi_json_real(form, where, "cpu_seconds", 0, 1e12, &cpu, err);
  if (!st && !(x > 0 && cpu > 0)) st = sgi_fail(err, SG_ERR_FORMAT, "%s: a step's seconds must be above 0", where);
  return st;
}

sg_status sgi_study_check_timings(const json_t *o, const char *where, bool whole, sg_error *err) {
  static const char *const keys[] = {"format",  "processor", "processors", "instructions",
                                     "threads", "rounds",    "date",       "forms"};
  static const char *const words[] = {"processor", "instructions", "date"};
  const json_t *forms = json_object_get(o, "forms");
  size_t size, n = 0;
  char text[WORD];
  sg_status st = sgi_json_only_keys(o, where, keys, SGI_COUNT(keys), err);
  if (!st) st = sgi_json_size(o, where, "format", 1, 1, &size, err);
  for (size_t i = 0; i < SGI_COUNT(words) && !st; i++) st = sgi_json_string(o, where, words[i], text, sizeof text, err);
  if (!st) st = sgi_json_size(o, where, "processors", 1, 1 << 20, &size, err);
  if (!st) st = sgi_json_size(o, where, "threads", 1, 1 << 20, &size, err);
  if (!st) st = sgi_json_size(o, where, "rounds", 1, MOST_ROUNDS, &n, err);
  if (!st && (!json_is_array(forms) || !json_array_size(forms) || json_array_size(forms) > MOST_FORMS))
    st = sgi_fail(err, SG_ERR_FORMAT, "%s: \"forms\" must be a list of 1 to %d objects", where, MOST_FORMS);
  for (size_t i = 0; i < json_array_size(forms) && !st; i++) {
    snprintf(text, sizeof text, "%.200s: form %zu", where, i);
    st = check_form(json_array_get(forms, i), text, n, whole, err);
  }
  return st;
}

/* ---- held against the runs ------------------------------------------------------------------- */

double sgi_study_step_flops(const sgi_study_run *r) { return r->flops / (double)r->steps; }

bool sgi_study_is_of_form(const sgi_study *s, const sgi_study_run *r, const json_t *form) {
  return !strcmp(r->kind, json_string_value(json_object_get(form, "kind"))) &&
         !strcmp(r->scale, json_string_value(json_object_get(form, "scale"))) &&
         sgi_study_variant_of(s, r) == (size_t)json_integer_value(json_object_get(form, "variant"));
}

/* A form of that name with other numbers: the file is another study's. */
static sg_status same_form(const sgi_study_run *r, const json_t *form, const char *path, sg_error *err) {
  double parameters = json_number_value(json_object_get(form, "parameters")),
         flops = json_number_value(json_object_get(form, "step_flops")), mine = sgi_study_step_flops(r);
  if (parameters == (double)r->parameters && fabs(flops - mine) <= 1e-9 * mine) return SG_OK;
  return sgi_fail(err, SG_ERR_FORMAT,
                  "%s: has %s %s with %.0f parameters and %.9g FLOPs a step, and this study's has %zu and %.9g: it "
                  "belongs to other settings; move it away",
                  path, r->kind, r->scale, parameters, flops, r->parameters, mine);
}

static sg_status set_times(sgi_study *s, const char *path, sg_error *err) {
  const json_t *forms = json_object_get(s->timings, "forms");
  sg_status st = SG_OK;
  for (size_t i = 0; i < s->count && !st; i++) {
    sgi_study_run *r = &s->runs[i];
    size_t k;
    json_t *form;
    if (!sgi_study_counts(s, r)) continue;
    json_array_foreach(forms, k, form) {
      if (!sgi_study_is_of_form(s, r, form)) continue;
      st = same_form(r, form, path, err);
      r->step_seconds = json_number_value(json_object_get(form, "seconds"));
      r->step_cpu_seconds = json_number_value(json_object_get(form, "cpu_seconds"));
      break;
    }
  }
  return st;
}

/* Used where all that has ended was timed. */
static void settle(sgi_study *s) {
  s->retimed = s->timings != NULL;
  for (size_t i = 0; i < s->count && s->retimed; i++) {
    const sgi_study_run *r = &s->runs[i];
    if (!sgi_study_counts(s, r) || r->state != SGI_STUDY_DONE || r->step_seconds > 0) continue;
    s->retimed = false;
    snprintf(s->not_retimed, sizeof s->not_retimed,
             "timings.json has no time of run %s: times are as the runs took; --retime times all anew", r->name);
  }
}

static void forget(sgi_study *s) {
  for (size_t i = 0; i < s->count; i++) s->runs[i].step_seconds = s->runs[i].step_cpu_seconds = 0;
  s->retimed = false;
  s->not_retimed[0] = '\0';
}

/* The study is looked at without; the text names the file within the study. */
static void set_problem(sgi_study *s, const sg_error *why) {
  size_t n = strlen(s->directory);
  const char *text = why->text;
  if (!strncmp(text, s->directory, n)) text += n + (text[n] == '/');
  forget(s);
  snprintf(s->not_retimed, sizeof s->not_retimed, "%s", text);
}

sg_status sgi_study_read_timings(sgi_study *s, bool *changed, sg_error *err) {
  char *path = sgi_path_join(s->directory, "timings.json"), before[SG_ERROR_TEXT];
  json_t *o = NULL, *old = s->timings;
  sg_error why = {0};
  bool was = s->retimed;
  if (!path) return sgi_fail_memory(err, SGI_STUDY_TEXT, "a path");
  snprintf(before, sizeof before, "%s", s->not_retimed);
  forget(s);
  sg_status st = sgi_is_file(path) ? sgi_json_load(path, &o, &why) : SG_OK;
  if (!st && o) st = sgi_study_check_timings(o, path, true, &why);
  if (st) json_decref(o), o = NULL;
  s->timings = o;
  if (!st && o) st = set_times(s, path, &why);
  if (!st) settle(s);
  if (st && s->watched && st != SG_ERR_MEMORY) set_problem(s, &why), st = SG_OK;
  if (changed) *changed = was != s->retimed || ((old || o) && !json_equal(old, o)) || strcmp(before, s->not_retimed);
  json_decref(old);
  sgi_free(path);
  if (st && err) *err = why;
  return st;
}

/* ---- what a run costs ------------------------------------------------------------------------ */

bool sgi_study_retimed(const sgi_study *s, const char **problem) {
  if (problem) *problem = s->not_retimed[0] ? s->not_retimed : NULL;
  return s->retimed;
}

static double times(uint64_t steps, double seconds) { return seconds > 0 ? (double)steps * seconds : NAN; }

double sgi_study_seconds(const sgi_study *s, const sgi_study_run *r) {
  return s->retimed ? times(r->steps, r->step_seconds) : r->seconds;
}

double sgi_study_cpu_seconds(const sgi_study *s, const sgi_study_run *r) {
  return s->retimed ? times(r->steps, r->step_cpu_seconds) : NAN;
}

json_t *sgi_study_timing(const sgi_study *s) {
  static const char *const about[] = {"processor", "processors", "instructions", "threads", "rounds", "date"};
  static const char *const of_form[] = {"kind", "scale", "variant", "seconds", "cpu_seconds"};
  json_t *o = json_pack("{s:s, s:s?}", "by", s->retimed ? "timings" : "runs", "problem",
                        s->not_retimed[0] ? s->not_retimed : NULL),
         *forms = json_array(), *form;
  size_t i;
  for (i = 0; i < SGI_COUNT(about); i++) {
    json_t *value = json_object_get(s->timings, about[i]);
    json_object_set_new(o, about[i], value ? json_incref(value) : json_null());
  }
  json_array_foreach(json_object_get(s->timings, "forms"), i, form) {
    json_t *f = json_object();
    for (size_t k = 0; k < SGI_COUNT(of_form); k++) json_object_set(f, of_form[k], json_object_get(form, of_form[k]));
    json_array_append_new(forms, f);
  }
  json_object_set_new(o, "forms", forms);
  return o;
}
