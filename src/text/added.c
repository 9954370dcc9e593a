#include "text/added.h"

#include <stdlib.h>

#include "text/category.h"
#include "text/unicode.h"

bool sgi_added_put(sgi_added *s, const char *text, size_t n, int32_t id) {
  if (!sgi_room(&s->at, &s->size, s->n, sizeof *s->at)) return false;
  s->at[s->n] = (sgi_added_text){s->texts.n, n, id};
  if (!sgi_bytes_add(&s->texts, text, n)) return false;
  s->first[(unsigned char)text[0]] = true;
  s->n++;
  return true;
}

/* Order of texts; of two that begin alike the shorter comes first, of equal ones that put first. */
static int by_text(const void *a, const void *b, void *user) {
  const sgi_added *s = user;
  const sgi_added_text *x = a, *y = b;
  int order = memcmp(s->texts.data + x->begin, s->texts.data + y->begin, x->n < y->n ? x->n : y->n);
  if (order) return order;
  if (x->n != y->n) return x->n < y->n ? -1 : 1;
  return x->begin < y->begin ? -1 : x->begin > y->begin;
}

void sgi_added_sort(sgi_added *s) {
  if (s->n < 2) return;
  qsort_r(s->at, s->n, sizeof *s->at, by_text, s);
  size_t kept = 1;
  for (size_t i = 1; i < s->n; i++) {
    const sgi_added_text *a = &s->at[kept - 1], *b = &s->at[i];
    if (a->n == b->n && !memcmp(s->texts.data + a->begin, s->texts.data + b->begin, a->n)) continue;
    s->at[kept++] = *b;
  }
  s->n = kept;
}

void sgi_added_deinit(sgi_added *s) {
  sgi_free(s->at);
  sgi_bytes_deinit(&s->texts);
  *s = (sgi_added){0};
}

/* The sorted list is narrowed byte by byte. */
int32_t sgi_added_find(const sgi_added *s, const char *text, size_t n, size_t *length) {
  size_t low = 0, high = s->n;
  int32_t found = -1;
  for (size_t i = 0; i < n && low < high; i++) {
    unsigned char c = (unsigned char)text[i];
    size_t bounds[2];
    for (unsigned k = 0; k < 2; k++) { /* first in [low, high) whose byte i is at least c + k */
      size_t a = low, b = high;
      while (a < b) {
        size_t mid = (a + b) / 2;
        const sgi_added_text *x = &s->at[mid];
        if (x->n <= i || (unsigned char)s->texts.data[x->begin + i] < c + k)
          a = mid + 1;
        else
          b = mid;
      }
      bounds[k] = a;
    }
    low = bounds[0];
    high = bounds[1];
    if (low < high && s->at[low].n == i + 1) {
      found = s->at[low].id;
      *length = i + 1;
    }
  }
  return found;
}

/* ---- neighbourhood --------------------------------------------------------------------------- */

static size_t back(const char *text, size_t at, uint32_t *c) {
  size_t begin = sgi_utf8_before(text, at);
  sgi_utf8_next(text + begin, at - begin, c);
  return begin;
}

bool sgi_added_stands_alone(const char *text, size_t n, size_t begin, size_t end) {
  uint32_t c;
  if (begin > 0 && (back(text, begin, &c), sgi_is_word(c))) return false;
  return end == n || (sgi_utf8_next(text + end, n - end, &c), !sgi_is_word(c));
}

size_t sgi_space_before(const char *text, size_t least, size_t end) {
  while (end > least) {
    uint32_t c;
    size_t before = back(text, end, &c);
    if (before < least || sgi_unicode_class(c) != SGI_SPACE) break;
    end = before;
  }
  return end;
}

size_t sgi_space_behind(const char *text, size_t n, size_t begin) {
  while (begin < n) {
    uint32_t c;
    size_t length = sgi_utf8_next(text + begin, n - begin, &c);
    if (sgi_unicode_class(c) != SGI_SPACE) break;
    begin += length;
  }
  return begin;
}
