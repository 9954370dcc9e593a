/* neuron_record.h: one neuron in a recording: where it fires, how strongly, with whom, and whether its weights foretell it. */
#ifndef SGI_NEURON_RECORD_H
#define SGI_NEURON_RECORD_H

#include "read/recording.h"

typedef struct sgi_neuron_firing {
  size_t position;
  double value; /* recorded activation; the score where none was recorded */
} sgi_neuron_firing;

typedef struct sgi_neuron_partner {
  int32_t channel, index;
  size_t together; /* positions where both are chosen */
  double lift;     /* over chance: share together / (share of one * share of the other) */
} sgi_neuron_partner;

typedef struct sgi_neuron_record {
  size_t count;               /* positions where the neuron is chosen */
  double density;             /* count / all positions */
  sgi_neuron_firing *firings; /* (n_firings) largest |value| first; without those on the begin token unless asked for */
  size_t n_firings;
  sgi_neuron_partner
      *partners; /* (n_partners) of the same layer, largest lift first, among those in at least a tenth of the
                                 * neuron's positions */
  size_t n_partners;
  double
      agreement; /* Spearman's rho of foretold[token] with the mean value over the token's firings; NaN below 3 tokens */
  size_t agreement_tokens; /* input tokens that it fired on */
} sgi_neuron_record;

/* foretold (V of the recording), NULL: no agreement. SG_ERR_ARG where the recording has no index, no such layer or neuron. Deinit in
 * any case. */
sg_status sgi_neuron_record_init(sgi_neuron_record *n, const sgi_recording *rec, size_t layer, size_t channel,
                                 size_t index, const float *foretold, size_t max_partners, bool special, sg_error *err);
void sgi_neuron_record_deinit(sgi_neuron_record *n);

#endif
