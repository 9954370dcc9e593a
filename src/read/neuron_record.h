/* neuron_record.h: one neuron in a recording: where it fires, how strongly, with whom, and whether
 * its weights foretell it. */
#ifndef SGI_NEURON_RECORD_H
#define SGI_NEURON_RECORD_H

#include "read/recording.h"

typedef struct sgi_neuron_firing {
  size_t position;
  double value; /* recorded activation; the score where none was recorded */
  double score; /* the gate */
} sgi_neuron_firing;

/* How often a number fell into each of equal parts of [low, high]; the highest counts with the last
 * part. */
enum { SGI_NEURON_BINS = 24 };
typedef struct sgi_neuron_histogram {
  double low, high;
  size_t count[SGI_NEURON_BINS];
} sgi_neuron_histogram;

typedef struct sgi_neuron_partner {
  int32_t channel, index;
  size_t together; /* positions where both are chosen */
  double lift;     /* over chance: share together / (share of one * share of the other) */
} sgi_neuron_partner;

typedef struct sgi_neuron_record {
  /* Its strongest values alone are known (kept.h), or all of one that is always on: firings are
   * those, gates and agreements are not there, no partners; values is of a sample of positions. */
  bool kept;
  size_t count;   /* positions where the neuron is chosen */
  double density; /* count / all positions */
  /* (n_firings) without those on the begin token unless asked for: n_for of value 0 or more,
   * largest first, then those below 0, smallest first. What a neuron does for its output row and
   * against it are two things, each with its own range. */
  sgi_neuron_firing *firings;
  size_t n_firings, n_for;
  sgi_neuron_partner *partners; /* (n_partners) of the same layer, largest lift first, among those in at least a tenth
                                 * of the neuron's positions */
  size_t n_partners;
  double
      /* Spearman's rho of foretold[token] with the mean value over the token's firings; NaN below 3
         tokens */
      agreement;
  size_t agreement_tokens; /* input tokens that it fired on */
  /* Likewise of written[token] with the mean value (0 where it did not fire) over all positions
   * that are followed by the token, among tokens that followed a firing. The begin token's
   * positions are left out unless asked for. */
  double written_agreement;
  size_t written_tokens;
  sgi_neuron_histogram gates, values; /* of the firings */
} sgi_neuron_record;

/* foretold, written (V of the recording), NULL: no agreement. SG_ERR_ARG where the recording has no
 * index, no such layer or neuron. Deinit in any case. */
sg_status sgi_neuron_record_init(sgi_neuron_record *n, const sgi_recording *rec, size_t layer, size_t channel,
                                 size_t index, const float *foretold, const float *written, size_t max_partners,
                                 bool special, sg_error *err);
/* value (n) of the neuron at positions [first, first + n), NaN where it was not chosen. */
sg_status sgi_neuron_recorded_values(const sgi_recording *rec, size_t layer, size_t channel, size_t index, size_t first,
                                     size_t n, double *value, sg_error *err);
void sgi_neuron_record_deinit(sgi_neuron_record *n);

#endif
