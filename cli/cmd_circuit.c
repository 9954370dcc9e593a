/* cmd_circuit.c: what made a transcoder's feature act, or a logit: terms, paths, total effects,
 * each beside true removal; and weights between features without a prompt. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "compare/feature_paths.h"
#include "compare/feature_score.h"
#include "graph_files.h"
#include "sparse.h"

typedef struct job {
  const cli_call *call;
  sgi_prompt p;
  sgi_sparse_set *set;
  sgi_feature_net net;
  sgi_feature_target target;
  sgi_net_stream at;
  double *u, value, own;
  sgi_net_terms terms;
  double *room; /* features, heads, b_d, error */
  sgi_net_totals totals;
  sgi_paths paths;
  sgi_feature_place *largest; /* direct features, largest first */
  double *change;             /* (verified) */
  size_t n_largest, verified;
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

/* ---- without a prompt ------------------------------------------------------------------------ */

typedef struct weight {
  size_t layer, feature;
  ptrdiff_t head_layer;
  size_t head;
  double w;
} weight;

static int by_size(const void *a, const void *b) {
  const weight *x = a, *y = b;
  if (fabs(x->w) != fabs(y->w)) return fabs(x->w) < fabs(y->w) ? 1 : -1;
  if (x->head_layer != y->head_layer) return x->head_layer < y->head_layer ? -1 : 1;
  if (x->head != y->head) return x->head < y->head ? -1 : 1;
  if (x->layer != y->layer) return x->layer < y->layer ? -1 : 1;
  return x->feature < y->feature ? -1 : x->feature > y->feature;
}

typedef struct static_view {
  weight *at;
  size_t n, room;
  double *w;
  float *tokens; /* (V) */
} static_view;

static sg_status add_weights(job *j, static_view *v, size_t layer, size_t feature, ptrdiff_t head_layer, size_t head,
                             sg_error *err) {
  sg_status st = SG_OK;
  size_t below = head_layer < 0 ? layer : (size_t)head_layer;
  for (size_t k = 0; k < j->set->n && !st; k++) {
    size_t from = j->set->at[k].layer;
    if (from >= below) continue;
    st = sgi_net_invariant(j->p.model, j->set, from, layer, feature, head_layer, head, v->w, err);
    for (size_t i = 0; i < j->set->at[k].form.features && !st; i++) {
      if (!sgi_room(&v->at, &v->room, v->n, sizeof *v->at))
        return sgi_fail_memory(err, v->n * sizeof *v->at, "weights");
      v->at[v->n++] = (weight){from, i, head_layer, head, v->w[i]};
    }
    size_t top = cli_size(j->call, "top"); /* no more than are shown need be kept */
    if (v->n > 4 * top + 4096) {
      qsort(v->at, v->n, sizeof *v->at, by_size);
      v->n = top;
    }
  }
  return st;
}

static sg_status all_weights(job *j, static_view *v, size_t layer, size_t feature, sg_error *err) {
  const sg_config *c = sg_model_config(j->p.model);
  const char *only = cli_string(j->call, "head");
  size_t head_layer = 0, head = 0;
  bool at;
  v->w = sgi_alloc(j->set->largest * sizeof *v->w);
  v->tokens = sgi_alloc(c->vocab_size * sizeof *v->tokens);
  sg_status st = v->w && v->tokens ? SG_OK : sgi_fail_memory(err, c->vocab_size * sizeof *v->tokens, "weights");
  if (!st && only) st = read_place(only, "head", &head_layer, &head, NULL, &at, err);
  if (!st)
    st = sgi_net_deembed(j->p.model, j->set, layer, feature, only ? (ptrdiff_t)head_layer : -1, head, v->tokens, err);
  if (!st && only) return add_weights(j, v, layer, feature, (ptrdiff_t)head_layer, head, err);
  if (!st) st = add_weights(j, v, layer, feature, -1, 0, err);
  for (size_t l = 1; l <= layer && !st; l++)
    for (size_t h = 0; h < c->num_heads && !st; h++) {
      st = add_weights(j, v, layer, feature, (ptrdiff_t)l, h, err);
      if (!st && cli_stop) st = sgi_fail(err, SG_ERR_CANCELLED, "stopped");
    }
  return st;
}

