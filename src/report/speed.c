#include "speed.h"

#include <string.h>

#include "open.h"
#include "train/bench.h"
#include "train/settings.h"

static sg_status gather(const sgi_speed_request *q, sgi_settings *s, sg_error *err) {
  sgi_assignments a = {0};
  sg_status st = SG_OK;
  if (q->preset) st = sgi_assign(&a, "preset", q->preset, "--preset", err);
  if (!st) st = sgi_assign(&a, "feedforward.kind", q->kind, "--kind", err);
  for (size_t i = 0; i < q->n_set && !st; i++) st = sgi_assign_text(&a, q->set[i], NULL, err);
  if (!st) st = sgi_settings_resolve(&a, s, err);
  sgi_assignments_free(&a);
  if (!st && s->tokenizer_vocab_size) s->model.vocab_size = s->tokenizer_vocab_size;
  return st;
}

static double rate(const sgi_bench *b, double seconds) {
  return seconds > 0 ? (double)(b->batch_size * b->seq_len) / seconds : 0;
}

/* What was measured: a kind at the sizes of a preset, or a saved model. */
typedef struct subject {
  char *directory;       /* of a saved model, or NULL */
  sgi_settings settings; /* its model's config */
} subject;

static double total(const sgi_profile *p) {
  double sum = 0;
  for (size_t i = 0; i < p->count; i++) sum += p->kernels[i].seconds;
  return sum;
}

static json_t *positive(double x) { return x > 0 ? sgi_report_real(x) : json_null(); }

/* times: how often a profile saw the work that its rows are given for. */
static json_t *kernels_json(const sgi_bench *b, const sgi_profile *p, size_t times) {
  json_t *list = json_array();
  double rounds = (double)times;
  for (size_t i = 0; i < p->count; i++) {
    bool memory;
    double share = sgi_bench_limit_share(b, p, i, &memory);
    json_array_append_new(list, json_pack("{s:s, s:o, s:o, s:o, s:o, s:s, s:o}", "name", p->kernels[i].name, "seconds",
                                          sgi_report_real(p->kernels[i].seconds / rounds), "share",
                                          sgi_report_real(p->kernels[i].seconds / total(p)), "flops",
                                          sgi_report_real(p->kernels[i].flops / rounds), "bytes",
                                          sgi_report_real(p->kernels[i].bytes / rounds), "limit",
                                          memory ? "memory" : "flops", "share_of_limit", sgi_report_real(share)));
  }
  return list;
}

