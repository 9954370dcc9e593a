/* Optimizers in double, one weight at a time, from the formulas of docs/method.md, optimizer. */
#include <math.h>
#include <string.h>

#include "ref/ref.h"

static void adamw(const ref_update *u, double g, double *w, double moment[2]) {
  double b1 = u->value[0], b2 = u->value[1], eps = u->value[2];
  moment[0] = b1 * moment[0] + (1 - b1) * g;
  moment[1] = b2 * moment[1] + (1 - b2) * g * g;
  double m = moment[0] / (1 - pow(b1, u->t)), v = moment[1] / (1 - pow(b2, u->t));
  *w -= u->lr * (m / (sqrt(v) + eps) + u->decay * *w);
}

static void lion(const ref_update *u, double g, double *w, double moment[2]) {
  double b1 = u->value[0], b2 = u->value[1], c = b1 * moment[0] + (1 - b1) * g;
  *w -= u->lr * ((c > 0) - (c < 0) + u->decay * *w);
  moment[0] = b2 * moment[0] + (1 - b2) * g;
}

bool ref_optimizer(const ref_update *u, double g, double *w, double moment[2]) {
  if (!strcmp(u->optimizer, "adamw")) return adamw(u, u->grad_scale * g, w, moment), true;
  if (!strcmp(u->optimizer, "lion")) return lion(u, u->grad_scale * g, w, moment), true;
  return false;
}
