#include "study/study.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "study/study_state.h"
#include "text/reader.h"

/* ---- open and close -------------------------------------------------------------------------- */

/* advice: what to do where they differ. */
static sg_status same(const json_t *there, const json_t *wanted, const char *path, const char *advice, sg_error *err) {
  const char *key;
  json_t *value;
  json_object_foreach((json_t *)wanted, key, value) {
    const json_t *other = json_object_get(there, key);
    if (sgi_study_equal(key, value, other)) continue;
    char *a = json_dumps(other, JSON_ENCODE_ANY | JSON_COMPACT), *b = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    sg_status st = sgi_fail(err, SG_ERR_ARG, "%s: this study has %s %.120s, and %.120s is asked for: %s", path, key,
                            a ? a : "none", b ? b : "another", advice);
    free(a);
    free(b);
    return st;
  }
  return SG_OK;
}

/* The tokenizer of the first kind at the first scale: no other setting of a run decides it. */
static sg_status make_tokenizer(sgi_study *s, const char *given, sg_error *err) {
  if (given) return sgi_copy_file(given, s->tokenizer, SGI_TOKENIZER_BYTES, err);
  sgi_assignments a = {0};
  sgi_settings *set = sgi_alloc(sizeof *set);
  if (!set) return sgi_fail_memory(err, sizeof *set, "settings");
  sg_status st = sgi_assign(&a, "preset", sgi_study_word(s, "scales", 0), "the study", err);
  if (!st) st = sgi_assign(&a, "feedforward.kind", sgi_study_word(s, "kinds", 0), "the study", err);
  a.rank = 1;
  for (size_t i = 0; i < sgi_study_list(s, "set") && !st; i++)
    st = sgi_assign_text(&a, sgi_study_word(s, "set", i), NULL, err);
  if (!st) st = sgi_settings_resolve(&a, set, err);
  if (!st) st = sgi_run_make_tokenizer(set, s->data, s->tokenizer, &s->events, err);
  sgi_assignments_free(&a);
  sgi_free(set);
  return st;
}

/* A study compares held-out losses: better known before its first run than after it. */
static sg_status check_data(const char *data, sg_error *err) {
  char *valid = NULL;
  sg_error why = {0};
  if (!sgi_is_directory(data))
    return sgi_fail(err, SG_ERR_IO, "%s: is no directory; a study needs one with train.* and valid.*", data);
  sg_status st = sgi_find_split(data, "valid", &valid, &why);
  sgi_free(valid);
  return st ? sgi_fail(err, st, "%s; a study compares losses on it", why.text) : SG_OK;
}

static sg_status begin(sgi_study *s, const char *path, const json_t *wanted, const char *tokenizer, sg_error *err) {
  if (!wanted)
    return sgi_fail(err, SG_ERR_IO,
                    "%s: there is no study (study.json is missing): one begins with --data and what it "
                    "asks (--help has examples)",
                    s->directory);
  sg_error why = {0};
  sg_status st = sgi_study_check(wanted, "the study", &why);
  if (st) return sgi_fail(err, st == SG_ERR_FORMAT ? SG_ERR_ARG : st, "%s", why.text); /* no file says so */
  s->asked = json_deep_copy(wanted);
  if (!s->asked) return sgi_fail_memory(err, 4096, "a study");
  s->data = json_string_value(json_object_get(s->asked, "data"));
  st = check_data(s->data, err);
  if (!st) st = sgi_study_try(s, err);
  if (!st) st = sgi_make_directory(s->directory, err);
  if (!st) st = make_tokenizer(s, tokenizer, err);
  if (!st) st = sgi_study_list_runs(s, err);
  return st ? st : sgi_json_save(path, s->asked, err);
}

