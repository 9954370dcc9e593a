/* Fits of a study against NumPy's (polyfit of the same points, 12 digits), what study.json may say,
 * and which variant is best. Whole studies: cli/test_isoflop.sh. */
#include "support/golden.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/file.h"
#include "model/presets.h"
#include "study/fit.h"
#include "study/study.h"

static void close_to(double a, double b) {
  if (!(fabs(a - b) <= 1e-9 * fmax(1, fabs(b)))) fail_msg("%.15g, expected %.15g", a, b);
}

static void parabolas(void **state) {
  (void)state;
  const double sizes[] = {2e5, 5e5, 1.1e6, 2.7e6, 6e6}, y[] = {2.310, 2.244, 2.221, 2.236, 2.297};
  double x[5], turned[5];
  sgi_parabola p;
  for (size_t i = 0; i < 5; i++) x[i] = log(sizes[i]), turned[i] = -y[i];
  assert_sg_ok(sgi_parabola_fit(x, y, 5, &p, err));
  close_to(p.a, 7.82885453129);
  close_to(p.b, -0.801910782615);
  close_to(p.c, 0.0286636395766);
  close_to(p.at, 13.9882930859);
  close_to(p.value, 2.22017300329);
  assert_true(p.fitted && p.inside);
  /* A minimum that lies outside, a hill, and too few sizes: the lowest that was measured. */
  assert_sg_ok(sgi_parabola_fit(x, y, 3, &p, err));
  assert_true(p.fitted && !p.inside && p.at == x[2] && p.value == y[2]);
  assert_sg_ok(sgi_parabola_fit(x, turned, 5, &p, err));
  assert_true(!p.fitted && !p.inside && p.at == x[0]);
  assert_sg_ok(sgi_parabola_fit((const double[]){x[0], x[1], x[1]}, y, 3, &p, err));
  assert_true(!p.fitted && p.at == x[1] && p.value == y[2]);
  assert_int_equal(sgi_parabola_fit(x, y, 0, &p, NULL), SG_ERR_ARG);
}

static void factors(void **state) {
  (void)state;
  const double cost[] = {1e12, 3e12, 9e12}, loss[] = {2.6, 2.45, 2.33};
  sgi_factor f;
  assert_sg_ok(sgi_factor_fit(cost, loss, 3, 9e12, 2.40, &f, err));
  close_to(f.factor, 1.8410575471);
  assert_false(f.beyond);
  assert_sg_ok(sgi_factor_fit(cost, loss, 3, 9e12, 2.20, &f, err));
  close_to(f.factor, 0.361593870876);
  assert_true(f.beyond);
  /* More of it, and no better: no factor. */
  assert_sg_ok(sgi_factor_fit(cost, (const double[]){2.3, 2.4, 2.5}, 3, 9e12, 2.2, &f, err));
  assert_true(f.factor == 0);
  assert_int_equal(sgi_factor_fit(cost, loss, 1, 9e12, 2.2, &f, NULL), SG_ERR_ARG);
}

/* "ladder;DxL" meets slimpajama;s where D is 128 s and nothing is shrunk. */
static void ladder(void **state) {
  (void)state;
  const char *kind;
  static const char *const bad[] = {"ladder",       "ladder;64", "ladder;48x2",  "ladder;64x0", "ladder;1184x2",
                                    "ladder;64x65", "ladder;x2", "ladder;64x2x", "ladder;-64x2"};
  sgi_preset_t a, b;
  for (size_t i = 0; (kind = sg_feedforward_name(i)); i++)
    for (size_t s = 2; s <= 9; s++) {
      char small[32], paper[32];
      snprintf(small, sizeof small, "ladder:%zux%zu", 128 * s, 2 * s);
      snprintf(paper, sizeof paper, "slimpajama;%zu", s);
      assert_sg_ok(sgi_preset(small, kind, &a, err));
      assert_sg_ok(sgi_preset(paper, kind, &b, err));
      a.config.vocab_size = b.config.vocab_size;
      a.config.bos_id = b.config.bos_id;
      a.config.eos_id = b.config.eos_id;
      a.config.max_position = b.config.max_position;
      assert_memory_equal(&a.config, &b.config, sizeof a.config);
    }
  for (size_t i = 0; i < SGI_COUNT(bad); i++) assert_int_equal(sgi_preset(bad[i], "mlp", &a, NULL), SG_ERR_ARG);
}

/* ---- study.json ------------------------------------------------------------------------------ */

static json_t *asked(const char *data) {
  return json_pack("{s:i, s:s, s:[s, s], s:[s], s:[f], s:[i, i], s:[s, s, s, s], s:[[s], [s], [s]], s:s, s:b}",
                   "format", 1, "data", data, "kinds", "sgatlin", "mlp", "scales", "ladder;32x1", "budgets", 1e9,
                   "seeds", 1, 2, "set", "train.batch_size=4", "train.seq_len=32", "schedule.warmup_steps=1",
                   "tokenizer.vocab_size=300", "variants", "optimizer.learning_rate=1e-3",
                   "optimizer.learning_rate=3e-3", "optimizer.learning_rate=1e-2", "sweep_scale", "ladder;32x1",
                   "sweep_only", 1);
}

