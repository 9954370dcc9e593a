/* cmd_graph.c: an attribution graph of one prompt, as a file and a picture. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "read/label.h"
#include "word.h"

typedef struct work {
  const cli_call *c;
  cli_prompt p;
  sg_graph_request r;
  sg_graph *g;
  cli_targets targets;
  char **texts;  /* of the prompt, then of the logits */
  char **labels; /* (n_nodes) of the most influential neurons, else NULL */
  size_t n_texts;
  cli_progress progress;
} work;

static bool tick(void *user, size_t done, size_t wanted) {
  work *w = user;
  (void)wanted;
  cli_progress_update(&w->progress, (double)done, NULL);
  return !cli_stop;
}

static sg_status prepare(work *w, sg_error *err) {
  const cli_call *c = w->c;
  size_t n;
  const char *const *targets = cli_list(c, "target", &n);
  sg_status st = cli_prompt_open(&w->p, c, err);
  if (!st && n) st = cli_targets_read(&w->p, targets, n, (ptrdiff_t)cli_int(c, "position"), &w->targets, err);
  w->r =
      (sg_graph_request){.tokens = w->p.tokens,
                         .count = w->p.count,
                         .position = w->targets.n ? (ptrdiff_t)w->targets.position : (ptrdiff_t)cli_int(c, "position"),
                         .targets = w->targets.ids,
                         .n_targets = w->targets.n,
                         .target_positions = w->targets.n ? w->targets.positions : NULL,
                         .max_logits = cli_size(c, "max-logits"),
                         .logit_share = cli_real(c, "logit-share"),
                         .node_threshold = cli_real(c, "node-threshold"),
                         .edge_threshold = cli_real(c, "edge-threshold"),
                         .max_nodes = cli_size(c, "max-nodes"),
                         .heads = cli_flag(c, "heads"),
                         .max_bytes = cli_size(c, "max-memory"),
                         .progress = tick,
                         .user = w};
  return st;
}

static sg_status label(work *w, sg_error *err) {
  size_t T = w->p.count;
  w->texts = sgi_alloc((T + w->g->n_nodes) * sizeof *w->texts);
  if (!w->texts) return sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  for (size_t i = 0; i < T; i++) w->texts[w->n_texts++] = cli_token_text(&w->p, w->p.tokens[i]);
  for (size_t i = 0; i < w->g->n_nodes; i++)
    if (w->g->nodes[i].kind == SG_NODE_LOGIT) w->texts[w->n_texts++] = cli_token_text(&w->p, w->g->nodes[i].token);
  for (size_t i = 0; i < w->n_texts; i++)
    if (!w->texts[i]) return sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  return SG_OK;
}

enum { LABELLED = 60 }; /* neurons: a label reads the whole vocabulary */

static sg_status name_neurons(work *w, sg_error *err) {
  const sg_graph *g = w->g;
  w->labels = sgi_alloc((g->n_nodes + 1) * sizeof *w->labels);
  if (!w->labels) return sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  double bound = INFINITY;
  for (size_t k = 0; k < LABELLED && w->p.tokenizer; k++) {
    size_t best = g->n_nodes;
    for (size_t i = 0; i < g->n_nodes; i++)
      if (g->nodes[i].kind == SG_NODE_NEURON && g->nodes[i].influence < bound &&
          (best == g->n_nodes || g->nodes[i].influence > g->nodes[best].influence))
        best = i;
    if (best == g->n_nodes) break;
    const sg_node *n = &g->nodes[best];
    sgi_label label;
    bound = n->influence;
    sg_status st = sgi_label_make(w->p.model, w->p.tokenizer, NULL, (size_t)n->layer,
                                  n->channel < 0 ? 0 : (size_t)n->channel, (size_t)n->index, &label, err);
    if (!st && !(w->labels[best] = sgi_alloc(SGI_LABEL_TEXT))) st = sgi_fail(err, SG_ERR_MEMORY, "out of memory");
    if (st) return st;
    sgi_label_text(&label, w->p.tokenizer, w->labels[best]);
  }
  return SG_OK;
}

static sg_status save(work *w, sg_error *err) {
  const char *slug = cli_string(w->c, "slug"), *base = strrchr(w->p.directory, '/');
  const char *const *texts = (const char *const *)w->texts;
  sg_graph_labels l = {.slug = slug,
                       .scan = base && base[1] ? base + 1 : w->p.directory,
                       .prompt = w->p.text,
                       .prompt_tokens = texts,
                       .logit_tokens = texts + w->p.count,
                       .node_threshold = cli_real(w->c, "node-threshold"),
                       .node_labels = (const char *const *)w->labels};
  const char *json = cli_string(w->c, "output"), *svg = cli_string(w->c, "svg");
  sg_status st = json ? sg_graph_save_json(w->g, &l, json, err) : SG_OK;
  return !st && svg ? sg_graph_save_svg(w->g, &l, svg, err) : st;
}

