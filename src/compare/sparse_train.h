/* sparse_train.h: sparse MLPs of several layers trained at once, on one forward pass of the model
 * (docs/method-comparison.md, sparse MLPs).
 *
 * The text is one stream of positions, documents in a shuffled order and packed. Chunk c of it is
 * `buffer` batches long; its activations lie in memory and are met in a random order without
 * replacement, both functions of (seed, c) alone. So a run that was stopped makes its chunk again
 * and goes on with the same bits. */
#ifndef SGI_SPARSE_TRAIN_H
#define SGI_SPARSE_TRAIN_H

#include "compare/sparse_set.h"
#include "data/data.h"

typedef struct sgi_sparse_train_progress {
  uint64_t step, steps;
  double mse, penalty, l0; /* means over layers of the last step */
  const char *what;        /* NULL: steps; else "activations": step, steps are then positions of the chunk */
} sgi_sparse_train_progress;

typedef struct sgi_sparse_train_request {
  const sg_model *model;
  const char *model_path, *data_path;
  const sgi_corpus *corpus;
  sgi_sparse_site site;
  const size_t *layers; /* ascending */
  size_t n_layers;
  sgi_sparse_form form; /* in, out, bandwidth are set here */
  size_t seq_len;       /* tokens of a row of text */
  size_t batch, buffer; /* rows of a step; batches in memory */
  uint64_t steps;       /* 0: once through the text */
  double lr, decay;     /* decay: part of W_e and W_d lost a step at the peak rate */
  uint64_t dead_window; /* rows; 0: 10 million, or all where there are fewer */
  bool resample;
  uint64_t seed;
  uint64_t checkpoint_every; /* steps; 0: only where it is stopped */
  size_t max_bytes;
  const char *directory;
  bool resume;
  bool (*progress)(void *user, const sgi_sparse_train_progress *p); /* false: checkpoint, then SG_ERR_CANCELLED */
  void *user;
} sgi_sparse_train_request;

typedef struct sgi_sparse_trainer sgi_sparse_trainer;

/* Checks sizes, memory and, with resume, that the settings are those of then. New:
 * sgi_sparse_trainer_free. */
sg_status sgi_sparse_trainer_create(const sgi_sparse_train_request *r, sgi_sparse_trainer **out, sg_error *err);
void sgi_sparse_trainer_free(sgi_sparse_trainer *t);
size_t sgi_sparse_trainer_bytes(const sgi_sparse_trainer *t);
uint64_t sgi_sparse_trainer_steps(const sgi_sparse_trainer *t);
uint64_t sgi_sparse_trainer_done(const sgi_sparse_trainer *t);
/* One step; fills the buffer first where it is needed. Allocates nothing. */
sg_status sgi_sparse_trainer_step(sgi_sparse_trainer *t, sg_error *err);
/* All steps that are left, checkpoints on the way; then writes the directory. about: sparse.json
 * (borrowed; NULL allowed). */
sg_status sgi_sparse_train(sgi_sparse_trainer *t, json_t **about, sg_error *err);
/* Weights of layer k as they stand, and its last loss. Borrowed. */
const sgi_sparse_layer *sgi_sparse_trainer_layer(const sgi_sparse_trainer *t, size_t k);
const sgi_sparse_loss *sgi_sparse_trainer_loss(const sgi_sparse_trainer *t, size_t k);
/* Features of layer k that no row of the window woke. */
size_t sgi_sparse_trainer_dead(const sgi_sparse_trainer *t, size_t k);

#endif