static size_t largest_token(const float *x, size_t V, float below) {
  size_t best = V;
  for (size_t t = 0; t < V; t++)
    if (x[t] < below && (best == V || x[t] > x[best])) best = t;
  return best;
}

static int static_weights(job *j, size_t layer, size_t feature, sg_error *err) {
  static_view v = {0};
  size_t V = sg_model_config(j->p.model)->vocab_size, top = cli_size(j->call, "top");
  sg_status st = all_weights(j, &v, layer, feature, err);
  int code = 0;
  if (st) {
    code = cli_end(st, err);
  } else {
    qsort(v.at, v.n, sizeof *v.at, by_size);
    if (v.n > top) v.n = top;
    json_t *weights = json_array(), *tokens = json_array();
    cli_table *t = cli_flag(j->call, "json") ? NULL : cli_table_begin("rll");
    if (t) {
      cli_cell(t, "weight");
      cli_cell(t, "from");
      cli_cell(t, "by");
    }
    for (size_t i = 0; i < v.n; i++) {
      const weight *w = &v.at[i];
      json_array_append_new(weights, json_pack("{s:I, s:I, s:o, s:o, s:o}", "layer", (json_int_t)w->layer, "feature",
                                               (json_int_t)w->feature, "head_layer",
                                               w->head_layer < 0 ? json_null() : json_integer(w->head_layer), "head",
                                               w->head_layer < 0 ? json_null() : json_integer((json_int_t)w->head),
                                               "invariant", sgi_report_real(w->w)));
      if (!t) continue;
      cli_cell(t, "%+.4f", w->w);
      cli_cell(t, "layer %zu feature %zu", w->layer, w->feature);
      if (w->head_layer < 0)
        cli_cell(t, "the stream");
      else
        cli_cell(t, "head %zu of layer %td", w->head, w->head_layer);
    }
    if (t) cli_table_end(t);
    if (t) printf("\nde-embedding:");
    float below = INFINITY;
    for (size_t i = 0; i < top && i < V; i++) {
      size_t id = largest_token(v.tokens, V, below);
      if (id == V) break;
      below = v.tokens[id];
      json_array_append_new(tokens, json_pack("{s:o, s:o}", "token", sgi_token_json(&j->p, (int32_t)id), "value",
                                              sgi_report_real((double)below)));
      if (t) printf(" %s %+.3f", sgi_token_shown(&j->p, (int32_t)id).s, (double)below);
    }
    if (t) {
      putchar('\n');
      json_decref(weights);
      json_decref(tokens);
    } else {
      code = cli_json(json_pack("{s:I, s:I, s:o, s:o}", "layer", (json_int_t)layer, "feature", (json_int_t)feature,
                                "weights", weights, "deembedding", tokens));
    }
  }
  sgi_free(v.at);
  sgi_free(v.w);
  sgi_free(v.tokens);
  return code;
}

/* ---- on a prompt ----------------------------------------------------------------------------- */

static sg_status read_target(job *j, sg_error *err) {
  const cli_call *c = j->call;
  const char *feature = cli_string(c, "feature"), *target = cli_string(c, "target"),
             *against = cli_string(c, "against");
  bool at = false;
  sgi_feature_target *t = &j->target;
  *t = (sgi_feature_target){.logit = !feature, .token = -1, .against = -1};
  sg_status st = sgi_prompt_at(&j->p, (ptrdiff_t)cli_int(c, "position"), &t->position, err);
  if (!st && feature) st = read_place(feature, "feature", &t->layer, &t->feature, &t->position, &at, err);
  if (!st && target) st = sgi_prompt_token(&j->p, target, &t->token, err);
  if (!st && against) st = sgi_prompt_token(&j->p, against, &t->against, err);
  return st;
}

