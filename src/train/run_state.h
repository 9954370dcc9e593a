/* run_state.h: what the files of a run share (run.c sets it up, run_loop.c trains, run_log.c
 * writes). */
#ifndef SGI_RUN_STATE_H
#define SGI_RUN_STATE_H

#include "core/bundle.h"
#include "train/run.h"

struct sgi_run {
  sgi_run_events events;
  sgi_settings settings;
  sgi_run_plan plan;
  char *directory, *data, *tokenizer_path, *metrics_path, *log_path;
  bool resume, dry, locked;
  bool made;      /* the directory was made by this call */
  char saved[64]; /* newest checkpoint known to be good, "" for none */
  size_t max_memory;
  json_t *extended;       /* of config.json: [{"from", "to"}, ...]; NULL: never */
  uint64_t extended_from; /* steps before this call made it longer; 0: it did not */
  sg_ranks *ranks;        /* all, or NULL */
  sg_ranks groups[2];     /* where channels are shared: those with the same channels, those with the same rows */
  sgi_trainer_ranks who;  /* of them */
  sgi_split split;
  sg_config local; /* the model that this process has: all of it, or some channels */
  sgi_lock lock;
  sg_tokenizer *tokenizer;
  sgi_corpus *train, *valid;
  sgi_batcher *batches, *held_out; /* held_out gives single rows, in order */
  uint64_t held_out_rows;
  bool valid_packed;
  sgi_trainer *trainer;
  sgi_evaluator *evaluator;
  sgi_usage **usage;
  int32_t *inputs, *targets, *starts; /* (B,T) */
  double loss_with_buffer;            /* of the last step's evaluation, with what buffers held; NaN: not made */
  bool told_window;                   /* that gates have few candidates near their thresholds */
  sgi_progress_state state;
  sgi_evaluation last_evaluation;
  uint64_t evaluated_at; /* step of last_evaluation, UINT64_MAX: none */
};

/* run_log.c: one sentence for people, also into log.txt; and into log.txt alone. */
void sgi_run_note(const sgi_run *run, const char *format, ...) SG_PRINTF(2, 3);
void sgi_run_record(const sgi_run *run, const char *format, ...) SG_PRINTF(2, 3);

/* rows.c: settles data.rows and the batch by the text that is open, and says what no row holds. */
sg_status sgi_run_choose_rows(sgi_run *run, sg_error *err);
/* from.c: train.from as a whole path, and where no tokenizer was given the model's own (sgi_free);
 * and the weights, where no step was taken yet. */
sg_status sgi_run_place_from(sgi_run *run, const char *given, char **tokenizer, sg_error *err);
sg_status sgi_run_start_from(sgi_run *run, sg_error *err);
/* int4_run.c: what pools in int4 take; the loss of the last step's evaluation with what their
 * buffers held; what the update did that ended a step, false: none did. */
void sgi_run_say_pools(const sgi_run *run);
sg_status sgi_run_evaluate_buffers(sgi_run *run, const sgi_evaluate_request *r, double loss, sg_error *err);
bool sgi_run_int4_report(const sgi_run *run, sgi_int4_report *out);
/* precision.c: settles train.precision=auto, and says what the processor makes of it. */
void sgi_run_choose_precision(sgi_run *run);
/* extend.c: more steps than config.json has (0: no), said once the checkpoint is known; whether a
 * setting may differ from a checkpoint's because of an extension. */
sg_status sgi_run_extend(sgi_run *run, uint64_t steps, sg_error *err);
void sgi_run_say_extension(const sgi_run *run);
bool sgi_run_may_differ(const sgi_run *run, const char *key);
/* run.c: settings and what else config.json holds. */
sg_status sgi_run_save_config(const sgi_run *run, sg_error *err);
/* plan.c: fills run->plan and settings.micro_batch from settings and data. */
sg_status sgi_run_make_plan(sgi_run *run, sg_error *err);
sgi_trainer_settings sgi_run_trainer_settings(const sgi_settings *s, uint64_t steps);
/* run_log.c: one object a line into metrics.jsonl. */
sg_status sgi_run_log_step(sgi_run *run, const sgi_run_line *line, sg_error *err);
sg_status sgi_run_log_evaluation(sgi_run *run, const sgi_evaluation *e, sg_error *err);

#endif
