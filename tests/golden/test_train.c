/* Parity of training: the 24-step trajectories of tests/golden/train. */
#include "support/golden.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "train/trainer.h"

static const char *const ROOT = "tests/golden/train";

static double at(const json_t *o, const char *key, size_t i) {
  const json_t *v = json_array_get(json_object_get(o, key), i);
  if (!json_is_number(v)) fail_msg("trajectory.json has no %s[%zu]", key, i);
  return json_number_value(v);
}

static double setting(const json_t *o, const char *key) {
  const json_t *v = json_object_get(json_object_get(o, "optimizer"), key);
  if (!json_is_number(v)) fail_msg("trajectory.json has no optimizer.%s", key);
  return json_number_value(v);
}

static void expect(const char *name, size_t step, const char *what, double got, double want, double bound) {
  if (!(fabs(got - want) <= bound))
    fail_msg("%s, step %zu: %s is %.9g, expected %.9g +- %.2g", name, step, what, got, want, bound);
}

static sgi_trainer_settings settings_of(const json_t *o) {
  sgi_trainer_settings s = sgi_trainer_defaults((size_t)json_integer_value(json_object_get(o, "batch_size")),
                                                (size_t)json_integer_value(json_object_get(o, "seq_len")));
  s.accumulation = (size_t)setting(o, "n_gradient_accumulation");
  s.clip = setting(o, "clip_by_global_norm");
  s.weight_decay = setting(o, "weight_decay");
  s.optimizer = sgi_optimizer_usual(&sgi_optimizer_adamw);
  static const char *const own[][2] = {{"optimizer.beta1", "b1"}, {"optimizer.beta2", "b2"}, {"optimizer.eps", "eps"}};
  for (size_t i = 0; i < SGI_COUNT(own); i++)
    s.optimizer.value[sgi_optimizer_setting_at(s.optimizer.ops, own[i][0])] = setting(o, own[i][1]);
  assert_sg_ok(sgi_schedule_find(json_string_value(json_object_get(json_object_get(o, "optimizer"), "schedule")),
                                 &s.schedule.kind, err));
  s.schedule.peak = setting(o, "learning_rate");
  s.schedule.warmup = (uint64_t)setting(o, "warmup_steps");
  const json_t *decay = json_object_get(json_object_get(o, "optimizer"), "decay_fraction");
  s.schedule.decay_fraction = json_is_number(decay) ? json_number_value(decay) : 0;
  s.schedule.updates = (uint64_t)json_integer_value(json_object_get(o, "steps")) / s.accumulation;
  return s;
}

static void check_decayed(const json_t *o, const char *key, const sg_model *m, bool decayed) {
  size_t i;
  json_t *v;
  json_array_foreach(json_object_get(o, key), i, v) {
    ptrdiff_t row = sgi_table_find(&m->table, json_string_value(v));
    if (row < 0) fail_msg("no tensor %s", json_string_value(v));
    if (m->table.rows[row].decay != decayed) fail_msg("%s: decay is %d", json_string_value(v), !decayed);
  }
}

static void check_final(const char *name, const sg_model *m, const char *dir) {
  char path[600];
  snprintf(path, sizeof path, "%s/final.safetensors", dir);
  sgi_safetensors *f;
  assert_sg_ok(sgi_safetensors_open(path, &f, err));
  assert_int_equal(sgi_safetensors_count(f), m->table.count);
  double bound = golden_tolerance("train", "final", "abs");
  for (size_t i = 0; i < m->table.count; i++) {
    const sgi_tensor *t = sgi_safetensors_find(f, m->table.rows[i].name);
    if (!t) fail_msg("%s: final has no %s", name, m->table.rows[i].name);
    golden_difference d = golden_compare(m->w[i], t->data, t->count);
    if (!(d.abs <= bound)) fail_msg("%s: final %s differs by %g at %zu", name, t->name, d.abs, d.at);
  }
  sgi_safetensors_close(f);
}

/* param_norm is of the weights after the step's update (golden README no. 20). */
static void run_steps(const char *name, sgi_trainer *t, const json_t *o, const int32_t *batches) {
  size_t n = t->settings.batch_size * t->settings.seq_len,
         steps = (size_t)json_integer_value(json_object_get(o, "steps"));
  int32_t *inputs = test_malloc(n * sizeof *inputs);
  double tight = golden_tolerance("train", "loss of the first 8 steps", "abs"),
         wide = golden_tolerance("train", "loss", "abs");
  for (size_t i = 0; i < steps; i++) {
    const int32_t *targets = batches + i * n;
    for (size_t k = 0; k < n; k++) inputs[k] = k % t->settings.seq_len ? targets[k - 1] : t->model->config.bos_id;
    sgi_step s;
    assert_sg_ok(sgi_trainer_step(t, inputs, targets, NULL, &s, err));
    expect(name, i, "loss", s.loss, at(o, "loss", i), i < 8 ? tight : wide);
    expect(name, i, "accuracy", s.accuracy, at(o, "acc", i), 1e-6 + 1.001 / (double)s.targets * (i >= 8));
    expect(name, i, "perplexity", s.perplexity, at(o, "perplexity", i), wide * at(o, "perplexity", i));
    expect(name, i, "perplexity_last_token", s.perplexity_last_token, at(o, "perplexity_last_token", i),
           2e-3 * at(o, "perplexity_last_token", i));
    expect(name, i, "grad_norm", s.grad_norm, at(o, "grad_norm", i),
           golden_tolerance("train", "grad_norm", "rel") * at(o, "grad_norm", i));
    expect(name, i, "param_norm", sgi_trainer_param_norm(t), at(o, "param_norm", i),
           golden_tolerance("train", "param_norm", "abs"));
    expect(name, i, "lr", s.lr, at(o, "lr", i), golden_tolerance("train", "lr", "rel") * at(o, "lr", i));
  }
  test_free(inputs);
}

static void one_case(const char *name, size_t micro_batch) {
  char dir[512], path[600];
  snprintf(dir, sizeof dir, "%s/%s", ROOT, name);
  snprintf(path, sizeof path, "%s/trajectory.json", dir);
  json_t *o = golden_json(path);
  sg_model *m;
  sgi_trainer *t;
  sgi_safetensors *batches;
  assert_sg_ok(sg_model_load(dir, &m, err));
  check_decayed(o, "decayed", m, true);
  check_decayed(o, "not_decayed", m, false);
  sgi_trainer_settings s = settings_of(o);
  if (micro_batch) s.micro_batch = micro_batch;
  assert_sg_ok(sgi_trainer_create(m, &s, &t, err));
  snprintf(path, sizeof path, "%s/batches.safetensors", dir);
  assert_sg_ok(sgi_safetensors_open(path, &batches, err));
  run_steps(name, t, o, sgi_safetensors_find(batches, "batches")->data);
  check_final(name, t->model, dir);
  sgi_safetensors_close(batches);
  sgi_trainer_free(t);
  json_decref(o);
}

static void all_cases(size_t micro_batch) {
  char **names = golden_list(ROOT);
  size_t cases = 0;
  for (; names[cases]; cases++) one_case(names[cases], micro_batch);
  golden_free(names);
  assert_int_equal(cases, 7);
}

static void whole_batches(void **state) {
  (void)state;
  all_cases(0);
}
static void micro_batches(void **state) {
  (void)state;
  all_cases(1);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(whole_batches), cmocka_unit_test(micro_batches)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
