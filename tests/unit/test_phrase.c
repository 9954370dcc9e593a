/* A word as target: the sum of its tokens' own sums, along the word. */
#include "support/prompts.h"
#include "support/near.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 6, TOKENS = PROMPT_MAX + MOST };

static double worst_sum;

static void random_word(const sg_model *m, ref_random *r, int32_t *ids, size_t n) {
  for (size_t i = 0; i < n; i++) ids[i] = (int32_t)ref_below(r, sg_model_config(m)->vocab_size);
}

/* The prompt up to p and the word but its last token. */
static size_t along(const int32_t *tokens, size_t p, const int32_t *word, size_t n, int32_t *out) {
  memcpy(out, tokens, (p + 1) * sizeof *out);
  memcpy(out + p + 1, word, (n - 1) * sizeof *out);
  return p + n;
}

static double effect_at(const sg_terms *l, const sg_term *x) {
  double sum = 0;
  for (size_t i = 0; i < l->count; i++) {
    const sg_term *t = &l->terms[i];
    if (t->kind == x->kind && t->layer == x->layer && t->channel == x->channel && t->index == x->index &&
        t->head == x->head && t->position == x->position && t->source == x->source)
      sum += t->effect;
  }
  return sum;
}

/* Every token's part is what sg_attribute says of a prompt that ends before it; the sum of them is
 * the phrase's, term by term where terms are few. */
static void one_word(const sg_model *m, const int32_t *tokens, size_t count, size_t p, const int32_t *word, size_t n) {
  sg_phrase_request q = {.tokens = tokens, .count = count, .position = (ptrdiff_t)p, .target = word, .n_target = n};
  sg_phrase *x;
  assert_sg_ok(sg_attribute_phrase(m, &q, &x, err));
  assert_sg_ok(sg_phrase_check(x, err));
  assert_int_equal(x->n_parts, n);
  assert_int_equal(x->count, p + n);
  int32_t all[TOKENS];
  size_t length = along(tokens, p, word, n, all);
  assert_memory_equal(all, x->tokens, length * sizeof *all);
  double logit = 0, log_p = 0;
  for (size_t i = 0; i < n; i++) {
    sg_attribute_request one = {
        .tokens = all, .count = length, .position = (ptrdiff_t)(p + i), .target = word[i], .against = -1};
    sg_attribution *a;
    assert_sg_ok(sg_attribute(m, &one, &a, err));
    assert_true(a->target_logit == x->parts[i].own->target_logit);
    assert_int_equal(a->direct.count, x->parts[i].own->direct.count);
    assert_int_equal(x->parts[i].position, p + i);
    logit += a->target_logit;
    log_p += x->parts[i].log_probability;
    sg_attribution_free(a);
  }
  assert_true(logit == x->sum.target_logit);
  assert_true(fabs(log_p - x->log_probability) < 1e-12);
  for (size_t k = 0; k < x->sum.inputs.count; k++) {
    const sg_term *t = &x->sum.inputs.terms[k];
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += effect_at(&x->parts[i].own->inputs, t);
    assert_true(fabs(sum - t->effect) <= 1e-12 * (1 + fabs(sum)));
  }
  worst_sum = worse(worst_sum, fabs(x->sum.direct.residue) / x->sum.direct.sum_abs);
  sg_phrase_free(x);
}

static void words(const sg_model *m, const char *name, ref_random *r) {
  (void)name;
  for (size_t i = 0; i < 6; i++) {
    int32_t tokens[PROMPT_MAX], word[MOST];
    size_t count = 1 + ref_below(r, PROMPT_MAX), n = 1 + ref_below(r, MOST);
    random_prompt(m, r, tokens, count);
    random_word(m, r, word, n);
    one_word(m, tokens, count, ref_below(r, count), word, n);
  }
}

static void a_word_is_the_sum_of_its_tokens(void **state) {
  (void)state;
  assert_int_equal(each_model(words), 28);
  assert_true(worst_sum < 1e-5);
}

/* Log probabilities are those of a run along the word. */
static double run_log_probability(const sg_model *m, const int32_t *tokens, size_t p, const int32_t *word, size_t n) {
  int32_t all[TOKENS];
  size_t V = sg_model_config(m)->vocab_size;
  sg_run_request q = {.tokens = all, .count = along(tokens, p, word, n, all)};
  sg_run *run;
  float *logits = ref_alloc(V, sizeof *logits);
  double sum = 0;
  assert_sg_ok(sg_run_create(m, &q, &run, err));
  for (size_t i = 0; i < n; i++) {
    double z = 0;
    assert_sg_ok(sg_run_logits(run, (ptrdiff_t)(p + i), logits, err));
    for (size_t v = 0; v < V; v++) z += exp((double)logits[v]);
    sum += (double)logits[word[i]] - log(z);
  }
  free(logits);
  sg_run_free(run);
  return sum;
}

