/* Searches in recordings against brute force on random circuits with many ties, and recordings that
 * are damaged. */
#include "support/golden.h"

#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "read/coactivation.h"
#include "support/recorded.h"
#include "support/near.h"

enum { C = 3, K = 4, F = 29, DOCUMENTS = 12, LENGTH = 40, N = DOCUMENTS * LENGTH };

/* Cosine distance from the definition: dense vectors of all coordinates. */
static double distance(const sgi_recording *r, size_t a, size_t b, size_t channel) {
  double x[C * F] = {0}, y[C * F] = {0}, dot = 0, xx = 0, yy = 0;
  int32_t index[C * K];
  float score[C * K];
  for (int side = 0; side < 2; side++) {
    sgi_recording_circuit(r, 0, side ? b : a, index, score);
    for (size_t i = 0; i < C * K; i++)
      if (channel == SGI_ALL_CHANNELS || i / K == channel)
        (side ? y : x)[i / K * F + (size_t)index[i]] = (double)score[i];
  }
  for (size_t i = 0; i < C * F; i++) dot += x[i] * y[i], xx += x[i] * x[i], yy += y[i] * y[i];
  return xx > 0 && yy > 0 ? 1 - dot / sqrt(xx * yy) : 1;
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void check_query(const sgi_recording *r, sgi_search *s, size_t channel, size_t query, size_t n) {
  double all[N];
  sgi_neighbor list[64];
  size_t found, used = 0;
  bool seen[N] = {0};
  for (size_t p = 0; p < N; p++)
    if (p != query) all[used++] = distance(r, query, p, channel);
  qsort(all, used, sizeof *all, ascending);
  assert_sg_ok(sgi_search_nearest(s, query, n, list, &found, err));
  assert_int_equal(found, n);
  for (size_t i = 0; i < n; i++) {
    near("list[i].distance", list[i].distance, all[i], 1e-12);
    near("list[i].distance", list[i].distance, distance(r, query, list[i].position, channel), 1e-12);
    assert_true(list[i].position != query && !seen[list[i].position]);
    seen[list[i].position] = true;
    if (i)
      assert_true(list[i].distance > list[i - 1].distance ||
                  (list[i].distance == list[i - 1].distance && list[i].position > list[i - 1].position));
  }
}

static void nearest_by_brute_force(void **state) {
  (void)state;
  for (uint64_t seed = 0; seed < 3; seed++) {
    char *directory = golden_temporary();
    sgi_recording *r = recorded_random(directory, DOCUMENTS, LENGTH, C, K, F, seed);
    const size_t channels[] = {0, 2, SGI_ALL_CHANNELS};
    for (size_t c = 0; c < SGI_COUNT(channels); c++) {
      sgi_search *s;
      assert_sg_ok(sgi_search_create(r, 0, channels[c], -1, &s, err));
      for (size_t q = 0; q < N; q += 37) check_query(r, s, channels[c], q, 1 + q % 50);
      sgi_search_free(s);
    }
    sg_recording_close(r);
    golden_remove(directory);
  }
}

/* A circuit from elsewhere: sought by the definition, and among some positions alone. A recorded
 * one finds itself at exactly 0. */
static void circuits_from_elsewhere(void **state) {
  (void)state;
  char *directory = golden_temporary(), *other = golden_temporary();
  sgi_recording *r = recorded_random(directory, DOCUMENTS, LENGTH, C, K, F, 11),
                *foreign = recorded_random(other, 2, 8, C, K, F, 12);
  const size_t channels[] = {1, SGI_ALL_CHANNELS};
  int32_t index[C * K], at[C * K];
  float score[C * K], s[C * K];
  for (size_t c = 0; c < 2; c++) {
    sgi_search *x;
    sgi_neighbor list[N], few[N];
    size_t found;
    assert_sg_ok(sgi_search_create(r, 0, channels[c], -1, &x, err));
    for (size_t q = 0; q < 16; q++) {
      double all[N];
      sgi_recording_circuit(foreign, 0, q, index, score);
      for (size_t p = 0; p < N; p++) {
        double u[C * F] = {0}, v[C * F] = {0}, dot = 0, uu = 0, vv = 0;
        sgi_recording_circuit(r, 0, p, at, s);
        for (size_t i = 0; i < C * K; i++)
          if (channels[c] == SGI_ALL_CHANNELS || i / K == channels[c]) {
            u[i / K * F + (size_t)index[i]] = (double)score[i];
            v[i / K * F + (size_t)at[i]] = (double)s[i];
          }
        for (size_t i = 0; i < C * F; i++) dot += u[i] * v[i], uu += u[i] * u[i], vv += v[i] * v[i];
        all[p] = uu > 0 && vv > 0 ? 1 - dot / sqrt(uu * vv) : 1;
      }
      assert_sg_ok(sgi_search_nearest_to(x, index, score, N, list, &found, err));
      assert_int_equal(found, N);
      for (size_t i = 0; i < N; i++) {
        near("list[i].distance", list[i].distance, all[list[i].position], 1e-12);
        if (i) assert_true(list[i].distance >= list[i - 1].distance);
      }
    }
    sgi_recording_circuit(r, 0, 77, index, score);
    assert_sg_ok(sgi_search_nearest_to(x, index, score, 5, list, &found, err));
    assert_true(list[0].distance == 0);
    assert_sg_ok(sgi_search_nearest(x, 77, N - 1, few, &found, err));
    assert_sg_ok(sgi_search_nearest_to(x, index, score, N, list, &found, err));
    for (size_t i = 0, k = 0; i < N; i++) {
      if (list[i].position == 77) continue;
      assert_memory_equal(&list[i], &few[k], sizeof few[k]);
      k++;
    }
    const uint32_t some[] = {3, 400, 20, 77};
    assert_sg_ok(sgi_search_among(x, some, 4, err));
    assert_sg_ok(sgi_search_nearest_to(x, index, score, 10, list, &found, err));
    assert_int_equal(found, 4);
    assert_true(list[0].position == 77 || list[0].distance == 0);
    for (size_t i = 0; i < 4; i++)
      assert_true(list[i].position == 3 || list[i].position == 400 || list[i].position == 20 || list[i].position == 77);
    index[2] = F;
    assert_int_equal(sgi_search_nearest_to(x, index, score, 5, list, &found, NULL), SG_ERR_ARG);
    index[2] = -1;
    assert_int_equal(sgi_search_nearest_to(x, index, score, 5, list, &found, NULL), SG_ERR_ARG);
    sgi_search_free(x);
  }
  sg_recording_close(r);
  sg_recording_close(foreign);
  golden_remove(directory);
  golden_remove(other);
}

/* More positions than one thread takes: every number of threads gives the same list. */
static void threads_agree(void **state) {
  (void)state;
  char *directory = golden_temporary();
  sgi_recording *r = recorded_random(directory, 150, 80, 2, 2, 16, 5);
  sgi_neighbor list[3][200];
  int before = omp_get_max_threads();
  for (int t = 0; t < 3; t++) {
    sgi_search *s;
    size_t found;
    omp_set_num_threads(t + 1);
    assert_sg_ok(sgi_search_create(r, 0, SGI_ALL_CHANNELS, -1, &s, err));
    memset(list[t], 0, sizeof list[t]);
    assert_sg_ok(sgi_search_nearest(s, 7777, 200, list[t], &found, err));
    sgi_search_free(s);
  }
  omp_set_num_threads(before);
  assert_memory_equal(list[0], list[1], sizeof list[0]);
  assert_memory_equal(list[0], list[2], sizeof list[0]);
  sg_recording_close(r);
  golden_remove(directory);
}

static bool fires(const sgi_recording *r, size_t p, sgi_neuron u) {
  int32_t index[C * K];
  bool yes = false;
  sgi_recording_circuit(r, 0, p, index, NULL);
  for (size_t k = 0; k < K; k++) yes |= index[u.channel * K + k] == (int32_t)u.neuron;
  return yes;
}

static void together_by_brute_force(void **state) {
  (void)state;
  char *directory = golden_temporary();
  sgi_recording *r = recorded_random(directory, DOCUMENTS, LENGTH, C, K, F, 9);
  const sgi_neuron sets[][3] = {{{0, 0}, {0, 1}, {2, 0}}, {{1, 3}, {1, 0}, {0, 2}}, {{0, 28}, {1, 28}, {2, 28}}};
  for (size_t i = 0; i < SGI_COUNT(sets); i++)
    for (size_t n = 1; n <= 3; n++) {
      sgi_together t;
      size_t at = 0, single[3] = {0};
      double expected = N;
      assert_sg_ok(sgi_fire_together(r, 0, sets[i], n, &t, err));
      for (size_t p = 0; p < N; p++) {
        bool all = true;
        for (size_t k = 0; k < n; k++) {
          bool f = fires(r, p, sets[i][k]);
          single[k] += f;
          all &= f;
        }
        if (all) {
          assert_true(at < t.count);
          assert_int_equal(t.position[at], p);
          at++;
        }
      }
      assert_int_equal(at, t.count);
      for (size_t k = 0; k < n; k++) expected *= (double)single[k] / N;
      near("t.expected", t.expected, expected, 1e-9);
      sgi_free(t.position);
    }
  sgi_neuron outside = {C, 0};
  sgi_together t;
  assert_int_equal(sgi_fire_together(r, 0, &outside, 1, &t, NULL), SG_ERR_ARG);
  sg_recording_close(r);
  golden_remove(directory);
}

/* Sets: every number again from its definition, and none that is due is missing: no unused strong
 * pair is left. */
static void groups_by_definition(void **state) {
  (void)state;
  char *directory = golden_temporary();
  sgi_recording *r = recorded_random(directory, DOCUMENTS, LENGTH, C, K, F, 11);
  sgi_group_request q = {
      .channel = SGI_ALL_CHANNELS, .min_count = 5, .min_lift = 1.2, .max_size = 4, .max_groups = 100};
  sgi_group g[100];
  size_t found;
  bool used[C * F] = {0};
  assert_sg_ok(sgi_coactivation_groups(r, &q, NULL, NULL, g, &found, err));
  assert_true(found > 0);
  for (size_t i = 0; i < found; i++) {
    size_t joint = 0;
    assert_true(g[i].size >= 2 && g[i].size <= 4);
    for (size_t p = 0; p < N; p++) {
      bool all = true;
      for (size_t k = 0; k < g[i].size; k++) all &= fires(r, p, g[i].units[k]);
      joint += all;
    }
    assert_int_equal(joint, g[i].count);
    assert_true(joint >= q.min_count);
    double weakest = INFINITY;
    for (size_t a = 0; a < g[i].size; a++) {
      size_t unit = g[i].units[a].channel * F + g[i].units[a].neuron;
      assert_false(used[unit]);
      used[unit] = true;
      for (size_t b = a + 1; b < g[i].size; b++) {
        sgi_together t;
        assert_sg_ok(sgi_fire_together(r, 0, (sgi_neuron[]){g[i].units[a], g[i].units[b]}, 2, &t, err));
        assert_true(t.count >= q.min_count && t.lift >= q.min_lift - 1e-6);
        weakest = fmin(weakest, t.lift);
        sgi_free(t.position);
      }
    }
    near("g[i].weakest_pair / weakest", g[i].weakest_pair / weakest, 1, 1e-6);
  }
  for (size_t a = 0; a < C * F; a++)
    for (size_t b = a + 1; b < C * F; b++) {
      sgi_together t;
      assert_sg_ok(sgi_fire_together(r, 0, (sgi_neuron[]){{a / F, a % F}, {b / F, b % F}}, 2, &t, err));
      assert_false(!used[a] && !used[b] && t.count >= q.min_count && t.lift >= q.min_lift + 1e-6);
      sgi_free(t.position);
    }
  sg_recording_close(r);
  golden_remove(directory);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(nearest_by_brute_force), cmocka_unit_test(circuits_from_elsewhere),
      cmocka_unit_test(threads_agree),          cmocka_unit_test(together_by_brute_force),
      cmocka_unit_test(groups_by_definition),
  };
  return cmocka_run_group_tests_name("neighbors", tests, NULL, NULL);
}
