/* commands.h: every command that writes files, small enough to be run thousands of times, and how
 * to tell that what it left is whole. */
#ifndef TEST_COMMANDS_H
#define TEST_COMMANDS_H

#include "faults/inside.h"

typedef enum commands_kind {
  COMMAND_RUN,  /* a directory that grows; resume goes on with it to the same bytes */
  COMMAND_FILE, /* files that are replaced whole: each is the older or the newer one at any time */
} commands_kind;

typedef struct commands_entry {
  const char *name;
  commands_kind kind;
  const char *begin[INSIDE_WORDS];  /* the command */
  const char *resume[INSIDE_WORDS]; /* what goes on after a stop; empty: the same again */
  const char *older[INSIDE_WORDS];  /* COMMAND_FILE: makes what stood there before */
  bool leaves;                      /* a killed process's temporary files stay: nobody may say that they are nobody's */
  const char *started;              /* a name in $OUT without which there is nothing to resume; NULL: none */
} commands_entry;

extern const commands_entry commands_all[];
extern const size_t commands_count;
/* FAULTS_ONLY=train in the environment leaves the others out. */
bool commands_wanted(const commands_entry *c);

/* What the commands need beside text: a recording; called once after inside_begin. */
void commands_fixtures(void);

/* One number of all files below $OUT by name and content, without those that hold times (logs,
 * metrics, states) and temporaries (".tmp-"). */
uint64_t commands_digest(void);
/* The name of a temporary below $OUT, or NULL. Valid until the next call. */
const char *commands_leftover(void);
/* Everything that has its name below $OUT is whole: manifests verify, safetensors open, JSON
 * parses, pointers point. Fails the test with the reason otherwise. */
void commands_intact(const commands_entry *c, const char *when);
/* $OUT's files, each with its hash, to compare with later ones. */
typedef struct commands_files commands_files;
commands_files *commands_list(void);
void commands_free(commands_files *f);
/* Each file below $OUT is one of a or of b. */
void commands_either(const commands_files *a, const commands_files *b, const char *name, const char *when);

/* Starts with what stood there before (COMMAND_FILE) or nothing. */
void commands_prepare(const commands_entry *c);
/* Bytes of the largest file below $OUT, and of all of them in whole pages. */
void commands_sizes(size_t *largest, size_t *total);
/* The words that go on with what is there. */
const char *const *commands_next(const commands_entry *c);
/* Digest of an unbroken run; also seconds and calls. */
uint64_t commands_reference(const commands_entry *c, double *seconds, size_t *calls);

#endif
