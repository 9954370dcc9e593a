/* A run's result, beside the run: STUDY/runs/NAME/result.json. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/file.h"
#include "study/study_state.h"

void sgi_study_forget(sgi_study_run *r) {
  sgi_free(r->nll);
  sgi_free(r->problem);
  r->nll = r->targets = NULL;
  r->problem = NULL;
  r->units = 0;
  r->told = false;
}

/* ---- the last steps' loss -------------------------------------------------------------------- */

/* Mean of train/loss over the last hundredth of the steps, at least one; the file has a line a
 * step. */
static sg_status last_losses(const char *path, uint64_t steps, double *mean, sg_error *err) {
  uint64_t from = steps - (steps + 99) / 100;
  sgi_map map;
  double sum = 0;
  size_t n = 0;
  sg_status st = sgi_map_file(path, &map, err);
  if (st) return st;
  for (size_t at = 0; at < map.size && !st;) {
    const unsigned char *end = memchr(map.data + at, '\n', map.size - at);
    size_t length = end ? (size_t)(end - map.data) - at : map.size - at;
    json_t *o = NULL;
    st = sgi_json_parse((const char *)map.data + at, length, path, &o, err);
    const json_t *loss = json_object_get(o, "train/loss");
    if (!st && json_is_number(loss) && json_number_value(json_object_get(o, "step")) > (double)from) {
      sum += json_number_value(loss);
      n++;
    }
    json_decref(o);
    at += length + 1;
  }
  sgi_unmap_file(&map);
  *mean = n ? sum / (double)n : NAN;
  if (!st && !n)
    st = sgi_fail(err, SG_ERR_FORMAT, "%s: has no loss of the last %llu steps", path,
                  (unsigned long long)(steps - from));
  return st;
}

/* ---- writing --------------------------------------------------------------------------------- */

static json_t *array(const double *x, size_t n) {
  json_t *a = json_array();
  for (size_t i = 0; i < n; i++) json_array_append_new(a, json_real(x[i]));
  return a;
}

static sg_status save(const sgi_study *s, const sgi_study_run *r, const char *why, sg_error *err) {
  bool done = r->state == SGI_STUDY_DONE;
  json_t *o = json_pack("{s:i, s:s, s:s, s:I, s:I, s:I, s:f, s:f, s:I}", "format", 1, "name", r->name, "state",
                        done ? "done" : "diverged", "parameters", (json_int_t)r->parameters, "embedding_parameters",
                        (json_int_t)r->embedding, "steps", (json_int_t)r->steps, "flops", r->flops, "seconds",
                        r->seconds, "memory_bytes", (json_int_t)r->memory);
  sgi_study_put_texts(r, o);
  if (!done) json_object_set_new(o, "error", json_string(why));
  if (done) {
    json_object_set_new(o, "train_loss", json_real(r->train_loss));
    json_object_set_new(o, "valid_loss", json_real(r->valid_loss));
    json_object_set_new(o, "standard_error", json_real(r->standard_error));
    json_object_set_new(o, "accuracy", json_real(r->accuracy));
    json_object_set_new(o, "document_nll", array(r->nll, r->units));
    json_object_set_new(o, "document_targets", array(r->targets, r->units));
  }
  char *path = sgi_study_run_path(s, r->name, "result.json");
  sg_status st = !path              ? sgi_fail_memory(err, SGI_STUDY_TEXT, "a path")
                 : sgi_json_state() ? sgi_json_incomplete("result.json", err)
                                    : sgi_json_save(path, o, err);
  json_decref(o);
  sgi_free(path);
  return st;
}

static void about(sgi_study_run *r, const sgi_run *run) {
  r->memory = sgi_run_plan_of(run)->memory;
  r->seconds = sgi_run_seconds(run);
  r->texts = sgi_run_texts_of(run);
  r->told = true;
}

static void set_diverged(sgi_study_run *r) {
  r->state = SGI_STUDY_DIVERGED;
  r->train_loss = r->valid_loss = r->standard_error = r->accuracy = NAN;
}

