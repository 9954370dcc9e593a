/* What a program that stands on the library calls to open models and to run rows: against the
 * library's own readers bit for bit, with what is missing or wrong, with allocations that fail, and
 * from two threads. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/file.h"
#include "core/rng.h"
#include "read/trace.h"
#include "support/failing.h"
#include "support/near.h"
#include "support/prompts.h"
#include "support/small.h"
#include "train/checkpoint.h"

static const char MODEL[] = "tests/golden/eval/model";

static void version(void **state) {
  (void)state;
  assert_int_equal(sg_abi_version(), SG_ABI_VERSION);
  assert_true(sg_version_text()[0] >= '0' && sg_version_text()[0] <= '9' && strchr(sg_version_text(), '('));
}

/* ---- opening --------------------------------------------------------------------------------- */

static char *root;

static const char *under(const char *a, const char *b) {
  static char path[2][4200];
  static int turn;
  turn = !turn;
  snprintf(path[turn], sizeof path[turn], "%s/%s", a, b);
  return path[turn];
}

/* root becomes a run of three checkpoints. */
static void make_run(void) {
  sgi_trainer_settings s = small_settings();
  sgi_trainer *t = small_trainer(sg_feedforward_name(0), &s);
  for (int i = 0; i < 3; i++) {
    char name[64];
    small_step(t);
    sgi_progress_state state = {.step = t->steps, .updates = t->updates, .best_loss = INFINITY};
    assert_sg_ok(sgi_checkpoint_save(root, t, &state, NULL, NULL, name, err));
  }
  sgi_trainer_free(t);
}

static void note(void *user, const char *name, const char *reason) {
  assert_true(*reason);
  snprintf(user, 64, "%s", name);
}

static sg_status open_run(void *user, sg_error *err) {
  sg_model *m;
  char *directory;
  sg_open_request q = {.path = user};
  sg_status st = sg_model_open(&q, &m, &directory, err);
  assert_true(!st == (m && directory));
  sg_model_free(m);
  sg_buffer_free(directory);
  return st;
}

static void opening(void **state) {
  (void)state;
  root = golden_temporary();
  make_run();
  sg_model *m, *same;
  char *directory, skipped[64] = "";
  sg_open_request q = {.path = root, .skipped = note, .user = skipped};
  assert_sg_ok(sg_model_open(&q, &m, &directory, err));
  assert_string_equal(directory, under(root, "checkpoints/step-00000003"));
  assert_sg_ok(sg_model_load(directory, &same, err));
  for (size_t i = 0; i < sg_model_tensor_count(m); i++) {
    sg_tensor a = sg_model_tensor(m, i), b = sg_model_tensor(same, i);
    assert_memory_equal(a.data, b.data, a.count * sizeof *a.data);
  }
  assert_string_equal(skipped, "");
  sg_model_free(m);
  sg_model_free(same);
  sg_buffer_free(directory);
  assert_true(allocations_fail(open_run, root) > 10);
  /* By name, and a model directory by its own path; the directory need not be asked for. */
  q.checkpoint = "step-00000002";
  assert_sg_ok(sg_model_open(&q, &m, &directory, err));
  assert_string_equal(directory, under(root, "checkpoints/step-00000002"));
  sg_model_free(m);
  q.path = directory;
  assert_sg_ok(sg_model_open(&q, &m, NULL, err));
  sg_model_free(m);
  sg_buffer_free(directory);
  /* The newest one damaged: the one before, and the skipped one told; named, it is refused. */
  assert_int_equal(truncate(under(root, "checkpoints/step-00000003/model.safetensors"), 100), 0);
  q = (sg_open_request){.path = root, .skipped = note, .user = skipped};
  assert_sg_ok(sg_model_open(&q, &m, &directory, err));
  assert_string_equal(directory, under(root, "checkpoints/step-00000002"));
  assert_string_equal(skipped, "step-00000003");
  sg_model_free(m);
  sg_buffer_free(directory);
  q.checkpoint = "step-00000003";
  assert_refused(sg_model_open(&q, &m, &directory, err), SG_ERR_FORMAT, "model.safetensors");
  assert_null(m);
  assert_null(directory);
  q.checkpoint = "step-00000009";
  assert_refused(sg_model_open(&q, &m, NULL, err), SG_ERR_IO, "no such checkpoint");
  q.path = "/no/such";
  assert_refused(sg_model_open(&q, &m, NULL, err), SG_ERR_IO, "/no/such");
  q.path = NULL;
  assert_refused(sg_model_open(&q, &m, NULL, err), SG_ERR_ARG, "path is NULL");
  assert_refused(sg_model_open(NULL, &m, NULL, err), SG_ERR_ARG, "request");
  assert_refused(sg_model_open(&q, NULL, NULL, err), SG_ERR_ARG, "NULL");
  assert_int_equal(sg_model_open(NULL, &m, NULL, NULL), SG_ERR_ARG);
  golden_remove(root);
}

