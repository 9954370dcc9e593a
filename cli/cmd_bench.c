/* cmd_bench.c: how fast this machine trains and runs a model, and what each kernel leaves on the
 * table. */
#include <string.h>

#include "cli.h"
#include "model.h"
#include "report/speed.h"

typedef struct watch {
  cli_progress bar;
  bool begun;
} watch;

static void begun(void *user, const char *kind, size_t rounds) {
  watch *w = user;
  cli_progress_begin(&w->bar, kind, "rounds", (double)rounds, 0);
  w->begun = true;
}

static bool progress(void *user, size_t done, size_t rounds) {
  return cli_progress_advance(&((watch *)user)->bar, done, rounds);
}

/* ---- tables ---------------------------------------------------------------------------------- */

/* 0 where it was not measured. */
static double figure(const json_t *b, const char *key) { return json_number_value(json_object_get(b, key)); }

static void heading(cli_table *t) {
  static const char *const names[] = {"kind",      "parameters",   "train tok/s", "use",         "forward tok/s",
                                      "use",       "decode tok/s", "of copy",     "MFLOP/token", "gemm GFLOP/s",
                                      "copy GB/s", "planned",      "peak memory"};
  for (size_t i = 0; i < SGI_COUNT(names); i++) cli_cell(t, "%s", names[i]);
}

static void row(cli_table *t, const json_t *b) {
  bool trained = figure(b, "train_tokens_per_s") > 0;
  cli_cell(t, "%s", sgi_field_word(b, "kind"));
  cli_cell(t, "%s", cli_count(figure(b, "parameters")).s);
  if (trained) {
    cli_cell(t, "%.0f", figure(b, "train_tokens_per_s"));
    cli_cell(t, "%.0f%%", 100 * figure(b, "utilisation"));
  } else {
    cli_cell(t, "-");
    cli_cell(t, "-");
  }
  cli_cell(t, "%.0f", figure(b, "forward_tokens_per_s"));
  cli_cell(t, "%.0f%%", 100 * figure(b, "forward_utilisation"));
  cli_cell(t, "%.0f", figure(b, "decode_tokens_per_s"));
  cli_cell(t, "%.0f%%", 100 * figure(b, "decode_share_of_bandwidth"));
  cli_cell(t, "%.1f", figure(b, trained ? "flops_per_token" : "forward_flops_per_token") / 1e6);
  cli_cell(t, "%.0f", figure(b, "gemm_gflops"));
  cli_cell(t, "%.0f", figure(b, "copy_gbytes_per_s"));
  cli_cell(t, "%s", cli_bytes(figure(b, "planned_bytes")).s);
  cli_cell(t, "%s", cli_bytes(figure(b, "peak_rss_bytes")).s);
}

static void kernels(const char *title, const json_t *list) {
  json_t *k;
  size_t i;
  if (!json_array_size(list)) return;
  printf("\n");
  cli_table *t = cli_table_begin("lrrrrrl");
  cli_cell(t, "%s", title);
  static const char *const names[] = {"ms", "share", "GFLOP", "MB", "of limit", "limit"};
  for (i = 0; i < SGI_COUNT(names); i++) cli_cell(t, "%s", names[i]);
  json_array_foreach((json_t *)list, i, k) {
    cli_cell(t, "%s", sgi_field_word(k, "name"));
    cli_cell(t, "%.3f", 1e3 * figure(k, "seconds"));
    cli_cell(t, "%.1f%%", 100 * figure(k, "share"));
    cli_cell(t, "%.3g", figure(k, "flops") / 1e9);
    cli_cell(t, "%.3g", figure(k, "bytes") / 1e6);
    cli_cell(t, "%.0f%%", 100 * figure(k, "share_of_limit"));
    cli_cell(t, "%s", strcmp(sgi_field_word(k, "limit"), "memory") ? "FLOPs" : "memory");
  }
  cli_table_end(t);
}

/* ---- command --------------------------------------------------------------------------------- */

