/* sg_train: the run that the command makes, to the last byte; stopped and resumed; watched;
 * refused; with allocations that fail. */
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/file.h"
#include "support/failing.h"
#include "train/run.h"

#define TOKENIZER "tests/golden/bpe/stories_alpha_300.json"

static char *root;
static char data[4200];

static const char *in_root(const char *name) {
  static char path[4][4400];
  static int turn;
  turn = (turn + 1) % 4;
  snprintf(path[turn], sizeof path[turn], "%s/%s", root, name);
  return path[turn];
}

static void write_text(const char *path, size_t documents) {
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  for (size_t i = 0; i < documents; i++) fprintf(f, "Tom %zu saw a dog in the park.<|endoftext|>\n", i);
  fclose(f);
}

static int begin(void **state) {
  (void)state;
  root = golden_temporary();
  snprintf(data, sizeof data, "%s", in_root("data"));
  assert_int_equal(mkdir(data, 0700), 0);
  write_text(in_root("data/train.txt"), 20);
  write_text(in_root("data/valid.txt"), 5);
  omp_set_num_threads(1); /* so that the count of allocations is the same each time */
  return 0;
}

static int end(void **state) {
  (void)state;
  golden_remove(root);
  return 0;
}

static const char *const sizes[] = {"model.hidden_size=32",       "model.num_hidden_layers=2",
                                    "model.head_dim=16",          "feedforward.num_neurons=36",
                                    "feedforward.num_channels=2", "feedforward.top_k=2",
                                    "feedforward.key_dim=8",      "train.steps=7",
                                    "train.batch_size=2",         "train.seq_len=16",
                                    "train.grad_accumulation=1",  "eval.every=2",
                                    "checkpoint.every=3",         "log.every=1"};

static sg_train_request request(const char *run) {
  return (sg_train_request){
      .run = in_root(run), .data = data, .tokenizer = TOKENIZER, .set = sizes, .n_set = SGI_COUNT(sizes)};
}

static char *read_all(const char *path, size_t *n) {
  char *text;
  assert_sg_ok(sgi_read_file(path, 1 << 26, &text, n, err));
  return text;
}

static void expect_equal_files(const char *a, const char *b) {
  size_t n[2];
  char *text[2] = {read_all(in_root(a), &n[0]), read_all(in_root(b), &n[1])};
  if (n[0] != n[1] || memcmp(text[0], text[1], n[0])) fail_msg("%s and %s differ", a, b);
  sgi_free(text[0]);
  sgi_free(text[1]);
}

static void expect_equal_runs(const char *a, const char *b) {
  static const char *const files[] = {"config.json", "checkpoints/step-00000007/model.safetensors",
                                      "checkpoints/step-00000007/optimizer.safetensors", "checkpoints/best"};
  for (size_t i = 0; i < SGI_COUNT(files); i++) {
    char one[200], other[200];
    snprintf(one, sizeof one, "%s/%s", a, files[i]);
    snprintf(other, sizeof other, "%s/%s", b, files[i]);
    expect_equal_files(one, other);
  }
}

/* What a watcher saw. */
typedef struct seen {
  size_t planned, steps, evaluations, saved, notes, works, stop_after;
  double last_loss;
  char rows[1 << 16], name[64];
  const sg_train_request *again; /* called from within a step */
} seen;

static void note(void *user, const char *text) {
  ((seen *)user)->notes++;
  assert_true(*text);
}
static void work(void *user, const char *what, uint64_t done, uint64_t total) {
  ((seen *)user)->works++;
  assert_true(*what && (done <= total || !total));
}
static void step(void *user, const sg_train_line *l) {
  seen *s = user;
  s->steps++;
  assert_true(l->step <= l->steps && l->steps == 7 && l->last.targets && l->last.loss > 0);
  if (s->again) assert_refused(sg_train(s->again, NULL, err), SG_ERR_IO, "in use");
}
static void evaluated(void *user, uint64_t at, const sg_evaluation *e) {
  seen *s = user;
  s->evaluations++;
  s->last_loss = e->loss;
  assert_true(at <= 7 && e->rows && e->tokens);
}
static void saved(void *user, const char *name) {
  seen *s = user;
  s->saved++;
  snprintf(s->name, sizeof s->name, "%s", name);
}
static void row(void *user, const char *json) {
  seen *s = user;
  size_t n = strlen(s->rows);
  snprintf(s->rows + n, sizeof s->rows - n, "%s\n", json);
}
static void planned(void *user, const sg_train_plan *plan, const sg_config *model) {
  seen *s = user;
  s->planned++;
  assert_true(!s->steps && plan->steps == 7 && plan->batch_size == 2 && plan->seq_len == 16);
  /* Seven batches of two rows of 16 tokens, or of two documents out of twenty as far as rows hold
   * them. */
  double used = plan->packed ? 7 * 2 * 16 : 0.7 * (double)(plan->train_tokens - plan->cut_tokens);
  assert_true(fabs(plan->epochs * (double)plan->train_tokens - used) < 1e-6);
  assert_true(!plan->pool_weights && !plan->pool_bytes);
  assert_true(model->hidden_size == 32 && model->num_layers == 2 && model->vocab_size > 100);
}
static bool stop(void *user) {
  const seen *s = user;
  return s->stop_after && s->steps >= s->stop_after;
}

