/* Knockout, attributes rate and extraction against vectors of a second computation in double
 * (tests/golden/comparison/knockout), and, on models of every kind, trials against single runs done
 * by hand. */
#include <math.h>
#include <string.h>

#include "compare/enrich.h"
#include "compare/extract.h"
#include "core/arena.h"
#include "core/safetensors.h"
#include "support/near.h"
#include "support/prompts.h"

#define HERE "tests/golden/comparison/"
enum { PROMPTS = 6, L = 3, V = 61, SETS = 5, TOP = 8, MOST = 16 };

typedef struct game {
  sg_model *m;
  sgi_safetensors *file;
  json_t *json;
  sgi_trials *trials;
  sgi_subject prompts[PROMPTS];
  int32_t attributes[PROMPTS][MOST];
  size_t n_attributes[PROMPTS];
} game;

static double bound(const char *what) {
  static json_t *all;
  if (!all) all = golden_json(HERE "tolerances.json");
  return json_number_value(json_object_get(json_object_get(json_object_get(all, "knockout"), what), "abs"));
}

static const void *values(const game *g, const char *name) {
  const sgi_tensor *t = sgi_safetensors_find(g->file, name);
  if (!t) fail_msg("no tensor %s", name);
  return t->data;
}

static size_t integers(const json_t *list, int32_t *out) {
  for (size_t i = 0; i < json_array_size(list); i++) out[i] = (int32_t)json_integer_value(json_array_get(list, i));
  return json_array_size(list);
}

static void read_prompt(game *g, size_t i) {
  const json_t *o = json_array_get(json_object_get(g->json, "prompts"), i);
  sgi_subject *p = &g->prompts[i];
  int32_t ids[MOST], subject[MOST];
  size_t n = integers(json_object_get(o, "ids"), ids), k = integers(json_object_get(o, "subject"), subject);
  *p = (sgi_subject){.tokens = sgi_alloc(n * sizeof *p->tokens),
                     .count = n,
                     .first = (size_t)subject[0],
                     .end = (size_t)subject[k - 1] + 1,
                     .relation = sgi_alloc(n),
                     .answer = (int32_t)json_integer_value(json_object_get(o, "answer")),
                     .known = true};
  memcpy(p->tokens, ids, n * sizeof *ids);
  k = integers(json_object_get(o, "relation"), subject);
  for (size_t r = 0; r < k; r++) p->relation[subject[r]] = true;
  g->n_attributes[i] = integers(json_object_get(o, "attributes"), g->attributes[i]);
  for (size_t s = 0; s < SETS; s++) { /* sets of positions as the file has them */
    bool at[MOST];
    size_t here = sgi_knock_positions(p, (sgi_knock_set)s, at);
    n = integers(json_object_get(json_object_get(o, "positions"), sgi_knock_names[s]), ids);
    assert_int_equal(here, n);
    for (size_t r = 0; r < n; r++) assert_true(at[ids[r]]);
  }
}

static void begin(game *g) {
  *g = (game){0};
  assert_sg_ok(sg_model_load(HERE "model_mlp", &g->m, err));
  assert_sg_ok(sgi_safetensors_open(HERE "knockout/expected.safetensors", &g->file, err));
  g->json = golden_json(HERE "knockout/case.json");
  for (size_t i = 0; i < PROMPTS; i++) read_prompt(g, i);
  assert_sg_ok(sgi_trials_create(g->m, MOST, &g->trials, err));
}

static void end(game *g) {
  for (size_t i = 0; i < PROMPTS; i++) {
    sgi_free(g->prompts[i].tokens);
    sgi_free(g->prompts[i].relation);
  }
  sgi_trials_free(g->trials);
  sgi_safetensors_close(g->file);
  json_decref(g->json);
  sg_model_free(g->m);
}

static void numbers(const char *what, const float *got, const float *want, size_t n, double within) {
  double worst = 0;
  for (size_t i = 0; i < n; i++) worst = worse(worst, fabs((double)got[i] - (double)want[i]));
  near(what, worst, 0, within);
}

static void clean(const game *g, size_t i, double *p0) {
  const double *logits = values(g, "base_logits"), *p = values(g, "base_probability");
  float got[V];
  assert_sg_ok(
      sgi_trials_run(g->trials, g->prompts[i].tokens, g->prompts[i].count, &(sgi_trial){0}, 1, NULL, NULL, err));
  assert_sg_ok(sgi_trials_logits(g->trials, got, err));
  for (size_t v = 0; v < V; v++) near("clean logits", (double)got[v], logits[i * V + v], bound("logits"));
  *p0 = p[i];
}

