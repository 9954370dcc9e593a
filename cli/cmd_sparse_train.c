/* cmd_sparse_train.c: transcoders and SAEs of several layers, trained on one pass of the model. */
#include <stdlib.h>
#include <string.h>

#include "context.h"
#include "reading.h"
#include "sparse.h"

typedef struct job {
  const cli_call *call;
  cli_model m;
  cli_text text;
  sgi_corpus *corpus;
  size_t *layers;
  sgi_sparse_training t;
  uint64_t done;
  cli_progress bar;
  const char *what;
} job;

static bool progress(void *user, const char *making, uint64_t step, uint64_t steps, double mse, double l0) {
  job *j = user;
  char extra[80] = "";
  const char *what = making ? making : "training";
  if (!j->what || strcmp(j->what, what)) {
    if (j->what) cli_progress_end(&j->bar);
    cli_progress_begin(&j->bar, what, making ? "positions" : "steps", (double)steps, making ? 0 : (double)step - 1);
    j->what = what;
  }
  if (!making) snprintf(extra, sizeof extra, "error %.4g, %.1f act", mse, l0);
  cli_progress_update(&j->bar, (double)step, extra);
  return !cli_stop;
}

static void begun(void *user, uint64_t done) {
  (void)user;
  if (done) cli_note("goes on from step %llu", (unsigned long long)done);
  cli_signals_patient(true); /* a step is finished, and its checkpoint written */
}

/* "4096", or "8x" the model's width. */
static sg_status read_features(const job *j, size_t *out, sg_error *err) {
  const char *text = cli_string(j->call, "features");
  char *end;
  unsigned long long n = strtoull(text, &end, 10);
  size_t D = sg_model_config(j->m.model)->hidden_size;
  bool times = !strcmp(end, "x");
  if (end == text || text[0] == '-' || (*end && !times) || !n || n > 1 << 24 ||
      !sgi_size_mul((size_t)n, times ? D : 1, out))
    return sgi_fail(err, SG_ERR_ARG, "--features %s: expected a number, or one times the width such as 8x", text);
  return SG_OK;
}

static sg_status read_form(job *j, sg_error *err) {
  const cli_call *c = j->call;
  sgi_sparse_training *t = &j->t;
  bool l1 = cli_is_set(c, "l1"), l0 = cli_is_set(c, "l0"), k = cli_is_set(c, "top-k");
  if (l1 + l0 + k != 1)
    return sgi_fail(err, SG_ERR_ARG,
                    "say one of --l1 X (relu), --top-k K and --l0 X (jumprelu): how sparse it shall be");
  t->activation = l1 ? "relu" : k ? "topk" : "jumprelu";
  if (cli_is_set(c, "activation") && strcmp(cli_string(c, "activation"), t->activation))
    return sgi_fail(err, SG_ERR_ARG, "--activation %s goes with --%s", cli_string(c, "activation"),
                    ((const char *[]){"l1", "top-k", "l0"})[cli_choice(c, "activation")]);
  t->decoder = cli_string(c, "decoder");
  t->top_k = k ? cli_size(c, "top-k") : 0;
  t->lambda = l1 ? cli_real(c, "l1") : l0 ? cli_real(c, "l0") : 0;
  t->frozen_encoder = cli_flag(c, "frozen-encoder");
  t->mse_norm = cli_choice(c, "mse") == 1;
  return read_features(j, &t->features, err);
}

static sg_status read_layers(job *j, sg_error *err) {
  const cli_call *c = j->call;
  sgi_sparse_training *t = &j->t;
  t->site = cli_string(c, "site");
  t->sae = cli_flag(c, "sae");
  if (!cli_string(c, "layers")) return SG_OK;
  sg_status st = cli_number_list(cli_string(c, "layers"), "layers", &j->layers, &t->n_layers, err);
  t->layers = j->layers;
  return st;
}

static sg_status open_text(job *j, sg_error *err) {
  const sg_config *config = sg_model_config(j->m.model);
  cli_progress_begin(&j->bar, "tokenising", "B", 0, 0);
  sg_status st = cli_text_corpus(j->call, "train", j->m.tokenizer, config->eos_id, cli_progress_bytes, &j->bar,
                                 &j->text, &j->corpus, err);
  cli_progress_end(&j->bar);
  return st;
}

