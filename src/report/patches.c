#include "patches.h"

const char *const sgi_patch_what_names[] = {"gates", "neurons", "embedding"};

sgi_patch_mean sgi_patches_mean(const sg_interventions *r, size_t set) {
  sgi_patch_mean m = {0};
  double n = (double)r->n_pairs;
  for (size_t i = 0; i < r->n_pairs; i++) {
    const sg_intervention *x = &r->results[set * r->n_pairs + i];
    m.clean += x->clean / n;
    m.counterfactual += x->counterfactual / n;
    m.patched += x->patched / n;
    m.recovered += x->recovered / n;
    m.flip += x->rank_flip / n;
    m.correct_clean += x->correct_clean / n;
    m.correct_counterfactual += x->correct_counterfactual / n;
  }
  return m;
}

static json_t *numbers(double clean, double counter, double patched, double recovered) {
  return json_pack("{so so so so}", "logitdiff_clean", sgi_report_real(clean), "logitdiff_counterfactual",
                   sgi_report_real(counter), "logitdiff_intervened", sgi_report_real(patched), "recovered_effect",
                   sgi_report_real(recovered));
}

const char *sgi_patches_noun(const sgi_patches *p, size_t prompt) {
  return sg_facts_noun(p->facts, p->runs->prompts[prompt].noun).text;
}

static json_t *pairs_json(const sgi_patches *p, size_t set) {
  json_t *a = json_array();
  for (size_t i = 0; i < p->runs->n_pairs; i++) {
    const sg_intervention *x = &p->runs->results[set * p->runs->n_pairs + i];
    json_t *o = numbers(x->clean, x->counterfactual, x->patched, x->recovered);
    json_object_set_new(o, "clean", json_string(sgi_patches_noun(p, p->runs->pairs[i][0])));
    json_object_set_new(o, "counterfactual", json_string(sgi_patches_noun(p, p->runs->pairs[i][1])));
    json_object_set_new(o, "rank_flip", json_boolean(x->rank_flip));
    json_object_set_new(o, "correct_clean", json_boolean(x->correct_clean));
    json_object_set_new(o, "correct_counterfactual", json_boolean(x->correct_counterfactual));
    json_array_append_new(a, o);
  }
  return a;
}

static json_t *known_json(const sg_intervention_summary *k) {
  json_t *o = numbers(k->clean, k->counterfactual, k->patched, k->recovered);
  json_object_set_new(o, "median_recovered", sgi_report_real(k->median_recovered));
  json_object_set_new(o, "rank_flip", sgi_report_real(k->rank_flip));
  return o;
}

static json_t *set_json(const sgi_patches *p, size_t set, size_t *known) {
  sg_intervention_summary k;
  if (sg_interventions_summary(p->runs, set, &k, NULL)) return NULL;
  *known = k.known;
  sgi_patch_mean m = sgi_patches_mean(p->runs, set);
  json_t *list = json_array(), *o = numbers(m.clean, m.counterfactual, m.patched, m.recovered);
  for (size_t l = 0; l < p->L; l++)
    if (p->layers[set * p->L + l]) json_array_append_new(list, json_integer((json_int_t)l));
  json_object_set_new(o, "rank_flip", sgi_report_real(m.flip));
  json_object_set_new(o, "correct_clean", sgi_report_real(m.correct_clean));
  json_object_set_new(o, "correct_counterfactual", sgi_report_real(m.correct_counterfactual));
  json_t *all = json_pack("{so so so}", "layers", list, "known", known_json(&k), "mean", o);
  if (p->pairs) json_object_set_new(all, "pairs", pairs_json(p, set));
  return all;
}

/* A token, or {"text", "ids"} of a word. */
static json_t *answer_json(const sgi_patches *p, const sg_fact_prompt *one, size_t k) {
  const int32_t *ids = one->answers + one->answer_at[k];
  size_t n = one->answer_at[k + 1] - one->answer_at[k];
  if (n == 1) return sgi_token_json(p->prompt, *ids);
  json_t *list = json_array();
  for (size_t i = 0; i < n; i++) json_array_append_new(list, json_integer(ids[i]));
  return json_pack("{so so}", "text", sgi_word_text_json(p->prompt, ids, n), "ids", list);
}

json_t *sgi_patches_json(const sgi_patches *p) {
  json_t *sets = json_array(), *nouns = json_array();
  size_t known = 0;
  for (size_t s = 0; s < p->runs->n_sets; s++)
    if (json_array_append_new(sets, set_json(p, s, &known))) return json_decref(sets), json_decref(nouns), NULL;
  for (size_t i = 0; i < p->runs->n_prompts; i++) {
    const sg_fact_prompt *one = &p->runs->prompts[i];
    json_t *answers = json_array();
    for (size_t a = 0; a < p->runs->top_answers; a++) json_array_append_new(answers, answer_json(p, one, a));
    json_array_append_new(nouns, json_pack("{ss so}", "noun", sgi_patches_noun(p, i), "answers", answers));
  }
  return json_pack("{sI sI sb so sI sI ss ss ss so}", "nouns", (json_int_t)p->nouns, "distinct",
                   (json_int_t)p->n_distinct, "distinct_proven", p->proven, "prompts", nouns, "n_pairs",
                   (json_int_t)p->runs->n_pairs, "n_known", (json_int_t)known, "at", p->at_last ? "last" : "noun",
                   "what", sgi_patch_what_names[p->what], "from", p->from_another ? "another" : "counterfactual",
                   "runs", sets);
}
