/* Files of names under failing disks: each call that SQLite makes on a file fails,
 * once and for ever. The change is there whole or not at all, what stood before stays, the error
 * names the file, and the next attempt succeeds. */
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/file.h"
#include "names/names.h"
#include "support/golden.h"
#include "support/sqlite_faults.h"

static const sgi_names_model of = {"0123456789abcdef"};
static const sgi_label label = {
    .reads = {5, 7}, .n_reads = 2, .recorded = true, .writes = {9, 0}, .raises = {false, true}, .n_writes = 2};
enum { BEFORE = 60, CHANGED = 90 }; /* rows: several pages */
static char path[512], before[512], *folder;

static int setup(void **state) {
  (void)state;
  sqlite_faults_install();
  folder = golden_temporary();
  snprintf(path, sizeof path, "%s/names.sqlite", folder);
  snprintf(before, sizeof before, "%s/before.sqlite", folder);
  return 0;
}
static int teardown(void **state) {
  (void)state;
  golden_remove(folder);
  return 0;
}

/* Rows 0 .. count-1 are called "TEXT i". */
static sg_status write_rows(size_t count, const char *text, sg_error *e) {
  sg_names *n;
  sg_status st = sgi_names_open(path, &of, true, &n, e);
  if (st) return st;
  st = sgi_names_begin(n, e);
  for (size_t i = 0; i < count && !st; i++) {
    char name[80];
    snprintf(name, sizeof name, "%s %zu", text, i);
    st = sgi_names_label(n, (sgi_neuron_at){0, 0, i}, &label, "was | soup -, e +", e);
    if (!st) st = sg_names_give(n, (sgi_neuron_at){0, 0, i}, name, "ann", 3, e);
  }
  if (!st) st = sgi_names_commit(n, e);
  if (st) sgi_names_rollback(n);
  sg_names_close(n);
  return st;
}

/* All rows have this text, and there are so many: 1; those of another state: 0. */
static bool holds(size_t count, const char *text) {
  sg_names *n;
  size_t labels, names;
  sg_neuron_called row;
  assert_sg_ok(sgi_names_open(path, &of, false, &n, err));
  assert_sg_ok(sgi_names_count(n, &labels, &names, err));
  bool all = labels == count && names == count;
  for (size_t i = 0; i < count && all; i++) {
    char name[80];
    snprintf(name, sizeof name, "%s %zu", text, i);
    assert_sg_ok(sg_names_find(n, (sgi_neuron_at){0, 0, i}, &row, err));
    all = !strcmp(row.name, name);
  }
  sg_names_close(n);
  return all;
}

static void put_back(void) {
  char journal[600];
  snprintf(journal, sizeof journal, "%s-journal", path);
  unlink(journal);
  assert_sg_ok(sgi_copy_file(before, path, 1 << 24, err));
}

static void each_call(int code, bool for_ever, sg_status expected) {
  size_t failures = 0, nth = 1;
  for (;; nth++) {
    sg_error why = {0};
    put_back();
    sqlite_faults_arm(nth, code, for_ever);
    sg_status st = write_rows(CHANGED, "new", &why);
    bool met = sqlite_faults_count() >= nth;
    sqlite_faults_arm(0, 0, false);
    if (!met) {
      assert_int_equal(st, SG_OK);
      break;
    }
    if (st) {
      failures++;
      if (st != expected) fail_msg("call %zu: status %d: %s", nth, (int)st, why.text);
      if (!strstr(why.text, path)) fail_msg("call %zu: the file is not named: %s", nth, why.text);
      if (!holds(BEFORE, "old")) fail_msg("call %zu failed (%s), and what stood before is not there", nth, why.text);
      assert_sg_ok(write_rows(CHANGED, "new", err));
    }
    /* Removing the journal is the commit: what fails behind it fails for nobody. */
    if (!holds(CHANGED, "new")) fail_msg("call %zu: told as done and not there", nth);
  }
  assert_true(failures > 10 && nth > failures);
}

static void disk_full(void **state) {
  (void)state;
  assert_sg_ok(write_rows(BEFORE, "old", err));
  assert_sg_ok(sgi_copy_file(path, before, 1 << 24, err));
  each_call(SQLITE_FULL, false, SG_ERR_SPACE);
  each_call(SQLITE_FULL, true, SG_ERR_SPACE);
}

static void disk_broken(void **state) {
  (void)state;
  each_call(SQLITE_IOERR_WRITE, false, SG_ERR_IO);
  each_call(SQLITE_IOERR_FSYNC, true, SG_ERR_IO);
}

/* A first file that could not be made leaves nothing that the next attempt takes for another's. */
static void first_file(void **state) {
  (void)state;
  size_t nth = 1;
  for (;; nth++) {
    unlink(path);
    sqlite_faults_arm(nth, SQLITE_FULL, true);
    sg_status st = write_rows(BEFORE, "old", NULL);
    bool met = sqlite_faults_count() >= nth;
    sqlite_faults_arm(0, 0, false);
    if (!met) break;
    if (st) assert_sg_ok(write_rows(BEFORE, "old", err));
    assert_true(holds(BEFORE, "old"));
  }
  assert_true(nth > 10);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(disk_full),
      cmocka_unit_test(disk_broken),
      cmocka_unit_test(first_file),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
