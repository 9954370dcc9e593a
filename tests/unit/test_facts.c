/* Mining by words, lists, the largest set without a shared answer against all subsets, facts as
 * JSON. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/arena.h"
#include "core/file.h"
#include "core/rng.h"
#include "read/facts.h"
#include "support/golden.h"
#include "support/near.h"

static sg_facts *mined(const char *text) {
  sg_facts *f;
  assert_sg_ok(sg_facts_create("The ", " was", &f, err));
  assert_sg_ok(sg_facts_mine(f, text, strlen(text), err));
  assert_sg_ok(sg_facts_list(f, 1, err));
  return f;
}

/* All lists as "noun:answer=count answer=count;noun:...". */
static void shows(const char *text, const char *expected) {
  sg_facts *f = mined(text);
  char all[512] = "";
  for (size_t i = 0; i < sg_facts_count(f); i++) {
    sprintf(all + strlen(all), "%s%s:", i ? ";" : "", sg_facts_noun(f, i).text);
    for (size_t k = 0; k < sg_facts_noun(f, i).count; k++)
      sprintf(all + strlen(all), "%s%s=%zu", k ? " " : "", sg_facts_answer(f, i, k).text,
              sg_facts_answer(f, i, k).count);
  }
  sg_facts_free(f);
  assert_string_equal(all, expected);
}

static void pattern(void **state) {
  (void)state;
  shows("The dog was happy.", "dog:happy=1");
  shows("the DOG Was hAPPY!", "dog:happy=1");
  shows("The  dog\nwas\thappy", "dog:happy=1");
  shows("\"The dog was happy,\" she said. (The cat was old)", "dog:happy=1;cat:old=1");
  shows("She said the soup was hot. The soup was hot; the soup was ready.", "soup:hot=2 ready=1");
  shows("The dog was very happy. The dog was not happy. The dog was the best.", "");
  shows("A dog was happy. The big dog was happy. Was the dog happy? The dogs were happy.", "");
  shows("The dog's tail was long. The ice-cream was cold. The dog was 3. The x was y.", "");
  shows("The dog was\n\nhappy. The dog. was happy. The dog, was happy.", "");
  shows("The dog was half-happy. The dog was happy2.", "");
  shows("Other dog was happy. Bathe dog was happy.", "");
  shows("The \xC3\x89T\xC3\x89 was b\xC3\xBBlant.", "\xC3\xA9t\xC3\xA9:b\xC3\xBBlant=1");
  shows("The d\xFFog was happy. The dog was\xFF happy.", "");
  shows("", "");
  char length[200] = "The ";
  memset(length + 4, 'a', 100);
  strcpy(length + 104, " was happy. The dog was wet.");
  shows(length, "dog:wet=1");
}

static void order(void **state) {
  (void)state;
  shows("The a1 was b. The tree was big. The dog was big. The tree was tall. The tree was tall. The dog was wet.",
        "tree:tall=2 big=1;dog:big=1 wet=1");
  sg_facts *f = mined("The tree was big. The dog was wet. The dog was wet. The tree was old. The tree was old.");
  assert_sg_ok(sg_facts_list(f, 2, err));
  assert_int_equal(sg_facts_count(f), 2);
  assert_string_equal(sg_facts_noun(f, 0).text, "tree");
  assert_int_equal(sg_facts_noun(f, 0).count, 1);
  assert_sg_ok(sg_facts_list(f, 3, err));
  assert_int_equal(sg_facts_count(f), 0);
  assert_null(sg_facts_noun(f, 0).text);
  assert_null(sg_facts_answer(f, 0, 0).text);
  sg_facts_free(f);
}

static sg_facts *random_facts(size_t nouns, size_t answers, double density, sgi_rng *r) {
  sg_facts *f;
  assert_sg_ok(sg_facts_create("The ", " was", &f, err));
  for (size_t i = 0; i < nouns; i++)
    for (size_t a = 0; a < answers; a++) {
      char noun[32], answer[32];
      sprintf(noun, "n%zu", i);
      sprintf(answer, "a%zu", a);
      if (sgi_rng_uniform(r) < density) assert_sg_ok(sg_facts_add(f, noun, answer, 1, err));
    }
  assert_sg_ok(sg_facts_list(f, 1, err));
  return f;
}

