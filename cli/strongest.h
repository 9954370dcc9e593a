/* strongest.h: the neuron that a command takes where none is named: that of the largest total
 * effect on the prediction. */
#ifndef SGATLIN_CLI_STRONGEST_H
#define SGATLIN_CLI_STRONGEST_H

#include "prompt.h"

typedef struct cli_strongest {
  size_t layer, channel, index, position; /* where it acts */
  double effect;                          /* on the logit of target at the position that predicts */
  int32_t target;
  size_t predicts; /* that position */
} cli_strongest;

/* Among the neurons that act along the prompt, of the call's --layer and --channel where they were
 * given. position predicts (negative: from the end), target -1: its most probable token. */
sg_status cli_strongest_find(const cli_call *c, const sgi_prompt *p, ptrdiff_t position, int32_t target,
                             cli_strongest *out, sg_error *err);
/* "strongest neuron for " m" at position 6: layer 0 channel 4 neuron 47 at position 6, ..." */
void cli_strongest_note(const sgi_prompt *p, const cli_strongest *s);
json_t *cli_strongest_json(const sgi_prompt *p, const cli_strongest *s); /* new */

#endif
