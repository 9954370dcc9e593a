/* rows.h: row-wise work spread over threads in blocks that depend on the sizes alone. */
#ifndef SGI_ROWS_H
#define SGI_ROWS_H

#include "core/arena.h"
#include "math/kernels.h"

enum { SGI_ROW_BLOCK = 64 };

/* Scratch that every thread has its own piece of. Measured for the threads there are then; a call
 * that meets more of them uses as many as have room: num_threads(sgi_room_threads(...)). bytes: of
 * one piece, a multiple of SGI_ALIGN. */
void sgi_room_take(sgi_arena *a, size_t bytes);
int sgi_room_threads(const sgi_arena *scratch, size_t bytes);

/* y = f(x) and dx = f'(dy, x) over count elements, for the kernels of that form. */
void sgi_apply(void (*f)(float *, const float *, size_t), float *y, const float *x, size_t count);
void sgi_apply_backward(void (*f)(float *, const float *, const float *, size_t), float *dx, const float *dy,
                        const float *x, size_t count);
/* y (n,D), r (n): see kernels.h. eps SGI_NO_NORM: r = 1, the gain alone. */
#define SGI_NO_NORM (-1.0)
void sgi_rmsnorm(float *y, float *r, const float *x, const float *g, size_t n, size_t D, double eps);
/* z = x + a and its norm, a block of rows at a time while they are in cache; z may be x. */
void sgi_sum_rmsnorm(float *z, const float *x, const float *a, float *y, float *r, const float *g, size_t n, size_t D,
                     double eps);
/* dx assigned or added, dg (D) added; partial: SGI_NORM_PARTIALS * D floats of scratch. */
enum { SGI_NORM_PARTIALS = 32 };
/* The way back where there is no norm: dx assigned or added dy g. The gain itself stays as it
 * is. */
void sgi_gain_backward(float *dx, const float *dy, const float *g, size_t n, size_t D, bool add);
void sgi_rmsnorm_backward(float *dx, float *dg, const float *dy, const float *x, const float *r, const float *g,
                          size_t n, size_t D, bool add, float *partial);

/* z = x + y over count elements; z may be x or y. */
void sgi_sum(float *z, const float *x, const float *y, size_t count);
/* z = x + a y; z may be x or y. With a = 1 the bits are those of sgi_sum. */
void sgi_sum_scaled(float *z, const float *x, float a, const float *y, size_t count);
void sgi_add_bias(float *y, const float *bias, size_t n, size_t width);
/* db (width) += column sums of x (n,width; ldx). */
void sgi_column_sums(float *db, const float *x, size_t ldx, size_t n, size_t width);

/* Summed in double. */
static inline double sgi_dot_double(const float *a, const float *b, size_t n) {
  double s = 0;
#pragma omp simd reduction(+ : s)
  for (size_t i = 0; i < n; i++) s += (double)a[i] * (double)b[i];
  return s;
}

#endif