static int report(const work *w) {
  const sg_graph *g = w->g;
  size_t neurons = 0, logits = 0;
  for (size_t i = 0; i < g->n_nodes; i++) {
    neurons += g->nodes[i].kind == SG_NODE_NEURON;
    logits += g->nodes[i].kind == SG_NODE_LOGIT;
  }
  if (cli_flag(w->c, "json"))
    return cli_json(json_pack("{sI sI sI sI sI sI so so so so}", "nodes", (json_int_t)g->n_nodes, "neurons",
                              (json_int_t)neurons, "logits", (json_int_t)logits, "edges", (json_int_t)g->n_edges,
                              "all_nodes", (json_int_t)g->all_nodes, "explored", (json_int_t)g->explored, "node_share",
                              cli_json_real(g->node_share), "edge_share", cli_json_real(g->edge_share), "input_share",
                              cli_json_real(g->input_share), "worst_residue", cli_json_real(g->worst_residue)));
  printf("%zu of %zu nodes (%zu tokens, %zu neurons, %zu logits), %zu edges\n", g->n_nodes, g->all_nodes, g->n_tokens,
         neurons, logits, g->n_edges);
  printf(
      "influence kept: %.1f%% in nodes, %.1f%% of their edges'; kept paths lead %.1f%% of the logits' input back to "
      "tokens\n",
      100 * g->node_share, 100 * g->edge_share, 100 * g->input_share);
  printf("edges of %zu neurons computed; largest residue of a node's input %.1e\n", g->explored, g->worst_residue);
  return 0;
}

static int run(const cli_call *c) {
  sg_error err = {0};
  work w = {.c = c};
  if (!cli_is_set(c, "output") && !cli_is_set(c, "svg")) return cli_usage(c, "give a file with -o or --svg");
  cli_signals_install();
  sg_status st = prepare(&w, &err);
  if (!st) {
    cli_progress_begin(&w.progress, "graph", "neurons", 0, 0);
    st = sg_graph_create(w.p.model, &w.r, &w.g, &err);
    cli_progress_end(&w.progress);
  }
  if (!st) st = label(&w, &err);
  if (!st && cli_is_set(c, "svg")) st = name_neurons(&w, &err);
  if (!st) st = save(&w, &err);
  int code = st ? cli_stop ? 128 + cli_stop : cli_fail(&err) : report(&w);
  for (size_t i = 0; i < w.n_texts; i++) sgi_free(w.texts[i]);
  sgi_free(w.texts);
  for (size_t i = 0; w.labels && i < w.g->n_nodes; i++) sgi_free(w.labels[i]);
  sgi_free(w.labels);
  cli_targets_free(&w.targets);
  sg_graph_free(w.g);
  cli_prompt_close(&w.p);
  return code;
}

static const cli_option options[] = {
    CLI_PROMPT_OPTIONS,
    {.name = "target",
     .type = CLI_LIST,
     .argument = "WORD",
     .value_text = "the most probable",
     .help = "logit node, by its text or id:N; may be given again; one of them may have several tokens"},
    CLI_POSITION_OPTION,
    {.name = "max-logits",
     .type = CLI_SIZE,
     .argument = "N",
     .value = "10",
     .min = 1,
     .help = "most probable tokens taken as logit nodes"},
    {.name = "logit-share",
     .type = CLI_REAL,
     .argument = "P",
     .value = "0.95",
     .min = 1e-6,
     .max = 1,
     .help = "stop there when these hold this probability"},
    {.name = "node-threshold",
     .type = CLI_REAL,
     .argument = "P",
     .value = "0.8",
     .min = 1e-6,
     .max = 1,
     .help = "share of influence that kept nodes hold"},
    {.name = "edge-threshold",
     .type = CLI_REAL,
     .argument = "P",
     .value = "0.98",
     .min = 1e-6,
     .max = 1,
     .help = "share of influence that kept edges hold"},
    {.name = "max-nodes",
     .type = CLI_SIZE,
     .argument = "N",
     .value = "2000",
     .min = 1,
     .help = "neurons whose edges are computed"},
    {.name = "heads", .type = CLI_FLAG, .value = "on", .help = "split edges by attention head"},
    {.name = "slug", .type = CLI_STRING, .argument = "NAME", .value = "graph", .help = "name of the graph in the file"},
    {.name = "svg", .type = CLI_STRING, .argument = "FILE.svg", .help = "picture to write"},
    {.name = "max-memory",
     .type = CLI_BYTES,
     .argument = "BYTES",
     .value = "4G",
     .min = 1,
     .help = "refuse prompts that need more"},
    CLI_OUTPUT_OPTION("FILE.json", "graph to write, in circuit-tracer's form"),
    CLI_MODEL_OPTIONS,
    CLI_JSON_OPTION,
    CLI_END};

const cli_command cli_graph = {
    .name = "graph",
    .group = "Reading",
    .summary = "write an attribution graph of a prompt as JSON and SVG",
    .usage = "MODEL --prompt TEXT [-o FILE.json] [--svg FILE.svg] [--target WORD]...",
    .examples =
        "# the graph behind the next token\nsgatlin graph MODEL --prompt 'The dog was' -o dog.json --svg dog.svg\n"
        "# a word of several tokens: a node for each, where it is read\n"
        "sgatlin graph MODEL --prompt \"Noah's favourite food was\" --target macaroni -o noah.json\n"
        "# two logits side by side, more nodes\n"
        "sgatlin graph MODEL --prompt 'The dog was' --target happy --target sad -o dog.json",
    .description =
        "Nodes are input tokens, neurons that fired, biases where the kind has them, and logits. An edge is the direct "
        "effect "
        "of a node on another's input, with gates, attention patterns and norm scales held: all edges into a node add "
        "up to "
        "its input, and there are no error nodes.\n\n"
        "Nodes and edges of least influence on the logits are left out, as circuit-tracer does; what is kept is "
        "printed and "
        "written (\"sgatlin\" in the file). The JSON opens in circuit-tracer's frontend.",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .also = "prompt",
    .run = run,
};