static sg_train_events watch(seen *s) {
  return (sg_train_events){s, note, work, step, evaluated, saved, row, stop, planned};
}

static double evaluation_steps; /* of the last run by hand, as it was foretold */

/* The same run by the parts that the command calls. */
static void by_hand(const char *name) {
  sgi_assignments a = {0};
  sgi_run_request r = {.run = in_root(name), .data = data, .tokenizer = TOKENIZER};
  sgi_run *run;
  for (size_t i = 0; i < SGI_COUNT(sizes); i++) assert_sg_ok(sgi_assign_text(&a, sizes[i], NULL, err));
  assert_sg_ok(sgi_settings_resolve(&a, &r.settings, err));
  sgi_assignments_free(&a);
  assert_sg_ok(sgi_run_open(&r, NULL, &run, err));
  evaluation_steps = sgi_run_evaluation_steps(run);
  assert_sg_ok(sgi_run_train(run, err));
  sgi_run_close(run);
}

/* Only at the end, also where checkpoints lie on the way. */
static void one_evaluation(double five) {
  static seen s;
  const char *set[SGI_COUNT(sizes) + 1];
  sg_train_request q = request("judged once");
  memcpy(set, sizes, sizeof sizes);
  set[SGI_COUNT(sizes)] = "eval.every=0";
  q.set = set, q.n_set = SGI_COUNT(set);
  q.events = watch(&s);
  assert_sg_ok(sg_train(&q, NULL, err));
  assert_int_equal(s.evaluations, 1);
  assert_int_equal(s.saved, 3);
  sgi_run *run;
  assert_sg_ok(sgi_run_open(&(sgi_run_request){.run = in_root("judged once"), .resume = true}, NULL, &run, err));
  assert_true(fabs(5 * sgi_run_evaluation_steps(run) - five) < 1e-9);
  sgi_run_close(run);
}

static void whole(void **state) {
  (void)state;
  static seen s;
  sg_train_request q = request("whole"), second = request("whole");
  sg_train_result out;
  by_hand("by hand");
  second.resume = true;
  second.set = NULL, second.n_set = 0, second.tokenizer = NULL;
  s.again = &second; /* of one run directory there is one writer */
  q.events = watch(&s);
  assert_sg_ok(sg_train(&q, &out, err));
  expect_equal_runs("by hand", "whole");
  assert_int_equal(s.planned, 1);
  assert_int_equal(s.steps, 7);
  assert_int_equal(s.evaluations, 5); /* after 2, 3, 4, 6 and 7 */
  one_evaluation(evaluation_steps);
  assert_int_equal(s.saved, 3);
  assert_string_equal(s.name, "step-00000007");
  assert_string_equal(out.checkpoint, "step-00000007");
  assert_int_equal(out.step, 7);
  assert_int_equal(out.plan.steps, 7);
  assert_true(out.evaluation.rows && out.evaluation.loss == s.last_loss);
  assert_true(isnan(out.loss_with_buffer)); /* no pool is int4 */
  assert_string_equal(out.first_words, "Tom 0 saw a");
  size_t n;
  char *lines = read_all(in_root("whole/metrics.jsonl"), &n);
  assert_int_equal(n, strlen(s.rows));
  assert_memory_equal(lines, s.rows, n);
  sgi_free(lines);
  /* The settings of a run, as text, make another like it; one directory holds one run. */
  char *config = read_all(in_root("whole/config.json"), &n);
  q = request("again");
  q.settings = config;
  q.set = NULL, q.n_set = 0;
  assert_sg_ok(sg_train(&q, NULL, err));
  expect_equal_runs("by hand", "again");
  sgi_free(config);
  q = request("whole");
  assert_refused(sg_train(&q, NULL, err), SG_ERR_ARG, "already holds a run");
  /* What is left of it can be planned without touching it. */
  q = (sg_train_request){.run = in_root("whole"), .resume = true, .plan_only = true, .steps = 9};
  assert_sg_ok(sg_train(&q, &out, err));
  assert_int_equal(out.plan.steps, 9);
  expect_equal_runs("by hand", "whole");
}

