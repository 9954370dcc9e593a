/* prune_score.h: between the files of pruning: a model as it stands, and what scoring and tuning a
 * set of sublayers over all calibration rows takes. */
#ifndef SGI_PRUNE_SCORE_H
#define SGI_PRUNE_SCORE_H

#include "compare/features.h"
#include "compare/prune.h"
#include "compare/tune.h"

typedef struct sgi_prune_work {
  const sgi_prune_request *r;
  sg_model *standing;
  sgi_cut *dense, *now; /* runs of the model as it came and as it stands */
  size_t S, D, T, last; /* sublayers, width, positions of a row, the last sublayer that is there */
  bool *off, *without;  /* (S) cut, or not there; that and the one at hand */
  float **stream;       /* (S) of the dense run: (T,D) each */
  float **aim;          /* (S) of a run with sublayers put back, likewise; NULL for DENSE */
  float **seen;         /* (S) one buffer at the place that is looked at */
  float *seen_at, *z;   /* (T,D), (T,H*d_head) */
  size_t done, wanted;  /* passes of a round */
} sgi_prune_work;

sg_status sgi_prune_work_init(sgi_prune_work *w, const sg_model *dense, sg_model *standing, const sgi_prune_request *r,
                              sg_error *err);
void sgi_prune_work_deinit(sgi_prune_work *w);

/* The sublayer that makes up for s; S where there is none. */
size_t sgi_prune_tuner(const sgi_prune_work *w, size_t s);

/* Sensitivities of the n sublayers of list, without tuning: score (S) at their places. Where
 * changes is not NULL, also the changes of the tuners' output maps that fit best ((features,D),
 * new: sgi_free; list's order; NULL for one without tuner), and then score is that with the
 * change. */
sg_status sgi_prune_score(sgi_prune_work *w, const size_t *list, size_t n, double *score, double **changes,
                          sg_error *err);

/* Adds a change of the map that makes up for s. */
sg_status sgi_prune_keep(sgi_prune_work *w, size_t s, const double *change, sg_error *err);

#endif
