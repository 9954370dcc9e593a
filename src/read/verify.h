/* verify.h: a sum of logits of one run, and what becomes of it without a neuron. */
#ifndef SGI_VERIFY_H
#define SGI_VERIFY_H

#include "sgatlin.h"

typedef struct sgi_read {
  size_t position;
  int32_t token;
  double sign; /* 1 or -1 */
} sgi_read;

typedef struct sgi_reading {
  const int32_t *tokens;
  size_t count, max_bytes;
  const sgi_read *reads; /* (n_reads) */
  size_t n_reads;
} sgi_reading;

/* True effects of n neurons on the sum of the reads: out (n). */
sg_status sgi_verify(const sg_model *m, const sgi_reading *reading, const sg_term *terms, size_t n, sg_true_effect *out,
                     sg_error *err);

#endif
