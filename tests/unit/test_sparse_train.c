/* Training of sparse MLPs: a stopped run goes on to the same bits, which do not depend on threads
 * either; nothing is allocated in a step; gradients against finite differences of the loss; by
 * lists or by whole matrices the same; what is read back is what was trained. */
#include <jansson.h>
#include <omp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* after the four headers it needs */
#include <cmocka.h>

#include "compare/sparse_train.h"
#include "core/file.h"
#include "core/rng.h"
#include "support/near.h"
#include "support/text_scratch.h"

#define MODEL "tests/golden/eval/model"
static sg_model *model;
static sg_tokenizer *tok;
static sgi_corpus *corpus;

static int begin(void **state) {
  (void)state;
  char text[40000], *at = text;
  for (int i = 0; i < 300; i++)
    at += sprintf(at, "The dog number %d was red and the cat had %d hats. Once the moon was old.\n<|endoftext|>\n", i,
                  3 * i);
  scratch_begin();
  scratch_text("train.txt", text);
  assert_sg_ok(sg_model_load(MODEL, &model, err));
  assert_sg_ok(sg_tokenizer_load(MODEL "/tokenizer.json", &tok, err));
  assert_sg_ok(
      sgi_corpus_open(scratch_path("train.txt"), NULL, tok, sg_model_config(model)->eos_id, NULL, NULL, &corpus, err));
  return 0;
}

static int end(void **state) {
  (void)state;
  sgi_corpus_close(corpus);
  sg_tokenizer_free(tok);
  sg_model_free(model);
  scratch_end();
  return 0;
}

static const size_t layers[] = {0, 1};

static sgi_sparse_train_request request(sgi_sparse_activation a, const char *directory) {
  return (sgi_sparse_train_request){
      .model = model,
      .corpus = corpus,
      .layers = layers,
      .n_layers = 2,
      .form = {.features = 160, .activation = a, .top_k = 5, .lambda = a == SGI_SPARSE_JUMPRELU ? 1e-3 : 1e-2},
      .seq_len = 16,
      .batch = 64,
      .buffer = 3,
      .steps = 24,
      .lr = 3e-3,
      .decay = 1e-3,
      .resample = true,
      .dead_window = 400,
      .seed = 7,
      .directory = directory};
}

typedef struct bits {
  float *w;
  size_t n;
} bits;

static bits copy(const sgi_sparse_trainer *t) {
  bits b = {0};
  for (int pass = 0; pass < 2; pass++) {
    b.n = 0;
    for (size_t k = 0; k < 2; k++) {
      const sgi_sparse_layer *l = sgi_sparse_trainer_layer(t, k);
      for (int i = 0; i < SGI_SPARSE_PARTS; i++) {
        size_t n = sgi_sparse_count(&l->form, (sgi_sparse_part)i);
        if (pass && n) memcpy(b.w + b.n, l->p.at[i], n * sizeof(float));
        b.n += n;
      }
    }
    if (!pass) b.w = calloc(b.n, sizeof *b.w);
  }
  return b;
}

static bits all_steps(sgi_sparse_activation a) {
  sgi_sparse_trainer *t;
  sgi_sparse_train_request r = request(a, NULL);
  assert_sg_ok(sgi_sparse_trainer_create(&r, &t, err));
  while (sgi_sparse_trainer_done(t) < r.steps) assert_sg_ok(sgi_sparse_trainer_step(t, err));
  bits b = copy(t);
  sgi_sparse_trainer_free(t);
  return b;
}

static void same(const bits *a, const bits *b) {
  assert_int_equal(a->n, b->n);
  assert_memory_equal(a->w, b->w, a->n * sizeof *a->w);
}

static void threads(void **state) {
  (void)state;
  int most = omp_get_max_threads();
  for (int a = 0; a < 3; a++) {
    omp_set_num_threads(1);
    bits one = all_steps((sgi_sparse_activation)a);
    omp_set_num_threads(3);
    bits three = all_steps((sgi_sparse_activation)a);
    same(&one, &three);
    free(one.w);
    free(three.w);
  }
  omp_set_num_threads(most);
}

static bool stop_at(void *user, const sgi_sparse_train_progress *p) {
  const uint64_t *at = user;
  return p->what || p->step != *at;
}

