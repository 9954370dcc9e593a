/* What singular directions are scored with: pairs of tokens counted one by one, areas under a curve
 * by all pairs, a subspace that is known to read and one that is known not to, and directions of
 * previous tokens against the same made by hand. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "compare/npmi.h"
#include "compare/previous.h"
#include "compare/svd_score.h"
#include "core/arena.h"
#include "core/rng.h"
#include "model/pass.h"
#include "support/failing.h"
#include "support/near.h"
#include "support/prompts.h"
#include "support/small.h"

enum { DOCUMENTS = 60, LENGTH = 30, VOCAB = 64, GROUP = 12 };

typedef struct text {
  int32_t ids[DOCUMENTS][LENGTH];
} text;

static const int32_t *document(const void *source, size_t i, size_t *n) {
  const text *t = source;
  *n = LENGTH - i % 7;
  return t->ids[i];
}

/* Documents speak of one of two groups of tokens, and now and then of any. */
static void write_text(text *t, uint64_t seed) {
  sgi_rng r = sgi_rng_make(seed, SGI_STREAM_SAMPLE, 1);
  for (size_t i = 0; i < DOCUMENTS; i++)
    for (size_t k = 0; k < LENGTH; k++)
      t->ids[i][k] = (int32_t)(sgi_rng_below(&r, 3) ? 4 + (i % 2) * GROUP + sgi_rng_below(&r, GROUP)
                                                    : 4 + sgi_rng_below(&r, VOCAB - 4));
}

static sgi_npmi_request request(const text *t, size_t window) {
  return (sgi_npmi_request){.documents = DOCUMENTS,
                            .document = document,
                            .source = t,
                            .vocab = VOCAB,
                            .window = window,
                            .max_bytes = 1 << 24};
}

static void pairs(void **state) {
  (void)state;
  text t;
  write_text(&t, 1);
  for (size_t window = 1; window < 40; window += 9) {
    const sgi_npmi_request q = request(&t, window);
    sgi_npmi *p;
    assert_sg_ok(sgi_npmi_make(&q, &p, err));
    double N = 0, both = 0, a = 0, b = 0;
    for (size_t i = 0; i < DOCUMENTS; i++)
      for (size_t x = 0; x < LENGTH - i % 7; x++)
        for (size_t y = x + 1; y < LENGTH - i % 7 && y - x <= window; y++) {
          int32_t u = t.ids[i][x], v = t.ids[i][y];
          N++;
          a += (u == 5) + (v == 5);
          b += (u == 9) + (v == 9);
          both += (u == 5 && v == 9) || (u == 9 && v == 5);
        }
    assert_int_equal(sgi_npmi_pairs(p), N);
    assert_int_equal(sgi_npmi_ends(p, 5), a);
    assert_int_equal(sgi_npmi_count(p, 9, 5), both);
    double e = a * b / (2 * N);
    near("npmi", sgi_npmi_of(p, 5, 9), log((both + 0.1) / (e + 0.1)) / -log((both + 0.1) / (N + 0.1)), 1e-12);
    near("npmi", sgi_npmi_of(p, 9, 5), sgi_npmi_of(p, 5, 9), 0);
    near("tokens that the text does not have", sgi_npmi_of(p, 0, 1), 0, 1e-12);
    sgi_npmi_free(p);
  }
}

static sg_status count_again(void *user, sg_error *err) {
  const sgi_npmi_request q = request(user, 5);
  sgi_npmi *p;
  sg_status st = sgi_npmi_make(&q, &p, err);
  if (!st) sgi_npmi_free(p);
  return st;
}

static bool no(void *user) {
  (void)user;
  return false;
}

static void refused_text(void **state) {
  (void)state;
  text t;
  write_text(&t, 1);
  sgi_npmi *p;
  sgi_npmi_request q = request(&t, 5);
  q.max_bytes = 1 << 12;
  assert_refused(sgi_npmi_make(&q, &p, err), SG_ERR_MEMORY, "--max-memory");
  q = request(&t, 5);
  q.go_on = no;
  assert_refused(sgi_npmi_make(&q, &p, err), SG_ERR_CANCELLED, "stopped");
  q = request(&t, 5);
  q.vocab = 9;
  assert_refused(sgi_npmi_make(&q, &p, err), SG_ERR_ARG, "vocabulary of 9");
  q = request(&t, 0);
  assert_refused(sgi_npmi_make(&q, &p, err), SG_ERR_ARG, "no two tokens");
  assert_true(allocations_fail(count_again, &t) > 2);
}

/* ---- scores ---------------------------------------------------------------------------------- */

