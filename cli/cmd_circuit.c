/* cmd_circuit.c: what made a transcoder's feature act, or a logit: terms, paths, total effects,
 * each beside true removal; and weights between features without a prompt. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "graph_files.h"
#include "report/circuit.h"
#include "sparse.h"

typedef struct job {
  const cli_call *call;
  sgi_prompt p;
  sgi_sparse_set *set;
  sg_graph *graph; /* NULL: no file was asked for */
  cli_progress bar;
} job;

/* "L:J" or "L:J@POS". */
static sg_status read_place(const char *text, const char *what, size_t *a, size_t *b, size_t *position, bool *at,
                            sg_error *err) {
  char *end;
  *at = false;
  *a = strtoull(text, &end, 10);
  bool good = end != text && *end == ':' && text[0] >= '0' && text[0] <= '9';
  if (good) {
    const char *next = end + 1;
    *b = strtoull(next, &end, 10);
    good = end != next && next[0] >= '0' && next[0] <= '9';
  }
  if (good && *end == '@' && position) {
    const char *next = end + 1;
    *position = strtoull(next, &end, 10);
    good = *at = end != next && next[0] >= '0' && next[0] <= '9';
  }
  if (good && !*end) return SG_OK;
  return sgi_fail(err, SG_ERR_ARG, "--%s %.40s: expected LAYER:NUMBER%s", what, text,
                  position ? " or LAYER:NUMBER@POSITION" : "");
}

static bool go_on(void *user) {
  (void)user;
  return !cli_stop;
}

static int32_t token_of(const json_t *token) { return (int32_t)json_integer_value(json_object_get(token, "id")); }

/* ---- without a prompt ------------------------------------------------------------------------ */

static void print_weights(const void *user, const json_t *o) {
  const job *j = user;
  const json_t *weights = json_object_get(o, "weights"), *tokens = json_object_get(o, "deembedding");
  cli_table *t = cli_table_begin("rll");
  cli_cell(t, "weight");
  cli_cell(t, "from");
  cli_cell(t, "by");
  for (size_t i = 0; i < json_array_size(weights); i++) {
    const json_t *w = json_array_get(weights, i);
    cli_cell(t, "%+.4f", sgi_field_real(w, "invariant"));
    cli_cell(t, "layer %zu feature %zu", sgi_field_size(w, "layer"), sgi_field_size(w, "feature"));
    if (json_is_null(json_object_get(w, "head")))
      cli_cell(t, "the stream");
    else
      cli_cell(t, "head %zu of layer %zu", sgi_field_size(w, "head"), sgi_field_size(w, "head_layer"));
  }
  cli_table_end(t);
  printf("\nde-embedding:");
  for (size_t i = 0; i < json_array_size(tokens); i++) {
    const json_t *x = json_array_get(tokens, i);
    printf(" %s %+.3f", sgi_token_shown(&j->p, token_of(json_object_get(x, "token"))).s, sgi_field_real(x, "value"));
  }
  putchar('\n');
}

static sg_status weights(job *j, json_t **answer, sg_error *err) {
  const cli_call *c = j->call;
  const char *head = cli_string(c, "head");
  bool at;
  sgi_circuit_weights_request r = {
      .p = &j->p, .one_head = head, .top = cli_size(c, "top"), .go_on = go_on, .user = NULL};
  sg_status st = cli_prompt_open_model(&j->p, c, err);
  if (!st) st = cli_sparse_open(c, c->args[1], j->p.model, &j->set, err);
  if (!st) st = read_place(cli_string(c, "feature"), "feature", &r.layer, &r.feature, NULL, &at, err);
  if (!st && head) st = read_place(head, "head", &r.head_layer, &r.head, NULL, &at, err);
  r.set = j->set;
  return st ? st : sgi_circuit_weights(&r, answer, err);
}

/* ---- on a prompt ----------------------------------------------------------------------------- */

