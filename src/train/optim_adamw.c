/* adamw: Adam with the reference's decoupled decay (arXiv:1711.05101). Moments m and v; b1 0.9,
 * b2 0.999, eps 1e-8 unless set (`optimizer.beta1`, `.beta2`, `.eps`).
 *
 *     m = b1 m + (1-b1) g;  v = b2 v + (1-b2) g^2
 *     w <- w - lr(t) ( m/(1-b1^(t+1)) / (sqrt(v/(1-b2^(t+1))) + eps) + decay w )
 */
#include <math.h>

#include "math/kernels.h"
#include "train/optim.h"

enum { BETA1, BETA2, EPS };

static void update(const double *value, const sgi_update *u, const sgi_stretch *x) {
  double t = (double)u->done + 1;
  sgi_adamw_step s = {.grad_scale = (float)u->grad_scale,
                      .lr = (float)u->lr,
                      .decay = (float)u->decay,
                      .bias1 = (float)(1 / (1 - pow(value[BETA1], t))),
                      .bias2 = (float)(1 / (1 - pow(value[BETA2], t))),
                      .beta1 = (float)value[BETA1],
                      .beta2 = (float)value[BETA2],
                      .eps = (float)value[EPS]};
  sgi_kernel_table()->adamw(x->w, x->g, x->moment[0], x->moment[1], x->n, &s);
}

const sgi_optimizer_ops sgi_optimizer_adamw = {
    .name = "adamw",
    .n_moments = 2,
    .moments = {{"m", "first moment", false}, {"v", "second moment", true}},
    .settings = {[BETA1] = {"optimizer.beta1", "share of the mean gradient kept per update", 0.9, 0, 1},
                 [BETA2] = {"optimizer.beta2", "share of the mean square kept per update", 0.999, 0, 1},
                 [EPS] = {"optimizer.eps", "added to the root of the mean square", 1e-8, 1e-30, 1}},
    .bytes_per_weight = 32, /* w, g, m, v: read and written */
    .update = update,
};
