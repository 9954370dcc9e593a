/* cmd_circuit_score.c: circuits of transcoder features held against true runs, beside the layers'
 * own neurons and another model's. */
#include <math.h>
#include <string.h>

#include "context.h"
#include "curves.h"
#include "report/circuit.h"
#include "sparse.h"

typedef struct job {
  const cli_call *call;
  cli_model m;
  sg_model *rival;
  sgi_sparse_set *set;
  cli_text text;
  sgi_corpus *corpus;
  cli_progress bar;
} job;

/* Ways to leave out all but some: the document's names, and those of tables. */
static const struct {
  const char *key, *name;
} ways[] = {{"features", "features"},
            {"features_no_errors", "features, errors dropped"},
            {"random", "features, random order"},
            {"neurons", "own neurons"},
            {"rival", "rival's own neurons"}};
enum { MOST_STEPS = 32 };

static sg_status open_rival(job *j, const char *path, sg_error *err) {
  char *directory = NULL;
  sg_status st = cli_model_directory(path, NULL, &directory, err);
  if (!st) st = sg_model_load(directory, &j->rival, err);
  sgi_free(directory);
  return st;
}

static sg_status prepare(job *j, sg_error *err) {
  const cli_call *c = j->call;
  sg_status st = cli_model_open(c, CLI_WITH_TOKENIZER, &j->m, err);
  if (!st) st = cli_sparse_open(c, c->args[1], j->m.model, &j->set, err);
  if (!st) st = cli_context_check(c, sg_model_config(j->m.model), cli_size(c, "tokens"), err);
  if (!st)
    st = cli_text_corpus(c, "valid", j->m.tokenizer, sg_model_config(j->m.model)->eos_id, NULL, NULL, &j->text,
                         &j->corpus, err);
  if (!st && cli_string(c, "rival")) st = open_rival(j, cli_string(c, "rival"), err);
  return st;
}

static const json_t *curve_of(const json_t *o, size_t way) {
  return json_object_get(json_object_get(o, "left"), ways[way].key);
}

static void print(const void *user, const json_t *o) {
  (void)user;
  printf("%zu prompts of %zu tokens; loss %.4f", sgi_field_size(o, "prompts"), sgi_field_size(o, "tokens"),
         sgi_field_real(o, "loss"));
  if (isfinite(sgi_field_real(o, "rival_loss"))) printf(", the rival's %.4f", sgi_field_real(o, "rival_loss"));
  printf(
      "\n%zu features taken out: rank correlation of term and true change %.3f, equal signs %.1f %%, sum of terms over "
      "sum of changes %.3f\n",
      sgi_field_size(o, "removals"), sgi_field_real(o, "rank"), 100 * sgi_field_real(o, "agreement"),
      sgi_field_real(o, "quotient"));
  printf("errors are %.1f %% of all total effects; %.0f features act on a prompt, %.0f neurons\n\n",
         100 * sgi_field_real(o, "error_share"), sgi_field_real(o, "features"), sgi_field_real(o, "neurons"));
  cli_table *t = cli_table_begin("rrrrrr");
  cli_cell(t, "kept");
  for (size_t way = 0; way < SGI_COUNT(ways); way++) cli_cell(t, "%s", ways[way].name);
  for (size_t i = 0; i < json_array_size(curve_of(o, 0)); i++) {
    cli_cell(t, "%zu", sgi_field_size(json_array_get(curve_of(o, 0), i), "k"));
    for (size_t way = 0; way < SGI_COUNT(ways); way++)
      if (json_is_array(curve_of(o, way)))
        cli_cell(t, "%.1f %%", 100 * sgi_field_real(json_array_get(curve_of(o, way), i), "left"));
      else
        cli_cell(t, "-");
  }
  cli_table_end(t);
}

static sg_status figure(const json_t *o, const char *path, sg_error *err) {
  cli_curve curves[SGI_COUNT(ways)] = {0};
  double x[MOST_STEPS], y[SGI_COUNT(ways)][MOST_STEPS];
  size_t n = 0, steps = json_array_size(curve_of(o, 0));
  if (steps > MOST_STEPS) steps = MOST_STEPS;
  for (size_t i = 0; i < steps; i++) x[i] = (double)i;
  for (size_t way = 0; way < SGI_COUNT(ways); way++) {
    if (!json_is_array(curve_of(o, way))) continue;
    for (size_t i = 0; i < steps; i++) y[way][i] = sgi_field_real(json_array_get(curve_of(o, way), i), "left");
    curves[n] = (cli_curve){.x = x, .y = y[way], .n = steps, .dashed = !strcmp(ways[way].key, "random")};
    snprintf(curves[n++].name, sizeof curves[0].name, "%s", ways[way].name);
  }
  return cli_curves_save(&(cli_curves){.title = "Share of the logit difference that is left",
                                       .x = "kept: 0, then 2 to the power of (this less 1)",
                                       .y = "share",
                                       .curves = curves,
                                       .n = n,
                                       .whole_x = true},
                         path, err);
}

