#include "faults/inside.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/calls.h"
#include "core/file.h"
#include "support/temporary.h"

int sgatlin_main(int argc, char **argv); /* cli/main.c under another name */

char inside_fix[4096], inside_out[4096];
size_t inside_failures;
static char root[3000];
static size_t *shared; /* the child's count of calls */

void inside_wrong(const char *format, ...) {
  va_list a;
  va_start(a, format);
  inside_failures++;
  if (inside_failures <= 40) {
    printf("FAIL  ");
    vprintf(format, a);
    printf("\n");
    fflush(stdout);
  }
  va_end(a);
}

int inside_close(const char *what, size_t count) {
  printf("%s: %zu, %zu failed\n", what, count, inside_failures);
  return inside_failures ? 1 : 0;
}

inside_share inside_arguments(int argc, char **argv, size_t amount) {
  inside_share s = {.amount = argc > 1 ? strtoull(argv[1], NULL, 10) : amount, .of = 1};
  if (argc > 3) {
    s.part = strtoull(argv[2], NULL, 10);
    s.of = strtoull(argv[3], NULL, 10);
  }
  if (!s.of) s.of = 1;
  return s;
}

uint64_t inside_next(inside_random *r) { /* splitmix64 */
  uint64_t z = r->state += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

double inside_unit(inside_random *r) { return (double)(inside_next(r) >> 11) / 9007199254740992.0; }

/* ---- what the command is told ---------------------------------------------------------------- */

bool inside_room;
long inside_clock_back;
int __real_statvfs(const char *path, struct statvfs *out);
int __wrap_statvfs(const char *path, struct statvfs *out);
int __real_clock_gettime(clockid_t clock, struct timespec *out);
int __wrap_clock_gettime(clockid_t clock, struct timespec *out);
time_t __wrap_time(time_t *out);

int __wrap_statvfs(const char *path, struct statvfs *out) {
  int r = __real_statvfs(path, out);
  if (!r && inside_room) out->f_bavail = (1u << 30) / (out->f_frsize ? out->f_frsize : 1);
  return r;
}

/* The wall clock goes back at every second look. */
int __wrap_clock_gettime(clockid_t clock, struct timespec *out) {
  static unsigned looks;
  int r = __real_clock_gettime(clock, out);
  if (!r && clock == CLOCK_REALTIME && looks++ % 2) out->tv_sec -= inside_clock_back;
  return r;
}

time_t __wrap_time(time_t *out) {
  struct timespec t;
  __wrap_clock_gettime(CLOCK_REALTIME, &t);
  if (out) *out = t.tv_sec;
  return t.tv_sec;
}

/* ---- death at a file call -------------------------------------------------------------------- */

static size_t deadly_left;

static void step_nearer(void) {
  if (deadly_left && !--deadly_left) kill(getpid(), SIGKILL);
}

static int deadly_open(const char *path, int flags, mode_t mode) {
  if (flags & O_CREAT) step_nearer();
  return open(path, flags, mode);
}
static ssize_t deadly_write(int fd, const void *data, size_t n) {
  step_nearer();
  return write(fd, data, n);
}
/* In two halves, with death before each. */
static ssize_t deadly_pwrite(int fd, const void *data, size_t n, off_t offset) {
  step_nearer();
  if (n < 2) return pwrite(fd, data, n, offset);
  ssize_t k = pwrite(fd, data, n / 2, offset);
  step_nearer();
  return k;
}
static int deadly_fsync(int fd) {
  step_nearer();
  return fsync(fd);
}
static int deadly_rename(const char *from, const char *to) {
  step_nearer();
  return rename(from, to);
}
static int deadly_mkdir(const char *path, mode_t mode) {
  step_nearer();
  return mkdir(path, mode);
}
static int deadly_truncate(int fd, off_t size) {
  step_nearer();
  return ftruncate(fd, size);
}
static int deadly_unlink(int directory, const char *name, int flags) {
  step_nearer();
  return unlinkat(directory, name, flags);
}

static void die_at(size_t call) {
  static sgi_calls table;
  table = sgi_calls_system;
  table.open = deadly_open;
  table.write = deadly_write;
  table.pwrite = deadly_pwrite;
  table.fsync = deadly_fsync;
  table.rename = deadly_rename;
  table.mkdir = deadly_mkdir;
  table.ftruncate = deadly_truncate;
  table.unlink = deadly_unlink;
  deadly_left = call;
  sgi_calls_use(&table);
}

/* ---- one run --------------------------------------------------------------------------------- */

static char *replaced(const char *word) {
  char out[8192], *p = out;
  for (const char *s = word; *s && p < out + 4000;) {
    const char *with = !strncmp(s, "$OUT", 4) ? inside_out : !strncmp(s, "$FIX", 4) ? inside_fix : NULL;
    if (with) {
      p += sprintf(p, "%s", with);
      s += 4;
    } else {
      *p++ = *s++;
    }
  }
  *p = '\0';
  return strdup(out);
}

static void redirect(const char *path, int to) {
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (fd < 0 || dup2(fd, to) < 0) _exit(99);
  close(fd);
}

static void child(const char *const *words, const inside_how *how) {
  char *argv[INSIDE_WORDS + 2] = {strdup("sgatlin")}, path[4200];
  int argc = 1;
  for (; words[argc - 1] && argc < INSIDE_WORDS; argc++) argv[argc] = replaced(words[argc - 1]);
  snprintf(path, sizeof path, "%s/err", root);
  redirect("/dev/null", 1);
  redirect(path, 2);
  alarm(how->stop_for > 0 ? 60 + (unsigned)how->stop_for
                          : 60); /* what hangs is ended, and counts as a signal's death */
  if (how->before) how->before(how->user);
  if (how->kill_at) die_at(how->kill_at);
  size_t first = sgi_file_fail_at(how->fail_at, how->error, how->for_ever);
  int code = sgatlin_main(argc, argv);
  *shared = sgi_file_fail_at(0, 0, false) - first;
  fflush(NULL);
  _exit(code);
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void pause_for(double seconds) {
  struct timespec t = {(time_t)seconds, (long)(1e9 * (seconds - (double)(time_t)seconds))};
  nanosleep(&t, NULL);
}

static void read_err(char *out) {
  char path[4200];
  snprintf(path, sizeof path, "%s/err", root);
  int fd = open(path, O_RDONLY);
  ssize_t n = fd < 0 ? 0 : read(fd, out, INSIDE_ERR - 1);
  out[n > 0 ? n : 0] = '\0';
  if (fd >= 0) close(fd);
}

inside_result inside_run(const char *const *words, const inside_how *how) {
  static const inside_how plain = {.kill_after = -1};
  inside_result r = {.code = -1};
  if (!how) how = &plain;
  *shared = 0;
  fflush(NULL);
  double start = now();
  pid_t pid = fork();
  if (pid < 0) {
    inside_wrong("fork: %s", strerror(errno));
    return r;
  }
  if (!pid) child(words, how);
  if (how->stop_for > 0) {
    pause_for(how->stop_after);
    kill(pid, SIGSTOP);
    pause_for(how->stop_for);
    kill(pid, SIGCONT);
  }
  if (how->kill_after >= 0) {
    pause_for(how->kill_after);
    kill(pid, SIGKILL);
  }
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  r.seconds = now() - start;
  if (WIFEXITED(status)) r.code = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) r.signal = WTERMSIG(status);
  r.calls = *shared;
  read_err(r.err);
  return r;
}

/* ---- fixtures -------------------------------------------------------------------------------- */

static void stories(const char *name, int n, int seed) {
  static const char *const nouns[] = {"cake", "dog", "girl", "sky", "tree", "lake", "grass", "mouse", "moon", "apple"};
  static const char *const words[] = {"sweet", "happy", "blue", "tall", "cold", "green", "small", "big", "wet", "red"};
  char path[4200];
  snprintf(path, sizeof path, "%s/%s", inside_fix, name);
  FILE *f = fopen(path, "w");
  if (!f) {
    perror(path);
    exit(2);
  }
  for (int i = seed; i < n + seed; i++)
    fprintf(f, "The %s was %s. The %s was %s. Then she smiled.\n<|endoftext|>\n", nouns[i % 10], words[i * 7 % 10],
            nouns[i * 3 % 10], words[i % 9]);
  fclose(f);
}

static void ids(void) {
  char path[4200];
  snprintf(path, sizeof path, "%s/ids.json", inside_fix);
  FILE *f = fopen(path, "w");
  if (f) {
    fputs("[[5, 6, 7, 1], [8, 9, 1, 0]]\n", f);
    fclose(f);
  }
}

void inside_clear(void) {
  sgi_remove_tree(inside_out, NULL);
  mkdir(inside_out, 0700);
}

void inside_begin(void) {
  shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (!test_temporary(root, sizeof root, "sgatlin-faults", true) || shared == MAP_FAILED) {
    perror(root);
    exit(2);
  }
  snprintf(inside_fix, sizeof inside_fix, "%s/fix", root);
  snprintf(inside_out, sizeof inside_out, "%s/out", root);
  mkdir(inside_fix, 0700);
  char data[4200];
  snprintf(data, sizeof data, "%s/data", inside_fix);
  mkdir(data, 0700);
  stories("data/train.txt", 40, 0);
  stories("data/valid.txt", 6, 3);
  stories("stories.txt", 24, 5);
  ids();
  char cache[4200];
  snprintf(cache, sizeof cache, "%s/cache", inside_out);
  setenv("XDG_CACHE_HOME", cache, 1);
  inside_clear();
  setenv("OMP_WAIT_POLICY", "passive", 1); /* and the command does not start itself again */
  setenv("OMP_NUM_THREADS", "1", 1);
  signal(SIGXFSZ, SIG_DFL);
}

void inside_end(void) { sgi_remove_tree(root, NULL); }
