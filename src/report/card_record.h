/* card_record.h: where a neuron fires, as JSON: what `neuron --recording --json` prints and the
 * explorer's /api/neuron answers. */
#ifndef SGI_REPORT_CARD_RECORD_H
#define SGI_REPORT_CARD_RECORD_H

#include "prompt.h"

/* One neuron of a recording. */
typedef struct sgi_fires {
  const sgi_prompt *p; /* model and tokenizer */
  const sg_recording *rec;
  size_t layer, channel, index;
  size_t excerpts; /* strongest of each side (for, against); more follow at a quarter, half, three quarters down it */
  struct sgi_neuron_record *record; /* read/neuron_record.h; new: sgi_fires_deinit */
} sgi_fires;

/* SG_ERR_ARG with the reason where the recording, called name, holds no neurons of this model. */
sg_status sgi_fires_check(const sgi_prompt *p, const sg_recording *rec, const char *name, sg_error *err);
/* SG_ERR_ARG with the reason where nothing is recorded of the layer's neurons. */
sg_status sgi_fires_known(const sg_recording *rec, size_t layer, sg_error *err);
/* Fills record of the fields before it; view: what the weights foretell. sgi_fires_deinit in any
 * case. */
sg_status sgi_fires_read(sgi_fires *f, const sg_neuron_view *view, size_t partners, bool special, sg_error *err);
void sgi_fires_deinit(sgi_fires *f);

typedef struct sgi_firing_excerpt {
  bool against;    /* value below 0 */
  double quantile; /* share of the side's firings that are not stronger, from 1 */
  size_t position;
  double value, gate; /* recorded activation (the gate where none was recorded), gate */
  sg_recorded place;
  size_t first, last; /* positions shown */
} sgi_firing_excerpt;
/* The i-th excerpt, false past the last. */
bool sgi_fires_excerpt(const sgi_fires *f, size_t i, sgi_firing_excerpt *out);

sg_status sgi_fires_json(const sgi_fires *f, json_t **out, sg_error *err); /* new */

#endif
