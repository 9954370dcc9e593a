#include "compare/subjects.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "compare/trials.h"
#include "core/arena.h"
#include "core/json.h"
#include "core/rng.h"
#include "read/label.h"

enum { TEXT = 512, MOST = 1 << 20 };

static const char *const stop_words[] = {
    "about",  "above",   "after",  "again", "against", "all",   "also",    "and",     "any",    "are",   "because",
    "been",   "before",  "being",  "below", "between", "both",  "but",     "can",     "could",  "did",   "does",
    "doing",  "down",    "during", "each",  "few",     "for",   "from",    "further", "had",    "has",   "have",
    "having", "her",     "here",   "hers",  "herself", "him",   "himself", "his",     "how",    "into",  "its",
    "itself", "just",    "more",   "most",  "not",     "now",   "off",     "once",    "one",    "only",  "other",
    "our",    "ours",    "out",    "over",  "own",     "said",  "same",    "she",     "should", "some",  "such",
    "than",   "that",    "the",    "their", "theirs",  "them",  "then",    "there",   "these",  "they",  "this",
    "those",  "through", "too",    "two",   "under",   "until", "upon",    "very",    "was",    "were",  "what",
    "when",   "where",   "which",  "while", "who",     "whom",  "why",     "will",    "with",   "would", "you",
    "your",   "yours"};

bool *sgi_subjects_stop(const sg_model *m, const sg_tokenizer *tok) {
  bool *stop = sgi_label_silent(m, tok);
  for (size_t t = 0; stop && tok && t < m->config.vocab_size; t++) {
    char word[32];
    size_t n = 0, letters = 0, k = 0;
    const char *bytes = sg_tokenizer_token_bytes(tok, (int32_t)t, &n);
    for (size_t i = 0; bytes && i < n; i++) {
      if (bytes[i] == ' ') continue;
      letters += isalpha((unsigned char)bytes[i]) != 0 || (bytes[i] & 0x80);
      if (k < sizeof word - 1) word[k++] = (char)tolower((unsigned char)bytes[i]);
    }
    word[k] = 0;
    stop[t] |= letters < 3;
    for (size_t i = 0; i < SGI_COUNT(stop_words) && !stop[t]; i++) stop[t] = !strcmp(word, stop_words[i]);
  }
  return stop;
}

/* ---- names ----------------------------------------------------------------------------------- */

static sg_status number_of(char ***names, size_t *n, size_t *room, const char *text, size_t *out, sg_error *err) {
  for (*out = 0; *out < *n; ++*out)
    if (!strcmp((*names)[*out], text)) return SG_OK;
  if (!sgi_room(names, room, *n, sizeof **names) || !((*names)[*n] = sgi_strdup(text)))
    return sgi_fail_memory(err, strlen(text), "names of subjects");
  ++*n;
  return SG_OK;
}

static bool add_once(int32_t **list, size_t *n, int32_t id) {
  for (size_t i = 0; i < *n; i++)
    if ((*list)[i] == id) return true;
  int32_t *more = sgi_realloc(*list, *n * sizeof *more, (*n + 1) * sizeof *more);
  if (!more) return false;
  *list = more;
  more[(*n)++] = id;
  return true;
}

/* ---- prompts --------------------------------------------------------------------------------- */

typedef struct fact {
  char type[SG_NAME], before[TEXT], noun[TEXT], after[TEXT], answer[TEXT];
} fact;

typedef struct reading {
  const sg_model *m;
  const sg_tokenizer *tok;
  const char *type;
  sgi_subjects *out;
} reading;

static sg_status encode(const reading *r, const char *a, const char *b, const char *c, const char *d, int32_t **ids,
                        size_t *n, sg_error *err) {
  char text[5 * TEXT];
  snprintf(text, sizeof text, "%s%s%s%s", a, b, c, d);
  return sg_tokenizer_encode(r->tok, text, strlen(text), ids, n, err);
}

static bool begins(const int32_t *ids, size_t n, const int32_t *part, size_t n_part) {
  return !n_part || (n_part <= n && !memcmp(ids, part, n_part * sizeof *ids)); /* of none there is no list */
}

/* Tokens of the prompt and the positions of its subject in p; the first token of the answer.
 * *whole is false where they are not whole tokens of the prompt. */
