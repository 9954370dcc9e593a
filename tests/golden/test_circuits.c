/* What is recorded, neighbours, co-activation, CKA and usage against the reference's numbers on its
 * own small model. */
#include "support/golden.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "read/cka.h"
#include "read/coactivation.h"
#include "read/excerpt.h"
#include "read/usage.h"
#include "support/recorded.h"
#include "support/near.h"

static const char circuits[] = "tests/golden/eval/circuits";
static sg_model *model;
static sg_tokenizer *tok;
static sgi_safetensors *golden;
static recorded_rows rows;
static char *directory;
static sgi_recording *rec;
static const sgi_recording_info *info;

static const sgi_tensor *get(const sgi_safetensors *f, const char *name) {
  const sgi_tensor *t = sgi_safetensors_find(f, name);
  if (!t) fail_msg("%s is missing", name);
  return t;
}

static sgi_safetensors *open_golden(const char *name) {
  char path[256];
  sgi_safetensors *f;
  snprintf(path, sizeof path, "%s/%s", circuits, name);
  assert_sg_ok(sgi_safetensors_open(path, &f, err));
  return f;
}

static json_t *read_golden(const char *name) {
  char path[256];
  snprintf(path, sizeof path, "%s/%s", circuits, name);
  return golden_json(path);
}

static int set_up(void **state) {
  (void)state;
  assert_sg_ok(sg_model_load("tests/golden/eval/model", &model, err));
  assert_sg_ok(sg_tokenizer_load("tests/golden/eval/model/tokenizer.json", &tok, err));
  golden = open_golden("recorder.safetensors");
  const sgi_tensor *t = get(golden, "targets");
  rows = (recorded_rows){t->data, t->dims[0], t->dims[1]};
  directory = golden_temporary();
  sgi_record_request q = recorded_request(model, &rows);
  rec = recorded_open(&q, directory);
  info = sgi_recording_info_of(rec);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  sg_recording_close(rec);
  golden_remove(directory);
  sgi_safetensors_close(golden);
  sg_tokenizer_free(tok);
  sg_model_free(model);
  return 0;
}

static void recorded(void **state) {
  (void)state;
  const int32_t *sequence = get(golden, "sequence")->data, *neuron = get(golden, "neuron")->data;
  const int32_t *top = get(golden, "top_k_output_tokens")->data;
  const float *score = get(golden, "score")->data;
  size_t m = info->slots[0].channels * info->slots[0].top_k, L = info->n_layers;
  assert_int_equal(info->n_positions, rows.n * rows.T);
  assert_int_equal(L, 3);
  int32_t index[64];
  float s[64];
  for (size_t p = 0; p < info->n_positions; p++) {
    sgi_recorded at = sgi_recording_at(rec, p);
    assert_int_equal(at.input, sequence[p]);
    assert_int_equal(at.target, rows.ids[p]);
    assert_int_equal(at.document, p / rows.T);
    assert_int_equal(at.place, p % rows.T);
    assert_memory_equal(at.predictions, top + 5 * p, 5 * sizeof *top);
    for (size_t l = 0; l < L; l++) {
      sgi_recording_circuit(rec, l, p, index, s);
      assert_memory_equal(index, neuron + (p * L + l) * m, m * sizeof *index);
      for (size_t i = 0; i < m; i++) assert_true(fabsf(s[i] - score[(p * L + l) * m + i]) <= 3e-5f);
    }
  }
}

/* The position of each pattern id (golden README no. 28). */
static size_t *patterns(size_t *n) {
  size_t *at = calloc(info->n_positions, sizeof *at);
  *n = 0;
  for (size_t p = 0; p < info->n_positions; p++)
    if (sgi_recording_at(rec, p).input != 0) at[(*n)++] = p;
  return at;
}

static void all_distances(void **state) {
  (void)state;
  sgi_safetensors *f = open_golden("gates.safetensors");
  const int32_t *sequence = get(f, "pattern.sequence")->data, *position = get(f, "pattern.position")->data;
  size_t n, *at = patterns(&n);
  double *d = calloc(info->n_positions, sizeof *d);
  assert_int_equal(n, get(f, "pattern.sequence")->count);
  for (size_t i = 0; i < n; i++) assert_int_equal(at[i], (size_t)sequence[i] * rows.T + (size_t)position[i]);
  for (size_t l = 0; l < info->n_layers; l++) {
    char name[64];
    snprintf(name, sizeof name, "distance.layer%zu.channel0", l);
    const float *want = get(f, name)->data;
    sgi_search *s;
    assert_sg_ok(sgi_search_create(rec, l, 0, 0, &s, err));
    for (size_t i = 0; i < n; i++) {
      sgi_search_distances(s, at[i], d);
      for (size_t j = 0; j < n; j++) near("d[at[j]]", d[at[j]], (double)want[i * n + j], 3e-6);
    }
    sgi_search_free(s);
  }
  free(at);
  free(d);
  sgi_safetensors_close(f);
}