static int by_effect(const void *a, const void *b) {
  const sgi_feature_place *x = a, *y = b;
  if (fabs(x->effect) != fabs(y->effect)) return fabs(x->effect) < fabs(y->effect) ? 1 : -1;
  if (x->layer != y->layer) return x->layer < y->layer ? -1 : 1;
  return x->feature < y->feature ? -1 : x->feature > y->feature;
}

static sg_status compute(job *j, sg_error *err) {
  const sgi_feature_net *n = &j->net;
  size_t features = n->L * n->M, heads = n->L * n->heads * n->T;
  j->room = sgi_alloc((features + heads + 4 * n->L + n->T + n->L * n->T) * sizeof *j->room);
  j->largest = sgi_alloc((features + 1) * sizeof *j->largest);
  if (!j->room || !j->largest) return sgi_fail_memory(err, features * sizeof *j->room, "terms");
  j->terms = (sgi_net_terms){.features = j->room, .heads = j->room + features};
  j->terms.b_d = j->terms.heads + heads;
  j->terms.error = j->terms.b_d + n->L;
  j->totals.b_e = j->terms.error + n->L;
  j->totals.b_d = j->totals.b_e + n->L;
  j->totals.embedding = j->totals.b_d + n->L;
  j->totals.error = j->totals.embedding + n->T;
  sgi_net_terms_of(n, j->u, &j->at, &j->terms);
  sg_status st = sgi_net_totals_of(n, j->u, &j->at, &j->totals, err);
  for (size_t l = 0; l < j->at.ffn && !st; l++)
    for (size_t i = 0; i < n->layer[l]->form.features; i++)
      if (j->terms.features[l * n->M + i] != 0)
        j->largest[j->n_largest++] =
            (sgi_feature_place){(uint32_t)l, (uint32_t)j->at.position, (uint32_t)i, j->terms.features[l * n->M + i]};
  qsort(j->largest, j->n_largest, sizeof *j->largest, by_effect);
  size_t verify = cli_size(j->call, "verify");
  j->verified = verify < j->n_largest ? verify : j->n_largest;
  j->change = sgi_alloc((j->verified + 1) * sizeof *j->change);
  if (!st && !j->change) st = sgi_fail_memory(err, j->verified * sizeof *j->change, "true removals");
  if (!st && j->verified)
    st = sgi_features_removed(n, &j->target, j->largest, j->verified, j->change, go_on, NULL, err);
  size_t depth = cli_size(j->call, "depth"), branches = cli_size(j->call, "branches");
  if (!st && depth)
    st = sgi_paths_find(n, &j->target, j->u, &j->at, j->value, j->own, depth, branches,
                        (sgi_path_order)cli_choice(j->call, "order"), cli_flag(j->call, "skip-bos"), &j->paths, err);
  double residue = j->terms.sum + j->own - j->value;
  if (!st && fabs(residue) > 1e-4 * (j->terms.sum_abs + 1e-3))
    st =
        sgi_fail(err, SG_ERR_INTERNAL, "the terms add up to %g where the value is %g", j->terms.sum + j->own, j->value);
  return st;
}

static bool exploring(void *user, size_t done, size_t wanted) {
  job *j = user;
  (void)wanted;
  cli_progress_update(&j->bar, (double)done, NULL);
  return !cli_stop;
}

/* The graph behind the target, where a file of it is asked for. */
static sg_status draw_graph(job *j, sg_error *err) {
  const cli_call *c = j->call;
  int32_t targets[] = {j->target.token, j->target.against};
  if (!cli_graph_files(c)) return SG_OK;
  sg_graph_request r = {.tokens = j->p.tokens,
                        .count = j->p.count,
                        .position = (ptrdiff_t)j->target.position,
                        .targets = targets,
                        .n_targets = j->target.against >= 0 ? 2 : 1,
                        .node_threshold = cli_real(c, "node-threshold"),
                        .edge_threshold = cli_real(c, "edge-threshold"),
                        .max_bytes = cli_size(c, "max-memory"),
                        .heads = true,
                        .progress = exploring,
                        .user = j};
  cli_progress_begin(&j->bar, "graph", "features", 0, 0);
  sg_status st = sgi_graph_of(&j->p, j->set, &r, &j->graph, err);
  cli_progress_end(&j->bar);
  return st ? st : cli_graph_save(c, &j->p, j->graph, c->args[1], j->set, NULL, err);
}

