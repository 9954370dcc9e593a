/* cmd_usage.c: how evenly the recorded layers use their neurons. */
#include <math.h>

#include "bars.h"
#include "cli.h"
#include "read/active.h"
#include "reading.h"

static json_t *numbers(const sg_usage_numbers *n) {
  return json_pack("{s:o, s:o, s:o, s:o}", "min_max_ratio", sgi_report_real(n->min_max_ratio), "coeff_of_variation",
                   sgi_report_real(n->coeff_of_variation), "fraction_used", sgi_report_real(n->fraction_nonzero),
                   "normalized_entropy", sgi_report_real(n->normalized_entropy));
}

static void cells(cli_table *t, size_t layer, const char *what, const sg_usage_numbers *n) {
  cli_cell(t, "%zu", layer);
  cli_cell(t, "%s", what);
  cli_cell(t, "%.4f", n->fraction_nonzero);
  cli_cell(t, "%.4f", n->normalized_entropy);
  cli_cell(t, "%.4f", n->coeff_of_variation);
  cli_cell(t, "%.4f", n->min_max_ratio);
}

static cli_table *begin_table(void) {
  static const char *const heads[] = {"layer", "counted", "used", "entropy", "variation", "min/max"};
  cli_table *t = cli_table_begin("rlrrrr");
  for (size_t i = 0; i < SGI_COUNT(heads); i++) cli_cell(t, "%s", heads[i]);
  return t;
}

/* ---- how many act ---------------------------------------------------------------------------- */

static cli_progress bar;

static bool progress(void *user, size_t done, size_t total) {
  (void)user;
  if (done == 1) cli_progress_begin(&bar, "losses", "documents", (double)total, 0);
  cli_progress_update(&bar, (double)done, NULL);
  return cli_stop == 0;
}

static json_t *active_json(const sgi_active *a) {
  json_t *counts = json_array();
  for (size_t i = 0; i <= a->candidates; i++) json_array_append_new(counts, json_integer((json_int_t)a->histogram[i]));
  json_t *o =
      json_pack("{s:I, s:I, s:I, s:o, s:o, s:I, s:I, s:o, s:o, s:o}", "layer", (json_int_t)a->layer, "candidates",
                (json_int_t)a->candidates, "tokens", (json_int_t)a->tokens, "mean_active", sgi_report_real(a->mean),
                "sd", sgi_report_real(a->sd), "least", (json_int_t)a->least, "most", (json_int_t)a->most, "flops",
                sgi_report_real(a->flops), "flops_of_all", sgi_report_real(a->all_flops), "histogram", counts);
  if (a->has_loss) json_object_set_new(o, "correlation_with_loss", sgi_report_real(a->correlation));
  return o;
}

static void active_cells(cli_table *t, const sgi_active *a) {
  cli_cell(t, "%zu", a->layer);
  cli_cell(t, "%zu", a->candidates);
  cli_cell(t, "%.2f", a->mean);
  cli_cell(t, "%.2f", a->sd);
  cli_cell(t, "%zu", a->least);
  cli_cell(t, "%zu", a->most);
  cli_cell(t, "%.0f of %.0f", a->flops, a->all_flops);
  if (a->has_loss) cli_cell(t, "%+.3f", a->correlation);
}

static void count_label(const void *user, size_t group, char *out, size_t size) {
  (void)user;
  snprintf(out, size, "%zu", group);
}

