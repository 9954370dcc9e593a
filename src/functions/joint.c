/* With v = factor phi(z) for a function and factor * own for a row that stays, e = sum v w_out - y:
 * dv = e . w_out, dw_out += v e, dphi = factor dv. A neuron's gradients are added up by one thread
 * in the order of the batch (entries sorted by neuron), and its Adam follows at once. */
#include "functions/joint.h"

#include <math.h>
#include <string.h>

#include "core/arena.h"
#include "core/rng.h"
#include "ffn/sparse.h"

static const double RATE = 1e-3, B1 = 0.9, B2 = 0.999, EPS = 1e-8;

typedef struct work {
  const sgi_joint_request *r;
  sgi_function_layer *l;
  sgi_sparse shape;
  size_t B, m;                        /* rows of a batch, entries of a row */
  uint32_t *row;                      /* (B) */
  float *z;                           /* (B,R) */
  int32_t *index;                     /* (B,C,K) */
  float *own, *factor, *value, *grad; /* (B,C,K) */
  float *y, *error;                   /* (B,D) */
  float *zeta;                        /* (B,R_o) with a basis */
  sgi_sparse_sorted sorted;
  sgi_expert *m1, *m2;                /* (units) */
  float *dw, *w1, *w2;                /* (units,D) */
  double scale, rate_value, rate_out; /* of the error; steps in units of values, of output rows */
} work;

static void layout(work *w, sgi_arena *a) {
  size_t B = w->B, m = B * w->m, D = w->l->D, n = w->l->units;
  w->row = SGI_TAKE(a, B, uint32_t);
  w->z = SGI_TAKE(a, B * w->l->R, float);
  w->index = SGI_TAKE(a, m, int32_t);
  w->own = SGI_TAKE(a, m, float);
  w->factor = SGI_TAKE(a, m, float);
  w->value = SGI_TAKE(a, m, float);
  w->grad = SGI_TAKE(a, m, float);
  w->y = SGI_TAKE(a, B * D, float);
  w->error = SGI_TAKE(a, B * D, float);
  w->zeta = SGI_TAKE(a, B * w->l->basis_rows, float);
  sgi_sparse_sort_take(&w->shape, a, &w->sorted);
  if (!w->r->steps) return;
  w->m1 = SGI_TAKE(a, n, sgi_expert);
  w->m2 = SGI_TAKE(a, n, sgi_expert);
  w->dw = SGI_TAKE(a, n * D, float);
  w->w1 = SGI_TAKE(a, n * D, float);
  w->w2 = SGI_TAKE(a, n * D, float);
}

static sg_status make(work *w, void **memory, sg_error *err) {
  sgi_arena a = {0};
  layout(w, &a);
  *memory = a.used == SIZE_MAX ? NULL : sgi_alloc(a.used);
  if (!*memory) return sgi_fail_memory(err, a.used, "a joint fit");
  a = (sgi_arena){.base = *memory, .size = a.used};
  layout(w, &a);
  return SG_OK;
}

static void gather(work *w, size_t i, size_t from) {
  const sgi_function_rows *rows = w->r->rows;
  size_t m = w->m, R = w->l->R;
  memcpy(w->z + i * R, w->r->z + from * R, R * sizeof *w->z);
  memcpy(w->index + i * m, rows->index + from * m, m * sizeof *w->index);
  memcpy(w->own + i * m, rows->own + from * m, m * sizeof *w->own);
  memcpy(w->factor + i * m, rows->factor + from * m, m * sizeof *w->factor);
}

/* y of the model's own rows, error = y' - y with the functions, over the n first rows of a
 * batch. */
static sg_status compare(work *w, size_t n, sg_error *err) {
  size_t m = n * w->m;
  sgi_sparse s = w->shape;
  s.n = n;
  for (size_t i = 0; i < m; i++) w->value[i] = w->factor[i] * w->own[i];
  sgi_sparse_sum(&s, NULL, w->y, w->r->place->w_out, w->index, w->value);
  sgi_function_layer_values(w->l, n, w->z, w->index, w->own, w->factor, w->value);
  sg_status st = sgi_function_layer_sum(w->l, n, w->index, w->value, w->zeta, w->error, err);
  for (size_t i = 0; i < n * w->l->D; i++) w->error[i] -= w->y[i];
  return st;
}

/* ---- error ----------------------------------------------------------------------------------- */

