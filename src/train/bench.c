#include "train/bench.h"

#include <malloc.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "core/file.h"
#include "core/median.h"
#include "core/rng.h"
#include "math/bf16.h"
#include "math/gemm.h"
#include "math/kernels.h"
#include "model/flops.h"
#include "model/low.h"
#include "train/trainer.h"

enum { COPY_BYTES = 96 << 20, DECODED = 31, PROFILED = 8 };

enum { T_COPY, T_TRAIN, T_FORWARD, T_DECODE, T_OPEN, T_FIRST, TIMES };

/* What the rounds write to; everything is made before the first. */
typedef struct stage {
  const sgi_bench_request *r;
  sg_model *model;      /* a saved one, or forward only; else the trainer's */
  sgi_trainer *trainer; /* or NULL */
  sg_model *low;        /* what forward passes in bf16 run, or NULL */
  sgi_pass *pass;       /* of the forward passes: its own, without backward */
  int32_t *inputs, *targets;
  char *from, *to; /* COPY_BYTES */
  sg_generator *generator;
  sgi_yardstick *yardstick;
  double *times[TIMES]; /* (rounds) */
  double (*clock)(void);
  sgi_bench *out;
} stage;

static void release(stage *s) {
  sgi_pass_free(s->pass);
  sg_generator_free(s->generator);
  sgi_yardstick_free(s->yardstick);
  sgi_trainer_free(s->trainer);
  sg_model_free(s->low);
  sg_model_free(s->model);
  void *blocks[] = {s->inputs, s->targets, s->from, s->to};
  for (size_t i = 0; i < SGI_COUNT(blocks); i++) sgi_free(blocks[i]);
  for (size_t i = 0; i < SGI_COUNT(s->times); i++) sgi_free(s->times[i]);
}

static sg_status tokens(stage *s, sg_error *err) {
  size_t n = s->r->batch_size * s->r->seq_len;
  s->inputs = sgi_alloc(n * sizeof *s->inputs);
  s->targets = sgi_alloc(n * sizeof *s->targets);
  if (!s->inputs || !s->targets) return sgi_fail_memory(err, 2 * n * sizeof *s->inputs, "a batch");
  sgi_rng random = sgi_rng_make(s->r->seed, SGI_STREAM_SAMPLE, 0);
  for (size_t i = 0; i < n; i++) {
    s->inputs[i] = (int32_t)sgi_rng_below(&random, s->r->config->vocab_size);
    s->targets[i] = (int32_t)sgi_rng_below(&random, s->r->config->vocab_size);
  }
  return SG_OK;
}

static sg_status yardsticks(stage *s, const sg_model *model, sg_error *err) {
  s->from = sgi_alloc(COPY_BYTES);
  s->to = sgi_alloc(COPY_BYTES);
  bool all = s->from && s->to;
  for (size_t i = 0; i < SGI_COUNT(s->times); i++) all &= (s->times[i] = sgi_alloc(s->r->rounds * sizeof(double))) != 0;
  if (!all) return sgi_fail_memory(err, 2 * COPY_BYTES, "a measurement");
  memset(s->from, 1, COPY_BYTES);
  memset(s->to, 1, COPY_BYTES); /* pages that are there, or the first copy would pay for them */
  sg_status st = sgi_yardstick_create(model, s->r->batch_size * s->r->seq_len, s->r->rounds, &s->yardstick, err);
  /* oneDNN makes its kernels; the first round takes its place */
  return st ? st : sgi_yardstick_round(s->yardstick, 0, s->clock, err);
}

static sg_status train(stage *s, sg_error *err) {
  sgi_step step;
  return s->trainer ? sgi_trainer_step(s->trainer, s->inputs, s->targets, NULL, &step, err) : SG_OK;
}

static sg_status forward(stage *s, sg_error *err) {
  sgi_batch batch = {s->r->batch_size, s->r->seq_len, s->inputs, s->targets, NULL};
  sgi_metrics sum = {0};
  sg_status st = sgi_pass_forward(s->pass, &batch, NULL, err);
  return st ? st : sgi_pass_loss(s->pass, &sum, NULL, 0, err);
}

