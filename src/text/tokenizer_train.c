/* tokenizer_train.c: byte-level BPE from text, as Hugging Face's BpeTrainer makes it. Counts of
 * pairs are kept right after every merge by looking only at the words that held the merged pair. */
#include <xxhash.h>

#include "text/pairs.h"
#include "text/tokenizer.h"
#include "text/words.h"

typedef struct symbols {
  int32_t *at;
  size_t n;
} symbols;

typedef struct training {
  const sg_tokenizer_training *settings;
  const sgi_words *words;
  symbols *split; /* (words.n) the words as ids so far */
  int32_t *ids;   /* block behind split */
  sgi_pairs pairs;
  sg_tokenizer *t;
  size_t n_ids;   /* given so far */
  int32_t *names; /* id + 1 of a token by its bytes, 0: free; 1 << bits of them */
  unsigned bits;
  sgi_bytes joined;
  sg_error *err;
} training;

static sg_status no_memory(const training *r, size_t bytes) {
  return sgi_fail_memory(r->err, bytes, "training a tokenizer");
}

/* ---- tokens ---------------------------------------------------------------------------------- */

/* The slot of the token with these bytes; a free one where there is none. */
static int32_t *name_slot(const training *r, const char *bytes, size_t n) {
  size_t mask = ((size_t)1 << r->bits) - 1, at = XXH3_64bits(bytes, n) & mask;
  for (; r->names[at]; at = (at + 1) & mask) {
    const sgi_token *k = &r->t->tokens[r->names[at] - 1];
    if (k->n == n && !memcmp(r->t->text.data + k->begin, bytes, n)) break;
  }
  return &r->names[at];
}

static sg_status new_id(training *r, const char *bytes, size_t n, int32_t *id) {
  *id = (int32_t)r->n_ids;
  sg_status st = sgi_tokenizer_put(r->t, *id, bytes, n, r->err);
  if (st) return st;
  r->t->tokens[*id].model = true;
  r->n_ids++;
  return SG_OK;
}

/* Id of the token with these bytes, made where there is none (two merges can spell the same
 * text). */
static sg_status give_id(training *r, const char *bytes, size_t n, int32_t *id) {
  int32_t *slot = name_slot(r, bytes, n);
  *id = *slot - 1;
  if (*slot) return SG_OK;
  sg_status st = new_id(r, bytes, n, id);
  if (!st) *slot = *id + 1;
  return st;
}

/* A special token whose text is a name in the byte-level alphabet ("<|pad|>" is, "a b" is not) is
 * the token that merges which spell it would make. */
static bool is_name(const char *text, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (sgi_character_byte((unsigned char)text[i]) != (unsigned char)text[i] || (unsigned char)text[i] >= 0x80)
      return false;
  return true;
}

static sg_status add_special(training *r) {
  const sg_tokenizer_training *s = r->settings;
  r->t->added = sgi_alloc(s->n_special * sizeof *r->t->added);
  if (!r->t->added) return no_memory(r, s->n_special * sizeof *r->t->added);
  for (size_t i = 0; i < s->n_special; i++) {
    const char *text = s->special[i];
    size_t n = strlen(text);
    int32_t id;
    for (size_t k = 0; k < i; k++)
      if (!strcmp(s->special[k], text))
        return sgi_fail(r->err, SG_ERR_ARG, "special token \"%.60s\" is given twice", text);
    if (n < 2 || !sgi_utf8_valid(text, n))
      return sgi_fail(r->err, SG_ERR_ARG, "special token \"%.60s\": expected UTF-8 of at least two bytes", text);
    sg_status st = is_name(text, n) ? give_id(r, text, n, &id) : new_id(r, text, n, &id);
    if (st) return st;
    sgi_token *k = &r->t->tokens[id];
    k->added = k->special = k->raw = true;
    r->t->added[r->t->n_added++] = id;
  }
  return SG_OK;
}

