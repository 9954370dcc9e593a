/* A run stopped after any step and resumed ends with the bytes of one that was never stopped, for
 * every kind, layers that differ and every form of a layer, one document a row or packed, with
 * accumulation, across epochs and all phases of the schedule, and for one and two threads. */
#include "support/small.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/bundle.h"
#include "train/run.h"

enum { STEPS = 13 };

static char *root;

static void write_text(const char *name, size_t documents) {
  char path[4200];
  snprintf(path, sizeof path, "%s/data/%s", root, name);
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  for (size_t i = 0; i < documents; i++) {
    fprintf(f, "One day number %zu", i);
    for (size_t k = 0; k < i % 5; k++)
      fprintf(f, ", %s went to the %s", k % 2 ? "Tom" : "the dog", i % 2 ? "park" : "sea");
    fprintf(f, ".<|endoftext|>\n");
  }
  fclose(f);
}

static int begin(void **state) {
  (void)state;
  char path[4200];
  root = golden_temporary();
  snprintf(path, sizeof path, "%s/data", root);
  assert_int_equal(mkdir(path, 0700), 0);
  write_text("train.txt", 22); /* five batches of four rows an epoch */
  write_text("valid.txt", 6);
  return 0;
}

static int end(void **state) {
  (void)state;
  golden_remove(root);
  return 0;
}

typedef struct variant {
  const char *kind, *rows, *accumulation, *schedule, *optimizer;
  const char *layers, *form, *steps; /* NULL: all alike; sequential; 1 */
  const char *precision, *pools;     /* NULL: float32 */
  const char *micro;                 /* NULL: 2 */
} variant;

static sgi_settings settings_of(const variant *v) {
  const sgi_ffn_ops *ffn = sgi_ffn_find(v->kind, NULL);
  size_t n = 2;
  char number[24];
  if (v->layers) mixed_layers(&n);
  snprintf(number, sizeof number, "%zu", n);
  const char *const all[][2] = {{"feedforward.kind", v->kind},
                                {"model.hidden_size", "32"},
                                {"model.num_hidden_layers", number},
                                {"model.head_dim", "16"},
                                {ffn->pool ? "feedforward.num_experts" : "feedforward.num_neurons", "36"},
                                {"train.steps", "13"},
                                {"train.batch_size", "4"},
                                {"train.micro_batch", "2"},
                                {"train.seq_len", "24"},
                                {"train.grad_accumulation", v->accumulation},
                                {"train.seed", "7"},
                                {"schedule.kind", v->schedule},
                                {"schedule.warmup_steps", "2"},
                                {"schedule.decay_fraction", "0.4"},
                                {"data.rows", v->rows},
                                {"eval.every", "2"},
                                {"checkpoint.every", "4"},
                                {"log.every", "1"}};
  sgi_assignments a = {0};
  sgi_settings s;
  for (size_t i = 0; i < SGI_COUNT(all); i++) assert_sg_ok(sgi_assign(&a, all[i][0], all[i][1], "test", err));
  if (ffn->uses & SGI_USES_CHANNELS) assert_sg_ok(sgi_assign(&a, "feedforward.num_channels", "3", "test", err));
  if (ffn->uses & SGI_USES_TOP_K) assert_sg_ok(sgi_assign(&a, "feedforward.top_k", "2", "test", err));
  if (ffn->uses & SGI_USES_KEY_DIM) assert_sg_ok(sgi_assign(&a, "feedforward.key_dim", "8", "test", err));
  if (v->layers) assert_sg_ok(sgi_assign(&a, "model.layers", v->layers, "test", err));
  if (v->form) assert_sg_ok(sgi_assign(&a, "model.layer_form", v->form, "test", err));
  if (v->steps) assert_sg_ok(sgi_assign(&a, "model.ode_steps", v->steps, "test", err));
  if (v->precision) assert_sg_ok(sgi_assign(&a, "train.precision", v->precision, "test", err));
  if (v->pools) assert_sg_ok(sgi_assign(&a, "train.pool_precision", v->pools, "test", err));
  if (v->micro) assert_sg_ok(sgi_assign(&a, "train.micro_batch", v->micro, "test", err));
  if (v->optimizer) assert_sg_ok(sgi_assign(&a, "optimizer.kind", v->optimizer, "test", err));
  assert_sg_ok(sgi_settings_resolve(&a, &s, err));
  sgi_assignments_free(&a);
  return s;
}

static size_t steps_seen, stop_after;

static void count_step(void *user, const sgi_run_line *line) {
  (void)user;
  (void)line;
  steps_seen++;
}
static bool stop(void *user) {
  (void)user;
  return steps_seen >= stop_after;
}