/* Tokens one by one; which they are does not matter. */
static sg_status decode(stage *s, size_t n, sg_error *err) {
  sg_generator_reset(s->generator);
  sg_status st = sg_generator_feed(s->generator, s->inputs, 1, err);
  for (size_t i = 0; i < n && !st; i++) st = sg_generator_step(s->generator, s->inputs + i % s->r->seq_len, err);
  return st;
}

/* A token takes so little that reading the clock would show: what is timed as a whole has no
 * profile. */
static sg_status decode_profiled(stage *s, sg_error *err) {
  sgi_generator_profile(s->generator, &s->out->decode);
  sg_status st = decode(s, PROFILED, err);
  sgi_generator_profile(s->generator, NULL);
  return st;
}

/* What a forward pass in bf16 runs: copies of the weights, made once. */
static sg_status low_model(stage *s, const sg_model *m, sg_error *err) {
  sg_status st = sgi_bf16_ready(err);
  if (!st && !m->arena)
    st = sgi_fail(err, SG_ERR_ARG, "train.precision=bf16 is a training step's: a saved model runs as it is stored");
  if (!st) st = sgi_low_create(m, &s->low, err);
  if (!st) sgi_low_refresh(s->low);
  return st;
}

static size_t peak_rss(void) {
  struct rusage usage;
  return getrusage(RUSAGE_SELF, &usage) ? 0 : (size_t)usage.ru_maxrss * 1024;
}

/* So that a measurement does not show an earlier one's peak, where the system allows it (Linux:
 * proc_pid_clear_refs(5)). */
static void forget_peak(void) {
  malloc_trim(0);
  (void)sgi_append_file("/proc/self/clear_refs", "5", 1, NULL);
}

static sgi_trainer_settings trainer_settings(const sgi_bench_request *r) {
  sgi_trainer_settings t = sgi_trainer_defaults(r->batch_size, r->seq_len);
  t.bf16 = r->bf16;
  if (r->aux) t.aux = *r->aux;
  if (r->int4) t.int4 = *r->int4;
  return t;
}

static sg_status make_model(stage *s, sg_error *err) {
  sgi_trainer_settings t = trainer_settings(s->r);
  return s->r->directory ? sg_model_load(s->r->directory, &s->model, err)
                         : sgi_trainer_model(s->r->config, &t, s->r->seed, &s->model, err);
}

/* Of a map all, of what is there for each unit of a choice the chosen ones. */
static double share_read(const sg_model *m, const sgi_plan_step *s, size_t tensor) {
  sgi_gates g;
  const char *name = m->table.rows[s->sub->row[tensor]].name;
  if (!s->sub->ffn || !strstr(name, ".experts.") || !sgi_layer_gates(m, s->layer, &g)) return 1;
  return (double)(g.pool_per_channel ? g.top_k : g.channels * g.top_k) / (double)g.pool;
}

/* What a decoded token reads: maps and chosen units of every step as they are stored, and the
 * head. */
static double decode_bytes(const sg_model *m) {
  double sum = (double)sgi_weight_bytes(&m->weights[SGI_ROW_EMBED]);
  for (size_t i = 0; i < m->plan.n_steps; i++) {
    const sgi_plan_step *s = &m->plan.steps[i];
    for (size_t t = 0; t < s->sub->n_tensors; t++)
      if (m->table.rows[s->sub->row[t]].stored)
        sum += share_read(m, s, t) * (double)sgi_weight_bytes(s->sub->weight[t]);
  }
  return sum;
}

/* Everything that rounds need. The peak is taken after one step, before what only the measurement
 * needs is made. */
