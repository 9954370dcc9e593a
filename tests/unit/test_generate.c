/* Generation: the cache gives what whole forward passes give, for every kind; sampling keeps
 * exactly the tokens it should. */
#include "support/golden.h"

#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <string.h>

#include "core/arena.h"
#include "model/pass.h"
#include "model/sample.h"
#include "support/prompts.h"
#include "support/small.h"
#include "support/near.h"

enum { PROMPT = 7, LENGTH = 24, STREAMS = 3 };

static void prompt(const sg_model *m, int32_t *ids, size_t n) {
  for (size_t i = 0; i < n; i++) ids[i] = i ? (int32_t)((7 * i * i + 3) % m->config.vocab_size) : m->config.bos_id;
}

static void logits_near(const char *name, size_t at, const float *got, const float *want, size_t V) {
  for (size_t i = 0; i < V; i++)
    if (!(fabsf(got[i] - want[i]) <= 1e-5f))
      fail_msg("%s: position %zu, logit %zu is %.9g, a whole pass gives %.9g", name, at, i, (double)got[i],
               (double)want[i]);
}

static int32_t best(const float *logits, size_t V) {
  size_t b = 0;
  for (size_t i = 1; i < V; i++)
    if (logits[i] > logits[b]) b = i;
  return (int32_t)b;
}

/* A whole forward pass over ids for each new token, against the cache. */
static void greedy_case(const sg_model *m, const char *name, ref_random *r) {
  (void)r;
  size_t V = m->config.vocab_size;
  int32_t ids[LENGTH], next;
  float *want = test_malloc(V * sizeof *want);
  sg_generator *g;
  sgi_pass *p;
  assert_sg_ok(sgi_pass_create(m, 1, LENGTH, false, &p, err));
  assert_sg_ok(sg_generator_create(m, 1, LENGTH, &g, err));
  prompt(m, ids, PROMPT);
  assert_sg_ok(sg_generator_feed(g, ids, PROMPT, err));
  for (size_t n = PROMPT; n < LENGTH; n++) {
    assert_sg_ok(sgi_pass_forward(p, &(sgi_batch){.B = 1, .T = n, .inputs = ids}, NULL, err));
    assert_sg_ok(sgi_pass_logits(p, n - 1, 1, want, err));
    logits_near(name, n, sg_generator_logits(g, 0), want, V);
    assert_sg_ok(sg_generator_choose(g, &(sg_sampling){0}, &next, err));
    if (next != best(want, V)) fail_msg("%s: position %zu: id %d, a whole pass gives %d", name, n, next, best(want, V));
    ids[n] = next;
    assert_sg_ok(sg_generator_step(g, &next, err));
  }
  assert_int_equal(sg_generator_room(g), 0);
  sg_error e = {0};
  assert_int_equal(sg_generator_step(g, &next, &e), SG_ERR_ARG);
  assert_non_null(strstr(e.text, "full"));
  sg_generator_free(g);
  sgi_pass_free(p);
  test_free(want);
}

static void greedy_with_cache_equals_whole_passes(void **state) {
  (void)state;
  each_model(greedy_case);
  each_form(greedy_case);
}

/* Steps try one thread and all of them in turn: no bit may show it, and the caller's choice must
 * stand. */
static void threads_case(const sg_model *m, const char *name, ref_random *r) {
  (void)r;
  enum { STEPS = 60 };
  size_t V = m->config.vocab_size;
  int before = omp_get_max_threads();
  for (size_t streams = 1; streams <= STREAMS; streams += STREAMS - 1) {
    float *want = test_malloc(STEPS * V * sizeof *want);
    for (int threads = 1; threads <= 3; threads++) {
      sg_generator *g;
      int32_t ids[STEPS];
      prompt(m, ids, STEPS);
      omp_set_num_threads(threads);
      assert_sg_ok(sg_generator_create(m, streams, STEPS + 1, &g, err));
      assert_sg_ok(sg_generator_feed(g, ids, 1, err));
      for (size_t i = 0; i + streams <= STEPS; i++) {
        assert_sg_ok(sg_generator_step(g, ids + i, err));
        assert_int_equal(omp_get_max_threads(), threads);
        const float *got = sg_generator_logits(g, streams - 1);
        if (threads == 1)
          memcpy(want + i * V, got, V * sizeof *want);
        else if (memcmp(want + i * V, got, V * sizeof *want) != 0)
          fail_msg("%s: %d threads give other logits than one at step %zu", name, threads, i);
      }
      sg_generator_free(g);
    }
    test_free(want);
  }
  omp_set_num_threads(before);
}

