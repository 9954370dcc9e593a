/* Usage of units: every golden number and count by the reference's definition, and the plain
 * definition by hand. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "support/near.h"
#include "core/safetensors.h"
#include "read/usage.h"

static double metric(const json_t *metrics, const char *name, const char *infix, int layer) {
  char key[128];
  snprintf(key, sizeof key, "experts_%s%s_layer_%d", name, infix, layer);
  const json_t *v = json_object_get(metrics, key);
  if (!json_is_number(v)) fail_msg("usage.json: %s is missing", key);
  return json_number_value(v);
}

static size_t numbers_agree(const json_t *metrics, const char *infix, int layer, const sgi_usage_numbers *n) {
  near("n->min_max_ratio", n->min_max_ratio, metric(metrics, "min_max_ratio", infix, layer), 1e-5);
  near("n->coeff_of_variation", n->coeff_of_variation, metric(metrics, "coeff_of_variation", infix, layer), 1e-5);
  near("n->fraction_nonzero", n->fraction_nonzero, metric(metrics, "fraction_nonzero", infix, layer), 1e-5);
  near("n->normalized_entropy", n->normalized_entropy, metric(metrics, "normalized_entropy", infix, layer), 1e-5);
  return 4;
}

static const sgi_tensor *tensor(const sgi_safetensors *f, const char *name, const char *what, int layer) {
  char key[128];
  snprintf(key, sizeof key, "%s.%s.layer_%d", name, what, layer);
  const sgi_tensor *t = sgi_safetensors_find(f, key);
  if (t) assert_int_equal(t->dtype, SGI_I32);
  return t;
}

static size_t layer_agrees(const sgi_tensor *index, const sgi_tensor *count, const json_t *metrics, int layer,
                           size_t F) {
  size_t N = index->dims[0], T = index->dims[1], C = index->dims[2], K = index->dims[3];
  sgi_usage *u = NULL;
  assert_int_equal(sgi_usage_create(F, C, K, true, &u, NULL), SG_OK);
  assert_int_equal(count->dims[0], N);
  assert_int_equal(count->dims[1], F);
  for (size_t i = 0; i < N; i++) {
    assert_int_equal(sgi_usage_add(u, (const int32_t *)index->data + i * T * C * K, NULL, T, NULL, NULL), SG_OK);
    const uint64_t *c = sgi_usage_last_counts(u);
    for (size_t f = 0; f < F; f++) assert_int_equal(c[f], ((const int32_t *)count->data)[i * F + f]);
  }
  sgi_usage_result_t r;
  assert_int_equal(sgi_usage_result(u, &r, NULL), SG_OK);
  assert_int_equal(r.sequences, N);
  assert_int_equal(r.choices, N * T * C * K);
  size_t n =
      numbers_agree(metrics, "", layer, &r.flat) + numbers_agree(metrics, "_per_sequence", layer, &r.per_sequence);
  sgi_usage_free(u);
  return n;
}

static void every_golden_number(void **state) {
  (void)state;
  sg_error err = {0};
  sgi_safetensors *f = NULL;
  if (sgi_safetensors_open("tests/golden/eval/usage/usage.safetensors", &f, &err)) fail_msg("%s", err.text);
  json_t *cases = json_load_file("tests/golden/eval/usage/usage.json", JSON_DECODE_ANY, NULL), *c;
  size_t i;
  assert_true(json_array_size(cases) >= 4);
  json_array_foreach(cases, i, c) {
    const char *name = json_string_value(json_object_get(c, "name"));
    const json_t *metrics = json_object_get(c, "metrics");
    size_t checked = 0;
    for (int layer = 0; tensor(f, name, "indices", layer); layer++)
      checked += layer_agrees(tensor(f, name, "indices", layer), tensor(f, name, "counts", layer), metrics, layer,
                              (size_t)json_integer_value(json_object_get(c, "n_experts")));
    assert_int_equal(checked, json_object_size(metrics));
  }
  json_decref(cases);
  sgi_safetensors_close(f);
}

/* Two channels, three units, one choice; the last position is padding. */
static void plain_by_hand(void **state) {
  (void)state;
  const int32_t index[2][4][2] = {{{0, 0}, {0, 1}, {1, 0}, {2, 2}}, {{0, 0}, {0, 0}, {1, 1}, {2, 2}}};
  const bool keep[4] = {true, true, true, false};
  for (int own = 0; own < 2; own++) {
    sgi_usage *u = NULL;
    sgi_usage_result_t r;
    size_t bins;
    assert_int_equal(sgi_usage_create(3, 2, 1, own, &u, NULL), SG_OK);
    assert_int_equal(sgi_usage_result(u, &r, NULL), SG_ERR_ARG);
    for (int i = 0; i < 2; i++) assert_int_equal(sgi_usage_add(u, &index[i][0][0], NULL, 4, keep, NULL), SG_OK);
    assert_int_equal(sgi_usage_result(u, &r, NULL), SG_OK);
    assert_int_equal(r.choices, 12);
    const uint64_t *c = sgi_usage_plain_counts(u, &bins);
    const uint64_t apart[] = {4, 2, 0, 4, 2, 0}, shared[] = {8, 4, 0};
    assert_int_equal(bins, own ? 6 : 3);
    assert_memory_equal(c, own ? apart : shared, bins * sizeof *c);
    near("r.plain.fraction_nonzero", r.plain.fraction_nonzero, 2.0 / 3, 1e-12);
    assert_true(r.plain.min_max_ratio == 0);
    near("r.plain.coeff_of_variation", r.plain.coeff_of_variation, sqrt(2.0 / 3), 1e-12);
    double entropy = own ? log2(12) - (2 * 4 * 2 + 2 * 2 * 1) / 12.0 : log2(12) - (8 * 3 + 4 * 2) / 12.0;
    near("r.plain.normalized_entropy", r.plain.normalized_entropy, entropy / log2(own ? 6 : 3), 1e-12);
    sgi_usage_free(u);
  }
}

static void wrong_indices_change_nothing(void **state) {
  (void)state;
  sg_error err = {0};
  sgi_usage *u = NULL;
  sgi_usage_result_t before, after;
  assert_int_equal(sgi_usage_create(0, 1, 1, false, &u, &err), SG_ERR_ARG);
  assert_int_equal(sgi_usage_create(1u << 30, SIZE_MAX / 4, 1, true, &u, &err), SG_ERR_ARG);
  assert_int_equal(sgi_usage_create(3, 1, 2, true, &u, &err), SG_OK);
  const int32_t good[] = {0, 1}, bad[] = {0, 3}, negative[] = {-1, 0};
  assert_int_equal(sgi_usage_add(u, good, NULL, 1, NULL, &err), SG_OK);
  sgi_usage_result(u, &before, NULL);
  assert_int_equal(sgi_usage_add(u, bad, NULL, 1, NULL, &err), SG_ERR_ARG);
  assert_int_equal(sgi_usage_add(u, negative, NULL, 1, NULL, &err), SG_ERR_ARG);
  assert_int_equal(sgi_usage_add(u, good, NULL, 0, NULL, &err), SG_ERR_ARG);
  sgi_usage_result(u, &after, NULL);
  assert_memory_equal(&before, &after, sizeof before);
  sgi_usage_free(u);
  sgi_usage_free(NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_golden_number),
      cmocka_unit_test(plain_by_hand),
      cmocka_unit_test(wrong_indices_change_nothing),
  };
  return cmocka_run_group_tests_name("usage", tests, NULL, NULL);
}
