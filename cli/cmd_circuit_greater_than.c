/* cmd_circuit_greater_than.c: how few features, or neurons, carry "the second year is above the
 * first". */
#include <math.h>
#include <stdlib.h>

#include "curves.h"
#include "report/greater_than.h"
#include "report/report.h"
#include "sparse.h"

enum { MOST_POINTS = 64 };

typedef struct job {
  const cli_call *call;
  sgi_prompt p;
  sgi_sparse_set **sets;
  size_t n;
  json_t *answer;
  cli_progress bar;
} job;

static sg_status prepare(job *j, sg_error *err) {
  const cli_call *c = j->call;
  sg_status st = cli_prompt_open_model(&j->p, c, err);
  j->n = (size_t)c->n_args - 1;
  j->sets = sgi_alloc(j->n * sizeof *j->sets);
  if (!st && !j->sets) st = sgi_fail_memory(err, j->n * sizeof *j->sets, "transcoders");
  for (size_t k = 0; k < j->n && !st; k++) st = cli_sparse_open(c, c->args[1 + k], j->p.model, &j->sets[k], err);
  return st;
}

static void cell_plateau(cli_table *t, const json_t *curve) {
  const json_t *x = json_object_get(curve, "plateau");
  if (!json_is_object(curve))
    cli_cell(t, "-");
  else if (json_is_integer(x))
    cli_cell(t, "%lld of %zu", (long long)json_integer_value(x), sgi_field_size(curve, "count"));
  else
    cli_cell(t, "none of %zu", sgi_field_size(curve, "count"));
}

static double first_value(const json_t *curve) {
  return sgi_field_real(json_array_get(json_object_get(curve, "curve"), 0), "value");
}

static void print(const void *user, const json_t *o) {
  (void)user;
  const json_t *sets = json_object_get(o, "sets");
  printf("\"%s..\": %zu first years; p(above) - p(not above) of the model %.4f, likeliest year above in %.1f %%\n\n",
         json_string_value(json_object_get(o, "prompt")), sgi_field_size(o, "prompts"), sgi_field_real(o, "model"),
         100 * sgi_field_real(o, "accuracy"));
  static const char *const head[] = {"transcoders",       "layer",           "L0", "all at mean", "transcoder",
                                     "features for 90 %", "neurons for 90 %"};
  cli_table *t = cli_table_begin("lrrrrrr");
  for (size_t i = 0; i < SGI_COUNT(head); i++) cli_cell(t, "%s", head[i]);
  for (size_t k = 0; k < json_array_size(sets); k++) {
    const json_t *s = json_array_get(sets, k), *layers = json_object_get(s, "layers");
    for (size_t l = 0; l < json_array_size(layers); l++) {
      const json_t *x = json_array_get(layers, l), *f = json_object_get(x, "features");
      cli_cell(t, "%s", json_string_value(json_object_get(s, "transcoders")));
      cli_cell(t, "%zu", sgi_field_size(x, "layer"));
      cli_cell(t, "%.1f", sgi_field_real(x, "l0"));
      cli_cell(t, "%.4f", first_value(f));
      cli_cell(t, "%.4f", sgi_field_real(x, "replaced"));
      cell_plateau(t, f);
      cell_plateau(t, json_object_get(x, "neurons"));
    }
  }
  cli_table_end(t);
}

/* One curve of one layer, at log2 of k + 1. x, y (MOST_POINTS). */
static size_t points(const json_t *curve, double *x, double *y) {
  const json_t *list = json_object_get(curve, "curve");
  size_t n = json_array_size(list) < MOST_POINTS ? json_array_size(list) : MOST_POINTS;
  for (size_t i = 0; i < n; i++) {
    x[i] = log2(1 + (double)sgi_field_size(json_array_get(list, i), "k"));
    y[i] = sgi_field_real(json_array_get(list, i), "value");
  }
  return n;
}

