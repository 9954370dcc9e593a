/* tokenizer_encode.c: text to ids. The text's broken UTF-8 is mended, added tokens are found in it, each stretch between them goes
 * through NFKC, prefix space, split and merges. Pre-tokens met before are looked up: a cache of fixed size, never allocated by word. */
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
  sgi_bytes stretch; /* prefix space and normalised text, KEY_BYTES of room behind */
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

/* ---- encoders wait with the tokenizer ------------------------------------------------------------------------------ */

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
  size_t bytes = e->mended.size + e->stretch.size + e->points.size * sizeof *e->points.at + e->work.size +
                 e->size * sizeof *e->ids;
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

/* ---- words --------------------------------------------------------------------------------------------------------- */

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

/* Words with zero bytes in them have keys like shorter words': the length tells them apart. */
static bool add_word(const sg_tokenizer *t, sgi_encoder *e, const char *word, size_t n) {
  size_t count;
  if (!ids_room(e, n > KEPT_IDS ? n : KEPT_IDS)) return false;
  if (n > KEY_BYTES) {
    if (n > SGI_WORD_MAX || !sgi_bpe_word(&t->bpe, &e->work, word, n, e->ids + e->n, &count)) return false;
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
  if (!sgi_bpe_word(&t->bpe, &e->work, word, n, e->ids + e->n, &count)) return false;
  if (count <= KEPT_IDS) {
    memcpy(c->key, key, sizeof key);
    memcpy(c->ids, e->ids + e->n, count * sizeof *c->ids);
    c->length = (uint8_t)n;
    c->n = (uint8_t)count;
  }
  e->n += count;
  return true;
}

/* ---- stretches between added tokens ---------------------------------------------------------------------------------- */

static bool add_stretch(const sg_tokenizer *t, sgi_encoder *e, const char *text, size_t n) {
  sgi_bytes *s = &e->stretch;
  s->n = 0;
  if (!n) return true;
  if (!sgi_bytes_add(s, " ", 1)) return false;
  bool ok = t->nfkc ? sgi_nfkc(text, n, &e->points, s) : sgi_bytes_add(s, text, n);
  if (!ok || !sgi_bytes_room(s, KEY_BYTES)) return false;
  const char *p = s->data, *end = s->data + s->n;
  if (!t->split.add_prefix_space || p[1] == ' ') p++;
  for (size_t length; p < end; p += length) {
    length = sgi_split_next(p, (size_t)(end - p));
    if (!add_word(t, e, p, length)) return false;
  }
  return true;
}

/* The longest added token that text[0..n) begins with: id, or -1. by_text is narrowed byte by byte. */
static int32_t added_at(const sg_tokenizer *t, const char *text, size_t n, size_t *length) {
  size_t low = 0, high = t->n_added;
  int32_t found = -1;
  for (size_t i = 0; i < n && low < high; i++) {
    unsigned char c = (unsigned char)text[i];
    size_t bounds[2];
    for (unsigned k = 0; k < 2; k++) { /* first in [low, high) whose byte i is at least c + k */
      size_t a = low, b = high;
      while (a < b) {
        size_t mid = (a + b) / 2;
        const sgi_token *x = &t->tokens[t->by_text[mid]];
        if (x->n <= i || (unsigned char)t->text.data[x->begin + i] < c + k)
          a = mid + 1;
        else
          b = mid;
      }
      bounds[k] = a;
    }
    low = bounds[0];
    high = bounds[1];
    if (low < high && t->tokens[t->by_text[low]].n == i + 1) {
      found = t->by_text[low];
      *length = i + 1;
    }
  }
  return found;
}

static bool add_text(const sg_tokenizer *t, sgi_encoder *e, const char *text, size_t n) {
  size_t begin = 0, length = 0;
  for (size_t i = 0; i < n; i++) {
    if (!t->first[(unsigned char)text[i]]) continue;
    int32_t id = added_at(t, text + i, n - i, &length);
    if (id < 0) continue;
    if (!add_stretch(t, e, text + begin, i - begin) || !ids_room(e, 1)) return false;
    e->ids[e->n++] = id;
    begin = i + length;
    i = begin - 1;
  }
  return add_stretch(t, e, text + begin, n - begin);
}

sg_status sg_tokenizer_encode(const sg_tokenizer *tok, const char *bytes, size_t n, int32_t **ids, size_t *count,
                              sg_error *err) {
  sg_tokenizer *t = (sg_tokenizer *)(uintptr_t)tok; /* only its idle encoders change, under the lock */
  *ids = NULL;
  *count = 0;
  sgi_encoder *e = take_encoder(t);
  if (!e) return sgi_fail_memory(err, sizeof *e->cache << CACHE_BITS, "encoding text");
  e->n = e->mended.n = 0;
  bool ok = true;
  if (!sgi_utf8_valid(bytes, n)) {
    ok = sgi_utf8_lossy(bytes, n, &e->mended);
    bytes = e->mended.data;
    n = e->mended.n;
  }
  ok = ok && add_text(t, e, bytes, n);
  if (ok) *ids = sgi_alloc(e->n * sizeof **ids);
  if (*ids) {
    if (e->n) memcpy(*ids, e->ids, e->n * sizeof **ids);
    *count = e->n;
  }
  give_encoder(t, e);
  return *ids ? SG_OK : sgi_fail_memory(err, n, "encoding text");
}
