/* Products in bf16: rounding on every instruction set, products against double, the same bits for
 * one thread and two, and training steps: masters, copies, memory, numbers that are not finite. */
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "math/bf16.h"
#include "math/gemm.h"
#include "math/kernels.h"
#include "math/quantise.h"
#include "math/stored.h"
#include "model/low.h"
#include "support/small.h"

static float *numbers(size_t n, uint32_t seed) {
  float *x = malloc((n + 1) * sizeof *x);
  for (size_t i = 0; i < n; i++) {
    seed = seed * 1664525u + 1013904223u;
    x[i] = (float)(seed >> 8) / (float)(1 << 23) - 1;
  }
  return x;
}

static uint16_t stored(float x) {
  uint16_t h;
  size_t bad;
  sgi_quantise_row(&(sgi_quantise){.to = SGI_BF16}, &h, NULL, &x, 1, &bad);
  return h;
}

static float rounded(float x) {
  uint32_t bits = (uint32_t)stored(x) << 16;
  float y;
  memcpy(&y, &bits, sizeof y);
  return y;
}

/* ---- rounding -------------------------------------------------------------------------------- */

static void rounding(void **state) {
  (void)state;
  enum { N = 70000 };
  uint32_t *bits = malloc(N * sizeof *bits);
  float *x = malloc(N * sizeof *x), *y = malloc(N * sizeof *y);
  uint16_t *h = malloc((N + 1) * sizeof *h);
  for (size_t i = 0; i < N; i++) bits[i] = (uint32_t)i << 16 | 0x8000u; /* every tie, every NaN */
  for (size_t i = 65536; i < N; i++) bits[i] = (uint32_t)i * 2654435761u;
  memcpy(x, bits, N * sizeof *x);
  for (size_t t = 0; sgi_kernel_table_at(t); t++) {
    const sgi_kernels *k = sgi_kernel_table_at(t);
    h[N] = 77;
    k->to_bf16(h, x, N);
    k->round_bf16(y, x, N);
    assert_int_equal(h[N], 77);
    for (size_t i = 0; i < N; i++) {
      if (isnan(x[i])) {
        assert_true(isnan(y[i]) && (h[i] & 0x7F80) == 0x7F80 && (h[i] & 0x7F));
        continue;
      }
      uint32_t got;
      memcpy(&got, y + i, sizeof got);
      assert_int_equal(h[i], stored(x[i]));
      assert_int_equal(got, (uint32_t)h[i] << 16);
    }
    for (size_t n = 0; n < 40; n++) { /* of any length, in place, and nothing past the end */
      memcpy(y, x + 100, 41 * sizeof *y);
      k->round_bf16(y, y, n);
      for (size_t i = 0; i < n; i++) assert_true(y[i] == rounded(x[100 + i]));
      assert_memory_equal(y + n, x + 100 + n, sizeof *y);
    }
  }
  free(bits), free(x), free(y), free(h);
}

/* ---- products -------------------------------------------------------------------------------- */

typedef struct shape {
  size_t m, n, k;
} shape;

/* Element (r, c) of op(X). */
static double at(const float *x, size_t ld, bool turned, size_t r, size_t c) {
  return (double)rounded(turned ? x[c * ld + r] : x[r * ld + c]);
}

static void one_product(shape s, bool ta, bool tb, bool halves, float beta) {
  size_t lda = (ta ? s.m : s.k) + 3, ldb = (tb ? s.k : s.n) + (halves ? 0 : 5), ldc = s.n + 2;
  size_t na = (ta ? s.k : s.m) * lda, nb = (tb ? s.n : s.k) * ldb, nc = s.m * ldc;
  float *a = numbers(na, 1), *b = numbers(nb, 2), *old = numbers(nc, 3), *c = malloc(3 * nc * sizeof *c);
  uint16_t *h = malloc((nb + 1) * sizeof *h);
  for (size_t i = 0; i < nb; i++) h[i] = stored(b[i]);
  sgi_bf16_operand right = halves ? (sgi_bf16_operand){.halves = h, .ld = ldb} : sgi_bf16_floats(b, ldb);
  int before = omp_get_max_threads();
  for (int i = 0; i < 3; i++) {
    memcpy(c + (size_t)i * nc, old, nc * sizeof *c);
    omp_set_num_threads(i + 1);
    assert_int_equal(sgi_bf16_gemm(ta, tb, s.m, s.n, s.k, a, lda, right, beta, c + (size_t)i * nc, ldc), SG_OK);
  }
  omp_set_num_threads(before);
  assert_memory_equal(c, c + nc, nc * sizeof *c);
  assert_memory_equal(c, c + 2 * nc, nc * sizeof *c);
  memcpy(c + nc, old, nc * sizeof *c);
  assert_int_equal(sgi_bf16_gemm1(ta, tb, s.m, s.n, s.k, a, lda, right, beta, c + nc, ldc), SG_OK);
  for (size_t i = 0; i < s.m; i++)
    for (size_t j = 0; j < ldc; j++) {
      float first = c[i * ldc + j], whole = c[nc + i * ldc + j];
      double sum = (double)beta * (double)old[i * ldc + j], size = fabs(sum) + 1e-30;
      for (size_t p = 0; p < s.k && j < s.n; p++) {
        double term = at(a, lda, ta, i, p) * at(b, ldb, tb, p, j);
        sum += term, size += fabs(term);
      }
      if (j >= s.n) sum = (double)old[i * ldc + j]; /* what lies beside it stays */
      if (!(fabs((double)first - sum) <= 1e-5 * size) || !(fabs((double)whole - sum) <= 1e-5 * size))
        fail_msg("%zu x %zu x %zu, %d %d: element %zu, %zu is %g and %g, not %g", s.m, s.n, s.k, ta, tb, i, j,
                 (double)first, (double)whole, sum);
    }
  free(a), free(b), free(c), free(old), free(h);
}

