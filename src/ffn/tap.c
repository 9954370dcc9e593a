#include "ffn/tap.h"

#include <stdio.h>
#include <string.h>

void sgi_site_name(char out[SG_SITE_NAME], const sgi_site *s) {
  if (s->staged)
    snprintf(out, SG_SITE_NAME, "layers.%td.step.%zu.stage.%zu.%s", s->layer, s->step, s->stage,
             sgi_site_row_of(s->id)->name);
  else
    sgi_site_full_name(out, s->layer, s->id);
}

static bool sees(const sgi_tap *tap, const sgi_at *at) { return tap && (tap->stages || (!at->step && !at->stage)); }

static sgi_site site_at(const sgi_at *at, sgi_site_id id) {
  const sgi_site_row *row = sgi_site_row_of(id);
  sgi_site s = {.id = id, .layer = at->layer, .step = at->step, .stage = at->stage, .staged = at->staged};
  for (int k = 0; k < SGI_SITE_AXES; k++) s.dims[k] = sgi_axis_extent(row->axes[k], at->config, at->T);
  return s;
}

bool sgi_tap_wants(const sgi_tap *tap, const sgi_at *at, sgi_site_id id) {
  if (!sees(tap, at) || !tap->wants) return false;
  sgi_site s = site_at(at, id);
  return tap->wants(tap->user, &s);
}

/* Entries of one row that lie anywhere, put together for the tap and back. */
static sg_status visit_gathered(const sgi_tap *tap, sgi_site *s, const sgi_left *left, size_t i) {
  size_t parts = s->dims[0], width = s->dims[1];
  float *data = left->data;
  const int32_t *place = left->place + i * parts;
  for (size_t j = 0; j < parts; j++)
    memcpy(left->row + j * width, data + (size_t)place[j] * left->ld, width * sizeof *data);
  s->data = left->row;
  sg_status st = tap->visit(tap->user, s, tap->err);
  for (size_t j = 0; j < parts; j++)
    memcpy(data + (size_t)place[j] * left->ld, left->row + j * width, width * sizeof *data);
  return st;
}

static sg_status visit_made(const sgi_tap *tap, sgi_site *s, const sgi_left *left, size_t n) {
  sg_status st = SG_OK;
  for (size_t i = 0; i < n && !st; i++) {
    left->make(left->user, i, left->row);
    st = tap->visit(tap->user, s, tap->err);
    if (!st) left->take(left->user, i, left->row);
    s->first++;
  }
  return st;
}

sg_status sgi_tap_visit(const sgi_tap *tap, const sgi_at *at, sgi_site_id id, const sgi_left *left, size_t first,
                        size_t n) {
  if (!sees(tap, at)) return SG_OK;
  sgi_site s = site_at(at, id);
  s.data = left->data;
  s.first = first;
  s.n = n;
  if (left->make) {
    s.n = 1;
    s.data = left->row;
    return visit_made(tap, &s, left, n);
  }
  if (!left->place && (!left->ld || left->ld == sgi_site_width(&s))) return tap->visit(tap->user, &s, tap->err);
  sg_status st = SG_OK;
  s.n = 1;
  for (size_t i = 0; i < n && !st; i++) {
    s.first = first + i;
    s.data = (float *)left->data + i * left->ld;
    st = left->place ? visit_gathered(tap, &s, left, i) : tap->visit(tap->user, &s, tap->err);
  }
  return st;
}
