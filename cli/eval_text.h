/* eval_text.h: the rows that `eval` makes of a text, and what they leave out. */
#ifndef SGATLIN_CLI_EVAL_TEXT_H
#define SGATLIN_CLI_EVAL_TEXT_H

#include "model.h"
#include "read/eval_rows.h"

#define EVAL_ROWS_WORDS "pad|pack|windows" /* in the order of sgi_rows */

/* What eval_text_rows reads, for commands that say no more of it than that (eval says more). */
#define EVAL_TEXT_OPTIONS \
  {.name = "rows", \
   .type = CLI_CHOICE, \
   .argument = EVAL_ROWS_WORDS, \
   .value_text = "by the text", \
   .help = "how documents lie in rows"}, \
      {.name = "stride", \
       .type = CLI_SIZE, \
       .argument = "N", \
       .min = 1, \
       .value_text = "half a window", \
       .help = "of windows: tokens between their begins"}, \
  { \
    .name = "seq-len", .type = CLI_SIZE, .argument = "T", .min = 1, .value_text = "the model's", \
    .help = "tokens of a row" \
  }

typedef sgi_eval_rows eval_text;

/* By --rows, --stride and --seq-len; without --rows documents a row (or packed, if the run has its
 * own so) where all fit one, else windows, so that a long document is counted whole. reference: no
 * windows unless asked for. batcher is new: sgi_batcher_free. */
sg_status eval_text_rows(const cli_call *c, const sg_config *config, const sgi_corpus *corpus, bool run_packs,
                         bool reference, eval_text *out, sg_error *err);
/* A note where something is cut. */
void eval_text_say_cut(const eval_text *t);

#endif