/* A model whose embedding tells the two groups apart along its first direction, where told. */
static sg_model *planted(bool told) {
  sg_config c = small_config("mlp");
  sg_model *m;
  c.vocab_size = VOCAB;
  c.hidden_size = 64;
  c.head_dim = 8;
  c.num_heads = 2;
  c.num_layers = 1;
  c.num_neurons = 24;
  assert_sg_ok(sg_model_create(&c, 5, &m, err));
  sgi_rng r = sgi_rng_make(9, SGI_STREAM_SAMPLE, 2);
  float *e = (float *)(uintptr_t)m->w[SGI_ROW_EMBED];
  for (size_t t = 0; t < VOCAB; t++)
    for (size_t d = 0; d < 64; d++) {
      e[t * 64 + d] = (float)sgi_rng_normal(&r);
      if (told && d == 3 && t >= 4 && t < 4 + 2 * GROUP) e[t * 64 + d] += t < 4 + GROUP ? 6 : -6;
    }
  return m;
}

static sgi_svd_scores_all *scores_of(const sg_model *m, const sgi_npmi *p, const bool *skip,
                                     const uint64_t *categories) {
  const sgi_svd_score_request q = {
      .npmi = p, .categories = categories, .skip = skip, .nearest = 6, .rotations = 40, .draws = 2, .seed = 1};
  sgi_svd_scores_all *s;
  assert_sg_ok(sgi_svd_score(m, &q, &s, err));
  return s;
}

static const sgi_svd_scored *side_of(const sgi_svd_scores_all *s, const char *family) {
  for (size_t i = 0; i < s->n; i++)
    if (!strcmp(s->families[s->sides[i].family].name, family)) return &s->sides[i];
  fail_msg("no family %s", family);
  return NULL;
}

static void scores(void **state) {
  (void)state;
  text t;
  write_text(&t, 2);
  const sgi_npmi_request q = request(&t, 10);
  sgi_npmi *p;
  assert_sg_ok(sgi_npmi_make(&q, &p, err));
  bool skip[VOCAB] = {true, true, true, true};
  uint64_t categories[VOCAB] = {0};
  for (size_t k = 4; k < 4 + 2 * GROUP; k++) categories[k] = k < 4 + GROUP ? 1 : 2;
  for (int told = 0; told < 2; told++) {
    sg_model *m = planted(told);
    sgi_svd_scores_all *s = scores_of(m, p, skip, categories), *again = scores_of(m, p, skip, categories);
    const sgi_svd_scored *e = side_of(s, "embedding");
    double first = (0.5 * (e->score[0][0] + e->score[0][1]) - e->control[0]) / e->spread[0];
    double label = 0.5 * (e->score[1][0] + e->score[1][1]);
    if (told) {
      assert_true(first > 2 && first > 2 + s->families[e->family].of[0].z);
      near("all of a list share the planted category", label, 1, 0);
    } else {
      assert_true(first < 2 && fabs(e->z[0]) < 1 && e->above[0] > 0.02);
    }
    assert_int_equal(s->n, 2 * 2 + 2 * 2 + 1 + 1 + 2 + 2 + 1 + 1);
    for (size_t i = 0; i < s->n; i++) { /* the same bits for the same seed */
      assert_memory_equal(s->sides[i].score[0], again->sides[i].score[0], 2 * s->sides[i].n * sizeof(double));
      near("z", s->sides[i].z[1], again->sides[i].z[1], 0);
    }
    sgi_svd_scores_free(s);
    sgi_svd_scores_free(again);
    sg_model_free(m);
  }
  sgi_npmi_free(p);
}

/* ---- previous tokens ------------------------------------------------------------------------- */

static void area(void **state) {
  (void)state;
  enum { N = 90 };
  float x[N];
  uint32_t order[N];
  bool positive[N], member[N];
  sgi_rng r = sgi_rng_make(3, SGI_STREAM_SAMPLE, 3);
  for (size_t i = 0; i < N; i++) {
    x[i] = (float)sgi_rng_below(&r, 20); /* many ties */
    positive[i] = sgi_rng_below(&r, 2);
    member[i] = sgi_rng_below(&r, 4);
    order[i] = (uint32_t)i;
  }
  for (size_t i = 0; i < N; i++)
    for (size_t k = i; k && x[order[k]] < x[order[k - 1]]; k--) {
      uint32_t o = order[k];
      order[k] = order[k - 1];
      order[k - 1] = o;
    }
  double won = 0, all = 0;
  for (size_t i = 0; i < N; i++)
    for (size_t k = 0; k < N; k++) {
      if (!member[i] || !member[k] || !positive[i] || positive[k]) continue;
      all++;
      won += x[i] > x[k] ? 1 : x[i] == x[k] ? 0.5 : 0;
    }
  near("auc", sgi_previous_auc(x, order, positive, member, N), won / all, 1e-12);
  memset(positive, 0, sizeof positive);
  assert_true(isnan(sgi_previous_auc(x, order, positive, member, N)));
}

enum { ROWS = 48, T = 20 };

typedef struct streams {
  float *x; /* (ROWS,T,D) of one site */
  size_t D, row;
} streams;

