#include "train/optim.h"

#include <math.h>

#include "math/kernels.h"

enum { CHUNK = 16384, NORM_BLOCKS = 256 };

void sgi_adamw_update(const sgi_adamw *s, const sgi_table *table, float *w, float *g, float *m, float *v,
                      double grad_scale, double lr, uint64_t update) {
  const sgi_kernels *kern = sgi_kernel_table();
  double t = (double)update + 1;
  float bias1 = (float)(1 / (1 - pow(s->beta1, t))), bias2 = (float)(1 / (1 - pow(s->beta2, t)));
  for (size_t r = 0; r < table->count; r++) {
    const sgi_row *row = &table->rows[r];
    float decay = row->decay ? (float)s->decay : 0;
#pragma omp parallel for schedule(static) if (row->count > CHUNK)
    for (size_t i = 0; i < row->count; i += CHUNK) {
      size_t at = row->offset + i, n = row->count - i < CHUNK ? row->count - i : CHUNK;
      kern->adamw(w + at, g + at, m + at, v + at, n, (float)grad_scale, (float)lr, decay, bias1, bias2, (float)s->beta1,
                  (float)s->beta2, (float)s->eps);
    }
  }
}

double sgi_arena_norm(const float *x, size_t floats) {
  const sgi_kernels *kern = sgi_kernel_table();
  double part[NORM_BLOCKS] = {0}, sum = 0;
  size_t width = (floats + NORM_BLOCKS - 1) / NORM_BLOCKS;
  if (!width) return 0;
#pragma omp parallel for schedule(static) if (floats > CHUNK)
  for (size_t b = 0; b < NORM_BLOCKS; b++)
    if (b * width < floats)
      part[b] = kern->sum_squares(x + b * width, floats - b * width < width ? floats - b * width : width);
  for (size_t b = 0; b < NORM_BLOCKS; b++) sum += part[b];
  return sqrt(sum);
}

double sgi_clip_scale(double norm, double max) { return max > 0 && norm >= max ? max / norm : 1; }
