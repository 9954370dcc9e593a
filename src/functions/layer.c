#include "functions/layer.h"

#include <string.h>

#include "core/arena.h"
#include "ffn/sparse.h"
#include "math/gemm.h"

sg_status sgi_function_layer_make(sgi_function_layer *l, sg_error *err) {
  size_t n = l->units, experts, rows;
  if (!sgi_size_mul(n, sizeof *l->expert, &experts) || !sgi_size_mul(n, l->D * sizeof(float), &rows))
    return sgi_fail(err, SG_ERR_MEMORY, "functions of %zu neurons are more than can be counted", n);
  l->projection = sgi_alloc(l->R * l->D * sizeof *l->projection);
  l->stands = sgi_alloc(n);
  l->expert = sgi_alloc(experts);
  l->point = sgi_alloc(n * SGI_FUNCTION_POINTS * 3 * sizeof *l->point);
  l->points = sgi_alloc(n * sizeof *l->points);
  l->samples = sgi_alloc(n * sizeof *l->samples);
  l->quality = sgi_alloc(2 * n * sizeof *l->quality);
  bool there = l->projection && l->stands && l->expert && l->point && l->points && l->samples && l->quality;
  if (l->basis_rows) {
    l->basis = sgi_alloc(l->basis_rows * l->D * sizeof *l->basis);
    l->part = sgi_alloc(n * SGI_FUNCTION_PARTS * sizeof *l->part);
    l->amount = sgi_alloc(n * SGI_FUNCTION_PARTS * sizeof *l->amount);
    there = there && l->basis && l->part && l->amount;
  } else {
    l->w_out = sgi_alloc(rows);
    there = there && l->w_out;
  }
  return there ? SG_OK : sgi_fail_memory(err, experts + rows, "functions of a layer");
}

void sgi_function_layer_deinit(sgi_function_layer *l) {
  sgi_free(l->projection);
  sgi_free(l->stands);
  sgi_free(l->expert);
  sgi_free(l->w_out);
  sgi_free(l->basis);
  sgi_free(l->part);
  sgi_free(l->amount);
  sgi_free(l->point);
  sgi_free(l->points);
  sgi_free(l->samples);
  sgi_free(l->quality);
  *l = (sgi_function_layer){0};
}

sg_status sgi_function_layer_features(const sgi_function_layer *l, const float *x, size_t n, float *z, sg_error *err) {
  sg_status st = sgi_linear(z, l->R, x, l->D, l->projection, n, l->D, l->R, (sgi_arena){0});
  return st ? sgi_fail(err, st, "features: %s", sg_status_text(st)) : SG_OK;
}

void sgi_function_layer_values(const sgi_function_layer *l, size_t n, const float *z, const int32_t *index,
                               const float *own, const float *factor, float *value) {
  size_t m = l->C * l->K;
#pragma omp parallel for schedule(static)
  for (size_t i = 0; i < n; i++)
    for (size_t e = 0; e < m; e++) {
      size_t at = i * m + e, unit = sgi_function_unit(l->pools, l->F, l->K, e, index[at]);
      if (factor[at] == 0)
        value[at] = 0;
      else if (l->stands[unit])
        value[at] = factor[at] * (float)sgi_expert_value(&l->expert[unit], &l->grid, z + i * l->R);
      else
        value[at] = factor[at] * own[at];
    }
}

/* Through the basis: zeta = sum value amount, y = zeta B. */
static sg_status sum_through(const sgi_function_layer *l, size_t n, const int32_t *index, const float *value,
                             float *zeta, float *y, sg_error *err) {
  size_t m = l->C * l->K, R = l->basis_rows;
  memset(zeta, 0, n * R * sizeof *zeta);
#pragma omp parallel for schedule(static)
  for (size_t i = 0; i < n; i++)
    for (size_t e = 0; e < m; e++) {
      size_t unit = sgi_function_unit(l->pools, l->F, l->K, e, index[i * m + e]);
      for (size_t q = 0; q < SGI_FUNCTION_PARTS; q++)
        zeta[i * R + (size_t)l->part[unit * SGI_FUNCTION_PARTS + q]] +=
            value[i * m + e] * l->amount[unit * SGI_FUNCTION_PARTS + q];
    }
  sg_status st = sgi_gemm(false, false, n, l->D, R, zeta, R, l->basis, l->D, 0, y, l->D);
  return st ? sgi_fail(err, st, "outputs: %s", sg_status_text(st)) : SG_OK;
}

sg_status sgi_function_layer_sum(const sgi_function_layer *l, size_t n, const int32_t *index, const float *value,
                                 float *zeta, float *y, sg_error *err) {
  if (l->basis_rows) return sum_through(l, n, index, value, zeta, y, err);
  sgi_sparse s = {.n = n, .channels = l->C, .top_k = l->K, .pool = l->F, .D = l->D, .pool_per_channel = l->pools > 1};
  sgi_weight w = sgi_weight_floats(l->w_out, l->units, l->D);
  sgi_sparse_sum(&s, NULL, y, &w, index, value);
  return SG_OK;
}
