#include "read/ngram.h"

#include <math.h>
#include <string.h>

#include "core/arena.h"

enum { ID_BITS = 21, FIRST_SLOTS = 1 << 12 };

/* Open addressing with linear probing; key 0 is an empty slot, so keys are packed ids plus one. */
typedef struct triple {
  uint64_t key;
  uint32_t count; /* c(u,v,w), stops at its largest value */
} triple;

/* A pair (a,b) as a context, and as a bigram of the lower order. */
typedef struct pair {
  uint64_t key;
  uint64_t total;     /* c(a,b,.) */
  uint32_t followers; /* N(a,b,.) */
  uint32_t preceders; /* N(.,a,b) */
} pair;

typedef struct word {
  uint64_t count;     /* c(w), of the unigram model */
  uint64_t preceders; /* N(.,w) */
  uint64_t triples;   /* N(.,w,.) */
  uint64_t followers; /* N(w,.) */
} word;

struct sgi_ngram {
  size_t vocab;
  int32_t bos;
  size_t max_bytes;
  word *words;
  triple *triples;
  pair *pairs;
  size_t triple_slots, pair_slots; /* powers of two */
  size_t n_triples, n_pairs;
  uint64_t tokens, dropped;
  uint64_t bigrams, seen; /* N(.,.), words with N(.,w) > 0 */
  double discount[4];     /* of order 1..3 */
  bool finished;
};

static uint64_t pack(int32_t a, int32_t b) { return (((uint64_t)(uint32_t)a << ID_BITS) | (uint32_t)b) + 1; }
static uint64_t pack3(int32_t a, int32_t b, int32_t c) {
  return (((uint64_t)(uint32_t)a << 2 * ID_BITS) | ((uint64_t)(uint32_t)b << ID_BITS) | (uint32_t)c) + 1;
}

static size_t hash(uint64_t x) { /* splitmix64's finaliser */
  x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
  return (size_t)(x ^ (x >> 31));
}

/* The slot of key, or the empty one where it belongs. There always is an empty one. */
static triple *find_triple(const sgi_ngram *m, uint64_t key) {
  size_t i = hash(key) & (m->triple_slots - 1);
  while (m->triples[i].key && m->triples[i].key != key) i = (i + 1) & (m->triple_slots - 1);
  return &m->triples[i];
}

static pair *find_pair(const sgi_ngram *m, uint64_t key) {
  size_t i = hash(key) & (m->pair_slots - 1);
  while (m->pairs[i].key && m->pairs[i].key != key) i = (i + 1) & (m->pair_slots - 1);
  return &m->pairs[i];
}

static size_t table_bytes(const sgi_ngram *m) {
  return m->triple_slots * sizeof *m->triples + m->pair_slots * sizeof *m->pairs;
}

/* What growing would take: the tables as they are, and beside them the new one. */
static bool may_take(const sgi_ngram *m, size_t slots, size_t size) {
  size_t bytes;
  return sgi_size_mul(slots, size, &bytes) && sgi_size_add(bytes, table_bytes(m), &bytes) && bytes <= m->max_bytes;
}

static bool is_full(size_t used, size_t more, size_t slots) { return used + more > slots / 3 * 2; }

/* Room for one more triple and two more pairs: *room says whether there is. */
static sg_status make_room(sgi_ngram *m, bool *room, sg_error *err) {
  *room = false;
  if (is_full(m->n_triples, 1, m->triple_slots)) {
    size_t slots = 2 * m->triple_slots;
    if (!may_take(m, slots, sizeof(triple))) return SG_OK;
    triple *old = m->triples, *grown = sgi_alloc(slots * sizeof *grown);
    if (!grown) return sgi_fail_memory(err, slots * sizeof *grown, "counts of trigrams");
    size_t n = m->triple_slots;
    m->triples = grown;
    m->triple_slots = slots;
    for (size_t i = 0; i < n; i++)
      if (old[i].key) *find_triple(m, old[i].key) = old[i];
    sgi_free(old);
  }
  if (is_full(m->n_pairs, 2, m->pair_slots)) {
    size_t slots = 2 * m->pair_slots;
    if (!may_take(m, slots, sizeof(pair))) return SG_OK;
    pair *old = m->pairs, *grown = sgi_alloc(slots * sizeof *grown);
    if (!grown) return sgi_fail_memory(err, slots * sizeof *grown, "counts of bigrams");
    size_t n = m->pair_slots;
    m->pairs = grown;
    m->pair_slots = slots;
    for (size_t i = 0; i < n; i++)
      if (old[i].key) *find_pair(m, old[i].key) = old[i];
    sgi_free(old);
  }
  *room = true;
  return SG_OK;
}

