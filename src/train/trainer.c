#include "train/trainer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "math/bf16.h"
#include "math/kernels.h"
#include "model/low.h"
#include "model/metrics.h"
#include "train/blame.h"
#include "train/thresholds.h"

static sg_status check(const sgi_trainer_settings *s, sg_error *err) {
  if (!s->batch_size || !s->seq_len)
    return sgi_fail(err, SG_ERR_ARG, "train.batch_size and train.seq_len must be at least 1");
  if (!s->micro_batch || s->batch_size % s->micro_batch)
    return sgi_fail(err, SG_ERR_ARG, "train.micro_batch is %zu: it must divide train.batch_size = %zu", s->micro_batch,
                    s->batch_size);
  if (!s->parts || s->batch_size % (s->parts * s->micro_batch))
    return sgi_fail(err, SG_ERR_ARG,
                    "train.parts is %zu: a batch of %zu rows, %zu at a time, cannot be cut into so many equal parts",
                    s->parts, s->batch_size, s->micro_batch);
  for (int k = 0; k < SGI_AUX_COUNT; k++)
    if (!(s->aux.part[k] >= 0)) return sgi_fail(err, SG_ERR_ARG, "the weights of train.aux must be at least 0");
  if (!(s->gate_dropout >= 0 && s->gate_dropout < 1))
    return sgi_fail(err, SG_ERR_ARG, "train.gate_dropout is %g: it must be at least 0 and below 1", s->gate_dropout);
  if (!s->accumulation) return sgi_fail(err, SG_ERR_ARG, "train.grad_accumulation must be at least 1");
  if (!(s->clip >= 0) || !(s->weight_decay >= 0))
    return sgi_fail(err, SG_ERR_ARG, "optimizer.clip and optimizer.weight_decay must be at least 0");
  if (s->int4.on && s->parts > 1)
    return sgi_fail(err, SG_ERR_ARG, "train.parts is %zu: pools in int4 are summed by one process, in one part",
                    s->parts);
  sg_status st = s->int4.on ? sgi_int4_check(&s->int4, err) : SG_OK;
  if (!st) st = sgi_optimizer_check(&s->optimizer, err);
  return st ? st : sgi_schedule_check(&s->schedule, err);
}

sgi_trainer_settings sgi_trainer_defaults(size_t batch_size, size_t seq_len) {
  return (sgi_trainer_settings){.batch_size = batch_size,
                                .seq_len = seq_len,
                                .micro_batch = batch_size,
                                .parts = 1,
                                .accumulation = 1,
                                .clip = 2,
                                .weight_decay = 1e-4,
                                .optimizer = sgi_optimizer_usual(sgi_optimizer_default()),
                                .aux = sgi_aux_usual(),
                                .threshold_lr = 5,
                                .int4 = sgi_int4_usual(),
                                .schedule = {.kind = SGI_SCHEDULE_CONSTANT, .peak = 1e-3, .updates = 1000000}};
}

bool sgi_trainer_arenas(size_t floats, const sgi_trainer_settings *s, const sg_ranks *ranks, size_t *bytes) {
  size_t count = sgi_ranks_count(ranks), moments = s->optimizer.ops->n_moments + (s->accumulation > 1);
  size_t shard = (SGI_NORM_BLOCKS + count - 1) / count * sgi_norm_block(floats);
  if (floats > SIZE_MAX / 1024) return false;
  if (shard > floats) shard = floats;
  size_t sums = sgi_parts_floats(floats, s->parts, count, sgi_ranks_me(ranks));
  return sgi_size_mul(2 * floats + moments * shard + sums, sizeof(float), bytes) &&
         sgi_size_add(*bytes, s->bf16 ? sgi_low_bytes(floats) : 0, bytes);
}

sgi_int4_batch sgi_trainer_passes(const sgi_trainer_settings *s) {
  return (sgi_int4_batch){.rows = s->micro_batch * s->seq_len,
                          .passes = s->batch_size / s->micro_batch * s->accumulation};
}