static void resume(void **state) {
  (void)state;
  for (int a = 0; a < 3; a++) {
    char name[40];
    sgi_sparse_trainer *t;
    sgi_sparse_set *s;
    uint64_t at = 7;
    snprintf(name, sizeof name, "tc%d", a);
    bits whole = all_steps((sgi_sparse_activation)a);
    sgi_sparse_train_request r = request((sgi_sparse_activation)a, scratch_path(name));
    r.progress = stop_at;
    r.user = &at;
    for (int part = 0; part < 3; part++) { /* stopped at 7, at 15, and done */
      sg_error why = {0};
      assert_sg_ok(sgi_sparse_trainer_create(&r, &t, err));
      sg_status st = sgi_sparse_train(t, NULL, &why);
      if (part == 2 && st) fail_msg("%s", why.text);
      if (part < 2) {
        assert_int_equal(st, SG_ERR_CANCELLED);
        sgi_sparse_trainer_free(t);
      }
      at += part ? 100 : 8;
      r.resume = true;
    }
    bits parts = copy(t);
    same(&whole, &parts);
    /* What is read back: thresholds went through exp and log. */
    assert_sg_ok(sgi_sparse_set_open(r.directory, &s, err));
    assert_sg_ok(sgi_sparse_set_verify(r.directory, err));
    for (size_t k = 0; k < 2; k++)
      for (int i = 0; i < SGI_SPARSE_LOG_THETA; i++)
        assert_memory_equal(s->at[k].p.at[i], sgi_sparse_trainer_layer(t, k)->p.at[i],
                            sgi_sparse_count(&s->at[k].form, (sgi_sparse_part)i) * sizeof(float));
    sgi_sparse_set_free(s);
    sgi_sparse_trainer_free(t);
    /* Another setting, and a directory that is taken. */
    sg_error why = {0};
    r.resume = false;
    assert_int_equal(sgi_sparse_trainer_create(&r, &t, &why), SG_ERR_ARG);
    assert_non_null(strstr(why.text, "already holds a finished training"));
    free(whole.w);
    free(parts.w);
  }
}

static void other_settings(void **state) {
  (void)state;
  sgi_sparse_trainer *t;
  uint64_t at = 3;
  sg_error why = {0};
  sgi_sparse_train_request r = request(SGI_SPARSE_TOPK, scratch_path("other"));
  r.progress = stop_at;
  r.user = &at;
  assert_sg_ok(sgi_sparse_trainer_create(&r, &t, err));
  assert_int_equal(sgi_sparse_train(t, NULL, &why), SG_ERR_CANCELLED);
  sgi_sparse_trainer_free(t);
  r.resume = true;
  r.form.top_k = 6;
  assert_int_equal(sgi_sparse_trainer_create(&r, &t, &why), SG_ERR_ARG);
  assert_non_null(strstr(why.text, "another top_k"));
  r = request(SGI_SPARSE_TOPK, NULL);
  r.max_bytes = 1000;
  assert_int_equal(sgi_sparse_trainer_create(&r, &t, &why), SG_ERR_MEMORY);
  assert_non_null(strstr(why.text, "lower buffer, batch size"));
}

static void allocations(void **state) {
  (void)state;
  for (int a = 0; a < 3; a++) {
    sgi_sparse_trainer *t;
    sgi_sparse_train_request r = request((sgi_sparse_activation)a, NULL);
    assert_sg_ok(sgi_sparse_trainer_create(&r, &t, err));
    assert_sg_ok(sgi_sparse_trainer_step(t, err));
    size_t before = sgi_alloc_count();
    while (sgi_sparse_trainer_done(t) < r.steps) assert_sg_ok(sgi_sparse_trainer_step(t, err));
    assert_int_equal(sgi_alloc_count(), before);
    sgi_sparse_trainer_free(t);
  }
}

/* ---- gradients ------------------------------------------------------------------------------- */

enum { N = 40, D = 6, M = 20 };

/* The loss in double, from the formula. */
static double loss_of(const sgi_sparse_form *f, const sgi_sparse_arrays *p, const float *x, const float *target) {
  double mse = 0, S = 0;
  for (size_t r = 0; r < N; r++) {
    double a[M], y[D], norm = 0;
    bool on[M];
    sgi_sparse_pre(f, p, x + r * D, a);
    for (size_t j = 0; j < M; j++) {
      size_t above = 0;
      for (size_t i = 0; i < M; i++) above += a[i] > a[j];
      on[j] = a[j] > 0 && (f->activation != SGI_SPARSE_TOPK || above < f->top_k);
    }
    for (size_t d = 0; d < D; d++) {
      y[d] = (double)p->at[SGI_SPARSE_B_D][d];
      for (size_t j = 0; j < M; j++) y[d] += on[j] ? a[j] * (double)p->at[SGI_SPARSE_W_D][j * D + d] : 0;
      norm += (double)target[r * D + d] * (double)target[r * D + d];
    }
    double e = 0;
    for (size_t d = 0; d < D; d++) e += pow(y[d] - (double)target[r * D + d], 2);
    mse += e / D / (f->mse_norm ? sqrt(norm) : 1);
    for (size_t j = 0; j < M; j++) {
      double length = 0;
      for (size_t d = 0; d < D; d++) length += pow((double)p->at[SGI_SPARSE_W_D][j * D + d], 2);
      S += on[j] ? a[j] * (f->decoder == SGI_DECODER_WEIGHTED ? sqrt(length) : 1) : 0;
    }
  }
  return mse / N + (f->activation == SGI_SPARSE_RELU ? f->lambda * S / N : 0);
}

