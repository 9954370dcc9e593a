/* split.h: a model whose channels several processes hold, some each: for pools that are too large
 * for one machine. A channel is a natural shard: y is a sum over channels, so each process computes
 * its channels' part of y, and these are added (docs/method.md, channels over ranks).
 *
 * What a process trains is a model of its own with fewer channels. Which of its tensors are parts
 * of the whole model's, and along which axis, is read off the two tables: it is the axis that
 * differs. All others are the whole's, and the same in all processes. */
#ifndef SGI_SPLIT_H
#define SGI_SPLIT_H

#include "model/model.h"

typedef struct sgi_split {
  size_t index, count; /* this process's slice of the channels */
  sg_config config;    /* of the whole model */
  sgi_table table;
} sgi_split;

/* local: the configuration of one slice. SG_ERR_ARG or SG_ERR_UNSUPPORTED where the model's
 * channels cannot be split so. out: sgi_split_deinit. */
sg_status sgi_split_make(const sg_config *whole, size_t index, size_t count, sgi_split *out, sg_config *local,
                         sg_error *err);
void sgi_split_deinit(sgi_split *s);

/* Whether row i of a slice's table is a part of the whole's. */
bool sgi_split_is_part(const sgi_split *s, const sgi_table *local, size_t i);
/* Where element `at` of row i of slice `index` stands in the whole tensor; *run: how many follow it
 * there one behind the other. s NULL: nothing is split. */
size_t sgi_split_place(const sgi_split *s, const sgi_table *local, size_t i, size_t index, size_t at, size_t *run);

/* The slice of the model that sg_model_create makes. New: sg_model_free. */
sg_status sgi_split_create(const sgi_split *s, const sg_config *local, uint64_t seed, sg_model **out, sg_error *err);
/* The slice of a whole model's weights. */
void sgi_split_copy(const sgi_split *s, sg_model *slice, const sg_model *whole);

#endif