static sg_status read_target(const job *j, sgi_circuit_request *r, sg_error *err) {
  const cli_call *c = j->call;
  const char *feature = cli_string(c, "feature"), *target = cli_string(c, "target"),
             *against = cli_string(c, "against");
  bool at = false;
  r->of_feature = feature;
  r->token = r->against = -1;
  sg_status st = sgi_prompt_at(&j->p, (ptrdiff_t)cli_int(c, "position"), &r->position, err);
  if (!st && feature) st = read_place(feature, "feature", &r->layer, &r->feature, &r->position, &at, err);
  if (!st && target) st = sgi_prompt_token(&j->p, target, &r->token, err);
  if (!st && against) st = sgi_prompt_token(&j->p, against, &r->against, err);
  return st;
}

static bool exploring(void *user, size_t done, size_t wanted) {
  job *j = user;
  (void)wanted;
  cli_progress_update(&j->bar, (double)done, NULL);
  return !cli_stop;
}

/* The graph behind the target of a circuit, where a file of it is asked for. */
static sg_status draw_graph(job *j, json_t *answer, sg_error *err) {
  const cli_call *c = j->call;
  const json_t *target = json_object_get(answer, "target"), *against = json_object_get(target, "against");
  int32_t targets[] = {token_of(json_object_get(target, "token")), token_of(against)};
  if (!cli_graph_files(c)) return SG_OK;
  sg_graph_request r = {.tokens = j->p.tokens,
                        .count = j->p.count,
                        .position = (ptrdiff_t)sgi_field_size(target, "position"),
                        .targets = targets,
                        .n_targets = json_is_object(against) ? 2 : 1,
                        .node_threshold = cli_real(c, "node-threshold"),
                        .edge_threshold = cli_real(c, "edge-threshold"),
                        .max_bytes = cli_size(c, "max-memory"),
                        .heads = true,
                        .progress = exploring,
                        .user = j};
  cli_progress_begin(&j->bar, "graph", "features", 0, 0);
  sg_status st = sgi_graph_of(&j->p, j->set, &r, &j->graph, err);
  cli_progress_end(&j->bar);
  if (!st) st = cli_graph_save(c, &j->p, j->graph, c->args[1], j->set, NULL, err);
  if (!st) json_object_set_new(answer, "graph", sgi_circuit_graph_json(j->graph));
  return st;
}

static sg_status explain(job *j, json_t **answer, sg_error *err) {
  const cli_call *c = j->call;
  sgi_circuit_request r = {.p = &j->p,
                           .verify = cli_size(c, "verify"),
                           .depth = cli_size(c, "depth"),
                           .branches = cli_size(c, "branches"),
                           .positive = cli_choice(c, "order") == 1,
                           .skip_bos = cli_flag(c, "skip-bos"),
                           .max_bytes = cli_size(c, "max-memory"),
                           .go_on = go_on};
  sg_status st = cli_prompt_open(&j->p, c, err);
  if (!st) st = cli_sparse_open(c, c->args[1], j->p.model, &j->set, err);
  if (!st) st = read_target(j, &r, err);
  r.set = j->set;
  if (!st) st = sgi_circuit_report(&r, answer, err);
  return st ? st : draw_graph(j, *answer, err);
}

static void print_target(const job *j, const json_t *o) {
  const json_t *target = json_object_get(o, "target"), *against = json_object_get(target, "against");
  size_t position = sgi_field_size(target, "position");
  double value = sgi_field_real(target, "value");
  if (!strcmp(sgi_field_word(target, "kind"), "feature")) {
    printf("layer %zu feature %zu at position %zu: %+.4f before its activation (own bias %+.4f)\n",
           sgi_field_size(target, "layer"), sgi_field_size(target, "feature"), position, value,
           sgi_field_real(o, "own_bias"));
    return;
  }
  printf("%s", sgi_token_shown(&j->p, token_of(json_object_get(target, "token"))).s);
  if (json_is_object(against)) printf(" over %s", sgi_token_shown(&j->p, token_of(against)).s);
  printf(" at position %zu: %+.4f\n", position, value);
}

