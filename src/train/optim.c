#include "train/optim.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "math/kernels.h"

enum { CHUNK = 16384 };

#define ADDRESS(name) &sgi_optimizer_##name,
static const sgi_optimizer_ops *const all[] = {SGI_OPTIMIZERS(ADDRESS)};

const sgi_optimizer_ops *sgi_optimizer_at(size_t i) { return i < SGI_COUNT(all) ? all[i] : NULL; }

const sgi_optimizer_ops *sgi_optimizer_default(void) { return &sgi_optimizer_adamw; }

const sgi_optimizer_ops *sgi_optimizer_find(const char *name, sg_error *err) {
  const char *names[SGI_COUNT(all)];
  char list[128] = "";
  for (size_t i = 0, used = 0; i < SGI_COUNT(all); i++) {
    names[i] = all[i]->name;
    if (!strcmp(name, names[i])) return all[i];
    if (used < sizeof list) used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", names[i]);
  }
  const char *near = sgi_nearest(name, names, SGI_COUNT(all));
  sgi_fail(err, SG_ERR_ARG, "unknown optimizer \"%.64s\": choose one of %s%s%s%s", name, list,
           near ? " (did you mean " : "", near ? near : "", near ? "?)" : "");
  return NULL;
}

ptrdiff_t sgi_optimizer_setting_at(const sgi_optimizer_ops *ops, const char *name) {
  for (ptrdiff_t i = 0; ops->settings[i].name; i++)
    if (!strcmp(ops->settings[i].name, name)) return i;
  return -1;
}

sgi_optimizer sgi_optimizer_usual(const sgi_optimizer_ops *ops) {
  sgi_optimizer o = {.ops = ops};
  for (size_t i = 0; ops->settings[i].name; i++) o.value[i] = ops->settings[i].usual;
  return o;
}

sg_status sgi_optimizer_check(const sgi_optimizer *o, sg_error *err) {
  for (size_t i = 0; o->ops->settings[i].name; i++) {
    const sgi_optimizer_setting *s = &o->ops->settings[i];
    if (!(o->value[i] >= s->least && o->value[i] < s->below))
      return sgi_fail(err, SG_ERR_ARG, "%s is %.9g: expected a number of at least %.9g and below %.9g", s->name,
                      o->value[i], s->least, s->below);
  }
  return SG_OK;
}

/* The part [from, to) of one tensor, in stretches that stay in a thread's cache. */
static void update_row(const sgi_optimizer *o, const sgi_update *u, const sgi_shard *s, size_t from, size_t to) {
#pragma omp parallel for schedule(static) if (to - from > CHUNK)
  for (size_t at = from; at < to; at += CHUNK) {
    sgi_stretch x = {.w = s->w + at, .g = s->g + at, .n = to - at < CHUNK ? to - at : CHUNK};
    for (size_t k = 0; k < o->ops->n_moments; k++) x.moment[k] = s->moment[k] + (at - s->moments_from);
    o->ops->update(o->value, u, &x);
  }
}

void sgi_optimizer_update(const sgi_optimizer *o, const sgi_update *u, const sgi_shard *s) {
  for (size_t r = 0; r < s->table->count; r++) {
    const sgi_row *row = &s->table->rows[r];
    size_t from = row->offset > s->from ? row->offset : s->from, end = row->offset + sgi_row_floats(row);
    size_t to = end < s->to ? end : s->to;
    sgi_update one = *u;
    if (!row->decay) one.decay = 0;
    if (row->threshold && u->thresholds > 0) one.lr *= u->thresholds;
    if (from < to && !row->state) update_row(o, &one, s, from, to);
  }
}

void sgi_norm_squares(const float *x, size_t floats, size_t from, size_t to, double part[SGI_NORM_BLOCKS]) {
  const sgi_kernels *kern = sgi_kernel_table();
  size_t width = sgi_norm_block(floats);
#pragma omp parallel for schedule(static) if (to - from > CHUNK)
  for (size_t b = 0; b < SGI_NORM_BLOCKS; b++)
    if (b * width >= from && b * width < to)
      part[b] = kern->sum_squares(x + b * width, floats - b * width < width ? floats - b * width : width);
}

double sgi_norm_of(const double part[SGI_NORM_BLOCKS]) {
  double sum = 0;
  for (size_t b = 0; b < SGI_NORM_BLOCKS; b++) sum += part[b];
  return sqrt(sum);
}

double sgi_arena_norm(const float *x, size_t floats) {
  double part[SGI_NORM_BLOCKS] = {0};
  sgi_norm_squares(x, floats, 0, floats, part);
  return sgi_norm_of(part);
}

double sgi_clip_scale(double norm, double max) { return max > 0 && norm >= max ? max / norm : 1; }