static size_t integer(const json_t *row, const char *key) {
  const json_t *v = json_object_get(row, key);
  if (!json_is_integer(v)) fail_msg("%s is missing", key);
  return (size_t)json_integer_value(v);
}

static void text_is(const sgi_bytes *b, const json_t *want) {
  assert_int_equal(b->n, json_string_length(want));
  assert_memory_equal(b->data, json_string_value(want), b->n);
}

/* token_at_position is that of the circuit asked about, all else of the neighbour p. */
static void texts(size_t query, size_t p, const json_t *row) {
  sgi_bytes b = {0};
  assert_sg_ok(sgi_excerpt(rec, tok, p, 5, SGI_EXCERPT_NAMES, &b, err));
  text_is(&b, json_object_get(row, "input_excerpt"));
  b.n = 0;
  assert_sg_ok(sgi_excerpt_token(tok, sgi_recording_at(rec, query).input, SGI_EXCERPT_NAMES, &b, err));
  text_is(&b, json_object_get(row, "token_at_position"));
  for (size_t k = 0; k < 5; k++) {
    b.n = 0;
    assert_sg_ok(sgi_excerpt_token(tok, sgi_recording_at(rec, p).predictions[k], SGI_EXCERPT_NAMES, &b, err));
    text_is(&b, json_array_get(json_object_get(row, "top_k_predictions"), k));
  }
  sgi_bytes_deinit(&b);
}

static void neighbours_table(void **state) {
  (void)state;
  json_t *o = read_golden("neighbors.json"), *row;
  size_t i, n_patterns, *at = patterns(&n_patterns), want = integer(o, "n_nearest_neighbors"), certain = 0;
  assert_true(json_array_size(json_object_get(o, "rows")) >= 100);
  json_array_foreach(json_object_get(o, "rows"), i, row) {
    size_t p = integer(o, "target_sequence") * rows.T + integer(row, "position"), found, rank = integer(row, "rank");
    assert_int_equal(at[integer(row, "target_pattern_id")], p);
    sgi_neighbor list[16];
    sgi_search *s;
    assert_sg_ok(sgi_search_create(rec, integer(row, "layer"), integer(row, "channel"), 0, &s, err));
    assert_sg_ok(sgi_search_nearest(s, p, want, list, &found, err));
    assert_int_equal(found, want);
    /* The same circuit given by its entries, as a prompt's is: the same table behind itself. */
    sgi_neighbor given[17], rest[17];
    int32_t *index = calloc(info->slots[0].channels * info->slots[0].top_k, sizeof *index);
    float *score = calloc(info->slots[0].channels * info->slots[0].top_k, sizeof *score);
    size_t n_given, n_rest = 0;
    sgi_recording_circuit(rec, integer(row, "layer"), p, index, score);
    assert_sg_ok(sgi_search_nearest_to(s, index, score, want + 1, given, &n_given, err));
    for (size_t k = 0; k < n_given; k++)
      if (given[k].position != p) rest[n_rest++] = given[k];
    assert_true(n_rest >= want);
    assert_memory_equal(rest, list, want * sizeof *list);
    free(index), free(score);
    double distance = json_number_value(json_object_get(row, "distance_float64"));
    near("list[rank].distance", list[rank].distance, distance, 3e-6);
    size_t q = integer(row, "neighbor_sequence") * rows.T + integer(row, "neighbor_position");
    if (json_is_false(json_object_get(row, "index_ambiguous"))) {
      assert_int_equal(list[rank].position, q);
      certain++;
    }
    texts(p, q, row);
    sgi_search_free(s);
  }
  assert_true(certain >= 100);
  free(at);
  json_decref(o);
}

static void coactivation(void **state) {
  (void)state;
  sgi_safetensors *f = open_golden("coactivation.safetensors");
  size_t checked = 0;
  char path[4200];
  snprintf(path, sizeof path, "%s/coactivation.safetensors", directory);
  for (size_t l = 0; l < info->n_layers; l++)
    for (size_t c = 0; c < info->slots[0].channels; c += 2) {
      char counts[96], normal[96];
      snprintf(counts, sizeof counts, "counts.layer%zu.channel%zu", l, c);
      snprintf(normal, sizeof normal, "normalized.layer%zu.channel%zu", l, c);
      const sgi_tensor *want = get(f, counts);
      sgi_safetensors *ours;
      assert_sg_ok(sgi_coactivation_write(rec, l, c, path, err));
      assert_sg_ok(sgi_safetensors_open(path, &ours, err));
      assert_memory_equal(get(ours, counts)->data, want->data, want->bytes);
      const double *a = get(ours, normal)->data, *b = get(f, normal)->data;
      for (size_t i = 0; i < want->count; i++) near("a[i]", a[i], b[i], 1e-12);
      sgi_safetensors_close(ours);
      checked++;
    }
  assert_int_equal(2 * checked, sgi_safetensors_count(f));
  sgi_safetensors_close(f);
}

