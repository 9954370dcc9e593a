/* cmd_quantize.c: a model directory with its weights in fewer bytes. */
#include "distill.h"
#include "model.h"
#include "rows.h"
#include "train/distill.h"

static bool progress(void *user, double done, double wanted) {
  cli_progress *bar = user;
  bar->total = wanted;
  cli_progress_update(bar, done, NULL);
  return !cli_stop;
}

/* The masters that learned, in *out; the model itself without --distill. */
static sg_status distill(const cli_call *c, const cli_model *m, sg_model **out, sgi_distilled *report, sg_error *err) {
  cli_progress bar = {0};
  sgi_distill_request r = {.stored = true,
                           .how = {.group = cli_size(c, "group-size"), .clip = cli_choice(c, "clip") == 1},
                           .only = cli_string(c, "only"),
                           .data = cli_string(c, "data"),
                           .tokenizer = m->tokenizer,
                           .whole = {cli_size(c, "steps"), cli_real(c, "learning-rate")},
                           .batch_size = cli_size(c, "batch-size"),
                           .seq_len = cli_usual_length(c, sg_model_config(m->model)->max_position),
                           .loss = {.alpha = cli_real(c, "alpha"), .tau = cli_real(c, "temperature")},
                           .free_all = cli_choice(c, "free") == 1,
                           .seed = cli_u64(c, "seed"),
                           .progress = progress,
                           .user = &bar};
  if (!sgi_weight_type(cli_string(c, "to"), &r.how.to)) return SG_ERR_INTERNAL;
  cli_progress_begin(&bar, "distilling", "steps", (double)r.whole.steps, 0);
  sg_status st = sgi_distill(m->model, &r, out, report, err);
  cli_progress_end(&bar);
  return st;
}

static json_t *distilled_json(const cli_call *c, const sgi_distilled *d) {
  return json_pack("{s:I, s:I, s:I, s:f, s:f, s:f, s:f}", "steps", (json_int_t)cli_size(c, "steps"), "tokens",
                   (json_int_t)d->tokens, "tensors", (json_int_t)d->tensors, "flops", d->flops, "seconds", d->seconds,
                   "loss_first", d->first, "loss_last", d->last);
}

static int print(const cli_call *c, const sg_quantized *q, const sgi_distilled *d) {
  double share = q->before ? 100 * (double)q->after / (double)q->before : 100;
  bool distilled = cli_flag(c, "distill");
  if (cli_flag(c, "json"))
    return cli_json(json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:o*}", "model", cli_string(c, "output"), "type",
                              cli_string(c, "to"), "tensors", (json_int_t)q->tensors, "tensors_possible",
                              (json_int_t)q->of, "bytes_before", (json_int_t)q->before, "bytes", (json_int_t)q->after,
                              "distill", distilled ? distilled_json(c, d) : NULL));
  if (distilled)
    cli_note("distilled over %s tokens in %.0f s, %.3g FLOPs: loss %.4f at first, %.4f at last",
             cli_count((double)d->tokens).s, d->seconds, d->flops, d->first, d->last);
  cli_note("%zu of %zu maps and pools are %s now: %s bytes of weights, %.1f %% of %s", q->tensors, q->of,
           cli_string(c, "to"), cli_count((double)q->after).s, share, cli_count((double)q->before).s);
  return 0;
}

static int run(const cli_call *c) {
  sg_error err = {0};
  cli_model m;
  cli_progress bar = {0};
  sg_quantized done;
  sgi_distilled learned = {0};
  sg_model *student = NULL;
  bool distilled = cli_flag(c, "distill");
  const char *out = cli_string(c, "output");
  sg_quantize_request r = {.to = cli_string(c, "to"),
                           .group_size = cli_size(c, "group-size"),
                           .clip_mse = cli_choice(c, "clip") == 1,
                           .only = cli_string(c, "only"),
                           .progress = progress,
                           .user = &bar};
  if (distilled != cli_is_set(c, "data")) return cli_usage(c, "--distill and --data TEXT belong together");
  cli_signals_install();
  sg_status st = cli_model_open(c, distilled ? CLI_WITH_TOKENIZER : CLI_WITHOUT_TOKENIZER, &m, &err);
  if (!st && distilled) st = distill(c, &m, &student, &learned, &err);
  if (!st) {
    cli_progress_begin(&bar, "quantizing", "weights", 1, 0);
    st = sg_model_quantize(student ? student : m.model, &r, out, &done, &err);
    cli_progress_end(&bar);
  }
  if (!st) st = sgi_copy_tokenizer(m.directory, out, &err);
  sg_model_free(student);
  int code = !st ? print(c, &done, &learned) : cli_end(st, &err);
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
    {.name = "distill",
     .type = CLI_FLAG,
     .help = "first let the model learn, as it will be stored, what the float32 model says on --data"},
    {.name = "data",
     .type = CLI_STRING,
     .argument = "PATH",
     .help = "text for --distill: a file, or a directory with train.*"},
    {.name = "steps",
     .type = CLI_SIZE,
     .argument = "N",
     .value = "200",
     .min = 1,
     .max = 1 << 30,
     .help = "of --distill"},
    CLI_STEP_ROWS_OPTION,
    {.name = "seq-len",
     .letter = 's',
     .type = CLI_SIZE,
     .argument = "T",
     .value_text = "the model's, at most 256",
     .min = 1,
     .max = 1 << 20,
     .help = "tokens of a row"},
    {.name = "learning-rate",
     .type = CLI_REAL,
     .argument = "RATE",
     .value = "2e-4",
     .help = "of --distill; falls to 0"},
    CLI_TEACHER_LOSS_OPTIONS,
    {.name = "free",
     .type = CLI_CHOICE,
     .argument = "stored|all",
     .value = "stored",
     .help = "what learns: the tensors that --to and --only store otherwise and routers, or everything"},
    CLI_SEED_OPTION,
    CLI_REQUIRED_OUTPUT("DIR", "directory of the new model"),
    CLI_CHECKPOINT_OPTION,
    CLI_TOKENIZER_OPTION,
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
        "# int4 that has learned from the model it was made of\n"
        "sgatlin quantize run --to int4 --distill --data stories --steps 200 -o tiny\n"
        "# what it cost\nsgatlin eval small --data valid.txt\nsgatlin info tiny --tensors",
    .description =
        "Every command reads the new directory: weights are mapped from the file as they are stored and decoded where "
        "they are read. Products are computed in float32. Gains and biases stay float32.\n\n"
        "bf16 and f16 round to the nearest; a number that f16 can not hold is an error. int8 and int4 have a float32 "
        "scale for each row (or --group-size columns of it): the largest magnitude over 127 or 7. --clip mse tries "
        "smaller ones down to half of it and keeps that of the least squared error. float32 writes what a model in "
        "fewer "
        "bytes stands for, for programs that read nothing else.\n\n"
        "--distill trains float32 masters that every step sees as they will be stored; the gradient goes straight to "
        "them (docs/method.md, distillation). Loss: alpha temperature^2 KL(model || stored) + (1 - alpha) "
        "cross-entropy. --json has what it took under \"distill\": steps, tokens, tensors that learned, flops, "
        "seconds, "
        "loss_first and loss_last (means over the first and the last tenth of the steps).\n\n"
        "docs/formats.md describes the files, docs/results.md what each type costs in perplexity.",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
