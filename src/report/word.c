/* word.c: targets of several tokens: how a text is spelled in tokens, and how likely it is. */
#include "word.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "predict.h"
#include "read/run.h"

static sg_status by_number(const sgi_prompt *p, const char *text, sgi_word *out, sg_error *err) {
  size_t V = sg_model_config(p->model)->vocab_size, n = 1;
  for (const char *c = text; *c; c++) n += *c == ',';
  if (n > SG_PHRASE_MOST) return sgi_fail(err, SG_ERR_ARG, "%zu ids: a phrase has at most %d", n, SG_PHRASE_MOST);
  out->ids = sgi_alloc(n * sizeof *out->ids);
  if (!out->ids) return sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  const char *at = text + 3;
  while (out->n < n) {
    char *end;
    long v = *at >= '0' && *at <= '9' ? strtol(at, &end, 10) : -1;
    bool last = out->n + 1 == n;
    if (v < 0 || (size_t)v >= V || *end != (last ? 0 : ','))
      return sgi_fail(err, SG_ERR_ARG, "\"%s\" is no token: ids go from 0 to %zu", text, V - 1);
    out->ids[out->n++] = (int32_t)v;
    at = end + 1;
  }
  return SG_OK;
}

static sg_status spell(const sgi_prompt *p, const char *text, bool space, sgi_word *out, sg_error *err) {
  size_t room = strlen(text) + 2;
  char *with = sgi_alloc(room);
  if (!with) return sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  snprintf(with, room, "%s%s", space ? " " : "", text);
  sg_status st = sgi_prompt_encode(p, with, true, &out->ids, &out->n, err);
  sgi_free(with);
  return st;
}

/* A prompt of its own, so that the caller's stays as it is. */
static sg_status likelihood(const sgi_prompt *p, size_t position, const sgi_word *w, double *out, sg_error *err) {
  sgi_prompt q = *p;
  sg_run *r = NULL;
  sgi_measure m = {0};
  q.tokens = sgi_alloc(p->count * sizeof *q.tokens);
  if (!q.tokens) return sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  memcpy(q.tokens, p->tokens, p->count * sizeof *q.tokens);
  sg_status st = sgi_word_extend(&q, position, w, w->n - 1, err);
  sg_run_request request = {.tokens = q.tokens, .count = q.count};
  if (!st) st = sg_run_create(q.model, &request, &r, err);
  if (!st) st = sgi_word_measure(&q, r, position, w, &m, err);
  *out = m.log_probability;
  sg_run_free(r);
  sgi_free(q.tokens);
  return st;
}

/* Tried in this order: one token as written, one with a space in front, the likelier of both. */
static sg_status choose(const sgi_prompt *p, const char *text, size_t position, sgi_word *a, sgi_word *b, bool *spaced,
                        sg_error *err) {
  bool own = *text == ' ' || *text == '\n' || *text == '\t';
  double la = 0, lb = 0;
  sg_status st = spell(p, text, false, a, err);
  *spaced = false;
  if (st || a->n == 1 || own) return st;
  st = spell(p, text, true, b, err);
  *spaced = true;
  if (st || b->n == 1) return st;
  if (a->n > SG_PHRASE_MOST || b->n > SG_PHRASE_MOST || !a->n || !b->n) return SG_OK; /* refused by the caller */
  st = likelihood(p, position, a, &la, err);
  if (!st) st = likelihood(p, position, b, &lb, err);
  *spaced = !(la > lb);
  return st;
}

sg_status sgi_word_read(const sgi_prompt *p, const char *text, ptrdiff_t position, sgi_word *out, sg_error *err) {
  *out = (sgi_word){0};
  if (!*text) return sgi_fail(err, SG_ERR_ARG, "an empty text is no token: name one by its text, or by number as id:N");
  if (!strncmp(text, "id:", 3)) return by_number(p, text, out, err);
  size_t at;
  sgi_word a = {0}, b = {0};
  bool spaced = false;
  sg_status st = sgi_prompt_position(position, p->count, &at, err);
  if (!st) st = choose(p, text, at, &a, &b, &spaced, err);
  *out = spaced ? b : a;
  sgi_word_free(spaced ? &a : &b);
  if (!st && out->n > SG_PHRASE_MOST)
    st = sgi_fail(err, SG_ERR_ARG, "\"%.40s...\" is %zu tokens: a phrase has at most %d", text, out->n, SG_PHRASE_MOST);
  if (!st && !out->n) st = sgi_fail(err, SG_ERR_ARG, "\"%s\" has no token", text);
  return st;
}

sg_status sgi_word_likeliest(const sgi_prompt *p, ptrdiff_t position, sgi_word *out, sg_error *err) {
  sg_run_request request = {.tokens = p->tokens, .count = p->count};
  sg_run *r = NULL;
  sgi_prediction q = {0};
  *out = (sgi_word){.ids = sgi_alloc(sizeof *out->ids), .n = 1};
  sg_status st = out->ids ? SG_OK : sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  if (!st) st = sg_run_create(p->model, &request, &r, err);
  if (!st) st = sgi_predict(&q, p, r, position, err);
  if (!st) out->ids[0] = sgi_prediction_best(&q);
  sgi_prediction_free(&q);
  sg_run_free(r);
  return st;
}

void sgi_word_free(sgi_word *w) {
  sgi_free(w->ids);
  *w = (sgi_word){0};
}

