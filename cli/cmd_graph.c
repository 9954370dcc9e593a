/* cmd_graph.c: an attribution graph of one prompt, as a file and a picture. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "prompt.h"
#include "report/card_record.h"
#include "core/file.h"
#include "reading.h"
#include "report/neurons.h"
#include "report/tracer.h"
#include "report/word.h"

typedef struct work {
  const cli_call *c;
  sgi_prompt p;
  sg_graph_request r;
  sg_graph *g;
  sgi_targets targets;
  char **texts; /* of the prompt, then of the logits */
  size_t n_texts;
  char (*labels)[SGI_LABEL_TEXT]; /* (n_nodes) of neurons */
  const char **neurons;           /* (n_nodes) into it */
  sg_recording *rec;              /* NULL without --recording */
  char slug[SGI_SLUG];
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

static sg_status label(work *w, sg_error *err) {
  size_t T = w->p.count;
  w->texts = sgi_alloc((T + w->g->n_nodes) * sizeof *w->texts);
  if (!w->texts) return sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  for (size_t i = 0; i < T; i++) w->texts[w->n_texts++] = sgi_token_text(&w->p, w->p.tokens[i]);
  for (size_t i = 0; i < w->g->n_nodes; i++)
    if (w->g->nodes[i].kind == SG_NODE_LOGIT) w->texts[w->n_texts++] = sgi_token_text(&w->p, w->g->nodes[i].token);
  for (size_t i = 0; i < w->n_texts; i++)
    if (!w->texts[i]) return sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  return SG_OK;
}

/* What each neuron does, in a few words. */
static sg_status name_neurons(work *w, sg_error *err) {
  size_t n = w->g->n_nodes;
  w->labels = sgi_alloc((n + 1) * sizeof *w->labels);
  w->neurons = sgi_alloc((n + 1) * sizeof *w->neurons);
  if (!w->labels || !w->neurons) return sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  for (size_t i = 0; i < n; i++) {
    const sg_node *x = &w->g->nodes[i];
    if (x->kind != SG_NODE_NEURON) continue;
    sgi_neuron_at at = {(size_t)x->layer, (size_t)x->channel, (size_t)x->index};
    sg_status st = sgi_neuron_label(&w->p, w->rec, &at, w->labels[i], err);
    if (st) return st;
    w->neurons[i] = w->labels[i];
  }
  return SG_OK;
}

/* The graph's name: as told, else that of its file, else out of the prompt. */
static void choose_slug(work *w) {
  const char *given = cli_string(w->c, "slug"), *file = cli_string(w->c, "output");
  char name[256];
  if (!given && file) {
    snprintf(name, sizeof name, "%s", sgi_base_name(file));
    char *dot = strrchr(name, '.');
    if (dot && dot != name && !strcmp(dot, ".json")) *dot = 0;
  }
  sgi_tracer_slug(given ? given : file ? name : *w->p.text ? w->p.text : "graph", w->slug);
}

static sg_status open_recording(work *w, sg_error *err) {
  const char *path = cli_string(w->c, "recording");
  if (!path) return SG_OK;
  sg_status st = sg_recording_open(path, &w->rec, err);
  if (!st) st = cli_bind(w->c, w->rec, path, w->p.model, err);
  return st ? st : sgi_fires_check(&w->p, w->rec, path, err);
}

static sg_status save(work *w, sg_error *err) {
  char *name = sgi_tracer_name(w->c->args[0], w->p.model), *scan = name ? sgi_tracer_scan(name) : NULL;
  const char *const *texts = (const char *const *)w->texts;
  sg_graph_labels l = {.slug = w->slug,
                       .scan = scan,
                       .prompt = w->p.text,
                       .prompt_tokens = texts,
                       .logit_tokens = texts + w->p.count,
                       .node_threshold = cli_real(w->c, "node-threshold"),
                       .node_labels = w->neurons};
  const char *json = cli_string(w->c, "output"), *svg = cli_string(w->c, "svg"),
             *folder = cli_string(w->c, "circuit-tracer");
  sg_status st = scan ? SG_OK : sgi_fail_memory(err, 64, "a name");
  if (!st && json) st = sg_graph_save_json(w->g, &l, json, err);
  if (!st && svg) st = sg_graph_save_svg(w->g, &l, svg, err);
  if (!st && folder) {
    cli_progress bar;
    sgi_tracer t = {
        .p = &w->p, .rec = w->rec, .directory = folder, .name = name, .progress = cli_progress_advance, .user = &bar};
    cli_progress_begin(&bar, "feature files", "nodes", 0, 0);
    st = sgi_tracer_save(&t, w->g, &l, err);
    cli_progress_end(&bar);
  }
  sgi_free(name);
  sgi_free(scan);
  return st;
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
  printf("%zu of %zu nodes (%zu tokens, %zu neurons, %zu logits), %zu edges\n", g->n_nodes, g->all_nodes, g->n_tokens,
         neurons, logits, g->n_edges);
  printf(
      "influence kept: %.1f%% in nodes, %.1f%% of their edges'; kept paths lead %.1f%% of the logits' input back to "
      "tokens\n",
      100 * g->node_share, 100 * g->edge_share, 100 * g->input_share);
  printf("edges of %zu neurons computed; largest residue of a node's input %.1e\n", g->explored, g->worst_residue);
  if (cli_is_set(w->c, "circuit-tracer"))
    cli_note("to see it: circuit-tracer start-server --graph_file_dir %s, then the graph \"%s\"",
             cli_string(w->c, "circuit-tracer"), w->slug);
  return 0;
}

static int run(const cli_call *c) {
  sg_error err = {0};
  work w = {.c = c};
  if (!cli_is_set(c, "output") && !cli_is_set(c, "svg") && !cli_is_set(c, "circuit-tracer"))
    return cli_usage(c, "give a file with -o or --svg, or a folder with --circuit-tracer");
  cli_signals_install();
  sg_status st = prepare(&w, &err);
  if (!st) st = open_recording(&w, &err);
  if (!st) {
    cli_progress_begin(&w.progress, "graph", "neurons", 0, 0);
    st = sg_graph_create(w.p.model, &w.r, &w.g, &err);
    cli_progress_end(&w.progress);
  }
  if (!st) st = label(&w, &err);
  if (!st) st = name_neurons(&w, &err);
  if (!st) choose_slug(&w);
  if (!st) st = save(&w, &err);
  int code = st ? cli_stop ? 128 + cli_stop : cli_fail(&err) : report(&w);
  code = cli_reading_end(w.rec, code);
  sg_recording_close(w.rec);
  sgi_free(w.labels);
  sgi_free(w.neurons);
  for (size_t i = 0; i < w.n_texts; i++) sgi_free(w.texts[i]);
  sgi_free(w.texts);
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
    {.name = "slug",
     .type = CLI_STRING,
     .argument = "NAME",
     .value_text = "of the file, or out of the prompt",
     .help = "name of the graph in the file, and of its file in DIR"},
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
