/* record_shard.h: between the file that plans a recording (record.c) and the one that runs the
 * model (record_shard.c). */
#ifndef SGI_RECORD_SHARD_H
#define SGI_RECORD_SHARD_H

#include "core/safetensors.h"
#include "model/pass.h"
#include "read/record.h"
#include "read/record_beside.h"

/* Tensors of a shard: these, then of each recorded layer indices, scores, activations where they
 * are recorded, probabilities and choice of a metarouter; then what stands beside kinds. */
enum {
  SGI_SHARD_INPUT,
  SGI_SHARD_TARGET,
  SGI_SHARD_DOCUMENT,
  SGI_SHARD_PLACE,
  SGI_SHARD_PREDICTIONS,
  SGI_SHARD_LAYERS
};

/* What is recorded, fixed by the request. */
typedef struct sgi_record_form {
  sgi_record_request q;
  size_t *layers;  /* (n_layers) */
  sgi_slot *slots; /* (n_layers) */
  size_t n_layers;
  size_t value_size;           /* bytes of an activation; 0: none is recorded of any layer */
  sgi_recorded_beside *beside; /* (n_beside) layers with something beside their kind; none where no activations are */
  size_t n_beside;
} sgi_record_form;

/* Bytes of an index and of an activation of one layer. */
static inline size_t sgi_record_index_size(const sgi_slot *z) { return z->pool > (size_t)INT16_MAX + 1 ? 4 : 2; }
static inline size_t sgi_record_value_size(const sgi_record_form *f, size_t slot) {
  return f->slots[slot].has_values ? f->value_size : 0;
}

/* Documents [first, first + documents) with `positions` recorded places in all. */
typedef struct sgi_record_span {
  size_t first, documents, positions;
} sgi_record_span;

/* Recorded places of document i. */
size_t sgi_record_length(const sgi_record_form *f, size_t i);

typedef struct sgi_shard_writer sgi_shard_writer;
/* longest: places of the longest document. New: sgi_shard_writer_free. */
sg_status sgi_shard_writer_create(const sgi_record_form *f, size_t longest, sgi_shard_writer **out, sg_error *err);
void sgi_shard_writer_free(sgi_shard_writer *w);
/* Runs the span's documents and writes path whole. progress is called after each batch with
 * positions done in this span. */
sg_status sgi_shard_write(sgi_shard_writer *w, const sgi_record_span *span, const char *path,
                          bool (*progress)(void *user, size_t done), void *user, sg_error *err);

/* Channels, choices and pool of the model's sparse layers, and whether its units have activations,
 * from one token's pass. */
sg_status sgi_record_sizes(const sg_model *m, sgi_record_form *f, sg_error *err);

#endif
