/* A student's layers on the teacher's inputs: the loss by hand, its gradient by differences with
 * routers of their own and shared ones, sums that fit a scale, bits for any number of threads; and
 * a student of another kind that learns. */
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "model/convert.h"
#include "support/golden.h"
#include "support/small.h"
#include "train/distill.h"
#include "train/layerwise.h"

typedef struct pair {
  sg_model *teacher, *student;
  bool which[16];
  int32_t inputs[SMALL_B * SMALL_T], targets[SMALL_B * SMALL_T];
} pair;

/* Composed layers of which two share a router, and what they become. */
static pair open_pair(const char *to, bool ungroup) {
  pair p = {0};
  sg_config c = small_config("monet");
  c.vocab_size = 300;
  c.num_layers = 3;
  c.num_experts = 6;
  c.router_group = 2;
  assert_sg_ok(sg_model_create(&c, 5, &p.teacher, err));
  sgi_ffn_convert how = {.to = to, .pairs = 1, .ungroup = ungroup};
  assert_sg_ok(sgi_model_convert(p.teacher, &how, NULL, NULL, &p.student, err));
  sgi_distill_layers(p.teacher, p.student, p.which);
  for (size_t l = 0; l < 3; l++) assert_true(p.which[l]);
  small_batch(3, p.inputs, p.targets, NULL);
  return p;
}

static void close_pair(pair *p) {
  sg_model_free(p->teacher);
  sg_model_free(p->student);
}

/* Sum over layers of error / square; fit (3) too. */
static double loss_of(pair *p, sgi_layerwise *x, sgi_layer_fit *fit, float *grad) {
  sgi_batch b = {SMALL_B, SMALL_T, p->inputs, p->targets, NULL};
  double sum = 0;
  memset(fit, 0, 3 * sizeof *fit);
  assert_sg_ok(sgi_layerwise_run(x, &b, fit, grad, NULL, err));
  for (size_t l = 0; l < 3; l++) {
    assert_int_equal(fit[l].rows, SMALL_B * (SMALL_T - 1)); /* the last target of a row is padding */
    sum += fit[l].error / fit[l].square;
  }
  return sum;
}

/* Along the gradient the loss grows by its square. */
static void gradients(void **state) {
  (void)state;
  const char *kinds[] = {"peer", "sgatlin"};
  for (size_t i = 0; i < 4; i++) {
    pair p = open_pair(kinds[i & 1], i >> 1);
    sgi_layerwise *x;
    sgi_layer_fit fit[3];
    size_t floats = p.student->table.floats;
    float *grad = sgi_alloc(floats * sizeof *grad), *w = p.student->arena, *old = malloc(floats * sizeof *old);
    double side[2], squares = 0, most = 0;
    assert_sg_ok(sgi_layerwise_create(p.teacher, p.student, p.which, SMALL_B, SMALL_T, true, &x, err));
    loss_of(&p, x, fit, grad);
    for (size_t r = 0; r < p.student->table.count; r++) {
      const sgi_row *row = &p.student->table.rows[r];
      double own = 0;
      for (size_t k = 0; k < row->count; k++) own += fabs((double)grad[row->offset + k]);
      /* Every tensor of the layers has a gradient, and nothing else has. */
      if (strstr(row->name, ".mlp.") ? !(own > 0) : own != 0)
        fail_msg("%s: the gradient of %s is %g", kinds[i & 1], row->name, own);
    }
    for (size_t k = 0; k < floats; k++) {
      squares += (double)grad[k] * (double)grad[k];
      most = fmax(most, fabs((double)grad[k]));
    }
    memcpy(old, w, floats * sizeof *old);
    double step = 2e-4 / sqrt(squares);
    for (int s = 0; s < 2; s++) {
      for (size_t k = 0; k < floats; k++) w[k] = old[k] + (float)(s ? step : -step) * grad[k];
      side[s] = loss_of(&p, x, fit, NULL);
    }
    if (!(fabs((side[1] - side[0]) / (2 * step) / squares - 1) < 5e-3))
      fail_msg("%s: along the gradient %g, its square %g", kinds[i & 1], (side[1] - side[0]) / (2 * step), squares);
    free(old);
    sgi_free(grad);
    sgi_layerwise_free(x);
    close_pair(&p);
  }
}

/* The least-squares scale: error is what it says, and no other scale does better. */
static void scales(void **state) {
  (void)state;
  pair p = open_pair("sgatlin", false);
  sgi_layerwise *x;
  sgi_layer_fit before[3], fit[3];
  assert_sg_ok(sgi_layerwise_create(p.teacher, p.student, p.which, SMALL_B, SMALL_T, false, &x, err));
  loss_of(&p, x, before, NULL);
  for (size_t l = 0; l < 3; l++) sgi_convert_scale(p.student, l, (float)(before[l].cross / before[l].own));
  loss_of(&p, x, fit, NULL);
  for (size_t l = 0; l < 3; l++) {
    double least = before[l].square - before[l].cross * before[l].cross / before[l].own;
    assert_true(fabs(fit[l].error - least) < 1e-4 * before[l].square);
    assert_true(fit[l].error <= before[l].error);
  }
  sgi_layerwise_free(x);
  close_pair(&p);
}

