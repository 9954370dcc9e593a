/* test_calls [PER [PART OF]]: of every command that writes, each file call fails in turn (open,
 * read, write, fsync, rename, mkdir, fstat, truncate, map, close), once and for ever, with every
 * error below. PER is how many places are tried of each command and error, spread over its calls
 * (0: all of them). The command says what failed and leaves nothing half, or gets through; without
 * the failure it then ends with the bytes of an unbroken run. PART OF (2 8: the third of eight)
 * shares the work among processes. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "faults/commands.h"

typedef struct fault {
  int error;
  bool for_ever;
} fault;

static const fault faults[] = {{EIO, false},   {EIO, true},    {ENOSPC, false}, {ENOSPC, true}, {EDQUOT, false},
                               {EDQUOT, true}, {EINTR, false}, {0, false},      {0, true}};
enum { FAULTS = sizeof faults / sizeof *faults };

/* The message is one sentence that holds the system's reason; out of room has its own exit code. */
static void check_message(const commands_entry *c, const inside_result *r, const fault *f, const char *when) {
  /* reading the input never meets that on a real disk, and is not asked to tell it from other
   * failures */
  bool input = strstr(r->err, inside_fix) || strstr(r->err, "/text.txt: ");
  bool space = (f->error == ENOSPC || f->error == EDQUOT) && !input;
  if (f->error == EINTR || f->error == 0) {
    inside_wrong("%s, %s: ends with %d where it should go on: %s", c->name, when, r->code, r->err);
  } else if (space ? r->code != 4 : r->code != 1 && r->code != 3 && r->code != 4) {
    inside_wrong("%s, %s: exit code %d: %s", c->name, when, r->code, r->err);
  }
  if (!strstr(r->err, "sgatlin: ")) inside_wrong("%s, %s: no message: \"%s\"", c->name, when, r->err);
  if (f->error && !strstr(r->err, strerror(f->error)))
    inside_wrong("%s, %s: another reason: %s", c->name, when, r->err);
}

static void one(const commands_entry *c, const fault *f, size_t n, uint64_t digest, const commands_files *older,
                const commands_files *newer) {
  char when[120];
  snprintf(when, sizeof when, "call %zu %s%s", n, f->error ? strerror(f->error) : "short",
           f->for_ever ? " for ever" : "");
  commands_prepare(c);
  inside_how how = {.kill_after = -1, .fail_at = n, .error = f->error, .for_ever = f->for_ever};
  inside_result r = inside_run(c->begin, &how);
  if (r.signal)
    inside_wrong("%s, %s: ended by signal %d: %s", c->name, when, r.signal, r.err);
  else if (r.code)
    check_message(c, &r, f, when);
  commands_intact(c, when);
  if (commands_leftover()) inside_wrong("%s, %s: left %s", c->name, when, commands_leftover());
  if (older) commands_either(older, newer, c->name, when);
  if (!r.code && !r.signal && c->kind == COMMAND_RUN && commands_digest() == digest) return; /* it got through */
  if (!r.code && !r.signal && c->kind == COMMAND_RUN) inside_wrong("%s, %s: exit code 0, other bytes", c->name, when);
  if (!r.code && !r.signal && c->kind == COMMAND_FILE) {
    commands_either(newer, newer, c->name, when);
    return;
  }
  r = inside_run(commands_next(c), NULL);
  if (r.code) inside_wrong("%s, going on after %s: exit code %d: %s", c->name, when, r.code, r.err);
  if (c->kind == COMMAND_FILE)
    commands_either(newer, newer, c->name, when);
  else if (commands_digest() != digest)
    inside_wrong("%s, %s: other bytes after going on", c->name, when);
}

static size_t sweep(const commands_entry *c, size_t per, const inside_share *share) {
  double seconds;
  size_t calls, done = 0, mine = 0;
  uint64_t digest = commands_reference(c, &seconds, &calls);
  commands_files *newer = commands_list(), *older = NULL;
  if (c->kind == COMMAND_FILE) {
    commands_prepare(c);
    older = commands_list();
  }
  for (size_t f = 0; f < FAULTS; f++) {
    size_t places = per && per < calls ? per : calls;
    for (size_t i = 0; i < places; i++, mine++)
      if (mine % share->of == share->part) {
        /* other places for each error, so that few of each meet most calls */
        one(c, &faults[f], 1 + (i * calls + f * calls / FAULTS) / places % calls, digest, older, newer);
        done++;
      }
  }
  printf("%-16s %4zu calls, %5zu failures tried\n", c->name, calls, done);
  fflush(stdout);
  commands_free(newer);
  if (older) commands_free(older);
  return done;
}

int main(int argc, char **argv) {
  inside_share share = inside_arguments(argc, argv, 4);
  size_t done = 0;
  inside_begin();
  commands_fixtures();
  for (size_t i = 0; i < commands_count; i++) {
    if (!commands_wanted(&commands_all[i])) continue;
    bool dear = !strcmp(commands_all[i].name, "map"); /* a second each */
    done += sweep(&commands_all[i], dear ? (share.amount + 3) / 4 : share.amount, &share);
  }
  inside_end();
  return inside_close("calls failed", done);
}