sg_status sgi_trainer_model(const sg_config *c, const sgi_trainer_settings *s, uint64_t seed, sg_model **out,
                            sg_error *err) {
  return s->int4.on ? sgi_pools_create(c, seed, (int)s->int4.substeps, out, err) : sg_model_create(c, seed, out, err);
}

sg_status sgi_trainer_bytes(const sg_config *c, const sgi_trainer_settings *s, size_t *bytes, sg_error *err) {
  sgi_table t;
  sg_status st = sgi_model_table(c, &t, err);
  if (st) return st;
  size_t weights, activations, pools = 0, aside;
  sgi_int4_batch b = sgi_trainer_passes(s);
  if (s->int4.on) sgi_table_set_aside(&t);
  bool fits = sgi_trainer_arenas(t.floats, s, NULL, &weights);
  sgi_table_deinit(&t);
  if (s->int4.on) st = sgi_int4_measure(c, &s->int4, &b, &pools, &aside, err);
  if (st) return st;
  fits = fits && sgi_size_add(weights, pools, &weights);
  st = sgi_pass_bytes(c, s->micro_batch, s->seq_len, true, &activations, err);
  if (st) return st;
  if (!fits || !sgi_size_add(weights, activations, bytes))
    return sgi_fail(err, SG_ERR_MEMORY, "training this model needs more than this machine can address");
  return SG_OK;
}

/* The most parts that a rank has. */
static size_t most_parts(const sgi_trainer *t) {
  size_t count = sgi_ranks_count(t->ranks);
  return (t->settings.parts + count - 1) / count;
}

/* Blocks of the norm that a rank has at most. */
static size_t most_blocks(const sgi_trainer *t) {
  size_t count = sgi_ranks_count(t->ranks);
  return (SGI_NORM_BLOCKS + count - 1) / count;
}

/* Copies the model's state into list, or back; floats of it. */
static size_t move_state(const sg_model *m, float *list, bool back) {
  size_t at = 0;
  for (size_t i = 0; i < m->table.count; i++) {
    const sgi_row *row = &m->table.rows[i];
    if (!row->state) continue;
    float *here = list ? m->arena + row->offset : NULL;
    if (list) memcpy(back ? here : list + at, back ? list + at : here, row->count * sizeof *list);
    at += row->count;
  }
  return at;
}

/* Lists: state before the step; after each of this rank's parts; after each part of all ranks. */
static sg_status make_state(sgi_trainer *t, const sg_model *model, sg_error *err) {
  size_t count = sgi_ranks_count(t->ranks), lists = 1 + (count + 1) * most_parts(t);
  t->state_floats = move_state(model, NULL, false);
  t->state = sgi_alloc(lists * t->state_floats * sizeof *t->state);
  return t->state ? SG_OK : sgi_fail_memory(err, lists * t->state_floats * sizeof *t->state, "statistics of routers");
}

static sg_status make_shard(sgi_trainer *t, const sg_model *model, sg_error *err) {
  size_t count = sgi_ranks_count(t->ranks), me = sgi_ranks_me(t->ranks), floats = model->table.floats, bytes;
  t->bounds = sgi_alloc((count + 1) * sizeof *t->bounds);
  t->metrics = sgi_alloc((count + 1) * most_parts(t) * sizeof *t->metrics);
  t->squares = sgi_alloc((count * most_blocks(t) + sgi_ranks_count(t->who.all)) * sizeof *t->squares);
  if (!t->bounds || !t->metrics || !t->squares) return sgi_fail_memory(err, count * sizeof *t->metrics, "a trainer");
  sgi_parts_bounds(floats, count, t->bounds);
  t->from = t->bounds[me];
  t->to = t->bounds[me + 1];
  size_t shard = (t->to - t->from + 1) * sizeof(float);
  bool all = (t->grad = sgi_alloc(floats * sizeof(float))) != NULL;
  for (size_t i = 0; i < t->settings.optimizer.ops->n_moments; i++) all &= (t->moment[i] = sgi_alloc(shard)) != NULL;
  if (t->settings.accumulation > 1) all &= (t->sum = sgi_alloc(shard)) != NULL;
  if (all) return sgi_parts_create(model, t->ranks, t->settings.parts, t->grad, &t->parts, err);
  if (!sgi_trainer_arenas(floats, &t->settings, t->ranks, &bytes)) bytes = SIZE_MAX;
  return sgi_fail_memory(err, bytes, "gradient and optimizer state");
}

