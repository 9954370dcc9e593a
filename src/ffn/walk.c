/* The walk over the stages of a kind's forward pass. */
#include "ffn/beside.h"

void sgi_ffn_saved(const sgi_ffn_ops *ops, const sg_config *c, size_t n, sgi_arena *a) {
  ops->saved(c, n, a);
  sgi_beside_saved(c, n, a);
}

/* One after the other they use the same room. */
void sgi_ffn_scratch(const sgi_ffn_ops *ops, const sg_config *c, size_t n, bool backward, sgi_arena *a) {
  sgi_arena other = *a;
  ops->scratch(c, n, backward, a);
  sgi_beside_scratch(c, n, backward, &other);
  if (other.used > a->used) a->used = other.used;
}

uint64_t sgi_ffn_multiply_adds(const sgi_ffn_ops *ops, const sg_config *c) {
  return ops->multiply_adds(c) + sgi_beside_multiply_adds(c);
}

size_t sgi_ffn_unit_count(const sgi_ffn_ops *ops, const sg_config *c) {
  return ops->unit_count(c) + sgi_beside_units(c);
}

void sgi_ffn_units(const sgi_ffn_ops *ops, const sgi_ffn_call *call, size_t row, sgi_unit *out, double *bias) {
  ops->units(call, row, out, bias);
  if (sgi_beside_units(call->config)) sgi_beside_held(call, row, out + ops->unit_count(call->config));
}

typedef void (*left_function)(const sgi_ffn_call *call, sgi_site_id id, sgi_left *out);

static sg_status walk(const sgi_stage *stages, left_function left_of, const sgi_ffn_call *call, float *y,
                      const float *x) {
  sgi_at at = call->at;
  sg_status st = SG_OK;
  at.config = call->config;
  sgi_ffn_call whole = *call;
  whole.y = y;
  for (const sgi_stage *stage = stages; stage->run && !st; stage++) {
    sgi_ffn_call own = *call;
    sgi_profile_stage(call->scratch.profile, stage->name);
    st = stage->run(&own, y, x);
    sgi_profile_stage(call->scratch.profile, NULL);
    for (size_t i = 0; call->tap && !st && i < SGI_STAGE_SITES && stage->leaves[i]; i++) {
      sgi_left left = {0};
      left_of(&whole, stage->leaves[i], &left);
      if (left.data || left.make) st = sgi_tap_visit(call->tap, &at, stage->leaves[i], &left, 0, call->n);
    }
  }
  return st;
}

sg_status sgi_ffn_forward(const sgi_ffn_ops *ops, const sgi_ffn_call *call, float *y, const float *x) {
  sg_status st = walk(ops->stages, ops->left, call, y, x);
  return st || !sgi_beside_units(call->config) ? st : walk(sgi_beside_stages, sgi_beside_left, call, y, x);
}

/* A kind assigns dx, what stands beside it adds to it. */
sg_status sgi_ffn_backward(const sgi_ffn_ops *ops, sgi_ffn_call *call, float *dx, const float *dy, const float *x) {
  sgi_ffn_call own = *call;
  sg_status st = ops->backward(&own, dx, dy, x);
  sgi_profile_stage(call->scratch.profile, NULL);
  if (!st && sgi_beside_units(call->config)) st = sgi_beside_backward(call, dx, dy, x);
  sgi_profile_stage(call->scratch.profile, NULL);
  return st;
}

bool sgi_ffn_leaves(const sgi_ffn_ops *ops, sgi_site_id id) {
  for (const sgi_stage *stage = ops->stages; stage->run; stage++)
    for (size_t i = 0; i < SGI_STAGE_SITES; i++)
      if (stage->leaves[i] == id) return true;
  return false;
}

sgi_site_id sgi_ffn_site(const sgi_ffn_ops *ops, sgi_site_role role) {
  for (const sgi_stage *stage = ops->stages; stage->run; stage++)
    for (size_t i = 0; i < SGI_STAGE_SITES; i++)
      if (stage->leaves[i] && sgi_site_row_of(stage->leaves[i])->role == role) return stage->leaves[i];
  return SGI_SITE_NONE;
}
