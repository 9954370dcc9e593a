#include "model/vary.h"

#include <string.h>

#include "math/gemm.h"
#include "math/rows.h"
#include "model/finite.h"
#include "model/pass_inside.h"

struct sgi_varier {
  sgi_pass *pass;
  size_t rows;
  char *block;
  float *x, *next;            /* (rows,D) the stream before and behind an evaluation */
  float *xn, *r;              /* (rows,D), (rows) its norm */
  float *y;                   /* (rows,D) what a step adds */
  sgi_varied_router *routers; /* (steps) */
  sgi_arena room;             /* of the steps */
};

static void layout(const sg_model *m, size_t rows, size_t keys, sgi_varier *v, sgi_arena *a) {
  size_t D = m->config.hidden_size, most = 0;
  v->x = SGI_TAKE(a, rows * D, float);
  v->next = SGI_TAKE(a, rows * D, float);
  v->xn = SGI_TAKE(a, rows * D, float);
  v->r = SGI_TAKE(a, rows, float);
  v->y = SGI_TAKE(a, rows * D, float);
  for (size_t i = 0; i < m->plan.n_steps; i++) {
    const sgi_sublayer *s = m->plan.steps[i].sub;
    sgi_arena own = {.threads = a->threads};
    s->ops->vary_room(s->config, rows, keys, &own);
    most = larger(most, own.used);
  }
  v->routers = SGI_TAKE(a, m->plan.n_steps, sgi_varied_router);
  for (size_t i = 0; i < m->plan.n_steps; i++) {
    const sgi_plan_step *s = &m->plan.steps[i];
    sgi_arena block = {.threads = a->threads};
    if (s->router != i) continue;
    s->sub->ffn->shared(s->sub->config, rows, false, &block);
    char *base = sgi_take(a, block.used, 1);
    if (v->routers) v->routers[i] = (sgi_varied_router){.block = {.base = base, .size = block.used}};
  }
  v->room = (sgi_arena){.base = sgi_take(a, most, 1), .size = most};
}

sg_status sgi_varier_bytes(const sg_model *m, size_t rows, size_t T, size_t *bytes, sg_error *err) {
  sgi_arena a = {.threads = 1};
  layout(m, rows, T, &(sgi_varier){0}, &a);
  *bytes = a.used;
  return a.used == SIZE_MAX
             ? sgi_fail(err, SG_ERR_MEMORY, "%zu rows of variants need more than this machine can address", rows)
             : SG_OK;
}

sg_status sgi_varier_create(sgi_pass *p, size_t rows, sgi_varier **out, sg_error *err) {
  *out = NULL;
  sgi_arena a = {0};
  layout(p->model, rows, p->batch.T, &(sgi_varier){0}, &a);
  sgi_varier *v = sgi_alloc(sizeof *v);
  char *block = sgi_alloc(a.used);
  if (!v || !block) {
    sgi_free(v);
    sgi_free(block);
    return sgi_fail_memory(err, a.used, "variants of a prompt");
  }
  *v = (sgi_varier){.pass = p, .rows = rows, .block = block};
  a = (sgi_arena){.base = block, .size = a.used};
  layout(p->model, rows, p->batch.T, v, &a);
  *out = v;
  return SG_OK;
}

void sgi_varier_free(sgi_varier *v) {
  if (!v) return;
  sgi_free(v->block);
  sgi_free(v);
}

size_t sgi_varier_fit(const sgi_varier *v, size_t t, size_t read) { return v->rows / (read - t + 1); }

/* ---- one evaluation: the steps that read one stream ------------------------------------------ */

static bool is_changed(const sgi_vary *v, size_t position) {
  return position >= v->from && position < v->from + v->changed;
}

/* next (R,count,D) = the stream at the wanted positions, before anything is added. */
static void carry(sgi_varier *v, const sgi_vary *w, const float *base) {
  size_t D = v->pass->model->config.hidden_size;
  for (size_t r = 0; r < w->R; r++)
    for (size_t i = 0; i < w->count; i++) {
      size_t at = w->first + i;
      const float *from = is_changed(w, at) ? v->x + (r * w->changed + at - w->from) * D : base + at * D;
      memcpy(v->next + (r * w->count + i) * D, from, D * sizeof *from);
    }
}

