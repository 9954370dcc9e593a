/* Layer forms: tests/golden/comparison/forms_*, and what holds of them without vectors
 * (docs/method.md, layer forms). */
#include "support/golden.h"
#include "support/near.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "model/flops.h"
#include "model/pass.h"
#include "read/defect.h"

static const char *const ROOT = "tests/golden/comparison";
static const double LOGITS = 3e-5, LOSS = 5e-6, GRADIENT = 3e-5; /* tolerances.json of the folder */

static const sgi_tensor *named(const sgi_safetensors *f, const char *form, const char *what) {
  char name[256];
  snprintf(name, sizeof name, "%s%s%s", form, *form ? "." : "", what);
  return sgi_safetensors_find(f, name);
}

static double apart(const float *a, const sgi_tensor *t) {
  double worst = 0;
  for (size_t i = 0; i < t->count; i++) {
    double want = t->dtype == SGI_F64 ? ((const double *)t->data)[i] : (double)((const float *)t->data)[i];
    worst = worse(worst, fabs((double)a[i] - want));
  }
  return worst;
}

static double largest(const sgi_tensor *t) {
  double most = 0;
  for (size_t i = 0; i < t->count; i++)
    most = fmax(most, fabs(t->dtype == SGI_F64 ? ((const double *)t->data)[i] : (double)((const float *)t->data)[i]));
  return most;
}

/* How many were compared: not every form has them. */
static size_t gradients(const sg_model *m, const sgi_safetensors *f, const char *form, const float *grad) {
  size_t compared = 0;
  for (size_t r = 0; r < m->table.count; r++) {
    const sgi_row *row = &m->table.rows[r];
    char what[160];
    snprintf(what, sizeof what, "grad.%s", row->name);
    const sgi_tensor *t = named(f, form, what);
    if (!t) continue;
    compared++;
    const float *g = grad + row->offset;
    snprintf(what, sizeof what, "%s grad.%.100s", form, row->name);
    near(what, apart(g, t) / largest(t), 0, GRADIENT);
    for (size_t i = 0; i < t->count; i++)
      if ((t->dtype == SGI_F64 ? ((const double *)t->data)[i] : (double)((const float *)t->data)[i]) == 0)
        assert_true(g[i] == 0);
  }
  return compared;
}

static size_t one_form(sg_model *m, const sgi_safetensors *f, const char *name, const char *form, size_t steps) {
  const sgi_tensor *inputs = named(f, "", "inputs"), *targets = named(f, "", "targets");
  const sgi_tensor *logits = named(f, name, "logits"), *loss = named(f, name, "loss");
  assert_true(inputs && targets && logits && loss);
  assert_sg_ok(sgi_model_set_form(m, form, steps, err));
  size_t B = inputs->dims[0], T = inputs->dims[1], V = m->config.vocab_size, counted = 0;
  for (size_t i = 0; i < B * T; i++) counted += ((const int32_t *)targets->data)[i] != m->config.pad_id;
  sgi_pass *p;
  sgi_metrics sum = {0};
  float *got = sgi_alloc(B * T * V * sizeof *got), *grad = sgi_alloc(m->table.floats * sizeof *grad);
  assert_sg_ok(sgi_pass_create(m, B, T, true, &p, err));
  sgi_batch b = {.B = B, .T = T, .inputs = inputs->data, .targets = targets->data};
  assert_sg_ok(sgi_pass_forward(p, &b, NULL, err));
  assert_sg_ok(sgi_pass_logits(p, 0, B * T, got, err));
  char what[80];
  snprintf(what, sizeof what, "%s %s logits", m->config.feedforward, name);
  near(what, apart(got, logits), 0, LOGITS);
  assert_sg_ok(sgi_pass_loss(p, &sum, grad, (float)(1.0 / (double)counted), err));
  snprintf(what, sizeof what, "%s %s loss", m->config.feedforward, name);
  double want = loss->dtype == SGI_F64 ? *(const double *)loss->data : (double)*(const float *)loss->data;
  near(what, fabs(sum.nll / (double)counted - want), 0, LOSS);
  assert_sg_ok(sgi_pass_backward(p, grad, err));
  size_t compared = gradients(m, f, name, grad);
  sgi_pass_free(p);
  sgi_free(got);
  sgi_free(grad);
  return compared;
}

