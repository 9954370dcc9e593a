/* Parity of quantised weights: one matrix in int8 and int4 (golden/quant/quant_*), and a language
 * model whose pools are quantised in four ways (golden/quant/lm): bytes and scales exactly, what
 * the model then says, and the gradient of int4's loss to the numbers that its pools stand for. */
#include "support/golden.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "math/stored.h"
#include "model/pass.h"
#include "model/quantize.h"
#include "read/trace.h"

#define ROOT "tests/golden/quant"

static const sgi_tensor *find(const sgi_safetensors *f, const char *first, const char *last) {
  char name[300];
  snprintf(name, sizeof name, "%s%s", first, last);
  const sgi_tensor *t = sgi_safetensors_find(f, name);
  if (!t) fail_msg("%s is missing", name);
  return t;
}

/* ---- one matrix ------------------------------------------------------------------------------ */

static void matrix(const sgi_safetensors *f, const char *type, sgi_dtype to) {
  const sgi_tensor *w = find(f, "w", ""), *x = find(f, "x", ""), *scale = find(f, type, ".scale");
  const sgi_tensor *q = find(f, type, ".q"), *dequant = find(f, type, ".dequant"), *y = find(f, type, ".y");
  size_t rows = w->dims[0], width = w->dims[1], n = x->dims[0], bytes = sgi_weight_traits(to)->bytes(width), bad;
  uint8_t *packed = calloc(rows, bytes);
  float *scales = calloc(rows, sizeof *scales), *out = calloc(rows * width, sizeof *out);
  for (size_t r = 0; r < rows; r++)
    assert_true(sgi_quantise_row(&(sgi_quantise){.to = to}, packed + r * bytes, scales + r,
                                 (const float *)w->data + r * width, width, &bad));
  assert_memory_equal(scales, scale->data, rows * sizeof *scales);
  assert_memory_equal(packed, to == SGI_U8 ? find(f, type, ".packed")->data : q->data, rows * bytes);
  sgi_weight stored = {.dtype = to, .rows = rows, .width = width, .data = packed, .scale = scales};
  for (size_t r = 0; r < rows; r++)
    for (size_t d = 0; d < width; d++) {
      int level = to == SGI_U8 ? sgi_int4_at(packed + r * bytes, d) : ((const int8_t *)packed)[r * bytes + d];
      assert_int_equal(level, ((const int8_t *)q->data)[r * width + d]);
    }
  sgi_weight_to_float(out, &stored);
  assert_memory_equal(out, dequant->data, rows * width * sizeof *out);
  double largest = 0;
  const double *want = y->data;
  for (size_t i = 0; i < n * rows; i++) largest = fmax(largest, fabs(want[i]));
  assert_int_equal(sgi_stored_linear(out, rows, x->data, width, &stored, n, (sgi_arena){0}), SG_OK);
  for (size_t i = 0; i < n * rows; i++) assert_true(fabs((double)out[i] - want[i]) <= 1e-5 * largest);
  free(packed), free(scales), free(out);
}

static void matrices(void **state) {
  (void)state;
  static const char *const names[] = {ROOT "/quant_even.safetensors", ROOT "/quant_odd.safetensors"};
  for (size_t i = 0; i < 2; i++) {
    sgi_safetensors *f;
    assert_sg_ok(sgi_safetensors_open(names[i], &f, err));
    matrix(f, "int8", SGI_I8);
    matrix(f, "int4", SGI_U8);
    sgi_safetensors_close(f);
  }
}

/* ---- a model --------------------------------------------------------------------------------- */

static void same_bytes(const sgi_safetensors *want, const char *name, const char *path) {
  sgi_safetensors *have;
  char first[64];
  size_t compared = 0;
  snprintf(first, sizeof first, "%s.", name);
  assert_sg_ok(sgi_safetensors_open(path, &have, err));
  for (size_t i = 0; i < sgi_safetensors_count(have); i++) {
    const sgi_tensor *t = sgi_safetensors_at(have, i);
    if (!strstr(t->name, ".experts.")) continue;
    const sgi_tensor *w = find(want, first, t->name);
    assert_int_equal(t->dtype, w->dtype);
    assert_int_equal(t->n_dims, w->n_dims);
    assert_memory_equal(t->dims, w->dims, sizeof t->dims[0] * (size_t)t->n_dims);
    if (memcmp(t->data, w->data, t->bytes)) fail_msg("%s: %s has other bytes", name, t->name);
    compared++;
  }
  assert_int_equal(compared, 8); /* two pools in two layers, each with its scales */
  sgi_safetensors_close(have);
}

