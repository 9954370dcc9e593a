/* The training loop of a run: steps, evaluations, checkpoints, stop and resume. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/file.h"
#include "train/run_state.h"

static sg_status make_trainer(sgi_run *run, sg_error *err) {
  const sgi_settings *s = &run->settings;
  sgi_trainer_settings t = sgi_run_trainer_settings(s, run->plan.steps);
  sg_model *m = NULL;
  sg_status st = sg_model_create(&s->model, s->seed, &m, err);
  if (!st) st = sgi_trainer_create(m, &t, &run->trainer, err);
  if (st) {
    sg_model_free(m);
    return st;
  }
  size_t n = s->batch_size * s->seq_len * sizeof(int32_t);
  run->inputs = sgi_alloc(n);
  run->targets = sgi_alloc(n);
  run->starts = sgi_alloc(n);
  if (!run->inputs || !run->targets || !run->starts) return sgi_fail_memory(err, 3 * n, "a batch");
  st = sgi_evaluator_create(run->trainer->pass, m, s->micro_batch, s->seq_len, &run->evaluator, err);
  return st ? st : sgi_usage_list(m, &run->usage, err);
}

static void skipped(void *user, const char *name, const char *reason) {
  sgi_run_note(user, "skipped checkpoint %s: %s", name, reason);
}

/* metrics.jsonl as it was at the checkpoint: what a lost stretch of training wrote is dropped. */
static sg_status cut_metrics(sgi_run *run, sg_error *err) {
  if (!sgi_is_file(run->metrics_path)) {
    run->state.metrics_bytes = 0;
    return SG_OK;
  }
  return sgi_truncate_file(run->metrics_path, run->state.metrics_bytes, err);
}

static sg_status load_newest(sgi_run *run, sg_error *err) {
  char *parent = sgi_path_join(run->directory, "checkpoints"), *path = NULL, name[64];
  sg_status st = SG_OK;
  if (!parent) return sgi_fail_memory(err, strlen(run->directory), "a path");
  sg_error none = {0};
  if (sgi_bundle_newest(parent, "step-", name, sizeof name, skipped, run, &none)) {
    sgi_run_note(run, "no complete checkpoint was found: starting from the beginning");
  } else {
    path = sgi_path_join(parent, name);
    st = path ? sgi_checkpoint_load(path, run->trainer, &run->state, err)
              : sgi_fail_memory(err, strlen(parent), "a path");
    if (!st && run->state.data_hash != sgi_corpus_hash(run->train))
      st = sgi_fail(err, SG_ERR_ARG,
                    "%s: the training text is not the one this run was started with; resume needs the same text",
                    run->data);
    if (!st) sgi_run_note(run, "resuming %s after step %llu", name, (unsigned long long)run->state.step);
  }
  sgi_free(path);
  sgi_free(parent);
  return st ? st : cut_metrics(run, err);
}

static sg_status evaluate(sgi_run *run, sg_error *err) {
  if (!run->held_out || run->evaluated_at == run->state.step) return SG_OK;
  sgi_usage_list_free(run->trainer->model, run->usage);
  run->usage = NULL;
  sg_status st = sgi_usage_list(run->trainer->model, &run->usage, err);
  sgi_evaluate_request r = {.rows = run->held_out,
                            .n_rows = run->held_out_rows,
                            .T = run->settings.seq_len,
                            .method = SGI_EVAL_TOKENS,
                            .usage = run->usage};
  if (!st) st = sgi_evaluate(run->evaluator, &r, &run->last_evaluation, err);
  if (!st) st = sgi_run_log_evaluation(run, &run->last_evaluation, err);
  if (st) return st;
  run->evaluated_at = run->state.step;
  if (run->events.evaluated) run->events.evaluated(run->events.user, run->state.step, &run->last_evaluation);
  return SG_OK;
}

static sg_status point_at(const char *parent, const char *pointer, const char *name, sg_error *err) {
  char *path = sgi_path_join(parent, pointer), text[72];
  int n = snprintf(text, sizeof text, "%s\n", name);
  sg_status st = path ? sgi_write_file(path, text, (size_t)n, err) : sgi_fail_memory(err, strlen(parent), "a path");
  sgi_free(path);
  return st;
}

