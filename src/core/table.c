#include "core/table.h"

#include <stdio.h>
#include <string.h>

#include "core/arena.h"

sg_status sgi_table_add(sgi_table *t, const char *prefix, const char *name, const size_t dims[SGI_MAX_DIMS], bool decay,
                        sgi_init init, double sigma, sg_error *err) {
  if (!sgi_room(&t->rows, &t->capacity, t->count, sizeof *t->rows))
    return sgi_fail_memory(err, 2 * t->count * sizeof *t->rows, "the tensor table");
  sgi_row *r = &t->rows[t->count];
  memset(r, 0, sizeof *r);
  int length = snprintf(r->name, sizeof r->name, "%s%s", prefix, name);
  if (length < 0 || (size_t)length >= sizeof r->name)
    return sgi_fail(err, SG_ERR_INTERNAL, "tensor name %s%s is too long", prefix, name);
  r->count = 1;
  for (; r->n_dims < SGI_MAX_DIMS && dims[r->n_dims]; r->n_dims++) {
    r->dims[r->n_dims] = dims[r->n_dims];
    if (!sgi_size_mul(r->count, dims[r->n_dims], &r->count)) goto too_large;
  }
  size_t end, bytes;
  if (!sgi_size_add(t->floats, r->count, &end) || !sgi_size_add(end, 15, &end) ||
      !sgi_size_mul(end, sizeof(float), &bytes))
    goto too_large;
  r->offset = t->floats;
  r->decay = decay;
  r->stored = decay; /* what has none are gains and biases, read element by element */
  r->init = init;
  r->sigma = sigma;
  t->floats = end / 16 * 16;
  t->parameters += r->count;
  t->count++;
  return SG_OK;
too_large:
  return sgi_fail(err, SG_ERR_ARG, "tensor %s has more elements than this machine can address", r->name);
}

sg_status sgi_table_add_state(sgi_table *t, const char *prefix, const char *name, const size_t dims[SGI_MAX_DIMS],
                              sgi_init init, sg_error *err) {
  sg_status st = sgi_table_add(t, prefix, name, dims, false, init, 0, err);
  if (st) return st;
  t->rows[t->count - 1].state = true;
  t->parameters -= t->rows[t->count - 1].count;
  return SG_OK;
}

void sgi_table_set_aside(sgi_table *t) {
  size_t at = 0;
  for (size_t i = 0; i < t->count; i++) {
    sgi_row *r = &t->rows[i];
    r->aside = r->pool;
    r->offset = at;
    at = (at + sgi_row_floats(r) + 15) / 16 * 16;
  }
  t->floats = at;
}

ptrdiff_t sgi_table_find(const sgi_table *t, const char *name) {
  for (size_t i = 0; i < t->count; i++)
    if (!strcmp(t->rows[i].name, name)) return (ptrdiff_t)i;
  return -1;
}

void sgi_table_deinit(sgi_table *t) {
  sgi_free(t->rows);
  memset(t, 0, sizeof *t);
}
