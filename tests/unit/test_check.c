/* verify finds what readers would not: a kernel that is wrong, an index that says something else
 * than its shards although both are sound. */
#include "support/recorded.h"
#include "support/small.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check/inside.h"
#include "core/safetensors.h"

static char wrong_names[2000];

static void note(void *user, const char *path, const char *what, sg_status status, const char *text) {
  (void)user;
  assert_true(*path && *what && *text);
  if (status) snprintf(wrong_names + strlen(wrong_names), sizeof wrong_names - strlen(wrong_names), "%s|", what);
}

static sgi_checks fresh(void) {
  wrong_names[0] = '\0';
  return (sgi_checks){.found = note};
}

static void machine(void **state) {
  (void)state;
  sgi_checks c = fresh();
  assert_sg_ok(sgi_check_machine(&c, err));
  assert_int_equal(c.wrong, 0);
  assert_true(c.looked >= 8);
}

/* Kernels that are off by a little in one element. */
static const sgi_kernels *good;
static float bad_dot(const float *a, const float *b, size_t n) { return good->dot(a, b, n) * 1.001f; }
static double bad_squares(const float *a, size_t n) { return good->sum_squares(a, n - 1); }
static void bad_gather(float *y, const float *w, const int32_t *i, const float *c, size_t k, size_t D) {
  good->gather_axpy(y, w, i, c, k - 1, D);
}
static void bad_norm(float *y, float *r, const float *x, const float *g, size_t n, size_t D, float eps) {
  good->rmsnorm(y, r, x, g, n, D, eps);
  y[n * D - 1] *= 1.01f;
}
static void bad_gelu(float *y, const float *x, size_t n) {
  good->gelu(y, x, n);
  y[n - 1] = NAN;
}
static void bad_relu(float *y, const float *x, size_t n) { memmove(y, x, n * sizeof *y); }
static float bad_softmax(float *s, size_t n, float scale, float *max) {
  float sum = good->softmax_exp(s, n, scale, max);
  s[0] += 0.01f;
  return sum;
}
static void bad_adamw(float *w, float *g, float *m, float *v, size_t n, const sgi_adamw_step *step) {
  sgi_adamw_step without = *step;
  without.decay = 0;
  good->adamw(w, g, m, v, n, &without);
}

static void doctored(void **state) {
  (void)state;
  good = sgi_kernel_table();
  struct {
    const char *what;
    sgi_kernels k;
  } all[8];
  for (size_t i = 0; i < 8; i++) all[i].k = *good;
  all[0].what = "dot products", all[0].k.dot = bad_dot;
  all[1].what = "dot products", all[1].k.sum_squares = bad_squares;
  all[2].what = "gathered rows", all[2].k.gather_axpy = bad_gather;
  all[3].what = "norms", all[3].k.rmsnorm = bad_norm;
  all[4].what = "activations", all[4].k.gelu = bad_gelu;
  all[5].what = "activations", all[5].k.relu = bad_relu;
  all[6].what = "softmax", all[6].k.softmax_exp = bad_softmax;
  all[7].what = "AdamW", all[7].k.adamw = bad_adamw;
  for (size_t i = 0; i < 8; i++) {
    char want[40];
    sgi_checks c = fresh();
    sgi_check_kernels(&c, &all[i].k);
    snprintf(want, sizeof want, "%s|", all[i].what);
    assert_string_equal(wrong_names, want);
    assert_int_equal(c.first, SG_ERR_NUMERIC);
  }
}

/* Two sound files of two recordings: every list ascends, every number is in bounds. */
static void other_index(void **state) {
  (void)state;
  char *a = golden_temporary(), *b = golden_temporary(), from[4200], to[4200], *text;
  size_t n;
  sg_recording_close(recorded_random(a, 3, 10, 2, 2, 6, 1));
  sg_recording_close(recorded_random(b, 3, 10, 2, 2, 6, 2));
  sgi_checks c = fresh();
  assert_sg_ok(sgi_check_recording(&c, a, err));
  assert_int_equal(c.wrong, 0);
  snprintf(from, sizeof from, "%s/index-layer-0.safetensors", b);
  snprintf(to, sizeof to, "%s/index-layer-0.safetensors", a);
  assert_sg_ok(sgi_read_file(from, 1 << 20, &text, &n, err));
  assert_sg_ok(sgi_write_file(to, text, n, err));
  sgi_free(text);
  c = fresh();
  assert_sg_ok(sgi_check_recording(&c, a, err));
  assert_string_equal(wrong_names, "circuits|");
  golden_remove(a);
  golden_remove(b);
}

/* Numbers of every type that can be none. */
static void numbers(void **state) {
  (void)state;
  char *directory = golden_temporary(), path[4200];
  static const uint16_t half[2] = {0x3c00, 0x7e00}, brain[2] = {0x3f80, 0x7f80};
  static const float single[2] = {1, NAN};
  static const double twice[2] = {-INFINITY, 1};
  static const int32_t whole[2] = {0x7fc00000, -1};
  const struct {
    sgi_dtype type;
    const void *data;
    bool wrong;
  } all[] = {{SGI_F16, half, true},
             {SGI_BF16, brain, true},
             {SGI_F32, single, true},
             {SGI_F64, twice, true},
             {SGI_I32, whole, false}};
  snprintf(path, sizeof path, "%s/x.safetensors", directory);
  for (size_t i = 0; i < SGI_COUNT(all); i++) {
    sgi_tensor t = {.name = "x", .dtype = all[i].type, .n_dims = 1, .dims = {2}, .data = all[i].data};
    assert_sg_ok(sgi_safetensors_save(path, &t, 1, NULL, 0, err));
    sgi_checks c = fresh();
    assert_sg_ok(sgi_check_tensors(&c, path, err));
    assert_string_equal(wrong_names, all[i].wrong ? "numbers|" : "");
  }
  golden_remove(directory);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(machine), cmocka_unit_test(doctored),
                                     cmocka_unit_test(other_index), cmocka_unit_test(numbers)};
  return cmocka_run_group_tests_name("check", tests, NULL, NULL);
}