static void refuse(const char *directory, const char *data, const char *key, json_t *value, const char *said) {
  sgi_study *s = NULL;
  sg_error e = {0};
  json_t *o = asked(data);
  json_object_set_new(o, key, value);
  sg_status st = sgi_study_open(directory, o, NULL, NULL, &s, &e);
  if (!st || s || !strstr(e.text, said)) fail_msg("%s: \"%s\" does not say \"%s\"", key, e.text, said);
  json_decref(o);
}

/* A result as a run leaves it. */
static void put_result(const char *directory, const sgi_study_run *r, double loss) {
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

/* 2 kinds x 80 variants x 64 seeds are too many; with a seed a variant, and 64 for the one size,
 * they are not. */
static void too_many(const char *directory, const char *data) {
  sgi_study *s = NULL;
  sg_error e = {0};
  json_t *o = asked(data), *seeds = json_array(), *variants = json_array();
  for (int i = 0; i < 64; i++) json_array_append_new(seeds, json_integer(i));
  for (int i = 1; i <= 80; i++) {
    char text[60];
    snprintf(text, sizeof text, "optimizer.learning_rate=%g", 1e-4 * i);
    json_array_append_new(variants, json_pack("[s]", text));
  }
  json_object_set_new(o, "seeds", seeds);
  json_object_set_new(o, "variants", variants);
  assert_int_equal(sgi_study_open(directory, o, NULL, NULL, &s, &e), SG_ERR_ARG);
  assert_non_null(strstr(e.text, "asks for 10240 runs"));
  json_object_set_new(o, "sweep_only", json_false());
  assert_sg_ok(sgi_study_open(directory, o, NULL, NULL, &s, err));
  assert_int_equal(sgi_study_left(s), 2 * 80);
  sgi_study_close(s);
  json_decref(o);
}

static void descriptions(void **state) {
  (void)state;
  char *base = golden_temporary(), data[300], text[320], study[300], edge[100];
  snprintf(data, sizeof data, "%.200s/data", base);
  snprintf(study, sizeof study, "%.200s/study", base);
  assert_sg_ok(sgi_make_directory(data, err));
  snprintf(text, sizeof text, "%s/train.txt", data);
  assert_sg_ok(sgi_write_file(text, "one two three four five six seven\n", 34, err));
  snprintf(text, sizeof text, "%s/valid.txt", data);
  assert_sg_ok(sgi_write_file(text, "one two three\n", 14, err));

  refuse(study, data, "kinds", json_pack("[s]", "sgatln"), "sgatln");
  refuse(study, data, "kinds", json_pack("[s, s]", "mlp", "mlp"), "twice");
  refuse(study, data, "kinds", json_array(), "list");
  refuse(study, data, "scales", json_pack("[s]", "ladder;33x1"), "unknown preset");
  refuse(study, data, "budgets", json_pack("[f]", 1e3), "does not pay for one step");
  refuse(study, data, "budgets", json_pack("[f]", -1.0), "from 0 to");
  refuse(study, data, "seeds", json_pack("[f]", 1.5), "whole");
  refuse(study, data, "set", json_pack("[s]", "train.batchsize=1"), "train.batch_size");
  refuse(study, data, "variants", json_pack("[[s]]", "x"), "key=value");
  refuse(study, data, "variants", json_array(), "sweep of no variants");
  refuse(study, data, "extra", json_true(), "extra");
  refuse(study, data, "budget_seeds", json_pack("[i, i]", 1, 1), "one a budget");
  refuse(study, data, "budget_seeds", json_pack("[i]", 3), "from 1 to 2");
  refuse(study, data, "budget_seeds", json_pack("[f]", 0.5), "from 1 to 2");
  refuse(study, "/nowhere", "format", json_integer(1), "nowhere");
  assert_false(sgi_is_directory(study)); /* nothing is left behind */
  snprintf(text, sizeof text, "%.200s/many", base);
  too_many(text, data);

  sgi_study *s;
  json_t *o = asked(data);
  assert_sg_ok(sgi_study_open(study, o, NULL, NULL, &s, err));
  size_t n = sgi_study_left(s);
  assert_int_equal(n, 2 * 3 * 2);
  assert_true(sgi_study_best(s, "mlp", edge, sizeof edge) == SIZE_MAX);
  /* mlp: the middle rate is best; sgatlin: the last. */
  for (size_t i = 0; i < n; i++) {
    const sgi_study_run *r = sgi_study_at(s, i);
    bool mlp = !strcmp(r->kind, "mlp");
    put_result(study, r, 3 + (mlp ? fabs((double)r->variant - 1) : 2 - (double)r->variant) + 0.01 * (double)r->seed);
  }
  sgi_study_close(s);
  assert_sg_ok(sgi_study_open(study, NULL, NULL, NULL, &s, err));
  assert_int_equal(sgi_study_left(s), 0);
  assert_int_equal(sgi_study_best(s, "mlp", edge, sizeof edge), 1);
  assert_string_equal(edge, "");
  assert_int_equal(sgi_study_best(s, "sgatlin", edge, sizeof edge), 2);
  assert_string_equal(edge, "optimizer.learning_rate");
  sgi_study_close(s);

  /* Mean and scatter of every variant: of 3 + |v - 1| + 0.01 and + 0.02. */
  json_t *report, *variant;
  size_t i;
  assert_sg_ok(sgi_study_open(study, NULL, NULL, NULL, &s, err));
  assert_sg_ok(sgi_study_report(s, NULL, 0, &report, err));
  assert_int_equal(json_array_size(json_object_get(report, "variants")), 2 * 3);
  json_array_foreach(json_object_get(report, "variants"), i, variant) {
    bool mlp = !strcmp(json_string_value(json_object_get(variant, "kind")), "mlp");
    double v = json_number_value(json_object_get(variant, "variant"));
    assert_int_equal(json_integer_value(json_object_get(variant, "ended")), 2);
    close_to(json_number_value(json_object_get(variant, "valid_loss")), 3.015 + (mlp ? fabs(v - 1) : 2 - v));
    assert_true(fabs(json_number_value(json_object_get(variant, "standard_deviation")) - 0.01 / sqrt(2)) < 1e-7);
  }
  json_decref(report);
  sgi_study_close(s);

  /* Other settings than it was begun with, and a result of another run. */
  refuse(study, data, "seeds", json_pack("[i]", 7), "seeds");
  assert_sg_ok(sgi_study_open(study, o, NULL, NULL, &s, err));
  sgi_study_run other = *sgi_study_at(s, 0);
  sgi_study_close(s);
  other.steps++;
  put_result(study, &other, 1);
  assert_int_equal(sgi_study_open(study, NULL, NULL, NULL, &s, NULL), SG_ERR_FORMAT);
  json_decref(o);
  golden_remove(base);
}

/* A study is looked at while it goes on: results of the sweep make the other runs known. */
static void watching(void **state) {
  (void)state;
  char *base = golden_temporary(), data[300], text[320], study[300];
  snprintf(data, sizeof data, "%.200s/data", base);
  snprintf(study, sizeof study, "%.200s/study", base);
  sgi_study *s, *watch;
  bool changed;
  assert_sg_ok(sgi_make_directory(data, err));
  for (int i = 0; i < 2; i++) {
    snprintf(text, sizeof text, "%s/%s.txt", data, i ? "train" : "valid");
    assert_sg_ok(sgi_write_file(text, "one two three four five six seven\n", 34, err));
  }
  json_t *o = asked(data);
  json_object_set_new(o, "sweep_only", json_false());
  json_object_set_new(o, "budgets", json_pack("[f, f]", 1e9, 2e9));
  json_object_set_new(o, "budget_seeds", json_pack("[i, i]", 2, 1));
  assert_int_equal(sgi_study_follow(study, &watch, NULL), SG_ERR_IO);
  assert_false(sgi_is_directory(study));
  assert_sg_ok(sgi_study_open(study, o, NULL, NULL, &s, err));
  assert_sg_ok(sgi_study_follow(study, &watch, err));
  assert_int_equal(sgi_study_left(watch), 6); /* the sweep, one seed */
  assert_sg_ok(sgi_study_look(watch, &changed, err));
  assert_false(changed);
  for (size_t i = 0; i < 6; i++) put_result(study, sgi_study_at(s, i), 3);
  assert_sg_ok(sgi_study_look(watch, &changed, err));
  assert_true(changed);
  assert_int_equal(sgi_study_left(watch), 2 * (2 + 1));
  /* A result that can not be read is one run's problem, until it can be. */
  sgi_study_run r = *sgi_study_at(watch, 6);
  assert_null(r.problem);
  r.steps++;
  put_result(study, &r, 3);
  assert_sg_ok(sgi_study_look(watch, &changed, err));
  assert_true(changed);
  assert_non_null(strstr(sgi_study_at(watch, 6)->problem, "belongs to other settings"));
  assert_true(sgi_study_at(watch, 6)->problem == strstr(sgi_study_at(watch, 6)->problem, "runs/"));
  assert_int_equal(sgi_study_left(watch), 6);
  r.steps--;
  put_result(study, &r, 3);
  assert_sg_ok(sgi_study_look(watch, &changed, err));
  assert_null(sgi_study_at(watch, 6)->problem);
  assert_int_equal(sgi_study_left(watch), 5);
  assert_sg_ok(sgi_study_look(watch, &changed, err));
  assert_false(changed);
  sgi_study_close(watch);
  sgi_study_close(s);
  json_decref(o);
  golden_remove(base);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(parabolas), cmocka_unit_test(factors), cmocka_unit_test(ladder),
                                     cmocka_unit_test(descriptions), cmocka_unit_test(watching)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
