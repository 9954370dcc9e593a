/* cmd_circuit_score.c: circuits of transcoder features held against true runs, beside the layers'
 * own neurons and another model's. */
#include <math.h>
#include <string.h>

#include "compare/cut.h"
#include "compare/feature_score.h"
#include "core/file.h"
#include "curves.h"
#include "report/report.h"
#include "sparse.h"

typedef struct job {
  const cli_call *call;
  cli_model m;
  sg_model *rival;
  sgi_sparse_set *set;
  cli_text text;
  sgi_corpus *corpus;
  int32_t *tokens, *targets;
  size_t prompts, T;
  double loss, rival_loss;
  sgi_feature_scores s;
  cli_progress bar;
} job;

static const char *const names[SGI_SCORE_WAYS] = {"features", "features, errors dropped", "features, random order",
                                                  "own neurons", "rival's own neurons"};
static const char *const keys[SGI_SCORE_WAYS] = {"features", "features_no_errors", "random", "neurons", "rival"};

/* The first T tokens of documents that have as many. */
static sg_status read_prompts(job *j, sg_error *err) {
  size_t want = cli_size(j->call, "prompts"), documents = sgi_corpus_documents(j->corpus);
  int32_t bos = sg_model_config(j->m.model)->bos_id;
  j->T = cli_size(j->call, "tokens");
  j->tokens = sgi_alloc(2 * want * j->T * sizeof *j->tokens);
  if (!j->tokens) return sgi_fail_memory(err, want * j->T * sizeof *j->tokens, "prompts");
  j->targets = j->tokens + want * j->T;
  for (size_t d = 0, n; d < documents && j->prompts < want; d++) {
    const int32_t *ids = sgi_corpus_document(j->corpus, d, &n);
    if (n <= j->T) continue;
    int32_t *row = j->tokens + j->prompts * j->T;
    row[0] = bos;
    memcpy(row + 1, ids, (j->T - 1) * sizeof *row);
    memcpy(j->targets + j->prompts * j->T, ids, j->T * sizeof *row);
    j->prompts++;
  }
  if (!j->prompts)
    return sgi_fail(err, SG_ERR_ARG, "no document has %zu tokens and one more: give fewer --tokens", j->T);
  return SG_OK;
}

static sg_status prepare(job *j, sg_error *err) {
  const cli_call *c = j->call;
  sg_status st = cli_model_open(c, CLI_WITH_TOKENIZER, &j->m, err);
  if (!st) st = cli_sparse_open(c, c->args[1], j->m.model, &j->set, err);
  if (!st) st = cli_context_check(c, sg_model_config(j->m.model), cli_size(c, "tokens"), err);
  if (!st)
    st = cli_text_corpus(c, "valid", j->m.tokenizer, sg_model_config(j->m.model)->eos_id, NULL, NULL, &j->text,
                         &j->corpus, err);
  if (!st) st = read_prompts(j, err);
  if (!st && cli_string(c, "rival")) {
    char *directory = NULL;
    st = cli_model_directory(cli_string(c, "rival"), NULL, &directory, err);
    if (!st) st = sg_model_load(directory, &j->rival, err);
    sgi_free(directory);
  }
  sgi_cut_rows rows = {j->targets, j->prompts, j->T};
  if (!st) st = sgi_cut_whole_loss(j->m.model, &rows, &j->loss, err);
  if (!st && j->rival) st = sgi_cut_whole_loss(j->rival, &rows, &j->rival_loss, err);
  return st;
}

static json_t *curve_json(const job *j, int way) {
  json_t *list = json_array();
  for (size_t i = 0; i < SGI_SCORE_STEPS; i++)
    json_array_append_new(
        list, json_pack("{s:I, s:o}", "k", (json_int_t)j->s.k[i], "left", sgi_report_real(j->s.share[way][i])));
  return list;
}

