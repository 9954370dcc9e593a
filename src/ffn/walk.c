/* The walk over the stages of a kind's forward pass. */
#include "ffn/ffn.h"

sg_status sgi_ffn_forward(const sgi_ffn_ops *ops, const sgi_ffn_call *call, float *y, const float *x) {
  sgi_at at = call->at;
  sg_status st = SG_OK;
  at.config = call->config;
  sgi_ffn_call whole = *call;
  whole.y = y;
  for (const sgi_stage *stage = ops->stages; stage->run && !st; stage++) {
    sgi_ffn_call own = *call;
    sgi_profile_stage(call->scratch.profile, stage->name);
    st = stage->run(&own, y, x);
    sgi_profile_stage(call->scratch.profile, NULL);
    for (size_t i = 0; call->tap && !st && i < SGI_STAGE_SITES && stage->leaves[i]; i++) {
      sgi_left left = {0};
      ops->left(&whole, stage->leaves[i], &left);
      if (left.data || left.make) st = sgi_tap_visit(call->tap, &at, stage->leaves[i], &left, 0, call->n);
    }
  }
  return st;
}

sg_status sgi_ffn_backward(const sgi_ffn_ops *ops, sgi_ffn_call *call, float *dx, const float *dy, const float *x) {
  sg_status st = ops->backward(call, dx, dy, x);
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