static void same_bits_for_any_number_of_threads(void **state) {
  (void)state;
  each_model(threads_case);
  each_form(threads_case);
}

/* A beginning given in pieces is the beginning given at once. */
static void pieces_case(const sg_model *m, const char *name, ref_random *r) {
  (void)r;
  size_t V = m->config.vocab_size;
  int32_t ids[LENGTH];
  sg_generator *a, *b;
  prompt(m, ids, LENGTH);
  assert_sg_ok(sg_generator_create(m, 1, LENGTH, &a, err));
  assert_sg_ok(sg_generator_create(m, 1, LENGTH, &b, err));
  assert_sg_ok(sg_generator_feed(a, ids, LENGTH, err));
  for (size_t i = 0, n = 1; i<LENGTH; i += n, n = i + 2 * n> LENGTH ? LENGTH - i : 2 * n)
    assert_sg_ok(sg_generator_feed(b, ids + i, n, err));
  assert_int_equal(sg_generator_room(b), 0);
  logits_near(name, LENGTH, sg_generator_logits(b, 0), sg_generator_logits(a, 0), V);
  sg_generator_reset(b);
  assert_null(sg_generator_logits(b, 0));
  assert_sg_ok(sg_generator_feed(b, ids, LENGTH, err));
  assert_memory_equal(sg_generator_logits(b, 0), sg_generator_logits(a, 0), V * sizeof(float));
  sg_generator_free(a);
  sg_generator_free(b);
}

static void pieces_of_a_beginning(void **state) {
  (void)state;
  each_model(pieces_case);
  each_form(pieces_case);
}

/* Streams that part after a common beginning are each what one alone is, to the bit. */
static void streams_case(const sg_model *m, const char *name, ref_random *r) {
  (void)r;
  size_t V = m->config.vocab_size;
  int32_t ids[PROMPT];
  sg_generator *all, *one;
  prompt(m, ids, PROMPT);
  assert_sg_ok(sg_generator_create(m, STREAMS, LENGTH, &all, err));
  assert_sg_ok(sg_generator_create(m, 1, LENGTH, &one, err));
  for (size_t b = 0; b < STREAMS; b++) {
    sg_generator_reset(all);
    sg_generator_reset(one);
    assert_sg_ok(sg_generator_feed(all, ids, PROMPT, err));
    assert_sg_ok(sg_generator_feed(one, ids, PROMPT, err));
    for (size_t n = PROMPT; n < LENGTH; n++) {
      int32_t next[STREAMS];
      for (size_t k = 0; k < STREAMS; k++) next[k] = (int32_t)((n * 5 + 11 * k) % V);
      assert_sg_ok(sg_generator_step(all, next, err));
      assert_sg_ok(sg_generator_step(one, &next[b], err));
      logits_near(name, n, sg_generator_logits(all, b), sg_generator_logits(one, 0), V);
    }
  }
  sg_error e = {0};
  assert_int_equal(sg_generator_feed(all, ids, 1, &e), SG_ERR_ARG);
  sg_generator_free(all);
  sg_generator_free(one);
}

static void streams_part(void **state) {
  (void)state;
  each_model(streams_case);
  each_form(streams_case);
}

/* More than one part of the beginning (256 positions), beyond the model's own context; and no step
 * allocates. */
static void long_beginning(void **state) {
  (void)state;
  enum { N = 600 };
  sg_config c = small_config("sgatlin");
  sg_model *m;
  sg_generator *g;
  sgi_pass *p;
  int32_t ids[N];
  float want[SMALL_V];
  assert_sg_ok(sg_model_create(&c, 3, &m, err));
  prompt(m, ids, N);
  assert_sg_ok(sg_generator_create(m, 2, N + 2, &g, err));
  assert_sg_ok(sgi_pass_create(m, 1, N, false, &p, err));
  size_t before = sgi_alloc_count();
  assert_sg_ok(sg_generator_feed(g, ids, N, err));
  assert_sg_ok(sgi_pass_forward(p, &(sgi_batch){.B = 1, .T = N, .inputs = ids}, NULL, err));
  assert_sg_ok(sgi_pass_logits(p, N - 1, 1, want, err));
  logits_near("sgatlin", N, sg_generator_logits(g, 1), want, SMALL_V);
  int32_t next[2];
  assert_sg_ok(sg_generator_choose(g, &(sg_sampling){.temperature = 1, .top_p = 0.9}, next, err));
  assert_sg_ok(sg_generator_step(g, next, err));
  assert_int_equal(sgi_alloc_count(), before);
  sgi_pass_free(p);
  sg_generator_free(g);
  sg_model_free(m);
}

