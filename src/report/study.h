/* study.h: many runs that answer one question: done one after the other, what they cost and what
 * came out, as documents: what `isoflop` and `sweep` do with a study's directory. */
#ifndef SGI_REPORT_STUDY_H
#define SGI_REPORT_STUDY_H

#include "report.h"

enum { SGI_STUDY_NAME = 128 }; /* bytes of a run's name, and of "KEY=VALUE" */

typedef struct sgi_study sgi_study;

/* wanted: what study.json should say (docs/formats.md, study), NULL to open one that is there; a
 * study of other settings is SG_ERR_ARG. tokenizer: a file, NULL: trained on the data. events may
 * be NULL, and is borrowed until the end. New: sgi_study_end. */
sg_status sgi_study_begin(const char *directory, const json_t *wanted, const char *tokenizer,
                          const sg_train_events *events, sgi_study **out, sg_error *err);
void sgi_study_end(sgi_study *s); /* NULL allowed */

/* Results of a copy of this study from elsewhere: *taken of them. */
sg_status sgi_study_take(sgi_study *s, const char *other, size_t *taken, sg_error *err);

/* Names of the runs that have not ended, of those that are known now. New reference. */
json_t *sgi_study_waiting(const sgi_study *s);
/* More runs become known once those of the sweep have ended: they take its best settings. */
bool sgi_study_sweeps(const sgi_study *s);

/* {runs: [{name, parameters, steps, memory_bytes, disk_bytes, seconds, evaluation_seconds, flops}],
 * seconds, flops, memory_bytes, disk_bytes} of those that have not ended, seconds with evaluations,
 * a step's time measured here and now. New reference. */
sg_status sgi_study_cost(const sgi_study *s, size_t max_memory, json_t **out, sg_error *err);

typedef struct sgi_study_watch {
  /* A run begins: FLOPs of runs that have ended, of this one, of all that are known. */
  void (*begun)(void *user, const char *name, double done, double flops, double total);
  void (*ended)(void *user, const char *name); /* or was stopped, or failed */
  /* {name, diverged, valid_loss, train_loss, steps, seconds}; borrowed. */
  void (*result)(void *user, const json_t *run);
  void *user;
} sgi_study_watch;

/* All runs to their end, those that become known too; or the one called name, which *ended says if
 * it had before. */
sg_status sgi_study_work(sgi_study *s, const char *name, size_t max_memory, const sgi_study_watch *watch, bool *ended,
                         sg_error *err);

/* Steps of every form of the study timed anew on this machine, so many rounds, into timings.json;
 * events tell and stop it, and the next call goes on where it was stopped. */
sg_status sgi_study_time_anew(sgi_study *s, size_t rounds, size_t max_memory, sg_error *err);

/* What came out (docs/formats.md, study), with factors against kinds; results.json, runs.csv,
 * isoflop.svg, isoflop-train.svg and costs.svg are written. *left: runs that have not ended. New
 * reference. */
typedef struct sgi_study_ask {
  const char *const *against; /* (n) kinds */
  size_t n;
  bool (*on)(void *user, double part); /* of the resampling; false: stops, SG_ERR_CANCELLED */
  void *user;
} sgi_study_ask;
sg_status sgi_study_answer(const sgi_study *s, const sgi_study_ask *ask, json_t **out, size_t *left, sg_error *err);

#endif