static double error_share(const job *j) { return j->terms.sum_abs > 0 ? j->terms.error_abs / j->terms.sum_abs : 0; }

static json_t *term(const char *kind, ptrdiff_t layer, ptrdiff_t head, ptrdiff_t position, ptrdiff_t feature,
                    double c) {
  json_t *o = json_pack("{s:s, s:o}", "kind", kind, "contribution", sgi_report_real(c));
  static const char *const keys[] = {"layer", "head", "position", "feature"};
  const ptrdiff_t values[] = {layer, head, position, feature};
  for (size_t i = 0; i < 4; i++) json_object_set_new(o, keys[i], values[i] < 0 ? json_null() : json_integer(values[i]));
  return o;
}

static json_t *terms_json(const job *j) {
  const sgi_feature_net *n = &j->net;
  json_t *list = json_array();
  ptrdiff_t t = (ptrdiff_t)j->at.position;
  json_array_append_new(list, term("embedding", -1, -1, t, -1, j->terms.embedding));
  for (size_t i = 0; i < j->n_largest; i++) {
    const sgi_feature_place *x = &j->largest[i];
    double h = sgi_net_h(n, x->layer, x->position, x->feature);
    json_t *o = term("feature", x->layer, -1, t, x->feature, x->effect);
    /* Below a feature the target's scale belongs to what depends on the prompt. */
    double r2 = j->target.logit ? 1 : (double)n->f.steps[n->feedforward[j->target.layer]].r[j->at.position];
    json_object_set_new(o, "invariant", sgi_report_real(x->effect / (h * r2)));
    json_object_set_new(o, "dependent", sgi_report_real(h * r2));
    json_object_set_new(o, "true", i < j->verified ? sgi_report_real(j->change[i]) : json_null());
    json_array_append_new(list, o);
  }
  for (size_t l = 0; l < j->at.attention; l++)
    for (size_t h = 0; h < n->heads; h++)
      for (size_t s = 0; s <= j->at.position; s++) {
        double c = j->terms.heads[(l * n->heads + h) * n->T + s];
        if (c != 0) json_array_append_new(list, term("head", (ptrdiff_t)l, (ptrdiff_t)h, (ptrdiff_t)s, -1, c));
      }
  for (size_t l = 0; l < j->at.ffn; l++) {
    json_array_append_new(list, term("bias", (ptrdiff_t)l, -1, t, -1, j->terms.b_d[l]));
    json_array_append_new(list, term("error", (ptrdiff_t)l, -1, t, -1, j->terms.error[l]));
  }
  return list;
}

static const char *const kinds[] = {"target", "feature", "head", "embedding"};

static json_t *paths_json(const job *j) {
  json_t *depths = json_array(), *nodes = json_array();
  const sgi_paths *p = &j->paths;
  for (size_t d = 0; d < p->depth && p->nodes; d++) {
    json_t *list = json_array();
    for (size_t b = 0; b < p->count[d]; b++) {
      json_t *path = json_array();
      for (ptrdiff_t i = (ptrdiff_t)p->last[d * p->branches + b]; i >= 0; i = p->nodes[i].parent)
        json_array_insert_new(path, 0, json_integer(i));
      json_array_append_new(list, path);
    }
    json_array_append_new(depths, list);
  }
  for (size_t i = 0; i < p->n_nodes; i++) {
    const sgi_path_node *x = &p->nodes[i];
    json_t *o = term(kinds[x->kind], x->layer, x->head, (ptrdiff_t)x->position, x->feature, x->contribution);
    json_object_set_new(o, "from", x->parent < 0 ? json_null() : json_integer(x->parent));
    json_object_set_new(o, "bias", sgi_report_real(p->bias[i]));
    json_object_set_new(o, "error", p->expanded[i] ? sgi_report_real(p->error[i]) : json_null());
    json_object_set_new(o, "not_followed", p->expanded[i] ? sgi_report_real(p->rest[i]) : json_null());
    json_array_append_new(nodes, o);
  }
  return json_pack("{s:o, s:o}", "nodes", nodes, "depths", depths);
}

