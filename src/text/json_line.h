/* json_line.h: one line of JSON as other programs write it: half a surrogate pair, bytes that are
 * no UTF-8 and numbers beyond what can be held (or Python's NaN and Infinity) are mended instead of
 * refusing a corpus of millions of lines for one of them. */
#ifndef SGI_JSON_LINE_H
#define SGI_JSON_LINE_H

#include "core/json.h"

typedef struct sgi_line_mended {
  uint64_t broken; /* bytes that are no UTF-8: each part became U+FFFD */
  uint64_t halves; /* halves of surrogate pairs: each became U+FFFD */
} sgi_line_mended;

/* The value of a line, duplicates of keys refused, NUL allowed in strings. A number that cannot be
 * held becomes 0: numbers are not what a text is read for. New reference; NULL with e filled, as by
 * json_loadb. *mended is added to where the line loads. */
json_t *sgi_json_line(const char *line, size_t n, sgi_line_mended *mended, json_error_t *e);

#endif