static void differences_of(sgi_sparse_form f, bool dense) {
  float memory[2 * (2 * M * D + M + D + 64)], x[N * D], target[N * D];
  sgi_sparse_work *w;
  sgi_sparse_loss loss;
  sgi_sparse_arrays p, g;
  sgi_rng rng = sgi_rng_make(3, SGI_STREAM_SPARSE, 99);
  sgi_arena a = {.base = (char *)memory, .size = sizeof memory};
  sgi_sparse_take(&f, &a, &p);
  sgi_sparse_take(&f, &a, &g);
  for (int k = 0; k < SGI_SPARSE_LOG_THETA; k++)
    for (size_t i = 0; i < sgi_sparse_count(&f, (sgi_sparse_part)k); i++)
      p.at[k][i] = (float)(0.6 * sgi_rng_normal(&rng));
  for (size_t i = 0; i < N * D; i++) x[i] = (float)sgi_rng_normal(&rng);
  for (size_t i = 0; i < N * D; i++) target[i] = (float)sgi_rng_normal(&rng);
  assert_sg_ok(sgi_sparse_work_create(&f, N, true, &w, err));
  assert_sg_ok(sgi_sparse_gradient(w, &f, &p, x, target, N, 1, dense, &g, NULL, 0, &loss, err));
  near("loss", loss.total, loss_of(&f, &p, x, target), 1e-5);
  size_t checked = 0;
  for (int k = 0; k < SGI_SPARSE_LOG_THETA; k++)
    for (size_t i = 0; i < sgi_sparse_count(&f, (sgi_sparse_part)k); i += k == SGI_SPARSE_B_D ? 1 : 3) {
      if (f.frozen && k == SGI_SPARSE_W_E) {
        near("frozen", (double)g.at[k][i], 0, 0);
        continue;
      }
      float was = p.at[k][i];
      double at[2], step = 1.0 / 2048, slope[2];
      for (int half = 0; half < 2; half++) { /* a kink between the two shows as slopes that differ */
        double h = half ? step / 2 : step;
        for (int side = 0; side < 2; side++) {
          p.at[k][i] = (float)((double)was + (side ? h : -h));
          at[side] = loss_of(&f, &p, x, target);
        }
        slope[half] = (at[1] - at[0]) / (2 * h);
      }
      p.at[k][i] = was;
      if (fabs(slope[0] - slope[1]) > 2e-4) continue;
      near("gradient", (double)g.at[k][i], slope[1], 4e-4);
      checked++;
    }
  assert_true(checked > 30);
  sgi_sparse_work_free(w);
}

static void differences(void **state) {
  (void)state;
  for (int dense = 0; dense < 2; dense++)
    for (int decoder = 0; decoder < 3; decoder++)
      for (int norm = 0; norm < 2; norm++) {
        sgi_sparse_form f = {.in = D,
                             .out = D,
                             .features = M,
                             .lambda = 0.05,
                             .top_k = 4,
                             .decoder = (sgi_sparse_decoder)decoder,
                             .mse_norm = norm,
                             .frozen = decoder == 1 && norm};
        differences_of(f, dense);
        f.activation = SGI_SPARSE_TOPK;
        differences_of(f, dense);
      }
}

