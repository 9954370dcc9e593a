/* Every stage of the map against the reference stages, the picture by its trustworthiness, and the
 * same bits for any number of threads. */
#include "support/golden.h"
#include "support/near.h"

#include <math.h>
#include <omp.h>
#include <string.h>

#include "core/arena.h"
#include "read/umap.h"

static sgi_safetensors *file;
static json_t *facts;
static sgi_vectors data;
static sgi_knn knn;
static double *rho, *sigma;
static size_t n;

static const sgi_tensor *get(const char *name) {
  const sgi_tensor *t = sgi_safetensors_find(file, name);
  if (!t) fail_msg("%s is missing", name);
  return t;
}

static int set_up(void **state) {
  (void)state;
  assert_sg_ok(sgi_safetensors_open("tests/golden/umap/clusters5.safetensors", &file, err));
  facts = golden_json("tests/golden/umap/clusters5.json");
  const sgi_tensor *x = get("x");
  n = x->dims[0];
  assert_sg_ok(sgi_vectors_dense(x->data, n, x->dims[1], &data, err));
  assert_sg_ok(sgi_knn_exact(&data, 15, &knn, err));
  rho = sgi_alloc(n * sizeof *rho);
  sigma = sgi_alloc(n * sizeof *sigma);
  sgi_umap_scales(&knn, rho, sigma);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  sgi_free(rho);
  sgi_free(sigma);
  sgi_knn_free(&knn);
  sgi_vectors_free(&data);
  json_decref(facts);
  sgi_safetensors_close(file);
  return 0;
}

static void neighbours(void **state) {
  (void)state;
  const sgi_tensor *index = get("knn_indices"), *distance = get("knn_dists");
  assert_int_equal(index->count, n * 15);
  for (size_t i = 0; i < n * 15; i++) {
    assert_int_equal(knn.index[i], ((const int32_t *)index->data)[i]);
    near("knn.distance[i]", knn.distance[i], ((const double *)distance->data)[i], 1e-6);
  }
}

static void scales(void **state) {
  (void)state;
  const double *r = get("ref.rhos")->data, *s = get("ref.sigmas")->data, *m = get("ref.membership")->data;
  const float *ur = get("umap.rhos")->data, *us = get("umap.sigmas")->data;
  for (size_t i = 0; i < n; i++) {
    near("rho[i]", rho[i], r[i], 1e-6), near("rho[i]", rho[i], (double)ur[i], 1e-6);
    near("sigma[i] / s[i]", sigma[i] / s[i], 1, 1e-6);
    near("sigma[i] / us[i]", sigma[i] / (double)us[i], 1, 1e-4);
    for (size_t j = 0; j < 15; j++)
      near("sgi_umap_membership(&knn, rho, sigma, i, j)", sgi_umap_membership(&knn, rho, sigma, i, j), m[i * 15 + j],
           2e-5);
  }
}

static void graph_is(const sgi_umap_graph *g) {
  const sgi_tensor *row = get("umap.graph.row");
  const int32_t *col = get("umap.graph.col")->data;
  const float *uv = get("umap.graph.val")->data;
  const double *rv = get("ref.graph.val")->data;
  assert_int_equal(g->start[n], row->count);
  for (size_t i = 0; i < n; i++)
    for (size_t e = g->start[i]; e < g->start[i + 1]; e++) {
      assert_int_equal(((const int32_t *)row->data)[e], i);
      assert_int_equal(col[e], g->column[e]);
      near("g->weight[e]", g->weight[e], (double)uv[e], 2e-5), near("g->weight[e]", g->weight[e], rv[e], 2e-5);
    }
}

static void graph(void **state) {
  (void)state;
  sgi_umap_graph g;
  assert_sg_ok(sgi_umap_graph_make(&knn, rho, sigma, &g, err));
  graph_is(&g);
  sgi_umap_graph_free(&g);
}

static void curve(void **state) {
  (void)state;
  const double *u = get("umap.ab")->data, *r = get("ref.ab")->data;
  double a, b;
  sgi_umap_curve(0.1, 1, &a, &b);
  near("a", a, u[0], 1e-5), near("b", b, u[1], 1e-5);
  near("a", a, r[0], 1e-5), near("b", b, r[1], 1e-5);
}

static void trust_function(void **state) {
  (void)state;
  static const char *const names[] = {"umap.embedding", "umap.full_embedding"};
  const json_t *all = json_object_get(facts, "trustworthiness");
  for (size_t i = 0; i < 2; i++)
    for (size_t k = 5; k <= 15; k += 10) {
      const json_t *t = json_object_get(json_object_get(all, names[i]), k == 5 ? "k5" : "k15");
      double low, high, want = json_real_value(json_object_get(t, "min"));
      assert_true(want > 0.5);
      assert_sg_ok(sgi_trustworthiness(&data, get(names[i])->data, k, &low, &high, err));
      near("low", low, want, 1e-9), near("high", high, want, 1e-9);
    }
}

/* By hand: points on a line in the picture; in the data 0 and 1 agree, 2 and 3 share nothing with
 * anyone, so both are at distance 1 and tie. */
