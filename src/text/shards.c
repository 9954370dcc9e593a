#include "text/shards.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "core/file.h"
#include "text/unpack.h"

enum { DIGITS = 18, NAMED = 4 };

/* A name in parts: front, number, back within the stem, then its ending. total 0: it does not
 * say. */
typedef struct shard {
  const char *name;
  size_t front, digits, back, stem; /* front: bytes before the number; back: where what is behind it begins */
  uint64_t number, total;
} shard;

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* The run of digits that ends before `end`; its begin, or end where there is none. */
static size_t run_before(const char *text, size_t end) {
  size_t at = end;
  while (at && is_digit(text[at - 1])) at--;
  return at;
}

static uint64_t value(const char *text, size_t n) {
  uint64_t v = 0;
  for (size_t i = 0; i < n; i++) v = 10 * v + (uint64_t)(text[i] - '0');
  return v;
}

/* "00003-of-00010": the number in front of what [from, end) counts. */
static bool read_total(shard *s, size_t from, size_t end) {
  if (from < 5 || (memcmp(s->name + from - 4, "-of-", 4) && memcmp(s->name + from - 4, "_of_", 4))) return false;
  size_t begin = run_before(s->name, from - 4), n = from - 4 - begin;
  if (!n || n > DIGITS) return false;
  uint64_t number = value(s->name + begin, n), total = value(s->name + from, end - from);
  if (!total || number > total) return false;
  s->front = begin, s->digits = n, s->back = from - 4;
  s->number = number, s->total = total;
  return true;
}

/* false: no number in it. */
static bool read_name(const char *name, shard *s) {
  sgi_packing packing;
  *s = (shard){.name = name};
  if (sgi_text_ending(name, &packing, &s->stem) == SGI_TEXT_NONE) return false;
  size_t end = s->stem;
  while (end && !is_digit(name[end - 1])) end--;
  size_t from = run_before(name, end);
  if (from == end || end - from > DIGITS) return false;
  if (read_total(s, from, end)) return true;
  s->front = from, s->digits = end - from, s->back = end;
  s->number = value(name + from, end - from);
  return true;
}

static int by_part(const char *a, size_t n, const char *b, size_t m) {
  int order = memcmp(a, b, n < m ? n : m);
  return order ? order : n < m ? -1 : n > m;
}

static int by_family(const shard *a, const shard *b) {
  int order = by_part(a->name, a->front, b->name, b->front);
  if (!order) order = by_part(a->name + a->back, a->stem - a->back, b->name + b->back, b->stem - b->back);
  return order ? order : a->total < b->total ? -1 : a->total > b->total;
}

static int in_order(const void *a, const void *b) {
  const shard *x = a, *y = b;
  int order = by_family(x, y);
  return order ? order : x->number < y->number ? -1 : x->number > y->number;
}

/* The name that the shard would have, like its neighbour's. */
static void name_missing(const shard *like, uint64_t number, sgi_text_notes *notes) {
  char text[SGI_NOTE_NAME + 64], shown[SGI_NOTE_NAME];
  int width = like->name[like->front] == '0' ? (int)like->digits : 1;
  snprintf(text, sizeof text, "%.*s%0*llu%.*s", (int)like->front, like->name, width, (unsigned long long)number,
           (int)(SGI_NOTE_NAME), like->name + like->front + like->digits);
  sgi_note_name(text, shown);
  size_t at = strlen(notes->missing_names), room = sizeof notes->missing_names - at;
  if (notes->missing < NAMED && strlen(shown) + 8 < room)
    snprintf(notes->missing_names + at, room, "%s%s", at ? ", " : "", shown);
  else if (at && !strstr(notes->missing_names, ", ...") && room > 6)
    strcat(notes->missing_names, ", ...");
}

/* Numbers of [from, to) that no shard of the family has. */
static void add_gap(const shard *like, uint64_t from, uint64_t to, sgi_text_notes *notes) {
  for (uint64_t k = from; k < to && k < from + NAMED + 1; k++) {
    name_missing(like, k, notes);
    notes->missing++;
  }
  if (to > from + NAMED + 1) notes->missing += to - from - NAMED - 1;
}

/* Shards of one family, n of them in order. */
static void look_at(const shard *s, size_t n, sgi_text_notes *notes) {
  size_t different = 1;
  for (size_t i = 1; i < n; i++) different += s[i].number != s[i - 1].number;
  uint64_t low = s[0].number, high = s[n - 1].number, span = high - low + 1;
  if (s[0].total) {
    low = s[0].number && high == s[0].total;
    high = s[0].total - 1 + low;
  } else if (different < 3 || span - different > different) {
    return;
  }
  uint64_t next = low;
  for (size_t i = 0; i < n; i++) {
    if (s[i].number > next) add_gap(&s[i], next, s[i].number, notes);
    next = s[i].number + 1;
  }
  if (high + 1 > next) add_gap(&s[n - 1], next, high + 1, notes);
}

sg_status sgi_shards_missing(char *const *paths, size_t n, sgi_text_notes *notes, sg_error *err) {
  size_t count = 0;
  shard *all = sgi_alloc((n + 1) * sizeof *all);
  if (!all) return sgi_fail_memory(err, n * sizeof *all, "a list of shards");
  for (size_t i = 0; i < n; i++) count += read_name(sgi_base_name(paths[i]), &all[count]);
  if (count) qsort(all, count, sizeof *all, in_order);
  for (size_t i = 0, end; i < count; i = end) {
    for (end = i + 1; end < count && !by_family(&all[i], &all[end]);) end++;
    look_at(all + i, end - i, notes);
  }
  sgi_free(all);
  return SG_OK;
}