/* Channels over ranks: what the ranks that compute the same rows add up. The maps that all their
 * channels read, such as a router's way down, have parts of their gradient in each. */
static void add_up(void *user, float *x, size_t n) {
  sgi_trainer *t = user;
  sgi_ranks_sum(t->who.channels, x, n, t->room);
}

static sg_status join_channels(sgi_trainer *t, const sg_model *m, sg_error *err) {
  sg_ranks *c = t->who.channels;
  size_t most = t->settings.micro_batch * t->settings.seq_len * m->config.hidden_size;
  if (sgi_ranks_count(c) == 1) return SG_OK;
  t->partial = sgi_alloc(m->table.count * sizeof *t->partial);
  if (!t->partial) return sgi_fail_memory(err, m->table.count, "a trainer");
  for (size_t i = 0; i < m->plan.n_steps; i++) {
    const sgi_sublayer *s = m->plan.steps[i].sub;
    for (size_t k = SGI_T_OWN; k < s->n_tensors && s->ffn; k++) {
      t->partial[s->row[k]] = !sgi_split_is_part(t->who.split, &m->table, s->row[k]);
      if (m->table.rows[s->row[k]].count > most) most = m->table.rows[s->row[k]].count;
    }
  }
  t->room = sgi_alloc((most + 2 * c->count) * sizeof *t->room);
  if (!t->room || !c->transport->reserve(c->self, 2 * c->count))
    return sgi_fail_memory(err, most * sizeof *t->room, "sums over channels");
  sgi_pass_add_up(t->pass, add_up, t);
  return SG_OK;
}

static sg_status join_pools(sgi_trainer *t, const sg_model *m, sg_error *err) {
  sgi_int4_batch b = sgi_trainer_passes(&t->settings);
  if (!t->settings.int4.on)
    return m->pools ? sgi_fail(err, SG_ERR_ARG, "the model's pools are int4, and are to be trained as float32") : SG_OK;
  if (sgi_ranks_count(t->who.all) > 1)
    return sgi_fail(err, SG_ERR_UNSUPPORTED,
                    "train.pool_precision=int4 and several ranks do not go together: start one process");
  sg_status st = sgi_int4_create(m, &t->settings.int4, &b, &t->int4, err);
  if (!st) sgi_pass_sink(t->pass, sgi_int4_sinks(t->int4));
  return st;
}

sg_status sgi_trainer_create_ranked(sg_model *model, const sgi_trainer_settings *s, const sgi_trainer_ranks *who,
                                    sgi_trainer **out, sg_error *err) {
  *out = NULL;
  sg_status st = check(s, err);
  if (!st) st = sgi_model_own(model, err);
  if (st) return st;
  sgi_trainer *t = sgi_alloc(sizeof *t);
  if (!t) return sgi_fail_memory(err, sizeof *t, "a trainer");
  t->settings = *s;
  if (who) t->who = *who;
  t->ranks = t->who.rows;
  st = make_shard(t, model, err);
  if (!st) st = make_state(t, model, err);
  if (!st && s->bf16) st = sgi_bf16_ready(err);
  if (!st && s->bf16) st = sgi_low_create(model, &t->low, err);
  if (!st) st = sgi_pass_create(model, s->micro_batch, s->seq_len, true, &t->pass, err);
  if (!st) st = join_channels(t, model, err);
  if (!st) st = join_pools(t, model, err);
  if (st) {
    sgi_trainer_free(t);
    return st;
  }
  t->model = model;
  sgi_pass_train(t->pass, true);
  *out = t;
  return SG_OK;
}

