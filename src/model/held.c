#include "model/held.h"

#include "core/arena.h"

void sgi_held_deinit(sgi_held *h) {
  sgi_free(h->pattern);
  sgi_free(h->unit);
  sgi_free(h->bias);
  sgi_free(h->error);
  sgi_free(h->outputs);
  sgi_free(h->copied);
  *h = (sgi_held){0};
}

bool sgi_held_bytes(const sgi_plan_step *s, size_t T, size_t *bytes) {
  return s->sub->ops->held_bytes(s->sub, T, bytes);
}

sg_status sgi_held_pull(const sgi_held *h, size_t R, size_t rows, ptrdiff_t head, float *before, const float *after,
                        float *work) {
  return h->step->sub->ops->pull(h, R, rows, head, before, after, work);
}