static void trust_with_ties(void **state) {
  (void)state;
  const float x[6][5] = {{1, 0, 0, 0, 0}, {1, 0, 0, 0, 0}, {0, 1, 0, 0, 0},
                         {0, 0, 1, 0, 0}, {0, 0, 0, 1, 0}, {0, 0, 0, 0, 1}};
  const float xy[6][2] = {{0, 0}, {1, 0}, {2.5f, 0}, {4.5f, 0}, {7, 0}, {10, 0}};
  sgi_vectors v;
  double low, high;
  assert_sg_ok(sgi_vectors_dense(&x[0][0], 6, 5, &v, err));
  assert_sg_ok(sgi_trustworthiness(&v, &xy[0][0], 1, &low, &high, err));
  /* near: 0-1 and 1-0 of rank 1; 2-1, 3-2, 4-3, 5-4 each tie with all five others: rank 1 to 5 */
  near("high", high, 1, 1e-12);
  near("low", low, (1 - 2.0 / (6 * (12 - 3 - 1)) * 16), 1e-12);
  sgi_vectors_free(&v);
}

static void picture(void **state) {
  (void)state;
  sgi_umap_settings s = SGI_UMAP_DEFAULTS;
  double mean = 0;
  for (s.seed = 0; s.seed < 3; s.seed++) {
    double low, high, share;
    float *xy = sgi_alloc(2 * n * sizeof *xy);
    assert_sg_ok(sgi_umap(&data, &s, xy, NULL, NULL, err));
    assert_sg_ok(sgi_trustworthiness(&data, xy, 15, &low, &high, err));
    assert_sg_ok(sgi_label_share(get("labels")->data, xy, n, 14, &share, err));
    print_message("seed %d: trustworthiness %.4f to %.4f, share of own label %.4f\n", (int)s.seed, low, high, share);
    assert_true(low >= 0.965);
    assert_true(share >= 0.98);
    mean += low / 3;
    sgi_free(xy);
  }
  /* Not below the runs of umap-learn with other seeds. */
  const json_t *range = json_object_get(json_object_get(facts, "trustworthiness_range_of_other_runs"), "spectral");
  assert_true(mean >= json_real_value(json_array_get(range, 0)));
}

static void same_bits(void **state) {
  (void)state;
  sgi_umap_settings s = SGI_UMAP_DEFAULTS;
  float *xy[3];
  int before = omp_get_max_threads();
  s.epochs = 50;
  for (int t = 0; t < 3; t++) {
    omp_set_num_threads(t + 1);
    xy[t] = sgi_alloc(2 * n * sizeof **xy);
    assert_sg_ok(sgi_umap(&data, &s, xy[t], NULL, NULL, err));
  }
  omp_set_num_threads(before);
  assert_memory_equal(xy[0], xy[1], 2 * n * sizeof **xy);
  assert_memory_equal(xy[0], xy[2], 2 * n * sizeof **xy);
  for (int t = 0; t < 3; t++) sgi_free(xy[t]);
}

/* Equal points, parts without a link, zero vectors: a picture comes out, with finite places. */
static void odd_data(void **state) {
  (void)state;
  enum { N = 60 };
  float x[N][6] = {{0}}, xy[N][2];
  for (size_t i = 0; i < N; i++) {
    if (i < 20)
      x[i][0] = 1; /* all equal */
    else if (i < 40)
      x[i][1] = 1, x[i][2] = (float)i;
    else if (i < 55)
      x[i][3] = -1, x[i][4] = (float)(i - 50);
  }
  sgi_vectors v;
  sgi_umap_settings s = SGI_UMAP_DEFAULTS;
  assert_sg_ok(sgi_vectors_dense(&x[0][0], N, 6, &v, err));
  assert_sg_ok(sgi_umap(&v, &s, &xy[0][0], NULL, NULL, err));
  for (size_t i = 0; i < N; i++) assert_true(isfinite(xy[i][0]) && isfinite(xy[i][1]));
  s.neighbors = N + 1;
  assert_int_equal(sgi_umap(&v, &s, &xy[0][0], NULL, NULL, NULL), SG_ERR_ARG);
  sgi_vectors_free(&v);
}

static void memory_runs_out(void **state) {
  (void)state;
  sgi_umap_settings s = SGI_UMAP_DEFAULTS;
  float *xy = sgi_alloc(2 * n * sizeof *xy);
  size_t at = 1;
  s.epochs = 1;
  for (;; at++) {
    double low, high;
    sgi_alloc_fail_at(at, false);
    sg_status st = sgi_umap(&data, &s, xy, NULL, NULL, NULL);
    if (!st) st = sgi_trustworthiness(&data, xy, 15, &low, &high, NULL);
    sgi_alloc_fail_at(0, false);
    if (!st) break;
    assert_int_equal(st, SG_ERR_MEMORY);
  }
  assert_true(at > 20);
  sgi_free(xy);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(neighbours),      cmocka_unit_test(scales),         cmocka_unit_test(graph),
      cmocka_unit_test(curve),           cmocka_unit_test(trust_function), cmocka_unit_test(trust_with_ties),
      cmocka_unit_test(picture),         cmocka_unit_test(same_bits),      cmocka_unit_test(odd_data),
      cmocka_unit_test(memory_runs_out),
  };
  return cmocka_run_group_tests_name("umap", tests, set_up, tear_down);
}
