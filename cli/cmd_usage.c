/* cmd_usage.c: how evenly the recorded layers use their neurons. */
#include "cli.h"
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

static int run(const cli_call *c) {
  sg_error err = {0};
  sgi_record_reader r;
  bool json = cli_flag(c, "json");
  json_t *layers = json ? json_array() : NULL;
  sg_status st = sgi_record_reader_open(c->args[0], &r, &err);
  if (!st) st = sgi_record_reader_circuits(&r, &err);
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

static const cli_option options[] = {CLI_JSON_OPTION, CLI_END};

const cli_command cli_usage_command = {
    .name = "usage",
    .group = "Reading",
    .summary = "how evenly the recorded layers use their neurons",
    .usage = "REC",
    .examples =
        "# are there neurons that nothing uses?\nsgatlin record run --data valid.txt -o rec\nsgatlin usage rec\n"
        "# the reference's numbers: tokens unshifted, padding counted\n"
        "sgatlin record run --data valid.txt --unshifted --padding -o rec-ref\nsgatlin usage rec-ref --json",
    .description =
        "Per layer: the share of neurons used at least once, the entropy of their counts over that of even use, "
        "standard "
        "deviation over mean, smallest count over largest. \"Whole corpus\" adds counts up over the text, with one bin "
        "for "
        "every neuron of every channel and padding left out. The reference adds channels up into one set of bins, "
        "keeps "
        "each sequence's counts apart and counts padding where it was recorded.",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