static void tokenizers(void **state) {
  (void)state;
  sg_model *m;
  sg_tokenizer *tok;
  assert_sg_ok(sg_model_load(MODEL, &m, err));
  assert_refused(sg_tokenizer_open("/no/such", m, &tok, err), SG_ERR_IO, "/no/such");
  assert_refused(sg_tokenizer_open(NULL, m, &tok, err), SG_ERR_ARG, "path");
  assert_refused(sg_tokenizer_open(MODEL, NULL, &tok, err), SG_ERR_ARG, "model");
  assert_refused(sg_tokenizer_open(MODEL, m, NULL, err), SG_ERR_ARG, "NULL");
  /* A tokenizer of all bytes has more ids than the model's 150; with enough of them it fits. */
  const char *text = "a b c";
  size_t n = 5;
  sg_tokenizer_training t = {.vocab_size = 257, .full_alphabet = true};
  sg_tokenizer *bytes;
  assert_sg_ok(sg_tokenizer_train(&t, &text, &n, 1, &bytes, err));
  root = golden_temporary();
  assert_sg_ok(sg_tokenizer_save(bytes, under(root, "tokenizer.json"), err));
  assert_refused(sg_tokenizer_open(root, m, &tok, err), SG_ERR_FORMAT, "do not belong together");
  assert_null(tok);
  sg_model_free(m);
  sg_config c = small_config(sg_feedforward_name(0));
  c.vocab_size = 300;
  assert_sg_ok(sg_model_create(&c, 1, &m, err));
  assert_sg_ok(sg_tokenizer_open(root, m, &tok, err));
  sg_tokenizer_free(tok);
  assert_sg_ok(sg_tokenizer_open(under(root, "tokenizer.json"), m, &tok, err));
  assert_int_equal(sg_tokenizer_vocab_size(tok), sg_tokenizer_vocab_size(bytes));
  sg_tokenizer_free(tok);
  sg_tokenizer_free(bytes);
  sg_model_free(m);
  golden_remove(root);
}

/* ---- sites ----------------------------------------------------------------------------------- */

static sg_status list_sites(void *model, sg_error *err) {
  sg_site_list *l;
  sg_status st = sg_site_list_create(model, &l, err);
  assert_true(!st == !!l);
  sg_site_list_free(l);
  return st;
}