static sg_status evaluate(sgi_varier *v, const sgi_vary *w, const sgi_plan_step *s, size_t steps, sg_error *err) {
  sgi_pass *p = v->pass;
  size_t D = p->model->config.hidden_size, n = w->R * w->changed;
  carry(v, w, stream_of(p, s->evaluation));
  for (size_t i = 0; i < steps; i++) {
    sgi_rmsnorm(v->xn, v->r, v->x, s[i].sub->w[SGI_T_NORM], n, D, sgi_norm_eps(&p->model->config));
    sg_status st = check_norms(v->r, n);
    sgi_vary own = *w;
    own.router = s[i].router == SIZE_MAX ? NULL : &v->routers[s[i].router];
    if (!st) st = s[i].sub->ops->vary(p, &s[i], &own, v->room, v->y, v->xn);
    if (st == SG_ERR_NUMERIC)
      return sgi_fail(err, st, "activations at the norms of layer %zu are too large for float32", s[i].layer);
    if (st) return named(st, err, "variants of a prompt");
    sgi_sum(v->next, v->next, v->y, w->R * w->count * D);
  }
  float *next = v->next;
  v->next = v->x;
  v->x = next;
  return SG_OK;
}

/* ---- the walk -------------------------------------------------------------------------------- */

static bool mixes(const sgi_plan_step *s, const sgi_plan_step *end) {
  for (; s < end; s++)
    if (s->sub->ops->mixes || (s->sub->ffn && s->sub->ffn->mixes && s->sub->ffn->mixes(s->sub->config))) return true;
  return false;
}

/* What an evaluation must give: behind the last that mixes the read position alone, and of one that
 * does not mix no more than had changed. */
static void want(sgi_vary *w, bool here, bool later, size_t t, size_t read) {
  size_t first = later ? t : read, end = read + 1;
  if (!here) {
    first = larger(first, w->from);
    end = w->from + w->changed < end ? w->from + w->changed : end;
  }
  w->first = first;
  w->count = first < end ? end - first : 0;
}

sg_status sgi_varier_run(sgi_varier *v, size_t step, size_t t, size_t read, size_t R, const float *delta,
                         const float **xn, sg_error *err) {
  const sg_model *m = v->pass->model;
  const sgi_plan *plan = &m->plan;
  const sgi_plan_step *s = plan->steps + step, *end = plan->steps + plan->n_steps;
  size_t D = m->config.hidden_size, from = s->evaluation + 1;
  *xn = NULL;
  if (t > read) return SG_OK;
  if (R > sgi_varier_fit(v, t, read))
    return sgi_fail(err, SG_ERR_INTERNAL, "%zu variants of %zu positions in %zu rows", R, read - t + 1, v->rows);
  const float *base = stream_of(v->pass, from) + t * D;
  for (size_t r = 0; r < R; r++) sgi_kernel_table()->sum(v->x + r * D, base, delta + r * D, D);
  sgi_vary w = {.R = R, .from = t, .changed = 1};
  for (size_t i = 0; i < plan->n_steps; i++) v->routers[i].count = 0;
  while (s < end && s->evaluation < from) s++;
  while (s < end) {
    const sgi_plan_step *behind = s;
    while (behind < end && behind->evaluation == s->evaluation) behind++;
    want(&w, mixes(s, behind), mixes(behind, end), t, read);
    if (!w.count) return SG_OK;
    sg_status st = evaluate(v, &w, s, (size_t)(behind - s), err);
    if (st) return st;
    w.from = w.first;
    w.changed = w.count;
    s = behind;
  }
  if (w.from + w.changed <= read) return SG_OK;
  sgi_rmsnorm(v->xn, v->r, v->x, m->w[sgi_final_norm_row(m)], R, D, sgi_norm_eps(&m->config));
  if (check_norms(v->r, R)) return sgi_fail(err, SG_ERR_NUMERIC, "the residual stream is too large for float32");
  *xn = v->xn;
  return sgi_model_watch(m, v->r, R, "the residual stream of a variant", err);
}