/* Settings as text: what they come to makes the same run; errors call them what the caller does. */
static void settings(void **state) {
  (void)state;
  const char *wrong[] = {"train.steps=5", "optimizer.learning_rate=fast"}, *names[] = {NULL, "--lr"};
  char *json = NULL;
  sg_train_request q = request("resolved");
  assert_sg_ok(sg_train_settings(&q, &json, err));
  assert_non_null(strstr(json, "\"hidden_size\": 32"));
  q.settings = json;
  q.set = NULL, q.n_set = 0;
  assert_sg_ok(sg_train(&q, NULL, err));
  expect_equal_runs("by hand", "resolved");
  sg_buffer_free(json);
  q.settings = NULL;
  q.set = wrong, q.n_set = 2;
  assert_refused(sg_train_settings(&q, &json, err), SG_ERR_ARG, "optimizer.learning_rate=fast");
  q.set_names = names;
  assert_refused(sg_train_settings(&q, &json, err), SG_ERR_ARG, "--lr");
  assert_null(json);
  q.n_set = 1;
  q.settings = "{\"train\": {\"stepz\": 1}}", q.settings_name = "my.json";
  assert_refused(sg_train_settings(&q, &json, err), SG_ERR_ARG, "my.json");
  q.settings = "{";
  assert_refused(sg_train_settings(&q, &json, err), SG_ERR_FORMAT, "my.json");
  q.set = NULL;
  assert_refused(sg_train_settings(&q, &json, err), SG_ERR_ARG, "set");
  assert_refused(sg_train_settings(&q, NULL, err), SG_ERR_ARG, "json");
  assert_refused(sg_train_settings(NULL, &json, err), SG_ERR_ARG, "request");
  assert_string_equal(sg_setting_word("lr"), "optimizer.learning_rate");
  assert_string_equal(sg_setting_word("hidden-size"), "model.hidden_size");
  assert_null(sg_setting_word("colour"));
}

/* One rank is one process. */
static void ranks(void **state) {
  (void)state;
  const char *with_parts[SGI_COUNT(sizes) + 1]; /* which ranks settle so that several can share a batch */
  sg_ranks alone = {.count = 1};
  sg_train_request q = request("alone");
  memcpy(with_parts, sizes, sizeof sizes);
  with_parts[SGI_COUNT(sizes)] = "train.parts=1";
  q.set = with_parts, q.n_set = SGI_COUNT(with_parts);
  q.ranks = &alone;
  assert_sg_ok(sg_train(&q, NULL, err));
  expect_equal_runs("by hand", "alone");
  q = request("channels");
  q.channel_ranks = 2;
  assert_refused(sg_train(&q, NULL, err), SG_ERR_ARG, "one process");
  assert_false(sgi_is_directory(in_root("channels")));
}

/* Stopped after each number of steps and resumed: the bytes of a run that was not. */
static void stopping(void **state) {
  (void)state;
  for (size_t k = 1; k < 7; k++) {
    static seen s;
    s = (seen){.stop_after = k};
    sg_train_request q = request("stopped");
    sg_train_result out;
    q.events = watch(&s);
    assert_refused(sg_train(&q, &out, err), SG_ERR_CANCELLED, "stopped after step");
    assert_int_equal(out.step, k);
    char name[64];
    snprintf(name, sizeof name, "step-%08zu", k);
    assert_string_equal(out.checkpoint, name);
    s = (seen){0};
    q = (sg_train_request){.run = in_root("stopped"), .resume = true, .events = watch(&s)};
    assert_sg_ok(sg_train(&q, &out, err));
    assert_int_equal(s.steps, 7 - k);
    assert_int_equal(out.step, 7);
    expect_equal_runs("by hand", "stopped");
    assert_sg_ok(sgi_remove_tree(in_root("stopped"), err));
  }
}

