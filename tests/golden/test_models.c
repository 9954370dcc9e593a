/* Parity of the whole model: every case of tests/golden/models through `trace`, forward and
 * backward. */
#include "support/golden.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/pass.h"
#include "read/trace.h"

static const char *const ROOT = "tests/golden/models";

static void check_indices(const char *at, const sgi_tensor *got, const sgi_tensor *want) {
  const int32_t *a = got->data, *b = want->data;
  for (size_t i = 0; i < want->count; i++)
    if (a[i] != b[i]) fail_msg("%s: entry %zu is %d, expected %d", at, i, a[i], b[i]);
}

static void check_bound(const char *at, const char *measure, double value, double bound, size_t where) {
  if (getenv("SGATLIN_TEST_VERBOSE")) print_message("%-80s %-6s %.2e of %.1e\n", at, measure, value, bound);
  if (!(value <= bound)) fail_msg("%s: %s %.3g at entry %zu, tolerated %.3g", at, measure, value, where, bound);
}

static void check_gradient(const char *at, const float *a, const float *b, size_t n) {
  golden_difference d = golden_compare(a, b, n);
  check_bound(at, "of_max", d.of_max, golden_tolerance("models", "grad.*", "of_max"), d.at);
  for (size_t i = 0; i < n; i++)
    if (b[i] == 0 && a[i] != 0) fail_msg("%s: entry %zu is %g, expected exactly 0", at, i, (double)a[i]);
}

static void check(const char *at, const sgi_tensor *got, const sgi_tensor *want) {
  assert_int_equal(got->dtype, want->dtype);
  assert_int_equal(got->n_dims, want->n_dims);
  for (int i = 0; i < got->n_dims; i++) assert_int_equal(got->dims[i], want->dims[i]);
  const char *name = want->name;
  if (want->dtype == SGI_I32) return check_indices(at, got, want);
  if (!strncmp(name, "grad.", 5)) return check_gradient(at, got->data, want->data, want->count);
  golden_difference d = golden_compare(got->data, want->data, want->count);
  if (!strcmp(name, "logits"))
    check_bound(at, "abs", d.abs, golden_tolerance("models", "logits", "abs"), d.at);
  else if (strstr(name, "resid_"))
    check_bound(at, "of_max", d.of_max, golden_tolerance("models", "layers.*.resid_mid, resid_post", "of_max"), d.at);
  else if (strstr(name, "router.scores") || strstr(name, "gate.logits"))
    check_bound(at, "abs", d.abs, golden_tolerance("models", "layers.*.router.scores, gate.logits", "abs"), d.at);
  else if (!strcmp(name, "loss") || !strcmp(name, "acc"))
    check_bound(at, "abs", d.abs, golden_tolerance("models", name, "abs"), d.at);
  else if (!strncmp(name, "perplexity", 10))
    check_bound(at, "rel", d.rel, golden_tolerance("models", "perplexity, perplexity_last_token", "rel"), d.at);
  else
    fail_msg("%s: no tolerance is known", at);
}

static void one_case(const char *name, size_t max_bytes) {
  char dir[512], path[600], at[700];
  snprintf(dir, sizeof dir, "%s/%s", ROOT, name);
  snprintf(path, sizeof path, "%s/expected.safetensors", dir);
  sgi_safetensors *expected, *got;
  sg_model *m;
  assert_sg_ok(sgi_safetensors_open(path, &expected, err));
  assert_sg_ok(sg_model_load(dir, &m, err));
  const sgi_tensor *targets = sgi_safetensors_find(expected, "targets");
  sgi_trace_request r = {
      .targets = targets->data, .B = targets->dims[0], .T = targets->dims[1], .grad = true, .max_bytes = max_bytes};
  if (max_bytes == 1) /* row by row: what one row takes */
    assert_sg_ok(sgi_pass_bytes(sg_model_config(m), 1, r.T, true, &r.max_bytes, err));
  char *tmp = golden_temporary();
  snprintf(path, sizeof path, "%s/out.safetensors", tmp);
  assert_sg_ok(sgi_trace_write(m, &r, path, err));
  assert_sg_ok(sgi_safetensors_open(path, &got, err));
  for (size_t i = 0; i < sgi_safetensors_count(expected); i++) {
    const sgi_tensor *want = sgi_safetensors_at(expected, i);
    if (!strcmp(want->name, "targets") || !strcmp(want->name, "inputs")) continue;
    snprintf(at, sizeof at, "%s: %s", name, want->name);
    const sgi_tensor *have = sgi_safetensors_find(got, want->name);
    if (!have) fail_msg("%s: not written", at);
    check(at, have, want);
  }
  assert_int_equal(sgi_safetensors_count(got) + 2, sgi_safetensors_count(expected));
  sgi_safetensors_close(got);
  sgi_safetensors_close(expected);
  sg_model_free(m);
  golden_remove(tmp);
}

static void all_cases(size_t max_bytes) {
  char **names = golden_list(ROOT);
  size_t cases = 0;
  for (size_t i = 0; names[i]; i++)
    if (!strchr(names[i], '.')) one_case(names[i], max_bytes), cases++;
  golden_free(names);
  assert_int_equal(cases, 15);
}

static void in_one_batch(void **state) {
  (void)state;
  all_cases(0);
}

/* The same row by row: parts of a batch must add up. */
static void row_by_row(void **state) {
  (void)state;
  all_cases(1);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(in_one_batch), cmocka_unit_test(row_by_row)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
