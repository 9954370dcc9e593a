/* stream.h: generated text to standard output as it comes (report/stream.h). */
#ifndef SGATLIN_CLI_STREAM_H
#define SGATLIN_CLI_STREAM_H

#include "cli.h"
#include "report/stream.h"

/* Prints what can be shown: all of it at the end. Broken UTF-8 as U+FFFD. */
sg_status cli_stream_show(sgi_stream *s, bool end, sg_error *err);

#endif
