/* eval_text.h: options of the rows that are made of a text, for commands that say no more of them
 * than that (`eval` says more). */
#ifndef SGATLIN_CLI_EVAL_TEXT_H
#define SGATLIN_CLI_EVAL_TEXT_H

#include "cli.h"

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

#endif
