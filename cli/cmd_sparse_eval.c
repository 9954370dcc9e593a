/* cmd_sparse_eval.c: what sparse MLPs keep of a model over held-out text, beside simpler things. */
#include <math.h>
#include <string.h>

#include "reading.h"
#include "scatter.h"
#include "sparse.h"

typedef struct job {
  const cli_call *call;
  cli_model m;
  sgi_sparse_text *text, *fit; /* fit: NULL without linear maps */
  size_t n;                    /* sets */
  sgi_sparse_set **sets;
  cli_progress bar;
} job;

/* The text that linear maps are fitted to: --fit, or what the first set was trained on. */
static sg_status open_fit(job *j, sg_error *err) {
  const cli_call *c = j->call;
  const char *path = cli_string(c, "fit");
  if (!path) path = sgi_sparse_trained_on(j->sets[0]);
  if (!path) {
    cli_note("no linear map beside them: give the training text with --fit");
    return SG_OK;
  }
  sg_status st = cli_sparse_text_at(c, &j->m, path, 0, &j->fit, err);
  if (!st) sgi_sparse_text_limit(j->fit, cli_size(c, "fit-tokens"));
  return st;
}

static sg_status prepare(job *j, sg_error *err) {
  const cli_call *c = j->call;
  size_t n = (size_t)c->n_args - 1;
  j->sets = sgi_alloc(n * sizeof *j->sets);
  sg_status st = j->sets ? SG_OK : sgi_fail_memory(err, n * sizeof *j->sets, "sparse MLPs");
  j->n = st ? 0 : n;
  if (!st) st = cli_model_open(c, CLI_WITH_TOKENIZER, &j->m, err);
  for (size_t i = 0; i < n && !st; i++) st = cli_sparse_open(c, c->args[i + 1], j->m.model, &j->sets[i], err);
  if (!st) st = cli_sparse_text_open(c, &j->m, "data", "valid", cli_size(c, "max-rows"), &j->text, err);
  if (!st && cli_flag(c, "baselines")) st = open_fit(j, err);
  return st;
}

static sg_status evaluate(job *j, json_t **answer, sg_error *err) {
  const sgi_sparse_eval_asked asked = {.model = j->m.model,
                                       .sets = (const sgi_sparse_set *const *)j->sets,
                                       .n_sets = j->n,
                                       .text = j->text,
                                       .own = cli_flag(j->call, "baselines"),
                                       .fit = j->fit,
                                       .frequencies = cli_flag(j->call, "frequencies"),
                                       .progress = cli_progress_bytes,
                                       .user = &j->bar};
  cli_progress_begin(&j->bar, "evaluating", "rows", 0, 0);
  sg_status st = sgi_sparse_eval_report(&asked, answer, err);
  cli_progress_end(&j->bar);
  return st;
}

/* ---- results --------------------------------------------------------------------------------- */

static void cell(cli_table *t, double x, const char *format, double times) {
  char text[32];
  snprintf(text, sizeof text, format, x * times);
  cli_cell(t, "%s", isfinite(x) ? text : "-");
}

/* Of a layer, or of all at once, which has no features of its own. */
static void row(cli_table *t, const json_t *x) {
  bool layer = json_object_get(x, "layer");
  if (layer)
    cli_cell(t, "%zu", sgi_field_size(x, "layer"));
  else
    cli_cell(t, "all");
  cell(t, sgi_field_real(x, "l0"), "%.1f", 1);
  if (layer)
    cli_cell(t, "%.1f %%", 100 * (double)sgi_field_size(x, "dead") / (double)sgi_field_size(x, "features"));
  else
    cli_cell(t, "-");
  cell(t, sgi_field_real(x, "variance_explained"), "%.3f", 1);
  cell(t, sgi_field_real(x, "loss_zero"), "%.4f", 1);
  cell(t, sgi_field_real(x, "loss_mean"), "%.4f", 1);
  cell(t, sgi_field_real(x, "loss_replaced"), "%.4f", 1);
  cell(t, sgi_field_real(x, "kl"), "%.4f", 1);
  cell(t, sgi_field_real(x, "recovered"), "%.1f %%", 100);
  cell(t, sgi_field_real(x, "recovered_of_mean"), "%.1f %%", 100);
  cell(t, sgi_field_real(json_object_get(x, "own"), "recovered"), "%.1f %%", 100);
  cell(t, sgi_field_real(json_object_get(x, "linear"), "recovered"), "%.1f %%", 100);
}

