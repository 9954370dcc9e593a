/* cmd_superposition.c: do neurons that fire together do what neither does alone; and those that
 * nearly always do as one. */
#include <math.h>

#include "bars.h"
#include "cli.h"
#include "merge.h"
#include "report/superposition.h"
#include "reading.h"
#include "report/report.h"

static cli_progress bar;

static bool progress(void *user, size_t done, size_t total) {
  bool *begun = user;
  if (!*begun) cli_progress_begin(&bar, "running", "places", (double)total, 0);
  *begun = true;
  cli_progress_update(&bar, (double)done, NULL);
  return cli_stop == 0;
}

/* "0:12,1:7" */
static const char *units_text(const json_t *list, char *out, size_t size) {
  size_t at = 0, i;
  json_t *u;
  *out = 0;
  json_array_foreach((json_t *)list, i, u) if (at < size) at += (size_t)snprintf(
      out + at, size - at, "%s%zu:%zu", i ? "," : "", sgi_field_size(u, "channel"), sgi_field_size(u, "neuron"));
  return out;
}

static void print_sets(const json_t *sets, size_t most) {
  json_t *s;
  size_t k;
  char units[128];
  json_array_foreach((json_t *)sets, k, s) if (k < most)
      printf("set %s, together %zu times: without them the loss changes by %+.5f, by %+.5f as a sum of each alone\n",
             units_text(json_object_get(s, "neurons"), units, sizeof units), sgi_field_size(s, "together"),
             sgi_field_real(s, "effect"), sgi_field_real(s, "sum_of_effects"));
}

static void print_pairs(const json_t *o, size_t most) {
  static const char *const heads[] = {"neurons", "together", "lift", "places", "score", "null", "excess", "signed"};
  const json_t *pairs = json_object_get(o, "pairs"), *interval = json_object_get(o, "interval");
  json_t *p;
  size_t k, scored = sgi_field_size(o, "scored_pairs"), layer = sgi_field_size(o, "layer");
  char units[64];
  cli_table *t = cli_table_begin("lrrrrrrr");
  for (size_t i = 0; i < SGI_COUNT(heads); i++) cli_cell(t, "%s", heads[i]);
  json_array_foreach((json_t *)pairs, k, p) {
    if (k >= most) break;
    cli_cell(t, "%s", units_text(json_object_get(p, "neurons"), units, sizeof units));
    cli_cell(t, "%zu", sgi_field_size(p, "together"));
    cli_cell(t, "%.2f", sgi_field_real(p, "lift"));
    cli_cell(t, "%zu", sgi_field_size(p, "places"));
    cli_cell(t, "%.4f", sgi_field_real(p, "score"));
    cli_cell(t, "%.4f", sgi_field_real(p, "null"));
    cli_cell(t, "%+.3f", sgi_field_real(p, "excess"));
    cli_cell(t, "%+.5f", sgi_field_real(p, "signed"));
  }
  cli_table_end(t);
  print_sets(json_object_get(o, "sets"), most);
  if (!scored)
    printf("layer %zu: no pair could be compared: %zu pass --min-together and --min-lift\n", layer,
           json_array_size(pairs));
  else
    printf("layer %zu: mean excess %+.4f [%+.4f, %+.4f] over %zu pairs, p %.4f; mean interaction %+.6f nats\n", layer,
           sgi_field_real(o, "mean_excess"), json_number_value(json_array_get(interval, 0)),
           json_number_value(json_array_get(interval, 1)), scored, sgi_field_real(o, "p"),
           sgi_field_real(o, "mean_signed"));
}

static void bin_label(const void *user, size_t group, char *out, size_t size) {
  (void)user;
  snprintf(out, size, "%+.1f", -3 + 0.25 * (double)group);
}

/* Pairs by their excess. */
static sg_status figure(const json_t *o, const char *path, sg_error *err) {
  enum { BINS = 25 };
  double count[BINS] = {0};
  char title[96];
  json_t *p;
  size_t k;
  json_array_foreach(json_object_get(o, "pairs"), k, p) {
    double excess = sgi_field_real(p, "excess");
    if (!isfinite(excess)) continue;
    double at = (excess + 3.125) / 0.25;
    count[at < 0 ? 0 : at >= BINS ? BINS - 1 : (size_t)at]++;
  }
  snprintf(title, sizeof title, "Layer %zu: interaction of pairs, log of pair over matched null",
           sgi_field_size(o, "layer"));
  cli_bars b = {.title = title,
                .x = "excess (the ends hold what lies beyond)",
                .y = "pairs",
                .n_series = 1,
                .n_groups = BINS,
                .value = count,
                .label = bin_label,
                .line = NAN};
  return cli_bars_save(&b, path, err);
}

