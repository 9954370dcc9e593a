/* continuation.h: what a model writes behind a candidate until a word is whole, and the tokens that
 * follow under edits. */
#ifndef SGI_REPORT_CONTINUATION_H
#define SGI_REPORT_CONTINUATION_H

#include "predict.h"

/* tokens behind a candidate at most; candidates told at once */
enum { SGI_CONTINUED = 12, SGI_CANDIDATES = 50 };

typedef struct sgi_continuation {
  int32_t ids[1 + SGI_CONTINUED]; /* the candidate, then what follows greedily */
  size_t n;
  bool whole; /* a word ends there; false: it was cut, or the context is full */
} sgi_continuation;

/* Of n candidates behind the position, out (n). stop (NULL allowed) true ends with
 * SG_ERR_CANCELLED. */
sg_status sgi_continue(const sgi_prompt *p, size_t position, const int32_t *candidates, size_t n,
                       bool (*stop)(void *user), void *user, sgi_continuation *out, sg_error *err);
/* The same of runs under edits: a run for every token. */
sg_status sgi_continue_edited(const sgi_prompt *p, size_t position, const sg_edit *edits, size_t n_edits,
                              const int32_t *candidates, size_t n, bool (*stop)(void *user), void *user,
                              sgi_continuation *out, sg_error *err);

/* The n most probable, likeliest first; their number. */
size_t sgi_best(const sgi_prediction *p, size_t n, int32_t *out);

/* Continuations of the n likeliest into p->words; edits (n_edits) as of the run that p is of. With
 * edits that take from another run there are none, as it ends with its prompt. */
sg_status sgi_predict_words(sgi_prediction *p, const sgi_prompt *prompt, size_t position, const sg_edit *edits,
                            size_t n_edits, size_t n, bool (*stop)(void *user), void *user, sg_error *err);
/* What follows the candidate, for tables; "..." at the end of a word that was cut. */
sgi_shown sgi_continuation_shown(const sgi_prompt *p, const sgi_continuation *c);

/* Put into a prediction's object: "continuation", the text from the candidate on, and
 * "continuation_ids", those behind it. */
void sgi_continuation_json(const sgi_prompt *p, const sgi_continuation *c, json_t *into);

#endif