static sg_status add_alphabet(training *r) {
  bool used[256] = {false};
  for (size_t i = 0; i < r->words->text.n; i++) used[(unsigned char)r->words->text.data[i]] = true;
  for (uint32_t c = 0; c <= 0x143; c++) { /* ids follow the characters, not the bytes */
    int byte = sgi_character_byte(c);
    if (byte < 0 || !(used[byte] || r->settings->full_alphabet)) continue;
    if (r->n_ids == r->settings->vocab_size)
      return sgi_fail(r->err, SG_ERR_ARG, "vocab_size %zu does not hold the %zu special tokens and all byte characters",
                      r->settings->vocab_size, r->settings->n_special);
    char one = (char)byte;
    int32_t id;
    sg_status st = give_id(r, &one, 1, &id);
    if (st) return st;
    r->t->bpe.byte_ids[byte] = id;
  }
  return SG_OK;
}

/* ---- words as symbols ------------------------------------------------------------------------ */

static sg_status split_words(training *r) {
  const sgi_words *w = r->words;
  r->split = sgi_alloc(w->n * sizeof *r->split);
  r->ids = sgi_alloc(w->text.n * sizeof *r->ids);
  if (!r->split || !r->ids) return no_memory(r, w->text.n * sizeof *r->ids);
  for (size_t i = 0; i < w->n; i++) {
    symbols *s = &r->split[i];
    *s = (symbols){.at = r->ids + w->at[i].begin, .n = w->at[i].n};
    for (size_t k = 0; k < s->n; k++) s->at[k] = r->t->bpe.byte_ids[(unsigned char)w->text.data[w->at[i].begin + k]];
    for (size_t k = 0; k + 1 < s->n; k++)
      if (!sgi_pairs_change(&r->pairs, s->at[k], s->at[k + 1], (int64_t)w->at[i].count, (uint32_t)i))
        return no_memory(r, w->text.n);
  }
  return sgi_pairs_queue(&r->pairs) ? SG_OK : no_memory(r, w->text.n);
}

/* Replaces (left, right) by id in one word, from left to right without overlap. */
static bool merge_word(training *r, uint32_t word, int32_t left, int32_t right, int32_t id) {
  symbols *s = &r->split[word];
  int64_t count = (int64_t)r->words->at[word].count;
  sgi_pairs *p = &r->pairs;
  size_t m = 0;
  bool ok = true;
  for (size_t i = 0; i < s->n && ok; i++) {
    if (i + 1 == s->n || s->at[i] != left || s->at[i + 1] != right) {
      s->at[m++] = s->at[i];
      continue;
    }
    ok = sgi_pairs_change(p, left, right, -count, word);
    if (m > 0)
      ok = ok && sgi_pairs_change(p, s->at[m - 1], left, -count, word) &&
           sgi_pairs_change(p, s->at[m - 1], id, count, word);
    if (i + 2 < s->n)
      ok = ok && sgi_pairs_change(p, right, s->at[i + 2], -count, word) &&
           sgi_pairs_change(p, id, s->at[i + 2], count, word);
    s->at[m++] = id;
    i++;
  }
  s->n = m;
  return ok;
}

static sg_status merge(training *r, const sgi_pair *best) {
  sg_tokenizer *t = r->t;
  int32_t left = best->left, right = best->right, id;
  uint32_t place = best->place;
  const sgi_token *a = &t->tokens[left], *b = &t->tokens[right];
  r->joined.n = 0;
  if (!sgi_bytes_add(&r->joined, t->text.data + a->begin, a->n) ||
      !sgi_bytes_add(&r->joined, t->text.data + b->begin, b->n))
    return no_memory(r, a->n);
  sg_status st = give_id(r, r->joined.data, r->joined.n, &id);
  if (st) return st;
  t->merges[t->n_merges++] = (sgi_merge){left, right, id};
  for (; place; place = r->pairs.places[place].next)
    if (!merge_word(r, r->pairs.places[place].word, left, right, id)) return no_memory(r, r->words->text.n);
  return sgi_pairs_queue(&r->pairs) ? SG_OK : no_memory(r, r->words->text.n);
}

/* ---- the whole ------------------------------------------------------------------------------- */

