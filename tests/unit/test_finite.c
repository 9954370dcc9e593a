/* Models too large to be looked at when they are opened: what their passes make is looked at, and
 * the weight that is none is named. */
#include "support/small.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/arena.h"
#include "model/finite.h"
#include "model/pass.h"
#include "read/neuron.h"

static void elements(void **state) {
  (void)state;
  float x[300];
  static const float bad[] = {NAN, -NAN, INFINITY, -INFINITY};
  static const float good[] = {0, -0.0f, 1e-45f, -3.4e38f, 3.4028235e38f};
  for (size_t i = 0; i < SGI_COUNT(x); i++) x[i] = good[i % SGI_COUNT(good)];
  assert_true(sgi_all_finite(x, SGI_COUNT(x)));
  assert_true(sgi_all_finite(x, 0));
  for (size_t i = 0; i < SGI_COUNT(x); i++)
    for (size_t b = 0; b < SGI_COUNT(bad); b++) {
      float kept = x[i];
      x[i] = bad[b];
      assert_false(sgi_all_finite(x, SGI_COUNT(x)));
      assert_true(sgi_all_finite(x, i));
      x[i] = kept;
    }
}

static sg_status use(const sg_model *m, sg_error *why) {
  static const int32_t ids[6] = {5, 6, 7, 8, 9, 10};
  sgi_pass *p;
  sgi_metrics sum = {0};
  assert_sg_ok(sgi_pass_create(m, 1, 6, false, &p, err));
  sgi_batch batch = {.B = 1, .T = 6, .inputs = ids, .targets = ids};
  sg_status st = sgi_pass_forward(p, &batch, NULL, why);
  if (!st) st = sgi_pass_loss(p, &sum, NULL, 0, why);
  if (!st) assert_true(isfinite(sum.nll));
  sgi_pass_free(p);
  return st;
}

/* Every element of every tensor in turn NaN or infinite: the pass either never met it and its loss
 * is finite, or names the tensor. */
static void passes(void **state) {
  (void)state;
  sg_model *m;
  size_t named = 0;
  assert_sg_ok(sgi_model_load("tests/golden/models/sgatlin_product_dense_identity", true, &m, err));
  assert_sg_ok(sgi_model_own(m, err));
  assert_sg_ok(use(m, err));
  m->watched = true; /* as one above SGI_FINITE_BYTES, whose weights nobody looked at */
  for (size_t r = 0; r < m->table.count; r++)
    for (size_t k = 0; k < 6; k++) {
      const sgi_row *row = &m->table.rows[r];
      size_t i = row->count * k / 6;
      float *w = m->arena + row->offset + i, kept = *w;
      sg_error e = {0};
      *w = k % 2 ? NAN : INFINITY;
      sg_status st = use(m, &e);
      *w = kept;
      if (!st) continue;
      assert_int_equal(st, SG_ERR_FORMAT);
      if (!strstr(e.text, row->name)) fail_msg("%s: %s", row->name, e.text);
      named++;
    }
  assert_true(named > m->table.count);
  assert_sg_ok(use(m, err));
  sg_model_free(m);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(elements), cmocka_unit_test(passes)};
  return cmocka_run_group_tests_name("finite", tests, NULL, NULL);
}
