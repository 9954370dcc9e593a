#include "text/category.h"

#include "text/category_tables.h"
#include "text/unicode.h"

#define IN(ranges, c) within(ranges, SGI_COUNT(ranges), c)

static bool within(const uint32_t (*ranges)[2], size_t n, uint32_t c) {
  size_t low = 0, high = n;
  while (low < high) {
    size_t mid = (low + high) / 2;
    if (ranges[mid][1] < c)
      low = mid + 1;
    else
      high = mid;
  }
  return low < n && ranges[low][0] <= c;
}

bool sgi_is_word(uint32_t c) { return IN(word_ranges, c); }
bool sgi_is_digit(uint32_t c) { return IN(digit_ranges, c); }
bool sgi_is_punctuation(uint32_t c) { return IN(punctuation_ranges, c); }

/* What stands for c: c itself for nearly all. */
static uint32_t stand_in(uint32_t c) {
  size_t low = 0, high = SGI_COUNT(stand_ins);
  while (low < high) {
    size_t mid = (low + high) / 2;
    if (stand_ins[mid][1] < c)
      low = mid + 1;
    else
      high = mid;
  }
  return low < SGI_COUNT(stand_ins) && stand_ins[low][0] <= c ? stand_ins[low][2] : c;
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
