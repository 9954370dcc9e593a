/* continuation.h: what a model writes behind a candidate until a word is whole, and the tokens that
 * follow under edits. */
#ifndef SGATLIN_CLI_CONTINUATION_H
#define SGATLIN_CLI_CONTINUATION_H

#include "predict.h"

/* tokens behind a candidate at most; candidates told at once */
enum { CLI_CONTINUED = 12, CLI_CANDIDATES = 50 };

typedef struct cli_continuation {
  int32_t ids[1 + CLI_CONTINUED]; /* the candidate, then what follows greedily */
  size_t n;
  bool whole; /* a word ends there; false: it was cut, or the context is full */
} cli_continuation;

/* Of n candidates behind the position, out (n). stop (NULL allowed) true ends with
 * SG_ERR_CANCELLED. */
sg_status cli_continue(const cli_prompt *p, size_t position, const int32_t *candidates, size_t n,
                       bool (*stop)(void *user), void *user, cli_continuation *out, sg_error *err);
/* The same of runs under edits: a run for every token. */
sg_status cli_continue_edited(const cli_prompt *p, size_t position, const sg_edit *edits, size_t n_edits,
                              const int32_t *candidates, size_t n, bool (*stop)(void *user), void *user,
                              cli_continuation *out, sg_error *err);

/* The n most probable, likeliest first; their number. */
size_t cli_best(const cli_prediction *p, size_t n, int32_t *out);

/* Continuations of the n likeliest into p->words; edits (n_edits) as of the run that p is of. With
 * edits that take from another run there are none, as it ends with its prompt. */
sg_status cli_predict_words(cli_prediction *p, const cli_prompt *prompt, size_t position, const sg_edit *edits,
                            size_t n_edits, size_t n, bool (*stop)(void *user), void *user, sg_error *err);
/* Whether a signal asked to stop, for the above. */
bool cli_stopped(void *user);
/* What follows the candidate, for tables; "..." at the end of a word that was cut. */
cli_shown cli_continuation_shown(const cli_prompt *p, const cli_continuation *c);

/* Put into a prediction's object: "continuation", the text from the candidate on, and
 * "continuation_ids", those behind it. */
void cli_continuation_json(const cli_prompt *p, const cli_continuation *c, json_t *into);

#endif
