#include "model/distill.h"

#include <math.h>
#include <string.h>

#include "math/kernels.h"
#include "math/stored.h"
#include "model/pass_inside.h"

enum { BLOCK = 64 }; /* rows of logits at a time */

double sgi_distill_mean(const sgi_distill_loss *d, const sgi_distill_sum *s) {
  double n = s->targets ? (double)s->targets : 1;
  return (d->alpha * d->tau * d->tau * s->kl + (1 - d->alpha) * s->ce) / n;
}

/* x = softmax(x / tau), and log of the sum of exp(x / tau). */
static double soften(float *x, size_t V, double tau) {
  const sgi_kernels *kern = sgi_kernel_table();
  float max, sum = kern->softmax_exp(x, V, (float)(1 / tau), &max);
  kern->scale(x, 1 / sum, V);
  return (double)max + log((double)sum);
}

/* With p of the teacher and q of the student, both softened: KL = sum p (t - z) / tau - lse_t +
 * lse_z. The gradient is alpha tau (q - p) + (1 - alpha) (softmax(z) - onehot). */
void sgi_distill_row(const sgi_distill_loss *d, float *z, float *t, float *room, size_t V, int32_t target,
                     float grad_scale, double *kl, double *ce) {
  float *q = room, a = grad_scale * (float)(d->alpha * d->tau), b = grad_scale * (float)(1 - d->alpha);
  double moved = 0, at = (double)z[target];
  for (size_t v = 0; v < V; v++) q[v] = t[v] - z[v];
  double lse_t = soften(t, V, d->tau);
  for (size_t v = 0; v < V; v++) moved += (double)t[v] * (double)q[v];
  memcpy(q, z, V * sizeof *q);
  double lse_z = soften(q, V, d->tau);
  *kl = fmax(moved / d->tau - lse_t + lse_z, 0);
  *ce = soften(z, V, 1) - at;
  for (size_t v = 0; v < V; v++) z[v] = a * (q[v] - t[v]) + b * z[v];
  z[target] -= b;
}

size_t sgi_distill_room(size_t V) { return 3 * BLOCK * V + 4 * BLOCK; }

typedef struct rooms {
  float *z, *t, *q; /* (BLOCK,V) */
  double *kl, *ce;  /* (BLOCK) */
} rooms;

/* Losses of rows [first, first + rows) and their gradient in z; padding has none. */
static void block(const sgi_pass *p, const sgi_distill_loss *d, const rooms *m, size_t first, size_t rows,
                  float grad_scale) {
  size_t V = p->model->config.vocab_size;
#pragma omp parallel for schedule(static) if (rows * V > 4096)
  for (size_t r = 0; r < rows; r++) {
    int32_t target = p->batch.targets[first + r];
    float *z = m->z + r * V;
    m->kl[r] = m->ce[r] = 0;
    if (target == p->model->config.pad_id)
      memset(z, 0, V * sizeof *z);
    else
      sgi_distill_row(d, z, m->t + r * V, m->q + r * V, V, target, grad_scale, &m->kl[r], &m->ce[r]);
  }
}

sg_status sgi_pass_distill(sgi_pass *student, sgi_pass *teacher, const sgi_distill_loss *d, sgi_distill_sum *sum,
                           float *grad, float grad_scale, float *room, sg_error *err) {
  sgi_pass *p = student;
  const sg_model *m = p->model;
  const sgi_weight *E = &m->weights[SGI_ROW_EMBED];
  size_t n = rows_of(p), D = m->config.hidden_size, V = m->config.vocab_size;
  float *dE = grad + m->table.rows[SGI_ROW_EMBED].offset;
  rooms k = {.kl = (double *)(void *)room, .z = room + 4 * BLOCK};
  k.ce = k.kl + BLOCK;
  k.t = k.z + BLOCK * V;
  k.q = k.t + BLOCK * V;
  sg_status st = SG_OK;
  for (size_t i = 0; i < n && !st; i += BLOCK) {
    size_t rows = n - i < BLOCK ? n - i : BLOCK;
    st = sgi_pass_logits(student, i, rows, k.z, err);
    if (!st) st = sgi_pass_logits(teacher, i, rows, k.t, err);
    if (st) return st;
    block(p, d, &k, i, rows, grad_scale);
    for (size_t r = 0; r < rows; r++) {
      sum->kl += k.kl[r], sum->ce += k.ce[r];
      sum->targets += p->batch.targets[i + r] != m->config.pad_id;
    }
    st = sgi_stored_linear_dx(p->dx + i * D, D, k.z, V, E, rows, 0, (sgi_arena){0});
    if (!st) st = sgi_stored_linear_dw(dE, k.z, V, p->xn + i * D, D, E, rows, NULL);
    st = named(st, err, "distillation");
  }
  return st;
}
