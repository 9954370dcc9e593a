/* cmd_functions_fit.c: a layer's neurons as functions of a few features. */
#include <string.h>

#include "model.h"
#include "reading.h"
#include "report/functions.h"
#include "report/report.h"

typedef struct job {
  const cli_call *call;
  sgi_record_reader r;
  cli_model m;
  size_t *layers, n_layers;
  cli_progress bar;
  const char *what;
  json_t *answer;
} job;

static bool progress(void *user, const char *what, size_t done, size_t wanted) {
  job *j = user;
  if (!j->what || strcmp(j->what, what) || done < (size_t)j->bar.done) {
    if (j->what) cli_progress_end(&j->bar);
    cli_progress_begin(&j->bar, what, "", (double)wanted, 0);
    j->what = what;
  }
  cli_progress_update(&j->bar, (double)done, NULL);
  return cli_stop == 0;
}

static sg_status fit(job *j, sg_error *err) {
  const cli_call *c = j->call;
  sgi_functions_request q = {.model = j->m.model,
                             .recording = j->r.rec,
                             .model_path = c->args[0],
                             .recording_path = cli_string(c, "recording"),
                             .out = cli_string(c, "output"),
                             .layers = j->layers,
                             .n_layers = j->n_layers,
                             .features = cli_size(c, "features"),
                             .edges = cli_size(c, "edges"),
                             .cells = cli_size(c, "cells"),
                             .samples = cli_size(c, "samples"),
                             .least = cli_size(c, "least"),
                             .positions = cli_size(c, "positions"),
                             .steps = cli_size(c, "steps"),
                             .outputs = cli_size(c, "outputs"),
                             .base = cli_flag(c, "base"),
                             .logic = cli_flag(c, "logic"),
                             .symbols = cli_flag(c, "named"),
                             .seed = cli_u64(c, "seed"),
                             .progress = progress,
                             .user = j};
  if (q.least > q.samples)
    return sgi_fail(err, SG_ERR_ARG, "--least %zu: a neuron has at most the %zu samples of --samples", q.least,
                    q.samples);
  size_t D = sg_model_config(j->m.model)->hidden_size;
  if (q.features > D && cli_is_set(c, "features"))
    return sgi_fail(err, SG_ERR_ARG, "--features %zu: the model's stream has %zu dimensions", q.features, D);
  if (q.features > D) q.features = D;
  sg_status st = sgi_functions_fit_json(&q, &j->answer, err);
  if (j->what) cli_progress_end(&j->bar);
  return st;
}

static void cell(cli_table *t, const json_t *o, const char *key, double times, const char *format) {
  const json_t *v = json_object_get(o, key);
  char text[32];
  snprintf(text, sizeof text, format, json_number_value(v) * times);
  cli_cell(t, "%s", json_is_null(v) ? "-" : text);
}

static void print(const job *j) {
  static const char *const heads[] = {"layer",       "functions", "rows kept", "edges",     "named",   "gates kept",
                                      "hard / soft", "R2",        "explained", "recovered", "splines", "bytes"};
  const json_t *layers = json_object_get(j->answer, "layers"), *positions = json_object_get(j->answer, "positions"),
               *all = json_object_get(j->answer, "all"), *o;
  size_t i;
  printf("fitted to %.0f positions; measured on %.0f others, where the model's loss is %.4f\n",
         sgi_field_real(positions, "fitted"), sgi_field_real(positions, "held_out"), sgi_field_real(j->answer, "loss"));
  cli_table *t = cli_table_begin("rrrrrrrrrrrr");
  for (i = 0; i < SGI_COUNT(heads); i++) cli_cell(t, "%s", heads[i]);
  json_array_foreach((json_t *)(uintptr_t)layers, i, o) {
    const json_t *logic = json_object_get(o, "logic"), *held = json_object_get(o, "held_out");
    cell(t, o, "layer", 1, "%.0f");
    cell(t, o, "functions", 1, "%.0f");
    cell(t, o, "rows_kept", 1, "%.0f");
    cell(t, o, "edges", 1, "%.0f");
    cell(t, o, "named_share", 100, "%.1f %%");
    cell(t, logic, "kept", 1, "%.0f");
    cell(t, logic, "hard_over_soft", 1, "%.3f");
    cell(t, o, "r2", 1, "%.3f");
    cell(t, held, "variance_explained", 1, "%.3f");
    cell(t, held, "recovered", 100, "%.1f %%");
    cell(t, json_object_get(o, "splines"), "recovered", 100, "%.1f %%");
    cli_cell(t, "%s", cli_bytes(sgi_field_real(o, "bytes")).s);
  }
  cli_table_end(t);
  printf("all at once: loss %.4f, recovered %.1f %%\n", sgi_field_real(all, "loss"),
         100 * sgi_field_real(all, "recovered"));
}

