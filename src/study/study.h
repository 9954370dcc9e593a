/* study.h: many runs that answer one question (docs/method.md, scaling study): every kind at every
 * scale, budget and seed, each an ordinary run directory, each kind with the settings that a sweep
 * found best for it.
 *
 *   STUDY/study.json         what is asked; written once
 *   STUDY/tokenizer.json     of all runs
 *   STUDY/runs/NAME/         a run, and result.json once it has ended
 *   STUDY/timings.json       seconds of a step of every form, where it was timed anew
 * Nothing else decides what is done next: a study goes on where its run directories stand, in this
 * process, in others, or on other machines whose directories are collected. */
#ifndef SGI_STUDY_H
#define SGI_STUDY_H

#include "core/json.h"
#include "train/run.h"

enum { SGI_STUDY_TEXT = 128 };

/* Diverged: its numbers were not finite, or its loss at the end is more than twice that of a guess
 * among all tokens. */
typedef enum sgi_study_state { SGI_STUDY_WAITING, SGI_STUDY_DONE, SGI_STUDY_DIVERGED } sgi_study_state;

typedef struct sgi_study_run {
  char name[SGI_STUDY_TEXT]; /* its directory below STUDY/runs */
  char kind[SGI_SETTING_TEXT], scale[SGI_SETTING_TEXT];
  double budget; /* FLOPs; 0: train.steps decides */
  uint64_t seed;
  bool sweep;     /* tries a variant; else it belongs to the question itself */
  size_t variant; /* of a sweep */
  /* What it costs. */
  size_t parameters, embedding; /* all, and of these the tied embedding's */
  uint64_t steps;
  double flops;
  /* What came out; of SGI_STUDY_DONE, losses of SGI_STUDY_DIVERGED are NaN. */
  sgi_study_state state;
  double train_loss; /* mean of the last hundredth of the steps */
  double valid_loss, standard_error, accuracy, seconds;
  double step_seconds, step_cpu_seconds; /* of a step timed anew (timings.json); 0: it was not */
  size_t memory;                         /* bytes of the process, by the run's plan */
  /* Of the held-out text by documents, or in results of older versions by its rows: losses and
   * counted targets. */
  double *nll, *targets; /* (units) */
  size_t units;
  bool by_rows;
  bool told; /* the result says which text it is of; those of older versions do not */
  sgi_run_texts texts;
  char *problem; /* of a study that is watched: why its result cannot be read; else NULL */
} sgi_study_run;

typedef struct sgi_study sgi_study;

/* wanted: what study.json should say (docs/formats.md, study), NULL to open one that is there. A
 * study of other settings is SG_ERR_ARG naming the first key that differs. tokenizer: a file, NULL:
 * trained on the data. events may be NULL. Results that are there are read. New:
 * sgi_study_close. */
sg_status sgi_study_open(const char *directory, const json_t *wanted, const char *tokenizer,
                         const sgi_run_events *events, sgi_study **out, sg_error *err);
void sgi_study_close(sgi_study *s);
/* To look at while others work on it: a result that cannot be read is the problem of its run, not a
 * failure. Writes nothing. */
sg_status sgi_study_follow(const char *directory, sgi_study **out, sg_error *err);
/* Results that have come since; they may make more runs known. *changed: there is something new. */
sg_status sgi_study_look(sgi_study *s, bool *changed, sg_error *err);

/* Runs known now, cheapest first: the sweep's, then, once these have ended, the others. Borrowed
 * until the next call that changes the study; NULL past the last. */
const sgi_study_run *sgi_study_at(const sgi_study *s, size_t i);
size_t sgi_study_left(const sgi_study *s); /* of these, not ended */
const json_t *sgi_study_asked(const sgi_study *s);

/* A kind's best variant by held-out loss (mean over seeds): its index, SIZE_MAX while its sweep has
 * not ended, or all of it diverged; 0 where nothing is swept. edge (size bytes) names the keys
 * whose best value is the first or last that was tried. */
size_t sgi_study_best(const sgi_study *s, const char *kind, char *edge, size_t size);
/* The i-th assignment "key=value" of a variant; NULL past the last. */
const char *sgi_study_variant(const sgi_study *s, size_t variant, size_t i);
size_t sgi_study_variants(const sgi_study *s);

/* Settings of run i as `train` takes them. */
sg_status sgi_study_settings(const sgi_study *s, size_t i, sgi_settings *out, sg_error *err);
/* Plan of run i as it would start now, what its evaluations take in steps, and the seconds of a
 * step timed on this machine (NULL: not wanted). */
sg_status sgi_study_plan(const sgi_study *s, size_t i, size_t max_memory, sgi_run_plan *out, double *evaluation_steps,
                         double *step_seconds, sg_error *err);
/* Begins or resumes run i, to its end, and keeps its result; one that diverges has a result too and
 * is SG_OK. May make new runs known. */
sg_status sgi_study_do(sgi_study *s, size_t i, size_t max_memory, sg_error *err);

/* Takes over run directories of a copy of this study that ended there and have not here: *taken of
 * them. Another study is refused, and so are results on another text. */
sg_status sgi_study_collect(sgi_study *s, const char *other, size_t *taken, sg_error *err);

/* ---- timing.c, retime.c ---------------------------------------------------------------------- */

/* Times the steps of every form (kind, scale, settings) that runs known now have, one after the
 * other, so many rounds, on this machine with the threads of now: into timings.json, whole; what a
 * call that was stopped has timed is gone on with (timings.part.json). */
sg_status sgi_study_retime(sgi_study *s, size_t rounds, size_t max_memory, sg_error *err);
/* Costs are counted by timings.json: it is there, and has every form that has ended. Where not,
 * *problem (NULL allowed) says why it is not used, NULL: there is none. */
bool sgi_study_retimed(const sgi_study *s, const char **problem);
/* What the steps of a run take: as it took, or where the study is retimed its steps times a step's
 * seconds (NaN: its form was not timed); and of processor time, NaN where the study is not. */
double sgi_study_seconds(const sgi_study *s, const sgi_study_run *r);
double sgi_study_cpu_seconds(const sgi_study *s, const sgi_study_run *r);
/* New reference: {by: "runs" or "timings", problem, processor, processors, instructions, threads,
 * rounds, date, forms: [{kind, scale, variant, seconds, cpu_seconds}]}; of a study that is not
 * retimed what is known, else null. */
json_t *sgi_study_timing(const sgi_study *s);

/* ---- report.c -------------------------------------------------------------------------------- */

typedef struct sgi_study_going {
  bool (*on)(void *user, double part); /* false: stops, SG_ERR_CANCELLED */
  void *user;
} sgi_study_going;
/* New reference: runs, best settings, optima per budget and kind, factors against kinds (n of them)
 * with intervals (docs/formats.md, study). going may be NULL. */
sg_status sgi_study_report(const sgi_study *s, const char *const *against, size_t n, const sgi_study_going *going,
                           json_t **out, sg_error *err);
/* Of that what takes long: {left, resampled_documents, resampled_rows, factors, no_factors}. */
sg_status sgi_study_factors(const sgi_study *s, const char *const *against, size_t n, const sgi_study_going *going,
                            json_t **out, sg_error *err);
/* STUDY/results.json, runs.csv, isoflop.svg, isoflop-train.svg and costs.svg from it. */
sg_status sgi_study_write(const sgi_study *s, const json_t *report, sg_error *err);

#endif