static bool undefined(const json_t *x) { return !isfinite(sgi_field_real(x, "recovered")); }

static void print_set(const sgi_sparse_set *set, const json_t *s) {
  static const char *const heads[] = {"layer",    "act", "dead",      "explained", "loss at 0",   "at mean",
                                      "replaced", "KL",  "recovered", "of mean",   "own, as few", "linear map"};
  const json_t *layers = json_object_get(s, "layers"), *all = json_object_get(s, "all");
  bool none = undefined(all);
  char words[120];
  sgi_sparse_words(set, words, sizeof words);
  printf("\n%s: %s, %zu features, %s\n", sgi_field_word(s, "directory"), words,
         sgi_field_size(json_array_get(layers, 0), "features"), sgi_field_word(s, "site"));
  cli_table *t = cli_table_begin("rrrrrrrrrrrr");
  for (size_t h = 0; h < SGI_COUNT(heads); h++) cli_cell(t, "%s", heads[h]);
  for (size_t k = 0; k < json_array_size(layers); k++) {
    row(t, json_array_get(layers, k));
    none = none || undefined(json_array_get(layers, k));
  }
  row(t, all);
  cli_table_end(t);
  if (none) cli_note("-: the loss hardly changes where nothing is put there, so no share of it can be told");
}

static void print(const void *user, const json_t *o) {
  const job *j = user;
  printf("loss %.4f over %zu positions\n", sgi_field_real(o, "loss"), sgi_field_size(o, "counted"));
  for (size_t i = 0; i < j->n; i++) print_set(j->sets[i], json_array_get(json_object_get(o, "sets"), i));
}

/* A point of the sets' own method, and of what stands beside them. */
static bool add_points(scatter *s, size_t panel, const char *method, const char *key, double x, const json_t *run) {
  static const char *const beside[][2] = {{"own", "own neurons, as few"}, {"linear", "linear map of that rank"}};
  bool there = scatter_add(s, panel, method, key, x, sgi_field_real(run, "recovered"));
  for (size_t i = 0; i < SGI_COUNT(beside); i++) {
    const json_t *other = json_object_get(run, beside[i][0]);
    if (json_is_object(other))
      there = there && scatter_add(s, panel, beside[i][1], key, x, sgi_field_real(other, "recovered"));
  }
  return there;
}

/* One panel a layer, and one for all at once; x is what acts at a position (a mean over layers). */
static sg_status figure(const job *j, const json_t *o, const char *path, sg_error *err) {
  const json_t *sets = json_object_get(o, "sets"), *first = json_object_get(json_array_get(sets, 0), "layers");
  size_t n = json_array_size(first);
  scatter s = {.x_title = "features that act", .y_title = "loss recovered", .log_x = true, .y_low = 0, .y_high = 1};
  s.panels = sgi_alloc((n + 1) * sizeof *s.panels);
  if (!s.panels) return sgi_fail_memory(err, n * sizeof *s.panels, "a figure");
  s.n_panels = n + 1;
  for (size_t k = 0; k < n; k++)
    snprintf(s.panels[k], sizeof s.panels[k], "layer %zu", sgi_field_size(json_array_get(first, k), "layer"));
  snprintf(s.panels[n], sizeof s.panels[n], "all at once");
  bool there = true;
  for (size_t i = 0; i < j->n; i++) {
    const json_t *set = json_array_get(sets, i), *layers = json_object_get(set, "layers");
    size_t count = json_array_size(layers);
    char method[SCATTER_NAME], key[SCATTER_NAME];
    double l0 = 0;
    sgi_sparse_method(j->sets[i], method, sizeof method);
    snprintf(key, sizeof key, "%.40g", sgi_sparse_penalty(j->sets[i]));
    for (size_t k = 0; k < count; k++) l0 += sgi_field_real(json_array_get(layers, k), "l0") / (double)count;
    for (size_t k = 0; k <= count && k <= n; k++) {
      const json_t *run = k < count ? json_array_get(layers, k) : json_object_get(set, "all");
      there = there && add_points(&s, k, method, key, k < count ? sgi_field_real(run, "l0") : l0, run);
    }
  }
  sg_status st = there ? scatter_save(&s, path, err) : sgi_fail_memory(err, s.n * sizeof *s.at, "a figure");
  scatter_free(&s);
  return st;
}

