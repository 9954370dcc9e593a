/* The training step: allocates nothing, takes no step on numbers that are not finite and says where
 * they are. */
#include "support/small.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/arena.h"

static void no_step_allocates(void **state) {
  (void)state;
  for (size_t i = 0; sg_feedforward_name(i); i++)
    for (size_t accumulation = 1; accumulation < 3; accumulation++) {
      sgi_trainer_settings s = small_settings();
      s.accumulation = accumulation;
      sgi_trainer *t = small_trainer(sg_feedforward_name(i), &s);
      size_t before = sgi_alloc_count();
      for (int k = 0; k < 4; k++) small_step(t);
      assert_int_equal(sgi_alloc_count(), before);
      assert_int_equal(t->updates, 4 / accumulation);
      sgi_trainer_free(t);
    }
}

/* The place (row of the table) is told by name, the weights stay as they were. */
static void expect_blame(const char *kind, size_t row, size_t element, float value) {
  sgi_trainer_settings s = small_settings();
  sgi_trainer *t = small_trainer(kind, &s);
  small_step(t);
  const sgi_row *r = &t->model->table.rows[row];
  size_t bytes = t->model->table.floats * sizeof(float);
  t->model->arena[r->offset + element % r->count] = value;
  float *before = test_malloc(bytes);
  memcpy(before, t->model->arena, bytes);
  int32_t inputs[SMALL_B * SMALL_T], targets[SMALL_B * SMALL_T];
  small_batch(1, inputs, targets, NULL);
  inputs[0] = 5; /* so that a broken row of the embedding is met */
  sgi_step out;
  sg_error err = {0};
  if (sgi_trainer_step(t, inputs, targets, NULL, &out, &err) != SG_ERR_NUMERIC)
    fail_msg("%s: %s[%zu] = %g was not noticed", kind, r->name, element % r->count, (double)value);
  if (!strstr(err.text, r->name) || !strstr(err.text, "batch 1 ")) fail_msg("%s: %s", r->name, err.text);
  if (row && row + 1 < t->model->table.count && !strstr(err.text, "layer ")) fail_msg("%s: %s", r->name, err.text);
  /* A unit that no token chose, one that a bias of minus infinity keeps closed, and statistics of
   * other batches show only in the weights themselves. */
  bool taken = !strstr(err.text, "was not taken"), closed = strstr(r->name, ".bias") && value < 0;
  if (taken && !closed && !strstr(r->name, "experts") && !r->state) fail_msg("%s: the step was taken", r->name);
  if (!taken) assert_memory_equal(before, t->model->arena, bytes);
  assert_int_equal(t->steps, taken ? 2 : 1);
  assert_int_equal(t->updates, taken ? 2 : 1);
  for (size_t i = 0; i < t->model->table.floats; i++) assert_true(t->grad[i] == 0);
  test_free(before);
  sgi_trainer_free(t);
}

static void every_tensor(void **state) {
  (void)state;
  for (size_t i = 0; sg_feedforward_name(i); i++) {
    const char *kind = sg_feedforward_name(i);
    sg_config c = small_config(kind);
    sgi_table table;
    assert_sg_ok(sgi_model_table(&c, &table, err));
    for (size_t row = 0; row < table.count; row++) {
      expect_blame(kind, row, row ? 7 : 5 * c.hidden_size + 1, NAN);
      expect_blame(kind, row, row ? 3 : 5 * c.hidden_size, row % 2 ? INFINITY : -INFINITY);
    }
    sgi_table_deinit(&table);
  }
}

/* A finite number whose square overflows: the norm after it would silently become 0. */
static void too_large(void **state) {
  (void)state;
  for (size_t i = 0; sg_feedforward_name(i); i++) {
    const char *kind = sg_feedforward_name(i);
    expect_blame(kind, SGI_ROW_EMBED, 5 * 32 + 3, 1e30f);
    sg_config c = small_config(kind);
    sgi_table table;
    assert_sg_ok(sgi_model_table(&c, &table, err));
    size_t q = (size_t)sgi_table_find(&table, "model.layers.0.self_attn.q_proj.weight");
    size_t o = (size_t)sgi_table_find(&table, "model.layers.0.self_attn.o_proj.weight");
    expect_blame(kind, q, 3, 1e30f);
    expect_blame(kind, o, 3, -1e30f);
    sgi_table_deinit(&table);
  }
}

/* Moments are looked at before they are kept in a checkpoint. */
static void moments(void **state) {
  (void)state;
  const sgi_optimizer_ops *ops;
  for (size_t i = 0; (ops = sgi_optimizer_at(i)); i++)
    for (size_t m = 0; m < ops->n_moments; m++) {
      sgi_trainer_settings s = small_settings();
      s.optimizer = sgi_optimizer_usual(ops);
      sgi_trainer *t = small_trainer(sg_feedforward_name(0), &s);
      sg_error why = {0};
      char words[160];
      assert_sg_ok(sgi_trainer_check(t, err));
      size_t row = (size_t)sgi_table_find(&t->model->table, "model.layers.1.self_attn.v_proj.weight");
      t->moment[m][t->model->table.rows[row].offset + 2] = INFINITY;
      assert_int_equal(sgi_trainer_check(t, &why), SG_ERR_NUMERIC);
      snprintf(words, sizeof words, "%s of model.layers.1.self_attn.v_proj.weight (layer 1), element 2",
               ops->moments[m].words);
      assert_non_null(strstr(why.text, words));
      sgi_trainer_free(t);
    }
}

/* Numbers that only the sums of a batch make infinite are found in the activations or the
 * gradient. */
static void learning_rate_too_high(void **state) {
  (void)state;
  sgi_trainer_settings s = small_settings();
  s.schedule = (sgi_schedule){.kind = SGI_SCHEDULE_CONSTANT, .peak = 1e6, .updates = 100};
  s.clip = 0;
  sgi_trainer *t = small_trainer(sg_feedforward_name(0), &s);
  for (size_t i = 0; i < t->model->table.floats; i++) t->model->arena[i] *= 1e12f;
  int32_t inputs[SMALL_B * SMALL_T], targets[SMALL_B * SMALL_T];
  sg_error err = {0};
  sgi_step out;
  sg_status st = SG_OK;
  for (uint64_t k = 0; k < 4 && !st; k++) {
    small_batch(k, inputs, targets, NULL);
    st = sgi_trainer_step(t, inputs, targets, NULL, &out, &err);
  }
  assert_int_equal(st, SG_ERR_NUMERIC);
  assert_non_null(strstr(err.text, "layer"));
  assert_non_null(strstr(err.text, "was not taken"));
  sgi_trainer_free(t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(no_step_allocates), cmocka_unit_test(every_tensor),           cmocka_unit_test(too_large),
      cmocka_unit_test(moments),           cmocka_unit_test(learning_rate_too_high),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
