/* Nouns and their answers: a table of words, a table of pairs, and lists made from them. */
#include "read/facts.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_ROWS = 1 << 26 }; /* words or pairs */

static uint64_t mix(uint64_t h) {
  h ^= h >> 31;
  h *= 0x9E3779B97F4A7C15u;
  return h ^ h >> 29;
}

static uint64_t hash_text(const char *text, size_t n) {
  uint64_t h = 0xCBF29CE484222325u;
  for (size_t i = 0; i < n; i++) h = (h ^ (unsigned char)text[i]) * 0x100000001B3u;
  return mix(h);
}

static uint64_t hash_pair(uint32_t noun, uint32_t answer) { return mix((uint64_t)noun << 32 | answer); }

static uint64_t hash_row(const sg_facts *f, const sgi_fact_slots *s, uint32_t row) {
  if (s == &f->pair_slots) return hash_pair(f->pairs[row].noun, f->pairs[row].answer);
  return hash_text(sgi_fact_text(f, row), f->words[row].n);
}

/* Slots stay half empty for n rows. */
static bool slots_room(const sg_facts *f, sgi_fact_slots *s, size_t n) {
  if (2 * (n + 1) <= s->size) return true;
  size_t size = s->size ? 2 * s->size : 256;
  uint32_t *at = sgi_alloc(size * sizeof *at);
  if (!at) return false;
  for (uint32_t row = 0; row < n; row++) {
    size_t i = hash_row(f, s, row) & (size - 1);
    while (at[i]) i = (i + 1) & (size - 1);
    at[i] = row + 1;
  }
  sgi_free(s->at);
  *s = (sgi_fact_slots){at, size};
  return true;
}

/* The slot of a word, or the free one where it would go. */
static size_t word_slot(const sg_facts *f, const char *text, size_t n) {
  size_t mask = f->word_slots.size - 1, i = hash_text(text, n) & mask;
  for (; f->word_slots.at[i]; i = (i + 1) & mask) {
    uint32_t w = f->word_slots.at[i] - 1;
    if (f->words[w].n == n && !memcmp(sgi_fact_text(f, w), text, n)) break;
  }
  return i;
}

static size_t pair_slot(const sg_facts *f, uint32_t noun, uint32_t answer) {
  size_t mask = f->pair_slots.size - 1, i = hash_pair(noun, answer) & mask;
  for (; f->pair_slots.at[i]; i = (i + 1) & mask) {
    const sgi_fact_pair *p = &f->pairs[f->pair_slots.at[i] - 1];
    if (p->noun == noun && p->answer == answer) break;
  }
  return i;
}

/* False when memory is out. */
static bool intern(sg_facts *f, const char *text, size_t n, uint32_t *word) {
  if (!slots_room(f, &f->word_slots, f->n_words)) return false;
  size_t i = word_slot(f, text, n);
  if (f->word_slots.at[i]) {
    *word = f->word_slots.at[i] - 1;
    return true;
  }
  if (!sgi_room(&f->words, &f->words_room, f->n_words, sizeof *f->words)) return false;
  if (!sgi_bytes_room(&f->text, n + 1)) return false;
  *word = (uint32_t)f->n_words;
  f->words[f->n_words++] = (sgi_fact_word){f->text.n, (uint32_t)n};
  f->word_slots.at[i] = *word + 1;
  return sgi_bytes_add(&f->text, text, n) && sgi_bytes_add(&f->text, "", 1);
}

static bool count_pair(sg_facts *f, uint32_t noun, uint32_t answer, size_t count) {
  if (!slots_room(f, &f->pair_slots, f->n_pairs)) return false;
  size_t i = pair_slot(f, noun, answer);
  if (f->pair_slots.at[i]) {
    sgi_fact_pair *p = &f->pairs[f->pair_slots.at[i] - 1];
    if (!sgi_size_add(p->count, count, &p->count)) p->count = SIZE_MAX;
    return true;
  }
  if (!sgi_room(&f->pairs, &f->pairs_room, f->n_pairs, sizeof *f->pairs)) return false;
  f->pairs[f->n_pairs++] = (sgi_fact_pair){noun, answer, count};
  f->pair_slots.at[i] = (uint32_t)f->n_pairs;
  return true;
}

size_t sgi_facts_said(const sg_facts *f, const char *noun, const char *answer) {
  if (!f->n_pairs) return 0;
  uint32_t a = f->word_slots.at[word_slot(f, noun, strlen(noun))],
           b = f->word_slots.at[word_slot(f, answer, strlen(answer))];
  if (!a || !b) return 0;
  uint32_t p = f->pair_slots.at[pair_slot(f, a - 1, b - 1)];
  return p ? f->pairs[p - 1].count : 0;
}

sg_status sgi_facts_add(sg_facts *f, const char *noun, size_t n_noun, const char *answer, size_t n_answer, size_t count,
                        sg_error *err) {
  uint32_t a, b;
  if (n_noun > UINT16_MAX || n_answer > UINT16_MAX)
    return sgi_fail(err, SG_ERR_ARG, "a noun or answer of more than %d bytes is no word", UINT16_MAX);
  if (f->n_words > MAX_ROWS || f->n_pairs > MAX_ROWS)
    return sgi_fail(err, SG_ERR_MEMORY, "more than %d different words or pairs: give a smaller corpus", MAX_ROWS);
  if (!intern(f, noun, n_noun, &a) || !intern(f, answer, n_answer, &b) || !count_pair(f, a, b, count))
    return sgi_fail(err, SG_ERR_MEMORY, "out of memory for %zu nouns and answers", f->n_words);
  return SG_OK;
}

