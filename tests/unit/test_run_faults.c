/* Opening text, evaluating and whole runs when memory fails: the code is its own, nothing is left
 * behind, a later start works. */
#include "support/failing.h"
#include "support/small.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/arena.h"
#include "read/evaluate.h"
#include "train/run.h"

#define TOKENIZER "tests/golden/bpe/stories_alpha_300.json"

static char *root;
static char run_path[4200], data_path[4200], text_path[4300];

static void write_text(const char *path, size_t documents) {
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  for (size_t i = 0; i < documents; i++) fprintf(f, "Tom %zu saw a dog in the park.<|endoftext|>\n", i);
  fclose(f);
}

static int begin(void **state) {
  (void)state;
  char path[4300];
  root = golden_temporary();
  snprintf(data_path, sizeof data_path, "%s/data", root);
  snprintf(run_path, sizeof run_path, "%s/run", root);
  snprintf(text_path, sizeof text_path, "%.4200s/train.txt", data_path);
  assert_int_equal(mkdir(data_path, 0700), 0);
  write_text(text_path, 20);
  snprintf(path, sizeof path, "%.4200s/valid.txt", data_path);
  write_text(path, 5);
  omp_set_num_threads(1); /* so that the count of allocations is the same each time */
  return 0;
}

static int end(void **state) {
  (void)state;
  sgi_alloc_fail_at(0, false);
  golden_remove(root);
  return 0;
}

typedef sg_status (*action)(sg_error *err);

static sg_status act(void *user, sg_error *e) { return (*(const action *)user)(e); }

/* Every step-th allocation fails in its turn; make test sees at_least failures. */
static void memory_fails(action f, size_t step, size_t at_least) {
  assert_true(allocations_fail_by(act, &f, step * failing_step()) >= at_least / failing_step());
}

static sg_tokenizer *tok;

static void remove_cache(void) {
  char path[4300];
  snprintf(path, sizeof path, "%.4200s/.sgatlin", data_path);
  sgi_remove_tree(path, NULL);
}

static sg_status open_new(sg_error *err) {
  sgi_corpus *c;
  remove_cache();
  sg_status st = sgi_corpus_open(text_path, NULL, tok, 1, NULL, NULL, &c, err);
  if (!st) sgi_corpus_close(c);
  return st;
}

static sg_status open_cached(sg_error *err) {
  sgi_corpus *c;
  sg_status st = sgi_corpus_open(text_path, NULL, tok, 1, NULL, NULL, &c, err);
  if (!st) assert_int_equal(sgi_corpus_documents(c), 20);
  if (!st) sgi_corpus_close(c);
  return st;
}

static void corpus(void **state) {
  (void)state;
  assert_sg_ok(sg_tokenizer_load(TOKENIZER, &tok, err));
  memory_fails(open_new, 1, 20);
  assert_sg_ok(open_new(err));
  memory_fails(open_cached, 1, 10);
  sg_tokenizer_free(tok);
}

static sg_status evaluate(sg_error *err) {
  static const sgi_batcher_settings rows = {.B = 1, .T = SMALL_T, .bos = 1, .pad = 0};
  sgi_corpus *c = NULL;
  sgi_batcher *b = NULL;
  sg_model *m = NULL;
  sgi_pass *pass = NULL;
  sgi_evaluator *e = NULL;
  sgi_usage **usage = NULL;
  sgi_evaluation out;
  sg_config config = small_config("sgatlin");
  config.vocab_size = 300;
  sg_status st = sgi_corpus_open(text_path, NULL, tok, 1, NULL, NULL, &c, err);
  if (!st) st = sgi_batcher_create(c, &rows, &b, err);
  if (!st) st = sg_model_create(&config, 1, &m, err);
  if (!st) st = sgi_pass_create(m, 2, SMALL_T, false, &pass, err);
  if (!st) st = sgi_evaluator_create(pass, m, 2, SMALL_T, &e, err);
  if (!st) st = sgi_usage_list(m, &usage, err);
  if (!st)
    st = sgi_evaluate(e, &(sgi_evaluate_request){.rows = b, .n_rows = 5, .T = SMALL_T, .usage = usage}, &out, err);
  if (!st) assert_int_equal(out.rows, 5);
  if (m) sgi_usage_list_free(m, usage);
  sgi_evaluator_free(e);
  sgi_pass_free(pass);
  sg_model_free(m);
  sgi_batcher_free(b);
  sgi_corpus_close(c);
  return st;
}

