/* npmi.h: how much more often two tokens stand near each other in a text than chance has it
 * (docs/method-comparison.md, readability).
 *
 * A pair is two positions of a document at most `window` apart. With c pairs of tokens a and b of N
 * in all, and e = n_a n_b / 2N expected of their shares n of the 2N ends:
 *
 *   npmi = log((c + 0.1) / (e + 0.1)) / -log((c + 0.1) / (N + 0.1))
 *
 * The same 0.1 stands beside what is seen and beside what is expected: with the first alone two
 * rare tokens that never meet would be the most alike of all. */
#ifndef SGI_NPMI_H
#define SGI_NPMI_H

#include "core/base.h"

typedef struct sgi_npmi sgi_npmi;

/* Counts documents until max_tokens (0: all) are read. go_on false cancels (NULL allowed). A table
 * beyond max_bytes is SG_ERR_MEMORY. New: sgi_npmi_free. */
typedef struct sgi_npmi_request {
  size_t documents;
  const int32_t *(*document)(const void *source, size_t i, size_t *n); /* borrowed: sgi_corpus_document */
  const void *source;
  size_t vocab, window;
  uint64_t max_tokens;
  size_t max_bytes;
  bool (*go_on)(void *user);
  void *user;
} sgi_npmi_request;
sg_status sgi_npmi_make(const sgi_npmi_request *r, sgi_npmi **out, sg_error *err);
void sgi_npmi_free(sgi_npmi *t);

/* Of two different tokens. */
double sgi_npmi_of(const sgi_npmi *t, int32_t a, int32_t b);
uint64_t sgi_npmi_pairs(const sgi_npmi *t);               /* N */
uint64_t sgi_npmi_ends(const sgi_npmi *t, int32_t token); /* n */
uint64_t sgi_npmi_count(const sgi_npmi *t, int32_t a, int32_t b);

#endif
