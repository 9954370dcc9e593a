/* Branch and bound with a greedy colouring as bound (Tomita's MCS family), sets as bits (San
 * Segundo's BBMC): no clique has more vertices than the candidates have colours, so a candidate
 * whose colour cannot lift the size above the best is not tried. */
#include "read/clique.h"

#include <string.h>

#include "core/arena.h"

/* One level of the search: candidates that are joined to all vertices chosen so far. */
typedef struct level {
  uint64_t *candidates; /* (words) */
  uint32_t *order;      /* (n) those worth trying, by colour; colour[i] is the bound on what order[0..i] can add */
  uint32_t *colour;
  size_t count;
  char *block;
} level;

typedef struct search {
  size_t n, words;
  uint64_t *rows;      /* (n,words) the graph, its vertices renumbered */
  uint64_t *left, *q;  /* (words) work of the colouring */
  level *levels;       /* (n + 1) made when first reached */
  uint32_t *now, size; /* (n) vertices chosen on the way to the present level */
  uint32_t *best, best_size;
  uint64_t work, max_work;
} search;

static size_t first_bit(const uint64_t *set, size_t words, size_t from) {
  while (from < words && !set[from]) from++;
  return from == words ? SIZE_MAX : from * 64 + (size_t)__builtin_ctzll(set[from]);
}

/* Classes of pairwise unjoined candidates, each as large as greed makes it. Those of the first
 * best_size - size classes cannot lead to anything better and are left out of order. */
static void colour_candidates(search *s, level *l) {
  uint32_t useless = s->best_size > s->size ? s->best_size - s->size : 0;
  size_t words = s->words, low = 0;
  memcpy(s->left, l->candidates, words * sizeof *s->left);
  l->count = 0;
  for (uint32_t colour = 1; (low = first_bit(s->left, words, low)) != SIZE_MAX; colour++) {
    low /= 64;
    memcpy(s->q + low, s->left + low, (words - low) * sizeof *s->q);
    for (size_t at = low, v; (v = first_bit(s->q, words, at)) != SIZE_MAX;) {
      at = v / 64;
      uint64_t bit = (uint64_t)1 << v % 64;
      const uint64_t *row = s->rows + v * words;
      s->left[at] &= ~bit;
      s->q[at] &= ~bit;
      for (size_t w = at; w < words; w++) s->q[w] &= ~row[w];
      s->work += words - at;
      if (colour <= useless) continue;
      l->order[l->count] = (uint32_t)v;
      l->colour[l->count++] = colour;
    }
  }
}

static bool make_level(search *s, level *l) {
  sgi_arena a = {0};
  for (int placed = 0; placed < 2; placed++) {
    l->candidates = SGI_TAKE(&a, s->words, uint64_t);
    l->order = SGI_TAKE(&a, s->n, uint32_t);
    l->colour = SGI_TAKE(&a, s->n, uint32_t);
    if (placed) break;
    l->block = sgi_alloc(a.used);
    if (!l->block) return false;
    a = (sgi_arena){.base = l->block, .size = a.used};
  }
  return true;
}

/* From the candidates of levels[0] down. Returns false when memory is out. */
static bool descend(search *s) {
  colour_candidates(s, &s->levels[0]);
  for (;;) {
    level *l = &s->levels[s->size];
    bool spent = s->max_work && s->best_size && s->work > s->max_work;
    if (spent || !l->count || s->size + l->colour[l->count - 1] <= s->best_size) {
      if (!s->size) return true;
      s->size--;
      continue;
    }
    uint32_t v = l->order[--l->count];
    l->candidates[v / 64] &= ~((uint64_t)1 << v % 64);
    s->now[s->size++] = v;
    level *next = &s->levels[s->size];
    if (!next->block && !make_level(s, next)) return false;
    uint64_t any = 0;
    for (size_t w = 0; w < s->words; w++)
      any |= next->candidates[w] = l->candidates[w] & s->rows[(size_t)v * s->words + w];
    s->work += s->words;
    next->count = 0;
    if (any) {
      colour_candidates(s, next);
    } else if (s->size > s->best_size) {
      s->best_size = s->size;
      memcpy(s->best, s->now, s->size * sizeof *s->now);
    }
  }
}

