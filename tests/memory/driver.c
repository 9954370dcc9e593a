/* driver.c: runs a command once whole and then again and again with one allocation failing
 * (failing.c), and holds what must be true of each run: it ends by itself with 0 and the whole
 * result, or with 4, one sentence (behind notes that the whole run says, too) and nothing else, on
 * standard output or disk.
 *
 *   driver [OPTION...] FAILING.SO PROGRAM ARGUMENT...
 *
 * Runs in the current folder, which it watches: an entry that a failed run leaves behind must be as
 * the whole run makes it. Options:
 *
 * -n SAMPLES: that many places spread evenly over all (0: every one);
 * -f FIRST, -t LAST: only places from FIRST to LAST;
 * -l: all allocations from the place on fail;
 * -p: whole lines may have been printed before (a stream);
 * -c: part of a line, too (a stream of text);
 * -k: new entries may stay (a run's folder), but no temporary ones;
 * -m: numbers of seconds may differ;
 * -d: all numbers may. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SECONDS = 60, MAX_SHOWN = 8 };

static struct {
  long samples, first, last;
  bool lasting, stream, characters, keep, mask, digits;
  const char *library;
  char **command;
} o = {.samples = 12, .first = 1, .last = 0x7fffffff};

typedef struct text {
  char *s;
  size_t n;
} text;

typedef struct outcome {
  int status;
  text out, err;
} outcome;

static void stop(const char *what) {
  fprintf(stderr, "driver: %s: %s\n", what, strerror(errno));
  exit(2);
}

static text read_whole(const char *path) {
  text t = {0};
  FILE *f = fopen(path, "r");
  if (!f) stop(path);
  for (size_t room = 0, got = 1; got; t.n += got) {
    if (room - t.n < 4096 && !(t.s = realloc(t.s, room = 2 * room + 8192))) stop("memory");
    got = fread(t.s + t.n, 1, room - t.n - 1, f);
  }
  fclose(f);
  t.s[t.n] = 0;
  return t;
}

/* Takes away what may differ from one run to the next. */
static void mask_seconds(text *t) {
  size_t kept = 0;
  for (size_t i = 0; o.digits && i < t->n; i++)
    if (!strchr("0123456789.+-ekM ", t->s[i])) t->s[kept++] = t->s[i];
  if (o.digits) t->s[t->n = kept] = 0;
  static const char *const keys[] = {"seconds\":", "second\":"};
  for (size_t k = 0; o.mask && k < 2; k++)
    for (char *at = t->s; (at = strstr(at, keys[k]));) {
      at += strlen(keys[k]);
      size_t n = strspn(at, "0123456789.e+-");
      memmove(at, at + n, strlen(at + n) + 1);
    }
  if (o.mask) t->n = strlen(t->s);
}

/* ---- one run --------------------------------------------------------------------------------- */

static char out_path[64], err_path[64], count_path[64];

static void child(long place) {
  char number[32];
  int out = open(out_path, O_WRONLY | O_CREAT | O_TRUNC, 0600),
      err = open(err_path, O_WRONLY | O_CREAT | O_TRUNC, 0600), null = open("/dev/null", O_RDONLY);
  dup2(null, 0), dup2(out, 1), dup2(err, 2);
  snprintf(number, sizeof number, "%ld", place);
  setenv("LD_PRELOAD", o.library, 1);
  setenv("GOMP_SPINCOUNT", "0", 1); /* else the command starts itself once more */
  setenv(place ? "SGATLIN_TEST_FAIL_AT" : "SGATLIN_TEST_FAIL_COUNT", place ? number : count_path, 1);
  if (o.lasting) setenv("SGATLIN_TEST_FAIL_LASTING", "1", 1);
  alarm(SECONDS);
  execv(o.command[0], o.command);
  _exit(127);
}

static outcome run(long place) {
  outcome r;
  fflush(NULL);
  pid_t pid = fork();
  if (pid < 0) stop("fork");
  if (!pid) child(place);
  if (waitpid(pid, &r.status, 0) < 0) stop("waitpid");
  r.out = read_whole(out_path);
  r.err = read_whole(err_path);
  mask_seconds(&r.out);
  return r;
}

