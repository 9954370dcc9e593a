#include "text/bpe.h"

#include <string.h>

#include "core/arena.h"

enum { SHORT = 48 }; /* up to here scanning for the lowest rank beats a heap */

static inline uint64_t pair_of(int32_t left, int32_t right) { return (uint64_t)(uint32_t)left << 32 | (uint32_t)right; }

static inline size_t slot_of(uint64_t pair, unsigned bits) {
  return (size_t)(pair * 0x9E3779B97F4A7C15u >> (64 - bits));
}

bool sgi_bpe_init(sgi_bpe *b, const sgi_merge *merges, size_t n) {
  for (b->bits = 6; ((size_t)1 << b->bits) < 2 * n; b->bits++) {}
  size_t mask = ((size_t)1 << b->bits) - 1;
  b->slots = sgi_alloc((mask + 1) * sizeof *b->slots);
  if (!b->slots) return false;
  for (size_t i = 0; i <= mask; i++) b->slots[i].rank = SGI_NO_RANK;
  for (size_t i = 0; i < n; i++) {
    uint64_t pair = pair_of(merges[i].left, merges[i].right);
    size_t at = slot_of(pair, b->bits);
    while (b->slots[at].rank != SGI_NO_RANK && b->slots[at].pair != pair) at = (at + 1) & mask;
    b->slots[at] = (sgi_bpe_slot){.pair = pair, .rank = (uint32_t)i, .id = merges[i].id};
  }
  return true;
}

void sgi_bpe_deinit(sgi_bpe *b) {
  sgi_free(b->slots);
  b->slots = NULL;
}

/* Rank of the pair and what it becomes; SGI_NO_RANK where it is no merge. */
static inline uint32_t rank_of(const sgi_bpe *b, int32_t left, int32_t right, int32_t *id) {
  uint64_t pair = pair_of(left, right);
  size_t mask = ((size_t)1 << b->bits) - 1;
  for (size_t at = slot_of(pair, b->bits);; at = (at + 1) & mask) {
    const sgi_bpe_slot *s = &b->slots[at];
    if (s->rank == SGI_NO_RANK) return SGI_NO_RANK;
    if (s->pair != pair) continue;
    *id = s->id;
    return s->rank;
  }
}

uint32_t sgi_bpe_rank(const sgi_bpe *b, int32_t left, int32_t right) {
  int32_t unused;
  return rank_of(b, left, right, &unused);
}

static size_t merge_short(const sgi_bpe *b, int32_t *ids, size_t n) {
  uint32_t ranks[SHORT]; /* of the pair (i, i + 1) */
  int32_t merged[SHORT];
  for (size_t i = 0; i + 1 < n; i++) ranks[i] = rank_of(b, ids[i], ids[i + 1], &merged[i]);
  while (n > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < n; i++)
      if (ranks[i] < ranks[best]) best = i;
    if (ranks[best] == SGI_NO_RANK) break;
    ids[best] = merged[best];
    n--;
    for (size_t i = best + 1; i < n; i++) {
      ids[i] = ids[i + 1];
      ranks[i - 1] = ranks[i];
      merged[i - 1] = merged[i];
    }
    if (best + 1 < n) ranks[best] = rank_of(b, ids[best], ids[best + 1], &merged[best]);
    if (best > 0) ranks[best - 1] = rank_of(b, ids[best - 1], ids[best], &merged[best - 1]);
  }
  return n;
}

/* ---- long pre-tokens: a heap of pairs over a linked list ------------------------------------- */

typedef struct list {
  int32_t *ids;
  uint32_t *ranks;       /* of the pair that begins here; SGI_NO_RANK: none, or the symbol is gone */
  uint32_t *prev, *next; /* UINT32_MAX: none */
  uint64_t *heap;        /* rank << 32 | place; entries whose rank is not the place's any more are stale */
  size_t n_heap;
} list;

static void sift_down(uint64_t *heap, size_t n, size_t at) {
  uint64_t x = heap[at];
  for (size_t child; (child = 2 * at + 1) < n; at = child) {
    if (child + 1 < n && heap[child + 1] < heap[child]) child++;
    if (heap[child] >= x) break;
    heap[at] = heap[child];
  }
  heap[at] = x;
}

