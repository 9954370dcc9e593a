/* Large batches work on copies of weights and on padded rows (math/gemm.h). The layers' products
 * against double, and every kind's losses and gradients on one large batch against the same rows
 * given one by one, which are too few for any copy. */
#include "support/golden.h"
#include "support/near.h"

#include <math.h>
#include <string.h>

#include "core/rng.h"
#include "ffn/ffn.h"
#include "math/gemm.h"
#include "math/transpose.h"
#include "model/metrics.h"
#include "model/pass.h"
#include "ref/ref.h"
#include "support/small.h"

static float *normals(uint64_t seed, size_t count) {
  float *p = sgi_alloc(count * sizeof *p);
  assert_non_null(p);
  ref_random r = {.state = seed};
  ref_fill(&r, p, count, 0, 1);
  return p;
}

static void transposed(void **state) {
  (void)state;
  static const size_t sizes[][2] = {{1, 1}, {3, 5}, {4, 4}, {16, 7}, {17, 33}, {50, 64}};
  for (size_t s = 0; s < SGI_COUNT(sizes); s++) {
    size_t rows = sizes[s][0], columns = sizes[s][1], ldx = columns + 3, ldo = rows + 2;
    float *x = normals(1, rows * ldx), *out = normals(2, columns * ldo), *before = normals(2, columns * ldo);
    sgi_transpose(out, ldo, x, ldx, rows, columns);
    for (size_t j = 0; j < columns; j++)
      for (size_t i = 0; i < ldo; i++)
        assert_true(out[j * ldo + i] == (i < rows ? x[i * ldx + j] : before[j * ldo + i]));
    sgi_free(x);
    sgi_free(out);
    sgi_free(before);
  }
}

/* The largest difference to sum_l a[i,l] b[l,j], with as, bs the strides from one i, one j to the
 * next and al, bl along l. */
static double worst_of(const float *c, size_t ldc, size_t m, size_t n, size_t k, const float *a, size_t as, size_t al,
                       const float *b, size_t bs, size_t bl) {
  double worst = 0;
  for (size_t i = 0; i < m; i += 7)
    for (size_t j = 0; j < n; j++) {
      double sum = 0;
      for (size_t l = 0; l < k; l++) sum += (double)a[i * as + l * al] * (double)b[j * bs + l * bl];
      worst = worse(worst, fabs(sum - (double)c[i * ldc + j]) / sqrt((double)k));
    }
  return worst;
}

static void linear_layers(void **state) {
  (void)state;
  static const size_t sizes[][3] = {{600, 40, 512}, {515, 512, 33}, {512, 1024, 7}, {70, 40, 512}};
  for (size_t s = 0; s < SGI_COUNT(sizes); s++) {
    size_t n = sizes[s][0], in = sizes[s][1], out = sizes[s][2], ldx = sgi_stride(in) + 1, ldy = sgi_stride(out) + 2;
    float *x = normals(3, n * ldx), *w = normals(4, out * in), *y = normals(5, n * ldy), *dx = normals(6, n * ldx);
    float *dw = sgi_alloc(out * in * sizeof *dw);
    sgi_arena scratch = {0};
    sgi_linear_scratch(n, in, out, &scratch);
    scratch = (sgi_arena){.base = sgi_alloc(scratch.used + 1), .size = scratch.used};
    assert_int_equal(sgi_linear(y, ldy, x, ldx, w, n, in, out, scratch), SG_OK);
    assert_true(worst_of(y, ldy, n, out, in, x, ldx, 1, w, in, 1) < 1e-5);
    assert_int_equal(sgi_linear_dx(dx, ldx, y, ldy, w, n, in, out, 0, scratch), SG_OK);
    double size = sqrt((double)in); /* of y */
    assert_true(worst_of(dx, ldx, n, in, out, y, ldy, 1, w, 1, in) / size < 1e-5);
    assert_int_equal(sgi_linear_dw(dw, y, ldy, x, ldx, n, in, out, NULL), SG_OK);
    assert_true(worst_of(dw, in, out, in, n, y, 1, ldy, x, 1, ldx) / size < 1e-5);
    float *all[] = {x, w, y, dx, dw, (float *)scratch.base};
    for (size_t i = 0; i < SGI_COUNT(all); i++) sgi_free(all[i]);
  }
}

enum { B = 13, T = 128, N = B * T, V = 512 };

/* Losses (n) and the gradient (count) of the batch's rows [first, first + rows), added. */
static void run_rows(const sg_model *m, const int32_t *inputs, const int32_t *targets, size_t first, size_t rows,
                     float *nll, float *grad) {
  sgi_pass *p;
  sgi_batch b = {.B = rows, .T = T, .inputs = inputs + first * T, .targets = targets + first * T};
  assert_sg_ok(sgi_pass_create(m, rows, T, true, &p, err));
  sgi_metrics sum = {0};
  assert_sg_ok(sgi_pass_forward(p, &b, NULL, err));
  assert_sg_ok(sgi_pass_loss(p, &sum, grad, 1.0f / N, err));
  memcpy(nll + first * T, sgi_pass_nll(p), rows * T * sizeof *nll);
  assert_sg_ok(sgi_pass_backward(p, grad, err));
  sgi_pass_free(p);
}

static void one_kind(const char *kind) {
  sg_config c = small_config(kind);
  sg_model *m;
  c.vocab_size = V, c.max_position = T, c.num_neurons = 1024; /* rows of V, F and 2F are padded */
  small_experts(&c);
  assert_sg_ok(sg_model_create(&c, 3, &m, err));
  static int32_t inputs[N], targets[N];
  sgi_rng r = sgi_rng_make(4, SGI_STREAM_SAMPLE, 0);
  for (size_t i = 0; i < N; i++) inputs[i] = (int32_t)(1 + sgi_rng_below(&r, V - 1)), targets[i] = inputs[i];
  static float nll[2][N];
  size_t count = m->table.floats;
  float *whole = sgi_alloc(count * sizeof *whole), *parts = sgi_alloc(count * sizeof *parts);
  run_rows(m, inputs, targets, 0, B, nll[0], whole);
  for (size_t b = 0; b < B; b++) run_rows(m, inputs, targets, b, 1, nll[1], parts);
  /* Where two scores are equal but for rounding, another neuron may be chosen: not more than once
   * here. */
  size_t other = 0;
  for (size_t i = 0; i < N; i++) other += !(fabsf(nll[0][i] - nll[1][i]) < 2e-5f);
  if (other > 1) fail_msg("%s: %zu of %d losses differ", kind, other, N);
  for (size_t i = 0; i < m->table.count; i++) {
    const sgi_row *row = &m->table.rows[i];
    double largest = 0, worst = 0;
    for (size_t j = 0; j < row->count; j++) {
      double a = (double)whole[row->offset + j], b = (double)parts[row->offset + j];
      largest = fmax(largest, fabs(b));
      worst = worse(worst, fabs(a - b));
    }
    if (!(worst <= (other ? 1e-2 : 1e-4) * largest))
      fail_msg("%s: gradient of %s differs by %.3g of %.3g", kind, row->name, worst, largest);
  }
  sgi_free(whole);
  sgi_free(parts);
  sg_model_free(m);
}

static void every_kind(void **state) {
  (void)state;
  for (size_t i = 0; sgi_ffn_at(i); i++) one_kind(sgi_ffn_at(i)->name);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(transposed), cmocka_unit_test(linear_layers),
                                     cmocka_unit_test(every_kind)};
  return cmocka_run_group_tests_name("many rows", tests, NULL, NULL);
}
