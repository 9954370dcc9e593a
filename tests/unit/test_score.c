/* Scores against slow ways of getting them: neighbours over full vectors, removals as edits of
 * runs, effects as verified terms. */
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "core/median.h"
#include "core/file.h"
#include "read/score.h"
#include "ffn/ffn.h"
#include "support/small.h"
#include "support/near.h"

#define EVAL "tests/golden/eval/model"

static sgi_score_settings settings(void) {
  return (sgi_score_settings){
      .positions = 300, .per_word = 20, .neighbours = 3, .facts = 100, .units = 400, .permutations = 5, .seed = 1};
}

/* A corpus of the golden model's own words: the animal, the thing, what is said of them. */
static sgi_truth truth(void) {
  static const char *const stories[] = {
      "The dog was happy. The tree was tall. The girl was proud. The house was old.",
      "The cat was soft. The sky was blue. The dog was happy. The moon was bright.",
      "The grass was green. The mouse was small. The cat was lazy. The soup was hot.",
      "The house was old. The car was fast. The mouse was quick. The girl was happy.",
  };
  sgi_truth t = {.n_topics = 2};
  t.labels = json_pack("{s:[s], s:[s], s:[s], s:[s], s:[s], s:[s], s:[s], s:[s], s:[s], s:[s], s:[s], s:[s, s]}", "dog",
                       "animal", "cat", "animal", "mouse", "animal", "tree", "thing", "house", "thing", "moon", "thing",
                       "sky", "thing", "happy", "feeling", "proud", "feeling", "tall", "quality", "old", "quality",
                       "girl", "person", "animal");
  static const char *const facts[][2] = {{"sky", "blue"},    {"tree", "tall"}, {"cat", "soft"}, {"grass", "green"},
                                         {"moon", "bright"}, {"house", "old"}, {"car", "fast"}, {"girl", "proud"}};
  t.facts = json_array();
  for (size_t i = 0; i < SGI_COUNT(facts); i++) {
    char prompt[64];
    snprintf(prompt, sizeof prompt, "The %s was", facts[i][0]);
    json_array_append_new(t.facts, json_pack("{s:s, s:s, s:s, s:s}", "type", "quality", "prompt", prompt, "noun",
                                             facts[i][0], "answer", facts[i][1]));
  }
  t.n_stories = SGI_COUNT(stories);
  t.stories = sgi_alloc(t.n_stories * sizeof *t.stories);
  for (size_t i = 0; i < t.n_stories; i++)
    t.stories[i] = (sgi_truth_story){sgi_strdup(stories[i]), strlen(stories[i]), (uint32_t)(i % 2)};
  return t;
}

static void words(void **state) {
  (void)state;
  sg_model *m;
  sg_tokenizer *tok;
  assert_sg_ok(sg_model_load(EVAL, &m, err));
  assert_sg_ok(sg_tokenizer_load(EVAL "/tokenizer.json", &tok, err));
  sgi_truth t = truth();
  sgi_score_settings s = settings();
  sgi_score_words w;
  assert_sg_ok(sgi_score_words_find(&w, &t, tok, sg_model_config(m), &s, err));
  /* Each position's tokens end with the word, which has one category; "girl" has two and is left
   * out. */
  assert_true(w.n > 15);
  assert_int_equal(w.n_categories, 4);
  for (size_t i = 0; i < w.n; i++) {
    char *text;
    size_t n;
    assert_sg_ok(sg_tokenizer_decode(tok, w.inputs + w.at[i].story * w.T + 1, w.at[i].position, true, &text, &n, err));
    const char *last = strrchr(text, ' ') + 1;
    const json_t *label = json_object_get(t.labels, last);
    assert_int_equal(json_array_size(label), 1);
    assert_true(strcmp(last, "girl") != 0);
    for (size_t j = 0; j < i; j++) /* same category exactly where labels say so */
      if (w.at[j].word == w.at[i].word) assert_int_equal(w.at[j].category, w.at[i].category);
    sg_buffer_free(text);
  }
  sgi_score_words_deinit(&w);
  s.per_word = 1;
  assert_sg_ok(sgi_score_words_find(&w, &t, tok, sg_model_config(m), &s, err));
  assert_int_equal(w.n, w.n_words);
  sgi_score_words_deinit(&w);
  sgi_truth_deinit(&t);
  sg_tokenizer_free(tok);
  sg_model_free(m);
}