static sg_status measure(const cli_call *c, const char *kind, json_t **out, sg_error *err) {
  watch w = {0};
  sgi_speed_request q = {.path = c->n_args ? c->args[0] : NULL,
                         .checkpoint = cli_string(c, "checkpoint"),
                         .kind = kind,
                         .preset = cli_string(c, "preset"),
                         .batch_size = cli_size(c, "batch-size"),
                         .seq_len = cli_is_set(c, "seq-len") ? cli_size(c, "seq-len") : 0,
                         .rounds = cli_size(c, "rounds"),
                         .cpu_time = cli_flag(c, "cpu-time"),
                         .forward_only = cli_flag(c, "forward-only"),
                         .seed = cli_u64(c, "seed"),
                         .skipped = cli_skipped,
                         .begun = begun,
                         .progress = progress,
                         .user = &w};
  q.set = cli_list(c, "set", &q.n_set);
  sg_status st = sgi_speed_report(&q, out, err);
  if (w.begun) cli_progress_end(&w.bar);
  return st;
}

static void details(const cli_call *c, const json_t *b) {
  if (figure(b, "open_seconds") > 0)
    printf("\nopened in %.2f ms, the first token after %.0f ms\n", 1e3 * figure(b, "open_seconds"),
           1e3 * figure(b, "first_token_seconds"));
  if (!cli_flag(c, "kernels")) return;
  kernels("training step", json_object_get(b, "train_kernels"));
  kernels("forward pass, loss", json_object_get(b, "forward_kernels"));
  kernels("decoding a token", json_object_get(b, "decode_kernels"));
}

static int run(const cli_call *c) {
  size_t n, i;
  const char *const *kinds = cli_list(c, "kind", &n);
  bool all = n == 1 && !strcmp(kinds[0], "all"), json = cli_flag(c, "json");
  if (c->n_args && (n || cli_is_set(c, "preset") || cli_is_set(c, "set")))
    return cli_usage(c, "a saved model has its own kind and sizes: no --kind, --preset or --set with MODEL");
  json_t *list = json_array(), *b;
  cli_table *t = json ? NULL : cli_table_begin("lrrrrrrrrrrrr");
  if (t) heading(t);
  sg_error err = {0};
  sg_status st = SG_OK;
  cli_signals_install();
  for (i = 0; (all ? sg_feedforward_name(i) != NULL : i < (n ? n : 1)) && !st; i++) {
    st = measure(c, all ? sg_feedforward_name(i) : n ? kinds[i] : "sgatlin", &b, &err);
    if (!st && t) row(t, b);
    if (!st) json_array_append_new(list, b);
  }
  int code = st ? cli_end(st, &err) : 0;
  if (t) cli_table_end(t);
  if (t) json_array_foreach(list, i, b) details(c, b);
  if (json && !st) return cli_json(list);
  json_decref(list);
  return code;
}

static const cli_option options[] = {
    {.name = "kind",
     .letter = 'k',
     .type = CLI_LIST,
     .argument = "KIND",
     .value_text = "sgatlin",
     .help = "feedforward layer: all, or one of" CLI_KINDS},
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
        "and decoding (training takes a copy in memory). Every round measures matrix products (oneDNN, float32: 1024 x "
        "1024 "
        "x 1024, and the shapes that the model's own maps have on the batch), a copy, a training step, a forward pass "
        "and the decoding of 32 tokens in turn; medians are given. "
        "\"use\" is the share of the best of these products' rates that the model's own matrix products reach, the "
        "output "
        "head and the causal half of attention counted, the backward pass as twice the forward pass. \"of copy\": the "
        "bytes of weights that a decoded token reads (of a pool, the chosen neurons), as a share of the copy's rate. "
        "\"planned\": weights, moments, gradients and activations by formula; \"peak memory\": what the process "
        "took.\n\n"
        "A kernel's limit is the larger of its FLOPs at the best product's rate and its bytes at the copy's rate; "
        "what "
        "caches spare can bring it above 100%.\n\n"
        "JSON: a list with an object per kind. gemm_gflops (of the best product; gemm_shape: its rows, inner and outer "
        "size), copy_gbytes_per_s: what the machine gave; train_, "
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
