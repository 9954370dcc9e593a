/* The training loop of a run: steps, evaluations, checkpoints, stop and resume. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/file.h"
#include "train/run_state.h"

static const char PREFIX[] = SGI_CHECKPOINT_PREFIX;

static sg_status make_trainer(sgi_run *run, sg_error *err) {
  const sgi_settings *s = &run->settings;
  sgi_trainer_settings t = sgi_run_trainer_settings(s, run->plan.steps);
  sg_model *m = NULL;
  bool normal = *s->init && strcmp(s->init, "usual");
  if (normal && run->who.split) sgi_table_start_normal(&run->split.table, SGI_START_NORMAL);
  sg_status st = run->who.split ? sgi_split_create(&run->split, &run->local, s->seed, &m, err)
                 : normal       ? sgi_model_blank(&s->model, &m, err)
                                : sgi_trainer_model(&s->model, &t, s->seed, &m, err);
  if (!st && normal && !run->who.split) {
    sgi_table_start_normal(&m->table, SGI_START_NORMAL);
    sgi_model_fill_arena(m, s->seed);
  }
  if (!st) st = sgi_trainer_create_ranked(m, &t, &run->who, &run->trainer, err);
  if (st) {
    sg_model_free(m);
    return st;
  }
  size_t n = s->batch_size * s->seq_len * sizeof(int32_t);
  run->inputs = sgi_alloc(n);
  run->targets = sgi_alloc(n);
  run->starts = sgi_alloc(n);
  if (!run->inputs || !run->targets || !run->starts) return sgi_fail_memory(err, 3 * n, "a batch");
  return sgi_evaluator_create(run->trainer->pass, m, s->micro_batch, s->seq_len, &run->evaluator, err);
}

/* What ranks share, and what they send: every gradient to its owner and every weight from it, but
 * for what a rank owns itself (docs/scaling.md). */
static void say_ranks(const sgi_run *run) {
  size_t count = sgi_ranks_count(run->who.rows), parts = run->settings.parts, N = sgi_ranks_count(run->who.channels);
  double bytes = 8.0 * (double)run->trainer->model->table.floats * (double)(count - 1) / (double)count;
  if (N > 1)
    sgi_run_note(run, "the channels of a layer are split over %zu ranks: %zu and %zu of %zu parameters in each process",
                 N, run->local.num_channels, run->trainer->model->table.parameters, run->plan.parameters);
  if (count > 1)
    sgi_run_note(run,
                 "%zu ranks: %zu parts of %zu rows a step; each keeps 1/%zu of the optimizer's state and sends about "
                 "%.3g MB a step",
                 count, parts, run->settings.batch_size / parts, count, bytes / 1e6);
}

static bool stopped(const sgi_run *run) { return run->events.stop && run->events.stop(run->events.user); }

/* ---- resume ---------------------------------------------------------------------------------- */

static void skipped(void *user, const char *name, const char *reason) {
  sgi_run_note(user, "skipped checkpoint %s: %s", name, reason);
}

/* metrics.jsonl as it was at the checkpoint: what a lost stretch of training wrote is dropped, and
 * so is a line that a power cut tore. */
static sg_status cut_metrics(sgi_run *run, sg_error *err) {
  uint64_t *bytes = &run->state.metrics_bytes;
  sgi_map map = {0};
  sg_status st = sgi_is_file(run->metrics_path) ? sgi_map_file(run->metrics_path, &map, err) : SG_OK;
  if (st) return st;
  if (*bytes > map.size) *bytes = map.size;
  while (*bytes && map.data[*bytes - 1] != '\n') --*bytes;
  bool longer = map.size > *bytes;
  sgi_unmap_file(&map);
  return longer ? sgi_truncate_file(run->metrics_path, (size_t)*bytes, err) : SG_OK;
}

static sg_status point_at(const char *parent, const char *pointer, const char *name, sg_error *err) {
  char *path = sgi_path_join(parent, pointer), text[72];
  int n = snprintf(text, sizeof text, "%s\n", name);
  sg_status st = path ? sgi_write_file(path, text, (size_t)n, err) : sgi_fail_memory(err, strlen(parent), "a path");
  sgi_free(path);
  return st;
}

/* The pointer `best` as the checkpoint knows it: a process that was killed may have left
 * another. */
