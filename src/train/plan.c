/* What a run will take, said before it starts. */
#include <math.h>
#include <omp.h>
#include <string.h>

#include "core/rng.h"
#include "model/flops.h"
#include "train/checkpoint.h"
#include "train/run_state.h"

/* Measured: resident pages of the program and its libraries; what reading a tokenizer leaves, per
 * token; what each thread's matrix products copy of their operands, per row (sums over the rows,
 * such as a weight's gradient, copy most). */
enum { PROCESS_BYTES = 16 << 20, TOKEN_BYTES = 600, PRODUCT_ROW_BYTES = 1024 };
/* More rows at a time than this bring no speed, only memory. */
enum { FULL_SPEED_ROWS = 8192 };

sgi_trainer_settings sgi_run_trainer_settings(const sgi_settings *s, uint64_t steps) {
  sgi_trainer_settings t = sgi_trainer_defaults(s->batch_size, s->seq_len);
  t.micro_batch = s->micro_batch;
  t.parts = s->parts ? s->parts : 1;
  t.accumulation = s->grad_accumulation;
  t.bf16 = !strcmp(s->precision, "bf16");
  t.clip = s->clip;
  t.weight_decay = s->weight_decay;
  t.optimizer = s->optimizer;
  t.aux = s->aux;
  t.threshold_lr = s->threshold_lr;
  t.int4 = s->int4;
  t.int4.on = !strcmp(s->pool_precision, "int4");
  t.int4.seed = s->seed;
  t.gate_dropout = s->gate_dropout;
  t.seed = s->seed;
  t.schedule = (sgi_schedule){.peak = s->learning_rate,
                              .updates = steps / s->grad_accumulation,
                              .warmup = s->warmup_steps,
                              .decay_fraction = s->decay_fraction};
  sgi_schedule_find(s->schedule, &t.schedule.kind, NULL); /* checked when the settings were resolved */
  return t;
}

/* Of a mapped token cache only what rows were taken from is in memory, in the system's steps of 64
 * KB. */
static size_t touched_bytes(uint64_t tokens, double rows, size_t seq_len) {
  double whole = 4.0 * (double)tokens, most = rows * fmax(65536, 4.0 * (double)seq_len);
  return (size_t)fmin(whole, most);
}

/* Parts that a batch is cut into where nobody said: ranks get one each at least, and few ranks as
 * many as eight would, so that their number is no part of a run's identity. One process alone has
 * no use for them, and they take memory. */
enum { USUAL_PARTS = 8 };

static sg_status choose_parts(sgi_run *run, sg_error *err) {
  sgi_settings *s = &run->settings;
  size_t count = sgi_ranks_count(run->who.rows), rows = s->batch_size / (s->micro_batch ? s->micro_batch : 1);
  if (sgi_ranks_count(run->who.all) > 1 && !strcmp(s->pool_precision, "int4"))
    return sgi_fail(err, SG_ERR_UNSUPPORTED,
                    "train.pool_precision=int4 and %zu ranks do not go together: start one process, or train float32",
                    sgi_ranks_count(run->who.all));
  if (!strcmp(s->pool_precision, "int4")) s->parts = 1;
  if (!s->parts) {
    s->parts = 1;
    while (run->ranks && (s->parts < USUAL_PARTS || s->parts < count) && rows % (2 * s->parts) == 0) s->parts *= 2;
  }
  if (s->parts >= count) return SG_OK;
  if (!run->resume)
    return sgi_fail(
        err, SG_ERR_ARG,
        "%zu ranks share a batch of %zu rows%s, which can be cut into %zu equal %s (train.parts, a power of "
        "two): start fewer, or take a batch that %zu divides",
        count, s->batch_size, s->micro_batch > 1 ? ", several at a time (train.micro_batch)" : "", s->parts,
        s->parts == 1 ? "part" : "parts", count);
  sgi_run_note(run,
               "the run's batches have %zu %s (train.parts), so %zu of %zu ranks compute no rows and keep a share of "
               "the optimizer's state alone",
               s->parts, s->parts == 1 ? "part" : "parts", count - s->parts, count);
  return SG_OK;
}

/* Bytes of pools in int4 with what training them needs, and their weights; 0 without. Without a
 * micro-batch as if a batch were one pass. */
static sg_status pool_bytes(const sgi_run *run, size_t *bytes, size_t *aside, sg_error *err) {
  sgi_trainer_settings t = sgi_run_trainer_settings(&run->settings, run->settings.grad_accumulation);
  *bytes = *aside = 0;
  if (!t.micro_batch) t.micro_batch = t.batch_size;
  sgi_int4_batch b = sgi_trainer_passes(&t);
  return t.int4.on ? sgi_int4_measure(&run->local, &t.int4, &b, bytes, aside, err) : SG_OK;
}

