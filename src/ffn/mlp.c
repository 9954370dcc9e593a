/* mlp: y = gelu(x W1^T) W2^T, or with relu (docs/method.md, mlp). */
#include "ffn/dense_kind.h"
#include "math/kernels.h"

static void forward(float *h, float *u, const float *bias, size_t F) {
  (void)bias;
  sgi_kernel_table()->gelu(h, u, F);
}

static void backward(float *du, const float *dh, const float *u, size_t F) {
  sgi_kernel_table()->gelu_backward(du, dh, u, F);
}

static void forward_relu(float *h, float *u, const float *bias, size_t F) {
  (void)bias;
  sgi_kernel_table()->relu(h, u, F);
}

static void backward_relu(float *du, const float *dh, const float *u, size_t F) {
  sgi_kernel_table()->relu_backward(du, dh, u, F);
}

static const sgi_dense_kind with_relu = {.in = "up_proj",
                                         .out = "down_proj",
                                         .rows = 1,
                                         .forward = forward_relu,
                                         .backward = backward_relu,
                                         .moved = {2, 3}};

static const sgi_dense_kind form = {.in = "up_proj",
                                    .out = "down_proj",
                                    .rows = 1,
                                    .forward = forward,
                                    .backward = backward,
                                    .moved = {2, 3},
                                    .relu = &with_relu};

const sgi_ffn_ops sgi_ffn_mlp = {
    SGI_DENSE_KIND(&form),
    .name = "mlp",
    .default_activation = "gelu",
    .uses = SGI_USES_ACTIVATION,
    .preset = {.tinystories = {.num_neurons = 1024}, .slimpajama = {.times = 8, .over = 3, .multiple = 256}},
};