/* Tokens by the number acting, all layers side by side. */
static sg_status active_figure(const sgi_active *a, size_t n, const char *path, sg_error *err) {
  size_t most = 0;
  for (size_t i = 0; i < n; i++) most = a[i].candidates > most ? a[i].candidates : most;
  double *share = sgi_alloc((most + 1) * n * sizeof *share);
  char(*names)[24] = sgi_alloc(n * sizeof *names);
  const char **series = sgi_alloc(n * sizeof *series);
  sg_status st = share && names && series ? SG_OK : sgi_fail_memory(err, (most + 1) * n * sizeof *share, "a figure");
  for (size_t i = 0; i < n && !st; i++) {
    snprintf(names[i], sizeof names[i], "layer %zu", a[i].layer);
    series[i] = names[i];
    for (size_t k = 0; k <= a[i].candidates; k++) share[k * n + i] = (double)a[i].histogram[k] / (double)a[i].tokens;
  }
  cli_bars b = {.title = "Neurons that act",
                .x = "neurons acting at a token",
                .y = "share of tokens",
                .series = series,
                .n_series = n,
                .n_groups = most + 1,
                .value = share,
                .label = count_label,
                .line = NAN};
  if (!st) st = cli_bars_save(&b, path, err);
  sgi_free(share);
  sgi_free(names);
  sgi_free(series);
  return st;
}

/* *nll (positions) by the model that --model names; NULL where none is. New: sgi_free. */
static sg_status losses(const cli_call *c, const sgi_record_reader *r, double **nll, size_t *D, sg_error *err) {
  sg_model *m = NULL;
  char *directory = NULL;
  const char *given = cli_string(c, "model");
  *nll = NULL;
  sg_status st = sgi_model_locate(given ? given : r->info->model, "latest", &cli_skipped, &directory, err);
  if (!st) st = sg_model_load(directory, &m, err);
  if (!st) st = cli_bind(c, r->rec, r->directory, m, err);
  if (!st) *D = m->config.hidden_size;
  size_t n = r->info->n_positions;
  if (!st && !(*nll = sgi_alloc(n * sizeof **nll))) st = sgi_fail_memory(err, n * sizeof **nll, "losses");
  if (!st) st = sgi_recording_losses(r->rec, m, progress, NULL, *nll, err);
  cli_progress_end(&bar);
  sg_model_free(m);
  sgi_free(directory);
  return st;
}

static sg_status print_active(const cli_call *c, const sgi_record_reader *r, const sgi_active *a, size_t n,
                              sg_error *err) {
  static const char *const heads[] = {"layer", "candidates", "act", "sd", "least", "most", "FLOPs", "with loss"};
  if (cli_flag(c, "json")) {
    json_t *layers = json_array();
    for (size_t i = 0; i < n; i++) json_array_append_new(layers, active_json(&a[i]));
    return cli_reading_json(r->rec, json_pack("{s:o}", "layers", layers))
               ? sgi_fail(err, SG_ERR_IO, "the answer could not be written")
               : SG_OK;
  }
  cli_table *t = cli_table_begin(a->has_loss ? "rrrrrrrr" : "rrrrrrr");
  for (size_t i = 0; i < SGI_COUNT(heads) - !a->has_loss; i++) cli_cell(t, "%s", heads[i]);
  for (size_t i = 0; i < n; i++) active_cells(t, &a[i]);
  cli_table_end(t);
  return SG_OK;
}

static int run_active(const cli_call *c, const sgi_record_reader *r) {
  sg_error err = {0};
  double *nll = NULL;
  size_t n = 0, D = 0;
  sgi_active *a = sgi_alloc((r->info->n_layers + 1) * sizeof *a);
  sg_status st = a ? losses(c, r, &nll, &D, &err) : sgi_fail_memory(&err, sizeof *a, "counts");
  for (size_t s = 0; s < r->info->n_layers && !st; s++)
    if (r->info->slots[s].thresholds) st = sgi_recording_active(r->rec, s, nll, D, &a[n], &err), n += !st;
  if (!st && !n)
    st = sgi_fail(&err, SG_ERR_ARG, "no recorded layer of %s has gates: all that is chosen acts", r->directory);
  if (!st) st = print_active(c, r, a, n, &err);
  if (!st && cli_string(c, "svg")) st = active_figure(a, n, cli_string(c, "svg"), &err);
  for (size_t i = 0; i < n; i++) sgi_free(a[i].histogram);
  sgi_free(a);
  sgi_free(nll);
  return st ? cli_fail(&err) : 0;
}

