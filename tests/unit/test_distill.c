/* Distillation: the loss of golden logits, its gradient through a model, masters that learn through
 * the type that they will be stored in, and what is refused. */
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "core/file.h"
#include "model/low.h"
#include "support/small.h"
#include "train/distill.h"

#define ROOT "tests/golden/distill"

static const float *floats_of(const sgi_safetensors *f, const char *name) {
  const sgi_tensor *t = sgi_safetensors_find(f, name);
  assert_non_null(t);
  return t->data;
}

static void golden_loss(void **state) {
  (void)state;
  sgi_safetensors *f;
  json_t *o;
  assert_sg_ok(sgi_safetensors_open(ROOT "/expected.safetensors", &f, err));
  assert_sg_ok(sgi_json_load(ROOT "/distill.json", &o, err));
  const sgi_tensor *student = sgi_safetensors_find(f, "student");
  size_t rows = student->dims[0], V = student->dims[1];
  sgi_distill_loss d = {json_number_value(json_object_get(o, "alpha")),
                        json_number_value(json_object_get(o, "temperature"))};
  const int32_t *target = sgi_safetensors_find(f, "target")->data, *mask = sgi_safetensors_find(f, "mask")->data;
  const float *grad = floats_of(f, "grad"), *teacher = floats_of(f, "teacher");
  float *z = malloc(V * sizeof *z), *t = malloc(V * sizeof *t), *room = malloc(V * sizeof *room);
  sgi_distill_sum sum = {0};
  double largest = 0;
  for (size_t r = 0; r < rows; r++) sum.targets += mask[r] != 0;
  for (size_t i = 0; i < rows * V; i++) largest = fmax(largest, fabs((double)grad[i]));
  assert_true(sum.targets > 0 && sum.targets < rows);
  for (size_t r = 0; r < rows; r++) {
    double kl, ce;
    if (!mask[r]) continue;
    memcpy(z, (const float *)student->data + r * V, V * sizeof *z);
    memcpy(t, teacher + r * V, V * sizeof *t);
    sgi_distill_row(&d, z, t, room, V, target[r], 1 / (float)sum.targets, &kl, &ce);
    sum.kl += kl, sum.ce += ce;
    for (size_t v = 0; v < V; v++) assert_true(fabs((double)z[v] - (double)grad[r * V + v]) <= 3e-5 * largest);
  }
  assert_true(fabs(sum.kl / (double)sum.targets - (double)*floats_of(f, "kl")) <= 5e-6);
  assert_true(fabs(sum.ce / (double)sum.targets - (double)*floats_of(f, "ce")) <= 5e-6);
  assert_true(fabs(sgi_distill_mean(&d, &sum) - (double)*floats_of(f, "loss")) <= 5e-6);
  free(z), free(t), free(room);
  json_decref(o);
  sgi_safetensors_close(f);
}

/* ---- through a model ------------------------------------------------------------------------- */

typedef struct made {
  sg_model *m, *other;
  sgi_pass *pass, *teacher;
  float *grad, *want, *room;
  int32_t inputs[SMALL_B * SMALL_T], targets[SMALL_B * SMALL_T];
} made;

static made make(const char *kind) {
  made x = {0};
  sg_config c = small_config(kind);
  assert_sg_ok(sg_model_create(&c, 5, &x.m, err));
  assert_sg_ok(sg_model_create(&c, 6, &x.other, err));
  assert_sg_ok(sgi_pass_create(x.m, SMALL_B, SMALL_T, true, &x.pass, err));
  assert_sg_ok(sgi_pass_create(x.other, SMALL_B, SMALL_T, false, &x.teacher, err));
  x.grad = sgi_alloc(x.m->table.floats * sizeof(float));
  x.want = sgi_alloc(x.m->table.floats * sizeof(float));
  x.room = sgi_alloc(sgi_distill_room(SMALL_V) * sizeof(float));
  small_batch(3, x.inputs, x.targets, NULL);
  return x;
}

static void drop(made *x) {
  sgi_pass_free(x->pass);
  sgi_pass_free(x->teacher);
  sg_model_free(x->m);
  sg_model_free(x->other);
  sgi_free(x->grad), sgi_free(x->want), sgi_free(x->room);
}