static void golden(void **state) {
  (void)state;
  size_t cases = 0;
  for (int k = 0; k < 2; k++) {
    char path[200];
    json_t *o, *form;
    const char *name;
    size_t compared = 0;
    sg_model *m;
    sgi_safetensors *f;
    const char *kind = k ? "sgatlin" : "mlp";
    snprintf(path, sizeof path, "%s/forms_%s", ROOT, kind);
    assert_sg_ok(sg_model_load(path, &m, err));
    snprintf(path, sizeof path, "%s/forms_%s/expected.safetensors", ROOT, kind);
    assert_sg_ok(sgi_safetensors_open(path, &f, err));
    snprintf(path, sizeof path, "%s/forms_%s/case.json", ROOT, kind);
    assert_sg_ok(sgi_json_load(path, &o, err));
    json_object_foreach(json_object_get(o, "forms"), name, form) {
      compared += one_form(m, f, name, json_string_value(json_object_get(form, "layer_form")),
                           (size_t)json_integer_value(json_object_get(form, "ode_steps")));
      cases++;
    }
    assert_int_equal(compared, 3 * m->table.count); /* parallel, midpoint, rk4 */
    json_decref(o);
    sgi_safetensors_close(f);
    sg_model_free(m);
  }
  assert_int_equal(cases, 12);
}

/* ---- without vectors ------------------------------------------------------------------------- */

enum { T = 12 };
static const float CALM = 8;

static float *stream_after(const char *kind, const char *form, size_t steps, size_t *count) {
  char path[200];
  sg_model *m;
  int32_t tokens[T];
  snprintf(path, sizeof path, "%s/forms_%s", ROOT, kind);
  assert_sg_ok(sg_model_load(path, &m, err));
  assert_sg_ok(sgi_model_set_form(m, form, steps, err));
  for (size_t i = 0; i < T; i++) tokens[i] = (int32_t)((7 * i + 3) % m->config.vocab_size);
  *count = T * m->config.vocab_size;
  float *x = malloc(*count * sizeof *x);
  sgi_pass *p;
  assert_sg_ok(sgi_pass_create(m, 1, T, false, &p, err));
  assert_sg_ok(sgi_pass_forward(p, &(sgi_batch){.B = 1, .T = T, .inputs = tokens}, NULL, err));
  assert_sg_ok(sgi_pass_logits(p, 0, T, x, err));
  sgi_pass_free(p);
  sg_model_free(m);
  return x;
}

static void parallel_is_one_step_of_euler(void **state) {
  (void)state;
  for (int k = 0; k < 2; k++) {
    size_t n;
    float *a = stream_after(k ? "sgatlin" : "mlp", "parallel", 0, &n),
          *b = stream_after(k ? "sgatlin" : "mlp", "euler", 1, &n);
    assert_memory_equal(a, b, n * sizeof *a);
    free(a), free(b);
  }
}

/* The same of a stream that its layers change little, so that orders show before float32's last
 * digits do: embeddings are larger, the field over them is what it was. */
