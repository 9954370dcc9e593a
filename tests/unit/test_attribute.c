/* Attribution: nothing is left over, and total effects are what the frozen network really does. */
#include "support/prompts.h"
#include "support/near.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "read/frozen.h"

static double worst_direct, worst_total;
static size_t prompts;

static void residues(const sg_model *m, const char *name, ref_random *r) {
  for (size_t i = 0; i < 70; i++, prompts++) {
    int32_t tokens[PROMPT_MAX];
    size_t count = 1 + ref_below(r, PROMPT_MAX);
    random_prompt(m, r, tokens, count);
    sg_attribute_request q = {.tokens = tokens, .count = count, .position = -1 - (ptrdiff_t)ref_below(r, count)};
    size_t V = sg_model_config(m)->vocab_size;
    q.target = (int32_t)ref_below(r, V + 1) - 1;
    q.against = (int32_t)ref_below(r, V + 1) - 1;
    sg_attribution *a;
    assert_sg_ok(sg_attribute(m, &q, &a, err));
    sg_error e = {0};
    if (a->against != a->target && sg_attribution_check(a, &e)) fail_msg("%s: %s", name, e.text);
    worst_direct = worse(worst_direct, fabs(a->direct.residue) / a->direct.sum_abs);
    worst_total = worse(worst_total, fabs(a->inputs.residue) / fmax(a->inputs.sum_abs, a->direct.sum_abs));
    for (size_t k = 1; k < a->direct.count; k++)
      assert_true(fabs(a->direct.terms[k].effect) <= fabs(a->direct.terms[k - 1].effect));
    sg_attribution_free(a);
  }
}

static void nothing_is_left_over(void **state) {
  (void)state;
  assert_int_equal(each_model(residues), 28);
  assert_true(prompts >= 1000);
  if (getenv("SGATLIN_TEST_VERBOSE"))
    print_message("%zu prompts: worst residue of the sum of absolute terms %.1e direct, %.1e total\n", prompts,
                  worst_direct, worst_total);
}

/* The frozen network run forward in double, term by term from what the forward pass held. `scale`
 * multiplies what one neuron or one input token adds. */
typedef struct knob {
  ptrdiff_t layer, position, unit; /* layer -1: the token at position */
  double scale;
} knob;

static double frozen_logit(const sgi_frozen *f, size_t position, int32_t target, const knob *k) {
  size_t T = f->T, D = f->D, W = f->model->config.num_heads * f->model->config.head_dim;
  double *x = ref_alloc(T * D, sizeof *x), *xn = ref_alloc(T * D, sizeof *xn), *v = ref_alloc(T * W, sizeof *v);
  double *z = ref_alloc(W, sizeof *z);
  for (size_t t = 0; t < T; t++)
    for (size_t d = 0; d < D; d++)
      x[t * D + d] = f->model->w[SGI_ROW_EMBED][(size_t)f->tokens[t] * D + d] *
                     (k->layer < 0 && (size_t)k->position == t ? k->scale : 1);
  double *read =
      ref_alloc(T * D, sizeof *read); /* the stream that a step reads: in parallel layers, as it was before the layer */
  for (size_t i = 0; i < f->n_steps; i++) {
    const sgi_held *h = &f->steps[i];
    const sgi_sublayer *s = h->step->sub;
    if (h->step->before == i) memcpy(read, x, T * D * sizeof *read);
    for (size_t t = 0; t < T; t++)
      for (size_t d = 0; d < D; d++) xn[t * D + d] = read[t * D + d] * h->r[t] * h->gain[d];
    for (size_t t = 0; t < T && h->heads; t++)
      for (size_t e = 0; e < W; e++) {
        v[t * W + e] = 0;
        for (size_t d = 0; d < D; d++) v[t * W + e] += s->w[3][e * D + d] * xn[t * D + d];
      }
    for (size_t t = 0; t < T; t++) {
      for (size_t e = 0; e < W && h->heads; e++) {
        z[e] = 0;
        for (size_t q = 0; q <= t; q++) z[e] += sgi_held_pattern(h, e / h->d_head, t)[q] * v[q * W + e];
      }
      for (size_t d = 0; d < D && h->heads; d++)
        for (size_t e = 0; e < W; e++) x[t * D + d] += h->w_out[d * W + e] * z[e];
      const sgi_unit *u = sgi_held_units(h, t);
      for (size_t j = 0; j < h->units; j++) {
        double value = u[j].constant;
        for (size_t d = 0; d < D; d++) value += u[j].gate * sgi_slice_at(&u[j].in, d) * xn[t * D + d];
        if (k->layer == (ptrdiff_t)h->step->layer && k->position == (ptrdiff_t)t && k->unit == (ptrdiff_t)j)
          value *= k->scale;
        for (size_t d = 0; d < D; d++) x[t * D + d] += value * sgi_slice_at(&u[j].out, d);
      }
      for (size_t d = 0; h->bias && d < D; d++) x[t * D + d] += sgi_held_bias(h, t)[d];
    }
  }
  double logit = 0, r = sgi_pass_final_scale(f->pass)[position];
  const float *g = f->model->w[sgi_final_norm_row(f->model)], *E = f->model->w[SGI_ROW_EMBED] + (size_t)target * D;
  for (size_t d = 0; d < D; d++) logit += x[position * D + d] * r * g[d] * E[d];
  free(x), free(xn), free(v), free(z), free(read);
  return logit;
}

