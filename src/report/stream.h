/* stream.h: text that comes in pieces of bytes and is shown as it comes: whole UTF-8 characters,
 * and nothing of a stop string. */
#ifndef SGI_REPORT_STREAM_H
#define SGI_REPORT_STREAM_H

#include "core/arena.h"
#include "core/base.h"

typedef struct sgi_stream {
  const char *const *stops; /* (n_stops), borrowed; none is empty */
  size_t n_stops;
  char *text; /* all so far, cut before a stop string */
  size_t n, size, shown;
  bool stopped; /* a stop string was met */
} sgi_stream;

sg_status sgi_stream_add(sgi_stream *s, const char *bytes, size_t n, sg_error *err);
/* The text up to here can be shown: all of it at the end. */
size_t sgi_stream_ready(const sgi_stream *s, bool end);
/* Bytes before end that a character begins with whose rest is still to come. */
size_t sgi_stream_unfinished(const char *text, size_t end);
void sgi_stream_free(sgi_stream *s);

#endif