static sg_status restore_best(sgi_run *run, const char *parent, sg_error *err) {
  sgi_progress_state *s = &run->state;
  char *pointer = sgi_path_join(parent, "best"), *best = sgi_path_join(parent, s->best);
  sg_status st = pointer && best ? SG_OK : sgi_fail_memory(err, strlen(parent), "a path");
  if (!st && s->best[0] && sgi_is_directory(best)) {
    st = point_at(parent, "best", s->best, err);
  } else if (!st) {
    s->best[0] = '\0';
    s->best_loss = INFINITY;
    st = sgi_remove_tree(pointer, err);
  }
  sgi_free(pointer);
  sgi_free(best);
  return st;
}

/* Settings of config.json that are not those of the checkpoint: what would change the weights is
 * refused, the rest told. */
typedef struct change {
  const sgi_run *run;
  const char *name; /* of the checkpoint */
  char refused[SG_ERROR_TEXT / 2];
} change;

static void changed(void *user, const char *key, const char *then, const char *now, bool matters) {
  change *c = user;
  if (sgi_run_may_differ(c->run, key)) return;
  if (!matters) {
    sgi_run_note(c->run, "%s is %s now; at %s it was %s", key, now, c->name, then);
    return;
  }
  size_t n = strlen(c->refused);
  snprintf(c->refused + n, sizeof c->refused - n, "%s%s is %s (was %s)", n ? ", " : "", key, now, then);
}

static sg_status compare_settings(sgi_run *run, const char *path, const char *name, sg_error *err) {
  change c = {.run = run, .name = name};
  json_t *then = NULL;
  sg_status st = sgi_checkpoint_settings(path, &then, err);
  if (!st && then) st = sgi_settings_compare(&run->settings, then, changed, &c, err);
  json_decref(then);
  if (st || !c.refused[0]) return st;
  return sgi_fail(err, SG_ERR_ARG,
                  "%s/config.json was changed after %s was saved: %s: put it back as it was, or start a new run",
                  run->directory, name, c.refused);
}

static sg_status load_checkpoint(sgi_run *run, const char *parent, const char *name, sg_error *err) {
  char *path = sgi_path_join(parent, name);
  if (!path) return sgi_fail_memory(err, strlen(parent), "a path");
  sg_status st = compare_settings(run, path, name, err);
  if (!st) st = sgi_checkpoint_load(path, run->trainer, &run->state, err);
  sgi_free(path);
  if (st) return st;
  if (run->state.data_hash != sgi_corpus_hash(run->train))
    return sgi_fail(err, SG_ERR_ARG,
                    "%s: the training text is not the one this run was started with; resume needs the same text",
                    run->data);
  if (run->state.step > run->plan.steps)
    return sgi_fail(err, SG_ERR_FORMAT, "%s/%s: is of step %llu, but the run has %llu steps", parent, name,
                    (unsigned long long)run->state.step, (unsigned long long)run->plan.steps);
  snprintf(run->saved, sizeof run->saved, "%s", name);
  sgi_run_note(run, "resuming %s after step %llu", name, (unsigned long long)run->state.step);
  return sgi_ranks_lead(run->ranks) ? restore_best(run, parent, err) : SG_OK;
}

static sg_status load_newest(sgi_run *run, sg_error *err) {
  char *parent = sgi_path_join(run->directory, "checkpoints"), name[64];
  if (!parent) return sgi_fail_memory(err, strlen(run->directory), "a path");
  bool lead = sgi_ranks_lead(run->ranks);
  sg_status st = SG_OK;
  memset(name, 0, sizeof name);
  if (lead) st = sgi_bundle_newest(parent, PREFIX, sgi_checkpoint_verify, name, sizeof name, skipped, run, err);
  if (st == SG_ERR_FORMAT)
    st = sgi_error_prefix(err, st, "resume is not possible (to begin anew, remove the checkpoints)");
  st = sgi_ranks_agree(run->ranks, st, err);
  if (!st) sgi_ranks_tell(run->ranks, name, sizeof name);
  if (!st && name[0]) st = load_checkpoint(run, parent, name, err);
  /* A power cut between a checkpoint's name and the pointer leaves the one before, which may be
   * removed by now. */
  if (!st && name[0] && lead) st = point_at(parent, "latest", name, err);
  if (!st && !name[0]) sgi_run_note(run, "there is no checkpoint yet: starting from the beginning");
  sgi_free(parent);
  return st || !lead ? st : cut_metrics(run, err);
}