/* Two words: the logits' difference, zero where they are one, and places that are told apart. */
static void against(const sg_model *m, const char *name, ref_random *r) {
  (void)name;
  int32_t tokens[PROMPT_MAX], a[MOST], b[MOST];
  size_t count = 4 + ref_below(r, PROMPT_MAX - 4), na = 1 + ref_below(r, MOST), nb = 1 + ref_below(r, MOST);
  size_t p = 1 + ref_below(r, count - 1);
  random_prompt(m, r, tokens, count);
  random_word(m, r, a, na);
  random_word(m, r, b, nb);
  sg_phrase_request q = {.tokens = tokens,
                         .count = count,
                         .position = (ptrdiff_t)p,
                         .target = a,
                         .n_target = na,
                         .against = b,
                         .n_against = nb};
  sg_phrase *x, *same;
  assert_sg_ok(sg_attribute_phrase(m, &q, &x, err));
  assert_sg_ok(sg_phrase_check(x, err));
  assert_int_equal(x->count, p + na + nb - 1);
  assert_true(fabs(x->log_probability - run_log_probability(m, tokens, p, a, na)) < 1e-4);
  assert_true(fabs(x->against_log_probability - run_log_probability(m, tokens, p, b, nb)) < 1e-4);
  double logit = 0;
  for (size_t i = 0; i < x->n_parts; i++) {
    const sg_phrase_part *part = &x->parts[i];
    logit += part->against ? -part->own->target_logit : part->own->target_logit;
    size_t k = part->against ? i - na : i;
    assert_int_equal(part->position, part->against && k ? p + na - 1 + k : p + k);
  }
  assert_true(logit == x->sum.target_logit);
  for (size_t i = 0; i < x->sum.neurons.count; i++) assert_true((size_t)x->sum.neurons.terms[i].position < x->count);
  q.against = a;
  q.n_against = na;
  assert_sg_ok(sg_attribute_phrase(m, &q, &same, err));
  assert_true(same->sum.target_logit == 0);
  for (size_t i = 0; i < same->sum.neurons.count; i++)
    if ((size_t)same->sum.neurons.terms[i].position <= p && na == 1)
      assert_true(same->sum.neurons.terms[i].effect == 0);
  sg_phrase_free(same);
  sg_phrase_free(x);
}

static void two_words_are_compared(void **state) {
  (void)state;
  assert_int_equal(each_model(against), 28);
}

/* A neuron's true effect on a word: the difference of two runs along it. */
static double logits_of(const sg_model *m, const int32_t *all, size_t count, size_t p, const int32_t *word, size_t n,
                        const sg_edit *edit) {
  size_t V = sg_model_config(m)->vocab_size;
  float *logits = ref_alloc(V, sizeof *logits);
  sg_run_request q = {.tokens = all, .count = count, .edits = edit, .n_edits = edit ? 1 : 0};
  sg_run *run;
  double sum = 0;
  assert_sg_ok(sg_run_create(m, &q, &run, err));
  for (size_t i = 0; i < n; i++) {
    assert_sg_ok(sg_run_logits(run, (ptrdiff_t)(p + i), logits, err));
    sum += (double)logits[word[i]];
  }
  free(logits);
  sg_run_free(run);
  return sum;
}

