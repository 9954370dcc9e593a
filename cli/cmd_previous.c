/* cmd_previous.c: what the stream says of the token before, which heads carry it and who reads
 * it. */
#include <math.h>

#include "compare/previous.h"
#include "context.h"
#include "prompt.h"
#include "read/label.h"
#include "rows.h"
#include "text_form.h"

typedef struct work {
  const cli_call *c;
  sgi_prompt p;
  cli_rows rows;
  bool *skip;
  sgi_previous *found;
  cli_progress bar;
} work;

static sg_status read_text(work *w, sg_error *err) {
  size_t T = cli_is_set(w->c, "seq-len") ? cli_size(w->c, "seq-len") : sg_model_config(w->p.model)->max_position;
  return cli_rows_open(&w->rows, w->c, &w->p, T, cli_size(w->c, "tokens"), err);
}

static sg_status find(work *w, sg_error *err) {
  sg_status st = cli_prompt_open_model(&w->p, w->c, err);
  if (!st) st = cli_text_needs(w->p.tokenizer, w->p.directory, err);
  if (!st) st = read_text(w, err);
  if (!st && !(w->skip = sgi_label_silent(w->p.model, w->p.tokenizer)))
    st = sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  if (st) return st;
  const sgi_previous_request q = {.targets = w->rows.targets,
                                  .rows = w->rows.B,
                                  .T = w->rows.T,
                                  .skip = w->skip,
                                  .min_count = cli_size(w->c, "min-count"),
                                  .most = cli_size(w->c, "most"),
                                  .rotations = cli_size(w->c, "rotations"),
                                  .seed = cli_u64(w->c, "seed"),
                                  .max_bytes = cli_size(w->c, "max-memory"),
                                  .progress = cli_progress_advance,
                                  .user = &w->bar};
  cli_progress_begin(&w->bar, "reading", "rows", 0, 0);
  st = sgi_previous_make(w->p.model, &q, &w->found, err);
  cli_progress_end(&w->bar);
  return st;
}

/* ---- answer ---------------------------------------------------------------------------------- */

static const char *const tests[] = {"all", "after", "matched"};

static json_t *auc_json(const double *auc) {
  json_t *o = json_object();
  for (size_t k = 0; k < SGI_PREVIOUS_AUCS; k++) json_object_set_new(o, tests[k], sgi_report_real(auc[k]));
  return o;
}

static json_t *tokens_json(const work *w) {
  const sgi_previous *f = w->found;
  json_t *list = json_array();
  for (size_t v = 0; v < f->n_tokens; v++) {
    json_t *sites = json_object();
    for (size_t s = 0; s < f->n_sites; s++)
      json_object_set_new(sites, f->sites[s].name, auc_json(f->auc + (s * f->n_tokens + v) * SGI_PREVIOUS_AUCS));
    json_array_append_new(
        list, json_pack("{so so sI sI so}", "token", sgi_token_json(&w->p, f->tokens[v].id), "after",
                        sgi_token_json(&w->p, f->tokens[v].after), "fitted", (json_int_t)f->tokens[v].fitted, "tested",
                        (json_int_t)f->tokens[v].tested, "auc", sites));
  }
  return list;
}

static json_t *result_json(const work *w) {
  const sgi_previous *f = w->found;
  json_t *sites = json_array(), *heads = json_array(), *layers = json_array(), *pairs = json_array();
  for (size_t s = 0; s < f->n_sites; s++)
    json_array_append_new(sites, json_pack("{ss so sI}", "site", f->sites[s].name, "auc", auc_json(f->sites[s].auc),
                                           "tokens_matched", (json_int_t)f->sites[s].count[SGI_PREVIOUS_MATCHED]));
  for (size_t h = 0; h < f->n_heads; h++)
    json_array_append_new(
        heads,
        json_pack("{sI sI so so}", "layer", (json_int_t)f->heads[h].layer, "head", (json_int_t)f->heads[h].head,
                  "looks_back", sgi_report_real(f->heads[h].looks), "cosine", sgi_report_real(f->heads[h].cosine)));
  for (size_t l = 0; l < sg_model_config(w->p.model)->num_layers; l++)
    json_array_append_new(layers, sgi_report_real(f->summed[l]));
  for (size_t i = 0; i < f->n_compositions; i++) {
    const sgi_composition *x = &f->compositions[i];
    json_array_append_new(
        pairs, json_pack("{s[II] s[II] so so so}", "from", (json_int_t)x->layer, (json_int_t)x->head, "to",
                         (json_int_t)x->to_layer, (json_int_t)x->to_head, "key", sgi_report_real(x->key), "query",
                         sgi_report_real(x->query), "control", sgi_report_real(x->control)));
  }
  return json_pack("{sI sI sI so so so so so}", "seed", (json_int_t)cli_u64(w->c, "seed"), "fitted",
                   (json_int_t)f->fitted, "tested", (json_int_t)f->tested, "sites", sites, "heads", heads,
                   "cosine_of_layer", layers, "compositions", pairs, "tokens", tokens_json(w));
}

