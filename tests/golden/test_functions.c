/* Experts as functions against vectors: soft and hard forms, gradients, formulas read back and
 * printed again, and the choice among named functions. */
#include "support/golden.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/arena.h"
#include "functions/formula.h"
#include "support/near.h"

static const char *const DIR = "tests/golden/experts/functions";

typedef struct fixture {
  sgi_safetensors *f;
  json_t *about;
  sgi_grid grid;
  size_t n, R, X, E, bits, gates, outputs;
  double temperature;
} fixture;

static const float *floats(const fixture *x, const char *name) { return sgi_safetensors_find(x->f, name)->data; }
static const int32_t *ints(const fixture *x, const char *name) { return sgi_safetensors_find(x->f, name)->data; }
static double about(const fixture *x, const char *key) { return json_number_value(json_object_get(x->about, key)); }

static fixture open_fixture(void) {
  fixture x = {0};
  char path[200];
  snprintf(path, sizeof path, "%s/experts.safetensors", DIR);
  assert_sg_ok(sgi_safetensors_open(path, &x.f, err));
  snprintf(path, sizeof path, "%s/experts.json", DIR);
  x.about = golden_json(path);
  x.grid = (sgi_grid){about(&x, "lo"), about(&x, "hi"), (size_t)about(&x, "intervals")};
  x.n = (size_t)about(&x, "rows");
  x.R = (size_t)about(&x, "features");
  x.X = (size_t)about(&x, "experts");
  x.E = (size_t)about(&x, "edges");
  x.bits = (size_t)about(&x, "bits");
  x.gates = (size_t)about(&x, "gates");
  x.outputs = (size_t)about(&x, "outputs");
  x.temperature = about(&x, "temperature");
  return x;
}

static void close_fixture(fixture *x) {
  sgi_safetensors_close(x->f);
  json_decref(x->about);
}

static sgi_expert expert(const fixture *x, size_t i) {
  sgi_expert e = {.edges = x->E, .bits = x->bits, .gates = x->gates, .outputs = x->outputs};
  size_t M = sgi_grid_coefs(&x->grid);
  e.bias = (double)floats(x, "bias")[i];
  for (size_t k = 0; k < x->E; k++) {
    e.edge[k].feature = (size_t)ints(x, "edge_feature")[i * x->E + k];
    e.edge[k].form = SGI_SYMBOL_NONE;
    e.edge[k].base = (double)floats(x, "base")[i * x->E + k];
    for (size_t c = 0; c < M; c++) e.edge[k].coef[c] = (double)floats(x, "coef")[(i * x->E + k) * M + c];
  }
  for (size_t k = 0; k < x->bits; k++) {
    e.bit_feature[k] = (size_t)ints(x, "bit_feature")[i * x->bits + k];
    e.threshold[k] = (double)floats(x, "bit_threshold")[i * x->bits + k];
  }
  for (size_t k = 0; k < x->gates; k++) {
    for (size_t s = 0; s < 2; s++) e.input[k][s] = (size_t)ints(x, "gate_input")[(i * x->gates + k) * 2 + s];
    for (size_t s = 0; s < 4; s++) /* the vectors hold omega */
      e.table[k][s] = 1 / (1 + exp(-(double)floats(x, "gate_table")[(i * x->gates + k) * 4 + s]));
    if (k + x->outputs >= x->gates) e.gamma[k] = (double)floats(x, "gamma")[i * x->outputs + k + x->outputs - x->gates];
  }
  return e;
}

static double bound(const fixture *x, const char *name) {
  const sgi_tensor *t = sgi_safetensors_find(x->f, name);
  double top = 0;
  for (size_t i = 0; i < t->count; i++) top = fmax(top, fabs((double)((const float *)t->data)[i]));
  return 1e-5 * top;
}

static void values(void **state) {
  (void)state;
  fixture x = open_fixture();
  double node[SGI_MOST_BITS + SGI_MOST_GATES];
  for (size_t r = 0; r < x.n; r++)
    for (size_t i = 0; i < x.X; i++) {
      sgi_expert e = expert(&x, i);
      const float *z = floats(&x, "z") + r * x.R;
      size_t at = r * x.X + i;
      double edges = sgi_expert_edges(&e, &x.grid, z), logic = sgi_expert_logic(&e, x.temperature, z, node);
      near("spline", edges, (double)floats(&x, "spline")[at], bound(&x, "spline"));
      near("logic", logic, (double)floats(&x, "logic")[at], bound(&x, "logic"));
      near("phi", e.bias + edges + logic, (double)floats(&x, "phi")[at], bound(&x, "phi"));
      for (size_t k = 0; k < x.gates; k++)
        near("a gate", node[x.bits + k], (double)floats(&x, "gates")[at * x.gates + k], 1e-5);
      near("hard logic", sgi_expert_logic(&e, 0, z, node), (double)floats(&x, "logic_hard")[at], bound(&x, "logic"));
      for (size_t k = 0; k < x.gates; k++)
        assert_int_equal((int)node[x.bits + k], ints(&x, "gates_hard")[at * x.gates + k]);
      near("hard phi", sgi_expert_value(&e, &x.grid, z), (double)floats(&x, "phi_hard")[at], bound(&x, "phi_hard"));
    }
  close_fixture(&x);
}