sg_status sgi_trainer_create(sg_model *model, const sgi_trainer_settings *s, sgi_trainer **out, sg_error *err) {
  return sgi_trainer_create_ranked(model, s, NULL, out, err);
}

void sgi_trainer_free(sgi_trainer *t) {
  if (!t) return;
  sgi_pass_free(t->pass);
  sgi_parts_free(t->parts);
  sgi_int4_free(t->int4);
  sg_model_free(t->low);
  sg_model_free(t->model);
  sgi_free(t->grad);
  sgi_free(t->sum);
  sgi_free(t->bounds);
  sgi_free(t->metrics);
  sgi_free(t->squares);
  sgi_free(t->state);
  sgi_free(t->partial);
  sgi_free(t->room);
  for (size_t i = 0; i < SGI_MAX_MOMENTS; i++) sgi_free(t->moment[i]);
  sgi_free(t);
}

void sgi_trainer_profile(sgi_trainer *t, sgi_profile *profile) {
  t->profile = profile;
  sgi_pass_profile(t->pass, profile);
}

static size_t in_shard(const sgi_trainer *t, const sgi_row *row, size_t *from) {
  size_t end = row->offset + sgi_row_floats(row), to = end < t->to ? end : t->to;
  *from = row->offset > t->from ? row->offset : t->from;
  return *from < to ? to - *from : 0;
}

/* Where channels are shared, too: tensors that all ranks of `channels` have alike count once. */
static double norm_of_slices(const sgi_trainer *t, const float *x) {
  const sgi_table *table = &t->model->table;
  double mine = 0, sum = 0;
  size_t from;
  for (size_t i = 0; i < table->count; i++) {
    size_t n = in_shard(t, &table->rows[i], &from);
    if (!sgi_ranks_lead(t->who.channels) && !sgi_split_is_part(t->who.split, table, i)) continue;
    if (n) mine += sgi_kernel_table()->sum_squares(x + from, n);
  }
  sgi_ranks_gather(t->who.all, &mine, t->squares, sizeof mine);
  for (size_t r = 0; r < sgi_ranks_count(t->who.all); r++) sum += t->squares[r];
  return sqrt(sum);
}

/* Of an arena of which each rank looks at its shard: the blocks are those of one process. */
static double shared_norm(const sgi_trainer *t, const float *x) {
  if (t->partial) return norm_of_slices(t, x);
  double part[SGI_NORM_BLOCKS] = {0}, mine[SGI_NORM_BLOCKS] = {0};
  size_t count = sgi_ranks_count(t->ranks), most = most_blocks(t), me = sgi_ranks_me(t->ranks);
  sgi_norm_squares(x, t->model->table.floats, t->from, t->to, part);
  if (count == 1) return sgi_norm_of(part);
  size_t first = SGI_NORM_BLOCKS * me / count, end = SGI_NORM_BLOCKS * (me + 1) / count;
  memcpy(mine, part + first, (end - first) * sizeof *part);
  sgi_ranks_gather(t->ranks, mine, t->squares, most * sizeof *mine);
  for (size_t r = 0; r < count; r++) {
    first = SGI_NORM_BLOCKS * r / count, end = SGI_NORM_BLOCKS * (r + 1) / count;
    memcpy(part + first, t->squares + r * most, (end - first) * sizeof *part);
  }
  return sgi_norm_of(part);
}

double sgi_trainer_param_norm(const sgi_trainer *t) {
  const sg_model *m = t->model;
  double norm = shared_norm(t, m->arena), state = 0;
  for (size_t i = 0; i < m->table.count; i++)
    if (m->table.rows[i].state)
      state += sgi_kernel_table()->sum_squares(m->arena + m->table.rows[i].offset, m->table.rows[i].count);
  double rest = norm * norm - state;
  return rest < 0 ? 0 : state != 0 ? sqrt(rest) : norm; /* NaN stays what it is */
}

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