static bool goes_on(const sg_tokenizer_training *s, size_t done, size_t wanted) {
  return !s->progress || s->progress(s->user, done, wanted);
}

static sg_status set_up(training *r) {
  const sg_tokenizer_training *s = r->settings;
  if (!s->vocab_size || s->vocab_size > SGI_ID_LIMIT || s->n_special > s->vocab_size)
    return sgi_fail(r->err, SG_ERR_ARG, "vocab_size is %zu; expected %zu to %zu", s->vocab_size, s->n_special + 1,
                    SGI_ID_LIMIT);
  sg_status st = sgi_tokenizer_create(s->vocab_size, &r->t, r->err);
  if (st) return st;
  for (r->bits = 10; (size_t)1 << r->bits < 2 * s->vocab_size; r->bits++) {}
  r->names = sgi_alloc(sizeof *r->names << r->bits);
  if (!r->names) return no_memory(r, sizeof *r->names << r->bits);
  sg_tokenizer *t = r->t;
  t->form = s->nfkc ? SGI_NFKC : SGI_AS_IT_IS;
  t->split = t->after = t->decode =
      (sgi_byte_level){.there = true, .add_prefix_space = true, .trim_offsets = true, .use_regex = true};
  t->split.add_prefix_space = s->prefix_space;
  return SG_OK;
}

static sg_status run(training *r) {
  size_t wanted = r->settings->vocab_size, merges = wanted - r->n_ids, room = 0;
  sg_tokenizer *t = r->t;
  while (r->n_ids < wanted) {
    const sgi_pair *best = sgi_pairs_best(&r->pairs);
    if (!best) break;
    if (!sgi_room(&t->merges, &room, t->n_merges, sizeof *t->merges))
      return no_memory(r, 2 * t->n_merges * sizeof *t->merges);
    sg_status st = merge(r, best);
    if (st) return st;
    if (t->n_merges % 64 == 0 && !goes_on(r->settings, t->n_merges, merges))
      return sgi_fail(r->err, SG_ERR_CANCELLED, "training a tokenizer was cancelled");
  }
  t->vocab_size = r->n_ids;
  return t->vocab_size ? SG_OK : sgi_fail(r->err, SG_ERR_ARG, "the text is empty and no token is asked for");
}

sg_status sgi_tokenizer_train_words(const sg_tokenizer_training *settings, const sgi_words *words, sg_tokenizer **out,
                                    sg_error *err) {
  training r = {.settings = settings, .words = words, .err = err};
  *out = NULL;
  sg_status st = set_up(&r);
  if (!st) st = add_special(&r);
  if (!st) st = add_alphabet(&r);
  if (!st) st = split_words(&r);
  if (!st) st = run(&r);
  if (!st) st = sgi_tokenizer_finish(r.t, err);
  sgi_pairs_deinit(&r.pairs);
  sgi_free(r.split);
  sgi_free(r.ids);
  sgi_free(r.names);
  sgi_bytes_deinit(&r.joined);
  if (st)
    sg_tokenizer_free(r.t);
  else
    *out = r.t;
  return st;
}

sg_status sg_tokenizer_train(const sg_tokenizer_training *settings, const char *const *documents, const size_t *lengths,
                             size_t n_documents, sg_tokenizer **out, sg_error *err) {
  sgi_words words = {.nfkc = settings->nfkc, .prefix_space = settings->prefix_space};
  size_t seen = 0;
  sg_status st = SG_OK;
  *out = NULL;
  for (size_t i = 0; i < n_documents && !st; i++) {
    st = sgi_words_add(&words, documents[i], lengths[i], err);
    seen += lengths[i];
    if (st || seen < (size_t)1 << 20) continue;
    seen = 0;
    if (!goes_on(settings, 0, settings->vocab_size))
      st = sgi_fail(err, SG_ERR_CANCELLED, "training a tokenizer was cancelled");
  }
  if (!st) st = sgi_tokenizer_train_words(settings, &words, out, err);
  sgi_words_deinit(&words);
  return st;
}
