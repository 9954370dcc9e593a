#include "text/split.h"

#include "text/unicode.h"

enum { WIDE = 4 }; /* not ASCII: sgi_unicode_class knows */

/* Class of a byte, but U+0020 alone is told apart by the caller. */
#define S SGI_SPACE
#define L SGI_LETTER
#define N SGI_NUMBER
static const unsigned char byte_class[256] = {
    ['\t'] = S, ['\n'] = S,        ['\v'] = S,        ['\f'] = S,        ['\r'] = S,
    [' '] = S,  ['0' ... '9'] = N, ['A' ... 'Z'] = L, ['a' ... 'z'] = L, [128 ... 255] = WIDE,
};
#undef S
#undef L
#undef N

/* Class of the code point at text + i and its length. */
static inline int class_at(const char *text, size_t i, size_t n, size_t *length) {
  int class = byte_class[(unsigned char)text[i]];
  *length = 1;
  if (class != WIDE) return class;
  uint32_t c;
  *length = sgi_utf8_next(text + i, n - i, &c);
  return sgi_unicode_class(c);
}

/* End of the run of `class` that goes on at i; *last is the length of its last code point. */
static inline size_t run_end(const char *text, size_t i, size_t n, int class, size_t *last) {
  for (;;) {
    size_t begin = i, length;
    while (i < n && byte_class[(unsigned char)text[i]] == class) i++;
    if (i > begin) *last = 1;
    if (i == n || (unsigned char)text[i] < 0x80 || class_at(text, i, n, &length) != class) return i;
    *last = length;
    i += length;
  }
}

static size_t contraction(const char *text, size_t n) {
  if (n < 2) return 0;
  char a = text[1], b = n > 2 ? text[2] : '\0';
  if (a == 's' || a == 't' || a == 'm' || a == 'd') return 2;
  return (a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l') ? 3 : 0;
}

size_t sgi_split_next(const char *text, size_t n) {
  size_t length, last = 0;
  if (text[0] == '\'' && (length = contraction(text, n))) return length;
  size_t begin = text[0] == ' ';
  if (begin < n) {
    int class = class_at(text, begin, n, &length);
    if (class != SGI_SPACE) return run_end(text, begin + length, n, class, &last);
  }
  size_t end = run_end(text, 0, n, SGI_SPACE, &last);
  /* White space leaves its last character to what follows, unless that is all of it. */
  return end == n || end == last ? end : end - last;
}
