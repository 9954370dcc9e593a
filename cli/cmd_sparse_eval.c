/* cmd_sparse_eval.c: what sparse MLPs keep of a model over held-out text, beside simpler things. */
#include <math.h>
#include <string.h>

#include "core/file.h"
#include "reading.h"
#include "report/report.h"
#include "scatter.h"
#include "sparse.h"

enum { HISTOGRAM = 8 }; /* decades of frequency */

typedef struct job {
  const cli_call *call;
  cli_model m;
  cli_sparse_text text, fit;
  bool fits;
  size_t n; /* sets */
  sgi_sparse_set **sets;
  sgi_sparse_eval **evals;
  cli_progress bar;
} job;

/* The text that linear maps are fitted to: --fit, or what the first set was trained on. */
static sg_status open_fit(job *j, sg_error *err) {
  const cli_call *c = j->call;
  const char *path = cli_string(c, "fit");
  size_t tokens = cli_size(c, "fit-tokens");
  if (!path && j->sets[0]->site == SGI_PLACE_MLP) {
    path = json_string_value(json_object_get(j->sets[0]->about, "data"));
    if (path && !sgi_is_file(path)) path = NULL;
  }
  if (!path) {
    cli_note("no linear map beside them: give the training text with --fit");
    return SG_OK;
  }
  sg_status st = cli_sparse_text_at(c, &j->m, path, 0, &j->fit, err);
  if (st) return st;
  size_t rows = tokens / j->fit.source.T + 1;
  if (rows < j->fit.source.n) j->fit.source.n = rows;
  j->fits = true;
  return SG_OK;
}

static sg_status prepare(job *j, sg_error *err) {
  const cli_call *c = j->call;
  size_t n = (size_t)c->n_args - 1;
  j->sets = sgi_alloc(n * sizeof *j->sets);
  j->evals = sgi_alloc(n * sizeof *j->evals);
  sg_status st = j->sets && j->evals ? SG_OK : sgi_fail_memory(err, n * sizeof *j->sets, "sparse MLPs");
  j->n = st ? 0 : n;
  if (!st) st = cli_model_open(c, CLI_WITH_TOKENIZER, &j->m, err);
  for (size_t i = 0; i < n && !st; i++) st = cli_sparse_open(c, c->args[i + 1], j->m.model, &j->sets[i], err);
  if (!st) st = cli_sparse_text_open(c, &j->m, "data", "valid", cli_size(c, "max-rows"), &j->text, err);
  if (!st && cli_flag(c, "baselines")) st = open_fit(j, err);
  return st;
}

static sg_status evaluate(job *j, sg_error *err) {
  sg_status st = SG_OK;
  for (size_t i = 0; i < j->n && !st; i++) {
    sgi_sparse_eval_request r = {.model = j->m.model,
                                 .set = j->sets[i],
                                 .rows = j->text.source,
                                 .own = cli_flag(j->call, "baselines"),
                                 .fit = j->fits ? &j->fit.source : NULL,
                                 .progress = cli_progress_bytes,
                                 .user = &j->bar};
    cli_progress_begin(&j->bar, "evaluating", "rows", 0, 0);
    st = sgi_sparse_evaluate(&r, &j->evals[i], err);
    cli_progress_end(&j->bar);
  }
  return st;
}

/* ---- results --------------------------------------------------------------------------------- */

static json_t *histogram(const sgi_sparse_score *s, size_t M) {
  size_t bins[HISTOGRAM + 1] = {0};
  json_t *list = json_array();
  for (size_t j = 0; j < M; j++)
    if (s->frequency[j] > 0) {
      double at = -floor(log10(s->frequency[j]) + 1e-12);
      bins[at < 0 ? 0 : at > HISTOGRAM ? HISTOGRAM : (size_t)at]++;
    }
  for (size_t b = 0; b <= HISTOGRAM; b++)
    if (bins[b])
      json_array_append_new(list, json_pack("{s:i, s:I}", "log10", -(int)b, "features", (json_int_t)bins[b]));
  return list;
}

