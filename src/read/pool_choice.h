/* pool_choice.h: which pools the metarouters of a model choose for documents: counts, gate by
 * gate. */
#ifndef SGI_POOL_CHOICE_H
#define SGI_POOL_CHOICE_H

#include "model/pass.h"

typedef struct sgi_gate_counts {
  size_t layer, layers; /* the gate's, and how many layers use its choice */
  size_t pools;
  const char *choice; /* "token" or "sequence"; of the model */
  uint64_t *count;    /* (documents,pools) positions whose likeliest pool it was */
} sgi_gate_counts;

typedef struct sgi_pool_counter sgi_pool_counter;

/* For documents of up to T tokens; nothing of a model is kept beyond its life. SG_ERR_UNSUPPORTED
 * where no layer has a metarouter. New: sgi_pool_counter_free. */
sg_status sgi_pool_counter_create(const sg_model *m, size_t T, sgi_pool_counter **out, sg_error *err);
void sgi_pool_counter_free(sgi_pool_counter *c);
/* Counts one document more: n tokens, cut at T with bos in front, the token behind the last not
 * read. */
sg_status sgi_pool_counter_add(sgi_pool_counter *c, const int32_t *tokens, size_t n, sg_error *err);
/* Borrowed; *n gates. */
const sgi_gate_counts *sgi_pool_counter_gates(const sgi_pool_counter *c, size_t *n);
size_t sgi_pool_counter_documents(const sgi_pool_counter *c);

#endif