static void planning(void **state) {
  (void)state;
  sg_train_request q = request("plan");
  sg_train_result out;
  q.plan_only = true;
  assert_sg_ok(sg_train(&q, &out, err));
  assert_false(sgi_is_directory(in_root("plan")));
  assert_true(out.plan.steps == 7 && out.plan.train_documents == 20 && out.plan.valid_documents == 5);
  assert_int_equal(out.step, 0);
  assert_true(out.plan.seconds == 0);
  q.timed = true;
  assert_sg_ok(sg_train(&q, &out, err));
  assert_true(out.plan.seconds > 0);
  q.timed = false;
  static seen s;
  q.run = q.tokenizer = NULL; /* one is trained */
  q.events = watch(&s);
  assert_sg_ok(sg_train(&q, NULL, err));
  assert_true(s.works > 0 && s.notes > 0 && s.planned == 1);
  const char *help = NULL;
  size_t keys = 0;
  while (sg_setting_key(keys, &help)) assert_true(*help), keys++;
  assert_true(keys > 20);
}

static void refusals(void **state) {
  (void)state;
  const char *wrong[] = {"train.stepz=5"}, *none[] = {NULL};
  sg_train_request q = request("refused");
  assert_refused(sg_train(NULL, NULL, err), SG_ERR_ARG, "request");
  q.run = NULL;
  assert_refused(sg_train(&q, NULL, err), SG_ERR_ARG, "run");
  q = request("refused"), q.data = NULL;
  assert_refused(sg_train(&q, NULL, err), SG_ERR_ARG, "data");
  q = request("refused"), q.set = NULL;
  assert_refused(sg_train(&q, NULL, err), SG_ERR_ARG, "set");
  q = request("refused"), q.set = none, q.n_set = 1;
  assert_refused(sg_train(&q, NULL, err), SG_ERR_ARG, "set");
  q = request("refused"), q.set = wrong, q.n_set = 1;
  assert_refused(sg_train(&q, NULL, err), SG_ERR_ARG, "train.steps");
  q = request("refused"), q.settings = "{\"train\": ";
  assert_refused(sg_train(&q, NULL, err), SG_ERR_FORMAT, "settings");
  q.settings = "[1]";
  assert_refused(sg_train(&q, NULL, err), SG_ERR_FORMAT, "settings");
  q.settings = "{\"train\": {\"steps\": -1}}";
  assert_refused(sg_train(&q, NULL, err), SG_ERR_ARG, "train.steps");
  q = request("refused"), q.resume = true;
  assert_refused(sg_train(&q, NULL, err), SG_ERR_ARG, "resumed run");
  q = (sg_train_request){.run = in_root("refused"), .resume = true};
  assert_refused(sg_train(&q, NULL, err), SG_ERR_IO, "no run to resume");
  q = request("refused"), q.steps = 9;
  assert_refused(sg_train(&q, NULL, err), SG_ERR_ARG, "train.steps=9");
  q = request("refused"), q.data = "/no/such";
  assert_refused(sg_train(&q, NULL, err), SG_ERR_IO, "/no/such");
  assert_false(sgi_is_directory(in_root("refused"))); /* a start that failed leaves nothing */
}

static sg_status from_text(void *user, sg_error *err) {
  (void)user;
  sg_train_request q = request("memory");
  q.settings = "{\"train\": {\"seed\": 3}}";
  q.n_set = 8; /* seven steps would take too many tries */
  const char *few[SGI_COUNT(sizes)];
  memcpy(few, sizes, sizeof few);
  few[7] = "train.steps=1";
  q.set = few;
  char *json = NULL;
  sg_status st = sg_train_settings(&q, &json, err);
  sg_buffer_free(json);
  if (!st) st = sg_train(&q, NULL, err);
  sgi_remove_tree(in_root("memory"), NULL);
  return st;
}

static void memory(void **state) {
  (void)state;
  assert_true(allocations_fail_by(from_text, NULL, 61) > 10);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(whole),    cmocka_unit_test(settings), cmocka_unit_test(ranks),  cmocka_unit_test(stopping),
      cmocka_unit_test(planning), cmocka_unit_test(refusals), cmocka_unit_test(memory),
  };
  return cmocka_run_group_tests(tests, begin, end);
}
