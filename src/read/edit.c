#include "read/edit.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

sg_status sgi_editor_begin(sgi_editor *e, const sg_config *c, size_t T, const sg_edit *edits, size_t n_edits,
                           sg_error *err) {
  *e = (sgi_editor){.config = c, .edits = edits, .n_edits = n_edits, .T = T};
  if (n_edits > SGI_MAX_EDITS)
    return sgi_fail(err, SG_ERR_ARG, "%zu edits: at most %d in one run", n_edits, SGI_MAX_EDITS);
  for (size_t i = 0; i < n_edits; i++) {
    const sg_edit *d = &edits[i];
    if (d->n_axes > SG_EDIT_AXES) return sgi_fail(err, SG_ERR_ARG, "edit %zu of %s: too many axes", i, d->site);
    if (!isfinite(d->value)) return sgi_fail(err, SG_ERR_ARG, "edit %zu of %s: its value is not finite", i, d->site);
    if (d->op == SG_EDIT_TAKE && !d->from)
      return sgi_fail(err, SG_ERR_ARG, "edit %zu of %s: no run is given to take from (@%s)", i, d->site, d->from_name);
    if (d->vector && (d->op == SG_EDIT_TAKE || d->op == SG_EDIT_SCALE))
      return sgi_fail(err, SG_ERR_ARG, "edit %zu of %s: a vector can be set or added only", i, d->site);
    for (size_t a = 0; a < d->n_axes; a++) {
      if (sgi_axis_known(d->axes[a].name)) continue;
      char list[SGI_AXIS_LIST];
      sgi_axis_list(list);
      return sgi_fail(err, SG_ERR_ARG, "edit of %s: unknown axis \"%.11s\": choose one of %s", d->site, d->axes[a].name,
                      list);
    }
  }
  return SG_OK;
}

bool sgi_editor_wants(const sgi_editor *e, const char *full_name) {
  for (size_t i = 0; i < e->n_edits; i++)
    if (sgi_match(e->edits[i].site, full_name)) return true;
  return false;
}

sg_status sgi_editor_end(const sgi_editor *e, sg_error *err) {
  for (size_t i = 0; i < e->n_edits; i++)
    if (!e->met[i])
      return sgi_fail(err, SG_ERR_ARG, "edit of \"%s\": this model has no such site (sgatlin info --sites lists them)",
                      e->edits[i].site);
  return SG_OK;
}

/* What an axis of the site is: a dim of its array, or a lookup in the chosen units. */
enum { BY_POS = -1, BY_CHOICE = -2, NO_AXIS = -3 };

static int axis_of(const sgi_site *s, const char *name) {
  if (!strcmp(name, "pos")) return BY_POS;
  const sgi_site_row *row = sgi_site_row_of(s->id);
  int own = sgi_site_axis(row, name);
  return own >= 0 ? own : sgi_site_axis_is_chosen(row, name) ? BY_CHOICE : NO_AXIS;
}

/* The choice that the site's units are of has been made: scores are visited before it. */
static bool is_chosen(const sgi_editor *e, const sgi_site *s) {
  sgi_site_id by = sgi_site_row_of(s->id)->chosen_by;
  return e->chosen.id == by && e->chosen.layer == s->layer && s->id >= by;
}

typedef struct place {
  size_t row; /* of the batch */
  size_t at[2];
} place;

/* The axes of a choice are the first ones of the sites that it is about. */
static int32_t chosen_at(const sgi_editor *e, const place *p) {
  const sgi_site *c = &e->chosen;
  size_t entry = sgi_site_row_of(c->id)->n_axes > 1 ? p->at[0] * c->dims[1] + p->at[1] : p->at[0];
  return ((const int32_t *)c->data)[p->row * sgi_site_width(c) + entry];
}

/* Value of an axis at an element. */
static ptrdiff_t value_of(const sgi_editor *e, int axis, const place *p) {
  if (axis == BY_POS) return (ptrdiff_t)(p->row % e->T);
  if (axis == BY_CHOICE) return chosen_at(e, p);
  return (ptrdiff_t)p->at[axis];
}

static bool selected(const sgi_editor *e, const sg_edit *d, const int *axis, const place *p) {
  for (size_t a = 0; a < d->n_axes; a++) {
    ptrdiff_t v = value_of(e, axis[a], p), first = d->axes[a].first, last = d->axes[a].last;
    if (axis[a] == BY_POS) {
      if (first < 0) first += (ptrdiff_t)e->T;
      if (last < 0) last += (ptrdiff_t)e->T;
    }
    if (v < first || v > last) return false;
  }
  return true;
}