static void runs_json(json_t *o, const sgi_sparse_run *run) {
  json_object_set_new(o, "loss_replaced", sgi_report_real(run[SGI_WAY_SPARSE].loss));
  json_object_set_new(o, "loss_zero", sgi_report_real(run[SGI_WAY_ZERO].loss));
  json_object_set_new(o, "loss_mean", sgi_report_real(run[SGI_WAY_MEAN].loss));
  json_object_set_new(o, "kl", sgi_report_real(run[SGI_WAY_SPARSE].kl));
  json_object_set_new(o, "recovered", sgi_report_real(run[SGI_WAY_SPARSE].recovered));
  json_object_set_new(o, "recovered_of_mean", sgi_report_real(run[SGI_WAY_SPARSE].recovered_of_mean));
  static const sgi_sparse_way rivals[] = {SGI_WAY_OWN, SGI_WAY_LINEAR};
  for (size_t i = 0; i < SGI_COUNT(rivals); i++) {
    const sgi_sparse_run *r = &run[rivals[i]];
    json_object_set_new(o, sgi_sparse_way_names[rivals[i]],
                        r->made ? json_pack("{s:o, s:o, s:o}", "loss", sgi_report_real(r->loss), "kl",
                                            sgi_report_real(r->kl), "recovered", sgi_report_real(r->recovered))
                                : json_null());
  }
}

static json_t *layer_json(const job *j, const sgi_sparse_layer *l, const sgi_sparse_score *s) {
  size_t M = l->form.features;
  json_t *o =
      json_pack("{s:I, s:I, s:s, s:o, s:o, s:o, s:I, s:o, s:o, s:o, s:o, s:I, s:o}", "layer", (json_int_t)l->layer,
                "features", (json_int_t)M, "activation", sgi_sparse_activations[l->form.activation], "lambda",
                sgi_report_real(l->form.lambda), "l0", sgi_report_real(s->l0), "l1", sgi_report_real(s->l1), "dead",
                (json_int_t)s->dead, "dead_share", sgi_report_real((double)s->dead / (double)M), "mse",
                sgi_report_real(s->mse), "mse_zero", sgi_report_real(s->mse_zero), "variance_explained",
                sgi_report_real(s->variance_explained), "kept", (json_int_t)s->kept, "histogram", histogram(s, M));
  runs_json(o, s->run);
  if (!cli_flag(j->call, "frequencies")) return o;
  json_t *list = json_array();
  for (size_t i = 0; i < M; i++) json_array_append_new(list, sgi_report_real(s->frequency[i]));
  json_object_set_new(o, "frequency", list);
  return o;
}

static int print_json(const job *j) {
  json_t *sets = json_array();
  for (size_t i = 0; i < j->n; i++) {
    const sgi_sparse_set *s = j->sets[i];
    json_t *layers = json_array(), *all = json_object();
    for (size_t k = 0; k < s->n; k++) json_array_append_new(layers, layer_json(j, &s->at[k], &j->evals[i]->at[k]));
    runs_json(all, j->evals[i]->all);
    json_array_append_new(
        sets, json_pack("{s:o, s:s, s:o, s:o}", "directory", sgi_report_text(s->directory, strlen(s->directory)),
                        "site", sgi_sparse_site_name(s->site), "layers", layers, "all", all));
  }
  return cli_json(json_pack("{s:o, s:I, s:I, s:o}", "loss", sgi_report_real(j->evals[0]->loss), "counted",
                            (json_int_t)j->evals[0]->counted, "rows", (json_int_t)j->text.source.n, "sets", sets));
}

static void cell(cli_table *t, bool made, double x, const char *format, double times) {
  char text[32];
  snprintf(text, sizeof text, format, x * times);
  cli_cell(t, "%s", made && isfinite(x) ? text : "-");
}

static void row(cli_table *t, const char *name, const sgi_sparse_score *s, size_t M, const sgi_sparse_run *run) {
  cli_cell(t, "%s", name);
  cell(t, s != NULL, s ? s->l0 : 0, "%.1f", 1);
  if (s)
    cli_cell(t, "%.1f %%", 100 * (double)s->dead / (double)M);
  else
    cli_cell(t, "-");
  cell(t, s != NULL, s ? s->variance_explained : 0, "%.3f", 1);
  cell(t, true, run[SGI_WAY_ZERO].loss, "%.4f", 1);
  cell(t, true, run[SGI_WAY_MEAN].loss, "%.4f", 1);
  cell(t, true, run[SGI_WAY_SPARSE].loss, "%.4f", 1);
  cell(t, true, run[SGI_WAY_SPARSE].kl, "%.4f", 1);
  cell(t, true, run[SGI_WAY_SPARSE].recovered, "%.1f %%", 100);
  cell(t, true, run[SGI_WAY_SPARSE].recovered_of_mean, "%.1f %%", 100);
  cell(t, run[SGI_WAY_OWN].made, run[SGI_WAY_OWN].recovered, "%.1f %%", 100);
  cell(t, run[SGI_WAY_LINEAR].made, run[SGI_WAY_LINEAR].recovered, "%.1f %%", 100);
}

