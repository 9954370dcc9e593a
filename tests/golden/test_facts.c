/* Mining and patched runs against the reference's: counts at several minimum counts, maximum sets,
 * prompts, pairs, logits and every metric of the runs; and what must hold of any patch. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "read/facts.h"
#include "support/golden.h"
#include "support/near.h"

#define FACTS "tests/golden/eval/facts/"
#define MODEL "tests/golden/eval/model"

static sg_facts *mine_stories(const json_t *stories) {
  sg_facts *f;
  assert_sg_ok(sg_facts_create("The ", " was", &f, err));
  size_t i;
  json_t *story;
  json_array_foreach((json_t *)stories, i, story)
      assert_sg_ok(sg_facts_mine(f, json_string_value(story), json_string_length(story), err));
  return f;
}

/* Same nouns, answers and counts in the same order. */
static void same_counts(const sg_facts *f, const json_t *counts) {
  const char *noun, *answer;
  json_t *answers, *count;
  size_t i = 0;
  assert_int_equal(sg_facts_count(f), json_object_size(counts));
  json_object_foreach((json_t *)counts, noun, answers) {
    size_t k = 0;
    assert_string_equal(sg_facts_noun(f, i).text, noun);
    assert_int_equal(sg_facts_noun(f, i).count, json_object_size(answers));
    json_object_foreach(answers, answer, count) {
      assert_string_equal(sg_facts_answer(f, i, k).text, answer);
      assert_int_equal(sg_facts_answer(f, i, k++).count, json_integer_value(count));
    }
    i++;
  }
}

static void mining(void **state) {
  (void)state;
  json_t *all = golden_json(FACTS "mining.json"), *result;
  sg_facts *f = mine_stories(json_object_get(all, "stories"));
  size_t i, n, chosen[64];
  bool proven;
  assert_true(json_array_size(json_object_get(all, "results")) >= 4);
  json_array_foreach(json_object_get(all, "results"), i, result) {
    assert_sg_ok(sg_facts_list(f, (size_t)json_integer_value(json_object_get(result, "min_frequency")), err));
    same_counts(f, json_object_get(result, "counts"));
    assert_sg_ok(sg_facts_distinct(f, 0, chosen, &n, &proven, err));
    assert_true(proven);
    assert_int_equal(n, json_integer_value(json_object_get(result, "maximum_set_size")));
    const json_t *unique = json_object_get(result, "unique_maximum_set");
    for (size_t k = 0; k < json_array_size(unique); k++)
      assert_string_equal(sg_facts_noun(f, chosen[k]).text, json_string_value(json_array_get(unique, k)));
  }
  sg_facts_free(f);
  json_decref(all);
}

typedef struct opened {
  sg_model *model;
  sg_tokenizer *tokenizer;
  sg_facts *facts;
} opened;

/* The case's facts in its own order of nouns and answers. */
static opened open_case(const json_t *c) {
  opened o;
  assert_sg_ok(sg_model_load(MODEL, &o.model, err));
  assert_sg_ok(sg_tokenizer_load(MODEL "/tokenizer.json", &o.tokenizer, err));
  json_t *whole = json_pack("{s:s, s:s, s:O}", "before", "The ", "after", " was", "facts", json_object_get(c, "facts"));
  assert_sg_ok(sgi_facts_from_json(whole, "facts", NULL, &o.facts, err));
  json_decref(whole);
  assert_sg_ok(sg_facts_list(o.facts, 1, err));
  return o;
}

static void close_case(opened *o) {
  sg_facts_free(o->facts);
  sg_tokenizer_free(o->tokenizer);
  sg_model_free(o->model);
}

static sg_interventions *run_sets(const opened *o, size_t answers, const bool *layers, size_t n_sets, bool at_last) {
  sg_interventions *out;
  sg_intervention_request r = {.facts = o->facts,
                               .tokenizer = o->tokenizer,
                               .top_answers = answers,
                               .layers = layers,
                               .n_sets = n_sets,
                               .at_last = at_last,
                               .keep_logits = true};
  assert_sg_ok(sg_interventions_run(o->model, &r, &out, err));
  return out;
}

/* " The girl was" of the golden file. */
static void same_prompt(const opened *o, const sg_fact_prompt *p, const char *expected) {
  char text[128];
  snprintf(text, sizeof text, " The %s was", sg_facts_noun(o->facts, p->noun).text);
  assert_string_equal(text, expected);
}