static double worst_oracle;

/* Zeroing a neuron or a token in the frozen network changes the logit by its total effect: no
 * difference quotient is needed, the network is linear. */
static void totals(const sg_model *m, const char *name, ref_random *r) {
  int32_t tokens[12];
  random_prompt(m, r, tokens, 12);
  sg_attribute_request q = {.tokens = tokens, .count = 12, .position = -2, .target = -1, .against = -1};
  sg_attribution *a;
  sgi_frozen f;
  assert_sg_ok(sg_attribute(m, &q, &a, err));
  assert_sg_ok(sgi_frozen_init(&f, m, tokens, 12, 0, err));
  double base = frozen_logit(&f, a->position, a->target, &(knob){-1, -1, 0, 1});
  if (fabs(base - a->target_logit) > 2e-5)
    fail_msg("%s: frozen logit %g, forward pass %g", name, base, a->target_logit);
  for (size_t i = 0; i < 40; i++) {
    bool input = i % 4 == 0;
    sg_terms *l = input ? &a->inputs : &a->neurons;
    const sg_term *t = &l->terms[i < 20 ? i % l->count : ref_below(r, l->count)];
    if (t->kind == SG_TERM_BIAS) continue;
    knob k = {t->layer, t->position, -1, 0};
    const sgi_held *h = input ? NULL : &f.steps[sgi_plan_find(&m->plan, (size_t)t->layer, &sgi_sublayer_feedforward)];
    const sgi_unit *u = h ? sgi_held_units(h, (size_t)t->position) : NULL;
    for (size_t j = 0; u && j < h->units; j++)
      if (u[j].channel == t->channel && u[j].index == t->index) k.unit = (ptrdiff_t)j;
    double effect = base - frozen_logit(&f, a->position, a->target, &k);
    double off = fabs(effect - t->effect) / (fabs(t->effect) + 1e-3 * l->sum_abs / (double)l->count + 1e-6);
    worst_oracle = fmax(worst_oracle, off);
    if (off > 1e-3) fail_msg("%s: total effect %g, frozen network %g", name, t->effect, effect);
  }
  sgi_frozen_deinit(&f);
  sg_attribution_free(a);
}

static void totals_are_what_the_frozen_network_does(void **state) {
  (void)state;
  each_model(totals);
  if (getenv("SGATLIN_TEST_VERBOSE")) print_message("worst relative difference from the oracle %.1e\n", worst_oracle);
}

static size_t held_runs;

/* The same from the real forward pass: with router, patterns and norm scales taken from the
 * prompt's own run, taking a linear neuron away costs its total effect. */
