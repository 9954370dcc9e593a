/* Hashes that are remembered: taken only while the file is the same. */
#include "support/small.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/known_hash.h"

static char *root;
static char path[4200];

static int begin(void **state) {
  (void)state;
  root = golden_temporary();
  snprintf(path, sizeof path, "%s/large", root);
  setenv("XDG_CACHE_HOME", root, 1);
  return 0;
}

static int end(void **state) {
  (void)state;
  golden_remove(root);
  return 0;
}

static void write_at(off_t at, const char *text, int flags) {
  int fd = open(path, O_WRONLY | O_CREAT | flags, 0600);
  assert_true(fd >= 0);
  assert_int_equal(pwrite(fd, text, 1, at), 1);
  close(fd);
}

static sgi_file_id id_now(void) {
  sgi_file_id id;
  assert_sg_ok(sgi_identify_file(path, &id, err));
  return id;
}

static void known_hash(void **state) {
  (void)state;
  uint64_t bytes, hash, right, kept;
  write_at(SGI_KNOWN_FROM, "a", O_TRUNC);
  assert_sg_ok(sgi_hash_file(path, &bytes, &right, err));
  assert_sg_ok(sgi_hash_file_known(path, &bytes, &hash, err));
  assert_true(hash == right && bytes == SGI_KNOWN_FROM + 1);
  sgi_file_id id = id_now();
  assert_false(sgi_known_hash(&id, "xxh3", &kept)); /* changed a moment ago: nothing is kept yet */
  sleep(3);
  assert_sg_ok(sgi_hash_file_known(path, &bytes, &hash, err));
  assert_true(sgi_known_hash(&id, "xxh3", &kept));
  assert_true(kept == right && hash == right);
  assert_false(sgi_known_hash(&id, "weights", &kept));

  /* a byte changes, or the time of the inode alone */
  write_at(77, "b", 0);
  sgi_file_id later = id_now();
  assert_false(sgi_known_hash(&later, "xxh3", &kept));
  assert_sg_ok(sgi_hash_file_known(path, &bytes, &hash, err));
  assert_true(hash != right);
  later = id;
  later.changed++;
  assert_false(sgi_known_hash(&later, "xxh3", &kept));

  /* small files are not kept */
  write_at(10, "a", O_TRUNC);
  id = id_now();
  id.modified = id.changed = 0;
  sgi_keep_hash(&id, "xxh3", 1);
  assert_false(sgi_known_hash(&id, "xxh3", &kept));
}

/* A cache that somebody damaged or that cannot be written costs a reading, no more. */
static void damaged_cache(void **state) {
  (void)state;
  char command[4400];
  uint64_t kept;
  sgi_file_id id = {.device = 1, .inode = 2, .size = SGI_KNOWN_FROM, .modified = 3, .changed = 4};
  sgi_keep_hash(&id, "xxh3", 0x1234);
  assert_true(sgi_known_hash(&id, "xxh3", &kept));
  assert_true(kept == 0x1234);
  static const char *const damages[] = {"truncate -s 30", "truncate -s 0", "sed -i s/1234/12x4/",
                                        "sed -i s/xxh3/xxh4/"};
  for (size_t i = 0; i < SGI_COUNT(damages); i++) {
    snprintf(command, sizeof command, "%s %s/sgatlin/hashes/*", damages[i], root);
    assert_int_equal(system(command), 0);
    assert_false(sgi_known_hash(&id, "xxh3", &kept));
    sgi_keep_hash(&id, "xxh3", 0x1234);
    assert_true(sgi_known_hash(&id, "xxh3", &kept));
  }
  setenv("XDG_CACHE_HOME", "/proc/none", 1);
  sgi_keep_hash(&id, "xxh3", 0x1234);
  assert_false(sgi_known_hash(&id, "xxh3", &kept));
  unsetenv("XDG_CACHE_HOME");
  unsetenv("HOME");
  sgi_keep_hash(&id, "xxh3", 0x1234);
  assert_false(sgi_known_hash(&id, "xxh3", &kept));
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(known_hash), cmocka_unit_test(damaged_cache)};
  return cmocka_run_group_tests(tests, begin, end);
}