static sg_status go_on(sgi_study *s, const char *path, const json_t *wanted, sg_error *err) {
  sg_status st = sgi_json_load(path, &s->asked, err);
  if (!st) st = sgi_study_check(s->asked, path, err);
  if (!st && wanted)
    st = same(s->asked, wanted, path,
              "-o alone goes on with it as it is; for another question choose another directory", err);
  if (st) return st;
  s->data = json_string_value(json_object_get(s->asked, "data"));
  return sgi_study_list_runs(s, err);
}

static sg_status open_study(sgi_study *s, const char *directory, const json_t *wanted, const char *tokenizer,
                            sg_error *err) {
  char *path = sgi_path_join(directory, "study.json");
  s->directory = sgi_strdup(directory);
  s->tokenizer = sgi_path_join(directory, "tokenizer.json");
  sg_status st = !path || !s->directory || !s->tokenizer ? sgi_fail_memory(err, strlen(directory), "a path")
                 : sgi_is_file(path)                     ? go_on(s, path, wanted, err)
                                                         : begin(s, path, wanted, tokenizer, err);
  sgi_free(path);
  return st;
}

static sg_status given_out(sgi_study *s, sg_status st, sgi_study **out) {
  if (st)
    sgi_study_close(s);
  else
    *out = s;
  return st;
}

sg_status sgi_study_open(const char *directory, const json_t *wanted, const char *tokenizer,
                         const sgi_run_events *events, sgi_study **out, sg_error *err) {
  *out = NULL;
  sgi_study *s = sgi_alloc(sizeof *s);
  if (!s) return sgi_fail_memory(err, sizeof *s, "a study");
  if (events) s->events = *events;
  return given_out(s, open_study(s, directory, wanted, tokenizer, err), out);
}

sg_status sgi_study_follow(const char *directory, sgi_study **out, sg_error *err) {
  *out = NULL;
  sgi_study *s = sgi_alloc(sizeof *s);
  if (!s) return sgi_fail_memory(err, sizeof *s, "a study");
  s->watched = true;
  return given_out(s, open_study(s, directory, NULL, NULL, err), out);
}

/* ---- looking again --------------------------------------------------------------------------- */

sg_status sgi_study_look(sgi_study *s, bool *changed, sg_error *err) {
  bool swept = false, timed = false;
  sg_status st = SG_OK;
  *changed = false;
  for (size_t i = 0; i < s->count && !st; i++) {
    sgi_study_run *r = &s->runs[i];
    if (r->state != SGI_STUDY_WAITING) continue;
    bool had = r->problem != NULL;
    sgi_study_forget(r);
    st = sgi_study_read(s, r, err);
    bool ended = r->state != SGI_STUDY_WAITING;
    *changed |= ended || had != (r->problem != NULL);
    swept |= ended && r->sweep;
  }
  if (!st && swept) st = sgi_study_list_runs(s, err);
  if (!st) st = sgi_study_read_timings(s, &timed, err);
  *changed |= timed;
  return st;
}

void sgi_study_close(sgi_study *s) {
  if (!s) return;
  for (size_t i = 0; i < s->count; i++) sgi_study_forget(&s->runs[i]);
  sgi_free(s->runs);
  json_decref(s->asked);
  json_decref(s->timings);
  sgi_free(s->directory);
  sgi_free(s->tokenizer);
  sgi_free(s);
}

const sgi_study_run *sgi_study_at(const sgi_study *s, size_t i) { return i < s->count ? &s->runs[i] : NULL; }
const json_t *sgi_study_asked(const sgi_study *s) { return s->asked; }

size_t sgi_study_left(const sgi_study *s) {
  size_t left = 0;
  for (size_t i = 0; i < s->count; i++) left += s->runs[i].state == SGI_STUDY_WAITING;
  return left;
}

/* ---- one run --------------------------------------------------------------------------------- */

static sg_status named(const sgi_study_run *r, const sg_error *why, sg_error *err) {
  return sgi_fail(err, why->code, "run %s: %s", r->name, why->text);
}