static int run(const cli_call *c) {
  sg_error err = {0};
  sgi_record_reader r;
  bool json = cli_flag(c, "json");
  json_t *layers = json ? json_array() : NULL;
  sg_status st = sgi_record_reader_open(c->args[0], &r, &err);
  if (!st) st = sgi_record_reader_circuits(&r, &err);
  if (!st && cli_flag(c, "active")) {
    int code = run_active(c, &r);
    json_decref(layers);
    sgi_record_reader_close(&r);
    return code;
  }
  cli_table *t = st || json ? NULL : begin_table();
  for (size_t s = 0; !st && s < r.info->n_layers; s++) {
    sg_usage u;
    size_t layer = r.info->layers[s];
    st = sg_recording_usage(r.rec, layer, &u, &err);
    if (st) break;
    if (json) {
      json_array_append_new(
          layers, json_pack("{s:I, s:I, s:I, s:o, s:o, s:o}", "layer", (json_int_t)layer, "sequences",
                            (json_int_t)u.sequences, "choices", (json_int_t)u.choices, "plain", numbers(&u.plain),
                            "reference", numbers(&u.flat), "reference_per_sequence", numbers(&u.per_sequence)));
    } else {
      cells(t, layer, "whole corpus, every neuron", &u.plain);
      cells(t, layer, "reference, all sequences", &u.flat);
      cells(t, layer, "reference, mean of sequences", &u.per_sequence);
    }
  }
  int code = 0;
  if (st)
    code = cli_fail(&err);
  else if (json)
    code = cli_reading_json(r.rec, json_pack("{s:O}", "layers", layers));
  if (!st) cli_table_end(t);
  json_decref(layers);
  sgi_record_reader_close(&r);
  return code;
}

static const cli_option options[] = {
    {.name = "active", .type = CLI_FLAG, .help = "how many neurons act at a token, in layers with gates"},
    {.name = "model",
     .letter = 'm',
     .type = CLI_STRING,
     .argument = "MODEL",
     .value_text = "the one recorded",
     .help = "with --active: the model whose losses are compared"},
    {.name = "svg", .type = CLI_STRING, .argument = "OUT.svg", .help = "with --active: a figure of the numbers"},
    CLI_FORCE_OPTION,
    CLI_JSON_OPTION,
    CLI_END};

const cli_command cli_usage_command = {
    .name = "usage",
    .group = "Reading",
    .summary = "how evenly the recorded layers use their neurons",
    .usage = "REC [--active [--model MODEL] [--svg OUT.svg]]",
    .examples =
        "# are there neurons that nothing uses?\nsgatlin record run --data valid.txt -o rec\nsgatlin usage rec\n"
        "# the reference's numbers: tokens unshifted, padding counted\n"
        "sgatlin record run --data valid.txt --unshifted --padding -o rec-ref\nsgatlin usage rec-ref --json\n"
        "# a model with gates: how many neurons act, and is it more where the model is unsure?\n"
        "sgatlin usage rec --active --svg active.svg",
    .description =
        "Per layer: the share of neurons used at least once, the entropy of their counts over that of even use, "
        "standard "
        "deviation over mean, smallest count over largest. \"Whole corpus\" adds counts up over the text, with one bin "
        "for "
        "every neuron of every channel and padding left out. The reference adds channels up into one set of bins, "
        "keeps "
        "each sequence's counts apart and counts padding where it was recorded. In layers with gates only what acts "
        "counts.\n\n"
        "--active: of each layer with gates how many of the candidates act at a token (mean, standard deviation, "
        "least, "
        "most), the FLOPs of the neurons at that mean and of all candidates, and the correlation of the number with "
        "the "
        "token's loss. Padding is left out.",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
