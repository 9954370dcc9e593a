#include "text/json_line.h"

#include <string.h>

#include "text/unicode.h"

static const size_t FLAGS = JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL;

static bool is_hex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }
static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* The kind of \uXXXX at p: 'h' high and 'l' low half of a pair, 0 anything else. */
static char half_at(const char *p, size_t n) {
  if (n < 6 || p[0] != '\\' || p[1] != 'u' || (p[2] != 'd' && p[2] != 'D') || !is_hex(p[4]) || !is_hex(p[5])) return 0;
  switch (p[3]) {
    case '8':
    case '9':
    case 'a':
    case 'A':
    case 'b':
    case 'B': return 'h';
    case 'c':
    case 'C':
    case 'd':
    case 'D':
    case 'e':
    case 'E':
    case 'f':
    case 'F': return 'l';
    default: return 0;
  }
}

/* From behind the opening quote to behind the closing one; halves without their other half are
 * overwritten. */
static size_t mend_string(char *p, size_t n, uint64_t *halves) {
  size_t i = 0;
  while (i < n && p[i] != '"') {
    char half = half_at(p + i, n - i);
    if (half == 'h' && half_at(p + i + 6, n - i - 6) == 'l') {
      i += 12;
    } else if (half) {
      memcpy(p + i, "\\ufffd", 6);
      ++*halves;
      i += 6;
    } else {
      i += p[i] == '\\' && i + 1 < n ? 2 : 1;
    }
  }
  return i < n ? i + 1 : n;
}

/* Bytes of a number as JSON writes them, or of NaN and Infinity, at p; 0 for anything else. */
static size_t number_at(const char *p, size_t n) {
  static const char *const words[] = {"NaN", "Infinity"};
  size_t i = n && p[0] == '-', digits;
  for (size_t w = 0; w < SGI_COUNT(words); w++) {
    size_t k = strlen(words[w]);
    if (n - i >= k && !memcmp(p + i, words[w], k)) return i + k;
  }
  for (digits = i; i < n && is_digit(p[i]);) i++;
  if (i == digits || (p[digits] == '0' && i > digits + 1)) return 0;
  if (i + 1 < n && p[i] == '.' && is_digit(p[i + 1]))
    for (i++; i < n && is_digit(p[i]);) i++;
  size_t e = i < n && (p[i] == 'e' || p[i] == 'E') ? i + 1 : i;
  if (e > i && e < n && (p[e] == '+' || p[e] == '-')) e++;
  if (e > i && e < n && is_digit(p[e]))
    for (i = e; i < n && is_digit(p[i]);) i++;
  return i;
}

/* In place, so that places in errors stay right. */
static void mend(char *p, size_t n, uint64_t *halves) {
  for (size_t i = 0; i < n;) {
    if (p[i] == '"') {
      i++;
      i += mend_string(p + i, n - i, halves);
      continue;
    }
    size_t word = i; /* what stands between the signs of JSON's structure */
    while (i < n && !memchr(" \t\r\n\",:{}[]", p[i], 11)) i++;
    if (i == word) {
      i++;
    } else if (number_at(p + word, i - word) == i - word) {
      p[word] = '0';
      memset(p + word + 1, ' ', i - word - 1);
    }
  }
}

json_t *sgi_json_line(const char *line, size_t n, sgi_line_mended *mended, json_error_t *e) {
  json_t *value = json_loadb(line, n, FLAGS, e);
  if (value || json_error_code(e) == json_error_out_of_memory) return value;
  sgi_bytes copy = {0};
  sgi_line_mended now = {0};
  json_error_t second;
  bool whole = sgi_utf8_valid(line, n);
  if (!whole) now.broken = sgi_utf8_broken(line, n, NULL);
  if (whole ? sgi_bytes_add(&copy, line, n) : sgi_utf8_lossy(line, n, &copy)) {
    mend(copy.data, copy.n, &now.halves);
    value = json_loadb(copy.data, copy.n, FLAGS, &second);
    if (value) {
      mended->broken += now.broken;
      mended->halves += now.halves;
    } else if (json_error_code(&second) == json_error_out_of_memory || !whole) {
      *e = second;
    }
  } else {
    json_error_t none = {.position = 0};
    *e = none;
    e->text[sizeof e->text - 1] = json_error_out_of_memory; /* where json_error_code looks */
  }
  sgi_bytes_deinit(&copy);
  return value;
}