static uint64_t pop(list *l) {
  uint64_t top = l->heap[0];
  l->heap[0] = l->heap[--l->n_heap];
  if (l->n_heap) sift_down(l->heap, l->n_heap, 0);
  return top;
}

static void push(list *l, uint64_t x) {
  size_t at = l->n_heap++;
  for (size_t up; at > 0 && l->heap[up = (at - 1) / 2] > x; at = up) l->heap[at] = l->heap[up];
  l->heap[at] = x;
}

static void rank_again(const sgi_bpe *b, list *l, uint32_t at) {
  l->ranks[at] = l->next[at] == UINT32_MAX ? SGI_NO_RANK : sgi_bpe_rank(b, l->ids[at], l->ids[l->next[at]]);
  if (l->ranks[at] != SGI_NO_RANK) push(l, (uint64_t)l->ranks[at] << 32 | at);
}

static void start_list(const sgi_bpe *b, list *l, size_t n) {
  for (size_t i = 0; i < n; i++) {
    l->prev[i] = i ? (uint32_t)i - 1 : UINT32_MAX;
    l->next[i] = i + 1 < n ? (uint32_t)i + 1 : UINT32_MAX;
    l->ranks[i] = i + 1 < n ? sgi_bpe_rank(b, l->ids[i], l->ids[i + 1]) : SGI_NO_RANK;
    if (l->ranks[i] != SGI_NO_RANK) l->heap[l->n_heap++] = (uint64_t)l->ranks[i] << 32 | i;
  }
  for (size_t i = l->n_heap / 2; i-- > 0;) sift_down(l->heap, l->n_heap, i);
}

/* Every merge takes one entry and adds at most two, and there are fewer than n merges: 2n entries
 * are enough. */
static void lay_out(sgi_arena *a, size_t n, list *l) {
  l->ranks = SGI_TAKE(a, n, uint32_t);
  l->prev = SGI_TAKE(a, n, uint32_t);
  l->next = SGI_TAKE(a, n, uint32_t);
  l->heap = SGI_TAKE(a, 2 * n, uint64_t);
}

static bool make_list(sgi_bpe_work *work, size_t n, int32_t *ids, list *l) {
  sgi_arena a = {0};
  *l = (list){.ids = ids};
  lay_out(&a, n, l);
  if (a.used > work->size) {
    sgi_free(work->block);
    *work = (sgi_bpe_work){.block = sgi_alloc(a.used)};
    if (!work->block) return false;
    work->size = a.used;
  }
  a = (sgi_arena){.base = work->block, .size = work->size};
  lay_out(&a, n, l);
  return true;
}

static size_t merge_long(const sgi_bpe *b, list *l, size_t n) {
  start_list(b, l, n);
  while (l->n_heap) {
    uint64_t top = pop(l);
    uint32_t at = (uint32_t)top, right;
    if (l->ranks[at] != top >> 32) continue;
    right = l->next[at];
    rank_of(b, l->ids[at], l->ids[right], &l->ids[at]);
    l->ranks[right] = SGI_NO_RANK;
    l->next[at] = l->next[right];
    if (l->next[at] != UINT32_MAX) l->prev[l->next[at]] = at;
    rank_again(b, l, at);
    if (l->prev[at] != UINT32_MAX) rank_again(b, l, l->prev[at]);
  }
  size_t count = 0;
  for (uint32_t at = 0; at != UINT32_MAX; at = l->next[at]) l->ids[count++] = l->ids[at];
  return count;
}

bool sgi_bpe_word(const sgi_bpe *b, sgi_bpe_work *work, const char *bytes, size_t n, int32_t *out, size_t *count) {
  size_t m = 0;
  for (size_t i = 0; i < n; i++) {
    int32_t id = b->byte_ids[(unsigned char)bytes[i]];
    if (id >= 0) out[m++] = id;
  }
  if (m > SHORT) {
    list l;
    if (!make_list(work, m, out, &l)) return false;
    *count = merge_long(b, &l, m);
  } else {
    *count = merge_short(b, out, m);
  }
  return true;
}