/* Every site of the list can be recorded, under its axes; and nothing else is. */
static void listed(const sg_model *m, const char *name, ref_random *r) {
  enum { T = 5 };
  int32_t tokens[T];
  sg_site_list *l;
  sg_run *run;
  random_prompt(m, r, tokens, T);
  assert_sg_ok(sg_site_list_create(m, &l, err));
  const char **names = calloc(sg_site_list_count(l), sizeof *names);
  for (size_t i = 0; i < sg_site_list_count(l); i++) names[i] = sg_site_list_at(l, i).name;
  sg_run_request q = {.tokens = tokens, .count = T, .record = names, .n_record = sg_site_list_count(l)};
  assert_sg_ok(sg_run_create(m, &q, &run, err));
  if (sg_run_site_count(run) != sg_site_list_count(l))
    fail_msg("%s: %zu sites listed, %zu recorded", name, sg_site_list_count(l), sg_run_site_count(run));
  for (size_t i = 0; i < sg_site_list_count(l); i++) {
    sg_site_info s = sg_site_list_at(l, i);
    sg_site got = sg_run_site(run, i);
    assert_string_equal(s.name, got.name);
    assert_int_equal(s.n_dims, got.n_dims);
    assert_int_equal(s.index, got.index != NULL);
    assert_string_equal(s.axes[0], "pos");
    for (int k = 0; k < s.n_dims; k++) {
      assert_int_equal(s.dims[k] ? s.dims[k] : T, got.dims[k]);
      assert_string_equal(s.axes[k], got.axes[k]);
    }
  }
  assert_null(sg_site_list_at(l, sg_site_list_count(l)).name);
  free(names);
  sg_run_free(run);
  sg_site_list_free(l);
}

static void sites(void **state) {
  (void)state;
  assert_true(each_model(listed) > 10);
  sg_model *m;
  sg_site_list *l;
  assert_sg_ok(sg_model_load(MODEL, &m, err));
  assert_true(allocations_fail(list_sites, m) > 3);
  assert_refused(sg_site_list_create(NULL, &l, err), SG_ERR_ARG, "model");
  assert_refused(sg_site_list_create(m, NULL, err), SG_ERR_ARG, "NULL");
  sg_site_list_free(NULL);
  assert_int_equal(sg_site_list_count(NULL), 0);
  sg_model_free(m);
}

/* ---- rows ------------------------------------------------------------------------------------ */

enum { B = 6, T = 17 };

/* What `trace --grad` writes is what comes into the caller's buffers, to the last bit, in however
 * many parts. */
static void as_a_trace(const sg_model *m, const char *name, ref_random *r) {
  const sg_config *c = sg_model_config(m);
  size_t V = c->vocab_size, n = sg_model_tensor_count(m);
  int32_t targets[B * T];
  for (size_t i = 0; i < B; i++) random_prompt(m, r, targets + i * T, T);
  targets[T - 1] = targets[T - 2] = c->pad_id;
  char *directory = golden_temporary();
  float *logits = malloc(B * T * V * sizeof *logits), nll[B * T];
  sg_gradient *g = calloc(n, sizeof *g);
  for (size_t i = 0; i < n; i++) {
    sg_tensor t = sg_model_tensor(m, i);
    g[i] = (sg_gradient){t.name, malloc(t.count * sizeof *t.data), t.count};
    memset(g[i].data, 0x55, t.count * sizeof *t.data);
  }
  bool state = false; /* the gradient of a trace is then that of a step of training */
  for (size_t i = 0; i < n; i++) state = state || m->table.rows[i].state;
  for (int parts = 0; parts < 2; parts++) {
    size_t small;
    assert_sg_ok(sgi_pass_bytes(c, 2, T, !state, &small, err));
    sgi_trace_request t = {.targets = targets, .B = B, .T = T, .grad = !state, .max_bytes = parts ? small : 0};
    assert_sg_ok(sgi_trace_write(m, &t, under(directory, "trace"), err));
    sg_rows_request q = {.B = B,
                         .T = T,
                         .targets = targets,
                         .logits = logits,
                         .nll = nll,
                         .gradients = g,
                         .n_gradients = n,
                         .max_bytes = t.max_bytes};
    if (parts) assert_sg_ok(sgi_pass_bytes(c, 2, T, true, &q.max_bytes, err));
    sg_loss loss;
    assert_sg_ok(sg_rows_run(m, &q, &loss, err));
    sgi_safetensors *f;
    assert_sg_ok(sgi_safetensors_open(under(directory, "trace"), &f, err));
    const sgi_tensor *of = sgi_safetensors_find(f, "logits");
    if (memcmp(of->data, logits, B * T * V * sizeof *logits)) fail_msg("%s: logits differ from the trace's", name);
    for (size_t i = 0; i < n && !state; i++) {
      char key[200];
      snprintf(key, sizeof key, "grad.%s", g[i].name);
      of = sgi_safetensors_find(f, key);
      if (memcmp(of->data, g[i].data, g[i].count * sizeof(float))) fail_msg("%s: %s differs", name, key);
    }
    assert_true(*(const float *)sgi_safetensors_find(f, "loss")->data == (float)loss.loss);
    assert_true(*(const float *)sgi_safetensors_find(f, "acc")->data == (float)loss.accuracy);
    assert_true(*(const float *)sgi_safetensors_find(f, "perplexity_last_token")->data ==
                (float)loss.perplexity_last_token);
    sgi_safetensors_close(f);
    double sum = 0;
    for (size_t i = 0; i < B * T; i++) sum += targets[i] == c->pad_id ? 0 : (double)nll[i];
    near("loss against the mean of its parts", loss.loss, sum / (double)loss.targets, 1e-12);
  }
  for (size_t i = 0; i < n; i++) free(g[i].data);
  free(g);
  free(logits);
  golden_remove(directory);
}

