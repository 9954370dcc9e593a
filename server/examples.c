#include "examples.h"

#include <string.h>

#include "core/json.h"
#include "math/kernels.h"
#include "read/fact_prompts.h"

enum { EXAMPLES = 3, TRIES = 48, WORDS = 6 };

/* The model's best guess behind the prompt is one of the noun's answers. */
static sg_status known(const explorer *e, const sg_facts *f, const sg_fact_prompt *p, float *logits, bool *yes,
                       sg_error *err) {
  sg_run *run = NULL;
  size_t V = sg_model_config(e->model)->vocab_size;
  sg_run_request request = {.tokens = p->tokens, .count = p->length};
  sg_status st = sg_run_create(e->model, &request, &run, err);
  if (!st) st = sg_run_logits(run, -1, logits, err);
  sg_run_free(run);
  if (st) return st;
  int32_t best = (int32_t)sgi_kernel_table()->argmax(logits, V);
  int32_t *ids = NULL;
  *yes = false;
  sg_fact noun = sg_facts_noun(f, p->noun);
  for (size_t k = 0; k < noun.count && !st && !*yes; k++) {
    sg_fact a = sg_facts_answer(f, p->noun, k);
    size_t n;
    st = sg_tokenizer_encode(e->tokenizer, a.text, strlen(a.text), &ids, &n, err);
    *yes = !st && n > 0 && ids[0] == best;
    sg_buffer_free(ids);
    ids = NULL;
  }
  return st;
}

/* "Noah's pet was": what stands around the noun, without the blank in front. */
static json_t *prompt_text(const sg_facts *f, size_t noun) {
  const char *before = f->before + strspn(f->before, " ");
  return json_sprintf("%s%s%s", before, sg_facts_noun(f, noun).text, f->after);
}

/* Texts of up to EXAMPLES + 1 known facts. */
static sg_status of_facts(const explorer *e, json_t *texts, sg_error *err) {
  sg_facts *f = NULL;
  sg_fact_prompt *prompts = NULL;
  size_t n = 0, V = sg_model_config(e->model)->vocab_size;
  float *logits = sgi_alloc(V * sizeof *logits);
  sg_status st = logits ? SG_OK : sgi_fail_memory(err, V * sizeof *logits, "logits");
  if (!st) st = sgi_facts_load(e->facts, NULL, &f, err);
  if (!st) st = sg_facts_list(f, 1, err);
  if (!st) st = sgi_fact_prompts(f, e->tokenizer, sg_model_config(e->model)->bos_id, 1, &prompts, &n, err);
  for (size_t i = 0; i < n && i < TRIES && json_array_size(texts) <= EXAMPLES && !st; i++) {
    bool yes;
    st = known(e, f, &prompts[i], logits, &yes, err);
    if (!st && yes && json_array_append_new(texts, prompt_text(f, prompts[i].noun)))
      st = sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  }
  sgi_fact_prompts_free(prompts, n);
  sg_facts_free(f);
  sgi_free(logits);
  return st;
}

/* The first words of the first recorded documents. */
static sg_status of_recording(const explorer *e, json_t *texts, sg_error *err) {
  const cli_reading *r = e->recording;
  sg_status st = SG_OK;
  for (size_t d = 0; d < r->info->n_documents && json_array_size(texts) < EXAMPLES && !st; d++) {
    int32_t ids[WORDS];
    size_t first, count, n = 0, bytes = 0;
    sgi_recording_document(r->rec, d, &first, &count);
    for (size_t p = first; p < first + count && n < WORDS; p++) {
      int32_t id = sgi_recording_at(r->rec, p).input;
      if (id != r->info->bos) ids[n++] = id;
    }
    char *text = NULL;
    if (n) st = sg_tokenizer_decode(e->tokenizer, ids, n, true, &text, &bytes, err);
    if (!st && text &&
        json_array_append_new(texts, cli_json_text(text + strspn(text, " "), strlen(text + strspn(text, " ")))))
      st = sgi_fail(err, SG_ERR_MEMORY, "out of memory");
    sg_buffer_free(text);
  }
  return st;
}

sg_status examples_make(const explorer *e, json_t **out, sg_error *err) {
  json_t *texts = json_array(), *list = json_array();
  bool facts = false;
  sg_status st = texts && list ? SG_OK : sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  if (!st && e->model && e->tokenizer && e->facts) {
    st = of_facts(e, texts, err);
    facts = json_array_size(texts) > 0;
  }
  if (!st && e->model && e->tokenizer && e->recording && !facts) st = of_recording(e, texts, err);
  size_t n = json_array_size(texts);
  for (size_t i = 0; i < n && i < EXAMPLES && !st; i++) {
    json_t *twin = facts && n > 1 ? json_array_get(texts, (i + 1) % n) : NULL;
    json_t *row = json_pack("{sO sO?}", "text", json_array_get(texts, i), "twin", twin);
    if (row && !twin && json_object_set_new(row, "twin", json_null()))
      st = sgi_fail(err, SG_ERR_MEMORY, "out of memory");
    if (!row || json_array_append_new(list, row)) st = sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  }
  json_decref(texts);
  if (st) {
    json_decref(list);
    return st;
  }
  *out = list;
  return SG_OK;
}