static void same_prompts(const opened *o, const sg_interventions *r, const json_t *c) {
  const json_t *kept = json_object_get(c, "nouns_kept"), *pairs = json_object_get(c, "pairs");
  assert_int_equal(r->n_prompts, json_array_size(kept));
  for (size_t i = 0; i < r->n_prompts; i++) {
    const char *name = json_string_value(json_array_get(kept, i));
    const json_t *answers = json_object_get(json_object_get(c, "answers_kept"), name);
    same_prompt(o, &r->prompts[i], name);
    assert_int_equal(r->prompts[i].subject, 2);
    assert_int_equal(r->prompts[i].length, 4);
    assert_int_equal(json_array_size(answers), r->top_answers);
    for (size_t a = 0; a < r->top_answers; a++)
      assert_int_equal(r->prompts[i].answers[a], json_integer_value(json_array_get(answers, a)));
  }
  assert_int_equal(r->n_pairs, json_array_size(pairs));
  for (size_t i = 0; i < r->n_pairs; i++) {
    const json_t *pair = json_array_get(pairs, i);
    same_prompt(o, &r->prompts[r->pairs[i][0]], json_string_value(json_object_get(pair, "clean")));
    same_prompt(o, &r->prompts[r->pairs[i][1]], json_string_value(json_object_get(pair, "counterfactual")));
  }
}

static const float *values(const sgi_safetensors *f, const char *key, const char *what, size_t count) {
  char name[160];
  snprintf(name, sizeof name, "%s.%s", key, what);
  const sgi_tensor *t = sgi_safetensors_find(f, name);
  if (!t) fail_msg("%s is missing", name);
  assert_int_equal(t->count, count);
  return t->data;
}

static void same_run(const sg_interventions *r, const sgi_safetensors *f, const char *key, size_t V) {
  size_t P = r->n_pairs;
  double tolerance = golden_tolerance("eval", "interventions logits, logitdiff", "abs");
  const float *clean = values(f, key, "logits_clean", P * V), *counter = values(f, key, "logits_counterfactual", P * V),
              *patched = values(f, key, "logits_intervened", P * V);
  const float *d_clean = values(f, key, "logitdiff_clean", P),
              *d_counter = values(f, key, "logitdiff_counterfactual", P),
              *d_patched = values(f, key, "logitdiff_intervened", P),
              *recovered = values(f, key, "recovered_effect", P), *flip = values(f, key, "rank_flip", P),
              *right_clean = values(f, key, "correct_clean", P),
              *right_counter = values(f, key, "correct_counterfactual", P);
  assert_true(golden_compare(r->patched_logits, patched, P * V).abs <= tolerance);
  for (size_t i = 0; i < P; i++) {
    const sg_intervention *x = &r->results[i];
    assert_true(golden_compare(r->logits + r->pairs[i][0] * V, clean + i * V, V).abs <= tolerance);
    assert_true(golden_compare(r->logits + r->pairs[i][1] * V, counter + i * V, V).abs <= tolerance);
    near("logitdiff_clean", x->clean, d_clean[i], tolerance);
    near("logitdiff_counterfactual", x->counterfactual, d_counter[i], tolerance);
    near("logitdiff_intervened", x->patched, d_patched[i], tolerance);
    near("recovered_effect", x->recovered, recovered[i],
         3e-5 * (2 + fabs((double)recovered[i])) / fabs((double)d_clean[i] - d_counter[i]));
    assert_true(x->rank_flip == (flip[i] == 1));
    assert_true(x->correct_clean == (right_clean[i] == 1));
    assert_true(x->correct_counterfactual == (right_counter[i] == 1));
  }
}

static void interventions(void **state) {
  (void)state;
  json_t *cases = golden_json(FACTS "interventions.json"), *c, *run;
  sgi_safetensors *f;
  assert_sg_ok(sgi_safetensors_open(FACTS "interventions.safetensors", &f, err));
  size_t i, k, runs = 0;
  json_array_foreach(cases, i, c) {
    opened o = open_case(c);
    size_t L = sg_model_config(o.model)->num_layers, V = sg_model_config(o.model)->vocab_size;
    json_array_foreach(json_object_get(c, "runs"), k, run) {
      bool layers[8] = {false};
      const json_t *list = json_object_get(run, "layers_to_patch");
      assert_true(L <= 8);
      for (size_t l = 0; l < json_array_size(list); l++) layers[json_integer_value(json_array_get(list, l))] = true;
      bool at_last = json_integer_value(json_object_get(run, "position_to_patch")) == 3;
      sg_interventions *r =
          run_sets(&o, (size_t)json_integer_value(json_object_get(c, "top_answers")), layers, 1, at_last);
      same_prompts(&o, r, c);
      same_run(r, f, json_string_value(json_object_get(run, "key")), V);
      sg_interventions_free(r);
      runs++;
    }
    close_case(&o);
  }
  assert_int_equal(json_array_size(cases), 2);
  assert_int_equal(runs, 10);
  sgi_safetensors_close(f);
  json_decref(cases);
}