/* A step in bf16 runs the copies of this step's weights. */
static void begin_low(sgi_trainer *t) {
  if (!t->low) return;
  double at = sgi_lap_begin(t->profile), floats = (double)t->low->table.floats;
  sgi_low_refresh(t->low);
  sgi_pass_use(t->pass, t->low);
  sgi_lap(t->profile, &at, "weights to bf16", 0, 6 * floats);
}

/* Adds a micro-batch's share of what is added to the loss, and of the numbers that tell of it. */
static void add_parts(const sgi_aux *aux, sgi_metrics *sum) {
  double value;
  sum->added += aux->share * sgi_aux_total(aux);
  for (size_t i = 0; sgi_aux_name(i); i++)
    sum->aux[i] = sgi_aux_number(aux, i, &value) ? sum->aux[i] + aux->share * value : NAN;
}

static void after_layer(void *user, size_t layer) {
  sgi_trainer *t = user;
  sgi_ranks_about(t->who.all, "training", true);
  sgi_parts_layer(t->parts, layer);
}

static bool in_forward(void *user, size_t done, size_t wanted) {
  sgi_trainer *t = user;
  (void)done, (void)wanted;
  sgi_ranks_about(t->who.all, "training", true);
  sgi_parts_poll(t->parts);
  return true;
}

/* Of the tokens from a row of this step's batch on. */
static void drop(sgi_trainer *t, size_t row) {
  const sgi_trainer_settings *s = &t->settings;
  uint64_t rows = t->steps * s->batch_size + row;
  sgi_pass_drop(t->pass, &(sgi_drop){.share = s->gate_dropout,
                                     .seed = s->seed,
                                     .first = rows * s->seq_len,
                                     .slices = sgi_ranks_count(t->who.channels),
                                     .slice = sgi_ranks_me(t->who.channels)});
}

/* One part, by micro-batches; first: its first row among the batch's. */
static sg_status part_gradient(sgi_trainer *t, const sgi_batch *part, size_t first, float scale, sgi_metrics *sum,
                               sg_error *err) {
  size_t rows = t->settings.micro_batch;
  float *grad = sgi_parts_take(t->parts);
  sg_status st = SG_OK;
  for (size_t b = 0; b < part->B && !st; b += rows) {
    sgi_batch micro = rows_of(part, b, rows);
    sgi_aux aux;
    drop(t, first + b);
    st = sgi_pass_forward(t->pass, &micro, NULL, err);
    if (!st) sgi_pass_measure(t->pass, &t->settings.aux, (double)rows / (double)t->settings.batch_size, &aux);
    if (!st) add_parts(&aux, sum);
    if (!st) st = sgi_pass_loss(t->pass, sum, grad, scale, err);
    if (t->int4 && !isfinite(sum->nll + sum->added)) sgi_int4_hold(t->int4);
    if (b + rows == part->B) sgi_parts_last(t->parts);
    if (!st) st = sgi_pass_backward(t->pass, grad, err);
    if (!st) sgi_pass_settle(t->pass, t->model);
  }
  if (!st) sgi_parts_end(t->parts);
  return st;
}

static void add_metrics(sgi_metrics *sum, const sgi_metrics *m) {
  sum->nll += m->nll;
  sum->targets += m->targets;
  sum->correct += m->correct;
  sum->last_nll += m->last_nll;
  sum->rows += m->rows;
  sum->added += m->added;
  for (size_t i = 0; i < SG_AUX_NUMBERS; i++) sum->aux[i] += m->aux[i];
}

/* State after the step: the mean of the parts', in their order, so that ranks do not matter. */
static void average_state(sgi_trainer *t, float *mean, const float *all, size_t most) {
  size_t count = sgi_ranks_count(t->ranks), first, end;
  for (size_t i = 0; i < t->state_floats; i++) {
    double sum = 0;
    for (size_t r = 0; r < count; r++) {
      sgi_parts_of(t->settings.parts, count, r, &first, &end);
      for (size_t k = 0; k < end - first; k++) sum += (double)all[(r * most + k) * t->state_floats + i];
    }
    mean[i] = (float)(sum / (double)t->settings.parts);
  }
  move_state(t->model, mean, true);
}

