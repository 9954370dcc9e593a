/* clique.h: the largest clique of a graph, exactly, by branch and bound. Knows no facts. */
#ifndef SGI_CLIQUE_H
#define SGI_CLIQUE_H

#include "core/base.h"

enum { SGI_CLIQUE_MAX = 4096 }; /* vertices */

/* A square matrix of bits, symmetric, the diagonal 0: row v has sgi_clique_words(n) words, bit u of
 * it says that v and u are joined. */
static inline size_t sgi_clique_words(size_t n) { return (n + 63) / 64; }
static inline bool sgi_clique_bit(const uint64_t *row, size_t u) { return row[u / 64] >> (u % 64) & 1; }
static inline void sgi_clique_join(uint64_t *joined, size_t n, size_t u, size_t v) {
  size_t words = sgi_clique_words(n);
  joined[u * words + v / 64] |= (uint64_t)1 << v % 64;
  joined[v * words + u / 64] |= (uint64_t)1 << u % 64;
}

/* chosen (n; *size of them, ascending): a largest clique of the n <= SGI_CLIQUE_MAX vertices of
 * joined. The search stops after max_work words of the matrix were looked at (0: no limit): then
 * *proven is false and chosen is the best clique found. The same graph gives the same clique on any
 * machine. */
sg_status sgi_clique(size_t n, const uint64_t *joined, uint64_t max_work, size_t *chosen, size_t *size, bool *proven,
                     sg_error *err);

#endif