static int print_json(const job *j) {
  const sgi_feature_net *n = &j->net;
  const sgi_feature_target *t = &j->target;
  json_t *target = t->logit ? json_pack("{s:s, s:I, s:o, s:o, s:o}", "kind", "logit", "position",
                                        (json_int_t)j->at.position, "token", sgi_token_json(&j->p, t->token), "against",
                                        sgi_token_json(&j->p, t->against), "value", sgi_report_real(j->value))
                            : json_pack("{s:s, s:I, s:I, s:I, s:o}", "kind", "feature", "layer", (json_int_t)t->layer,
                                        "position", (json_int_t)j->at.position, "feature", (json_int_t)t->feature,
                                        "value", sgi_report_real(j->value));
  json_t *errors = json_array();
  for (size_t l = 0; l < n->L; l++) json_array_append_new(errors, sgi_report_reals(j->totals.error + l * n->T, n->T));
  json_t *total =
      json_pack("{s:o, s:o, s:o, s:o}", "embedding", sgi_report_reals(j->totals.embedding, n->T), "b_e",
                sgi_report_reals(j->totals.b_e, n->L), "b_d", sgi_report_reals(j->totals.b_d, n->L), "error", errors);
  json_t *o = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "target", target, "own_bias", sgi_report_real(j->own),
                        "terms", terms_json(j), "residue", sgi_report_real(j->terms.sum + j->own - j->value),
                        "error_share", sgi_report_real(error_share(j)), "paths", paths_json(j), "total", total);
  if (o && j->graph)
    json_object_set_new(
        o, "graph",
        json_pack("{s:I, s:I, s:I, s:o, s:o, s:o}", "nodes", (json_int_t)j->graph->n_nodes, "edges",
                  (json_int_t)j->graph->n_edges, "all_nodes", (json_int_t)j->graph->all_nodes, "error_share",
                  sgi_report_real(j->graph->error_share), "input_share", sgi_report_real(j->graph->input_share),
                  "worst_residue", sgi_report_real(j->graph->worst_residue)));
  return cli_json(o);
}

static void print_node(const job *j, const sgi_path_node *x) {
  if (x->kind == SGI_PATH_TARGET) return;
  if (x->kind == SGI_PATH_FEATURE)
    printf(" <- layer %d feature %d", x->layer, x->feature);
  else if (x->kind == SGI_PATH_HEAD)
    printf(" <- head %d.%d from", x->layer, x->head);
  else
    printf(" <- embedding");
  printf(" %s@%zu (%+.3f)", sgi_token_shown(&j->p, j->p.tokens[x->position]).s, x->position, x->contribution);
}

