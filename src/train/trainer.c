#include "train/trainer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/metrics.h"
#include "train/blame.h"

static sg_status check(const sgi_trainer_settings *s, sg_error *err) {
  if (!s->batch_size || !s->seq_len)
    return sgi_fail(err, SG_ERR_ARG, "train.batch_size and train.seq_len must be at least 1");
  if (!s->micro_batch || s->batch_size % s->micro_batch)
    return sgi_fail(err, SG_ERR_ARG, "train.micro_batch is %zu: it must divide train.batch_size = %zu", s->micro_batch,
                    s->batch_size);
  if (!s->accumulation) return sgi_fail(err, SG_ERR_ARG, "train.grad_accumulation must be at least 1");
  if (!(s->clip >= 0) || !(s->weight_decay >= 0))
    return sgi_fail(err, SG_ERR_ARG, "optimizer.clip and optimizer.weight_decay must be at least 0");
  sg_status st = sgi_optimizer_check(&s->optimizer, err);
  return st ? st : sgi_schedule_check(&s->schedule, err);
}

sgi_trainer_settings sgi_trainer_defaults(size_t batch_size, size_t seq_len) {
  return (sgi_trainer_settings){.batch_size = batch_size,
                                .seq_len = seq_len,
                                .micro_batch = batch_size,
                                .accumulation = 1,
                                .clip = 2,
                                .weight_decay = 1e-4,
                                .optimizer = sgi_optimizer_usual(sgi_optimizer_at(0)),
                                .schedule = {.kind = SGI_SCHEDULE_CONSTANT, .peak = 1e-3, .updates = 1000000}};
}

size_t sgi_trainer_arenas(const sgi_trainer_settings *s) {
  return 2 + s->optimizer.ops->n_moments + (s->accumulation > 1);
}

sg_status sgi_trainer_bytes(const sg_config *c, const sgi_trainer_settings *s, size_t *bytes, sg_error *err) {
  sgi_table t;
  sg_status st = sgi_model_table(c, &t, err);
  if (st) return st;
  size_t weights, activations;
  bool fits = sgi_size_mul(t.floats, sizeof(float) * sgi_trainer_arenas(s), &weights);
  sgi_table_deinit(&t);
  st = sgi_pass_bytes(c, s->micro_batch, s->seq_len, true, &activations, err);
  if (st) return st;
  if (!fits || !sgi_size_add(weights, activations, bytes))
    return sgi_fail(err, SG_ERR_MEMORY, "training this model needs more than this machine can address");
  return SG_OK;
}

sg_status sgi_trainer_create(sg_model *model, const sgi_trainer_settings *s, sgi_trainer **out, sg_error *err) {
  *out = NULL;
  sg_status st = check(s, err);
  if (!st) st = sgi_model_own(model, err);
  if (st) return st;
  size_t bytes = model->table.floats * sizeof(float);
  sgi_trainer *t = sgi_alloc(sizeof *t);
  if (!t) return sgi_fail_memory(err, sizeof *t, "a trainer");
  t->settings = *s;
  bool all = (t->grad = sgi_alloc(bytes)) != NULL;
  for (size_t i = 0; i < s->optimizer.ops->n_moments; i++) all &= (t->moment[i] = sgi_alloc(bytes)) != NULL;
  if (s->accumulation > 1) all &= (t->sum = sgi_alloc(bytes)) != NULL;
  if (!all) st = sgi_fail_memory(err, bytes * (sgi_trainer_arenas(s) - 1), "gradient and optimizer state");
  if (!st) st = sgi_pass_create(model, s->micro_batch, s->seq_len, true, &t->pass, err);
  if (st) {
    sgi_trainer_free(t);
    return st;
  }
  t->model = model;
  *out = t;
  return SG_OK;
}

void sgi_trainer_free(sgi_trainer *t) {
  if (!t) return;
  sgi_pass_free(t->pass);
  sg_model_free(t->model);
  sgi_free(t->grad);
  sgi_free(t->sum);
  for (size_t i = 0; i < SGI_MAX_MOMENTS; i++) sgi_free(t->moment[i]);
  sgi_free(t);
}

