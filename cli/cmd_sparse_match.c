/* cmd_sparse_match.c: features beside the neurons of the layer that they stand for. */
#include "reading.h"
#include "sparse.h"

typedef struct job {
  const cli_call *call;
  cli_model m;
  sgi_sparse_set *set;
  sgi_sparse_text *text; /* NULL: all features count */
  cli_progress bar;
} job;

static bool reading(void *user, uint64_t done, uint64_t wanted) {
  return cli_progress_bytes(&((job *)user)->bar, done, wanted);
}

static bool go_on(void *user) {
  (void)user;
  return !cli_stop;
}

static sg_status work(job *j, json_t **answer, sg_error *err) {
  const cli_call *c = j->call;
  bool data = cli_is_set(c, "data");
  sg_status st = cli_model_open(c, data ? CLI_WITH_TOKENIZER : CLI_WITHOUT_TOKENIZER, &j->m, err);
  if (!st) st = cli_sparse_open(c, c->args[1], j->m.model, &j->set, err);
  if (!st && data) st = cli_sparse_text_open(c, &j->m, "data", "valid", cli_size(c, "max-rows"), &j->text, err);
  if (st) return st;
  const sgi_sparse_match_asked asked = {.model = j->m.model,
                                        .set = j->set,
                                        .text = j->text,
                                        .each = cli_flag(c, "each"),
                                        .seed = cli_u64(c, "seed"),
                                        .progress = reading,
                                        .go_on = go_on,
                                        .user = j};
  if (data) cli_progress_begin(&j->bar, "evaluating", "rows", 0, 0);
  st = sgi_sparse_match_report(&asked, answer, err);
  if (data) cli_progress_end(&j->bar);
  return st;
}

static void shares(cli_table *t, const json_t *x, const char *key, size_t n) {
  static const char *const levels[] = {"0.5", "0.8", "0.95"};
  for (size_t i = 0; i < n; i++) cli_cell(t, "%.1f %%", 100 * sgi_field_real(json_object_get(x, key), levels[i]));
}

static void print(const void *user, const json_t *o) {
  static const char *const heads[] = {"layer", "features", "encoder above 0.5", "0.8", "0.95",        "both, 0.5",
                                      "0.8",   "0.95",     "chance 0.5",        "0.8", "median enc.", "median dec."};
  const job *j = user;
  const json_t *layers = json_object_get(o, "layers");
  cli_table *t = cli_table_begin("rrrrrrrrrrrr");
  for (size_t h = 0; h < SGI_COUNT(heads); h++) cli_cell(t, "%s", heads[h]);
  for (size_t k = 0; k < json_array_size(layers); k++) {
    const json_t *x = json_array_get(layers, k);
    cli_cell(t, "%zu", sgi_field_size(x, "layer"));
    cli_cell(t, "%zu", sgi_field_size(x, "live"));
    shares(t, x, "encoder", 3);
    shares(t, x, "both", 3);
    shares(t, x, "chance_encoder", 2);
    cli_cell(t, "%.3f", sgi_field_real(x, "median_encoder"));
    cli_cell(t, "%.3f", sgi_field_real(x, "median_decoder"));
  }
  cli_table_end(t);
  if (!j->text) cli_note("all features, dead ones too: --data TEXT counts those that act in a text");
}

static int run(const cli_call *c) {
  sg_error err = {0};
  job j = {.call = c};
  json_t *answer = NULL;
  cli_signals_install();
  sg_status st = work(&j, &answer, &err);
  int code = cli_answer(c, st, &err, answer, print, &j);
  sgi_sparse_text_free(j.text);
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
