/* superposition.h: do neurons that fire together do what neither does alone
 * (docs/method-reading.md, superposition)?
 *
 * e_i, e_j, e_ij are the changes of a position's loss where the values of neurons are set to 0
 * there and all above runs anew; I = e_ij - e_i - e_j. Some I comes of any two neurons (the
 * softmax, the norms, other choices above), so each pair is compared with the same i at the same
 * places beside the neuron q that fires there by chance alone and is most like j in strength. */
#ifndef SGI_SUPERPOSITION_H
#define SGI_SUPERPOSITION_H

#include "model/model.h"
#include "read/recording.h"

typedef struct sgi_super_settings {
  size_t min_together; /* positions at which a pair fires */
  double min_lift;     /* of a pair: n_ij N / (n_i n_j) */
  double null_lift;    /* of i and q, below */
  size_t max_pairs;    /* those of largest n_ij log(lift) */
  size_t max_places;   /* of a pair, evenly spread; 0: all */
  size_t samples;      /* of the bootstrap and of sign flips */
  size_t max_set;      /* neurons of a set */
  bool shuffled;       /* each neuron's values moved to other places of the same input token */
  uint64_t seed;
  size_t max_bytes;
  bool (*progress)(void *user, size_t done, size_t total); /* places; false stops; NULL allowed */
  void *user;
} sgi_super_settings;
sgi_super_settings sgi_super_usual(void);

typedef struct sgi_super_unit {
  int32_t channel, index; /* channel 0 where all share one pool */
} sgi_super_unit;

enum { SGI_SUPER_TOKENS = 10 };

typedef struct sgi_super_pair {
  sgi_super_unit unit[2];
  size_t together, alone[2];
  double lift;
  size_t places; /* looked at that have a q */
  /* sum|I| / sum(|e_i| + |e_j|); with q; log of one over the other, NaN where places is 0 */
  double score, null, excess;
  double sign; /* mean I: > 0 either suffices, < 0 both are needed */
  double sign_null;
  int32_t joint[SGI_SUPER_TOKENS]; /* tokens of the ten most that both write together and neither alone */
  size_t n_joint;
} sgi_super_pair;

/* A pair grown by lift. */
typedef struct sgi_super_set {
  sgi_super_unit unit[4];
  size_t size, together;
  double mean_effect, mean_sum; /* of the set; of its neurons one by one, added up */
} sgi_super_set;

typedef struct sgi_superposition {
  size_t layer, positions;          /* counted */
  sgi_super_pair *pairs;            /* by falling n_ij log(lift) */
  size_t n_pairs, scored;           /* scored: with an excess */
  double mean_excess, low, high, p; /* over scored pairs, 95 % by bootstrap, sign flips (both sides) */
  double mean_sign;
  sgi_super_set *sets;
  size_t n_sets;
} sgi_superposition;

/* Of a recorded layer whose units are neurons. Deinit in any case. */
sg_status sgi_superposition_run(const sg_model *m, const sg_recording *rec, size_t slot, const sgi_super_settings *s,
                                sgi_superposition *out, sg_error *err);
void sgi_superposition_deinit(sgi_superposition *s);

/* ---- between its files ----------------------------------------------------------------------- */

/* Who fires where: units ascend within a position. */
typedef struct sgi_firing {
  uint32_t unit;
  float value;
} sgi_firing;

typedef struct sgi_firings {
  size_t n_positions, n_units, counted, F;
  bool *counts;  /* (n_positions) the target is a token */
  size_t *start; /* (n_positions + 1) into at */
  sgi_firing *at;
  size_t *list;    /* (n_units + 1) into place */
  uint32_t *place; /* counted positions of each unit, ascending */
} sgi_firings;
sg_status sgi_firings_make(const sg_recording *rec, size_t slot, const sgi_super_settings *s, sgi_firings *out,
                           sg_error *err);
void sgi_firings_deinit(sgi_firings *f);
static inline size_t sgi_firings_of(const sgi_firings *f, size_t unit) { return f->list[unit + 1] - f->list[unit]; }
/* count (n_units) of positions at which each fires where unit does. */
void sgi_firings_beside(const sgi_firings *f, size_t unit, uint32_t *count);

/* Losses at positions of one document without some of what fires there. */
typedef struct sgi_without sgi_without;
sg_status sgi_without_create(const sg_model *m, size_t layer, size_t longest, sgi_without **out, sg_error *err);
void sgi_without_free(sgi_without *w);
/* Runs a document: inputs, targets (T). */
sg_status sgi_without_document(sgi_without *w, const int32_t *inputs, const int32_t *targets, size_t T, sg_error *err);
/* effect (n) on the loss of position t, variant i being without set[i*size .. +size) of firings
 * (value 0: none). */
sg_status sgi_without_effects(sgi_without *w, size_t t, const sgi_firing *set, size_t size, size_t n, double *effect,
                              sg_error *err);
/* Values of what fires at t in the run itself take the place of those in f (n). */
void sgi_without_values(const sgi_without *w, size_t t, sgi_firing *f, size_t n);
/* What token v gets of (w_out of units) times values, through the final norm's gain. logits (V). */
void sgi_without_written(const sgi_without *w, const sgi_firing *f, size_t n, float *logits);

#endif
