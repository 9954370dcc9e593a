/* cmd_quantize.c: a model directory with its weights in fewer bytes. */
#include "report/quantize.h"

#include <string.h>

#include "distill.h"
#include "model.h"
#include "rows.h"

typedef struct watch {
  cli_progress bar;
  const char *what; /* NULL: nothing yet */
} watch;

static bool progress(void *user, const char *what, double done, double wanted) {
  watch *w = user;
  if (!w->what || strcmp(w->what, what)) {
    if (w->what) cli_progress_end(&w->bar);
    cli_progress_begin(&w->bar, what, strcmp(what, "distilling") ? "weights" : "steps", wanted, 0);
    w->what = what;
  }
  w->bar.total = wanted;
  cli_progress_update(&w->bar, done, NULL);
  return !cli_stop;
}

static void print(const void *user, const json_t *o) {
  const json_t *d = json_object_get(o, "distill");
  double before = sgi_field_real(o, "bytes_before"), after = sgi_field_real(o, "bytes");
  (void)user;
  if (d)
    cli_note("distilled over %s tokens in %.0f s, %.3g FLOPs: loss %.4f at first, %.4f at last",
             cli_count(sgi_field_real(d, "tokens")).s, sgi_field_real(d, "seconds"), sgi_field_real(d, "flops"),
             sgi_field_real(d, "loss_first"), sgi_field_real(d, "loss_last"));
  cli_note("%zu of %zu maps and pools are %s now: %s bytes of weights, %.1f %% of %s", sgi_field_size(o, "tensors"),
           sgi_field_size(o, "tensors_possible"), sgi_field_word(o, "type"), cli_count(after).s,
           before > 0 ? 100 * after / before : 100, cli_count(before).s);
}

static int run(const cli_call *c) {
  sg_error err = {0};
  cli_model m;
  watch w = {0};
  json_t *answer = NULL;
  bool distilled = cli_flag(c, "distill");
  if (distilled != cli_is_set(c, "data")) return cli_usage(c, "--distill and --data TEXT belong together");
  cli_signals_install();
  sg_status st = cli_model_open(c, distilled ? CLI_WITH_TOKENIZER : CLI_WITHOUT_TOKENIZER, &m, &err);
  const sgi_quantization q = {.model = m.model,
                              .directory = m.directory,
                              .how = {.to = cli_string(c, "to"),
                                      .group_size = cli_size(c, "group-size"),
                                      .clip_mse = cli_choice(c, "clip") == 1,
                                      .only = cli_string(c, "only")},
                              .data = cli_string(c, "data"),
                              .tokenizer = m.tokenizer,
                              .steps = cli_size(c, "steps"),
                              .batch_size = cli_size(c, "batch-size"),
                              .seq_len = st ? 0 : cli_usual_length(c, sg_model_config(m.model)->max_position),
                              .learning_rate = cli_real(c, "learning-rate"),
                              .alpha = cli_real(c, "alpha"),
                              .tau = cli_real(c, "temperature"),
                              .free_all = cli_choice(c, "free") == 1,
                              .seed = cli_u64(c, "seed"),
                              .progress = progress,
                              .user = &w};
  if (!st) st = sgi_quantize_report(&q, cli_string(c, "output"), &answer, &err);
  if (w.what) cli_progress_end(&w.bar);
  int code = cli_answer(c, st, &err, answer, print, NULL);
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
