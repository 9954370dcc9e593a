/* continuation.c: a candidate is a token, and a reader thinks in words: " m" says nothing,
 * " macaroni" does. So each is followed greedily until the word is whole. */
#include "continuation.h"

#include <stdio.h>
#include <string.h>

#include "word.h"

typedef struct follow {
  const sgi_prompt *p;
  sgi_continuation *out; /* (n) */
  size_t n;
  bool (*stop)(void *user);
  void *user;
} follow;

/* A letter, a digit or a byte of a longer character. */
static bool in_word(unsigned char c) {
  return c >= 0x80 || (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z');
}

static const unsigned char *bytes_of(const follow *f, int32_t id, size_t *n) {
  *n = 0;
  return f->p->tokenizer ? (const unsigned char *)sg_tokenizer_token_bytes(f->p->tokenizer, id, n) : NULL;
}

/* Whether a word has begun and is still open: its last byte belongs to one. Blanks alone are the
 * beginning of one. */
static bool open_word(const follow *f, const sgi_continuation *c) {
  size_t n = 0;
  const unsigned char *b = NULL;
  for (size_t i = c->n; i-- > 0 && !n;) b = bytes_of(f, c->ids[i], &n);
  return b && n && (in_word(b[n - 1]) || (c->n == 1 && n == 1 && *b == ' '));
}

/* Whether the token goes on with the word; after an apostrophe a word may go on ("don't"). */
static bool goes_on(const follow *f, int32_t id) {
  size_t n = 0;
  const unsigned char *b = bytes_of(f, id, &n);
  const sg_config *c = sg_model_config(f->p->model);
  if (!b || !n || id == c->eos_id || id == c->bos_id) return false;
  return in_word(*b) || (*b == '\'' && n > 1 && in_word(b[1]));
}

static void begin(follow *f, const int32_t *candidates) {
  for (size_t i = 0; i < f->n; i++) {
    f->out[i] = (sgi_continuation){.ids = {candidates[i]}, .n = 1};
    f->out[i].whole = !open_word(f, &f->out[i]);
  }
}

/* next (n): the likeliest token behind each; *going: some word is still open. */
static void take(follow *f, const int32_t *next, bool *going) {
  *going = false;
  for (size_t i = 0; i < f->n; i++) {
    sgi_continuation *c = &f->out[i];
    if (c->whole || c->n > SGI_CONTINUED) continue;
    if (!goes_on(f, next[i]))
      c->whole = true;
    else
      c->ids[c->n++] = next[i];
    *going = *going || (!c->whole && c->n <= SGI_CONTINUED);
  }
}

static bool any_open(const follow *f) {
  for (size_t i = 0; i < f->n; i++)
    if (!f->out[i].whole) return true;
  return false;
}

static sg_status stopped(const follow *f, sg_error *err) {
  return f->stop && f->stop(f->user) ? sgi_fail(err, SG_ERR_CANCELLED, "stopped") : SG_OK;
}

/* All at once, a stream for each. Those that are whole are stepped along and not looked at. */
static sg_status streams(follow *f, size_t position, sg_error *err) {
  sg_generator *g = NULL;
  int32_t next[SGI_CANDIDATES];
  const sg_sampling greedy = {0};
  bool going = true;
  sg_status st = sg_generator_create(f->p->model, f->n, position + 2 + SGI_CONTINUED, &g, err);
  if (!st) st = sg_generator_feed(g, f->p->tokens, position + 1, err);
  for (size_t i = 0; i < f->n; i++) next[i] = f->out[i].ids[0];
  while (!st && going) {
    st = stopped(f, err);
    if (!st) st = sg_generator_step(g, next, err);
    if (!st) st = sg_generator_choose(g, &greedy, next, err);
    if (!st) take(f, next, &going);
  }
  sg_generator_free(g);
  return st;
}

sg_status sgi_continue(const sgi_prompt *p, size_t position, const int32_t *candidates, size_t n,
                       bool (*stop)(void *user), void *user, sgi_continuation *out, sg_error *err) {
  follow f = {p, out, n, stop, user};
  begin(&f, candidates);
  return n && any_open(&f) ? streams(&f, position, err) : SG_OK;
}

sg_status sgi_continue_edited(const sgi_prompt *p, size_t position, const sg_edit *edits, size_t n_edits,
                              const int32_t *candidates, size_t n, bool (*stop)(void *user), void *user,
                              sgi_continuation *out, sg_error *err) {
  follow f = {p, out, n, stop, user};
  const sg_sampling greedy = {0};
  size_t front = position + 1;
  int32_t *tokens = sgi_alloc((front + SGI_CONTINUED + 1) * sizeof *tokens);
  if (!tokens) return sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  memcpy(tokens, p->tokens, front * sizeof *tokens);
  begin(&f, candidates);
  sg_status st = SG_OK;
  for (size_t i = 0; i < n && !st; i++) {
    sgi_continuation *c = &out[i];
    follow one = {p, c, 1, stop, user};
    bool going = !c->whole;
    while (going && !st) {
      memcpy(tokens + front, c->ids, c->n * sizeof *tokens);
      sg_run_request q = {.tokens = tokens, .count = front + c->n, .edits = edits, .n_edits = n_edits};
      int32_t next = -1;
      st = stopped(&f, err);
      if (!st) st = sg_edit_choose(p->model, &q, &greedy, &next, err);
      if (!st) take(&one, &next, &going);
    }
  }
  sgi_free(tokens);
  return st;
}

size_t sgi_best(const sgi_prediction *p, size_t n, int32_t *out) {
  size_t found = 0;
  while (found < n && found < p->V) {
    int32_t id = sgi_prediction_next(p, found ? out[found - 1] : -1);
    if (id < 0) break;
    out[found++] = id;
  }
  return found;
}

void sgi_continuation_json(const sgi_prompt *p, const sgi_continuation *c, json_t *into) {
  json_t *ids = json_array();
  for (size_t i = 1; i < c->n; i++) json_array_append_new(ids, json_integer(c->ids[i]));
  json_object_set_new(into, "continuation", sgi_word_text_json(p, c->ids, c->n));
  json_object_set_new(into, "continuation_ids", ids);
}

sgi_shown sgi_continuation_shown(const sgi_prompt *p, const sgi_continuation *c) {
  sgi_shown all = sgi_word_shown(p, c->ids + 1, c->n - 1), out;
  size_t n = strlen(all.s);
  memcpy(out.s, all.s + 1, n - 2);
  snprintf(out.s + n - 2, sizeof out.s - n + 2, "%s", c->whole ? "" : "...");
  return out;
}

sg_status sgi_predict_words(sgi_prediction *p, const sgi_prompt *prompt, size_t position, const sg_edit *edits,
                            size_t n_edits, size_t n, bool (*stop)(void *user), void *user, sg_error *err) {
  int32_t best[SGI_CANDIDATES];
  n = sgi_best(p, n < SGI_CANDIDATES ? n : SGI_CANDIDATES, best);
  if (!prompt->tokenizer) return SG_OK;
  for (size_t i = 0; i < n_edits; i++)
    if (edits[i].op == SG_EDIT_TAKE) return SG_OK;
  p->words = sgi_alloc((n + 1) * sizeof *p->words);
  if (!p->words) return sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  sg_status st = n_edits ? sgi_continue_edited(prompt, position, edits, n_edits, best, n, stop, user, p->words, err)
                         : sgi_continue(prompt, position, best, n, stop, user, p->words, err);
  if (!st) p->n_words = n;
  return st;
}
