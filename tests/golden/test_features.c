/* Circuits of transcoder features against vectors of a second computation in double
 * (tests/golden/comparison/circuit): every direct term, parts behind heads, total effects,
 * invariant weights, de-embeddings, and greedy paths node by node. */
#include <math.h>
#include <string.h>

#include "compare/feature_paths.h"
#include "model/model.h"
#include "support/near.h"
#include "support/transcoders.h"

#define HERE "tests/golden/comparison/"

enum { L = 3, T = 12, D = 24, M = 40, H = 3, V = 61 };

typedef struct game {
  sgi_safetensors *file;
  json_t *json;
  sg_model *model;
  sgi_sparse_set set;
  sgi_feature_net net;
} game;

static double number(const sgi_tensor *t, size_t i) {
  return t->dtype == SGI_F64 ? ((const double *)t->data)[i] : (double)((const float *)t->data)[i];
}

static const sgi_tensor *tensor(const game *g, const char *name) {
  const sgi_tensor *t = sgi_safetensors_find(g->file, name);
  if (!t) fail_msg("no tensor %s", name);
  return t;
}

static double bound(const char *what, const char *measure) {
  static json_t *all;
  if (!all) all = golden_json(HERE "tolerances.json");
  return json_number_value(json_object_get(json_object_get(json_object_get(all, "circuit"), what), measure));
}

static int begin(void **state) {
  game *g = calloc(1, sizeof *g);
  *state = g;
  assert_sg_ok(sgi_safetensors_open(HERE "circuit/expected.safetensors", &g->file, err));
  g->json = golden_json(HERE "circuit/case.json");
  assert_sg_ok(sg_model_load(HERE "model_mlp", &g->model, err));
  g->set = golden_transcoders(M);
  assert_sg_ok(sgi_feature_net_init(&g->net, g->model, &g->set, tensor(g, "ids")->data, T, 0, err));
  return 0;
}

static int end(void **state) {
  game *g = *state;
  sgi_feature_net_deinit(&g->net);
  sgi_safetensors_close(g->file);
  json_decref(g->json);
  sgi_free(g->set.memory);
  sgi_free(g->set.at);
  sg_model_free(g->model);
  free(g);
  return 0;
}

static void list(const game *g, const char *name, const double *got, size_t n, double of) {
  const sgi_tensor *t = tensor(g, name);
  double worst = 0, largest = 0;
  assert_int_equal(t->count, n);
  for (size_t i = 0; i < n; i++) {
    worst = worse(worst, fabs(got[i] - number(t, i)));
    largest = fmax(largest, fabs(number(t, i)));
  }
  near(name, worst, 0, of < 0 ? -of * largest : of);
}

static void features(void **state) {
  const game *g = *state;
  for (size_t l = 0; l < L; l++) {
    char name[40];
    double error[T * D];
    snprintf(name, sizeof name, "%zu.pre", l);
    list(g, name, g->net.pre + l * T * M, T * M, bound("{l}.pre, error", "abs"));
    for (size_t i = 0; i < T * D; i++) error[i] = (double)g->net.error[l * T * D + i];
    snprintf(name, sizeof name, "%zu.error", l);
    list(g, name, error, T * D, bound("{l}.pre, error", "abs"));
  }
}

static sgi_feature_target target_of(const game *g, size_t k) {
  const json_t *o = json_array_get(json_object_get(g->json, "targets"), k);
  sgi_feature_target t = {.logit = !strcmp(json_string_value(json_object_get(o, "kind")), "logit"),
                          .position = (size_t)json_integer_value(json_object_get(o, "position")),
                          .layer = (size_t)json_integer_value(json_object_get(o, "layer")),
                          .feature = (size_t)json_integer_value(json_object_get(o, "feature")),
                          .token = (int32_t)json_integer_value(json_object_get(o, "target")),
                          .against = (int32_t)json_integer_value(json_object_get(o, "against"))};
  return t;
}

static void one(const game *g, size_t k, const char *what, double got) {
  char name[40];
  snprintf(name, sizeof name, "t%zu.%s", k, what);
  near(name, got, number(tensor(g, name), 0), bound("t*", "abs"));
}

static void many(const game *g, size_t k, const char *what, const double *got, size_t n) {
  char name[40];
  snprintf(name, sizeof name, "t%zu.%s", k, what);
  list(g, name, got, n, bound("t*", "abs"));
}

