/* cmd_distill.c: a student learns what a teacher does. */
#include <math.h>
#include <string.h>

#include "core/file.h"
#include "distill.h"
#include "prompt.h"
#include "report/distill.h"
#include "report/open.h"
#include "report/report.h"
#include "rows.h"
#include "text_form.h"

typedef struct job {
  const cli_call *call;
  cli_model teacher, student;
  cli_rows held_out;
  cli_progress bar;
  bool begun;
  double teacher_flops;
} job;

static bool progress(void *user, const char *what, size_t done, size_t wanted) {
  job *j = user;
  if (strcmp(what, "learning")) return !cli_stop;
  if (!j->begun) cli_progress_begin(&j->bar, "distilling", "steps", (double)wanted, 0);
  j->begun = true;
  j->bar.total = (double)wanted;
  cli_progress_update(&j->bar, (double)done, NULL);
  return !cli_stop;
}

/* The call as it would be with the model that an option names for its argument; args lives as
 * long. */
static cli_call call_of(const cli_call *c, const char *option, const char *args[2]) {
  cli_call own = *c;
  args[0] = cli_string(c, option), args[1] = NULL;
  own.args = args;
  own.n_args = 1;
  return own;
}

static size_t row_length(const job *j) {
  const sg_config *a = sg_model_config(j->teacher.model), *b = sg_model_config(j->student.model);
  size_t longest = a->max_position < b->max_position ? a->max_position : b->max_position;
  return cli_usual_length(j->call, longest);
}

static sg_status open_all(job *j, sg_text_form *form, sg_error *err) {
  const cli_call *c = j->call;
  json_t *own_form = NULL;
  const char *args[2], *students[2];
  cli_call own = call_of(c, "teacher", args), of_student = call_of(c, "student", students);
  sg_status st = cli_model_open(&own, CLI_WITH_TOKENIZER, &j->teacher, err);
  if (!st) st = cli_model_open(&of_student, CLI_WITHOUT_TOKENIZER, &j->student, err);
  if (!st) st = cli_context_check(c, sg_model_config(j->student.model), row_length(j), err);
  if (st) return st;
  sgi_prompt p = {.model = j->teacher.model, .tokenizer = j->teacher.tokenizer, .directory = j->teacher.directory};
  st = cli_text_form(&own, form, &own_form, err);
  json_decref(own_form);
  if (!st) st = cli_rows_split(&j->held_out, &own, &p, "valid", row_length(j), cli_size(c, "rows"), err);
  if (st) return st;
  j->teacher_flops = cli_is_set(c, "teacher-flops") ? cli_real(c, "teacher-flops") : 0;
  return cli_is_set(c, "teacher-flops") ? SG_OK : sgi_training_flops(j->teacher.directory, &j->teacher_flops, err);
}

static void print(const void *out, const json_t *o) {
  static const char *const heads[] = {"part", "step", "% of training", "seconds", "loss", "recovered"};
  const json_t *curve = json_object_get(o, "curve");
  cli_table *t = cli_table_begin("lrrrrr");
  for (size_t i = 0; i < SGI_COUNT(heads); i++) cli_cell(t, "%s", heads[i]);
  for (size_t i = 0; i < json_array_size(curve); i++) {
    const json_t *p = json_array_get(curve, i);
    double share = sgi_field_real(p, "share");
    cli_cell(t, "%s", json_string_value(json_object_get(p, "part")));
    cli_cell(t, "%.0f", sgi_field_real(p, "step"));
    cli_cell(t, isfinite(share) ? "%.2f" : "-", 100 * share);
    cli_cell(t, "%.1f", sgi_field_real(p, "seconds"));
    cli_cell(t, "%.4f", sgi_field_real(p, "loss"));
    cli_cell(t, "%.4f", sgi_field_real(p, "recovered"));
  }
  cli_table_end(t);
  printf("teacher's loss %.4f, without feedforward layers %.4f; %s tokens, %.3g FLOPs, %.0f s\n",
         sgi_field_real(o, "teacher_loss"), sgi_field_real(o, "loss_zero"), cli_count(sgi_field_real(o, "tokens")).s,
         sgi_field_real(o, "flops"), sgi_field_real(o, "seconds"));
  if (json_is_true(json_object_get(o, "stopped")))
    cli_note("stopped: %s is what had been learned until then", (const char *)out);
}

