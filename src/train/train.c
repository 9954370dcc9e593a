/* train.c: a whole training run as one call. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "train/run_state.h"

static sg_status assign_text(sgi_assignments *a, const char *json, const char *name, sg_error *err) {
  json_t *o;
  sg_status st = sgi_json_parse(json, strlen(json), name, &o, err);
  if (st) return st;
  if (json_is_object(o)) json_object_del(o, "run"); /* a run's own config.json may be given to start another like it */
  st = sgi_assign_json(a, o, name, err);
  json_decref(o);
  return st;
}

static sg_status settings(const sg_train_request *q, sgi_settings *out, sg_error *err) {
  sgi_assignments a = {0};
  const char *name = q->settings_name ? q->settings_name : "settings";
  sg_status st = q->n_set && !q->set ? sgi_need(NULL, "set", err) : SG_OK;
  if (!st && q->settings) st = assign_text(&a, q->settings, name, err);
  a.rank = 1;
  for (size_t i = 0; i < q->n_set && !st; i++) {
    st = sgi_need(q->set[i], "an entry of set", err);
    if (!st) st = sgi_assign_text(&a, q->set[i], q->set_names ? q->set_names[i] : NULL, err);
  }
  if (!st) st = sgi_settings_resolve(&a, out, err);
  sgi_assignments_free(&a);
  return st;
}

sg_status sg_train_settings(const sg_train_request *q, char **json, sg_error *err) {
  sgi_settings s;
  sg_status st = sgi_need(q, "the request", err);
  if (!st) st = sgi_need(json, "json", err);
  if (st) return st;
  *json = NULL;
  st = settings(q, &s, err);
  if (st) return st;
  json_t *o = sgi_settings_to_json(&s);
  char *text = json_dumps(o, JSON_INDENT(2) | JSON_REAL_PRECISION(15));
  json_decref(o);
  if (text && !(*json = sgi_strdup(text))) st = sgi_fail_memory(err, strlen(text), "settings");
  if (!text) st = sgi_json_incomplete("the settings", err);
  free(text);
  return st;
}

static sg_status check(const sg_train_request *q, sg_error *err) {
  if (!q->plan_only && !q->run) return sgi_need(NULL, "run", err);
  if (!q->resume && !q->data) return sgi_need(NULL, "data", err);
  if (q->resume && (q->settings || q->n_set || q->tokenizer))
    return sgi_fail(err, SG_ERR_ARG,
                    "a resumed run goes on with the settings and the tokenizer in its directory: give none (steps "
                    "makes the run longer)");
  if (q->steps && !q->resume)
    return sgi_fail(err, SG_ERR_ARG, "steps makes a resumed run longer; of a new one say \"train.steps=%llu\"",
                    (unsigned long long)q->steps);
  if (q->channel_ranks > 1 && sgi_ranks_count(q->ranks) == 1)
    return sgi_fail(err, SG_ERR_ARG, "channel_ranks is %zu, and there is one process: that needs as many ranks",
                    q->channel_ranks);
  return SG_OK;
}

static void fill(const sgi_run *run, sg_train_result *out) {
  if (!out) return;
  out->plan = run->plan;
  out->step = run->state.step;
  out->evaluation = *sgi_run_evaluation(run);
  out->loss_with_buffer = run->loss_with_buffer;
  sgi_run_first_words(run, out->first_words);
  memcpy(out->checkpoint, run->saved, sizeof out->checkpoint);
}

static sg_status train(const sg_train_request *q, sgi_run *run, sg_error *err) {
  double seconds = 0;
  sg_status st = q->timed ? sgi_run_foretell_step(run, &seconds, err) : SG_OK;
  if (st) return st;
  run->plan.seconds = seconds * ((double)run->plan.steps + sgi_run_evaluation_steps(run));
  if (q->events.planned) q->events.planned(q->events.user, &run->plan, &run->settings.model);
  return q->plan_only ? SG_OK : sgi_run_train(run, err);
}

sg_status sg_train(const sg_train_request *q, sg_train_result *out, sg_error *err) {
  if (out) *out = (sg_train_result){.loss_with_buffer = NAN};
  sg_status st = sgi_need(q, "the request", err);
  if (!st) st = check(q, err);
  if (st) return st;
  sgi_run_request r = {.run = q->run,
                       .data = q->data,
                       .tokenizer = q->tokenizer,
                       .resume = q->resume,
                       .steps = q->steps,
                       .dry_run = q->plan_only,
                       .channel_ranks = q->plan_only ? 1 : q->channel_ranks, /* a plan is of the whole */
                       .ranks = q->ranks,
                       .max_memory = q->max_memory};
  sgi_run *run = NULL;
  if (!q->resume) st = settings(q, &r.settings, err);
  if (!st) st = sgi_run_open(&r, &q->events, &run, err);
  if (!st) st = train(q, run, err);
  if (run) fill(run, out);
  sgi_run_close(run);
  return st;
}