static sg_status prepare(stage *s, sg_error *err) {
  const sgi_bench_request *r = s->r;
  sgi_trainer_settings t = trainer_settings(r);
  forget_peak();
  sg_status st = tokens(s, err);
  if (!st) st = make_model(s, err);
  if (st) return st;
  const sg_model *model = s->model;
  s->out->decode_bytes_per_token = decode_bytes(model);
  if (!r->forward_only) {
    st = sgi_trainer_create(s->model, &t, &s->trainer, err);
    if (st) return st;
    s->model = NULL; /* the trainer's now */
    st = train(s, err);
    s->out->peak_rss_bytes = peak_rss();
    if (!st && r->directory) st = make_model(s, err);
    if (!st && r->directory) model = s->model;
  }
  if (!st && r->bf16) st = low_model(s, model, err);
  if (!st) st = sgi_pass_create(s->low ? s->low : model, r->batch_size, r->seq_len, false, &s->pass, err);
  if (!st) st = forward(s, err);
  if (r->forward_only) s->out->peak_rss_bytes = peak_rss();
  if (!st) st = sg_generator_create(model, 1, DECODED + 1, &s->generator, err);
  return st ? st : yardsticks(s, model, err);
}

static void copy(stage *s) {
  enum { PIECE = 1 << 20 };
#pragma omp parallel for schedule(static)
  for (size_t i = 0; i < COPY_BYTES; i += PIECE) memcpy(s->to + i, s->from + i, PIECE);
}

/* Opens the saved model once more, so that no page of it is mapped, and asks for one token. */
static sg_status open_again(stage *s, double *took, sg_error *err) {
  if (!s->r->directory) return SG_OK;
  sg_model *m = NULL;
  sg_generator *g = NULL;
  double at = s->clock();
  sg_status st = sg_model_load(s->r->directory, &m, err);
  took[T_OPEN] = s->clock() - at;
  if (!st) st = sg_generator_create(m, 1, DECODED + 1, &g, err);
  if (!st) st = sg_generator_feed(g, s->inputs, 1, err);
  took[T_FIRST] = s->clock() - at;
  sg_generator_free(g);
  sg_model_free(m);
  return st;
}

static sg_status one_round(stage *s, size_t round, double *took, sg_error *err) {
  sg_status st = sgi_yardstick_round(s->yardstick, round, s->clock, err);
  if (st) return st;
  double at = s->clock(), now;
  copy(s);
  took[T_COPY] = (now = s->clock()) - at, at = now;
  size_t allocations = sgi_alloc_count();
  st = train(s, err);
  took[T_TRAIN] = (now = s->clock()) - at, at = now;
  if (!st) st = forward(s, err);
  took[T_FORWARD] = (now = s->clock()) - at, at = now;
  if (!st) st = decode(s, DECODED, err);
  took[T_DECODE] = (s->clock() - at) / (DECODED + 1);
  if (!st) st = decode_profiled(s, err);
  s->out->allocations += sgi_alloc_count() - allocations;
  return st ? st : open_again(s, took, err);
}

static sg_status rounds(stage *s, sg_error *err) {
  const sgi_bench_request *r = s->r;
  sg_status st = SG_OK;
  if (s->trainer) sgi_trainer_profile(s->trainer, &s->out->train);
  sgi_pass_profile(s->pass, &s->out->forward);
  for (size_t i = 0; i < r->rounds && !st; i++) {
    double took[TIMES] = {0};
    st = one_round(s, i, took, err);
    for (size_t k = 0; k < SGI_COUNT(took); k++) s->times[k][i] = took[k];
    if (!st && r->progress && !r->progress(r->user, i + 1, r->rounds))
      st = sgi_fail(err, SG_ERR_CANCELLED, "stopped after %zu of %zu rounds", i + 1, r->rounds);
  }
  return st;
}

/* Forward FLOPs of one token: sg_config_flops has all T positions in its attention; a token at
 * position i sees i + 1. */
static sg_status count_flops(const sgi_bench_request *r, sgi_bench *out, sg_error *err) {
  uint64_t layers, head;
  size_t T = r->seq_len;
  const sg_config *c = r->config;
  sg_status st = sg_config_flops(c, T, &layers, err);
  if (!st) st = sgi_config_head_flops(c, T, &head, err);
  if (!st) st = sgi_config_parameters(c, &out->parameters, err);
  if (st) return st;
  double attentions = 0; /* runs of it */
  for (size_t l = 0; l < c->num_layers; l++)
    if (sgi_config_has(c, l, SG_ATTENTION)) attentions += (double)sgi_form_evaluations(c);
  double width = (double)(c->num_heads * c->head_dim), unseen = 4 * width * attentions * (double)(T - 1) / 2;
  out->forward_flops_per_token = ((double)layers + (double)head) / (double)T - unseen;
  out->train_flops_per_token = r->forward_only ? 0 : 3 * out->forward_flops_per_token;
  return SG_OK;
}

