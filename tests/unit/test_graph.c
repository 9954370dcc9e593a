/* Attribution graphs: edges into a node add up to its input, head by head too; pruning; the
 * files. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "read/edges.h"
#include "support/prompts.h"
#include "support/near.h"

static double worst_sum, worst_parts;

/* All edges into random neurons and into a logit: their sum is the input, the parts by last head
 * add up to each edge, nothing comes from above or from later positions. */
static void sums(const sg_model *m, const char *name, ref_random *r) {
  enum { T = 9 };
  int32_t tokens[T];
  random_prompt(m, r, tokens, T);
  sgi_frozen f;
  sgi_sweep w;
  sgi_sources s;
  assert_sg_ok(sgi_frozen_init(&f, m, tokens, T, 0, err));
  assert_sg_ok(sgi_sweep_init(&w, &f, SGI_EDGE_BATCH, T, err));
  assert_sg_ok(sgi_sources_init(&s, &f, err));
  double *row = ref_alloc(SGI_EDGE_BATCH * s.count, sizeof *row), *part = ref_alloc(3 * s.count, sizeof *part);
  double *parts = ref_alloc(3 * s.count, sizeof *parts);
  float *logits = ref_alloc(f.V, sizeof *logits);
  for (size_t step = 0; step <= f.n_steps; step++) {
    sgi_edge_target t[3];
    if (step < f.n_steps && !f.steps[step].units) continue;
    for (size_t i = 0; i < 3; i++) {
      size_t pos = ref_below(r, T), j = step < f.n_steps ? ref_below(r, f.steps[step].units) : 0;
      t[i] = step < f.n_steps ? (sgi_edge_target){step, pos, sgi_held_units(&f.steps[step], pos) + j, -1}
                              : (sgi_edge_target){step, pos, NULL, (int32_t)ref_below(r, f.V)};
    }
    assert_sg_ok(sgi_edges(&f, &s, t, 3, SGI_PART_ALL, NULL, row, &w, err));
    memset(parts, 0, 3 * s.count * sizeof *parts);
    for (size_t p = SGI_PART_NONE; p < SGI_PART_HEADS + f.L * f.heads; p++) {
      assert_sg_ok(sgi_edges(&f, &s, t, 3, p, NULL, part, &w, err));
      for (size_t k = 0; k < 3 * s.count; k++) parts[k] += part[k];
    }
    for (size_t i = 0; i < 3; i++) {
      double sum = 0, abs = 0, apart = 0, input;
      for (size_t k = 0; k < s.count; k++) {
        sum += row[i * s.count + k];
        abs += fabs(row[i * s.count + k]);
        apart += fabs(row[i * s.count + k] - parts[i * s.count + k]);
      }
      if (t[i].unit) {
        input = t[i].unit->value - t[i].unit->constant;
      } else {
        assert_sg_ok(sgi_frozen_logits(&f, t[i].position, logits, err));
        input = logits[t[i].token];
      }
      worst_sum = fmax(worst_sum, fabs(sum - input) / (abs + 1e-12));
      worst_parts = fmax(worst_parts, apart / (abs + 1e-12));
      if (fabs(sum - input) > 1e-5 * abs) fail_msg("%s: edges add up to %g, input %g", name, sum, input);
      if (apart > 1e-5 * abs) fail_msg("%s: parts by head differ from edges by %g of %g", name, apart, abs);
      size_t before = step < f.n_steps ? f.steps[step].step->before : f.n_steps;
      for (size_t l = 0; l < f.n_steps; l++)
        for (size_t q = 0; q < T; q++)
          for (size_t j = 0; j < f.steps[l].units && (l >= before || q > t[i].position); j++)
            assert_true(row[i * s.count + s.neuron[l] + q * f.steps[l].units + j] == 0);
    }
  }
  free(row), free(part), free(parts), free(logits);
  sgi_sweep_deinit(&w);
  sgi_sources_deinit(&s);
  sgi_frozen_deinit(&f);
}

static void edges_add_up(void **state) {
  (void)state;
  for (int i = 0; i < 3; i++) each_model(sums);
  if (getenv("SGATLIN_TEST_VERBOSE"))
    print_message("worst residue of the sum of absolute edges: %.1e, of parts by head: %.1e\n", worst_sum, worst_parts);
}

static size_t of_kind(const sg_graph *g, sg_node_kind kind) {
  size_t n = 0;
  for (size_t i = 0; i < g->n_nodes; i++) n += g->nodes[i].kind == kind;
  return n;
}

/* Everything kept: in the graph itself, edges add up, nothing is lost, and all influence reaches
 * tokens and biases. */
