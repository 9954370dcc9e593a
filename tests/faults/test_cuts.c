/* test_cuts [RANDOM [SEED [RESUME]]]: the power fails after every call of every command that
 * writes, in four ways each, and RANDOM times at a random call with every unsafe call for itself
 * lost, torn or kept (disk.h). What was promised is there: the newest checkpoint whose name was
 * made safe or a later one, whole; files are the older or the newer one, and the newer once the
 * command has ended. Of RESUME states (default: few) the command goes on to the bytes of an
 * unbroken run. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/bundle.h"
#include "train/checkpoint.h"
#include "faults/commands.h"
#include "faults/disk.h"

static const char *const cut_names[] = {"lost", "torn at 512", "torn at 4096", "names lost", "any"};

/* The newest that verifies. */
static unsigned long newest_whole(void) {
  char path[4300], name[64] = "";
  sg_error err = {0};
  snprintf(path, sizeof path, "%s/run/checkpoints", inside_out);
  if (sgi_bundle_newest(path, "step-", sgi_checkpoint_verify, name, sizeof name, NULL, NULL, &err)) return 0;
  return *name ? strtoul(name + 5, NULL, 10) : 0;
}

typedef struct work {
  const commands_entry *command;
  disk *disk;
  uint64_t digest;
  commands_files *older, *newer;
} work;

static void check(const work *w, size_t n, disk_cut cut, bool resume) {
  char when[100];
  size_t failures = inside_failures;
  snprintf(when, sizeof when, "power cut after call %zu of %zu, %s", n, disk_count(w->disk), cut_names[cut]);
  commands_intact(w->command, when);
  if (w->older) commands_either(n == disk_count(w->disk) ? w->newer : w->older, w->newer, w->command->name, when);
  if (!strcmp(w->command->name, "train")) {
    unsigned long promised = disk_promised(w->disk, n, "step-"), have = newest_whole();
    if (have < promised) inside_wrong("train, %s: checkpoint %lu was safe, %lu is the newest", when, promised, have);
  }
  if (!resume || inside_failures > failures) return;
  inside_result r = inside_run(commands_next(w->command), NULL);
  if (r.code)
    inside_wrong("%s, going on after a %s: exit code %d, signal %d: %s", w->command->name, when, r.code, r.signal,
                 r.err);
  else if (w->command->kind == COMMAND_RUN && commands_digest() != w->digest) {
    inside_wrong("%s, %s: other bytes after going on", w->command->name, when);
    commands_either(w->newer, w->newer, w->command->name, "so"); /* which */
  }
}

static size_t cut_command(const commands_entry *c, size_t random_cuts, size_t resumes, inside_random *random) {
  work w = {.command = c};
  double seconds;
  size_t calls, done = 0;
  inside_result r;
  w.digest = commands_reference(c, &seconds, &calls);
  w.newer = commands_list();
  commands_prepare(c);
  if (c->kind == COMMAND_FILE) w.older = commands_list();
  w.disk = disk_record(c->begin, &r);
  if (r.code) inside_wrong("%s with its calls written down: exit code %d: %s", c->name, r.code, r.err);
  size_t count = disk_count(w.disk), states = count * DISK_ANY + random_cuts, each = resumes ? states / resumes + 1 : 0;
  for (size_t n = 1; n <= count; n++)
    for (int cut = 0; cut < DISK_ANY; cut++, done++) {
      disk_replay(w.disk, n, (disk_cut)cut, random);
      check(&w, n, (disk_cut)cut, each && done % each == each / 2);
    }
  /* A text as small as ours may be read without a cache: then there is nothing to cut. */
  for (size_t i = 0; count && i < random_cuts; i++, done++) {
    size_t n = 1 + inside_next(random) % count;
    disk_replay(w.disk, n, DISK_ANY, random);
    check(&w, n, DISK_ANY, each && done % each == each / 2);
  }
  printf("%-16s %4zu calls, %5zu states of the disk, %zu gone on with\n", c->name, count, done, resumes);
  fflush(stdout);
  commands_free(w.newer);
  if (w.older) commands_free(w.older);
  disk_free(w.disk);
  return done;
}

int main(int argc, char **argv) {
  size_t count = argc > 1 ? strtoull(argv[1], NULL, 10) : 200, done = 0;
  inside_random random = {argc > 2 ? strtoull(argv[2], NULL, 10) : 1};
  size_t resumes = argc > 3 ? strtoull(argv[3], NULL, 10) : 10;
  inside_begin();
  commands_fixtures();
  for (size_t i = 0; i < commands_count; i++) { /* half of the random ones for training */
    if (!commands_wanted(&commands_all[i])) continue;
    bool dear = !strcmp(commands_all[i].name, "map");
    done += cut_command(&commands_all[i], i ? count / 2 / (commands_count - 1) : count - count / 2, dear ? 1 : resumes,
                        &random);
  }
  inside_end();
  return inside_close("power cuts", done);
}