static void threads(void **state) {
  (void)state;
  pair p = open_pair("peer", false);
  size_t bytes = p.student->table.floats * sizeof(float);
  float *grad[2];
  sgi_layer_fit fit[2][3];
  int before = omp_get_max_threads();
  for (int t = 0; t < 2; t++) {
    sgi_layerwise *x;
    omp_set_num_threads(t + 1);
    grad[t] = sgi_alloc(bytes);
    assert_sg_ok(sgi_layerwise_create(p.teacher, p.student, p.which, SMALL_B, SMALL_T, true, &x, err));
    loss_of(&p, x, fit[t], grad[t]);
    sgi_layerwise_free(x);
  }
  omp_set_num_threads(before);
  assert_memory_equal(fit[0], fit[1], sizeof fit[0]);
  assert_memory_equal(grad[0], grad[1], bytes);
  sgi_free(grad[0]), sgi_free(grad[1]);
  close_pair(&p);
}

/* ---- a student of another kind --------------------------------------------------------------- */

typedef struct curve {
  size_t points, stop_at;
  double flops; /* of the last point */
} curve;

static sg_status point(void *user, const sg_model *student, const sgi_distill_point *at, sg_error *e) {
  curve *c = user;
  (void)e;
  assert_non_null(student);
  assert_true(at->flops >= c->flops);
  c->flops = at->flops;
  c->points++;
  return SG_OK;
}

static bool stop(void *user, double done, double wanted) {
  const curve *c = user;
  (void)wanted;
  return !c->stop_at || done < (double)c->stop_at;
}

static void learns(void **state) {
  (void)state;
  pair p = open_pair("peer", false);
  sg_tokenizer *tok;
  sg_model *out;
  sgi_distilled d;
  curve c = {0};
  sgi_distill_costs cost;
  assert_sg_ok(sg_tokenizer_load("tests/golden/bpe/stories_alpha_300.json", &tok, err));
  char *tmp = golden_temporary(), path[4300];
  snprintf(path, sizeof path, "%s/text.txt", tmp);
  small_text(path);
  sgi_distill_request r = {.student = p.student,
                           .data = path,
                           .tokenizer = tok,
                           .batch_size = 4,
                           .seq_len = 12,
                           .layers = {20, 3e-3},
                           .whole = {20, 1e-3},
                           .cosine = true,
                           .loss = {1, 1},
                           .progress = stop,
                           .points = 2,
                           .point = point,
                           .user = &c};
  assert_sg_ok(sgi_distill(p.teacher, &r, &out, &d, err));
  assert_int_equal(c.points, 4); /* the beginning, between the parts, half of the second, the end */
  assert_true(d.layers_last < d.layers_first);
  assert_true(isfinite(d.last) && !d.stopped);
  assert_sg_ok(sgi_distill_count(p.teacher, p.student, 4, 12, &cost, err));
  assert_true(fabs(d.flops / (20 * (cost.layers + cost.whole)) - 1) < 1e-12);
  for (size_t i = 0; i < out->table.count; i++) { /* all else stays */
    const sgi_row *row = &out->table.rows[i];
    bool same = !memcmp(out->arena + row->offset, p.student->arena + row->offset, row->count * sizeof(float));
    if (same == !!strstr(row->name, ".mlp.")) fail_msg("%s: %s", row->name, same ? "learned nothing" : "moved");
  }
  sg_model_free(out);
  /* Stopped: nothing, or what was learned until then. */
  c = (curve){.stop_at = 5};
  assert_int_equal(sgi_distill(p.teacher, &r, &out, &d, NULL), SG_ERR_CANCELLED);
  assert_null(out);
  c = (curve){.stop_at = 5};
  r.keep = true;
  assert_sg_ok(sgi_distill(p.teacher, &r, &out, &d, err));
  assert_true(d.stopped && d.tokens > 0);
  sg_model_free(out);
  /* The same student as the teacher, stored alike: nothing to learn. */
  sg_error e = {0};
  r.student = p.teacher;
  assert_int_equal(sgi_distill(p.teacher, &r, &out, &d, &e), SG_ERR_ARG);
  assert_non_null(strstr(e.text, "nothing to learn"));
  sg_config other = p.teacher->config;
  sg_model *wide;
  other.hidden_size = 48;
  assert_sg_ok(sg_model_create(&other, 5, &wide, err));
  r.student = wide;
  assert_int_equal(sgi_distill(p.teacher, &r, &out, &d, &e), SG_ERR_ARG);
  assert_non_null(strstr(e.text, "alike"));
  sg_model_free(wide);
  sg_tokenizer_free(tok);
  golden_remove(tmp);
  close_pair(&p);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(gradients), cmocka_unit_test(scales), cmocka_unit_test(threads),
                                     cmocka_unit_test(learns)};
  return cmocka_run_group_tests_name("layerwise", tests, NULL, NULL);
}
