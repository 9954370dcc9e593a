/* cmd_convert.c: a model whose layers become layers of another kind. */
#include <math.h>
#include <string.h>

#include "core/file.h"
#include "prompt.h"
#include "report/convert.h"
#include "report/open.h"
#include "report/report.h"
#include "rows.h"
#include "text_form.h"

typedef struct job {
  const cli_call *call;
  sgi_prompt p;
  cli_rows calibration, held_out;
  cli_progress bar;
  const char *what; /* the bar that is shown */
} job;

static bool progress(void *user, const char *what, size_t done, size_t wanted) {
  job *j = user;
  if (!j->what || strcmp(j->what, what)) {
    if (j->what) cli_progress_end(&j->bar);
    cli_progress_begin(&j->bar, what, "", (double)wanted, 0);
    j->what = what;
  }
  cli_progress_update(&j->bar, (double)done, NULL);
  return !cli_stop;
}

static sg_status read_text(job *j, sg_error *err) {
  const cli_call *c = j->call;
  size_t T = cli_usual_length(c, sg_model_config(j->p.model)->max_position);
  if (!cli_is_set(c, "data")) return SG_OK;
  sg_status st = sgi_text_needs(j->p.tokenizer, j->p.directory, err);
  if (!st) st = cli_rows_split(&j->calibration, c, &j->p, "train", T, cli_size(c, "rows"), err);
  return st ? st : cli_rows_split(&j->held_out, c, &j->p, "valid", T, cli_size(c, "rows"), err);
}

static void cell(cli_table *t, double x) { cli_cell(t, isfinite(x) ? "%.4g" : "-", x); }

static void print(const void *out, const json_t *o) {
  static const char *const heads[] = {"layer", "neurons", "of a token", "kept mass", "error", "scale"};
  const json_t *layers = json_object_get(o, "layers");
  cli_table *t = cli_table_begin("rrrrrr");
  for (size_t i = 0; i < SGI_COUNT(heads); i++) cli_cell(t, "%s", heads[i]);
  for (size_t i = 0; i < json_array_size(layers); i++) {
    const json_t *l = json_array_get(layers, i);
    cli_cell(t, "%.0f", sgi_field_real(l, "layer"));
    cli_cell(t, "%s", cli_count(sgi_field_real(l, "neurons")).s);
    cli_cell(t, "%.0f", sgi_field_real(l, "channels") * sgi_field_real(l, "top_k"));
    cell(t, sgi_field_real(l, "kept_mass"));
    cell(t, sgi_field_real(l, "relative_error"));
    cell(t, sgi_field_real(l, "scale"));
  }
  cli_table_end(t);
  printf("%s: %s parameters (%s before), %s FLOPs a token (%s)\n", (const char *)out,
         cli_count(sgi_field_real(o, "parameters")).s, cli_count(sgi_field_real(o, "parameters_before")).s,
         cli_count(sgi_field_real(o, "flops")).s, cli_count(sgi_field_real(o, "flops_before")).s);
  if (isfinite(sgi_field_real(o, "loss")))
    printf("loss %.4f (%.4f before, %.4f without feedforward layers): %.1f %% of what they do is kept\n",
           sgi_field_real(o, "loss"), sgi_field_real(o, "loss_before"), sgi_field_real(o, "loss_zero"),
           100 * sgi_field_real(o, "recovered"));
}