static sg_status encode_fact(const reading *r, const fact *f, sgi_subject *p, int32_t *truth, bool *whole,
                             sg_error *err) {
  char before[TEXT + 1];
  int32_t *ids[4] = {NULL};
  size_t n[4] = {0}, front = strlen(f->before);
  snprintf(before, sizeof before, "%s", f->before);
  while (front && before[front - 1] == ' ') before[--front] = 0;
  sg_status st = encode(r, " ", f->before, f->noun, f->after, &ids[0], &n[0], err);
  if (!st && front) st = encode(r, " ", before, "", "", &ids[1], &n[1], err);
  if (!st) st = encode(r, " ", f->before, f->noun, "", &ids[2], &n[2], err);
  char answer[2 * TEXT + 1];
  snprintf(answer, sizeof answer, "%s %s", f->after, f->answer);
  if (!st) st = encode(r, " ", f->before, f->noun, answer, &ids[3], &n[3], err);
  *whole = !st && n[0] && begins(ids[0], n[0], ids[1], n[1]) && begins(ids[0], n[0], ids[2], n[2]) && n[2] > n[1] &&
           n[2] < n[0] && n[3] > n[0] && begins(ids[3], n[3], ids[0], n[0]) && n[0] + 1 <= r->m->config.max_position;
  for (size_t i = 0; i < n[3] && *whole; i++) *whole = (size_t)ids[3][i] < r->m->config.vocab_size;
  if (*whole) {
    *p = (sgi_subject){.count = n[0] + 1, .first = n[1] + 1, .end = n[2] + 1, .answer = -1};
    *truth = ids[3][n[0]];
    p->tokens = sgi_alloc(p->count * sizeof *p->tokens);
    p->relation = sgi_alloc(p->count);
    if (!p->tokens || !p->relation) {
      st = sgi_fail_memory(err, p->count * sizeof *p->tokens, "a prompt");
    } else {
      p->tokens[0] = r->m->config.bos_id;
      memcpy(p->tokens + 1, ids[0], n[0] * sizeof *p->tokens);
      for (size_t t = 1; t + 1 < p->count; t++) p->relation[t] = t < p->first || t >= p->end;
    }
  }
  for (size_t i = 0; i < 4; i++) sg_buffer_free(ids[i]);
  return st;
}

static void free_prompt(sgi_subject *p) {
  sgi_free(p->tokens);
  sgi_free(p->relation);
  sgi_free(p->truths);
}

/* The prompt of the same tokens, or the new one, takes the truth. */
static sg_status keep(sgi_subjects *o, sgi_subject *p, int32_t truth, sg_error *err) {
  size_t i = 0;
  while (i < o->n && (o->at[i].type != p->type || o->at[i].count != p->count ||
                      memcmp(o->at[i].tokens, p->tokens, p->count * sizeof *p->tokens) != 0))
    i++;
  if (i == o->n) {
    if (!sgi_room(&o->at, &o->room, o->n, sizeof *o->at)) return sgi_fail_memory(err, sizeof *p, "prompts");
    o->at[o->n++] = *p;
    if (p->count > o->longest) o->longest = p->count;
    *p = (sgi_subject){0};
  }
  return add_once(&o->at[i].truths, &o->at[i].n_truths, truth) ? SG_OK : sgi_fail_memory(err, 4, "true answers");
}

static sg_status add_attribute(sgi_subjects *o, size_t who, int32_t token, sg_error *err) {
  return add_once(&o->attributes[who], &o->n_attributes[who], token) ? SG_OK : sgi_fail_memory(err, 4, "attributes");
}

/* Lists of attributes as long as the list of names. */
static sg_status widen(sgi_subjects *o, sg_error *err) {
  size_t old = o->lists;
  if (o->names_room == old) return SG_OK;
  int32_t **lists = sgi_realloc(o->attributes, old * sizeof *lists, o->names_room * sizeof *lists);
  if (lists) o->attributes = lists;
  size_t *counts = sgi_realloc(o->n_attributes, old * sizeof *counts, o->names_room * sizeof *counts);
  if (counts) o->n_attributes = counts;
  if (lists && counts) o->lists = o->names_room;
  return lists && counts ? SG_OK : sgi_fail_memory(err, o->names_room * 16, "attributes");
}

static sg_status add_fact(reading *r, const fact *f, sg_error *err) {
  sgi_subjects *o = r->out;
  sgi_subject p = {0};
  int32_t truth;
  bool whole;
  size_t who, type;
  if (o->n >= MOST) return sgi_fail(err, SG_ERR_ARG, "more than %d prompts of facts", MOST);
  sg_status st = number_of(&o->names, &o->n_names, &o->names_room, f->noun, &who, err);
  if (!st) st = widen(o, err);
  if (!st) st = number_of(&o->types, &o->n_types, &o->types_room, f->type, &type, err);
  if (!st) st = encode_fact(r, f, &p, &truth, &whole, err);
  if (!st && !whole) {
    o->skipped++;
    return SG_OK;
  }
  if (!st) st = add_attribute(o, who, truth, err);
  p.who = who;
  p.type = type;
  if (!st && (!r->type || !strcmp(r->type, f->type))) st = keep(o, &p, truth, err);
  free_prompt(&p);
  return st;
}

