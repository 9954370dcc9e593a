/* retime.c: the seconds of a step of every form of a study, timed on this machine. A study's runs
 * took their time on several machines, or beside other work; here each form (kind, scale, settings)
 * makes a few steps in turn, round after round, so that whatever else the machine does meets all of
 * them alike, and its time is the median over rounds. */
#include <omp.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/file.h"
#include "core/limits.h"
#include "core/median.h"
#include "math/kernels.h"
#include "study/study_state.h"

enum { NAME = 256 };
static const char WALL[] = "seconds_of_rounds", CPU[] = "cpu_seconds_of_rounds";

/* ---- what is timed --------------------------------------------------------------------------- */

static const sgi_study_run *run_of(const sgi_study *s, const json_t *form, size_t *at) {
  for (*at = 0; *at < s->count; ++*at)
    if (sgi_study_counts(s, &s->runs[*at]) && sgi_study_is_of_form(s, &s->runs[*at], form)) return &s->runs[*at];
  return NULL;
}

static void add_form(const sgi_study *s, const sgi_study_run *r, json_t *forms) {
  size_t i;
  json_t *form;
  json_array_foreach(forms, i, form) if (sgi_study_is_of_form(s, r, form)) return;
  json_array_append_new(
      forms, json_pack("{s:s, s:s, s:I, s:I, s:f, s:n, s:n, s:[], s:[]}", "kind", r->kind, "scale", r->scale, "variant",
                       (json_int_t)sgi_study_variant_of(s, r), "parameters", (json_int_t)r->parameters, "step_flops",
                       sgi_study_step_flops(r), "seconds", "cpu_seconds", WALL, CPU));
}

/* timings.json before its first round. */
static json_t *nothing_yet(const sgi_study *s, size_t rounds) {
  char processor[NAME], date[32];
  time_t now = time(NULL);
  struct tm tm;
  json_t *forms = json_array();
  sgi_processor_name("", processor, sizeof processor);
  strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
  long processors = sysconf(_SC_NPROCESSORS_ONLN);
  for (size_t i = 0; i < s->count; i++)
    if (sgi_study_counts(s, &s->runs[i])) add_form(s, &s->runs[i], forms);
  return json_pack("{s:i, s:s, s:I, s:s, s:i, s:I, s:s, s:o}", "format", 1, "processor", processor, "processors",
                   (json_int_t)(processors > 0 ? processors : 1), "instructions", sgi_kernel_table()->isa, "threads",
                   omp_get_max_threads(), "rounds", (json_int_t)rounds, "date", date, "forms", forms);
}

/* Of the same forms, machine, threads and rounds. */
static bool goes_on(const json_t *part, const json_t *wanted) {
  static const char *const about[] = {"processor", "processors", "instructions", "threads", "rounds"},
                           *const of_form[] = {"kind", "scale", "variant", "parameters", "step_flops"};
  const json_t *mine = json_object_get(wanted, "forms"), *forms = json_object_get(part, "forms");
  bool same = json_array_size(forms) == json_array_size(mine);
  for (size_t i = 0; i < SGI_COUNT(about); i++)
    same = same && json_equal(json_object_get(part, about[i]), json_object_get(wanted, about[i]));
  for (size_t i = 0; same && i < json_array_size(mine); i++)
    for (size_t k = 0; k < SGI_COUNT(of_form); k++)
      same = same && json_equal(json_object_get(json_array_get(forms, i), of_form[k]),
                                json_object_get(json_array_get(mine, i), of_form[k]));
  return same;
}

static void say(const sgi_study *s, const char *text) {
  if (s->events.note) s->events.note(s->events.user, text);
}

/* What a call before this one has timed, or nothing yet. */
static sg_status take_up(const sgi_study *s, const char *path, size_t rounds, json_t **out, sg_error *err) {
  json_t *part = NULL;
  sg_status st = sgi_is_file(path) ? sgi_json_load(path, &part, err) : SG_OK;
  if (!st && part) st = sgi_study_check_timings(part, path, false, err);
  if (st) {
    json_decref(part);
    return sgi_error_prefix(err, st, "what was timed so far can not be gone on with (remove the file to begin anew)");
  }
  *out = nothing_yet(s, rounds);
  if (sgi_json_state() || !*out) {
    json_decref(part);
    return sgi_json_incomplete("timings.json", err);
  }
  if (part && goes_on(part, *out)) {
    say(s, "going on with what was timed before");
    json_decref(*out);
    *out = part;
    return SG_OK;
  }
  if (part) say(s, "what was timed before is of another machine, other threads, rounds or forms: all is timed anew");
  json_decref(part);
  return SG_OK;
}

