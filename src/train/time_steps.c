/* time_steps.c: what a step of a run takes here and now, by making some. */
#include <math.h>
#include <string.h>

#include "core/median.h"
#include "train/run_state.h"

/* Enough steps for a median: at least so many updates, and on until they have taken this long. */
enum { LEAST_UPDATES = 2, MOST_UPDATES = 32 };
static const double ENOUGH_SECONDS = 0.5;
/* So small a rate that weights stay as they start: every form does the same work however it would
 * learn. */
static const double RATE = 1e-9;

typedef struct batch {
  int32_t *inputs, *targets, *starts; /* (B,T), one block */
} batch;

/* One update: as many steps as it adds up, from the batch numbered `first` on. */
static sg_status update(const sgi_run *run, sgi_trainer *t, const batch *b, uint64_t first, sg_error *err) {
  bool packed = !strcmp(run->settings.rows, "pack");
  sg_status st = SG_OK;
  for (size_t i = 0; i < run->settings.grad_accumulation && !st; i++) {
    sgi_step out;
    if (run->events.stop && run->events.stop(run->events.user)) return sgi_fail(err, SG_ERR_CANCELLED, "stopped");
    sgi_batcher_get(run->batches, first + i, b->inputs, b->targets, b->starts);
    st = sgi_trainer_step(t, b->inputs, b->targets, packed ? b->starts : NULL, &out, err);
  }
  return st;
}

/* The first update touches fresh memory and is not counted. */
static sg_status measure(const sgi_run *run, sgi_trainer *t, const batch *b, sgi_step_time *out, sg_error *err) {
  double wall[MOST_UPDATES], cpu[MOST_UPDATES], sum = 0;
  size_t n = 0, per = run->settings.grad_accumulation;
  sg_status st = update(run, t, b, 0, err);
  while (!st && n < MOST_UPDATES && (n < LEAST_UPDATES || sum < ENOUGH_SECONDS)) {
    double began = sgi_now(), cpu_began = sgi_cpu_now();
    st = update(run, t, b, (n + 1) * per, err);
    wall[n] = (sgi_now() - began) / (double)per;
    cpu[n] = (sgi_cpu_now() - cpu_began) / (double)per;
    sum += wall[n++] * (double)per;
  }
  if (!st) *out = (sgi_step_time){.wall = sgi_median(wall, n), .cpu = sgi_median(cpu, n)};
  return st;
}

/* At the end, and unless `every` is 0 at multiples of either. */
static double evaluations(uint64_t steps, uint64_t every, uint64_t saved) {
  uint64_t a = every, b = saved;
  if (!every) return 1;
  while (b) { /* the greatest common divisor */
    uint64_t rest = a % b;
    a = b;
    b = rest;
  }
  double n = (double)((steps - 1) / every);
  if (saved)
    n += (double)((steps - 1) / saved) - floor((double)(steps - 1) / ((double)every / (double)a * (double)saved));
  return n + 1;
}

double sgi_run_evaluation_steps(const sgi_run *run) {
  const sgi_settings *s = &run->settings;
  if (!run->plan.steps) return 0;
  return evaluations(run->plan.steps, s->eval_every, s->checkpoint_every) * (double)run->held_out_rows /
         (3 * (double)s->batch_size);
}

sg_status sgi_run_time_steps(const sgi_run *run, sgi_step_time *out, sg_error *err) {
  const sgi_settings *s = &run->settings;
  size_t n = s->batch_size * s->seq_len;
  sgi_trainer_settings t = sgi_run_trainer_settings(s, run->plan.steps);
  t.schedule = (sgi_schedule){.kind = SGI_SCHEDULE_CONSTANT, .peak = RATE, .updates = 1};
  sg_model *m = NULL;
  sgi_trainer *trainer = NULL;
  int32_t *ids = sgi_alloc(3 * n * sizeof *ids);
  if (!ids) return sgi_fail_memory(err, 3 * n * sizeof *ids, "a batch");
  sg_status st = sgi_trainer_model(&s->model, &t, s->seed, &m, err);
  if (!st && (st = sgi_trainer_create(m, &t, &trainer, err))) sg_model_free(m);
  if (!st) st = measure(run, trainer, &(batch){ids, ids + n, ids + 2 * n}, out, err);
  sgi_trainer_free(trainer);
  sgi_free(ids);
  return st;
}
