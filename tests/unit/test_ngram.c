/* Unigram and trigram baselines: a model by hand, probabilities that sum to 1, text, limits. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/arena.h"
#include "read/ngram.h"

enum { MB = 1 << 20 };

static sgi_ngram *model_of(size_t vocab, size_t bytes) {
  sgi_ngram *m = NULL;
  assert_int_equal(sgi_ngram_create(vocab, 0, bytes, &m, NULL), SG_OK);
  return m;
}

static void near(double a, double b) {
  if (!(fabs(a - b) <= 1e-12)) fail_msg("%.17g, expected %.17g", a, b);
}

/* Document 1 2 1 2 over ids 0 (bos), 1, 2. Trigrams 001 012 121 212, once each: D3 = 4/4, cut to
 * 0.95. Bigrams 01 (after one id), 12 (after 0 and 2), 21 (after one): D2 = 2 / (2 + 2). Words: 1
 * after 0 and 2, 2 after 1: D1 = 1 / (1 + 2). */
static void by_hand(void **state) {
  (void)state;
  sgi_ngram *m = model_of(3, MB);
  const int32_t d[] = {1, 2, 1, 2};
  assert_int_equal(sgi_ngram_add(m, d, 4, NULL), SG_OK);
  assert_int_equal(sgi_ngram_finish(m, NULL), SG_OK);
  assert_int_equal(sgi_ngram_tokens(m), 4);
  assert_int_equal(sgi_ngram_trigrams(m), 4);
  near(sgi_ngram_unigram(m, 0), 1.0 / 7);
  near(sgi_ngram_unigram(m, 1), 3.0 / 7);
  const double p1[] = {2.0 / 27, (2 - 1.0 / 3) / 3 + 2.0 / 27, (1 - 1.0 / 3) / 3 + 2.0 / 27};
  const double p2 = (2 - 0.5) / 2 + 0.5 / 2 * p1[2]; /* of 2 after 1 */
  near(sgi_ngram_trigram(m, 2, 1, 2), 0.05 + 0.95 * p2);
  near(sgi_ngram_trigram(m, 1, 1, 2), p2);                  /* context never seen */
  near(sgi_ngram_trigram(m, 2, 1, 1), 0.95 * 0.25 * p1[1]); /* trigram never seen */
  sgi_ngram_score s = {0};
  assert_int_equal(sgi_ngram_nll(m, d, 2, &s, NULL), SG_OK);
  assert_int_equal(s.tokens, 2);
  near(s.unigram, -2 * log(3.0 / 7));
  near(s.trigram, -log(sgi_ngram_trigram(m, 0, 0, 1)) - log(sgi_ngram_trigram(m, 0, 1, 2)));
  sgi_ngram_free(m);
}

static uint32_t next(uint32_t *x) { return (*x = *x * 1664525u + 1013904223u) >> 8; }

/* Skewed ids, so that contexts of all kinds occur: frequent, rare, never seen. */
static void probabilities_sum_to_one(void **state) {
  (void)state;
  enum { V = 60 };
  for (size_t bytes = 1; bytes <= 64 * MB; bytes *= 64 * MB) { /* also with tables that may not grow */
    sgi_ngram *m = model_of(V, bytes);
    uint32_t x = 7;
    for (int d = 0; d < 200; d++) {
      int32_t doc[100];
      for (int i = 0; i < 100; i++) {
        double r = (double)(next(&x) % 10000) / 10000;
        doc[i] = (int32_t)((V - 3) * r * r * r);
      }
      assert_int_equal(sgi_ngram_add(m, doc, 100, NULL), SG_OK);
    }
    assert_int_equal(sgi_ngram_finish(m, NULL), SG_OK);
    assert_true(bytes == 1 ? sgi_ngram_dropped(m) > 0 : sgi_ngram_dropped(m) == 0);
    double alone = 0;
    for (int32_t w = 0; w < V; w++) alone += sgi_ngram_unigram(m, w);
    near(alone, 1);
    for (int32_t u = 0; u < V; u++)
      for (int32_t v = 0; v < V; v++) {
        double sum = 0;
        for (int32_t w = 0; w < V; w++) {
          double p = sgi_ngram_trigram(m, u, v, w);
          assert_true(p > 0 && p < 1);
          sum += p;
        }
        near(sum, 1);
      }
    sgi_ngram_free(m);
  }
}

/* Bytes of real stories, every fourth line kept out: the trigram model must be far better than the
 * unigram one. */