static void ask(const job *j, sgi_distillation *r, const sg_text_form *form) {
  const cli_call *c = j->call;
  *r = (sgi_distillation){.teacher = j->teacher.model,
                          .student = j->student.model,
                          .tokenizer = j->teacher.tokenizer,
                          .data = cli_string(c, "data"),
                          .form = form,
                          .held_out = j->held_out,
                          .batch_size = cli_size(c, "batch-size"),
                          .seq_len = row_length(j),
                          .layer_steps = cli_size(c, "layer-steps"),
                          .steps = cli_size(c, "steps"),
                          .share = cli_is_set(c, "flops-share") ? cli_real(c, "flops-share") : 0,
                          .layers_share = cli_real(c, "layers-share"),
                          .teacher_flops = j->teacher_flops,
                          .layer_rate = cli_real(c, "layer-rate"),
                          .rate = cli_real(c, "learning-rate"),
                          .alpha = cli_real(c, "alpha"),
                          .tau = cli_real(c, "temperature"),
                          .free_all = cli_choice(c, "free") == 1,
                          .beyond_context = cli_flag(c, "beyond-context"),
                          .points = cli_size(c, "points"),
                          .seed = cli_u64(c, "seed"),
                          .progress = progress,
                          .user = (void *)(uintptr_t)j};
}

static int run(const cli_call *c) {
  sg_error err = {0};
  job j = {.call = c};
  json_t *o = NULL;
  sg_text_form form;
  sgi_distillation r;
  const char *out = cli_string(c, "output");
  if (cli_is_set(c, "flops-share") && (cli_is_set(c, "steps") || cli_is_set(c, "layer-steps")))
    return cli_usage(c, "--flops-share and --steps or --layer-steps: one of them says how long");
  if (cli_is_set(c, "layers-share") && !cli_is_set(c, "flops-share"))
    return cli_usage(c, "--layers-share is a part of --flops-share");
  bool there = sgi_is_directory(out);
  cli_signals_install();
  sg_status st = open_all(&j, &form, &err);
  if (!st) ask(&j, &r, &form);
  if (!st) st = sgi_distillation_make(&r, out, &o, &err);
  if (j.begun) cli_progress_end(&j.bar);
  if (!st) st = sgi_copy_tokenizer(j.teacher.directory, out, &err);
  if (!st && cli_string(c, "svg")) st = sgi_distillation_figure(o, cli_string(c, "svg"), &err);
  if (!st && json_object_set_new(o, "model", json_string(out))) st = sgi_fail_memory(&err, 64, "a result");
  bool stopped = !st && json_is_true(json_object_get(o, "stopped")) && cli_stop;
  sgi_whole_directory(out, there, st);
  int code = cli_answer(c, st, &err, o, print, out);
  cli_rows_free(&j.held_out);
  cli_model_close(&j.teacher);
  cli_model_close(&j.student);
  return stopped ? cli_end(SG_ERR_CANCELLED, &err) : code;
}

