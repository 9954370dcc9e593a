/* eval_text.h: the rows that `eval` makes of a text, and what they leave out. */
#ifndef SGATLIN_CLI_EVAL_TEXT_H
#define SGATLIN_CLI_EVAL_TEXT_H

#include "model.h"
#include "read/eval_rows.h"

#define EVAL_ROWS_WORDS "pad|pack|windows" /* in the order of sgi_rows */

typedef sgi_eval_rows eval_text;

/* By --rows, --stride and --seq-len; without --rows documents a row (or packed, if the run has its
 * own so) where all fit one, else windows, so that a long document is counted whole. reference: no
 * windows unless asked for. batcher is new: sgi_batcher_free. */
sg_status eval_text_rows(const cli_call *c, const sg_config *config, const sgi_corpus *corpus, bool run_packs,
                         bool reference, eval_text *out, sg_error *err);
/* "windows of 64, stride 32, each token counted once with at least 32 tokens before it"; "" for
 * other rows. */
void eval_text_method(const eval_text *t, char *out, size_t size);
/* A note where something is cut. */
void eval_text_say_cut(const eval_text *t);

#endif
