/* routes_reading.c: why the model said it: attribution, graphs. */
#include <math.h>
#include <string.h>

#include "../cli/attribution.h"
#include "api.h"
#include "core/json.h"

enum { MAX_BYTES = 1 << 30, MAX_TARGETS = 16 };

/* ---- attribute ------------------------------------------------------------------------------- */

static sg_status verify(const api_call *c, const sg_attribute_request *r, const sg_attribution *a,
                        sg_true_effect *truth, size_t n, sg_error *err) {
  sg_status st = SG_OK;
  for (size_t i = 0; i < n && !st; i++) {
    if (http_job_cancelled(c->job)) return sgi_fail(err, SG_ERR_CANCELLED, "stopped");
    http_job_progress(c->job, (double)i / (double)n, "running again without neurons");
    st = sg_verify_terms(c->p.model, r, a, &a->neurons.terms[i], 1, &truth[i], err);
  }
  return st;
}

static bool attributing(void *user, size_t done, size_t wanted) {
  const api_call *c = user;
  http_job_progress(c->job, wanted ? (double)done / (double)wanted : 0, "following the effects back");
  return !http_job_cancelled(c->job);
}

sg_status api_attribute(api_call *c, json_t **answer, sg_error *err) {
  static const char *const keys[] = {API_PROMPT_KEYS, "position", "target", "against", "top", "verify"};
  sg_attribute_request r = {.max_bytes = MAX_BYTES, .progress = attributing, .user = c};
  sg_attribution *a = NULL;
  sg_true_effect truth[100];
  json_int_t position, top, n;
  sg_status st = api_keys(c, keys, SGI_COUNT(keys), err);
  if (!st) st = api_int(c, "position", -API_TOKENS, API_TOKENS, -1, &position, err);
  if (!st) st = api_int(c, "top", 0, 20000, 12, &top, err);
  if (!st) st = api_int(c, "verify", 0, SGI_COUNT(truth), 0, &n, err);
  if (!st) st = api_prompt(c, err);
  if (!st) st = api_token(c, "target", -1, &r.target, err);
  if (!st) st = api_token(c, "against", -1, &r.against, err);
  if (st) return st;
  r.tokens = c->p.tokens;
  r.count = c->p.count;
  r.position = (ptrdiff_t)position;
  st = sg_attribute(c->p.model, &r, &a, err);
  if (!st && (size_t)n > a->neurons.count) n = (json_int_t)a->neurons.count;
  if (!st) st = verify(c, &r, a, truth, (size_t)n, err);
  if (!st) st = sg_attribution_check(a, err);
  if (!st && !(*answer = cli_attribution_json(&c->p, a, (size_t)top, truth, (size_t)n)))
    st = sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  sg_attribution_free(a);
  return st;
}

/* ---- graph ----------------------------------------------------------------------------------- */

static bool tick(void *user, size_t done, size_t wanted) {
  const api_call *c = user;
  http_job_progress(c->job, wanted ? (double)done / (double)wanted : 0, "neurons explored");
  return !http_job_cancelled(c->job);
}

static json_t *node_json(const api_call *c, const sg_node *n) {
  static const char *const kinds[] = {"token", "bias", "neuron", "logit"};
  json_t *o = json_pack("{ss si si}", "kind", kinds[n->kind], "layer", (int)n->layer, "position", (int)n->position);
  if (n->kind == SG_NODE_NEURON) {
    json_object_set_new(o, "channel", json_integer(n->channel));
    json_object_set_new(o, "index", json_integer(n->index));
    json_object_set_new(o, "value", cli_json_real(n->value));
  }
  if (n->token >= 0) json_object_set_new(o, "token", cli_token_json(&c->p, n->token));
  if (n->kind == SG_NODE_LOGIT) json_object_set_new(o, "probability", cli_json_real(n->probability));
  if (n->kind == SG_NODE_NEURON || n->kind == SG_NODE_LOGIT) {
    json_object_set_new(o, "input", cli_json_real(n->input));
    json_object_set_new(o, "edges_sum", cli_json_real(n->edges_sum));
    json_object_set_new(o, "edges_abs", cli_json_real(n->edges_abs));
  }
  json_object_set_new(o, "influence", cli_json_real(n->influence));
  json_object_set_new(o, "cumulative", cli_json_real(n->cumulative));
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
    json_array_append_new(list, json_pack("[IIo]", layer, head, cli_json_real(part)));
  }
  return list;
}