/* ---- purity ---------------------------------------------------------------------------------- */

/* The circuit at a position as a full vector (keys) in double. */
static void full_vector(const sg_model *m, const sgi_score_words *w, size_t i, size_t layer, bool gates, double *x,
                        size_t keys) {
  const sg_config *c = sg_model_config(m);
  const sgi_labelled *p = &w->at[i];
  char names[2][64];
  snprintf(names[0], 64, "layers.%zu.%s", layer, gates ? "router.scores" : "neurons");
  snprintf(names[1], 64, "layers.%zu.router.indices", layer);
  const char *record[] = {names[0], names[1]};
  bool routed = c->router[0];
  sg_run *r;
  sg_run_request q = {
      .tokens = w->inputs + p->story * w->T, .count = p->position + 1, .record = record, .n_record = routed ? 2 : 1};
  assert_sg_ok(sg_run_create(m, &q, &r, err));
  sg_site v, index = {0};
  assert_true(sg_run_find(r, names[0], &v));
  if (routed) assert_true(sg_run_find(r, names[1], &index));
  size_t width = v.count / v.dims[0], at = p->position * width;
  for (size_t k = 0; k < keys; k++) x[k] = 0;
  bool own = !strcmp(c->feedforward, "sgatlin");
  for (size_t e = 0; e < width; e++)
    x[routed ? (own ? e / c->top_k * c->num_neurons : 0) + (size_t)index.index[at + e] : e] += v.data[at + e];
  sg_run_free(r);
}

/* Share of the nearest by cosine, over vectors (w->n,keys), that have the word's category. */
static double same_category(const sgi_score_words *w, const double *x, size_t keys, size_t K) {
  size_t all = 0, same = 0;
  bool *used = malloc(w->n);
  for (size_t i = 0; i < w->n; i++) {
    memset(used, 0, w->n);
    for (size_t k = 0; k < K; k++) {
      size_t best = SIZE_MAX;
      double best_cos = -2;
      for (size_t j = 0; j < w->n; j++) {
        double ij = 0, ii = 0, jj = 0;
        if (used[j] || w->at[j].story == w->at[i].story || w->at[j].word == w->at[i].word) continue;
        for (size_t d = 0; d < keys; d++) {
          ij += x[i * keys + d] * x[j * keys + d];
          ii += x[i * keys + d] * x[i * keys + d];
          jj += x[j * keys + d] * x[j * keys + d];
        }
        double cosine = ij / sqrt(ii * jj);
        if (cosine > best_cos + 1e-9) {
          best_cos = cosine;
          best = j;
        }
      }
      if (best == SIZE_MAX) break;
      used[best] = true;
      all++;
      same += w->at[best].category == w->at[i].category;
    }
  }
  free(used);
  return (double)same / (double)all;
}

static double slow_purity(const sg_model *m, const sgi_score_words *w, size_t K, bool gates) {
  const sg_config *c = &m->layers[0].config;
  size_t keys = c->num_neurons * sgi_unit_channels(c);
  double *x = malloc(w->n * keys * sizeof *x), mean = 0;
  for (size_t l = 0; l < c->num_layers; l++) {
    for (size_t i = 0; i < w->n; i++) full_vector(m, w, i, l, gates, x + i * keys, keys);
    mean += same_category(w, x, keys, K) / (double)c->num_layers;
  }
  free(x);
  return mean;
}

/* base with the feedforward layer of small_config(kind). */
static sg_config of_kind(const sg_config *base, const char *kind) {
  sg_config c = small_config(kind);
  c.vocab_size = base->vocab_size;
  c.max_position = base->max_position;
  c.bos_id = base->bos_id;
  c.eos_id = base->eos_id;
  c.pad_id = base->pad_id;
  return c;
}

