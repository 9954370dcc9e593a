/* Learning rates of every update of every golden case, and what the settings' check refuses. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "support/near.h"
#include "train/schedule.h"

static double number(const json_t *o, const char *key) {
  const json_t *v = json_object_get(o, key);
  assert_true(json_is_number(v));
  return json_number_value(v);
}

static void every_update_as_the_reference(void **state) {
  (void)state;
  json_t *cases = json_load_file("tests/golden/schedules.json", JSON_DECODE_ANY, NULL);
  assert_non_null(cases);
  assert_true(json_array_size(cases) >= 20);
  double worst = 0;
  size_t i, points = 0;
  json_t *c;
  json_array_foreach(cases, i, c) {
    sg_error err = {0};
    sgi_schedule s = {.peak = number(c, "learning_rate"),
                      .updates = (uint64_t)number(c, "n_steps") / (uint64_t)number(c, "n_gradient_accumulation"),
                      .warmup = (uint64_t)number(c, "warmup_steps"),
                      .decay_fraction = number(c, "decay_fraction")};
    assert_int_equal(s.updates, (uint64_t)number(c, "n_optimizer_steps"));
    assert_int_equal(sgi_schedule_find(json_string_value(json_object_get(c, "schedule")), &s.kind, &err), SG_OK);
    assert_int_equal(sgi_schedule_check(&s, &err), SG_OK);
    size_t t;
    json_t *v;
    const json_t *lr = json_object_get(c, "lr");
    assert_int_equal(json_array_size(lr), s.updates);
    json_array_foreach(lr, t, v) {
      double off = fabs(sgi_schedule_at(&s, t) - json_number_value(v)) / s.peak;
      if (off > worst) worst = off;
      points++;
      if (off > 1e-6)
        fail_msg("case %zu (%s), update %zu: %.9g, expected %.9g", i, sgi_schedule_name(s.kind), t,
                 sgi_schedule_at(&s, t), json_number_value(v));
    }
  }
  json_decref(cases);
  print_message("worst of %zu learning rates: %.2g of the peak\n", points, worst);
}

static void names_find_themselves(void **state) {
  (void)state;
  sgi_schedule_kind kind;
  sg_error err = {0};
  for (int i = 0; sgi_schedule_name((sgi_schedule_kind)i); i++) {
    assert_int_equal(sgi_schedule_find(sgi_schedule_name((sgi_schedule_kind)i), &kind, NULL), SG_OK);
    assert_int_equal(kind, i);
  }
  assert_int_equal(sgi_schedule_find("cosin", &kind, &err), SG_ERR_ARG);
  assert_non_null(strstr(err.text, "did you mean cosine"));
}

static void settings_are_checked(void **state) {
  (void)state;
  const sgi_schedule good = {SGI_SCHEDULE_COSINE, 1e-3, 10, 4, 0.2};
  assert_int_equal(sgi_schedule_check(&good, NULL), SG_OK);
  sgi_schedule s = good;
  s.warmup = 5;
  assert_int_equal(sgi_schedule_check(&s, NULL), SG_ERR_ARG);
  s.warmup = UINT64_MAX;
  assert_int_equal(sgi_schedule_check(&s, NULL), SG_ERR_ARG);
  s = good, s.updates = 0;
  assert_int_equal(sgi_schedule_check(&s, NULL), SG_ERR_ARG);
  const double bad_rate[] = {0, -1, NAN, INFINITY}, bad_fraction[] = {-0.1, 1.1, NAN};
  for (size_t i = 0; i < SGI_COUNT(bad_rate); i++) {
    s = good, s.peak = bad_rate[i];
    assert_int_equal(sgi_schedule_check(&s, NULL), SG_ERR_ARG);
  }
  for (size_t i = 0; i < SGI_COUNT(bad_fraction); i++) {
    s = good, s.decay_fraction = bad_fraction[i];
    assert_int_equal(sgi_schedule_check(&s, NULL), SG_ERR_ARG);
  }
}

static void past_the_end_nothing_runs_away(void **state) {
  (void)state;
  sgi_schedule s = {SGI_SCHEDULE_COSINE, 1.0, 100, 10, 0.2};
  near("sgi_schedule_at(&s, 1000000)", sgi_schedule_at(&s, 1000000), 0.1, 1e-6);
  s.kind = SGI_SCHEDULE_WARMUP_SQRT;
  assert_true(sgi_schedule_at(&s, UINT64_MAX) == 0);
  s.kind = SGI_SCHEDULE_WARMUP_LINEAR;
  assert_true(sgi_schedule_at(&s, 100) == 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_update_as_the_reference),
      cmocka_unit_test(names_find_themselves),
      cmocka_unit_test(settings_are_checked),
      cmocka_unit_test(past_the_end_nothing_runs_away),
  };
  return cmocka_run_group_tests_name("schedules", tests, NULL, NULL);
}
