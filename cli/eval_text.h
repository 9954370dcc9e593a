/* eval_text.h: how commands evaluate on a text: the options of the rows that are made of it, for
 * those that say no more of them than that (`eval` says more), and what is said meanwhile. */
#ifndef SGATLIN_CLI_EVAL_TEXT_H
#define SGATLIN_CLI_EVAL_TEXT_H

#include "cli.h"
#include "report/evaluate.h"

#define EVAL_ROWS_WORDS "pad|pack|windows" /* in the order of sg_eval_rows */

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

/* What an evaluation tells while it runs: progress, notes, warnings; it stops where the command is
 * to, and rows beyond the model's context are what --beyond-context says. */
typedef struct cli_eval_watch {
  const cli_call *call;
  const sg_model *model;
  cli_progress bar;
} cli_eval_watch;
/* The request tells w from then on, which outlives it. */
void cli_eval_watched(cli_eval_watch *w, sgi_eval_request *request);

#endif
