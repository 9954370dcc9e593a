/* Singular directions against vectors of a second computation in double
 * (tests/golden/comparison/svd): values, directions up to sign, tokens; and of every kind's
 * matrices that they are what they decompose. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "compare/svd.h"
#include "core/arena.h"
#include "support/near.h"
#include "support/prompts.h"

#define HERE "tests/golden/comparison/"

static double bound(const char *what, const char *measure) {
  static json_t *all;
  if (!all) all = golden_json(HERE "tolerances.json");
  return json_number_value(json_object_get(json_object_get(json_object_get(all, "svd"), what), measure));
}

typedef struct game {
  sg_model *m;
  sgi_safetensors *file;
  sgi_svd_words words;
  size_t tokens; /* at each end in the file */
} game;

static const sgi_tensor *tensor(const game *g, const char *name, const char *part) {
  char full[80];
  snprintf(full, sizeof full, "%s.%s", name, part);
  const sgi_tensor *t = sgi_safetensors_find(g->file, full);
  if (!t) fail_msg("no tensor %s", full);
  return t;
}

static double dot(const double *a, const double *b, size_t n) {
  double s = 0;
  for (size_t i = 0; i < n; i++) s += a[i] * b[i];
  return s;
}

static double at(const sgi_tensor *t, size_t i) { return ((const double *)t->data)[i]; }

/* Columns of the file against directions, turned as a whole with the first side. */
static double sign_of(const sgi_tensor *t, const double *direction, size_t j) {
  double s = 0;
  for (size_t i = 0; i < t->dims[0]; i++) s += at(t, i * t->dims[1] + j) * direction[i];
  return s < 0 ? -1 : 1;
}

static void directions(const char *name, const sgi_tensor *t, const double *got, const double *sign) {
  double worst = 0;
  for (size_t j = 0; j < t->dims[1]; j++)
    for (size_t i = 0; i < t->dims[0]; i++)
      worst = worse(worst, fabs(sign[j] * got[j * t->dims[0] + i] - at(t, i * t->dims[1] + j)));
  near(name, worst, 0, bound("left, right up to sign", "abs"));
}

static void tokens(const game *g, const char *name, const char *part, sgi_svd_side side, const double *direction,
                   const double *sign) {
  const sgi_tensor *t = tensor(g, name, part);
  double *scores = sgi_alloc(g->words.V * sizeof *scores);
  size_t D = g->words.D, n = t->dims[3];
  for (size_t j = 0; j < t->dims[0]; j++)
    for (size_t cosine = 0; cosine < 2; cosine++)
      for (size_t smallest = 0; smallest < 2; smallest++) {
        int32_t ids[16];
        const int32_t *want = (const int32_t *)t->data + ((j * 2 + cosine) * 2 + smallest) * n;
        sgi_svd_scores(&g->words, side, cosine, direction + j * D, scores);
        assert_int_equal(sgi_svd_nearest(scores, NULL, g->words.V, (sign[j] < 0) != smallest, n, ids), n);
        for (size_t i = 0; i < n; i++)
          if (ids[i] != want[i])
            fail_msg("%s.%s direction %zu cosine %zu end %zu: token %zu is %d, expected %d", name, part, j, cosine,
                     smallest, i, ids[i], want[i]);
      }
  sgi_free(scores);
}