static void held(const sg_model *m, const char *name, ref_random *r) {
  enum { T = 10 };
  static const char *const hold[] = {"layers.*.router.*", "*norm_scale", "layers.*.attn.pattern"};
  const sg_config *c = sg_model_config(m);
  if (!all_linear(m)) return;
  int32_t tokens[T];
  float *logits = ref_alloc(c->vocab_size, sizeof *logits);
  random_prompt(m, r, tokens, T);
  sg_attribute_request q = {.tokens = tokens, .count = T, .position = -1, .target = -1, .against = 3};
  sg_run_request base_request = {.tokens = tokens, .count = T, .record = hold, .n_record = 3};
  sg_attribution *a;
  sg_run *base;
  assert_sg_ok(sg_attribute(m, &q, &a, err));
  assert_sg_ok(sg_run_create(m, &base_request, &base, err));
  for (size_t i = 0; i < 8; i++, held_runs++) {
    const sg_term *t = &a->neurons.terms[i];
    sg_edit e[4] = {{.op = SG_EDIT_SET, .n_axes = 3}};
    snprintf(e[0].site, sizeof e[0].site, "layers.%d.neurons", t->layer);
    e[0].axes[0] = (sg_edit_axis){"pos", t->position, t->position};
    e[0].axes[1] = (sg_edit_axis){"channel", t->channel, t->channel};
    e[0].axes[2] = (sg_edit_axis){"neuron", t->index, t->index};
    for (size_t k = 0; k < 3; k++) {
      e[1 + k] = (sg_edit){.op = SG_EDIT_TAKE, .from = base};
      snprintf(e[1 + k].site, sizeof e[1 + k].site, "%s", hold[k]);
    }
    sg_run_request without = {.tokens = tokens, .count = T, .edits = e, .n_edits = 4};
    sg_run *run;
    assert_sg_ok(sg_run_create(m, &without, &run, err));
    assert_sg_ok(sg_run_logits(run, -1, logits, err));
    double effect = a->target_logit - ((double)logits[a->target] - logits[a->against]);
    if (fabs(effect - t->effect) > 1e-4 * fabs(t->effect) + 1e-6 * a->neurons.sum_abs)
      fail_msg("%s: total effect %g, the held run %g", name, t->effect, effect);
    sg_run_free(run);
  }
  sg_run_free(base);
  sg_attribution_free(a);
  free(logits);
}

static void totals_are_what_held_runs_do(void **state) {
  (void)state;
  each_model(held);
  assert_true(held_runs >= 40);
}

static size_t joint_runs;

/* Several neurons scaled at once: one of the first layer everywhere, the strongest five where they
 * stand, by factors of their own. */
static void together(const sg_model *m, const char *name, ref_random *r) {
  enum { T = 10, N = 6 };
  static const char *const hold[] = {"layers.*.router.*", "*norm_scale", "layers.*.attn.pattern"};
  static const double factors[N] = {0.5, 0, 2, -1, 0, 3};
  const sg_config *c = sg_model_config(m);
  if (!all_linear(m)) return;
  int32_t tokens[T];
  float *logits = ref_alloc(c->vocab_size, sizeof *logits);
  random_prompt(m, r, tokens, T);
  sg_attribute_request q = {.tokens = tokens, .count = T, .position = -1, .target = -1, .against = 3};
  sg_run_request base_request = {.tokens = tokens, .count = T, .record = hold, .n_record = 3};
  sg_attribution *a;
  sg_run *base, *run;
  assert_sg_ok(sg_attribute(m, &q, &a, err));
  assert_sg_ok(sg_run_create(m, &base_request, &base, err));
  sg_edit e[N + 3] = {0};
  for (size_t i = 0; i < N; i++) {
    const sg_term *t = &a->neurons.terms[i];
    e[i] = (sg_edit){.op = SG_EDIT_SCALE, .value = factors[i], .n_axes = i ? 3 : 2};
    snprintf(e[i].site, sizeof e[i].site, "layers.%d.neurons", t->layer);
    e[i].axes[0] = (sg_edit_axis){"channel", t->channel, t->channel};
    e[i].axes[1] = (sg_edit_axis){"neuron", t->index, t->index};
    e[i].axes[2] = (sg_edit_axis){"pos", t->position - T, t->position - T};
  }
  for (size_t k = 0; k < 3; k++) {
    e[N + k] = (sg_edit){.op = SG_EDIT_TAKE, .from = base};
    snprintf(e[N + k].site, sizeof e[N + k].site, "%s", hold[k]);
  }
  sg_run_request edited = {.tokens = tokens, .count = T, .edits = e, .n_edits = N + 3};
  assert_sg_ok(sg_run_create(m, &edited, &run, err));
  assert_sg_ok(sg_run_logits(run, -1, logits, err));
  double truth = ((double)logits[a->target] - logits[a->against]) - a->target_logit, change, alone = 0;
  sg_joint *j;
  assert_sg_ok(sg_joint_create(m, &q, e, N, &j, err));
  assert_int_equal(j->target, a->target);
  assert_in_range(j->count, N, SG_JOINT_MOST);
  assert_sg_ok(sg_joint_change(j, NULL, &change, err));
  if (fabs(change - truth) > 1e-4 * fabs(truth) + 1e-6 * a->neurons.sum_abs)
    fail_msg("%s: together %g, the held run %g", name, change, truth);
  for (size_t i = 0; i < j->count; i++) alone += (j->scale[i] - 1) * j->neurons[i].effect;
  joint_runs += fabs(alone - truth) > 0.01 * fabs(truth); /* adding up what each does alone would be wrong */
  sg_error refused = {0};
  sg_joint *none;
  assert_int_equal(sg_joint_create(m, &q, e, N + 1, &none, &refused), SG_ERR_ARG);
  sg_edit all = {.site = "layers.*.neurons", .op = SG_EDIT_SCALE};
  size_t chosen = a->neurons.count;
  assert_int_equal(sg_joint_create(m, &q, &all, 1, &none, &refused), chosen > SG_JOINT_MOST ? SG_ERR_ARG : SG_OK);
  sg_joint_free(none);
  sg_joint_free(j);
  sg_run_free(run);
  sg_run_free(base);
  sg_attribution_free(a);
  free(logits);
}