/* Bytes that do not depend on the micro-batch: process, weights, gradients, moments, batches,
 * tokens; and of pools in int4. */
static size_t fixed_bytes(const sgi_run *run, size_t floats, size_t pools) {
  const sgi_settings *s = &run->settings;
  sgi_trainer_settings t = sgi_run_trainer_settings(s, s->grad_accumulation);
  size_t arenas = 0;
  if (!sgi_trainer_arenas(floats, &t, run->who.rows, &arenas) || !sgi_size_add(arenas, pools, &arenas))
    return SIZE_MAX / 2;
  return PROCESS_BYTES + s->model.vocab_size * TOKEN_BYTES + arenas + s->batch_size * s->seq_len * 3 * sizeof(int32_t) +
         touched_bytes(run->plan.train_tokens, (double)s->steps * (double)s->batch_size, s->seq_len) +
         touched_bytes(run->plan.valid_tokens, (double)run->held_out_rows, s->seq_len);
}

static size_t product_bytes(size_t rows) {
  return (size_t)omp_get_max_threads() * PRODUCT_ROW_BYTES * (rows < FULL_SPEED_ROWS ? rows : FULL_SPEED_ROWS);
}

static sg_status choose_micro_batch(sgi_run *run, size_t fixed, sg_error *err) {
  sgi_settings *s = &run->settings;
  fixed += product_bytes(FULL_SPEED_ROWS);
  size_t rows, limit = run->max_memory > fixed ? run->max_memory - fixed : 0;
  if (s->micro_batch) return SG_OK;
  size_t part = s->batch_size / s->parts;
  sg_status st = sgi_pass_fit(&run->local, part, s->seq_len, true, limit, &rows, err);
  while (!st && rows > 1 && rows * s->seq_len > FULL_SPEED_ROWS) do
      rows--;
    while (part % rows);
  s->micro_batch = rows;
  return st;
}

static sg_status choose_steps(sgi_run *run, uint64_t forward, sg_error *err) {
  sgi_settings *s = &run->settings;
  sgi_run_plan *p = &run->plan;
  p->epoch_steps = run->batches ? sgi_batcher_batches(run->batches) : 0;
  sg_status st = SG_OK;
  if (!s->steps && s->flops_budget > 0) st = sgi_budget_steps(s->flops_budget, forward, s->batch_size, &s->steps, err);
  if (!st && !s->steps) s->steps = p->epoch_steps;
  if (!st && s->steps < s->grad_accumulation)
    st = sgi_fail(err, SG_ERR_ARG,
                  "train.steps is %llu: fewer than train.grad_accumulation = %zu, no update would be made; "
                  "more steps (--steps %zu) or --set train.grad_accumulation=1 makes one",
                  (unsigned long long)s->steps, s->grad_accumulation, s->grad_accumulation);
  p->steps = s->steps;
  p->updates = s->steps / s->grad_accumulation;
  return st;
}

sg_status sgi_run_make_plan(sgi_run *run, sg_error *err) {
  sgi_settings *s = &run->settings;
  sgi_run_plan *p = &run->plan;
  uint64_t forward = 0;
  size_t activations = 0;
  sg_status st = sgi_config_parameters(&s->model, &p->parameters, err);
  if (!st) st = sg_config_flops(&s->model, s->seq_len, &forward, err);
  if (!st) st = choose_steps(run, forward, err);
  if (!st && p->parameters > SIZE_MAX / 64)
    st =
        sgi_fail(err, SG_ERR_MEMORY, "training %zu parameters needs more than this machine can address", p->parameters);
  if (!st) st = choose_parts(run, err);
  if (st) return st;
  size_t held = p->parameters, pools, aside, rows = s->micro_batch;
  if (run->who.split && (st = sgi_config_parameters(&run->local, &held, err))) return st;
  st = pool_bytes(run, &pools, &aside, err);
  if (st) return st;
  size_t fixed = fixed_bytes(run, held - aside, pools);
  st = choose_micro_batch(run, fixed, err);
  if (!st) st = pool_bytes(run, &pools, &aside, err);
  if (!st && fixed_bytes(run, held - aside, pools) > fixed) { /* several passes an update: their sums are kept */
    fixed = fixed_bytes(run, held - aside, pools);
    s->micro_batch = rows;
    st = choose_micro_batch(run, fixed, err);
  }
  if (!st) st = sgi_pass_bytes(&run->local, s->micro_batch, s->seq_len, true, &activations, err);
  if (!st) {
    sgi_trainer_settings t = sgi_run_trainer_settings(s, s->steps);
    st = sgi_schedule_check(&t.schedule, err);
  }
  if (st) return st;
  p->flops_per_step = 3.0 * (double)forward * (double)s->batch_size;
  p->micro_batch = s->micro_batch;
  p->memory = fixed + product_bytes(s->micro_batch * s->seq_len) + activations;
  p->pool_weights = aside;
  p->pool_bytes = pools;
  p->epochs = p->train_tokens ? p->batch_tokens * (double)p->steps / (double)p->train_tokens : 0;
  p->batch_size = s->batch_size;
  p->seq_len = s->seq_len;
  p->packed = !strcmp(s->rows, "pack");
  p->checkpoint_bytes = sgi_checkpoint_bytes(p->parameters - aside, s->optimizer.ops->n_moments, pools);
  if (p->memory > run->max_memory)
    return sgi_fail(err, SG_ERR_MEMORY,
                    "this run needs about %zu MB even with one row at a time, and --max-memory is %zu MB (unless set, "
                    "3 GB or 3/4 of what the machine or container has): allow more, "
                    "or make the model, "
                    "train.seq_len or the batch smaller",
                    p->memory >> 20, run->max_memory >> 20);
  return SG_OK;
}

