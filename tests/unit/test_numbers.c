/* test_numbers [PLACES]: gradients broken at random places are found within the step; inputs at the
 * edge; the same bits for 1 to 8 threads; loss sums against double; residues of attributions.
 * PLACES (12): how many places and prompts a kind; 1000 in the long tests. */
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "model/pass.h"
#include "support/prompts.h"
#include "support/small.h"

static size_t places = 12;

/* ---- broken gradients ------------------------------------------------------------------------ */

enum { BEFORE = 18 }; /* steps, so that there is a median */

static const sgi_row *row_of(const sgi_table *t, size_t place) {
  size_t i = 0;
  while (i + 1 < t->count && t->rows[i + 1].offset <= place) i++;
  return &t->rows[i];
}

/* What is put into a gradient's arena adds to what the batch makes of it. */
static void break_one(sgi_trainer *t, const char *kind, size_t place, float value) {
  const sgi_table *table = &t->model->table;
  const sgi_row *row = row_of(table, place);
  if (place >= row->offset + row->count) return; /* between two tensors */
  size_t bytes = table->floats * sizeof(float);
  float *before = test_malloc(bytes);
  int32_t inputs[SMALL_B * SMALL_T], targets[SMALL_B * SMALL_T];
  sg_error err = {0};
  sgi_step out;
  memcpy(before, t->model->arena, bytes);
  small_batch(BEFORE, inputs, targets, NULL);
  t->grad[place] = value;
  sg_status st = sgi_trainer_step(t, inputs, targets, NULL, &out, &err);
  if (st != SG_ERR_NUMERIC) fail_msg("%s: %g in the gradient of %s was not noticed", kind, (double)value, row->name);
  if (!strstr(err.text, row->name) || !strstr(err.text, "(batch 18 of the run)") ||
      (strstr(row->name, "layers.") && !strstr(err.text, "layer ")))
    fail_msg("%s, %g in %s: %s", kind, (double)value, row->name, err.text);
  assert_memory_equal(before, t->model->arena, bytes);
  assert_int_equal(t->steps, BEFORE);
  test_free(before);
}

static void broken_gradients(void **state) {
  (void)state;
  const float values[] = {NAN, INFINITY, -INFINITY, 1e9f, -1e12f};
  ref_random r = {7};
  for (size_t k = 0; sg_feedforward_name(k); k++) {
    const char *kind = sg_feedforward_name(k);
    sgi_trainer_settings s = small_settings();
    sgi_trainer *t = small_trainer(kind, &s);
    for (size_t i = 0; i < BEFORE; i++) small_step(t);
    for (size_t i = 0; i < places; i++)
      break_one(t, kind, ref_below(&r, t->model->table.floats), values[i % SGI_COUNT(values)]);
    small_step(t); /* and goes on as if nothing had been */
    sgi_trainer_free(t);
  }
}

/* ---- edges ----------------------------------------------------------------------------------- */

static sgi_step step_on(sgi_trainer *t, const int32_t *inputs, const int32_t *targets) {
  sgi_step out = {0};
  assert_sg_ok(sgi_trainer_step(t, inputs, targets, NULL, &out, err));
  assert_true(isfinite(out.loss) && isfinite(out.grad_norm) && isfinite(out.param_norm));
  assert_sg_ok(sgi_trainer_check(t, err));
  return out;
}

/* Rows of padding alone, rows of one token, weights that are denormal, scores that are all
 * equal. */
static void edges(void **state) {
  (void)state;
  for (size_t k = 0; sg_feedforward_name(k); k++) {
    sgi_trainer_settings s = small_settings();
    sgi_trainer *t = small_trainer(sg_feedforward_name(k), &s);
    int32_t inputs[SMALL_B * SMALL_T] = {0}, targets[SMALL_B * SMALL_T] = {0};
    sgi_step none = step_on(t, inputs, targets);
    assert_int_equal(none.targets, 0);
    assert_true(none.loss == 0 && (none.grad_norm == 0) == (none.total == 0));
    for (size_t b = 0; b < SMALL_B; b++) inputs[b * SMALL_T] = 1, targets[b * SMALL_T] = (int32_t)(3 + b);
    assert_int_equal(step_on(t, inputs, targets).targets, SMALL_B);
    const sgi_table *table = &t->model->table;
    for (int what = 0; what < 2; what++)
      for (size_t i = 0; i < table->count; i++) {
        float *w = t->model->arena + table->rows[i].offset;
        size_t bytes = table->rows[i].count * sizeof *w;
        float *kept = test_malloc(bytes);
        memcpy(kept, w, bytes);
        for (size_t j = 0; j < table->rows[i].count; j++) w[j] = what ? 0 : j % 2 ? 1e-41f : -1e-42f;
        small_batch(i, inputs, targets, NULL);
        step_on(t, inputs, targets);
        memcpy(w, kept, bytes);
        test_free(kept);
      }
    sgi_trainer_free(t);
  }
}

