/* glu: [g, l] = x W1^T + b1, g = min(g, 7), l = clip(l, -7, 7), y = (g sigmoid(1.702 g) (l + 1))
 * W2^T + b2 (golden README no. 11; docs/method.md, glu). */
#include "ffn/dense_kind.h"
#include "ffn/glu_unit.h"
#include "math/kernels.h"

static void forward(float *h, float *u, const float *bias, size_t F) { sgi_kernel_table()->glu(h, u, bias, 1, F); }

/* By the clamped gate's derivative; past a clamp it is 0. */
static void backward(float *du, const float *dh, const float *u, size_t F) {
  sgi_kernel_table()->glu_backward(du, dh, u, 1, F);
}

static const sgi_dense_kind form = {.in = "gate_up_proj",
                                    .out = "down_proj",
                                    .rows = 2,
                                    .bias = true,
                                    .forward = forward,
                                    .backward = backward,
                                    .unit = sgi_glu_unit,
                                    .shift = 1,
                                    .moved = {5, 7}};

const sgi_ffn_ops sgi_ffn_glu = {
    SGI_DENSE_KIND(&form),
    .name = "glu",
    .default_activation = "sigmoid",
    .preset = {.tinystories = {.num_neurons = 1024}, .slimpajama = {.times = 8, .over = 3, .multiple = 256}},
};
