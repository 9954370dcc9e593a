#include "study.h"

#include <stdio.h>
#include <string.h>

#include "study/study.h"

_Static_assert((int)SGI_STUDY_NAME == (int)SGI_STUDY_TEXT, "a run's name");

sg_status sgi_study_begin(const char *directory, const json_t *wanted, const char *tokenizer,
                          const sg_train_events *events, sgi_study **out, sg_error *err) {
  return sgi_study_open(directory, wanted, tokenizer, events, out, err);
}

void sgi_study_end(sgi_study *s) { sgi_study_close(s); }

sg_status sgi_study_take(sgi_study *s, const char *other, size_t *taken, sg_error *err) {
  return sgi_study_collect(s, other, taken, err);
}

/* ---- before anything starts ------------------------------------------------------------------ */

json_t *sgi_study_waiting(const sgi_study *s) {
  const sgi_study_run *r;
  json_t *list = json_array();
  for (size_t i = 0; (r = sgi_study_at(s, i)); i++)
    if (r->state == SGI_STUDY_WAITING) json_array_append_new(list, json_string(r->name));
  return list;
}

bool sgi_study_sweeps(const sgi_study *s) {
  const sgi_study_run *r;
  bool sweeping = false;
  for (size_t i = 0; (r = sgi_study_at(s, i)); i++) sweeping |= r->sweep && r->state == SGI_STUDY_WAITING;
  return sweeping && json_is_false(json_object_get(sgi_study_asked(s), "sweep_only"));
}

/* A step's seconds depend on kind, scale and settings, not on budget or seed. */
static bool like(const sgi_study_run *a, const sgi_study_run *b) {
  return a && !a->sweep && !b->sweep && !strcmp(a->kind, b->kind) && !strcmp(a->scale, b->scale);
}

sg_status sgi_study_cost(const sgi_study *s, size_t max_memory, json_t **out, sg_error *err) {
  const sgi_study_run *r, *before = NULL;
  sgi_run_plan p = {0};
  double seconds = 0, step_seconds = 0, evaluation = 0, flops = 0;
  size_t memory = 0;
  uint64_t disk = 0;
  json_t *list = json_array();
  sg_status st = SG_OK;
  for (size_t i = 0; !st && (r = sgi_study_at(s, i)); i++) {
    if (r->state != SGI_STUDY_WAITING) continue;
    st = sgi_study_plan(s, i, max_memory, &p, &evaluation, like(before, r) ? NULL : &step_seconds, err);
    before = r;
    evaluation *= step_seconds;
    double time = step_seconds * (double)p.steps + evaluation;
    uint64_t bytes = 2 * (uint64_t)p.checkpoint_bytes; /* the newest, and the one being written */
    json_array_append_new(list, json_pack("{s:s, s:I, s:I, s:I, s:I, s:f, s:f, s:f}", "name", r->name, "parameters",
                                          (json_int_t)r->parameters, "steps", (json_int_t)r->steps, "memory_bytes",
                                          (json_int_t)p.memory, "disk_bytes", (json_int_t)bytes, "seconds", time,
                                          "evaluation_seconds", evaluation, "flops", r->flops));
    seconds += time;
    flops += r->flops;
    disk += bytes;
    memory = p.memory > memory ? p.memory : memory;
  }
  *out = json_pack("{s:o, s:f, s:f, s:I, s:I}", "runs", list, "seconds", seconds, "flops", flops, "memory_bytes",
                   (json_int_t)memory, "disk_bytes", (json_int_t)disk);
  if (!st) return sgi_report_whole(out, "the costs", err);
  json_decref(*out);
  *out = NULL;
  return st;
}

/* ---- doing ----------------------------------------------------------------------------------- */

static void tell(const sgi_study *s, const char *name, const sgi_study_watch *w) {
  const sgi_study_run *r;
  for (size_t k = 0; (r = sgi_study_at(s, k)); k++) {
    if (strcmp(r->name, name)) continue;
    json_t *o = json_pack("{s:s, s:b, s:o, s:o, s:I, s:f}", "name", r->name, "diverged", r->state == SGI_STUDY_DIVERGED,
                          "valid_loss", sgi_report_real(r->valid_loss), "train_loss", sgi_report_real(r->train_loss),
                          "steps", (json_int_t)r->steps, "seconds", r->seconds);
    w->result(w->user, o);
    json_decref(o);
  }
}

static sg_status do_run(sgi_study *s, size_t i, size_t max_memory, const sgi_study_watch *w, sg_error *err) {
  const sgi_study_run *r;
  char name[SGI_STUDY_NAME];
  double total = 0, done = 0;
  for (size_t k = 0; (r = sgi_study_at(s, k)); k++) {
    total += r->flops;
    if (r->state != SGI_STUDY_WAITING) done += r->flops;
  }
  r = sgi_study_at(s, i);
  snprintf(name, sizeof name, "%s", r->name);
  w->begun(w->user, name, done, r->flops, total);
  sg_status st = sgi_study_do(s, i, max_memory, err);
  w->ended(w->user, name);
  if (!st) tell(s, name, w);
  return st;
}

sg_status sgi_study_work(sgi_study *s, const char *name, size_t max_memory, const sgi_study_watch *w, bool *ended,
                         sg_error *err) {
  const sgi_study_run *r;
  sg_status st = SG_OK;
  bool known = false;
  *ended = false;
  for (size_t i = 0; !st && (r = sgi_study_at(s, i));) {
    bool asked = !name || !strcmp(r->name, name), waits = r->state == SGI_STUDY_WAITING;
    known |= asked;
    if (asked && name && !waits) *ended = true;
    if (!asked || !waits) {
      i++;
      continue;
    }
    st = do_run(s, i, max_memory, w, err);
    if (name) return st;
    i = 0; /* a sweep that has ended makes more runs known */
  }
  if (!st && name && !known)
    st = sgi_fail(err, SG_ERR_ARG, "--run %s: the study has no such run now; --plan - lists those that it has", name);
  return st;
}

sg_status sgi_study_time_anew(sgi_study *s, size_t rounds, size_t max_memory, sg_error *err) {
  return sgi_study_retime(s, rounds, max_memory, err);
}

/* ---- what came out --------------------------------------------------------------------------- */

sg_status sgi_study_answer(const sgi_study *s, const sgi_study_ask *ask, json_t **out, size_t *left, sg_error *err) {
  *left = sgi_study_left(s);
  sg_status st = sgi_study_report(s, ask->against, ask->n, &(sgi_study_going){ask->on, ask->user}, out, err);
  if (st) return st;
  st = sgi_study_write(s, *out, err);
  if (!st) return SG_OK;
  json_decref(*out);
  *out = NULL;
  return st;
}
