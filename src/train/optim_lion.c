/* lion: the sign of an interpolated momentum (arXiv:2302.06675), b1 0.9, b2 0.99 unless set;
 * sign(0) is 0. One moment, so a quarter less memory than adamw beside weights and gradient.
 *
 *     w <- w - lr(t) ( sign(b1 m + (1-b1) g) + decay w );  m = b2 m + (1-b2) g
 *
 * All weights move by one length, so its rate is that of adamw divided by 3 to 10. */
#include "train/optim.h"

enum { BETA1, BETA2 };

static void update(const double *value, const sgi_update *u, const sgi_stretch *x) {
  float b1 = (float)value[BETA1], b2 = (float)value[BETA2], scale = (float)u->grad_scale;
  float lr = (float)u->lr, decay = (float)u->decay;
  float *w = x->w, *g = x->g, *m = x->moment[0];
#pragma omp simd
  for (size_t i = 0; i < x->n; i++) {
    float gi = g[i] * scale, c = b1 * m[i] + (1.0f - b1) * gi;
    float sign = (float)((c > 0) - (c < 0)); /* a NaN would go unseen here; the momentum keeps it, and is looked at */
    w[i] -= lr * (sign + decay * w[i]);
    m[i] = b2 * m[i] + (1.0f - b2) * gi;
    g[i] = 0;
  }
}

const sgi_optimizer_ops sgi_optimizer_lion = {
    .name = "lion",
    .n_moments = 1,
    .moments = {{"m", "momentum", false}},
    .settings = {[BETA1] = {"optimizer.beta1", "share of the momentum in a step's direction", 0.9, 0, 1},
                 [BETA2] = {"optimizer.beta2", "share of the momentum kept per update", 0.99, 0, 1}},
    .bytes_per_weight = 24, /* w, g, m: read and written */
    .update = update,
};
