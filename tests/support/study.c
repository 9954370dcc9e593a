#include "support/study.h"

#include <string.h>

#include "core/file.h"
#include "support/golden.h"

json_t *study_asked(const char *data) {
  return json_pack("{s:i, s:s, s:[s, s], s:[s], s:[f], s:[i, i], s:[s, s, s, s], s:[[s], [s], [s]], s:s, s:b}",
                   "format", 1, "data", data, "kinds", "sgatlin", "mlp", "scales", "ladder;32x1", "budgets", 1e9,
                   "seeds", 1, 2, "set", "train.batch_size=4", "train.seq_len=32", "schedule.warmup_steps=1",
                   "tokenizer.vocab_size=300", "variants", "optimizer.learning_rate=1e-3",
                   "optimizer.learning_rate=3e-3", "optimizer.learning_rate=1e-2", "sweep_scale", "ladder;32x1",
                   "sweep_only", 1);
}

void study_put_result(const char *directory, const sgi_study_run *r, double loss) {
  char path[500], at[460];
  snprintf(at, sizeof at, "%s/runs/%s", directory, r->name);
  assert_sg_ok(sgi_make_directory(at, err));
  snprintf(path, sizeof path, "%s/result.json", at);
  json_t *o =
      json_pack("{s:i, s:s, s:s, s:I, s:I, s:f, s:I, s:f, s:f, s:f, s:f, s:[f], s:[f]}", "format", 1, "name", r->name,
                "state", "done", "parameters", (json_int_t)r->parameters, "steps", (json_int_t)r->steps, "seconds", 1.0,
                "memory_bytes", (json_int_t)1000, "train_loss", loss, "valid_loss", loss, "standard_error", 0.1,
                "accuracy", 0.5, "row_nll", 10 * loss, "row_targets", 10.0);
  assert_sg_ok(sgi_json_save(path, o, err));
  json_decref(o);
}

json_t *study_small(char *base, char data[300], char study[300]) {
  char text[320], words[4000] = "";
  snprintf(data, 300, "%.200s/data", base);
  snprintf(study, 300, "%.200s/study", base);
  assert_sg_ok(sgi_make_directory(data, err));
  for (int i = 0; i < 100; i++) strcat(words, "one two three four five six seven\n");
  for (int i = 0; i < 2; i++) {
    snprintf(text, sizeof text, "%s/%s.txt", data, i ? "train" : "valid");
    assert_sg_ok(sgi_write_file(text, words, strlen(words), err));
  }
  json_t *o = study_asked(data);
  json_object_set_new(o, "sweep_only", json_false());
  json_object_set_new(o, "variants", json_array());
  json_object_set_new(o, "seeds", json_pack("[i]", 1));
  json_object_set_new(o, "budgets", json_pack("[f, f]", 1e9, 2e9));
  return o;
}

static json_t *study_form(const sgi_study *s, const char *kind, double seconds, double cpu) {
  const sgi_study_run *r;
  for (size_t i = 0; (r = sgi_study_at(s, i)); i++)
    if (!strcmp(r->kind, kind))
      return json_pack("{s:s, s:s, s:i, s:I, s:f, s:f, s:f, s:[f, f, f], s:[f, f, f]}", "kind", kind, "scale", r->scale,
                       "variant", 0, "parameters", (json_int_t)r->parameters, "step_flops", r->flops / (double)r->steps,
                       "seconds", seconds, "cpu_seconds", cpu, "seconds_of_rounds", seconds, 2 * seconds, seconds / 2,
                       "cpu_seconds_of_rounds", cpu, cpu, cpu);
  return NULL;
}

json_t *study_timings(const sgi_study *s) {
  return json_pack("{s:i, s:s, s:i, s:s, s:i, s:i, s:s, s:[o, o]}", "format", 1, "processor", "a processor",
                   "processors", 4, "instructions", "avx2", "threads", 1, "rounds", 3, "date", "2026-01-02T03:04:05Z",
                   "forms", study_form(s, "sgatlin", 0.5, 0.25), study_form(s, "mlp", 0.125, 0.0625));
}

void study_put_timings(const char *study, json_t *o) {
  char path[320];
  snprintf(path, sizeof path, "%s/timings.json", study);
  assert_sg_ok(sgi_json_save(path, o, err));
  json_decref(o);
}

double study_field(const json_t *o, const char *key) { return json_number_value(json_object_get(o, key)); }