static sg_status prepare(job *j, sg_error *err) {
  const cli_call *c = j->call;
  sgi_sparse_training *t = &j->t;
  sg_status st = cli_model_open(c, CLI_WITH_TOKENIZER, &j->m, err);
  if (st) return st;
  const sg_config *config = sg_model_config(j->m.model);
  *t = (sgi_sparse_training){.model = j->m.model,
                             .model_path = c->args[0],
                             .seq_len = cli_is_set(c, "seq-len") ? cli_size(c, "seq-len") : config->max_position,
                             .batch = cli_size(c, "batch-size"),
                             .buffer = cli_size(c, "buffer"),
                             .steps = cli_is_set(c, "steps") ? cli_size(c, "steps") : 0,
                             .learning_rate = cli_real(c, "learning-rate"),
                             .weight_decay = cli_real(c, "weight-decay"),
                             .dead_window = cli_is_set(c, "dead-window") ? cli_size(c, "dead-window") : 0,
                             .resample = cli_flag(c, "resample"),
                             .seed = cli_u64(c, "seed"),
                             .checkpoint_every = cli_size(c, "checkpoint-every"),
                             .max_bytes = cli_size(c, "max-memory"),
                             .directory = cli_string(c, "output"),
                             .resume = cli_flag(c, "resume"),
                             .begun = begun,
                             .progress = progress,
                             .user = j};
  st = cli_context_check(c, config, t->seq_len, err);
  if (!st) st = read_form(j, err);
  if (!st) st = read_layers(j, err);
  if (!st) st = open_text(j, err);
  t->corpus = j->corpus;
  t->data_path = j->text.path;
  return st;
}

static void print(const void *user, const json_t *o) {
  const json_t *layers = json_object_get(o, "layers");
  (void)user;
  cli_table *t = cli_table_begin("rrrr");
  cli_cell(t, "layer");
  cli_cell(t, "error of the last step");
  cli_cell(t, "features that act");
  cli_cell(t, "dead");
  for (size_t k = 0; k < json_array_size(layers); k++) {
    const json_t *x = json_array_get(layers, k);
    cli_cell(t, "%zu", sgi_field_size(x, "layer"));
    cli_cell(t, "%.5g", sgi_field_real(x, "mse"));
    cli_cell(t, "%.1f", sgi_field_real(x, "l0"));
    cli_cell(t, "%zu", sgi_field_size(x, "dead"));
  }
  cli_table_end(t);
}

static int run(const cli_call *c) {
  sg_error err = {0};
  job j = {.call = c};
  json_t *answer = NULL;
  cli_signals_install();
  sg_status st = prepare(&j, &err);
  if (!st) st = sgi_sparse_train_report(&j.t, &j.done, &answer, &err);
  cli_signals_patient(false);
  if (j.what) cli_progress_end(&j.bar);
  if (st == SG_ERR_CANCELLED && cli_stop && j.done)
    cli_note("stopped after step %llu; go on with --resume", (unsigned long long)j.done);
  int code = cli_answer(c, st, &err, answer, print, NULL);
  sgi_text_close(j.corpus);
  cli_text_free(&j.text);
  sgi_free(j.layers);
  cli_model_close(&j.m);
  return code;
}

