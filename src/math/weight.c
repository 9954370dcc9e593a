#include "math/weight.h"

#include <math.h>
#include <string.h>

#include "core/convert.h"
#include "math/kernels.h"
#include "math/quantise.h"

enum { PIECE = 512 }; /* elements decoded at a time */

/* ---- what each type is ----------------------------------------------------------------------- */

static size_t bytes_8(size_t n) { return 8 * n; }
static size_t bytes_4(size_t n) { return 4 * n; }
static size_t bytes_2(size_t n) { return 2 * n; }
static size_t bytes_1(size_t n) { return n; }
static size_t bytes_half(size_t n) { return n / 2 + n % 2; }

static void f32_row(float *out, const sgi_weight *w, size_t row, size_t first, size_t n) {
  memcpy(out, (const float *)w->data + row * w->width + first, n * sizeof *out);
}

/* A type that files open in and nothing computes with (core/convert.h). */
static void f64_row(float *out, const sgi_weight *w, size_t row, size_t first, size_t n) {
  size_t bad;
  const double *at = (const double *)w->data + row * w->width + first;
  (void)sgi_to_float(&(sgi_tensor){.dtype = SGI_F64, .count = n, .data = at}, out, &bad);
}

static sgi_stored_type stored_of(sgi_dtype t) {
  return t == SGI_BF16  ? SGI_STORED_BF16
         : t == SGI_F16 ? SGI_STORED_F16
         : t == SGI_I8  ? SGI_STORED_INT8
                        : SGI_STORED_INT4;
}
static const sgi_stored_kernels *kernels_of(const sgi_weight *w) {
  return &sgi_kernel_table()->stored[stored_of(w->dtype)];
}
static const char *row_of(const sgi_weight *w, size_t row) {
  return (const char *)w->data + row * sgi_weight_traits(w->dtype)->bytes(w->width);
}
/* The bytes before element d; d is even where two share one. */
static size_t bytes_to(const sgi_weight *w, size_t d) { return sgi_weight_traits(w->dtype)->bytes(d); }

static const char *finer_of(const sgi_weight *w, size_t row) {
  return (const char *)w->finer + row * sgi_weight_traits(w->dtype)->bytes(w->width);
}

/* A stretch of a row under one scale. */
typedef struct stretch {
  size_t from, to; /* elements */
  float scale;
} stretch;
static stretch stretch_at(const sgi_weight *w, size_t row, size_t d) {
  if (!w->group) return (stretch){d, w->width, w->scale ? w->scale[row] : 1}; /* no division a row */
  size_t g = d / w->group, end = (g + 1) * w->group;
  return (stretch){d, end < w->width ? end : w->width, w->scale ? w->scale[row * sgi_weight_groups(w) + g] : 1};
}

static void stored_row(float *out, const sgi_weight *w, size_t row, size_t first, size_t n) {
  const sgi_stored_kernels *k = kernels_of(w);
  const char *data = row_of(w, row);
  for (size_t d = first, end = first + n; d < end;) {
    stretch s = stretch_at(w, row, d);
    size_t to = s.to < end ? s.to : end;
    if (w->dtype == SGI_U8 && d % 2) { /* begins within a byte */
      out[d - first] = (float)sgi_int4_at(data, d) * s.scale;
      if (w->finer) out[d - first] += (float)sgi_int4_at(finer_of(w, row), d) * (s.scale * w->finer_part);
      d++;
      continue;
    }
    k->decode(out + (d - first), data + bytes_to(w, d), s.scale, to - d);
    if (w->finer) k->axpy(out + (d - first), finer_of(w, row) + bytes_to(w, d), s.scale * w->finer_part, to - d);
    d = to;
  }
}

/* ---- a row and a vector ---------------------------------------------------------------------- */

static float f32_dot_row(const sgi_weight *w, size_t row, const float *x) {
  return sgi_kernel_table()->dot((const float *)w->data + row * w->width, x, w->width);
}

static float stored_dot_row(const sgi_weight *w, size_t row, const float *x) {
  const sgi_stored_kernels *k = kernels_of(w);
  const char *data = row_of(w, row);
  float sum = 0;
  for (size_t d = 0; d < w->width;) {
    stretch s = stretch_at(w, row, d);
    sum += s.scale * k->dot(data + bytes_to(w, d), x + d, s.to - d);
    if (w->finer) sum += s.scale * w->finer_part * k->dot(finer_of(w, row) + bytes_to(w, d), x + d, s.to - d);
    d = s.to;
  }
  return sum;
}

