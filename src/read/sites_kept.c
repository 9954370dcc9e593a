#include "read/sites_kept.h"

#include <string.h>

#include "core/arena.h"

/* The site seen last is the likeliest. */
static sgi_kept_site *find(const sgi_kept_sites *k, const sgi_site *s) {
  for (size_t i = k->count; i-- > 0;)
    if (k->at[i].id == s->id && k->at[i].layer == s->layer && k->at[i].step == s->step && k->at[i].stage == s->stage)
      return &k->at[i];
  return NULL;
}

static sg_status add(sgi_kept_sites *k, const sgi_site *s, sg_error *err) {
  if (!sgi_room(&k->at, &k->capacity, k->count, sizeof *k->at))
    return sgi_fail_memory(err, 2 * k->count * sizeof *k->at, "a run's sites");
  const sgi_site_row *row = sgi_site_row_of(s->id);
  sgi_kept_site *x = &k->at[k->count];
  *x = (sgi_kept_site){.layer = s->layer,
                       .id = s->id,
                       .step = s->step,
                       .stage = s->stage,
                       .site = {.n_dims = 1 + row->n_axes, .dims = {k->T}, .axes = {"pos"}}};
  sgi_site_name(x->name, s);
  for (int i = 0; i < row->n_axes; i++) {
    x->site.dims[i + 1] = s->dims[i];
    x->site.axes[i + 1] = sgi_axis_name(row->axes[i]);
  }
  x->site.count = k->T * sgi_site_width(s);
  size_t bytes = x->site.count * 4;
  if (bytes > k->max_bytes - k->bytes)
    return sgi_fail(err, SG_ERR_MEMORY,
                    "recording %s would need more than the %zu bytes allowed: record fewer sites or allow more memory",
                    x->name, k->max_bytes);
  x->data = sgi_alloc(bytes);
  if (!x->data) return sgi_fail_memory(err, bytes, "a recorded site");
  k->bytes += bytes;
  if (row->holds)
    x->site.index = x->data;
  else
    x->site.data = x->data;
  k->count++;
  return SG_OK;
}

sg_status sgi_kept_visit(sgi_kept_sites *k, const sgi_site *s, sg_error *err) {
  sgi_kept_site *x = find(k, s);
  if (!x) {
    sg_status st = add(k, s, err);
    if (st) return st;
    x = &k->at[k->count - 1];
  }
  size_t width = sgi_site_width(s);
  memcpy((float *)x->data + s->first * width, s->data, s->n * width * 4);
  return SG_OK;
}

void sgi_kept_deinit(sgi_kept_sites *k) {
  for (size_t i = 0; i < k->count; i++) sgi_free(k->at[i].data);
  sgi_free(k->at);
}