void sgi_trainer_profile(sgi_trainer *t, sgi_profile *profile) {
  t->profile = profile;
  sgi_pass_profile(t->pass, profile);
}

double sgi_trainer_param_norm(const sgi_trainer *t) { return sgi_arena_norm(t->model->arena, t->model->table.floats); }

static size_t count_targets(const sgi_trainer *t, const sgi_batch *batch) {
  size_t counted = 0;
  for (size_t i = 0; i < batch->B * batch->T; i++) counted += batch->targets[i] != t->model->config.pad_id;
  return counted;
}

/* Rows [b, b + n) of a batch. */
static sgi_batch rows_of(const sgi_batch *batch, size_t b, size_t n) {
  size_t at = b * batch->T;
  const int32_t *starts = batch->starts ? batch->starts + at : NULL;
  return (sgi_batch){n, batch->T, batch->inputs + at, batch->targets + at, starts};
}

/* Loss and gradient of a batch by micro-batches. Both are divided by `counted`, the number of
 * targets of the whole batch: where the batch is a part of a larger one, that of the larger. */
static sg_status gradient(sgi_trainer *t, const sgi_batch *batch, size_t counted, sgi_metrics *sum, sg_error *err) {
  size_t rows = t->settings.micro_batch;
  float scale = counted ? (float)(1.0 / (double)counted) : 0;
  sg_status st = SG_OK;
  for (size_t b = 0; b < batch->B && !st; b += rows) {
    sgi_batch part = rows_of(batch, b, rows);
    st = sgi_pass_forward(t->pass, &part, NULL, err);
    if (!st) st = sgi_pass_loss(t->pass, sum, t->grad, scale, err);
    if (!st) st = sgi_pass_backward(t->pass, t->grad, err);
  }
  return st;
}

static void update(sgi_trainer *t, float *g, double norm, double lr) {
  const sgi_trainer_settings *s = &t->settings;
  sgi_update u = {.lr = lr,
                  .decay = s->weight_decay / s->schedule.peak,
                  .grad_scale = sgi_clip_scale(norm, s->clip),
                  .done = t->updates};
  sgi_shard whole = {&t->model->table, t->model->arena, g, t->moment, 0, t->model->table.floats};
  sgi_optimizer_update(&s->optimizer, &u, &whole);
  t->updates++;
}

/* ---- numbers that are not finite ------------------------------------------------------------- */

sg_status sgi_trainer_check(const sgi_trainer *t, sg_error *err) {
  const sgi_optimizer_ops *ops = t->settings.optimizer.ops;
  sgi_suspect moments[SGI_MAX_MOMENTS];
  for (size_t i = 0; i < ops->n_moments; i++) moments[i] = (sgi_suspect){ops->moments[i].words, t->moment[i]};
  sg_status st = sgi_blame_state(t->model, moments, ops->n_moments, err);
  return st ? sgi_error_prefix(err, st, "after step %llu (batch %llu of the run)", (unsigned long long)t->steps,
                               (unsigned long long)t->steps - 1)
            : SG_OK;
}

/* why: what the step saw, "the loss is nan". Clears the gradient. */
static sg_status refuse(sgi_trainer *t, const sgi_batch *batch, const char *why, sg_error *err) {
  char text[SGI_BLAME_TEXT];
  sgi_blame_batch(&(sgi_refused){t->model, t->pass, t->grad, batch, t->settings.micro_batch}, text);
  memset(t->grad, 0, t->model->table.floats * sizeof(float));
  return sgi_fail(err, SG_ERR_NUMERIC, "step %llu (batch %llu of the run): %s: %s; the step was not taken",
                  (unsigned long long)t->steps + 1, (unsigned long long)t->steps, why, text);
}