static void stored_axpy_row(float *y, const sgi_weight *w, size_t row, float a) {
  const sgi_stored_kernels *k = kernels_of(w);
  const char *data = row_of(w, row);
  for (size_t d = 0; d < w->width;) {
    stretch s = stretch_at(w, row, d);
    k->axpy(y + d, data + bytes_to(w, d), a * s.scale, s.to - d);
    if (w->finer) k->axpy(y + d, finer_of(w, row) + bytes_to(w, d), a * s.scale * w->finer_part, s.to - d);
    d = s.to;
  }
}

/* ---- gathers --------------------------------------------------------------------------------- */

static void f32_dot(float *out, const sgi_weight *w, size_t base, const int32_t *index, size_t k, const float *x) {
  sgi_kernel_table()->gather_dot(out, (const float *)w->data + base * w->width, index, k, x, w->width);
}

static void f32_axpy(float *y, const sgi_weight *w, size_t base, const int32_t *index, const float *coef, size_t k) {
  sgi_kernel_table()->gather_axpy(y, (const float *)w->data + base * w->width, index, coef, k, w->width);
}

/* Rows lie anywhere in the pool: all are asked for before the first is worked on. */
static void fetch(const sgi_weight *w, size_t base, const int32_t *index, size_t k) {
  enum { LINE = 64 };
  size_t bytes = sgi_weight_traits(w->dtype)->bytes(w->width);
  for (size_t j = 0; j < k; j++) {
    const char *row = row_of(w, base + (size_t)index[j]);
    for (size_t at = 0; at < bytes; at += LINE) __builtin_prefetch(row + at, 0, 3);
    if (w->scale) __builtin_prefetch(w->scale + (base + (size_t)index[j]) * sgi_weight_groups(w), 0, 3);
  }
}

static void stored_dot(float *out, const sgi_weight *w, size_t base, const int32_t *index, size_t k, const float *x) {
  fetch(w, base, index, k);
  for (size_t j = 0; j < k; j++) out[j] = stored_dot_row(w, base + (size_t)index[j], x);
}

static void stored_axpy(float *y, const sgi_weight *w, size_t base, const int32_t *index, const float *coef, size_t k) {
  fetch(w, base, index, k);
  for (size_t j = 0; j < k; j++) stored_axpy_row(y, w, base + (size_t)index[j], coef[j]);
}

/* Copies that a model is trained with are near already: nothing is asked for ahead. */
static void bf16_dot(float *out, const sgi_weight *w, size_t base, const int32_t *index, size_t k, const float *x) {
  if (!w->rounds) fetch(w, base, index, k);
  sgi_kernel_table()->gather_dot_bf16(out, row_of(w, base), index, k, x, w->width);
}

static void bf16_axpy(float *y, const sgi_weight *w, size_t base, const int32_t *index, const float *coef, size_t k) {
  if (!w->rounds) fetch(w, base, index, k);
  sgi_kernel_table()->gather_axpy_bf16(y, row_of(w, base), index, coef, k, w->width);
}

/* ---- the table ------------------------------------------------------------------------------- */

static const sgi_dtype_traits traits[] = {
    [SGI_F32] = {"float32", bytes_4, f32_row, f32_dot_row, f32_dot, f32_axpy, 0},
    [SGI_F64] = {"float64", bytes_8, f64_row, NULL, NULL, NULL, 0},
    [SGI_F16] = {"f16", bytes_2, stored_row, stored_dot_row, stored_dot, stored_axpy, 0},
    [SGI_BF16] = {"bf16", bytes_2, stored_row, stored_dot_row, bf16_dot, bf16_axpy, 0},
    [SGI_I8] = {"int8", bytes_1, stored_row, stored_dot_row, stored_dot, stored_axpy, 127},
    [SGI_U8] = {"int4", bytes_half, stored_row, stored_dot_row, stored_dot, stored_axpy, 7},
    [SGI_BOOL] = {"BOOL", bytes_1, NULL, NULL, NULL, NULL, 0},
};

const sgi_dtype_traits *sgi_weight_traits(sgi_dtype t) { return &traits[t]; }

bool sgi_weight_type(const char *name, sgi_dtype *out) {
  for (size_t t = 0; t < SGI_COUNT(traits); t++)
    if (traits[t].name && traits[t].dot_row && !strcmp(traits[t].name, name)) {
      *out = (sgi_dtype)t;
      return true;
    }
  return false;
}

sg_status sgi_weight_check(const char *name, sgi_dtype t, sgi_weight_use use, sg_error *err) {
  const sgi_dtype_traits *x = &traits[t];
  if (t == SGI_F32 || (use == SGI_WEIGHT_STORED && x->dot_row)) return SG_OK;
  return sgi_fail(err, SG_ERR_UNSUPPORTED, "tensor %s is stored as %s: nothing computes with it in that type%s", name,
                  x->name ? x->name : sgi_dtype_name(t), x->row_to_float ? " (open it as float32)" : "");
}