/* Kinds whose units are chosen one by one, and dense ones: experts' hidden units are no
 * circuits. */
static void purity(void **state) {
  (void)state;
  sg_tokenizer *tok;
  assert_sg_ok(sg_tokenizer_load(EVAL "/tokenizer.json", &tok, err));
  sgi_truth t = truth();
  sgi_score_settings s = settings();
  sg_config base;
  assert_sg_ok(sg_config_load(EVAL, &base, err));
  const sgi_ffn_ops *ops;
  for (size_t i = 0; (ops = sgi_ffn_at(i)); i++) {
    bool routed = (ops->uses & SGI_USES_ROUTER) != 0;
    if (ops->gates && !routed) continue;
    sg_config c = of_kind(&base, ops->name);
    sg_model *m;
    assert_sg_ok(sg_model_create(&c, 3, &m, err));
    sgi_score_words w;
    sgi_score out = {0};
    assert_sg_ok(sgi_score_words_find(&w, &t, tok, &c, &s, err));
    assert_sg_ok(sgi_score_purity(m, &t, &w, &s, &out, err));
    assert_true(out.routed == routed);
    if (routed)
      near("out.purity[SGI_SCORE_GATES].category", out.purity[SGI_SCORE_GATES].category,
           slow_purity(m, &w, s.neighbours, true), 1e-12);
    near("out.purity[SGI_SCORE_VALUES].category", out.purity[SGI_SCORE_VALUES].category,
         slow_purity(m, &w, s.neighbours, false), 1e-12);
    for (int f = 0; f < SGI_SCORE_FORMS; f++) {
      const sgi_purity *p = &out.purity[f];
      assert_true(p->category_chance > 0.05 && p->category_chance < 0.9);
      assert_true(p->topic_chance > 0.05 && p->topic_chance < 0.95);
      assert_true(p->topic >= 0 && p->topic <= 1);
    }
    sgi_score_words_deinit(&w);
    sg_model_free(m);
  }
  sgi_truth_deinit(&t);
  sg_tokenizer_free(tok);
}

/* ---- facts ----------------------------------------------------------------------------------- */

static double margin_of(const sg_model *m, const sg_attribute_request *q, const sg_edit *edits, size_t n) {
  sg_run *r;
  size_t V = sg_model_config(m)->vocab_size;
  float *logits = malloc(V * sizeof *logits);
  assert_sg_ok(sg_run_create(m, &(sg_run_request){.tokens = q->tokens, .count = q->count, .edits = edits, .n_edits = n},
                             &r, err));
  assert_sg_ok(sg_run_logits(r, -1, logits, err));
  double margin = (double)logits[q->target] - logits[q->against];
  free(logits);
  sg_run_free(r);
  return margin;
}

static sg_edit without(const sg_term *t, bool routed) {
  sg_edit e = {.op = SG_EDIT_SET, .n_axes = routed ? 3 : 2};
  snprintf(e.site, sizeof e.site, "layers.%d.neurons", t->layer);
  e.axes[0] = (sg_edit_axis){"pos", t->position, t->position};
  e.axes[1] = (sg_edit_axis){"neuron", t->index, t->index};
  if (routed) e.axes[2] = (sg_edit_axis){"channel", t->channel, t->channel};
  return e;
}

static int falling(const void *a, const void *b) {
  double x = ((const sg_term *)a)->effect, y = ((const sg_term *)b)->effect;
  return x > y ? -1 : x < y;
}

/* One fact, all its neurons: counts by removing more and more of them with edits, correlations from
 * the verified terms. */