/* ---- threads --------------------------------------------------------------------------------- */

static void threads(void **state) {
  (void)state;
  const int counts[] = {1, 2, 3, 4, 8};
  size_t steps = places >= 100 ? 200 : 12;
  int usual = omp_get_max_threads();
  for (size_t k = 0; sg_feedforward_name(k); k++) {
    float *first = NULL;
    for (size_t i = 0; i < SGI_COUNT(counts); i++) {
      sgi_trainer_settings s = small_settings();
      omp_set_num_threads(counts[i]);
      sgi_trainer *t = small_trainer(sg_feedforward_name(k), &s);
      for (size_t j = 0; j < steps; j++) small_step(t);
      size_t bytes = t->model->table.floats * sizeof(float);
      if (!first)
        first = memcpy(test_malloc(bytes), t->model->arena, bytes);
      else if (memcmp(first, t->model->arena, bytes))
        fail_msg("%s: other bits with %d threads after %zu steps", sg_feedforward_name(k), counts[i], steps);
      sgi_trainer_free(t);
    }
    test_free(first);
  }
  omp_set_num_threads(usual);
}

/* ---- sums ------------------------------------------------------------------------------------ */

/* The loss of a batch, summed in double from the pass's logits. */
static void loss_sums(void **state) {
  (void)state;
  for (size_t k = 0; sg_feedforward_name(k); k++) {
    sg_config c = small_config(sg_feedforward_name(k));
    sg_model *m;
    sgi_pass *p;
    int32_t inputs[SMALL_B * SMALL_T], targets[SMALL_B * SMALL_T];
    float *logits = test_malloc(SMALL_B * SMALL_T * SMALL_V * sizeof *logits);
    double all = 0, oracle = 0;
    assert_sg_ok(sg_model_create(&c, 5, &m, err));
    assert_sg_ok(sgi_pass_create(m, SMALL_B, SMALL_T, false, &p, err));
    for (uint64_t i = 0; i < (places >= 100 ? 1000 : 20); i++) {
      sgi_metrics sum = {0};
      sgi_batch b = {SMALL_B, SMALL_T, inputs, targets, NULL};
      small_batch(i, inputs, targets, NULL);
      assert_sg_ok(sgi_pass_forward(p, &b, NULL, err));
      assert_sg_ok(sgi_pass_logits(p, 0, SMALL_B * SMALL_T, logits, err));
      assert_sg_ok(sgi_pass_loss(p, &sum, NULL, 0, err));
      all += sum.nll;
      for (size_t j = 0; j < SMALL_B * SMALL_T; j++) {
        if (!targets[j]) continue;
        double z = 0;
        for (size_t v = 0; v < SMALL_V; v++) z += exp((double)logits[j * SMALL_V + v]);
        oracle += log(z) - (double)logits[j * SMALL_V + (size_t)targets[j]];
      }
    }
    if (!(fabs(all - oracle) <= 1e-6 * oracle))
      fail_msg("%s: loss %.12g, in double %.12g", sg_feedforward_name(k), all, oracle);
    test_free(logits);
    sgi_pass_free(p);
    sg_model_free(m);
  }
}

/* ---- attributions ---------------------------------------------------------------------------- */

static double worst;

static void residues(const sg_model *m, const char *name, ref_random *r) {
  int32_t tokens[PROMPT_MAX];
  for (size_t i = 0; i < places; i++) {
    size_t n = 1 + ref_below(r, PROMPT_MAX), V = sg_model_config(m)->vocab_size;
    sg_attribution *a;
    random_prompt(m, r, tokens, n);
    sg_attribute_request q = {.tokens = tokens, .count = n, .position = -1 - (ptrdiff_t)ref_below(r, n)};
    q.target = (int32_t)ref_below(r, V + 1) - 1;
    q.against = (int32_t)ref_below(r, V + 1) - 1;
    assert_sg_ok(sg_attribute(m, &q, &a, err));
    double part = a->against == a->target ? 0 : fabs(a->direct.residue) / a->direct.sum_abs; /* 0 / 0 */
    if (!(part <= 1e-5)) fail_msg("%s, prompt %zu: a residue of %.2e", name, i, part);
    worst = fmax(worst, part);
    sg_attribution_free(a);
  }
}

static void attributions(void **state) {
  (void)state;
  assert_true(each_model(residues) > 10);
  print_message("worst residue: %.1e of the sum of absolute terms\n", worst);
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(broken_gradients), cmocka_unit_test(edges),
                                     cmocka_unit_test(threads), cmocka_unit_test(loss_sums),
                                     cmocka_unit_test(attributions)};
  if (argc > 1) places = strtoull(argv[1], NULL, 10);
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  print_message("numbers: %zu, %d failed\n", SGI_COUNT(tests), failed);
  return failed;
}
