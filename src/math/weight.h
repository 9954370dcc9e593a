/* weight.h: a tensor of weights as it is stored. Whoever computes with one asks its type's row of
 * traits; nobody else knows how an element lies in memory. A type that only opens (its elements
 * become float32 masters) has no kernels, and a tensor of a type without the kernels it needs is
 * refused by name.
 *
 * data: rows one behind the other, each traits->bytes(width). SGI_I8 and SGI_U8 are int8 and int4
 * (two to a byte, kernels.h) with a scale for each row, or for each group of its columns; an
 * element is q * scale in float32. Adding a type is a row in weight.c. */
#ifndef SGI_WEIGHT_H
#define SGI_WEIGHT_H

#include "core/safetensors.h"

typedef struct sgi_weight {
  sgi_dtype dtype;
  size_t rows, width; /* all dims but the last, the last */
  const void *data;
  const float *scale; /* (rows, groups), or NULL */
  size_t group;       /* columns that share a scale, even; 0: all of the row */
  /* bf16, a copy that a model is trained with: products take their other operand in bf16, too
   * (bf16.h) */
  bool rounds;
  /* int4 with what a buffer beside it holds (train/int4.h), bytes like data's; else NULL: an
   * element is (q + finer_part * its number) * scale */
  const void *finer;
  float finer_part;
} sgi_weight;

typedef struct sgi_dtype_traits {
  const char *name;              /* "bf16"; NULL: never a weight's */
  size_t (*bytes)(size_t width); /* of a row */
  /* out (n) = elements first .. first + n - 1 of a row. */
  void (*row_to_float)(float *out, const sgi_weight *w, size_t row, size_t first, size_t n);
  /* x (width) . row. NULL, with the gathers: nothing computes in this type. */
  float (*dot_row)(const sgi_weight *w, size_t row, const float *x);
  /* out (k): out[j] = x (width) . row base + index[j]; y (width) += sum_j coef[j] row base +
   * index[j], in the order of j. */
  void (*gather_dot)(float *out, const sgi_weight *w, size_t base, const int32_t *index, size_t k, const float *x);
  void (*gather_axpy)(float *y, const sgi_weight *w, size_t base, const int32_t *index, const float *coef, size_t k);
  int levels; /* whole numbers -levels .. levels with a scale; 0: the numbers themselves */
} sgi_dtype_traits;

const sgi_dtype_traits *sgi_weight_traits(sgi_dtype t);
/* The type of that name among those that compute; false where there is none. */
bool sgi_weight_type(const char *name, sgi_dtype *out);

/* What a tensor is for: read element by element as float32 (gains, biases), or through what stands
 * here and in stored.h. */
typedef enum sgi_weight_use { SGI_WEIGHT_PLAIN, SGI_WEIGHT_STORED } sgi_weight_use;
/* SG_ERR_UNSUPPORTED, naming the tensor and its type, where no kernel computes with it. */
sg_status sgi_weight_check(const char *name, sgi_dtype t, sgi_weight_use use, sg_error *err);

static inline sgi_weight sgi_weight_floats(const float *data, size_t rows, size_t width) {
  return (sgi_weight){.dtype = SGI_F32, .rows = rows, .width = width, .data = data};
}
/* Scales of a row. */
static inline size_t sgi_weight_groups(const sgi_weight *w) {
  return w->group ? (w->width + w->group - 1) / w->group : 1;
}
/* The elements of a float32 tensor. */
static inline const float *sgi_f32(const sgi_weight *w) { return w->data; }
/* Rows [first, first + rows) as a tensor of their own. */
sgi_weight sgi_weight_rows(const sgi_weight *w, size_t first, size_t rows);
/* Of the data and the scales. */
size_t sgi_weight_bytes(const sgi_weight *w);
/* All elements as float32 into out (rows * width); n of them from number first on, rows one behind
 * the other. */
void sgi_weight_to_float(float *out, const sgi_weight *w);
void sgi_weight_read(float *out, const sgi_weight *w, size_t first, size_t n);

/* A row or column of a tensor: element d is number at + d * stride. What a reader holds of a unit.
 * Without a tensor all elements are 0; with a next one, elements from split on are those of it,
 * number next_at + (d - split) * stride. */
typedef struct sgi_slice {
  const sgi_weight *weight;
  size_t at, stride;
  const sgi_weight *next;
  size_t next_at, split;
} sgi_slice;
sgi_slice sgi_weight_row(const sgi_weight *w, size_t row);
float sgi_slice_at(const sgi_slice *s, size_t d);
/* sum over d < n of element d times x[d], in double; by the float32 kernel where rounding does not
 * matter. */
double sgi_slice_dot(const sgi_slice *s, const float *x, size_t n);
float sgi_slice_dot_float(const sgi_slice *s, const float *x, size_t n);
double sgi_slice_squares(const sgi_slice *s, size_t n); /* the sum of their squares, in double */
/* y (n) += a * elements. */
void sgi_slice_add(const sgi_slice *s, float a, float *y, size_t n);
/* The elements into out (n). */
void sgi_slice_copy(const sgi_slice *s, float *out, size_t n);

#endif
