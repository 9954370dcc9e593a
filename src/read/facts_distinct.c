/* The largest set of nouns that share no answer: nouns fall into groups that hang together by
 * answers; each group is solved by itself, and the sets are put together. */
#include <string.h>

#include "read/clique.h"
#include "read/facts.h"

typedef struct groups {
  const sg_facts *f;
  uint32_t *parent; /* (words) of a word's answers; nouns are numbered behind them */
  size_t *group;    /* (nouns) sorted by group, then ascending */
  uint32_t *root;   /* (nouns) */
} groups;

static uint32_t find(uint32_t *parent, uint32_t x) {
  while (parent[x] != x) x = parent[x] = parent[parent[x]];
  return x;
}

static uint32_t answer_of(const sg_facts *f, size_t noun, size_t k) {
  return f->pairs[f->listed[f->nouns[noun].first + k]].answer;
}

/* Counting sort of the nouns by their group's root; starts (n + 1) is work. */
static void sort_groups(groups *g, uint32_t *starts, size_t all) {
  const sg_facts *f = g->f;
  memset(starts, 0, (all + 1) * sizeof *starts);
  for (size_t i = 0; i < f->n_nouns; i++) starts[g->root[i] + 1]++;
  for (size_t i = 0; i < all; i++) starts[i + 1] += starts[i];
  for (size_t i = 0; i < f->n_nouns; i++) g->group[starts[g->root[i]]++] = i;
}

static void join_groups(groups *g) {
  const sg_facts *f = g->f;
  size_t all = f->n_words + f->n_nouns;
  for (size_t i = 0; i < all; i++) g->parent[i] = (uint32_t)i;
  for (size_t i = 0; i < f->n_nouns; i++)
    for (size_t k = 0; k < f->nouns[i].n; k++) {
      uint32_t a = find(g->parent, (uint32_t)(f->n_words + i)), b = find(g->parent, answer_of(f, i, k));
      if (a != b) g->parent[a < b ? b : a] = a < b ? a : b;
    }
  for (size_t i = 0; i < f->n_nouns; i++) g->root[i] = find(g->parent, (uint32_t)(f->n_words + i));
}

/* For a group too large to search: nouns of few answers first, those that share none with what was
 * taken. taken (words). */
static size_t greedy(const sg_facts *f, const size_t *nouns, size_t n, bool *taken, size_t *chosen) {
  size_t count = 0, most = 0;
  for (size_t i = 0; i < n; i++) most = f->nouns[nouns[i]].n > most ? f->nouns[nouns[i]].n : most;
  for (size_t answers = 1; answers <= most; answers++)
    for (size_t i = 0; i < n; i++) {
      if (f->nouns[nouns[i]].n != answers) continue;
      bool free = true;
      for (size_t k = 0; k < answers; k++) free = free && !taken[answer_of(f, nouns[i], k)];
      for (size_t k = 0; free && k < answers; k++) taken[answer_of(f, nouns[i], k)] = true;
      if (free) chosen[count++] = nouns[i];
    }
  return count;
}

/* joined (n,words): nouns that share no answer. by_answer: (f->n_words) rows of bits, made for
 * answers as they come. */