static sg_status measure(work *w, size_t most, double *out, sg_error *err) {
  size_t n = w->r->rows->n < most ? w->r->rows->n : most, D = w->l->D;
  double errors = 0, squares = 0, *mean = sgi_alloc(D * sizeof *mean);
  sg_status st = mean ? SG_OK : sgi_fail_memory(err, D * sizeof *mean, "a mean");
  for (size_t first = 0; first < n && !st; first += w->B) {
    size_t k = n - first < w->B ? n - first : w->B;
    for (size_t i = 0; i < k; i++) gather(w, i, (size_t)((double)(first + i) * (double)w->r->rows->n / (double)n));
    st = compare(w, k, err);
    for (size_t i = 0; i < k * D && !st; i++) {
      errors += (double)w->error[i] * (double)w->error[i];
      squares += (double)w->y[i] * (double)w->y[i];
      mean[i % D] += (double)w->y[i] / (double)n;
    }
  }
  for (size_t d = 0; d < D && !st; d++) squares -= (double)n * mean[d] * mean[d];
  *out = squares > 0 ? errors / squares : 0;
  sgi_free(mean);
  return st;
}

static work work_of(const sgi_joint_request *r, const sgi_function_layer *l, size_t B) {
  const sgi_function_place *p = r->place;
  work w = {.r = r, .l = (sgi_function_layer *)(uintptr_t)l, .B = B < r->rows->n ? B : r->rows->n, .m = p->C * p->K};
  w.shape = (sgi_sparse){w.B, p->C, p->K, p->F, p->D, p->pools > 1, NULL, NULL};
  return w;
}

sg_status sgi_function_error(const sgi_joint_request *r, const sgi_function_layer *l, size_t most, double *out,
                             sg_error *err) {
  sgi_joint_request q = *r;
  q.steps = 0;
  work w = work_of(&q, l, r->batch);
  void *memory;
  sg_status st = make(&w, &memory, err);
  if (!st) st = measure(&w, most, out, err);
  sgi_free(memory);
  return st;
}

/* ---- Adam ------------------------------------------------------------------------------------ */

static void move(double *p, double g, double *m, double *v, double rate) {
  *m = B1 * *m + (1 - B1) * g;
  *v = B2 * *v + (1 - B2) * g * g;
  *p -= rate * *m / (sqrt(*v) + EPS);
}

/* One neuron's step: rate has the corrections of both moments in it. */
static void move_expert(const work *w, size_t unit, const sgi_expert *d, double rate) {
  sgi_expert *e = &w->l->expert[unit], *m = &w->m1[unit], *v = &w->m2[unit];
  size_t M = sgi_grid_coefs(&w->l->grid);
  move(&e->bias, d->bias, &m->bias, &v->bias, rate);
  for (size_t i = 0; i < e->edges; i++) {
    for (size_t c = 0; c < M; c++)
      move(&e->edge[i].coef[c], d->edge[i].coef[c], &m->edge[i].coef[c], &v->edge[i].coef[c], rate);
    if (w->r->base) move(&e->edge[i].base, d->edge[i].base, &m->edge[i].base, &v->edge[i].base, rate);
  }
  for (size_t g = e->gates - e->outputs; g < e->gates; g++)
    move(&e->gamma[g], d->gamma[g], &m->gamma[g], &v->gamma[g], rate);
}

static void step_expert(const work *w, size_t unit, double rate) {
  const sgi_expert *e = &w->l->expert[unit];
  sgi_expert d = {0};
  double node[SGI_MOST_BITS + SGI_MOST_GATES];
  if (!w->l->stands[unit]) return;
  for (size_t k = w->sorted.start[unit]; k < w->sorted.start[unit + 1]; k++) {
    size_t at = w->sorted.slot[k];
    if (w->factor[at] == 0) continue;
    const float *z = w->z + (size_t)w->sorted.token[k] * w->l->R;
    double dphi = (double)w->factor[at] * (double)w->grad[at];
    d.bias += dphi;
    for (size_t i = 0; i < e->edges; i++) {
      double weight[4], x = (double)z[e->edge[i].feature];
      size_t j = sgi_grid_at(&w->l->grid, x, weight, NULL);
      for (size_t c = 0; c < 4; c++) d.edge[i].coef[j + c] += dphi * weight[c];
      if (w->r->base) d.edge[i].base += dphi * sgi_silu(x);
    }
    if (!e->gates) continue;
    sgi_expert_logic(e, 0, z, node);
    for (size_t g = e->gates - e->outputs; g < e->gates; g++) d.gamma[g] += dphi * node[e->bits + g];
  }
  move_expert(w, unit, &d, rate);
}

