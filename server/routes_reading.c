/* routes_reading.c: why the model said it: attribution, neurons from weights, graphs. */
#include <math.h>
#include <string.h>

#include "../cli/attribution.h"
#include "api.h"
#include "core/json.h"

enum { MAX_BYTES = 1 << 30, MAX_TARGETS = 16 };

/* ---- attribute --------------------------------------------------------------------------------------------------------- */

static sg_status verify(const api_call *c, const sg_attribute_request *r, const sg_attribution *a, sg_true_effect *truth,
                        size_t n, sg_error *err) {
  sg_status st = SG_OK;
  for (size_t i = 0; i < n && !st; i++) {
    if (http_job_cancelled(c->job)) return sgi_fail(err, SG_ERR_CANCELLED, "stopped");
    http_job_progress(c->job, (double)i / (double)n, "running again without neurons");
    st = sg_verify_terms(c->p.model, r, a, &a->neurons.terms[i], 1, &truth[i], err);
  }
  return st;
}

sg_status api_attribute(api_call *c, json_t **answer, sg_error *err) {
  static const char *const keys[] = {API_PROMPT_KEYS, "position", "target", "against", "top", "verify"};
  sg_attribute_request r = {.max_bytes = MAX_BYTES};
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

/* ---- neuron -------------------------------------------------------------------------------------------------------------- */

/* [{"id", "text", "weight"}] of the n largest of v * sign, largest first; ties to the lower id. */
static json_t *extremes(const api_call *c, const float *v, int sign, size_t n) {
  size_t V = sg_model_config(c->p.model)->vocab_size;
  json_t *a = json_array();
  ptrdiff_t last = -1;
  for (size_t i = 0; i < n && i < V; i++) {
    ptrdiff_t best = -1;
    for (size_t k = 0; k < V; k++) {
      float x = v[k] * (float)sign;
      if (last >= 0) {
        float y = v[last] * (float)sign;
        if (x > y || (x == y && (ptrdiff_t)k <= last)) continue;
      }
      if (best < 0 || x > v[best] * (float)sign) best = (ptrdiff_t)k;
    }
    if (best < 0) break;
    json_t *o = cli_token_json(&c->p, (int32_t)best);
    json_object_set_new(o, "weight", cli_json_real((double)v[best]));
    json_array_append_new(a, o);
    last = best;
  }
  return a;
}

static json_t *both_ends(const api_call *c, const float *v, size_t n) {
  if (!v) return json_null();
  return json_pack("{so so}", "most", extremes(c, v, 1, n), "least", extremes(c, v, -1, n));
}

typedef struct card {
  size_t layer, channel, index, top;
  sg_neuron_view view;
} card;

static sg_status links(const api_call *c, const card *k, bool upstream, json_t **out, sg_error *err) {
  sg_neuron_link link[50];
  size_t found = 0;
  sg_status st = sg_neuron_links(c->p.model, k->layer, k->channel, k->index, upstream, k->top, link, &found, err);
  *out = json_array();
  for (size_t i = 0; i < found && !st; i++)
    json_array_append_new(*out, json_pack("{si si si so}", "layer", (int)link[i].layer, "channel", (int)link[i].channel,
                                          "index", (int)link[i].index, "weight", cli_json_real((double)link[i].weight)));
  return st;
}

static sg_status make_card(const api_call *c, card *k, json_t **answer, sg_error *err) {
  size_t V = sg_model_config(c->p.model)->vocab_size;
  sg_neuron_view *v = &k->view;
  v->reads = sgi_alloc(V * sizeof(float));
  v->writes = sgi_alloc(V * sizeof(float));
  if (!v->reads || !v->writes) return sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  if (sg_margin_channels(c->p.model)) {
    v->opens = sgi_alloc(V * sizeof(float));
    v->value = sgi_alloc(V * sizeof(float));
    if (!v->opens || !v->value) return sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  }
  sg_status st = sg_neuron_read(c->p.model, k->layer, k->channel, k->index, v, err);
  json_t *up = NULL, *down = NULL;
  if (!st) st = links(c, k, true, &up, err);
  if (!st) st = links(c, k, false, &down, err);
  if (!st)
    *answer = json_pack("{sI sI sI so so so so sO sO}", "layer", (json_int_t)k->layer, "channel", (json_int_t)k->channel,
                        "index", (json_int_t)k->index, "reads", both_ends(c, v->reads, k->top), "opens",
                        both_ends(c, v->opens, k->top), "value", both_ends(c, v->value, k->top), "writes",
                        both_ends(c, v->writes, k->top), "upstream", up, "downstream", down);
  json_decref(up);
  json_decref(down);
  return st || *answer ? st : sgi_fail(err, SG_ERR_MEMORY, "out of memory");
}

sg_status api_neuron(api_call *c, json_t **answer, sg_error *err) {
  static const char *const keys[] = {"layer", "channel", "index", "top"};
  const sg_config *m = sg_model_config(c->p.model);
  json_int_t layer, channel, index, top;
  sg_status st = api_keys(c, keys, SGI_COUNT(keys), err);
  if (!st) st = api_int(c, "layer", 0, (json_int_t)m->num_layers - 1, 0, &layer, err);
  if (!st) st = api_int(c, "channel", 0, (json_int_t)(m->num_channels ? m->num_channels - 1 : 0), 0, &channel, err);
  if (!st) st = api_int(c, "index", 0, (json_int_t)m->num_neurons - 1, 0, &index, err);
  if (!st) st = api_int(c, "top", 1, 50, 10, &top, err);
  if (st) return st;
  card k = {(size_t)layer, (size_t)channel, (size_t)index, (size_t)top, {0}};
  st = make_card(c, &k, answer, err);
  sgi_free(k.view.reads);
  sgi_free(k.view.opens);
  sgi_free(k.view.value);
  sgi_free(k.view.writes);
  return st;
}

/* ---- graph ----------------------------------------------------------------------------------------------------------------- */

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

static json_t *graph_json(const api_call *c, const sg_graph *g) {
  json_t *nodes = json_array(), *edges = json_array();
  for (size_t i = 0; i < g->n_nodes; i++) json_array_append_new(nodes, node_json(c, &g->nodes[i]));
  for (size_t i = 0; i < g->n_edges; i++)
    json_array_append_new(edges, json_pack("[IIo]", (json_int_t)g->edges[i].source, (json_int_t)g->edges[i].target,
                                           cli_json_real(g->edges[i].weight)));
  return json_pack("{so sI sI sI so so so so so so}", "tokens", cli_prompt_json(&c->p), "position",
                   (json_int_t)g->position, "all_nodes", (json_int_t)g->all_nodes, "explored", (json_int_t)g->explored,
                   "node_share", cli_json_real(g->node_share), "edge_share", cli_json_real(g->edge_share), "input_share",
                   cli_json_real(g->input_share), "worst_residue", cli_json_real(g->worst_residue), "nodes", nodes,
                   "edges", edges);
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

sg_status api_graph(api_call *c, json_t **answer, sg_error *err) {
  static const char *const keys[] = {API_PROMPT_KEYS, "position", "targets", "node_threshold", "edge_threshold",
                                     "max_nodes"};
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
