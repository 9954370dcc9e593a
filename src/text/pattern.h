/* pattern.h: the regular expressions of a tokenizer.json's Split. The file's syntax is Oniguruma's
 * with Ruby's rules; they are matched by PCRE2. What the two take alike passes, what they write
 * differently is translated, everything else is refused by name. */
#ifndef SGI_PATTERN_H
#define SGI_PATTERN_H

#include "text/bytes.h"

typedef struct sgi_pattern sgi_pattern;

/* text (n bytes of UTF-8): an expression, or with literal true the characters themselves. where
 * names it in errors. New: sgi_pattern_free. */
sg_status sgi_pattern_create(const char *text, size_t n, bool literal, const char *where, sgi_pattern **out,
                             sg_error *err);
void sgi_pattern_free(sgi_pattern *p); /* NULL allowed */

/* What one thread matches with. steps: what matching may still cost; a search that would take more
 * fails. */
typedef struct sgi_matcher {
  void *context, *data; /* of PCRE2 */
  size_t steps;
  size_t end, empty_at; /* of the last match; where an empty one would be the last one's end again */
} sgi_matcher;
bool sgi_matcher_init(sgi_matcher *m); /* false: memory is out */
void sgi_matcher_deinit(sgi_matcher *m);

typedef enum sgi_found { SGI_FOUND, SGI_FOUND_NONE, SGI_FOUND_TOO_HARD, SGI_FOUND_NO_MEMORY } sgi_found;

/* The matches of text (n bytes of valid UTF-8), from left to right as Hugging Face's library finds
 * them: start, then next until something else than SGI_FOUND. */
void sgi_pattern_start(sgi_matcher *m);
sgi_found sgi_pattern_next(const sgi_pattern *p, sgi_matcher *m, const char *text, size_t n, size_t *begin,
                           size_t *end);

/* pattern_translate.c: text as PCRE2 writes it, appended to out. where names it in errors. */
sg_status sgi_pattern_translate(const char *text, size_t n, const char *where, sgi_bytes *out, sg_error *err);

#endif
