/* dense_kind.h: the skeleton of every kind that computes all its hidden units, y = act(x W_in^T +
 * b_in) W_out^T + b_out with one or two rows of W_in a unit. The skeleton owns tensors, memory,
 * stages, sites, products and what readers ask; a kind is its activation.
 *
 *   const sgi_ffn_ops sgi_ffn_NAME = {SGI_DENSE_KIND(&form), .name = "NAME", ...};
 *
 * Memory of a layer: u (n, rows F) before the activation, h (n,F; stride of sgi_stride) after
 * it. */
#ifndef SGI_DENSE_KIND_H
#define SGI_DENSE_KIND_H

#include "ffn/ffn.h"

struct sgi_dense_kind {
  const char *in, *out; /* names of the maps' tensors without ".weight" and ".bias" */
  size_t rows;          /* of W_in a hidden unit: 1, or 2 (all first ones, gates, before all second ones, linear) */
  bool bias;            /* both maps have one */
  /* h (F) = act(u (rows F)) of one token; with a bias, u += bias first. */
  void (*forward)(float *h, float *u, const float *bias, size_t F);
  /* du (rows F) from dh (F) and u as forward left it; with one row du is dh. */
  void (*backward)(float *du, const float *dh, const float *u, size_t F);
  /* Optional: a unit from h, the last row's u and its bias; NULL: the gate is h / u. */
  sgi_unit (*unit)(double h, double u, double bias, double weight);
  double shift;                      /* the unit's input is its last row's u plus this */
  double moved[2];                   /* floats a hidden unit that the two read or write, for the profile */
  const struct sgi_dense_kind *relu; /* the same with relu, where the kind may be told so; else NULL */
};
typedef struct sgi_dense_kind sgi_dense_kind;

sg_status sgi_dense_check(const sg_config *c, sg_error *err);
sg_status sgi_dense_tensors(const sg_config *c, const char *prefix, sgi_table *t, sg_error *err);
void sgi_dense_saved(const sg_config *c, size_t n, sgi_arena *a);
void sgi_dense_scratch(const sg_config *c, size_t n, bool backward, sgi_arena *a);
uint64_t sgi_dense_multiply_adds(const sg_config *c);
extern const sgi_stage sgi_dense_stages[];
void sgi_dense_left(const sgi_ffn_call *call, sgi_site_id id, sgi_left *out);
sg_status sgi_dense_backward(sgi_ffn_call *call, float *dx, const float *dy, const float *x);
size_t sgi_dense_unit_count(const sg_config *c);
void sgi_dense_units(const sgi_ffn_call *call, size_t row, sgi_unit *out, double *bias);
bool sgi_dense_unit_at(const sg_config *c, const sgi_weight *const *w, size_t channel, size_t index, sgi_unit *out);

#define SGI_DENSE_KIND(form_) \
  .dense = (form_), .check = sgi_dense_check, .tensors = sgi_dense_tensors, .saved = sgi_dense_saved, \
  .scratch = sgi_dense_scratch, .multiply_adds = sgi_dense_multiply_adds, .stages = sgi_dense_stages, \
  .left = sgi_dense_left, .backward = sgi_dense_backward, .unit_count = sgi_dense_unit_count, \
  .units = sgi_dense_units, .unit_at = sgi_dense_unit_at

#endif
