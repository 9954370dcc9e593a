#include "graph_files.h"

#include <string.h>

#include "core/file.h"

bool cli_graph_files(const cli_call *c) {
  return cli_is_set(c, "output") || cli_is_set(c, "svg") || cli_is_set(c, "circuit-tracer");
}

/* The graph's name: as told, else that of its file, else out of the prompt. */
static void choose_slug(const cli_call *c, const sgi_prompt *p, char out[SGI_SLUG]) {
  const char *given = cli_string(c, "slug"), *file = cli_string(c, "output");
  char name[256];
  if (!given && file) {
    snprintf(name, sizeof name, "%s", sgi_base_name(file));
    char *dot = strrchr(name, '.');
    if (dot && dot != name && !strcmp(dot, ".json")) *dot = 0;
  }
  sgi_tracer_slug(given ? given : file ? name : *p->text ? p->text : "graph", out);
}

static sg_status save_folder(const cli_call *c, const sg_graph *g, const sg_graph_labels *l, sgi_tracer *t,
                             sg_error *err) {
  cli_progress bar;
  t->directory = cli_string(c, "circuit-tracer");
  if (!t->directory) return SG_OK;
  t->progress = cli_progress_advance;
  t->user = &bar;
  cli_progress_begin(&bar, "feature files", "nodes", 0, 0);
  sg_status st = sgi_tracer_save(t, g, l, err);
  cli_progress_end(&bar);
  return st;
}

sg_status cli_graph_save(const cli_call *c, const sgi_prompt *p, const sg_graph *g, const char *path,
                         const struct sgi_sparse_set *set, const sg_recording *rec, sg_error *err) {
  char slug[SGI_SLUG], *name = sgi_tracer_name(path, p->model), *scan = name ? sgi_tracer_scan(name) : NULL;
  const char *json = cli_string(c, "output"), *svg = cli_string(c, "svg");
  sgi_graph_words words = {0};
  sg_graph_labels l = {.slug = slug, .scan = scan, .node_threshold = cli_real(c, "node-threshold")};
  choose_slug(c, p, slug);
  sg_status st = scan ? sgi_graph_words_make(p, g, set, rec, &words, err) : sgi_fail_memory(err, 64, "a name");
  if (!st) sgi_graph_words_into(&words, p, &l);
  if (!st && json) st = sg_graph_save_json(g, &l, json, err);
  if (!st && svg) st = sg_graph_save_svg(g, &l, svg, err);
  if (!st) st = save_folder(c, g, &l, &(sgi_tracer){.p = p, .rec = rec, .set = set, .name = name}, err);
  sgi_graph_words_free(&words);
  sgi_free(name);
  sgi_free(scan);
  return st;
}

void cli_graph_print(const cli_call *c, const sgi_prompt *p, const sg_graph *g) {
  size_t neurons = 0, logits = 0, errors = 0;
  for (size_t i = 0; i < g->n_nodes; i++) {
    neurons += g->nodes[i].kind == SG_NODE_NEURON;
    logits += g->nodes[i].kind == SG_NODE_LOGIT;
    errors += g->nodes[i].kind == SG_NODE_ERROR;
  }
  printf("%zu of %zu nodes (%zu tokens, %zu %s, %zu logits", g->n_nodes, g->all_nodes, g->n_tokens, neurons,
         g->features ? "features" : "neurons", logits);
  if (g->features) printf(", %zu errors", errors);
  printf("), %zu edges\n", g->n_edges);
  printf(
      "influence kept: %.1f%% in nodes, %.1f%% of their edges'; kept paths lead %.1f%% of the logits' input back to "
      "tokens\n",
      100 * g->node_share, 100 * g->edge_share, 100 * g->input_share);
  if (g->features) printf("all paths lead %.1f%% of it back to what the features miss: errors\n", 100 * g->error_share);
  printf("edges of %zu %s computed; largest residue of a node's input %.1e\n", g->explored,
         g->features ? "features" : "neurons", g->worst_residue);
  if (!cli_is_set(c, "circuit-tracer")) return;
  char slug[SGI_SLUG];
  choose_slug(c, p, slug);
  cli_note("to see it: circuit-tracer start-server --graph_file_dir %s, then the graph \"%s\"",
           cli_string(c, "circuit-tracer"), slug);
}
