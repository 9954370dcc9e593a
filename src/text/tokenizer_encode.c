/* tokenizer_encode.c: text to ids. The text's broken UTF-8 is mended, added tokens are found in it,
 * each stretch between them goes through the normal form, cuts, prefix space, split and merges.
 * Pre-tokens met before are looked up: a cache of fixed size, never allocated by word. */
#include "text/category.h"
#include "text/split.h"
#include "text/tokenizer.h"
#include "text/unicode.h"

enum {
  KEY_WORDS = 3,
  KEY_BYTES = 8 * KEY_WORDS, /* longest pre-token that is remembered */
  KEPT_IDS = 8,
  CACHE_BITS = 14, /* 1 MB */
  MAX_IDLE = 64
};
static const size_t MAX_IDLE_BYTES = (size_t)32 << 20; /* an encoder that has grown larger is not kept */

typedef struct cache_entry {
  uint64_t key[KEY_WORDS]; /* the bytes, then zeros */
  int32_t ids[KEPT_IDS];
  uint8_t length, n; /* length 0: free */
} cache_entry;

struct sgi_encoder {
  sgi_encoder *next; /* in the list of idle ones */
  sgi_bytes mended;  /* the text with U+FFFD */
  sgi_bytes stretch; /* a byte for a prefix space, then normalised text, KEY_BYTES of room behind */
  sgi_bytes seen;    /* the stretch as patterns see it, where that is not the same */
  sgi_matcher matcher;
  sgi_points points;
  sgi_bpe_work work;
  int32_t *ids;
  size_t n, size;
  cache_entry *cache;
};

static void free_encoder(sgi_encoder *e) {
  if (!e) return;
  sgi_bytes_deinit(&e->mended);
  sgi_bytes_deinit(&e->stretch);
  sgi_bytes_deinit(&e->seen);
  sgi_matcher_deinit(&e->matcher);
  sgi_free(e->points.at);
  sgi_free(e->work.block);
  sgi_free(e->ids);
  sgi_free(e->cache);
  sgi_free(e);
}

void sgi_encoders_free(sgi_encoder *first) {
  for (sgi_encoder *next; first; first = next) {
    next = first->next;
    free_encoder(first);
  }
}

/* ---- encoders wait with the tokenizer -------------------------------------------------------- */

static sgi_encoder *take_encoder(sg_tokenizer *t) {
  pthread_mutex_lock(&t->lock);
  sgi_encoder *e = t->idle;
  if (e) {
    t->idle = e->next;
    t->n_idle--;
  }
  pthread_mutex_unlock(&t->lock);
  if (e) return e;
  e = sgi_alloc(sizeof *e);
  if (e) e->cache = sgi_alloc(sizeof *e->cache << CACHE_BITS);
  if (e && e->cache) return e;
  free_encoder(e);
  return NULL;
}

static void give_encoder(sg_tokenizer *t, sgi_encoder *e) {
  size_t bytes = e->mended.size + e->stretch.size + e->seen.size + e->points.size * sizeof *e->points.at +
                 e->work.size + e->size * sizeof *e->ids;
  bool keep = false;
  if (bytes <= MAX_IDLE_BYTES) {
    pthread_mutex_lock(&t->lock);
    keep = t->n_idle < MAX_IDLE;
    if (keep) {
      e->next = t->idle;
      t->idle = e;
      t->n_idle++;
    }
    pthread_mutex_unlock(&t->lock);
  }
  if (!keep) free_encoder(e);
}

/* ---- words ----------------------------------------------------------------------------------- */

static bool ids_room(sgi_encoder *e, size_t more) {
  size_t need, size, bytes;
  if (!sgi_size_add(e->n, more, &need)) return false;
  if (need <= e->size) return true;
  if (!sgi_size_add(need, need / 2 + 256, &size) || !sgi_size_mul(size, sizeof *e->ids, &bytes)) return false;
  int32_t *ids = sgi_realloc(e->ids, e->n * sizeof *ids, bytes);
  if (!ids) return false;
  e->ids = ids;
  e->size = size;
  return true;
}

