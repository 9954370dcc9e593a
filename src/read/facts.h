/* facts.h: what sg_facts is made of, and facts as JSON. */
#ifndef SGI_FACTS_H
#define SGI_FACTS_H

#include "core/json.h"
#include "text/bytes.h"

typedef struct sgi_fact_word {
  size_t at; /* in text, NUL-terminated */
  uint32_t n;
} sgi_fact_word;

typedef struct sgi_fact_pair {
  uint32_t noun, answer; /* words */
  size_t count;
} sgi_fact_pair;

/* A noun of the lists: answers of `listed` from first on. */
typedef struct sgi_fact_noun {
  uint32_t word;
  size_t first, n;
} sgi_fact_noun;

/* Indexes + 1 of rows by hash, open addressing; size is a power of 2. */
typedef struct sgi_fact_slots {
  uint32_t *at;
  size_t size;
} sgi_fact_slots;

struct sg_facts {
  char *before, *after;
  sgi_bytes text;
  sgi_fact_word *words;
  size_t n_words, words_room;
  sgi_fact_pair *pairs; /* in order of first appearance */
  size_t n_pairs, pairs_room;
  sgi_fact_slots word_slots, pair_slots;
  sgi_fact_noun *nouns; /* the lists */
  size_t n_nouns;
  uint32_t *listed; /* pairs */
};

/* noun and answer of n_noun and n_answer bytes. */
sg_status sgi_facts_add(sg_facts *f, const char *noun, size_t n_noun, const char *answer, size_t n_answer, size_t count,
                        sg_error *err);
/* How often answer was said of noun: 0, or as added. */
size_t sgi_facts_said(const sg_facts *f, const char *noun, const char *answer);
static inline const char *sgi_fact_text(const sg_facts *f, uint32_t word) { return f->text.data + f->words[word].at; }

/* {"before": ..., "after": ..., "facts": {NOUN: {ANSWER: count}}} of the lists. New reference; NULL
 * when memory is out. */
json_t *sgi_facts_to_json(const sg_facts *f);
/* Facts of that form, or of facts.json of the corpus worlds (rows of one type and of the form
 * of its first; type NULL: "quality"), not listed yet. where names
 * the text in errors. New: sg_facts_free. */
sg_status sgi_facts_from_json(const json_t *json, const char *where, const char *type, sg_facts **out, sg_error *err);

#endif
