/* pattern.c: matching with PCRE2. An expression may try a place in ever new ways, and may read far
 * for nothing at every place; a text has a stock of steps (m->steps) against both. A search looks
 * at a window and allows each start of a match few steps, which costs nothing. A start that needs
 * more is looked at alone, with four times the window or the steps, out of the stock. So text that
 * is long because it repeats itself passes, and an expression that would not end is an error and no
 * hang. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "text/pattern.h"

#include <pcre2.h>
#include <stdio.h>

#include "text/unicode.h"

enum { MAX_PATTERN = 1 << 14, WINDOW = 1024, FREE_STEPS = 1000, HEAP_KIB = 64 << 10 };

struct sgi_pattern {
  pcre2_code *code;
};

static void *take(size_t n, void *user) {
  (void)user;
  return sgi_alloc(n);
}

static void give(void *p, void *user) {
  (void)user;
  sgi_free(p);
}

static sg_status compile(const sgi_bytes *text, const char *where, pcre2_code **out, sg_error *err) {
  int number;
  PCRE2_SIZE at;
  unsigned char why[120] = "";
  pcre2_general_context *g = pcre2_general_context_create(take, give, NULL);
  pcre2_compile_context *c = g ? pcre2_compile_context_create(g) : NULL;
  sg_status st = SG_OK;
  if (!c) st = sgi_fail_memory(err, text->n, "a pattern");
  if (!st) {
    pcre2_set_newline(c, PCRE2_NEWLINE_LF);
    *out = pcre2_compile((PCRE2_SPTR)text->data, text->n,
                         PCRE2_UTF | PCRE2_UCP | PCRE2_NO_AUTO_CAPTURE | PCRE2_NEVER_BACKSLASH_C, &number, &at, c);
    if (!*out && number == PCRE2_ERROR_HEAP_FAILED) st = sgi_fail_memory(err, text->n, "a pattern");
    if (!*out && !st) {
      pcre2_get_error_message(number, why, sizeof why);
      st = sgi_fail(err, SG_ERR_FORMAT, "%s: %s", where, (const char *)why);
    }
  }
  pcre2_compile_context_free(c);
  pcre2_general_context_free(g);
  return st;
}

/* The characters of text, each written so that it stands for itself. */
static bool quote(const char *text, size_t n, sgi_bytes *out) {
  for (size_t i = 0; i < n;) {
    char one[16];
    uint32_t c;
    i += sgi_utf8_next(text + i, n - i, &c);
    if (c == SGI_BROKEN) return false;
    int length = snprintf(one, sizeof one, "\\x{%X}", c);
    if (!sgi_bytes_add(out, one, (size_t)length)) return false;
  }
  return true;
}

sg_status sgi_pattern_create(const char *text, size_t n, bool literal, const char *where, sgi_pattern **out,
                             sg_error *err) {
  sgi_bytes translated = {0};
  *out = NULL;
  if (n > MAX_PATTERN) return sgi_fail(err, SG_ERR_UNSUPPORTED, "%s: more than %d bytes", where, MAX_PATTERN);
  sgi_pattern *p = sgi_alloc(sizeof *p);
  sg_status st = p ? SG_OK : sgi_fail_memory(err, sizeof *p, "a pattern");
  if (!st && literal && !quote(text, n, &translated)) st = sgi_fail_memory(err, n, "a pattern");
  if (!st && !literal) st = sgi_pattern_translate(text, n, where, &translated, err);
  if (!st && !sgi_bytes_room(&translated, 1)) st = sgi_fail_memory(err, n, "a pattern");
  if (!st) st = compile(&translated, where, &p->code, err);
  sgi_bytes_deinit(&translated);
  if (st)
    sgi_pattern_free(p);
  else
    *out = p;
  return st;
}

void sgi_pattern_free(sgi_pattern *p) {
  if (p) pcre2_code_free(p->code);
  sgi_free(p);
}

/* ---- matching -------------------------------------------------------------------------------- */

bool sgi_matcher_init(sgi_matcher *m) {
  pcre2_general_context *g = pcre2_general_context_create(take, give, NULL);
  pcre2_match_context *c = g ? pcre2_match_context_create(g) : NULL;
  *m = (sgi_matcher){.context = c, .data = g ? pcre2_match_data_create(1, g) : NULL};
  pcre2_general_context_free(g);
  if (c) pcre2_set_heap_limit(c, HEAP_KIB);
  if (c && m->data) return true;
  sgi_matcher_deinit(m);
  return false;
}

