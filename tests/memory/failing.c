/* failing.c: a library for LD_PRELOAD that makes one allocation of the process fail, or all from
 * one on: whoever asks for it, oneDNN, OpenMP, jansson and the C library included. Counted from the
 * start of main to its end.
 *
 *   SGATLIN_TEST_FAIL_AT=N        the Nth fails; with SGATLIN_TEST_FAIL_LASTING=1 all that follow,
 * too SGATLIN_TEST_FAIL_COUNT=FILE  FILE gets the number of allocations
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static atomic_long calls, at;
static atomic_bool live, lasting;

static void *(*next_malloc)(size_t), *(*next_calloc)(size_t, size_t), *(*next_realloc)(void *, size_t),
    *(*next_aligned)(size_t, size_t);
static int (*next_posix)(void **, size_t, size_t);

/* dlsym may allocate before the functions behind ours are known. */
static char early[1 << 16];
static size_t early_used;
static bool is_early(const void *p) { return (const char *)p >= early && (const char *)p < early + sizeof early; }

static void *take_early(size_t n) {
  size_t begin = early_used + 16;
  early_used = begin + (n + 15) / 16 * 16;
  if (early_used > sizeof early) abort();
  memcpy(early + begin - 16, &n, sizeof n);
  return early + begin;
}

static void find(void) {
  static bool busy;
  if (busy || next_posix) return;
  busy = true;
  /* ISO C has no cast from an object's address to a function's. */
  *(void **)&next_malloc = dlsym(RTLD_NEXT, "malloc");
  *(void **)&next_calloc = dlsym(RTLD_NEXT, "calloc");
  *(void **)&next_realloc = dlsym(RTLD_NEXT, "realloc");
  *(void **)&next_aligned = dlsym(RTLD_NEXT, "aligned_alloc");
  *(void **)&next_posix = dlsym(RTLD_NEXT, "posix_memalign");
  busy = false;
}

static bool fails(void) {
  find();
  if (!atomic_load(&live)) return false;
  long call = atomic_fetch_add(&calls, 1) + 1, n = atomic_load(&at);
  if (!n || (call != n && !(call > n && atomic_load(&lasting)))) return false;
  errno = ENOMEM;
  return true;
}

void *malloc(size_t n) {
  if (fails()) return NULL;
  return next_malloc ? next_malloc(n) : take_early(n);
}

void *calloc(size_t count, size_t size) {
  if (fails()) return NULL;
  return next_calloc ? next_calloc(count, size) : take_early(count * size);
}

void *realloc(void *p, size_t n) {
  if (fails()) return NULL;
  if (!is_early(p)) return next_realloc ? next_realloc(p, n) : take_early(n);
  size_t old;
  memcpy(&old, (char *)p - 16, sizeof old);
  void *q = next_malloc(n);
  return q ? memcpy(q, p, old < n ? old : n) : NULL;
}

void *aligned_alloc(size_t alignment, size_t n) { return fails() ? NULL : next_aligned(alignment, n); }
void *memalign(size_t alignment, size_t n);
void *memalign(size_t alignment, size_t n) { return fails() ? NULL : next_aligned(alignment, n); }
int posix_memalign(void **out, size_t alignment, size_t n) { return fails() ? ENOMEM : next_posix(out, alignment, n); }

typedef int main_function(int, char **, char **);
static main_function *real_main;

static int counted_main(int argc, char **argv, char **envp) {
  atomic_store(&live, true);
  int code = real_main(argc, argv, envp);
  atomic_store(&live, false);
  const char *path = getenv("SGATLIN_TEST_FAIL_COUNT");
  FILE *f = path ? fopen(path, "w") : NULL;
  if (f) fprintf(f, "%ld\n", atomic_load(&calls)), fclose(f);
  return code;
}

int __libc_start_main(main_function *, int, char **, void (*)(void), void (*)(void), void (*)(void), void *);
int __libc_start_main(main_function *m, int argc, char **argv, void (*init)(void), void (*fini)(void),
                      void (*end)(void), void *stack) {
  int (*next)(main_function *, int, char **, void (*)(void), void (*)(void), void (*)(void), void *);
  *(void **)&next = dlsym(RTLD_NEXT, "__libc_start_main");
  const char *n = getenv("SGATLIN_TEST_FAIL_AT");
  atomic_store(&at, n ? atol(n) : 0);
  atomic_store(&lasting, getenv("SGATLIN_TEST_FAIL_LASTING") != NULL);
  real_main = m;
  return next(counted_main, argc, argv, init, fini, end, stack);
}