/* The first n bytes at p (KEY_BYTES may be read) with zeros behind. */
static inline void make_key(const char *p, size_t n, uint64_t key[KEY_WORDS]) {
  memcpy(key, p, KEY_BYTES);
  for (size_t w = 0; w < KEY_WORDS; w++) {
    size_t here = n > 8 * w ? n - 8 * w : 0;
    if (here < 8) key[w] &= here ? UINT64_MAX >> (64 - 8 * here) : 0;
  }
}

static inline size_t cache_place(const uint64_t key[KEY_WORDS]) {
  uint64_t h = key[0] * 0x9E3779B97F4A7C15u;
  h = (h ^ h >> 29 ^ key[1]) * 0xBF58476D1CE4E5B9u;
  h = (h ^ h >> 32 ^ key[2]) * 0x94D049BB133111EBu;
  return (size_t)(h >> (64 - CACHE_BITS));
}

/* Ids of a word to out, which has room for n (at least 1). */
static bool word_ids(const sg_tokenizer *t, sgi_encoder *e, const char *word, size_t n, int32_t *out, size_t *count) {
  if (n > SGI_WORD_MAX) return false;
  int32_t whole = t->whole_first ? sgi_wholes_find(t, word, n) : -1;
  if (whole < 0) return sgi_bpe_word(&t->bpe, &e->work, word, n, out, count);
  out[0] = whole;
  *count = 1;
  return true;
}

/* Words with zero bytes in them have keys like shorter words': the length tells them apart. */
static bool add_word(const sg_tokenizer *t, sgi_encoder *e, const char *word, size_t n) {
  size_t count;
  if (!ids_room(e, n > KEPT_IDS ? n : KEPT_IDS)) return false;
  if (n > KEY_BYTES) {
    if (!word_ids(t, e, word, n, e->ids + e->n, &count)) return false;
    e->n += count;
    return true;
  }
  uint64_t key[KEY_WORDS];
  make_key(word, n, key);
  cache_entry *c = &e->cache[cache_place(key)];
  if (c->length == n && c->key[0] == key[0] && c->key[1] == key[1] && c->key[2] == key[2]) {
    memcpy(e->ids + e->n, c->ids, sizeof c->ids);
    e->n += c->n;
    return true;
  }
  if (!word_ids(t, e, word, n, e->ids + e->n, &count)) return false;
  if (count <= KEPT_IDS) {
    memcpy(c->key, key, sizeof key);
    memcpy(c->ids, e->ids + e->n, count * sizeof *c->ids);
    c->length = (uint8_t)n;
    c->n = (uint8_t)count;
  }
  e->n += count;
  return true;
}

/* ---- stretches between added tokens ---------------------------------------------------------- */

typedef struct job {
  const sg_tokenizer *t;
  sgi_encoder *e;
} job;

/* ByteLevel: a piece of the stretch, with a space in front if it asks for one, as one word or in
 * GPT-2's. The space is put over the byte before, which was encoded already, and taken away
 * again. */
static sgi_found add_piece(void *user, size_t begin, size_t end) {
  job *j = user;
  char *p = j->e->stretch.data + begin, *stop = j->e->stretch.data + end, kept = p[-1];
  if (j->t->split.add_prefix_space && *p != ' ') *--p = ' ';
  char *front = p;
  bool ok = true;
  for (size_t length; ok && p < stop; p += length) {
    length = j->t->split.use_regex ? sgi_split_next(p, (size_t)(stop - p)) : (size_t)(stop - p);
    ok = add_word(j->t, j->e, p, length);
  }
  if (front < j->e->stretch.data + begin) *front = kept;
  return ok ? SGI_FOUND : SGI_FOUND_NO_MEMORY;
}

/* text[begin, end) between added tokens. */
typedef sgi_found (*between)(job *j, const char *text, size_t begin, size_t end);

/* The added tokens of a set in text, as Hugging Face's library finds them: from left to right the
 * longest, each with the white space it takes; one that is not a single word is passed by whole. */
