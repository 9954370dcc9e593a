/* The true effect of every neuron and head of a prompt (docs/method-reading.md, exact effects).
 *
 *   1. the prompt's own run, held                       frozen.h
 *   2. what fired, with its linear total effect         one sweep down
 *   3. place by place, all that stands there taken out  exact_runs.c, model/vary.c
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "math/kernels.h"
#include "read/exact.h"
#include "read/score.h"

/* What is taken out: a neuron's unit, or a head. */
typedef struct taking {
  sg_exact_effect e;
  size_t step;
  const sgi_unit *unit; /* NULL: the head */
} taking;

typedef struct work {
  const sg_exact_request *r;
  sgi_exact_base b;
  sgi_sweep down;
  taking *list;
  size_t count, capacity, done, left_out;
  double *z;      /* (d_head) */
  double *effect; /* (at most of one place) */
} work;

/* ---- what fired ------------------------------------------------------------------------------ */

static bool same(const sg_term *a, const sg_term *b) {
  return a->layer == b->layer && a->position == b->position && a->channel == b->channel && a->index == b->index;
}

static bool wanted(const work *w, const sg_term *t) {
  if (!w->r->only) return true;
  for (size_t i = 0; i < w->r->n_only; i++)
    if (same(&w->r->only[i], t)) return true;
  return false;
}

static bool add(work *w, taking t) {
  if (!sgi_room(&w->list, &w->capacity, w->count, sizeof *w->list)) return false;
  w->list[w->count++] = t;
  return true;
}

static bool add_units(work *w, size_t step, size_t t) {
  const sgi_held *h = &w->b.f.steps[step];
  const float *g = w->down.after + t * h->D;
  const sgi_unit *u = sgi_held_units(h, t);
  for (size_t j = 0; j < h->units; j++) {
    sg_term x = {.kind = SG_TERM_NEURON,
                 .layer = (int32_t)h->step->layer,
                 .head = -1,
                 .channel = u[j].channel,
                 .index = u[j].index,
                 .position = (int32_t)t,
                 .source = (int32_t)t,
                 .value = u[j].value};
    if (u[j].value == 0) continue;
    if (!wanted(w, &x)) {
      w->left_out++;
      continue;
    }
    x.effect = u[j].value * sgi_unit_write(&u[j], g, h->D);
    if (!add(w, (taking){{x, 0}, step, &u[j]})) return false;
  }
  return true;
}

static bool add_heads(work *w, size_t step, size_t t) {
  const sgi_held *h = &w->b.f.steps[step];
  const float *g = w->down.after + t * h->D;
  float *out = w->b.delta;
  for (size_t i = 0; i < h->heads; i++) {
    sg_term x = {.kind = SG_TERM_HEAD,
                 .layer = (int32_t)h->step->layer,
                 .head = (int32_t)i,
                 .channel = -1,
                 .index = -1,
                 .position = (int32_t)t,
                 .source = -1};
    sgi_exact_head(h, i, t, w->z);
    sgi_exact_head_out(h, i, w->z, 1, out);
    x.effect = sgi_dot_double(out, g, h->D);
    if (!add(w, (taking){{x, 0}, step, NULL})) return false;
  }
  return true;
}

static sg_status list(work *w, sg_error *err) {
  const sgi_frozen *f = &w->b.f;
  size_t d_head = 1;
  for (size_t s = 0; s < f->n_steps; s++) d_head = f->steps[s].d_head > d_head ? f->steps[s].d_head : d_head;
  w->z = sgi_alloc(d_head * sizeof *w->z);
  sg_status st = w->z ? sgi_sweep_init(&w->down, f, 1, w->b.position + 1, err)
                      : sgi_fail_memory(err, d_head * sizeof *w->z, "true effects");
  if (st) return st;
  sgi_frozen_logit_gradient(f, w->b.position, w->b.target, w->b.against, w->down.g + w->b.position * f->D);
  for (size_t s = f->n_steps; s-- > 0 && !st;) {
    sgi_sweep_enter(&w->down, s);
    for (size_t t = 0; t <= w->b.position && !st; t++)
      if (!add_units(w, s, t) || (!w->r->no_heads && !add_heads(w, s, t)))
        st = sgi_fail_memory(err, w->count * sizeof *w->list, "true effects");
    if (!st) st = sgi_sweep_pull(&w->down, s, -1, err);
  }
  return st;
}