/* Features, largest first, and the sums of all else. */
static void print_terms(const job *j, const json_t *terms) {
  size_t top = cli_size(j->call, "top"), verify = cli_size(j->call, "verify"), n = 0;
  double embedding = 0, errors = 0, biases = 0, heads = 0;
  bool any = false;
  for (size_t i = 0; i < json_array_size(terms); i++)
    any = any || !strcmp(sgi_field_word(json_array_get(terms, i), "kind"), "feature");
  bool verified = verify && any;
  cli_table *t = cli_table_begin(verified ? "rlr" : "rl");
  cli_cell(t, "term");
  cli_cell(t, "from");
  if (verified) cli_cell(t, "true");
  for (size_t i = 0; i < json_array_size(terms); i++) {
    const json_t *x = json_array_get(terms, i);
    const char *kind = sgi_field_word(x, "kind");
    double effect = sgi_field_real(x, "contribution");
    embedding += !strcmp(kind, "embedding") ? effect : 0;
    errors += !strcmp(kind, "error") ? effect : 0;
    biases += !strcmp(kind, "bias") ? effect : 0;
    heads += !strcmp(kind, "head") ? effect : 0;
    if (strcmp(kind, "feature") || n++ >= top) continue;
    cli_cell(t, "%+.4f", effect);
    cli_cell(t, "layer %zu feature %zu", sgi_field_size(x, "layer"), sgi_field_size(x, "feature"));
    if (verified && n <= verify) cli_cell(t, "%+.4f", sgi_field_real(x, "true"));
    if (verified && n > verify) cli_cell(t, "-");
  }
  cli_table_end(t);
  printf("embedding %+.4f, heads %+.4f, errors %+.4f, biases %+.4f\n", embedding, heads, errors, biases);
}

static void print_node(const job *j, const json_t *x) {
  const char *kind = sgi_field_word(x, "kind");
  size_t position = sgi_field_size(x, "position");
  if (!strcmp(kind, "feature"))
    printf(" <- layer %zu feature %zu", sgi_field_size(x, "layer"), sgi_field_size(x, "feature"));
  else if (!strcmp(kind, "head"))
    printf(" <- head %zu.%zu from", sgi_field_size(x, "layer"), sgi_field_size(x, "head"));
  else
    printf(" <- embedding");
  printf(" %s@%zu (%+.3f)", sgi_token_shown(&j->p, j->p.tokens[position]).s, position,
         sgi_field_real(x, "contribution"));
}

static void print_paths(const job *j, const json_t *paths) {
  const json_t *nodes = json_object_get(paths, "nodes"), *depths = json_object_get(paths, "depths");
  size_t n = json_array_size(depths);
  const json_t *best = json_array_get(depths, n ? n - 1 : 0);
  if (n) printf("\nbest paths of %zu steps\n", n);
  for (size_t b = 0; b < json_array_size(best); b++) {
    const json_t *path = json_array_get(best, b);
    printf(" ");
    for (size_t i = 1; i < json_array_size(path); i++)
      print_node(j, json_array_get(nodes, (size_t)json_integer_value(json_array_get(path, i))));
    putchar('\n');
  }
}

static void print(const void *user, const json_t *o) {
  const job *j = user;
  print_target(j, o);
  printf("errors are %.1f %% of all terms; residue %+.1e\n", 100 * sgi_field_real(o, "error_share"),
         sgi_field_real(o, "residue"));
  print_terms(j, json_object_get(o, "terms"));
  print_paths(j, json_object_get(o, "paths"));
  if (j->graph) putchar('\n');
  if (j->graph) cli_graph_print(j->call, &j->p, j->graph);
}

static int run(const cli_call *c) {
  sg_error err = {0};
  job j = {.call = c};
  json_t *answer = NULL;
  bool alone = cli_flag(c, "invariant");
  if (cli_string(c, "feature") && cli_string(c, "target")) return cli_usage(c, "--feature or --target, not both");
  if (cli_graph_files(c) && (alone || cli_string(c, "feature")))
    return cli_usage(c, "-o, --svg and --circuit-tracer draw what made a logit: leave --invariant and --feature out");
  if (alone && !cli_string(c, "feature")) return cli_usage(c, "--invariant needs --feature LAYER:NUMBER");
  cli_signals_install();
  sg_status st = alone ? weights(&j, &answer, &err) : explain(&j, &answer, &err);
  int code = cli_answer(c, st, &err, answer, alone ? print_weights : print, &j);
  sg_graph_free(j.graph);
  sgi_sparse_set_free(j.set);
  cli_prompt_close(&j.p);
  return code;
}

