#include "train/trainer.h"

#include <math.h>
#include <stdio.h>
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
  if (!(s->clip >= 0) || !(s->weight_decay >= 0) || !(s->beta1 >= 0 && s->beta1 < 1) ||
      !(s->beta2 >= 0 && s->beta2 < 1) || !(s->eps > 0))
    return sgi_fail(err, SG_ERR_ARG, "optimizer: clip and weight_decay must be >= 0, the betas in [0, 1), eps > 0");
  return sgi_schedule_check(&s->schedule, err);
}

static size_t arenas(const sgi_trainer_settings *s) { return s->accumulation > 1 ? 5 : 4; }

sg_status sgi_trainer_bytes(const sg_config *c, const sgi_trainer_settings *s, size_t *bytes, sg_error *err) {
  sgi_table t;
  sg_status st = sgi_model_table(c, &t, err);
  if (st) return st;
  size_t weights, activations;
  bool fits = sgi_size_mul(t.floats, sizeof(float) * arenas(s), &weights);
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
  *t = (sgi_trainer){.settings = *s, .grad = sgi_alloc(bytes), .m = sgi_alloc(bytes), .v = sgi_alloc(bytes)};
  if (s->accumulation > 1) t->sum = sgi_alloc(bytes);
  if (!t->grad || !t->m || !t->v || (s->accumulation > 1 && !t->sum))
    st = sgi_fail_memory(err, bytes * arenas(s), "gradient and optimizer state");
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
  sgi_free(t->m);
  sgi_free(t->v);
  sgi_free(t);
}

void sgi_trainer_profile(sgi_trainer *t, sgi_profile *profile) {
  t->profile = profile;
  sgi_pass_profile(t->pass, profile);
}

double sgi_trainer_param_norm(const sgi_trainer *t) { return sgi_arena_norm(t->model->arena, t->model->table.floats); }

/* Loss and gradient of a whole batch by micro-batches, both normalised by the batch's number of targets. */
static sg_status gradient(sgi_trainer *t, const int32_t *inputs, const int32_t *targets, const int32_t *starts,
                          sgi_metrics *sum, sg_error *err) {
  const sgi_trainer_settings *s = &t->settings;
  size_t T = s->seq_len, counted = 0;
  for (size_t i = 0; i < s->batch_size * T; i++) counted += targets[i] != t->model->config.pad_id;
  float scale = counted ? (float)(1.0 / (double)counted) : 0;
  sg_status st = SG_OK;
  for (size_t b = 0; b < s->batch_size && !st; b += s->micro_batch) {
    size_t at = b * T;
    sgi_batch batch = {s->micro_batch, T, inputs + at, targets + at, starts ? starts + at : NULL};
    st = sgi_pass_forward(t->pass, &batch, NULL, err);
    if (!st) st = sgi_pass_loss(t->pass, sum, t->grad, scale, err);
    if (!st) st = sgi_pass_backward(t->pass, t->grad, err);
  }
  return st;
}

static void update(sgi_trainer *t, float *g, double norm, double lr) {
  const sgi_trainer_settings *s = &t->settings;
  sgi_adamw adamw = {s->beta1, s->beta2, s->eps, s->weight_decay / s->schedule.peak};
  sgi_adamw_update(&adamw, &t->model->table, t->model->arena, g, t->m, t->v, sgi_clip_scale(norm, s->clip), lr,
                   t->updates);
  t->updates++;
}

/* The mean of several batches' gradients is clipped and applied with the last of them (golden README no. 20). */
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
  sg_status st = gradient(t, inputs, targets, starts, &sum, err);
  if (st == SG_ERR_NUMERIC) return sgi_blame_batch(t, inputs, targets, starts, "a norm overflows", err);
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
    return sgi_blame_batch(t, inputs, targets, starts, why, err);
  }
  if (t->sum)
    accumulate(t, out->lr);
  else
    update(t, t->grad, out->grad_norm, out->lr);
  sgi_lap(t->profile, &at, "optimizer", 0, 32 * floats);
  t->steps++;
  out->param_norm = sgi_trainer_param_norm(t);
  return isfinite(out->param_norm) ? SG_OK : sgi_blame_state(t, err);
}
