/* category.h: what splits and added tokens ask of characters besides their class (unicode.h).
 * Versions: category_tables.h. */
#ifndef SGI_CATEGORY_H
#define SGI_CATEGORY_H

#include "text/bytes.h"

bool sgi_is_word(uint32_t c);        /* \w: letters, marks, digits, and what joins them */
bool sgi_is_digit(uint32_t c);       /* for the part Digits */
bool sgi_is_punctuation(uint32_t c); /* for the part Punctuation */

/* PCRE2 as Debian has it knows Unicode 14.0, Hugging Face's expressions Unicode 16.0. */
bool sgi_needs_stand_ins(const char *text, size_t n);
/* Appends text (valid UTF-8) with others of the right category and of equal length in the place of
 * characters on which the two differ. False when memory is out. */
bool sgi_stand_ins(const char *text, size_t n, sgi_bytes *out);

#endif