static void compare(const game *g, const char *name, const sgi_svd_which *w) {
  sgi_svd *s;
  assert_sg_ok(sgi_svd_make(g->m, w, &s, err));
  /* The side of neurons or tokens is not in the file: every_kind looks at it. */
  const sgi_tensor *values = tensor(g, name, "values"),
                   *left = s->on_left <= SGI_SVD_WRITTEN ? tensor(g, name, "left") : NULL,
                   *right = s->on_right <= SGI_SVD_WRITTEN ? tensor(g, name, "right") : NULL;
  double sign[64];
  assert_int_equal(s->n, values->dims[0]);
  if (left) assert_int_equal(s->rows, left->dims[0]);
  if (right) assert_int_equal(s->columns, right->dims[0]);
  for (size_t j = 0; j < s->n; j++) {
    near(name, s->values[j] / s->values[0], at(values, j) / at(values, 0), bound("values", "of_max"));
    sign[j] = left ? sign_of(left, s->left + j * s->rows, j) : sign_of(right, s->right + j * s->columns, j);
  }
  near(name, s->values[0] / at(values, 0), 1, bound("values", "of_max"));
  near(name, s->frobenius2 / at(tensor(g, name, "frobenius2"), 0), 1, bound("frobenius2", "rel"));
  if (left) directions(name, left, s->left, sign);
  if (right) directions(name, right, s->right, sign);
  if (left) tokens(g, name, "left_tokens", s->on_left, s->left, sign);
  if (right) tokens(g, name, "right_tokens", s->on_right, s->right, sign);
  sgi_svd_free(s);
}

static void vectors(void **state) {
  (void)state;
  game g = {0};
  char name[80];
  assert_sg_ok(sg_model_load(HERE "model_mlp", &g.m, err));
  assert_sg_ok(sgi_safetensors_open(HERE "svd/expected.safetensors", &g.file, err));
  assert_sg_ok(sgi_svd_words_make(g.m, &g.words, err));
  for (size_t l = 0; l < g.m->config.num_layers; l++) {
    for (size_t h = 0; h < g.m->config.num_heads; h++) {
      for (size_t k = 0; k < 2; k++) {
        snprintf(name, sizeof name, "qk.%zu.%zu.%zu", l, h, k);
        compare(&g, name, &(sgi_svd_which){.matrix = SGI_SVD_QK, .layer = l, .head = h, .distance = k});
      }
      snprintf(name, sizeof name, "ov.%zu.%zu", l, h);
      compare(&g, name, &(sgi_svd_which){.matrix = SGI_SVD_OV, .layer = l, .head = h});
    }
    snprintf(name, sizeof name, "mlp_in.%zu", l);
    compare(&g, name, &(sgi_svd_which){.matrix = SGI_SVD_MLP_IN, .layer = l, .channel = -1});
    snprintf(name, sizeof name, "mlp_out.%zu", l);
    compare(&g, name, &(sgi_svd_which){.matrix = SGI_SVD_MLP_OUT, .layer = l, .channel = -1});
  }
  compare(&g, "embedding", &(sgi_svd_which){.matrix = SGI_SVD_EMBEDDING});
  compare(&g, "embedding_centred", &(sgi_svd_which){.matrix = SGI_SVD_CENTRED});
  sgi_svd_words_deinit(&g.words);
  sgi_safetensors_close(g.file);
  sg_model_free(g.m);
}

/* ---- every kind ------------------------------------------------------------------------------ */

static void check_orthonormal(const char *name, const double *x, size_t n, size_t width) {
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j <= i; j++) near(name, dot(x + i * width, x + j * width, width), i == j, 1e-10);
}

/* Row r of a layer's neurons as the pass holds them. */
static double unit_entry(const sg_model *m, const sgi_svd *s, size_t r, size_t d) {
  const sgi_sublayer *f = sgi_feedforward_of(m, s->which.layer);
  sgi_unit u;
  assert_true(
      f->ffn->unit_at(f->config, f->weight + SGI_T_OWN, s->unit[r] / s->per_channel, s->unit[r] % s->per_channel, &u));
  if (s->which.matrix == SGI_SVD_MLP_OUT) return (double)sgi_slice_at(&u.out, d);
  return (double)sgi_slice_at(&u.in, d) * (double)f->w[SGI_T_NORM][d];
}

