/* adamw: Adam with the reference's decoupled decay (arXiv:1711.05101; docs/method.md, optimizer).
 * Moments m and v. */
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