static json_t *graph_json(const api_call *c, const sg_graph *g) {
  json_t *nodes = json_array(), *edges = json_array();
  for (size_t i = 0; i < g->n_nodes; i++) json_array_append_new(nodes, node_json(c, &g->nodes[i]));
  for (size_t i = 0; i < g->n_edges; i++)
    json_array_append_new(edges, json_pack("[IIo]", (json_int_t)g->edges[i].source, (json_int_t)g->edges[i].target,
                                           cli_json_real(g->edges[i].weight)));
  json_t *heads = g->parts ? json_array() : NULL;
  for (size_t i = 0; heads && i < g->n_edges; i++) json_array_append_new(heads, heads_json(g, &g->edges[i]));
  return json_pack("{so sI sI sI so so so so so so so*}", "tokens", cli_prompt_json(&c->p), "position",
                   (json_int_t)g->position, "all_nodes", (json_int_t)g->all_nodes, "explored", (json_int_t)g->explored,
                   "node_share", cli_json_real(g->node_share), "edge_share", cli_json_real(g->edge_share),
                   "input_share", cli_json_real(g->input_share), "worst_residue", cli_json_real(g->worst_residue),
                   "nodes", nodes, "edges", edges, "heads", heads);
}

static sg_status take_targets(const api_call *c, int32_t *targets, size_t *n, sg_error *err) {
  const json_t *list = json_object_get(c->body, "targets");
  *n = json_array_size(list);
  if (list && (!json_is_array(list) || *n > MAX_TARGETS))
    return sgi_fail(err, SG_ERR_ARG, "request: \"targets\" must be a list of at most %d tokens", MAX_TARGETS);
  sg_status st = SG_OK;
  for (size_t i = 0; i < *n && !st; i++) {
    json_t *one = json_pack("{sO}", "targets", json_array_get(list, i));
    api_call part = {.body = one, .p = c->p};
    st = one ? api_token(&part, "targets", -1, &targets[i], err) : sgi_fail(err, SG_ERR_MEMORY, "out of memory");
    json_decref(one);
  }
  return st;
}

static sg_status take_heads(const api_call *c, bool *heads, sg_error *err) {
  const json_t *v = json_object_get(c->body, "heads");
  *heads = json_is_true(v);
  return !v || json_is_boolean(v) ? SG_OK : sgi_fail(err, SG_ERR_ARG, "request: \"heads\" must be true or false");
}

sg_status api_graph(api_call *c, json_t **answer, sg_error *err) {
  static const char *const keys[] = {API_PROMPT_KEYS,  "position",  "targets", "node_threshold",
                                     "edge_threshold", "max_nodes", "heads"};
  int32_t targets[MAX_TARGETS];
  sg_graph_request r = {.targets = targets, .max_bytes = MAX_BYTES, .progress = tick, .user = c};
  sg_graph *g = NULL;
  json_int_t position, max_nodes;
  sg_status st = api_keys(c, keys, SGI_COUNT(keys), err);
  if (!st) st = api_int(c, "position", -API_TOKENS, API_TOKENS, -1, &position, err);
  if (!st) st = api_int(c, "max_nodes", 1, 5000, 2000, &max_nodes, err);
  if (!st) st = api_real(c, "node_threshold", 0.01, 1, 0.8, &r.node_threshold, err);
  if (!st) st = api_real(c, "edge_threshold", 0.01, 1, 0.98, &r.edge_threshold, err);
  if (!st) st = api_prompt(c, err);
  if (!st) st = take_targets(c, targets, &r.n_targets, err);
  if (!st) st = take_heads(c, &r.heads, err);
  if (st) return st;
  r.tokens = c->p.tokens;
  r.count = c->p.count;
  r.position = (ptrdiff_t)position;
  r.max_nodes = (size_t)max_nodes;
  st = sg_graph_create(c->p.model, &r, &g, err);
  if (!st && !(*answer = graph_json(c, g))) st = sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  sg_graph_free(g);
  return st;
}