/* Of a result that was collected only three files are here (take, below). */
static sg_status check_whole(const sgi_study *s, const char *name, const char *directory, sg_error *err) {
  char *tokenizer = sgi_study_run_path(s, name, "tokenizer.json");
  sg_status st = !tokenizer               ? sgi_fail_memory(err, SGI_STUDY_TEXT, "a path")
                 : sgi_is_file(tokenizer) ? SG_OK
                                          : sgi_fail(err, SG_ERR_FORMAT,
                                                     "%s: was collected, so it has neither a model nor, now, its "
                                                     "result.json: --collect it once more, or move it away and it is "
                                                     "run here",
                                                     directory);
  sgi_free(tokenizer);
  return st;
}

sg_status sgi_study_open_run(sgi_study *s, size_t i, size_t max_memory, bool dry, sgi_run **out, char **path,
                             sg_error *err) {
  sgi_run_request *r = sgi_alloc(sizeof *r);
  char *config = sgi_study_run_path(s, s->runs[i].name, "config.json");
  *path = sgi_study_run_path(s, s->runs[i].name, NULL);
  if (!r || !config || !*path) {
    sgi_free(r);
    sgi_free(config);
    return sgi_fail_memory(err, sizeof *r, "a run");
  }
  *r = (sgi_run_request){.run = dry ? NULL : *path,
                         .data = s->data,
                         .tokenizer = s->tokenizer,
                         .resume = !dry && sgi_is_file(config),
                         .dry_run = dry,
                         .max_memory = max_memory};
  sg_error why = {0};
  sg_status st = r->resume ? check_whole(s, s->runs[i].name, *path, err) : SG_OK;
  if (!st) st = sgi_study_settings(s, i, &r->settings, err);
  if (!st) st = sgi_run_open(r, &s->events, out, &why);
  if (why.code) st = named(&s->runs[i], &why, err);
  sgi_free(r);
  sgi_free(config);
  return st;
}

sg_status sgi_study_plan(const sgi_study *s, size_t i, size_t max_memory, sgi_run_plan *out, double *evaluation_steps,
                         double *step_seconds, sg_error *err) {
  sgi_run *run = NULL;
  char *path = NULL;
  sg_status st = sgi_study_open_run((sgi_study *)s, i, max_memory, true, &run, &path, err);
  if (!st) *out = *sgi_run_plan_of(run);
  if (!st) *evaluation_steps = sgi_run_evaluation_steps(run);
  if (!st && step_seconds) st = sgi_run_foretell_step(run, step_seconds, err);
  sgi_run_close(run);
  sgi_free(path);
  return st;
}

sg_status sgi_study_do(sgi_study *s, size_t i, size_t max_memory, sg_error *err) {
  sgi_run *run = NULL;
  char *path = NULL;
  sg_error why = {0};
  sgi_study_run *r = &s->runs[i];
  bool sweep = r->sweep;
  sg_status st = sgi_study_open_run(s, i, max_memory, false, &run, &path, err);
  if (!st && (sgi_run_plan_of(run)->steps != r->steps || sgi_run_plan_of(run)->parameters != r->parameters))
    st = sgi_fail(err, SG_ERR_FORMAT,
                  "%s: is a run of %zu parameters and %llu steps, and the study's %s has %zu and %llu: move it away",
                  path, sgi_run_plan_of(run)->parameters, (unsigned long long)sgi_run_plan_of(run)->steps, r->name,
                  r->parameters, (unsigned long long)r->steps);
  if (!st) {
    const sgi_run_texts texts = sgi_run_texts_of(run);
    st = sgi_study_own_text(s, &texts, err);
  }
  if (!st) {
    sgi_run_losses losses = {0};
    sg_status ended = sgi_run_train(run, &why);
    if (!ended) ended = sgi_run_losses_of(run, &losses, &why);
    st = !ended                      ? sgi_study_keep(s, r, run, &losses, err)
         : ended == SG_ERR_NUMERIC   ? sgi_study_keep_diverged(s, r, run, &why, err)
         : ended == SG_ERR_CANCELLED ? sgi_fail(err, ended, "%s", why.text)
                                     : named(r, &why, err);
    sgi_run_losses_free(&losses);
  }
  sgi_run_close(run);
  sgi_free(path);
  if (!st && sweep) st = sgi_study_list_runs(s, err);
  return st ? st : sgi_study_read_timings(s, NULL, err);
}

