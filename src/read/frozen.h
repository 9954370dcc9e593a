/* frozen.h: the network of one prompt with gates, attention patterns and norm scales held: a linear
 * map from the embedded tokens (and biases) to any logit or neuron input (docs/method-reading.md).
 *
 * It is a list of held steps (model/held.h), in the order of the pass, and everything that is read
 * of it is a walk over that list, mostly downwards with the gradient of the stream in hand:
 *
 *   for (size_t s = sweep.from; s-- > 0;) {
 *     sgi_sweep_enter(&sweep, s);              sweep.after is then the gradient of the stream that
 * step s adds to
 *     ... what step s adds: its units, its heads by source, read by sweep.after ...
 *     sgi_sweep_pull(&sweep, s, ...)           and through it, to the stream it reads
 *   }
 *
 * Which stream a step reads, and whether its neighbour's work is in it, is the list's to know
 * (steps.h): a sequential model's gradient changes at every step; in a parallel one both steps of a
 * layer add to one stream and read one, so the gradient above waits in a copy until both have had
 * it. No reader names layers, norms or sublayers in order. */
#ifndef SGI_FROZEN_H
#define SGI_FROZEN_H

#include "model/held.h"
#include "model/pass.h"

typedef struct sgi_frozen {
  const sg_model *model;
  sgi_pass *pass; /* one row, all steps' blocks kept */
  int32_t *tokens;
  size_t T, D, V, L;
  size_t n_steps;
  sgi_held *steps;    /* (n_steps) */
  size_t units;       /* most at one row of a step */
  size_t heads;       /* most of a step */
  size_t wide;        /* max(D, heads * d_head): work of a sweep is 2 * R * rows * wide */
  bool has_bias;      /* some step has one */
  bool has_errors;    /* some step misses something: sgi_held.error */
  bool has_constants; /* some unit has a constant, or a step a bias */
} sgi_frozen;

/* Bytes that a prompt of T tokens needs. */
sg_status sgi_frozen_bytes(const sg_model *m, size_t T, size_t *bytes, sg_error *err);

/* Runs the prompt. tokens (T) copied; max_bytes 0: 4 GiB. Deinit in any case. */
sg_status sgi_frozen_init(sgi_frozen *f, const sg_model *m, const int32_t *tokens, size_t T, size_t max_bytes,
                          sg_error *err);
/* The same with progress (NULL allowed): after each layer of the pass, then of its reading, 2 L in
 * all; false cancels. */
sg_status sgi_frozen_init_watched(sgi_frozen *f, const sg_model *m, const int32_t *tokens, size_t T, size_t max_bytes,
                                  bool (*progress)(void *user, size_t done, size_t wanted), void *user, sg_error *err);
void sgi_frozen_deinit(sgi_frozen *f);

/* What holds steps in another way, once the network is made: a transcoder's features in the place
 * of a layer's units. NULL steps: nothing. */
typedef struct sgi_hold {
  sg_status (*steps)(const void *user, sgi_frozen *f, sg_error *err);
  const void *user;
} sgi_hold;
/* hold (NULL allowed) over the steps of f, and f's sizes after it. */
sg_status sgi_frozen_hold(sgi_frozen *f, const sgi_hold *hold, sg_error *err);

/* Logits (V) of a position. */
sg_status sgi_frozen_logits(const sgi_frozen *f, size_t t, float *logits, sg_error *err);

/* logits (V) at position t and the token that is read: target, or with -1 the most probable one.
 * SG_ERR_ARG where target or against is no token (against -1: none). */
sg_status sgi_frozen_target(const sgi_frozen *f, size_t t, int32_t target, int32_t against, float *logits, int32_t *out,
                            sg_error *err);

/* g (D) = d(logit_target - logit_against) / d(residual stream after the last step at position t);
 * against -1: none. */
void sgi_frozen_logit_gradient(const sgi_frozen *f, size_t t, int32_t target, int32_t against, float *g);
/* g (D) = d(value of a unit less its constant) / d(the stream that its step reads at its
 * position). */
void sgi_frozen_unit_gradient(const sgi_frozen *f, size_t step, size_t t, const sgi_unit *u, float *g);

/* R gradients on their way down, at positions 0 .. rows - 1. */
typedef struct sgi_sweep {
  const sgi_frozen *f;
  size_t R, rows;
  float *g;           /* (R,rows,D) of the stream between steps: the caller fills it first */
  const float *after; /* (R,rows,D) of the stream that the entered step adds to; borrowed */
  float *copy, *work; /* (R,rows,D), (2,R,rows,wide) */
} sgi_sweep;

/* Memory for R gradients of up to `rows` positions; R and rows may be made smaller later. Deinit in
 * any case. */
sg_status sgi_sweep_init(sgi_sweep *w, const sgi_frozen *f, size_t R, size_t rows, sg_error *err);
void sgi_sweep_deinit(sgi_sweep *w);
/* Before anything is read at step s. */
void sgi_sweep_enter(sgi_sweep *w, size_t s);
/* Through step s; head >= 0: g becomes what comes through that head alone. */
sg_status sgi_sweep_pull(sgi_sweep *w, size_t s, ptrdiff_t head, sg_error *err);

#endif
