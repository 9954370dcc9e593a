/* flops.h: what a configuration costs, counted without making the model: FLOPs (sg_config_flops of
 * sgatlin.h), parameters, and the steps that a FLOPs budget pays for. Holds no layer's formula: the
 * steps of a pass report their own. */
#ifndef SGI_FLOPS_H
#define SGI_FLOPS_H

#include "core/base.h"

/* Elements of all tensors, the tied embedding counted once. */
sg_status sgi_config_parameters(const sg_config *config, size_t *parameters, sg_error *err);

/* Forward FLOPs of the output head for one sequence, 2 T V D: the paper's convention leaves them
 * out of sg_config_flops. */
sg_status sgi_config_head_flops(const sg_config *config, size_t seq_len, uint64_t *flops, sg_error *err);

/* A step's FLOPs are 3 * forward * batch (the backward pass counts twice the forward pass): *steps
 * = floor(budget / that), in integers. budget from 1 to 1e30, whole numbers up to 1e22 exactly.
 * Budgets that do not pay for one step are SG_ERR_ARG. */
sg_status sgi_budget_steps(double budget, uint64_t forward, size_t batch, uint64_t *steps, sg_error *err);

/* One budget of the paper's isoflop study: the batch and length that override the preset's, and the
 * scales of preset slimpajama that it trains. At 1e18 the dense kinds and moe begin one scale later
 * than the sparse ones. */
typedef struct sgi_isoflop {
  double budget;
  size_t batch_size, seq_len;
  int first_scale, last_scale, first_scale_dense;
} sgi_isoflop;

/* The i-th budget, NULL past the last. Borrowed for ever. */
const sgi_isoflop *sgi_isoflop_at(size_t i);

#endif
