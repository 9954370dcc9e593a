#include "math/gemv.h"

#include "math/kernels.h"

/* Each thread reads one stretch of W in order, each row of it from memory once and for every x from
 * the cache. */
void sgi_gemv(float *y, size_t ldy, const float *x, size_t ldx, const float *w, size_t ldw, size_t n, size_t in,
              size_t out) {
  const sgi_kernels *kern = sgi_kernel_table();
#pragma omp parallel for schedule(static) if (out * in > 65536)
  for (size_t j = 0; j < out; j++)
    for (size_t i = 0; i < n; i++) y[i * ldy + j] = kern->dot(x + i * ldx, w + j * ldw, in);
}

/* ---- rows in fewer bytes --------------------------------------------------------------------- */

/* A page holds one row of 1,024 floats, but two of bf16 and eight of int4, and whatever a row costs
 * beside its bytes (its sum, the next one's beginning) then stands between them and the memory
 * (SPEED.md, weights in fewer bytes): what will be read AHEAD bytes from here is asked for while
 * these rows are worked on. Behind the last row it is asked for in vain, and harmlessly. */
enum { LINE = 64, AHEAD = 4096 };

static inline void ask_ahead(const char *at, size_t bytes) {
  for (size_t i = 0; i < bytes; i += LINE) __builtin_prefetch(at + AHEAD + i, 0, 3);
}

/* ---- in whole numbers ------------------------------------------------------------------------ */

/* Rows of W that share a load of the digits; and the least width that pays for making them. */
enum { ROWS = 4, LEAST_WIDTH = 64 };

typedef void rows_of_levels(double *out, const void *w, size_t bytes, size_t rows, const sgi_digits *x);

static rows_of_levels *kernel_for(const sgi_weight *w) {
  const sgi_digit_kernels *k = sgi_kernel_table()->digits();
  if (w->group || w->finer || w->width < LEAST_WIDTH || w->width > SGI_DIGITS_WIDTH) return NULL;
  return w->dtype == SGI_I8 ? k->int8 : w->dtype == SGI_U8 ? k->int4 : NULL;
}

/* Rows [j, j + rows) for every x. */
static void some_rows(float *y, size_t ldy, const sgi_weight *w, size_t j, size_t rows, size_t n, const sgi_digits *x,
                      rows_of_levels *kernel) {
  size_t bytes = sgi_weight_traits(w->dtype)->bytes(w->width);
  double sum[ROWS];
  ask_ahead((const char *)w->data + j * bytes, rows * bytes);
  for (size_t i = 0; i < n; i++) {
    kernel(sum, (const char *)w->data + j * bytes, bytes, rows, &x[i]);
    for (size_t r = 0; r < rows; r++)
      y[i * ldy + j + r] = (float)(sum[r] * (double)x[i].unit * (double)w->scale[j + r]);
  }
}

/* False where the levels have to be decoded: no kernel, or an x without digits. */
static bool in_whole_numbers(float *y, size_t ldy, const float *x, size_t ldx, const sgi_weight *w, size_t n) {
  int8_t planes[SGI_GEMV_ROWS * 3 * SGI_DIGITS_WIDTH]; /* as much of it is touched as there is of x */
  sgi_digits digits[SGI_GEMV_ROWS];
  rows_of_levels *kernel = kernel_for(w);
  size_t room = sgi_digits_room(w->width);
  bool split = kernel != NULL;
  for (size_t i = 0; i < n && split; i++) {
    for (size_t k = 0; k < 3; k++) digits[i].plane[k] = planes + (3 * i + k) * room;
    digits[i].room = room;
    split = sgi_kernel_table()->digits()->split(&digits[i], x + i * ldx, w->width, w->dtype == SGI_U8);
  }
  if (!split) return false;
#pragma omp parallel for schedule(static) if (w->rows * w->width > 65536)
  for (size_t j = 0; j < w->rows; j += ROWS)
    some_rows(y, ldy, w, j, w->rows - j < ROWS ? w->rows - j : ROWS, n, digits, kernel);
  return true;
}

void sgi_gemv_stored(float *y, size_t ldy, const float *x, size_t ldx, const sgi_weight *w, size_t n) {
  const sgi_dtype_traits *t = sgi_weight_traits(w->dtype);
  if (in_whole_numbers(y, ldy, x, ldx, w, n)) return;
#pragma omp parallel for schedule(static) if (w->rows * w->width > 65536)
  for (size_t j = 0; j < w->rows; j++) {
    size_t bytes = t->bytes(w->width);
    ask_ahead((const char *)w->data + j * bytes, bytes);
    for (size_t i = 0; i < n; i++) y[i * ldy + j] = t->dot_row(w, j, x + i * ldx);
  }
}
