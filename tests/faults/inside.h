/* inside.h: the command run inside a child of the test, so that its file calls can be counted,
 * failed, recorded, and it can be killed at any microsecond, without the price of a new program
 * each time. The parent must not start threads. */
#ifndef TEST_INSIDE_H
#define TEST_INSIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { INSIDE_WORDS = 64, INSIDE_ERR = 2048 };

typedef struct inside_result {
  int code;       /* exit code; -1 where a signal ended it */
  int signal;     /* 0, or what ended it */
  double seconds; /* wall time */
  size_t calls;   /* file calls that it made (0 where it was killed) */
  char err[INSIDE_ERR];
} inside_result;

typedef struct inside_how {
  size_t fail_at; /* sgi_file_fail_at: 0 none */
  int error;
  bool for_ever;
  double kill_after;           /* seconds, < 0: not killed */
  size_t kill_at;              /* SIGKILL just before this file call of those that change something; 0: not */
  double stop_after, stop_for; /* SIGSTOP after so many seconds, and SIGCONT; 0: not */
  void (*before)(void *user);  /* in the child, before the command; NULL: nothing */
  void *user;
} inside_how;

/* words: NULL at the end; "$OUT" and "$FIX" within a word stand for the two directories below. */
inside_result inside_run(const char *const *words, const inside_how *how);

/* A directory of fixtures made once (text, ids, a recording), and the one that commands write
 * into. */
extern char inside_fix[4096], inside_out[4096];
void inside_begin(void);
void inside_end(void);
void inside_clear(void); /* $OUT is new and empty */

/* What the command is told, set in before: a disk that says it has room, a clock that jumps back by
 * so many seconds in the middle. */
extern bool inside_room;
extern long inside_clock_back;

/* Adds one to the failures and prints; the test goes on. */
void inside_wrong(const char *format, ...) __attribute__((format(printf, 1, 2)));
extern size_t inside_failures;
/* What a sweep is asked: AMOUNT [PART OF], the part of so many that is done here. */
typedef struct inside_share {
  size_t amount, part, of;
} inside_share;
inside_share inside_arguments(int argc, char **argv, size_t amount);
/* Prints the closing line and gives the exit code. */
int inside_close(const char *what, size_t count);

/* Deterministic random numbers of a test: the same for a seed. */
typedef struct inside_random {
  uint64_t state;
} inside_random;
uint64_t inside_next(inside_random *r);
double inside_unit(inside_random *r); /* [0, 1) */

#endif