static void terms(void **state) {
  game *g = *state;
  for (size_t k = 0; k < 5; k++) {
    static double f[L * M], heads[L * H * T], b_d[L], error[L], head_parts[L * H * T * 5], by_head[L * H * L * T * M];
    double u[D], value, own;
    sgi_net_stream at;
    sgi_feature_target t = target_of(g, k);
    assert_sg_ok(sgi_feature_target_find(&g->net, &t, u, &at, &value, &own, err));
    sgi_net_terms x = {.features = f, .heads = heads, .b_d = b_d, .error = error};
    sgi_net_terms_of(&g->net, u, &at, &x);
    one(g, k, "value", value);
    one(g, k, "own_bias", own);
    one(g, k, "embedding", x.embedding);
    many(g, k, "features", f, at.ffn * M);
    many(g, k, "b_d", b_d, at.ffn);
    many(g, k, "error", error, at.ffn);
    many(g, k, "heads", heads, L * H * T);
    near("residue", x.sum + own, value, 1e-5 * x.sum_abs);
    float on[V];
    double deembedding[V];
    sgi_net_on_embedding(g->model, u, on);
    for (size_t i = 0; i < V; i++) deembedding[i] = (double)on[i];
    many(g, k, "deembedding", deembedding, V);
    /* Behind each head. */
    memset(head_parts, 0, sizeof head_parts);
    memset(by_head, 0, sizeof by_head);
    for (size_t l = 0; l < at.attention; l++)
      for (size_t h = 0; h < H; h++)
        for (size_t s = 0; s <= at.position; s++) {
          static double pf[L * M], ph[L * H * T], pb[L], pe[L];
          double pulled[D], *out = head_parts + ((l * H + h) * T + s) * 5;
          sgi_net_terms p = {.features = pf, .heads = ph, .b_d = pb, .error = pe};
          sgi_net_pull(&g->net, l, h, at.position, s, u, pulled);
          sgi_net_terms_of(&g->net, pulled, &(sgi_net_stream){l, l, s}, &p);
          near("a head is what lies behind it", p.sum, heads[(l * H + h) * T + s], 1e-5);
          out[0] = p.embedding;
          for (size_t below = 0; below < l; below++) {
            for (size_t i = 0; i < M; i++) {
              out[1] += pf[below * M + i];
              by_head[(((l * H + h) * L + below) * T + s) * M + i] = pf[below * M + i];
            }
            out[2] += pb[below];
            out[3] += pe[below];
          }
          for (size_t i = 0; i < L * H * T; i++) out[4] += ph[i];
        }
    many(g, k, "head_parts", head_parts, L * H * T * 5);
    if (k == 0) many(g, k, "features_by_head", by_head, L * H * L * T * M);
  }
}

static void totals(void **state) {
  game *g = *state;
  for (size_t k = 0; k < 5; k++) {
    double u[D], value, own, embedding[T], b_e[L], b_d[L], error[L * T];
    static double each[L * T * M];
    sgi_net_stream at;
    sgi_feature_target t = target_of(g, k);
    assert_sg_ok(sgi_feature_target_find(&g->net, &t, u, &at, &value, &own, err));
    sgi_net_totals x = {embedding, b_e, b_d, error, each};
    assert_sg_ok(sgi_net_totals_of(&g->net, u, &at, &x, err));
    many(g, k, "total.embedding", embedding, T);
    many(g, k, "total.b_e", b_e, L);
    many(g, k, "total.b_d", b_d, L);
    many(g, k, "total.error", error, L * T);
    double sum = own;
    for (size_t i = 0; i < T; i++) sum += embedding[i];
    for (size_t l = 0; l < L; l++) sum += b_e[l] + b_d[l];
    for (size_t i = 0; i < L * T; i++) sum += error[i];
    near("sum of total effects", sum, value, 3e-5);
  }
}

static void invariants(void **state) {
  const game *g = *state;
  for (ptrdiff_t layer = -1; layer < L; layer++) {
    if (layer == 0) continue;
    for (size_t h = 0; h < (layer < 0 ? 1 : H); h++) {
      double got[M * M], w[M];
      char name[60];
      for (size_t j = 0; j < M; j++) {
        assert_sg_ok(sgi_net_invariant(g->model, &g->set, 0, 2, j, layer, h, w, err));
        for (size_t i = 0; i < M; i++) got[i * M + j] = w[i];
      }
      if (layer < 0)
        snprintf(name, sizeof name, "invariant.0.2.direct");
      else
        snprintf(name, sizeof name, "invariant.0.2.head.%td.%zu", layer, h);
      list(g, name, got, M * M, -bound("invariant.*, deembedding", "of_max"));
    }
  }
  double w[M];
  sg_error why = {0};
  assert_int_equal(sgi_net_invariant(g->model, &g->set, 2, 1, 0, -1, 0, w, &why), SG_ERR_ARG);
  assert_int_equal(sgi_net_invariant(g->model, &g->set, 0, 2, M, -1, 0, w, &why), SG_ERR_ARG);
}

