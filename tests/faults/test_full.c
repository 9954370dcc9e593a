/* test_full [SIZES [PART OF]]: full disks of SIZES sizes, from "nothing fits" to "everything does",
 * for training, recording and a corpus. Half are a small tmpfs (where this process may mount one),
 * of which every second hides how full it is, so that writes fail in the middle; half are a limit
 * on the size of a file. What stood is intact, the exit code is 4, no temporary stays; with room
 * the command goes on to the bytes of an unbroken run. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

#include "faults/commands.h"

enum { ROOM = 16 << 20 };

static bool mounts(size_t bytes, unsigned long flags) {
  char size[40];
  snprintf(size, sizeof size, "size=%zu", bytes);
  return mount("sgatlin-test", inside_out, "tmpfs", flags, size) == 0;
}

static void limit(void *user) {
  rlim_t bytes = *(size_t *)user;
  setrlimit(RLIMIT_FSIZE, &(struct rlimit){bytes, bytes});
}

static void hide(void *user) {
  (void)user;
  inside_room = true;
}

static void check(const commands_entry *c, const inside_result *r, const char *when) {
  if (r->signal) inside_wrong("%s, %s: ended by signal %d: %s", c->name, when, r->signal, r->err);
  if (r->code && r->code != 4) inside_wrong("%s, %s: exit code %d, expected 4: %s", c->name, when, r->code, r->err);
  if (r->code && !strstr(r->err, "sgatlin: ")) inside_wrong("%s, %s: no message", c->name, when);
  commands_intact(c, when);
  if (commands_leftover()) inside_wrong("%s, %s: left %s", c->name, when, commands_leftover());
}

static void go_on(const commands_entry *c, uint64_t digest, const char *when) {
  inside_result r = inside_run(commands_next(c), NULL);
  if (r.code) inside_wrong("%s, %s: with room again: exit code %d: %s", c->name, when, r.code, r.err);
  if (commands_digest() != digest) inside_wrong("%s, %s: with room again: other bytes", c->name, when);
}

/* Returns 1 where the command met the end of the disk. */
static size_t small_disk(const commands_entry *c, size_t bytes, bool hidden, uint64_t digest) {
  char when[80];
  snprintf(when, sizeof when, "a disk of %zu bytes%s", bytes, hidden ? " that hides it" : "");
  commands_prepare(c);
  if (!mounts(bytes, 0)) return 0;
  inside_result r = inside_run(c->begin, &(inside_how){.kill_after = -1, .before = hidden ? hide : NULL});
  check(c, &r, when);
  if (!mounts(ROOM, MS_REMOUNT)) inside_wrong("remount: %s", strerror(errno));
  if (r.code)
    go_on(c, digest, when);
  else if (commands_digest() != digest)
    inside_wrong("%s, %s: exit code 0, other bytes", c->name, when);
  if (umount2(inside_out, MNT_DETACH)) inside_wrong("umount: %s", strerror(errno));
  return r.code != 0;
}

static size_t small_files(const commands_entry *c, size_t bytes, uint64_t digest) {
  char when[80];
  snprintf(when, sizeof when, "files of at most %zu bytes", bytes);
  commands_prepare(c);
  inside_result r = inside_run(c->begin, &(inside_how){.kill_after = -1, .before = limit, .user = &bytes});
  check(c, &r, when);
  if (r.code)
    go_on(c, digest, when);
  else if (commands_digest() != digest)
    inside_wrong("%s, %s: exit code 0, other bytes", c->name, when);
  return r.code != 0;
}

/* Largest file and all files of an unbroken run. */
static size_t sweep(const commands_entry *c, size_t sizes, const inside_share *share) {
  double seconds;
  size_t calls, largest, total, full = 0;
  uint64_t digest = commands_reference(c, &seconds, &calls);
  commands_sizes(&largest, &total);
  commands_prepare(c);
  bool may_mount = mounts(ROOM, 0) && umount2(inside_out, MNT_DETACH) == 0;
  size_t done = 0;
  for (size_t i = 0; i < sizes; i++) {
    if (i % share->of != share->part) continue;
    double at = ((double)i + 1) / (double)sizes;
    done++;
    if (may_mount && i % 2)
      full += small_disk(c, 16384 + (size_t)(at * 1.5 * (double)total), i % 4 == 3, digest);
    else
      full += small_files(c, 1 + (size_t)(at * 1.05 * (double)largest), digest);
  }
  if (!full && done > 3) inside_wrong("%s: no size was too small", c->name);
  printf("%-16s %3zu sizes, %3zu too small%s\n", c->name, done, full,
         may_mount ? "" : " (no right to mount: limits of a file only)");
  fflush(stdout);
  return done;
}

int main(int argc, char **argv) {
  inside_share share = inside_arguments(argc, argv, 24);
  size_t done = 0;
  inside_begin();
  for (size_t i = 0; i < commands_count; i++) {
    const commands_entry *c = &commands_all[i];
    if (c->kind != COMMAND_RUN || !strcmp(c->name, "token cache")) continue;
    done += sweep(c, !strcmp(c->name, "train") ? share.amount - 2 * (share.amount / 4) : share.amount / 4, &share);
  }
  inside_end();
  return inside_close("disk sizes", done);
}