sg_status sg_facts_add(sg_facts *f, const char *noun, const char *answer, size_t count, sg_error *err) {
  return sgi_facts_add(f, noun, strlen(noun), answer, strlen(answer), count, err);
}

sg_status sg_facts_create(const char *before, const char *after, sg_facts **out, sg_error *err) {
  *out = NULL;
  sg_facts *f = sgi_alloc(sizeof *f);
  if (f) {
    f->before = sgi_strdup(before);
    f->after = sgi_strdup(after);
  }
  if (!f || !f->before || !f->after) {
    sg_facts_free(f);
    return sgi_fail_memory(err, sizeof *f, "facts");
  }
  *out = f;
  return SG_OK;
}

const char *sg_facts_before(const sg_facts *f) { return f ? f->before : NULL; }
const char *sg_facts_after(const sg_facts *f) { return f ? f->after : NULL; }

void sg_facts_free(sg_facts *f) {
  if (!f) return;
  sgi_bytes_deinit(&f->text);
  void *all[] = {f->before, f->after, f->words, f->pairs, f->word_slots.at, f->pair_slots.at, f->nouns, f->listed};
  for (size_t i = 0; i < SGI_COUNT(all); i++) sgi_free(all[i]);
  sgi_free(f);
}

/* ---- lists ----------------------------------------------------------------------------------- */

typedef struct listing {
  size_t noun_first, count; /* pair in which the noun first appears */
  uint32_t pair;
} listing;

static int in_order(const void *a, const void *b) {
  const listing *x = a, *y = b;
  if (x->noun_first != y->noun_first) return x->noun_first < y->noun_first ? -1 : 1;
  if (x->count != y->count) return x->count > y->count ? -1 : 1;
  return x->pair < y->pair ? -1 : x->pair > y->pair;
}

static size_t gather(const sg_facts *f, size_t min_count, size_t *first, listing *rows) {
  size_t n = 0;
  for (size_t w = 0; w < f->n_words; w++) first[w] = SIZE_MAX;
  for (size_t p = 0; p < f->n_pairs; p++) {
    const sgi_fact_pair *pair = &f->pairs[p];
    if (first[pair->noun] == SIZE_MAX) first[pair->noun] = p;
    if (pair->count >= min_count) rows[n++] = (listing){first[pair->noun], pair->count, (uint32_t)p};
  }
  return n;
}

sg_status sg_facts_list(sg_facts *f, size_t min_count, sg_error *err) {
  size_t *first = sgi_alloc((f->n_words + 1) * sizeof *first);
  listing *rows = sgi_alloc((f->n_pairs + 1) * sizeof *rows);
  uint32_t *listed = sgi_alloc((f->n_pairs + 1) * sizeof *listed);
  sgi_fact_noun *nouns = sgi_alloc((f->n_words + 1) * sizeof *nouns);
  sg_status st = SG_OK;
  if (first && rows && listed && nouns) {
    size_t n = gather(f, min_count, first, rows), n_nouns = 0;
    qsort(rows, n, sizeof *rows, in_order);
    for (size_t i = 0; i < n; i++) {
      uint32_t word = f->pairs[rows[i].pair].noun;
      if (!i || rows[i].noun_first != rows[i - 1].noun_first)
        nouns[n_nouns++] = (sgi_fact_noun){.word = word, .first = i};
      nouns[n_nouns - 1].n++;
      listed[i] = rows[i].pair;
    }
    sgi_free(f->nouns);
    sgi_free(f->listed);
    f->nouns = nouns;
    f->listed = listed;
    f->n_nouns = n_nouns;
    nouns = NULL;
    listed = NULL;
  } else {
    st = sgi_fail_memory(err, f->n_pairs * sizeof *rows, "lists of nouns and answers");
  }
  sgi_free(first);
  sgi_free(rows);
  sgi_free(listed);
  sgi_free(nouns);
  return st;
}

size_t sg_facts_count(const sg_facts *f) { return f->n_nouns; }

sg_fact sg_facts_noun(const sg_facts *f, size_t i) {
  if (i >= f->n_nouns) return (sg_fact){0};
  return (sg_fact){sgi_fact_text(f, f->nouns[i].word), f->nouns[i].n};
}

sg_fact sg_facts_answer(const sg_facts *f, size_t i, size_t k) {
  if (i >= f->n_nouns || k >= f->nouns[i].n) return (sg_fact){0};
  const sgi_fact_pair *p = &f->pairs[f->listed[f->nouns[i].first + k]];
  return (sg_fact){sgi_fact_text(f, p->answer), p->count};
}

void sg_facts_select(sg_facts *f, const size_t *chosen, size_t n) {
  size_t kept = 0;
  for (size_t i = 0; i < n; i++)
    if (chosen[i] < f->n_nouns && chosen[i] >= kept) f->nouns[kept++] = f->nouns[chosen[i]];
  f->n_nouns = kept;
}