static void node_near(const sgi_path_node *got, const json_t *want) {
  static const char *const kinds[] = {"target", "feature", "head", "embedding"};
  const char *kind = json_string_value(json_object_get(want, "kind"));
  if (got->kind != SGI_PATH_TARGET) assert_string_equal(kinds[got->kind], kind);
  if (!strcmp(kind, "logit")) return;
  assert_int_equal(got->layer, json_integer_value(json_object_get(want, "layer")));
  assert_int_equal(got->position, json_integer_value(json_object_get(want, "position")));
  if (json_object_get(want, "feature"))
    assert_int_equal(got->feature, json_integer_value(json_object_get(want, "feature")));
  if (json_object_get(want, "head")) assert_int_equal(got->head, json_integer_value(json_object_get(want, "head")));
  if (json_object_get(want, "contribution"))
    near("contribution", got->contribution, json_number_value(json_object_get(want, "contribution")), 3e-5);
}

static void paths(void **state) {
  game *g = *state;
  static const char *const orders[] = {"absolute", "positive"};
  for (size_t k = 0; k < 5; k++)
    for (int order = 0; order < 2; order++) {
      double u[D], value, own;
      sgi_net_stream at;
      sgi_paths p;
      sgi_feature_target t = target_of(g, k);
      const json_t *want = json_object_get(json_array_get(json_object_get(g->json, "paths"), k), orders[order]);
      assert_sg_ok(sgi_feature_target_find(&g->net, &t, u, &at, &value, &own, err));
      assert_sg_ok(sgi_paths_find(&g->net, &t, u, &at, value, own, 3, 5, (sgi_path_order)order, order == 1, &p, err));
      for (size_t depth = 0; depth < 3; depth++) {
        const json_t *best = json_array_get(want, depth);
        assert_int_equal(p.count[depth], json_array_size(best));
        for (size_t b = 0; b < p.count[depth]; b++) {
          const json_t *path = json_array_get(best, b);
          ptrdiff_t at_node = (ptrdiff_t)p.last[depth * 5 + b];
          for (size_t i = json_array_size(path); i-- > 0; at_node = p.nodes[at_node].parent) {
            assert_true(at_node >= 0);
            node_near(&p.nodes[at_node], json_array_get(path, i));
          }
          assert_int_equal(at_node, -1);
        }
      }
      /* What comes into a node adds up, followed or not. */
      for (size_t i = 0; i < p.n_nodes; i++) {
        double in = p.bias[i] + p.error[i] + p.rest[i];
        if (!p.expanded[i]) continue;
        for (size_t c = 0; c < p.n_nodes; c++) in += p.nodes[c].parent == (ptrdiff_t)i ? p.nodes[c].contribution : 0;
        near("a node's inputs", in, p.nodes[i].contribution, 3e-5);
      }
      sgi_paths_deinit(&p);
    }
}

/* A prompt of one token; a layer without transcoder; an SAE's set. */
static void edges(void **state) {
  game *g = *state;
  sgi_feature_net n;
  double u[D], value, own;
  sgi_net_stream at;
  sg_error why = {0};
  int32_t bos = 1;
  assert_sg_ok(sgi_feature_net_init(&n, g->model, &g->set, &bos, 1, 0, err));
  sgi_feature_target t = {.logit = true, .token = -1, .against = -1};
  assert_sg_ok(sgi_feature_target_find(&n, &t, u, &at, &value, &own, err));
  static double heads[L * H], f[L * M], b[L], e[L];
  sgi_net_terms x = {.features = f, .heads = heads, .b_d = b, .error = e};
  sgi_net_terms_of(&n, u, &at, &x);
  near("one token", x.sum, value, 1e-4);
  t = (sgi_feature_target){.layer = 1, .feature = M, .position = 0};
  assert_int_equal(sgi_feature_target_find(&n, &t, u, &at, &value, &own, &why), SG_ERR_ARG);
  sgi_feature_net_deinit(&n);
  sgi_sparse_set two = g->set;
  two.n = 2;
  two.at = g->set.at + 1;
  assert_sg_ok(sgi_feature_net_init(&n, g->model, &two, &bos, 1, 0, err));
  t = (sgi_feature_target){.layer = 2, .feature = 1};
  assert_int_equal(sgi_feature_target_find(&n, &t, u, &at, &value, &own, &why), SG_ERR_ARG);
  assert_non_null(strstr(why.text, "no transcoder of layer 0"));
  sgi_feature_net_deinit(&n);
  two.site = SGI_PLACE_MLP_OUT;
  assert_int_equal(sgi_feature_net_init(&n, g->model, &two, &bos, 1, 0, &why), SG_ERR_UNSUPPORTED);
  sgi_feature_net_deinit(&n);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(features),   cmocka_unit_test(terms), cmocka_unit_test(totals),
                                     cmocka_unit_test(invariants), cmocka_unit_test(paths), cmocka_unit_test(edges)};
  return cmocka_run_group_tests(tests, begin, end);
}