static const cli_option options[] = {
    {.name = "data",
     .letter = 'd',
     .required = true,
     .type = CLI_STRING,
     .argument = "PATH",
     .help = "training text: a file, or a directory's train.*"},
    CLI_REQUIRED_OUTPUT("TC", "directory of the sparse MLPs"),
    {.name = "layers",
     .letter = 'l',
     .type = CLI_STRING,
     .argument = "LIST",
     .value_text = "all",
     .help = "layers to train for, such as 0,2-3"},
    {.name = "site",
     .type = CLI_CHOICE,
     .argument = "mlp|resid_pre|resid_mid|resid_post|attn.out|mlp.norm|mlp.out",
     .value = "mlp",
     .help = "mlp: transcoders, from the feedforward layer's input to its output; all others: SAEs of that site"},
    {.name = "sae", .type = CLI_FLAG, .help = "an SAE of the feedforward layer's output instead of a transcoder"},
    {.name = "features",
     .type = CLI_STRING,
     .argument = "N|Nx",
     .value = "8x",
     .help = "features of a layer, or times the model's width"},
    {.name = "activation",
     .type = CLI_CHOICE,
     .argument = "relu|topk|jumprelu",
     .value_text = "by the penalty",
     .help = "what makes a feature act"},
    {.name = "l1",
     .type = CLI_REAL,
     .argument = "X",
     .min = 0,
     .max = 1e12,
     .value_text = "none",
     .help = "relu: times the mean over positions of the sum of what acts"},
    {.name = "top-k",
     .type = CLI_SIZE,
     .argument = "K",
     .min = 1,
     .max = 1 << 20,
     .value_text = "none",
     .help = "topk: features that act at a position"},
    {.name = "l0",
     .type = CLI_REAL,
     .argument = "X",
     .min = 0,
     .max = 1e12,
     .value_text = "none",
     .help = "jumprelu: times the mean over positions of how many act"},
    {.name = "decoder",
     .type = CLI_CHOICE,
     .argument = "unit|weighted|free",
     .value = "unit",
     .help = "output rows of length 1, rows whose length the penalty counts, or neither"},
    {.name = "mse",
     .type = CLI_CHOICE,
     .argument = "mean|norm",
     .value = "mean",
     .help = "squared errors as they are, or each over the length of its target"},
    {.name = "frozen-encoder",
     .type = CLI_FLAG,
     .help = "leave the encoder's random directions as they are: a baseline"},
    {.name = "steps",
     .letter = 'n',
     .type = CLI_SIZE,
     .argument = "N",
     .min = 1,
     .value_text = "once through the text",
     .help = "steps to train"},
    {.name = "batch-size",
     .letter = 'b',
     .type = CLI_SIZE,
     .argument = "N",
     .value = "4096",
     .min = 1,
     .max = 1 << 24,
     .help = "positions of a step"},
    {.name = "buffer",
     .type = CLI_SIZE,
     .argument = "N",
     .value = "64",
     .min = 1,
     .max = 1 << 20,
     .help = "batches whose activations lie in memory and are met in random order"},
    {.name = "seq-len",
     .type = CLI_SIZE,
     .argument = "T",
     .min = 1,
     .value_text = "the model's",
     .help = "tokens of a row of text, documents packed"},
    {.name = "learning-rate",
     .type = CLI_REAL,
     .argument = "X",
     .value = "1e-3",
     .min = 1e-12,
     .max = 1e3,
     .help = "peak: up over the first 5 % of the steps, down to 0 over the last 20 %"},
    {.name = "weight-decay",
     .type = CLI_REAL,
     .argument = "X",
     .value = "0",
     .min = 0,
     .max = 0.5,
     .help = "part of both maps lost a step at the peak rate"},
    {.name = "resample", .type = CLI_FLAG, .help = "dead features begin again where the error is, at 25, 50 and 75 %"},
    {.name = "dead-window",
     .type = CLI_SIZE,
     .argument = "N",
     .min = 1,
     .value_text = "10 million, or all",
     .help = "positions in which a live feature acts"},
    {.name = "checkpoint-every",
     .type = CLI_SIZE,
     .argument = "N",
     .value = "1000",
     .help = "steps between checkpoints; 0: only where it is stopped"},
    {.name = "resume", .type = CLI_FLAG, .help = "go on from TC's newest checkpoint, to the same bits"},
    {.name = "max-memory",
     .type = CLI_BYTES,
     .argument = "BYTES",
     .value = "8G",
     .min = 1,
     .help = "refuse what needs more"},
    CLI_SEED_OPTION,
    CLI_FORM_OPTIONS,
    CLI_BEYOND_OPTION,
    CLI_JSON_OPTION,
    CLI_CHECKPOINT_OPTION,
    CLI_TOKENIZER_OPTION,
    CLI_END};

const cli_command cli_sparse_train = {
    .name = "sparse train",
    .group = "Reading",
    .summary = "train transcoders or SAEs of a model's layers",
    .usage = "MODEL --data FILE -o TC (--l1 X | --top-k K | --l0 X)",
    .examples =
        "# transcoders of all layers, 8 times the model's width, 32 features at a position\n"
        "sgatlin sparse train run --data train.txt --top-k 32 -o tc\n"
        "# L1 on two layers; go on after a stop\n"
        "sgatlin sparse train run --data train.txt --layers 0-1 --l1 0.002 -o tc1 --resume\n"
        "# an SAE of the stream behind layer 2\n"
        "sgatlin sparse train run --data train.txt --site resid_post --layers 2 --l0 1e-4 -o sae",
    .description =
        "All layers share one pass of the model. Penalties are in this program's terms: the squared error is a mean "
        "over the width, the penalty a mean over positions; TC/sparse.json also says them as SAELens does (times the "
        "width). The files of each layer, cfg.json and sae_weights.safetensors, open in SAELens.\n\n"
        "JSON: what sparse.json holds: site, layers (features, lambda and its conversions, mse and l0 of the last "
        "step, dead), model_hash, seconds, files with hashes.",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
