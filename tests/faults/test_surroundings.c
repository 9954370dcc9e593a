/* test_surroundings [STOP_SECONDS]: what a machine does to commands that write: a second trainer, a
 * directory that may only be read, SIGSTOP for a while, a wall clock that steps back, little
 * address space. Each ends with a message and its exit code, or with the bytes of an unbroken
 * run. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/bundle.h"
#include "faults/commands.h"

static size_t checks;

static uint64_t reference(const commands_entry *c, double *seconds) {
  size_t calls;
  checks++;
  return commands_reference(c, seconds, &calls);
}

static void second_trainer(const commands_entry *train) {
  char run[4300];
  double seconds;
  sgi_lock lock;
  sg_error err = {0};
  uint64_t digest = reference(train, &seconds);
  snprintf(run, sizeof run, "%s/run", inside_out);
  if (sgi_lock_directory(run, &lock, &err)) inside_wrong("lock: %s", err.text);
  inside_result r = inside_run(train->resume, NULL);
  if (r.code != 1 || !strstr(r.err, "in use by another process"))
    inside_wrong("a second trainer: exit code %d: %s", r.code, r.err);
  r = inside_run(train->begin, NULL);
  if (r.code != 1 || !strstr(r.err, "in use by another process"))
    inside_wrong("a second trainer of a new run: exit code %d: %s", r.code, r.err);
  sgi_unlock(&lock);
  if (commands_digest() != digest) inside_wrong("a second trainer changed the run");
}

/* Every command, where its output would go; a mount, because root may write everywhere else. */
static void read_only(const commands_entry *c) {
  inside_clear();
  bool mounted = !mount("sgatlin-test", inside_out, "tmpfs", MS_RDONLY, "size=1m");
  if (!mounted && geteuid() == 0) {
    printf("%-16s not tried into a read-only directory: no right to mount\n", c->name);
    return;
  }
  checks++;
  if (!mounted) chmod(inside_out, 0500);
  inside_result r = inside_run(c->begin, NULL);
  bool cache = !strcmp(c->name, "token cache"); /* there is no text to read */
  if (r.signal || (r.code != 1 && !cache))
    inside_wrong("%s into a read-only directory: exit code %d: %s", c->name, r.code, r.err);
  if (!cache && !strstr(r.err, mounted ? strerror(EROFS) : strerror(EACCES)))
    inside_wrong("%s into a read-only directory: %s", c->name, r.err);
  if (mounted)
    umount2(inside_out, MNT_DETACH);
  else
    chmod(inside_out, 0700);
}

static void stopped(const commands_entry *c, double pause, inside_random *random) {
  double seconds;
  uint64_t digest = reference(c, &seconds);
  commands_prepare(c);
  inside_how how = {.kill_after = -1, .stop_after = seconds * inside_unit(random), .stop_for = pause};
  inside_result r = inside_run(c->begin, &how);
  if (r.code) inside_wrong("%s, stopped and continued: exit code %d, signal %d: %s", c->name, r.code, r.signal, r.err);
  if (commands_digest() != digest) inside_wrong("%s, stopped and continued: other bytes", c->name);
}

static void back(void *user) {
  (void)user;
  inside_clock_back = 86400;
}

static void clock_back(const commands_entry *c) {
  double seconds;
  uint64_t digest = reference(c, &seconds);
  commands_prepare(c);
  inside_result r = inside_run(c->begin, &(inside_how){.kill_after = -1, .before = back});
  if (r.code) inside_wrong("%s, a clock that steps back: exit code %d: %s", c->name, r.code, r.err);
  if (commands_digest() != digest) inside_wrong("%s, a clock that steps back: other bytes", c->name);
}

static void little(void *user) {
  rlim_t bytes = *(size_t *)user;
  setrlimit(RLIMIT_AS, &(struct rlimit){bytes, bytes});
}

static size_t address_space(void) {
  unsigned long pages = 0;
  FILE *f = fopen("/proc/self/statm", "r");
  if (f && fscanf(f, "%lu", &pages) != 1) pages = 0;
  if (f) fclose(f);
  return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* A stack that finds no room to grow ends a process by a signal, whatever it does: so it has grown
 * before the limit is set. */
static void grow_stack(void) {
  volatile char room[1 << 20];
  for (size_t i = 0; i < sizeof room; i += 1024) room[i] = 1;
}

/* From what the process has already to enough: exit code 4 and a sentence, or done. */
static void little_memory(const commands_entry *c) {
  double seconds;
  uint64_t digest = reference(c, &seconds);
  grow_stack();
  size_t short_of = 0, have = address_space();
  for (size_t extra = 0; extra <= (size_t)96 << 20; extra += (size_t)3 << 20) {
    size_t bytes = have + extra + (extra >> 6) / 4096 * 4096;
    commands_prepare(c);
    inside_result r = inside_run(c->begin, &(inside_how){.kill_after = -1, .before = little, .user = &bytes});
    checks++;
    short_of += r.code == 4;
    if (r.signal || (r.code && r.code != 4))
      inside_wrong("%s with %zu MB of address space more: exit code %d, signal %d: %s", c->name, extra >> 20, r.code,
                   r.signal, r.err);
    commands_intact(c, "little address space");
    if (commands_leftover()) inside_wrong("%s, little address space: left %s", c->name, commands_leftover());
    if (!r.code && commands_digest() != digest && c->kind == COMMAND_RUN)
      inside_wrong("%s, little address space: other bytes", c->name);
  }
  printf("%-16s %zu of 33 limits of address space were too small\n", c->name, short_of);
}

int main(int argc, char **argv) {
  double pause = argc > 1 ? strtod(argv[1], NULL) : 0.5;
  inside_random random = {3};
  inside_begin();
  commands_fixtures();
  second_trainer(&commands_all[0]);
  for (size_t i = 0; i < commands_count; i++) read_only(&commands_all[i]);
  for (size_t i = 0; i < 2; i++) { /* train and record */
    stopped(&commands_all[i], pause, &random);
    clock_back(&commands_all[i]);
  }
#ifndef __SANITIZE_ADDRESS__ /* which ends the process itself where there is no address space */
  for (size_t i = 3; i < 6; i += 2) little_memory(&commands_all[i]); /* tokenizer train, facts mine */
#else
  (void)little_memory;
#endif
  clock_back(&commands_all[2]);
  inside_end();
  return inside_close("surroundings", checks);
}
