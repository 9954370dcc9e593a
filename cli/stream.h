/* stream.h: text that comes in pieces of bytes and is shown as it comes: whole UTF-8 characters,
 * and nothing of a stop string. */
#ifndef SGATLIN_CLI_STREAM_H
#define SGATLIN_CLI_STREAM_H

#include "cli.h"

typedef struct cli_stream {
  const char *const *stops; /* (n_stops), borrowed; none is empty */
  size_t n_stops;
  char *text; /* all so far, cut before a stop string */
  size_t n, size, shown;
  bool stopped; /* a stop string was met */
} cli_stream;

sg_status cli_stream_add(cli_stream *s, const char *bytes, size_t n, sg_error *err);
/* Prints what can be shown: all of it at the end. Broken UTF-8 as U+FFFD. */
sg_status cli_stream_show(cli_stream *s, bool end, sg_error *err);
/* Bytes before end that a character begins with whose rest is still to come. */
size_t cli_stream_unfinished(const char *text, size_t end);
void cli_stream_free(cli_stream *s);

#endif