static void whole_graph(const sg_model *m, const char *name, ref_random *r) {
  int32_t tokens[5];
  random_prompt(m, r, tokens, 5);
  sg_graph_request q = {.tokens = tokens,
                        .count = 5,
                        .position = -1,
                        .node_threshold = 1,
                        .edge_threshold = 1,
                        .max_nodes = 100000,
                        .max_logits = 3,
                        .heads = true};
  sg_graph *g;
  if (sg_model_config(m)->num_neurons * sg_model_config(m)->top_k > 600 && !sg_model_config(m)->key_dim) return;
  assert_sg_ok(sg_graph_create(m, &q, &g, err));
  if (getenv("SGATLIN_TEST_VERBOSE"))
    print_message("%-40s worst residue %.1e of %zu\n", name, g->worst_residue, g->explored);
  assert_true(g->worst_residue < 1e-5);
  assert_int_equal(of_kind(g, SG_NODE_TOKEN), 5);
  assert_int_equal(of_kind(g, SG_NODE_LOGIT), 3);
  if (fabs(g->input_share - 1) > 0.02) fail_msg("%s: %.4f of the input is traced", name, g->input_share);
  double *sum = ref_alloc(g->n_nodes, sizeof *sum);
  for (size_t i = 0; i < g->n_edges; i++) {
    const sg_edge_link *e = &g->edges[i];
    assert_true(e->source < e->target && e->target < g->n_nodes);
    double parts = 0, gross = 0;
    for (size_t k = 0; k < 1 + g->n_layers * g->n_heads; k++) {
      parts += e->parts[k];
      gross += fabs((double)e->parts[k]);
    }
    near("parts", parts, e->weight, 1e-5 * (gross + g->nodes[e->target].edges_abs));
    sum[e->target] += e->weight;
  }
  for (size_t i = 0; i < g->n_nodes; i++)
    if (g->nodes[i].kind == SG_NODE_LOGIT && fabs(sum[i] - g->nodes[i].value) > 0.02 * g->nodes[i].edges_abs)
      fail_msg("%s: kept edges add up to %g, the logit is %g", name, sum[i], g->nodes[i].value);
  free(sum);
  sg_graph_free(g);
}

static void nothing_is_lost(void **state) {
  (void)state;
  each_model(whole_graph);
}

static void pruned(const sg_model *m, const char *name, ref_random *r) {
  int32_t tokens[12];
  random_prompt(m, r, tokens, 12);
  sg_graph_request q = {.tokens = tokens, .count = 12, .position = -1};
  sg_graph *g, *small;
  assert_sg_ok(sg_graph_create(m, &q, &g, err));
  q.node_threshold = 0.4;
  assert_sg_ok(sg_graph_create(m, &q, &small, err));
  (void)name;
  assert_true(small->n_nodes <= g->n_nodes && g->n_nodes < g->all_nodes);
  assert_true(g->node_share > 0 && g->node_share <= 1 && g->input_share >= 0 && g->input_share <= 1 + 1e-9);
  assert_true(small->input_share <= g->input_share + 1e-9);
  for (size_t i = 0; i < g->n_nodes; i++) {
    const sg_node *n = &g->nodes[i];
    bool in = false, out = false;
    for (size_t e = 0; e < g->n_edges; e++) {
      in = in || g->edges[e].target == i;
      out = out || g->edges[e].source == i;
    }
    if (n->kind == SG_NODE_NEURON) assert_true(in && out && n->cumulative <= 1 + 1e-9);
  }
  sg_graph_free(g);
  sg_graph_free(small);
}

static void pruning(void **state) {
  (void)state;
  each_model(pruned);
}

/* The fields that circuit-tracer's graph models and frontend read, with their types. */
static void check_fields(const json_t *o, const char *const *fields, const char *types) {
  for (size_t i = 0; fields[i]; i++) {
    const json_t *v = json_object_get(o, fields[i]);
    bool ok = types[i] == 's'   ? json_is_string(v)
              : types[i] == 'i' ? json_is_integer(v)
              : types[i] == 'f' ? json_is_number(v)
              : types[i] == 'b' ? json_is_boolean(v)
              : types[i] == 'a' ? json_is_array(v)
                                : json_is_number(v) || json_is_null(v); /* 'n': a number or null */
    if (!ok) fail_msg("%s is missing or of the wrong type", fields[i]);
  }
}

static bool has_node(const json_t *nodes, const char *id) {
  size_t i;
  json_t *n;
  json_array_foreach(nodes, i, n) if (!strcmp(json_string_value(json_object_get(n, "node_id")), id)) return true;
  return false;
}

