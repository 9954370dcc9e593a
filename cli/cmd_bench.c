/* cmd_bench.c: how fast this machine trains and runs a model, and what each kernel leaves on the table. */
#include <string.h>

#include "cli.h"
#include "train/bench.h"
#include "train/settings.h"

static sg_status gather(const cli_call *c, const char *kind, sgi_settings *s, sg_error *err) {
  sgi_assignments a = {0};
  sg_status st = SG_OK;
  if (cli_string(c, "preset")) st = sgi_assign(&a, "preset", cli_string(c, "preset"), "--preset", err);
  if (!st) st = sgi_assign(&a, "feedforward.kind", kind, "--kind", err);
  size_t n;
  const char *const *sets = cli_list(c, "set", &n);
  for (size_t i = 0; i < n && !st; i++) st = sgi_assign_text(&a, sets[i], err);
  if (!st) st = sgi_settings_resolve(&a, s, err);
  sgi_assignments_free(&a);
  if (!st && s->tokenizer_vocab_size) s->model.vocab_size = s->tokenizer_vocab_size;
  return st;
}

static bool progress(void *user, size_t done, size_t rounds) {
  (void)rounds;
  cli_progress_update(user, (double)done, NULL);
  return !cli_stop;
}

static double rate(const sgi_bench *b, double seconds) {
  return seconds > 0 ? (double)(b->batch_size * b->seq_len) / seconds : 0;
}

static double total(const sgi_profile *p) {
  double sum = 0;
  for (size_t i = 0; i < p->count; i++) sum += p->kernels[i].seconds;
  return sum;
}

/* ---- JSON ------------------------------------------------------------------------------------------------------------ */

static json_t *positive(double x) { return x > 0 ? cli_json_real(x) : json_null(); }

static json_t *kernels_json(const sgi_bench *b, const sgi_profile *p) {
  json_t *list = json_array();
  double rounds = (double)b->rounds;
  for (size_t i = 0; i < p->count; i++) {
    bool memory;
    double share = sgi_bench_limit_share(b, p, i, &memory);
    json_array_append_new(list, json_pack("{s:s, s:o, s:o, s:o, s:o, s:s, s:o}", "name", p->kernels[i].name, "seconds",
                                          cli_json_real(p->kernels[i].seconds / rounds), "share",
                                          cli_json_real(p->kernels[i].seconds / total(p)), "flops",
                                          cli_json_real(p->kernels[i].flops / rounds), "bytes",
                                          cli_json_real(p->kernels[i].bytes / rounds), "limit",
                                          memory ? "memory" : "flops", "share_of_limit", cli_json_real(share)));
  }
  return list;
}

static json_t *bench_json(const sgi_bench *b, const sgi_settings *s) {
  const sg_config *m = &s->model;
  json_t *o = json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I}", "kind", m->feedforward, "preset", s->preset,
                        "isa", b->isa, "threads", (json_int_t)b->threads, "batch", (json_int_t)b->batch_size, "seq",
                        (json_int_t)b->seq_len, "rounds", (json_int_t)b->rounds, "parameters",
                        (json_int_t)b->parameters, "allocations", (json_int_t)b->allocations);
  json_object_set_new(o, "gemm_gflops", cli_json_real(b->gemm_flops_per_second / 1e9));
  json_object_set_new(o, "copy_gbytes_per_s", cli_json_real(b->copy_bytes_per_second / 1e9));
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
  json_object_set_new(o, "train_kernels", kernels_json(b, &b->train));
  json_object_set_new(o, "forward_kernels", kernels_json(b, &b->forward));
  return o;
}

/* ---- tables ------------------------------------------------------------------------------------------------------------ */

static void heading(cli_table *t) {
  static const char *const names[] = {"kind",          "parameters",   "train tok/s",  "use",
                                      "forward tok/s", "use",          "decode tok/s", "of copy",
                                      "MFLOP/token",   "gemm GFLOP/s", "copy GB/s",    "memory"};
  for (size_t i = 0; i < SGI_COUNT(names); i++) cli_cell(t, "%s", names[i]);
}

