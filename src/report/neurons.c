#include "neurons.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "names/browse.h"

sg_status sgi_neuron_parse(const char *text, sg_neuron_at *out, sg_error *err) {
  size_t x[3] = {0}, k = 0;
  const char *p = text;
  for (; k < 3; k++) {
    if (k && *p != '.' && *p != ',') break;
    if (k) p++;
    if (*p < '0' || *p > '9') break;
    for (; *p >= '0' && *p <= '9' && x[k] <= INT32_MAX; p++) x[k] = 10 * x[k] + (size_t)(*p - '0');
  }
  *out = (sg_neuron_at){x[0], x[1], x[2]};
  if (k == 3 && !*p) return SG_OK;
  return sgi_fail(err, SG_ERR_ARG, "\"%.40s\" is no neuron: expected layer, channel and index, such as 1.0.17", text);
}

sg_status sgi_neuron_label(const sgi_prompt *p, const sg_recording *rec, const sg_neuron_at *at,
                           char out[SG_LABEL_BYTES], sg_error *err) {
  sgi_label label;
  sg_status st = sgi_label_make(p->model, p->tokenizer, rec, at->layer, at->channel, at->index, &label, err);
  if (!st) sgi_label_text(&label, p->tokenizer, out);
  return st;
}

/* ---- all neurons in a list ------------------------------------------------------------------- */

static sg_status question_token(const sgi_prompt *p, const char *text, bool end, int32_t *id, sg_error *err) {
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

#define QUESTION_WORD(id, word) word,
static const char *const questions[] = {SGI_QUESTIONS(QUESTION_WORD)};
#undef QUESTION_WORD

static sg_status question_named(const char *word, sgi_question *out, sg_error *err) {
  for (size_t i = 0; i < SGI_COUNT(questions); i++)
    if (!strcmp(word, questions[i])) return *out = (sgi_question)i, SG_OK;
  return sgi_fail(err, SG_ERR_ARG, "\"%s\": no such question about neurons", word);
}

sg_status sgi_neurons_ask(const sgi_prompt *p, const char *word, const char *text, sgi_neurons_asked *asked,
                          sg_error *err) {
  sgi_question question = SGI_ASK_NONE;
  sg_status st = question_named(word, &question, err);
  if (st) return st;
  asked->question = questions[question];
  return question == SGI_ASK_NEAR ? sgi_neuron_parse(text, &asked->near, err)
                                  : question_token(p, text, question == SGI_ASK_FIRES_ON, &asked->token, err);
}

static json_t *row_json(const sgi_browsed_row *r) {
  const sgi_neuron_stat *s = r->stat;
  const sg_neuron_called *x = &r->named.called;
  bool given = *x->name != 0;
  return json_pack("{sI sI sI ss sb so so so so so so so so so}", "layer", (json_int_t)s->layer, "channel",
                   (json_int_t)s->channel, "index", (json_int_t)s->index, "label", x->label, "recorded",
                   (int)r->named.label.recorded, "name", given ? json_string(x->name) : json_null(), "author",
                   given ? json_string(x->author) : json_null(), "time", given ? json_integer(x->time) : json_null(),
                   "count", s->recorded ? json_integer((json_int_t)s->count) : json_null(), "frequency",
                   sgi_report_real(s->recorded ? s->share : NAN), "largest",
                   sgi_report_real(s->recorded ? s->largest : NAN), "strength", sgi_report_real(s->strength), "norm",
                   sgi_report_real(s->norm), "score", sgi_report_real(r->score));
}

static json_t *page_json(const sgi_prompt *p, const sgi_browse *ask, const sgi_page *page) {
  bool token = ask->question && ask->question != SGI_ASK_NEAR;
  json_t *list = json_array();
  for (size_t i = 0; i < page->n; i++) json_array_append_new(list, row_json(&page->rows[i]));
  return json_pack("{sI sI so so so}", "found", (json_int_t)page->found, "from", (json_int_t)ask->from, "question",
                   ask->question ? json_string(questions[ask->question]) : json_null(), "token",
                   token ? sgi_token_json(p, ask->token) : json_null(), "neurons", list);
}

bool sgi_sort_known(const char *word) {
  sgi_order order;
  return sgi_order_named(word, &order);
}

sg_status sgi_neurons_open(const sgi_prompt *p, const sg_recording *rec,
                           bool (*progress)(void *user, size_t done, size_t wanted), void *user, sgi_browser **out,
                           sg_error *err) {
  const sgi_label_request q = {
      .model = p->model, .tokenizer = p->tokenizer, .rec = rec, .progress = progress, .user = user};
  return sgi_browser_create(&q, out, err);
}

void sgi_neurons_close(sgi_browser *list) { sgi_browser_free(list); }

sg_status sgi_neurons_page(sgi_browser *list, const sgi_prompt *p, sg_names *names, const sgi_neurons_asked *asked,
                           bool (*progress)(void *user, size_t done, size_t wanted), void *user, json_t **out,
                           sg_error *err) {
  sgi_browse ask = {.token = asked->token,
                    .near = asked->near,
                    .find = asked->find,
                    .named = asked->named,
                    .layer = asked->layer,
                    .channel = asked->channel,
                    .order = asked->question ? SGI_ORDER_SCORE : SGI_ORDER_STRENGTH,
                    .reversed = asked->reversed,
                    .seed = asked->seed,
                    .from = asked->from,
                    .count = asked->count};
  sgi_page page = {0};
  sg_status st = SG_OK;
  if (asked->question) st = question_named(asked->question, &ask.question, err);
  if (!asked->question && !asked->recorded) ask.order = SGI_ORDER_NORM;
  if (!st && asked->sort && !sgi_order_named(asked->sort, &ask.order))
    st = sgi_fail(err, SG_ERR_ARG, "\"%s\": no such order of neurons", asked->sort);
  if (!st) st = sgi_browser_page(list, names, &ask, progress, user, &page, err);
  if (!st) {
    *out = page_json(p, &ask, &page);
    st = sgi_report_whole(out, "a page of neurons", err);
  }
  sgi_page_deinit(&page);
  return st;
}
