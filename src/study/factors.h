/* factors.h: from runs to best sizes, factors and intervals (docs/method.md, scaling study).
 * Everything is computed from one list of losses, a number a run; an interval comes from making
 * that list again and again with seeds and held-out documents drawn with replacement (the same
 * documents for all runs, since runs are compared on the same text). */
#ifndef SGI_STUDY_FACTORS_H
#define SGI_STUDY_FACTORS_H

#include "core/rng.h"
#include "study/fit.h"
#include "study/study_state.h"

/* Of processor time only where steps were timed anew: what a run took of it is not known. */
typedef enum sgi_study_cost_by {
  SGI_STUDY_BY_FLOPS,
  SGI_STUDY_BY_SECONDS,
  SGI_STUDY_BY_CPU,
  SGI_STUDY_BY_MEMORY,
  SGI_STUDY_COSTS
} sgi_study_cost_by;
extern const char *const sgi_study_cost_names[SGI_STUDY_COSTS];
bool sgi_study_cost_known(const sgi_study *s, sgi_study_cost_by by);

typedef struct sgi_study_sample {
  const sgi_study *s;
  const double *loss; /* (runs) */
  sgi_rng *seeds;     /* NULL: every seed once */
} sgi_study_sample;

typedef struct sgi_study_optimum {
  sgi_parabola fit;
  size_t points;                 /* sizes of which a run has ended; 0: there is no optimum */
  double costs[SGI_STUDY_COSTS]; /* of the size measured nearest to it */
} sgi_study_optimum;

sg_status sgi_study_best_size(const sgi_study_sample *p, const char *kind, double budget, sgi_study_optimum *out,
                              sg_error *err);
/* factor 0: none, and *why says so. */
sg_status sgi_study_factor(const sgi_study_sample *p, const char *kind, const char *other, sgi_study_cost_by by,
                           sgi_factor *out, const char **why, sg_error *err);

/* Documents of the held-out text of which every run that has ended has counted targets, or rows
 * where all results are of older versions; 0 where runs differ in these, and then seeds alone are
 * drawn. */
size_t sgi_study_units(const sgi_study *s, bool *by_rows);

typedef struct sgi_study_resamples {
  size_t units;
  bool by_rows;
  double *loss; /* (resamples, runs) */
} sgi_study_resamples;
/* Free in any case. */
sg_status sgi_study_resample(const sgi_study *s, sgi_study_resamples *out, const sgi_study_going *going, sg_error *err);
void sgi_study_resamples_free(sgi_study_resamples *r);

typedef struct sgi_study_interval {
  double low, high; /* 2.5 % and 97.5 %; NaN where n is 0 */
  size_t n;         /* resamples that have a factor */
} sgi_study_interval;
/* Of kind against other, by each cost. */
sg_status sgi_study_intervals(const sgi_study *s, const sgi_study_resamples *drawn, const char *kind, const char *other,
                              sgi_study_interval out[SGI_STUDY_COSTS], sg_error *err);

#endif
