#include "stream.h"

#include <string.h>

sg_status sgi_stream_add(sgi_stream *s, const char *bytes, size_t n, sg_error *err) {
  if (s->stopped || !n) return SG_OK;
  if (s->size - s->n < n) {
    size_t size;
    char *text = sgi_size_add(2 * s->size, n + 256, &size) ? sgi_realloc(s->text, s->size, size) : NULL;
    if (!text) return sgi_fail_memory(err, 2 * s->size + n, "generated text");
    s->text = text;
    s->size = size;
  }
  memcpy(s->text + s->n, bytes, n);
  size_t old = s->n, end = s->n + n;
  s->n = end;
  for (size_t i = 0; i < s->n_stops; i++) {
    size_t length = strlen(s->stops[i]), from = old + 1 > length ? old + 1 - length : 0;
    const char *at = memmem(s->text + from, end - from, s->stops[i], length);
    if (at && (size_t)(at - s->text) < s->n) s->n = (size_t)(at - s->text);
    s->stopped |= at != NULL;
  }
  return SG_OK;
}

/* Bytes at the end that a stop string may begin with. */
static size_t begun(const sgi_stream *s) {
  size_t most = 0;
  for (size_t i = 0; i < s->n_stops; i++) {
    size_t k = strlen(s->stops[i]) - 1;
    if (k > s->n) k = s->n;
    while (k > most && memcmp(s->text + s->n - k, s->stops[i], k)) k--;
    if (k > most) most = k;
  }
  return most;
}

size_t sgi_stream_unfinished(const char *text, size_t end) {
  for (size_t k = 1; k < 4 && k <= end; k++) {
    unsigned char c = (unsigned char)text[end - k];
    if (c < 0x80) return 0;
    if (c >= 0xc0) return k < (c >= 0xf0 ? 4u : c >= 0xe0 ? 3u : 2u) ? k : 0;
  }
  return 0;
}

size_t sgi_stream_ready(const sgi_stream *s, bool end) {
  size_t to = s->n;
  if (!end && !s->stopped) {
    to -= begun(s);
    to -= sgi_stream_unfinished(s->text, to);
  }
  return to;
}

void sgi_stream_free(sgi_stream *s) { sgi_free(s->text); }
