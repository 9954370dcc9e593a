/* The largest clique against all subsets of random graphs, planted ones in larger graphs, and the
 * bound. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/arena.h"
#include "core/rng.h"
#include "read/clique.h"

static uint64_t *random_graph(size_t n, double density, sgi_rng *r) {
  uint64_t *g = sgi_alloc(n * sgi_clique_words(n) * sizeof *g);
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < i; j++)
      if (sgi_rng_uniform(r) < density) sgi_clique_join(g, n, i, j);
  return g;
}

static bool is_clique(const uint64_t *g, size_t n, const size_t *v, size_t size) {
  for (size_t i = 0; i < size; i++)
    for (size_t j = 0; j < i; j++)
      if (v[j] >= v[i] || !sgi_clique_bit(g + v[i] * sgi_clique_words(n), v[j])) return false;
  return true;
}

/* n <= 16 */
static size_t brute_force(const uint64_t *g, size_t n) {
  size_t best = 0;
  for (uint32_t set = 0; set < (uint32_t)1 << n; set++) {
    size_t size = (size_t)__builtin_popcount(set);
    bool all = size > best;
    for (size_t i = 0; i < n && all; i++)
      if (set >> i & 1) all = (set & ~((uint32_t)g[i] | (uint32_t)1 << i)) == 0;
    if (all) best = size;
  }
  return best;
}

static void random_graphs(void **state) {
  (void)state;
  sgi_rng r = sgi_rng_make(1, SGI_STREAM_SAMPLE, 0);
  size_t chosen[16], size;
  for (int round = 0; round < 400; round++) {
    size_t n = 1 + sgi_rng_below(&r, 14);
    uint64_t *g = random_graph(n, sgi_rng_uniform(&r), &r);
    bool proven;
    assert_int_equal(sgi_clique(n, g, 0, chosen, &size, &proven, NULL), SG_OK);
    assert_true(proven);
    assert_true(is_clique(g, n, chosen, size));
    assert_int_equal(size, brute_force(g, n));
    sgi_free(g);
  }
}

/* Across word boundaries: a clique of 20 planted into 150 vertices of density 0.3, whose own
 * cliques are below 12. */
static void planted(void **state) {
  (void)state;
  enum { N = 150, SIZE = 20 };
  sgi_rng r = sgi_rng_make(2, SGI_STREAM_SAMPLE, 0);
  uint64_t *g = random_graph(N, 0.3, &r);
  size_t member[SIZE], chosen[N], size;
  for (size_t i = 0; i < SIZE; i++) member[i] = i * 7 + 3;
  for (size_t i = 0; i < SIZE; i++)
    for (size_t j = 0; j < i; j++) sgi_clique_join(g, N, member[i], member[j]);
  bool proven;
  assert_int_equal(sgi_clique(N, g, 0, chosen, &size, &proven, NULL), SG_OK);
  assert_true(proven);
  assert_int_equal(size, SIZE);
  for (size_t i = 0; i < SIZE; i++) assert_int_equal(chosen[i], member[i]);
  sgi_free(g);
}

static void edges(void **state) {
  (void)state;
  size_t chosen[130], size = 9;
  bool proven = false;
  assert_int_equal(sgi_clique(0, NULL, 0, chosen, &size, &proven, NULL), SG_OK);
  assert_int_equal(size, 0);
  assert_true(proven);
  sgi_rng r = sgi_rng_make(3, SGI_STREAM_SAMPLE, 0);
  uint64_t *none = random_graph(130, 0, &r), *all = random_graph(130, 1, &r);
  assert_int_equal(sgi_clique(130, none, 0, chosen, &size, &proven, NULL), SG_OK);
  assert_int_equal(size, 1);
  assert_int_equal(sgi_clique(130, all, 0, chosen, &size, &proven, NULL), SG_OK);
  assert_int_equal(size, 130);
  sgi_free(none);
  sgi_free(all);
  sg_error err;
  assert_int_equal(sgi_clique(SGI_CLIQUE_MAX + 1, NULL, 0, chosen, &size, &proven, &err), SG_ERR_ARG);
}

/* The search of a hard graph ends at the bound, says so, gives a clique all the same, and the same
 * one again. */
static void bounded(void **state) {
  (void)state;
  enum { N = 400 };
  sgi_rng r = sgi_rng_make(4, SGI_STREAM_SAMPLE, 0);
  uint64_t *g = random_graph(N, 0.9, &r);
  size_t chosen[N], again[N], size, size_again;
  bool proven = true;
  assert_int_equal(sgi_clique(N, g, 200000, chosen, &size, &proven, NULL), SG_OK);
  assert_false(proven);
  assert_true(size > 10);
  assert_true(is_clique(g, N, chosen, size));
  assert_int_equal(sgi_clique(N, g, 200000, again, &size_again, &proven, NULL), SG_OK);
  assert_int_equal(size, size_again);
  assert_memory_equal(chosen, again, size * sizeof *chosen);
  assert_int_equal(sgi_clique(N, g, 1, chosen, &size, &proven, NULL), SG_OK);
  assert_true(size > 1 && !proven && is_clique(g, N, chosen, size));
  sgi_free(g);
}

static void no_memory(void **state) {
  (void)state;
  sgi_rng r = sgi_rng_make(5, SGI_STREAM_SAMPLE, 0);
  uint64_t *g = random_graph(40, 0.5, &r);
  size_t chosen[40], size, n;
  bool proven;
  for (n = 1;; n++) {
    sgi_alloc_fail_at(n, false);
    sg_status st = sgi_clique(40, g, 0, chosen, &size, &proven, NULL);
    sgi_alloc_fail_at(0, false);
    if (!st) break;
    assert_int_equal(st, SG_ERR_MEMORY);
  }
  assert_true(n > 3);
  sgi_free(g);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(random_graphs), cmocka_unit_test(planted),
                                     cmocka_unit_test(edges), cmocka_unit_test(bounded), cmocka_unit_test(no_memory)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
