/* pools.h: pools that are trained as int4 (docs/method.md, pools in four bits): levels, a buffer of
 * parts of a level beside them, and a few numbers a row, outside the arena of floats. A weight
 * takes a byte, a row of D weights 20 bytes besides. What the forward pass sees is an int4 tensor
 * as files have it; the rest is the optimizer's (train/int4.h). */
#ifndef SGI_POOLS_H
#define SGI_POOLS_H

#include "model/model.h"

enum { SGI_INT4_LEVELS = 7, SGI_INT4_SUBSTEPS = 8 };

typedef struct sgi_pool {
  size_t row;                 /* of the table */
  size_t rows, width, bytes;  /* neurons; D; of a packed row, ceil(D/2) */
  uint8_t *q, *a;             /* (rows,bytes) levels -7 .. 7; buffer, of the same form */
  float *scale, *v, *ms, *vs; /* (rows) above 0; mean square of a row's gradient; moments of the scale's */
  uint32_t *count;            /* (rows) updates that met the row */
} sgi_pool;

typedef struct sgi_pools {
  size_t count;
  sgi_pool *pool; /* in the order of the table */
  char *block;
  size_t bytes;
  int substeps; /* parts of a level: a row stands for scale (q + a / substeps) */
} sgi_pools;

/* Weights in pools of a table, and the bytes that they take as int4. */
size_t sgi_pools_weights(const sgi_table *t);
size_t sgi_pools_bytes(const sgi_table *t);

/* A model whose pools are int4 and all else float32, with the values of sg_model_create; pools
 * rounded to the nearest level, and what rounding left in the buffer. SG_ERR_ARG where no layer
 * has pools. New: sg_model_free. */
sg_status sgi_pools_create(const sg_config *c, uint64_t seed, int substeps, sg_model **out, sg_error *err);
/* The rows of a pool from a tensor of the same shape: int4 of one scale a row as it is, with an
 * empty buffer, everything else rounded as above. What the optimizer keeps begins anew. */
sg_status sgi_pools_take(sgi_pools *p, size_t row, const sg_model *m, const sgi_weight *from, sg_error *err);
void sgi_pools_free(sgi_pools *p);
/* The pool of a row of the table, or NULL. */
sgi_pool *sgi_pools_find(const sgi_pools *p, size_t row);
/* Forward passes see the buffers too, or no longer: for whoever measures what they hold. */
void sgi_pools_finer(const sg_model *m, bool on);

#endif
