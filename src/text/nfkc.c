/* nfkc.c: NFKC and NFC of Unicode 9.0. Text that it cannot change passes by; the rest is taken in
 * stretches of "active" code points with the one before them, if that may join. Characters younger
 * than 9.0 are never active, and stay as they are. */
#include <utf8proc.h>

#include "text/unicode.h"
#include "text/unicode_tables.h"

static bool is_active(uint32_t c) { return sgi_range_of(*active_ranges, SGI_COUNT(active_ranges), 2, c); }
static bool is_base(uint32_t c) { return sgi_range_of(*base_ranges, SGI_COUNT(base_ranges), 2, c); }

static bool room(sgi_points *w, size_t used, size_t need) {
  size_t size, old, bytes;
  if (need <= w->size) return true;
  if (!sgi_size_add(need, need / 2 + 64, &size) || !sgi_size_mul(size, sizeof *w->at, &bytes)) return false;
  old = used * sizeof *w->at;
  int32_t *at = sgi_realloc(w->at, old, bytes);
  if (!at) return false;
  w->at = at;
  w->size = size;
  return true;
}

static unsigned mark_class(int32_t c) { return (unsigned)utf8proc_get_property(c)->combining_class; }

/* Stable sort of marks[0..n) by combining class, through spare[0..n): counting, since hostile text
 * has long runs. */
static void sort_marks(int32_t *marks, size_t n, int32_t *spare) {
  size_t begin[257] = {0};
  for (size_t i = 0; i < n; i++) begin[mark_class(marks[i]) % 256 + 1]++;
  for (size_t i = 1; i < 257; i++) begin[i] += begin[i - 1];
  for (size_t i = 0; i < n; i++) spare[begin[mark_class(marks[i]) % 256]++] = marks[i];
  memcpy(marks, spare, n * sizeof *marks);
}

/* Canonical order of at[0..n); at has room for 2n. */
static void order(int32_t *at, size_t n) {
  for (size_t i = 0, end; i < n; i = end) {
    end = i + 1;
    if (!mark_class(at[i])) continue;
    bool sorted = true;
    for (; end < n && mark_class(at[end]); end++) sorted &= mark_class(at[end - 1]) <= mark_class(at[end]);
    if (!sorted) sort_marks(at + i, end - i, at + n);
  }
}

/* Appends the form of text[0..n), all of it in one stretch. What is active under NFKC includes all
 * that is under NFC.
 */
static bool stretch(sgi_form form, const char *text, size_t n, sgi_points *w, sgi_bytes *out) {
  enum { LONGEST = 18 }; /* U+FDFA */
  const utf8proc_option_t options =
      UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | (form == SGI_NFKC ? UTF8PROC_COMPAT : (utf8proc_option_t)0);
  size_t m = 0;
  for (size_t i = 0; i < n;) {
    uint32_t c;
    int class = 0;
    i += sgi_utf8_next(text + i, n - i, &c);
    if (!room(w, m, m + LONGEST)) return false;
    utf8proc_ssize_t k = utf8proc_decompose_char((int32_t)c, w->at + m, LONGEST, options, &class);
    if (k < 0 || k > LONGEST) w->at[m] = (int32_t)c, k = 1;
    m += (size_t)k;
  }
  if (!room(w, m, 2 * m)) return false;
  order(w->at, m);
  utf8proc_ssize_t composed = utf8proc_normalize_utf32(w->at, (utf8proc_ssize_t)m, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
  if (composed >= 0) m = (size_t)composed;
  if (!sgi_bytes_room(out, 4 * m)) return false;
  for (size_t i = 0; i < m; i++) out->n += sgi_utf8_put((uint32_t)w->at[i], out->data + out->n);
  return true;
}

bool sgi_normalize(sgi_form form, const char *text, size_t n, sgi_points *work, sgi_bytes *out) {
  if (form == SGI_AS_IT_IS) return sgi_bytes_add(out, text, n);
  size_t kept = 0, i = 0;
  for (;;) {
    uint32_t c;
    i += sgi_ascii_run(text + i, n - i);
    if (i == n) return sgi_bytes_add(out, text + kept, n - kept);
    size_t length = sgi_utf8_next(text + i, n - i, &c);
    if (!is_active(c)) {
      i += length;
      continue;
    }
    size_t begin = i;
    if (i > kept) {
      uint32_t before;
      size_t back = sgi_utf8_before(text, i);
      sgi_utf8_next(text + back, i - back, &before);
      if (is_base(before)) begin = back;
    }
    if (!sgi_bytes_add(out, text + kept, begin - kept)) return false;
    do {
      i += length;
      if (i < n) length = sgi_utf8_next(text + i, n - i, &c);
    } while (i < n && is_active(c));
    if (!stretch(form, text + begin, i - begin, work, out)) return false;
    kept = i;
  }
}