void sgi_matcher_deinit(sgi_matcher *m) {
  pcre2_match_context_free(m->context);
  pcre2_match_data_free(m->data);
  *m = (sgi_matcher){0};
}

static int attempt(const sgi_pattern *p, sgi_matcher *m, const char *text, size_t n, size_t at, uint32_t options,
                   uint32_t steps) {
  pcre2_set_match_limit(m->context, steps);
  pcre2_set_depth_limit(m->context, steps);
  int rc = pcre2_match(p->code, (PCRE2_SPTR)text, n, at, options | PCRE2_NO_UTF_CHECK, m->data, m->context);
  return rc == PCRE2_ERROR_DEPTHLIMIT ? PCRE2_ERROR_MATCHLIMIT : rc;
}

static size_t character(const char *text, size_t n, size_t at) {
  uint32_t c;
  return at < n ? sgi_utf8_next(text + at, n - at, &c) : 1;
}

static bool charge(sgi_matcher *m, size_t steps) {
  if (m->steps < steps) return false;
  m->steps -= steps;
  return true;
}

/* A search for the first match from `at` on. */
typedef struct quest {
  size_t at, window;
  size_t alone; /* starts before this are looked at one by one */
  uint32_t steps;
} quest;

static void go_on(quest *q, size_t at) {
  q->at = at;
  q->window = WINDOW;
  q->steps = FREE_STEPS;
}

static size_t window_end(const char *text, size_t n, const quest *q) {
  if (q->window >= n - q->at) return n;
  size_t end = q->at + q->window;
  while (end < n && ((unsigned char)text[end] & 0xC0) == 0x80) end++;
  return end;
}

/* Takes what PCRE2 said of the window that ends at stop; true: that is the answer. */
static bool settle(quest *q, sgi_matcher *m, const char *text, size_t n, size_t stop, int *rc) {
  const PCRE2_SIZE *found = pcre2_get_ovector_pointer(m->data);
  bool alone = q->at < q->alone;
  switch (*rc) {
    case PCRE2_ERROR_NOMATCH:
      if (alone ? q->at >= n : stop == n) return true;
      go_on(q, alone ? q->at + character(text, n, q->at) : stop);
      return false;
    case PCRE2_ERROR_PARTIAL: /* a start that reads past the window */
      if (found[0] > q->at) return go_on(q, found[0]), false;
      if (q->alone <= q->at) q->alone = q->at + 1;
      q->window *= 4;
      return !charge(m, q->window);
    case PCRE2_ERROR_MATCHLIMIT: /* a start that takes more steps; which is not said */
      if (!alone) return q->alone = stop + 1, false;
      q->steps *= 4;
      return q->steps > UINT32_MAX / 4 || !charge(m, q->steps);
    default: break;
  }
  if (*rc < 0 || found[0] < stop || stop == n) return true;
  go_on(q, stop); /* an empty match where the window ends: what comes behind was not seen */
  return false;
}

static int search(const sgi_pattern *p, sgi_matcher *m, const char *text, size_t n, size_t at) {
  quest q = {.alone = 0};
  go_on(&q, at);
  for (;;) {
    size_t stop = window_end(text, n, &q);
    uint32_t options = (stop < n ? PCRE2_PARTIAL_HARD : 0u) | (q.at < q.alone ? PCRE2_ANCHORED : 0u);
    int rc = attempt(p, m, text, stop, q.at, options, q.steps);
    if (settle(&q, m, text, n, stop, &rc)) return rc;
  }
}

void sgi_pattern_start(sgi_matcher *m) {
  m->end = 0;
  m->empty_at = SIZE_MAX;
}

/* An empty match just behind the last match is passed by, as Rust's and Oniguruma's iterators
 * do. */
sgi_found sgi_pattern_next(const sgi_pattern *p, sgi_matcher *m, const char *text, size_t n, size_t *begin,
                           size_t *end) {
  while (m->end <= n) {
    int rc = search(p, m, text, n, m->end);
    if (rc == PCRE2_ERROR_NOMATCH) return SGI_FOUND_NONE;
    if (rc == PCRE2_ERROR_NOMEMORY) return SGI_FOUND_NO_MEMORY;
    if (rc < 0) return SGI_FOUND_TOO_HARD;
    const PCRE2_SIZE *at = pcre2_get_ovector_pointer(m->data);
    *begin = at[0];
    *end = at[1];
    if (*begin == *end && *end == m->empty_at) {
      m->end += character(text, n, m->end);
      continue;
    }
    m->end = m->empty_at = *end;
    return SGI_FOUND;
  }
  return SGI_FOUND_NONE;
}
