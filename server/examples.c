#include "examples.h"

#include <string.h>

#include "core/json.h"
#include "report/predict.h"

enum { EXAMPLES = 3, TRIES = 48, WORDS = 6 };

/* First token of an answer as it follows a prompt; -1: none. */
static int32_t first_token(const explorer *e, const char *answer) {
  char text[128];
  int32_t *ids = NULL, id = -1;
  size_t n = 0;
  snprintf(text, sizeof text, "%s%s", *answer == ' ' ? "" : " ", answer);
  if (!sg_tokenizer_encode(e->tokenizer, text, strlen(text), &ids, &n, NULL) && n) id = ids[0];
  sg_buffer_free(ids);
  return id;
}

/* The model's best guess behind the prompt begins one of the noun's answers. */
static sg_status known(const explorer *e, const sg_facts *f, size_t noun, const char *prompt, bool *yes,
                       sg_error *err) {
  sg_run *run = NULL;
  sgi_prompt p = {.model = e->model, .tokenizer = e->tokenizer};
  sgi_prediction q = {0};
  *yes = false;
  sg_status st = sgi_prompt_encode(&p, prompt, false, &p.tokens, &p.count, err);
  sg_run_request request = {.tokens = p.tokens, .count = p.count};
  if (!st) st = sg_run_create(e->model, &request, &run, err);
  if (!st) st = sgi_predict(&q, &p, run, -1, err);
  int32_t best = st ? -1 : sgi_prediction_best(&q);
  sgi_prediction_free(&q);
  sg_run_free(run);
  sgi_free(p.tokens);
  if (st) return st;
  for (size_t k = 0; k < sg_facts_noun(f, noun).count && !*yes; k++)
    *yes = first_token(e, sg_facts_answer(f, noun, k).text) == best;
  return SG_OK;
}

/* "Noah's pet was": what stands around the noun, without the blank in front. */
static json_t *prompt_text(const sg_facts *f, size_t noun) {
  const char *before = sg_facts_before(f) + strspn(sg_facts_before(f), " ");
  return json_sprintf("%s%s%s", before, sg_facts_noun(f, noun).text, sg_facts_after(f));
}

/* Texts of known facts of a type, until there are `most`. */
static sg_status of_type(const explorer *e, const char *type, size_t most, json_t *texts, sg_error *err) {
  sg_facts *f = NULL;
  if (sg_facts_load(e->facts, type, &f, NULL)) return SG_OK; /* a file of another form has no such type */
  sg_status st = sg_facts_list(f, 1, err);
  for (size_t i = 0; !st && i < sg_facts_count(f) && i < TRIES && json_array_size(texts) < most; i++) {
    bool yes = false;
    json_t *text = prompt_text(f, i);
    if (!text) st = sgi_fail(err, SG_ERR_MEMORY, "out of memory");
    if (!st) st = known(e, f, i, json_string_value(text), &yes, err);
    if (!st && yes && json_array_append(texts, text)) st = sgi_fail(err, SG_ERR_MEMORY, "out of memory");
    json_decref(text);
  }
  sg_facts_free(f);
  return st;
}

/* What somebody likes to eat is a word of several tokens more often than a quality is: it comes
 * first, as it is what one asks about. */
static sg_status of_facts(const explorer *e, json_t *texts, sg_error *err) {
  sg_status st = of_type(e, "food", 2, texts, err);
  return st ? st : of_type(e, NULL, EXAMPLES + 1, texts, err);
}

static bool is_among(const json_t *texts, const char *text) {
  for (size_t i = 0; i < json_array_size(texts); i++)
    if (!strcmp(json_string_value(json_array_get(texts, i)), text)) return true;
  return false;
}

/* The first words of the first recorded documents. */
static sg_status of_recording(const explorer *e, json_t *texts, sg_error *err) {
  const sgi_record_reader *r = e->recording;
  sg_status st = SG_OK;
  for (size_t d = 0; d < r->info.n_documents && json_array_size(texts) < EXAMPLES && !st; d++) {
    int32_t ids[WORDS];
    size_t first, count, n = 0, bytes = 0;
    sgi_recorded_document(r->rec, d, &first, &count);
    for (size_t p = first; p < first + count && n < WORDS; p++) {
      int32_t id = sgi_recorded_at(r->rec, p).input;
      if (id != r->info.bos) ids[n++] = id;
    }
    char *text = NULL;
    if (n) st = sg_tokenizer_decode(e->tokenizer, ids, n, true, &text, &bytes, err);
    const char *own = text ? text + strspn(text, " ") : "";
    if (!st && *own && !is_among(texts, own) && json_array_append_new(texts, sgi_report_text(own, strlen(own))))
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
