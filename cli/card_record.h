/* card_record.h: where a neuron fires, as JSON: what `neuron --recording --json` prints and the
 * explorer's /api/neuron answers. */
#ifndef SGATLIN_CLI_CARD_RECORD_H
#define SGATLIN_CLI_CARD_RECORD_H

#include "prompt.h"
#include "read/neuron_record.h"

/* One neuron of a recording. */
typedef struct cli_fires {
  const cli_prompt *p; /* model and tokenizer */
  const sgi_recording *rec;
  size_t layer, channel, index;
  size_t excerpts; /* strongest of each side (for, against); more follow at a quarter, half, three quarters down it */
  sgi_neuron_record record;
} cli_fires;

/* SG_ERR_ARG with the reason where the recording, called name, holds no neurons of this model. */
sg_status cli_fires_check(const cli_prompt *p, const sgi_recording *rec, const char *name, sg_error *err);
/* Fills record of the fields before it; view: what the weights foretell. cli_fires_deinit in any
 * case. */
sg_status cli_fires_read(cli_fires *f, const sg_neuron_view *view, size_t partners, bool special, sg_error *err);
void cli_fires_deinit(cli_fires *f);

typedef struct cli_firing_excerpt {
  bool against;    /* value below 0 */
  double quantile; /* share of the side's firings that are not stronger, from 1 */
  const sgi_neuron_firing *at;
  sgi_recorded place;
  size_t first, last; /* positions shown */
} cli_firing_excerpt;
/* The i-th excerpt, false past the last. */
bool cli_fires_excerpt(const cli_fires *f, size_t i, cli_firing_excerpt *out);

sg_status cli_fires_json(const cli_fires *f, json_t **out, sg_error *err); /* new */

#endif
