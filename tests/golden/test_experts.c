/* Options of the feedforward layer against vectors: every case of tests/golden/experts that is a
 * language model, forwards and backwards, with the losses that training adds. */
#include "support/golden.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "model/pass.h"
#include "read/sinks.h"
#include "read/trace.h"
#include "train/settings.h"

static const char *const ROOT = "tests/golden/experts";

/* Recommended with the vectors. */
static const double LOGITS = 3e-5, LOSSES = 5e-6, SCORES = 2e-5, GRADIENTS = 3e-5, OUTPUTS = 3e-5, SINKS = 1e-5;

static void check_bound(const char *at, const char *measure, double value, double bound) {
  if (getenv("SGATLIN_TEST_VERBOSE")) print_message("%-80s %-6s %.2e of %.1e\n", at, measure, value, bound);
  if (!(value <= bound)) fail_msg("%s: %s %.3g, tolerated %.3g", at, measure, value, bound);
}

static void check_gradient(const char *at, const float *a, const float *b, size_t n) {
  golden_difference d = golden_compare(a, b, n);
  check_bound(at, "of_max", d.of_max, GRADIENTS);
  double most = 0;
  for (size_t i = 0; i < n; i++) most = fabs((double)b[i]) > most ? fabs((double)b[i]) : most;
  for (size_t i = 0; i < n; i++)
    if (b[i] == 0 && fabs((double)a[i]) > 1e-12 * most)
      fail_msg("%s: entry %zu is %g, expected 0", at, i, (double)a[i]);
}

static void check(const char *at, const sgi_tensor *got, const sgi_tensor *want) {
  assert_int_equal(got->dtype, want->dtype);
  assert_int_equal(got->n_dims, want->n_dims);
  for (int i = 0; i < got->n_dims; i++) assert_int_equal(got->dims[i], want->dims[i]);
  const char *name = want->name;
  if (want->dtype == SGI_I32) {
    for (size_t i = 0; i < want->count; i++)
      if (((const int32_t *)got->data)[i] != ((const int32_t *)want->data)[i])
        fail_msg("%s: entry %zu is %d, expected %d", at, i, ((const int32_t *)got->data)[i],
                 ((const int32_t *)want->data)[i]);
    return;
  }
  if (!strncmp(name, "grad.", 5)) {
    check_gradient(at, got->data, want->data, want->count);
    return;
  }
  golden_difference d = golden_compare(got->data, want->data, want->count);
  bool whole = want->n_dims == 0;
  if (strstr(name, "router.scores") || strstr(name, "probabilities"))
    check_bound(at, "abs", d.abs, SCORES);
  else if (strstr(name, ".out") || strstr(name, ".neurons"))
    check_bound(at, "of_max", d.of_max, OUTPUTS);
  else
    check_bound(at, "abs", d.abs, whole ? LOSSES : LOGITS);
}

/* {"train": {"sparsity": 0.5}} as weights of the parts; false where the case has none. */
static bool read_weights(const char *dir, sgi_aux_weights *out) {
  char path[600], text[128];
  json_t *o;
  const char *key;
  json_t *v;
  sgi_assignments set = {0};
  snprintf(path, sizeof path, "%s/case.json", dir);
  assert_sg_ok(sgi_json_load(path, &o, err));
  json_object_foreach(json_object_get(o, "train"), key, v) {
    snprintf(text, sizeof text, "train.aux.%s=%.17g", key, json_number_value(v));
    assert_sg_ok(sgi_assign_text(&set, text, NULL, err));
  }
  bool any = set.count;
  assert_sg_ok(sgi_settings_aux(&set, out, err));
  sgi_assignments_free(&set);
  json_decref(o);
  return any;
}

/* sink.share (L,H), .even, .sink_heads, .norm_ratio (L) of the case's rows; false where it has
 * none. */
static bool check_sinks(const char *name, const sg_model *m, sgi_safetensors *expected) {
  const sgi_tensor *share = sgi_safetensors_find(expected, "sink.share"), *inputs;
  sgi_sinks s;
  char at[64];
  if (!share) return false;
  inputs = sgi_safetensors_find(expected, "inputs");
  assert_sg_ok(sgi_sinks_rows(m, inputs->data, inputs->dims[0], inputs->dims[1], &s, err));
  assert_int_equal(s.n_heads, share->count);
  snprintf(at, sizeof at, "%s: sink", name);
  for (size_t k = 0; k < s.n_heads; k++)
    check_bound(at, "share", fabs(s.heads[k].share - (double)((const float *)share->data)[k]), SINKS);
  const float *ratio = sgi_safetensors_find(expected, "sink.norm_ratio")->data;
  for (size_t l = 0; l < s.n_layers; l++) check_bound(at, "ratio", fabs(s.norm_ratio[l] - (double)ratio[l]), SINKS);
  const float *even = sgi_safetensors_find(expected, "sink.even")->data,
              *heads = sgi_safetensors_find(expected, "sink.sink_heads")->data;
  check_bound(at, "even", fabs(s.even - (double)*even), SINKS);
  check_bound(at, "heads", fabs(s.sink_heads - (double)*heads), SINKS);
  assert_int_equal(s.logits, m->config.attention_sink[0] != 0);
  sgi_sinks_deinit(&s);
  return true;
}

static size_t sinks;

static void one_case(const char *name) {
  char dir[512], path[600], at[700];
  snprintf(dir, sizeof dir, "%s/%s", ROOT, name);
  snprintf(path, sizeof path, "%s/expected.safetensors", dir);
  sgi_safetensors *expected, *got;
  sg_model *m;
  sgi_aux_weights weights;
  assert_sg_ok(sgi_safetensors_open(path, &expected, err));
  assert_sg_ok(sg_model_load(dir, &m, err));
  const sgi_tensor *targets = sgi_safetensors_find(expected, "targets");
  const char *all[] = {"*"};
  sgi_trace_request r = {
      .targets = targets->data, .B = targets->dims[0], .T = targets->dims[1], .grad = true, .only = all, .n_only = 1};
  if (read_weights(dir, &weights)) r.aux = &weights;
  char *tmp = golden_temporary();
  snprintf(path, sizeof path, "%s/out.safetensors", tmp);
  assert_sg_ok(sgi_trace_write(m, &r, path, err));
  assert_sg_ok(sgi_safetensors_open(path, &got, err));
  for (size_t i = 0; i < sgi_safetensors_count(expected); i++) {
    const sgi_tensor *want = sgi_safetensors_at(expected, i);
    if (!strcmp(want->name, "targets") || !strcmp(want->name, "inputs") || !strncmp(want->name, "sink.", 5)) continue;
    if (!r.aux && !strcmp(want->name, "total")) continue;
    snprintf(at, sizeof at, "%s: %s", name, want->name);
    const sgi_tensor *have = sgi_safetensors_find(got, want->name);
    if (!have) fail_msg("%s: not written", at);
    check(at, have, want);
  }
  sinks += check_sinks(name, m, expected);
  sgi_safetensors_close(got);
  sgi_safetensors_close(expected);
  sg_model_free(m);
  golden_remove(tmp);
}

static void language_models(void **state) {
  (void)state;
  char **names = golden_list(ROOT);
  size_t cases = 0;
  for (size_t i = 0; names[i]; i++) {
    char path[600];
    snprintf(path, sizeof path, "%s/%s/case.json", ROOT, names[i]);
    if (!sgi_is_file(path)) continue;
    one_case(names[i]);
    cases++;
  }
  golden_free(names);
  assert_true(cases >= 5 && sinks >= 3);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(language_models)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