sg_status sgi_ngram_create(size_t vocab, int32_t bos, size_t max_bytes, sgi_ngram **out, sg_error *err) {
  *out = NULL;
  if (!vocab || vocab > SGI_NGRAM_MAX_VOCAB)
    return sgi_fail(err, SG_ERR_ARG, "a vocabulary of %zu ids can not be counted: from 1 to %d", vocab,
                    SGI_NGRAM_MAX_VOCAB);
  if (bos < 0 || (size_t)bos >= vocab)
    return sgi_fail(err, SG_ERR_ARG, "the first context, id %d, is outside the vocabulary of %zu", bos, vocab);
  sgi_ngram *m = sgi_alloc(sizeof *m);
  if (!m) return sgi_fail_memory(err, sizeof *m, "an n-gram model");
  *m = (sgi_ngram){
      .vocab = vocab, .bos = bos, .max_bytes = max_bytes, .triple_slots = FIRST_SLOTS, .pair_slots = FIRST_SLOTS};
  m->words = sgi_alloc(vocab * sizeof *m->words);
  m->triples = sgi_alloc(FIRST_SLOTS * sizeof *m->triples);
  m->pairs = sgi_alloc(FIRST_SLOTS * sizeof *m->pairs);
  if (!m->words || !m->triples || !m->pairs) {
    sgi_ngram_free(m);
    return sgi_fail_memory(err, vocab * sizeof *m->words, "counts of words");
  }
  *out = m;
  return SG_OK;
}

void sgi_ngram_free(sgi_ngram *m) {
  if (!m) return;
  sgi_free(m->words);
  sgi_free(m->triples);
  sgi_free(m->pairs);
  sgi_free(m);
}

static pair *take_pair(sgi_ngram *m, int32_t a, int32_t b) {
  pair *p = find_pair(m, pack(a, b));
  if (!p->key) {
    p->key = pack(a, b);
    m->n_pairs++;
  }
  return p;
}

/* Keeps all sums over distinct n-grams up to date as a trigram comes for the first time. */
static void note_new(sgi_ngram *m, int32_t u, int32_t v, int32_t w) {
  m->n_triples++;
  take_pair(m, u, v)->followers++;
  m->words[v].triples++;
  if (take_pair(m, v, w)->preceders++) return;
  m->words[v].followers++;
  m->bigrams++;
  if (!m->words[w].preceders++) m->seen++;
}

static sg_status count(sgi_ngram *m, int32_t u, int32_t v, int32_t w, sg_error *err) {
  uint64_t key = pack3(u, v, w);
  triple *t = find_triple(m, key);
  if (!t->key) {
    bool room;
    sg_status st = make_room(m, &room, err);
    if (st) return st;
    if (!room) {
      m->dropped++;
      return SG_OK;
    }
    t = find_triple(m, key);
    t->key = key;
    note_new(m, u, v, w);
  }
  if (t->count == UINT32_MAX) return SG_OK; /* total must stay the sum of the counts */
  t->count++;
  find_pair(m, pack(u, v))->total++;
  return SG_OK;
}

static sg_status check_ids(const sgi_ngram *m, const int32_t *tokens, size_t n, sg_error *err) {
  for (size_t i = 0; i < n; i++)
    if (tokens[i] < 0 || (size_t)tokens[i] >= m->vocab)
      return sgi_fail(err, SG_ERR_ARG, "token %zu of a document: id %d is outside the vocabulary of %zu", i, tokens[i],
                      m->vocab);
  return SG_OK;
}