/* Plain inputs give the logits that a run of each row has. */
static void as_runs(const sg_model *m, const char *name, ref_random *r) {
  size_t V = sg_model_config(m)->vocab_size;
  int32_t ids[2 * T];
  for (size_t i = 0; i < 2; i++) random_prompt(m, r, ids + i * T, T);
  float *logits = malloc(2 * T * V * sizeof *logits), *all = malloc(T * V * sizeof *all),
        *one = malloc(V * sizeof *one);
  sg_rows_request q = {.B = 1, .T = T, .logits = logits};
  for (size_t i = 0; i < 2; i++) {
    sg_run *run;
    sg_run_request ask = {
        .tokens = ids + i * T, .count = T, .record = (const char *const[]){"embed", "*resid_post"}, .n_record = 2};
    q.inputs = ids + i * T;
    assert_sg_ok(sg_rows_run(m, &q, NULL, err));
    assert_sg_ok(sg_run_create(m, &ask, &run, err));
    assert_sg_ok(sg_run_logits_all(run, all, err));
    if (memcmp(all, logits, T * V * sizeof *all)) fail_msg("%s: logits of a run and of a row differ", name);
    for (ptrdiff_t p = -T; p < T; p++) {
      assert_sg_ok(sg_run_logits(run, p, one, err));
      for (size_t v = 0; v < V; v++)
        near("one position's logit", (double)one[v], (double)all[(size_t)(p < 0 ? p + T : p) * V + v], 2e-5);
    }
    /* The lens of the last stream is the prediction. */
    sg_site last = sg_run_site(run, sg_run_site_count(run) - 1);
    assert_sg_ok(sg_run_logits(run, -2, all, err));
    assert_sg_ok(sg_lens(m, &last, -2, one, err));
    if (memcmp(one, all, V * sizeof *one)) fail_msg("%s: the lens of %s is not the prediction", name, last.name);
    sg_run_free(run);
  }
  free(logits);
  free(all);
  free(one);
}

typedef struct rows_job {
  const sg_model *m;
  sg_rows_request q;
} rows_job;

static sg_status run_rows(void *user, sg_error *err) {
  const rows_job *j = user;
  return sg_rows_run(j->m, &j->q, NULL, err);
}

static bool never(void *user, size_t done, size_t wanted) {
  (void)user;
  assert_true(done >= 1 && done <= wanted);
  return false;
}

