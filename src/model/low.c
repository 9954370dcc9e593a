#include "model/low.h"

#include <stdatomic.h>
#include <string.h>

#include "core/arena.h"
#include "math/kernels.h"

enum { CHUNK = 1 << 14 }; /* numbers that a thread converts at a time */

size_t sgi_low_bytes(size_t floats) { return floats * sizeof(uint16_t); }

/* Weights that choose units: a choice is made of float32. */
static bool chooses(const char *name) {
  static const char gate[] = ".gate.weight";
  size_t n = strlen(name), end = sizeof gate - 1;
  return strstr(name, ".router.") || (n >= end && !strcmp(name + n - end, gate));
}

static sgi_weight weight_of(const sg_model *low, size_t row) {
  const sgi_row *r = &low->table.rows[row];
  sgi_weight w = low->master->weights[row];
  if (!r->stored || r->aside || chooses(r->name)) return w;
  w.dtype = SGI_BF16;
  w.data = low->halves + r->offset;
  w.rounds = true;
  return w;
}

sg_status sgi_low_create(const sg_model *m, sg_model **out, sg_error *err) {
  sg_status st = sgi_model_shell(&m->config, out, err);
  if (st) return st;
  sg_model *low = *out;
  low->master = m;
  if (m->pools) sgi_table_set_aside(&low->table);
  low->halves = sgi_alloc(sgi_low_bytes(m->table.floats));
  if (!low->halves) {
    sg_model_free(low);
    *out = NULL;
    return sgi_fail_memory(err, sgi_low_bytes(m->table.floats), "bf16 copies of the weights");
  }
  for (size_t i = 0; i < m->table.count; i++) low->weights[i] = weight_of(low, i);
  sgi_model_point(low);
  return SG_OK;
}

void sgi_low_refresh(sg_model *low) {
  const sgi_kernels *kern = sgi_kernel_table();
  const float *from = low->master->arena;
  size_t n = low->table.floats;
#pragma omp parallel for schedule(static) if (n > CHUNK)
  for (size_t i = 0; i < n; i += CHUNK) kern->to_bf16(low->halves + i, from + i, n - i < CHUNK ? n - i : CHUNK);
}

/* ---- fewer bytes ----------------------------------------------------------------------------- */

/* Counts (base NULL) or places the chosen rows. */
static void layout_quantised(sg_model *low, const sgi_quantise *how, const bool *chosen, sgi_arena *a) {
  for (size_t i = 0; i < low->table.count; i++) {
    sgi_weight w = low->master->weights[i];
    if (chosen[i]) {
      w = (sgi_weight){.dtype = how->to, .rows = w.rows, .width = w.width, .group = how->group};
      w.data = sgi_take(a, w.rows, sgi_weight_traits(how->to)->bytes(w.width));
      if (sgi_weight_traits(how->to)->levels) w.scale = SGI_TAKE(a, w.rows * sgi_weight_groups(&w), float);
    }
    low->weights[i] = w;
  }
}

sg_status sgi_low_quantised(const sg_model *m, const sgi_quantise *how, const bool *chosen, sg_model **out,
                            sg_error *err) {
  sg_status st = sgi_model_shell(&m->config, out, err);
  if (st) return st;
  sg_model *low = *out;
  sgi_arena size = {0};
  low->master = m;
  layout_quantised(low, how, chosen, &size);
  low->halves = sgi_alloc(size.used);
  if (!low->halves) {
    sg_model_free(low);
    *out = NULL;
    return sgi_fail_memory(err, size.used, "copies of the weights in fewer bytes");
  }
  sgi_arena a = {.base = (char *)low->halves, .size = size.used};
  layout_quantised(low, how, chosen, &a);
  sgi_model_point(low);
  return SG_OK;
}

sg_status sgi_low_requantise(sg_model *low, const sgi_quantise *how, sg_error *err) {
  for (size_t i = 0; i < low->table.count; i++) {
    const sgi_weight *w = &low->weights[i];
    const float *from = sgi_f32(&low->master->weights[i]);
    if (w->data == (const void *)from) continue;
    size_t bytes = sgi_weight_traits(w->dtype)->bytes(w->width), groups = sgi_weight_groups(w);
    atomic_bool fits = true;
#pragma omp parallel for schedule(static) if (w->rows * w->width > CHUNK)
    for (size_t r = 0; r < w->rows; r++) {
      size_t bad;
      float *scale = w->scale ? (float *)(uintptr_t)w->scale + r * groups : NULL;
      if (!sgi_quantise_row(how, (char *)(uintptr_t)w->data + r * bytes, scale, from + r * w->width, w->width, &bad))
        atomic_store(&fits, false);
    }
    if (!atomic_load(&fits))
      return sgi_fail(err, SG_ERR_NUMERIC, "tensor %s has a number that %s can not hold", low->table.rows[i].name,
                      sgi_weight_traits(w->dtype)->name);
  }
  return SG_OK;
}
