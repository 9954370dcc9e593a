#include "text/unicode.h"

#include "text/unicode_tables.h"

static bool within(unsigned char c, unsigned low, unsigned high) { return c >= low && c <= high; }

size_t sgi_utf8_next(const char *text, size_t n, uint32_t *c) {
  const unsigned char *p = (const unsigned char *)text;
  unsigned first = p[0], low = 0x80, high = 0xBF;
  if (first < 0x80) {
    *c = first;
    return 1;
  }
  *c = SGI_BROKEN;
  if (first < 0xC2 || first > 0xF4) return 1;
  /* no overlong forms, no surrogates, nothing past U+10FFFF: all shown by the second byte */
  if (first == 0xE0) low = 0xA0;
  if (first == 0xED) high = 0x9F;
  if (first == 0xF0) low = 0x90;
  if (first == 0xF4) high = 0x8F;
  if (n < 2 || !within(p[1], low, high)) return 1;
  if (first < 0xE0) {
    *c = (first & 0x1F) << 6 | (p[1] & 0x3Fu);
    return 2;
  }
  if (n < 3 || !within(p[2], 0x80, 0xBF)) return 2;
  if (first < 0xF0) {
    *c = (first & 0x0F) << 12 | (p[1] & 0x3Fu) << 6 | (p[2] & 0x3Fu);
    return 3;
  }
  if (n < 4 || !within(p[3], 0x80, 0xBF)) return 3;
  *c = (first & 0x07) << 18 | (p[1] & 0x3Fu) << 12 | (p[2] & 0x3Fu) << 6 | (p[3] & 0x3Fu);
  return 4;
}

size_t sgi_utf8_put(uint32_t c, char out[4]) {
  if (c < 0x80) {
    out[0] = (char)c;
    return 1;
  }
  size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
  static const unsigned lead[] = {0, 0, 0xC0, 0xE0, 0xF0};
  for (size_t i = n - 1; i > 0; i--, c >>= 6) out[i] = (char)(0x80 | (c & 0x3F));
  out[0] = (char)(lead[n] | c);
  return n;
}

size_t sgi_ascii_run(const char *p, size_t n) {
  size_t i = 0;
  for (uint64_t eight; i + 8 <= n; i += 8) {
    memcpy(&eight, p + i, 8);
    if (eight & 0x8080808080808080u) break;
  }
  while (i < n && (unsigned char)p[i] < 0x80) i++;
  return i;
}

bool sgi_utf8_valid(const char *text, size_t n) {
  for (size_t i = 0;;) {
    i += sgi_ascii_run(text + i, n - i);
    if (i == n) return true;
    uint32_t c;
    i += sgi_utf8_next(text + i, n - i, &c);
    if (c == SGI_BROKEN) return false;
  }
}

bool sgi_utf8_lossy(const char *text, size_t n, sgi_bytes *out) {
  size_t kept = 0, i = 0;
  for (;;) {
    i += sgi_ascii_run(text + i, n - i);
    if (i == n) return sgi_bytes_add(out, text + kept, n - kept);
    uint32_t c;
    size_t length = sgi_utf8_next(text + i, n - i, &c);
    if (c == SGI_BROKEN) {
      if (!sgi_bytes_add(out, text + kept, i - kept) || !sgi_bytes_add(out, "\xEF\xBF\xBD", 3)) return false;
      kept = i + length;
    }
    i += length;
  }
}

uint64_t sgi_utf8_broken(const char *text, size_t n, size_t *first) {
  uint64_t broken = 0;
  if (sgi_utf8_valid(text, n)) return 0;
  for (size_t i = 0; i < n;) {
    uint32_t c;
    size_t length = sgi_utf8_next(text + i, n - i, &c);
    if (c == SGI_BROKEN) {
      if (!broken && first) *first = i;
      broken += length;
    }
    i += length;
  }
  return broken;
}

const uint32_t *sgi_range_of(const uint32_t *table, size_t rows, size_t width, uint32_t c) {
  size_t low = 0, high = rows;
  while (low < high) {
    size_t mid = (low + high) / 2;
    if (table[mid * width + 1] < c)
      low = mid + 1;
    else
      high = mid;
  }
  return low < rows && table[low * width] <= c ? table + low * width : NULL;
}

int sgi_unicode_class(uint32_t c) {
  size_t low = 0, high = sizeof class_starts / sizeof *class_starts; /* the run is in [low, high) */
  while (high - low > 1) {
    size_t mid = (low + high) / 2;
    if (class_starts[mid] >> 2 <= c)
      low = mid;
    else
      high = mid;
  }
  return class_starts[low] & 3;
}