sg_status sgi_word_extend(sgi_prompt *p, size_t position, const sgi_word *w, size_t n, sg_error *err) {
  size_t count = position + 1 + n;
  int32_t *tokens = sgi_alloc(count * sizeof *tokens);
  if (!tokens) return sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  memcpy(tokens, p->tokens, (position + 1) * sizeof *tokens);
  if (n) memcpy(tokens + position + 1, w->ids, n * sizeof *tokens);
  sgi_free(p->tokens);
  p->tokens = tokens;
  p->count = count;
  return SG_OK;
}

static sg_status add_word(sgi_targets *t, const sgi_word *w, sg_error *err) {
  int32_t *ids = sgi_realloc(t->ids, t->n * sizeof *ids, (t->n + w->n) * sizeof *ids);
  if (ids) t->ids = ids;
  size_t *positions = sgi_realloc(t->positions, t->n * sizeof *positions, (t->n + w->n) * sizeof *positions);
  if (positions) t->positions = positions;
  if (!ids || !positions) return sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  for (size_t i = 0; i < w->n; i++, t->n++) {
    t->ids[t->n] = w->ids[i];
    t->positions[t->n] = t->position + i;
  }
  return SG_OK;
}

sg_status sgi_targets_read(sgi_prompt *p, const char *const *texts, size_t n, ptrdiff_t position, sgi_targets *out,
                           sg_error *err) {
  sgi_word along = {0};
  *out = (sgi_targets){0};
  sg_status st = sgi_prompt_position(position, p->count, &out->position, err);
  for (size_t i = 0; i < n && !st; i++) {
    sgi_word w = {0};
    st = sgi_word_read(p, texts[i], position, &w, err);
    if (!st && w.n > 1 && along.n)
      st = sgi_fail(err, SG_ERR_ARG,
                    "\"%s\" has %zu tokens: a graph follows one word of several tokens; give its first token", texts[i],
                    w.n);
    if (!st) st = add_word(out, &w, err);
    if (!st && w.n > 1) {
      along = w;
      w = (sgi_word){0};
    }
    sgi_word_free(&w);
  }
  if (!st && along.n) st = sgi_word_extend(p, out->position, &along, along.n - 1, err);
  sgi_word_free(&along);
  return st;
}

void sgi_targets_free(sgi_targets *t) {
  sgi_free(t->ids);
  sgi_free(t->positions);
  *t = (sgi_targets){0};
}

sg_status sgi_word_measure(const sgi_prompt *p, const sg_run *run, size_t position, const sgi_word *w, sgi_measure *out,
                           sg_error *err) {
  *out = (sgi_measure){.probability = 1};
  sg_status st = SG_OK;
  for (size_t i = 0; i < w->n && !st; i++) {
    sgi_prediction q = {0};
    st = sgi_predict(&q, p, run, (ptrdiff_t)(position + i), err);
    if (!st) {
      out->logit += (double)q.logits[w->ids[i]];
      out->log_probability += log(q.p[w->ids[i]]);
      out->probability *= q.p[w->ids[i]];
    }
    sgi_prediction_free(&q);
  }
  return st;
}

/* ---- text ------------------------------------------------------------------------------------ */

char *sgi_word_text(const sgi_prompt *p, const int32_t *ids, size_t n) {
  char *text = NULL, *copy = NULL;
  size_t length;
  if (p->tokenizer) {
    if (sg_tokenizer_decode(p->tokenizer, ids, n, false, &text, &length, NULL)) return sgi_strdup("");
    copy = sgi_strdup(text);
    sg_buffer_free(text);
    return copy;
  }
  if (!(copy = sgi_alloc(16 * n + 1))) return NULL;
  for (size_t i = 0, k = 0; i < n; i++) k += (size_t)snprintf(copy + k, 16, "%s#%d", i ? " " : "", ids[i]);
  return copy;
}

/* The tokens' shown texts without the quotes between them. */
sgi_shown sgi_word_shown(const sgi_prompt *p, const int32_t *ids, size_t n) {
  sgi_shown out = {"\""};
  size_t k = 1;
  for (size_t i = 0; i < n; i++) {
    sgi_shown one = sgi_token_shown(p, ids[i]);
    size_t length = strlen(one.s) - 2;
    if (k + length + 2 > sizeof out.s) break;
    memcpy(out.s + k, one.s + 1, length);
    k += length;
  }
  out.s[k++] = '"';
  out.s[k] = 0;
  return out;
}

json_t *sgi_word_text_json(const sgi_prompt *p, const int32_t *ids, size_t n) {
  char *text = sgi_word_text(p, ids, n);
  json_t *o = sgi_report_text(text ? text : "", text ? strlen(text) : 0);
  sgi_free(text);
  return o;
}

json_t *sgi_word_json(const sgi_prompt *p, const int32_t *ids, size_t n, double log_probability) {
  json_t *list = json_array();
  for (size_t i = 0; i < n; i++) json_array_append_new(list, json_integer(ids[i]));
  char *text = sgi_word_text(p, ids, n);
  json_t *o = json_pack("{so so so so}", "text", sgi_report_text(text ? text : "", text ? strlen(text) : 0), "ids",
                        list, "log_probability", sgi_report_real(log_probability), "probability",
                        sgi_report_real(exp(log_probability)));
  sgi_free(text);
  return o;
}
