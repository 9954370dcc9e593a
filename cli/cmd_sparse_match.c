/* cmd_sparse_match.c: features beside the neurons of the layer that they stand for. */
#include <math.h>

#include "compare/sparse_match.h"
#include "reading.h"
#include "report/report.h"
#include "sparse.h"

typedef struct job {
  const cli_call *call;
  cli_model m;
  sgi_sparse_set *set;
  cli_sparse_text text;
  sgi_sparse_eval *live; /* frequencies, where a text was given */
  sgi_sparse_match *at;  /* (set->n) */
  cli_progress bar;
} job;

static sg_status find_live(job *j, sg_error *err) {
  if (!cli_is_set(j->call, "data")) return SG_OK;
  sg_status st = cli_sparse_text_open(j->call, &j->m, "data", "valid", cli_size(j->call, "max-rows"), &j->text, err);
  sgi_sparse_eval_request r = {
      .model = j->m.model, .set = j->set, .rows = j->text.source, .progress = cli_progress_bytes, .user = &j->bar};
  cli_progress_begin(&j->bar, "evaluating", "rows", 0, 0);
  if (!st) st = sgi_sparse_evaluate(&r, &j->live, err);
  cli_progress_end(&j->bar);
  return st;
}

static sg_status match(job *j, size_t k, sg_error *err) {
  size_t M = j->set->at[k].form.features;
  bool *live = NULL;
  if (j->live) {
    live = sgi_alloc(M * sizeof *live);
    if (!live) return sgi_fail_memory(err, M, "a list of features");
    for (size_t i = 0; i < M; i++) live[i] = j->live->at[k].frequency[i] > 0;
  }
  sg_status st = sgi_match_make(j->m.model, j->set, k, live, cli_u64(j->call, "seed"), &j->at[k], err);
  sgi_free(live);
  return st;
}

static json_t *shares_json(const double *s) {
  json_t *o = json_object();
  static const char *const names[SGI_MATCH_SHARES] = {"0.5", "0.8", "0.95"};
  for (size_t i = 0; i < SGI_MATCH_SHARES; i++) json_object_set_new(o, names[i], sgi_report_real(s[i]));
  return o;
}

static json_t *layer_json(const job *j, const sgi_sparse_match *x) {
  json_t *o = json_pack("{s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o}", "layer", (json_int_t)x->layer, "features",
                        (json_int_t)x->features, "live", (json_int_t)x->live, "neurons", (json_int_t)x->neurons,
                        "median_encoder", sgi_report_real(x->median_encoder), "median_decoder",
                        sgi_report_real(x->median_decoder), "encoder", shares_json(x->share_encoder), "both",
                        shares_json(x->share_both), "chance_encoder", shares_json(x->chance_encoder), "chance_both",
                        shares_json(x->chance_both));
  if (!cli_flag(j->call, "each")) return o;
  json_t *list = json_array();
  for (size_t i = 0; i < x->features; i++) {
    const sgi_match_one *a = &x->at[i];
    json_array_append_new(
        list, json_pack("{s:I, s:I, s:I, s:o, s:o, s:I, s:I, s:o}", "feature", (json_int_t)i, "channel",
                        (json_int_t)(a->neuron / x->units), "neuron", (json_int_t)(a->neuron % x->units), "encoder",
                        sgi_report_real(a->encoder), "decoder", sgi_report_real(a->decoder), "best_channel",
                        (json_int_t)(a->best / x->units), "best_neuron", (json_int_t)(a->best % x->units), "product",
                        sgi_report_real(a->product)));
  }
  json_object_set_new(o, "each", list);
  return o;
}