/* Rows of a rank's first part, and of all its parts. */
static size_t own_rows(const sgi_trainer *t, size_t *first) {
  size_t rows = t->settings.batch_size / t->settings.parts, begin, end;
  sgi_parts_of(t->settings.parts, sgi_ranks_count(t->ranks), sgi_ranks_me(t->ranks), &begin, &end);
  *first = begin * rows;
  return (end - begin) * rows;
}

/* Loss and gradient of a batch, of which this rank computes its parts. Both are divided by the
 * number of targets of the whole batch. The gradient stands in this rank's shard; the loss is
 * everybody's, summed over parts in their order. */
static sg_status gradient(sgi_trainer *t, const sgi_batch *batch, sgi_metrics *sum, sg_error *err) {
  size_t rows = t->settings.batch_size / t->settings.parts, most = most_parts(t), first, count;
  size_t counted = count_targets(t, batch), n = own_rows(t, &first) / rows;
  sgi_metrics *mine = t->metrics + sgi_ranks_count(t->ranks) * most;
  float *moved = t->state + t->state_floats, *all = moved + most * t->state_floats;
  float scale = counted ? (float)(1.0 / (double)counted) : 0;
  sg_status st = SG_OK;
  memset(mine, 0, most * sizeof *mine);
  begin_low(t);
  if (t->int4) sgi_int4_begin(t->int4, sgi_schedule_at(&t->settings.schedule, t->updates), t->updates);
  sgi_parts_begin(t->parts);
  sgi_pass_watch_back(t->pass, after_layer, t);
  sgi_pass_watch(t->pass, in_forward, t);
  for (size_t k = 0; k < n && !st; k++) {
    sgi_batch part = rows_of(batch, first + k * rows, rows);
    move_state(t->model, t->state, true); /* every part begins with what the step began with */
    st = part_gradient(t, &part, first + k * rows, scale, &mine[k], err);
    move_state(t->model, moved + k * t->state_floats, false);
  }
  sgi_pass_watch(t->pass, NULL, NULL);
  sgi_pass_watch_back(t->pass, NULL, NULL);
  sgi_pass_use(t->pass, t->model); /* whoever else runs the pass sees the masters */
  if (st) return st;
  sgi_parts_finish(t->parts);
  for (size_t i = 0, from; t->partial && i < t->model->table.count; i++) {
    size_t own = in_shard(t, &t->model->table.rows[i], &from);
    if (t->partial[i]) sgi_ranks_sum(t->who.channels, t->grad + from, own, t->room);
  }
  sgi_ranks_gather(t->ranks, mine, t->metrics, most * sizeof *mine);
  for (size_t r = 0; r < sgi_ranks_count(t->ranks); r++) {
    sgi_parts_of(t->settings.parts, sgi_ranks_count(t->ranks), r, &first, &count);
    for (size_t k = 0; k < count - first; k++) add_metrics(sum, &t->metrics[r * most + k]);
  }
  if (!t->state_floats) return SG_OK;
  sgi_ranks_gather(t->ranks, moved, all, most * t->state_floats * sizeof *moved);
  average_state(t, moved, all, most);
  return SG_OK;
}

/* Of the own shard; then each rank has all weights. */
static void update(sgi_trainer *t, float *g, double norm, double lr) {
  const sgi_trainer_settings *s = &t->settings;
  sgi_update u = {.lr = lr,
                  .decay = s->weight_decay / s->schedule.peak,
                  .grad_scale = sgi_clip_scale(norm, s->clip),
                  .done = t->updates,
                  .thresholds = s->threshold_lr};
  sgi_shard own = {&t->model->table, t->model->arena, g, t->moment, t->from, t->to, t->from};
  sgi_optimizer_update(&s->optimizer, &u, &own);
  sgi_ranks_share(t->ranks, t->model->arena, t->bounds);
  if (t->int4) sgi_int4_update(t->int4, 1.0f / (float)s->accumulation);
  t->updates++;
}

