#include "facts.h"

#include "read/fact_prompts.h"

sg_status sgi_facts_of(const json_t *file, const char *type, sg_facts **out, sg_error *err) {
  sg_status st = sgi_facts_from_json(file, "facts", type, out, err);
  return st ? st : sg_facts_list(*out, 1, err);
}

/* Types of the rows of worlds' facts.json in order of appearance; empty for mined facts, which have
 * none. */
static json_t *types_of(const json_t *file) {
  json_t *types = json_array();
  for (size_t i = 0; json_is_array(file) && i < json_array_size(file); i++) {
    json_t *type = json_object_get(json_array_get(file, i), "type");
    bool known = !json_is_string(type);
    for (size_t k = 0; k < json_array_size(types) && !known; k++) known = json_equal(json_array_get(types, k), type);
    if (!known) json_array_append(types, type);
  }
  return types;
}

static json_t *noun_json(const sg_facts *f, size_t i, bool single) {
  sg_fact noun = sg_facts_noun(f, i);
  json_t *answers = json_array();
  for (size_t k = 0; k < noun.count; k++) {
    sg_fact a = sg_facts_answer(f, i, k);
    json_array_append_new(answers, json_pack("{ss sI}", "answer", a.text, "count", (json_int_t)a.count));
  }
  return json_pack("{ss so sb}", "noun", noun.text, "answers", answers, "single", single);
}

sg_status sgi_facts_report(const sgi_prompt *p, const json_t *file, const sg_facts *f, const char *type, json_t **out,
                           sg_error *err) {
  json_t *nouns = json_array(), *types = types_of(file);
  sg_fact_prompt *prompts = NULL;
  size_t n = 0;
  sg_status st = sgi_fact_prompts(f, p->tokenizer, sg_model_config(p->model)->bos_id, 1, false, &prompts, &n, err);
  for (size_t i = 0; !st && i < sg_facts_count(f); i++) {
    bool single = false;
    for (size_t k = 0; k < n && !single; k++) single = prompts[k].noun == i;
    json_array_append_new(nouns, noun_json(f, i, single));
  }
  if (!type) type = json_array_size(types) ? "quality" : "";
  if (!st && !(*out = json_pack("{ss ss sO ss sO}", "before", f->before, "after", f->after, "types", types, "type",
                                type, "nouns", nouns)))
    st = sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  sgi_fact_prompts_free(prompts, n);
  json_decref(nouns);
  json_decref(types);
  return st;
}
