/* trainer.h: weights, gradient, moments and one training step. Knows nothing of files, text or people. */
#ifndef SGI_TRAINER_H
#define SGI_TRAINER_H

#include "model/pass.h"
#include "train/optim.h"
#include "train/schedule.h"

typedef struct sgi_trainer_settings {
  size_t batch_size, seq_len; /* B, T */
  size_t micro_batch;         /* rows at a time, a divisor of B: fixes the order of sums, so part of a run's identity */
  size_t accumulation;        /* batches per update, >= 1 */
  double clip;                /* largest global norm, 0: none */
  double weight_decay, beta1, beta2, eps;
  sgi_schedule schedule;
} sgi_trainer_settings;

typedef struct sgi_trainer {
  sgi_trainer_settings settings;
  sg_model *model;         /* owned, with an arena */
  float *grad;             /* arena of one batch's gradient */
  float *sum;              /* arena of accumulated gradients; NULL where accumulation is 1 */
  float *m, *v;            /* arenas of moments */
  sgi_profile *profile;    /* borrowed, or NULL */
  sgi_pass *pass;          /* micro_batch x seq_len, with backward */
  uint64_t steps, updates; /* done */
} sgi_trainer;

typedef struct sgi_step {
  double loss, accuracy, perplexity, perplexity_last_token; /* of this batch, before the update */
  double grad_norm;                                         /* of this batch, before clipping */
  double param_norm;                                        /* of all weights, after the step */
  double lr;                                                /* of the update that ended this step, else of the next */
  size_t targets;                                           /* counted tokens */
} sgi_step;

/* Bytes of all arenas: weights, gradients, moments, activations. */
sg_status sgi_trainer_bytes(const sg_config *c, const sgi_trainer_settings *s, size_t *bytes, sg_error *err);
/* Takes model over on success (its weights are made its own). New: sgi_trainer_free. */
sg_status sgi_trainer_create(sg_model *model, const sgi_trainer_settings *s, sgi_trainer **out, sg_error *err);
void sgi_trainer_free(sgi_trainer *t);

/* One batch: inputs, targets (B,T), starts (B,T) or NULL. SG_ERR_NUMERIC names what is not finite (blame.h); where the batch showed
 * it the weights are as they were before the step. Allocates nothing. */
sg_status sgi_trainer_step(sgi_trainer *t, const int32_t *inputs, const int32_t *targets, const int32_t *starts,
                           sgi_step *out, sg_error *err);

/* From now on steps time their kernels into profile (borrowed); NULL ends that. */
void sgi_trainer_profile(sgi_trainer *t, sgi_profile *profile);

/* Euclidean norm of all weights. */
double sgi_trainer_param_norm(const sgi_trainer *t);

#endif
