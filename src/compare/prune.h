/* prune.h: sublayers taken out of a trained model one at a time, by how much of the stream the ones
 * behind can make up for and how many milliseconds are saved (SPRINT, Park et al. 2025;
 * docs/method-comparison.md, pruning), beside the naive ways to choose.
 *
 * Sublayer s = 2l is attention of layer l, 2l + 1 its feedforward layer. Its *tuner* is the next
 * uncut feedforward layer behind it (or, tune_any, the next uncut sublayer): its output map is what
 * is fitted anew (tune.h). Its *sensitivity* is how far the stream behind the tuner then lies from
 * where it should be; least sensitivity a millisecond goes first. */
#ifndef SGI_PRUNE_H
#define SGI_PRUNE_H

#include "compare/cut.h"

/* Where the stream behind the tuner should lie. DENSE: where the model as it came puts it, so that
 * each tuning also makes up for what is left of earlier cuts. RESTORED: where the model as it
 * stands would put it with every sublayer from s to the tuner in place, cut ones too (the released
 * code). STANDING: the same with s alone put back. */
typedef enum sgi_prune_target { SGI_TARGET_DENSE, SGI_TARGET_RESTORED, SGI_TARGET_STANDING } sgi_prune_target;

/* Of two streams over the counted positions of a sequence, a mean over sequences; per_token: of a
 * position, a mean over positions. L1: sum |Y - O| / sum |Y|. L2: the roots of sums of squares.
 * COS: one less the cosine. */
typedef enum sgi_prune_distance { SGI_DISTANCE_L1, SGI_DISTANCE_L2, SGI_DISTANCE_COS } sgi_prune_distance;

typedef enum sgi_prune_method {
  SGI_PRUNE_SPRINT,    /* in rounds: the least of `candidates`, each tuned on its own */
  SGI_PRUNE_ONE_SHOT,  /* ordered once by tuned importance; then every tuner once from below */
  SGI_PRUNE_UNTUNED,   /* in rounds, by untuned importance, nothing tuned */
  SGI_PRUNE_LOSS,      /* in rounds: the one whose removal raises the calibration loss least */
  SGI_PRUNE_LOSS_ONCE, /* the same, ordered once */
  SGI_PRUNE_DEPTH,     /* the deepest first */
  SGI_PRUNE_RANDOM     /* by seed */
} sgi_prune_method;

typedef struct sgi_prune_round {
  size_t sublayer;
  ptrdiff_t tuned; /* sublayer whose output map was fitted; -1: none */
  size_t *candidates, n_candidates;
  double *untuned, *scores; /* (2L) sensitivities before and after tuning; infinite where there is none */
  double speedup;           /* estimated by the latencies */
  double calibration_loss, validation_loss;
} sgi_prune_round;

typedef struct sgi_prune_request {
  sgi_prune_method method;
  sgi_prune_target target;
  sgi_prune_distance distance;
  bool per_token, tune_any;
  bool last;         /* a sublayer without tuner may go, at its distance in the last stream */
  bool no_latency;   /* importance is sensitivity itself */
  double damping;    /* 1e-3 */
  size_t candidates; /* 5 */
  uint64_t seed;
  const double *latency;                /* (2L) milliseconds that a sublayer takes; 0: it stays */
  double other;                         /* of what can not be cut */
  sgi_cut_rows calibration, validation; /* validation of 0 rows: no loss of it */
  /* The end: speedup reached (0: not asked for) or so many gone (0: not asked for). Called after
   * each round, model as it then stands; false cancels. NULL allowed. */
  double speedup;
  size_t remove;
  bool (*progress)(void *user, const sgi_prune_round *round);
  /* Called now and then inside a round: passes done of those it takes. */
  bool (*watch)(void *user, size_t done, size_t wanted);
  void *user;
} sgi_prune_request;

typedef struct sgi_prune {
  sgi_prune_round *rounds;
  size_t n_rounds, sublayers;
  double dense_calibration, dense_validation; /* losses before any cut */
  bool *off;                                  /* (2L) */
} sgi_prune;

/* dense is the model as it came (borrowed); standing a copy of it in an arena of its own, whose
 * output maps are changed. New: sgi_prune_free. */
sg_status sgi_prune_run(const sg_model *dense, sg_model *standing, const sgi_prune_request *request, sgi_prune **out,
                        sg_error *err);
void sgi_prune_free(sgi_prune *p);

/* Sensitivities (2L) of a model of which nothing is cut: what a distance says. */
sg_status sgi_prune_sensitivity(const sg_model *dense, sg_model *standing, const sgi_prune_request *request,
                                double *out, sg_error *err);

double sgi_prune_speedup(const sgi_prune_request *r, const bool *off, size_t sublayers);

#endif