static void one_fact(const sg_model *m, const sg_tokenizer *tok, const char *answer, const char *wrong) {
  bool routed = sgi_ffn_of(sg_model_config(m))->gates != NULL; /* units have channels */
  sgi_truth t = {.facts = json_pack("[{s:s, s:s, s:s}, {s:s, s:s, s:s}]", "type", "quality", "prompt", "The sky was",
                                    "answer", answer, "type", "quality", "prompt", "The tree was", "answer", wrong)};
  sgi_score_settings s = settings();
  sgi_score out = {0};
  s.units = 5000;
  assert_sg_ok(sgi_score_facts(m, tok, &t, &s, &out, err));
  assert_int_equal(out.prompts, 2);
  int32_t *ids, *one, *two, tokens[8] = {sg_model_config(m)->bos_id};
  size_t n, k;
  char text[2][32];
  snprintf(text[0], 32, " %s", answer);
  snprintf(text[1], 32, " %s", wrong);
  assert_sg_ok(sg_tokenizer_encode(tok, "The sky was", 11, &ids, &n, err));
  memcpy(tokens + 1, ids, n * sizeof *ids);
  assert_sg_ok(sg_tokenizer_encode(tok, text[0], strlen(text[0]), &one, &k, err));
  assert_sg_ok(sg_tokenizer_encode(tok, text[1], strlen(text[1]), &two, &k, err));
  sg_attribute_request q = {.tokens = tokens, .count = n + 1, .position = -1, .target = *one, .against = *two};
  double whole = margin_of(m, &q, NULL, 0);
  bool other_known = out.known == 2 || (out.known == 1 && whole <= 0);
  if (whole > 0 && !other_known) {
    sg_attribution *a;
    assert_sg_ok(sg_attribute(m, &q, &a, err));
    size_t terms = 0;
    for (size_t i = 0; i < a->neurons.count; i++)
      if (a->neurons.terms[i].effect != 0) a->neurons.terms[terms++] = a->neurons.terms[i];
    assert_int_equal((size_t)out.units, terms);
    assert_int_equal(out.measured, 1);
    sg_true_effect *effects = malloc(terms * sizeof *effects);
    assert_sg_ok(sg_verify_terms(m, &q, a, a->neurons.terms, terms, effects, err));
    double *x = malloc(5 * terms * sizeof *x);
    for (size_t i = 0; i < terms; i++) {
      x[i] = a->neurons.terms[i].effect;
      x[terms + i] = effects[i].effect;
      x[2 * terms + i] = effects[i].gates_held;
    }
    near("sgi_rank_correlation(x, x + terms, terms,...", sgi_rank_correlation(x, x + terms, terms, x + 3 * terms),
         out.faithful, 2e-3);
    near("sgi_rank_correlation(x, x + 2 * terms, te...", sgi_rank_correlation(x, x + 2 * terms, terms, x + 3 * terms),
         out.faithful_held, 2e-3);
    near("out.faithful_chance", out.faithful_chance, 0, 0.3);
    qsort(a->neurons.terms, terms, sizeof *a->neurons.terms, falling);
    sg_edit edits[16];
    size_t count = 0;
    for (; count < 16 && margin_of(m, &q, edits, count) > 0; count++)
      edits[count] = without(&a->neurons.terms[count], routed);
    if (count < 16)
      assert_true(out.broken == (double)count);
    else
      assert_true(out.broken >= 16);
    sg_edit none = {.site = "*.neurons", .op = SG_EDIT_SET};
    assert_true(out.alone == (margin_of(m, &q, &none, 1) > 0));
    free(effects);
    free(x);
    sg_attribution_free(a);
  }
  assert_true(out.known == (size_t)(whole > 0) + other_known);
  sg_buffer_free(ids);
  sg_buffer_free(one);
  sg_buffer_free(two);
  sgi_truth_deinit(&t);
}

static void facts(void **state) {
  (void)state;
  sg_model *m;
  sg_tokenizer *tok;
  assert_sg_ok(sg_model_load(EVAL, &m, err));
  assert_sg_ok(sg_tokenizer_load(EVAL "/tokenizer.json", &tok, err));
  one_fact(m, tok, "blue", "soft");
  one_fact(m, tok, "soft", "blue");
  sgi_truth t = truth();
  sgi_score_settings s = settings();
  sgi_score out, again;
  assert_sg_ok(sgi_score_model(m, tok, &t, &s, &out, err));
  assert_sg_ok(sgi_score_model(m, tok, &t, &s, &again, err));
  assert_memory_equal(&out, &again, sizeof out);
  assert_int_equal(out.prompts, 6); /* "bright" and "proud" are several tokens */
  assert_true(out.known >= 5);      /* the model was trained on these */
  assert_true(out.broken < out.broken_chance);
  sgi_truth_deinit(&t);
  sg_model_free(m);
  sg_tokenizer_free(tok);
}

