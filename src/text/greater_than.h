/* greater_than.h: sentences about spans of years, in which the second year is above the first
 * (docs/method-comparison.md, greater-than): text to train a model on whose one skill is known. */
#ifndef SGI_GREATER_THAN_H
#define SGI_GREATER_THAN_H

#include "core/base.h"

enum {
  SGI_SPAN_TEMPLATES = 12,
  SGI_SPAN_FIRST_CENTURY = 11, /* years 11YY to 19YY */
  SGI_SPAN_LAST_CENTURY = 19,
  SGI_SPAN_FIRST_YEAR = 2, /* YY of the year that the prompt names */
  SGI_SPAN_LAST_YEAR = 98,
  SGI_SPAN_TEXT = 160,
  SGI_SPAN_MAX = 5000000
};

extern const char *const sgi_span_files[]; /* "train.txt", ..., NULL */

size_t sgi_span_events(size_t template);
/* The sentence up to its last two digits, which are above `year`: "The war lasted from the year
 * 1732 to the year 17". */
void sgi_span_prompt(size_t template, size_t event, size_t century, size_t year, char out[SGI_SPAN_TEXT]);

/* train.txt and valid.txt (one sentence a document; a beginning stands in one of them alone, in
 * valid.txt about one of 20), tokenizer.json, which keeps digits in pairs, and corpus.json, last. A
 * directory that is not there is made. Refused where one of the two texts would be empty, with the
 * fewest sentences that fill both. */
sg_status sgi_span_write(const char *directory, size_t sentences, uint64_t seed, bool (*go_on)(void *user), void *user,
                         sg_error *err);

#endif
