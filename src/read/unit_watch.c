#include "read/unit_watch.h"

#include <math.h>
#include <string.h>

#include "core/arena.h"

static sg_status take_choice(sgi_unit_watch *w, const sgi_site *s, sg_error *err) {
  size_t n = s->n * sgi_site_width(s);
  if (n > w->room) {
    sgi_free(w->chosen);
    w->chosen = sgi_alloc(n * sizeof *w->chosen);
    w->room = w->chosen ? n : 0;
    if (!w->chosen) return sgi_fail_memory(err, n * sizeof *w->chosen, "chosen neurons");
  }
  memcpy(w->chosen, s->data, n * sizeof *w->chosen);
  w->experts = sgi_site_row_of(s->id)->holds == SGI_AXIS_CHANNEL;
  return SG_OK;
}

/* Entry (a, b) of a row is channel a's b-th choice, expert chosen[a]'s unit b, or unit a. */
static sg_status take_values(const sgi_unit_watch *w, const sgi_site *s, sg_error *err) {
  bool dense = !sgi_site_row_of(s->id)->chosen_by;
  size_t layer = (size_t)s->layer, width = sgi_site_width(s), inner = s->dims[1];
  for (size_t i = 0; i < s->n; i++) {
    size_t row = s->first + i;
    const float *x = (const float *)s->data + i * width;
    for (size_t e = 0; e < width; e++) {
      if (!isfinite(x[e]))
        return sgi_fail(err, SG_ERR_NUMERIC, "layer %zu: a neuron's value is NaN or infinite", layer);
      if (dense)
        w->value(w->user, layer, row, 0, e, x[e]);
      else if (w->experts)
        w->value(w->user, layer, row, (size_t)w->chosen[row * s->dims[0] + e / inner], e % inner, x[e]);
      else
        w->value(w->user, layer, row, e / inner, (size_t)w->chosen[row * width + e], x[e]);
    }
  }
  return SG_OK;
}

sg_status sgi_unit_watch_visit(void *watch, const sgi_site *s, sg_error *err) {
  sgi_unit_watch *w = watch;
  if (s->layer < 0) return SG_OK;
  sgi_site_role role = sgi_site_row_of(s->id)->role;
  if (role == SGI_SITE_CHOICE) return take_choice(w, s, err);
  return role == SGI_SITE_VALUES ? take_values(w, s, err) : SG_OK;
}

void sgi_unit_watch_deinit(sgi_unit_watch *w) {
  sgi_free(w->chosen);
  w->chosen = NULL;
  w->room = 0;
}