static int run(const cli_call *c) {
  sg_error err = {0};
  job j = {.call = c};
  json_t *answer = NULL;
  cli_signals_install();
  sg_status st = prepare(&j, &err);
  if (!st) st = evaluate(&j, &answer, &err);
  if (!st && cli_string(c, "svg")) st = figure(&j, answer, cli_string(c, "svg"), &err);
  int code = cli_answer(c, st, &err, answer, print, &j);
  for (size_t i = 0; i < j.n; i++) sgi_sparse_set_free(j.sets[i]);
  sgi_free(j.sets);
  sgi_sparse_text_free(j.text);
  sgi_sparse_text_free(j.fit);
  cli_model_close(&j.m);
  return code;
}

static const cli_option options[] = {
    CLI_HELD_OUT_OPTION("held-out text: a file, or a directory's valid.*"),
    {.name = "max-rows", .type = CLI_SIZE, .argument = "N", .value = "0", .help = "rows that are read; 0: all"},
    {.name = "baselines",
     .type = CLI_FLAG,
     .value = "on",
     .help = "beside them the layers' own neurons, as few at a position, and a linear map of that rank"},
    {.name = "fit",
     .type = CLI_STRING,
     .argument = "FILE",
     .value_text = "what the first was trained on",
     .help = "text that the linear map is fitted to; never the one of --data"},
    {.name = "fit-tokens",
     .type = CLI_SIZE,
     .argument = "N",
     .value = "65536",
     .min = 2,
     .help = "tokens of it that are read"},
    {.name = "frequencies", .type = CLI_FLAG, .help = "in JSON also how often each feature acts"},
    {.name = "svg",
     .type = CLI_STRING,
     .argument = "FILE",
     .help = "loss recovered over features that act, as a figure"},
    EVAL_TEXT_OPTIONS,
    CLI_SPARSE_FORCE_OPTION,
    CLI_FORM_OPTIONS,
    CLI_BEYOND_OPTION,
    CLI_JSON_OPTION,
    CLI_CHECKPOINT_OPTION,
    CLI_TOKENIZER_OPTION,
    CLI_END};

const cli_command cli_sparse_eval = {
    .name = "sparse eval",
    .group = "Reading",
    .summary = "what transcoders or SAEs keep of a model, beside simpler things",
    .usage = "MODEL TC... --data FILE",
    .examples =
        "# loss recovered by layer, dead features, KL\nsgatlin sparse eval run tc --data valid.txt\n"
        "# several penalties and seeds as curves\n"
        "sgatlin sparse eval run tc1 tc2 tc3 --data valid.txt --svg pareto.svg",
    .description =
        "The loss of the model with a place replaced by its sparse MLP, set to 0, and set to its mean over the same "
        "text; recovered is 1 less the share of the first damage in the second, \"of mean\" in the third, a harder "
        "measure. Beside it what the layer's own neurons recover when at each position only as many as features act "
        "are kept (the largest by value times length of what it writes), and the best linear map of that rank.\n\n"
        "Sets of the same settings with other seeds are one point of the figure, with its spread.\n\n"
        "JSON: loss, counted, sets: layers (l0, l1, dead, mse, mse_zero, variance_explained, histogram of log10 "
        "frequency, loss_replaced, loss_zero, loss_mean, kl, recovered, recovered_of_mean, own, linear) and all: the "
        "same of all layers at once. null where it is not defined.",
    .options = options,
    .min_args = 2,
    .max_args = CLI_ANY,
    .run = run,
};