static int run(const cli_call *c) {
  sg_error err = {0};
  job j = {.call = c};
  json_t *o = NULL;
  const char *out = cli_string(c, "output");
  sgi_conversion r = {.to = cli_string(c, "to"),
                      .pairs = cli_size(c, "pairs"),
                      .key_dim = cli_is_set(c, "key-dim") ? cli_size(c, "key-dim") : 0,
                      .ungroup = cli_flag(c, "ungroup"),
                      .progress = progress,
                      .user = &j};
  bool there = sgi_is_directory(out);
  cli_signals_install();
  sg_status st = cli_prompt_open_model(&j.p, c, &err);
  if (!st && sgi_conversion_needs_text(j.p.model, &r) && !cli_is_set(c, "data"))
    st = sgi_fail(&err, SG_ERR_ARG, "--to %s needs --data TEXT: the new layers' outputs are scaled to fit it", r.to);
  if (!st) st = read_text(&j, &err);
  r.calibration = j.calibration;
  r.held_out = j.held_out;
  if (!st) st = sgi_conversion_make(j.p.model, &r, out, &o, &err);
  if (j.what) cli_progress_end(&j.bar);
  if (!st) st = sgi_copy_tokenizer(j.p.directory, out, &err);
  if (!st && json_object_set_new(o, "model", json_string(out))) st = sgi_fail_memory(&err, 64, "a result");
  sgi_whole_directory(out, there, st);
  int code = cli_answer(c, st, &err, o, print, out);
  cli_rows_free(&j.calibration);
  cli_rows_free(&j.held_out);
  cli_prompt_close(&j.p);
  return code;
}

static const cli_option options[] = {
    {.name = "to",
     .required = true,
     .type = CLI_CHOICE,
     .argument = "peer|sgatlin",
     .help = "kind that the layers of monet become"},
    {.name = "pairs",
     .type = CLI_SIZE,
     .argument = "P",
     .value = "4",
     .min = 1,
     .max = 1 << 20,
     .help = "composed experts that a head chooses; the others are left out"},
    {.name = "key-dim",
     .type = CLI_SIZE,
     .argument = "Q",
     .value_text = "as many as are exact",
     .min = 1,
     .max = 1 << 20,
     .help = "width of the router's query; where it is too narrow the best directions are taken"},
    {.name = "ungroup", .type = CLI_FLAG, .help = "give every layer a router of its own where layers share one"},
    {.name = "data",
     .letter = 'd',
     .type = CLI_STRING,
     .argument = "PATH",
     .help = "text to measure what is kept, and the loss: a file, or a directory with train.* and valid.*"},
    {.name = "rows", .type = CLI_SIZE, .argument = "N", .value = "64", .min = 1, .max = 1e9, .help = "documents of it"},
    {.name = "seq-len",
     .letter = 's',
     .type = CLI_SIZE,
     .argument = "T",
     .value_text = "the model's, at most 256",
     .min = 2,
     .max = 1 << 24,
     .help = "documents are cut here"},
    CLI_REQUIRED_OUTPUT("DIR", "directory of the new model"),
    CLI_BEYOND_OPTION,
    CLI_FORM_OPTIONS,
    CLI_CHECKPOINT_OPTION,
    CLI_TOKENIZER_OPTION,
    CLI_JSON_OPTION,
    CLI_END};

const cli_command cli_convert = {
    .name = "convert",
    .group = "Training",
    .summary = "a monet model as one of chosen neurons",
    .usage = "MODEL --to KIND [--pairs P] [--data PATH] -o DIR",
    .examples =
        "# as peer: each head takes its four best composed experts\nsgatlin convert run --to peer --pairs 4 "
        "--data stories -o student\n"
        "# then learn what was left out\nsgatlin distill --teacher run --student student --data stories "
        "--flops-share 0.05 -o out\n"
        "# as linear neurons: only alike, to be distilled\nsgatlin convert run --to sgatlin --data stories -o "
        "linear",
    .description =
        "The product of monet's two gates is the softmax of the sums of their scores, which is peer's product router; "
        "and each composed expert is expert_dim neurons of one gate, with a constant. So --to peer is exact but for "
        "what it leaves out: pairs beyond the --pairs best of a head (kept mass: the gates of those that are kept), "
        "the passing rule and its statistics. A pair's neurons lie in a square of places, so the pools have "
        "(num_experts side)^2 neurons, side^2 at least expert_dim + 1, and top_k is side^2 P.\n\n"
        "--to sgatlin has no exact form: value and score of a linear neuron are products with the input, monet's are "
        "not. Pools and router begin as above, without constants, and one number a layer scales the outputs to fit "
        "the text (scale). Distill it.\n\n"
        "With --data, kept mass and error (|y - y'|^2 / |y|^2 on the layer's own input) are means over the text for "
        "training, losses are of the held-out text. Everything else of the model stays as it is. docs/method.md, "
        "Monet to peer.",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
