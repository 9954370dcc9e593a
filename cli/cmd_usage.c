/* cmd_usage.c: how evenly the recorded layers use their neurons. */
#include <math.h>

#include "bars.h"
#include "cli.h"
#include "reading.h"
#include "report/usage.h"

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

static void active_cells(cli_table *t, const json_t *a) {
  cli_cell(t, "%zu", sgi_field_size(a, "layer"));
  cli_cell(t, "%zu", sgi_field_size(a, "candidates"));
  cli_cell(t, "%.2f", sgi_field_real(a, "mean_active"));
  cli_cell(t, "%.2f", sgi_field_real(a, "sd"));
  cli_cell(t, "%zu", sgi_field_size(a, "least"));
  cli_cell(t, "%zu", sgi_field_size(a, "most"));
  cli_cell(t, "%.0f of %.0f", sgi_field_real(a, "flops"), sgi_field_real(a, "flops_of_all"));
  cli_cell(t, "%+.3f", sgi_field_real(a, "correlation_with_loss"));
}

static void count_label(const void *user, size_t group, char *out, size_t size) {
  (void)user;
  snprintf(out, size, "%zu", group);
}

/* Tokens by the number acting, all layers side by side. */
static sg_status active_figure(const json_t *layers, const char *path, sg_error *err) {
  size_t most = 0, n = json_array_size(layers), i;
  json_t *a;
  json_array_foreach((json_t *)layers, i, a) if (sgi_field_size(a, "candidates") > most) most =
      sgi_field_size(a, "candidates");
  double *share = sgi_alloc((most + 1) * n * sizeof *share);
  char(*names)[24] = sgi_alloc(n * sizeof *names);
  const char **series = sgi_alloc(n * sizeof *series);
  sg_status st = share && names && series ? SG_OK : sgi_fail_memory(err, (most + 1) * n * sizeof *share, "a figure");
  for (i = 0; i < n && !st; i++) {
    a = json_array_get(layers, i);
    const json_t *counts = json_object_get(a, "histogram");
    snprintf(names[i], sizeof names[i], "layer %zu", sgi_field_size(a, "layer"));
    series[i] = names[i];
    for (size_t k = 0; k < json_array_size(counts); k++)
      share[k * n + i] = (double)json_integer_value(json_array_get(counts, k)) / sgi_field_real(a, "tokens");
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

/* By the model that --model names, or that was recorded. */
static sg_status count_active(const cli_call *c, const sgi_record_reader *r, json_t **layers, sg_error *err) {
  sg_model *m = NULL;
  char *directory = NULL;
  const char *given = cli_string(c, "model");
  sg_status st = cli_model_directory(given ? given : r->info.model, "latest", &directory, err);
  if (!st) st = sg_model_load(directory, &m, err);
  if (!st) st = cli_bind(c, r->rec, r->directory, m, err);
  if (!st) st = sgi_active_report(r, m, progress, NULL, layers, err);
  cli_progress_end(&bar);
  sg_model_free(m);
  sgi_free(directory);
  return st;
}

static sg_status print_active(const cli_call *c, const sgi_record_reader *r, json_t *layers, sg_error *err) {
  static const char *const heads[] = {"layer", "candidates", "act", "sd", "least", "most", "FLOPs", "with loss"};
  json_t *a;
  size_t i;
  if (cli_flag(c, "json"))
    return cli_reading_json(r->rec, json_pack("{s:O}", "layers", layers))
               ? sgi_fail(err, SG_ERR_IO, "the answer could not be written")
               : SG_OK;
  cli_table *t = cli_table_begin("rrrrrrrr");
  for (i = 0; i < SGI_COUNT(heads); i++) cli_cell(t, "%s", heads[i]);
  json_array_foreach(layers, i, a) active_cells(t, a);
  cli_table_end(t);
  return SG_OK;
}

static int run_active(const cli_call *c, const sgi_record_reader *r) {
  sg_error err = {0};
  json_t *layers = NULL;
  sg_status st = count_active(c, r, &layers, &err);
  if (!st) st = print_active(c, r, layers, &err);
  if (!st && cli_string(c, "svg")) st = active_figure(layers, cli_string(c, "svg"), &err);
  json_decref(layers);
  return st ? cli_fail(&err) : 0;
}

static int run(const cli_call *c) {
  sg_error err = {0};
  sgi_record_reader r;
  bool json = cli_flag(c, "json");
  json_t *layers = json ? json_array() : NULL;
  sg_status st = sgi_record_reader_open(c->args[0], &r, &err);
  if (!st && cli_flag(c, "active")) {
    if ((st = sgi_record_reader_circuits(&r, &err)))
      return json_decref(layers), sgi_record_reader_close(&r), cli_fail(&err);
    int code = run_active(c, &r);
    json_decref(layers);
    sgi_record_reader_close(&r);
    return code;
  }
  cli_table *t = st || json ? NULL : begin_table();
  bool circuits;
  for (size_t i = 0, layer; !st && sgi_record_reader_layer(&r, i, &layer, &circuits); i++) {
    sg_usage u;
    st = sg_recording_usage(r.rec, layer, &u, &err);
    if (st) break;
    if (json && !circuits) {
      json_array_append_new(layers, json_pack("{s:I, s:I, s:o}", "layer", (json_int_t)layer, "acting",
                                              (json_int_t)u.choices, "plain", numbers(&u.plain)));
    } else if (json) {
      json_array_append_new(
          layers, json_pack("{s:I, s:I, s:I, s:o, s:o, s:o}", "layer", (json_int_t)layer, "sequences",
                            (json_int_t)u.sequences, "choices", (json_int_t)u.choices, "plain", numbers(&u.plain),
                            "reference", numbers(&u.flat), "reference_per_sequence", numbers(&u.per_sequence)));
    } else {
      cells(t, layer, circuits ? "whole corpus, every neuron" : "every neuron, where it acts", &u.plain);
      if (!circuits) continue;
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
        "counts. Layers that choose no neurons (monet, mlp, glu) have one line: the positions at which each neuron "
        "acts, that is, where its value is above 0 (of moe: "
        "where its expert is chosen).\n\n"
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
