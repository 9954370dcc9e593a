#include "ffn/sites.h"

#include <stdio.h>
#include <string.h>

#define ROW(id_, name_, where_, when_, role_, axis1, axis2, holds_, by, text_) \
  [SGI_SITE_##id_] = {.id = SGI_SITE_##id_, \
                      .name = name_, \
                      .where = SGI_SITE_##where_, \
                      .when = SGI_SITE_##when_, \
                      .role = SGI_SITE_##role_, \
                      .n_axes = (SGI_AXIS_##axis1 != SGI_AXIS_NONE) + (SGI_AXIS_##axis2 != SGI_AXIS_NONE), \
                      .axes = {SGI_AXIS_##axis1, SGI_AXIS_##axis2}, \
                      .holds = SGI_AXIS_##holds_, \
                      .chosen_by = SGI_SITE_##by, \
                      .text = text_},
static const sgi_site_row rows[SGI_SITE_COUNT] = {SGI_SITES(ROW)};

#define AXIS_NAME(id, name, extent) [SGI_AXIS_##id] = name,
static const char *const axis_names[SGI_AXIS_COUNT] = {"", SGI_AXES(AXIS_NAME)};

const sgi_site_row *sgi_site_row_of(sgi_site_id id) { return &rows[id]; }

const char *sgi_axis_name(sgi_axis a) { return axis_names[a]; }

size_t sgi_axis_extent(sgi_axis a, const sg_config *c, size_t T) {
#define EXTENT(id, name, extent) \
  case SGI_AXIS_##id: return extent;
  switch (a) {
    SGI_AXES(EXTENT)
    default: return 1;
  }
}

bool sgi_axis_known(const char *name) {
  bool found = !strcmp(name, "pos");
  for (int a = 1; a < SGI_AXIS_COUNT; a++) found = found || !strcmp(axis_names[a], name);
  return found;
}

void sgi_axis_list(char out[SGI_AXIS_LIST]) {
  size_t at = (size_t)snprintf(out, SGI_AXIS_LIST, "pos");
  for (int a = 1; a < SGI_AXIS_COUNT && at < SGI_AXIS_LIST; a++) {
    bool listed = false;
    for (int b = 1; b < a; b++) listed = listed || !strcmp(axis_names[a], axis_names[b]);
    if (!listed) at += (size_t)snprintf(out + at, SGI_AXIS_LIST - at, ", %s", axis_names[a]);
  }
}

int sgi_site_axis(const sgi_site_row *row, const char *name) {
  for (int k = 0; k < row->n_axes; k++)
    if (!strcmp(axis_names[row->axes[k]], name)) return k;
  return -1;
}

bool sgi_site_axis_is_chosen(const sgi_site_row *row, const char *name) {
  return row->chosen_by && !strcmp(axis_names[rows[row->chosen_by].holds], name);
}

void sgi_site_full_name(char out[SG_SITE_NAME], ptrdiff_t layer, sgi_site_id id) {
  if (layer < 0)
    snprintf(out, SG_SITE_NAME, "%s", rows[id].name);
  else
    snprintf(out, SG_SITE_NAME, "layers.%td.%s", layer, rows[id].name);
}
