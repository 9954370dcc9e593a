/* weight.h: a tensor of weights as it is stored. Whoever computes with one asks its type's row of
 * traits; nobody else knows how an element lies in memory. A type that only opens (its elements
 * become float32 masters) has no kernels, and a tensor of a type without the kernel it needs is
 * refused by name.
 *
 * data: rows one behind the other, each traits->bytes(width); scale: where the type has one, a
 * factor per row. Adding a type is a row in weight.c. */
#ifndef SGI_WEIGHT_H
#define SGI_WEIGHT_H

#include "core/safetensors.h"

typedef struct sgi_weight {
  sgi_dtype dtype;
  size_t rows, width; /* all dims but the last, the last */
  const void *data;
  const float *scale; /* (rows), or NULL */
} sgi_weight;

typedef struct sgi_dtype_traits {
  size_t (*bytes)(size_t width); /* of a row */
  /* out (n) = elements first .. first + n - 1 of a row. */
  void (*row_to_float)(float *out, const sgi_weight *w, size_t row, size_t first, size_t n);
  /* out (k): out[j] = x (width) . row base + index[j]; y (width) += sum_j coef[j] row base +
   * index[j], in the order of j. NULL: not in this type. */
  void (*gather_dot)(float *out, const sgi_weight *w, size_t base, const int32_t *index, size_t k, const float *x);
  void (*gather_axpy)(float *y, const sgi_weight *w, size_t base, const int32_t *index, const float *coef, size_t k);
  bool products; /* matrix products and element-wise reads take it as it is */
} sgi_dtype_traits;

const sgi_dtype_traits *sgi_weight_traits(sgi_dtype t);

/* What a tensor is for. */
typedef enum sgi_weight_use { SGI_WEIGHT_PLAIN, SGI_WEIGHT_GATHERED } sgi_weight_use;
/* SG_ERR_UNSUPPORTED, naming the tensor and its type, where no kernel computes with it. */
sg_status sgi_weight_check(const char *name, sgi_dtype t, sgi_weight_use use, sg_error *err);

static inline sgi_weight sgi_weight_floats(const float *data, size_t rows, size_t width) {
  return (sgi_weight){.dtype = SGI_F32, .rows = rows, .width = width, .data = data};
}
/* The elements of a float32 tensor. */
static inline const float *sgi_f32(const sgi_weight *w) { return w->data; }
/* All elements as float32 into out (rows * width). */
void sgi_weight_to_float(float *out, const sgi_weight *w);

/* A row or column of a tensor: element d is number at + d * stride. What a reader holds of a unit.
 */
typedef struct sgi_slice {
  const sgi_weight *weight;
  size_t at, stride;
} sgi_slice;
float sgi_slice_at(const sgi_slice *s, size_t d);
/* sum over d < n of element d times x[d], in double; by the float32 kernel where rounding does not
 * matter. */
double sgi_slice_dot(const sgi_slice *s, const float *x, size_t n);
float sgi_slice_dot_float(const sgi_slice *s, const float *x, size_t n);
/* y (n) += a * elements. */
void sgi_slice_add(const sgi_slice *s, float a, float *y, size_t n);
/* The elements into out (n). */
void sgi_slice_copy(const sgi_slice *s, float *out, size_t n);

#endif
