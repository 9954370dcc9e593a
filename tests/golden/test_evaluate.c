/* The reference's evaluation loop on its own model: per batch, and the plain mean over batches. */
#include "support/golden.h"
#include "support/near.h"

#include <math.h>
#include <stdlib.h>

#include "core/arena.h"
#include "read/evaluate.h"

enum { T = 24, ROWS = 8 };
static const char *const ROOT = "tests/golden/eval/model";

static void read_targets(int32_t out[ROWS * T]) {
  json_t *o = golden_json("tests/golden/eval/model/targets.json");
  assert_int_equal(json_array_size(o), ROWS);
  for (size_t r = 0; r < ROWS; r++) {
    const json_t *row = json_array_get(o, r);
    assert_int_equal(json_array_size(row), T);
    for (size_t t = 0; t < T; t++) out[r * T + t] = (int32_t)json_integer_value(json_array_get(row, t));
  }
  json_decref(o);
}

static void metric_near(const json_t *want, const char *key, double got) {
  double x = json_number_value(json_object_get(want, key));
  if (!(fabs(got - x) <= 1e-5 * fabs(x))) fail_msg("%s is %.9g, expected %.9g", key, got, x);
}

static void all_near(const json_t *want, const sgi_evaluation *e) {
  metric_near(want, "loss", e->loss);
  metric_near(want, "acc", e->accuracy);
  metric_near(want, "perplexity", e->perplexity);
  metric_near(want, "perplexity_last_token", e->perplexity_last_token);
}

static sgi_evaluation evaluate(const sg_model *m, const int32_t *targets, uint64_t rows, size_t part, size_t batch,
                               sgi_eval_method method) {
  sgi_pass *p;
  sgi_evaluator *e;
  sgi_evaluation out;
  sgi_evaluate_request r = {.targets = targets, .n_rows = rows, .T = T, .batch_rows = batch, .method = method};
  assert_sg_ok(sgi_pass_create(m, part, T, false, &p, err));
  assert_sg_ok(sgi_evaluator_create(p, m, part, T, &e, err));
  assert_sg_ok(sgi_evaluate(e, &r, &out, err));
  sgi_evaluator_free(e);
  sgi_pass_free(p);
  return out;
}

static void reference(void **state) {
  (void)state;
  int32_t targets[ROWS * T];
  sg_model *m;
  json_t *o = golden_json("tests/golden/eval/model/evaluate.json");
  const json_t *each = json_object_get(o, "per_batch");
  size_t batch = (size_t)json_integer_value(json_object_get(o, "batch_size"));
  read_targets(targets);
  assert_sg_ok(sg_model_load(ROOT, &m, err));
  assert_int_equal(json_array_size(each) * batch, ROWS);
  for (size_t part = 1; part <= batch; part *= 2) {
    sgi_evaluation all = evaluate(m, targets, ROWS, part, batch, SGI_EVAL_BATCHES);
    all_near(json_object_get(o, "mean"), &all);
    assert_int_equal(all.batches, 2);
    for (size_t i = 0; i < json_array_size(each); i++) {
      sgi_evaluation one = evaluate(m, targets + i * batch * T, batch, part, batch, SGI_EVAL_BATCHES);
      all_near(json_array_get(each, i), &one);
    }
    /* An incomplete last batch is dropped. */
    sgi_evaluation seven = evaluate(m, targets, ROWS - 1, part, batch, SGI_EVAL_BATCHES);
    all_near(json_array_get(each, 0), &seven);
    assert_int_equal(seven.rows, batch);
  }
  sg_model_free(m);
  json_decref(o);
}

/* By tokens: sums over all rows, whatever the parts. */
static void by_tokens(void **state) {
  (void)state;
  int32_t targets[ROWS * T];
  sg_model *m;
  read_targets(targets);
  assert_sg_ok(sg_model_load(ROOT, &m, err));
  double nll = 0, n = 0, square = 0;
  sgi_evaluation all = evaluate(m, targets, ROWS, 1, 0, SGI_EVAL_TOKENS), row[ROWS];
  for (size_t r = 0; r < ROWS; r++) {
    row[r] = evaluate(m, targets + r * T, 1, 1, 0, SGI_EVAL_TOKENS);
    nll += row[r].loss * (double)row[r].tokens;
    n += (double)row[r].tokens;
  }
  near("all.loss", all.loss, nll / n, 1e-9 * all.loss);
  near("all.perplexity", all.perplexity, exp(nll / n), 1e-9 * all.perplexity);
  assert_int_equal(all.tokens, (uint64_t)n);
  for (size_t r = 0; r < ROWS; r++) square += pow((row[r].loss - all.loss) * (double)row[r].tokens, 2);
  double error = sqrt((double)ROWS / (ROWS - 1) * square) / n;
  near("all.standard_error", all.standard_error, error, 1e-6 * error);
  /* More rows at a time are other products: their float32 rounding differs, the sums do not. */
  sgi_evaluation parts = evaluate(m, targets, ROWS, 3, 0, SGI_EVAL_TOKENS);
  if (getenv("SGATLIN_TEST_VERBOSE")) print_message("parts of 3 rows: %.2e\n", fabs(parts.loss - all.loss) / all.loss);
  near("parts.loss", parts.loss, all.loss, 1e-6 * all.loss);
  assert_int_equal(parts.tokens, all.tokens);
  sg_model_free(m);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(reference), cmocka_unit_test(by_tokens)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
