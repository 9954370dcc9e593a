/* site_list.c: the sites of a model, as a pass over one token meets them. */
#include <string.h>

#include "core/arena.h"
#include "model/pass.h"

typedef struct found {
  char name[SG_SITE_NAME];
  sg_site_info info; /* its name is set where it is handed out: the list grows */
} found;

struct sg_site_list {
  found *at;
  size_t count, capacity;
};

static sg_status add(void *user, const sgi_site *s, sg_error *err) {
  sg_site_list *l = user;
  char name[SG_SITE_NAME];
  sgi_site_name(name, s);
  if (!sgi_room(&l->at, &l->capacity, l->count, sizeof *l->at))
    return sgi_fail_memory(err, 2 * l->count * sizeof *l->at, "a list of sites");
  const sgi_site_row *row = sgi_site_row_of(s->id);
  found *f = &l->at[l->count++];
  memcpy(f->name, name, sizeof name);
  f->info = (sg_site_info){.what = row->text,
                           .n_dims = 1 + row->n_axes,
                           .axes = {"pos"},
                           .index = row->holds != SGI_AXIS_NONE,
                           .on_demand = row->when == SGI_SITE_DEMAND};
  for (int k = 0; k < row->n_axes; k++) {
    f->info.axes[k + 1] = sgi_axis_name(row->axes[k]);
    f->info.dims[k + 1] = row->axes[k] == SGI_AXIS_SOURCE ? 0 : s->dims[k];
  }
  return SG_OK;
}

/* Those that are made only on demand, too. */
static bool every(void *user, const sgi_site *s) {
  (void)user, (void)s;
  return true;
}

sg_status sg_site_list_create(const sg_model *m, sg_site_list **out, sg_error *err) {
  sg_status st = sgi_need(out, "the place for the list of sites", err);
  if (st) return st;
  *out = NULL;
  if ((st = sgi_need(m, "the model", err))) return st;
  sg_site_list *l = sgi_alloc(sizeof *l);
  if (!l) return sgi_fail_memory(err, sizeof *l, "a list of sites");
  sgi_pass *p = NULL;
  st = sgi_pass_create(m, 1, 1, false, &p, err);
  if (!st)
    st = sgi_pass_forward(p, &(sgi_batch){.B = 1, .T = 1, .inputs = &m->config.bos_id},
                          &(sgi_tap){.visit = add, .user = l, .err = err, .wants = every, .stages = true}, err);
  sgi_pass_free(p);
  if (st)
    sg_site_list_free(l);
  else
    *out = l;
  return st;
}

void sg_site_list_free(sg_site_list *l) {
  if (l) sgi_free(l->at);
  sgi_free(l);
}

size_t sg_site_list_count(const sg_site_list *l) { return l ? l->count : 0; }

sg_site_info sg_site_list_at(const sg_site_list *l, size_t i) {
  if (!l || i >= l->count) return (sg_site_info){0};
  sg_site_info info = l->at[i].info;
  info.name = l->at[i].name;
  return info;
}
