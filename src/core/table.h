/* table.h: rows of named tensors. One table per model: allocation, files, AdamW, parameter counts,
 * gradient and golden tests all walk the same rows. Knows no layer. */
#ifndef SGI_TABLE_H
#define SGI_TABLE_H

#include "core/base.h"

enum { SGI_MAX_DIMS = 4, SGI_MAX_TENSOR_NAME = 96 };

/* How a tensor starts (golden README no. 12). sigma is the standard deviation reached for
 * INIT_NORMAL and INIT_LECUN (truncated at 2 sigma and corrected), the uncorrected sigma for
 * INIT_TRUNCATED. */
typedef enum sgi_init { SGI_INIT_ZERO, SGI_INIT_ONE, SGI_INIT_NORMAL, SGI_INIT_LECUN, SGI_INIT_TRUNCATED } sgi_init;

typedef struct sgi_row {
  char name[SGI_MAX_TENSOR_NAME];
  int n_dims;
  size_t dims[SGI_MAX_DIMS];
  size_t count;  /* elements */
  size_t offset; /* in floats from the arena's base, a multiple of 16 */
  bool decay;    /* weight decay applies; false for gains and biases, stacked ones too (golden README no. 23) */
  sgi_init init;
  double sigma;
  bool threshold; /* of gates: trained at a rate of its own (docs/method.md, gates) */
  /* a map or pool, read through math/weight.h and math/stored.h alone, so it may be in any type
   * that computes */
  bool stored;
  bool state; /* statistics that a forward pass of training moves: no parameter, no gradient, not optimised */
  /* rows of neurons of which a token chooses a few: training may keep them as int4
   * (model/pools.h) */
  bool pool;
  bool aside; /* a pool that lies outside the arena */
} sgi_row;

typedef struct sgi_table {
  sgi_row *rows;
  size_t count, capacity;
  size_t floats; /* size of an arena that holds all rows */
  size_t parameters;
} sgi_table;

/* Appends a row named prefix + name. dims ends at the first 0. */
sg_status sgi_table_add(sgi_table *t, const char *prefix, const char *name, const size_t dims[SGI_MAX_DIMS], bool decay,
                        sgi_init init, double sigma, sg_error *err);
/* The same for state: float32, without decay. */
sg_status sgi_table_add_state(sgi_table *t, const char *prefix, const char *name, const size_t dims[SGI_MAX_DIMS],
                              sgi_init init, sg_error *err);
/* Pools take no place in an arena from now on: offsets and floats are those of what is left. */
void sgi_table_set_aside(sgi_table *t);
/* Floats that a row has in an arena. */
static inline size_t sgi_row_floats(const sgi_row *r) { return r->aside ? 0 : r->count; }
#define SGI_DIMS(...) ((const size_t[SGI_MAX_DIMS]){__VA_ARGS__})

/* Row index by full name, or -1. */
ptrdiff_t sgi_table_find(const sgi_table *t, const char *name);
void sgi_table_deinit(sgi_table *t);

#endif