static bool share(const sg_facts *f, size_t i, size_t j) {
  for (size_t a = 0; a < sg_facts_noun(f, i).count; a++)
    for (size_t b = 0; b < sg_facts_noun(f, j).count; b++)
      if (!strcmp(sg_facts_answer(f, i, a).text, sg_facts_answer(f, j, b).text)) return true;
  return false;
}

static size_t brute_force(const sg_facts *f) {
  size_t n = sg_facts_count(f), best = 0;
  uint32_t shared[16] = {0};
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < n; j++)
      if (i != j && share(f, i, j)) shared[i] |= (uint32_t)1 << j;
  for (uint32_t set = 0; set < (uint32_t)1 << n; set++) {
    bool fine = true;
    for (size_t i = 0; i < n; i++) fine = fine && !(set >> i & 1 && set & shared[i]);
    size_t size = (size_t)__builtin_popcount(set);
    if (fine && size > best) best = size;
  }
  return best;
}

static void distinct(void **state) {
  (void)state;
  sgi_rng r = sgi_rng_make(6, SGI_STREAM_SAMPLE, 0);
  for (int round = 0; round < 150; round++) {
    sg_facts *f =
        random_facts(1 + sgi_rng_below(&r, 12), 1 + sgi_rng_below(&r, 14), 0.05 + 0.4 * sgi_rng_uniform(&r), &r);
    size_t chosen[16], n;
    bool proven;
    assert_sg_ok(sg_facts_distinct(f, 0, chosen, &n, &proven, err));
    assert_true(proven);
    assert_int_equal(n, brute_force(f));
    for (size_t i = 0; i < n; i++)
      for (size_t j = 0; j < i; j++) assert_true(chosen[j] < chosen[i] && !share(f, chosen[i], chosen[j]));
    sg_facts_select(f, chosen, n);
    assert_int_equal(sg_facts_count(f), n);
    sg_facts_free(f);
  }
}

/* More nouns in one group than are searched: a set without a shared answer, and a clear word that
 * it may not be the largest. */
static void too_many(void **state) {
  (void)state;
  sg_facts *f;
  assert_sg_ok(sg_facts_create("The ", " was", &f, err));
  for (int i = 0; i < 5000; i++) {
    char noun[32], one[32], two[32];
    sprintf(noun, "n%d", i);
    sprintf(one, "a%d", i);
    sprintf(two, "a%d", i + 1);
    assert_sg_ok(sg_facts_add(f, noun, one, 1, err));
    assert_sg_ok(sg_facts_add(f, noun, two, 1, err));
  }
  assert_sg_ok(sg_facts_list(f, 1, err));
  size_t *chosen = sgi_alloc(5000 * sizeof *chosen), n;
  bool proven = true;
  assert_sg_ok(sg_facts_distinct(f, 0, chosen, &n, &proven, err));
  assert_false(proven);
  assert_int_equal(n, 2500);
  sgi_free(chosen);
  sg_facts_free(f);
}

static void json(void **state) {
  (void)state;
  sg_facts *f = mined("The dog was wet. The dog was wet. The cat was old."), *g;
  json_t *o = sgi_facts_to_json(f);
  assert_sg_ok(sgi_facts_from_json(o, "here", NULL, &g, err));
  assert_sg_ok(sg_facts_list(g, 1, err));
  json_t *again = sgi_facts_to_json(g);
  assert_true(json_equal(o, again));
  json_decref(o);
  json_decref(again);
  sg_facts_free(f);
  sg_facts_free(g);
}

