/* Features in the place of the layers' units (compare/feature_hold.h), beside the circuits that are
 * checked by golden vectors (test_features.c): edges, errors, what they add up to, features scaled
 * with everything held and in true runs. */
#include <math.h>
#include <string.h>

#include "compare/feature_hold.h"
#include "compare/feature_score.h"
#include "model/model.h"
#include "support/near.h"
#include "support/transcoders.h"

#define HERE "tests/golden/comparison/"

enum { L = 3, T = 12, D = 24, M = 40, H = 3, V = 61 };

typedef struct game {
  sgi_safetensors *file;
  const int32_t *tokens;
  sg_model *model;
  sgi_sparse_set set;
  sgi_feature_net net;
} game;

static int begin(void **state) {
  game *g = calloc(1, sizeof *g);
  *state = g;
  assert_sg_ok(sgi_safetensors_open(HERE "circuit/expected.safetensors", &g->file, err));
  g->tokens = sgi_safetensors_find(g->file, "ids")->data;
  assert_sg_ok(sg_model_load(HERE "model_mlp", &g->model, err));
  g->set = golden_transcoders(M);
  assert_sg_ok(sgi_feature_net_init(&g->net, g->model, &g->set, g->tokens, T, 0, err));
  return 0;
}

static int end(void **state) {
  game *g = *state;
  sgi_feature_net_deinit(&g->net);
  sgi_safetensors_close(g->file);
  sgi_free(g->set.memory);
  sgi_free(g->set.at);
  sg_model_free(g->model);
  free(g);
  return 0;
}

static sg_graph *whole(const game *g, int32_t target) {
  sg_graph_request q = {.tokens = g->tokens,
                        .count = T,
                        .position = -1,
                        .targets = &target,
                        .n_targets = 1,
                        .node_threshold = 1,
                        .edge_threshold = 1,
                        .max_nodes = 100000,
                        .heads = true};
  sg_graph *x;
  assert_sg_ok(sgi_feature_graph(g->model, &g->set, &q, &x, err));
  return x;
}

/* Everything kept: edges add up to what each node read, and all of the logit's input is led back to
 * tokens, biases and errors. */
static void edges_add_up(void **state) {
  const game *g = *state;
  sg_graph *x = whole(g, 7);
  size_t errors = 0;
  assert_true(x->features);
  assert_true(x->worst_residue < 1e-5);
  for (size_t i = 0; i < x->n_nodes; i++) {
    const sg_node *n = &x->nodes[i];
    errors += n->kind == SG_NODE_ERROR;
    if (n->kind != SG_NODE_NEURON) continue;
    double h = sgi_net_h(&g->net, (size_t)n->layer, (size_t)n->position, (size_t)n->index);
    assert_int_equal(n->channel, 0);
    near("value of a feature", n->value, h, 1e-5);
    near("what it read", n->input, h - (double)g->set.at[n->layer].p.at[SGI_SPARSE_B_E][n->index], 1e-5);
    near("edges into it", n->edges_sum, n->input, 1e-5 * (n->edges_abs + 1));
  }
  assert_int_equal(errors, (L - 1) * T + 1); /* of the last layer those of other positions reach nothing */
  if (!(x->error_share > 0.01 && x->error_share < 1)) fail_msg("errors hold %g", x->error_share);
  if (fabs(x->input_share + x->error_share - 1) > 0.02)
    fail_msg("%.4f of the input is traced to tokens and biases, %.4f to errors", x->input_share, x->error_share);
  sg_graph_free(x);
}

/* Along the stream alone an edge into the logit is the direct term of test_features.c, errors
 * too. */