/* Whose gradient is the largest. */
static const sgi_row *largest(const sgi_trainer *t) {
  const sgi_table *table = &t->model->table;
  size_t at = 0;
  double most = -1;
  for (size_t i = 0; i < table->count; i++) {
    double norm = sgi_arena_norm(t->grad + table->rows[i].offset, table->rows[i].count);
    if (norm > most) most = norm, at = i;
  }
  return &table->rows[at];
}

static sg_status refuse_jump(sgi_trainer *t, double norm, sg_error *err) {
  const sgi_row *row = largest(t);
  const char *layer = strstr(row->name, "layers.");
  char where[40] = "";
  if (layer) {
    const char *number = layer + strlen("layers.");
    snprintf(where, sizeof where, " (layer %.*s)", (int)strspn(number, "0123456789"), number);
  }
  memset(t->grad, 0, t->model->table.floats * sizeof(float));
  return sgi_fail(err, SG_ERR_NUMERIC,
                  "step %llu (batch %llu of the run): the gradient's norm jumps to %g from a median of %g, most of it "
                  "in %s%s; the step was not taken",
                  (unsigned long long)t->steps + 1, (unsigned long long)t->steps, norm, sgi_norms_median(&t->norms),
                  row->name, where);
}

/* ---- a step ---------------------------------------------------------------------------------- */

/* The mean of several batches' gradients is clipped and applied with the last of them (golden
 * README no. 20). */
static void accumulate(sgi_trainer *t, double lr) {
  size_t floats = t->model->table.floats;
  float part = 1.0f / (float)t->settings.accumulation;
#pragma omp parallel for simd schedule(static)
  for (size_t i = 0; i < floats; i++) {
    t->sum[i] += part * t->grad[i];
    t->grad[i] = 0;
  }
  if ((t->steps + 1) % t->settings.accumulation == 0) update(t, t->sum, sgi_arena_norm(t->sum, floats), lr);
}

sg_status sgi_trainer_step(sgi_trainer *t, const int32_t *inputs, const int32_t *targets, const int32_t *starts,
                           sgi_step *out, sg_error *err) {
  sgi_metrics sum = {0};
  sgi_batch batch = {t->settings.batch_size, t->settings.seq_len, inputs, targets, starts};
  sg_status st = gradient(t, &batch, count_targets(t, &batch), &sum, err);
  if (st == SG_ERR_NUMERIC) return refuse(t, &batch, "a norm overflows", err);
  if (st) {
    memset(t->grad, 0, t->model->table.floats * sizeof(float));
    return st;
  }
  double n = sum.targets ? (double)sum.targets : 1;
  out->loss = sum.nll / n;
  out->accuracy = (double)sum.correct / n;
  out->perplexity = exp(out->loss);
  out->perplexity_last_token = sgi_metrics_perplexity_last_token(&sum);
  out->targets = sum.targets;
  double at = sgi_lap_begin(t->profile), floats = (double)t->model->table.floats;
  out->grad_norm = sgi_arena_norm(t->grad, t->model->table.floats);
  sgi_lap(t->profile, &at, "gradient norm", 0, 4 * floats);
  out->lr = sgi_schedule_at(&t->settings.schedule, t->updates);
  if (!isfinite(out->loss) || !isfinite(out->grad_norm)) {
    char why[80];
    snprintf(why, sizeof why, "the loss is %g, the gradient's norm %g", out->loss, out->grad_norm);
    return refuse(t, &batch, why, err);
  }
  if (sgi_norms_jump(&t->norms, out->grad_norm)) return refuse_jump(t, out->grad_norm, err);
  if (t->sum)
    accumulate(t, out->lr);
  else
    update(t, t->grad, out->grad_norm, out->lr);
  sgi_lap(t->profile, &at, "optimizer", 0, t->settings.optimizer.ops->bytes_per_weight * floats);
  t->steps++;
  out->param_norm = sgi_trainer_param_norm(t);
  return isfinite(out->param_norm) ? SG_OK : sgi_trainer_check(t, err);
}