static float *calm_stream(const char *form, size_t steps, size_t *count) {
  sg_model *m;
  sgi_pass *p;
  int32_t tokens[T];
  assert_sg_ok(sg_model_load("tests/golden/comparison/forms_mlp", &m, err));
  assert_sg_ok(sgi_model_own(m, err));
  assert_sg_ok(sgi_model_set_form(m, form, steps, err));
  const sgi_row *e = &m->table.rows[SGI_ROW_EMBED];
  for (size_t i = 0; i < e->count; i++) m->arena[e->offset + i] *= CALM;
  for (size_t i = 0; i < T; i++) tokens[i] = (int32_t)((7 * i + 3) % m->config.vocab_size);
  *count = T * m->config.vocab_size;
  float *x = malloc(*count * sizeof *x);
  assert_sg_ok(sgi_pass_create(m, 1, T, false, &p, err));
  assert_sg_ok(sgi_pass_forward(p, &(sgi_batch){.B = 1, .T = T, .inputs = tokens}, NULL, err));
  assert_sg_ok(sgi_pass_logits(p, 0, T, x, err));
  sgi_pass_free(p);
  sg_model_free(m);
  return x;
}

static double error_of(const char *form, size_t steps, const float *flow) {
  size_t n;
  float *x = calm_stream(form, steps, &n);
  double sum = 0;
  for (size_t i = 0; i < n; i++) sum += ((double)x[i] - (double)flow[i]) * ((double)x[i] - (double)flow[i]);
  free(x);
  return sqrt(sum);
}

/* Twice the steps: half the error of euler, a quarter of midpoint's, a sixteenth of rk4's. */
static void orders_of_convergence(void **state) {
  (void)state;
  static const struct {
    const char *form;
    double least, most; /* of error(s) / error(2 s) */
  } all[] = {{"euler", 1.7, 2.2}, {"midpoint", 3.5, 4.5}, {"rk4", 13, 20}};
  size_t n;
  float *flow = calm_stream("rk4", 16, &n);
  for (size_t i = 0; i < SGI_COUNT(all); i++)
    for (size_t s = 2; s <= 4; s *= 2) {
      double ratio = error_of(all[i].form, s, flow) / error_of(all[i].form, 2 * s, flow);
      if (getenv("SGATLIN_TEST_VERBOSE")) print_message("%s, %zu steps: %.2f\n", all[i].form, s, ratio);
      if (!(ratio > all[i].least && ratio < all[i].most))
        fail_msg("%s: %zu steps have %.2f times the error of twice as many, expected %g to %g", all[i].form, s, ratio,
                 all[i].least, all[i].most);
    }
  free(flow);
}

static void flops_count_evaluations(void **state) {
  (void)state;
  static const struct {
    const char *form;
    size_t steps, times;
  } all[] = {{"parallel", 0, 1}, {"euler", 3, 3}, {"midpoint", 2, 4}, {"rk4", 2, 8}};
  sg_config c;
  uint64_t one, many;
  size_t small, large;
  assert_sg_ok(sg_config_load("tests/golden/comparison/forms_sgatlin", &c, err));
  assert_sg_ok(sg_config_flops(&c, T, &one, err));
  assert_sg_ok(sgi_pass_bytes(&c, 2, T, true, &small, err));
  for (size_t i = 0; i < SGI_COUNT(all); i++) {
    snprintf(c.layer_form, sizeof c.layer_form, "%s", all[i].form);
    c.ode_steps = all[i].steps;
    assert_sg_ok(sg_config_flops(&c, T, &many, err));
    assert_int_equal(many, one * all[i].times);
    assert_sg_ok(sgi_pass_bytes(&c, 2, T, true, &large, err));
    if (all[i].times > 1) assert_true(large > small);
  }
}

static void refused(void **state) {
  (void)state;
  sg_config c;
  sg_error why = {0};
  assert_sg_ok(sg_config_load("tests/golden/comparison/forms_mlp", &c, err));
  snprintf(c.layer_form, sizeof c.layer_form, "midpont");
  assert_int_equal(sg_config_check(&c, &why), SG_ERR_ARG);
  assert_non_null(strstr(why.text, "midpoint"));
  snprintf(c.layer_form, sizeof c.layer_form, "parallel");
  c.ode_steps = 2;
  assert_int_equal(sg_config_check(&c, &why), SG_ERR_ARG);
  snprintf(c.layer_form, sizeof c.layer_form, "rk4");
  c.ode_steps = 17;
  assert_int_equal(sg_config_check(&c, &why), SG_ERR_ARG);
  sg_model *m;
  sg_attribution *a;
  int32_t tokens[] = {1, 2, 3};
  assert_sg_ok(sg_model_load("tests/golden/comparison/forms_mlp", &m, err));
  assert_sg_ok(sgi_model_set_form(m, "rk4", 1, err));
  sg_attribute_request q = {.tokens = tokens, .count = 3, .position = -1, .target = -1, .against = -1};
  assert_int_equal(sg_attribute(m, &q, &a, &why), SG_ERR_UNSUPPORTED);
  assert_non_null(strstr(why.text, "rk4"));
  sg_model_free(m);
}

