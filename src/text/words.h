/* words.h: the distinct pre-tokens of a training text and how often each is there. */
#ifndef SGI_WORDS_H
#define SGI_WORDS_H

#include "text/unicode.h"

typedef struct sgi_word {
  size_t begin; /* in text */
  uint32_t n;   /* bytes */
  uint32_t hash;
  uint64_t count;
} sgi_word;

typedef struct sgi_words {
  bool nfkc, prefix_space; /* set before the first document */
  sgi_bytes text;
  sgi_word *at; /* in the order in which they first came */
  size_t n, size;
  uint32_t *slots; /* index + 1 of a word, 0: free; 1 << bits of them */
  unsigned bits;
  sgi_bytes mended, stretch;
  sgi_points points;
} sgi_words;

/* Counts the pre-tokens of one document. */
sg_status sgi_words_add(sgi_words *w, const char *document, size_t n, sg_error *err);
void sgi_words_deinit(sgi_words *w);

#endif
