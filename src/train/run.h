/* run.h: a training run in its directory (docs/formats.md, run): from settings and text to
 * checkpoints, stopped and resumed at will.
 *
 *   RUN/config.json      the settings, resolved
 *   RUN/tokenizer.json, metrics.jsonl, log.txt, checkpoints/, lock
 * Of one run directory there is one writer at a time (a lock).
 *
 * Of several ranks the lead does all of that; the others read config.json and tokenizer.json from
 * RUN, which they must see, and the text, and compute. Any number of ranks goes on with what any
 * other has left.
 */
#ifndef SGI_RUN_H
#define SGI_RUN_H

#include "train/checkpoint.h"
#include "read/evaluate.h"
#include "train/settings.h"

typedef sg_train_plan sgi_run_plan;

typedef sg_train_line sgi_run_line;
typedef sg_train_events sgi_run_events;

typedef struct sgi_run_request {
  const char *run;       /* RUN; NULL with dry_run */
  const char *data;      /* directory with train.* and valid.*; NULL on resume: as recorded */
  const char *tokenizer; /* tokenizer.json; NULL: one is trained on the data */
  sgi_settings settings; /* ignored on resume: RUN/config.json has them */
  bool resume;
  uint64_t steps;       /* on resume: steps of the whole run, more than it had; 0: as recorded */
  bool dry_run;         /* plan only: nothing is written but the token cache of the data */
  size_t channel_ranks; /* of so many ranks each computes its channels of the same rows; 0: 1 */
  sg_ranks *ranks;      /* borrowed: the request is made by all of them, alike; NULL: one process */
  size_t
      max_memory; /* bytes, of the whole process; 0: 3 GB, or three quarters of what the machine or its container has */
} sgi_run_request;

typedef struct sgi_run sgi_run;

/* Directory, lock, tokenizer, data, plan; no weights yet. A new run refuses a directory that holds
 * one, and leaves none behind where it cannot start. New: sgi_run_close. */
sg_status sgi_run_open(const sgi_run_request *r, const sgi_run_events *events, sgi_run **out, sg_error *err);
const sgi_run_plan *sgi_run_plan_of(const sgi_run *run);
const sgi_settings *sgi_run_settings(const sgi_run *run);
/* Seconds of one step, timed on models of the same sizes but of one and two layers, with one and
 * two rows. */
sg_status sgi_run_foretell_step(const sgi_run *run, double *seconds, sg_error *err);
/* What all evaluations of a run take, in steps: a row forward alone is a third of one trained. */
double sgi_run_evaluation_steps(const sgi_run *run);
/* Seconds of one step with its share of an update, by the clock and of processor time: the median
 * of some that are made on the first batches of its text. Takes the run's memory; nothing of the
 * run changes. For one process. */
typedef struct sgi_step_time {
  double wall, cpu;
} sgi_step_time;
sg_status sgi_run_time_steps(const sgi_run *run, sgi_step_time *out, sg_error *err);
/* To the end, or to the stop. */
sg_status sgi_run_train(sgi_run *run, sg_error *err);
/* A few words that a document of its text begins with, without line breaks, for a first try of the
 * model; "" where the text has none such. */
enum { SGI_FIRST_WORDS = sizeof((sg_train_result *)0)->first_words };
void sgi_run_first_words(const sgi_run *run, char out[SGI_FIRST_WORDS]);
/* The tokenizer that a run of these settings would train on this text, as a file: for runs that are
 * to share it. */
sg_status sgi_run_make_tokenizer(const sgi_settings *settings, const char *data, const char *path,
                                 const sgi_run_events *events, sg_error *err);
/* Seconds that its steps have taken, of earlier processes too. */
double sgi_run_seconds(const sgi_run *run);
/* Of a run that has trained: the sums of its held-out losses and counted targets, by rows and by
 * documents, with the weights as they are, which is an evaluation too. Documents are in the order
 * of the text; one that no row holds has no targets. 0 of both where nothing is held out. New:
 * sgi_run_losses_free. */
typedef struct sgi_run_losses {
  size_t rows, documents;
  double *row_nll, *row_targets;           /* (rows) */
  double *document_nll, *document_targets; /* (documents) */
} sgi_run_losses;
sg_status sgi_run_losses_of(sgi_run *run, sgi_run_losses *out, sg_error *err);
void sgi_run_losses_free(sgi_run_losses *l);
/* Hashes of the tokens that it trains on and of those that are held out, 0 where nothing is. */
typedef struct sgi_run_texts {
  uint64_t train, held_out;
} sgi_run_texts;
sgi_run_texts sgi_run_texts_of(const sgi_run *run);
/* Held-out result of the last evaluation; rows 0 if there was none. */
const sgi_evaluation *sgi_run_evaluation(const sgi_run *run);
void sgi_run_close(sgi_run *run);

#endif
