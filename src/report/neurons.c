#include "neurons.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

sg_status sgi_neuron_parse(const char *text, sgi_neuron_at *out, sg_error *err) {
  size_t x[3] = {0}, k = 0;
  const char *p = text;
  for (; k < 3; k++) {
    if (k && *p != '.' && *p != ',') break;
    if (k) p++;
    if (*p < '0' || *p > '9') break;
    for (; *p >= '0' && *p <= '9' && x[k] <= INT32_MAX; p++) x[k] = 10 * x[k] + (size_t)(*p - '0');
  }
  *out = (sgi_neuron_at){x[0], x[1], x[2]};
  if (k == 3 && !*p) return SG_OK;
  return sgi_fail(err, SG_ERR_ARG, "\"%.40s\" is no neuron: expected layer, channel and index, such as 1.0.17", text);
}

sg_status sgi_neuron_label(const sgi_prompt *p, const sg_recording *rec, const sgi_neuron_at *at,
                           char out[SGI_LABEL_TEXT], sg_error *err) {
  sgi_label label;
  sg_status st = sgi_label_make(p->model, p->tokenizer, rec, at->layer, at->channel, at->index, &label, err);
  if (!st) sgi_label_text(&label, p->tokenizer, out);
  return st;
}

sg_status sgi_question_token(const sgi_prompt *p, const char *text, bool end, int32_t *id, sg_error *err) {
  int32_t *tokens = NULL;
  size_t n = 0;
  if (!p->tokenizer || !strncmp(text, "id:", 3) || !sgi_prompt_token(p, text, id, NULL))
    return sgi_prompt_token(p, text, id, err);
  char *spaced = sgi_alloc(strlen(text) + 2);
  if (!spaced) return sgi_fail_memory(err, strlen(text), "a word");
  snprintf(spaced, strlen(text) + 2, "%s%s", *text == ' ' ? "" : " ", text);
  sg_status st = sgi_prompt_encode(p, spaced, true, &tokens, &n, err);
  if (!st && !n) st = sgi_fail(err, SG_ERR_ARG, "the question's word is empty");
  if (!st) *id = tokens[end ? n - 1 : 0];
  sgi_free(tokens);
  sgi_free(spaced);
  return st;
}

json_t *sgi_neuron_row(const sgi_browsed_row *r) {
  const sgi_neuron_stat *s = r->stat;
  const sgi_named *n = &r->named;
  bool given = *n->name != 0;
  return json_pack("{sI sI sI ss sb so so so so so so so so so}", "layer", (json_int_t)s->layer, "channel",
                   (json_int_t)s->channel, "index", (json_int_t)s->index, "label", n->text, "recorded",
                   (int)n->label.recorded, "name", given ? json_string(n->name) : json_null(), "author",
                   given ? json_string(n->author) : json_null(), "time", given ? json_integer(n->time) : json_null(),
                   "count", s->recorded ? json_integer((json_int_t)s->count) : json_null(), "frequency",
                   sgi_report_real(s->recorded ? s->share : NAN), "largest",
                   sgi_report_real(s->recorded ? s->largest : NAN), "strength", sgi_report_real(s->strength), "norm",
                   sgi_report_real(s->norm), "score", sgi_report_real(r->score));
}

#define QUESTION_WORD(id, word) word,
json_t *sgi_neuron_page(const sgi_prompt *p, const sgi_browse *ask, const sgi_page *page) {
  static const char *const words[] = {SGI_QUESTIONS(QUESTION_WORD)};
  bool token = ask->question && ask->question != SGI_ASK_NEAR;
  json_t *list = json_array();
  for (size_t i = 0; i < page->n; i++) json_array_append_new(list, sgi_neuron_row(&page->rows[i]));
  return json_pack("{sI sI so so so}", "found", (json_int_t)page->found, "from", (json_int_t)ask->from, "question",
                   ask->question ? json_string(words[ask->question]) : json_null(), "token",
                   token ? sgi_token_json(p, ask->token) : json_null(), "neurons", list);
}
#undef QUESTION_WORD