static void gradients(void **state) {
  (void)state;
  fixture x = open_fixture();
  double node[SGI_MOST_BITS + SGI_MOST_GATES], dz[7][9] = {{0}};
  size_t M = sgi_grid_coefs(&x.grid);
  assert_true(x.n == 7 && x.R == 9);
  for (size_t i = 0; i < x.X; i++) {
    sgi_expert e = expert(&x, i), d = {0};
    for (size_t r = 0; r < x.n; r++) {
      const float *z = floats(&x, "z") + r * x.R;
      sgi_expert_logic(&e, x.temperature, z, node);
      sgi_expert_backward(&e, &x.grid, x.temperature, z, node, (double)floats(&x, "cotangent")[r * x.X + i], &d, dz[r]);
    }
    near("bias", d.bias, (double)floats(&x, "grad.bias")[i], bound(&x, "grad.bias"));
    for (size_t k = 0; k < x.E; k++) {
      near("base", d.edge[k].base, (double)floats(&x, "grad.base")[i * x.E + k], bound(&x, "grad.base"));
      for (size_t c = 0; c < M; c++)
        near("coef", d.edge[k].coef[c], (double)floats(&x, "grad.coef")[(i * x.E + k) * M + c], bound(&x, "grad.coef"));
    }
    for (size_t k = 0; k < x.bits; k++)
      near("threshold", d.threshold[k], (double)floats(&x, "grad.bit_threshold")[i * x.bits + k],
           bound(&x, "grad.bit_threshold"));
    for (size_t k = 0; k < x.gates; k++) {
      for (size_t s = 0; s < 4; s++)
        near("table", d.table[k][s] * e.table[k][s] * (1 - e.table[k][s]),
             (double)floats(&x, "grad.gate_table")[(i * x.gates + k) * 4 + s], bound(&x, "grad.gate_table"));
      double want =
          k + x.outputs < x.gates ? 0 : (double)floats(&x, "grad.gamma")[i * x.outputs + k + x.outputs - x.gates];
      near("gamma", d.gamma[k], want, bound(&x, "grad.gamma"));
    }
  }
  for (size_t r = 0; r < x.n; r++)
    for (size_t f = 0; f < x.R; f++)
      near("z", dz[r][f], (double)floats(&x, "grad.z")[r * x.R + f], bound(&x, "grad.z"));
  close_fixture(&x);
}

static double span_of(const fixture *x, size_t i) {
  double lo = INFINITY, hi = -INFINITY;
  for (size_t r = 0; r < x->n; r++) {
    double v = (double)floats(x, "phi_hard")[r * x->X + i];
    lo = fmin(lo, v);
    hi = fmax(hi, v);
  }
  return hi - lo;
}

/* The vectors' own formulas, and ours of the same experts, give the hard values. */
static void formulas(void **state) {
  (void)state;
  fixture x = open_fixture();
  for (size_t i = 0; i < x.X; i++) {
    sgi_expert e = expert(&x, i);
    char *own = sgi_formula_text(&e, &x.grid);
    const char *texts[] = {json_string_value(json_array_get(json_object_get(x.about, "formulas"), i)), own};
    assert_non_null(own);
    for (size_t k = 0; k < 2; k++) {
      sgi_formula *f;
      assert_sg_ok(sgi_formula_parse(texts[k], strlen(texts[k]), &f, err));
      assert_true(sgi_formula_features(f) <= x.R);
      for (size_t r = 0; r < x.n; r++)
        near(texts[k], sgi_formula_value(f, floats(&x, "z") + r * x.R), (double)floats(&x, "phi_hard")[r * x.X + i],
             1e-4 * span_of(&x, i));
      sgi_formula_free(f);
    }
    sgi_free(own);
  }
  close_fixture(&x);
}

