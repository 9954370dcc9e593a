/* jump.h: JumpReLU gates (docs/method.md, gates), an option of every kind that stands on
 * sparse_kind.h. A channel's candidates come in descending order of score; those whose score passes
 * the channel's threshold act, so they are the first ones, and all that is done for a neuron is
 * done for these alone. An edit of scores or flags may leave gaps: then what lies in front of the
 * last that acts is computed, and the gaps are 0. */
#ifndef SGI_JUMP_H
#define SGI_JUMP_H

#include "ffn/ffn.h"
#include "ffn/sparse.h"

static inline bool sgi_jump_on(const sg_config *c) { return c->options.gates[0] != 0; }

typedef struct sgi_jump {
  int32_t *active; /* (n,C,K) 0 or 1 */
  int32_t *end;    /* (n,C) behind the last that acts */
} sgi_jump;

typedef struct sgi_jump_work {
  int32_t *end;       /* (n,C) behind the last candidate of the thresholds' window */
  float *dot, *value; /* (n,C,K) of candidates in the window that do not act: x . w_in, dy . w_out */
} sgi_jump_work;

sg_status sgi_jump_tensors(const sg_config *c, const char *prefix, sgi_table *t, sg_error *err);
/* Both take nothing where the option is off. */
void sgi_jump_saved(const sg_config *c, size_t n, sgi_arena *a, sgi_jump *out);
void sgi_jump_work_take(const sg_config *c, size_t n, sgi_arena *a, sgi_jump_work *out);

/* active of score (n,C,K) and theta (C). */
void sgi_jump_choose(const sg_config *c, size_t n, const float *theta, const float *score, const sgi_jump *j);
/* end of active; more: not in front of the last value that is not 0, either (an edit made it
 * so). */
void sgi_jump_ends(const sg_config *c, size_t n, const sgi_jump *j, const float *more);
/* x (n,C,K) is 0 where nothing acts. */
void sgi_jump_silence(const sg_config *c, size_t n, const sgi_jump *j, float *x);

/* What the layer adds to the sums. */
void sgi_jump_measure(const sg_config *c, size_t n, const float *theta, const float *score, const sgi_jump *j,
                      sgi_aux *sum);

/* Of candidates that do not act, in the window: m entries, dvalue (dy . w_out) becomes the gradient
 * that the gate would get at 0; dot is free to be written over. */
typedef void (*sgi_jump_outside)(const sg_config *c, size_t m, float *dvalue, float *dot);

/* One backward pass: what the estimate of the thresholds' gradient is made of. */
typedef struct sgi_jump_back {
  const sg_config *config;
  const sgi_ffn_call *call;
  sgi_sparse shape;
  const sgi_jump *jump;
  const sgi_weight *w_in, *w_out;
  const float *bias; /* (F) NULL: none */
  const float *theta;
  const int32_t *index;
  const float *score, *dscore; /* dscore: of what acts */
  const float *x, *dy;
  sgi_jump_outside outside;
} sgi_jump_back;
/* dtheta (C) += ... */
void sgi_jump_backward(const sgi_jump_back *b, const sgi_jump_work *work, float *dtheta);

#endif
