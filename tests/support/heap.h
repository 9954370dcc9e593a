/* heap.h: malloc and its kin of the whole program, its libraries too, counted. For one file of a
 * test, which says before it what else is counted of each block:
 *
 *   static void heap_took(size_t bytes, size_t held) { ... }
 *
 * Under AddressSanitizer malloc is the sanitizer's: heap_counts is false and heap_held stays 0. */
#ifndef TEST_HEAP_H
#define TEST_HEAP_H

#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

static atomic_size_t heap_held; /* bytes not given back */

#ifdef __SANITIZE_ADDRESS__
static const bool heap_counts = false;
#else
static const bool heap_counts = true;

static void *heap_noted(void *p) {
  if (!p) return NULL;
  size_t n = malloc_usable_size(p);
  heap_took(n, atomic_fetch_add(&heap_held, n) + n);
  return p;
}

static void heap_gone(void *p) { atomic_fetch_sub(&heap_held, p ? malloc_usable_size(p) : 0); }

extern void *__libc_malloc(size_t n), *__libc_calloc(size_t n, size_t size), *__libc_realloc(void *p, size_t n);
extern void *__libc_memalign(size_t align, size_t n), __libc_free(void *p);

#pragma GCC visibility push(default) /* or libraries would not meet them */
void *malloc(size_t n) { return heap_noted(__libc_malloc(n)); }
void *calloc(size_t n, size_t size) { return heap_noted(__libc_calloc(n, size)); }
void *aligned_alloc(size_t align, size_t n) { return heap_noted(__libc_memalign(align, n)); }
void *memalign(size_t align, size_t n) { return heap_noted(__libc_memalign(align, n)); }
int posix_memalign(void **p, size_t align, size_t n) {
  *p = heap_noted(__libc_memalign(align, n));
  return *p ? 0 : ENOMEM;
}
void *realloc(void *p, size_t n) {
  heap_gone(p);
  return heap_noted(__libc_realloc(p, n));
}
void free(void *p) {
  heap_gone(p);
  __libc_free(p);
}
#pragma GCC visibility pop
#endif

#endif