/* A loss above this is worse than knowing nothing, by as much again: no step too few explains
 * it. */
static double worst_loss(const sgi_study *s) { return 2 * log((double)s->vocab); }

static bool is_wild(const sgi_study *s, const sgi_study_run *r) {
  return !(r->train_loss <= worst_loss(s) && r->valid_loss <= worst_loss(s));
}

sg_status sgi_study_keep_diverged(const sgi_study *s, sgi_study_run *r, const sgi_run *run, const sg_error *why,
                                  sg_error *err) {
  sgi_study_forget(r);
  about(r, run);
  set_diverged(r);
  return save(s, r, why->text, err);
}

static sg_status keep_documents(sgi_study_run *r, const sgi_run_losses *l, sg_error *err) {
  size_t n = l->documents, bytes = n * sizeof(double);
  if (!(r->nll = sgi_alloc(2 * bytes))) return sgi_fail_memory(err, 2 * bytes, "losses of documents");
  r->targets = r->nll + n;
  r->units = n;
  r->by_rows = false;
  memcpy(r->nll, l->document_nll, bytes);
  memcpy(r->targets, l->document_targets, bytes);
  return SG_OK;
}

sg_status sgi_study_keep(const sgi_study *s, sgi_study_run *r, const sgi_run *run, const sgi_run_losses *losses,
                         sg_error *err) {
  const sgi_evaluation *e = sgi_run_evaluation(run);
  char *path = sgi_study_run_path(s, r->name, "metrics.jsonl");
  sg_status st =
      path ? last_losses(path, r->steps, &r->train_loss, err) : sgi_fail_memory(err, SGI_STUDY_TEXT, "a path");
  sgi_free(path);
  if (!st && !losses->rows)
    return sgi_fail(err, SG_ERR_ARG, "run %s: nothing is held out: the study's text needs a valid.*", r->name);
  sgi_study_forget(r);
  if (!st) st = keep_documents(r, losses, err);
  if (st) return st;
  double n = 0, sum = 0;
  for (size_t i = 0; i < losses->rows; i++) sum += losses->row_nll[i], n += losses->row_targets[i];
  about(r, run);
  r->valid_loss = sum / n;
  r->standard_error = e->standard_error;
  r->accuracy = e->accuracy;
  r->state = SGI_STUDY_DONE;
  if (!is_wild(s, r)) return save(s, r, NULL, err);
  sg_error why;
  sgi_fail(&why, SG_ERR_NUMERIC,
           "the loss at the end, %.4g in training and %.4g held out, is more than twice %.4g, a "
           "guess among %zu tokens",
           r->train_loss, r->valid_loss, worst_loss(s) / 2, s->vocab);
  return sgi_study_keep_diverged(s, r, run, &why, err);
}

/* ---- reading --------------------------------------------------------------------------------- */

static sg_status read_losses(const json_t *o, const char *path, sgi_study_run *r, sg_error *err) {
  bool by_rows = !json_object_get(o, "document_nll");
  const char *unit = by_rows ? "row" : "document";
  char keys[2][24];
  snprintf(keys[0], sizeof keys[0], "%s_nll", unit);
  snprintf(keys[1], sizeof keys[1], "%s_targets", unit);
  const json_t *nll = json_object_get(o, keys[0]), *targets = json_object_get(o, keys[1]);
  size_t n = json_array_size(nll);
  if (!n || json_array_size(targets) != n)
    return sgi_fail(err, SG_ERR_FORMAT, "%s: %s and %s must be lists of equal length", path, keys[0], keys[1]);
  double *x = sgi_alloc(2 * n * sizeof *x);
  if (!x) return sgi_fail_memory(err, 2 * n * sizeof *x, "losses of the held-out text");
  r->nll = x;
  r->targets = x + n;
  r->units = n;
  r->by_rows = by_rows;
  double counted = 0;
  for (size_t i = 0; i < n; i++) {
    const json_t *a = json_array_get(nll, i), *b = json_array_get(targets, i);
    x[i] = json_number_value(a);
    x[n + i] = json_number_value(b);
    if (!json_is_number(a) || !json_is_number(b) || !(x[i] >= 0) || !(x[n + i] >= 0))
      return sgi_fail(err, SG_ERR_FORMAT, "%s: %s %zu has no loss or no count", path, unit, i);
    counted += x[n + i];
  }
  return counted > 0 ? SG_OK : sgi_fail(err, SG_ERR_FORMAT, "%s: no target is counted", path);
}