static void print(const job *j) {
  const sgi_feature_net *n = &j->net;
  size_t top = cli_size(j->call, "top");
  if (j->target.logit) {
    printf("%s", sgi_token_shown(&j->p, j->target.token).s);
    if (j->target.against >= 0) printf(" over %s", sgi_token_shown(&j->p, j->target.against).s);
    printf(" at position %zu: %+.4f\n", j->at.position, j->value);
  } else {
    printf("layer %zu feature %zu at position %zu: %+.4f before its activation (own bias %+.4f)\n", j->target.layer,
           j->target.feature, j->at.position, j->value, j->own);
  }
  printf("errors are %.1f %% of all terms; residue %+.1e\n", 100 * error_share(j), j->terms.sum + j->own - j->value);
  cli_table *t = cli_table_begin(j->verified ? "rlr" : "rl");
  cli_cell(t, "term");
  cli_cell(t, "from");
  if (j->verified) cli_cell(t, "true");
  for (size_t i = 0; i < j->n_largest && i < top; i++) {
    cli_cell(t, "%+.4f", j->largest[i].effect);
    cli_cell(t, "layer %u feature %u", j->largest[i].layer, j->largest[i].feature);
    if (!j->verified) continue;
    if (i < j->verified)
      cli_cell(t, "%+.4f", j->change[i]);
    else
      cli_cell(t, "-");
  }
  cli_table_end(t);
  double errors = 0, biases = 0, heads = 0;
  for (size_t l = 0; l < j->at.ffn; l++) {
    errors += j->terms.error[l];
    biases += j->terms.b_d[l];
  }
  for (size_t i = 0; i < n->L * n->heads * n->T; i++) heads += j->terms.heads[i];
  printf("embedding %+.4f, heads %+.4f, errors %+.4f, biases %+.4f\n", j->terms.embedding, heads, errors, biases);
  for (size_t d = j->paths.depth; d-- > 0 && j->paths.nodes;) {
    printf("\nbest paths of %zu steps\n", d + 1);
    for (size_t b = 0; b < j->paths.count[d]; b++) {
      size_t chain[64], len = 0;
      for (ptrdiff_t i = (ptrdiff_t)j->paths.last[d * j->paths.branches + b]; i > 0 && len < 64;
           i = j->paths.nodes[i].parent)
        chain[len++] = (size_t)i;
      printf(" ");
      while (len) print_node(j, &j->paths.nodes[chain[--len]]);
      putchar('\n');
    }
    break;
  }
  if (j->graph) putchar('\n');
  if (j->graph) cli_graph_print(j->call, &j->p, j->graph);
}

static sg_status prepare(job *j, sg_error *err) {
  const cli_call *c = j->call;
  sg_status st = cli_prompt_open(&j->p, c, err);
  if (!st) st = cli_sparse_open(c, c->args[1], j->p.model, &j->set, err);
  if (!st) st = read_target(j, err);
  if (!st)
    st = sgi_feature_net_init(&j->net, j->p.model, j->set, j->p.tokens, j->p.count, cli_size(c, "max-memory"), err);
  if (st) return st;
  j->u = sgi_alloc(j->net.D * sizeof *j->u);
  if (!j->u) return sgi_fail_memory(err, j->net.D * sizeof *j->u, "a direction");
  return sgi_feature_target_find(&j->net, &j->target, j->u, &j->at, &j->value, &j->own, err);
}

static int weights_alone(job *j, sg_error *err) {
  const cli_call *c = j->call;
  size_t layer, feature;
  bool at;
  const char *text = cli_string(c, "feature");
  if (!text) return cli_usage(c, "--invariant needs --feature LAYER:NUMBER");
  sg_status st = cli_prompt_open_model(&j->p, c, err);
  if (!st) st = cli_sparse_open(c, c->args[1], j->p.model, &j->set, err);
  if (!st) st = read_place(text, "feature", &layer, &feature, NULL, &at, err);
  return st ? cli_fail(err) : static_weights(j, layer, feature, err);
}

static int run(const cli_call *c) {
  sg_error err = {0};
  job j = {.call = c};
  int code = 0;
  if (cli_string(c, "feature") && cli_string(c, "target")) return cli_usage(c, "--feature or --target, not both");
  if (cli_graph_files(c) && (cli_flag(c, "invariant") || cli_string(c, "feature")))
    return cli_usage(c, "-o, --svg and --circuit-tracer draw what made a logit: leave --invariant and --feature out");
  cli_signals_install();
  if (cli_flag(c, "invariant")) {
    code = weights_alone(&j, &err);
  } else {
    sg_status st = prepare(&j, &err);
    if (!st) st = compute(&j, &err);
    if (!st) st = draw_graph(&j, &err);
    if (st)
      code = cli_end(st, &err);
    else if (cli_flag(c, "json"))
      code = print_json(&j);
    else
      print(&j);
  }
  sgi_paths_deinit(&j.paths);
  sgi_feature_net_deinit(&j.net);
  sgi_free(j.u);
  sgi_free(j.room);
  sgi_free(j.largest);
  sgi_free(j.change);
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
