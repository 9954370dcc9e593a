/* Checkpoints when files and memory fail: the old one stays, the error is clear, nothing is left
 * behind, nothing leaks. */
#include "support/failing.h"
#include "support/small.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/arena.h"
#include "core/bundle.h"
#include "train/checkpoint.h"

#define KIND "sgatlin"
#define TOKENIZER "tests/golden/bpe/stories_alpha_300.json"

static char *root;

static int begin(void **state) {
  (void)state;
  root = golden_temporary();
  return 0;
}

static int end(void **state) {
  (void)state;
  sgi_file_fail_at(0, 0, false);
  sgi_alloc_fail_at(0, false);
  golden_remove(root);
  return 0;
}

static sgi_trainer *trained(size_t steps) {
  sgi_trainer_settings s = small_settings();
  s.accumulation = 2; /* after an odd number of steps a checkpoint has all three parts */
  sgi_trainer *t = small_trainer(KIND, &s);
  for (size_t i = 0; i < steps; i++) small_step(t);
  return t;
}

static sg_status save(const sgi_trainer *t, const char *run, sg_error *err) {
  char name[64];
  sgi_progress_state s = {.step = t->steps, .updates = t->updates, .best_loss = INFINITY};
  return sgi_checkpoint_save(run, t, &s, TOKENIZER, NULL, name, err);
}

static char *checkpoints(const char *run) {
  static char path[4400];
  snprintf(path, sizeof path, "%.4200s/checkpoints", run);
  return path;
}

/* Loads the newest into t, which is overwritten; its step, or 0. */
static uint64_t load(const char *run, sgi_trainer *t) {
  char name[64], path[5000];
  sgi_progress_state s;
  assert_sg_ok(sgi_bundle_newest(checkpoints(run), "step-", sgi_checkpoint_verify, name, sizeof name, NULL, NULL, err));
  if (!name[0]) return 0;
  snprintf(path, sizeof path, "%s/%s", checkpoints(run), name);
  assert_sg_ok(sgi_checkpoint_load(path, t, &s, err));
  return s.step;
}

static void expect_same(const sgi_trainer *a, const sgi_trainer *b) {
  size_t bytes = a->model->table.floats * sizeof(float);
  assert_memory_equal(a->model->arena, b->model->arena, bytes);
  assert_memory_equal(a->moment[0], b->moment[0], bytes);
  assert_memory_equal(a->moment[1], b->moment[1], bytes);
  assert_memory_equal(a->sum, b->sum, bytes);
  assert_int_equal(a->steps, b->steps);
  assert_int_equal(a->updates, b->updates);
}

static void expect_no_leftovers(const char *run) {
  char **names = golden_list(checkpoints(run));
  for (size_t i = 0; names[i]; i++)
    if (strstr(names[i], ".tmp-")) fail_msg("%s was left behind", names[i]);
  golden_free(names);
}

static void there_and_back(void **state) {
  (void)state;
  sgi_trainer *a = trained(5), *b = trained(0); /* the first update's rate is 0: two of them change weights */
  assert_memory_not_equal(a->model->arena, b->model->arena, a->model->table.floats * sizeof(float));
  assert_sg_ok(save(a, root, err));
  assert_int_equal(load(root, b), 5);
  expect_same(a, b);
  small_step(a);
  small_step(b);
  expect_same(a, b);
  sgi_trainer_free(a);
  sgi_trainer_free(b);
}

/* The n-th file call of a save fails, n = 1, 2, ... until the save gets through: whatever happened,
 * the newest complete checkpoint is the old one or the new one, to the last bit. */
static void saves_that_fail(int error, bool for_ever) {
  sgi_trainer *old = trained(1), *new = trained(2), *got = trained(0);
  char run[4200];
  size_t failures = 0;
  snprintf(run, sizeof run, "%s/run-%d-%d", root, error, for_ever);
  assert_sg_ok(save(old, run, err));
  for (size_t n = 1;; n++) {
    sg_error err = {0};
    size_t before = sgi_file_fail_at(n, error, for_ever);
    sg_status st = save(new, run, &err);
    size_t calls = sgi_file_fail_at(0, 0, false) - before;
    if (st) {
      failures++;
      bool space = error == ENOSPC || error == EDQUOT;
      if (st != (space ? SG_ERR_SPACE : SG_ERR_IO)) fail_msg("call %zu: %s (%s)", n, err.text, sg_status_text(st));
      if ((!strstr(err.text, run) && !strstr(err.text, TOKENIZER)) || !strstr(err.text, strerror(error)))
        fail_msg("call %zu: %s", n, err.text);
      expect_no_leftovers(run);
    }
    uint64_t step = load(run, got);
    if (step != 2 && !st) fail_msg("call %zu: saved, but step %llu is the newest", n, (unsigned long long)step);
    expect_same(step == 1 ? old : new, got);
    char path[5000];
    snprintf(path, sizeof path, "%s/step-00000002", checkpoints(run));
    sgi_remove_tree(path, NULL);
    if (n > calls) break;
  }
  /* Interrupted calls and short writes are gone on with; any other failure is told but where it
   * comes after the data is safe. */
  if (error == EINTR || error == 0)
    assert_int_equal(failures, 0);
  else
    assert_true(failures > 30);
  sgi_trainer_free(old);
  sgi_trainer_free(new);
  sgi_trainer_free(got);
}

