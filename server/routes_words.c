/* routes_words.c: what the model writes: behind each candidate until a word is whole, and a text as
 * it comes, plain, under edits or with a direction in the stream. */
#include <string.h>

#include "report/continuation.h"
#include "report/direction.h"
#include "report/stream.h"
#include "api.h"

/* ---- continue -------------------------------------------------------------------------------- */

static bool gone(void *user) {
  const api_call *c = user;
  return http_job_cancelled(c->job);
}

sg_status api_continue(api_call *c, json_t **answer, sg_error *err) {
  size_t top = api_within(c->body, "top", SGI_CANDIDATES), position, n = 0;
  sg_run *r = NULL;
  sgi_prediction p = {0};
  sgi_continuation out[SGI_CANDIDATES];
  int32_t best[SGI_CANDIDATES];
  sg_status st = api_prompt(c, err);
  if (!st) st = api_position(c, &position, err);
  if (!st) st = api_run(c, NULL, 0, NULL, 0, &r, err);
  if (!st) st = sgi_predict(&p, &c->p, r, (ptrdiff_t)position, err);
  if (!st) n = sgi_best(&p, top, best);
  if (!st) st = sgi_continue(&c->p, position, best, n, gone, c, out, err);
  json_t *list = json_array();
  for (size_t i = 0; i < n && !st; i++) {
    json_t *o = json_pack("{si sb}", "id", (int)best[i], "whole", out[i].whole);
    sgi_continuation_json(&c->p, &out[i], o);
    json_array_append_new(list, o);
  }
  sgi_prediction_free(&p);
  sg_run_free(r);
  if (!st) *answer = json_pack("{sI sO}", "position", (json_int_t)position, "continuations", list);
  json_decref(list);
  return st || *answer ? st : sgi_fail(err, SG_ERR_MEMORY, "out of memory");
}

/* ---- generate -------------------------------------------------------------------------------- */

typedef struct writing {
  api_call *c;
  api_edits edits;
  sg_sampling sampling;
  size_t max_tokens;
  sg_generator *g; /* where nothing is edited */
  int32_t *tokens; /* (count + max_tokens) */
  size_t n;        /* written */
  sgi_stream text;
  size_t told; /* bytes of it that the client has */
} writing;

static sg_status settings(writing *w, sg_error *err) {
  api_call *c = w->c;
  w->max_tokens = api_size(c->body, "max_tokens");
  w->sampling = (sg_sampling){.temperature = api_real(c->body, "temperature"),
                              .top_k = api_size(c->body, "top_k"),
                              .top_p = api_real(c->body, "top_p"),
                              .min_p = api_real(c->body, "min_p"),
                              .seed = api_size(c->body, "seed")};
  sg_status st = api_prompt(c, err);
  if (!st) st = api_take_edits(c, true, &w->edits, err);
  if (st) return st;
  w->tokens = sgi_alloc((c->p.count + w->max_tokens + 1) * sizeof *w->tokens);
  if (!w->tokens) return sgi_fail_memory(err, w->max_tokens * sizeof *w->tokens, "ids");
  memcpy(w->tokens, c->p.tokens, c->p.count * sizeof *w->tokens);
  return SG_OK;
}

static sg_status choose(writing *w, int32_t *id, sg_error *err) {
  if (w->g) return sg_generator_choose(w->g, &w->sampling, id, err);
  sg_run_request q = {
      .tokens = w->tokens, .count = w->c->p.count + w->n, .edits = w->edits.edits, .n_edits = w->edits.count};
  return sg_edit_choose(w->c->p.model, &q, &w->sampling, id, err);
}

/* What has become whole characters since the last time. */
static void tell(writing *w, bool end) {
  size_t to = end ? w->text.n : w->text.n - sgi_stream_unfinished(w->text.text, w->text.n);
  if (to <= w->told) return;
  http_job_piece(w->c->job, json_pack("{so sI}", "text", sgi_report_text(w->text.text + w->told, to - w->told),
                                      "tokens", (json_int_t)w->n));
  w->told = to;
}

static sg_status take(writing *w, int32_t id, sg_error *err) {
  size_t n = 0;
  const char *b = w->c->p.tokenizer ? sg_tokenizer_token_bytes(w->c->p.tokenizer, id, &n) : NULL;
  char number[16];
  if (!b && !w->c->p.tokenizer) {
    b = number;
    n = (size_t)snprintf(number, sizeof number, "%s#%d", w->n ? " " : "", id);
  }
  w->tokens[w->c->p.count + w->n++] = id;
  return b ? sgi_stream_add(&w->text, b, n, err) : SG_OK;
}

static sg_status write_on(writing *w, const char **reason, sg_error *err) {
  const sgi_prompt *p = &w->c->p;
  const sg_config *k = sg_model_config(p->model);
  sg_status st = SG_OK;
  if (!w->edits.count) {
    st = sg_generator_create(p->model, 1, k->max_position, &w->g, err);
    if (!st) st = sg_generator_feed(w->g, p->tokens, p->count, err);
  }
  while (!st && !*reason) {
    int32_t id;
    if (http_job_cancelled(w->c->job)) return sgi_fail(err, SG_ERR_CANCELLED, "stopped");
    st = choose(w, &id, err);
    if (st) break;
    if (id == k->eos_id) {
      *reason = "eos";
      break;
    }
    st = take(w, id, err);
    if (!st) tell(w, false);
    http_job_progress(w->c->job, (double)w->n / (double)w->max_tokens, "writing");
    if (w->n == w->max_tokens)
      *reason = "length";
    else if (p->count + w->n >= k->max_position)
      *reason = "context";
    else if (!st && w->g)
      st = sg_generator_step(w->g, &id, err);
  }
  if (!st) tell(w, true);
  return st;
}

sg_status api_generate(api_call *c, json_t **answer, sg_error *err) {
  writing w = {.c = c};
  const char *reason = NULL;
  sg_status st = settings(&w, err);
  if (!st) st = write_on(&w, &reason, err);
  if (!st) {
    json_t *ids = json_array();
    for (size_t i = 0; i < w.n; i++) json_array_append_new(ids, json_integer(w.tokens[c->p.count + i]));
    *answer = json_pack("{so so ss sI}", "text", sgi_report_text(w.text.text ? w.text.text : "", w.text.n), "ids", ids,
                        "reason", reason, "prompt_tokens", (json_int_t)c->p.count);
  }
  sg_generator_free(w.g);
  api_edits_free(&w.edits);
  sgi_free(w.tokens);
  sgi_stream_free(&w.text);
  return st || *answer ? st : sgi_fail(err, SG_ERR_MEMORY, "out of memory");
}