/* No layer patched: the clean run, bit for bit. All layers at every position that differs would be
 * the counterfactual; all layers at the last position move the logits, several sets give what each
 * gives alone. */
static void identities(void **state) {
  (void)state;
  json_t *cases = golden_json(FACTS "interventions.json");
  opened o = open_case(json_array_get(cases, 0));
  size_t V = sg_model_config(o.model)->vocab_size;
  const bool layers[] = {false, false, false, true, false, true, true, true, true};
  sg_interventions *r = run_sets(&o, 1, layers, 3, false), *one = run_sets(&o, 1, layers + 3, 1, false);
  for (size_t i = 0; i < r->n_pairs; i++) {
    assert_memory_equal(r->patched_logits + i * V, r->logits + r->pairs[i][0] * V, V * sizeof(float));
    assert_true(r->results[i].recovered == 0);
  }
  assert_memory_equal(r->patched_logits + r->n_pairs * V, one->patched_logits, r->n_pairs * V * sizeof(float));
  assert_memory_not_equal(r->patched_logits + 2 * r->n_pairs * V, r->patched_logits, r->n_pairs * V * sizeof(float));
  sg_interventions_free(r);
  sg_interventions_free(one);
  close_case(&o);
  json_decref(cases);
}

/* A run patched with its own gates: two nouns that the model cannot tell apart, since their
 * embeddings are made equal. */
static void own_gates(void **state) {
  (void)state;
  json_t *cases = golden_json(FACTS "interventions.json");
  opened o = open_case(json_array_get(cases, 0));
  size_t V = sg_model_config(o.model)->vocab_size;
  sg_interventions *r = run_sets(&o, 1, (const bool[]){true, true, true}, 1, false);
  int32_t girl = r->prompts[0].tokens[2], sky = r->prompts[1].tokens[2];
  sg_interventions_free(r);
  size_t D = sg_model_config(o.model)->hidden_size;
  sg_tensor embed = sg_model_tensor(o.model, 0);
  float *copy = malloc(D * sizeof *copy);
  memcpy(copy, embed.data + (size_t)girl * D, D * sizeof *copy);
  char *directory = golden_temporary();
  char path[512];
  assert_sg_ok(sg_model_save(o.model, directory, err));
  snprintf(path, sizeof path, "%s/model.safetensors", directory);
  sgi_safetensors *f;
  assert_sg_ok(sgi_safetensors_open(path, &f, err));
  size_t n = sgi_safetensors_count(f);
  sgi_tensor *tensors = malloc(n * sizeof *tensors);
  float *E = NULL;
  for (size_t i = 0; i < n; i++) {
    tensors[i] = *sgi_safetensors_at(f, i);
    if (strcmp(tensors[i].name, embed.name)) continue;
    E = malloc(tensors[i].bytes);
    memcpy(E, tensors[i].data, tensors[i].bytes);
    memcpy(E + (size_t)sky * D, copy, D * sizeof *copy);
    tensors[i].data = E;
  }
  assert_non_null(E);
  char other[520];
  snprintf(other, sizeof other, "%s/new.safetensors", directory);
  assert_sg_ok(sgi_safetensors_save(other, tensors, n, NULL, 0, err));
  sgi_safetensors_close(f);
  assert_int_equal(rename(other, path), 0);
  sg_model_free(o.model);
  assert_sg_ok(sg_model_load(directory, &o.model, err));
  r = run_sets(&o, 1, (const bool[]){true, true, true}, 1, false);
  assert_memory_equal(r->patched_logits, r->logits, V * sizeof(float));
  assert_memory_equal(r->patched_logits + V, r->logits + V, V * sizeof(float));
  sg_interventions_free(r);
  free(copy);
  free(E);
  free(tensors);
  golden_remove(directory);
  close_case(&o);
  json_decref(cases);
}