static void wrong_use(void **state) {
  (void)state;
  sg_config c = small_config("mlp");
  sg_model *m;
  sg_generator *g;
  sg_error e = {0};
  int32_t id = 0, many[SMALL_T + 1] = {0};
  assert_sg_ok(sg_model_create(&c, 3, &m, err));
  assert_int_equal(sg_generator_create(m, 0, 0, &g, &e), SG_ERR_ARG);
  assert_null(g);
  assert_int_equal(sg_generator_create(m, SIZE_MAX / 2, 0, &g, &e), SG_ERR_MEMORY);
  assert_sg_ok(sg_generator_create(m, 1, 0, &g, err));
  assert_int_equal(sg_generator_room(g), SMALL_T);
  assert_null(sg_generator_logits(g, 0));
  assert_int_equal(sg_generator_choose(g, &(sg_sampling){0}, &id, &e), SG_ERR_ARG);
  assert_int_equal(sg_generator_feed(g, many, SMALL_T + 1, &e), SG_ERR_ARG);
  many[3] = SMALL_V;
  assert_int_equal(sg_generator_feed(g, many, 5, &e), SG_ERR_ARG);
  assert_non_null(strstr(e.text, "number 3"));
  many[3] = -1;
  assert_int_equal(sg_generator_feed(g, many, 5, &e), SG_ERR_ARG);
  assert_int_equal(sg_generator_room(g), SMALL_T);
  assert_sg_ok(sg_generator_feed(g, many, 1, err));
  assert_int_equal(sg_generator_choose(g, &(sg_sampling){.temperature = -1}, &id, &e), SG_ERR_ARG);
  assert_int_equal(sg_generator_choose(g, &(sg_sampling){.temperature = (double)NAN}, &id, &e), SG_ERR_ARG);
  assert_int_equal(sg_generator_choose(g, &(sg_sampling){.temperature = 1, .top_p = 1.5}, &id, &e), SG_ERR_ARG);
  assert_int_equal(sg_generator_choose(g, &(sg_sampling){.temperature = 1, .min_p = -0.5}, &id, &e), SG_ERR_ARG);
  sg_generator_free(g);
  /* Every allocation may fail. */
  for (size_t n = 1;; n++) {
    sgi_alloc_fail_at(n, false);
    sg_status st = sg_generator_create(m, 2, 0, &g, &e);
    sgi_alloc_fail_at(0, false);
    if (!st) break;
    assert_int_equal(st, SG_ERR_MEMORY);
    assert_null(g);
    assert_true(n < 20);
  }
  sg_generator_free(g);
  sg_model_free(m);
}

/* ---- sampling -------------------------------------------------------------------------------- */

/* Probabilities 0.05 0.4 0.1 0.05 0.3 0.1. */
static const double SHARES[] = {0.05, 0.4, 0.1, 0.05, 0.3, 0.1};
enum { V = 6 };

static void expect_set(sg_sampling s, const char *ids) {
  float logits[V];
  sgi_candidate out[V];
  char got[V + 1] = {0};
  for (size_t i = 0; i < V; i++) logits[i] = logf((float)SHARES[i]) + 3;
  size_t n = sgi_sample_candidates(&s, logits, V, out);
  for (size_t i = 0; i < n; i++) got[i] = (char)('0' + out[i].id);
  assert_string_equal(got, ids);
}

static void exact_sets(void **state) {
  (void)state;
  expect_set((sg_sampling){.temperature = 1}, "012345");
  expect_set((sg_sampling){.temperature = 1, .top_p = 1}, "012345");
  expect_set((sg_sampling){.temperature = 1, .top_k = 6}, "012345");
  expect_set((sg_sampling){.temperature = 1, .top_k = 1}, "1");
  expect_set((sg_sampling){.temperature = 1, .top_k = 3}, "142"); /* 2 and 5 tie: the smaller id */
  expect_set((sg_sampling){.temperature = 1, .top_k = 5}, "14250");
  expect_set((sg_sampling){.temperature = 1, .top_p = 0.39}, "1");
  expect_set((sg_sampling){.temperature = 1, .top_p = 0.45}, "14");
  expect_set((sg_sampling){.temperature = 1, .top_p = 0.75}, "142");
  expect_set((sg_sampling){.temperature = 1, .top_p = 0.85}, "1425");
  expect_set((sg_sampling){.temperature = 1, .top_p = 1e-9}, "1");
  expect_set((sg_sampling){.temperature = 1, .min_p = 0.2}, "1425");
  expect_set((sg_sampling){.temperature = 1, .min_p = 0.7}, "14");
  expect_set((sg_sampling){.temperature = 1, .min_p = 1}, "1");
  expect_set((sg_sampling){.temperature = 1, .min_p = 0.1}, "142503");
  /* Shares after the ones before: of 1, 4, 2 (0.8) the first two have 0.875. */
  expect_set((sg_sampling){.temperature = 1, .top_k = 3, .top_p = 0.86}, "14");
  expect_set((sg_sampling){.temperature = 1, .top_k = 3, .top_p = 0.9}, "142");
  expect_set((sg_sampling){.temperature = 1, .top_k = 4, .min_p = 0.5}, "14");
  /* Hot, all are alike; cold, one is left: 0.4^5 : 0.3^5 = 1 : 0.24. */
  expect_set((sg_sampling){.temperature = 1000, .min_p = 0.99}, "142503");
  expect_set((sg_sampling){.temperature = 0.2, .min_p = 0.25}, "1");
  expect_set((sg_sampling){.temperature = 0.2, .min_p = 0.2}, "14");
}