/* ---- from elsewhere -------------------------------------------------------------------------- */

/* A run directory with its checkpoints may be large and is not needed: result.json and the two
 * files that say how it came about. */
static sg_status take(const sgi_study *s, const sgi_study *other, const char *name, sg_error *err) {
  static const char *const files[] = {"config.json", "metrics.jsonl", "result.json"};
  char *to = sgi_study_run_path(s, name, NULL);
  sg_status st = to ? sgi_make_directory(to, err) : sgi_fail_memory(err, SGI_STUDY_TEXT, "a path");
  sgi_free(to);
  for (size_t i = 0; i < SGI_COUNT(files) && !st; i++) {
    char *a = sgi_study_run_path(other, name, files[i]), *b = sgi_study_run_path(s, name, files[i]);
    if (!a || !b)
      st = sgi_fail_memory(err, SGI_STUDY_TEXT, "a path");
    else if (sgi_is_file(a))
      st = sgi_copy_file(a, b, (size_t)256 << 20, err);
    sgi_free(a);
    sgi_free(b);
  }
  return st;
}

sg_status sgi_study_collect(sgi_study *s, const char *directory, size_t *taken, sg_error *err) {
  sgi_study *other;
  uint64_t bytes[2], hash[2];
  *taken = 0;
  char *path = sgi_path_join(directory, "study.json");
  sg_status st = !path               ? sgi_fail_memory(err, strlen(directory), "a path")
                 : sgi_is_file(path) ? sgi_study_open(directory, NULL, NULL, NULL, &other, err)
                                     : sgi_fail(err, SG_ERR_IO,
                                                "%s: holds no study (study.json is missing); --collect takes results "
                                                "from a copy of this one",
                                                directory);
  sgi_free(path);
  if (st) return st;
  json_t *mine = json_deep_copy(s->asked);
  json_object_del(mine, "data"); /* where the text lies is each machine's own */
  st = mine ? same(other->asked, mine, directory, "only a copy of the same study can be collected", err)
            : sgi_fail_memory(err, 4096, "a study");
  json_decref(mine);
  if (!st) st = sgi_hash_file(s->tokenizer, &bytes[0], &hash[0], err);
  if (!st) st = sgi_hash_file(other->tokenizer, &bytes[1], &hash[1], err);
  if (!st && (bytes[0] != bytes[1] || hash[0] != hash[1]))
    st = sgi_fail(err, SG_ERR_ARG, "%s: its tokenizer.json is another one: losses would not compare", directory);
  if (!st) st = sgi_study_same_text(s, other, directory, err);
  /* What is taken may make more runs known, here and there. */
  for (size_t before = SIZE_MAX; before != *taken && !st;) {
    before = *taken;
    for (size_t i = 0; i < s->count && !st; i++)
      for (size_t k = 0; k < other->count && !st; k++)
        if (s->runs[i].state == SGI_STUDY_WAITING && other->runs[k].state != SGI_STUDY_WAITING &&
            !strcmp(s->runs[i].name, other->runs[k].name)) {
          st = take(s, other, s->runs[i].name, err);
          if (!st) st = sgi_study_read(s, &s->runs[i], err);
          if (!st) ++*taken;
        }
    if (!st && before != *taken) st = sgi_study_list_runs(s, err);
  }
  sgi_study_close(other);
  return st ? st : sgi_study_read_timings(s, NULL, err);
}
