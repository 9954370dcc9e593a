#include "model/low.h"

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
  if (!r->stored || chooses(r->name)) return w;
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
