#include "text/words.h"

#include <xxhash.h>

#include "text/bpe.h"
#include "text/split.h"

static bool grow_slots(sgi_words *w) {
  unsigned bits = w->bits ? w->bits + 1 : 12;
  size_t mask = ((size_t)1 << bits) - 1;
  uint32_t *slots = sgi_alloc((mask + 1) * sizeof *slots);
  if (!slots) return false;
  for (size_t i = 0; i < w->n; i++) {
    size_t at = w->at[i].hash & mask;
    while (slots[at]) at = (at + 1) & mask;
    slots[at] = (uint32_t)i + 1;
  }
  sgi_free(w->slots);
  w->slots = slots;
  w->bits = bits;
  return true;
}

static bool new_word(sgi_words *w, const char *bytes, size_t n, uint32_t hash) {
  if (!sgi_room(&w->at, &w->size, w->n, sizeof *w->at)) return false;
  w->at[w->n++] = (sgi_word){.begin = w->text.n, .n = (uint32_t)n, .hash = hash, .count = 1};
  return sgi_bytes_add(&w->text, bytes, n);
}

static bool count_word(sgi_words *w, const char *bytes, size_t n) {
  if (n > SGI_WORD_MAX || w->n >= UINT32_MAX - 1) return false;
  if (!w->bits || w->n >= (size_t)1 << (w->bits - 1))
    if (!grow_slots(w)) return false;
  uint32_t hash = (uint32_t)XXH3_64bits(bytes, n);
  size_t mask = ((size_t)1 << w->bits) - 1, at = hash & mask;
  for (; w->slots[at]; at = (at + 1) & mask) {
    sgi_word *k = &w->at[w->slots[at] - 1];
    if (k->hash != hash || k->n != n || memcmp(w->text.data + k->begin, bytes, n)) continue;
    k->count++;
    return true;
  }
  w->slots[at] = (uint32_t)w->n + 1;
  return new_word(w, bytes, n, hash);
}

static bool add(sgi_words *w, const char *text, size_t n) {
  w->mended.n = w->stretch.n = 0;
  if (!sgi_utf8_valid(text, n)) {
    if (!sgi_utf8_lossy(text, n, &w->mended)) return false;
    text = w->mended.data;
    n = w->mended.n;
  }
  if (!n) return true;
  sgi_bytes *s = &w->stretch;
  if (!sgi_bytes_add(s, " ", 1)) return false;
  if (!sgi_normalize(w->nfkc ? SGI_NFKC : SGI_AS_IT_IS, text, n, &w->points, s)) return false;
  const char *p = s->data, *end = s->data + s->n;
  if (!w->prefix_space || p[1] == ' ') p++;
  for (size_t length; p < end; p += length) {
    length = sgi_split_next(p, (size_t)(end - p));
    if (!count_word(w, p, length)) return false;
  }
  return true;
}

sg_status sgi_words_add(sgi_words *w, const char *document, size_t n, sg_error *err) {
  return add(w, document, n) ? SG_OK : sgi_fail_memory(err, n, "counting words");
}

void sgi_words_deinit(sgi_words *w) {
  sgi_bytes_deinit(&w->text);
  sgi_bytes_deinit(&w->mended);
  sgi_bytes_deinit(&w->stretch);
  sgi_free(w->points.at);
  sgi_free(w->at);
  sgi_free(w->slots);
  *w = (sgi_words){0};
}