/* ---- timing ---------------------------------------------------------------------------------- */

static sg_status time_form(sgi_study *s, json_t *form, size_t max_memory, sg_error *err) {
  sgi_run *run = NULL;
  char *path = NULL;
  size_t i;
  sgi_step_time t = {0};
  const sgi_study_run *r = run_of(s, form, &i);
  if (!r) return sgi_fail(err, SG_ERR_INTERNAL, "a form without a run");
  sg_status st = sgi_study_open_run(s, i, max_memory, true, &run, &path, err);
  if (!st) st = sgi_run_time_steps(run, &t, err);
  if (!st && !(t.wall > 0 && t.cpu > 0))
    st = sgi_fail(err, SG_ERR_NUMERIC, "%s: a step took no time that the clock can tell", r->name);
  sgi_run_close(run);
  sgi_free(path);
  if (st) return st;
  json_array_append_new(json_object_get(form, WALL), json_real(t.wall));
  json_array_append_new(json_object_get(form, CPU), json_real(t.cpu));
  return SG_OK;
}

static sg_status save(const char *path, const json_t *o, sg_error *err) {
  return sgi_json_state() ? sgi_json_incomplete("timings.json", err) : sgi_json_save(path, o, err);
}

static sg_status time_rounds(sgi_study *s, json_t *o, const char *part, size_t max_memory, sg_error *err) {
  json_t *forms = json_object_get(o, "forms"), *form;
  size_t rounds = (size_t)json_integer_value(json_object_get(o, "rounds")), n = json_array_size(forms), i;
  sg_status st = SG_OK;
  for (size_t round = 0; round < rounds && !st; round++) json_array_foreach(forms, i, form) {
      if (st || json_array_size(json_object_get(form, WALL)) > round) continue;
      if (s->events.work) s->events.work(s->events.user, "timing steps of every form", round * n + i, rounds * n);
      st = time_form(s, form, max_memory, err);
      if (!st) st = save(part, o, err);
    }
  if (!st && s->events.work) s->events.work(s->events.user, "timing steps of every form", rounds * n, rounds * n);
  return st;
}

static sg_status set_median(json_t *form, const char *from, const char *key, sg_error *err) {
  const json_t *list = json_object_get(form, from);
  size_t n = json_array_size(list);
  double *x = sgi_alloc(n * sizeof *x);
  if (!x) return sgi_fail_memory(err, n * sizeof *x, "times");
  for (size_t i = 0; i < n; i++) x[i] = json_number_value(json_array_get(list, i));
  json_object_set_new(form, key, json_real(sgi_median(x, n)));
  sgi_free(x);
  return SG_OK;
}

static sg_status finish(sgi_study *s, json_t *o, const char *part, sg_error *err) {
  char *path = sgi_path_join(s->directory, "timings.json");
  size_t i;
  json_t *form;
  sg_status st = path ? SG_OK : sgi_fail_memory(err, NAME, "a path");
  json_array_foreach(json_object_get(o, "forms"), i, form) {
    if (!st) st = set_median(form, WALL, "seconds", err);
    if (!st) st = set_median(form, CPU, "cpu_seconds", err);
  }
  if (!st) st = save(path, o, err);
  if (!st) st = sgi_remove_tree(part, err);
  sgi_free(path);
  return st ? st : sgi_study_read_timings(s, NULL, err);
}

sg_status sgi_study_retime(sgi_study *s, size_t rounds, size_t max_memory, sg_error *err) {
  char *part = sgi_path_join(s->directory, "timings.part.json");
  json_t *o = NULL;
  sg_status st = part ? SG_OK : sgi_fail_memory(err, NAME, "a path");
  bool any = false;
  for (size_t i = 0; i < s->count; i++) any |= sgi_study_counts(s, &s->runs[i]);
  if (!st && !any)
    st = sgi_fail(err, SG_ERR_ARG,
                  "%s: there is nothing to time yet: settings of the runs are known once its sweep has ended; do its "
                  "runs first",
                  s->directory);
  if (!st) st = take_up(s, part, rounds, &o, err);
  if (!st) st = time_rounds(s, o, part, max_memory, err);
  if (!st) st = finish(s, o, part, err);
  json_decref(o);
  sgi_free(part);
  return st;
}
