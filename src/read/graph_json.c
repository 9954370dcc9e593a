/* A graph in the form that circuit-tracer's frontend reads: metadata, qParams, nodes, links. What
 * only we have stands under "sgatlin" and in fields that the frontend passes over (docs/reading.md,
 * graph). */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/json.h"

static long long number_of(const sg_graph *g, const sg_node *n) {
  return (long long)n->channel * (long long)g->pool + n->index;
}

/* One whole number for a pair, as the frontend expects of (layer, feature). */
static long long pair(long long x, long long y) { return (x + y) * (x + y + 1) / 2 + y; }

static void node_id(const sg_graph *g, const sg_node *n, char *out, size_t size, bool js) {
  const char dash = js ? '-' : '_';
  switch (n->kind) {
    case SG_NODE_TOKEN: snprintf(out, size, "E_%d%c%d", n->token, dash, n->position); break;
    case SG_NODE_BIAS: snprintf(out, size, "%d_bias%c%d", n->layer, dash, n->position); break;
    case SG_NODE_ERROR: snprintf(out, size, "%d_error%c%d", n->layer, dash, n->position); break;
    case SG_NODE_NEURON: snprintf(out, size, "%d_%lld%c%d", n->layer, number_of(g, n), dash, n->position); break;
    default:
      if (js)
        snprintf(out, size, "L_%d-%d", n->token, n->position);
      else
        snprintf(out, size, "%d_%d_%d", n->layer + 1, n->token, n->position);
  }
}

static void layer_text(const sg_node *n, char out[16]) {
  if (n->kind == SG_NODE_TOKEN)
    snprintf(out, 16, "E");
  else
    snprintf(out, 16, "%d", n->kind == SG_NODE_LOGIT ? n->layer + 1 : n->layer);
}

static json_t *real(double x) { return isfinite(x) ? json_real(x) : json_null(); }

/* Bytes of whole characters, at most n. */
static int whole_characters(const char *text, size_t n) {
  size_t k = strlen(text);
  if (k > n) k = n;
  while (k && ((unsigned char)text[k] & 0xC0) == 0x80) k--;
  return (int)k;
}

/* The frontend draws what has at most this cumulative influence, on a slider with steps of a
 * hundredth: the next one at or above all nodes, so that none of them is lost. */
static double reached(const sg_graph *g) {
  double most = 0;
  for (size_t i = 0; i < g->n_nodes; i++)
    if (g->nodes[i].kind != SG_NODE_TOKEN && g->nodes[i].kind != SG_NODE_LOGIT)
      most = fmax(most, g->nodes[i].cumulative);
  return fmin(ceil(100 * most) / 100, 1);
}

static json_t *node_json(const sg_graph *g, const sg_node *n, const char *logit_text, const char *label) {
  static const char *const type[] = {"embedding", "bias", "cross layer transcoder", "logit",
                                     "mlp reconstruction error"};
  char id[64], js[64], layer[16], clerp[200] = "";
  node_id(g, n, id, sizeof id, false);
  node_id(g, n, js, sizeof js, true);
  layer_text(n, layer);
  long long feature = n->kind == SG_NODE_TOKEN ? n->position : n->kind == SG_NODE_LOGIT ? n->token : -1;
  if (n->kind == SG_NODE_NEURON) {
    feature = pair(n->layer, number_of(g, n));
    int used = snprintf(clerp, sizeof clerp, "%.*s%s", label ? whole_characters(label, 120) : 0, label ? label : "",
                        label && *label ? " \xc2\xb7 " : "");
    if (g->features)
      snprintf(clerp + used, sizeof clerp - (size_t)used, "layer %d feature %d", n->layer, n->index);
    else
      snprintf(clerp + used, sizeof clerp - (size_t)used, "layer %d channel %d neuron %d", n->layer, n->channel,
               n->index);
  } else if (n->kind == SG_NODE_BIAS) {
    snprintf(clerp, sizeof clerp, "bias of layer %d", n->layer);
  } else if (n->kind == SG_NODE_ERROR) {
    snprintf(clerp, sizeof clerp, "what the features of layer %d miss", n->layer);
  }
  json_t *o = json_pack("{ss sI ss si ss sf sb si si ss ss}", "node_id", id, "feature", (json_int_t)feature, "layer",
                        layer, "ctx_idx", (int)n->position, "feature_type", type[n->kind], "token_prob", n->probability,
                        "is_target_logit", 0, "run_idx", 0, "reverse_ctx_idx", 0, "jsNodeId", js, "clerp", clerp);
  if (!o) return NULL;
  if (n->kind == SG_NODE_LOGIT)
    json_object_set_new(o, "clerp", json_sprintf("Output \"%s\" (p=%.3f)", logit_text, n->probability));
  json_object_set_new(o, "influence", n->kind == SG_NODE_LOGIT ? json_null() : real(fmin(n->cumulative, 1)));
  json_object_set_new(o, "activation", n->kind == SG_NODE_NEURON ? real(n->value) : json_null());
  if (n->kind == SG_NODE_NEURON) {
    json_object_set_new(o, "channel", json_integer(n->channel));
    json_object_set_new(o, "neuron", json_integer(n->index));
  }
  if (n->kind == SG_NODE_NEURON || n->kind == SG_NODE_LOGIT) {
    json_object_set_new(o, "input", real(n->input));
    json_object_set_new(o, "edges_sum", real(n->edges_sum));
    json_object_set_new(o, "edges_abs", real(n->edges_abs));
  }
  return o;
}

