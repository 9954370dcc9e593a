/* cmd_bench.c: how fast this machine trains and runs a model, and what each kernel leaves on the
 * table. */
#include <string.h>

#include "cli.h"
#include "ffn/kinds.h"
#include "model.h"
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

/* What was measured: a kind at the sizes of a preset, or a saved model. */
typedef struct subject {
  const char *kind, *preset; /* of random weights */
  char *directory;           /* of a saved model, or NULL */
  sgi_settings settings;     /* its model's config */
} subject;

static double total(const sgi_profile *p) {
  double sum = 0;
  for (size_t i = 0; i < p->count; i++) sum += p->kernels[i].seconds;
  return sum;
}

/* ---- JSON ------------------------------------------------------------------------------------ */

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

/* ---- tables ---------------------------------------------------------------------------------- */

static void heading(cli_table *t) {
  static const char *const names[] = {"kind",      "parameters",   "train tok/s", "use",         "forward tok/s",
                                      "use",       "decode tok/s", "of copy",     "MFLOP/token", "gemm GFLOP/s",
                                      "copy GB/s", "planned",      "peak memory"};
  for (size_t i = 0; i < SGI_COUNT(names); i++) cli_cell(t, "%s", names[i]);
}

static void row(cli_table *t, const sgi_bench *b, const subject *s) {
  double flops = b->train_flops_per_token > 0 ? b->train_flops_per_token : b->forward_flops_per_token;
  cli_cell(t, "%s", s->settings.model.feedforward);
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
  cli_cell(t, "%s", cli_bytes((double)b->planned_bytes).s);
  cli_cell(t, "%s", cli_bytes((double)b->peak_rss_bytes).s);
}

static void kernels(const char *title, const sgi_bench *b, const sgi_profile *p, size_t times) {
  if (!p->count) return;
  printf("\n");
  cli_table *t = cli_table_begin("lrrrrrl");
  cli_cell(t, "%s", title);
  static const char *const names[] = {"ms", "share", "GFLOP", "MB", "of limit", "limit"};
  for (size_t i = 0; i < SGI_COUNT(names); i++) cli_cell(t, "%s", names[i]);
  double rounds = (double)times;
  for (size_t i = 0; i < p->count; i++) {
    bool memory;
    double share = sgi_bench_limit_share(b, p, i, &memory);
    cli_cell(t, "%s", p->kernels[i].name);
    cli_cell(t, "%.3f", 1e3 * p->kernels[i].seconds / rounds);
    cli_cell(t, "%.1f%%", 100 * p->kernels[i].seconds / total(p));
    cli_cell(t, "%.3g", p->kernels[i].flops / rounds / 1e9);
    cli_cell(t, "%.3g", p->kernels[i].bytes / rounds / 1e6);
    cli_cell(t, "%.0f%%", 100 * share);
    cli_cell(t, "%s", memory ? "memory" : "FLOPs");
  }
  cli_table_end(t);
}

/* ---- command --------------------------------------------------------------------------------- */

/* The config of what the command line names. */
static sg_status find_subject(const cli_call *c, subject *s, sg_error *err) {
  if (!c->n_args) return gather(c, s->kind, &s->settings, err);
  sg_status st = sgi_model_locate(c->args[0], cli_string(c, "checkpoint"), &cli_skipped, &s->directory, err);
  if (!st) st = sg_config_load(s->directory, &s->settings.model, err);
  s->settings.seq_len = s->settings.model.max_position;
  return st;
}

static sg_status measure(const cli_call *c, subject *s, sgi_bench *b, sg_error *err) {
  sg_status st = find_subject(c, s, err);
  if (st) return st;
  sg_config *model = &s->settings.model;
  size_t own = s->settings.seq_len < 1024 ? s->settings.seq_len : 1024;
  cli_progress p;
  sgi_bench_request r = {.config = model,
                         .directory = s->directory,
                         .batch_size = cli_size(c, "batch-size"),
                         .seq_len = cli_is_set(c, "seq-len") ? cli_size(c, "seq-len") : own,
                         .rounds = cli_size(c, "rounds"),
                         .cpu_time = cli_flag(c, "cpu-time"),
                         .forward_only = cli_flag(c, "forward-only"),
                         .bf16 = !c->n_args && sgi_settings_settle_precision(&s->settings),
                         .aux = s->directory ? NULL : &s->settings.aux,
                         .seed = cli_u64(c, "seed"),
                         .progress = progress,
                         .user = &p};
  if (r.seq_len > model->max_position) model->max_position = r.seq_len;
  cli_progress_begin(&p, model->feedforward, "rounds", (double)r.rounds, 0);
  st = sgi_bench_run(&r, b, err);
  cli_progress_end(&p);
  return st;
}

static void details(const sgi_bench *b) {
  kernels("training step", b, &b->train, b->rounds);
  kernels("forward pass, loss", b, &b->forward, b->rounds);
  kernels("decoding a token", b, &b->decode, b->rounds * b->decoded);
}

