/* packed.h: an expert in as few bytes as say it, in float32, and many of them evaluated together,
 * as the bench runs them (docs/method-functions.md, speed).
 *
 * All functions of a layer read the same few features over the same grid. So what a spline needs of
 * a feature, its cell and the weights of the four coefficients that act there, is computed once a
 * token (sgi_packed_bases), and an edge is a product of four numbers by four. Functions of many
 * neurons and tokens are taken in an order of their numbers of splines, so that a processor need
 * not guess how many come. Named functions are put aside with their arguments, sorted by operation,
 * and each operation runs over all its arguments. The slow and clear form is sgi_expert_value.
 *
 * Bytes, all parts multiples of four: a head (counts of splines and named functions, of bits and
 * gates, of weighted gates, flags) and the bias; where output rows go through a basis, its rows and
 * amounts; features of splines, two to a word; their coefficients; their silus' weights, if there
 * are any; of named functions feature, form, a, b, c; of bits feature, threshold; of gates inputs,
 * table; weights of the weighted ones. */
#ifndef SGI_FUNCTION_PACKED_H
#define SGI_FUNCTION_PACKED_H

#include "functions/layer.h"

enum {
  SGI_PACKED_MOST = 8 + SGI_FUNCTION_PARTS * 8 + SGI_MOST_EDGES * (4 + 4 * (1 + SGI_MOST_COEFS)) +
                    8 * (SGI_MOST_BITS + SGI_MOST_GATES),
  SGI_PACKED_BATCH = 256
};

/* Bytes of neuron `unit` of a layer, without what it writes to; those of that where it is a
 * basis. */
size_t sgi_packed_bytes(const sgi_function_layer *l, size_t unit);
static inline size_t sgi_packed_parts_bytes(const sgi_function_layer *l) {
  return l->basis_rows ? SGI_FUNCTION_PARTS * 8 : 0;
}
/* A hard expert, into as many bytes as both say; returns how many. */
size_t sgi_pack_expert(const sgi_function_layer *l, size_t unit, uint8_t *to);

/* A feature's value at one token, and what splines need of it. */
typedef struct sgi_packed_basis {
  float weight[4]; /* of coefficients cell to cell + 3 */
  uint32_t cell;
  float silu, z;
  float unused; /* two to a cache line */
} sgi_packed_basis;
/* out (R) of z (R); silus: a function has one, else they are left 0. */
void sgi_packed_bases(const sgi_grid *g, bool silus, const float *z, size_t R, sgi_packed_basis *out);

/* A pool's functions lie one behind the other at equal distances, so that a neuron's number is
 * where its function is, and no list of places is kept. */
typedef struct sgi_packed_pool {
  const uint8_t *first;
  size_t step;  /* whole cache lines: the longest function */
  size_t usual; /* bytes of a usual one, which are fetched ahead */
} sgi_packed_pool;

typedef struct sgi_packed_entry {
  const uint8_t *at;             /* the function */
  const sgi_packed_basis *basis; /* (R) of the token */
} sgi_packed_entry;

enum { SGI_PACKED_NAMED = SGI_PACKED_BATCH * SGI_MOST_EDGES };
typedef struct sgi_packed_work {
  uint16_t shape[SGI_PACKED_BATCH];                         /* of entries */
  uint16_t order[SGI_PACKED_BATCH], rest[SGI_PACKED_BATCH]; /* they by splines; by what else they have */
  size_t n; /* of named functions, in the order in which they were met */
  uint16_t entry[SGI_PACKED_NAMED], sorted[SGI_PACKED_NAMED];
  uint8_t form[SGI_PACKED_NAMED];
  float a[SGI_PACKED_NAMED], u[SGI_PACKED_NAMED], result[SGI_PACKED_NAMED], aside[SGI_PACKED_NAMED];
} sgi_packed_work;

/* value (n) of n <= SGI_PACKED_BATCH entries, the same for the same entries whatever stands beside
 * them; of the `more` entries behind them `usual` bytes each are asked for meanwhile. work:
 * anything before and after. */
void sgi_packed_values(const sgi_function_layer *l, const sgi_packed_entry *entry, size_t n, size_t more, size_t usual,
                       sgi_packed_work *work, float *value);
/* Rows of the basis and amounts of a function of a layer that has one. */
void sgi_packed_parts(const uint8_t *p, uint32_t row[SGI_FUNCTION_PARTS], float amount[SGI_FUNCTION_PARTS]);

/* u (n) becomes f(u), aside (n) is free to be written over. */
void sgi_packed_apply(sgi_symbol_form f, float *u, float *aside, size_t n);

#endif
