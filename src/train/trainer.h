/* trainer.h: weights, gradient, moments and one training step. Knows nothing of files, text or
 * people. */
#ifndef SGI_TRAINER_H
#define SGI_TRAINER_H

#include "model/metrics.h"
#include "model/pass.h"
#include "train/int4.h"
#include "train/jump.h"
#include "train/optim.h"
#include "train/parts.h"
#include "train/schedule.h"
#include "train/split.h"

typedef struct sgi_trainer_settings {
  size_t batch_size, seq_len; /* B, T */
  size_t micro_batch;         /* rows at a time, a divisor of B: fixes the order of sums, so part of a run's identity */
  size_t parts;               /* of a batch, whose sums are added as a tree (parts.h): a power of two; likewise */
  size_t accumulation;        /* batches per update, >= 1 */
  bool bf16;                  /* operands of products (docs/method.md, precision); else float32 */
  double clip;                /* largest global norm, 0: none */
  double weight_decay;        /* part of a decayed weight lost per update at the schedule's peak */
  sgi_optimizer optimizer;
  sgi_schedule schedule;
  sgi_aux_weights aux;    /* what is added to the loss */
  double threshold_lr;    /* rate of gates' thresholds in times of the others' */
  sgi_int4_settings int4; /* of pools, or off: then all weights are float32 */
  double gate_dropout;    /* probability that a chosen neuron is left out of a step (ffn/drop.h) */
  uint64_t seed;          /* of that */
} sgi_trainer_settings;

/* Settings that train anything: the whole batch at a time, an update each, adamw as the reference
 * has it, clip 2, decay 1e-4, a constant rate of 1e-3. Whoever wants something else changes
 * that. */
sgi_trainer_settings sgi_trainer_defaults(size_t batch_size, size_t seq_len);

/* Who trains together; all borrowed. */
typedef struct sgi_trainer_ranks {
  sg_ranks *all;          /* or NULL: one process */
  sg_ranks *rows;         /* those that hold the same weights, and share a batch */
  sg_ranks *channels;     /* those that compute the same rows, and share the channels; NULL: nobody does */
  const sgi_split *split; /* NULL where channels are not shared */
} sgi_trainer_ranks;

typedef struct sgi_trainer {
  sgi_trainer_settings settings;
  sg_model *model; /* owned, with an arena */
  sg_model *low;   /* what bf16 steps run (low.h), or NULL */
  sgi_int4 *int4;  /* of the model's pools, or NULL */
  bool spoiled;    /* a refused step has moved pools or their sums already: no other is taken */
  float *grad;     /* arena of one batch's gradient */
  sgi_trainer_ranks who;
  sg_ranks *ranks; /* who.rows */
  bool *partial;   /* (rows of the table) gradients of which each rank of `channels` has a part; NULL: none */
  float *room;     /* for sums over channels */
  size_t *bounds;  /* (ranks + 1) floats of the shards; this rank's is [from, to) */
  size_t from, to;
  sgi_parts *parts;
  sgi_metrics *metrics; /* (ranks, most parts of one) of a batch */
  double *squares;      /* (ranks, most blocks of one) of a norm */
  float *state;         /* (lists, state_floats) of the model's state rows: before the step, of parts */
  size_t state_floats;
  float *sum;                     /* accumulated gradients of the shard; NULL where accumulation is 1 */
  float *moment[SGI_MAX_MOMENTS]; /* of the shard, n_moments of the optimizer */
  sgi_profile *profile;           /* borrowed, or NULL */
  sgi_pass *pass;                 /* micro_batch x seq_len, with backward */
  uint64_t steps, updates;        /* done */
  sgi_norms norms;                /* of the gradients of the last steps of this process */
} sgi_trainer;

typedef sg_step sgi_step;

/* Bytes of what is as large as the weights in the arena, or their shard: they, gradients, moments.
 * False where no number holds that. Pools in int4 are not among them (int4.h). */
bool sgi_trainer_arenas(size_t floats, const sgi_trainer_settings *s, const sg_ranks *ranks, size_t *bytes);
/* Bytes of all arenas of one process: those, and activations. */
sg_status sgi_trainer_bytes(const sg_config *c, const sgi_trainer_settings *s, size_t *bytes, sg_error *err);
/* How the passes of these settings make up an update. */
sgi_int4_batch sgi_trainer_passes(const sgi_trainer_settings *s);
/* A model to train with these settings: sg_model_create's, or with pools in int4. New:
 * sg_model_free. */
sg_status sgi_trainer_model(const sg_config *c, const sgi_trainer_settings *s, uint64_t seed, sg_model **out,
                            sg_error *err);
/* Takes model over on success (its weights are made its own). New: sgi_trainer_free. */
sg_status sgi_trainer_create(sg_model *model, const sgi_trainer_settings *s, sgi_trainer **out, sg_error *err);
/* The same for one of several ranks, all of which make one with the same settings and weights (or
 * their slice of them). Of their models all are alike after each step; of the moments each keeps
 * its shard. */
sg_status sgi_trainer_create_ranked(sg_model *model, const sgi_trainer_settings *s, const sgi_trainer_ranks *who,
                                    sgi_trainer **out, sg_error *err);
void sgi_trainer_free(sgi_trainer *t);

/* One batch, of which a rank computes its parts: inputs, targets (B,T), starts (B,T) or NULL.
 * SG_ERR_NUMERIC names what is not finite (blame.h); where the batch showed it the weights are as
 * they were before the step, but for pools in int4, which may have moved: then the trainer takes no
 * other. Allocates nothing. */
sg_status sgi_trainer_step(sgi_trainer *t, const int32_t *inputs, const int32_t *targets, const int32_t *starts,
                           sgi_step *out, sg_error *err);

/* SG_OK if all weights and moments are finite; else SG_ERR_NUMERIC naming the tensor and its layer.
 * Slow: before a checkpoint. */
sg_status sgi_trainer_check(const sgi_trainer *t, sg_error *err);

/* From now on steps time their kernels into profile (borrowed); NULL ends that. */
void sgi_trainer_profile(sgi_trainer *t, sgi_profile *profile);

/* Euclidean norm of all weights. */
double sgi_trainer_param_norm(const sgi_trainer *t);

#endif