static void bad_json(void **state) {
  (void)state;
  static const struct {
    const char *text, *says;
  } cases[] = {
      {"3", "expected facts"},
      {"{}", "before"},
      {"{\"before\":\"\",\"after\":\"\",\"facts\":{\"dog\":3}}", "facts.dog"},
      {"{\"before\":\"\",\"after\":\"\",\"facts\":{\"dog\":{\"wet\":-1}}}", "facts.dog.wet"},
      {"[{}]", "fact 0"},
      {"[{\"type\":\"home\",\"prompt\":\"Mia lived in the\",\"noun\":\"Mia\",\"answer\":\"mill\",\"occurrences\":2}]",
       "there are home"},
      {"[{\"type\":\"quality\",\"prompt\":\"The dog was\",\"noun\":\"cat\",\"answer\":\"wet\",\"occurrences\":2}]",
       "does not hold its noun"},
  };
  for (size_t i = 0; i < SGI_COUNT(cases); i++) {
    json_t *o;
    sg_facts *f;
    sg_error err = {0};
    json_error_t where;
    o = json_loads(cases[i].text, JSON_DECODE_ANY, &where);
    assert_non_null(o);
    assert_true(sgi_facts_from_json(o, "here", NULL, &f, &err) < 0);
    assert_null(f);
    if (!strstr(err.text, cases[i].says)) fail_msg("\"%s\" does not say \"%s\"", err.text, cases[i].says);
    json_decref(o);
  }
}

/* One type of facts.json of worlds, its rows of the first one's form. */
static void rows(void **state) {
  (void)state;
  json_t *o = json_loads(
      "[{\"type\":\"pet\",\"prompt\":\"Mia's pet was a\",\"noun\":\"Mia\",\"answer\":\"cat\",\"occurrences\":2},"
      "{\"type\":\"home\",\"prompt\":\"Mia lived in the\",\"noun\":\"Mia\",\"answer\":\"mill\",\"occurrences\":7},"
      "{\"type\":\"pet\",\"prompt\":\"Ben's pet was an\",\"noun\":\"Ben\",\"answer\":\"owl\",\"occurrences\":3},"
      "{\"type\":\"pet\",\"prompt\":\"Tom's pet was a\",\"noun\":\"Tom\",\"answer\":\"dog\",\"occurrences\":0}]",
      0, NULL);
  sg_facts *f;
  assert_sg_ok(sgi_facts_from_json(o, "here", "pet", &f, err));
  assert_string_equal(f->before, "");
  assert_string_equal(f->after, "'s pet was a");
  assert_sg_ok(sg_facts_list(f, 0, err));
  assert_int_equal(sg_facts_count(f), 2);
  assert_string_equal(sg_facts_noun(f, 1).text, "Tom");
  assert_int_equal(sgi_facts_said(f, "Mia", "cat"), 2);
  assert_int_equal(sgi_facts_said(f, "Mia", "dog"), 0);
  assert_int_equal(sgi_facts_said(f, "nobody", "cat"), 0);
  sg_facts_free(f);
  json_decref(o);
}

static void no_memory(void **state) {
  (void)state;
  const char *text = "The dog was wet. The cat was old. The cat was wet.";
  size_t n;
  for (n = 1;; n++) {
    sg_facts *f = NULL;
    size_t chosen[4], count;
    bool proven;
    sgi_alloc_fail_at(n, false);
    sg_status st = sg_facts_create("The ", " was", &f, NULL);
    if (!st) st = sg_facts_mine(f, text, strlen(text), NULL);
    if (!st) st = sg_facts_list(f, 1, NULL);
    if (!st) st = sg_facts_distinct(f, 0, chosen, &count, &proven, NULL);
    sgi_alloc_fail_at(0, false);
    sg_facts_free(f);
    if (!st) break;
    assert_int_equal(st, SG_ERR_MEMORY);
  }
  assert_true(n > 10);
}

