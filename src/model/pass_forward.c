/* pass_forward.c: tokens to logits and loss. */
#include <string.h>

#include "core/file_guard.h"
#include "math/gemm.h"
#include "math/rows.h"
#include "math/stored.h"
#include "model/finite.h"
#include "model/loss.h"
#include "model/metrics.h"
#include "model/pass_inside.h"

static sg_status check_batch(const sgi_pass *p, const sgi_batch *b, sg_error *err) {
  size_t V = p->model->config.vocab_size;
  if (!b->B || !b->T || b->B > p->max_B || b->T > p->max_T)
    return sgi_fail(err, SG_ERR_ARG, "batch of %zu x %zu tokens does not fit a pass made for %zu x %zu", b->B, b->T,
                    p->max_B, p->max_T);
  const sgi_cache *kv = p->cache;
  if (kv && (b->starts || b->B > kv->streams || kv->past > kv->capacity || b->T > kv->capacity - kv->past))
    return sgi_fail(err, SG_ERR_ARG,
                    "%zu sequences of %zu more tokens do not fit a cache of %zu x %zu positions, %zu used", b->B, b->T,
                    kv->streams, kv->capacity, kv->past);
  for (size_t i = 0; i < b->B * b->T; i++) {
    if (b->inputs[i] < 0 || (size_t)b->inputs[i] >= V ||
        (b->targets && (b->targets[i] < 0 || (size_t)b->targets[i] >= V)))
      return sgi_fail(err, SG_ERR_ARG, "row %zu, position %zu: token id %d is outside the vocabulary of %zu", i / b->T,
                      i % b->T, b->inputs[i] < 0 || (size_t)b->inputs[i] >= V ? b->inputs[i] : b->targets[i], V);
    if (b->starts &&
        (b->starts[i] < 0 || (size_t)b->starts[i] > i % b->T || (i % b->T && b->starts[i] < b->starts[i - 1])))
      return sgi_fail(err, SG_ERR_ARG, "row %zu, position %zu: document start %d is not in order", i / b->T, i % b->T,
                      b->starts[i]);
  }
  return SG_OK;
}

static sg_status check_training(const sgi_pass *p, const sgi_batch *b, sg_error *err) {
  for (size_t i = 0; i < p->model->plan.n_steps; i++) {
    const sgi_sublayer *s = p->model->plan.steps[i].sub;
    size_t least = s->ffn && s->ffn->least_rows ? s->ffn->least_rows(s->config) : 0;
    if (b->B * b->T < least)
      return sgi_fail(err, SG_ERR_ARG,
                      "a batch of %zu x %zu tokens has no variance: layer %zu, %s, trains on at least %zu tokens at a "
                      "time",
                      b->B, b->T, s->layer, s->ffn->name, least);
  }
  return SG_OK;
}

sgi_at sgi_step_at(const sgi_pass *p, const sgi_plan_step *s) {
  return (sgi_at){.config = s ? s->sub->config : &p->model->config,
                  .layer = s ? (ptrdiff_t)s->layer : -1,
                  .T = p->batch.T,
                  .step = s ? s->step : 0,
                  .stage = s ? s->stage : 0,
                  .staged = s && sgi_form_evaluations(&p->model->config) > 1};
}

sg_status sgi_show(const sgi_pass *p, const sgi_plan_step *s, const sgi_tap *tap, sgi_site_id id, void *data,
                   size_t first, size_t n) {
  sgi_at at = sgi_step_at(p, s);
  return sgi_tap_visit(tap, &at, id, &(sgi_left){.data = data}, first, n);
}

/* A norm's inverse scale as a site; where the tap changed it, y = x r g once more. */
static sg_status visit_scale(sgi_pass *p, const sgi_plan_step *s, const sgi_tap *tap, sgi_site_id id, float *y,
                             float *r, const float *x, const float *g) {
  size_t n = rows_of(p), D = p->model->config.hidden_size;
  sgi_at at = sgi_step_at(p, s);
  if (!sgi_tap_wants(tap, &at, id)) return SG_OK;
  memcpy(p->before, r, n * sizeof *r);
  sg_status st = sgi_show(p, s, tap, id, r, 0, n);
  for (size_t i = 0; i < n && !st; i++)
    for (size_t d = 0; d < D && p->before[i] != r[i]; d++) y[i * D + d] = x[i * D + d] * r[i] * g[d];
  return st;
}

/* xn = x r g, where x may still have to be made of the sum that the step before left. */
static void norm(sgi_pass *p, const sgi_plan_step *s, float *x, float *xn, float *r) {
  const sg_config *c = &p->model->config;
  size_t n = rows_of(p), D = c->hidden_size;
  const float *gain = s->sub->w[SGI_T_NORM];
  double at = sgi_lap_begin(p->scratch.profile);
  if (p->sum_x)
    sgi_sum_rmsnorm(x, p->sum_x, p->sum_y, xn, r, gain, n, D, sgi_norm_eps(c));
  else
    sgi_rmsnorm(xn, r, x, gain, n, D, sgi_norm_eps(c));
  lap_moved(p, &at, "norms, residual", n, D, p->sum_x ? 4 : 2);
  p->sum_x = NULL;
}