/* rank[i]: the vertex that gets number i. The last number goes to the vertex joined to fewest, it
 * is taken away, and so on: vertices of large degree come first and get the low colours. */
static void degeneracy_order(size_t n, const uint64_t *joined, uint32_t *rank, uint32_t *degree) {
  size_t words = sgi_clique_words(n);
  for (size_t v = 0; v < n; v++) {
    degree[v] = 0;
    for (size_t w = 0; w < words; w++) degree[v] += (uint32_t)__builtin_popcountll(joined[v * words + w]);
  }
  for (size_t i = n; i-- > 0;) {
    size_t least = SIZE_MAX;
    for (size_t v = 0; v < n; v++)
      if (degree[v] != UINT32_MAX && (least == SIZE_MAX || degree[v] <= degree[least])) least = v;
    rank[i] = (uint32_t)least;
    degree[least] = UINT32_MAX;
    for (size_t v = 0; v < n; v++)
      if (degree[v] != UINT32_MAX && sgi_clique_bit(joined + least * words, v)) degree[v]--;
  }
}

static void renumber(search *s, const uint64_t *joined, const uint32_t *rank) {
  for (size_t i = 0; i < s->n; i++)
    for (size_t j = 0; j < i; j++)
      if (sgi_clique_bit(joined + rank[i] * s->words, rank[j])) sgi_clique_join(s->rows, s->n, i, j);
}

static void layout(search *s, sgi_arena *a, uint32_t **rank) {
  s->rows = SGI_TAKE(a, s->n * s->words, uint64_t);
  s->left = SGI_TAKE(a, s->words, uint64_t);
  s->q = SGI_TAKE(a, s->words, uint64_t);
  s->levels = SGI_TAKE(a, s->n + 1, level);
  s->now = SGI_TAKE(a, s->n, uint32_t);
  s->best = SGI_TAKE(a, s->n, uint32_t);
  *rank = SGI_TAKE(a, s->n, uint32_t);
}

sg_status sgi_clique(size_t n, const uint64_t *joined, uint64_t max_work, size_t *chosen, size_t *size, bool *proven,
                     sg_error *err) {
  *size = 0;
  *proven = true;
  if (!n) return SG_OK;
  if (n > SGI_CLIQUE_MAX)
    return sgi_fail(err, SG_ERR_ARG, "a graph of %zu vertices: the largest clique is searched among at most %d", n,
                    SGI_CLIQUE_MAX);
  search s = {.n = n, .words = sgi_clique_words(n), .max_work = max_work};
  uint32_t *rank;
  sgi_arena a = {0};
  layout(&s, &a, &rank);
  size_t bytes = a.used;
  a = (sgi_arena){.base = sgi_alloc(bytes), .size = bytes};
  if (!a.base) return sgi_fail_memory(err, bytes, "the search for a largest clique");
  layout(&s, &a, &rank);
  degeneracy_order(n, joined, rank, s.now);
  renumber(&s, joined, rank);
  bool room = make_level(&s, &s.levels[0]);
  if (room) {
    for (size_t v = 0; v < n; v++) s.levels[0].candidates[v / 64] |= (uint64_t)1 << v % 64;
    room = descend(&s);
  }
  *proven = !max_work || s.work <= max_work;
  *size = s.best_size;
  uint64_t *set = s.left;
  memset(set, 0, s.words * sizeof *set);
  for (size_t i = 0; i < s.best_size; i++) set[rank[s.best[i]] / 64] |= (uint64_t)1 << rank[s.best[i]] % 64;
  for (size_t v = 0, i = 0; v < n; v++)
    if (sgi_clique_bit(set, v)) chosen[i++] = v;
  for (size_t i = 0; i <= n; i++) sgi_free(s.levels[i].block);
  sgi_free(a.base);
  return room ? SG_OK : sgi_fail_memory(err, n * 8, "a level of the search for a largest clique");
}
