/* cmd_superposition.c: do neurons that fire together do what neither does alone. */
#include <math.h>

#include "bars.h"
#include "cli.h"
#include "read/superposition.h"
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

static json_t *units_json(const sgi_super_unit *u, size_t n) {
  json_t *list = json_array();
  for (size_t k = 0; k < n; k++)
    json_array_append_new(list, json_pack("{s:i, s:i}", "channel", u[k].channel, "neuron", u[k].index));
  return list;
}

static json_t *pair_json(const sgi_super_pair *p) {
  json_t *joint = json_array();
  for (size_t k = 0; k < p->n_joint; k++) json_array_append_new(joint, json_integer(p->joint[k]));
  return json_pack("{s:o, s:I, s:[I, I], s:o, s:I, s:o, s:o, s:o, s:o, s:o, s:o}", "neurons", units_json(p->unit, 2),
                   "together", (json_int_t)p->together, "alone", (json_int_t)p->alone[0], (json_int_t)p->alone[1],
                   "lift", sgi_report_real(p->lift), "places", (json_int_t)p->places, "score",
                   sgi_report_real(p->score), "null", sgi_report_real(p->null), "excess", sgi_report_real(p->excess),
                   "signed", sgi_report_real(p->sign), "signed_null", sgi_report_real(p->sign_null), "joint_only",
                   joint);
}

static json_t *result_json(const sgi_superposition *o, const sgi_super_settings *s) {
  json_t *pairs = json_array(), *sets = json_array();
  for (size_t k = 0; k < o->n_pairs; k++) json_array_append_new(pairs, pair_json(&o->pairs[k]));
  for (size_t k = 0; k < o->n_sets; k++)
    json_array_append_new(
        sets, json_pack("{s:o, s:I, s:o, s:o}", "neurons", units_json(o->sets[k].unit, o->sets[k].size), "together",
                        (json_int_t)o->sets[k].together, "effect", sgi_report_real(o->sets[k].mean_effect),
                        "sum_of_effects", sgi_report_real(o->sets[k].mean_sum)));
  json_t *settings = json_pack("{s:I, s:f, s:f, s:I, s:I, s:I, s:b, s:I}", "min_together", (json_int_t)s->min_together,
                               "min_lift", s->min_lift, "null_lift", s->null_lift, "max_pairs",
                               (json_int_t)s->max_pairs, "max_places", (json_int_t)s->max_places, "samples",
                               (json_int_t)s->samples, "shuffled", s->shuffled, "seed", (json_int_t)s->seed);
  json_t *o_json = json_pack("{s:I, s:I, s:I, s:o, s:[o, o], s:o, s:o, s:o, s:o, s:o}", "layer", (json_int_t)o->layer,
                             "positions", (json_int_t)o->positions, "scored_pairs", (json_int_t)o->scored,
                             "mean_excess", sgi_report_real(o->mean_excess), "interval", sgi_report_real(o->low),
                             sgi_report_real(o->high), "p", sgi_report_real(o->p), "mean_signed",
                             sgi_report_real(o->mean_sign), "pairs", pairs, "sets", sets, "settings", settings);
  return o_json;
}