/* ---- files ----------------------------------------------------------------------------------- */

static sg_status from_row(reading *r, const json_t *json, const char *where, sg_error *err) {
  fact f;
  char prompt[TEXT];
  sg_status st = sgi_json_string(json, where, "type", f.type, sizeof f.type, err);
  if (!st) st = sgi_json_string(json, where, "prompt", prompt, sizeof prompt, err);
  if (!st) st = sgi_json_string(json, where, "noun", f.noun, sizeof f.noun, err);
  if (!st) st = sgi_json_string(json, where, "answer", f.answer, sizeof f.answer, err);
  if (st) return st;
  const char *at = *f.noun ? strstr(prompt, f.noun) : NULL;
  if (!at || !*f.answer)
    return sgi_fail(err, SG_ERR_FORMAT, "%s: the prompt \"%s\" does not hold its noun \"%s\", or its answer is empty",
                    where, prompt, f.noun);
  snprintf(f.before, sizeof f.before, "%.*s", (int)(at - prompt), prompt);
  snprintf(f.after, sizeof f.after, "%s", at + strlen(f.noun));
  return add_fact(r, &f, err);
}

static sg_status from_mined(reading *r, json_t *json, const char *where, sg_error *err) {
  fact f = {.type = "mined"};
  const json_t *nouns, *answers;
  const char *noun, *answer;
  json_t *count;
  sg_status st = sgi_json_string(json, where, "before", f.before, sizeof f.before, err);
  if (!st) st = sgi_json_string(json, where, "after", f.after, sizeof f.after, err);
  if (!st) st = sgi_json_object(json, where, "facts", &nouns, err);
  if (st) return st;
  json_object_foreach((json_t *)nouns, noun, answers) {
    if (!json_is_object(answers) || !*noun || strlen(noun) >= sizeof f.noun)
      return sgi_fail(err, SG_ERR_FORMAT, "%s: facts: expected nouns with an object of answers and their counts each",
                      where);
    json_object_foreach((json_t *)answers, answer, count) {
      if (!*answer || strlen(answer) >= sizeof f.answer)
        return sgi_fail(err, SG_ERR_FORMAT, "%s: facts.%s: an answer is empty or too long", where, noun);
      snprintf(f.noun, sizeof f.noun, "%s", noun);
      snprintf(f.answer, sizeof f.answer, "%s", answer);
      if ((st = add_fact(r, &f, err))) return st;
    }
  }
  return SG_OK;
}

static int by_id(const void *a, const void *b) {
  const int32_t *x = a, *y = b;
  return *x < *y ? -1 : *x > *y;
}

sg_status sgi_subjects_load(const char *path, const sg_model *m, const sg_tokenizer *tok, const char *type,
                            sgi_subjects *out, sg_error *err) {
  json_t *json = NULL, *item;
  size_t i;
  reading r = {m, tok, type && strcmp(type, "all") ? type : NULL, out};
  *out = (sgi_subjects){0};
  sg_status st = sgi_json_load(path, &json, err);
  if (!st && json_is_object(json)) {
    st = from_mined(&r, json, path, err);
  } else if (!st && json_is_array(json)) {
    json_array_foreach(json, i, item) {
      char where[320];
      snprintf(where, sizeof where, "%.255s: fact %zu", path, i);
      if ((st = from_row(&r, item, where, err))) break;
    }
  } else if (!st) {
    st = sgi_fail(err, SG_ERR_FORMAT, "%s: expected facts: an object, or an array as in facts.json of worlds", path);
  }
  json_decref(json);
  for (i = 0; i < out->n_names && !st; i++)
    if (out->n_attributes[i]) qsort(out->attributes[i], out->n_attributes[i], sizeof **out->attributes, by_id);
  if (!st && !out->n && r.type) {
    char types[256] = "";
    for (i = 0; i < out->n_types && strlen(types) + strlen(out->types[i]) + 3 < sizeof types; i++)
      sprintf(types + strlen(types), "%s%s", i ? ", " : "", out->types[i]);
    st = sgi_fail(err, SG_ERR_ARG, "%s: no prompt of type \"%s\" that this tokenizer keeps whole: there are %s", path,
                  r.type, *types ? types : "none");
  } else if (!st && !out->n) {
    st = sgi_fail(err, SG_ERR_ARG,
                  "%s: no fact whose subject and answer are whole tokens of its prompt: is the file of another world?",
                  path);
  }
  return st;
}

