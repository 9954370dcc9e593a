/* drop.h: chosen neurons left out by chance while a model trains (docs/method.md, training), so
 * that those which fire together do not come to lean on each other. Each chosen neuron has a value
 * of 0 with probability `share`; what is left is not scaled. Who draws is a counter: the number of
 * the token in the run and of the neuron in its layer, so the bits depend on no thread,
 * micro-batch, part or rank, nor on the order in which scores put what was chosen, and a resumed
 * run needs no state. */
#ifndef SGI_DROP_H
#define SGI_DROP_H

#include "core/base.h"

typedef struct sgi_drop {
  double share; /* below 1; 0: none */
  uint64_t seed;
  uint64_t first;       /* number of the pass's first token among all that the run trains on */
  size_t slices, slice; /* processes that share each layer's channels, and this one; 0: one */
  /* Set by a metarouter for one of its pools: row i of the call is token slot[i] / picks of the
   * pass, and the pool is number `pool` of `pools`. NULL: row i is token i, of one pool. */
  const int32_t *slot;
  size_t picks, pool, pools;
} sgi_drop;

/* x (n,C,K) of a layer's n rows, of neurons index (n,C,K): entries that are left out become 0. */
void sgi_drop_values(const sgi_drop *d, const sg_config *layer, const int32_t *index, float *x, size_t n);

#endif