static void print(const job *j) {
  static const char *const heads[] = {"layer", "features", "encoder above 0.5", "0.8", "0.95",        "both, 0.5",
                                      "0.8",   "0.95",     "chance 0.5",        "0.8", "median enc.", "median dec."};
  cli_table *t = cli_table_begin("rrrrrrrrrrrr");
  for (size_t h = 0; h < SGI_COUNT(heads); h++) cli_cell(t, "%s", heads[h]);
  for (size_t k = 0; k < j->set->n; k++) {
    const sgi_sparse_match *x = &j->at[k];
    cli_cell(t, "%zu", x->layer);
    cli_cell(t, "%zu", x->live);
    for (size_t i = 0; i < SGI_MATCH_SHARES; i++) cli_cell(t, "%.1f %%", 100 * x->share_encoder[i]);
    for (size_t i = 0; i < SGI_MATCH_SHARES; i++) cli_cell(t, "%.1f %%", 100 * x->share_both[i]);
    for (size_t i = 0; i < 2; i++) cli_cell(t, "%.1f %%", 100 * x->chance_encoder[i]);
    cli_cell(t, "%.3f", x->median_encoder);
    cli_cell(t, "%.3f", x->median_decoder);
  }
  cli_table_end(t);
  if (!j->live) cli_note("all features, dead ones too: --data TEXT counts those that act in a text");
}

static int run(const cli_call *c) {
  sg_error err = {0};
  job j = {.call = c};
  int code = 0;
  cli_signals_install();
  sg_status st = cli_model_open(c, cli_is_set(c, "data") ? CLI_WITH_TOKENIZER : CLI_WITHOUT_TOKENIZER, &j.m, &err);
  if (!st) st = cli_sparse_open(c, c->args[1], j.m.model, &j.set, &err);
  if (!st) {
    j.at = sgi_alloc(j.set->n * sizeof *j.at);
    if (!j.at) st = sgi_fail_memory(&err, j.set->n * sizeof *j.at, "a list of layers");
  }
  if (!st) st = find_live(&j, &err);
  for (size_t k = 0; !st && k < j.set->n; k++) {
    st = match(&j, k, &err);
    if (!st && cli_stop) st = sgi_fail(&err, SG_ERR_CANCELLED, "stopped");
  }
  if (st) {
    code = cli_end(st, &err);
  } else if (cli_flag(c, "json")) {
    json_t *list = json_array();
    for (size_t k = 0; k < j.set->n; k++) json_array_append_new(list, layer_json(&j, &j.at[k]));
    code = cli_json(json_pack("{s:o}", "layers", list));
  } else {
    print(&j);
  }
  for (size_t k = 0; j.at && k < j.set->n; k++) sgi_match_deinit(&j.at[k]);
  sgi_free(j.at);
  sgi_sparse_eval_free(j.live);
  cli_sparse_text_free(&j.text);
  sgi_sparse_set_free(j.set);
  cli_model_close(&j.m);
  return code;
}

static const cli_option options[] = {
    {.name = "data",
     .letter = 'd',
     .type = CLI_STRING,
     .argument = "PATH",
     .value_text = "none",
     .help = "text in which a live feature acts; without it all features count"},
    {.name = "max-rows", .type = CLI_SIZE, .argument = "N", .value = "64", .help = "rows of it that are read; 0: all"},
    {.name = "each", .type = CLI_FLAG, .help = "in JSON also the best match of every feature"},
    EVAL_TEXT_OPTIONS,
    CLI_SPARSE_FORCE_OPTION,
    CLI_SEED_OPTION,
    CLI_FORM_OPTIONS,
    CLI_BEYOND_OPTION,
    CLI_JSON_OPTION,
    CLI_CHECKPOINT_OPTION,
    CLI_TOKENIZER_OPTION,
    CLI_END};

const cli_command cli_sparse_match = {
    .name = "sparse match",
    .group = "Reading",
    .summary = "transcoder features beside the neurons that they stand for",
    .usage = "MODEL TC [--data FILE]",
    .examples =
        "# do features find the layer's own neurons again?\nsgatlin sparse match run tc --data valid.txt\n"
        "# every feature's nearest neuron\nsgatlin sparse match run tc --each --json",
    .description =
        "Cosines of a feature's encoder and decoder rows with the input and output rows of the layer's neurons: the "
        "best encoder match, and the decoder cosine of that same neuron. Shares above 0.5, 0.8, 0.95 by the encoder, "
        "and by both; chance: random directions with the covariance of the neurons' rows, since a narrow model gives "
        "high cosines by chance.\n\n"
        "JSON: layers: live, encoder, both, chance_encoder, chance_both, medians; each: feature, channel, neuron, "
        "encoder, decoder, best_channel, best_neuron, product.",
    .options = options,
    .min_args = 2,
    .max_args = 2,
    .run = run,
};