static void products(void **state) {
  (void)state;
  static const shape shapes[] = {{1, 1, 1},     {3, 5, 7},      {64, 256, 256}, {65, 257, 257},
                                 {17, 300, 20}, {200, 40, 530}, {130, 520, 34}, {2, 3, 0}};
  assert_sg_ok(sgi_bf16_ready(err));
  for (size_t i = 0; i < SGI_COUNT(shapes); i++)
    for (int form = 0; form < 16; form++) one_product(shapes[i], form & 1, form & 2, form & 4, form & 8 ? 1.0f : 0.0f);
}

/* Whoever multiplies with a copy that rounds gets the rounded product, and its gradient. */
static void copies(void **state) {
  (void)state;
  enum { N = 33, IN = 70, OUT = 41 };
  float *x = numbers(N * IN, 4), *w = numbers(OUT * IN, 5), *y = malloc(N * OUT * sizeof *y),
        *dx = malloc(N * IN * sizeof *dx), *dw = calloc(OUT * IN, sizeof *dw), *other = calloc(N * IN, sizeof *other);
  uint16_t *h = malloc(OUT * IN * sizeof *h);
  sgi_kernel_table()->to_bf16(h, w, OUT * IN);
  sgi_weight copy = {.dtype = SGI_BF16, .rows = OUT, .width = IN, .data = h, .rounds = true};
  sgi_weight part = sgi_weight_rows(&copy, 1, OUT - 1);
  assert_true(part.rounds);
  assert_int_equal(sgi_stored_linear(y, OUT, x, IN, &copy, N, (sgi_arena){0}), SG_OK);
  assert_int_equal(sgi_stored_linear_dx(dx, IN, y, OUT, &copy, N, 0, (sgi_arena){0}), SG_OK);
  assert_int_equal(sgi_stored_linear_dw(dw, y, OUT, x, IN, &copy, N, NULL), SG_OK);
  assert_int_equal(sgi_stored_product1(false, N, y, OUT, &copy, 0, other, IN), SG_OK);
  for (size_t i = 0; i < N * IN; i++) assert_true(fabsf(dx[i] - other[i]) <= 1e-4f);
  for (size_t i = 0; i < N; i++)
    for (size_t o = 0; o < OUT; o++) {
      double sum = 0;
      for (size_t k = 0; k < IN; k++) sum += at(x, IN, false, i, k) * at(w, IN, false, o, k);
      assert_true(fabs((double)y[i * OUT + o] - sum) <= 1e-4);
    }
  for (size_t o = 0; o < OUT; o++)
    for (size_t k = 0; k < IN; k++) {
      double sum = 0;
      for (size_t i = 0; i < N; i++) sum += at(y, OUT, false, i, o) * at(x, IN, false, i, k);
      assert_true(fabs((double)dw[o * IN + k] - sum) <= 1e-3);
    }
  copy.rounds = false; /* a stored weight of a finished model: its inputs stay as they are */
  assert_int_equal(sgi_stored_linear(other, OUT, x, IN, &copy, N, (sgi_arena){0}), SG_OK);
  assert_true(memcmp(other, y, N * OUT * sizeof *y) != 0);
  free(x), free(w), free(y), free(dx), free(dw), free(other), free(h);
}

/* ---- training -------------------------------------------------------------------------------- */