static void direct_terms(void **state) {
  const game *g = *state;
  sgi_feature_target t = {.logit = true, .position = T - 1, .token = 7, .against = -1};
  double u[D], f[L * M], b[L], e[L], value, own;
  sgi_net_stream at;
  sgi_net_terms terms = {.features = f, .b_d = b, .error = e};
  sg_graph *x = whole(g, 7);
  assert_sg_ok(sgi_feature_target_find(&g->net, &t, u, &at, &value, &own, err));
  sgi_net_terms_of(&g->net, u, &at, &terms);
  size_t seen[3] = {0};
  for (size_t i = 0; i < x->n_edges; i++) {
    const sg_edge_link *l = &x->edges[i];
    const sg_node *n = &x->nodes[l->source];
    if (x->nodes[l->target].kind != SG_NODE_LOGIT || n->position != T - 1) continue;
    double got = (double)l->parts[0];
    if (n->kind == SG_NODE_NEURON) near("feature", got, f[n->layer * M + n->index], 1e-5), seen[0]++;
    if (n->kind == SG_NODE_ERROR) near("error", got, e[n->layer], 1e-5), seen[1]++;
    if (n->kind == SG_NODE_BIAS) near("bias", got, b[n->layer], 1e-5), seen[2]++;
  }
  assert_true(seen[0] > 10);
  assert_int_equal(seen[1], L);
  assert_int_equal(seen[2], L);
  sg_graph_free(x);
}

static float logit_of(const game *g, const sgi_feature_edit *edits, size_t n, size_t *met) {
  float logits[V];
  assert_sg_ok(sgi_features_steer(g->model, &g->set, g->tokens, T, T - 1, edits, n, logits, met, err));
  return logits[7];
}

/* One feature taken away: held, the total effect of its place; truly, what sgi_features_removed
 * says. */
static void one_taken_away(void **state) {
  const game *g = *state;
  sgi_feature_target t = {.logit = true, .position = T - 1, .token = 7, .against = -1};
  double u[D], value, own, change;
  double *room = calloc(T + 2 * L + L * T + L * T * M, sizeof *room);
  sgi_net_stream at;
  sgi_net_totals x = {room, room + T, room + T + L, room + T + 2 * L, room + T + 2 * L + L * T};
  sg_attribute_request q = {.tokens = g->tokens, .count = T, .position = -1, .target = 7, .against = -1};
  size_t met, tried = 0;
  assert_sg_ok(sgi_feature_target_find(&g->net, &t, u, &at, &value, &own, err));
  assert_sg_ok(sgi_net_totals_of(&g->net, u, &at, &x, err));
  float plain = logit_of(g, NULL, 0, &met);
  near("the model itself", (double)plain, value, 1e-5);
  for (size_t l = 0; l < L; l++)
    for (size_t s = 0; s < T; s += 3)
      for (size_t i = 0; i < M; i += 7) {
        if (sgi_net_h(&g->net, l, s, i) == 0) continue;
        sgi_feature_edit e = {l, i, (ptrdiff_t)s, 0};
        sgi_feature_place p = {(uint32_t)l, (uint32_t)s, (uint32_t)i, 0};
        sg_joint *j;
        double held;
        assert_sg_ok(sgi_features_joint(g->model, &g->set, &q, &e, 1, &j, err));
        assert_int_equal(j->count, 1);
        assert_sg_ok(sg_joint_change(j, NULL, &held, err));
        near("held", held, -x.features[(l * T + s) * M + i], 1e-5);
        sg_joint_free(j);
        assert_sg_ok(sgi_features_removed(&g->net, &t, &p, 1, &change, NULL, NULL, err));
        near("true run", (double)(logit_of(g, &e, 1, &met) - plain), -change, 1e-5);
        assert_int_equal(met, 1);
        tried++;
      }
  if (tried < 8) fail_msg("%zu features were tried", tried);
  free(room);
}

/* Two together are not two alone where one feeds the other; everywhere is each position; factor 1
 * changes nothing; what does not act is not met. */
