/* "The NOUN was ADJECTIVE" in plain text, by its words alone. */
#include <string.h>
#include <utf8proc.h>

#include "read/facts.h"
#include "text/unicode.h"

enum { WORD_BYTES = 64, PATTERN = 4 };

/* A word, lower-cased. */
typedef struct word {
  char text[WORD_BYTES];
  size_t n, letters; /* n 0: none, or too long */
} word;

/* The last four words; those before a gap that is more than white space are gone. */
typedef struct window {
  word words[PATTERN]; /* the newest last */
  size_t count;
} window;

static void push(window *w, const word *new_word) {
  if (w->count == PATTERN) {
    memmove(w->words, w->words + 1, (PATTERN - 1) * sizeof *w->words);
    w->count--;
  }
  w->words[w->count++] = *new_word;
}

/* Reads letters from text[at..n) on; returns where they end. */
static size_t read_word(const char *text, size_t at, size_t n, word *out) {
  bool fits = true;
  *out = (word){0};
  while (at < n) {
    uint32_t c;
    size_t length = sgi_utf8_next(text + at, n - at, &c);
    if (c == SGI_BROKEN || sgi_unicode_class(c) != SGI_LETTER) break;
    char bytes[4];
    size_t b = sgi_utf8_put((uint32_t)utf8proc_tolower((utf8proc_int32_t)c), bytes);
    fits = fits && out->n + b <= WORD_BYTES;
    if (fits) {
      memcpy(out->text + out->n, bytes, b);
      out->n += b;
    }
    out->letters++;
    at += length;
  }
  if (!fits) out->n = 0;
  return at;
}

/* Passes what is no letter. *joined: it was white space alone, without an empty line. */
static size_t read_gap(const char *text, size_t at, size_t n, bool *joined) {
  size_t lines = 0;
  *joined = true;
  while (at < n) {
    uint32_t c;
    size_t length = sgi_utf8_next(text + at, n - at, &c);
    int class_ = c == SGI_BROKEN ? SGI_OTHER : sgi_unicode_class(c);
    if (class_ == SGI_LETTER) break;
    if (class_ != SGI_SPACE || (c == '\n' && ++lines == 2)) *joined = false;
    at += length;
  }
  return at;
}

/* What may stand behind the adjective. */
static bool ends_clause(const char *text, size_t at, size_t n) {
  if (at == n) return true;
  uint32_t c;
  sgi_utf8_next(text + at, n - at, &c);
  return (c < 128 && c && strchr(".,;:!?\")]", (int)c)) || c == 0x201D || c == 0x2019 || c == 0x2026;
}

static bool is(const word *w, const char *text) { return w->n == strlen(text) && !memcmp(w->text, text, w->n); }

static bool matches(const window *w) {
  const word *x = w->words;
  return w->count == PATTERN && is(&x[0], "the") && x[1].n && x[1].letters > 1 && is(&x[2], "was") && x[3].n &&
         x[3].letters > 1;
}

sg_status sg_facts_mine(sg_facts *f, const char *text, size_t n, sg_error *err) {
  window w = {.count = 0};
  sg_status st = SG_OK;
  for (size_t at = 0; at < n && !st;) {
    bool joined;
    at = read_gap(text, at, n, &joined);
    if (!joined) w.count = 0;
    if (at == n) break;
    word next;
    at = read_word(text, at, n, &next);
    push(&w, &next);
    if (matches(&w) && ends_clause(text, at, n))
      st = sgi_facts_add(f, w.words[1].text, w.words[1].n, w.words[3].text, w.words[3].n, 1, err);
  }
  return st;
}