static int print_json(const job *j) {
  const sgi_feature_scores *s = &j->s;
  json_t *curves = json_object();
  for (int way = 0; way < SGI_SCORE_WAYS; way++)
    json_object_set_new(curves, keys[way], s->has[way] ? curve_json(j, way) : json_null());
  return cli_json(json_pack("{s:I, s:I, s:o, s:o, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "prompts",
                            (json_int_t)s->prompts, "tokens", (json_int_t)j->T, "loss", sgi_report_real(j->loss),
                            "rival_loss", j->rival ? sgi_report_real(j->rival_loss) : json_null(), "removals",
                            (json_int_t)s->removals, "rank", sgi_report_real(s->rank), "agreement",
                            sgi_report_real(s->agreement), "quotient", sgi_report_real(s->quotient), "error_share",
                            sgi_report_real(s->error_share), "difference", sgi_report_real(s->difference), "features",
                            sgi_report_real(s->features), "neurons", sgi_report_real(s->neurons), "left", curves));
}

static void print(const job *j) {
  const sgi_feature_scores *s = &j->s;
  printf("%zu prompts of %zu tokens; loss %.4f", s->prompts, j->T, j->loss);
  if (j->rival) printf(", the rival's %.4f", j->rival_loss);
  printf(
      "\n%zu features taken out: rank correlation of term and true change %.3f, equal signs %.1f %%, sum of terms over "
      "sum of changes %.3f\n",
      s->removals, s->rank, 100 * s->agreement, s->quotient);
  printf("errors are %.1f %% of all total effects; %.0f features act on a prompt, %.0f neurons\n\n",
         100 * s->error_share, s->features, s->neurons);
  cli_table *t = cli_table_begin("rrrrrr");
  cli_cell(t, "kept");
  for (int way = 0; way < SGI_SCORE_WAYS; way++) cli_cell(t, "%s", names[way]);
  for (size_t i = 0; i < SGI_SCORE_STEPS; i++) {
    cli_cell(t, "%zu", s->k[i]);
    for (int way = 0; way < SGI_SCORE_WAYS; way++)
      if (s->has[way])
        cli_cell(t, "%.1f %%", 100 * s->share[way][i]);
      else
        cli_cell(t, "-");
  }
  cli_table_end(t);
}

static sg_status figure(const job *j, const char *path, sg_error *err) {
  cli_curve curves[SGI_SCORE_WAYS] = {0};
  double x[SGI_SCORE_STEPS];
  size_t n = 0;
  for (size_t i = 0; i < SGI_SCORE_STEPS; i++) x[i] = (double)i;
  for (int way = 0; way < SGI_SCORE_WAYS; way++) {
    if (!j->s.has[way]) continue;
    curves[n] = (cli_curve){.x = x, .y = j->s.share[way], .n = SGI_SCORE_STEPS, .dashed = way == SGI_SCORE_RANDOM};
    snprintf(curves[n++].name, sizeof curves[0].name, "%s", names[way]);
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
  int code = 0;
  cli_signals_install();
  sg_status st = prepare(&j, &err);
  sgi_feature_score_request r = {.model = j.m.model,
                                 .set = j.set,
                                 .rival = j.rival,
                                 .tokens = j.tokens,
                                 .prompts = j.prompts,
                                 .T = j.T,
                                 .removals = cli_size(c, "removals"),
                                 .seed = cli_u64(c, "seed"),
                                 .max_bytes = cli_size(c, "max-memory"),
                                 .progress = cli_progress_advance,
                                 .user = &j.bar};
  cli_progress_begin(&j.bar, "running", "prompts", 0, 0);
  if (!st) st = sgi_feature_score(&r, &j.s, &err);
  cli_progress_end(&j.bar);
  if (!st && cli_string(c, "svg")) st = figure(&j, cli_string(c, "svg"), &err);
  if (st)
    code = cli_end(st, &err);
  else if (cli_flag(c, "json"))
    code = print_json(&j);
  else
    print(&j);
  sgi_free(j.tokens);
  sg_model_free(j.rival);
  sgi_sparse_set_free(j.set);
  sgi_corpus_close(j.corpus);
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