static void step_row(const work *w, size_t unit, double rate) {
  float *p = w->l->w_out + unit * w->l->D, *d = w->dw + unit * w->l->D, *m = w->w1 + unit * w->l->D,
        *v = w->w2 + unit * w->l->D;
  for (size_t k = 0; k < w->l->D; k++) {
    m[k] = (float)B1 * m[k] + (float)(1 - B1) * d[k];
    v[k] = (float)B2 * v[k] + (float)(1 - B2) * d[k] * d[k];
    p[k] -= (float)rate * m[k] / (sqrtf(v[k]) + (float)EPS);
    d[k] = 0;
  }
}

static sg_status one_step(work *w, size_t step, sg_error *err) {
  size_t n = w->r->rows->n, D = w->l->D;
  for (size_t i = 0; i < w->B; i++) {
    uint64_t at = (uint64_t)step * w->B + i;
    gather(w, i, (size_t)sgi_rng_permute(w->r->seed, SGI_STREAM_FUNCTIONS, at / n, n, at % n));
  }
  sg_status st = compare(w, w->B, err);
  if (st) return st;
  for (size_t i = 0; i < w->B * D; i++) w->error[i] *= (float)w->scale;
  sgi_weight rows = sgi_weight_floats(w->l->w_out, w->l->units, D);
  sgi_sparse_dot(&w->shape, NULL, w->grad, &rows, w->index, w->error);
  sgi_sparse_sort(&w->shape, NULL, w->index, &w->sorted);
  sgi_sparse_scatter(&w->shape, NULL, w->dw, &w->sorted, w->value, w->error);
  double cosine = 0.5 * (1 + cos(3.141592653589793 * (double)step / (double)w->r->steps));
  double fix = sqrt(1 - pow(B2, (double)step + 1)) / (1 - pow(B1, (double)step + 1));
#pragma omp parallel for schedule(dynamic, 64)
  for (size_t unit = 0; unit < w->l->units; unit++) {
    step_expert(w, unit, w->rate_value * cosine * fix);
    step_row(w, unit, w->rate_out * cosine * fix);
  }
  return SG_OK;
}

/* Sizes of a value, an output number, and of the gradient's scale: 2 / (B mean |y|^2). */
static void rates(work *w) {
  const sgi_function_rows *rows = w->r->rows;
  double values = 0, outs = 0, acting = 0;
  for (size_t i = 0; i < rows->n * w->m; i++) {
    if (rows->factor[i] == 0) continue;
    values += (double)rows->own[i] * (double)rows->own[i];
    acting++;
  }
  for (size_t i = 0; i < w->l->units * w->l->D; i++) outs += (double)w->l->w_out[i] * (double)w->l->w_out[i];
  w->rate_value = RATE * sqrt(acting > 0 ? values / acting : 0);
  w->rate_out = RATE * sqrt(outs / (double)(w->l->units * w->l->D));
}

sg_status sgi_function_joint(const sgi_joint_request *r, sgi_function_layer *l, sg_error *err) {
  work w = work_of(r, l, r->batch);
  void *memory = NULL;
  if (!r->steps) return SG_OK;
  sg_status st = make(&w, &memory, err);
  if (!st) rates(&w);
  /* Adam takes no notice of the scale but for EPS: it is set once by the first batch. */
  for (size_t i = 0; i < w.B && !st; i++) gather(&w, i, (size_t)((double)i * (double)r->rows->n / (double)w.B));
  if (!st) st = compare(&w, w.B, err);
  double squares = 0;
  for (size_t i = 0; i < w.B * l->D && !st; i++) squares += (double)w.y[i] * (double)w.y[i];
  w.scale = squares > 0 ? 2 / squares : 1;
  for (size_t step = 0; step < r->steps && !st; step++) {
    st = one_step(&w, step, err);
    if (!st && r->progress && !r->progress(r->user, "fitting together", step + 1, r->steps))
      st = sgi_fail(err, SG_ERR_CANCELLED, "stopped");
  }
  sgi_free(memory);
  return st;
}