static void embedding_cka(void **state) {
  (void)state;
  json_t *o = read_golden("embedding_cka.json"), *row;
  size_t n = integer(o, "n_tokens"), found, i;
  sgi_top_token tokens[64];
  assert_sg_ok(sg_top_tokens(rec, n, 0, 0, false, tokens, &found, err));
  assert_int_equal(found, n);
  const json_t *ids = json_object_get(o, "token_ids_ascending"), *counts = json_object_get(o, "token_counts");
  for (size_t k = 0; k < n; k++) {
    bool there = false;
    for (size_t j = 0; j < n; j++) there |= json_integer_value(json_array_get(ids, j)) == tokens[k].id;
    assert_true(there);
    char id[16];
    snprintf(id, sizeof id, "%d", tokens[k].id);
    assert_int_equal(tokens[k].count, integer(counts, id));
  }
  json_array_foreach(json_object_get(o, "values"), i, row) {
    double value;
    assert_sg_ok(sgi_embedding_cka(rec, integer(row, "layer"), integer(row, "channel"), model, tokens, n, &value, err));
    near("value", value, json_number_value(json_object_get(row, "linear_cka")), 1e-5);
  }
  assert_int_equal(i, 6);
  json_decref(o);
}

static void linear_cka(void **state) {
  (void)state;
  sgi_safetensors *f;
  assert_sg_ok(sgi_safetensors_open("tests/golden/eval/cka/cka.safetensors", &f, err));
  json_t *o = json_load_file("tests/golden/eval/cka/cka.json", 0, NULL), *row;
  size_t i;
  assert_true(json_array_size(o) >= 8);
  json_array_foreach(o, i, row) {
    char x[64], y[64];
    snprintf(x, sizeof x, "%s.x", json_string_value(json_object_get(row, "name")));
    snprintf(y, sizeof y, "%s.y", json_string_value(json_object_get(row, "name")));
    const sgi_tensor *a = get(f, x), *b = get(f, y);
    double value;
    assert_sg_ok(sg_linear_cka(a->data, a->dims[1], b->data, b->dims[1], a->dims[0], &value, err));
    near("value", value, json_number_value(json_object_get(row, "linear_cka")), 1e-5);
  }
  json_decref(o);
  sgi_safetensors_close(f);
}

/* The reference's callback feeds the tokens unshifted, padding too. */
static void usage(void **state) {
  (void)state;
  json_t *o = read_golden("usage_of_model.json"), *metrics = json_object_get(o, "metrics");
  char *other = golden_temporary();
  sgi_record_request q = recorded_request(model, &rows);
  q.unshifted = true;
  sgi_recording *r = recorded_open(&q, other);
  for (size_t l = 0; l < info->n_layers; l++) {
    sgi_usage_result_t u;
    assert_sg_ok(sgi_recording_usage(r, l, &u, err));
    const double ours[2][4] = {
        {u.flat.min_max_ratio, u.flat.coeff_of_variation, u.flat.fraction_nonzero, u.flat.normalized_entropy},
        {u.per_sequence.min_max_ratio, u.per_sequence.coeff_of_variation, u.per_sequence.fraction_nonzero,
         u.per_sequence.normalized_entropy}};
    static const char *const names[] = {"min_max_ratio", "coeff_of_variation", "fraction_nonzero",
                                        "normalized_entropy"};
    for (size_t k = 0; k < 8; k++) {
      char key[96];
      snprintf(key, sizeof key, "experts_%s%s_layer_%zu", names[k % 4], k < 4 ? "" : "_per_sequence", l);
      const json_t *v = json_object_get(metrics, key);
      assert_true(json_is_number(v));
      near("ours[k / 4][k % 4]", ours[k / 4][k % 4], json_number_value(v), 1e-5);
    }
  }
  sg_recording_close(r);
  golden_remove(other);
  json_decref(o);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(recorded),     cmocka_unit_test(all_distances), cmocka_unit_test(neighbours_table),
      cmocka_unit_test(coactivation), cmocka_unit_test(embedding_cka), cmocka_unit_test(linear_cka),
      cmocka_unit_test(usage),
  };
  return cmocka_run_group_tests_name("circuits", tests, set_up, tear_down);
}
