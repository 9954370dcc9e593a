/* sparse_state.h: between the files of the training of sparse MLPs: what a trainer holds, and its
 * files: checkpoints (core/bundle.h) and the finished directory. */
#ifndef SGI_SPARSE_STATE_H
#define SGI_SPARSE_STATE_H

#include "compare/sparse_train.h"

typedef struct sgi_sparse_of {
  sgi_sparse_layer layer;
  sgi_sparse_arrays m, v;
  uint64_t *fired;   /* (M) rows seen when it acted last, 0: never */
  float *x, *target; /* (chunk_rows,D) of the chunk in memory; one array for an SAE */
  sgi_sparse_loss loss;
  size_t dead;
} sgi_sparse_of;

struct sgi_sparse_trainer {
  sgi_sparse_train_request r;
  sgi_batcher *text;
  sgi_pass *pass;
  sgi_sparse_work *work;
  sgi_sparse_place *places;
  sgi_sparse_of *of; /* (n_layers) */
  void *memory;
  size_t bytes;
  sgi_sparse_arrays g;
  float *batch_x, *batch_target; /* (batch,D) */
  uint32_t *order;               /* (batch) */
  int32_t *inputs;               /* (3,pass_rows,T) inputs, targets, starts */
  double *moment;                /* (D,D) */
  size_t pass_rows, chunk_rows, filled;
  uint64_t chunk; /* in memory; UINT64_MAX: none */
  uint64_t steps, done, window;
  bool begun; /* weights are there */
  double seconds;
};

static inline bool sgi_sparse_state_dead(const sgi_sparse_trainer *t, const sgi_sparse_of *l, size_t j) {
  return !l->fired[j] || t->done * t->r.batch - l->fired[j] >= t->window;
}
/* Moments of feature j to 0. */
void sgi_sparse_state_forget(sgi_sparse_of *l, size_t j);

/* A directory that is new or empty of ours. */
sg_status sgi_sparse_state_begin(const sgi_sparse_trainer *t, sg_error *err);
sg_status sgi_sparse_state_save(const sgi_sparse_trainer *t, sg_error *err);
/* The newest whole checkpoint; settings that differ are refused by name. */
sg_status sgi_sparse_state_load(sgi_sparse_trainer *t, sg_error *err);
/* layer-L/, sparse.json; checkpoints go. */
sg_status sgi_sparse_state_finish(const sgi_sparse_trainer *t, json_t **about, sg_error *err);

#endif
