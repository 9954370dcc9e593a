/* sparse_kind.h: the skeleton of every kind that chooses neurons. A router gives each channel of a
 * row K of F neurons, a score each; y is the sum of their output rows times value = gate(score, x .
 * w_in). The skeleton owns tensors, memory, stages, sites, the three moves of sparse.h, the
 * gradients of what is linear, and what readers ask; a kind is its gate.
 *
 *   const sgi_ffn_ops sgi_ffn_NAME = {SGI_SPARSE_KIND(&form), .name = "NAME", ...};
 *
 * Memory of a layer, all (n,C,K) unless said: index, score | dot, kept[0..], value | gates' flags |
 * the router's own. Gates (jump.h): what does not act has dot 0, so every gate gives it a value of
 * 0, and none of the moves touches it.
 *
 * Layers that share a router (router_group): the group's first leaves what it chose, as edited, in
 * the group's block, index, score | dscore, all (n,C,K); the others copy it, and gradients of the
 * scores add up there, the last layer's first. */
#ifndef SGI_SPARSE_KIND_H
#define SGI_SPARSE_KIND_H

#include "ffn/jump.h"
#include "ffn/meta.h"

enum { SGI_GATE_KEPT = 2 };

/* What a gate sees: n rows of C channels of K chosen neurons, m = n C K entries in all. */
typedef struct sgi_gate {
  const sg_config *config;
  size_t m, K;
  const float *score;         /* as the router gives them, a channel's largest first */
  const float *dot;           /* x . w_in, with its constant where there are any */
  float *kept[SGI_GATE_KEPT]; /* what the gate keeps for its gradient, as many as it asked for */
  float *value;               /* what multiplies the output rows: assigned by the gate */
} sgi_gate;

struct sgi_sparse_kind {
  bool pool_per_channel;                                 /* every channel has its own F neurons, or all share them */
  sg_status (*check)(const sg_config *c, sg_error *err); /* beside the router's own limits */
  size_t (*kept)(const sg_config *c);                    /* arrays that the gate keeps */
  void (*forward)(const sgi_gate *g);
  /* dvalue holds the gradient of value and becomes that of dot; dscore is assigned. */
  void (*backward)(const sgi_gate *g, float *dvalue, float *dscore);
  sgi_jump_outside outside;
  size_t moved[2]; /* arrays that the two read or write, for the profile */
};
typedef struct sgi_sparse_kind sgi_sparse_kind;

/* Stages in order. The first is that of a metarouter (meta.h), and nothing without one. */
enum { SGI_SPARSE_GATE, SGI_SPARSE_ROUTE, SGI_SPARSE_ACT, SGI_SPARSE_NEURONS, SGI_SPARSE_SUM };

bool sgi_sparse_shares(const sg_config *c);
sg_status sgi_sparse_check(const sg_config *c, sg_error *err);
sg_status sgi_sparse_tensors(const sg_config *c, const char *prefix, sgi_table *t, sg_error *err);
size_t sgi_sparse_tensor_count(const sg_config *c);
void sgi_sparse_saved(const sg_config *c, size_t n, sgi_arena *a);
/* Room for the blocks of so many calls, of n rows together. */
void sgi_sparse_saved_parts(const sg_config *c, size_t n, size_t parts, sgi_arena *a);
void sgi_sparse_scratch(const sg_config *c, size_t n, bool backward, sgi_arena *a);
void sgi_sparse_shared(const sg_config *c, size_t n, bool backward, sgi_arena *a);
void sgi_sparse_clear(const sg_config *c, size_t n, sgi_arena shared);
void sgi_sparse_shared_row(const sg_config *c, sgi_shared_row to, sgi_shared_row from);
uint64_t sgi_sparse_multiply_adds(const sg_config *c);
extern const sgi_stage sgi_sparse_stages[];
void sgi_sparse_left(const sgi_ffn_call *call, sgi_site_id id, sgi_left *out);
sg_status sgi_sparse_backward(sgi_ffn_call *call, float *dx, const float *dy, const float *x);
void sgi_sparse_measure(const sgi_ffn_call *call, sgi_aux *sum);
void sgi_sparse_gates(const sg_config *c, size_t n, sgi_arena saved, sgi_gates *out);
size_t sgi_sparse_unit_count(const sg_config *c);
void sgi_sparse_units(const sgi_ffn_call *call, size_t row, sgi_unit *out, double *bias);
void sgi_sparse_channel_units(const sgi_ffn_call *call, size_t row, size_t channel, sgi_unit *out); /* (K) */
bool sgi_sparse_unit_at(const sg_config *c, const sgi_weight *const *w, size_t channel, size_t index, sgi_unit *out);
void sgi_sparse_routes(const sg_config *c, sgi_routes *out);
sg_status sgi_sparse_route_rows(const sg_config *c, const sgi_weight *const *w, size_t channel, float *rows);

/* The skeleton finds the kind's form by the config's kind (ffn.h, sgi_ffn_of). */
#define SGI_SPARSE_KIND(form_) \
  .sparse = (form_), .check = sgi_sparse_check, .tensors = sgi_sparse_tensors, .saved = sgi_sparse_saved, \
  .scratch = sgi_sparse_scratch, .shared = sgi_sparse_shared, .clear = sgi_sparse_clear, \
  .shared_row = sgi_sparse_shared_row, .multiply_adds = sgi_sparse_multiply_adds, .stages = sgi_sparse_stages, \
  .left = sgi_sparse_left, .backward = sgi_sparse_backward, .measure = sgi_sparse_measure, .gates = sgi_sparse_gates, \
  .unit_count = sgi_sparse_unit_count, .units = sgi_sparse_units, .unit_at = sgi_sparse_unit_at, \
  .routes = sgi_sparse_routes, .route_rows = sgi_sparse_route_rows, .shares = sgi_sparse_shares, \
  .mixes = sgi_meta_mixes, .past = sgi_meta_past, .vary_shared = sgi_meta_vary

#endif
