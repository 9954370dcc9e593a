/* eval_text.h: the rows that `eval` makes of a text, and what they leave out. */
#ifndef SGATLIN_CLI_EVAL_TEXT_H
#define SGATLIN_CLI_EVAL_TEXT_H

#include "data/data.h"
#include "model.h"

#define EVAL_ROWS_WORDS "pad|pack|windows" /* in the order of sgi_rows */

typedef struct eval_text {
  sgi_rows rows;
  size_t seq_len, T, stride;    /* T: seq_len, or the longest document where that is shorter */
  uint64_t n_rows, tokens, cut; /* cut: tokens of the text that no row counts */
  sgi_batcher *batcher;
} eval_text;

/* By --rows, --stride and --seq-len; without --rows documents a row (or packed, if the run has its
 * own so) where all fit one, else windows, so that a long document is counted whole. reference: no
 * windows unless asked for. batcher is new: sgi_batcher_free. */
sg_status eval_text_rows(const cli_call *c, const sg_config *config, const sgi_corpus *corpus, bool run_packs,
                         bool reference, eval_text *out, sg_error *err);
/* Windows: at most max rows, whole documents; of other rows max. */
uint64_t eval_text_limit(const eval_text *t, uint64_t max);
/* "windows of 64, stride 32, each token counted once with at least 32 tokens before it"; "" for
 * other rows. */
void eval_text_method(const eval_text *t, char *out, size_t size);
/* A note where something is cut. */
void eval_text_say_cut(const eval_text *t);

#endif
