#include "graph.h"

#include <math.h>
#include <string.h>

#include "compare/feature_hold.h"
#include "feature.h"
#include "neurons.h"

enum { LABEL = 96 };
_Static_assert((int)LABEL >= (int)SG_LABEL_BYTES && (int)LABEL >= (int)SGI_FEATURE_LABEL, "labels of nodes");

sg_status sgi_graph_of(const sgi_prompt *p, const sgi_sparse_set *set, const sg_graph_request *r, sg_graph **out,
                       sg_error *err) {
  return set ? sgi_feature_graph(p->model, set, r, out, err) : sg_graph_create(p->model, r, out, err);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static json_t *node_json(const sgi_prompt *p, const sg_graph *g, const sg_node *n) {
  static const char *const kinds[] = {"token", "bias", "neuron", "logit", "error"};
  bool acts = n->kind == SG_NODE_NEURON;
  json_t *o = json_pack("{ss si si}", "kind", acts && g->features ? "feature" : kinds[n->kind], "layer", (int)n->layer,
                        "position", (int)n->position);
  if (acts) {
    json_object_set_new(o, "channel", json_integer(n->channel));
    json_object_set_new(o, "index", json_integer(n->index));
    json_object_set_new(o, "value", sgi_report_real(n->value));
  }
  if (n->token >= 0) json_object_set_new(o, "token", sgi_token_json(p, n->token));
  if (n->kind == SG_NODE_LOGIT) json_object_set_new(o, "probability", sgi_report_real(n->probability));
  if (acts || n->kind == SG_NODE_LOGIT) {
    json_object_set_new(o, "input", sgi_report_real(n->input));
    json_object_set_new(o, "edges_sum", sgi_report_real(n->edges_sum));
    json_object_set_new(o, "edges_abs", sgi_report_real(n->edges_abs));
  }
  json_object_set_new(o, "influence", sgi_report_real(n->influence));
  json_object_set_new(o, "cumulative", sgi_report_real(n->cumulative));
  return o;
}

/* [[layer, head, weight], ...] of an edge by its last head, -1 for none; parts under 1 % are left
 * out. */
static json_t *heads_json(const sg_graph *g, const sg_edge_link *e) {
  json_t *list = json_array();
  for (size_t i = 0; i < 1 + g->n_layers * g->n_heads; i++) {
    double part = (double)e->parts[i];
    if (part == 0 || fabs(part) < 0.01 * fabs(e->weight)) continue;
    json_int_t layer = i ? (json_int_t)((i - 1) / g->n_heads) : -1, head = i ? (json_int_t)((i - 1) % g->n_heads) : -1;
    json_array_append_new(list, json_pack("[IIo]", layer, head, sgi_report_real(part)));
  }
  return list;
}

json_t *sgi_graph_json(const sgi_prompt *p, const sg_graph *g, const sgi_sparse_set *set) {
  json_t *nodes = json_array(), *edges = json_array();
  for (size_t i = 0; i < g->n_nodes; i++) {
    const sg_node *n = &g->nodes[i];
    char said[LABEL] = "";
    json_t *o = node_json(p, g, n);
    if (set && n->kind == SG_NODE_NEURON && !sgi_feature_label(p, set, (size_t)n->layer, (size_t)n->index, said, NULL))
      json_object_set_new(o, "label", sgi_report_text(said, strlen(said)));
    json_array_append_new(nodes, o);
  }
  for (size_t i = 0; i < g->n_edges; i++)
    json_array_append_new(edges, json_pack("[IIo]", (json_int_t)g->edges[i].source, (json_int_t)g->edges[i].target,
                                           sgi_report_real(g->edges[i].weight)));
  json_t *heads = g->parts ? json_array() : NULL;
  for (size_t i = 0; heads && i < g->n_edges; i++) json_array_append_new(heads, heads_json(g, &g->edges[i]));
  json_t *o = json_pack("{so sI sI sI so so so so so so so*}", "tokens", sgi_prompt_json(p), "position",
                        (json_int_t)g->position, "all_nodes", (json_int_t)g->all_nodes, "explored",
                        (json_int_t)g->explored, "node_share", sgi_report_real(g->node_share), "edge_share",
                        sgi_report_real(g->edge_share), "input_share", sgi_report_real(g->input_share), "worst_residue",
                        sgi_report_real(g->worst_residue), "nodes", nodes, "edges", edges, "heads", heads);
  if (o && g->features) {
    json_object_set_new(o, "features", json_true());
    json_object_set_new(o, "error_share", sgi_report_real(g->error_share));
  }
  return o;
}

/* ---- words of files -------------------------------------------------------------------------- */

static sg_status add_text(sgi_graph_words *w, const sgi_prompt *p, int32_t id, sg_error *err) {
  char *text = sgi_token_text(p, id);
  if (!text) return sgi_fail_memory(err, 64, "a token's text");
  w->texts[w->n_texts++] = text;
  return SG_OK;
}

static sg_status label(const sgi_prompt *p, const sg_node *n, const sgi_sparse_set *set, const sg_recording *rec,
                       char *out, sg_error *err) {
  size_t layer = (size_t)n->layer, index = (size_t)n->index;
  if (set) return sgi_feature_label(p, set, layer, index, out, err);
  sg_neuron_at at = {layer, (size_t)n->channel, index};
  return sgi_neuron_label(p, rec, &at, out, err);
}

sg_status sgi_graph_words_make(const sgi_prompt *p, const sg_graph *g, const sgi_sparse_set *set,
                               const sg_recording *rec, sgi_graph_words *out, sg_error *err) {
  size_t n = g->n_nodes;
  *out = (sgi_graph_words){.n_tokens = p->count};
  out->texts = sgi_alloc((p->count + n) * sizeof *out->texts);
  out->labels = sgi_alloc((n + 1) * LABEL);
  out->nodes = sgi_alloc((n + 1) * sizeof *out->nodes);
  sg_status st =
      out->texts && out->labels && out->nodes ? SG_OK : sgi_fail_memory(err, (n + 1) * LABEL, "what nodes are called");
  for (size_t i = 0; i < p->count && !st; i++) st = add_text(out, p, p->tokens[i], err);
  for (size_t i = 0; i < n && !st; i++)
    if (g->nodes[i].kind == SG_NODE_LOGIT) st = add_text(out, p, g->nodes[i].token, err);
  for (size_t i = 0; i < n && !st; i++) {
    if (g->nodes[i].kind != SG_NODE_NEURON) continue;
    char *text = out->labels + i * LABEL;
    st = label(p, &g->nodes[i], set, rec, text, err);
    if (!st) out->nodes[i] = text;
  }
  return st;
}

void sgi_graph_words_free(sgi_graph_words *w) {
  for (size_t i = 0; i < w->n_texts; i++) sgi_free(w->texts[i]);
  sgi_free(w->texts);
  sgi_free(w->labels);
  sgi_free((void *)w->nodes);
  *w = (sgi_graph_words){0};
}

void sgi_graph_words_into(const sgi_graph_words *w, const sgi_prompt *p, sg_graph_labels *l) {
  const char *const *texts = (const char *const *)w->texts;
  l->prompt = p->text;
  l->prompt_tokens = texts;
  l->logit_tokens = texts + w->n_tokens;
  l->node_labels = w->nodes;
}
