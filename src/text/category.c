#include "text/category.h"

#include "text/category_tables.h"
#include "text/unicode.h"

#define FIND(table, c) sgi_range_of(*(table), SGI_COUNT(table), SGI_COUNT(*(table)), c)

bool sgi_is_word(uint32_t c) { return FIND(word_ranges, c); }
bool sgi_is_digit(uint32_t c) { return FIND(digit_ranges, c); }
bool sgi_is_punctuation(uint32_t c) { return FIND(punctuation_ranges, c); }

/* What stands for c: c itself for nearly all. */
static uint32_t stand_in(uint32_t c) {
  const uint32_t *row = FIND(stand_ins, c);
  return row ? row[2] : c;
}

bool sgi_needs_stand_ins(const char *text, size_t n) {
  for (size_t i = 0;;) {
    i += sgi_ascii_run(text + i, n - i);
    if (i == n) return false;
    uint32_t c;
    i += sgi_utf8_next(text + i, n - i, &c);
    if (stand_in(c) != c) return true;
  }
}

bool sgi_stand_ins(const char *text, size_t n, sgi_bytes *out) {
  if (!sgi_bytes_room(out, n)) return false;
  for (size_t i = 0; i < n;) {
    uint32_t c;
    i += sgi_utf8_next(text + i, n - i, &c);
    out->n += sgi_utf8_put(stand_in(c), out->data + out->n);
  }
  return true;
}