static void release(outcome *r) {
  free(r->out.s);
  free(r->err.s);
}

/* ---- what lies in the folder ----------------------------------------------------------------- */

static char **known;
static size_t n_known;
static bool temporary;
static uint64_t sum; /* over names and bytes of one new entry */
/* Entries that the whole run makes; `same`: those of the last run are among them, `all`: and none
 * is missing. */
static uint64_t made[64];
static size_t n_made;
static bool learning, same, all_made, empty; /* empty: an entry of folders only */

static void mix(const void *data, size_t n) {
  for (const unsigned char *p = data; n; p++, n--) sum = (sum ^ *p) * UINT64_C(0x100000001b3);
}

static int look(const char *path, const struct stat *st, int type, struct FTW *where) {
  (void)where;
  if (strstr(path, ".tmp")) temporary = true;
  mix(path, strlen(path));
  empty = empty && type == FTW_D;
  if (type != FTW_F || !S_ISREG(st->st_mode)) return 0;
  text t = read_whole(path);
  mask_seconds(&t);
  mix(t.s, t.n);
  free(t.s);
  return 0;
}

static int take_away(const char *path, const struct stat *st, int type, struct FTW *where) {
  (void)st, (void)type, (void)where;
  return remove(path);
}

static int in_order(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void list(char ***names, size_t *n) {
  DIR *d = opendir(".");
  if (!d) stop(".");
  *names = NULL;
  *n = 0;
  for (struct dirent *e; (e = readdir(d));) {
    if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..")) continue;
    if (!(*names = realloc(*names, (*n + 1) * sizeof **names))) stop("memory");
    (*names)[(*n)++] = strdup(e->d_name);
  }
  closedir(d);
  if (*n) qsort(*names, *n, sizeof **names, in_order);
}

static void compare_entry(void) {
  bool found = empty;
  if (learning && n_made < 64) made[n_made++] = sum;
  for (size_t i = 0; i < n_made && !found; i++) found = made[i] == sum;
  same = same && found;
}

/* Looks at what is new, takes it away, and returns how many entries that was. */
static size_t clear_new(void) {
  char **names;
  size_t n, new = 0;
  list(&names, &n);
  temporary = false;
  same = true;
  for (size_t i = 0; i < n; i++) {
    if (!bsearch(&names[i], known, n_known, sizeof *known, in_order)) {
      new ++;
      sum = UINT64_C(0xcbf29ce484222325);
      empty = true;
      nftw(names[i], look, 16, FTW_PHYS);
      compare_entry();
      nftw(names[i], take_away, 16, FTW_PHYS | FTW_DEPTH);
    }
    free(names[i]);
  }
  free(names);
  all_made = new == n_made;
  return new;
}

/* ---- what must hold -------------------------------------------------------------------------- */

static bool begins_whole(const text *part, const text *whole) {
  return part->n <= whole->n && !memcmp(part->s, whole->s, part->n) &&
         (!part->n || part->s[part->n - 1] == '\n' || o.characters);
}

static long count_of(const char *s, char c) {
  long n = 0;
  for (; *s; s++) n += *s == c;
  return n;
}

/* Both lines are one, but for numbers (of seconds). */
static bool same_note(const char *a, const char *b) {
  static const char number[] = "0123456789.e-";
  for (;; a++, b++) {
    a += strspn(a, number), b += strspn(b, number);
    if (*a != *b) return false;
    if (!*a || *a == '\n') return true;
  }
}

/* What stands behind the notes that the whole run says, too. */
static const char *behind_notes(const char *s, const char *whole) {
  for (const char *end; *s && *s != '\n' && (end = strchr(s, '\n')); s = end + 1) {
    const char *at = whole;
    while (*at && !same_note(at, s)) at = (at = strchr(at, '\n')) ? at + 1 : "";
    if (!*at) break;
  }
  return s;
}

/* NULL, or what is wrong. */
static const char *judge(const outcome *r, const outcome *whole, size_t new) {
  if (WIFSIGNALED(r->status)) return WTERMSIG(r->status) == SIGALRM ? "hangs" : "ended by a signal";
  int code = WEXITSTATUS(r->status);
  if (!code) {
    if (r->out.n != whole->out.n || memcmp(r->out.s, whole->out.s, r->out.n)) return "exit 0, another result";
    if (!(same && all_made) && !o.keep) return "exit 0, other files";
    return NULL;
  }
  if (code != 4) return "another exit code than 4";
  const char *said = behind_notes(r->err.s, whole->err.s);
  long n = count_of(said, '\n');
  bool gomp = !strncmp(said, "\nlibgomp: ", 10);
  if (n != (gomp ? 2 : 1)) return "not one sentence";
  if (strncmp(said, "sgatlin: ", 9) && !gomp) return "not our sentence";
  if (o.stream ? !begins_whole(&r->out, &whole->out) : r->out.n) return "exit 4, something printed";
  if (temporary) return "a temporary file is left";
  if (new && !same && !o.keep) return "exit 4, something that is not whole is left on disk";
  return NULL;
}

static long count_all(outcome *whole) {
  clear_new();
  *whole = run(0);
  if (!WIFEXITED(whole->status) || WEXITSTATUS(whole->status)) {
    fprintf(stderr, "driver: %s %s fails by itself: %s\n", o.command[0], o.command[1], whole->err.s);
    exit(2);
  }
  learning = true;
  clear_new();
  learning = false;
  text t = read_whole(count_path);
  long n = atol(t.s);
  free(t.s);
  return n;
}

static void show(long place, const outcome *r, const char *wrong) {
  printf("  allocation %ld%s: %s; status %d, %zu bytes of output; %.200s\n", place,
         o.lasting ? " and all that follow" : "", wrong,
         WIFEXITED(r->status) ? WEXITSTATUS(r->status) : -WTERMSIG(r->status), r->out.n, r->err.s);
}

int main(int argc, char **argv) {
  for (int c; (c = getopt(argc, argv, "+n:lpckmdf:t:")) != -1;) switch (c) {
      case 'n': o.samples = atol(optarg); break;
      case 'l': o.lasting = true; break;
      case 'p': o.stream = true; break;
      case 'c': o.stream = o.characters = true; break;
      case 'k': o.keep = true; break;
      case 'm': o.mask = true; break;
      case 'd': o.digits = true; break;
      case 'f': o.first = atol(optarg); break;
      case 't': o.last = atol(optarg); break;
      default: return 2;
    }
  if (argc - optind < 2) return 2;
  o.library = argv[optind];
  o.command = argv + optind + 1;
  snprintf(out_path, sizeof out_path, "/tmp/driver-%ld.out", (long)getpid());
  snprintf(err_path, sizeof err_path, "/tmp/driver-%ld.err", (long)getpid());
  snprintf(count_path, sizeof count_path, "/tmp/driver-%ld.count", (long)getpid());
  list(&known, &n_known);

  outcome whole;
  long all = count_all(&whole), last = o.last < all ? o.last : all, tried = 0, wrong = 0;
  long span = last - o.first + 1, wanted = o.samples && o.samples < span ? o.samples : span;
  for (long i = 0; i < wanted; i++, tried++) {
    long place = o.first + (long)((double)span * ((double)i + 0.5) / (double)wanted);
    outcome r = run(place);
    size_t new = clear_new();
    const char *fault = judge(&r, &whole, new);
    if (fault && wrong++ < MAX_SHOWN) show(place, &r, fault);
    release(&r);
  }
  release(&whole);
  unlink(out_path), unlink(err_path), unlink(count_path);
  printf("%ld of %ld allocations tried%s, %ld wrong\n", tried, all, o.lasting ? " (lasting)" : "", wrong);
  return wrong ? 1 : 0;
}