/* One process's worth of a run: up to `steps` steps. True when the run is done. */
static bool train(const char *run, const variant *v, bool resume, size_t steps, int threads) {
  char path[4200], data[4200];
  snprintf(path, sizeof path, "%s/%s", root, run);
  snprintf(data, sizeof data, "%s/data", root);
  sgi_run_request r = {.run = path, .resume = resume};
  if (!resume) {
    r.data = data;
    r.tokenizer = "tests/golden/bpe/stories_alpha_300.json";
    r.settings = settings_of(v);
  }
  sgi_run_events e = {.step = count_step, .stop = stop};
  sgi_run *x;
  sg_error err = {0};
  steps_seen = 0;
  stop_after = SIZE_MAX;
  omp_set_num_threads(threads);
  if (sgi_run_open(&r, &e, &x, &err)) fail_msg("%s: %s", run, err.text);
  stop_after = steps;
  sg_status st = sgi_run_train(x, &err);
  sgi_run_close(x);
  if (st && st != SG_ERR_CANCELLED) fail_msg("%s: %s", run, err.text);
  return !st;
}

static void expect_equal_files(const char *a, const char *b, const char *name, const char *what) {
  char path[4400], *text[2];
  size_t n[2];
  for (int i = 0; i < 2; i++) {
    snprintf(path, sizeof path, "%s/%s/%s", root, i ? b : a, name);
    assert_sg_ok(sgi_read_file(path, 1 << 26, &text[i], &n[i], err));
  }
  if (n[0] != n[1] || memcmp(text[0], text[1], n[0])) fail_msg("%s: %s of %s and %s differ", what, name, a, b);
  sgi_free(text[0]);
  sgi_free(text[1]);
}

static void expect_equal_runs(const char *a, const char *b, const variant *v) {
  static const char *const files[] = {"checkpoints/step-00000013/model.safetensors",
                                      "checkpoints/step-00000013/optimizer.safetensors", "checkpoints/latest",
                                      "checkpoints/best"};
  for (size_t i = 0; i < SGI_COUNT(files); i++) expect_equal_files(a, b, files[i], v->kind);
}

static double of_line(const json_t *o, const char *key) { return json_number_value(json_object_get(o, key)); }

/* Every step and every evaluation stands once in metrics.jsonl, with the same numbers in both. */
static void expect_equal_metrics(const char *a, const char *b) {
  char path[4400], la[8192], lb[8192];
  FILE *f[2];
  for (int i = 0; i < 2; i++) {
    snprintf(path, sizeof path, "%s/%s/metrics.jsonl", root, i ? b : a);
    f[i] = fopen(path, "r");
    assert_non_null(f[i]);
  }
  size_t lines = 0;
  for (; fgets(la, sizeof la, f[0]); lines++) {
    if (!fgets(lb, sizeof lb, f[1])) fail_msg("%s ends before %s", b, a);
    json_t *x = json_loads(la, 0, NULL), *y = json_loads(lb, 0, NULL);
    const char *const differ[] = {"time", "perf/tokens_per_s", "perf/peak_rss_bytes"};
    for (size_t i = 0; i < SGI_COUNT(differ); i++) json_object_del(x, differ[i]), json_object_del(y, differ[i]);
    if (!json_equal(x, y)) fail_msg("metrics differ: %s and %s", la, lb);
    if (json_object_get(x, "eval/loss")) assert_true(of_line(x, "eval/perplexity") == of_line(x, "eval/ppl"));
    json_decref(x);
    json_decref(y);
  }
  assert_null(fgets(lb, sizeof lb, f[1]));
  assert_int_equal(lines, STEPS + STEPS / 2 + 1);
  fclose(f[0]);
  fclose(f[1]);
}

/* Stopped after each single step, the number of threads changing each time. */
static void one_variant(const variant *v) {
  assert_true(train("whole", v, false, SIZE_MAX, 2));
  size_t processes = 1;
  for (bool done = train("parts", v, false, 1, 1); !done; processes++)
    done = train("parts", v, true, 1, (int)(processes % 2) + 1);
  assert_int_equal(processes, STEPS + 1); /* the last one makes the evaluation that the stop cut short */
  expect_equal_runs("whole", "parts", v);
  expect_equal_metrics("whole", "parts");
  const char *const runs[] = {"whole", "parts"};
  for (size_t i = 0; i < SGI_COUNT(runs); i++) {
    char path[4200];
    snprintf(path, sizeof path, "%s/%s", root, runs[i]);
    assert_sg_ok(sgi_remove_tree(path, err));
  }
}

static void every_kind(void **state) {
  (void)state;
  for (size_t i = 0; sg_feedforward_name(i); i++) {
    one_variant(&(variant){sg_feedforward_name(i), "pad", "1", "warmup_stable_linear_decay", .optimizer = NULL});
    one_variant(&(variant){sg_feedforward_name(i), "pack", "2", "warmup_stable_sqrt_decay", .optimizer = NULL});
  }
}

static void every_optimizer(void **state) {
  (void)state;
  const char *kind = sg_feedforward_name(0);
  for (size_t i = 0; sgi_optimizer_at(i); i++) {
    if (sgi_optimizer_at(i) == sgi_optimizer_default()) continue; /* it is in all the others */
    one_variant(&(variant){kind, "pad", "1", "warmup_stable_linear_decay", .optimizer = sgi_optimizer_at(i)->name});
    one_variant(&(variant){kind, "pack", "2", "cosine", .optimizer = sgi_optimizer_at(i)->name});
  }
}