static sgi_trainer *trainer(const char *kind, bool bf16) {
  sgi_trainer_settings s = small_settings();
  s.bf16 = bf16;
  return small_trainer(kind, &s);
}

/* Maps and pools are copies of the masters, what chooses and gains are the masters; embeddings are
 * read from them; nothing is allocated in a step, and who runs the pass afterwards sees the
 * masters. */
static void steps(void **state) {
  (void)state;
  for (size_t k = 0; sg_feedforward_name(k); k++) {
    const char *kind = sg_feedforward_name(k);
    sgi_trainer *low = trainer(kind, true), *full = trainer(kind, false);
    const sgi_table *t = &low->model->table;
    assert_null(full->low);
    size_t before = sgi_alloc_count(), copied = 0;
    for (int i = 0; i < 4; i++) {
      double a = small_step(low).loss, b = small_step(full).loss;
      assert_true(fabs(a - b) < 0.03 * b && a != b); /* of a loss near log 61; bounds: golden/test_bf16 */
    }
    assert_int_equal(sgi_alloc_count(), before);
    sgi_low_refresh(low->low);
    for (size_t i = 0; i < t->count; i++) {
      const sgi_weight *w = &low->low->weights[i];
      const float *master = low->model->arena + t->rows[i].offset;
      bool exact = strstr(t->rows[i].name, ".router.") || strstr(t->rows[i].name, ".mlp.gate.") || !t->rows[i].stored;
      if (exact) {
        assert_true(w->dtype == SGI_F32 && w->data == master && !w->rounds);
        continue;
      }
      assert_true(w->dtype == SGI_BF16 && w->rounds);
      const uint16_t *h = w->data;
      for (size_t j = 0; j < t->rows[i].count; j++) assert_int_equal(h[j], stored(master[j]));
      copied++;
    }
    assert_true(copied > 8);
    int32_t inputs[SMALL_B * SMALL_T], targets[SMALL_B * SMALL_T];
    small_batch(9, inputs, targets, NULL);
    sgi_batch half = {2, SMALL_T, inputs, targets, NULL};
    sgi_pass *own;
    sgi_metrics sum = {0}, want = {0};
    assert_sg_ok(sgi_pass_create(low->model, 2, SMALL_T, true, &own, err));
    assert_sg_ok(sgi_pass_forward(own, &half, NULL, err));
    assert_sg_ok(sgi_pass_loss(own, &want, NULL, 0, err));
    sgi_pass_train(low->pass, false); /* statistics that are kept, as an evaluation sets it */
    assert_sg_ok(sgi_pass_forward(low->pass, &half, NULL, err));
    assert_sg_ok(sgi_pass_loss(low->pass, &sum, NULL, 0, err));
    assert_true(sum.nll == want.nll);
    sgi_pass_free(own);
    sgi_trainer_free(low);
    sgi_trainer_free(full);
  }
}

static void threads(void **state) {
  (void)state;
  int before = omp_get_max_threads();
  for (size_t k = 0; sg_feedforward_name(k); k++) {
    sgi_trainer *t[3];
    for (int i = 0; i < 3; i++) {
      omp_set_num_threads(i + 1);
      t[i] = trainer(sg_feedforward_name(k), true);
      for (int j = 0; j < 4; j++) small_step(t[i]);
    }
    size_t bytes = t[0]->model->table.floats * sizeof(float);
    assert_memory_equal(t[0]->model->arena, t[1]->model->arena, bytes);
    assert_memory_equal(t[0]->model->arena, t[2]->model->arena, bytes);
    for (int i = 0; i < 3; i++) sgi_trainer_free(t[i]);
  }
  omp_set_num_threads(before);
}

static void not_finite(void **state) {
  (void)state;
  sgi_trainer *t = trainer("mlp", true);
  int32_t inputs[SMALL_B * SMALL_T], targets[SMALL_B * SMALL_T];
  sgi_step out;
  sg_error e = {0};
  small_step(t);
  ptrdiff_t row = sgi_table_find(&t->model->table, "model.layers.1.mlp.up_proj.weight");
  assert_true(row >= 0);
  t->model->arena[t->model->table.rows[row].offset + 5] = NAN;
  small_batch(1, inputs, targets, NULL);
  assert_int_equal(sgi_trainer_step(t, inputs, targets, NULL, &out, &e), SG_ERR_NUMERIC);
  assert_non_null(strstr(e.text, "model.layers.1.mlp.up_proj.weight"));
  sgi_trainer_free(t);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(rounding), cmocka_unit_test(products),
                                     cmocka_unit_test(copies),   cmocka_unit_test(steps),
                                     cmocka_unit_test(threads),  cmocka_unit_test(not_finite)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
