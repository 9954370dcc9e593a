/* pairs.h: counts of adjacent pairs while a BPE is trained, where each pair is, and the pair that
 * is merged next. */
#ifndef SGI_PAIRS_H
#define SGI_PAIRS_H

#include "core/base.h"

typedef struct sgi_pair {
  int32_t left, right;
  int64_t count;    /* over all words: places in the word times the word's count */
  uint32_t place;   /* newest of its places, 0: none */
  uint32_t touched; /* merge that last raised the count, so that it is queued once for it */
} sgi_pair;

typedef struct sgi_place {
  uint32_t word, next; /* next: an older place of the pair, 0: none */
} sgi_place;

typedef struct sgi_queued {
  int64_t count; /* when queued: a pair whose count has fallen since is queued anew when it comes up */
  int32_t left, right;
  uint32_t pair;
} sgi_queued;

typedef struct sgi_pairs {
  sgi_pair *at;
  size_t n, size;
  uint32_t *slots; /* index + 1 of a pair, 0: free; 1 << bits of them */
  unsigned bits;
  sgi_place *places; /* the first is not used */
  size_t n_places, size_places;
  sgi_queued *heap;
  size_t n_heap, size_heap;
  uint32_t *raised; /* pairs whose count the current merge raised */
  size_t n_raised, size_raised;
  uint32_t merge;
} sgi_pairs;

/* Adds change to the pair's count; a positive one also notes that the pair is in word. False when
 * memory is out. */
bool sgi_pairs_change(sgi_pairs *p, int32_t left, int32_t right, int64_t change, uint32_t word);
/* Queues the pairs that changes since the last call have raised. */
bool sgi_pairs_queue(sgi_pairs *p);
/* The pair of highest count, of equals the one of smallest (left, right); NULL where no count is
 * above 0. Borrowed until the next change. It leaves the queue. */
sgi_pair *sgi_pairs_best(sgi_pairs *p);
void sgi_pairs_deinit(sgi_pairs *p);

#endif