sg_status sgi_ngram_add(sgi_ngram *m, const int32_t *tokens, size_t n, sg_error *err) {
  sg_status st = check_ids(m, tokens, n, err);
  m->finished = false;
  for (size_t i = 0; i < n && !st; i++) {
    int32_t u = i > 1 ? tokens[i - 2] : m->bos, v = i ? tokens[i - 1] : m->bos;
    st = count(m, u, v, tokens[i], err);
    if (st) break;
    m->words[tokens[i]].count++;
    m->tokens++;
  }
  return st;
}

static double discount(uint64_t once, uint64_t twice) {
  double d = once ? (double)once / ((double)once + 2 * (double)twice) : 0;
  return d < 0.05 ? 0.05 : d > 0.95 ? 0.95 : d;
}

sg_status sgi_ngram_finish(sgi_ngram *m, sg_error *err) {
  if (!m->n_triples) return sgi_fail(err, SG_ERR_ARG, "the n-gram model has seen no token: add documents first");
  uint64_t n[4][3] = {{0}};
  for (size_t i = 0; i < m->triple_slots; i++)
    if (m->triples[i].key && m->triples[i].count <= 2) n[3][m->triples[i].count]++;
  for (size_t i = 0; i < m->pair_slots; i++)
    if (m->pairs[i].key && m->pairs[i].preceders <= 2) n[2][m->pairs[i].preceders]++;
  for (size_t i = 0; i < m->vocab; i++)
    if (m->words[i].preceders <= 2) n[1][m->words[i].preceders]++;
  for (int k = 1; k <= 3; k++) m->discount[k] = discount(n[k][1], n[k][2]);
  m->finished = true;
  return SG_OK;
}

double sgi_ngram_unigram(const sgi_ngram *m, int32_t w) {
  return ((double)m->words[w].count + 1) / ((double)m->tokens + (double)m->vocab);
}

/* What the count keeps after the discount, and what `distinct` discounts hand to the lower
 * order. */
static double interpolate(double counted, double total, double distinct, double d, double lower) {
  return ((counted > d ? counted - d : 0) + d * distinct * lower) / total;
}

double sgi_ngram_trigram(const sgi_ngram *m, int32_t u, int32_t v, int32_t w) {
  const double *D = m->discount;
  const word *b = &m->words[v];
  double p =
      interpolate((double)m->words[w].preceders, (double)m->bigrams, (double)m->seen, D[1], 1 / (double)m->vocab);
  if (b->triples)
    p = interpolate((double)find_pair(m, pack(v, w))->preceders, (double)b->triples, (double)b->followers, D[2], p);
  const pair *context = find_pair(m, pack(u, v));
  if (context->total)
    p = interpolate((double)find_triple(m, pack3(u, v, w))->count, (double)context->total, (double)context->followers,
                    D[3], p);
  return p;
}

sg_status sgi_ngram_nll(const sgi_ngram *m, const int32_t *tokens, size_t n, sgi_ngram_score *sum, sg_error *err) {
  if (!m->finished) return sgi_fail(err, SG_ERR_INTERNAL, "sgi_ngram_nll before sgi_ngram_finish");
  sg_status st = check_ids(m, tokens, n, err);
  for (size_t i = 0; i < n && !st; i++) {
    int32_t u = i > 1 ? tokens[i - 2] : m->bos, v = i ? tokens[i - 1] : m->bos;
    sum->unigram -= log(sgi_ngram_unigram(m, tokens[i]));
    sum->trigram -= log(sgi_ngram_trigram(m, u, v, tokens[i]));
    sum->tokens++;
  }
  return st;
}

uint64_t sgi_ngram_tokens(const sgi_ngram *m) { return m->tokens; }
uint64_t sgi_ngram_trigrams(const sgi_ngram *m) { return m->n_triples; }
uint64_t sgi_ngram_dropped(const sgi_ngram *m) { return m->dropped; }
