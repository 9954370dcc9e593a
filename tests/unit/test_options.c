/* Options of a feedforward layer that change nothing are nothing: the same numbers to the last bit
 * as without them, forwards and backwards. */
#include "support/golden.h"

#include <math.h>
#include <string.h>

#include "model/metrics.h"
#include "model/pass.h"
#include "support/small.h"

enum { B = SMALL_B, T = SMALL_T };

typedef struct outcome {
  float *logits, *grad;
  double loss;
} outcome;

static outcome run(const sg_model *m) {
  int32_t inputs[B * T], targets[B * T], starts[B * T];
  small_batch(3, inputs, targets, starts);
  outcome o = {sgi_alloc(B * T * m->config.vocab_size * sizeof(float)), sgi_alloc(m->table.floats * sizeof(float)), 0};
  sgi_pass *p;
  sgi_metrics sum = {0};
  assert_sg_ok(sgi_pass_create(m, B, T, true, &p, err));
  sgi_batch batch = {B, T, inputs, targets, starts};
  assert_sg_ok(sgi_pass_forward(p, &batch, NULL, err));
  assert_sg_ok(sgi_pass_logits(p, 0, B * T, o.logits, err));
  assert_sg_ok(sgi_pass_loss(p, &sum, o.grad, 1e-2f, err));
  assert_sg_ok(sgi_pass_backward(p, o.grad, err));
  o.loss = sum.nll;
  sgi_pass_free(p);
  return o;
}

static void outcome_free(outcome *o) {
  sgi_free(o->logits);
  sgi_free(o->grad);
}

/* Every tensor of plain into the row of that name. */
static void copy_weights(sg_model *to, const sg_model *plain) {
  for (size_t i = 0; i < plain->table.count; i++) {
    const sgi_row *row = &plain->table.rows[i];
    ptrdiff_t at = sgi_table_find(&to->table, row->name);
    assert_true(at >= 0 && to->table.rows[at].count == row->count);
    memcpy(to->arena + to->table.rows[at].offset, plain->arena + row->offset, row->count * sizeof(float));
  }
}

static void compare(const sg_model *plain, const sg_model *with) {
  outcome a = run(plain), b = run(with);
  assert_memory_equal(a.logits, b.logits, B * T * plain->config.vocab_size * sizeof(float));
  assert_memory_equal(&a.loss, &b.loss, sizeof a.loss);
  for (size_t i = 0; i < plain->table.count; i++) {
    const sgi_row *row = &plain->table.rows[i];
    const sgi_row *other = &with->table.rows[sgi_table_find(&with->table, row->name)];
    if (memcmp(a.grad + row->offset, b.grad + other->offset, row->count * sizeof(float)))
      fail_msg("the gradient of %s is another", row->name);
  }
  outcome_free(&a);
  outcome_free(&b);
}

static void gates_that_all_pass(void **state) {
  (void)state;
  static const char *const activations[] = {"identity", "gelu", "swish"};
  for (size_t i = 0; i < SGI_COUNT(activations); i++) {
    sg_config c = small_config("sgatlin");
    sg_model *plain, *with;
    snprintf(c.activation, sizeof c.activation, "%s", activations[i]);
    assert_sg_ok(sg_model_create(&c, 5, &plain, err));
    snprintf(c.options.gates, sizeof c.options.gates, "jumprelu");
    c.options.bandwidth = 0.25;
    assert_sg_ok(sg_model_create(&c, 5, &with, err));
    copy_weights(with, plain);
    for (size_t r = 0; r < with->table.count; r++)
      for (size_t k = 0; with->table.rows[r].threshold && k < with->table.rows[r].count; k++)
        with->arena[with->table.rows[r].offset + k] = -INFINITY;
    compare(plain, with);
    sg_model_free(plain);
    sg_model_free(with);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(gates_that_all_pass)};
  return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