static void every_form(void **state) {
  (void)state;
  const char *form;
  for (size_t i = 1; (form = sg_layer_form_name(i)); i++) { /* the first is in all the others */
    variant v = {sg_feedforward_name(i % 2 ? 0 : 2), "pack", "2", "cosine", .form = form};
    if (strcmp(form, "parallel")) v.steps = i % 2 ? "1" : "2";
    one_variant(&v);
  }
}

static void layers_that_differ(void **state) {
  (void)state;
  size_t n;
  variant v = {"sgatlin", "pad", "1", "warmup_stable_linear_decay", .layers = mixed_layers(&n)};
  one_variant(&v);
  v.rows = "pack", v.accumulation = "2", v.form = "parallel";
  one_variant(&v);
}

static void in_bf16(void **state) {
  (void)state;
  size_t n;
  for (size_t i = 0; sg_feedforward_name(i); i++)
    one_variant(&(variant){sg_feedforward_name(i), "pack", i % 2 ? "1" : "2", "cosine", .precision = "bf16"});
  one_variant(&(variant){"sgatlin", "pad", "1", "constant", .layers = mixed_layers(&n), .precision = "bf16"});
}

/* Rows stepped at once and kept, in the middle of an accumulation too, with layers that other kinds
 * and tied pools are among, in bf16. */
static void pools_in_int4(void **state) {
  (void)state;
  size_t n;
  static const char *const kinds[] = {"sgatlin", "peer"};
  for (size_t i = 0; i < 2; i++) {
    one_variant(&(variant){kinds[i], "pad", "1", "cosine", .pools = "int4", .micro = "4"});
    one_variant(&(variant){kinds[i], "pack", i ? "1" : "3", "constant", .pools = "int4"});
  }
  one_variant(&(variant){"sgatlin", "pack", "2", "constant", .pools = "int4", .precision = "bf16"});
  one_variant(&(variant){"sgatlin", "pad", "2", "cosine", .layers = mixed_layers(&n), .pools = "int4"});
}

static void other_schedules(void **state) {
  (void)state;
  one_variant(&(variant){sg_feedforward_name(0), "pack", "2", "cosine", .optimizer = NULL});
  one_variant(&(variant){sg_feedforward_name(0), "pad", "3", "constant", .optimizer = NULL});
}

/* A process that is killed leaves steps after its last checkpoint, half a line and a half-written
 * checkpoint behind. */
static void killed(void **state) {
  (void)state;
  variant v = {sg_feedforward_name(0), "pad", "2", "cosine", .optimizer = NULL};
  char path[4300];
  assert_true(train("whole", &v, false, SIZE_MAX, 1));
  assert_false(train("parts", &v, false, 10, 2));
  snprintf(path, sizeof path, "%s/parts/checkpoints/step-00000010", root); /* as if not yet written */
  char half[4400];
  snprintf(half, sizeof half, "%s.tmp-4711", path);
  assert_int_equal(rename(path, half), 0);
  snprintf(path, sizeof path, "%s/parts/metrics.jsonl", root);
  FILE *f = fopen(path, "a");
  assert_non_null(f);
  fputs("{\"step\":10,\"tok", f);
  fclose(f);
  assert_true(train("parts", &v, true, SIZE_MAX, 1));
  expect_equal_runs("whole", "parts", &v);
  expect_equal_metrics("whole", "parts");
  assert_false(sgi_is_directory(half));
}

/* Seed, data and architecture are the run's: another text is refused. */
static void other_text(void **state) {
  (void)state;
  variant v = {sg_feedforward_name(0), "pad", "1", "constant", .optimizer = NULL};
  assert_false(train("run", &v, false, 3, 1));
  write_text("train.txt", 23);
  char path[4200];
  snprintf(path, sizeof path, "%s/run", root);
  sgi_run *x;
  sg_error err = {0};
  sgi_run_request r = {.run = path, .resume = true};
  sg_status st = sgi_run_open(&r, NULL, &x, &err);
  if (!st) {
    st = sgi_run_train(x, &err);
    sgi_run_close(x);
  }
  assert_int_equal(st, SG_ERR_ARG);
  assert_non_null(strstr(err.text, "the training text is not the one"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void) {
  const struct CMUnitTest tests[] = {TEST(every_kind),         TEST(every_optimizer), TEST(every_form),
                                     TEST(layers_that_differ), TEST(other_schedules), TEST(in_bf16),
                                     TEST(pools_in_int4),      TEST(killed),          TEST(other_text)};
  if (!access("/dev/shm", W_OK)) setenv("TMPDIR", "/dev/shm", 0); /* hundreds of saves, each with its fsyncs */
  return cmocka_run_group_tests(tests, NULL, NULL);
}