void sgi_subjects_deinit(sgi_subjects *s) {
  for (size_t i = 0; i < s->n; i++) free_prompt(&s->at[i]);
  for (size_t i = 0; i < s->n_names; i++) sgi_free(s->names[i]);
  for (size_t i = 0; i < s->n_types; i++) sgi_free(s->types[i]);
  for (size_t i = 0; i < s->lists; i++) sgi_free(s->attributes[i]);
  sgi_free(s->at);
  sgi_free(s->names);
  sgi_free(s->types);
  sgi_free(s->attributes);
  sgi_free(s->n_attributes);
  *s = (sgi_subjects){0};
}

void sgi_subjects_limit(sgi_subjects *s, size_t limit, uint64_t seed) {
  size_t kept = 0, n = s->n;
  for (size_t i = 0; i < n; i++)
    if (sgi_rng_permute(seed, SGI_STREAM_SAMPLE, 9, n, i) < limit)
      s->at[kept++] = s->at[i];
    else
      free_prompt(&s->at[i]);
  s->n = kept;
}

/* ---- what the model knows -------------------------------------------------------------------- */

static bool true_of(const sgi_subject *p, int32_t token) {
  for (size_t i = 0; i < p->n_truths; i++)
    if (p->truths[i] == token) return true;
  return false;
}

/* Share of the other prompts of its type for which this answer would be right. */
static double right_elsewhere(const sgi_subjects *s, size_t i) {
  size_t others = 0, right = 0;
  for (size_t k = 0; k < s->n; k++) {
    if (s->at[k].type != s->at[i].type || s->at[k].who == s->at[i].who) continue;
    others++;
    right += true_of(&s->at[k], s->at[i].answer);
  }
  return others ? (double)right / (double)others : 0;
}

static sg_status ask(sgi_trials *t, sgi_subject *p, float *logits, size_t V, sg_error *err) {
  sg_status st = sgi_trials_run(t, p->tokens, p->count, &(sgi_trial){0}, 1, NULL, NULL, err);
  if (!st) st = sgi_trials_logits(t, logits, err);
  if (st) return st;
  double sum = 0;
  p->answer = 0;
  for (size_t v = 1; v < V; v++)
    if (logits[v] > logits[p->answer]) p->answer = (int32_t)v;
  for (size_t v = 0; v < V; v++) sum += exp((double)logits[v] - (double)logits[p->answer]);
  p->probability = 1 / sum;
  p->known = true_of(p, p->answer);
  return SG_OK;
}

sg_status sgi_subject_ask(sgi_trials *t, const sg_model *m, sgi_subject *p, sg_error *err) {
  size_t V = m->config.vocab_size;
  float *logits = sgi_alloc(V * sizeof *logits);
  sg_status st = logits ? ask(t, p, logits, V, err) : sgi_fail_memory(err, V * sizeof *logits, "logits");
  sgi_free(logits);
  return st;
}

sg_status sgi_subjects_know(const sg_model *m, sgi_subjects *s, const char *where,
                            bool (*progress)(void *user, size_t done, size_t wanted), void *user, sg_error *err) {
  size_t V = m->config.vocab_size;
  sgi_trials *t = NULL;
  float *logits = sgi_alloc(V * sizeof *logits);
  sg_status st = logits ? sgi_trials_create(m, s->longest, &t, err) : sgi_fail_memory(err, V * 4, "logits");
  s->n_known = 0;
  s->chance = 0;
  for (size_t i = 0; i < s->n && !st; i++) {
    st = ask(t, &s->at[i], logits, V, err);
    s->n_known += !st && s->at[i].known;
    if (!st && progress && !progress(user, i + 1, s->n)) st = sgi_fail(err, SG_ERR_CANCELLED, "stopped");
  }
  for (size_t i = 0; i < s->n && !st; i++) s->chance += right_elsewhere(s, i) / (double)s->n;
  if (!st && (!s->n_known || (double)s->n_known <= s->chance * (double)s->n))
    st = sgi_fail(err, SG_ERR_ARG,
                  "%s: the model answers %zu of %zu prompts right, and %.1f would be right of other subjects: facts of "
                  "another world, or a model that has not learnt them",
                  where, s->n_known, s->n, s->chance * (double)s->n);
  sgi_trials_free(t);
  sgi_free(logits);
  return st;
}
