/* train.c: a whole training run as one call. */
#include <string.h>

#include "core/json.h"
#include "train/run_state.h"

static sg_status assign_text(sgi_assignments *a, const char *json, sg_error *err) {
  json_t *o;
  sg_status st = sgi_json_parse(json, strlen(json), "settings", &o, err);
  if (st) return st;
  if (json_is_object(o)) json_object_del(o, "run"); /* a run's own config.json may be given to start another like it */
  st = sgi_assign_json(a, o, "settings", err);
  json_decref(o);
  return st;
}

static sg_status settings(const sg_train_request *q, sgi_settings *out, sg_error *err) {
  sgi_assignments a = {0};
  sg_status st = q->settings ? assign_text(&a, q->settings, err) : SG_OK;
  a.rank = 1;
  for (size_t i = 0; i < q->n_set && !st; i++) {
    st = sgi_need(q->set[i], "an entry of set", err);
    if (!st) st = sgi_assign_text(&a, q->set[i], err);
  }
  if (!st) st = sgi_settings_resolve(&a, out, err);
  sgi_assignments_free(&a);
  return st;
}

static sg_status check(const sg_train_request *q, sg_error *err) {
  if (!q->plan_only && !q->run) return sgi_need(NULL, "run", err);
  if (!q->resume && !q->data) return sgi_need(NULL, "data", err);
  if (q->n_set && !q->set) return sgi_need(NULL, "set", err);
  if (q->resume && (q->settings || q->n_set || q->tokenizer || q->plan_only))
    return sgi_fail(err, SG_ERR_ARG,
                    "a resumed run goes on with the settings and the tokenizer in its directory: give none, and no "
                    "plan_only (steps makes the run longer)");
  if (q->steps && !q->resume)
    return sgi_fail(err, SG_ERR_ARG, "steps makes a resumed run longer; of a new one say \"train.steps=%llu\"",
                    (unsigned long long)q->steps);
  return SG_OK;
}

static void fill(const sgi_run *run, sg_train_result *out) {
  if (!out) return;
  out->plan = *sgi_run_plan_of(run);
  out->step = run->state.step;
  out->evaluation = *sgi_run_evaluation(run);
  memcpy(out->checkpoint, run->saved, sizeof out->checkpoint);
}

sg_status sg_train(const sg_train_request *q, sg_train_result *out, sg_error *err) {
  if (out) *out = (sg_train_result){0};
  sg_status st = sgi_need(q, "the request", err);
  if (!st) st = check(q, err);
  if (st) return st;
  sgi_run_request r = {.run = q->run,
                       .data = q->data,
                       .tokenizer = q->tokenizer,
                       .resume = q->resume,
                       .steps = q->steps,
                       .dry_run = q->plan_only,
                       .max_memory = q->max_memory};
  sgi_run *run = NULL;
  if (!q->resume) st = settings(q, &r.settings, err);
  if (!st) st = sgi_run_open(&r, &q->events, &run, err);
  if (!st && !q->plan_only) st = sgi_run_train(run, err);
  if (run) fill(run, out);
  sgi_run_close(run);
  return st;
}
