#include "ffn/activation.h"

#include <string.h>

#include "math/rows.h"

static const char *const names[] = {"identity", "gelu", "relu", "relu2", "swish"};

sgi_activation sgi_activation_find(const char *name, sg_error *err) {
  for (size_t i = 0; i < SGI_COUNT(names); i++)
    if (!strcmp(names[i], name)) return (sgi_activation)i;
  sgi_fail(err, SG_ERR_ARG, "unknown activation \"%s\": choose identity, gelu, relu, relu2 or swish", name);
  return SGI_NO_ACTIVATION;
}

/* y = relu(x)^2, dx = 2 relu(x) dy; a NaN stays one. */
static void relu2(float *y, const float *x, size_t n) {
#pragma omp simd
  for (size_t i = 0; i < n; i++) {
    float a = x[i] < 0 ? 0 : x[i];
    y[i] = a * a;
  }
}

static void relu2_backward(float *dx, const float *dy, const float *x, size_t n) {
#pragma omp simd
  for (size_t i = 0; i < n; i++) dx[i] = x[i] < 0 ? 0 : 2 * x[i] * dy[i];
}

void sgi_activate(sgi_activation a, float *y, const float *x, size_t count) {
  const sgi_kernels *k = sgi_kernel_table();
  switch (a) {
    case SGI_GELU: sgi_apply(k->gelu, y, x, count); break;
    case SGI_RELU: sgi_apply(k->relu, y, x, count); break;
    case SGI_RELU2: sgi_apply(relu2, y, x, count); break;
    case SGI_SWISH: sgi_apply(k->swish, y, x, count); break;
    default: memmove(y, x, count * sizeof *y);
  }
}

void sgi_activate_backward(sgi_activation a, float *dx, const float *dy, const float *x, size_t count) {
  const sgi_kernels *k = sgi_kernel_table();
  switch (a) {
    case SGI_GELU: sgi_apply_backward(k->gelu_backward, dx, dy, x, count); break;
    case SGI_RELU: sgi_apply_backward(k->relu_backward, dx, dy, x, count); break;
    case SGI_RELU2: sgi_apply_backward(relu2_backward, dx, dy, x, count); break;
    case SGI_SWISH: sgi_apply_backward(k->swish_backward, dx, dy, x, count); break;
    default: memmove(dx, dy, count * sizeof *dx);
  }
}