static void several_neurons_are_exact_together(void **state) {
  (void)state;
  each_model(together);
  assert_true(joint_runs >= 3);
}

static size_t rerouted;

static void verified(const sg_model *m, const char *name, ref_random *r) {
  (void)name;
  int32_t tokens[10];
  random_prompt(m, r, tokens, 10);
  sg_attribute_request q = {.tokens = tokens, .count = 10, .position = -1, .target = -1, .against = -1};
  sg_attribution *a;
  sg_true_effect t[3];
  assert_sg_ok(sg_attribute(m, &q, &a, err));
  assert_sg_ok(sg_verify_terms(m, &q, a, a->neurons.terms, 3, t, err));
  for (size_t i = 0; i < 3; i++) {
    assert_true(isfinite(t[i].effect) && t[i].linear == a->neurons.terms[i].effect);
    near("t[i].rerouting", t[i].rerouting, (t[i].effect - t[i].gates_held), 1e-12);
    if (!t[i].gates_changed) near("t[i].effect", t[i].effect, t[i].linear, fabs(a->target_logit) + 1);
    rerouted += t[i].gates_changed;
  }
  sg_error e = {0};
  assert_int_equal(sg_verify_terms(m, &q, a, a->heads.terms, 1, t, &e), SG_ERR_ARG);
  /* In the last layer, at the read position, a neuron has no later gate to change: held and free
   * runs agree. */
  for (size_t i = 0; i < a->neurons.count; i++) {
    const sg_term *x = &a->neurons.terms[i];
    if (x->layer + 1 != (int32_t)sg_model_config(m)->num_layers || x->position != 9) continue;
    assert_sg_ok(sg_verify_terms(m, &q, a, x, 1, t, err));
    assert_int_equal(t->gates_changed, 0);
    assert_true(t->rerouting == 0);
    break;
  }
  sg_attribution_free(a);
}

static void true_effects(void **state) {
  (void)state;
  each_model(verified);
  assert_true(rerouted > 0);
}

static void refusals(void **state) {
  (void)state;
  sg_model *m;
  sg_attribution *a;
  assert_sg_ok(sg_model_load("tests/golden/models/sgatlin_product_dense_identity", &m, err));
  int32_t tokens[] = {1, 2, 3};
  sg_attribute_request q = {.tokens = tokens, .count = 3, .position = 3, .target = -1, .against = -1};
  assert_int_equal(sg_attribute(m, &q, &a, NULL), SG_ERR_ARG);
  q.position = -4;
  assert_int_equal(sg_attribute(m, &q, &a, NULL), SG_ERR_ARG);
  q.position = -1;
  q.target = 97;
  assert_int_equal(sg_attribute(m, &q, &a, NULL), SG_ERR_ARG);
  q.target = 5;
  q.max_bytes = 100;
  assert_int_equal(sg_attribute(m, &q, &a, NULL), SG_ERR_MEMORY);
  q.max_bytes = 0;
  tokens[1] = -1;
  assert_int_equal(sg_attribute(m, &q, &a, NULL), SG_ERR_ARG);
  tokens[1] = 2;
  assert_sg_ok(sg_attribute(m, &q, &a, err));
  assert_int_equal(a->target, 5);
  a->direct.residue = 1.1e-5 * a->direct.sum_abs; /* just past the bound */
  assert_int_equal(sg_attribution_check(a, NULL), SG_ERR_INTERNAL);
  sg_attribution_free(a);
  sg_model_free(m);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(nothing_is_left_over),
                                     cmocka_unit_test(totals_are_what_the_frozen_network_does),
                                     cmocka_unit_test(totals_are_what_held_runs_do),
                                     cmocka_unit_test(several_neurons_are_exact_together),
                                     cmocka_unit_test(true_effects),
                                     cmocka_unit_test(refusals)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