static int run(const cli_call *c) {
  sg_error err = {0};
  sgi_record_reader r = {0};
  cli_model m = {0};
  cli_merge merge = {0};
  bool merges = cli_merge_asked(c);
  int code = cli_merge_usage(c);
  if (code) return code;
  bool begun = false;
  json_t *o = NULL;
  sgi_superposition_request q = {.min_together = cli_size(c, "min-together"),
                                 .min_lift = cli_real(c, "min-lift"),
                                 .max_pairs = cli_size(c, "pairs"),
                                 .max_places = cli_size(c, "places"),
                                 .shuffled = cli_flag(c, "shuffled"),
                                 .seed = cli_u64(c, "seed"),
                                 .progress = progress,
                                 .user = &begun};
  cli_signals_install();
  sg_status st = sgi_record_reader_open(cli_string(c, "recording"), &r, &err);
  if (!st) st = sgi_record_reader_circuits(&r, &err);
  if (!st) st = cli_model_open(c, cli_merge_need(c), &m, &err);
  if (!st) st = cli_bind(c, r.rec, r.directory, m.model, &err);
  if (!st) st = cli_reading_layer(c, &r, &q.slot, &err);
  q.model = m.model;
  q.recording = r.rec;
  if (!st && merges) st = cli_merge_open(&merge, c, &m, r.rec, q.slot, &err);
  if (!st) st = sgi_superposition_report(&q, &o, &err);
  cli_progress_end(&bar);
  if (!st && merges) st = sgi_merge_report(&merge.request, &o, &err);
  if (!st && cli_string(c, "svg")) st = figure(o, cli_string(c, "svg"), &err);
  if (st)
    code = cli_end(st, &err);
  else if (cli_flag(c, "json"))
    code = cli_reading_json(r.rec, json_incref(o));
  else {
    print_pairs(o, cli_size(c, "top"));
    if (merges) cli_merge_print(o);
  }
  json_decref(o);
  cli_merge_close(&merge);
  cli_model_close(&m);
  sgi_record_reader_close(&r);
  return code;
}

static const cli_option options[] = {
    {.name = "recording", .required = true, .type = CLI_STRING, .argument = "REC", .help = "recording of MODEL"},
    CLI_LAYER_OPTION,
    {.name = "min-together",
     .type = CLI_SIZE,
     .argument = "N",
     .value = "20",
     .min = 1,
     .max = 4e9,
     .help = "positions at which a pair fires, at least"},
    {.name = "min-lift",
     .type = CLI_REAL,
     .argument = "X",
     .value = "4",
     .min = 0,
     .max = 1e12,
     .help = "times chance that it fires together, at least"},
    {.name = "pairs",
     .type = CLI_SIZE,
     .argument = "N",
     .value = "500",
     .min = 1,
     .max = 100000,
     .help = "pairs to test"},
    {.name = "places",
     .type = CLI_SIZE,
     .argument = "N",
     .value = "20",
     .max = 4e9,
     .help = "places of a pair to run, evenly spread; 0: all"},
    {.name = "shuffled",
     .type = CLI_FLAG,
     .help = "a control: each neuron's values moved to other places of the same token"},
    {.name = "top",
     .letter = 'n',
     .type = CLI_SIZE,
     .argument = "N",
     .value = "20",
     .max = 100000,
     .help = "pairs to print"},
    {.name = "svg", .type = CLI_STRING, .argument = "OUT.svg", .help = "a figure: pairs by their excess"},
    CLI_MERGE_OPTIONS,
    CLI_SEED_OPTION,
    CLI_FORCE_OPTION,
    CLI_CHECKPOINT_OPTION,
    CLI_JSON_OPTION,
    CLI_END};

const cli_command cli_superposition = {
    .name = "superposition",
    .group = "Reading",
    .summary = "whether neurons that fire together do what neither does alone",
    .usage =
        "MODEL --recording REC [--layer L] [--shuffled] [--svg OUT.svg]\n"
        "MODEL --recording REC [--layer L] --merge N [--data PATH] -o DIR",
    .examples =
        "# pairs of layer 1, and the layer's score with its interval\n"
        "sgatlin superposition run --recording rec --layer 1 --svg pairs.svg\n"
        "# the control: nothing should be found\n"
        "sgatlin superposition run --recording rec --layer 1 --shuffled\n"
        "# up to ten pairs that nearly always fire together as one neuron each, and what that costs\n"
        "sgatlin superposition run --recording rec --layer 1 --merge 10 --data valid.txt -o merged",
    .description =
        "Of the recorded pairs of neurons of a layer that fire together far more often than chance, up to --pairs are "
        "tested. At places where both fire the model runs without one, without the other and without both (values 0 at "
        "that position; all above it runs anew). Interaction: the loss's change without both, less the two alone. "
        "Since "
        "any two neurons interact a little, each pair is compared with the same first neuron at the same places beside "
        "one that is there by chance and is as strong as the second.\n\n"
        "excess: log of the pair's interaction over its null's, each over what the neurons do alone. The layer's score "
        "is "
        "its mean, with a 95% interval (pairs drawn anew) and p (signs flipped). signed > 0: either suffices; < 0: "
        "both "
        "are needed. JSON also has sets grown from pairs, and joint_only, tokens that both together promote and "
        "neither "
        "alone.\n\n"
        "--merge: of the pairs of one channel (or of a shared pool) that fire together in a share of at least "
        "--min-share of the places of either, those of largest share become one neuron each. The one gets the first "
        "singular direction of what the two write and, by least squares, an input row of both; the other writes "
        "nothing. Its key stays, since keys are made of halves that other neurons share: no choice changes, and no "
        "slot becomes free. Neurons must be linear, stored as float32, and the recording must have values (record "
        "--values F32 is exact).\n\n"
        "JSON then also has merged: neurons (the first is both), together, fitted, share, explained (share of what "
        "they write that one direction has) and kept (that the neuron has); merge: what was found and passed over; "
        "and with --data loss: before, merged, silenced (the control: the second neurons write nothing, and the first "
        "are as they were), tokens.",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
