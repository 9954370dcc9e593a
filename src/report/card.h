/* card.h: a neuron's card as JSON: what `neuron --json` prints and the explorer's /api/neuron
 * answers. */
#ifndef SGI_REPORT_CARD_H
#define SGI_REPORT_CARD_H

#include "prompt.h"

typedef struct sgi_ranked {
  float value;
  int32_t id;
} sgi_ranked;

/* x (n) with their numbers, largest first, ties by number. New: sgi_free; NULL when memory is
 * out. */
sgi_ranked *sgi_rank(const float *x, size_t n);

typedef struct sgi_card {
  size_t layer, channel, index, top; /* top: tokens of each end */
  sg_neuron_view view;
  const sg_neuron_link *up, *down;
  size_t n_up, n_down;
} sgi_card;
json_t *sgi_card_json(const sgi_prompt *p, const sgi_card *c); /* new; NULL when memory is out */
/* What a neuron does along the prompt: {"tokens", "layer", "channel", "index", "chosen", "gate",
 * "input", "value"}, lists (count). gate is null in dense kinds. */
json_t *sgi_activations_json(const sgi_prompt *p, size_t layer, size_t channel, size_t index, const sg_activation *a);

#endif