static sg_status check_only(const work *w, sg_error *err) {
  for (size_t i = 0; w->r->only && i < w->r->n_only; i++) {
    const sg_term *t = &w->r->only[i];
    bool found = false;
    for (size_t k = 0; k < w->count && !found; k++) found = w->list[k].unit && same(&w->list[k].e.term, t);
    if (!found)
      return sgi_fail(err, SG_ERR_ARG,
                      "neuron %d of channel %d in layer %d did not fire at position %d, or that is behind the position "
                      "that is read: there is nothing to take out",
                      t->index, t->channel, t->layer, t->position);
  }
  return SG_OK;
}

/* ---- orders ---------------------------------------------------------------------------------- */

static int by_term(const sg_term *x, const sg_term *y) {
  const int32_t kx[] = {x->layer, x->position, x->head, x->channel, x->index};
  const int32_t ky[] = {y->layer, y->position, y->head, y->channel, y->index};
  for (size_t i = 0; i < SGI_COUNT(kx); i++)
    if (kx[i] != ky[i]) return kx[i] < ky[i] ? -1 : 1;
  return 0;
}

/* Neurons first, the largest linear effect first. */
static int by_linear(const void *a, const void *b) {
  const taking *x = a, *y = b;
  double u = fabs(x->e.term.effect), v = fabs(y->e.term.effect);
  if (!x->unit != !y->unit) return x->unit ? -1 : 1;
  if (u != v) return u < v ? 1 : -1;
  return by_term(&x->e.term, &y->e.term);
}

/* What one batch may hold stands together: step, position. */
static int by_place(const void *a, const void *b) {
  const taking *x = a, *y = b;
  if (x->step != y->step) return x->step < y->step ? -1 : 1;
  return by_term(&x->e.term, &y->e.term);
}

static int by_truth(const void *a, const void *b) {
  const sg_exact_effect *x = a, *y = b;
  double u = fabs(x->effect), v = fabs(y->effect);
  if (u != v) return u < v ? 1 : -1;
  return by_term(&x->term, &y->term);
}

static void keep_most(work *w) {
  size_t neurons = 0;
  if (!w->r->most) return;
  qsort(w->list, w->count, sizeof *w->list, by_linear);
  while (neurons < w->count && w->list[neurons].unit) neurons++;
  if (neurons <= w->r->most) return;
  size_t drop = neurons - w->r->most;
  memmove(w->list + w->r->most, w->list + neurons, (w->count - neurons) * sizeof *w->list);
  w->count -= drop;
  w->left_out += drop;
}

/* ---- runs ------------------------------------------------------------------------------------ */

typedef struct batch {
  const work *w;
  const taking *first;
} batch;

static void take(const void *user, size_t i, float *delta) {
  const batch *b = user;
  const taking *t = &b->first[i];
  const sgi_held *h = &b->w->b.f.steps[t->step];
  if (!t->unit) {
    sgi_exact_head(h, (size_t)t->e.term.head, (size_t)t->e.term.position, b->w->z);
    sgi_exact_head_out(h, (size_t)t->e.term.head, b->w->z, -1, delta);
    return;
  }
  sgi_unit_out(t->unit, delta, h->D);
  sgi_kernel_table()->scale(delta, (float)-t->unit->value, h->D);
}

static bool tick(void *user, size_t n) {
  work *w = user;
  w->done += n;
  return !w->r->prompt.progress || w->r->prompt.progress(w->r->prompt.user, w->done, w->count);
}