/* Untrained models of every kind: whichever of two answers an untrained model prefers is its
 * fact. */
static void every_kind(void **state) {
  (void)state;
  sg_tokenizer *tok;
  sg_config base;
  assert_sg_ok(sg_tokenizer_load(EVAL "/tokenizer.json", &tok, err));
  assert_sg_ok(sg_config_load(EVAL, &base, err));
  const char *kind;
  for (size_t i = 0; (kind = sg_feedforward_name(i)); i++) {
    sg_config c = of_kind(&base, kind);
    sg_model *m;
    assert_sg_ok(sg_model_create(&c, 5, &m, err));
    one_fact(m, tok, "blue", "soft");
    one_fact(m, tok, "soft", "blue");
    sg_model_free(m);
  }
  sg_tokenizer_free(tok);
}

/* The stream that the feedforward of a layer reads at a position: before its norm. */
static void stream_vector(const sg_model *m, const sgi_score_words *w, size_t i, size_t layer, double *x) {
  const sgi_labelled *p = &w->at[i];
  const char *all = "*resid*", *first = "embed", *record[] = {all, first};
  char name[64];
  sg_run *r;
  sg_site v;
  sg_run_request q = {.tokens = w->inputs + p->story * w->T, .count = p->position + 1, .record = record, .n_record = 2};
  assert_sg_ok(sg_run_create(m, &q, &r, err));
  snprintf(name, sizeof name, "layers.%zu.resid_mid", layer);
  if (!sg_run_find(r, name, &v)) {
    snprintf(name, sizeof name, "layers.%zu.resid_post", layer - 1);
    assert_true(sg_run_find(r, layer ? name : "embed", &v));
  }
  size_t D = m->config.hidden_size;
  for (size_t d = 0; d < D; d++) x[d] = v.data[p->position * D + d];
  sg_run_free(r);
}

/* Purity of the stream by full vectors, where some layers have no feedforward, no attention, or
 * both beside each other. */
static double slow_stream(const sg_model *m, const sgi_score_words *w, size_t K) {
  double mean = 0, *x = malloc(w->n * m->config.hidden_size * sizeof *x);
  size_t layers = 0;
  for (size_t l = 0; l < m->config.num_layers; l++) {
    if (!sgi_feedforward_of(m, l)) continue;
    for (size_t i = 0; i < w->n; i++) stream_vector(m, w, i, l, x + i * m->config.hidden_size);
    mean += same_category(w, x, m->config.hidden_size, K);
    layers++;
  }
  free(x);
  return mean / (double)layers;
}

/* Layers that differ: the whole score of such models, and purities by hand. */
static void layers_that_differ(void **state) {
  (void)state;
  sg_tokenizer *tok;
  sg_config base;
  assert_sg_ok(sg_tokenizer_load(EVAL "/tokenizer.json", &tok, err));
  assert_sg_ok(sg_config_load(EVAL, &base, err));
  sgi_truth t = truth();
  sgi_score_settings s = settings();
  for (size_t i = 0; i < 3; i++) { /* sequential, parallel, pruned */
    sg_config c = mixed_like(i, &base);
    sg_model *m;
    sgi_score out = {0}, whole;
    sgi_score_words w;
    assert_sg_ok(sg_model_create(&c, 6, &m, err)); /* by chance it knows a fact, whose units are counted */
    assert_sg_ok(sgi_score_words_find(&w, &t, tok, &c, &s, err));
    assert_sg_ok(sgi_score_purity(m, &t, &w, &s, &out, err));
    assert_true(out.routed);
    near("purity of the stream", out.purity[SGI_SCORE_STREAM].category, slow_stream(m, &w, s.neighbours), 1e-12);
    assert_sg_ok(sgi_score_model(m, tok, &t, &s, &whole, err));
    for (int f = 0; f < SGI_SCORE_FORMS; f++)
      assert_true(whole.purity[f].category == out.purity[f].category && whole.purity[f].category_chance > 0);
    assert_true(whole.prompts == 6 && whole.units > 0);
    sgi_score_words_deinit(&w);
    sg_model_free(m);
  }
  sgi_truth_deinit(&t);
  sg_tokenizer_free(tok);
}