/* Pair i of a and k of b: of the same nouns, with the same answers. */
static bool same_pair(const sg_interventions *a, size_t i, const sg_interventions *b, size_t k) {
  for (size_t side = 0; side < 2; side++) {
    const sg_fact_prompt *x = &a->prompts[a->pairs[i][side]], *y = &b->prompts[b->pairs[k][side]];
    if (x->noun != y->noun || x->answer_at[1] != 1 || x->answers[0] != y->answers[0]) return false;
  }
  return true;
}

/* Answers of one token along themselves: what the logits say. */
static void words_of_one_token(void **state) {
  (void)state;
  json_t *cases = golden_json(FACTS "interventions.json");
  opened o = open_case(json_array_get(cases, 0));
  bool layers[16] = {false};
  size_t L = sg_model_config(o.model)->num_layers;
  for (size_t l = 0; l < L; l++) layers[l] = layers[L + l / 2] = true;
  sg_interventions *plain = run_sets(&o, 1, layers, 2, false), *words;
  sg_intervention_request r = {
      .facts = o.facts, .tokenizer = o.tokenizer, .top_answers = 1, .layers = layers, .n_sets = 2, .words = true};
  assert_sg_ok(sg_interventions_run(o.model, &r, &words, err));
  assert_true(words->n_pairs >= plain->n_pairs && plain->n_pairs > 0);
  size_t compared = 0;
  for (size_t i = 0; i < words->n_pairs; i++)
    for (size_t k = 0; k < plain->n_pairs; k++) {
      if (!same_pair(words, i, plain, k)) continue;
      for (size_t s = 0; s < 2; s++) {
        const sg_intervention *a = &plain->results[s * plain->n_pairs + k],
                              *b = &words->results[s * words->n_pairs + i];
        near("clean", b->clean, a->clean, 2e-5);
        near("counterfactual", b->counterfactual, a->counterfactual, 2e-5);
        near("patched", b->patched, a->patched, 2e-5);
      }
      compared++;
    }
  assert_true(compared > 1);
  sg_interventions_free(plain);
  sg_interventions_free(words);
  close_case(&o);
  json_decref(cases);
}

/* Log probability of an answer of prompt `whose` behind prompt a, with gates from b in the layers
 * of a set (NULL: its own): one run with edits, and a softmax for each token. */
static double by_edits(const opened *o, const sg_interventions *w, size_t a, size_t b, size_t whose,
                       const bool *layers) {
  const sg_fact_prompt *own = &w->prompts[a], *other = &w->prompts[b], *of = &w->prompts[whose];
  size_t n = of->answer_at[1], V = sg_model_config(o->model)->vocab_size, n_edits = 0;
  static const char *const record[] = {"layers.*.router.*"};
  int32_t tokens[128];
  float *logits = malloc(V * sizeof *logits);
  sg_edit edits[64];
  sg_run *from, *run;
  sg_run_request plain = {.tokens = other->tokens, .count = other->length, .record = record, .n_record = 1};
  assert_sg_ok(sg_run_create(o->model, &plain, &from, err));
  for (size_t l = 0; layers && l < sg_model_config(o->model)->num_layers; l++)
    for (size_t s = 0; s < own->n_subject && layers[l]; s++)
      for (size_t k = 0; k < 2; k++) {
        char text[96];
        snprintf(text, sizeof text, "layers.%zu.router.%s[pos=%zu] =@other", l, k ? "indices" : "scores",
                 own->subject + s);
        assert_sg_ok(sg_edit_parse(text, &edits[n_edits], err));
        edits[n_edits++].from = from;
      }
  memcpy(tokens, own->tokens, own->length * sizeof *tokens);
  memcpy(tokens + own->length, of->answers, (n - 1) * sizeof *tokens);
  sg_run_request q = {.tokens = tokens, .count = own->length + n - 1, .edits = edits, .n_edits = n_edits};
  assert_sg_ok(sg_run_create(o->model, &q, &run, err));
  double all = 0;
  for (size_t i = 0; i < n; i++) {
    double sum = 0;
    assert_sg_ok(sg_run_logits(run, (ptrdiff_t)(own->length - 1 + i), logits, err));
    for (size_t v = 0; v < V; v++) sum += exp((double)logits[v]);
    all += (double)logits[of->answers[i]] - log(sum);
  }
  sg_run_free(run);
  sg_run_free(from);
  free(logits);
  return all;
}