static void symbols(void **state) {
  (void)state;
  fixture x = {0};
  char path[200];
  snprintf(path, sizeof path, "%s/symbolic.safetensors", DIR);
  assert_sg_ok(sgi_safetensors_open(path, &x.f, err));
  snprintf(path, sizeof path, "%s/symbolic.json", DIR);
  x.about = golden_json(path);
  const sgi_tensor *t = sgi_safetensors_find(x.f, "t");
  size_t n = t->dims[1];
  double *at = sgi_alloc(3 * n * sizeof *at), *y = at + n, *work = at + 2 * n;
  json_t *curve, *complexity = json_object_get(x.about, "complexity");
  size_t c;
  assert_int_equal(json_object_size(complexity), SGI_SYMBOL_NONE);
  for (int f = 0; f < SGI_SYMBOL_NONE; f++)
    assert_int_equal(json_integer_value(json_object_get(complexity, sgi_symbol_name((sgi_symbol_form)f))),
                     sgi_symbol_complexity((sgi_symbol_form)f));
  json_array_foreach(json_object_get(x.about, "curves"), c, curve) {
    const char *want = json_string_value(json_object_get(curve, "chosen"));
    sgi_symbol fits[SGI_SYMBOL_NONE], chosen, quick;
    for (size_t i = 0; i < n; i++) {
      at[i] = (double)((const float *)t->data)[c * n + i];
      y[i] = (double)floats(&x, "y")[c * n + i];
    }
    chosen = sgi_symbol_choose(at, y, n, false, work, fits);
    quick = sgi_symbol_choose(at, y, n, false, work, NULL);
    if (strcmp(sgi_symbol_name(chosen.form), want))
      fail_msg("curve %zu: %s, expected %s", c, sgi_symbol_name(chosen.form), want);
    assert_int_equal(quick.form, chosen.form);
    if (chosen.form == SGI_SYMBOL_NONE) continue;
    double r2 = json_number_value(json_object_get(json_object_get(json_object_get(curve, "fits"), want), "r2"));
    if (!(chosen.r2 >= r2 - 1e-3)) fail_msg("curve %zu: %s with R2 %g, expected %g", c, want, chosen.r2, r2);
  }
  sgi_free(at);
  close_fixture(&x);
}

static void refused(void **state) {
  (void)state;
  static const char *const texts[] = {"",
                                      "1 +",
                                      "1 + + 2",
                                      "nan",
                                      "inf",
                                      "1*",
                                      "1*cosh(1*z0 + 0)",
                                      "1*x(1*z0 - 2)",
                                      "1*x(1*z99999 + 0)",
                                      "1*x(1*y0 + 0)",
                                      "spline(z0; -3, 3; 1, 2, 3)",
                                      "spline(z0; 3, -3; 1, 2, 3, 4)",
                                      "spline(z0; -3, 3; 1, 2, 3, 4",
                                      "1*[(z0 > )]",
                                      "1*[(z0 > 1) nand 0]",
                                      "1*[1 or]",
                                      "1*[((1)]",
                                      "1e999",
                                      "1 2",
                                      "1*silu(z0",
                                      "1*silu",
                                      "1*silu z0)",
                                      "1*[not]"};
  for (size_t i = 0; i < SGI_COUNT(texts); i++) {
    sgi_formula *f;
    sg_error err = {0};
    assert_int_equal(sgi_formula_parse(texts[i], strlen(texts[i]), &f, &err), SG_ERR_FORMAT);
    assert_null(f);
    assert_non_null(strstr(err.text, "formula"));
  }
  sg_error cut = {0}; /* what lies behind the end is not looked at */
  sgi_formula *none;
  assert_int_equal(sgi_formula_parse("1*silu?z0)", 6, &none, &cut), SG_ERR_FORMAT);
  assert_non_null(strstr(cut.text, "the end, expected \"(\""));
  char deep[400] = "1*[";
  memset(deep + 3, '(', 390);
  sgi_formula *f;
  assert_int_equal(sgi_formula_parse(deep, strlen(deep), &f, NULL), SG_ERR_FORMAT);
}

/* All sixteen gates of two bits, printed and read back. */
static void gates(void **state) {
  (void)state;
  sgi_grid g = {-3, 3, 4};
  for (unsigned table = 0; table < 16; table++) {
    sgi_expert e = {.bits = 2, .gates = 1, .outputs = 1, .bit_feature = {0, 1}, .input = {{0, 1}}, .gamma = {2}};
    for (size_t k = 0; k < 4; k++) e.table[0][k] = table >> k & 1;
    char *text = sgi_formula_text(&e, &g);
    sgi_formula *f;
    assert_sg_ok(sgi_formula_parse(text, strlen(text), &f, err));
    for (unsigned in = 0; in < 4; in++) {
      float z[2] = {in & 2 ? 1.0f : -1.0f, in & 1 ? 1.0f : -1.0f};
      near(text, sgi_formula_value(f, z), 2 * (table >> in & 1), 0);
    }
    sgi_formula_free(f);
    sgi_free(text);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(values),  cmocka_unit_test(gradients), cmocka_unit_test(formulas),
                                     cmocka_unit_test(symbols), cmocka_unit_test(refused),   cmocka_unit_test(gates)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
