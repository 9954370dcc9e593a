/* added.h: added tokens of a tokenizer, found in text before anything else is done to it. */
#ifndef SGI_ADDED_H
#define SGI_ADDED_H

#include "text/bytes.h"

typedef struct sgi_added_text {
  size_t begin, n; /* in the set's texts */
  int32_t id;
} sgi_added_text;

/* A set of texts with their ids. Zeroed: empty. */
typedef struct sgi_added {
  sgi_added_text *at; /* (n) in the order of their bytes once it is sorted */
  size_t n, size;
  sgi_bytes texts;
  bool first[256]; /* bytes that one begins with */
} sgi_added;

bool sgi_added_put(sgi_added *s, const char *text, size_t n, int32_t id); /* n > 0; false: memory is out */
/* Puts them in order; of equal texts the one put first stays. */
void sgi_added_sort(sgi_added *s);
void sgi_added_deinit(sgi_added *s);

/* The longest that text[0..n) begins with: id, or -1. */
int32_t sgi_added_find(const sgi_added *s, const char *text, size_t n, size_t *length);

/* Whether text[0..n) holds the token at [begin, end) as a single word. */
bool sgi_added_stands_alone(const char *text, size_t n, size_t begin, size_t end);
/* Where the white space that ends at `end` (not before least) begins, and where that from begin on
 * ends. */
size_t sgi_space_before(const char *text, size_t least, size_t end);
size_t sgi_space_behind(const char *text, size_t n, size_t begin);

#endif