static sg_status checkpoint(sgi_run *run, sg_error *err) {
  sgi_progress_state *s = &run->state;
  char name[64], *parent = sgi_path_join(run->directory, "checkpoints");
  if (!parent) return sgi_fail_memory(err, strlen(run->directory), "a path");
  bool best = run->evaluated_at == s->step && run->last_evaluation.loss < s->best_loss;
  snprintf(name, sizeof name, "step-%08llu", (unsigned long long)s->step);
  if (best) {
    s->best_loss = run->last_evaluation.loss;
    memcpy(s->best, name, sizeof s->best);
  }
  s->updates = run->trainer->updates;
  s->data_hash = sgi_corpus_hash(run->train);
  sg_status st = sgi_checkpoint_save(run->directory, run->trainer, s, run->tokenizer_path, name, err);
  if (!st && best) st = point_at(parent, "best", name, err);
  const char *spare[] = {s->best};
  if (!st) st = sgi_bundle_prune(parent, "step-", run->settings.checkpoint_keep, spare, s->best[0] ? 1 : 0, err);
  if (!st && run->events.saved) run->events.saved(run->events.user, name);
  sgi_free(parent);
  return st;
}

static bool due(uint64_t step, uint64_t every) { return every && step % every == 0; }

static sg_status one_step(sgi_run *run, double *took, sgi_run_line *line, sg_error *err) {
  sgi_progress_state *s = &run->state;
  double begin = sgi_now();
  sgi_batcher_get(run->batches, s->step, run->inputs, run->targets, run->starts);
  bool packed = !strcmp(run->settings.rows, "pack");
  sg_status st =
      sgi_trainer_step(run->trainer, run->inputs, run->targets, packed ? run->starts : NULL, &line->last, err);
  if (st) return st;
  *took = sgi_now() - begin;
  s->step++;
  s->tokens += line->last.targets;
  s->flops += run->plan.flops_per_step;
  s->seconds += *took;
  return SG_OK;
}

static bool stopped(const sgi_run *run) { return run->events.stop && run->events.stop(run->events.user); }

static sg_status loop(sgi_run *run, sg_error *err) {
  const sgi_settings *set = &run->settings;
  sgi_progress_state *s = &run->state;
  double slow = 0, tokens = 0; /* running means of the last steps */
  while (s->step < run->plan.steps) {
    sgi_run_line line = {.steps = run->plan.steps};
    double took;
    sg_status st = one_step(run, &took, &line, err);
    if (st) return st;
    slow = slow > 0 ? 0.95 * slow + 0.05 * took : took;
    tokens = tokens > 0 ? 0.95 * tokens + 0.05 * (double)line.last.targets : (double)line.last.targets;
    line.step = s->step;
    line.tokens = s->tokens;
    line.seconds = s->seconds;
    line.tokens_per_second = tokens / slow;
    line.seconds_left = slow * (double)(run->plan.steps - s->step);
    bool end = s->step == run->plan.steps, save = end || due(s->step, set->checkpoint_every);
    if (end || s->step == 1 || due(s->step, set->log_every)) st = sgi_run_log_step(run, &line, err);
    if (!st && run->events.step) run->events.step(run->events.user, &line);
    if (!st && (save || due(s->step, set->eval_every))) st = evaluate(run, err);
    bool stop = !st && !end && stopped(run);
    if (!st && (save || stop)) st = checkpoint(run, err);
    if (st) return st;
    if (stop)
      return sgi_fail(err, SG_ERR_CANCELLED,
                      "stopped after step %llu of %llu; go on with: sgatlin train --resume -o %s",
                      (unsigned long long)s->step, (unsigned long long)run->plan.steps, run->directory);
  }
  return SG_OK;
}

sg_status sgi_run_train(sgi_run *run, sg_error *err) {
  sg_status st = make_trainer(run, err);
  if (!st && run->resume) st = load_newest(run, err);
  if (!st && run->state.step >= run->plan.steps)
    sgi_run_note(run, "all %llu steps are done already", (unsigned long long)run->plan.steps);
  return st ? st : loop(run, err);
}