static bool count(void *user, size_t done, size_t wanted) {
  size_t *seen = user;
  assert_int_equal(done, ++*seen);
  assert_int_equal(wanted, 2 * SMALL_LAYERS);
  return true;
}

static void refusals(void **state) {
  (void)state;
  sg_config c = small_config(sg_feedforward_name(0));
  sg_model *m;
  assert_sg_ok(sg_model_create(&c, 3, &m, err));
  sg_tensor t = sg_model_tensor(m, 1);
  float *g = malloc(t.count * sizeof *g), *logits = malloc(SMALL_V * 6 * sizeof *logits);
  int32_t ids[6] = {1, 2, 3, 4, 5, 6}, wrong[6] = {1, 2, 3, SMALL_V, 5, 6}, pads[6];
  for (size_t i = 0; i < 6; i++) pads[i] = c.pad_id;
  sg_gradient one = {t.name, g, t.count};
  rows_job j = {m, {.B = 2, .T = 3, .targets = ids, .logits = logits, .gradients = &one, .n_gradients = 1}};
  assert_true(allocations_fail(run_rows, &j) > 5);
  size_t seen = 0;
  size_t bytes;
  assert_sg_ok(sgi_pass_bytes(&c, 1, 3, true, &bytes, err));
  sg_rows_request q = j.q;
  q.max_bytes = bytes;
  q.progress = count;
  q.user = &seen;
  assert_sg_ok(sg_rows_run(m, &q, NULL, err));
  assert_int_equal(seen, 2 * SMALL_LAYERS);
  q = j.q;
  q.progress = never;
  assert_int_equal(sg_rows_run(m, &q, NULL, NULL), SG_ERR_CANCELLED);
  assert_refused(sg_rows_run(NULL, &q, NULL, err), SG_ERR_ARG, "model");
  assert_refused(sg_rows_run(m, NULL, NULL, err), SG_ERR_ARG, "request");
  q = j.q, q.B = 0;
  assert_refused(sg_rows_run(m, &q, NULL, err), SG_ERR_ARG, "0 rows");
  q = j.q, q.B = SIZE_MAX / 2;
  assert_refused(sg_rows_run(m, &q, NULL, err), SG_ERR_ARG, "too many");
  q = j.q, q.targets = NULL;
  assert_refused(sg_rows_run(m, &q, NULL, err), SG_ERR_ARG, "both are NULL");
  q.inputs = ids;
  assert_refused(sg_rows_run(m, &q, NULL, err), SG_ERR_ARG, "gradients need targets");
  q = j.q, q.targets = wrong;
  assert_refused(sg_rows_run(m, &q, NULL, err), SG_ERR_ARG, "row 1, position 0");
  q = j.q, q.targets = pads;
  assert_refused(sg_rows_run(m, &q, NULL, err), SG_ERR_ARG, "padding");
  q = j.q, q.max_bytes = 1;
  assert_int_equal(sg_rows_run(m, &q, NULL, NULL), SG_ERR_MEMORY);
  one.count--;
  assert_refused(sg_rows_run(m, &j.q, NULL, err), SG_ERR_ARG, t.name);
  one = (sg_gradient){t.name, NULL, t.count};
  assert_refused(sg_rows_run(m, &j.q, NULL, err), SG_ERR_ARG, "NULL");
  one = (sg_gradient){"no.such", g, t.count};
  assert_refused(sg_rows_run(m, &j.q, NULL, err), SG_ERR_ARG, "no.such");
  one = (sg_gradient){NULL, g, t.count};
  assert_refused(sg_rows_run(m, &j.q, NULL, err), SG_ERR_ARG, "gradient 0");
  q = j.q, q.gradients = NULL;
  assert_refused(sg_rows_run(m, &q, NULL, err), SG_ERR_ARG, "gradients is NULL");
  /* The lens. */
  sg_run *run;
  sg_run_request ask = {.tokens = ids, .count = 3, .record = (const char *const[]){"*"}, .n_record = 1};
  assert_sg_ok(sg_run_create(m, &ask, &run, err));
  sg_site s;
  assert_true(sg_run_find(run, "layers.0.router.indices", &s));
  assert_refused(sg_lens(m, &s, 0, logits, err), SG_ERR_ARG, "layers.0.router.indices");
  assert_true(sg_run_find(run, "layers.0.attn.q", &s));
  assert_refused(sg_lens(m, &s, 0, logits, err), SG_ERR_ARG, "residual stream");
  assert_true(sg_run_find(run, "embed", &s));
  assert_refused(sg_lens(m, &s, 3, logits, err), SG_ERR_ARG, "position 3");
  assert_refused(sg_lens(m, &s, -4, logits, err), SG_ERR_ARG, "position -4");
  assert_refused(sg_lens(m, NULL, 0, logits, err), SG_ERR_ARG, "site");
  assert_refused(sg_lens(NULL, &s, 0, logits, err), SG_ERR_ARG, "model");
  assert_refused(sg_lens(m, &s, 0, NULL, err), SG_ERR_ARG, "logits");
  assert_refused(sg_run_logits_all(run, NULL, err), SG_ERR_ARG, "logits");
  assert_refused(sg_run_logits_all(NULL, logits, err), SG_ERR_ARG, "run");
  sg_run_free(run);
  free(g);
  free(logits);
  sg_model_free(m);
}

