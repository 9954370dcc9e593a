/* merge.h: two linear neurons of a layer that nearly always fire together as one
 * (docs/method-reading.md, superposition).
 *
 * With gates g and a = w_in . x + b a pair writes y = v_0 w_0 + v_1 w_1, v = g a, w its output
 * rows. Over the positions where both fire the best form of rank one is (u . y) u, u the first
 * right singular direction of the rows y. One neuron gets u as its output row and, since its own
 * gate g must do, the input row in[0] w_in_0 + in[1] w_in_1 by least squares of u . y; the other
 * writes nothing. Its key stays, so every choice stays what it was. */
#ifndef SGI_MERGE_H
#define SGI_MERGE_H

#include "read/superposition.h"

/* Over positions, of v and of q[k] = g_k a_(1-k), what the other would be under gate k. */
typedef struct sgi_merge_sums {
  size_t n;
  double vv[2][2];         /* v_a v_b */
  double qq[2], q_v[2][2]; /* q_k q_k; q_k v_b */
} sgi_merge_sums;
/* A position's values and gates; false, with nothing added, where a gate is 0, so that a is not
 * known, or a number is not finite. */
bool sgi_merge_add(sgi_merge_sums *s, const double value[2], const double gate[2]);

typedef struct sgi_merge_form {
  size_t into;      /* the one that becomes both: of the two ways the one that keeps more, then the first */
  double in[2];     /* of w_in and b */
  double explained; /* share of sum |y|^2 that the form of rank one has */
  double kept;      /* and the neuron: explained, less what its gate and input row miss */
} sgi_merge_form;
/* out: both output rows (D); u (D). False where the two write nothing. */
bool sgi_merge_fit(const sgi_merge_sums *s, const float *const out[2], size_t D, sgi_merge_form *form, float *u);

/* ---- of a layer ------------------------------------------------------------------------------ */

typedef struct sgi_merge_settings {
  size_t most;                 /* merges */
  size_t min_together;         /* positions at which a pair fires */
  double min_share;            /* of those at which either does */
  bool (*goes_on)(void *user); /* false ends with SG_ERR_CANCELLED; NULL allowed */
  void *user;
} sgi_merge_settings;

typedef struct sgi_merged {
  sgi_super_unit unit[2];  /* what becomes both, what falls silent */
  size_t together, fitted; /* positions; those that the form is made of (sgi_merge_add) */
  double share;            /* together over the places of the commoner: of the rarer's it is no less */
  sgi_merge_form form;     /* in: by the order of unit */
  float *u;                /* (D) */
} sgi_merged;

typedef struct sgi_merges {
  sgi_merged *list;
  size_t n;
  /* Pairs that fire together so often; of these: in two channels, with a neuron that is merged
   * already, writing nothing, and behind the last that was wanted. */
  size_t found, across, taken, silent, left;
} sgi_merges;

/* SG_ERR_UNSUPPORTED, saying why, where neurons of the layer are not gated linear ones of float32
 * that are its own; SG_ERR_ARG where the recording has no values. */
sg_status sgi_merge_check(const sg_model *m, const sgi_recording *rec, size_t slot, sg_error *err);
/* After sgi_merge_check. The pairs of largest share, each neuron in one at most. Deinit in any
 * case. */
sg_status sgi_merge_find(const sg_model *m, const sgi_recording *rec, size_t slot, const sgi_merge_settings *s,
                         sgi_merges *out, sg_error *err);
void sgi_merges_deinit(sgi_merges *x);
/* In a copy of the model that owns its weights (sgi_model_own): the second neuron of each writes
 * nothing; and the first is both. */
void sgi_merge_silence(sg_model *m, size_t layer, const sgi_merges *x);
void sgi_merge_apply(sg_model *m, size_t layer, const sgi_merges *x);

#endif
