/* Limits of control groups, read from trees made here as the kernel shows them: versions 1 and 2,
 * containers with and without a namespace of their own, and values that are no limit. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/file.h"
#include "core/limits.h"
#include "support/text_scratch.h"

static const char *root;

/* A file with its directories. */
static void put(const char *path, const char *text) {
  char whole[512];
  snprintf(whole, sizeof whole, "%s%s", root, path);
  char *slash = strrchr(whole, '/');
  *slash = '\0';
  assert_int_equal(sgi_make_directory(whole, NULL), SG_OK);
  *slash = '/';
  assert_int_equal(sgi_write_file(whole, text, strlen(text), NULL), SG_OK);
}

static void tree(const char *cgroup, const char *mountinfo) {
  root = scratch_begin();
  put("/proc/self/cgroup", cgroup);
  put("/proc/self/mountinfo", mountinfo);
}

static void limits(uint64_t memory, double processors) {
  sgi_limits l;
  sgi_limits_read(root, &l);
  assert_true(l.memory == memory);
  assert_true(l.processors == processors);
  scratch_end();
}

#define ONE_TREE \
  "25 1 8:1 / / rw - ext4 /dev/sda1 rw\n30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n"

static void version_two_with_parents(void **state) {
  (void)state;
  tree("0::/user.slice/job\n", ONE_TREE);
  put("/sys/fs/cgroup/user.slice/job/memory.max", "800000000\n");
  put("/sys/fs/cgroup/user.slice/memory.max", "400000000\n");
  put("/sys/fs/cgroup/user.slice/job/cpu.max", "max 100000\n");
  put("/sys/fs/cgroup/user.slice/cpu.max", "150000 100000\n");
  limits(400000000, 1.5);
  tree("0::/a/b/c\n", ONE_TREE);
  put("/sys/fs/cgroup/a/b/c/memory.high", "1000000\n");
  put("/sys/fs/cgroup/a/b/c/memory.max", "max\n");
  put("/sys/fs/cgroup/a/memory.max", "2000000");
  limits(1000000, INFINITY);
}

/* "max", nothing, words, huge values, 0 and files that are not there. */
static void what_is_no_limit(void **state) {
  (void)state;
  static const char *const none[] = {
      "max\n", "", "\n", "lots\n", "-1\n", "0\n", "9223372036854771712\n", "99999999999999999999999\n"};
  for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
    tree("0::/x\n", ONE_TREE);
    put("/sys/fs/cgroup/x/memory.max", none[i]);
    put("/sys/fs/cgroup/x/cpu.max", none[i]);
    limits(UINT64_MAX, INFINITY);
  }
  tree("0::/x\n", ONE_TREE);
  limits(UINT64_MAX, INFINITY);
  root = scratch_begin(); /* no /proc at all */
  limits(UINT64_MAX, INFINITY);
  tree("nonsense\n::\n", "x\n1 2 3 - cgroup2\n - \n");
  limits(UINT64_MAX, INFINITY);
}

#define V1 \
  "32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct\n" \
  "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n" \
  "36 31 0:33 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset\n"

static void version_one(void **state) {
  (void)state;
  tree("4:memory:/jobs/1\n3:cpuset:/tiny\n1:cpu,cpuacct:/jobs\n0::/\n", V1);
  put("/sys/fs/cgroup/memory/jobs/1/memory.limit_in_bytes", "9223372036854771712\n");
  put("/sys/fs/cgroup/memory/jobs/memory.limit_in_bytes", "419430400\n");
  put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  put("/sys/fs/cgroup/cpu/jobs/cpu.cfs_quota_us", "50000\n");
  put("/sys/fs/cgroup/cpu/jobs/cpu.cfs_period_us", "100000\n");
  put("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
  put("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  put("/sys/fs/cgroup/cpuset/tiny/memory.limit_in_bytes", "1\n"); /* not of this hierarchy */
  limits(419430400, 0.5);
}

/* Docker without a namespace for groups: the mount shows the container's group as its root; parents
 * are out of sight. */
static void container_without_namespace(void **state) {
  (void)state;
  tree("4:memory:/docker/abc\n1:cpu:/docker/abc\n",
       "35 31 0:32 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
       "36 31 0:32 /docker/abc /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu\n");
  put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "600000000\n");
  put("/sys/fs/cgroup/memory/memory.stat", "cache 0\nhierarchical_memory_limit 500000000\nrss 3\n");
  put("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "250000\n");
  put("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  limits(500000000, 2.5);
  tree("0::/../other\n", "30 23 0:26 /../.. /sys/fs/cgroup rw - cgroup2 cgroup rw\n"); /* moved out of its namespace */
  put("/sys/fs/cgroup/memory.max", "700000000\n");
  limits(700000000, INFINITY);
  tree("0::/a\n", "30 23 0:26 / /mnt/my\\040groups rw - cgroup2 cgroup rw\n");
  put("/mnt/my groups/a/memory.max", "800000000\n");
  limits(800000000, INFINITY);
}

static void defaults(void **state) {
  (void)state;
  size_t limit = sgi_memory_limit();
  assert_true(limit > 0);
  assert_true(sgi_memory_default(1 << 20) <= 1 << 20);
  assert_true(sgi_memory_default(SIZE_MAX) <= limit);
  assert_true(sgi_processor_limit() >= 1);
}

/* The first name; what is no plain text shows as ?; none: "unknown". */
static void processor(void **state) {
  (void)state;
  char name[32];
  root = scratch_begin();
  sgi_processor_name(root, name, sizeof name);
  assert_string_equal(name, "unknown");
  put("/proc/cpuinfo", "processor\t: 0\nmodel\t\t: 9\nmodel name\t: A\tfine \xc3\xa9 one\nmodel name\t: B\n");
  sgi_processor_name(root, name, sizeof name);
  assert_string_equal(name, "A?fine ?? one");
  sgi_processor_name(root, name, 7);
  assert_string_equal(name, "A?fine");
  put("/proc/cpuinfo", "model name\t: \n");
  sgi_processor_name(root, name, sizeof name);
  assert_string_equal(name, "unknown");
  scratch_end();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(version_two_with_parents),    cmocka_unit_test(what_is_no_limit), cmocka_unit_test(version_one),
      cmocka_unit_test(container_without_namespace), cmocka_unit_test(defaults),         cmocka_unit_test(processor)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