sgi_weight sgi_weight_rows(const sgi_weight *w, size_t first, size_t rows) {
  sgi_weight part = *w;
  part.rows = rows;
  part.data = row_of(w, first);
  if (w->scale) part.scale = w->scale + first * sgi_weight_groups(w);
  if (w->finer) part.finer = finer_of(w, first);
  return part;
}

size_t sgi_weight_bytes(const sgi_weight *w) {
  return w->rows * traits[w->dtype].bytes(w->width) + (w->scale ? w->rows * sgi_weight_groups(w) * sizeof(float) : 0);
}

void sgi_weight_to_float(float *out, const sgi_weight *w) {
#pragma omp parallel for schedule(static) if (w->rows * w->width > 65536)
  for (size_t r = 0; r < w->rows; r++) traits[w->dtype].row_to_float(out + r * w->width, w, r, 0, w->width);
}

void sgi_weight_read(float *out, const sgi_weight *w, size_t first, size_t n) {
  while (n) {
    size_t row = first / w->width, at = first % w->width, some = w->width - at < n ? w->width - at : n;
    traits[w->dtype].row_to_float(out, w, row, at, some);
    out += some, first += some, n -= some;
  }
}

/* ---- slices ---------------------------------------------------------------------------------- */

sgi_slice sgi_weight_row(const sgi_weight *w, size_t row) {
  return (sgi_slice){.weight = w, .at = row * w->width, .stride = 1};
}

float sgi_slice_at(const sgi_slice *s, size_t d) {
  bool tail = s->next && d >= s->split;
  const sgi_weight *w = tail ? s->next : s->weight;
  size_t at = tail ? s->next_at + (d - s->split) * s->stride : s->at + d * s->stride;
  if (!w) return 0;
  if (w->dtype == SGI_F32) return sgi_f32(w)[at];
  float x;
  sgi_weight_read(&x, w, at, 1);
  return x;
}

/* Its elements as they lie, or NULL. */
static const float *floats_of(const sgi_slice *s) {
  return s->weight && !s->next && s->weight->dtype == SGI_F32 && s->stride == 1 ? sgi_f32(s->weight) + s->at : NULL;
}

/* Elements [d, d + n) of one that does not lie so. */
static void piece_of(const sgi_slice *s, size_t d, size_t n, float *out) {
  if (s->stride == 1 && s->weight && !s->next)
    sgi_weight_read(out, s->weight, s->at + d, n);
  else
    for (size_t i = 0; i < n; i++) out[i] = sgi_slice_at(s, d + i);
}

static size_t piece_size(size_t d, size_t n) { return n - d < PIECE ? n - d : PIECE; }

static double dot_double(double sum, const float *w, const float *x, size_t n) {
#pragma omp simd reduction(+ : sum)
  for (size_t d = 0; d < n; d++) sum += (double)w[d] * (double)x[d];
  return sum;
}

double sgi_slice_dot(const sgi_slice *s, const float *x, size_t n) {
  const float *w = floats_of(s);
  float piece[PIECE];
  double sum = 0;
  if (w) return dot_double(0, w, x, n);
  for (size_t d = 0; d < n; d += PIECE) {
    piece_of(s, d, piece_size(d, n), piece);
    sum = dot_double(sum, piece, x + d, piece_size(d, n));
  }
  return sum;
}

double sgi_slice_squares(const sgi_slice *s, size_t n) {
  const float *w = floats_of(s);
  float piece[PIECE];
  double sum = 0;
  if (w) return sgi_kernel_table()->sum_squares(w, n);
  for (size_t d = 0; d < n; d += PIECE) {
    piece_of(s, d, piece_size(d, n), piece);
    sum += sgi_kernel_table()->sum_squares(piece, piece_size(d, n));
  }
  return sum;
}

float sgi_slice_dot_float(const sgi_slice *s, const float *x, size_t n) {
  const float *w = floats_of(s);
  return w ? sgi_kernel_table()->dot(w, x, n) : (float)sgi_slice_dot(s, x, n);
}

static void add_floats(const float *w, float a, float *y, size_t n) {
#pragma omp simd
  for (size_t d = 0; d < n; d++) y[d] += a * w[d];
}

void sgi_slice_add(const sgi_slice *s, float a, float *y, size_t n) {
  const float *w = floats_of(s);
  float piece[PIECE];
  if (w) add_floats(w, a, y, n);
  for (size_t d = 0; d < n && !w; d += PIECE) {
    piece_of(s, d, piece_size(d, n), piece);
    add_floats(piece, a, y + d, piece_size(d, n));
  }
}

void sgi_slice_copy(const sgi_slice *s, float *out, size_t n) {
  const float *w = floats_of(s);
  if (w)
    memcpy(out, w, n * sizeof *out);
  else
    piece_of(s, 0, n, out);
}