static void row(cli_table *t, const sgi_bench *b, const sgi_settings *s) {
  double flops = b->train_flops_per_token > 0 ? b->train_flops_per_token : b->forward_flops_per_token;
  cli_cell(t, "%s", s->model.feedforward);
  cli_cell(t, "%s", cli_count((double)b->parameters).s);
  if (b->train_seconds > 0) {
    cli_cell(t, "%.0f", rate(b, b->train_seconds));
    cli_cell(t, "%.0f%%", 100 * sgi_bench_utilisation(b, true));
  } else {
    cli_cell(t, "-");
    cli_cell(t, "-");
  }
  cli_cell(t, "%.0f", rate(b, b->forward_seconds));
  cli_cell(t, "%.0f%%", 100 * sgi_bench_utilisation(b, false));
  cli_cell(t, "%.0f", 1 / b->decode_seconds);
  cli_cell(t, "%.0f%%", 100 * sgi_bench_decode_share(b));
  cli_cell(t, "%.1f", flops / 1e6);
  cli_cell(t, "%.0f", b->gemm_flops_per_second / 1e9);
  cli_cell(t, "%.0f", b->copy_bytes_per_second / 1e9);
  cli_cell(t, "%s", cli_bytes((double)b->peak_rss_bytes).s);
}

static void kernels(const char *title, const sgi_bench *b, const sgi_profile *p) {
  if (!p->count) return;
  cli_table *t = cli_table_begin("lrrrrrl");
  cli_cell(t, "%s", title);
  static const char *const names[] = {"ms", "share", "GFLOP", "MB", "of limit", "limit"};
  for (size_t i = 0; i < SGI_COUNT(names); i++) cli_cell(t, "%s", names[i]);
  double rounds = (double)b->rounds;
  for (size_t i = 0; i < p->count; i++) {
    bool memory;
    double share = sgi_bench_limit_share(b, p, i, &memory);
    cli_cell(t, "%s", p->kernels[i].name);
    cli_cell(t, "%.2f", 1e3 * p->kernels[i].seconds / rounds);
    cli_cell(t, "%.1f%%", 100 * p->kernels[i].seconds / total(p));
    cli_cell(t, "%.2f", p->kernels[i].flops / rounds / 1e9);
    cli_cell(t, "%.0f", p->kernels[i].bytes / rounds / 1e6);
    cli_cell(t, "%.0f%%", 100 * share);
    cli_cell(t, "%s", memory ? "memory" : "FLOPs");
  }
  cli_table_end(t);
}

/* ---- command ------------------------------------------------------------------------------------------------------------ */

static sg_status measure(const cli_call *c, const char *kind, sgi_settings *s, sgi_bench *b, sg_error *err) {
  sg_status st = gather(c, kind, s, err);
  if (st) return st;
  size_t preset = s->seq_len < 1024 ? s->seq_len : 1024;
  cli_progress p;
  sgi_bench_request r = {.config = &s->model,
                         .batch_size = cli_size(c, "batch"),
                         .seq_len = cli_is_set(c, "seq") ? cli_size(c, "seq") : preset,
                         .rounds = cli_size(c, "rounds"),
                         .cpu_time = cli_flag(c, "cpu-time"),
                         .forward_only = cli_flag(c, "forward-only"),
                         .seed = cli_u64(c, "seed"),
                         .progress = progress,
                         .user = &p};
  if (r.seq_len > s->model.max_position) s->model.max_position = r.seq_len;
  cli_progress_begin(&p, kind, "rounds", (double)r.rounds, 0);
  st = sgi_bench_run(&r, b, err);
  cli_progress_end(&p);
  return st;
}

