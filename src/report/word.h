/* word.h: a target that may be a word or a phrase: several tokens one after the other. */
#ifndef SGI_REPORT_WORD_H
#define SGI_REPORT_WORD_H

#include "prompt.h"

typedef struct sgi_word {
  int32_t *ids; /* (n) */
  size_t n;
} sgi_word;

/* By text or number ("id:5", "id:5,9,12"). A text that is one token, or is one with a space in
 * front, is that token; of others the likelier spelling behind the position counts, as written or
 * with a space in front. sgi_word_free in any case. */
sg_status sgi_word_read(const sgi_prompt *p, const char *text, ptrdiff_t position, sgi_word *out, sg_error *err);
/* The most probable token behind the position. */
sg_status sgi_word_likeliest(const sgi_prompt *p, ptrdiff_t position, sgi_word *out, sg_error *err);
void sgi_word_free(sgi_word *w);

/* The prompt up to the position, and behind it the word's first n tokens. */
sg_status sgi_word_extend(sgi_prompt *p, size_t position, const sgi_word *w, size_t n, sg_error *err);

/* Targets of a graph: tokens, each with where it is read. One of them may be a word of several
 * tokens, behind which the prompt then ends: p holds all of it but the last. */
typedef struct sgi_targets {
  int32_t *ids;
  size_t *positions;
  size_t n;
  size_t position; /* that was asked for */
} sgi_targets;
sg_status sgi_targets_read(sgi_prompt *p, const char *const *texts, size_t n, ptrdiff_t position, sgi_targets *out,
                           sg_error *err);
void sgi_targets_free(sgi_targets *t);

/* A word's logits added up, its log probability and probability in a run of a prompt that holds all
 * of it but the last token behind the position. */
typedef struct sgi_measure {
  double logit, log_probability, probability;
} sgi_measure;
sg_status sgi_word_measure(const sgi_prompt *p, const sg_run *run, size_t position, const sgi_word *w, sgi_measure *out,
                           sg_error *err);

/* Text of all its tokens, UTF-8. New: sgi_free; NULL when memory is out. */
char *sgi_word_text(const sgi_prompt *p, const int32_t *ids, size_t n);
/* As JSON: a token that is a part of a character is not broken by those behind it. */
json_t *sgi_word_text_json(const sgi_prompt *p, const int32_t *ids, size_t n);
/* The same in quotes, for tables. */
sgi_shown sgi_word_shown(const sgi_prompt *p, const int32_t *ids, size_t n);
/* {"text", "ids", "log_probability", "probability"}. */
json_t *sgi_word_json(const sgi_prompt *p, const int32_t *ids, size_t n, double log_probability);

#endif