/* Seconds of a step of some rows, one at a time, on a model of this many layers; the better of
 * two. */
static sg_status time_layers(const sgi_settings *s, size_t layers, size_t rows, size_t T, double *seconds,
                             sg_error *err) {
  sg_config c = s->model;
  c.num_layers = layers;
  memset(c.layers, 0, sizeof c.layers);
  sgi_settings small = *s;
  small.batch_size = rows;
  small.micro_batch = small.grad_accumulation = small.parts = 1;
  small.seq_len = T;
  sgi_trainer_settings t = sgi_run_trainer_settings(&small, 1000);
  t.schedule = (sgi_schedule){.kind = SGI_SCHEDULE_CONSTANT, .peak = 1e-3, .updates = 1000};
  sg_model *m = NULL;
  sgi_trainer *trainer = NULL;
  size_t n = rows * T;
  int32_t *ids = sgi_alloc(2 * n * sizeof *ids);
  if (!ids) return sgi_fail_memory(err, 2 * n * sizeof *ids, "a timed step");
  sg_status st = sgi_trainer_model(&c, &t, 1, &m, err);
  if (!st) st = sgi_trainer_create(m, &t, &trainer, err);
  if (st) sg_model_free(m);
  sgi_rng r = sgi_rng_make(1, SGI_STREAM_SAMPLE, 0);
  for (size_t i = 0; i < 2 * n; i++) ids[i] = (int32_t)sgi_rng_below(&r, c.vocab_size);
  for (int k = 0; k < 3 && !st; k++) {
    sgi_step out;
    double begin = sgi_now();
    st = sgi_trainer_step(trainer, ids, ids + n, NULL, &out, err);
    double took = sgi_now() - begin;
    if (k && (k == 1 || took < *seconds)) *seconds = took; /* the first one touches fresh memory */
  }
  sgi_trainer_free(trainer);
  sgi_free(ids);
  return st;
}

/* Where layers differ, those timed were like the configuration says: the rest follows the FLOPs. */
static sg_status scale_to_layers(const sgi_settings *s, double *seconds, sg_error *err) {
  uint64_t real, alike;
  sg_config c = s->model;
  if (sgi_config_alike(&c)) return SG_OK;
  memset(c.layers, 0, sizeof c.layers);
  sg_status st = sg_config_flops(&s->model, s->seq_len, &real, err);
  if (!st) st = sg_config_flops(&c, s->seq_len, &alike, err);
  if (!st) *seconds *= (double)real / (double)alike;
  return st;
}

/* A step is rows, each with a head and layers, and one update of all weights, likewise. */
sg_status sgi_run_foretell_step(const sgi_run *run, double *seconds, sg_error *err) {
  const sgi_settings *s = &run->settings;
  size_t T = s->seq_len < 1024 ? s->seq_len : 1024;
  double took[2][2] = {{0}}; /* layers, rows */
  sg_status st = SG_OK;
  for (size_t l = 0; l < 2; l++)
    for (size_t r = 0; r < 2 && !st; r++) st = time_layers(s, l + 1, r + 1, T, &took[l][r], err);
  double row[2], update[2];
  for (size_t l = 0; l < 2; l++) {
    row[l] = fmax(took[l][1] - took[l][0], took[l][1] / 4);
    update[l] = fmax(took[l][0] - row[l], 0);
  }
  double more = (double)(s->model.num_layers - 1), rows = (double)s->batch_size * (double)s->seq_len / (double)T;
  *seconds = rows * (row[0] + more * fmax(row[1] - row[0], 0)) +
             (update[0] + more * fmax(update[1] - update[0], 0)) / (double)s->grad_accumulation;
  return st ? st : scale_to_layers(s, seconds, err);
}
