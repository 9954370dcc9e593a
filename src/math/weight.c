#include "math/weight.h"

#include <string.h>

#include "core/convert.h"
#include "math/kernels.h"

enum { PIECE = 512 }; /* elements decoded at a time */

/* ---- what each type is ------------------------------------------------------------------- */

static size_t bytes_8(size_t n) { return 8 * n; }
static size_t bytes_4(size_t n) { return 4 * n; }
static size_t bytes_2(size_t n) { return 2 * n; }
static size_t bytes_1(size_t n) { return n; }

static void f32_row(float *out, const sgi_weight *w, size_t row, size_t first, size_t n) {
  memcpy(out, (const float *)w->data + row * w->width + first, n * sizeof *out);
}

/* Types that files open in (core/convert.h). */
static void converted_row(float *out, const sgi_weight *w, size_t row, size_t first, size_t n) {
  size_t at = (row * w->width + first) * sgi_dtype_size(w->dtype), bad;
  (void)sgi_to_float(&(sgi_tensor){.dtype = w->dtype, .count = n, .data = (const char *)w->data + at}, out, &bad);
}

/* ---- gathers ----------------------------------------------------------------------------- */

static void f32_dot(float *out, const sgi_weight *w, size_t base, const int32_t *index, size_t k, const float *x) {
  sgi_kernel_table()->gather_dot(out, (const float *)w->data + base * w->width, index, k, x, w->width);
}

static void f32_axpy(float *y, const sgi_weight *w, size_t base, const int32_t *index, const float *coef, size_t k) {
  sgi_kernel_table()->gather_axpy(y, (const float *)w->data + base * w->width, index, coef, k, w->width);
}

/* Of any type: rows are decoded piece by piece. Right, not fast. */
static void decoded_dot(float *out, const sgi_weight *w, size_t base, const int32_t *index, size_t k, const float *x) {
  const sgi_dtype_traits *t = sgi_weight_traits(w->dtype);
  float piece[PIECE];
  for (size_t j = 0; j < k; j++) {
    out[j] = 0;
    for (size_t d = 0; d < w->width; d += PIECE) {
      size_t n = w->width - d < PIECE ? w->width - d : PIECE;
      t->row_to_float(piece, w, base + (size_t)index[j], d, n);
      out[j] += sgi_kernel_table()->dot(piece, x + d, n);
    }
  }
}

static void decoded_axpy(float *y, const sgi_weight *w, size_t base, const int32_t *index, const float *coef,
                         size_t k) {
  const sgi_dtype_traits *t = sgi_weight_traits(w->dtype);
  float piece[PIECE];
  for (size_t j = 0; j < k; j++)
    for (size_t d = 0; d < w->width; d += PIECE) {
      size_t n = w->width - d < PIECE ? w->width - d : PIECE;
      t->row_to_float(piece, w, base + (size_t)index[j], d, n);
#pragma omp simd
      for (size_t i = 0; i < n; i++) y[d + i] += coef[j] * piece[i];
    }
}

/* ---- the table --------------------------------------------------------------------------- */

/* int8 and int4 pools: rows with bytes and a scale, row_to_float and two gathers. */
static const sgi_dtype_traits traits[] = {
    [SGI_F32] = {bytes_4, f32_row, f32_dot, f32_axpy, true},
    [SGI_F64] = {bytes_8, converted_row, NULL, NULL, false},
    [SGI_F16] = {bytes_2, converted_row, decoded_dot, decoded_axpy, false},
    [SGI_BF16] = {bytes_2, converted_row, decoded_dot, decoded_axpy, false},
    [SGI_I8] = {bytes_1, NULL, NULL, NULL, false},
    [SGI_U8] = {bytes_1, NULL, NULL, NULL, false},
    [SGI_BOOL] = {bytes_1, NULL, NULL, NULL, false},
};

const sgi_dtype_traits *sgi_weight_traits(sgi_dtype t) { return &traits[t]; }

sg_status sgi_weight_check(const char *name, sgi_dtype t, sgi_weight_use use, sg_error *err) {
  const sgi_dtype_traits *x = &traits[t];
  bool gathers = x->gather_dot && x->gather_axpy && x->row_to_float;
  if (use == SGI_WEIGHT_GATHERED ? gathers : x->products) return SG_OK;
  return sgi_fail(err, SG_ERR_UNSUPPORTED, "tensor %s is stored as %s: nothing computes with it in that type%s", name,
                  sgi_dtype_name(t), x->row_to_float ? " (open it as float32)" : "");
}

void sgi_weight_to_float(float *out, const sgi_weight *w) {
#pragma omp parallel for schedule(static) if (w->rows * w->width > 65536)
  for (size_t r = 0; r < w->rows; r++) traits[w->dtype].row_to_float(out + r * w->width, w, r, 0, w->width);
}

/* ---- slices ------------------------------------------------------------------------------ */

float sgi_slice_at(const sgi_slice *s, size_t d) {
  size_t at = s->at + d * s->stride;
  if (s->weight->dtype == SGI_F32) return sgi_f32(s->weight)[at];
  float x;
  traits[s->weight->dtype].row_to_float(&x, s->weight, at / s->weight->width, at % s->weight->width, 1);
  return x;
}

/* Its elements as they lie, or NULL. */
static const float *floats_of(const sgi_slice *s) {
  return s->weight->dtype == SGI_F32 && s->stride == 1 ? sgi_f32(s->weight) + s->at : NULL;
}

double sgi_slice_dot(const sgi_slice *s, const float *x, size_t n) {
  const float *w = floats_of(s);
  double sum = 0;
  if (w) {
#pragma omp simd reduction(+ : sum)
    for (size_t d = 0; d < n; d++) sum += (double)w[d] * (double)x[d];
  } else {
    for (size_t d = 0; d < n; d++) sum += (double)sgi_slice_at(s, d) * (double)x[d];
  }
  return sum;
}

float sgi_slice_dot_float(const sgi_slice *s, const float *x, size_t n) {
  const float *w = floats_of(s);
  return w ? sgi_kernel_table()->dot(w, x, n) : (float)sgi_slice_dot(s, x, n);
}

void sgi_slice_add(const sgi_slice *s, float a, float *y, size_t n) {
  const float *w = floats_of(s);
  if (w) {
#pragma omp simd
    for (size_t d = 0; d < n; d++) y[d] += a * w[d];
  } else {
    for (size_t d = 0; d < n; d++) y[d] += a * sgi_slice_at(s, d);
  }
}

void sgi_slice_copy(const sgi_slice *s, float *out, size_t n) {
  const float *w = floats_of(s);
  if (w)
    memcpy(out, w, n * sizeof *out);
  else
    for (size_t d = 0; d < n; d++) out[d] = sgi_slice_at(s, d);
}