static void several(void **state) {
  const game *g = *state;
  sg_attribute_request q = {.tokens = g->tokens, .count = T, .position = -1, .target = 7, .against = -1};
  size_t met[T] = {0}, one, a = 0, b = 0;
  while (sgi_net_h(&g->net, 0, T - 1, a) == 0) a++;
  while (sgi_net_h(&g->net, 2, T - 1, b) == 0) b++;
  sgi_feature_edit pair[2] = {{0, a, T - 1, 0}, {2, b, T - 1, 0}}, all = {0, a, -1, 0.5}, each[T];
  double both, apart = 0, x;
  sg_joint *j;
  assert_sg_ok(sgi_features_joint(g->model, &g->set, &q, pair, 2, &j, err));
  assert_sg_ok(sg_joint_change(j, NULL, &both, err));
  assert_true(j->links[0 * 2 + 1] != 0);
  /* The upper one's value falls by the link first, so less of it is left to take away. */
  double expected = -j->neurons[0].effect - j->neurons[1].effect + j->neurons[0].value * j->links[1] * j->effect[1];
  near("both", both, expected, 1e-6);
  sg_joint_free(j);
  for (int i = 0; i < 2; i++) {
    assert_sg_ok(sgi_features_joint(g->model, &g->set, &q, &pair[i], 1, &j, err));
    assert_sg_ok(sg_joint_change(j, NULL, &x, err));
    apart += x;
    sg_joint_free(j);
  }
  assert_true(fabs(both - apart) > 1e-6);
  size_t n = 0;
  for (size_t s = 0; s < T; s++) each[s] = (sgi_feature_edit){0, a, (ptrdiff_t)s, 0.5};
  float everywhere = logit_of(g, &all, 1, &one), one_by_one = logit_of(g, each, T, met);
  assert_memory_equal(&everywhere, &one_by_one, sizeof everywhere);
  for (size_t s = 0; s < T; s++) n += met[s];
  assert_int_equal(n, one);
  all.scale = 1;
  float same = logit_of(g, &all, 1, &one), plain = logit_of(g, NULL, 0, &one);
  assert_memory_equal(&same, &plain, sizeof same);
  while (sgi_net_h(&g->net, 0, T - 1, a) != 0) a++;
  each[0] = (sgi_feature_edit){0, a, T - 1, 5};
  logit_of(g, each, 1, &one);
  assert_int_equal(one, 0);
}

static void what_is_refused(void **state) {
  game *g = *state;
  sg_attribute_request q = {.tokens = g->tokens, .count = T, .position = -1, .target = 7, .against = -1};
  sg_graph_request r = {.tokens = g->tokens, .count = T, .position = -1};
  sgi_sparse_set less = g->set, other = g->set;
  sgi_feature_edit e = {1, M, 0, 0};
  float logits[V];
  size_t met;
  sg_joint *j;
  sg_graph *x;
  sg_error why = {0};
  less.n = 2;
  assert_int_equal(sgi_feature_graph(g->model, &less, &r, &x, &why), SG_ERR_ARG);
  assert_non_null(strstr(why.text, "no transcoder of layer 2"));
  other.site = SGI_PLACE_RESID_POST;
  assert_int_equal(sgi_feature_graph(g->model, &other, &r, &x, &why), SG_ERR_UNSUPPORTED);
  assert_non_null(strstr(why.text, "SAEs of resid_post"));
  assert_int_equal(sgi_features_joint(g->model, &g->set, &q, &e, 1, &j, &why), SG_ERR_ARG);
  assert_non_null(strstr(why.text, "features 0 to 39"));
  e = (sgi_feature_edit){1, 3, T, 0};
  assert_int_equal(sgi_features_steer(g->model, &g->set, g->tokens, T, 0, &e, 1, logits, &met, &why), SG_ERR_ARG);
  assert_non_null(strstr(why.text, "position 12"));
  e = (sgi_feature_edit){1, 3, 0, NAN};
  assert_int_equal(sgi_features_steer(g->model, &g->set, g->tokens, T, 0, &e, 1, logits, &met, &why), SG_ERR_ARG);
  assert_non_null(strstr(why.text, "scaled by nan"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(edges_add_up), cmocka_unit_test(direct_terms),    cmocka_unit_test(one_taken_away),
      cmocka_unit_test(several),      cmocka_unit_test(what_is_refused),
  };
  return cmocka_run_group_tests_name("features that stand for layers", tests, begin, end);
}
