/* cmd_coactivation.c: which neurons fire together, as sets far above chance and as matrices. */
#include "cli.h"
#include "reading.h"

static cli_progress bar;

static bool progress(void *user, size_t done, size_t total) {
  (void)user;
  if (done == 1) cli_progress_begin(&bar, "pairing", "neurons", (double)total, 0);
  cli_progress_update(&bar, (double)done, NULL);
  return cli_stop == 0;
}

static json_t *groups_json(const sg_group *g, size_t n) {
  json_t *list = json_array();
  for (size_t i = 0; i < n; i++) {
    json_t *units = json_array();
    for (size_t k = 0; k < g[i].size; k++)
      json_array_append_new(units, json_pack("{s:I, s:I}", "channel", (json_int_t)g[i].units[k].channel, "neuron",
                                             (json_int_t)g[i].units[k].neuron));
    json_array_append_new(
        list, json_pack("{s:o, s:I, s:o, s:o, s:o}", "neurons", units, "count", (json_int_t)g[i].count, "expected",
                        sgi_report_real(g[i].expected), "lift", sgi_report_real(g[i].lift), "weakest_pair_lift",
                        sgi_report_real(g[i].weakest_pair)));
  }
  return list;
}

static void print_groups(const sg_group *g, size_t n) {
  cli_table *t = cli_table_begin("rrrrl");
  cli_cell(t, "count");
  cli_cell(t, "by chance");
  cli_cell(t, "lift");
  cli_cell(t, "weakest pair");
  cli_cell(t, "neurons (channel:neuron)");
  for (size_t i = 0; i < n; i++) {
    char units[SG_GROUP_MAX * 24];
    size_t at = 0;
    for (size_t k = 0; k < g[i].size; k++)
      at += (size_t)snprintf(units + at, sizeof units - at, "%s%zu:%zu", k ? "," : "", g[i].units[k].channel,
                             g[i].units[k].neuron);
    cli_cell(t, "%zu", g[i].count);
    cli_cell(t, "%.3g", g[i].expected);
    cli_cell(t, "%.3g", g[i].lift);
    cli_cell(t, "%.3g", g[i].weakest_pair);
    cli_cell(t, "%s", units);
  }
  cli_table_end(t);
}

static int groups(const cli_call *c, const sgi_record_reader *r, size_t slot, size_t channel) {
  sg_error err = {0};
  sg_group_request q = {.layer = r->info.layers[slot],
                        .channel = channel,
                        .min_count = cli_size(c, "min-count"),
                        .min_lift = cli_real(c, "min-lift"),
                        .max_size = cli_size(c, "max-size"),
                        .max_groups = cli_size(c, "top"),
                        .progress = progress};
  sg_group *g = sgi_alloc(q.max_groups * sizeof *g);
  size_t n = 0;
  sg_status st =
      g ? sg_coactivation_groups(r->rec, &q, g, &n, &err) : sgi_fail_memory(&err, q.max_groups * sizeof *g, "sets");
  cli_progress_end(&bar);
  int code = 0;
  if (st) {
    code = cli_end(st, &err);
  } else if (cli_flag(c, "json")) {
    code = cli_reading_json(r->rec, json_pack("{s:I, s:I, s:o}", "layer", (json_int_t)r->info.layers[slot], "positions",
                                              (json_int_t)r->info.n_positions, "sets", groups_json(g, n)));
  } else {
    print_groups(g, n);
    if (n)
      cli_note("places of the first set: sgatlin neighbors %s --layer %zu --neurons set:1", c->args[0],
               r->info.layers[slot]);
  }
  sgi_free(g);
  return code;
}

static int run(const cli_call *c) {
  sg_error err = {0};
  sgi_record_reader r;
  size_t slot = 0, channel = 0;
  const char *file = cli_string(c, "output");
  cli_signals_install();
  sg_status st = sgi_record_reader_open(c->args[0], &r, &err);
  if (!st) st = cli_reading_layer(c, &r, &slot, &err);
  if (!st) st = cli_reading_channel(c, &r, slot, &channel, &err);
  int code = 0;
  if (!st && file && channel == SG_ALL_CHANNELS) {
    code = cli_usage(c, "-o writes the matrix of one channel: name it with --channel");
  } else if (!st && file) {
    st = sg_coactivation_save(r.rec, r.info.layers[slot], channel, file, &err);
    if (!st) cli_note("wrote %s", file);
  }
  if (st)
    code = cli_fail(&err);
  else if (!code && !file)
    code = groups(c, &r, slot, channel);
  code = cli_reading_end(r.rec, code);
  sgi_record_reader_close(&r);
  return code;
}

static const cli_option options[] = {
    CLI_LAYER_OPTION,
    CLI_CHANNEL_OPTION("look at the neurons of this channel, or of all"),
    {.name = "top",
     .old = "count",
     .letter = 'n',
     .type = CLI_SIZE,
     .argument = "N",
     .value = "20",
     .min = 1,
     .max = 100000,
     .help = "sets to find"},
    {.name = "min-count",
     .type = CLI_SIZE,
     .argument = "N",
     .value = "20",
     .min = 1,
     .max = 4e9,
     .help = "times that a set fires as a whole, at least"},
    {.name = "min-lift",
     .type = CLI_REAL,
     .argument = "X",
     .value = "5",
     .min = 0,
     .max = 1e12,
     .help = "every pair of a set fires together this many times as often as by chance"},
    {.name = "max-size",
     .type = CLI_SIZE,
     .argument = "N",
     .value = "8",
     .min = 2,
     .max = SG_GROUP_MAX,
     .help = "neurons of a set, at most"},
    CLI_OUTPUT_OPTION("FILE.safetensors",
                      "instead: write the counts of all pairs of one channel and their rows' shares"),
    CLI_JSON_OPTION,
    CLI_END};

const cli_command cli_coactivation = {
    .name = "coactivation",
    .group = "Reading",
    .summary = "neurons that fire together far above chance",
    .usage = "REC [--layer L] [--channel C] [--min-lift X]\nREC --layer L --channel C -o FILE.safetensors",
    .examples =
        "# sets of neurons of layer 2 that act as one\nsgatlin coactivation rec --layer 2\n"
        "# where does the first set fire?\nsgatlin neighbors rec --layer 2 --neurons set:1\n"
        "# the reference's matrix of a channel, for Python\nsgatlin coactivation rec --layer 0 --channel 0 -o "
        "co.safetensors",
    .description =
        "Sets are grown greedily: the pair whose joint count stands out most (by its z-score) first, then whichever "
        "neuron "
        "keeps every pair above --min-lift and the joint count largest. A neuron is in at most one set. \"By chance\" "
        "is "
        "the count expected if each neuron fired as often as it does, but on its own.\n\n"
        "The matrix counts ordered pairs of different neurons of a channel at all recorded positions.",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
