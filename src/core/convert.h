/* convert.h: numbers of a file's types as float32. */
#ifndef SGI_CONVERT_H
#define SGI_CONVERT_H

#include "core/safetensors.h"

/* Whether the numbers of a type can be weights: F32, BF16, F16, F64. */
bool sgi_is_real(sgi_dtype t);

/* The numbers of t, of a real type, into out (t->count). BF16 and F16 are exact; F64 is rounded to
 * the nearest, ties to even. False where an F64 is finite and its float32 would not be: *bad is its
 * index. */
bool sgi_to_float(const sgi_tensor *t, float *out, size_t *bad);

#endif
