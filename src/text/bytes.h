/* bytes.h: a buffer of bytes that grows. */
#ifndef SGI_BYTES_H
#define SGI_BYTES_H

#include <string.h>

#include "core/arena.h"

typedef struct sgi_bytes {
  char *data;
  size_t n, size; /* used, allocated */
} sgi_bytes;

/* Room for more bytes behind n; false when memory is out (the buffer stays as it was). */
static inline bool sgi_bytes_room(sgi_bytes *b, size_t more) {
  size_t need, size;
  if (!sgi_size_add(b->n, more, &need)) return false;
  if (need <= b->size) return true;
  if (!sgi_size_add(need, need / 2 + 64, &size)) return false;
  char *data = sgi_realloc(b->data, b->n, size);
  if (!data) return false;
  b->data = data;
  b->size = size;
  return true;
}

static inline bool sgi_bytes_add(sgi_bytes *b, const void *data, size_t n) {
  if (!sgi_bytes_room(b, n)) return false;
  if (n) memcpy(b->data + b->n, data, n);
  b->n += n;
  return true;
}

static inline void sgi_bytes_deinit(sgi_bytes *b) {
  sgi_free(b->data);
  *b = (sgi_bytes){0};
}

#endif