static sg_status fill(const sgi_study *s, const json_t *o, const char *path, sgi_study_run *r, sg_error *err) {
  size_t format, parameters;
  uint64_t steps;
  char name[SGI_STUDY_TEXT], state[32];
  sg_status st = sgi_json_size(o, path, "format", 1, 1, &format, err);
  if (!st) st = sgi_json_string(o, path, "name", name, sizeof name, err);
  if (!st) st = sgi_json_string(o, path, "state", state, sizeof state, err);
  if (!st) st = sgi_json_size(o, path, "parameters", 1, SIZE_MAX / 2, &parameters, err);
  if (!st) st = sgi_json_u64(o, path, "steps", &steps, err);
  if (!st) st = sgi_json_size(o, path, "memory_bytes", 0, SIZE_MAX / 2, &r->memory, err);
  if (!st) st = sgi_json_real(o, path, "seconds", 0, 1e12, &r->seconds, err);
  if (st) return st;
  if (strcmp(name, r->name) || parameters != r->parameters || steps != r->steps)
    return sgi_fail(err, SG_ERR_FORMAT,
                    "%s: is of run %s with %zu parameters and %llu steps, and this study's %s has %zu and %llu: it "
                    "belongs to other settings; move its directory away",
                    path, name, parameters, (unsigned long long)steps, r->name, r->parameters,
                    (unsigned long long)r->steps);
  st = sgi_study_read_texts(s, r, o, path, err);
  if (st) return st;
  if (!strcmp(state, "diverged")) return set_diverged(r), SG_OK;
  if (strcmp(state, "done")) return sgi_fail(err, SG_ERR_FORMAT, "%s: state is \"%s\"", path, state);
  st = sgi_json_real(o, path, "train_loss", 0, 1e300, &r->train_loss, err);
  if (!st) st = sgi_json_real(o, path, "valid_loss", 0, 1e300, &r->valid_loss, err);
  if (!st) st = sgi_json_real(o, path, "standard_error", 0, 1e300, &r->standard_error, err);
  if (!st) st = sgi_json_real(o, path, "accuracy", 0, 1, &r->accuracy, err);
  if (!st && is_wild(s, r)) return set_diverged(r), SG_OK; /* older versions called it done */
  if (!st) st = read_losses(o, path, r, err);
  if (!st) r->state = SGI_STUDY_DONE;
  return st;
}

/* The run goes without its result; the text names the file within the study. */
static sg_status set_problem(const sgi_study *s, sgi_study_run *r, const sg_error *why, sg_error *err) {
  size_t n = strlen(s->directory);
  const char *text = why->text;
  if (!strncmp(text, s->directory, n)) text += n + (text[n] == '/');
  r->state = SGI_STUDY_WAITING;
  r->problem = sgi_strdup(text);
  return r->problem ? SG_OK : sgi_fail_memory(err, strlen(text), "an error");
}

sg_status sgi_study_read(const sgi_study *s, sgi_study_run *r, sg_error *err) {
  char *path = sgi_study_run_path(s, r->name, "result.json");
  json_t *o = NULL;
  sg_error why = {0};
  r->state = SGI_STUDY_WAITING;
  if (!path) return sgi_fail_memory(err, SGI_STUDY_TEXT, "a path");
  sg_status st = SG_OK;
  if (sgi_is_file(path)) {
    st = sgi_json_load(path, &o, &why);
    if (!st) st = fill(s, o, path, r, &why);
    if (st) sgi_study_forget(r);
  }
  json_decref(o);
  sgi_free(path);
  if (st && s->watched && st != SG_ERR_MEMORY) return set_problem(s, r, &why, err);
  if (st && err) *err = why;
  return st;
}