sg_status sgi_step_forward(sgi_pass *p, const sgi_plan_step *s, const sgi_tap *tap, float *x, float *y) {
  const sgi_sublayer_ops *ops = s->sub->ops;
  size_t n = rows_of(p);
  float *r;
  sgi_arena block = block_of(p, s, &r), scratch = p->scratch;
  step_work w;
  layout_step_work(&p->model->config, n, &scratch, &w);
  norm(p, s, x, w.xn, r);
  sg_status st = check_norms(r, n);
  if (!st) st = visit_scale(p, s, tap, ops->norm_scale_site, w.xn, r, x, s->sub->w[SGI_T_NORM]);
  if (!st) st = sgi_show(p, s, tap, ops->norm_site, w.xn, 0, n);
  if (!st) st = ops->forward(p, s, block, scratch, tap, y, w.xn);
  return st ? st : sgi_show(p, s, tap, ops->out_site, y, 0, n);
}

float *sgi_step_output(const sgi_pass *p) {
  sgi_arena scratch = p->scratch;
  step_work w;
  layout_step_work(&p->model->config, rows_of(p), &scratch, &w);
  return w.y;
}

sg_status sgi_pass_forward(sgi_pass *p, const sgi_batch *batch, const sgi_tap *tap, sg_error *err) {
  const sg_model *m = p->model;
  sg_status st = check_batch(p, batch, err);
  if (st) return st;
  if (p->training && (st = check_training(p, batch, err))) return st;
  p->batch = *batch;
  p->aux.rows = 0;
  size_t n = batch->B * batch->T, D = m->config.hidden_size;
  const sgi_weight *E = &(m->master ? m->master : m)->weights[SGI_ROW_EMBED]; /* the stream is float32 */
  float *x = stream_of(p, 0);
  double at = sgi_lap_begin(p->scratch.profile);
  int32_t past = p->cache ? (int32_t)p->cache->past : 0;
#pragma omp parallel for schedule(static) if (n > 64)
  for (size_t i = 0; i < n; i++) {
    p->position[i] = past + (int32_t)(i % batch->T) - (batch->starts ? batch->starts[i] : 0);
    sgi_weight_read(x + i * D, E, (size_t)batch->inputs[i] * D, D);
  }
  lap_moved(p, &at, "embedding", n, D, 2);
  st = sgi_show(p, NULL, tap, SGI_SITE_EMBED, x, 0, n);
  size_t l = 0;
  p->sum_x = NULL;
  bool chain = sgi_form_of(&m->config)->chain;
  for (; l < m->config.num_layers && !st; l++) {
    st = chain ? sgi_chain_forward(p, l, tap) : sgi_stages_forward(p, l, tap);
    if (!st && p->progress && !p->progress(p->user, l + 1, m->config.num_layers))
      return sgi_fail(err, SG_ERR_CANCELLED, "stopped");
  }
  at = sgi_lap_begin(p->scratch.profile);
  const float *gain = m->w[sgi_final_norm_row(m)];
  if (!st && p->sum_x)
    sgi_sum_rmsnorm(p->x, p->sum_x, p->sum_y, p->xn, p->r, gain, n, D, sgi_norm_eps(&m->config));
  else if (!st)
    sgi_rmsnorm(p->xn, p->r, p->x, gain, n, D, sgi_norm_eps(&m->config));
  if (!st && check_norms(p->r, n)) st = SG_ERR_NUMERIC;
  lap_moved(p, &at, "norms, residual", n, D, 2);
  if (m->file && sgi_guard_check(err)) return SG_ERR_IO; /* whatever else came of it */
  if (st == SG_ERR_NUMERIC && m->watched && sgi_model_check_finite(m, err)) return SG_ERR_FORMAT;
  if (st == SG_ERR_NUMERIC && !(tap && tap->err && tap->err->code == SG_ERR_NUMERIC))
    return sgi_fail(err, st, "activations at the norms of layer %zu are too large for float32", l ? l - 1 : 0);
  if (st) return named(st, err, "forward pass");
  if ((st = sgi_model_watch(m, p->r, n, "the residual stream", err))) return st;
  st = visit_scale(p, NULL, tap, SGI_SITE_FINAL_NORM_SCALE, p->xn, p->r, p->x, gain);
  return st ? st : sgi_show(p, NULL, tap, SGI_SITE_FINAL_NORM, p->xn, 0, n);
}

sg_status sgi_pass_logits(sgi_pass *p, size_t first, size_t count, float *logits, sg_error *err) {
  const sg_config *c = &p->model->config;
  size_t D = c->hidden_size, V = c->vocab_size;
  double at = sgi_lap_begin(p->scratch.profile);
  sg_status st =
      sgi_stored_linear(logits, V, p->xn + first * D, D, &p->model->weights[SGI_ROW_EMBED], count, p->scratch);
  lap_product(p, &at, "head", count, &p->model->weights[SGI_ROW_EMBED], 1);
  if (st) return named(st, err, "output head");
  if (p->model->file && sgi_guard_check(err)) return SG_ERR_IO;
  return sgi_model_watch(p->model, logits, count * V, "the logits", err);
}

sg_status sgi_pass_loss(sgi_pass *p, sgi_metrics *sum, float *grad, float grad_scale, sg_error *err) {
  const sg_model *m = p->model;
  const sg_config *c = &m->config;
  const sgi_batch *b = &p->batch;
  sg_status st = sgi_loss(p->nll, p->best, grad ? p->dx : NULL,
                          grad ? grad + m->table.rows[SGI_ROW_EMBED].offset : NULL, p->xn, &m->weights[SGI_ROW_EMBED],
                          b->targets, c->pad_id, grad_scale, b->B * b->T, c->hidden_size, c->vocab_size, p->scratch);
  if (st) return named(st, err, "loss");
  if ((st = sgi_model_watch(m, p->nll, b->B * b->T, "the loss", err))) return st;
  sgi_metrics_add(sum, p->nll, p->best, b->targets, c->pad_id, b->B, b->T);
  return SG_OK;
}