static const cli_option options[] = {
    {.name = "teacher",
     .required = true,
     .type = CLI_STRING,
     .argument = "MODEL",
     .help = "model or run to learn from"},
    {.name = "student",
     .required = true,
     .type = CLI_STRING,
     .argument = "MODEL",
     .help = "model that learns: of convert or quantize, or another of the same sizes"},
    {.name = "data",
     .letter = 'd',
     .required = true,
     .type = CLI_STRING,
     .argument = "PATH",
     .help = "text: a file, or a directory with train.* and valid.*"},
    {.name = "flops-share",
     .type = CLI_REAL,
     .argument = "X",
     .min = 0,
     .max = 1000,
     .help = "how long: this part of the FLOPs that the teacher's training took, 0.05 for a twentieth"},
    {.name = "layers-share",
     .type = CLI_REAL,
     .argument = "X",
     .value = "0.5",
     .min = 0,
     .max = 1,
     .help = "part of --flops-share that goes to the layers one by one"},
    {.name = "teacher-flops",
     .type = CLI_REAL,
     .argument = "FLOPS",
     .value_text = "as its run says",
     .min = 1,
     .max = 1e30,
     .help = "what the teacher's training took"},
    {.name = "layer-steps",
     .type = CLI_SIZE,
     .argument = "N",
     .value = "100",
     .max = 1 << 30,
     .help = "steps of the layers one by one"},
    {.name = "steps", .type = CLI_SIZE, .argument = "N", .value = "100", .max = 1 << 30, .help = "steps of the whole"},
    CLI_STEP_ROWS_OPTION,
    {.name = "seq-len",
     .letter = 's',
     .type = CLI_SIZE,
     .argument = "T",
     .value_text = "the model's, at most 256",
     .min = 2,
     .max = 1 << 20,
     .help = "tokens of a row"},
    {.name = "layer-rate",
     .type = CLI_REAL,
     .argument = "RATE",
     .value = "1e-3",
     .help = "of Adam, layers one by one; falls to 0 as half a cosine"},
    {.name = "learning-rate", .type = CLI_REAL, .argument = "RATE", .value = "3e-4", .help = "the same of the whole"},
    CLI_TEACHER_LOSS_OPTIONS,
    {.name = "free",
     .type = CLI_CHOICE,
     .argument = "layers|all",
     .value = "layers",
     .help = "what learns: feedforward layers that differ from the teacher's (or what is stored in fewer bytes, and "
             "routers), or everything"},
    {.name = "points",
     .type = CLI_SIZE,
     .argument = "N",
     .value = "4",
     .max = 1000,
     .help = "times that the loss is looked at while the whole learns"},
    {.name = "rows",
     .type = CLI_SIZE,
     .argument = "N",
     .value = "64",
     .min = 1,
     .max = 1e9,
     .help = "held-out documents for that"},
    {.name = "svg", .type = CLI_STRING, .argument = "OUT.svg", .help = "a figure: recovered share over cost"},
    CLI_SEED_OPTION,
    CLI_REQUIRED_OUTPUT("DIR", "directory of the model that has learned"),
    CLI_BEYOND_OPTION,
    CLI_FORM_OPTIONS,
    CLI_CHECKPOINT_OPTION,
    {.name = "tokenizer",
     .letter = 'T',
     .type = CLI_STRING,
     .argument = "FILE",
     .value_text = "the teacher's own",
     .help = "tokenizer.json to use"},
    CLI_JSON_OPTION,
    CLI_END};

const cli_command cli_distill = {
    .name = "distill",
    .group = "Training",
    .summary = "a model learns what another does",
    .usage = "--teacher MODEL --student MODEL --data PATH [--flops-share X] -o DIR",
    .examples =
        "# a converted model learns what its pairs left out, for a twentieth of the training's cost\n"
        "sgatlin distill --teacher run --student student --data stories --flops-share 0.05 -o out\n"
        "# int4 learns from the model it was made of\nsgatlin quantize run --to int4 -o small\n"
        "sgatlin distill --teacher run --student small --data stories --layer-steps 0 --steps 200 -o better",
    .description =
        "Two parts. One by one: the teacher runs, and each of the student's layers that differ is given what the "
        "teacher's layer reads and learns |y - y_T|^2 / |y_T|^2; no gradient goes from layer to layer. Whole: the "
        "student runs itself and learns alpha temperature^2 KL(teacher || student) + (1 - alpha) cross-entropy. Adam; "
        "FLOPs are counted as a run's are: the teacher forward, the student (or its layers) forward and backward.\n\n"
        "recovered: (L_zero - L) / (L_zero - L_teacher) over held-out documents, L_zero with every feedforward layer "
        "adding nothing. A student stored in fewer bytes is run as it is stored and stored the same way again. "
        "Stopped by a signal, DIR is what had been learned until then.\n\n"
        "DIR/distill.json is what --json prints: teacher_loss, loss_zero, teacher_flops, steps, flops, share, seconds, "
        "stopped, losses of both parts (means over a tenth of their steps) and curve. docs/method.md, distillation.",
    .options = options,
    .min_args = 0,
    .max_args = 0,
    .run = run,
};
