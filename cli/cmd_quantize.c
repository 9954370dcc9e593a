/* cmd_quantize.c: a model directory with its weights in fewer bytes. */
#include "core/file.h"
#include "model.h"

static bool progress(void *user, double done, double wanted) {
  cli_progress *bar = user;
  bar->total = wanted;
  cli_progress_update(bar, done, NULL);
  return !cli_stop;
}

static sg_status copy_tokenizer(const char *from_directory, const char *to_directory, sg_error *err) {
  char *from = sgi_path_join(from_directory, "tokenizer.json"), *to = sgi_path_join(to_directory, "tokenizer.json");
  sg_status st = from && to ? SG_OK : sgi_fail_memory(err, 64, "a path");
  if (!st && sgi_is_file(from)) st = sgi_copy_file(from, to, SGI_TOKENIZER_BYTES, err);
  sgi_free(from);
  sgi_free(to);
  return st;
}

static int print(const cli_call *c, const sg_quantized *q) {
  double share = q->before ? 100 * (double)q->after / (double)q->before : 100;
  if (cli_flag(c, "json"))
    return cli_json(json_pack("{s:s, s:s, s:I, s:I, s:I, s:I}", "model", cli_string(c, "output"), "type",
                              cli_string(c, "to"), "tensors", (json_int_t)q->tensors, "tensors_possible",
                              (json_int_t)q->of, "bytes_before", (json_int_t)q->before, "bytes", (json_int_t)q->after));
  cli_note("%zu of %zu maps and pools are %s now: %s bytes of weights, %.1f %% of %s", q->tensors, q->of,
           cli_string(c, "to"), cli_count((double)q->after).s, share, cli_count((double)q->before).s);
  return 0;
}

static int run(const cli_call *c) {
  sg_error err = {0};
  cli_model m;
  cli_progress bar = {0};
  sg_quantized done;
  const char *out = cli_string(c, "output");
  sg_quantize_request r = {.to = cli_string(c, "to"),
                           .group_size = cli_size(c, "group-size"),
                           .clip_mse = cli_choice(c, "clip") == 1,
                           .only = cli_string(c, "only"),
                           .progress = progress,
                           .user = &bar};
  cli_signals_install();
  sg_status st = cli_model_open(c, CLI_WITHOUT_TOKENIZER, &m, &err);
  if (!st) {
    cli_progress_begin(&bar, "quantizing", "weights", 1, 0);
    st = sg_model_quantize(m.model, &r, out, &done, &err);
    cli_progress_end(&bar);
  }
  if (!st) st = copy_tokenizer(m.directory, out, &err);
  int code = !st ? print(c, &done) : st == SG_ERR_CANCELLED && cli_stop ? 128 + cli_stop : cli_fail(&err);
  cli_model_close(&m);
  return code;
}

static const cli_option options[] = {
    {.name = "to",
     .required = true,
     .type = CLI_CHOICE,
     .argument = "bf16|f16|int8|int4|float32",
     .help = "type that weights are stored in: 2, 2, 1, half a byte, or 4 as before"},
    {.name = "only",
     .type = CLI_STRING,
     .argument = "PATTERN",
     .value_text = "every map and pool",
     .help = "names of tensors, with * and ?, several split by commas; the others stay as they are"},
    {.name = "group-size",
     .type = CLI_SIZE,
     .argument = "N",
     .value = "0",
     .help = "int8, int4: columns that share a scale, an even number; 0: all of a row"},
    {.name = "clip",
     .type = CLI_CHOICE,
     .argument = "none|mse",
     .value = "none",
     .help = "int4: the largest weight sets the scale, or the least squared error does"},
    CLI_REQUIRED_OUTPUT("DIR", "directory of the new model"),
    CLI_CHECKPOINT_OPTION,
    CLI_JSON_OPTION,
    CLI_END};

const cli_command cli_quantize = {
    .name = "quantize",
    .group = "Training",
    .summary = "a model with its weights in fewer bytes",
    .usage = "MODEL --to TYPE [--only PATTERN] -o DIR",
    .examples =
        "# a quarter of the bytes, hardly another model\nsgatlin quantize run --to int8 -o small\n"
        "# the neurons' pools alone in half a byte a weight\n"
        "sgatlin quantize run --to int4 --only 'model.layers.*.mlp.experts.*' -o tiny\n"
        "# what it cost\nsgatlin eval small --data valid.txt\nsgatlin info tiny --tensors",
    .description =
        "Every command reads the new directory: weights are mapped from the file as they are stored and decoded where "
        "they are read. Products are computed in float32. Gains and biases stay float32.\n\n"
        "bf16 and f16 round to the nearest; a number that f16 can not hold is an error. int8 and int4 have a float32 "
        "scale for each row (or --group-size columns of it): the largest magnitude over 127 or 7. --clip mse tries "
        "smaller ones down to half of it and keeps that of the least squared error. float32 writes what a model in "
        "fewer "
        "bytes stands for, for programs that read nothing else.\n\n"
        "docs/formats.md describes the files, docs/results.md what each type costs in perplexity.",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