/* ---- evaluation and checkpoints -------------------------------------------------------------- */

static bool stop_evaluation(void *user, uint64_t rows) {
  (void)rows;
  return stopped(user);
}

/* The lead, with those that hold the other channels. */
static bool evaluates(const sgi_run *run) {
  return sgi_ranks_lead(run->ranks) || (run->who.split && sgi_ranks_lead(run->who.rows));
}

static sg_status evaluate(sgi_run *run, sg_error *err) {
  sgi_progress_state *s = &run->state;
  if (!run->held_out) return SG_OK;
  sgi_ranks_about(run->ranks, "evaluating", false);
  s->evaluation_due = true; /* a stop now leaves it to the resumed run */
  sgi_usage_list_free(run->trainer->model, run->usage);
  run->usage = NULL;
  sg_status st = sgi_usage_list(run->trainer->model, &run->usage, err);
  sgi_evaluate_request r = {.rows = run->held_out,
                            .n_rows = run->held_out_rows,
                            .T = run->settings.seq_len,
                            .method = SGI_EVAL_TOKENS,
                            .usage = run->usage,
                            /* those that sum together go on together */
                            .stop = run->who.split ? NULL : stop_evaluation,
                            .user = run};
  sgi_evaluation e = {0};
  if (!st) st = sgi_evaluate(run->evaluator, &r, &e, err);
  if (!st && !isfinite(e.loss))
    st = sgi_fail(err, SG_ERR_NUMERIC, "the held-out loss after step %llu is %g", (unsigned long long)s->step, e.loss);
  if (!st) st = sgi_run_evaluate_buffers(run, &r, e.loss, err);
  if (!st && !sgi_ranks_lead(run->ranks)) return s->evaluation_due = false, SG_OK;
  if (!st) st = sgi_run_log_evaluation(run, &e, err);
  if (st) return st;
  s->evaluation_due = false;
  run->last_evaluation = e;
  run->evaluated_at = s->step;
  sgi_run_record(run, "step %llu: held-out loss %.5f, perplexity %.4f, accuracy %.4f", (unsigned long long)s->step,
                 e.loss, e.perplexity, e.accuracy);
  if (run->events.evaluated) run->events.evaluated(run->events.user, s->step, &e);
  return SG_OK;
}

void sgi_run_losses_free(sgi_run_losses *l) {
  sgi_free(l->row_nll);
  *l = (sgi_run_losses){0};
}

sg_status sgi_run_losses_of(sgi_run *run, sgi_run_losses *out, sg_error *err) {
  size_t rows = run->held_out ? (size_t)run->held_out_rows : 0,
         documents = run->held_out ? sgi_corpus_documents(run->valid) : 0, n = 2 * (rows + documents);
  *out = (sgi_run_losses){0};
  if (!rows) return SG_OK;
  double *x = sgi_alloc(n * sizeof *x);
  if (!x) return sgi_fail_memory(err, n * sizeof *x, "losses of the held-out text");
  *out = (sgi_run_losses){rows, documents, x, x + rows, x + 2 * rows, x + 2 * rows + documents};
  sgi_evaluate_request r = {.rows = run->held_out,
                            .n_rows = rows,
                            .T = run->settings.seq_len,
                            .method = SGI_EVAL_TOKENS,
                            .row_nll = out->row_nll,
                            .row_targets = out->row_targets,
                            .document_nll = out->document_nll,
                            .document_targets = out->document_targets,
                            .stop = stop_evaluation,
                            .user = run};
  sg_status st = sgi_evaluate(run->evaluator, &r, &run->last_evaluation, err);
  if (st) sgi_run_losses_free(out);
  return st;
}

sgi_run_texts sgi_run_texts_of(const sgi_run *run) {
  return (sgi_run_texts){sgi_corpus_hash(run->train), run->held_out ? sgi_corpus_hash(run->valid) : 0};
}

/* Takes the current step as the best so far if its evaluation says so. */
static bool is_best(sgi_run *run, const char *name) {
  sgi_progress_state *s = &run->state;
  if (run->evaluated_at != s->step || !(run->last_evaluation.loss < s->best_loss)) return false;
  s->best_loss = run->last_evaluation.loss;
  snprintf(s->best, sizeof s->best, "%s", name);
  return true;
}

/* A damaged checkpoint with a higher number, which resume passed over, must not push this one
 * out. */