static sg_status check_site(const sgi_editor *e, const sg_edit *d, const sgi_site *s, const char *full, int *axis,
                            sg_site *from, sg_error *err) {
  for (size_t a = 0; a < d->n_axes; a++) {
    axis[a] = axis_of(s, d->axes[a].name);
    if (axis[a] == NO_AXIS || (axis[a] == BY_CHOICE && !is_chosen(e, s)))
      return sgi_fail(err, SG_ERR_ARG, "edit of %s: the site has no axis \"%s\"", full, d->axes[a].name);
  }
  const sgi_site_row *row = sgi_site_row_of(s->id);
  if (row->holds && ((d->op != SG_EDIT_SET && d->op != SG_EDIT_TAKE) || d->vector))
    return sgi_fail(err, SG_ERR_ARG, "edit of %s: indices can be set or taken, not scaled or added to", full);
  size_t last = row->n_axes ? s->dims[row->n_axes - 1] : 1;
  if (d->vector && d->vector_count != last)
    return sgi_fail(err, SG_ERR_ARG, "edit of %s: a vector of %zu numbers for an axis of %zu", full, d->vector_count,
                    last);
  if (d->op != SG_EDIT_TAKE) return SG_OK;
  if (!sg_run_find(d->from, full, from))
    return sgi_fail(err, SG_ERR_ARG, "edit of %s: the run to take from (@%s) did not record it", full, d->from_name);
  bool same = from->n_dims == row->n_axes + 1 && sgi_site_is_index(s->id) == (from->index != NULL), keys = false;
  for (int k = 0; k < row->n_axes; k++) {
    same = same && from->dims[k + 1] == s->dims[k];
    keys = keys || row->axes[k] == SGI_AXIS_SOURCE;
  }
  if (!same)
    return sgi_fail(err, SG_ERR_ARG, "edit of %s: the run to take from (@%s) has it in another shape%s", full,
                    d->from_name, keys ? " (prompts of equal length are needed)" : "");
  return SG_OK;
}

/* Row of the run to take from, for a position of this one. */
static sg_status take_row(const sgi_editor *e, const sg_edit *d, size_t row, const char *full, size_t *out,
                          sg_error *err) {
  size_t T = sg_run_length(d->from);
  ptrdiff_t pos = d->from_other_pos ? d->from_pos : (ptrdiff_t)(row % e->T);
  if (pos < 0) pos += (ptrdiff_t)T;
  if (pos < 0 || (size_t)pos >= T)
    return sgi_fail(err, SG_ERR_ARG, "edit of %s: position %td is outside the run to take from (@%s, %zu positions)",
                    full, pos, d->from_name, T);
  *out = (size_t)pos;
  return SG_OK;
}

static sg_status set_index(const sgi_editor *e, const sgi_site *s, int32_t *x, double value, const char *full,
                           sg_error *err) {
  sg_config view;
  sgi_config_view(e->config, (size_t)s->layer, &view);
  size_t limit = sgi_axis_extent(sgi_site_row_of(s->id)->holds, &view, e->T);
  if (!(value >= 0) || value >= (double)limit || value != floor(value))
    return sgi_fail(err, SG_ERR_ARG, "edit of %s: %g is no unit (0 to %zu)", full, value, limit - 1);
  *x = (int32_t)value;
  return SG_OK;
}

static float changed(const sg_edit *d, float x, size_t last) {
  double v = d->vector ? d->value * (double)d->vector[last] : d->value;
  switch (d->op) {
    case SG_EDIT_SET: return (float)v;
    case SG_EDIT_SCALE: return (float)((double)x * v);
    default: return (float)((double)x + v);
  }
}

static sg_status apply_row(sgi_editor *e, size_t i, const sgi_site *s, const char *full, const int *axis,
                           const sg_site *from, size_t row, sg_error *err) {
  const sg_edit *d = &e->edits[i];
  const sgi_site_row *row_of = sgi_site_row_of(s->id);
  size_t d2 = s->dims[1], width = sgi_site_width(s), source = 0;
  bool looked = false;
  sg_status st = SG_OK;
  for (size_t k = 0; k < width && !st; k++) {
    place p = {s->first + row, {k / d2, k % d2}};
    if (!selected(e, d, axis, &p)) continue;
    if (d->op == SG_EDIT_TAKE && !looked) {
      st = take_row(e, d, p.row, full, &source, err);
      looked = true;
      if (st) return st;
    }
    e->hits[i]++;
    float *x = (float *)s->data + row * width + k;
    if (row_of->holds)
      st = set_index(e, s, (int32_t *)s->data + row * width + k,
                     from->index ? from->index[source * width + k] : d->value, full, err);
    else
      *x = d->op == SG_EDIT_TAKE ? from->data[source * width + k] : changed(d, *x, row_of->n_axes > 1 ? k % d2 : k);
  }
  return st;
}

static sg_status apply(sgi_editor *e, size_t i, const sgi_site *s, const char *full, sg_error *err) {
  int axis[SG_EDIT_AXES];
  sg_site from = {0};
  sg_status st = check_site(e, &e->edits[i], s, full, axis, &from, err);
  e->met[i] = true;
  for (size_t row = 0; row < s->n && !st; row++) st = apply_row(e, i, s, full, axis, &from, row, err);
  return st;
}

sg_status sgi_editor_visit(sgi_editor *e, const sgi_site *s, sg_error *err) {
  char full[SG_SITE_NAME];
  sgi_site_name(full, s);
  if (sgi_site_row_of(s->id)->role == SGI_SITE_CHOICE) e->chosen = *s;
  sg_status st = SG_OK;
  for (size_t i = 0; i < e->n_edits && !st; i++)
    if (sgi_match(e->edits[i].site, full)) st = apply(e, i, s, full, err);
  return st;
}