static void a_neuron_is_taken_away_along_the_word(void **state) {
  (void)state;
  sg_model *m;
  assert_sg_ok(sg_model_load("tests/golden/eval/model", &m, err));
  const int32_t tokens[] = {sg_model_config(m)->bos_id, 20, 30, 40}, a[] = {11, 12, 13}, b[] = {14, 15};
  sg_phrase_request q = {
      .tokens = tokens, .count = 4, .position = -1, .target = a, .n_target = 3, .against = b, .n_against = 2};
  sg_phrase *x;
  assert_sg_ok(sg_attribute_phrase(m, &q, &x, err));
  int32_t first[6], second[5];
  size_t n = along(tokens, 3, a, 3, first), k = along(tokens, 3, b, 2, second);
  size_t seen[3] = {0};
  for (size_t i = 0; i < x->sum.neurons.count; i += 7) {
    const sg_term *t = &x->sum.neurons.terms[i];
    bool trunk = t->position <= 3, in_first = t->position <= 5;
    sg_true_effect truth;
    assert_sg_ok(sg_phrase_verify(m, &q, x, t, 1, &truth, err));
    double want = 0;
    char text[160];
    sg_edit e;
    const char *form = "layers.%d.neurons[pos=%d,channel=%d,neuron=%d]=0";
    if (in_first) {
      snprintf(text, sizeof text, form, t->layer, t->position, t->channel, t->index);
      assert_sg_ok(sg_edit_parse(text, &e, err));
      want += logits_of(m, first, n, 3, a, 3, NULL) - logits_of(m, first, n, 3, a, 3, &e);
    }
    if (trunk || !in_first) {
      snprintf(text, sizeof text, form, t->layer, trunk ? t->position : t->position - 2, t->channel, t->index);
      assert_sg_ok(sg_edit_parse(text, &e, err));
      want -= logits_of(m, second, k, 3, b, 2, NULL) - logits_of(m, second, k, 3, b, 2, &e);
    }
    assert_true(fabs(want - truth.effect) < 1e-9 * (1 + fabs(want)));
    assert_true(truth.linear == t->effect);
    seen[trunk ? 0 : in_first ? 1 : 2]++;
  }
  assert_true(seen[0] && seen[1] && seen[2]);
  sg_phrase_free(x);
  sg_model_free(m);
}

static void wrong_phrases_are_refused(void **state) {
  (void)state;
  sg_model *m;
  sg_error e = {0};
  assert_sg_ok(sg_model_load("tests/golden/eval/model", &m, err));
  int32_t tokens[] = {1, 2}, word[SG_PHRASE_MOST + 1] = {3, 4};
  sg_phrase *x = NULL;
  sg_phrase_request q = {.tokens = tokens, .count = 2, .position = -1, .target = word, .n_target = 0};
  assert_int_equal(sg_attribute_phrase(m, &q, &x, &e), SG_ERR_ARG);
  q.n_target = SG_PHRASE_MOST + 1;
  assert_int_equal(sg_attribute_phrase(m, &q, &x, &e), SG_ERR_ARG);
  q.n_target = 2;
  word[1] = 100000;
  assert_int_equal(sg_attribute_phrase(m, &q, &x, &e), SG_ERR_ARG);
  word[1] = 4;
  q.position = 2;
  assert_int_equal(sg_attribute_phrase(m, &q, &x, &e), SG_ERR_ARG);
  assert_null(x);
  sg_model_free(m);
}

/* A graph of a word: each token's logit node stands where it is read, and its edges add up to
 * it. */
static void a_graph_holds_a_word(void **state) {
  (void)state;
  sg_model *m;
  assert_sg_ok(sg_model_load("tests/golden/eval/model", &m, err));
  const int32_t all[] = {sg_model_config(m)->bos_id, 20, 30, 40, 11, 12}, word[] = {11, 12, 13};
  const size_t at[] = {3, 4, 5};
  sg_graph_request q = {
      .tokens = all, .count = 6, .position = 3, .targets = word, .n_targets = 3, .target_positions = at};
  sg_phrase_request w = {.tokens = all, .count = 4, .position = 3, .target = word, .n_target = 3};
  sg_graph *g;
  sg_phrase *x;
  q.node_threshold = q.edge_threshold = 1;
  assert_sg_ok(sg_graph_create(m, &q, &g, err));
  assert_sg_ok(sg_attribute_phrase(m, &w, &x, err));
  assert_true(g->worst_residue < 1e-5);
  size_t found = 0;
  for (size_t i = 0; i < g->n_nodes; i++) {
    const sg_node *n = &g->nodes[i];
    if (n->kind != SG_NODE_LOGIT) continue;
    assert_int_equal(n->position, at[found]);
    assert_true(n->value == x->parts[found].own->target_logit);
    assert_true(fabs(n->probability - exp(x->parts[found].log_probability)) < 1e-9);
    for (size_t e = 0; e < g->n_edges; e++)
      if (g->edges[e].target == i) assert_true(g->nodes[g->edges[e].source].position <= n->position);
    found++;
  }
  assert_int_equal(found, 3);
  assert_int_equal(g->position, 5);
  sg_phrase_free(x);
  sg_graph_free(g);
  sg_model_free(m);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_word_is_the_sum_of_its_tokens),
      cmocka_unit_test(two_words_are_compared),
      cmocka_unit_test(a_neuron_is_taken_away_along_the_word),
      cmocka_unit_test(wrong_phrases_are_refused),
      cmocka_unit_test(a_graph_holds_a_word),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