static sg_status prune(const sgi_run *run, const char *parent, const char *name, sg_error *err) {
  const char *spare[] = {name, run->state.best};
  return sgi_bundle_prune(parent, PREFIX, run->settings.checkpoint_keep, spare, SGI_COUNT(spare), err);
}

/* A finished run is asked to go on: what was to follow its last checkpoint may not have been
 * done. */
static sg_status tidy(const sgi_run *run, sg_error *err) {
  char *parent = sgi_path_join(run->directory, "checkpoints"), name[64];
  if (!parent) return sgi_fail_memory(err, strlen(run->directory), "a path");
  snprintf(name, sizeof name, "%s%08llu", PREFIX, (unsigned long long)run->state.step);
  sg_status st = prune(run, parent, name, err);
  if (!st) st = sgi_remove_temporaries(parent, (const char *const[]){""}, 1, err);
  sgi_free(parent);
  return st;
}

static sg_status checkpoint(sgi_run *run, sg_error *err) {
  sgi_progress_state *s = &run->state;
  sgi_ranks_about(run->ranks, "saving a checkpoint", false);
  /* what is broken is not kept */
  sg_status st = sgi_ranks_agree(run->ranks, sgi_trainer_check(run->trainer, err), err);
  if (st) return st;
  if (!sgi_ranks_lead(run->ranks))
    return sgi_checkpoint_save(run->directory, run->trainer, s, NULL, NULL, run->saved, err);
  char name[64], *parent = sgi_path_join(run->directory, "checkpoints");
  if (!parent) return sgi_fail_memory(err, strlen(run->directory), "a path");
  snprintf(name, sizeof name, "%s%08llu", PREFIX, (unsigned long long)s->step);
  bool best = is_best(run, name);
  s->updates = run->trainer->updates;
  s->data_hash = sgi_corpus_hash(run->train);
  json_t *settings = sgi_settings_to_json(&run->settings);
  st = settings ? sgi_checkpoint_save(run->directory, run->trainer, s, run->tokenizer_path, settings, name, err)
                : sgi_fail_memory(err, 4096, "the run's settings");
  json_decref(settings);
  if (!st && best) st = point_at(parent, "best", name, err);
  if (!st) st = prune(run, parent, name, err);
  sgi_free(parent);
  if (st) return st;
  snprintf(run->saved, sizeof run->saved, "%s", name);
  sgi_run_record(run, "saved %s%s", name, best ? " (best)" : "");
  if (run->events.saved) run->events.saved(run->events.user, name);
  return SG_OK;
}

/* An evaluation that the last process owed: its checkpoint exists already. */
static sg_status evaluate_late(sgi_run *run, sg_error *err) {
  if (!run->state.evaluation_due || !evaluates(run)) return SG_OK;
  sg_status st = evaluate(run, err);
  if (st || !sgi_ranks_lead(run->ranks) || !run->saved[0] || !is_best(run, run->saved)) return st;
  char *parent = sgi_path_join(run->directory, "checkpoints");
  st = parent ? point_at(parent, "best", run->saved, err) : sgi_fail_memory(err, strlen(run->directory), "a path");
  sgi_free(parent);
  return st;
}

/* ---- the loop -------------------------------------------------------------------------------- */

static bool due(uint64_t step, uint64_t every) { return every && step % every == 0; }