static double loss_of(made *x, const sgi_distill_loss *d, float *grad) {
  sgi_batch b = {SMALL_B, SMALL_T, x->inputs, x->targets, NULL};
  sgi_distill_sum sum = {0};
  float scale = 1.0f / (SMALL_B * (SMALL_T - 1));
  assert_sg_ok(sgi_pass_forward(x->teacher, &b, NULL, err));
  assert_sg_ok(sgi_pass_forward(x->pass, &b, NULL, err));
  assert_sg_ok(sgi_pass_distill(x->pass, x->teacher, d, &sum, grad, scale, x->room, err));
  assert_sg_ok(sgi_pass_backward(x->pass, grad, err));
  assert_int_equal(sum.targets, SMALL_B * (SMALL_T - 1)); /* the last target of a row is padding */
  return sgi_distill_mean(d, &sum);
}

static void gradients(void **state) {
  (void)state;
  for (size_t k = 0; sg_feedforward_name(k); k++) {
    made x = make(sg_feedforward_name(k));
    size_t floats = x.m->table.floats;
    sgi_batch b = {SMALL_B, SMALL_T, x.inputs, x.targets, NULL};
    sgi_metrics sum = {0};
    /* alpha 0 is cross-entropy. */
    double loss = loss_of(&x, &(sgi_distill_loss){0, 2}, x.grad), largest = 0;
    assert_sg_ok(sgi_pass_forward(x.pass, &b, NULL, err));
    assert_sg_ok(sgi_pass_loss(x.pass, &sum, x.want, 1.0f / (SMALL_B * (SMALL_T - 1)), err));
    assert_sg_ok(sgi_pass_backward(x.pass, x.want, err));
    assert_true(fabs(loss - sum.nll / (double)sum.targets) < 1e-5);
    for (size_t i = 0; i < floats; i++) largest = fmax(largest, fabs((double)x.want[i]));
    for (size_t i = 0; i < floats; i++) assert_true(fabs((double)x.grad[i] - (double)x.want[i]) <= 3e-5 * largest);
    /* A teacher that says the same teaches nothing. */
    memset(x.grad, 0, floats * sizeof(float));
    sgi_pass_use(x.teacher, x.m);
    assert_true(loss_of(&x, &(sgi_distill_loss){1, 1}, x.grad) < 1e-6);
    for (size_t i = 0; i < floats; i++) assert_true(fabs((double)x.grad[i]) <= 1e-5 * largest);
    sgi_pass_use(x.teacher, x.other);
    /* The rest by differences, along the gradient itself: kinds that choose may choose otherwise on
     * the way, so one that does not is asked. */
    if (!strcmp(sg_feedforward_name(k), "mlp")) {
      sgi_distill_loss d = {0.7, 2};
      double squares = 0, step = 0;
      memset(x.grad, 0, floats * sizeof(float));
      loss_of(&x, &d, x.grad);
      for (size_t i = 0; i < floats; i++) squares += (double)x.grad[i] * (double)x.grad[i];
      step = 2e-2 / sqrt(squares);
      memset(x.want, 0, floats * sizeof(float));
      float *w = x.m->arena, *old = malloc(floats * sizeof *old);
      memcpy(old, w, floats * sizeof *old);
      double side[2];
      for (int s = 0; s < 2; s++) {
        for (size_t i = 0; i < floats; i++) w[i] = old[i] + (float)(s ? step : -step) * x.grad[i];
        side[s] = loss_of(&x, &d, x.want);
      }
      assert_true(fabs((side[1] - side[0]) / (2 * step) / squares - 1) < 2e-3);
      free(old);
    }
    drop(&x);
  }
}

/* ---- all of it ------------------------------------------------------------------------------- */

static sg_status distil(const sg_model *m, sgi_distill_request r, sg_model **out, sgi_distilled *report, sg_error *e) {
  sg_tokenizer *tok;
  assert_sg_ok(sg_tokenizer_load("tests/golden/bpe/stories_alpha_300.json", &tok, err));
  char *tmp = golden_temporary(), path[4300];
  snprintf(path, sizeof path, "%s/text.txt", tmp);
  small_text(path);
  r.data = path;
  r.tokenizer = tok;
  sg_status st = sgi_distill(m, &r, out, report, e);
  sg_tokenizer_free(tok);
  golden_remove(tmp);
  return st;
}