/* More than the lists hold: whole matrices, and from a list that overflows the same numbers. */
static void overflow(void **state) {
  (void)state;
  enum { WIDE = 1024, ROWS = 200 };
  sgi_sparse_form f = {.in = D, .out = D, .features = WIDE, .lambda = 0.01};
  sgi_sparse_arrays p, g[2];
  sgi_arena a = {0};
  for (int i = 0; i < 3; i++) sgi_sparse_take(&f, &a, &p);
  void *memory = sgi_alloc(a.used);
  a = (sgi_arena){.base = memory, .size = a.used};
  sgi_sparse_take(&f, &a, &p);
  sgi_sparse_take(&f, &a, &g[0]);
  sgi_sparse_take(&f, &a, &g[1]);
  float *x = sgi_alloc(ROWS * D * sizeof *x);
  uint64_t *fired = sgi_alloc(WIDE * sizeof *fired);
  sgi_rng rng = sgi_rng_make(5, SGI_STREAM_SPARSE, 98);
  for (size_t i = 0; i < WIDE * D; i++) p.at[SGI_SPARSE_W_E][i] = (float)sgi_rng_normal(&rng);
  for (size_t i = 0; i < WIDE * D; i++) p.at[SGI_SPARSE_W_D][i] = (float)sgi_rng_normal(&rng);
  for (size_t i = 0; i < ROWS * D; i++) x[i] = (float)sgi_rng_normal(&rng);
  sgi_sparse_work *w;
  sgi_sparse_loss loss[2];
  assert_sg_ok(sgi_sparse_work_create(&f, ROWS, true, &w, err));
  for (int dense = 0; dense < 2; dense++)
    assert_sg_ok(sgi_sparse_gradient(w, &f, &p, x, x, ROWS, 1, dense, &g[dense], fired, 5, &loss[dense], err));
  assert_true(loss[0].active > ROWS * WIDE / 8);
  assert_true(sgi_sparse_is_dense(&f, ROWS, loss[0].active));
  near("loss", loss[0].total, loss[1].total, 0);
  for (int k = 0; k < SGI_SPARSE_LOG_THETA; k++)
    assert_memory_equal(g[0].at[k], g[1].at[k], sgi_sparse_count(&f, (sgi_sparse_part)k) * sizeof(float));
  assert_int_equal(fired[3], 5);
  sgi_sparse_work_free(w);
  sgi_free(memory);
  sgi_free(x);
  sgi_free(fired);
}

/* A large K: chosen by quickselect, as the kernel chooses a small one. */
static void many(void **state) {
  (void)state;
  enum { WIDE = 300, ROWS = 20 };
  sgi_sparse_form f = {.in = D, .out = D, .features = WIDE, .activation = SGI_SPARSE_TOPK, .top_k = 70};
  sgi_sparse_arrays p;
  sgi_arena a = {0};
  sgi_sparse_take(&f, &a, &p);
  void *memory = sgi_alloc(a.used);
  a = (sgi_arena){.base = memory, .size = a.used};
  sgi_sparse_take(&f, &a, &p);
  sgi_rng rng = sgi_rng_make(6, SGI_STREAM_SPARSE, 97);
  float x[ROWS * D];
  for (size_t i = 0; i < WIDE * D; i++) p.at[SGI_SPARSE_W_E][i] = (float)sgi_rng_normal(&rng);
  for (size_t j = WIDE / 2; j < WIDE; j++) /* ties */
    memcpy(p.at[SGI_SPARSE_W_E] + j * D, p.at[SGI_SPARSE_W_E] + (j - WIDE / 2) * D, D * sizeof *x);
  for (size_t i = 0; i < ROWS * D; i++) x[i] = (float)sgi_rng_normal(&rng);
  for (size_t K = 60; K <= 70; K += 10) {
    sgi_sparse_work *w;
    sgi_sparse_active act;
    f.top_k = K;
    assert_sg_ok(sgi_sparse_work_create(&f, ROWS, false, &w, err));
    assert_sg_ok(sgi_sparse_forward(w, &f, &p, x, ROWS, NULL, &act, err));
    for (size_t r = 0; r < ROWS; r++) {
      assert_int_equal(act.count[r], K);
      for (size_t i = act.start[r]; i + 1 < act.start[r] + K; i++)
        assert_true(act.h[i] > act.h[i + 1] || (act.h[i] == act.h[i + 1] && act.feature[i] < act.feature[i + 1]));
      float last = act.h[act.start[r] + K - 1];
      double pre[WIDE];
      size_t above = 0;
      sgi_sparse_pre(&f, &p, x + r * D, pre);
      for (size_t j = 0; j < WIDE; j++) above += pre[j] > (double)last + 1e-5;
      assert_true(above < K);
    }
    sgi_sparse_work_free(w);
  }
  sgi_free(memory);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(threads),     cmocka_unit_test(resume),      cmocka_unit_test(other_settings),
      cmocka_unit_test(allocations), cmocka_unit_test(differences), cmocka_unit_test(overflow),
      cmocka_unit_test(many)};
  return cmocka_run_group_tests(tests, begin, end);
}