static void print_pairs(const sgi_superposition *o, size_t most) {
  static const char *const heads[] = {"neurons", "together", "lift", "places", "score", "null", "excess", "signed"};
  cli_table *t = cli_table_begin("lrrrrrrr");
  for (size_t i = 0; i < SGI_COUNT(heads); i++) cli_cell(t, "%s", heads[i]);
  for (size_t k = 0; k < o->n_pairs && k < most; k++) {
    const sgi_super_pair *p = &o->pairs[k];
    cli_cell(t, "%d:%d,%d:%d", p->unit[0].channel, p->unit[0].index, p->unit[1].channel, p->unit[1].index);
    cli_cell(t, "%zu", p->together);
    cli_cell(t, "%.2f", p->lift);
    cli_cell(t, "%zu", p->places);
    cli_cell(t, "%.4f", p->score);
    cli_cell(t, "%.4f", p->null);
    cli_cell(t, "%+.3f", p->excess);
    cli_cell(t, "%+.5f", p->sign);
  }
  cli_table_end(t);
  for (size_t k = 0; k < o->n_sets && k < most; k++) {
    const sgi_super_set *s = &o->sets[k];
    char units[128];
    size_t at = 0;
    for (size_t u = 0; u < s->size; u++)
      at += (size_t)snprintf(units + at, sizeof units - at, "%s%d:%d", u ? "," : "", s->unit[u].channel,
                             s->unit[u].index);
    printf("set %s, together %zu times: without them the loss changes by %+.5f, by %+.5f as a sum of each alone\n",
           units, s->together, s->mean_effect, s->mean_sum);
  }
  if (!o->scored)
    printf("layer %zu: no pair could be compared: %zu pass --min-together and --min-lift\n", o->layer, o->n_pairs);
  else
    printf("layer %zu: mean excess %+.4f [%+.4f, %+.4f] over %zu pairs, p %.4f; mean interaction %+.6f nats\n",
           o->layer, o->mean_excess, o->low, o->high, o->scored, o->p, o->mean_sign);
}

static void bin_label(const void *user, size_t group, char *out, size_t size) {
  (void)user;
  snprintf(out, size, "%+.1f", -3 + 0.25 * (double)group);
}

/* Pairs by their excess. */
static sg_status figure(const sgi_superposition *o, const char *path, sg_error *err) {
  enum { BINS = 25 };
  double count[BINS] = {0};
  char title[96];
  for (size_t k = 0; k < o->n_pairs; k++) {
    if (!isfinite(o->pairs[k].excess)) continue;
    double at = (o->pairs[k].excess + 3.125) / 0.25;
    count[at < 0 ? 0 : at >= BINS ? BINS - 1 : (size_t)at]++;
  }
  snprintf(title, sizeof title, "Layer %zu: interaction of pairs, log of pair over matched null", o->layer);
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
  size_t slot = 0;
  bool begun = false;
  sgi_super_settings s = sgi_super_usual();
  sgi_superposition o = {0};
  s.min_together = cli_size(c, "min-together");
  s.min_lift = cli_real(c, "min-lift");
  s.max_pairs = cli_size(c, "pairs");
  s.max_places = cli_size(c, "places");
  s.shuffled = cli_flag(c, "shuffled");
  s.seed = cli_u64(c, "seed");
  s.progress = progress;
  s.user = &begun;
  cli_signals_install();
  sg_status st = sgi_record_reader_open(cli_string(c, "recording"), &r, &err);
  if (!st) st = sgi_record_reader_circuits(&r, &err);
  if (!st) st = cli_model_open(c, CLI_WITHOUT_TOKENIZER, &m, &err);
  if (!st) st = cli_bind(c, r.rec, r.directory, m.model, &err);
  if (!st) st = cli_reading_layer(c, &r, &slot, &err);
  if (!st) st = sgi_superposition_run(m.model, r.rec, slot, &s, &o, &err);
  cli_progress_end(&bar);
  if (!st && cli_string(c, "svg")) st = figure(&o, cli_string(c, "svg"), &err);
  int code = 0;
  if (st)
    code = cli_end(st, &err);
  else if (cli_flag(c, "json"))
    code = cli_reading_json(r.rec, result_json(&o, &s));
  else
    print_pairs(&o, cli_size(c, "top"));
  sgi_superposition_deinit(&o);
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
    CLI_SEED_OPTION,
    CLI_FORCE_OPTION,
    CLI_CHECKPOINT_OPTION,
    CLI_JSON_OPTION,
    CLI_END};

const cli_command cli_superposition = {
    .name = "superposition",
    .group = "Reading",
    .summary = "whether neurons that fire together do what neither does alone",
    .usage = "MODEL --recording REC [--layer L] [--shuffled] [--svg OUT.svg]",
    .examples =
        "# pairs of layer 1, and the layer's score with its interval\n"
        "sgatlin superposition run --recording rec --layer 1 --svg pairs.svg\n"
        "# the control: nothing should be found\n"
        "sgatlin superposition run --recording rec --layer 1 --shuffled",
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
        "alone.",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