static int run(const cli_call *c) {
  size_t n;
  const char *const *kinds = cli_list(c, "kind", &n);
  bool json = cli_flag(c, "json"), details = cli_flag(c, "kernels");
  json_t *list = json ? json_array() : NULL;
  cli_table *t = json ? NULL : cli_table_begin("lrrrrrrrrrrr");
  if (t) heading(t);
  sgi_bench *results = sgi_alloc((n ? n : 1) * sizeof *results);
  sg_error err = {0};
  sg_status st = results ? SG_OK : sgi_fail_memory(&err, n * sizeof *results, "results");
  size_t done = 0;
  cli_signals_install();
  for (; done < (n ? n : 1) && !st; done++) {
    sgi_settings s;
    st = measure(c, n ? kinds[done] : "sgatlin", &s, &results[done], &err);
    if (st) break;
    if (json)
      json_array_append_new(list, bench_json(&results[done], &s));
    else
      row(t, &results[done], &s);
  }
  int code = 0;
  if (st) {
    code = st == SG_ERR_CANCELLED && cli_stop ? 128 + cli_stop : cli_fail(&err);
    json_decref(list);
  } else if (json) {
    code = cli_json(list);
  }
  if (t) cli_table_end(t);
  for (size_t i = 0; i < done && details && !json; i++) {
    printf("\n");
    kernels(results[i].train.count ? "training step" : "", &results[i], &results[i].train);
    if (results[i].train.count) printf("\n");
    kernels("forward pass, loss", &results[i], &results[i].forward);
  }
  sgi_free(results);
  return code;
}

static const cli_option options[] = {
    {.name = "kind",
     .letter = 'k',
     .type = CLI_LIST,
     .argument = "KIND",
     .value_text = "sgatlin",
     .help = "feedforward layer: sgatlin, peer, mlp, glu or moe; may be given many times"},
    {.name = "preset",
     .letter = 'p',
     .type = CLI_STRING,
     .argument = "NAME",
     .value_text = "tinystories",
     .help = "sizes: tinystories, or slimpajama;1 to slimpajama;9"},
    {.name = "set",
     .type = CLI_LIST,
     .argument = "KEY=VALUE",
     .help = "one setting of 'sgatlin train --keys', such as feedforward.num_neurons=4096"},
    {.name = "batch",
     .letter = 'b',
     .type = CLI_SIZE,
     .argument = "B",
     .value = "4",
     .min = 1,
     .max = 65536,
     .help = "rows of a batch"},
    {.name = "seq",
     .letter = 's',
     .type = CLI_SIZE,
     .argument = "T",
     .value_text = "the preset's, at most 1024",
     .min = 1,
     .max = 1 << 20,
     .help = "tokens of a row"},
    {.name = "rounds",
     .letter = 'n',
     .type = CLI_SIZE,
     .argument = "N",
     .value = "7",
     .min = 1,
     .max = 1000,
     .help = "measurements whose median is given"},
    {.name = "forward-only", .type = CLI_FLAG, .help = "no training: less memory, larger models"},
    {.name = "cpu-time", .type = CLI_FLAG, .help = "processor time instead of time, for a busy machine; with -t 1"},
    {.name = "kernels", .type = CLI_FLAG, .help = "also the time, share and limit of each kernel"},
    CLI_SEED_OPTION,
    CLI_JSON_OPTION,
    CLI_END};

const cli_command cli_bench = {
    .name = "bench",
    .group = "Training",
    .summary = "measure training, forward and decoding speed beside what the machine allows",
    .usage = "[--kind KIND]... [--preset NAME] [--set KEY=VALUE]...",
    .examples =
        "# all kinds at the sizes of the tinystories preset\nsgatlin bench -k sgatlin -k peer -k mlp -k glu -k moe\n"
        "# where a step's time goes\nsgatlin bench --kernels\n"
        "# a larger pool, for a script\nsgatlin bench --set feedforward.num_neurons=4096 --json",
    .description =
        "Random weights, random tokens. Every round measures a matrix product (oneDNN, 1024 x 1024, float32), a copy, "
        "a "
        "training step and a forward pass in turn; medians are given. \"use\" is the share of the matrix product's "
        "FLOPs "
        "that the model's own matrix products reach, the output head and the causal half of attention counted, the "
        "backward pass as twice the forward pass.\n\n"
        "A kernel's limit is the larger of its FLOPs at the matrix product's rate and its bytes at the copy's rate; "
        "what "
        "caches spare can bring it above 100%.",
    .options = options,
    .run = run,
};
