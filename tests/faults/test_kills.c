/* test_kills [COUNT [SEED]]: SIGKILL at a random microsecond, or just before a random file call, of
 * every command that writes, COUNT times in all. After each kill what has its name is whole,
 * nothing complete is lost; going on ends with the same bytes as an unbroken run. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "faults/commands.h"

/* The number behind the newest checkpoint's name, 0: none. */
static unsigned long newest(void) {
  char path[4300];
  unsigned long best = 0;
  snprintf(path, sizeof path, "%s/run/checkpoints", inside_out);
  DIR *d = opendir(path);
  for (struct dirent *e; d && (e = readdir(d));)
    if (!strncmp(e->d_name, "step-", 5) && !strstr(e->d_name, ".tmp-")) {
      unsigned long n = strtoul(e->d_name + 5, NULL, 10);
      if (n > best) best = n;
    }
  if (d) closedir(d);
  return best;
}

/* The last step that the run wrote down. */
static unsigned long logged(void) {
  char path[4300], line[8192];
  unsigned long step = 0;
  snprintf(path, sizeof path, "%s/run/metrics.jsonl", inside_out);
  FILE *f = fopen(path, "r");
  while (f && fgets(line, sizeof line, f)) {
    const char *p = strstr(line, "\"step\":");
    if (p && strchr(line, '\n')) step = strtoul(p + 7, NULL, 10);
  }
  if (f) fclose(f);
  return step;
}

/* One command from the start to its end, killed on the way; returns the kills. */
static size_t chain(const commands_entry *c, double whole, size_t calls, uint64_t digest, const commands_files *older,
                    const commands_files *newer, size_t most, inside_random *random) {
  size_t kills = 0, tries = 0;
  unsigned long before = 0;
  commands_prepare(c);
  for (;; tries++) {
    /* towards the end of a chain times grow, so that each ends; the first may be over before the
     * command began */
    double after = whole * 1.1 * inside_unit(random) * (1 + (double)tries / 8);
    /* Most of a tiny run's time is its start: every second kill comes where files change. */
    inside_how how = {.kill_after = kills < most ? after : -1};
    if (kills < most && inside_next(random) % 2)
      how = (inside_how){.kill_after = -1, .kill_at = 1 + inside_next(random) % calls};
    inside_result r = inside_run(commands_next(c), &how);
    char when[80];
    snprintf(when, sizeof when, "kill %zu of the chain after %.6f s", kills + 1, after);
    if (r.signal == 9) {
      kills++;
      commands_intact(c, when);
      if (older) commands_either(older, newer, c->name, when);
      if (!strcmp(c->name, "train")) {
        unsigned long now = newest(), step = logged();
        if (now < before) inside_wrong("train, %s: checkpoint %lu is lost, %lu is the newest", when, before, now);
        if (step > now + 3) inside_wrong("train, %s: step %lu was done, %lu is the newest checkpoint", when, step, now);
        before = now;
      }
      continue;
    }
    if (r.code)
      inside_wrong("%s, going on after %zu kills: exit code %d, signal %d: %s", c->name, kills, r.code, r.signal,
                   r.err);
    break;
  }
  if (c->kind == COMMAND_RUN && !c->leaves && commands_leftover())
    inside_wrong("%s: left %s", c->name, commands_leftover());
  if (c->kind == COMMAND_RUN && commands_digest() != digest)
    inside_wrong("%s: other bytes after %zu kills", c->name, kills);
  if (c->kind == COMMAND_FILE) commands_either(newer, newer, c->name, "at the end");
  return kills;
}

/* The files that stood before and those of an unbroken run. */
static size_t kill_command(const commands_entry *c, size_t count, inside_random *random) {
  double seconds;
  size_t calls, kills = 0;
  uint64_t digest = commands_reference(c, &seconds, &calls);
  commands_files *newer = commands_list(), *older = NULL;
  if (c->kind == COMMAND_FILE) {
    commands_prepare(c);
    older = commands_list();
  }
  for (size_t chains = 0; kills < count && chains < 20 * count && !inside_failures; chains++)
    kills += chain(c, seconds, calls, digest, older, newer, count - kills, random);
  if (kills < count && !inside_failures) inside_wrong("%s: only %zu kills of %zu", c->name, kills, count);
  printf("%-16s %4zu kills, a whole run takes %.0f ms\n", c->name, kills, 1000 * seconds);
  fflush(stdout);
  commands_free(newer);
  if (older) commands_free(older);
  return kills;
}

int main(int argc, char **argv) {
  size_t count = argc > 1 ? strtoull(argv[1], NULL, 10) : 60, done = 0;
  inside_random random = {argc > 2 ? strtoull(argv[2], NULL, 10) : 1};
  inside_begin();
  commands_fixtures();
  /* a third for training, which has most to lose */
  for (size_t i = 0; i < commands_count; i++) {
    if (!commands_wanted(&commands_all[i])) continue;
    size_t other = (count - count / 3) / (commands_count - 1), share = i ? other : count - other * (commands_count - 1);
    if (getenv("FAULTS_ONLY")) share = count;
    done += kill_command(&commands_all[i], share ? share : 1, &random);
  }
  inside_end();
  return inside_close("kills", done);
}
