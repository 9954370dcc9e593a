/* Separation of topics against vectors: tests/golden/experts/topic. */
#include "support/golden.h"
#include "support/near.h"

#include <math.h>
#include <stdlib.h>

#include "core/json.h"
#include "read/separation.h"
#include "ref/ref.h"

static const double BOUND = 1e-9; /* recommended with the vectors */

typedef struct vectors {
  json_t *o;
  sgi_choices c;
  uint64_t *count;
  int32_t *topic;
} vectors;

static const json_t *list_of(const json_t *o, const char *key) {
  const json_t *v = json_object_get(o, key);
  assert_true(json_is_array(v));
  return v;
}

static double real_of(const json_t *o, const char *key) {
  assert_true(json_is_number(json_object_get(o, key)));
  return json_number_value(json_object_get(o, key));
}

static vectors read_vectors(void) {
  vectors v = {0};
  assert_sg_ok(sgi_json_load("tests/golden/experts/topic/topic.json", &v.o, err));
  const json_t *topics = list_of(v.o, "topics"), *counts = list_of(v.o, "counts");
  size_t n = json_array_size(topics), M = json_array_size(json_array_get(counts, 0)), K = 0;
  v.count = calloc(n * M, sizeof *v.count);
  v.topic = calloc(n, sizeof *v.topic);
  assert_true(v.count && v.topic);
  for (size_t i = 0; i < n; i++) {
    v.topic[i] = (int32_t)json_integer_value(json_array_get(topics, i));
    if ((size_t)v.topic[i] >= K) K = (size_t)v.topic[i] + 1;
    for (size_t e = 0; e < M; e++)
      v.count[i * M + e] = (uint64_t)json_integer_value(json_array_get(json_array_get(counts, i), e));
  }
  v.c = (sgi_choices){.documents = n, .choices = M, .topics = K, .count = v.count, .topic = v.topic};
  return v;
}

static void of_the_vectors(void **state) {
  (void)state;
  vectors v = read_vectors();
  size_t n = v.c.documents;
  double room[256], mean[2] = {0};
  const json_t *orders = list_of(v.o, "permutations");
  int32_t *order = calloc(n, sizeof *order);
  assert_true(order && (v.c.topics + 1) * (v.c.choices + 1) <= 256);
  near("mi over tokens", sgi_separation_bits(&v.c, NULL, false, room), real_of(v.o, "mi_tokens"), BOUND);
  near("mi over documents", sgi_separation_bits(&v.c, NULL, true, room), real_of(v.o, "mi_documents"), BOUND);
  for (size_t k = 0; k < json_array_size(orders); k++) {
    for (size_t i = 0; i < n; i++) order[i] = (int32_t)json_integer_value(json_array_get(json_array_get(orders, k), i));
    for (int by = 0; by < 2; by++) {
      double bits = sgi_separation_bits(&v.c, order, by, room);
      const json_t *want = list_of(v.o, by ? "null_documents" : "null_tokens");
      near("null", bits, json_number_value(json_array_get(want, k)), BOUND);
      mean[by] += bits / (double)json_array_size(orders);
    }
  }
  for (int by = 0; by < 2; by++) {
    sgi_separation s;
    sgi_separation_measure(&v.c, by, 20, 1, order, room, &s);
    near("entropy", s.entropy, real_of(v.o, by ? "topic_entropy_documents" : "topic_entropy_tokens"), BOUND);
    near("separation", (s.mi - mean[by]) / s.entropy, real_of(v.o, by ? "separation_documents" : "separation_tokens"),
         BOUND);
    near("separation of its own permutations", s.separation, (s.mi - s.null) / s.entropy, BOUND);
    if (by) near("purity", s.purity, real_of(v.o, "purity_documents"), BOUND);
    assert_true(s.p >= 1.0 / 21 && s.p <= 1 && s.null > 0 && s.null < s.mi);
  }
  free(order), free(v.count), free(v.topic);
  json_decref(v.o);
}

/* Choices that do not know the topics: p is even, and separation lies around 0. */
static void under_the_null(void **state) {
  (void)state;
  enum { N = 60, M = 3, K = 4, TRIALS = 400, PERMUTATIONS = 19 };
  uint64_t count[N * M];
  int32_t topic[N], order[N];
  double room[(K + 1) * (M + 1)], mean = 0;
  size_t below[4] = {0};
  ref_random r = {.state = 8};
  for (size_t k = 0; k < TRIALS; k++) {
    for (size_t i = 0; i < N; i++) topic[i] = (int32_t)ref_below(&r, K);
    for (size_t i = 0; i < N * M; i++) count[i] = ref_below(&r, 50);
    sgi_separation s;
    sgi_separation_measure(&(sgi_choices){N, M, K, count, topic}, true, PERMUTATIONS, k, order, room, &s);
    mean += s.separation / TRIALS;
    for (size_t q = 0; q < 4; q++) below[q] += s.p <= 0.25 * (double)(q + 1) + 1e-9;
  }
  for (size_t q = 0; q < 4; q++) { /* four standard deviations of a binomial */
    double p = 0.25 * (double)(q + 1), sd = sqrt(p * (1 - p) / TRIALS);
    if (!(fabs((double)below[q] / TRIALS - p) <= 4 * sd + 1e-9))
      fail_msg("p lies below %g in %g of the trials", p, (double)below[q] / TRIALS);
  }
  assert_true(fabs(mean) < 0.01);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(of_the_vectors), cmocka_unit_test(under_the_null)};
  return cmocka_run_group_tests_name("topics", tests, NULL, NULL);
}