static sg_status one_step(sgi_run *run, double *took, sgi_run_line *line, sg_error *err) {
  sgi_progress_state *s = &run->state;
  double begin = sgi_now();
  sgi_ranks_about(run->ranks, "training", true);
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

/* Running means over the last steps. */
typedef struct pace {
  double seconds, tokens;
} pace;

static void fill_line(const sgi_run *run, pace *p, double took, sgi_run_line *line) {
  double tokens = (double)line->last.targets;
  p->seconds = p->seconds > 0 ? 0.95 * p->seconds + 0.05 * took : took;
  p->tokens = p->tokens > 0 ? 0.95 * p->tokens + 0.05 * tokens : tokens;
  line->step = run->state.step;
  line->tokens = run->state.tokens;
  line->seconds = run->state.seconds;
  line->tokens_per_second = p->tokens / p->seconds;
  line->seconds_left = p->seconds * (double)(run->plan.steps - run->state.step);
}

static sg_status stop_here(sgi_run *run, sg_error *err) {
  return sgi_fail(err, SG_ERR_CANCELLED, "stopped after step %llu of %llu; go on with: sgatlin train --resume -o %s",
                  (unsigned long long)run->state.step, (unsigned long long)run->plan.steps, run->directory);
}

/* Thresholds of gates learn from the candidates near them alone. */
static void tell_window(sgi_run *run, const sgi_run_line *line) {
  for (size_t i = 0; !run->told_window && sg_aux_name(i); i++) {
    if (strcmp(sg_aux_name(i), "window") || !(line->last.aux[i] < 0.01)) continue;
    run->told_window = true;
    sgi_run_note(run,
                 "step %llu: %.2f %% of the gates' candidates lie within half of feedforward.gates.bandwidth of a "
                 "threshold: thresholds learn from these alone; a wider one (%g now) takes more in",
                 (unsigned long long)run->state.step, 100 * line->last.aux[i], run->settings.model.options.bandwidth);
  }
}

/* Everything that follows a step: lines, evaluation, checkpoint. *stop: the run was asked to end
 * here. */
static sg_status after_step(sgi_run *run, const sgi_run_line *line, bool *stop, sg_error *err) {
  const sgi_settings *set = &run->settings;
  uint64_t step = run->state.step;
  bool end = step == run->plan.steps, save = end || due(step, set->checkpoint_every);
  sg_status st = SG_OK;
  bool lead = sgi_ranks_lead(run->ranks);
  if (lead && (end || step == 1 || due(step, set->log_every))) st = sgi_run_log_step(run, line, err);
  if (lead) tell_window(run, line);
  if (!st && run->events.step) run->events.step(run->events.user, line);
  bool judged = end || (set->eval_every && (save || due(step, set->eval_every)));
  if (!st && evaluates(run) && judged) st = evaluate(run, err);
  if (st && st != SG_ERR_CANCELLED) return st;
  *stop = sgi_ranks_any(run->ranks, st || (!end && stopped(run))); /* one that is asked stops all */
  return save || *stop ? checkpoint(run, err) : SG_OK;
}

static sg_status loop(sgi_run *run, sg_error *err) {
  pace p = {0};
  sg_status st = evaluate_late(run, err);
  if (st && st != SG_ERR_CANCELLED) return st;
  if (sgi_ranks_any(run->ranks, st)) return stop_here(run, err);
  while (!st && run->state.step < run->plan.steps) {
    sgi_run_line line = {.steps = run->plan.steps};
    double took;
    bool stop;
    if ((st = one_step(run, &took, &line, err))) break;
    fill_line(run, &p, took, &line);
    st = after_step(run, &line, &stop, err);
    if (!st && stop) return stop_here(run, err);
  }
  if (st == SG_ERR_NUMERIC)
    sgi_run_note(run, run->saved[0] ? "the last good checkpoint is %s" : "there is no checkpoint yet%s", run->saved);
  return st;
}

sg_status sgi_run_train(sgi_run *run, sg_error *err) {
  bool lead = sgi_ranks_lead(run->ranks);
  sg_status st = sgi_ranks_agree(run->ranks, make_trainer(run, err), err);
  if (!st && run->resume) st = sgi_ranks_agree(run->ranks, load_newest(run, err), err);
  if (!st) st = sgi_ranks_agree(run->ranks, sgi_run_start_from(run, err), err);
  if (!st && run->extended_from && lead) st = sgi_run_save_config(run, err);
  if (!st) sgi_run_say_extension(run);
  if (!st && run->state.step >= run->plan.steps)
    sgi_run_note(run, "all %llu steps are done already; train on with: sgatlin train --resume -o %s --steps %llu",
                 (unsigned long long)run->plan.steps, run->directory, 2 * (unsigned long long)run->plan.steps);
  if (!st && run->state.step >= run->plan.steps && lead) st = tidy(run, err);
  const sg_config *c = &run->settings.model;
  if (!st)
    sgi_run_record(run, "training: %s, %zu parameters, %zu x %zu tokens a step, %zu rows at a time, steps %llu to %llu",
                   c->feedforward, run->plan.parameters, run->settings.batch_size, run->settings.seq_len,
                   run->plan.micro_batch, (unsigned long long)run->state.step + 1, (unsigned long long)run->plan.steps);
  if (!st) say_ranks(run);
  if (!st) st = loop(run, err);
  sgi_run_record(run, "%s", st && err ? err->text : st ? sg_status_text(st) : "done");
  return st;
}