static json_t *bench_json(const sgi_bench *b, const subject *s) {
  json_t *o = json_pack("{s:s, s:s?, s:o, s:s, s:I, s:I, s:I, s:I, s:I, s:I}", "kind", s->settings.model.feedforward,
                        "preset", s->directory ? NULL : s->settings.preset, "model",
                        s->directory ? sgi_report_text(s->directory, strlen(s->directory)) : json_null(), "isa", b->isa,
                        "threads", (json_int_t)b->threads, "batch", (json_int_t)b->batch_size, "seq",
                        (json_int_t)b->seq_len, "rounds", (json_int_t)b->rounds, "parameters",
                        (json_int_t)b->parameters, "allocations", (json_int_t)b->allocations);
  json_object_set_new(o, "precision", json_string(b->precision));
  json_object_set_new(o, "bf16_path", json_string(b->bf16_path));
  json_object_set_new(o, "gemm_gflops", sgi_report_real(b->gemm_flops_per_second / 1e9));
  json_object_set_new(
      o, "gemm_shape",
      json_pack("[I, I, I]", (json_int_t)b->gemm_shape.m, (json_int_t)b->gemm_shape.k, (json_int_t)b->gemm_shape.n));
  json_object_set_new(o, "copy_gbytes_per_s", sgi_report_real(b->copy_bytes_per_second / 1e9));
  json_object_set_new(o, "train_tokens_per_s", positive(rate(b, b->train_seconds)));
  json_object_set_new(o, "forward_tokens_per_s", positive(rate(b, b->forward_seconds)));
  json_object_set_new(o, "decode_tokens_per_s", positive(1 / b->decode_seconds));
  json_object_set_new(o, "decode_bytes_per_token", positive(b->decode_bytes_per_token));
  json_object_set_new(o, "decode_share_of_bandwidth", positive(sgi_bench_decode_share(b)));
  json_object_set_new(o, "flops_per_token", positive(b->train_flops_per_token));
  json_object_set_new(o, "forward_flops_per_token", positive(b->forward_flops_per_token));
  json_object_set_new(o, "utilisation", positive(sgi_bench_utilisation(b, true)));
  json_object_set_new(o, "forward_utilisation", positive(sgi_bench_utilisation(b, false)));
  json_object_set_new(o, "planned_bytes", json_integer((json_int_t)b->planned_bytes));
  json_object_set_new(o, "peak_rss_bytes", json_integer((json_int_t)b->peak_rss_bytes));
  json_object_set_new(o, "open_seconds", positive(b->open_seconds));
  json_object_set_new(o, "first_token_seconds", positive(b->first_token_seconds));
  json_object_set_new(o, "train_kernels", kernels_json(b, &b->train, b->rounds));
  json_object_set_new(o, "forward_kernels", kernels_json(b, &b->forward, b->rounds));
  json_object_set_new(o, "decode_kernels", kernels_json(b, &b->decode, b->rounds * b->decoded));
  return o;
}

/* ---- measuring ------------------------------------------------------------------------------- */

/* The config of what is asked for. */
static sg_status find_subject(const sgi_speed_request *q, subject *s, sg_error *err) {
  const sg_open_request at = {.path = q->path, .checkpoint = q->checkpoint, .skipped = q->skipped, .user = q->user};
  if (!q->path) return gather(q, &s->settings, err);
  sg_status st = sgi_open_directory(&at, &s->directory, err);
  if (!st) st = sg_config_load(s->directory, &s->settings.model, err);
  s->settings.seq_len = s->settings.model.max_position;
  return st;
}

static sg_status measure(const sgi_speed_request *q, subject *s, sgi_bench *b, sg_error *err) {
  sg_status st = find_subject(q, s, err);
  if (st) return st;
  sg_config *model = &s->settings.model;
  size_t own = s->settings.seq_len < 1024 ? s->settings.seq_len : 1024;
  sgi_int4_settings int4 = s->settings.int4;
  int4.on = !q->path && !strcmp(s->settings.pool_precision, "int4");
  const sgi_bench_request r = {.config = model,
                               .directory = s->directory,
                               .batch_size = q->batch_size,
                               .seq_len = q->seq_len ? q->seq_len : own,
                               .rounds = q->rounds,
                               .cpu_time = q->cpu_time,
                               .forward_only = q->forward_only,
                               .bf16 = !q->path && sgi_settings_settle_precision(&s->settings),
                               .int4 = int4.on ? &int4 : NULL,
                               .aux = s->directory ? NULL : &s->settings.aux,
                               .seed = q->seed,
                               .progress = q->progress,
                               .user = q->user};
  if (r.seq_len > model->max_position) model->max_position = r.seq_len;
  if (q->begun) q->begun(q->user, model->feedforward, q->rounds);
  return sgi_bench_run(&r, b, err);
}

sg_status sgi_speed_report(const sgi_speed_request *q, json_t **out, sg_error *err) {
  subject *s = sgi_alloc(sizeof *s);
  sgi_bench *b = sgi_alloc(sizeof *b);
  sg_status st = s && b ? measure(q, s, b, err) : sgi_fail_memory(err, sizeof *s + sizeof *b, "results");
  if (!st) *out = bench_json(b, s);
  if (s) sgi_free(s->directory);
  sgi_free(s);
  sgi_free(b);
  return st ? st : sgi_report_whole(out, "the figures", err);
}