static void knockouts(void **state) {
  (void)state;
  game g;
  begin(&g);
  const sgi_knock_request r = {.window = (size_t)json_integer_value(json_object_get(g.json, "window"))};
  const double *probability = values(&g, "probability"), *change = values(&g, "relative_change");
  const float *logits = values(&g, "knocked_logits");
  assert_int_equal(sgi_knock_window(L), r.window);
  for (size_t i = 0; i < PROMPTS; i++) {
    double p[SGI_KNOCK_SETS * L], p0;
    float got[SETS * L * V];
    clean(&g, i, &p0);
    assert_sg_ok(sgi_knock_prompt(g.trials, g.m, &g.prompts[i], &r, i, p, got, err));
    numbers("knocked logits", got, logits + i * SETS * L * V, SETS * L * V, bound("logits"));
    for (size_t e = 0; e < SETS * L; e++) {
      near("probability", p[e], probability[i * SETS * L + e], bound("probability"));
      near("relative change", 100 * (p[e] - p0) / p0, change[i * SETS * L + e], bound("relative_change"));
    }
    assert_true(isnan(p[SGI_KNOCK_RANDOM * L]));
  }
  end(&g);
}

static bool same_set(const int32_t *a, const int32_t *b, size_t n) {
  for (size_t i = 0; i < n; i++) {
    size_t k = 0;
    while (k < n && b[k] != a[i]) k++;
    if (k == n) return false;
  }
  return true;
}

static void attributes(void **state) {
  (void)state;
  game g;
  begin(&g);
  bool stop[V] = {false};
  int32_t list[MOST];
  size_t n = integers(json_object_get(g.json, "stop_tokens"), list);
  for (size_t i = 0; i < n; i++) stop[list[i]] = true;
  const sgi_enrich_request r = {.stop = stop, .top = TOP, .window = 1};
  const double *rate = values(&g, "attributes_rate"), *cut = values(&g, "attributes_rate_cancelled");
  const int32_t *top = values(&g, "attributes_top");
  for (size_t i = 0; i < PROMPTS; i++) {
    double own[SGI_ENRICH_PLACES * (L + 1)], other[SGI_ENRICH_PLACES * (L + 1)], less[2 * L];
    int32_t lists[(L + 1) * TOP];
    sgi_enriched e = {own, other, less, lists};
    assert_sg_ok(
        sgi_enrich_prompt(g.trials, g.m, &g.prompts[i], &r, i, g.attributes[i], g.n_attributes[i], NULL, 0, &e, err));
    for (size_t l = 0; l <= L; l++) {
      near("attributes rate", own[l], rate[i * (L + 1) + l], 1e-4);
      assert_true(same_set(lists + l * TOP, top + (i * (L + 1) + l) * TOP, TOP));
    }
    for (size_t c = 0; c < 2 * L; c++) near("attributes rate, cut", less[c], cut[i * 2 * L + c], 1e-4);
    assert_true(isnan(other[0]));
  }
  end(&g);
}

static void extraction_by(const game *g, bool raw) {
  static const char *const kinds[] = {"attn", "ffn"};
  const sgi_extract_request r = {.raw = raw};
  double rate[2][L] = {{0}}, any[2] = {0};
  char name[80];
  for (size_t i = 0; i < PROMPTS; i++) {
    int32_t rank[2 * L];
    float scores[2 * L * V];
    sgi_extracted x = {.rank = rank, .scores = scores};
    assert_sg_ok(sgi_extract_prompt(g->trials, g->m, &g->prompts[i], &r, -1, &x, err));
    for (size_t k = 0; k < 2; k++) {
      bool has = false;
      snprintf(name, sizeof name, "extraction.%s.%s.scores", kinds[k], raw ? "raw" : "gain");
      numbers(name, scores + k * L * V, (const float *)values(g, name) + i * L * V, L * V, bound("scores"));
      snprintf(name, sizeof name, "extraction.%s.%s.rank", kinds[k], raw ? "raw" : "gain");
      for (size_t l = 0; l < L; l++) {
        assert_int_equal(rank[k * L + l], ((const int32_t *)values(g, name))[i * L + l]);
        rate[k][l] += rank[k * L + l] == 0;
        has |= rank[k * L + l] == 0;
      }
      any[k] += has;
    }
  }
  for (size_t k = 0; k < 2; k++) {
    snprintf(name, sizeof name, "extraction.%s.%s.rate_by_layer", kinds[k], raw ? "raw" : "gain");
    for (size_t l = 0; l < L; l++) near(name, 100 * rate[k][l] / PROMPTS, ((const double *)values(g, name))[l], 1e-4);
    snprintf(name, sizeof name, "extraction.%s.%s.rate_any_layer", kinds[k], raw ? "raw" : "gain");
    near(name, 100 * any[k] / PROMPTS, *(const double *)values(g, name), 1e-4);
  }
}

static void extraction(void **state) {
  (void)state;
  game g;
  begin(&g);
  extraction_by(&g, false);
  extraction_by(&g, true);
  end(&g);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(knockouts), cmocka_unit_test(attributes),
                                     cmocka_unit_test(extraction)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