static sgi_found scan(job *j, const sgi_added *set, const char *text, size_t n, between stretch) {
  size_t done = 0, length = 0;
  sgi_found f = SGI_FOUND;
  for (size_t i = 0; i < n && set->n && f == SGI_FOUND;) {
    int32_t id = set->first[(unsigned char)text[i]] ? sgi_added_find(set, text + i, n - i, &length) : -1;
    if (id < 0) {
      i++;
      continue;
    }
    const sgi_token *k = &j->t->tokens[id];
    size_t begin = i, end = i += length;
    if (k->single_word && !sgi_added_stands_alone(text, n, begin, end)) continue;
    if (k->lstrip) begin = sgi_space_before(text, done, begin);
    if (k->rstrip) end = sgi_space_behind(text, n, end);
    if (done < begin) f = stretch(j, text, done, begin);
    if (f != SGI_FOUND || !ids_room(j->e, 1)) return f == SGI_FOUND ? SGI_FOUND_NO_MEMORY : f;
    j->e->ids[j->e->n++] = id;
    done = end;
  }
  return f == SGI_FOUND && done < n ? stretch(j, text, done, n) : f;
}

/* Of the normalised stretch, whose text begins behind one byte. */
static sgi_found cut_stretch(job *j, const char *text, size_t begin, size_t end) {
  sgi_encoder *e = j->e;
  const char *seen = e->seen.n ? e->seen.data : e->stretch.data;
  (void)text;
  return sgi_cut_text(j->t->cuts, j->t->n_cuts, &e->matcher, e->stretch.data, seen, begin + 1, end + 1, add_piece, j);
}

static sgi_found add_stretch(job *j, const char *text, size_t begin, size_t end) {
  const sg_tokenizer *t = j->t;
  sgi_bytes *s = &j->e->stretch, *seen = &j->e->seen;
  s->n = seen->n = 0;
  if (!sgi_bytes_add(s, " ", 1) || !sgi_normalize(t->form, text + begin, end - begin, &j->e->points, s) ||
      !sgi_bytes_room(s, KEY_BYTES))
    return SGI_FOUND_NO_MEMORY;
  if (t->n_cuts && sgi_needs_stand_ins(s->data, s->n) && !sgi_stand_ins(s->data, s->n, seen))
    return SGI_FOUND_NO_MEMORY;
  return scan(j, &t->normal, s->data + 1, s->n - 1, cut_stretch);
}

/* What a text of n bytes may cost in steps of matching, beyond the few that every place has. */
static size_t steps_for(size_t n) {
  size_t steps;
  return sgi_size_mul(n, 64, &steps) && sgi_size_add(steps, 1000000, &steps) ? steps : SIZE_MAX;
}

static sgi_found encode(job *j, const char *bytes, size_t n) {
  sgi_encoder *e = j->e;
  if (!sgi_utf8_valid(bytes, n)) {
    if (!sgi_utf8_lossy(bytes, n, &e->mended)) return SGI_FOUND_NO_MEMORY;
    bytes = e->mended.data;
    n = e->mended.n;
  }
  if (j->t->n_cuts && !e->matcher.data && !sgi_matcher_init(&e->matcher)) return SGI_FOUND_NO_MEMORY;
  e->matcher.steps = steps_for(n);
  return scan(j, &j->t->plain, bytes, n, add_stretch);
}

sg_status sg_tokenizer_encode(const sg_tokenizer *tok, const char *bytes, size_t n, int32_t **ids, size_t *count,
                              sg_error *err) {
  sg_tokenizer *t = (sg_tokenizer *)(uintptr_t)tok; /* only its idle encoders change, under the lock */
  *ids = NULL;
  *count = 0;
  sgi_encoder *e = take_encoder(t);
  if (!e) return sgi_fail_memory(err, sizeof *e->cache << CACHE_BITS, "encoding text");
  e->n = e->mended.n = 0;
  sgi_found f = n ? encode(&(job){t, e}, bytes, n) : SGI_FOUND;
  if (f == SGI_FOUND) *ids = sgi_alloc(e->n * sizeof **ids);
  if (*ids) {
    if (e->n) memcpy(*ids, e->ids, e->n * sizeof **ids);
    *count = e->n;
  }
  give_encoder(t, e);
  if (f == SGI_FOUND_TOO_HARD)
    return sgi_fail(
        err, SG_ERR_FORMAT,
        "tokenizer.json: pre_tokenizer: a pattern takes more than %zu steps on a text of %zu bytes: it tries "
        "the same place in ever new ways",
        steps_for(n), n);
  return *ids ? SG_OK : sgi_fail_memory(err, n, "encoding text");
}