/* ---- numbers that are not finite ------------------------------------------------------------- */

sg_status sgi_trainer_check(const sgi_trainer *t, sg_error *err) {
  const sgi_optimizer_ops *ops = t->settings.optimizer.ops;
  sgi_suspect moments[SGI_MAX_MOMENTS];
  for (size_t i = 0; i < ops->n_moments; i++)
    moments[i] = (sgi_suspect){ops->moments[i].words, t->moment[i], t->from, t->to};
  sg_status st = sgi_blame_state(t->model, moments, ops->n_moments, err);
  if (!st && t->int4) st = sgi_int4_healthy(t->int4, err);
  return st ? sgi_error_prefix(err, st, "after step %llu (batch %llu of the run)", (unsigned long long)t->steps,
                               (unsigned long long)t->steps - 1)
            : SG_OK;
}

/* What one rank has found is what all say; where none has, what the first would. */
static void agree_on(const sgi_trainer *t, bool found, char text[SGI_BLAME_TEXT]) {
  size_t count = sgi_ranks_count(t->ranks);
  struct {
    bool found;
    char text[SGI_BLAME_TEXT];
  } mine = {.found = found}, *all = count > 1 ? sgi_alloc(count * sizeof *all) : NULL;
  memcpy(mine.text, text, sizeof mine.text);
  if (!all) return;
  sgi_ranks_gather(t->ranks, &mine, all, sizeof mine);
  size_t first = 0;
  while (first < count && !all[first].found) first++;
  memcpy(text, all[first < count ? first : 0].text, sizeof mine.text);
  sgi_free(all);
}

/* Sums of pools, or the pools themselves, have taken some of the step in already. */
static const char *not_taken(sgi_trainer *t) {
  t->spoiled = t->int4 != NULL;
  return t->spoiled ? "the step was not taken, but pools may have moved: go on from a checkpoint"
                    : "the step was not taken";
}

/* why: what the step saw, "the loss is nan". Clears the gradient. */
static sg_status refuse(sgi_trainer *t, const sgi_batch *batch, const char *why, bool alike, sg_error *err) {
  char text[SGI_BLAME_TEXT] = "";
  size_t first, n = own_rows(t, &first);
  sgi_batch own = rows_of(batch, first, n);
  if (alike) sgi_ranks_share(t->ranks, t->grad, t->bounds);
  bool found = sgi_blame_batch(&(sgi_refused){t->model, t->pass, t->grad, &own, t->settings.micro_batch, first}, text);
  if (alike) agree_on(t, found, text);
  move_state(t->model, t->state, true);
  sgi_parts_drop(t->parts);
  return sgi_fail(err, SG_ERR_NUMERIC, "step %llu (batch %llu of the run): %s: %s; %s",
                  (unsigned long long)t->steps + 1, (unsigned long long)t->steps, why, text, not_taken(t));
}

/* Whose gradient is the largest. */
static const sgi_row *largest(const sgi_trainer *t) {
  const sgi_table *table = &t->model->table;
  size_t at = 0;
  double most = -1;
  for (size_t i = 0; i < table->count; i++) {
    double norm = sgi_arena_norm(t->grad + table->rows[i].offset, sgi_row_floats(&table->rows[i]));
    if (norm > most) most = norm, at = i;
  }
  return &table->rows[at];
}

static sg_status refuse_jump(sgi_trainer *t, double norm, sg_error *err) {
  sgi_ranks_share(t->ranks, t->grad, t->bounds);
  const sgi_row *row = largest(t);
  const char *layer = strstr(row->name, "layers.");
  char where[40] = "";
  if (layer) {
    const char *number = layer + strlen("layers.");
    snprintf(where, sizeof where, " (layer %.*s)", (int)strspn(number, "0123456789"), number);
  }
  memset(t->grad, 0, t->model->table.floats * sizeof(float));
  move_state(t->model, t->state, true);
  return sgi_fail(err, SG_ERR_NUMERIC,
                  "step %llu (batch %llu of the run): the gradient's norm jumps to %g from a median of %g, most of it "
                  "in %s%s; %s",
                  (unsigned long long)t->steps + 1, (unsigned long long)t->steps, norm, sgi_norms_median(&t->norms),
                  row->name, where, not_taken(t));
}