static void rows(void **state) {
  (void)state;
  assert_true(each_model(as_a_trace) > 10);
  each_model(as_runs);
}

/* One model, two threads, each with its own buffers: what one alone gives. */
typedef struct thread_job {
  rows_job rows;
  float *logits, *grad;
  int good;
} thread_job;

static void *in_thread(void *user) {
  thread_job *j = user;
  for (int i = 0; i < 4; i++) j->good += !sg_rows_run(j->rows.m, &j->rows.q, NULL, NULL);
  return NULL;
}

static void threads(void **state) {
  (void)state;
  sg_model *m;
  assert_sg_ok(sg_model_load(MODEL, &m, err));
  size_t V = sg_model_config(m)->vocab_size;
  sg_tensor t = sg_model_tensor(m, 1);
  int32_t ids[B * T];
  sgi_rng rng = sgi_rng_make(5, 0, 0);
  for (size_t i = 0; i < B * T; i++) ids[i] = (int32_t)(2 + sgi_rng_below(&rng, V - 2));
  thread_job j[3];
  sg_gradient g[3];
  pthread_t thread[2];
  for (size_t i = 0; i < 3; i++) {
    j[i] = (thread_job){.logits = malloc(B * T * V * sizeof(float)), .grad = malloc(t.count * sizeof(float))};
    g[i] = (sg_gradient){t.name, j[i].grad, t.count};
    j[i].rows =
        (rows_job){m, {.B = B, .T = T, .targets = ids, .logits = j[i].logits, .gradients = &g[i], .n_gradients = 1}};
  }
  in_thread(&j[2]);
  for (size_t i = 0; i < 2; i++) assert_int_equal(pthread_create(&thread[i], NULL, in_thread, &j[i]), 0);
  for (size_t i = 0; i < 2; i++) pthread_join(thread[i], NULL);
  for (size_t i = 0; i < 3; i++) {
    assert_int_equal(j[i].good, 4);
    assert_memory_equal(j[i].logits, j[2].logits, B * T * V * sizeof(float));
    assert_memory_equal(j[i].grad, j[2].grad, t.count * sizeof(float));
  }
  for (size_t i = 0; i < 3; i++) free(j[i].logits), free(j[i].grad);
  sg_model_free(m);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(version), cmocka_unit_test(opening),  cmocka_unit_test(tokenizers), cmocka_unit_test(sites),
      cmocka_unit_test(rows),    cmocka_unit_test(refusals), cmocka_unit_test(threads),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
