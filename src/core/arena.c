#include "core/arena.h"

#include <assert.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

void *sgi_take(sgi_arena *a, size_t count, size_t size) {
  size_t bytes, end;
  if (a->used == SIZE_MAX || !sgi_size_mul(count, size, &bytes) || !sgi_size_add(bytes, SGI_ALIGN - 1, &bytes) ||
      !sgi_size_add(a->used, bytes / SGI_ALIGN * SGI_ALIGN, &end)) {
    assert(!a->base);
    a->used = SIZE_MAX;
    return NULL;
  }
  char *p = a->base ? a->base + a->used : NULL;
  assert(!a->base || end <= a->size);
  a->used = end;
  return p;
}

static atomic_size_t calls, fail_at;
static atomic_bool fail_on;
static atomic_size_t taken, most; /* most: 0 for no limit */

size_t sgi_alloc_limit(size_t bytes) {
  atomic_store(&most, bytes);
  return atomic_load(&taken);
}

size_t sgi_alloc_fail_at(size_t n, bool for_ever) {
  size_t now = atomic_load(&calls);
  atomic_store(&fail_on, for_ever);
  atomic_store(&fail_at, n ? now + n : 0);
  return now;
}

size_t sgi_alloc_count(void) { return atomic_load(&calls); }

static bool must_fail(void) {
  size_t call = atomic_fetch_add(&calls, 1) + 1, at = atomic_load(&fail_at);
  return at && (call == at || (call > at && atomic_load(&fail_on)));
}

bool sgi_alloc_may(void) { return !must_fail(); }

static _Thread_local size_t failures;
static atomic_size_t failures_of_all;

size_t sgi_alloc_failures(void) { return failures; }
size_t sgi_alloc_failures_of_all(void) { return atomic_load(&failures_of_all); }

void sgi_alloc_failed(void) {
  failures++;
  atomic_fetch_add(&failures_of_all, 1);
}

static void *failed(void) {
  sgi_alloc_failed();
  return NULL;
}

/* Asks for large pages: neurons are gathered from pools of any size, each from another page. */
static void huge_pages(char *p, size_t bytes) {
  enum { PAGE = 4096, WORTH = 8 << 20 };
  size_t skip = (PAGE - (uintptr_t)p % PAGE) % PAGE;
  if (bytes >= WORTH) madvise(p + skip, (bytes - skip) / PAGE * PAGE, MADV_HUGEPAGE); /* advice: may be refused */
}

void *sgi_alloc(size_t bytes) {
  if (must_fail() || bytes > SIZE_MAX - 2 * SGI_ALIGN) return failed();
  size_t rounded = (bytes + SGI_ALIGN) / SGI_ALIGN * SGI_ALIGN; /* at least one line, so never a NULL for 0 bytes */
  size_t limit = atomic_load(&most), have = atomic_load(&taken);
  if (limit && rounded > limit - (have < limit ? have : limit)) return failed();
  /* Large blocks come from calloc's fresh zero pages, so that untouched memory costs nothing. */
  char *raw = calloc(1, rounded + SGI_ALIGN);
  if (!raw) return failed();
  atomic_fetch_add(&taken, malloc_usable_size(raw));
  huge_pages(raw, rounded + SGI_ALIGN);
  char *p = raw + SGI_ALIGN - (uintptr_t)raw % SGI_ALIGN; /* always moves on, so the word before p is ours */
  memcpy(p - sizeof raw, &raw, sizeof raw);
  return p;
}

void sgi_free(void *p) {
  if (!p) return;
  char *raw;
  memcpy(&raw, (char *)p - sizeof raw, sizeof raw);
  atomic_fetch_sub(&taken, malloc_usable_size(raw));
  free(raw);
}

void *sgi_realloc(void *p, size_t old_bytes, size_t new_bytes) {
  void *q = sgi_alloc(new_bytes);
  if (!q) return NULL;
  if (p) memcpy(q, p, old_bytes < new_bytes ? old_bytes : new_bytes);
  sgi_free(p);
  return q;
}

bool sgi_room(void *array, size_t *capacity, size_t count, size_t size) {
  enum { FIRST = 16 };
  size_t more, bytes;
  if (count < *capacity) return true;
  if (!sgi_size_mul(*capacity ? *capacity : FIRST / 2, 2, &more) || !sgi_size_mul(more, size, &bytes)) return false;
  void *old, *grown;
  memcpy(&old, array, sizeof old); /* a pointer of any type */
  if (!(grown = sgi_realloc(old, *capacity * size, bytes))) return false;
  memcpy(array, &grown, sizeof grown);
  *capacity = more;
  return true;
}

char *sgi_strdup(const char *s) {
  size_t n = strlen(s) + 1;
  char *q = sgi_alloc(n);
  if (q) memcpy(q, s, n);
  return q;
}
