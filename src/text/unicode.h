/* unicode.h: UTF-8, the classes that the tokenizer's split knows, and normal forms. Which Unicode
 * versions: unicode_tables.h.
 */
#ifndef SGI_UNICODE_H
#define SGI_UNICODE_H

#include "text/bytes.h"

enum { SGI_BROKEN = 0x7FFFFFFF }; /* in the place of a code point: no UTF-8 */

/* The code point at p, of which n > 0 bytes are there, and its length. Where UTF-8 is broken, *c is
 * SGI_BROKEN and the length that of the maximal broken part, which becomes one U+FFFD (as WHATWG,
 * Rust and Python do). */
size_t sgi_utf8_next(const char *p, size_t n, uint32_t *c);
/* Bytes of c (no surrogate, at most 0x10FFFF) into out; returns how many. */
size_t sgi_utf8_put(uint32_t c, char out[4]);
/* How many of the first bytes are ASCII. */
size_t sgi_ascii_run(const char *p, size_t n);
bool sgi_utf8_valid(const char *text, size_t n);
/* Appends text, its broken parts as U+FFFD. False when memory is out. */
bool sgi_utf8_lossy(const char *text, size_t n, sgi_bytes *out);

/* Where the character in front of at (> 0) begins, in valid UTF-8. */
static inline size_t sgi_utf8_before(const char *text, size_t at) {
  do at--;
  while (at > 0 && ((unsigned char)text[at] & 0xC0) == 0x80);
  return at;
}
/* Bytes in the broken parts of text; *first gets the first one's place where there is one. */
uint64_t sgi_utf8_broken(const char *text, size_t n, size_t *first);

/* The row of table (rows of width numbers: first, last, ...; ascending) that holds c; NULL:
 * none. */
const uint32_t *sgi_range_of(const uint32_t *table, size_t rows, size_t width, uint32_t c);

enum { SGI_OTHER, SGI_LETTER, SGI_NUMBER, SGI_SPACE };
int sgi_unicode_class(uint32_t c);

/* Code points that sgi_normalize works on; kept between calls so that a call allocates nothing once
 * it is large enough. */
typedef struct sgi_points {
  int32_t *at;
  size_t size;
} sgi_points;

/* Forms of Unicode 9.0, as Hugging Face's library normalises; a later one includes those before
 * it. */
typedef enum sgi_form { SGI_AS_IT_IS, SGI_NFC, SGI_NFKC } sgi_form;

/* Appends text (valid UTF-8) in that form. Linear in n. False when memory is out. */
bool sgi_normalize(sgi_form form, const char *text, size_t n, sgi_points *work, sgi_bytes *out);

#endif