static void evaluation(void **state) {
  (void)state;
  assert_sg_ok(sg_tokenizer_load(TOKENIZER, &tok, err));
  memory_fails(evaluate, 1, 20);
  sg_tokenizer_free(tok);
}

static sgi_settings small_run(void) {
  static const char *const all[] = {"model.hidden_size=32",       "model.num_hidden_layers=2",
                                    "model.head_dim=16",          "feedforward.num_neurons=36",
                                    "feedforward.num_channels=2", "feedforward.top_k=2",
                                    "feedforward.key_dim=8",      "train.steps=3",
                                    "train.batch_size=2",         "train.seq_len=16",
                                    "train.grad_accumulation=1",  "eval.every=2"};
  sgi_assignments a = {0};
  sgi_settings s;
  for (size_t i = 0; i < SGI_COUNT(all); i++) assert_sg_ok(sgi_assign_text(&a, all[i], NULL, err));
  assert_sg_ok(sgi_settings_resolve(&a, &s, err));
  sgi_assignments_free(&a);
  return s;
}

static sgi_settings run_settings;

static sg_status start(sg_error *err) {
  sgi_run *x;
  sgi_remove_tree(run_path, NULL);
  sgi_run_request r = {.run = run_path, .data = data_path, .tokenizer = TOKENIZER, .settings = run_settings};
  sg_status st = sgi_run_open(&r, NULL, &x, err);
  if (st) {
    assert_false(sgi_is_directory(run_path)); /* what could not start is not there */
    return st;
  }
  st = sgi_run_train(x, err);
  sgi_run_close(x);
  return st;
}

static sg_status resume(sg_error *err) {
  sgi_run *x;
  sgi_run_request r = {.run = run_path, .resume = true};
  sg_status st = sgi_run_open(&r, NULL, &x, err);
  if (st) return st;
  st = sgi_run_train(x, err);
  sgi_run_close(x);
  return st;
}

/* Most allocations are of the tokenizer, which its own tests make fail one by one: here every
 * seventh. */
static void runs(void **state) {
  (void)state;
  run_settings = small_run();
  memory_fails(start, 7, 20);
  assert_sg_ok(start(err));
  memory_fails(resume, 7, 10);
  assert_sg_ok(resume(err));
}

/* A dry run writes nothing in the run's directory and does not change what a later start does. */
static void dry_run(void **state) {
  (void)state;
  sgi_run *x;
  sgi_run_request r = {.run = run_path, .data = data_path, .settings = small_run(), .dry_run = true};
  r.settings.tokenizer_vocab_size = 280;
  double seconds = 0;
  assert_sg_ok(sgi_run_open(&r, NULL, &x, err));
  assert_sg_ok(sgi_run_foretell_step(x, &seconds, err));
  assert_true(seconds > 0);
  assert_true(sgi_run_plan_of(x)->memory > 1 << 20);
  assert_int_equal(sgi_run_plan_of(x)->steps, 3);
  sgi_run_close(x);
  assert_false(sgi_is_directory(run_path));
  r.dry_run = false;
  assert_sg_ok(sgi_run_open(&r, NULL, &x, err));
  assert_sg_ok(sgi_run_train(x, err));
  assert_int_equal(sgi_run_evaluation(x)->rows, 5);
  /* and of one directory there is one trainer */
  sgi_run *second;
  sg_error busy = {0};
  r.resume = true;
  assert_int_equal(sgi_run_open(&r, NULL, &second, &busy), SG_ERR_IO);
  assert_non_null(strstr(busy.text, "is in use by another process"));
  sgi_run_close(x);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void) {
  const struct CMUnitTest tests[] = {TEST(corpus), TEST(evaluation), TEST(runs), TEST(dry_run)};
  if (!access("/dev/shm", W_OK)) setenv("TMPDIR", "/dev/shm", 0);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
