#include "model/finite.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "math/quantise.h"
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

/* ---- weights --------------------------------------------------------------------------------- */

static bool row_finite(const sgi_weight *w, size_t row) {
  enum { PIECE = 1024 };
  float piece[PIECE];
  for (size_t d = 0; d < w->width; d += PIECE) {
    size_t n = w->width - d < PIECE ? w->width - d : PIECE;
    sgi_weight_read(piece, w, row * w->width + d, n);
    if (!sgi_all_finite(piece, n)) return false;
  }
  return true;
}

static bool floats_finite(const float *w, size_t n) {
  size_t blocks = (n + BLOCK - 1) / BLOCK;
  int found = 0;
#pragma omp parallel for schedule(static) reduction(| : found) if (blocks > 4)
  for (size_t b = 0; b < blocks; b++)
    found |= !sgi_all_finite(w + b * BLOCK, n - b * BLOCK < BLOCK ? n - b * BLOCK : BLOCK);
  return !found;
}

/* Whether levels [from, to) of a row are not all 0, and whether one is below -Q. */
static bool levels_of(const int8_t *q, size_t from, size_t to, bool four, bool *below) {
  size_t first = four ? from / 2 : from, end = four ? (to + 1) / 2 : to;
  uint8_t any = 0, found = 0;
  for (size_t i = first; i < end; i++) {
    uint8_t b = (uint8_t)q[i];
    any |= b;
    found |= four ? (uint8_t)((b & 15) == 8) | (uint8_t)((b >> 4) == 8) : (uint8_t)(b == 128);
  }
  *below = found;
  return any;
}

/* What is wrong with a row of levels and its scales, or NULL: each scale finite and not below 0,
 * and 0 only where all is; no level outside -Q .. Q; nothing behind the last column. */
static const char *wrong_levels(const sgi_weight *w, size_t row) {
  bool four = w->dtype == SGI_U8;
  size_t groups = sgi_weight_groups(w), step = w->group ? w->group : w->width;
  const int8_t *q = (const int8_t *)w->data + row * sgi_weight_traits(w->dtype)->bytes(w->width);
  for (size_t g = 0; g < groups; g++) {
    float scale = w->scale[row * groups + g];
    size_t end = (g + 1) * step < w->width ? (g + 1) * step : w->width;
    bool below = false, any = levels_of(q, g * step, end, four, &below);
    if (isnan(scale)) return "has a scale that is NaN";
    if (!isfinite(scale)) return "has a scale that is infinite";
    if (scale < 0) return "has a scale below 0";
    if (scale == 0 && any) return "has scale 0, and numbers that are not";
    if (below) return four ? "holds -8: int4 goes from -7 to 7" : "holds -128: int8 goes from -127 to 127";
  }
  if (four && w->width % 2 && sgi_int4_at(q, w->width)) return "has something behind its last column";
  return NULL;
}

/* The first row that is not as it should be; rows where all are. */
static size_t first_wrong(const sgi_weight *w) {
  size_t first = w->rows;
  if (w->dtype == SGI_F32) {
    if (floats_finite(w->data, w->rows * w->width)) return first;
    for (first = 0; sgi_all_finite((const float *)w->data + first * w->width, w->width);) first++;
    return first;
  }
#pragma omp parallel for schedule(static) reduction(min : first) if (w->rows * w->width > BLOCK)
  for (size_t r = 0; r < w->rows; r++)
    if ((w->scale ? wrong_levels(w, r) != NULL : !row_finite(w, r)) && r < first) first = r;
  return first;
}

sg_status sgi_model_check_finite(const sg_model *m, sg_error *err) {
  for (size_t i = 0; i < m->table.count; i++) {
    const sgi_row *row = &m->table.rows[i];
    const sgi_weight *w = &m->weights[i];
    size_t wrong = first_wrong(w), at = wrong * w->width;
    if (wrong == w->rows) continue;
    const char *path = "the model", *name = row->name;
    char part[SGI_MAX_TENSOR_NAME + 8];
    if (w->scale) {
      snprintf(part, sizeof part, "%s.scale", row->name);
      name = part;
    }
    if (m->file) sgi_weights_find(m->file, name, &path);
    if (w->scale)
      return sgi_fail(err, SG_ERR_FORMAT, "%s: tensor %s, stored as %s: row %zu of %zu %s", path, row->name,
                      sgi_weight_traits(w->dtype)->name, wrong, w->rows, wrong_levels(w, wrong));
    float x;
    for (sgi_weight_read(&x, w, at, 1); isfinite(x); sgi_weight_read(&x, w, at, 1)) at++;
    return sgi_fail(err, SG_ERR_FORMAT,
                    "%s: tensor %s: element %zu of %zu is %s: nothing that is read from such a model means anything "
                    "(--allow-nonfinite looks at it all the same)",
                    path, row->name, at, row->count, isnan(x) ? "NaN" : "infinite");
  }
  return SG_OK;
}

sg_status sgi_model_watch(const sg_model *m, const float *x, size_t n, const char *what, sg_error *err) {
  if (!m->watched || sgi_all_finite(x, n)) return SG_OK;
  sg_status st = sgi_model_check_finite(m, err);
  return st ? st
            : sgi_fail(err, SG_ERR_NUMERIC, "%s: a number is NaN or infinite, though all weights are numbers", what);
}