static int run(const cli_call *c) {
  sg_error err = {0};
  job j = {.call = c};
  cli_signals_install();
  sg_status st = sgi_record_reader_open(cli_string(c, "recording"), &j.r, &err);
  if (!st) st = sgi_record_reader_circuits(&j.r, &err);
  if (!st) st = cli_model_open(c, CLI_WITHOUT_TOKENIZER, &j.m, &err);
  if (!st) st = cli_bind(c, j.r.rec, j.r.directory, j.m.model, &err);
  if (!st && cli_string(c, "layer"))
    st = cli_number_list(cli_string(c, "layer"), "layer", &j.layers, &j.n_layers, &err);
  if (!st) st = fit(&j, &err);
  int code = 0;
  if (st)
    code = cli_end(st, &err);
  else if (cli_flag(c, "json"))
    code = cli_reading_json(j.r.rec, json_incref(j.answer));
  else
    print(&j);
  json_decref(j.answer);
  sgi_free(j.layers);
  cli_model_close(&j.m);
  sgi_record_reader_close(&j.r);
  return code;
}

static const cli_option options[] = {
    {.name = "recording", .required = true, .type = CLI_STRING, .argument = "REC", .help = "recording of MODEL"},
    {.name = "output", .letter = 'o', .required = true, .type = CLI_STRING, .argument = "F", .help = "file to write"},
    {.name = "layer",
     .letter = 'l',
     .type = CLI_STRING,
     .argument = "L",
     .value_text = "all recorded ones",
     .help = "layers of the model, such as 1 or 0,2-3"},
    {.name = "features",
     .type = CLI_SIZE,
     .argument = "R",
     .value = "64",
     .min = 1,
     .max = 65536,
     .help = "directions that functions read; at most as many as the stream has"},
    {.name = "edges",
     .type = CLI_SIZE,
     .argument = "E",
     .value = "8",
     .min = 1,
     .max = 8,
     .help = "splines of a neuron, at most"},
    {.name = "cells",
     .type = CLI_SIZE,
     .argument = "G",
     .value = "8",
     .min = 1,
     .max = 16,
     .help = "cells of a spline's grid"},
    {.name = "base", .type = CLI_FLAG, .help = "a silu beside each spline"},
    {.name = "logic", .type = CLI_FLAG, .value = "on", .help = "gates on what splines leave"},
    {.name = "named",
     .type = CLI_FLAG,
     .value = "on",
     .help = "named functions in the place of splines where they say the same"},
    {.name = "outputs",
     .type = CLI_SIZE,
     .argument = "N",
     .value = "0",
     .max = 65536,
     .help = "output rows through a shared basis of N; 0: rows of their own"},
    {.name = "positions",
     .type = CLI_SIZE,
     .argument = "N",
     .value = "65536",
     .max = 4e9,
     .help = "of the recording, in whole documents evenly taken; every eighth is held out. 0: all"},
    {.name = "samples",
     .type = CLI_SIZE,
     .argument = "N",
     .value = "512",
     .min = 8,
     .max = 1e6,
     .help = "of a neuron, at most"},
    {.name = "least",
     .type = CLI_SIZE,
     .argument = "N",
     .value = "32",
     .min = 1,
     .max = 1e6,
     .help = "of a neuron; one with fewer stays a row of the matrix"},
    {.name = "steps",
     .type = CLI_SIZE,
     .argument = "N",
     .value = "1000",
     .max = 1e6,
     .help = "of the fit of all functions and output rows together"},
    CLI_SEED_OPTION,
    CLI_FORCE_OPTION,
    CLI_CHECKPOINT_OPTION,
    CLI_JSON_OPTION,
    CLI_END};

const cli_command cli_functions_fit = {
    .name = "functions fit",
    .group = "Reading",
    .summary = "neurons as functions of a few features: splines, named functions, gates",
    .usage = "MODEL --recording REC -o F [--layer L]",
    .examples =
        "# every recorded layer, and what the functions keep of the model\n"
        "sgatlin functions fit run --recording rec -o run.functions\n"
        "# one layer, output rows through a shared basis\n"
        "sgatlin functions fit run --recording rec --layer 1 --outputs 64 -o F",
    .description =
        "The rows that a recording has of a layer's chosen neurons are run again, and each neuron that fires often "
        "enough becomes phi(z), a bias and a few functions of single features z = P x, which the layer shares; what "
        "the router does stays. Splines are added one by one while they gain 0.2 % of the variance, gates of four bits "
        "are tried on the rest and made hard, then all functions and output rows of the layer are fitted together. A "
        "spline that is a line, a relu, a tanh ... becomes one.\n\n"
        "Where a score stands inside the neuron (sgatlin) the function stands for the gated value, else for what the "
        "gate multiplies.\n\n"
        "explained: share of the variance of what the layer writes; recovered: of the loss that is lost where it "
        "writes nothing; both on documents that were not fitted to. splines: recovered before splines got names. "
        "hard / soft: error with hard gates over that with soft ones, where they were tried.",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
