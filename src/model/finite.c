#include "model/finite.h"

#include <math.h>
#include <string.h>

#include "model/weights.h"

enum { BLOCK = 1 << 18 };

bool sgi_all_finite(const float *x, size_t n) {
  uint32_t found = 0;
  for (size_t i = 0; i < n; i++) {
    uint32_t bits;
    memcpy(&bits, x + i, sizeof bits);
    found |= (bits & 0x7f800000u) == 0x7f800000u;
  }
  return !found;
}

static bool tensor_finite(const float *w, size_t n) {
  size_t blocks = (n + BLOCK - 1) / BLOCK;
  int found = 0;
#pragma omp parallel for schedule(static) reduction(| : found) if (blocks > 4)
  for (size_t b = 0; b < blocks; b++)
    found |= !sgi_all_finite(w + b * BLOCK, n - b * BLOCK < BLOCK ? n - b * BLOCK : BLOCK);
  return !found;
}

sg_status sgi_model_check_finite(const sg_model *m, sg_error *err) {
  for (size_t r = 0; r < m->table.count; r++) {
    const sgi_row *row = &m->table.rows[r];
    size_t i = 0;
    if (tensor_finite(m->w[r], row->count)) continue;
    while (isfinite(m->w[r][i])) i++;
    const char *path = "the model";
    if (m->file) sgi_weights_find(m->file, row->name, &path);
    return sgi_fail(err, SG_ERR_FORMAT,
                    "%s: tensor %s: element %zu of %zu is %s: nothing that is read from such a model means anything "
                    "(--allow-nonfinite looks at it all the same)",
                    path, row->name, i, row->count, isnan(m->w[r][i]) ? "NaN" : "infinite");
  }
  return SG_OK;
}

sg_status sgi_model_watch(const sg_model *m, const float *x, size_t n, const char *what, sg_error *err) {
  if (!m->watched || sgi_all_finite(x, n)) return SG_OK;
  sg_status st = sgi_model_check_finite(m, err);
  return st ? st
            : sgi_fail(err, SG_ERR_NUMERIC, "%s: a number is NaN or infinite, though all weights are numbers", what);
}
