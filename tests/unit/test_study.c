/* What study.json may say, which runs it makes, results as they come, and times of steps made anew.
 * Numbers of results: test_study_factors.c; whole studies: cli/test_isoflop.sh. */
#include "support/golden.h"
#include "support/near.h"
#include "support/study.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/file.h"
#include "model/presets.h"

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

static void refuse(const char *directory, const char *data, const char *key, json_t *value, const char *said) {
  sgi_study *s = NULL;
  sg_error e = {0};
  json_t *o = study_asked(data);
  json_object_set_new(o, key, value);
  sg_status st = sgi_study_open(directory, o, NULL, NULL, &s, &e);
  if (!st || s || !strstr(e.text, said)) fail_msg("%s: \"%s\" does not say \"%s\"", key, e.text, said);
  json_decref(o);
}

/* 2 kinds x 80 variants x 64 seeds are too many; with a seed a variant, and 64 for the one size,
 * they are not. */
static void too_many(const char *directory, const char *data) {
  sgi_study *s = NULL;
  sg_error e = {0};
  json_t *o = study_asked(data), *seeds = json_array(), *variants = json_array();
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
  refuse(study, data, "scales", json_pack("[s, s]", "ladder;32x1", "ladder:32x1"), "twice");
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
  json_t *o = study_asked(data);
  assert_sg_ok(sgi_study_open(study, o, NULL, NULL, &s, err));
  size_t n = sgi_study_left(s);
  assert_int_equal(n, 2 * 3 * 2);
  assert_true(sgi_study_best(s, "mlp", edge, sizeof edge) == SIZE_MAX);
  /* mlp: the middle rate is best; sgatlin: the last. */
  for (size_t i = 0; i < n; i++) {
    const sgi_study_run *r = sgi_study_at(s, i);
    bool mlp = !strcmp(r->kind, "mlp");
    study_put_result(study, r,
                     3 + (mlp ? fabs((double)r->variant - 1) : 2 - (double)r->variant) + 0.01 * (double)r->seed);
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
  assert_sg_ok(sgi_study_report(s, NULL, 0, NULL, &report, err));
  assert_int_equal(json_array_size(json_object_get(report, "variants")), 2 * 3);
  json_array_foreach(json_object_get(report, "variants"), i, variant) {
    bool mlp = !strcmp(json_string_value(json_object_get(variant, "kind")), "mlp");
    double v = json_number_value(json_object_get(variant, "variant"));
    assert_int_equal(json_integer_value(json_object_get(variant, "ended")), 2);
    near("valid_loss", study_field(variant, "valid_loss"), 3.015 + (mlp ? fabs(v - 1) : 2 - v), 1e-9);
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
  study_put_result(study, &other, 1);
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
  json_t *o = study_asked(data);
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
  for (size_t i = 0; i < 6; i++) study_put_result(study, sgi_study_at(s, i), 3);
  assert_sg_ok(sgi_study_look(watch, &changed, err));
  assert_true(changed);
  assert_int_equal(sgi_study_left(watch), 2 * (2 + 1));
  /* A result that can not be read is one run's problem, until it can be. */
  sgi_study_run r = *sgi_study_at(watch, 6);
  assert_null(r.problem);
  r.steps++;
  study_put_result(study, &r, 3);
  assert_sg_ok(sgi_study_look(watch, &changed, err));
  assert_true(changed);
  assert_non_null(strstr(sgi_study_at(watch, 6)->problem, "belongs to other settings"));
  assert_true(sgi_study_at(watch, 6)->problem == strstr(sgi_study_at(watch, 6)->problem, "runs/"));
  assert_int_equal(sgi_study_left(watch), 6);
  r.steps--;
  study_put_result(study, &r, 3);
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

/* ---- timings.json ---------------------------------------------------------------------------- */

/* Times as steps x seconds of a step where all is timed, else as the runs took, which is 1 s. */
static void expect_costs(const sgi_study *s, bool anew) {
  json_t *report, *r, *o;
  size_t i, k;
  assert_sg_ok(sgi_study_report(s, (const char *const[]){"mlp"}, 1, NULL, &report, err));
  assert_string_equal(json_string_value(json_object_get(json_object_get(report, "timing"), "by")),
                      anew ? "timings" : "runs");
  json_array_foreach(json_object_get(report, "runs"), i, r) {
    bool mlp = !strcmp(json_string_value(json_object_get(r, "kind")), "mlp");
    double steps = study_field(r, "steps");
    assert_true(study_field(r, "run_seconds") == 1);
    assert_true(study_field(r, "seconds") == (!anew ? 1 : steps * (mlp ? 0.125 : 0.5)));
    assert_true(study_field(r, "cpu_seconds") == (!anew ? 0 : steps * (mlp ? 0.0625 : 0.25)));
    json_array_foreach(json_object_get(report, "optima"), k, o) {
      if (!json_equal(json_object_get(o, "kind"), json_object_get(r, "kind")) ||
          study_field(o, "budget") != study_field(r, "budget"))
        continue;
      assert_true(study_field(o, "seconds") == study_field(r, "seconds") &&
                  study_field(o, "cpu_seconds") == study_field(r, "cpu_seconds"));
    }
  }
  size_t by_cpu = 0, by_seconds = 0;
  json_array_foreach(json_object_get(report, "factors"), i, o) {
    by_cpu += !strcmp(json_string_value(json_object_get(o, "by")), "cpu_seconds");
    by_seconds += !strcmp(json_string_value(json_object_get(o, "by")), "seconds");
  }
  assert_int_equal(by_cpu, anew);
  assert_int_equal(by_seconds, anew); /* runs of 1 s each differ in nothing that a line goes through */
  json_decref(report);
}

static void refuse_timings(const char *study, json_t *o, const char *said) {
  sgi_study *s = NULL;
  sg_error e = {0};
  const char *problem;
  study_put_timings(study, o);
  sg_status st = sgi_study_open(study, NULL, NULL, NULL, &s, &e);
  if (st != SG_ERR_FORMAT || !strstr(e.text, said) || !strstr(e.text, "timings.json"))
    fail_msg("\"%s\" does not say \"%s\"", e.text, said);
  assert_sg_ok(sgi_study_follow(study, &s, err)); /* a watched study goes on without */
  assert_false(sgi_study_retimed(s, &problem));
  assert_true(problem == strstr(problem, "timings.json") && strstr(problem, said));
  sgi_study_close(s);
}

static json_t *with(json_t *o, const char *key, json_t *value) {
  json_object_set_new(o, key, value);
  return o;
}
static json_t *with_form(json_t *o, const char *key, json_t *value) {
  json_object_set_new(json_array_get(json_object_get(o, "forms"), 1), key, value);
  return o;
}

static void timings(void **state) {
  (void)state;
  char *base = golden_temporary(), data[300], study[300];
  sgi_study *s, *watch;
  bool changed;
  const char *problem;
  json_t *o = study_small(base, data, study);
  assert_sg_ok(sgi_study_open(study, o, NULL, NULL, &s, err));
  size_t n = sgi_study_left(s);
  assert_int_equal(n, 4);
  for (size_t i = 0; i < n; i++) study_put_result(study, sgi_study_at(s, i), sgi_study_at(s, i)->budget > 1e9 ? 3 : 4);
  assert_sg_ok(sgi_study_look(s, &changed, err));
  assert_sg_ok(sgi_study_follow(study, &watch, err));
  expect_costs(s, false);
  study_put_timings(study, study_timings(s));
  assert_sg_ok(sgi_study_look(watch, &changed, err));
  assert_true(changed);
  expect_costs(watch, true);
  assert_sg_ok(sgi_study_look(watch, &changed, err));
  assert_false(changed);
  /* A kind without its time: nothing is by timings, and that is said. */
  json_t *part = study_timings(s);
  json_array_remove(json_object_get(part, "forms"), 1);
  study_put_timings(study, part);
  assert_sg_ok(sgi_study_look(watch, &changed, err));
  assert_true(changed);
  expect_costs(watch, false);
  assert_false(sgi_study_retimed(watch, &problem));
  assert_non_null(strstr(problem, "no time of run mlp"));
  sgi_study_close(watch);

  refuse_timings(study, with_form(study_timings(s), "parameters", json_integer(7)), "belongs to other settings");
  refuse_timings(study, with_form(study_timings(s), "step_flops", json_real(7)), "belongs to other settings");
  refuse_timings(study, with_form(study_timings(s), "seconds", json_integer(0)), "above 0");
  refuse_timings(study, with_form(study_timings(s), "cpu_seconds", json_string("x")), "cpu_seconds");
  refuse_timings(study, with_form(study_timings(s), "seconds_of_rounds", json_pack("[f, f]", 1.0, 1.0)), "one a round");
  refuse_timings(study, with_form(study_timings(s), "seconds_of_rounds", json_pack("[f, f, f]", 1.0, -1.0, 1.0)),
                 "round 1");
  refuse_timings(study, with_form(study_timings(s), "variant", json_integer(-1)), "variant");
  refuse_timings(study, with_form(study_timings(s), "more", json_true()), "more");
  refuse_timings(study, with(study_timings(s), "threads", json_integer(0)), "threads");
  refuse_timings(study, with(study_timings(s), "forms", json_array()), "forms");
  refuse_timings(study, with(study_timings(s), "date", json_null()), "date");
  refuse_timings(study, with(study_timings(s), "format", json_integer(2)), "format");
  sgi_study_close(s);
  json_decref(o);
  golden_remove(base);
}

/* ---- timing ---------------------------------------------------------------------------------- */

static int asks_left; /* until it is asked to stop; below 0: never */
static bool asked_to_stop(void *user) {
  (void)user;
  return asks_left >= 0 && asks_left-- == 0;
}

static json_t *load_at(const char *study, const char *name) {
  char path[340];
  json_t *o = NULL;
  snprintf(path, sizeof path, "%s/%s", study, name);
  if (sgi_is_file(path)) assert_sg_ok(sgi_json_load(path, &o, err));
  return o;
}

static json_t *round_times(const json_t *o, size_t form, const char *key) {
  return json_object_get(json_array_get(json_object_get(o, "forms"), form), key);
}

/* Stopped in the middle, gone on with: no round is timed twice, and medians are of what stands
 * there. */
static void retiming(void **state) {
  (void)state;
  static const char of_rounds[] = "seconds_of_rounds";
  char *base = golden_temporary(), data[300], study[300], path[340];
  const sgi_run_events events = {.stop = asked_to_stop};
  sgi_study *s;
  sg_error e = {0};
  asks_left = -1;
  json_t *o = study_small(base, data, study);
  assert_sg_ok(sgi_study_open(study, o, NULL, &events, &s, err));
  asks_left = 100; /* a form makes at most 33 updates */
  assert_int_equal(sgi_study_retime(s, 40, 0, NULL), SG_ERR_CANCELLED);
  json_t *part = load_at(study, "timings.part.json");
  assert_non_null(part);
  assert_null(load_at(study, "timings.json"));
  size_t first = json_array_size(round_times(part, 0, of_rounds)),
         second = json_array_size(round_times(part, 1, of_rounds));
  assert_true(first >= 1 && first < 40 && (second == first || second + 1 == first)); /* in turn */
  asks_left = 100;
  assert_int_equal(sgi_study_retime(s, 40, 0, NULL), SG_ERR_CANCELLED);
  json_t *more = load_at(study, "timings.part.json");
  for (size_t i = 0; i < first; i++)
    assert_true(json_equal(json_array_get(round_times(part, 0, of_rounds), i),
                           json_array_get(round_times(more, 0, of_rounds), i)));
  assert_true(json_array_size(round_times(more, 0, of_rounds)) > first);
  json_decref(more);
  /* Other rounds are another question. */
  asks_left = -1;
  assert_sg_ok(sgi_study_retime(s, 2, 0, err));
  assert_null(load_at(study, "timings.part.json"));
  json_t *whole = load_at(study, "timings.json"), *x;
  size_t i;
  assert_int_equal(json_array_size(json_object_get(whole, "forms")), 2); /* two budgets of a form */
  json_array_foreach(json_object_get(whole, "forms"), i, x) {
    const json_t *list = json_object_get(x, of_rounds);
    double a = json_number_value(json_array_get(list, 0)), b = json_number_value(json_array_get(list, 1));
    assert_int_equal(json_array_size(list), 2);
    assert_true(a > 0 && b > 0 && study_field(x, "seconds") == (a + b) / 2 && study_field(x, "cpu_seconds") > 0);
  }
  assert_true(sgi_study_retimed(s, NULL)); /* nothing has ended yet */
  assert_int_equal(sgi_study_left(s), 4);
  sgi_study_close(s);
  /* What stands in the way is named. */
  snprintf(path, sizeof path, "%s/timings.part.json", study);
  assert_sg_ok(sgi_write_file(path, "{", 1, err));
  assert_sg_ok(sgi_study_open(study, NULL, NULL, NULL, &s, err));
  assert_int_equal(sgi_study_retime(s, 1, 0, &e), SG_ERR_FORMAT);
  assert_non_null(strstr(e.text, "timings.part.json"));
  sgi_study_close(s);
  json_decref(part);
  json_decref(whole);
  json_decref(o);
  /* Before a sweep has ended no settings are known. */
  snprintf(study, 300, "%.200s/sweeping", base);
  o = study_asked(data);
  json_object_set_new(o, "sweep_only", json_false());
  assert_sg_ok(sgi_study_open(study, o, NULL, NULL, &s, err));
  assert_int_equal(sgi_study_retime(s, 1, 0, &e), SG_ERR_ARG);
  assert_non_null(strstr(e.text, "sweep"));
  sgi_study_close(s);
  json_decref(o);
  golden_remove(base);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(ladder), cmocka_unit_test(descriptions),
                                     cmocka_unit_test(watching), cmocka_unit_test(timings), cmocka_unit_test(retiming)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
