/* cmd_graph.c: an attribution graph of one prompt, as a file and a picture. */
#include "graph_files.h"
#include "report/card_record.h"
#include "reading.h"
#include "report/word.h"

typedef struct work {
  const cli_call *c;
  sgi_prompt p;
  sg_graph_request r;
  sg_graph *g;
  sgi_targets targets;
  sg_recording *rec; /* NULL without --recording */
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
  if (!st && n) st = sgi_targets_read(&w->p, targets, n, (ptrdiff_t)cli_int(c, "position"), &w->targets, err);
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

static sg_status open_recording(work *w, sg_error *err) {
  const char *path = cli_string(w->c, "recording");
  if (!path) return SG_OK;
  sg_status st = sg_recording_open(path, &w->rec, err);
  if (!st) st = cli_bind(w->c, w->rec, path, w->p.model, err);
  return st ? st : sgi_fires_check(&w->p, w->rec, path, err);
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
                              sgi_report_real(g->node_share), "edge_share", sgi_report_real(g->edge_share),
                              "input_share", sgi_report_real(g->input_share), "worst_residue",
                              sgi_report_real(g->worst_residue)));
  cli_graph_print(w->c, &w->p, g);
  return 0;
}

static int run(const cli_call *c) {
  sg_error err = {0};
  work w = {.c = c};
  if (!cli_graph_files(c)) return cli_usage(c, "give a file with -o or --svg, or a folder with --circuit-tracer");
  cli_signals_install();
  sg_status st = prepare(&w, &err);
  if (!st) st = open_recording(&w, &err);
  if (!st) {
    cli_progress_begin(&w.progress, "graph", "neurons", 0, 0);
    st = sg_graph_create(w.p.model, &w.r, &w.g, &err);
    cli_progress_end(&w.progress);
  }
  if (!st) st = cli_graph_save(c, &w.p, w.g, c->args[0], NULL, w.rec, &err);
  int code = st ? cli_stop ? 128 + cli_stop : cli_fail(&err) : report(&w);
  code = cli_reading_end(w.rec, code);
  sg_recording_close(w.rec);
  sgi_targets_free(&w.targets);
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
    {.name = "max-nodes",
     .type = CLI_SIZE,
     .argument = "N",
     .value = "2000",
     .min = 1,
     .help = "neurons whose edges are computed"},
    {.name = "heads", .type = CLI_FLAG, .value = "on", .help = "split edges by attention head"},
    {.name = "circuit-tracer",
     .type = CLI_STRING,
     .argument = "DIR",
     .help = "folder for circuit-tracer's frontend: graph, list of graphs, a file for each neuron"},
    {.name = "recording",
     .letter = 'r',
     .type = CLI_STRING,
     .argument = "REC",
     .help = "labels, and the examples in DIR, out of this recording of the model"},
    CLI_FORCE_OPTION,
    {.name = "max-memory",
     .type = CLI_BYTES,
     .argument = "BYTES",
     .value = "4G",
     .min = 1,
     .help = "refuse prompts that need more"},
    CLI_GRAPH_FILE_OPTIONS,
    CLI_MODEL_OPTIONS,
    CLI_JSON_OPTION,
    CLI_END};

const cli_command cli_graph = {
    .name = "graph",
    .group = "Reading",
    .summary = "write an attribution graph of a prompt as JSON and SVG",
    .usage =
        "MODEL TEXT [-o FILE.json] [--svg FILE.svg] [--target WORD]...\n"
        "MODEL TEXT --circuit-tracer DIR [--recording REC]",
    .examples =
        "# the graph behind the next token\nsgatlin graph MODEL 'The dog was' -o dog.json --svg dog.svg\n"
        "# a folder that circuit-tracer's frontend opens, with examples of each neuron\n"
        "sgatlin graph RUN 'The dog was' --circuit-tracer graphs --recording REC\n"
        "# a word of several tokens: a node for each, where it is read\n"
        "sgatlin graph MODEL \"Noah's favourite food was\" --target macaroni -o noah.json\n"
        "# two logits side by side, more nodes\n"
        "sgatlin graph MODEL 'The dog was' --target happy --target sad -o dog.json",
    .description =
        "Nodes are input tokens, neurons that fired, biases where the kind has them, and logits. An edge is the direct "
        "effect "
        "of a node on another's input, with gates, attention patterns and norm scales held: all edges into a node add "
        "up to "
        "its input, and there are no error nodes.\n\n"
        "Nodes and edges of least influence on the logits are left out, as circuit-tracer does; what is kept is "
        "printed and "
        "written (\"sgatlin\" in the file).\n\n"
        "--circuit-tracer adds the graph to DIR for circuit-tracer's frontend, which then asks no other host for it: "
        "'circuit-tracer start-server --graph_file_dir DIR' opens it, with what each neuron writes and, with a "
        "recording, "
        "where it fires (docs/formats.md).",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .also = "prompt",
    .run = run,
};
