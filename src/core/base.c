#include "core/base.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core/json.h"

const char *sg_status_text(sg_status code) {
  switch (code) {
#define SGI_CASE(name, value, text) \
  case name: return text;
    SG_STATUS_LIST(SGI_CASE)
#undef SGI_CASE
  }
  return "unknown status";
}

/* A text cut by the buffer's end must not end inside a UTF-8 character. */
static void trim_utf8(char *text) {
  size_t n = strlen(text);
  if (n + 1 < SG_ERROR_TEXT) return;
  size_t k = n;
  while (k > 0 && ((unsigned char)text[k - 1] & 0xC0) == 0x80) k--;
  if (k > 0 && ((unsigned char)text[k - 1] & 0x80)) text[k - 1] = '\0';
}

sg_status sgi_fail(sg_error *err, sg_status code, const char *format, ...) {
  if (code == SG_ERR_MEMORY) sgi_json_told();
  if (!err) return code;
  err->code = code;
  va_list ap;
  va_start(ap, format);
  vsnprintf(err->text, sizeof err->text, format, ap);
  va_end(ap);
  trim_utf8(err->text);
  return code;
}

sg_status sgi_need(const void *given, const char *what, sg_error *err) {
  return given ? SG_OK : sgi_fail(err, SG_ERR_ARG, "%s is NULL: it has to be given", what);
}

sg_status sgi_fail_memory(sg_error *err, size_t bytes, const char *what) {
  return sgi_fail(err, SG_ERR_MEMORY, "could not get %zu bytes of memory for %s", bytes, what);
}

sg_status sgi_error_prefix(sg_error *err, sg_status code, const char *format, ...) {
  if (!err) return code;
  char old[SG_ERROR_TEXT], head[SG_ERROR_TEXT];
  memcpy(old, err->text, sizeof old);
  va_list ap;
  va_start(ap, format);
  vsnprintf(head, sizeof head, format, ap);
  va_end(ap);
  size_t n = strlen(head), room = sizeof err->text - 1;
  memcpy(err->text, head, n);
  if (n + 2 < room) {
    memcpy(err->text + n, ": ", 2);
    n += 2;
    size_t rest = strlen(old);
    if (rest > room - n) rest = room - n;
    memcpy(err->text + n, old, rest);
    n += rest;
  }
  err->text[n] = '\0';
  trim_utf8(err->text);
  err->code = code;
  return code;
}

double sgi_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double sgi_cpu_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Levenshtein distance, words longer than the table are never near. */
static size_t distance(const char *a, const char *b) {
  enum { MAX = 63 };
  size_t n = strlen(a), m = strlen(b), row[MAX + 1];
  if (n > MAX || m > MAX) return SIZE_MAX;
  for (size_t j = 0; j <= m; j++) row[j] = j;
  for (size_t i = 1; i <= n; i++) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= m; j++) {
      size_t best = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      if (row[j] + 1 < best) best = row[j] + 1;
      if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
      row[j] = best;
    }
  }
  return row[m];
}

const char *sgi_nearest(const char *name, const char *const *names, size_t count) {
  const char *best = NULL;
  size_t least = strlen(name) / 2 + 1;
  for (size_t i = 0; i < count; i++) {
    size_t d = distance(name, names[i]);
    if (d < least) {
      least = d;
      best = names[i];
    }
  }
  return best;
}

bool sgi_match(const char *p, const char *s) {
  const char *star = NULL, *mark = NULL;
  while (*s) {
    if (*p == '*') {
      star = p++;
      mark = s;
    } else if (*p == '?' || *p == *s) {
      p++;
      s++;
    } else if (star) {
      p = star + 1;
      s = ++mark;
    } else {
      return false;
    }
  }
  while (*p == '*') p++;
  return *p == '\0';
}
