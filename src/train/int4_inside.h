/* int4_inside.h: what the files of training in int4 share. */
#ifndef SGI_INT4_INSIDE_H
#define SGI_INT4_INSIDE_H

#include "math/kernels.h"
#include "train/int4.h"

/* One pool while it is trained. Where rows are kept, row f's sum is number slot[f] - 1 of sums;
 * kept[slot] = f. */
typedef struct sgi_int4_pool {
  struct sgi_int4 *all;
  sgi_pool *pool;
  uint64_t key; /* of its random words */
  sgi_row_sink sink;
  size_t passes;        /* of the plan that use it */
  double *squares;      /* (blocks) of the stepped rows' gradients */
  int32_t *slot, *kept; /* (rows), (capacity); NULL where rows are stepped at once */
  size_t n_kept, capacity;
  float *sums; /* (capacity,D) */
} sgi_int4_pool;

struct sgi_int4 {
  const sg_model *model;
  sgi_int4_settings settings;
  size_t count;
  sgi_int4_pool *pool;
  const sgi_row_sink **sinks; /* (rows of the table) */
  char *block;
  int threads;
  float *room; /* (threads, room_floats) a row's sum */
  size_t room_floats;
  sgi_int4_moved *moved; /* (threads) of the update under way */
  bool at_once, held;
  double lr;
  uint64_t update;
  int64_t weights, at_end; /* of all pools; of these at +-7 */
  sgi_int4_report last;
  uint64_t bad; /* pool * rows + row of the first that is not finite; UINT64_MAX: none */
};

/* One row's update; g (D) is its gradient. */
void sgi_int4_step_row(sgi_int4_pool *p, size_t f, const float *g);

#endif