static void files(void **state) {
  (void)state;
  sg_model *m;
  sg_graph *g;
  ref_random r = {5};
  char *dir = golden_temporary(), path[300];
  int32_t tokens[6];
  assert_sg_ok(sg_model_load("tests/golden/models/sgatlin_product_dense_identity", &m, err));
  random_prompt(m, &r, tokens, 6);
  sg_graph_request q = {.tokens = tokens, .count = 6, .position = -1, .heads = true};
  assert_sg_ok(sg_graph_create(m, &q, &g, err));
  const char *texts[] = {"<|endoftext|>", " a", "<b>", "&", "\"", "\n"}, *logits[10];
  for (size_t i = 0; i < 10; i++) logits[i] = " x\"y\xc3\xa9";
  /* Cut within 120 bytes, between characters. */
  char what[] =
      "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
      "0123456789012345678\xc3\xa9\xc3\xa9";
  const char **neurons = sgi_alloc(g->n_nodes * sizeof *neurons);
  for (size_t i = 0, said = 0; i < g->n_nodes; i++)
    if (g->nodes[i].kind == SG_NODE_NEURON) neurons[i] = said++ ? NULL : what;
  sg_graph_labels l = {.slug = "a-slug",
                       .scan = "a-model",
                       .prompt = "a <b>&\"\n",
                       .prompt_tokens = texts,
                       .logit_tokens = logits,
                       .node_threshold = 0.8,
                       .node_labels = neurons};
  snprintf(path, sizeof path, "%s/g.json", dir);
  assert_sg_ok(sg_graph_save_json(g, &l, path, err));
  json_t *o = golden_json(path), *n;
  const json_t *nodes = json_object_get(o, "nodes"), *links = json_object_get(o, "links");
  const json_t *metadata = json_object_get(o, "metadata");
  check_fields(metadata,
               (const char *const[]){"slug", "scan", "transcoder_list", "prompt_tokens", "prompt", "node_threshold",
                                     "schema_version", NULL},
               "ssaasfi");
  check_fields(json_object_get(o, "qParams"),
               (const char *const[]){"pinnedIds", "supernodes", "linkType", "clickedId", "sg_pos", NULL}, "aasss");
  assert_int_equal(json_array_size(json_object_get(metadata, "prompt_tokens")), 6);
  size_t i, targets = 0, logit_nodes = 0, named = 0;
  double threshold = json_number_value(json_object_get(metadata, "node_threshold"));
  assert_true(threshold >= 0.8 && threshold <= 1 &&
              json_number_value(json_object_get(json_object_get(o, "sgatlin"), "node_threshold")) == 0.8);
  json_array_foreach(nodes, i, n) {
    check_fields(
        n,
        (const char *const[]){"node_id", "feature", "layer", "ctx_idx", "feature_type", "token_prob", "is_target_logit",
                              "run_idx", "reverse_ctx_idx", "jsNodeId", "clerp", "influence", "activation", NULL},
        "sisisfbiissnn");
    const char *type = json_string_value(json_object_get(n, "feature_type")),
               *layer = json_string_value(json_object_get(n, "layer"));
    assert_true(!strcmp(type, "embedding") || !strcmp(type, "logit") || !strcmp(type, "cross layer transcoder"));
    assert_true(!strcmp(layer, "E") == !strcmp(type, "embedding"));
    assert_true(json_integer_value(json_object_get(n, "ctx_idx")) < 6);
    targets += json_is_true(json_object_get(n, "is_target_logit"));
    if (!strcmp(type, "cross layer transcoder")) { /* the frontend draws what has no more influence than that */
      const char *said = json_string_value(json_object_get(n, "clerp"));
      assert_true(json_number_value(json_object_get(n, "influence")) <= threshold);
      assert_non_null(strstr(said, "layer "));
      if (strncmp(said, "layer ", 6)) {
        assert_memory_equal(said, what, 119);
        assert_memory_equal(said + 119, " \xc2\xb7 layer ", 10);
        named++;
      }
    }
    if (strcmp(type, "logit")) continue;
    logit_nodes++; /* the frontend cuts the probability out of the text */
    const char *clerp = json_string_value(json_object_get(n, "clerp"));
    assert_non_null(strstr(clerp, "(p="));
    assert_non_null(strstr(clerp, " x\"y\xc3\xa9"));
  }
  assert_int_equal(targets, 1);
  assert_int_equal(named, 1);
  assert_true(logit_nodes >= 1);
  json_array_foreach(links, i, n) {
    check_fields(n, (const char *const[]){"source", "target", "weight", "heads", NULL}, "ssfa");
    assert_true(has_node(nodes, json_string_value(json_object_get(n, "source"))));
    assert_true(has_node(nodes, json_string_value(json_object_get(n, "target"))));
  }
  assert_int_equal(json_array_size(links), g->n_edges);
  json_decref(o);
  snprintf(path, sizeof path, "%s/g.svg", dir);
  assert_sg_ok(sg_graph_save_svg(g, &l, path, err));
  sgi_free(neurons);
  sg_graph_free(g);
  sg_model_free(m);
  golden_remove(dir);
}

static void refusals(void **state) {
  (void)state;
  sg_model *m;
  sg_graph *g;
  assert_sg_ok(sg_model_load("tests/golden/models/mlp", &m, err));
  int32_t tokens[] = {1, 2, 3}, outside[] = {97};
  sg_graph_request q = {.tokens = tokens, .count = 3, .position = -1, .targets = outside, .n_targets = 1};
  assert_int_equal(sg_graph_create(m, &q, &g, NULL), SG_ERR_ARG);
  q.n_targets = 0;
  q.node_threshold = 1.5;
  assert_int_equal(sg_graph_create(m, &q, &g, NULL), SG_ERR_ARG);
  q.node_threshold = 0.5;
  q.position = 3;
  assert_int_equal(sg_graph_create(m, &q, &g, NULL), SG_ERR_ARG);
  sg_model_free(m);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(edges_add_up), cmocka_unit_test(nothing_is_lost),
                                     cmocka_unit_test(pruning), cmocka_unit_test(files), cmocka_unit_test(refusals)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