static sg_status run(work *w, sg_error *err) {
  sg_status st = SG_OK;
  qsort(w->list, w->count, sizeof *w->list, by_place);
  w->effect = sgi_alloc((w->count + 1) * sizeof *w->effect);
  if (!w->effect) return sgi_fail_memory(err, w->count * sizeof *w->effect, "true effects");
  for (size_t i = 0, end; i < w->count && !st; i = end) {
    const taking *t = &w->list[i];
    for (end = i + 1; end < w->count; end++)
      if (w->list[end].step != t->step || w->list[end].e.term.position != t->e.term.position) break;
    st = sgi_exact_effects(&w->b, t->step, (size_t)t->e.term.position, end - i, take, &(batch){w, t}, w->effect + i,
                           tick, w, err);
  }
  for (size_t i = 0; i < w->count && !st; i++) w->list[i].e.effect = w->effect[i];
  return st;
}

/* ---- result ---------------------------------------------------------------------------------- */

static sg_status fill(const work *w, bool heads, sg_exact_list *out, sg_error *err) {
  double *work_room = sgi_alloc(4 * (w->count + 1) * sizeof *work_room), missed = 0;
  size_t ranked = 0;
  double *linear = work_room, *truth = work_room ? work_room + w->count : NULL;
  out->at = sgi_alloc((w->count + 1) * sizeof *out->at);
  if (!out->at || !work_room) {
    sgi_free(work_room);
    return sgi_fail_memory(err, w->count * sizeof *out->at, "true effects");
  }
  for (size_t i = 0; i < w->count; i++)
    if (!w->list[i].unit == heads) out->at[out->count++] = w->list[i].e;
  qsort(out->at, out->count, sizeof *out->at, by_truth);
  for (size_t i = 0; i < out->count; i++) {
    const sg_exact_effect *e = &out->at[i];
    out->sum_abs += fabs(e->effect);
    missed += fabs(e->effect - e->term.effect);
    if (e->effect == 0 && e->term.effect == 0) continue; /* no way from there to the logit */
    linear[ranked] = e->term.effect;
    truth[ranked++] = e->effect;
  }
  out->rerouting = out->sum_abs > 0 ? missed / out->sum_abs : 0;
  double rank = ranked > 1 ? sgi_rank_correlation(linear, truth, ranked, work_room + 2 * w->count) : 0;
  out->rank = isfinite(rank) ? rank : 0;
  sgi_free(work_room);
  if (!isfinite(out->sum_abs)) return sgi_fail(err, SG_ERR_NUMERIC, "a true effect is NaN or infinite");
  return SG_OK;
}

sg_status sg_exact_create(const sg_model *m, const sg_exact_request *r, sg_exact **out, sg_error *err) {
  *out = NULL;
  work w = {.r = r};
  sg_exact *x = sgi_alloc(sizeof *x);
  if (!x) return sgi_fail_memory(err, sizeof *x, "true effects");
  sg_status st = sgi_exact_begin(&w.b, m, &r->prompt, err);
  if (!st) st = list(&w, err);
  if (!st) st = check_only(&w, err);
  if (!st) {
    keep_most(&w);
    st = run(&w, err);
  }
  if (!st) {
    *x = (sg_exact){.position = w.b.position,
                    .target = w.b.target,
                    .against = w.b.against,
                    .target_logit = w.b.logit,
                    .left_out = w.left_out};
    st = fill(&w, false, &x->neurons, err);
  }
  if (!st) st = fill(&w, true, &x->heads, err);
  sgi_sweep_deinit(&w.down);
  sgi_exact_end(&w.b);
  sgi_free(w.list);
  sgi_free(w.z);
  sgi_free(w.effect);
  if (st)
    sg_exact_free(x);
  else
    *out = x;
  return st;
}

void sg_exact_free(sg_exact *x) {
  if (!x) return;
  sgi_free(x->neurons.at);
  sgi_free(x->heads.at);
  sgi_free(x);
}