static void check_rows(const sg_model *m, const char *name, size_t layer, sgi_svd_matrix matrix, size_t draw) {
  sgi_svd *s;
  const sgi_svd_which w = {.matrix = matrix, .layer = layer, .channel = -1, .draw = draw, .seed = 3};
  assert_sg_ok(sgi_svd_make(m, &w, &s, err));
  bool in = matrix == SGI_SVD_MLP_IN;
  size_t D = m->config.hidden_size, N = in ? s->columns : s->rows;
  const double *wide = in ? s->right : s->left, *deep = in ? s->left : s->right;
  if (draw) assert_int_equal(N, draw);
  check_orthonormal(name, wide, s->n, N);
  check_orthonormal(name, deep, s->n, D);
  for (size_t r = 0; r < N; r++)
    for (size_t d = 0; d < D; d++) {
      double x = 0;
      for (size_t j = 0; j < s->n; j++) x += s->values[j] * wide[j * N + r] * deep[j * D + d];
      near(name, x, unit_entry(m, s, r, d), 1e-10 * s->values[0]);
    }
  sgi_svd_free(s);
}

static void kinds(const sg_model *m, const char *name, ref_random *r) {
  (void)r;
  for (size_t l = 0; l < m->config.num_layers; l++) {
    size_t channels, per;
    sg_error err = {0};
    if (!sgi_feedforward_of(m, l) || sgi_svd_pool(m, l, &channels, &per, &err)) continue;
    if (channels * per * m->config.hidden_size > 1 << 15) continue; /* large pools are made like small ones */
    check_rows(m, name, l, SGI_SVD_MLP_IN, 0);
    check_rows(m, name, l, SGI_SVD_MLP_OUT, 0);
    if (channels * per > 5) check_rows(m, name, l, SGI_SVD_MLP_IN, 5);
  }
}

static void every_kind(void **state) {
  (void)state;
  assert_true(each_model(kinds) > 5);
}

static void rotations(void **state) {
  (void)state;
  enum { N = 9 };
  double q[N * N], sum[N * N] = {0};
  for (size_t k = 0; k < 400; k++) {
    assert_sg_ok(sgi_svd_rotation(5, k, N, q, err));
    check_orthonormal("rotation", q, N, N);
    for (size_t i = 0; i < N * N; i++) sum[i] += q[i] / 400;
  }
  for (size_t i = 0; i < N * N; i++) near("mean of uniform rotations", sum[i], 0, 4 / sqrt(400.0 * N));
}

static void refusals(void **state) {
  (void)state;
  sg_model *m;
  sgi_svd *s;
  assert_sg_ok(sg_model_load(HERE "model_mlp", &m, err));
  const struct {
    sgi_svd_which w;
    const char *says;
  } bad[] = {{{.matrix = SGI_SVD_QK, .layer = 3}, "layers 0 to 2"},
             {{.matrix = SGI_SVD_OV, .layer = 1, .head = 3}, "heads 0 to 2"},
             {{.matrix = SGI_SVD_MLP_IN, .layer = 1, .channel = 1}, "channels 0 to 0"},
             {{.matrix = SGI_SVD_MLP_OUT, .layer = 7, .channel = -1}, "layer"}};
  for (size_t i = 0; i < SGI_COUNT(bad); i++) {
    sg_error err = {0};
    assert_int_equal(sgi_svd_make(m, &bad[i].w, &s, &err), SG_ERR_ARG);
    if (!strstr(err.text, bad[i].says)) fail_msg("%s", err.text);
  }
  assert_sg_ok(sgi_model_own(m, err));
  ((float *)(uintptr_t)m->w[SGI_ROW_EMBED])[5] = NAN;
  sg_error err = {0};
  assert_int_equal(sgi_svd_make(m, &(sgi_svd_which){.matrix = SGI_SVD_EMBEDDING}, &s, &err), SG_ERR_NUMERIC);
  assert_non_null(strstr(err.text, "NaN"));
  sg_model_free(m);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(vectors), cmocka_unit_test(every_kind),
                                     cmocka_unit_test(rotations), cmocka_unit_test(refusals)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
