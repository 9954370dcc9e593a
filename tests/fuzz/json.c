/* json.c: a model's configuration, a run's settings, the state of a checkpoint. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "core/file.h"
#include "core/json.h"
#include "fuzz/target.h"
#include "model/config.h"
#include "train/checkpoint.h"
#include "train/settings.h"

/* What was written (its text is the meaning) and what was written of that; both are released. */
static void same(json_t *again, json_t *third, const char *otherwise, fuzz_outcome *out) {
  fuzz_expect(json_equal(again, third), otherwise);
  char *text = json_dumps(again, JSON_COMPACT | JSON_SORT_KEYS);
  out->meaning = fuzz_mix(0, text, strlen(text));
  free(text);
  json_decref(again);
  json_decref(third);
}

/* What is accepted is written and read back as the same. */
static void check_config(const json_t *o, fuzz_outcome *out) {
  sg_config c;
  out->status = sgi_config_from_json(o, "config.json", &c, &out->err);
  if (out->status) return;
  json_t *again = sgi_config_to_json(&c);
  sg_config d;
  sg_error err = {0};
  fuzz_expect(again && !sgi_config_from_json(again, "again", &d, &err), "a configuration can not be read back");
  json_t *third = sgi_config_to_json(&d);
  same(again, third, "a configuration changes when it is read back", out);
}

static void check_settings(const json_t *o, fuzz_outcome *out) {
  sgi_assignments a = {0}, b = {0};
  sgi_settings s, t;
  sg_error err = {0};
  out->status = sgi_assign_json(&a, o, "settings.json", &out->err);
  if (!out->status) out->status = sgi_settings_resolve(&a, &s, &out->err);
  sgi_assignments_free(&a);
  if (out->status) return;
  json_t *again = sgi_settings_to_json(&s);
  fuzz_expect(again && !sgi_assign_json(&b, again, "again", &err) && !sgi_settings_resolve(&b, &t, &err),
              "settings can not be read back");
  json_t *third = sgi_settings_to_json(&t);
  same(again, third, "settings change when they are read back", out);
  sgi_assignments_free(&b);
}

static void parse(const uint8_t *data, size_t n, const char *name, void (*check)(const json_t *o, fuzz_outcome *out),
                  fuzz_outcome *out) {
  json_t *o;
  snprintf(out->path, sizeof out->path, "%s", name);
  out->status = sgi_json_parse((const char *)data, n, name, &o, &out->err);
  if (out->status) return;
  check(o, out);
  json_decref(o);
}

static void run_config(const uint8_t *data, size_t n, fuzz_outcome *out) {
  parse(data, n, "config.json", check_config, out);
}

static void run_settings(const uint8_t *data, size_t n, fuzz_outcome *out) {
  parse(data, n, "settings.json", check_settings, out);
}

/* ---- the state of a checkpoint --------------------------------------------------------------- */

static sgi_trainer *trainer;

static void begin_state(void) {
  sg_error err = {0};
  sg_config c = {0};
  sgi_assignments a = {0};
  sgi_settings s;
  static const char *const sizes[] = {"model.hidden_size=8",       "model.num_hidden_layers=1",  "model.head_dim=8",
                                      "feedforward.num_neurons=4", "feedforward.num_channels=1", "feedforward.top_k=1",
                                      "feedforward.key_dim=2"};
  for (size_t i = 0; i < SGI_COUNT(sizes); i++) fuzz_expect(!sgi_assign_text(&a, sizes[i], NULL, &err), err.text);
  fuzz_expect(!sgi_settings_resolve(&a, &s, &err), err.text);
  sgi_assignments_free(&a);
  c = s.model;
  c.vocab_size = 8;
  sg_model *m;
  sgi_trainer_settings t = sgi_trainer_defaults(1, 4);
  t.micro_batch = 1;
  t.schedule = (sgi_schedule){.kind = SGI_SCHEDULE_CONSTANT, .peak = 1e-3, .updates = 10};
  fuzz_expect(!sg_model_create(&c, 1, &m, &err), err.text);
  fuzz_expect(!sgi_trainer_create(m, &t, &trainer, &err), err.text);
  char name[64], run[300];
  sgi_progress_state state = {.step = 3, .updates = 3, .best_loss = INFINITY};
  snprintf(run, sizeof run, "%s/run", fuzz_directory());
  fuzz_expect(!sgi_checkpoint_save(run, trainer, &state, NULL, NULL, name, &err), err.text);
}

static void run_state(const uint8_t *data, size_t n, fuzz_outcome *out) {
  char directory[300];
  sgi_progress_state s = {0};
  snprintf(out->path, sizeof out->path, "%s", fuzz_file("run/checkpoints/step-00000003/train_state.json", data, n));
  snprintf(directory, sizeof directory, "%s/run/checkpoints/step-00000003", fuzz_directory());
  out->status = sgi_checkpoint_load(directory, trainer, &s, &out->err);
  if (out->status) return;
  fuzz_expect(isfinite(s.flops) && s.flops >= 0 && isfinite(s.seconds) && !isnan(s.best_loss),
              "a state that is no state");
  fuzz_expect(memchr(s.best, 0, sizeof s.best) && !strchr(s.best, '/'), "best is no plain name");
  out->meaning = fuzz_mix(s.step ^ s.updates << 20, &s.tokens, sizeof s.tokens);
  out->meaning = fuzz_mix(out->meaning, &s.flops, sizeof s.flops);
  out->meaning = fuzz_mix(out->meaning, &s.data_hash, sizeof s.data_hash);
}

const fuzz_target fuzz_config = {"config", NULL, run_config};
const fuzz_target fuzz_settings = {"settings", NULL, run_settings};
const fuzz_target fuzz_state = {"state", begin_state, run_state};