static const cli_option options[] = {
    CLI_PROMPT_OPTIONS,
    {.name = "feature",
     .letter = 'f',
     .type = CLI_STRING,
     .argument = "L:J[@POS]",
     .help = "feature J of layer L is explained, at a position (else --position)"},
    {.name = "target",
     .type = CLI_STRING,
     .argument = "TOKEN",
     .value_text = "the most probable",
     .help = "token whose logit is explained: its text, or id:N"},
    {.name = "against", .type = CLI_STRING, .argument = "TOKEN", .help = "less the logit of this token"},
    CLI_POSITION_OPTION,
    {.name = "depth",
     .type = CLI_SIZE,
     .argument = "N",
     .value = "3",
     .max = 32,
     .help = "steps of a path; 0: no paths"},
    {.name = "branches",
     .type = CLI_SIZE,
     .argument = "N",
     .value = "5",
     .min = 1,
     .max = 1000,
     .help = "paths that are kept at each step"},
    {.name = "order",
     .type = CLI_CHOICE,
     .argument = "absolute|positive",
     .value = "absolute",
     .help = "which contributions are the best; positive shows no cause against"},
    {.name = "skip-bos", .type = CLI_FLAG, .help = "leave position 0 out of paths"},
    {.name = "verify",
     .type = CLI_SIZE,
     .argument = "N",
     .value = "0",
     .help = "take each of the N largest features out in a true run"},
    {.name = "invariant", .type = CLI_FLAG, .help = "weights into --feature without a prompt, and its de-embedding"},
    {.name = "head", .type = CLI_STRING, .argument = "L:H", .help = "of --invariant: through this head alone"},
    CLI_TOP_OPTION("terms and tokens that are shown"),
    {.name = "max-memory",
     .type = CLI_BYTES,
     .argument = "BYTES",
     .value = "4G",
     .min = 1,
     .help = "refuse prompts that need more"},
    {.name = "circuit-tracer",
     .type = CLI_STRING,
     .argument = "DIR",
     .help = "folder for circuit-tracer's frontend: graph, list of graphs, a file for each feature"},
    CLI_GRAPH_FILE_OPTIONS,
    CLI_SPARSE_FORCE_OPTION,
    CLI_MODEL_OPTIONS,
    CLI_JSON_OPTION,
    CLI_END};

const cli_command cli_circuit = {
    .name = "circuit",
    .group = "Reading",
    .summary = "what made a transcoder's feature act, or a logit: terms, paths, true removal",
    .usage =
        "MODEL TC --prompt TEXT (--feature L:J[@POS] | --target TOKEN)\nMODEL TC --prompt TEXT --svg FILE.svg\nMODEL "
        "TC --invariant --feature L:J",
    .examples =
        "# the most probable next token, its causes checked by true removal\n"
        "sgatlin circuit MODEL TC --prompt 'The dog was' --verify 5\n"
        "# what made a feature act\nsgatlin circuit MODEL TC --prompt 'The dog was' --feature 2:17@3\n"
        "# the graph of the features behind it, errors as nodes\n"
        "sgatlin circuit MODEL TC --prompt 'The dog was' --svg dog.svg -o dog.json\n"
        "# which features it reads, whatever the prompt\nsgatlin circuit MODEL TC --invariant --feature 2:17",
    .description =
        "Attention patterns, norm scales and which features act are held; then the target is a sum of terms: "
        "embedding, "
        "features of lower layers (weight that no prompt changes, times what depends on it), heads by source, biases, "
        "and what the transcoders miss (errors), which is a node of its own and always told. Transcoders of all "
        "layers below the target are needed.\n\n"
        "--svg, -o and --circuit-tracer write the graph behind the logit as 'graph' does of neurons: features that "
        "act, "
        "pruned by influence, and for each layer and position what its features miss as a node of its own. All edges "
        "into "
        "a feature add up to what it read; the share that all paths lead back to errors is told.\n\n"
        "JSON: target, own_bias, terms (kind, layer, head, position, feature, contribution, invariant, dependent, "
        "true), residue, error_share, paths (nodes with from, bias, error, not_followed; depths: best paths as numbers "
        "of nodes), total {embedding, b_e, b_d, error}, graph {nodes, edges, all_nodes, error_share, input_share, "
        "worst_residue} where a file was written.",
    .options = options,
    .min_args = 2,
    .max_args = 2,
    .also = "prompt",
    .run = run,
};