static sg_model *teacher_of(const char *kind) {
  sg_config c = small_config(kind);
  sg_model *m;
  c.vocab_size = 300;
  assert_sg_ok(sg_model_create(&c, 5, &m, err));
  return m;
}

static const sgi_distill_request usual = {
    .how = {.to = SGI_U8}, .stored = true, .whole = {60, 1e-3}, .batch_size = 4, .seq_len = 16, .loss = {1, 1}};

static void masters(void **state) {
  (void)state;
  int before = omp_get_max_threads();
  for (size_t k = 0; sg_feedforward_name(k); k++) {
    sg_model *m = teacher_of(sg_feedforward_name(k)), *out[2];
    sgi_distilled report[2];
    sgi_distill_request r = usual;
    r.only = "*.mlp.*";
    for (int i = 0; i < 2; i++) {
      omp_set_num_threads(i + 1);
      assert_sg_ok(distil(m, r, &out[i], &report[i], err));
    }
    omp_set_num_threads(before);
    assert_memory_equal(out[0]->arena, out[1]->arena, m->table.floats * sizeof(float));
    if (!(report[0].last < report[0].first))
      fail_msg("%s: %g after %g", sg_feedforward_name(k), report[0].last, report[0].first);
    assert_true(report[0].flops > 0 && report[0].tokens == 60 * 4 * 16);
    for (size_t i = 0; i < m->table.count; i++) {
      const sgi_row *row = &m->table.rows[i];
      bool learns = strstr(row->name, ".mlp.") && row->stored;
      bool moved = memcmp(out[0]->arena + row->offset, m->arena + row->offset, row->count * sizeof(float)) != 0;
      if (moved != learns) fail_msg("%s: %s %s", sg_feedforward_name(k), row->name, moved ? "moved" : "stayed");
    }
    for (int i = 0; i < 2; i++) sg_model_free(out[i]);
    sg_model_free(m);
  }
  sg_model *m = teacher_of("mlp"), *out;
  sgi_distilled report;
  sgi_distill_request r = usual;
  r.free_all = true, r.only = "*.mlp.*";
  assert_sg_ok(distil(m, r, &out, &report, err));
  assert_int_equal(report.tensors, m->table.count);
  sg_model_free(out);
  sg_model_free(m);
}

static void refused(sgi_distill_request r, const sg_model *m, sg_status want, const char *part) {
  sg_model *out;
  sgi_distilled report;
  sg_error e = {0};
  assert_int_equal(distil(m, r, &out, &report, &e), want);
  assert_null(out);
  if (!strstr(e.text, part)) fail_msg("\"%s\": expected \"%s\"", e.text, part);
}

static bool no_more(void *user, double done, double wanted) {
  (void)user, (void)wanted;
  return done < 3;
}

static void refusals(void **state) {
  (void)state;
  sg_model *m = teacher_of("mlp");
  sgi_distill_request r = usual;
  r.whole.steps = 0;
  refused(r, m, SG_ERR_ARG, "at least one step");
  r = usual, r.loss.tau = 0;
  refused(r, m, SG_ERR_ARG, "temperature 0");
  r = usual, r.loss.alpha = 1.5;
  refused(r, m, SG_ERR_ARG, "alpha 1.5");
  r = usual, r.whole.learning_rate = NAN;
  refused(r, m, SG_ERR_ARG, "learning rate is nan");
  r = usual, r.how.clip = true;
  refused(r, m, SG_ERR_ARG, "no clip mse");
  r = usual, r.how.group = 7;
  refused(r, m, SG_ERR_ARG, "even");
  r = usual, r.seq_len = 1 << 20;
  refused(r, m, SG_ERR_ARG, "at most");
  r = usual, r.only = "nothing";
  refused(r, m, SG_ERR_ARG, "\"nothing\"");
  r = usual, r.progress = no_more;
  refused(r, m, SG_ERR_CANCELLED, "stopped after 3 of 60");
  r = usual, r.whole.learning_rate = 1e30;
  sg_model *out;
  sgi_distilled report;
  sg_error e = {0};
  assert_int_equal(distil(m, r, &out, &report, &e), SG_ERR_NUMERIC);
  sg_model_free(m);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(golden_loss), cmocka_unit_test(gradients),
                                     cmocka_unit_test(masters), cmocka_unit_test(refusals)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