static void draws(void **state) {
  (void)state;
  float logits[V];
  sgi_candidate scratch[V];
  for (size_t i = 0; i < V; i++) logits[i] = logf((float)SHARES[i]);
  sg_sampling all = {.temperature = 1}, two = {.temperature = 1, .top_k = 2}, greedy = {0};
  size_t count[V] = {0};
  enum { N = 20000 };
  for (size_t i = 0; i < N; i++) {
    double u = ((double)i + 0.5) / N;
    count[sgi_sample(&all, logits, V, u, scratch)]++;
    int32_t t = sgi_sample(&two, logits, V, u, scratch);
    assert_int_equal(t, u < 4.0 / 7 ? 1 : 4);
    assert_int_equal(sgi_sample(&greedy, logits, V, u, scratch), 1);
  }
  for (size_t i = 0; i < V; i++) near("count[i]", (double)count[i], SHARES[i] * N, 2);
  /* Excluded tokens are never drawn, not even at the end of the range. */
  logits[5] = -INFINITY;
  assert_int_equal(sgi_sample(&all, logits, V, nextafter(1, 0), scratch), 4);
  for (size_t i = 0; i < V; i++) logits[i] = -INFINITY;
  assert_int_equal(sgi_sample(&all, logits, V, 0.5, scratch), -1);
  logits[2] = NAN;
  assert_int_equal(sgi_sample(&all, logits, V, 0.5, scratch), -1);
  assert_int_equal(sgi_sample(&greedy, logits, V, 0.5, scratch), -1);
}

/* A seed fixes every stream's tokens; streams and seeds differ; stream 0 is what one alone
 * draws. */
static void seeds(void **state) {
  (void)state;
  sg_config c = small_config("sgatlin");
  sg_model *m;
  assert_sg_ok(sg_model_create(&c, 3, &m, err));
  int32_t got[4][STREAMS][SMALL_T], next[STREAMS];
  for (size_t run = 0; run < 4; run++) {
    size_t streams = run == 3 ? 1 : STREAMS;
    sg_generator *g;
    sg_sampling s = {.temperature = 1, .top_p = 0.95, .seed = run == 2 ? 8 : 7};
    assert_sg_ok(sg_generator_create(m, streams, 0, &g, err));
    assert_sg_ok(sg_generator_feed(g, &c.bos_id, 1, err));
    for (size_t t = 0; sg_generator_room(g); t++) {
      assert_sg_ok(sg_generator_choose(g, &s, next, err));
      assert_sg_ok(sg_generator_choose(g, &s, next, err)); /* asking changes nothing */
      for (size_t b = 0; b < streams; b++) got[run][b][t] = next[b];
      assert_sg_ok(sg_generator_step(g, next, err));
    }
    sg_generator_free(g);
  }
  size_t bytes = (SMALL_T - 1) * sizeof(int32_t);
  for (size_t b = 0; b < STREAMS; b++) {
    assert_memory_equal(got[0][b], got[1][b], bytes);
    assert_memory_not_equal(got[0][b], got[2][b], bytes);
  }
  assert_memory_not_equal(got[0][0], got[0][1], bytes);
  assert_memory_equal(got[0][0], got[3][0], bytes);
  sg_model_free(m);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(greedy_with_cache_equals_whole_passes),
      cmocka_unit_test(same_bits_for_any_number_of_threads),
      cmocka_unit_test(pieces_of_a_beginning),
      cmocka_unit_test(streams_part),
      cmocka_unit_test(long_beginning),
      cmocka_unit_test(wrong_use),
      cmocka_unit_test(exact_sets),
      cmocka_unit_test(draws),
      cmocka_unit_test(seeds),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