static void words(void **state) {
  (void)state;
  opened o = {0};
  bool layers[8] = {true, false, true};
  static const char *const said[][2] = {{"elephant", "enormous"}, {"crocodile", "dangerous"},
                                        {"dog", "old"},           {"butterfly", "colourful"},
                                        {"cat", "hungry"},        {"kangaroo", "jumping"}};
  assert_sg_ok(sg_model_load(MODEL, &o.model, err));
  assert_sg_ok(sg_tokenizer_load(MODEL "/tokenizer.json", &o.tokenizer, err));
  assert_sg_ok(sg_facts_create("The ", " was", &o.facts, err));
  for (size_t i = 0; i < sizeof said / sizeof *said; i++)
    assert_sg_ok(sg_facts_add(o.facts, said[i][0], said[i][1], 1, err));
  assert_sg_ok(sg_facts_list(o.facts, 1, err));
  sg_interventions *w;
  sg_intervention_request r = {
      .facts = o.facts, .tokenizer = o.tokenizer, .top_answers = 1, .layers = layers, .n_sets = 1, .words = true};
  assert_sg_ok(sg_interventions_run(o.model, &r, &w, err));
  size_t longest = 0, widest = 0;
  assert_true(w->n_pairs > 0);
  for (size_t i = 0; i < w->n_pairs; i++) {
    size_t a = w->pairs[i][0], b = w->pairs[i][1];
    const sg_intervention *x = &w->results[i];
    near("clean", x->clean, by_edits(&o, w, a, b, a, NULL) - by_edits(&o, w, a, b, b, NULL), 3e-5);
    near("counterfactual", x->counterfactual, by_edits(&o, w, b, a, a, NULL) - by_edits(&o, w, b, a, b, NULL), 3e-5);
    near("patched", x->patched, by_edits(&o, w, a, b, a, layers) - by_edits(&o, w, a, b, b, layers), 3e-5);
    assert_true(fabs(x->patched - x->clean) > 1e-4); /* the patch does something */
    if (w->prompts[a].answer_at[1] > longest) longest = w->prompts[a].answer_at[1];
    if (w->prompts[a].n_subject > widest) widest = w->prompts[a].n_subject;
  }
  assert_true(longest > 1 && widest > 1);
  sg_interventions_free(w);
  close_case(&o);
}

static bool stop(void *user, size_t done, size_t wanted) {
  (void)user;
  return done == wanted;
}

static void refusals(void **state) {
  (void)state;
  json_t *cases = golden_json(FACTS "interventions.json");
  opened o = open_case(json_array_get(cases, 0));
  sg_interventions *r;
  sg_error e;
  bool layers[8] = {true};
  sg_intervention_request q = {
      .facts = o.facts, .tokenizer = o.tokenizer, .top_answers = 9, .layers = layers, .n_sets = 1};
  assert_int_equal(sg_interventions_run(o.model, &q, &r, &e), SG_ERR_ARG);
  assert_non_null(strstr(e.text, "at least 2"));
  q.top_answers = 0;
  assert_int_equal(sg_interventions_run(o.model, &q, &r, &e), SG_ERR_ARG);
  q.top_answers = 1;
  q.progress = stop;
  assert_int_equal(sg_interventions_run(o.model, &q, &r, &e), SG_ERR_CANCELLED);
  q.progress = NULL;
  sg_config c = *sg_model_config(o.model);
  strcpy(c.feedforward, "mlp");
  *c.router = 0;
  strcpy(c.activation, "gelu");
  c.num_channels = c.top_k = c.key_dim = 0;
  sg_model *mlp;
  assert_sg_ok(sg_model_create(&c, 1, &mlp, err));
  assert_int_equal(sg_interventions_run(mlp, &q, &r, &e), SG_ERR_UNSUPPORTED);
  sg_model_free(mlp);
  c = *sg_model_config(o.model);
  strcpy(c.feedforward, "peer");
  strcpy(c.router, "product_key_value");
  strcpy(c.activation, "gelu");
  sg_model *peer;
  assert_sg_ok(sg_model_create(&c, 1, &peer, err));
  assert_sg_ok(sg_interventions_run(peer, &q, &r, err));
  sg_interventions_free(r);
  sg_model_free(peer);
  c.vocab_size = 100;
  assert_sg_ok(sg_model_create(&c, 1, &peer, err));
  assert_int_equal(sg_interventions_run(peer, &q, &r, &e), SG_ERR_ARG);
  sg_model_free(peer);
  close_case(&o);
  json_decref(cases);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(mining),    cmocka_unit_test(interventions),      cmocka_unit_test(identities),
      cmocka_unit_test(own_gates), cmocka_unit_test(words_of_one_token), cmocka_unit_test(words),
      cmocka_unit_test(refusals)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
