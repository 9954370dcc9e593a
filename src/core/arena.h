/* arena.h: the library's only malloc, and blocks of memory that are measured first and then handed
 * out piece by piece.
 *
 * One layout function per user both measures and places, so the two can never disagree: with base
 * == NULL an arena only counts and sgi_take returns NULL; with a base it returns the pieces.
 */
#ifndef SGI_ARENA_H
#define SGI_ARENA_H

#include "core/base.h"
#include "core/profile.h"

enum { SGI_ALIGN = 64 };

typedef struct sgi_arena {
  char *base;           /* NULL: only count */
  size_t used;          /* bytes handed out, a multiple of SGI_ALIGN; SIZE_MAX after an overflow */
  size_t size;          /* bytes behind base */
  sgi_profile *profile; /* NULL, or where the work done in this memory is timed (profile.h) */
  int threads;          /* rooms of threads are counted for so many (rows.h); 0: for as many as there are */
} sgi_arena;

/* count elements of size bytes each, 64-byte aligned, not cleared. Taking more than was measured is
 * our own mistake (assert). An overflow while counting sticks: used stays SIZE_MAX and sgi_alloc
 * refuses it. */
void *sgi_take(sgi_arena *a, size_t count, size_t size);
#define SGI_TAKE(a, count, type) ((type *)sgi_take((a), (count), sizeof(type)))

/* 64-byte aligned, zeroed block; NULL when memory is out. All allocation of the library passes
 * here. Free with sgi_free. */
void *sgi_alloc(size_t bytes);
void *sgi_realloc(void *p, size_t old_bytes, size_t new_bytes); /* new bytes are zeroed; p stays valid on NULL */
void sgi_free(void *p);
/* Room for one more element behind the first `count` of a growing list: array is the address of its
 * pointer, *capacity how many elements of `size` bytes fit. Doubles where it is full; new elements
 * are zeroed. False, with the list as it was, when memory is out. */
bool sgi_room(void *array, size_t *capacity, size_t count, size_t size);
char *sgi_strdup(const char *s);

/* From now on blocks that would take more than this together are refused, as if memory were out (0:
 * no limit; what is taken stays). So a size that came from outside ends in a message and not in the
 * kernel's choice of a process to kill. Returns the bytes taken now. */
size_t sgi_alloc_limit(size_t bytes);
/* False where a test asks this allocation to fail: for libraries whose own allocations are counted
 * among ours (jansson). */
bool sgi_alloc_may(void);
/* Allocations that failed so far, of this thread and of all. */
size_t sgi_alloc_failures(void);
void sgi_alloc_failed(void); /* one more, of another library's */
size_t sgi_alloc_failures_of_all(void);

/* Tests only: the n-th allocation from now fails (0: none), once or for ever. Returns the number of
 * allocations so far. */
size_t sgi_alloc_fail_at(size_t n, bool for_ever);
size_t sgi_alloc_count(void);

#endif
