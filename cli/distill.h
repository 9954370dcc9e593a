/* distill.h: what the commands share that let a model learn from another (distill, quantize
 * --distill): rows of a step, and the loss. */
#ifndef SGATLIN_CLI_DISTILL_H
#define SGATLIN_CLI_DISTILL_H

#include "cli.h"

#define CLI_STEP_ROWS_OPTION \
  { \
    .name = "batch-size", .letter = 'b', .type = CLI_SIZE, .argument = "B", .value = "8", .min = 1, .max = 65536, \
    .help = "rows of a step" \
  }
#define CLI_TEACHER_LOSS_OPTIONS \
  {.name = "temperature", .type = CLI_REAL, .argument = "TAU", .value = "1", .help = "of both models' distributions"}, \
  { \
    .name = "alpha", .type = CLI_REAL, .argument = "A", .value = "1", \
    .help = "weight of the teacher's distribution; the rest is the text's own next token" \
  }

#endif