/* Two pairs whose denominators are near 0 decide a mean of ratios, and nothing else. */
static void summary(void **state) {
  (void)state;
  enum { N = 7 };
  sg_intervention all[2 * N] = {
      {.clean = 4, .counterfactual = -4, .patched = 3.6},     {.clean = 2, .counterfactual = -6, .patched = -1},
      {.clean = 6, .counterfactual = -2, .patched = 5.8},     {.clean = 5, .counterfactual = -3, .patched = 5},
      {.clean = 1, .counterfactual = 0.9999, .patched = -1}, /* not known: the denominator is 0.0001 */
      {.clean = -0.9999, .counterfactual = -1, .patched = 1}, {.clean = 0, .counterfactual = 0, .patched = 2},
  };
  memcpy(all + N, all + N - 3, 3 * sizeof *all); /* the second set knows nothing */
  for (size_t i = N + 3; i < 2 * N; i++) all[i] = all[N];
  for (size_t i = 0; i < 2 * N; i++) {
    sg_intervention *x = &all[i];
    x->recovered = (x->clean - x->patched) / (x->clean - x->counterfactual + 1e-8);
    x->rank_flip = x->patched < 0;
    x->correct_clean = x->clean > 0;
    x->correct_counterfactual = x->counterfactual < 0;
  }
  const sg_interventions runs = {.n_pairs = N, .n_sets = 2, .results = all};
  sg_intervention_summary s;
  assert_sg_ok(sg_interventions_summary(&runs, 0, &s, err));
  assert_int_equal(s.pairs, N);
  assert_int_equal(s.known, 4);
  near("s.clean", s.clean, 4.25, 1e-12);
  near("s.counterfactual", s.counterfactual, -3.75, 1e-12);
  near("s.patched", s.patched, 13.4 / 4, 1e-12);
  near("s.recovered", s.recovered, (17 - 13.4) / 32, 1e-12);
  near("s.median_recovered", s.median_recovered, (0.2 / 8 + 0.4 / 8) / 2, 1e-8); /* of 0, 0.025, 0.05, 0.375 */
  near("s.rank_flip", s.rank_flip, 0.25, 1e-12);
  assert_true(fabs(s.reference_mean) > 1000);
  assert_sg_ok(sg_interventions_summary(&runs, 1, &s, err));
  assert_int_equal(s.known, 0);
  assert_true(isnan(s.clean) && isnan(s.recovered) && isnan(s.median_recovered) && isnan(s.rank_flip));
  assert_int_equal(sg_interventions_summary(&runs, 2, &s, NULL), SG_ERR_ARG);
}

/* What a program opens: the rows of a type, and the template around the noun. */
static void files(void **state) {
  (void)state;
  char *folder = golden_temporary(), *path = sgi_path_join(folder, "facts.json");
  sg_facts *f = NULL;
  json_t *o = json_loads("{\"before\":\"The \",\"after\":\" was\",\"facts\":{\"dog\":{\"old\":3}}}", 0, NULL);
  assert_sg_ok(sgi_json_save(path, o, err));
  assert_sg_ok(sg_facts_load(path, NULL, &f, err));
  assert_string_equal(sg_facts_before(f), "The ");
  assert_string_equal(sg_facts_after(f), " was");
  assert_sg_ok(sg_facts_list(f, 1, err));
  assert_int_equal(sg_facts_count(f), 1);
  assert_int_equal(sg_facts_answer(f, 0, 0).count, 3);
  sg_facts_free(f);
  sg_error why;
  assert_int_equal(sg_facts_load("no/such", NULL, &f, &why), SG_ERR_IO);
  assert_int_equal(sg_facts_load(NULL, NULL, &f, &why), SG_ERR_ARG);
  assert_int_equal(sg_facts_load(path, NULL, NULL, &why), SG_ERR_ARG);
  assert_null(sg_facts_before(NULL));
  assert_null(sg_facts_after(NULL));
  json_decref(o);
  sgi_free(path);
  golden_remove(folder);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(pattern), cmocka_unit_test(order),    cmocka_unit_test(distinct), cmocka_unit_test(too_many),
      cmocka_unit_test(json),    cmocka_unit_test(bad_json), cmocka_unit_test(rows),     cmocka_unit_test(no_memory),
      cmocka_unit_test(summary), cmocka_unit_test(files)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