static void text_prefers_trigrams(void **state) {
  (void)state;
  FILE *f = fopen("tests/golden/bpe/stories.txt", "rb");
  assert_non_null(f);
  sgi_ngram *m = model_of(256, 64 * MB);
  for (int pass = 0; pass < 2; pass++) {
    char line[8192];
    int32_t ids[sizeof line];
    sgi_ngram_score s = {0};
    rewind(f);
    for (int i = 0; fgets(line, sizeof line, f); i++) {
      size_t n = strlen(line);
      for (size_t k = 0; k < n; k++) ids[k] = (unsigned char)line[k];
      if (pass == 0 && i % 4) assert_int_equal(sgi_ngram_add(m, ids, n, NULL), SG_OK);
      if (pass == 1 && i % 4 == 0) assert_int_equal(sgi_ngram_nll(m, ids, n, &s, NULL), SG_OK);
    }
    if (pass == 0) {
      assert_int_equal(sgi_ngram_finish(m, NULL), SG_OK);
    } else {
      double N = (double)s.tokens;
      print_message("%.0f bytes kept out: unigram %.3f, trigram %.3f nats a byte\n", N, s.unigram / N, s.trigram / N);
      assert_true(s.tokens > 1000 && s.trigram < 0.75 * s.unigram);
    }
  }
  fclose(f);
  sgi_ngram_free(m);
}

static void limits(void **state) {
  (void)state;
  sg_error err = {0};
  sgi_ngram *m = NULL;
  sgi_ngram_score s = {0};
  assert_int_equal(sgi_ngram_create(0, 0, MB, &m, &err), SG_ERR_ARG);
  assert_int_equal(sgi_ngram_create(SIZE_MAX, 0, MB, &m, &err), SG_ERR_ARG);
  assert_int_equal(sgi_ngram_create(10, 10, MB, &m, &err), SG_ERR_ARG);
  assert_int_equal(sgi_ngram_create(10, -1, MB, &m, &err), SG_ERR_ARG);
  m = model_of(SGI_NGRAM_MAX_VOCAB, 1);
  const int32_t last = SGI_NGRAM_MAX_VOCAB - 1, wide[] = {last, last, last, 0, last}, bad[] = {1, SGI_NGRAM_MAX_VOCAB},
                below[] = {-1};
  assert_int_equal(sgi_ngram_finish(m, &err), SG_ERR_ARG);
  assert_int_equal(sgi_ngram_nll(m, wide, 3, &s, &err), SG_ERR_INTERNAL);
  assert_int_equal(sgi_ngram_add(m, bad, 2, &err), SG_ERR_ARG);
  assert_int_equal(sgi_ngram_add(m, below, 1, &err), SG_ERR_ARG);
  assert_int_equal(sgi_ngram_tokens(m), 0);
  assert_int_equal(sgi_ngram_add(m, NULL, 0, &err), SG_OK);
  assert_int_equal(sgi_ngram_add(m, wide, 5, &err), SG_OK);
  assert_int_equal(sgi_ngram_trigrams(m), 5);
  assert_int_equal(sgi_ngram_finish(m, &err), SG_OK);
  assert_int_equal(sgi_ngram_nll(m, bad, 2, &s, &err), SG_ERR_ARG);
  sgi_ngram_free(m);
  sgi_ngram_free(NULL);
}

/* Every allocation fails once: a status, nothing lost. */
static void memory_runs_out(void **state) {
  (void)state;
  int32_t doc[6000];
  for (int i = 0; i < 6000; i++) doc[i] = (i * i * 31 + i / 7) % 997;
  for (size_t n = 1;; n++) {
    sg_error err = {0};
    sgi_ngram *m = NULL;
    sgi_alloc_fail_at(n, false);
    sg_status st = sgi_ngram_create(997, 0, 64 * MB, &m, &err);
    if (!st) st = sgi_ngram_add(m, doc, 6000, &err);
    sgi_alloc_fail_at(0, false);
    sgi_ngram_free(m);
    if (!st) {
      assert_true(n > 6); /* four to create, both tables grew */
      return;
    }
    assert_int_equal(st, SG_ERR_MEMORY);
    assert_true(err.text[0]);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(by_hand), cmocka_unit_test(probabilities_sum_to_one), cmocka_unit_test(text_prefers_trigrams),
      cmocka_unit_test(limits),  cmocka_unit_test(memory_runs_out),
  };
  return cmocka_run_group_tests_name("ngram", tests, NULL, NULL);
}
