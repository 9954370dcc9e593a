/* Training in int4, one row: docs/method.md, pools in four bits, as it is written there. */
#include <math.h>

#include "ref/ref.h"

static double clip(double x, double most) { return x < -most ? -most : x > most ? most : x; }

double ref_int4_step(ref_int4 *r, const ref_int4_update *u, const double *g, size_t D) {
  const double b1 = 0.9, b2 = 0.99, eps = 1e-8;
  double squares = 0, h = 0, nearest = 1;
  for (size_t e = 0; e < D; e++) squares += g[e] * g[e], h += r->s * g[e] * r->q[e];
  if (squares == 0) return nearest;
  r->c += 1;
  r->v = b2 * r->v + (1 - b2) * squares / (double)D;
  for (size_t e = 0; e < D; e++) {
    double d = clip(-u->A * u->lr * g[e] / (sqrt(r->v / (1 - pow(b2, r->c))) + eps) / r->s, u->A);
    size_t at = u->first + e;
    uint64_t word = u->word(u->user, u->number * ((u->count + 3) / 4) + at / 4);
    double U = ((double)(word >> 16 * (at % 4) & 0xffff) + 0.5) / 65536;
    int b = r->a[e] + (int)floor(d + U);
    nearest = fmin(nearest, fabs(d + U - round(d + U)));
    if (b >= u->A)
      r->q[e] < 7 ? (r->q[e]++, r->a[e] = b - u->A) : (r->a[e] = u->A - 1);
    else if (b <= -u->A)
      r->q[e] > -7 ? (r->q[e]--, r->a[e] = b + u->A) : (r->a[e] = 1 - u->A);
    else
      r->a[e] = b;
  }
  r->ms = b1 * r->ms + (1 - b1) * h;
  r->vs = b2 * r->vs + (1 - b2) * h * h;
  r->s *= exp(-u->lr * u->scale_lr * (r->ms / (1 - pow(b1, r->c))) / (sqrt(r->vs / (1 - pow(b2, r->c))) + eps));
  return nearest;
}