static bool unshared(const sg_facts *f, const size_t *nouns, size_t n, uint64_t *joined) {
  size_t words = sgi_clique_words(n), pairs = 0;
  for (size_t i = 0; i < n; i++) pairs += f->nouns[nouns[i]].n;
  /* Nouns of each answer, chained. */
  uint32_t *head = sgi_alloc((f->n_words + 1) * sizeof *head), *next = sgi_alloc((pairs + 1) * sizeof *next),
           *noun = sgi_alloc((pairs + 1) * sizeof *noun);
  uint64_t *with = sgi_alloc(words * sizeof *with);
  bool room = head && next && noun && with;
  for (size_t i = 0; i < n && room; i++) {
    memset(joined + i * words, 0xFF, words * sizeof *joined);
    if (n % 64) joined[i * words + words - 1] = ((uint64_t)1 << n % 64) - 1;
    joined[i * words + i / 64] &= ~((uint64_t)1 << i % 64);
  }
  uint32_t at = 0;
  for (size_t i = 0; i < n && room; i++)
    for (size_t k = 0; k < f->nouns[nouns[i]].n; k++) {
      uint32_t a = answer_of(f, nouns[i], k);
      noun[++at] = (uint32_t)i;
      next[at] = head[a];
      head[a] = at;
    }
  for (size_t a = 0; a < f->n_words && room; a++) {
    if (!head[a]) continue;
    memset(with, 0, words * sizeof *with);
    for (uint32_t p = head[a]; p; p = next[p]) with[noun[p] / 64] |= (uint64_t)1 << noun[p] % 64;
    for (uint32_t p = head[a]; p; p = next[p])
      for (size_t w = 0; w < words; w++) joined[(size_t)noun[p] * words + w] &= ~with[w];
  }
  sgi_free(head);
  sgi_free(next);
  sgi_free(noun);
  sgi_free(with);
  return room;
}

static sg_status solve(const sg_facts *f, const size_t *nouns, size_t n, uint64_t max_work, size_t *chosen,
                       size_t *count, bool *proven, sg_error *err) {
  size_t words = sgi_clique_words(n);
  uint64_t *joined = sgi_alloc(n * words * sizeof *joined);
  sg_status st =
      joined && unshared(f, nouns, n, joined) ? SG_OK : sgi_fail_memory(err, n * words * 8, "a graph of nouns");
  if (!st) st = sgi_clique(n, joined, max_work, chosen, count, proven, err);
  for (size_t i = 0; i < *count && !st; i++) chosen[i] = nouns[chosen[i]];
  sgi_free(joined);
  return st;
}

static sg_status solve_all(groups *g, bool *taken, uint64_t max_work, size_t *found, size_t *n, bool *proven,
                           sg_error *err) {
  const sg_facts *f = g->f;
  sg_status st = SG_OK;
  for (size_t i = 0, end; i < f->n_nouns && !st; i = end) {
    for (end = i + 1; end < f->n_nouns && g->root[g->group[end]] == g->root[g->group[i]];) end++;
    size_t count = 1;
    bool sure = true;
    if (end - i > SGI_CLIQUE_MAX) {
      count = greedy(f, g->group + i, end - i, taken, found + *n);
      sure = false;
    } else if (end - i > 1) {
      count = 0;
      st = solve(f, g->group + i, end - i, max_work, found + *n, &count, &sure, err);
    } else {
      found[*n] = g->group[i];
    }
    *n += count;
    *proven = *proven && sure;
  }
  return st;
}

sg_status sg_facts_distinct(const sg_facts *f, uint64_t max_work, size_t *chosen, size_t *n, bool *proven,
                            sg_error *err) {
  size_t all = f->n_words + f->n_nouns;
  *n = 0;
  *proven = true;
  groups g = {.f = f,
              .parent = sgi_alloc((all + 2) * sizeof *g.parent),
              .group = sgi_alloc((f->n_nouns + 1) * sizeof *g.group),
              .root = sgi_alloc((f->n_nouns + 1) * sizeof *g.root)};
  bool *taken = sgi_alloc(all + 1);
  sg_status st = SG_OK;
  if (g.parent && g.group && g.root && taken) {
    join_groups(&g);
    sort_groups(&g, g.parent, all); /* the parents are not needed any more */
    st = solve_all(&g, taken, max_work, chosen, n, proven, err);
  } else {
    st = sgi_fail_memory(err, all * sizeof *g.parent, "groups of nouns");
  }
  /* Ascending, whatever the groups' order. */
  if (!st) {
    memset(taken, 0, all);
    for (size_t i = 0; i < *n; i++) taken[chosen[i]] = true;
    for (size_t v = 0, i = 0; v < f->n_nouns; v++)
      if (taken[v]) chosen[i++] = v;
  }
  sgi_free(g.parent);
  sgi_free(g.group);
  sgi_free(g.root);
  sgi_free(taken);
  return st;
}