static sg_status figure(const job *j, const char *path, sg_error *err) {
  const json_t *sets = json_object_get(j->answer, "sets");
  size_t most = 0, n = 0;
  for (size_t k = 0; k < json_array_size(sets); k++)
    most += 2 * json_array_size(json_object_get(json_array_get(sets, k), "layers"));
  cli_curve *curves = sgi_alloc((most + 1) * sizeof *curves);
  double *room = sgi_alloc((2 * most + 1) * MOST_POINTS * sizeof *room);
  sg_status st = curves && room ? SG_OK : sgi_fail_memory(err, most * sizeof *curves, "a figure");
  for (size_t k = 0; k < json_array_size(sets) && !st; k++) {
    const json_t *s = json_array_get(sets, k), *layers = json_object_get(s, "layers");
    for (size_t l = 0; l < json_array_size(layers); l++)
      for (int neurons = 0; neurons < 2; neurons++) {
        const json_t *x = json_array_get(layers, l), *curve = json_object_get(x, neurons ? "neurons" : "features");
        double *at = room + 2 * n * MOST_POINTS;
        if (!json_is_object(curve) || (neurons && k)) continue; /* neurons are the model's, whatever the set */
        curves[n] = (cli_curve){.x = at, .y = at + MOST_POINTS, .n = points(curve, at, at + MOST_POINTS)};
        curves[n].dashed = neurons;
        if (neurons)
          snprintf(curves[n].name, sizeof curves[n].name, "layer %zu, neurons", sgi_field_size(x, "layer"));
        else
          snprintf(curves[n].name, sizeof curves[n].name, "layer %zu, %.40s", sgi_field_size(x, "layer"),
                   json_string_value(json_object_get(s, "transcoders")));
        n++;
      }
  }
  if (!st)
    st = cli_curves_save(&(cli_curves){.title = "Greater-than: features and neurons kept, others at their mean",
                                       .x = "kept: log2(k + 1)",
                                       .y = "p(above) - p(not above)",
                                       .curves = curves,
                                       .n = n,
                                       .whole_x = true},
                         path, err);
  sgi_free(curves);
  sgi_free(room);
  return st;
}

static int run(const cli_call *c) {
  sg_error err = {0};
  job j = {.call = c};
  cli_signals_install();
  sg_status st = prepare(&j, &err);
  sgi_spans_ask ask = {.p = &j.p,
                       .sets = (const sgi_sparse_set *const *)j.sets,
                       .n_sets = j.n,
                       .template = cli_size(c, "template"),
                       .event = cli_size(c, "event"),
                       .century = cli_size(c, "century"),
                       .max_bytes = cli_size(c, "max-memory"),
                       .progress = cli_progress_advance,
                       .user = &j.bar};
  cli_progress_begin(&j.bar, "running", "passes", 0, 0);
  if (!st) st = sgi_spans_json(&ask, &j.answer, &err);
  cli_progress_end(&j.bar);
  if (!st && cli_string(c, "svg")) st = figure(&j, cli_string(c, "svg"), &err);
  int code = cli_answer(c, st, &err, j.answer, print, NULL);
  for (size_t k = 0; j.sets && k < j.n; k++) sgi_sparse_set_free(j.sets[k]);
  sgi_free(j.sets);
  cli_prompt_close(&j.p);
  return code;
}

static const cli_option options[] = {
    {.name = "template",
     .type = CLI_SIZE,
     .argument = "N",
     .value = "0",
     .max = 11,
     .help = "which of the twelve sentences the prompts are"},
    {.name = "event", .type = CLI_SIZE, .argument = "N", .value = "0", .max = 5, .help = "which of its events"},
    {.name = "century",
     .type = CLI_SIZE,
     .argument = "CC",
     .value = "17",
     .min = 11,
     .max = 19,
     .help = "years CC02 to CC98"},
    {.name = "svg", .type = CLI_STRING, .argument = "FILE.svg", .help = "picture of all curves to write"},
    {.name = "max-memory",
     .type = CLI_BYTES,
     .argument = "BYTES",
     .value = "4G",
     .min = 1,
     .help = "refuse what needs more"},
    CLI_SPARSE_FORCE_OPTION,
    CLI_MODEL_OPTIONS,
    CLI_JSON_OPTION,
    CLI_END};

const cli_command cli_circuit_greater_than = {
    .name = "circuit greater-than",
    .group = "Reading",
    .summary = "how few features or neurons carry \"the second year is above the first\"",
    .usage = "MODEL TC... [--svg FILE.svg]",
    .examples =
        "# a model of such sentences, its transcoders, and the sweep\n"
        "sgatlin data greater-than -o spans\n"
        "sgatlin train --kind mlp --data spans --tokenizer spans/tokenizer.json -o run\n"
        "sgatlin sparse train run --data spans --top-k 16 -o tc\n"
        "sgatlin circuit greater-than run tc --svg spans.svg",
    .description =
        "Prompts are one sentence of 'data greater-than' with first years 02 to 98, ending in front of the second "
        "year's "
        "last two digits. Measured is the mean of p(years above) - p(years not above), p among the hundred pairs of "
        "digits.\n\n"
        "For each layer of each set of transcoders: features in the order of their variance over the prompts, the k "
        "first kept, the others at their mean over the prompts, position by position; likewise the layer's own "
        "neurons. "
        "The transcoder stands in the layer's place without its error. Tokens must keep two digits together, as the "
        "corpus' tokenizer.json does.\n\n"
        "JSON: prompt, prompts, model, accuracy, sets [{transcoders, activation, lambda, top_k, layers [{layer, l0, "
        "replaced, features, neurons {count, plateau, curve}}]}].",
    .options = options,
    .min_args = 2,
    .max_args = CLI_ANY,
    .run = run,
};
