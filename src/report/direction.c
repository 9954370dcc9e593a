#include "direction.h"

sg_status sgi_direction_edit(const sgi_prompt *p, size_t layer, const char *toward, const char *away, double strength,
                             sg_edit *out, sg_error *err) {
  const sg_config *c = sg_model_config(p->model);
  int32_t up = -1, down = -1;
  *out = (sg_edit){.op = SG_EDIT_ADD, .value = strength, .vector_count = c->hidden_size};
  if (layer >= c->num_layers)
    return sgi_fail(err, SG_ERR_ARG, "layer %zu: the model has %zu, from 0", layer, c->num_layers);
  snprintf(out->site, sizeof out->site, "layers.%zu.resid_post", layer);
  float *vector = sgi_alloc(c->hidden_size * sizeof *vector);
  if (!vector) return sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  sg_status st = sgi_prompt_token(p, toward, &up, err);
  if (!st && away) st = sgi_prompt_token(p, away, &down, err);
  if (!st) st = sg_direction_token(p->model, up, down, vector, err);
  out->vector = vector;
  if (!st) return SG_OK;
  sgi_free(vector);
  out->vector = NULL;
  return st;
}