static void print_sites(const work *w) {
  const sgi_previous *f = w->found;
  static const char *const head[] = {"site", "all others", "own token the same", "both the same", "tokens"};
  cli_table *t = cli_table_begin("lrrrr");
  for (size_t i = 0; i < SGI_COUNT(head); i++) cli_cell(t, "%s", head[i]);
  for (size_t s = 0; s < f->n_sites; s++) {
    cli_cell(t, "%s", f->sites[s].name);
    for (size_t k = 0; k < SGI_PREVIOUS_AUCS; k++) cli_cell(t, "%.4f", f->sites[s].auc[k]);
    cli_cell(t, "%zu", f->sites[s].count[SGI_PREVIOUS_MATCHED]);
  }
  cli_table_end(t);
}

static void print_heads(const work *w) {
  const sgi_previous *f = w->found;
  printf("\n");
  cli_table *t = cli_table_begin("rrrr");
  static const char *const head[] = {"layer", "head", "weight one back", "cosine with what it copies"};
  for (size_t i = 0; i < SGI_COUNT(head); i++) cli_cell(t, "%s", head[i]);
  for (size_t h = 0; h < f->n_heads; h++) {
    cli_cell(t, "%zu", f->heads[h].layer);
    cli_cell(t, "%zu", f->heads[h].head);
    cli_cell(t, "%.3f", f->heads[h].looks);
    cli_cell(t, "%+.3f", f->heads[h].cosine);
  }
  cli_table_end(t);
  if (!f->n_compositions) return;
  printf("\n");
  t = cli_table_begin("llrrr");
  static const char *const pairs[] = {"writes", "reads", "on its keys", "on its queries", "rotated"};
  for (size_t i = 0; i < SGI_COUNT(pairs); i++) cli_cell(t, "%s", pairs[i]);
  for (size_t i = 0; i < f->n_compositions && i < cli_size(w->c, "top"); i++) {
    const sgi_composition *x = &f->compositions[i];
    cli_cell(t, "layer %zu head %zu", x->layer, x->head);
    cli_cell(t, "layer %zu head %zu", x->to_layer, x->to_head);
    cli_cell(t, "%.4f", x->key);
    cli_cell(t, "%.4f", x->query);
    cli_cell(t, "%.4f", x->control);
  }
  cli_table_end(t);
}

static void print(const work *w) {
  const sgi_previous *f = w->found;
  printf(
      "%zu tokens that stand before another %zu times or more in %zu positions; AUC on %zu others, mean over "
      "tokens\n\n",
      f->n_tokens, cli_size(w->c, "min-count"), f->fitted, f->tested);
  print_sites(w);
  print_heads(w);
}

static int run(const cli_call *c) {
  sg_error err = {0};
  work w = {.c = c};
  int code = 0;
  cli_signals_install();
  sg_status st = find(&w, &err);
  if (st)
    code = cli_end(st, &err);
  else if (cli_flag(c, "json"))
    code = cli_json(result_json(&w));
  else
    print(&w);
  sgi_previous_free(w.found);
  cli_rows_free(&w.rows);
  sgi_free(w.skip);
  cli_prompt_close(&w.p);
  return code;
}

static const cli_option options[] = {
    CLI_HELD_OUT_OPTION("text: its first half fits, its second half tests; a file, or a directory's valid.*"),
    {.name = "tokens",
     .type = CLI_SIZE,
     .argument = "N",
     .value = "40000",
     .min = 64,
     .help = "read so many tokens of the text"},
    {.name = "seq-len",
     .type = CLI_SIZE,
     .argument = "T",
     .min = 2,
     .value_text = "the model's",
     .help = "tokens of a row"},
    {.name = "min-count",
     .type = CLI_SIZE,
     .argument = "N",
     .value = "100",
     .min = 2,
     .help = "times that a token stands before another in the half that fits"},
    {.name = "most",
     .type = CLI_SIZE,
     .argument = "N",
     .value = "300",
     .min = 1,
     .help = "tokens at most, the most frequent"},
    {.name = "rotations",
     .type = CLI_SIZE,
     .argument = "N",
     .value = "10",
     .min = 1,
     .max = 1000,
     .help = "random rotations of the control of compositions"},
    {.name = "top", .letter = 'n', .type = CLI_SIZE, .argument = "N", .value = "12", .help = "pairs of heads shown"},
    {.name = "max-memory",
     .type = CLI_BYTES,
     .argument = "BYTES",
     .value = "4G",
     .min = 1,
     .help = "refuse more streams than this"},
    CLI_FORM_OPTIONS,
    CLI_BEYOND_OPTION,
    CLI_SEED_OPTION,
    CLI_MODEL_OPTIONS,
    CLI_JSON_OPTION,
    CLI_END};

const cli_command cli_previous = {
    .name = "previous",
    .group = "Reading",
    .summary = "what the stream says of the token before, and which heads carry it",
    .usage = "MODEL [--data TEXT]",
    .examples =
        "# a run, on the text that it held out\n"
        "sgatlin previous run\n"
        "# every token's figures, as JSON\n"
        "sgatlin previous MODEL --data valid.txt --tokens 100000 --json",
    .description =
        "For each frequent token v, p_v is the mean of the stream behind v less the mean of all, at every site, fitted "
        "on one half of the text. On the other half the product with p_v is judged as a test of \"the token before is "
        "v\" (AUC: 0.5 is chance): against all other positions; against those whose own token is the one that most "
        "often follows v; and with that own token on both sides, where nothing but the token before is left to "
        "tell.\n\n"
        "Heads: their mean weight on the position before, the cosine of p_v with what the head copies of v. "
        "Compositions: how much of what a head writes a later head's keys (induction) or queries read, beside the same "
        "with a random rotation between them.",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