/* ---- numbers, files -------------------------------------------------------------------------- */

static void ranks(void **state) {
  (void)state;
  double work[20];
  const double a[] = {1, 2, 3, 4, 5}, b[] = {2, 4, 6, 8, 100}, c[] = {5, 4, 3, 2, 1}, d[] = {1, 1, 1, 1, 1},
               e[] = {1, 2, 2, 3, 0};
  near("sgi_rank_correlation(a, b, 5, work)", sgi_rank_correlation(a, b, 5, work), 1, 1e-15);
  near("sgi_rank_correlation(a, c, 5, work)", sgi_rank_correlation(a, c, 5, work), -1, 1e-15);
  assert_true(sgi_rank_correlation(a, d, 5, work) == 0);
  /* ranks of e: 2, 3.5, 3.5, 5, 1: covariance with 1..5 is 0, less 0.5, none, 2, less 4 */
  near("sgi_rank_correlation(a, e, 5, work)", sgi_rank_correlation(a, e, 5, work), (2 - 0.5 + 2 - 4) / sqrt(10 * 9.5),
       1e-15);
  double x[] = {3, 1, 2}, y[] = {4, 1, 3, 2};
  assert_true(sgi_median(x, 3) == 2);
  assert_true(sgi_median(y, 4) == 2.5);
  assert_true(sgi_median(NULL, 0) == 0);
}

static void files(void **state) {
  (void)state;
  char *directory = golden_temporary(), path[512];
  sgi_truth t;
  sg_error e;
  assert_sg_ok(sg_worlds_write(directory, 200, 4, err));
  assert_sg_ok(sgi_truth_load(&t, directory, 7, err));
  assert_int_equal(t.n_stories, 7);
  for (size_t i = 0; i < 7; i++) assert_true(t.stories[i].topic < t.n_topics);
  sgi_truth_deinit(&t);
  snprintf(path, sizeof path, "%s/topics.jsonl", directory);
  const char *one = "{\"split\":\"valid\",\"story\":0,\"topic\":\"x\"}\n";
  assert_sg_ok(sgi_write_file(path, one, strlen(one), err));
  assert_int_equal(sgi_truth_load(&t, directory, 7, &e), SG_ERR_FORMAT);
  assert_non_null(strstr(e.text, "has no topic"));
  sgi_truth_deinit(&t);
  assert_sg_ok(sgi_write_file(path, "{\"split\":3}", 11, err));
  assert_int_equal(sgi_truth_load(&t, directory, 7, &e), SG_ERR_FORMAT);
  assert_non_null(strstr(e.text, "line 1"));
  sgi_truth_deinit(&t);
  snprintf(path, sizeof path, "%s/labels.json", directory);
  assert_sg_ok(sgi_write_file(path, "[]", 2, err));
  assert_int_equal(sgi_truth_load(&t, directory, 7, &e), SG_ERR_FORMAT);
  sgi_truth_deinit(&t);
  golden_remove(directory);
}

int main(void) {
  omp_set_num_threads(1); /* thousands of passes over a handful of tokens */
  const struct CMUnitTest tests[] = {cmocka_unit_test(words),
                                     cmocka_unit_test(purity),
                                     cmocka_unit_test(facts),
                                     cmocka_unit_test(every_kind),
                                     cmocka_unit_test(layers_that_differ),
                                     cmocka_unit_test(ranks),
                                     cmocka_unit_test(files)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