static void save_once(void **state) {
  (void)state;
  const int errors[] = {EIO, ENOSPC, EDQUOT, EINTR, 0};
  for (size_t i = 0; i < SGI_COUNT(errors); i++) saves_that_fail(errors[i], false);
}

static void save_for_ever(void **state) {
  (void)state;
  const int errors[] = {EIO, ENOSPC, EDQUOT, 0};
  for (size_t i = 0; i < SGI_COUNT(errors); i++) saves_that_fail(errors[i], true);
}

/* Loading when the n-th file call fails: an error with the file's name, or the checkpoint as it was
 * saved. */
static void load_fails(void **state) {
  (void)state;
  sgi_trainer *a = trained(3), *b = trained(0);
  char path[5000];
  assert_sg_ok(save(a, root, err));
  snprintf(path, sizeof path, "%s/step-00000003", checkpoints(root));
  for (int error = 0; error < 3; error++)
    for (size_t n = 1;; n++) {
      const int errors[] = {EIO, EINTR, 0};
      sgi_progress_state s;
      sg_error err = {0};
      size_t before = sgi_file_fail_at(n, errors[error], error == 2);
      sg_status st = sgi_checkpoint_verify(path, &err);
      if (!st) st = sgi_checkpoint_load(path, b, &s, &err);
      size_t calls = sgi_file_fail_at(0, 0, false) - before;
      if (st && (errors[error] != EIO || st != SG_ERR_IO || !strstr(err.text, "step-00000003/")))
        fail_msg("call %zu, error %d: %s", n, errors[error], err.text);
      if (!st) expect_same(a, b);
      if (n > calls) break;
    }
  sgi_trainer_free(a);
  sgi_trainer_free(b);
}

/* ---- memory ---------------------------------------------------------------------------------- */

typedef sg_status (*action)(sg_error *err);

static sgi_trainer *subject;
static char *saved_directory;

static sg_status do_load_model(sg_error *err) {
  sg_model *m;
  sg_status st = sg_model_load(saved_directory, &m, err);
  if (!st) sg_model_free(m);
  return st;
}

static sg_status do_set_up(sg_error *err) {
  sg_config c = small_config(KIND);
  sgi_trainer_settings s = small_settings();
  sg_model *m;
  sgi_trainer *t;
  s.accumulation = 2;
  sg_status st = sg_model_create(&c, 1, &m, err);
  if (st) return st;
  st = sgi_trainer_create(m, &s, &t, err);
  if (st) {
    sg_model_free(m);
    return st;
  }
  int32_t inputs[SMALL_B * SMALL_T], targets[SMALL_B * SMALL_T];
  sgi_step out;
  small_batch(0, inputs, targets, NULL);
  st = sgi_trainer_step(t, inputs, targets, NULL, &out, err);
  sgi_trainer_free(t);
  return st;
}

static sg_status do_save(sg_error *err) { return save(subject, root, err); }

static sg_status do_resume(sg_error *err) {
  char name[64], path[5000];
  sgi_progress_state s;
  sg_status st =
      sgi_bundle_newest(checkpoints(root), "step-", sgi_checkpoint_verify, name, sizeof name, NULL, NULL, err);
  if (st) return st;
  assert_string_equal(name, "step-00000003");
  snprintf(path, sizeof path, "%s/%s", checkpoints(root), name);
  return sgi_checkpoint_load(path, subject, &s, err);
}

static sg_status act(void *user, sg_error *e) { return (*(const action *)user)(e); }

static void memory_fails(void **state) {
  (void)state;
  char path[5000];
  subject = trained(3);
  assert_sg_ok(save(subject, root, err));
  snprintf(path, sizeof path, "%s/step-00000003", checkpoints(root));
  saved_directory = path;
  const action actions[] = {do_load_model, do_set_up, do_save, do_resume};
  for (size_t i = 0; i < SGI_COUNT(actions); i++) {
    assert_true(allocations_fail_by(act, (void *)&actions[i], failing_step()) > 10);
    expect_no_leftovers(root);
  }
  assert_sg_ok(do_resume(err));
  sgi_trainer_free(subject);
}

/* ---- full disks ------------------------------------------------------------------------------ */

/* Sizes from "nothing fits" to "both fit": the old checkpoint is always there, and once there is
 * room the run goes on. */