/* ---- readings -------------------------------------------------------------------------------- */

enum { PROMPT = 5 };

/* What reads a logit as a sum: it holds of layers that add to the stream once, with nothing left
 * over, and names the form of others. Margins read one evaluation, the first, in any form. */
static void readings(void **state) {
  (void)state;
  static const int32_t tokens[PROMPT] = {1, 7, 3, 12, 9};
  sg_edit edit = {.site = "layers.0.neurons", .op = SG_EDIT_SET};
  for (size_t i = 0; sg_layer_form_name(i); i++)
    for (int k = 0; k < 2; k++) {
      const char *form = sg_layer_form_name(i);
      bool holds = i < 2; /* sequential, parallel */
      sg_model *m;
      assert_sg_ok(
          sg_model_load(k ? "tests/golden/comparison/forms_sgatlin" : "tests/golden/comparison/forms_mlp", &m, err));
      assert_sg_ok(sgi_model_set_form(m, form, holds ? 0 : 2, err));
      sg_attribute_request q = {.tokens = tokens, .count = PROMPT, .position = -1, .target = 3, .against = 5};
      sg_attribution *a = NULL;
      sg_graph *g = NULL;
      sg_joint *j = NULL;
      sg_error why[3] = {{0}};
      sg_graph_request whole = {.tokens = tokens, .count = PROMPT, .position = -1};
      sg_status st[3] = {sg_attribute(m, &q, &a, &why[0]), sg_graph_create(m, &whole, &g, &why[1]),
                         sg_joint_create(m, &q, &edit, 1, &j, &why[2])};
      for (int s = 0; s < 3; s++)
        if (holds ? st[s] != SG_OK : st[s] != SG_ERR_UNSUPPORTED || !strstr(why[s].text, form))
          fail_msg("%s, reading %d: %d, %s", form, s, (int)st[s], why[s].text);
      if (holds) assert_sg_ok(sg_attribution_check(a, err));
      if (k) {
        sg_margin *margins = calloc(m->config.num_layers * PROMPT * sg_margin_channels(m), sizeof *margins);
        assert_sg_ok(sg_margins(m, tokens, PROMPT, margins, err));
        assert_true(margins[0].distance > 0 && isfinite(margins[0].distance));
        free(margins);
      }
      sg_attribution_free(a);
      sg_graph_free(g);
      sg_joint_free(j);
      sg_model_free(m);
    }
}

/* A generator's cached steps are the pass over the whole prompt, in every form. */
static void generation(void **state) {
  (void)state;
  for (size_t i = 0; sg_layer_form_name(i); i++) {
    sg_model *m;
    sg_generator *g;
    size_t n;
    const char *form = sg_layer_form_name(i);
    size_t steps = i > 1 ? 2 : 0;
    float *whole = stream_after("sgatlin", form, steps, &n);
    assert_sg_ok(sg_model_load("tests/golden/comparison/forms_sgatlin", &m, err));
    assert_sg_ok(sgi_model_set_form(m, form, steps, err));
    assert_sg_ok(sg_generator_create(m, 1, T, &g, err));
    size_t V = m->config.vocab_size;
    double worst = 0;
    for (size_t t = 0; t < T; t++) {
      int32_t id = (int32_t)((7 * t + 3) % V);
      assert_sg_ok(t < 4 ? sg_generator_feed(g, &id, 1, err) : sg_generator_step(g, &id, err));
      const float *logits = sg_generator_logits(g, 0);
      for (size_t v = 0; v < V; v++) worst = worse(worst, fabs((double)logits[v] - (double)whole[t * V + v]));
    }
    near(form, worst, 0, 2e-5);
    sg_generator_free(g);
    sg_model_free(m);
    free(whole);
  }
}

