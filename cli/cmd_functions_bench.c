/* cmd_functions_bench.c: a layer's neurons as rows and as functions, timed side by side. */
#include <unistd.h>

#include "cli.h"
#include "core/arena.h"
#include "core/file.h"
#include "report/functions.h"
#include "report/report.h"

static void print(const void *user, const json_t *answer) {
  static const char *const heads[] = {"neurons",   "as rows",    "as functions",   "features",
                                      "values",    "outputs",    "times faster",   "rows",
                                      "functions", "read, rows", "read, functions"};
  const json_t *o;
  size_t i;
  (void)user;
  printf("layer %.0f, %.0f numbers wide, %.0f neurons a token, %.0f features", sgi_field_real(answer, "layer"),
         sgi_field_real(answer, "hidden_size"), sgi_field_real(answer, "chosen"), sgi_field_real(answer, "features"));
  if (sgi_field_real(answer, "outputs") > 0) printf(", outputs through %.0f", sgi_field_real(answer, "outputs"));
  printf("; processor time of a token in microseconds, router apart\n");
  cli_table *t = cli_table_begin("rrrrrrrrrrr");
  for (i = 0; i < SGI_COUNT(heads); i++) cli_cell(t, "%s", heads[i]);
  json_array_foreach(json_object_get(answer, "pools"), i, o) {
    static const char *const times[] = {"matrix_us", "functions_us", "features_us", "values_us", "outputs_us"};
    static const char *const bytes[] = {"bytes_matrix", "bytes_functions", "read_matrix", "read_functions"};
    cli_cell(t, "%.0f", sgi_field_real(o, "neurons"));
    for (size_t k = 0; k < SGI_COUNT(times); k++) cli_cell(t, "%.2f", sgi_field_real(o, times[k]));
    cli_cell(t, "%.2f", sgi_field_real(o, "times_faster"));
    for (size_t k = 0; k < SGI_COUNT(bytes); k++) cli_cell(t, "%s", cli_bytes(sgi_field_real(o, bytes[k])).s);
  }
  cli_table_end(t);
}

static sg_status bench(const cli_call *c, const sgi_functions *f, cli_progress *bar, json_t **out, sg_error *err) {
  char name[48];
  snprintf(name, sizeof name, "sgatlin-pool-%ld.tmp", (long)getpid());
  char *file = sgi_path_join(cli_string(c, "dir"), name);
  if (!file) return sgi_fail_memory(err, sizeof name, "a path");
  sgi_functions_bench_request q = {.layer = cli_is_set(c, "layer") ? (ptrdiff_t)cli_size(c, "layer") : -1,
                                   .pool = cli_size(c, "pool"),
                                   .seconds = cli_real(c, "seconds"),
                                   .file = file,
                                   .seed = cli_u64(c, "seed"),
                                   .progress = cli_progress_advance,
                                   .user = bar};
  cli_progress_begin(bar, "timing", "rounds", 0, 0);
  sg_status st = sgi_functions_bench_json(f, &q, out, err);
  cli_progress_end(bar);
  sgi_free(file);
  return st;
}

static int run(const cli_call *c) {
  sg_error err = {0};
  sgi_functions *f = NULL;
  cli_progress bar = {0};
  json_t *answer = NULL;
  cli_signals_install();
  sg_status st = sgi_functions_open(c->args[0], &f, &err);
  if (!st) st = bench(c, f, &bar, &answer, &err);
  int code = cli_answer(c, st, &err, answer, print, NULL);
  sgi_functions_close(f);
  return code;
}

static const cli_option options[] = {{.name = "layer",
                                      .letter = 'l',
                                      .type = CLI_SIZE,
                                      .argument = "L",
                                      .value_text = "the first in F",
                                      .help = "layer of the model, from 0"},
                                     {.name = "pool",
                                      .type = CLI_SIZE,
                                      .argument = "N",
                                      .value = "1048576",
                                      .max = 2e9,
                                      .help = "neurons of a second, large pool, which repeats the functions; 0: none"},
                                     {.name = "seconds",
                                      .type = CLI_REAL,
                                      .argument = "S",
                                      .value = "2",
                                      .min = 0,
                                      .max = 3600,
                                      .help = "of processor time for each pool, about"},
                                     {.name = "dir",
                                      .type = CLI_STRING,
                                      .argument = "DIR",
                                      .value = ".",
                                      .help = "where the pools' file lies while it runs"},
                                     CLI_SEED_OPTION,
                                     CLI_JSON_OPTION,
                                     CLI_END};

const cli_command cli_functions_bench = {
    .name = "functions bench",
    .group = "Reading",
    .summary = "the time of a layer's neurons as functions, beside rows of a matrix",
    .usage = "F [--layer L] [--pool N]",
    .examples =
        "# the layer's own pool, and one of a million neurons\nsgatlin functions bench F -t 1\n"
        "# the first alone\nsgatlin functions bench F --pool 0 -t 1",
    .description =
        "Both ways read a mapped file and alternate, each time over neurons drawn evenly: rows of both maps (numbers "
        "of "
        "the right size, as the time does not depend on them), or the features once and then each function, packed "
        "into "
        "as few bytes as say it. Output rows stay rows unless F was fitted with --outputs. The router is the same in "
        "both and is not counted. The large pool lies in memory once the file was written, but in no cache.\n\n"
        "Times are of the processor, so give -t 1 beside other work.",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