static void full_disk(void **state) {
  (void)state;
  char disk[4096], run[4200];
  snprintf(disk, sizeof disk, "%s/disk", root);
  assert_int_equal(mkdir(disk, 0700), 0);
  sgi_trainer *old = trained(1), *new = trained(2), *got = trained(0);
  size_t full = 0;
  for (int kilobytes = 1600; kilobytes <= 4200; kilobytes += 200) {
    char size[40];
    snprintf(size, sizeof size, "size=%dk", kilobytes);
    if (mount("sgatlin-test", disk, "tmpfs", 0, size)) {
      print_message("[ SKIPPED ] a full disk needs the right to mount\n");
      break;
    }
    snprintf(run, sizeof run, "%s/run", disk);
    sg_error why = {0};
    bool first = !save(old, run, &why), second = first && !save(new, run, &why);
    if (!second) {
      full++;
      if (why.code != SG_ERR_SPACE || !strstr(why.text, run)) fail_msg("%s: %s", size, why.text);
    }
    if (first) {
      assert_int_equal(load(run, got), second ? 2 : 1);
      expect_same(second ? new : old, got);
      assert_int_equal(mount("sgatlin-test", disk, "tmpfs", MS_REMOUNT, "size=16m"), 0);
      assert_sg_ok(save(new, run, err));
      assert_int_equal(load(run, got), 2);
    }
    assert_int_equal(umount(disk), 0);
    if (second) assert_true(full > 0);
  }
  sgi_trainer_free(old);
  sgi_trainer_free(new);
  sgi_trainer_free(got);
}

/* Files may not grow beyond a limit: the write ends with EFBIG instead of the signal's death. */
static void file_size_limit(void **state) {
  (void)state;
  sgi_trainer *old = trained(1), *new = trained(2), *got = trained(0);
  assert_sg_ok(save(old, root, err));
  fflush(NULL);
  pid_t child = fork();
  assert_true(child >= 0);
  if (!child) {
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){20000, 20000});
    sg_error err = {0};
    sg_status st = save(new, root, &err);
    _exit(st == SG_ERR_SPACE && strstr(err.text, "model.safetensors") ? 0 : 1);
  }
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), 0);
  expect_no_leftovers(root);
  assert_int_equal(load(root, got), 1);
  expect_same(old, got);
  sgi_trainer_free(old);
  sgi_trainer_free(new);
  sgi_trainer_free(got);
}

/* ---- damage ---------------------------------------------------------------------------------- */

static char passed_over[256];

static void skipped(void *user, const char *name, const char *reason) {
  (void)user;
  snprintf(passed_over, sizeof passed_over, "%s: %.200s", name, reason);
}

/* Any file of the newest checkpoint cut, changed or gone: the one before it is taken, and the
 * damaged file is named. */
static void damage(void **state) {
  (void)state;
  static const char *const files[] = {"config.json",    "model.safetensors", "optimizer.safetensors",
                                      "tokenizer.json", "train_state.json",  "MANIFEST.json"};
  sgi_trainer *a = trained(1), *b = trained(2), *got = trained(0);
  assert_sg_ok(save(a, root, err));
  for (size_t i = 0; i < SGI_COUNT(files); i++)
    for (int how = 0; how < 3; how++) {
      char path[5000], name[64];
      assert_sg_ok(save(b, root, err));
      snprintf(path, sizeof path, "%s/step-00000002/%s", checkpoints(root), files[i]);
      struct stat s;
      assert_int_equal(stat(path, &s), 0);
      if (how == 0) assert_int_equal(unlink(path), 0);
      if (how == 1) assert_int_equal(truncate(path, s.st_size - 1), 0);
      if (how == 2) {
        FILE *f = fopen(path, "r+");
        assert_non_null(f);
        fseek(f, s.st_size / 2, SEEK_SET);
        fputc('~', f);
        fclose(f);
      }
      passed_over[0] = '\0';
      assert_sg_ok(
          sgi_bundle_newest(checkpoints(root), "step-", sgi_checkpoint_verify, name, sizeof name, skipped, NULL, err));
      if (how == 1 && !strcmp(files[i], "MANIFEST.json")) continue; /* only its last line's end is gone */
      assert_string_equal(name, "step-00000001");
      /* a changed manifest may name a file that is not there */
      bool named = strstr(passed_over, files[i]) || (how == 2 && !strcmp(files[i], "MANIFEST.json"));
      if (!strstr(passed_over, "step-00000002: ") || !named) fail_msg("%s", passed_over);
    }
  sgi_trainer_free(a);
  sgi_trainer_free(b);
  sgi_trainer_free(got);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void) {
  const struct CMUnitTest tests[] = {TEST(there_and_back), TEST(save_once), TEST(save_for_ever),   TEST(load_fails),
                                     TEST(memory_fails),   TEST(full_disk), TEST(file_size_limit), TEST(damage)};
  if (!access("/dev/shm", W_OK)) setenv("TMPDIR", "/dev/shm", 0); /* hundreds of saves, each with its fsyncs */
  return cmocka_run_group_tests(tests, NULL, NULL);
}
