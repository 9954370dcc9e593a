#include "model/loss.h"

#include <math.h>
#include <string.h>

#include "math/gemm.h"
#include "math/kernels.h"

enum { BLOCK = 256 };

void sgi_loss_scratch(size_t n, size_t V, sgi_arena *a) { SGI_TAKE(a, (n < BLOCK ? n : BLOCK) * V, float); }

/* dlogits = grad_scale (softmax - onehot), 0 for padding. */
static void row(float *nll, int32_t *best, float *logits, int32_t target, int32_t pad, float grad_scale, bool gradient,
                size_t V) {
  const sgi_kernels *kern = sgi_kernel_table();
  *best = (int32_t)kern->argmax(logits, V);
  float max, at = logits[target];
  float sum = kern->softmax_exp(logits, V, 1, &max);
  *nll = logf(sum) + (max - at);
  if (!gradient) return;
  if (target == pad) {
    memset(logits, 0, V * sizeof *logits);
    return;
  }
  kern->scale(logits, grad_scale / sum, V);
  logits[target] -= grad_scale;
}

sg_status sgi_loss(float *nll, int32_t *best, float *dx, float *dE, const float *x, const float *E,
                   const int32_t *targets, int32_t pad, float grad_scale, size_t n, size_t D, size_t V,
                   sgi_arena scratch) {
  float *logits = SGI_TAKE(&scratch, (n < BLOCK ? n : BLOCK) * V, float);
  double at = sgi_lap_begin(scratch.profile);
  for (size_t i = 0; i < n; i += BLOCK) {
    size_t rows = n - i < BLOCK ? n - i : BLOCK;
    sg_status st = sgi_linear(logits, x + i * D, E, rows, D, V);
    if (st) return st;
    sgi_lap(scratch.profile, &at, "head", sgi_product_flops(rows, V, D), sgi_product_bytes(rows, V, D));
#pragma omp parallel for schedule(static) if (rows * V > 4096)
    for (size_t r = 0; r < rows; r++)
      row(nll + i + r, best + i + r, logits + r * V, targets[i + r], pad, grad_scale, dx != NULL, V);
    sgi_lap(scratch.profile, &at, "softmax of the vocabulary", 0, 8.0 * (double)rows * (double)V);
    if (!dx) continue;
    st = sgi_linear_dx(dx + i * D, logits, E, rows, D, V, 0);
    if (!st) st = sgi_linear_dw(dE, logits, x + i * D, rows, D, V);
    if (st) return st;
    sgi_lap(scratch.profile, &at, "head backward", 2 * sgi_product_flops(rows, V, D),
            2 * sgi_product_bytes(rows, V, D));
  }
  return SG_OK;
}