static sg_status planned(const sgi_bench_request *r, sgi_bench *out, sg_error *err) {
  sgi_trainer_settings t = trainer_settings(r);
  if (!r->forward_only) return sgi_trainer_bytes(r->config, &t, &out->planned_bytes, err);
  sg_status st = sgi_pass_bytes(r->config, r->batch_size, r->seq_len, false, &out->planned_bytes, err);
  out->planned_bytes += r->bf16 ? out->parameters * sizeof(uint16_t) : 0;
  out->planned_bytes += out->parameters * sizeof(float); /* at most: a saved model may have fewer */
  return st;
}

sg_status sgi_bench_run(const sgi_bench_request *r, sgi_bench *out, sg_error *err) {
  *out = (sgi_bench){.batch_size = r->batch_size,
                     .seq_len = r->seq_len,
                     .rounds = r->rounds,
                     .threads = (size_t)omp_get_max_threads(),
                     .isa = sgi_kernel_table()->isa,
                     .precision = r->bf16 ? "bf16" : "float32",
                     .bf16_path = sgi_bf16_path()};
  size_t bytes;
  if (!r->rounds) return sgi_fail(err, SG_ERR_ARG, "a measurement needs at least one round");
  stage s = {.r = r, .out = out, .clock = r->cpu_time ? sgi_cpu_now : sgi_now};
  out->train.clock = out->forward.clock = out->decode.clock = s.clock;
  out->decoded = PROFILED;
  sg_status st = count_flops(r, out, err);
  if (!st)
    st = sgi_pass_bytes(r->config, r->batch_size, r->seq_len, !r->forward_only, &bytes, err); /* checks the sizes */
  if (!st) st = planned(r, out, err);
  if (!st) st = prepare(&s, err);
  if (!st) st = rounds(&s, err);
  if (!st) {
    out->gemm_flops_per_second = sgi_yardstick_best(s.yardstick, &out->gemm_shape);
    out->copy_bytes_per_second = 2.0 * COPY_BYTES / sgi_median(s.times[T_COPY], r->rounds);
    out->train_seconds = r->forward_only ? 0 : sgi_median(s.times[T_TRAIN], r->rounds);
    out->forward_seconds = sgi_median(s.times[T_FORWARD], r->rounds);
    out->decode_seconds = sgi_median(s.times[T_DECODE], r->rounds);
    out->open_seconds = r->directory ? sgi_median(s.times[T_OPEN], r->rounds) : 0;
    out->first_token_seconds = r->directory ? sgi_median(s.times[T_FIRST], r->rounds) : 0;
  }
  release(&s);
  return st;
}

double sgi_bench_utilisation(const sgi_bench *b, bool train) {
  double seconds = train ? b->train_seconds : b->forward_seconds;
  double flops = train ? b->train_flops_per_token : b->forward_flops_per_token;
  double tokens = (double)(b->batch_size * b->seq_len);
  return seconds > 0 ? flops * tokens / seconds / b->gemm_flops_per_second : 0;
}

double sgi_bench_decode_share(const sgi_bench *b) {
  return b->decode_bytes_per_token / b->decode_seconds / b->copy_bytes_per_second;
}

double sgi_bench_limit_share(const sgi_bench *b, const sgi_profile *p, size_t kernel, bool *memory) {
  double compute = p->kernels[kernel].flops / b->gemm_flops_per_second;
  double moved = p->kernels[kernel].bytes / b->copy_bytes_per_second;
  *memory = moved > compute;
  return (*memory ? moved : compute) / p->kernels[kernel].seconds;
}