/* Parts above a hundredth of the edge: [[layer, head, weight], ...]; layer and head -1 for the
 * residual stream alone. */
static json_t *parts_json(const sg_graph *g, const sg_edge_link *e) {
  json_t *a = json_array();
  for (size_t i = 0; i < 1 + g->n_layers * g->n_heads; i++) {
    if (fabs((double)e->parts[i]) < 0.01 * fabs(e->weight) || e->parts[i] == 0) continue;
    json_int_t layer = i ? (json_int_t)((i - 1) / g->n_heads) : -1, head = i ? (json_int_t)((i - 1) % g->n_heads) : -1;
    json_array_append_new(a, json_pack("[IIf]", layer, head, (double)e->parts[i]));
  }
  return a;
}

static json_t *links_json(const sg_graph *g) {
  json_t *links = json_array();
  for (size_t i = 0; i < g->n_edges; i++) {
    const sg_edge_link *e = &g->edges[i];
    char from[64], to[64];
    node_id(g, &g->nodes[e->source], from, sizeof from, false);
    node_id(g, &g->nodes[e->target], to, sizeof to, false);
    json_t *o = json_pack("{ss ss sf}", "source", from, "target", to, "weight", e->weight);
    if (o && e->parts) json_object_set_new(o, "heads", parts_json(g, e));
    json_array_append_new(links, o);
  }
  return links;
}

static json_t *tokens_json(const sg_graph *g, const sg_graph_labels *l) {
  json_t *a = json_array();
  for (size_t i = 0; i < g->n_tokens; i++) json_array_append_new(a, json_string(l->prompt_tokens[i]));
  return a;
}

static json_t *graph_json(const sg_graph *g, const sg_graph_labels *l) {
  json_t *nodes = json_array();
  bool first = true;
  size_t logit = 0;
  for (size_t i = 0; i < g->n_nodes; i++) {
    const sg_node *n = &g->nodes[i];
    const char *label = n->kind == SG_NODE_NEURON && l->node_labels ? l->node_labels[i] : NULL;
    json_t *o = node_json(g, n, n->kind == SG_NODE_LOGIT ? l->logit_tokens[logit++] : "", label);
    if (o && n->kind == SG_NODE_LOGIT && first) {
      json_object_set_new(o, "is_target_logit", json_true());
      first = false;
    }
    json_array_append_new(nodes, o);
  }
  json_t *metadata =
      json_pack("{ss ss s[] so ss sf si}", "slug", l->slug, "scan", l->scan, "transcoder_list", "prompt_tokens",
                tokens_json(g, l), "prompt", l->prompt, "node_threshold", reached(g), "schema_version", 1);
  json_t *view =
      json_pack("{s[] s[] ss ss ss}", "pinnedIds", "supernodes", "linkType", "both", "clickedId", "", "sg_pos", "");
  json_t *own =
      json_pack("{sf sI sI sI sI sf sf sf sf}", "node_threshold", l->node_threshold, "position",
                (json_int_t)g->position, "all_nodes", (json_int_t)g->all_nodes, "explored", (json_int_t)g->explored,
                "shown", (json_int_t)g->n_nodes, "node_share", g->node_share, "edge_share", g->edge_share,
                "input_share", g->input_share, "worst_residue", g->worst_residue);
  if (own && g->features) {
    json_object_set_new(own, "features", json_true());
    json_object_set_new(own, "error_share", real(g->error_share));
  }
  return json_pack("{so so so so so}", "metadata", metadata, "qParams", view, "nodes", nodes, "links", links_json(g),
                   "sgatlin", own);
}

sg_status sg_graph_save_json(const sg_graph *g, const sg_graph_labels *labels, const char *path, sg_error *err) {
  json_t *o = graph_json(g, labels);
  if (!o)
    return sgi_fail(err, SG_ERR_MEMORY, "%s: the graph could not be put into JSON: memory, or a text is not UTF-8",
                    path);
  sg_status st = sgi_json_save(path, o, err);
  json_decref(o);
  return st;
}
