/* pass_inside.h: what the files of a pass share: pass.c lays it out, pass_forward.c and
 * pass_backward.c walk its steps, sub_attention.c and sub_feedforward.c are the steps.
 *
 * Memory. Each evaluation has a stream that its steps read; each step a block: the norm's inverse
 * scales, then what its sublayer keeps. Without a gradient there is one stream (and one that stages
 * read) and one block, as large as the largest.
 *
 *   stream[0] | step 0: r, kept | step 1: r, kept | stream[1] | ... | x
 *
 * In a chain step 1 belongs to the next evaluation, else to the same.
 */
#ifndef SGI_PASS_INSIDE_H
#define SGI_PASS_INSIDE_H

#include "model/attention.h"
#include "model/pass.h"

struct sgi_pass {
  const sg_model *model;
  bool backward;
  size_t max_B, max_T;
  const sgi_cache *cache; /* NULL, or what came before */
  size_t max_keys;        /* positions that a query may see: max_T, or the capacity of a cache */
  sgi_batch batch;
  char *block; /* everything below */
  float *cos, *sin;
  int32_t *position; /* (n) */
  float *x;          /* (n,D) residual stream after the last layer */
  float *xn, *r;     /* (n,D), (n) its norm */
  float *dx;         /* (n,D) gradient of the residual stream */
  float *nll;
  int32_t *best;
  float *before;  /* (n), (2,H,T): values of a site before a tap sees them */
  float *partial; /* SGI_NORM_PARTIALS * max(D, d_head) */
  sgi_pass_progress progress;
  void *user;
  sgi_pass_layer back; /* after each layer of a backward pass, or NULL */
  void *back_user;
  const sgi_row_sink *const *sinks; /* (rows of the table) of gradients, or NULL */
  sgi_pass_sum add_up;              /* of feedforward layers, or NULL */
  void *add_up_user;
  float *streams; /* (evaluations, stream_size), each (n,D), with backward alone */
  size_t stream_size;
  float *field, *stage, *sum;      /* (n,D) of forms with stages: k_q, u_q without backward, the weighted sum of k */
  float *d_field, *d_stage, *d_to; /* (n,D) their gradients, with backward */
  char *saved;                     /* blocks of the steps */
  size_t *saved_at;  /* (steps + 1) offsets into saved; without backward all 0, the last the block's size */
  char *shared;      /* blocks of routers that layers share */
  size_t *shared_at; /* (steps) offsets into it, of steps with a router */
  bool training;
  sgi_drop drop; /* of training */
  sgi_arena scratch;
  /* While a forward pass runs: a sum that the next norm makes on its way, x = sum_x + sum_y; NULL:
   * none. */
  const float *sum_x, *sum_y;
  sgi_aux aux; /* sums of the forward pass; rows 0: nothing is added to the loss */
};

/* Buffers of a step in either direction, before the sublayer's own. */
typedef struct step_work {
  float *xn; /* (n,D) normed input */
  float *y;  /* (n,D) output, or the gradient of xn */
} step_work;

static inline void layout_step_work(const sg_config *c, size_t n, sgi_arena *a, step_work *w) {
  w->xn = SGI_TAKE(a, n * c->hidden_size, float);
  w->y = SGI_TAKE(a, n * c->hidden_size, float);
}

static inline size_t larger(size_t a, size_t b) { return a > b ? a : b; }
static inline size_t rows_of(const sgi_pass *p) { return p->batch.B * p->batch.T; }

/* The stream that an evaluation reads; behind the last, x. */
static inline float *stream_of(const sgi_pass *p, size_t evaluation) {
  if (!p->backward || evaluation == p->model->plan.n_evaluations) return p->x;
  return p->streams + evaluation * p->stream_size;
}

/* The block of a step, and the inverse scales it begins with. */
static inline sgi_arena block_of(const sgi_pass *p, const sgi_plan_step *s, float **r) {
  size_t i = (size_t)(s - p->model->plan.steps), end = p->backward ? i + 1 : p->model->plan.n_steps;
  sgi_arena a = {.base = p->saved + p->saved_at[i], .size = p->saved_at[end] - p->saved_at[i]};
  *r = SGI_TAKE(&a, rows_of(p), float);
  return a;
}

/* The block of the router whose output a step uses, also after the pass. */
static inline sgi_arena shared_of(const sgi_pass *p, const sgi_plan_step *s) {
  if (s->router == SIZE_MAX) return (sgi_arena){0};
  return (sgi_arena){.base = p->shared + p->shared_at[s->router], .size = SIZE_MAX};
}

static inline float *gradient(const sgi_pass *p, float *grad, const sgi_plan_step *s, size_t tensor) {
  return grad + p->model->table.rows[s->sub->row[tensor]].offset;
}

/* Laps of the profile (core/profile.h). Products: each reads its map as it is stored. Moved: (n,D)
 * arrays that are read or written. */
static inline void lap_product(const sgi_pass *p, double *at, const char *name, size_t n, const sgi_weight *w,
                               size_t times) {
  double moved = 4.0 * (double)n * (double)(w->width + w->rows) + (double)sgi_weight_bytes(w);
  sgi_lap(p->scratch.profile, at, name, (double)times * sgi_product_flops(n, w->width, w->rows), (double)times * moved);
}

static inline void lap_moved(const sgi_pass *p, double *at, const char *name, size_t n, size_t D, size_t arrays) {
  sgi_lap(p->scratch.profile, at, name, 0, 4.0 * (double)n * (double)D * (double)arrays);
}

static inline sg_status named(sg_status st, sg_error *err, const char *what) {
  if (st == SG_ERR_MEMORY || st == SG_ERR_INTERNAL)
    return sgi_fail(err, st, "%s: a matrix product failed (%s)", what, sg_status_text(st));
  return st;
}

/* A sum of squares beyond float32 makes an inverse norm of 0, and the row would silently become
 * 0. */
static inline sg_status check_norms(const float *r, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (r[i] == 0) return SG_ERR_NUMERIC;
  return SG_OK;
}

/* Where a step stands, for taps; s NULL: outside the layers. */
sgi_at sgi_step_at(const sgi_pass *p, const sgi_plan_step *s);
/* Shows rows [first, first + n), one behind the other from data on. */
sg_status sgi_show(const sgi_pass *p, const sgi_plan_step *s, const sgi_tap *tap, sgi_site_id id, void *data,
                   size_t first, size_t n);

/* One step (pass_forward.c, pass_backward.c): y (n,D) = S(norm of x); dx (n,D) added to, from dy,
 * which may be dx. sgi_step_output is a place for y that lasts until the next step has run. */
float *sgi_step_output(const sgi_pass *p);
sg_status sgi_step_forward(sgi_pass *p, const sgi_plan_step *s, const sgi_tap *tap, float *x, float *y);
sg_status sgi_step_backward(sgi_pass *p, const sgi_plan_step *s, float *grad, float *dx, const float *dy);
/* One layer in its form (form_layers.c). */
sg_status sgi_chain_forward(sgi_pass *p, size_t layer, const sgi_tap *tap);
sg_status sgi_chain_backward(sgi_pass *p, size_t layer, float *grad);
sg_status sgi_stages_forward(sgi_pass *p, size_t layer, const sgi_tap *tap);
sg_status sgi_stages_backward(sgi_pass *p, size_t layer, float *grad);

#endif