static sg_status keep(void *user, const sgi_site *s, sg_error *err) {
  (void)err;
  streams *k = user;
  if (s->id != SGI_SITE_RESID_POST || s->layer != 0) return SG_OK;
  memcpy(k->x + (k->row * T + s->first) * k->D, s->data, s->n * k->D * sizeof(float));
  return SG_OK;
}

/* p_v and its AUC against all, by hand, for one site. */
static double by_hand(const sg_model *m, const int32_t *targets, const streams *k, int32_t v) {
  size_t D = k->D, n[2] = {0};
  double p[64] = {0}, won = 0, all = 0, *s = sgi_alloc(ROWS * T * sizeof *s);
  double mean[64] = {0};
  int *has = sgi_alloc(ROWS * T * sizeof *has);
  for (size_t row = 0; row < ROWS; row++)
    for (size_t t = 1; t < T; t++) {
      size_t at = row * T + t;
      int32_t before = t == 1 ? m->config.bos_id : targets[row * T + t - 2];
      if (targets[at] == m->config.pad_id) continue;
      has[at] = before == v ? 1 : -1;
      if (row >= ROWS / 2) continue;
      n[0]++;
      n[1] += before == v;
      for (size_t d = 0; d < D; d++) {
        mean[d] += (double)k->x[at * D + d];
        if (before == v) p[d] += (double)k->x[at * D + d];
      }
    }
  for (size_t d = 0; d < D; d++) p[d] = p[d] / (double)n[1] - mean[d] / (double)n[0];
  for (size_t at = ROWS / 2 * T; at < ROWS * T; at++)
    for (size_t d = 0; d < D; d++) s[at] += p[d] * (double)k->x[at * D + d];
  for (size_t i = ROWS / 2 * T; i < ROWS * T; i++)
    for (size_t j = ROWS / 2 * T; j < ROWS * T; j++) {
      if (has[i] != 1 || has[j] != -1) continue;
      all++;
      won += s[i] > s[j] ? 1 : s[i] == s[j] ? 0.5 : 0;
    }
  sgi_free(s);
  sgi_free(has);
  return won / all;
}

static void check_previous(const sg_model *m, const char *name, ref_random *r) {
  enum { FIRST = 10, TOKENS = 4 };
  size_t D = m->config.hidden_size;
  int32_t targets[ROWS * T], inputs[T];
  (void)name;
  assert_true(D <= 64);
  for (size_t i = 0; i < ROWS * T; i++)
    targets[i] = i % T > 15 && i / T % 3 == 0 ? m->config.pad_id : FIRST + (int32_t)ref_below(r, TOKENS);
  sgi_previous_request q = {
      .targets = targets, .rows = ROWS, .T = T, .min_count = 10, .most = 4, .rotations = 2, .max_bytes = 1 << 28};
  sgi_previous *f;
  assert_sg_ok(sgi_previous_make(m, &q, &f, err));
  assert_true(f->n_tokens > 0 && f->n_tokens <= 4);
  sgi_pass *p;
  streams k = {sgi_alloc(ROWS * T * D * sizeof(float)), D, 0};
  assert_sg_ok(sgi_pass_create(m, 1, T, false, &p, err));
  for (; k.row < ROWS; k.row++) {
    inputs[0] = m->config.bos_id;
    memcpy(inputs + 1, targets + k.row * T, (T - 1) * sizeof *inputs);
    sgi_batch b = {.B = 1, .T = T, .inputs = inputs};
    assert_sg_ok(sgi_pass_forward(p, &b, &(sgi_tap){.visit = keep, .user = &k, .err = err}, err));
  }
  for (size_t s = 0; s < f->n_sites; s++)
    for (size_t v = 0; v < f->n_tokens; v++) {
      double auc = f->auc[(s * f->n_tokens + v) * SGI_PREVIOUS_AUCS];
      assert_true(auc >= 0 && auc <= 1);
      if (!strcmp(f->sites[s].name, "layers.0.resid_post"))
        near("auc of the first layer", auc, by_hand(m, targets, &k, f->tokens[v].id), 2e-3); /* near ties */
    }
  /* The embedding knows the own token alone. */
  assert_string_equal(f->sites[0].name, "embed");
  near("embedding, own token the same", f->sites[0].auc[SGI_PREVIOUS_MATCHED], 0.5, 1e-12);
  for (size_t i = 0; i < f->n_compositions; i++) assert_true(f->compositions[i].key <= 1 + 1e-12);
  sgi_pass_free(p);
  sgi_free(k.x);
  sgi_previous_free(f);
}

static void previous(void **state) {
  (void)state;
  assert_true(each_model(check_previous) > 5);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(pairs), cmocka_unit_test(refused_text), cmocka_unit_test(scores),
                                     cmocka_unit_test(area), cmocka_unit_test(previous)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