static void near(const char *name, const char *what, const sgi_safetensors *got, const sgi_tensor *want,
                 const char *measure) {
  const sgi_tensor *t = find(got, what, "");
  golden_difference d = golden_compare(t->data, want->data, want->count);
  double value = *measure == 'a' ? d.abs : d.of_max;
  double bound = golden_tolerance("models", strncmp(what, "grad.", 5) ? what : "grad.*", measure);
  if (getenv("SGATLIN_TEST_VERBOSE")) print_message("%-12s %-60s %.2e of %.1e\n", name, what, value, bound);
  if (!(value <= bound)) fail_msg("%s: %s: %g, tolerated %g", name, what, value, bound);
}

/* d loss / d scale = sum over a row of d loss / d w times q. */
static void scale_gradient(const sgi_safetensors *got, const sgi_safetensors *want, const char *tensor) {
  char name[200];
  snprintf(name, sizeof name, "int4.%s.q4", tensor);
  const sgi_tensor *q = find(want, name, "");
  snprintf(name, sizeof name, "grad.%s", tensor);
  const sgi_tensor *g = find(got, name, ""), *s = find(want, name, ".scale");
  size_t width = g->dims[2], bytes = q->dims[2];
  float *sum = calloc(s->count, sizeof *sum);
  for (size_t r = 0; r < s->count; r++)
    for (size_t d = 0; d < width; d++)
      sum[r] += ((const float *)g->data)[r * width + d] * (float)sgi_int4_at((const uint8_t *)q->data + r * bytes, d);
  assert_true(golden_compare(sum, s->data, s->count).of_max <= golden_tolerance("models", "grad.*", "of_max"));
  free(sum);
}

static void model_case(const sg_model *m, const sgi_safetensors *want, const char *name, const sgi_quantise *how) {
  char *tmp = golden_temporary(), *weights = sgi_path_join(tmp, "model.safetensors"),
       *trace = sgi_path_join(tmp, "trace.safetensors"), first[64];
  sgi_quantize_request r = {.how = *how, .only = "*.experts.*"};
  sgi_quantized done;
  sg_model *small;
  sgi_safetensors *got;
  assert_sg_ok(sgi_model_quantize(m, &r, tmp, &done, err));
  assert_int_equal(done.tensors, 4);
  same_bytes(want, name, weights);
  assert_sg_ok(sg_model_load(tmp, &small, err));
  const sgi_tensor *targets = find(want, "targets", "");
  sgi_trace_request t = {.targets = targets->data, .B = targets->dims[0], .T = targets->dims[1], .grad = true};
  assert_sg_ok(sgi_trace_write(small, &t, trace, err));
  assert_sg_ok(sgi_safetensors_open(trace, &got, err));
  snprintf(first, sizeof first, "%s.", name);
  near(name, "logits", got, find(want, first, "logits"), "abs");
  near(name, "loss", got, find(want, first, "loss"), "abs");
  for (size_t i = 0; i < sg_model_tensor_count(m) && !strcmp(name, "int4"); i++) {
    sg_tensor x = sg_model_tensor(m, i);
    char grad[200];
    if (!strstr(x.name, ".experts.")) continue;
    snprintf(grad, sizeof grad, "grad.%s", x.name);
    near(name, grad, got, find(want, grad, ""), "of_max");
    scale_gradient(got, want, x.name);
  }
  sgi_safetensors_close(got);
  sg_model_free(small);
  sgi_free(weights), sgi_free(trace);
  golden_remove(tmp);
}

static void models(void **state) {
  (void)state;
  sg_model *m;
  sgi_safetensors *want;
  json_t *o = golden_json(ROOT "/lm/quant.json");
  size_t group = (size_t)json_integer_value(json_object_get(o, "group_size"));
  assert_sg_ok(sg_model_load(ROOT "/lm", &m, err));
  assert_sg_ok(sgi_safetensors_open(ROOT "/lm/expected.safetensors", &want, err));
  model_case(m, want, "int8", &(sgi_quantise){.to = SGI_I8});
  model_case(m, want, "int4", &(sgi_quantise){.to = SGI_U8});
  model_case(m, want, "int4_group", &(sgi_quantise){.to = SGI_U8, .group = group});
  model_case(m, want, "int4_mse", &(sgi_quantise){.to = SGI_U8, .clip = true});
  sgi_safetensors_close(want);
  sg_model_free(m);
  json_decref(o);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(matrices), cmocka_unit_test(models)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