static int run(const cli_call *c) {
  size_t n;
  const char *const *kinds = cli_list(c, "kind", &n);
#define KIND_NAME(name) #name,
  static const char *const every[] = {SGI_KINDS(KIND_NAME)};
  if (n == 1 && !strcmp(kinds[0], "all")) kinds = every, n = SGI_COUNT(every);
  if (c->n_args && (n || cli_is_set(c, "preset") || cli_is_set(c, "set")))
    return cli_usage(c, "a saved model has its own kind and sizes: no --kind, --preset or --set with MODEL");
  bool json = cli_flag(c, "json");
  json_t *list = json ? json_array() : NULL;
  cli_table *t = json ? NULL : cli_table_begin("lrrrrrrrrrrrr");
  if (t) heading(t);
  sgi_bench *results = sgi_alloc((n ? n : 1) * sizeof *results);
  sg_error err = {0};
  sg_status st = results ? SG_OK : sgi_fail_memory(&err, n * sizeof *results, "results");
  size_t done = 0;
  cli_signals_install();
  for (; done < (n ? n : 1) && !st; done++) {
    subject s = {.kind = n ? kinds[done] : "sgatlin"};
    st = measure(c, &s, &results[done], &err);
    if (!st && json) json_array_append_new(list, bench_json(&results[done], &s));
    if (!st && !json) row(t, &results[done], &s);
    sgi_free(s.directory);
    if (st) break;
  }
  int code = 0;
  if (st) {
    code = cli_end(st, &err);
    json_decref(list);
  } else if (json) {
    code = cli_json(list);
  }
  if (t) cli_table_end(t);
  for (size_t i = 0; i < done && !json; i++) {
    const sgi_bench *b = &results[i];
    if (b->open_seconds > 0)
      printf("\nopened in %.2f ms, the first token after %.0f ms\n", 1e3 * b->open_seconds,
             1e3 * b->first_token_seconds);
    if (cli_flag(c, "kernels")) details(b);
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
     .help = "feedforward layer: all, or one of" SGI_KIND_WORDS},
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
    {.name = "batch-size",
     .old = "batch",
     .letter = 'b',
     .type = CLI_SIZE,
     .argument = "B",
     .value = "4",
     .min = 1,
     .max = 65536,
     .help = "rows of a batch"},
    {.name = "seq-len",
     .old = "seq",
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
    CLI_WHICH_CHECKPOINT_OPTION,
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
    .usage = "[--kind KIND]... [--preset NAME] [--set KEY=VALUE]...\nMODEL [--forward-only]",
    .examples =
        "# all kinds at the sizes of the tinystories preset\nsgatlin bench -k all\n"
        "# where a step's time goes\nsgatlin bench --kernels\n"
        "# products in bf16\nsgatlin bench -k mlp --set train.precision=bf16\n"
        "# a larger pool, for a script\nsgatlin bench --set feedforward.num_neurons=4096 --json\n"
        "# a saved model: how soon it opens, how fast it runs from its file\nsgatlin bench demo/sgatlin --forward-only",
    .description =
        "Random tokens; random weights, or those of a saved MODEL, which stays mapped from its file for forward passes "
        "and decoding (training takes a copy in memory). Every round measures a matrix product (oneDNN, 1024 x 1024, "
        "float32), a copy, a training step, a forward pass and the decoding of 32 tokens in turn; medians are given. "
        "\"use\" is the share of the matrix product's FLOPs that the model's own matrix products reach, the output "
        "head and the causal half of attention counted, the backward pass as twice the forward pass. \"of copy\": the "
        "bytes of weights that a decoded token reads (of a pool, the chosen neurons), as a share of the copy's rate. "
        "\"planned\": weights, moments, gradients and activations by formula; \"peak memory\": what the process "
        "took.\n\n"
        "A kernel's limit is the larger of its FLOPs at the matrix product's rate and its bytes at the copy's rate; "
        "what "
        "caches spare can bring it above 100%.\n\n"
        "JSON: a list with an object per kind. gemm_gflops, copy_gbytes_per_s: what the machine gave; train_, "
        "forward_, "
        "decode_tokens_per_s; flops_per_token (of training; forward_flops_per_token), utilisation "
        "(forward_utilisation); decode_bytes_per_token, decode_share_of_bandwidth; open_seconds, first_token_seconds "
        "(a "
        "saved model: until it is mapped and checked; until the first token's logits, no page of it mapped before); "
        "planned_bytes, peak_rss_bytes; allocations (by the library inside the timed steps); threads, isa; precision, "
        "bf16_path (amx, avx512_bf16 or emulated); "
        "train_kernels, forward_kernels, decode_kernels: name, seconds, share of the whole, flops, bytes, limit, "
        "share_of_limit. What was not measured is null.",
    .options = options,
    .max_args = 1,
    .run = run,
};