/* ---- a step ---------------------------------------------------------------------------------- */

/* The mean of several batches' gradients is clipped and applied with the last of them (golden
 * README no. 20). The shard's sum takes the gradient's place for that. */
static void accumulate(sgi_trainer *t, double lr) {
  float part = 1.0f / (float)t->settings.accumulation, *g = t->grad + t->from, *sum = t->sum;
  size_t n = t->to - t->from;
  bool now = (t->steps + 1) % t->settings.accumulation == 0;
#pragma omp parallel for simd schedule(static)
  for (size_t i = 0; i < n; i++) {
    float s = sum[i] + part * g[i];
    sum[i] = now ? 0 : s;
    g[i] = now ? s : 0;
  }
  if (now) update(t, t->grad, shared_norm(t, t->grad), lr);
}

sg_status sgi_trainer_step(sgi_trainer *t, const int32_t *inputs, const int32_t *targets, const int32_t *starts,
                           sgi_step *out, sg_error *err) {
  sgi_metrics sum = {0};
  sgi_batch batch = {t->settings.batch_size, t->settings.seq_len, inputs, targets, starts};
  if (t->spoiled)
    return sgi_fail(err, SG_ERR_ARG, "an earlier step was refused with its pools half moved: go on from a checkpoint");
  move_state(t->model, t->state, false);
  sg_status st = t->steps ? SG_OK : sgi_thresholds_start(t, &batch, err);
  if (!st) st = gradient(t, &batch, &sum, err);
  if (st == SG_ERR_NUMERIC) return refuse(t, &batch, "a norm overflows", false, err);
  if (st) {
    sgi_parts_drop(t->parts);
    move_state(t->model, t->state, true);
    return st;
  }
  double n = sum.targets ? (double)sum.targets : 1;
  out->loss = sum.nll / n;
  out->total = out->loss + sum.added;
  memcpy(out->aux, sum.aux, sizeof out->aux);
  out->accuracy = (double)sum.correct / n;
  out->perplexity = exp(out->loss);
  out->perplexity_last_token = sgi_metrics_perplexity_last_token(&sum);
  out->targets = sum.targets;
  double at = sgi_lap_begin(t->profile), floats = (double)t->model->table.floats;
  out->grad_norm = shared_norm(t, t->grad);
  sgi_lap(t->profile, &at, "gradient norm", 0, 4 * floats);
  out->lr = sgi_schedule_at(&t->settings.schedule, t->updates);
  if (!isfinite(out->total) || !isfinite(out->grad_norm)) {
    char why[80];
    snprintf(why, sizeof why, "the loss is %g, the gradient's norm %g", out->loss, out->grad_norm);
    return refuse(t, &batch, why, true, err);
  }
  char pool[SGI_BLAME_TEXT];
  if (t->int4 && !sgi_int4_whole(t->int4, pool, sizeof pool)) return refuse(t, &batch, pool, true, err);
  if (sgi_norms_jump(&t->norms, out->grad_norm)) return refuse_jump(t, out->grad_norm, err);
  if (t->sum)
    accumulate(t, out->lr);
  else
    update(t, t->grad, out->grad_norm, out->lr);
  sgi_lap(t->profile, &at, "optimizer", 0, t->settings.optimizer.ops->bytes_per_weight * floats);
  if (t->int4 && !sgi_int4_whole(t->int4, pool, sizeof pool)) return refuse(t, &batch, pool, true, err);
  t->steps++;
  out->param_norm = sgi_trainer_param_norm(t);
  return isfinite(out->param_norm) ? SG_OK : sgi_trainer_check(t, err);
}