static void print(const job *j) {
  static const char *const heads[] = {"layer",    "act", "dead",      "explained", "loss at 0",   "at mean",
                                      "replaced", "KL",  "recovered", "of mean",   "own, as few", "linear map"};
  printf("loss %.4f over %llu positions\n", j->evals[0]->loss, (unsigned long long)j->evals[0]->counted);
  for (size_t i = 0; i < j->n; i++) {
    const sgi_sparse_set *s = j->sets[i];
    const sgi_sparse_eval *e = j->evals[i];
    char words[120], name[24];
    cli_sparse_words(&s->at[0].form, words, sizeof words);
    printf("\n%s: %s, %zu features, %s\n", s->directory, words, s->at[0].form.features, sgi_sparse_site_name(s->site));
    cli_table *t = cli_table_begin("rrrrrrrrrrrr");
    for (size_t h = 0; h < SGI_COUNT(heads); h++) cli_cell(t, "%s", heads[h]);
    for (size_t k = 0; k < s->n; k++) {
      snprintf(name, sizeof name, "%zu", s->at[k].layer);
      row(t, name, &e->at[k], s->at[k].form.features, e->at[k].run);
    }
    row(t, "all", NULL, 0, e->all);
    cli_table_end(t);
    if (e->undefined) cli_note("-: the loss hardly changes where nothing is put there, so no share of it can be told");
  }
}

/* One panel a layer, and one for all at once; x is what acts at a position (a mean over layers). */
static sg_status figure(const job *j, const char *path, sg_error *err) {
  const sgi_sparse_set *first = j->sets[0];
  scatter s = {.x_title = "features that act", .y_title = "loss recovered", .log_x = true, .y_low = 0, .y_high = 1};
  s.panels = sgi_alloc((first->n + 1) * sizeof *s.panels);
  if (!s.panels) return sgi_fail_memory(err, first->n * sizeof *s.panels, "a figure");
  s.n_panels = first->n + 1;
  for (size_t k = 0; k <= first->n; k++)
    if (k < first->n)
      snprintf(s.panels[k], sizeof s.panels[k], "layer %zu", first->at[k].layer);
    else
      snprintf(s.panels[k], sizeof s.panels[k], "all at once");
  bool there = true;
  for (size_t i = 0; i < j->n; i++) {
    const sgi_sparse_set *set = j->sets[i];
    char method[SCATTER_NAME], key[SCATTER_NAME];
    double l0 = 0;
    cli_sparse_method(&set->at[0].form, method, sizeof method);
    snprintf(key, sizeof key, "%.40g", set->at[0].form.top_k ? (double)set->at[0].form.top_k : set->at[0].form.lambda);
    for (size_t k = 0; k < set->n; k++) l0 += j->evals[i]->at[k].l0 / (double)set->n;
    for (size_t k = 0; k <= set->n && k <= first->n; k++) {
      const sgi_sparse_run *run = k < set->n ? j->evals[i]->at[k].run : j->evals[i]->all;
      double x = k < set->n ? j->evals[i]->at[k].l0 : l0;
      there = there && scatter_add(&s, k, method, key, x, run[SGI_WAY_SPARSE].recovered);
      if (run[SGI_WAY_OWN].made)
        there = there && scatter_add(&s, k, "own neurons, as few", key, x, run[SGI_WAY_OWN].recovered);
      if (run[SGI_WAY_LINEAR].made)
        there = there && scatter_add(&s, k, "linear map of that rank", key, x, run[SGI_WAY_LINEAR].recovered);
    }
  }
  sg_status st = there ? scatter_save(&s, path, err) : sgi_fail_memory(err, s.n * sizeof *s.at, "a figure");
  scatter_free(&s);
  return st;
}

static int run(const cli_call *c) {
  sg_error err = {0};
  job j = {.call = c};
  int code = 0;
  cli_signals_install();
  sg_status st = prepare(&j, &err);
  if (!st) st = evaluate(&j, &err);
  if (!st && cli_string(c, "svg")) st = figure(&j, cli_string(c, "svg"), &err);
  if (st)
    code = cli_end(st, &err);
  else if (cli_flag(c, "json"))
    code = print_json(&j);
  else
    print(&j);
  for (size_t i = 0; i < j.n; i++) {
    sgi_sparse_eval_free(j.evals[i]);
    sgi_sparse_set_free(j.sets[i]);
  }
  sgi_free(j.sets);
  sgi_free(j.evals);
  cli_sparse_text_free(&j.text);
  cli_sparse_text_free(&j.fit);
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
