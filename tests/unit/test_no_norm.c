/* "norm": "none": streams pass sublayers' norms and the last as they are; gradients by finite
 * differences, terms of an attribution that add up, exact effects, config.json there and back. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
/* after the four headers it needs */
#include <cmocka.h>

#include "model/pass.h"
#include "model/presets.h"
#include "support/near.h"

enum { B = 2, T = 7 };

static sg_model *make(void) {
  sgi_preset_t p;
  sg_model *m;
  assert_sg_ok(sgi_preset("tinystories", "mlp", &p, err));
  sg_config c = p.config;
  c.vocab_size = 50;
  c.hidden_size = 16;
  c.head_dim = 8;
  c.num_heads = 2;
  c.num_layers = 2;
  c.num_neurons = 24;
  snprintf(c.activation, sizeof c.activation, "relu");
  snprintf(c.norm, sizeof c.norm, "none");
  assert_sg_ok(sg_model_create(&c, 3, &m, err));
  return m;
}

static void ids_of(int32_t *inputs, int32_t *targets) {
  for (int i = 0; i < B * T; i++) {
    inputs[i] = i % T ? 2 + i * 7 % 40 : 1;
    targets[i] = 2 + i * 5 % 41;
  }
}

static double loss_of(const sg_model *m, sgi_pass *p, float *grad) {
  int32_t inputs[B * T], targets[B * T];
  sgi_metrics sum = {0};
  ids_of(inputs, targets);
  assert_sg_ok(sgi_pass_forward(p, &(sgi_batch){.B = B, .T = T, .inputs = inputs, .targets = targets}, NULL, err));
  assert_sg_ok(sgi_pass_loss(p, &sum, grad, 1, err));
  if (grad) assert_sg_ok(sgi_pass_backward(p, grad, err));
  (void)m;
  return sum.nll;
}

static void gradients(void **state) {
  (void)state;
  sg_model *m = make();
  sgi_pass *p;
  assert_sg_ok(sgi_model_own(m, err));
  for (size_t i = 0; i < m->table.floats; i++) m->arena[i] *= 3; /* away from 0 */
  for (size_t i = 0; i < m->table.count; i++)
    if (m->table.rows[i].init == SGI_INIT_ONE)
      for (size_t k = 0; k < m->table.rows[i].count; k++) m->arena[m->table.rows[i].offset + k] = 1;
  assert_sg_ok(sgi_pass_create(m, B, T, true, &p, err));
  float *grad = sgi_alloc(m->table.floats * sizeof *grad);
  loss_of(m, p, grad);
  for (size_t i = 0; i < m->table.count; i++) {
    const sgi_row *row = &m->table.rows[i];
    size_t checked = 0, kinks = 0;
    double largest = 0;
    for (size_t k = 0; k < row->count; k++) largest = fmax(largest, fabs((double)grad[row->offset + k]));
    bool gain = row->init == SGI_INIT_ONE && !strstr(row->name, "q_norm") && !strstr(row->name, "k_norm");
    if (gain) { /* not trained: they stay 1 */
      near(row->name, largest, 0, 0);
      continue;
    }
    for (size_t k = 0; k < row->count; k += row->count / 7 + 1) {
      float *w = m->arena + row->offset + k, was = *w;
      double at[4];
      for (int s = 0; s < 4; s++) {
        *w = was + (float)(s % 2 ? -1 : 1) * (s < 2 ? 4e-3f : 2e-3f);
        at[s] = loss_of(m, p, NULL);
      }
      *w = was;
      double slope = (at[2] - at[3]) / 4e-3, wide = (at[0] - at[1]) / 8e-3;
      if (fabs(slope - wide) > 2e-2 * largest + 1e-3) {
        kinks++; /* relu turned between */
        continue;
      }
      near(row->name, (double)grad[row->offset + k], slope, 2e-2 * largest + 2e-3);
      checked++;
    }
    assert_true(checked > kinks);
  }
  sgi_free(grad);
  sgi_pass_free(p);
  sg_model_free(m);
}

/* Terms that add up; and where no norm stands between, a neuron of the last layer taken out changes
 * the logit by exactly what it wrote. */
static void reading(void **state) {
  (void)state;
  sg_model *m = make();
  int32_t inputs[B * T], targets[B * T];
  ids_of(inputs, targets);
  sg_attribution *a;
  sg_attribute_request r = {.tokens = inputs, .count = T, .position = -1, .target = 5, .against = 6};
  assert_sg_ok(sg_attribute(m, &r, &a, err));
  assert_sg_ok(sg_attribution_check(a, err));
  sg_attribution_free(a);
  sg_exact *x;
  sg_exact_request e = {.prompt = r};
  size_t last = 0;
  assert_sg_ok(sg_exact_create(m, &e, &x, err));
  for (size_t i = 0; i < x->neurons.count; i++)
    if (x->neurons.at[i].term.layer == 1 && x->neurons.at[i].term.position == T - 1) {
      near("last layer", x->neurons.at[i].effect, x->neurons.at[i].term.effect, 1e-5);
      last++;
    }
  assert_true(last > 0);
  sg_exact_free(x);
  sg_model_free(m);
}

static void settings(void **state) {
  (void)state;
  sg_config c;
  sg_model *m = make();
  char *directory = golden_temporary();
  char path[300];
  snprintf(path, sizeof path, "%s/m", directory);
  assert_sg_ok(sg_model_save(m, path, err));
  assert_sg_ok(sg_config_load(path, &c, err));
  assert_string_equal(c.norm, "none");
  snprintf(c.norm, sizeof c.norm, "layer");
  sg_error why = {0};
  assert_int_equal(sg_config_check(&c, &why), SG_ERR_ARG);
  assert_non_null(strstr(why.text, "expected rms or none"));
  golden_remove(directory);
  sg_model_free(m);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(gradients), cmocka_unit_test(reading),
                                     cmocka_unit_test(settings)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