static int run(const cli_call *c) {
  sg_error err = {0};
  job j = {.call = c};
  json_t *answer = NULL;
  cli_signals_install();
  sg_status st = prepare(&j, &err);
  const sgi_circuit_score_request r = {.model = j.m.model,
                                       .set = j.set,
                                       .rival = j.rival,
                                       .corpus = j.corpus,
                                       .prompts = cli_size(c, "prompts"),
                                       .tokens = cli_size(c, "tokens"),
                                       .removals = cli_size(c, "removals"),
                                       .seed = cli_u64(c, "seed"),
                                       .max_bytes = cli_size(c, "max-memory"),
                                       .progress = cli_progress_advance,
                                       .user = &j.bar};
  cli_progress_begin(&j.bar, "running", "prompts", 0, 0);
  if (!st) st = sgi_circuit_score(&r, &answer, &err);
  cli_progress_end(&j.bar);
  if (!st && cli_string(c, "svg")) st = figure(answer, cli_string(c, "svg"), &err);
  int code = cli_answer(c, st, &err, answer, print, NULL);
  sg_model_free(j.rival);
  sgi_sparse_set_free(j.set);
  sgi_text_close(j.corpus);
  cli_text_free(&j.text);
  cli_model_close(&j.m);
  return code;
}

static const cli_option options[] = {
    CLI_HELD_OUT_OPTION("held-out text: a file, or a directory's valid.*"),
    {.name = "prompts",
     .type = CLI_SIZE,
     .argument = "N",
     .value = "16",
     .min = 1,
     .max = 1 << 20,
     .help = "beginnings of documents that are read"},
    {.name = "tokens",
     .type = CLI_SIZE,
     .argument = "T",
     .value = "16",
     .min = 2,
     .max = 4096,
     .help = "tokens of each, the begin token among them"},
    {.name = "removals",
     .type = CLI_SIZE,
     .argument = "N",
     .value = "8",
     .max = 4096,
     .help = "features of a prompt that are taken out: so many of the largest, and as many random ones"},
    {.name = "rival",
     .type = CLI_STRING,
     .argument = "MODEL",
     .help = "another model on the same prompts, by its own neurons: sgatlin beside a transcoded mlp at equal loss"},
    {.name = "svg", .type = CLI_STRING, .argument = "FILE", .help = "what is left over how many are kept, as a figure"},
    {.name = "max-memory",
     .type = CLI_BYTES,
     .argument = "BYTES",
     .value = "4G",
     .min = 1,
     .help = "refuse prompts that need more"},
    CLI_SPARSE_FORCE_OPTION,
    CLI_SEED_OPTION,
    CLI_FORM_OPTIONS,
    CLI_BEYOND_OPTION,
    CLI_JSON_OPTION,
    CLI_CHECKPOINT_OPTION,
    CLI_TOKENIZER_OPTION,
    CLI_END};

const cli_command cli_circuit_score = {
    .name = "circuit score",
    .group = "Reading",
    .summary = "transcoder circuits held against true runs, beside the model's own neurons",
    .usage = "MODEL TC --data FILE [--rival MODEL]",
    .examples =
        "# do terms foretell true removal, and how many features carry a prediction?\n"
        "sgatlin circuit score mlp tc --data valid.txt --rival sgatlin --svg circuits.svg",
    .description =
        "Of each prompt the most probable token over the second. First: features' direct terms beside what the target "
        "loses when the feature's write is taken out in a true run. Second: of all transcoders only the best k "
        "features "
        "(by total effect) are kept, what they missed kept or dropped, and the share of the difference that is left is "
        "told; beside it features in random order, and the model's own neurons by their total effects, all others "
        "silent. Shares are ratios of sums over prompts.\n\n"
        "JSON: loss, rival_loss, removals, rank, agreement, quotient, error_share, difference, left: for each way a "
        "list "
        "of k and left.",
    .options = options,
    .min_args = 2,
    .max_args = 2,
    .run = run,
};