/* Sites of a form with several evaluations carry step and stage; readers of one see the first. */
static void sites_of_stages(void **state) {
  (void)state;
  sg_model *m;
  sg_run *r;
  sg_site s;
  int32_t tokens[] = {1, 2, 3};
  const char *all = "*";
  assert_sg_ok(sg_model_load("tests/golden/comparison/forms_sgatlin", &m, err));
  assert_sg_ok(sgi_model_set_form(m, "midpoint", 2, err));
  assert_sg_ok(
      sg_run_create(m, &(sg_run_request){.tokens = tokens, .count = 3, .record = &all, .n_record = 1}, &r, err));
  assert_true(sg_run_find(r, "layers.0.step.0.stage.0.router.indices", &s));
  assert_true(sg_run_find(r, "layers.1.step.1.stage.1.attn.q", &s));
  assert_true(sg_run_find(r, "layers.1.resid_post", &s));
  assert_false(sg_run_find(r, "layers.0.router.indices", &s));
  sg_run_free(r);
  sg_model_free(m);
}

/* Evaluations come one after the other up to all of them; a false ends the work. */
typedef struct counted {
  size_t calls, last, stop_at;
} counted;

static bool count(void *user, size_t done, size_t wanted) {
  counted *c = user;
  assert_true(done > c->last && done <= wanted);
  c->calls++;
  c->last = done;
  return done < c->stop_at;
}

static void defects(void **state) {
  (void)state;
  for (int k = 0; k < 2; k++) {
    sg_model *m;
    int32_t tokens[T];
    assert_sg_ok(
        sg_model_load(k ? "tests/golden/comparison/forms_sgatlin" : "tests/golden/comparison/forms_mlp", &m, err));
    for (size_t i = 0; i < T; i++) tokens[i] = (int32_t)((5 * i + 1) % m->config.vocab_size);
    sgi_defect *d = calloc(m->config.num_layers, sizeof *d);
    sgi_batch b = {.B = 1, .T = T, .inputs = tokens};
    counted all = {.stop_at = SIZE_MAX}, some = {.stop_at = 300};
    assert_sg_ok(sgi_ode_defect(m, &b, d, count, &all, err));
    assert_int_equal(all.calls, m->config.num_layers * SGI_FLOW_STEPS * 4);
    assert_int_equal(sgi_ode_defect(m, &b, d, count, &some, NULL), SG_ERR_CANCELLED);
    assert_int_equal(some.last, 300);
    assert_sg_ok(sgi_ode_defect(m, &b, d, NULL, NULL, err));
    for (size_t l = 0; l < m->config.num_layers; l++) {
      for (size_t i = 0; i < SGI_DEFECT_FORMS; i++) assert_true(isfinite(d[l].of[i]) && d[l].of[i] > 0);
      if (!k) assert_true(d[l].of[3] < d[l].of[1]); /* a field without jumps: rk4 is nearer than euler */
      assert_true(k ? d[l].rerouted >= 0 && d[l].rerouted <= 1 : isnan(d[l].rerouted));
    }
    free(d);
    sg_model_free(m);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(golden),
                                     cmocka_unit_test(parallel_is_one_step_of_euler),
                                     cmocka_unit_test(orders_of_convergence),
                                     cmocka_unit_test(flops_count_evaluations),
                                     cmocka_unit_test(refused),
                                     cmocka_unit_test(readings),
                                     cmocka_unit_test(generation),
                                     cmocka_unit_test(sites_of_stages),
                                     cmocka_unit_test(defects)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
