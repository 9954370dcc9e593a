/* The smallest sets that keep or lose an answer (docs/method-reading.md, minimal sets).
 *
 *   1. every member's true effect          exact.c
 *   2. as many of the largest as it takes  k = 0, 1, 2, ... in growing steps, all k of a batch at
 * once
 *   3. members left out again: each alone in a run; of those that are not needed as many at once as
 *      go, the least needed first; until each that is left is needed
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "read/run.h"
#include "read/silence.h"

typedef struct work {
  const sg_model *model;
  const sg_minimal_request *r;
  sg_exact *exact;
  sg_exact_effect *all; /* (count) the population by effect on the answer, largest first */
  size_t count;
  size_t *at;          /* (count) number of each in the silencer */
  bool *silent;        /* (rows,count) */
  double *margin;      /* (rows) of a batch */
  size_t *set, *order; /* (count) the set at hand; of a round */
  sgi_silencer s;
  sg_minimal *out;
  size_t known; /* runs known to come */
} work;

/* What is looked for: a set that alone is heard, or one that alone is silent. */
typedef enum goal { KEEP, LOSE } goal;

static bool reached(goal g, double margin) { return g == KEEP ? margin > 0 : !(margin > 0); }

static int by_effect(const void *a, const void *b) {
  const sg_exact_effect *x = a, *y = b;
  if (x->effect != y->effect) return x->effect < y->effect ? 1 : -1;
  const int32_t kx[] = {(int32_t)x->term.kind, x->term.layer,   x->term.position,
                        x->term.head,          x->term.channel, x->term.index};
  const int32_t ky[] = {(int32_t)y->term.kind, y->term.layer,   y->term.position,
                        y->term.head,          y->term.channel, y->term.index};
  for (size_t i = 0; i < SGI_COUNT(kx); i++)
    if (kx[i] != ky[i]) return kx[i] < ky[i] ? -1 : 1;
  return 0;
}

/* Row r of a batch: the members of set (n) are heard alone, or silent alone. */
static void row(work *w, goal g, size_t r, const size_t *set, size_t n) {
  bool *silent = w->silent + r * w->count;
  memset(silent, g == KEEP, w->count);
  for (size_t i = 0; i < n; i++) silent[w->at[set[i]]] = g == LOSE;
}

static void flip(work *w, size_t r, size_t member) {
  bool *silent = &w->silent[r * w->count + w->at[member]];
  *silent = !*silent;
}

static sg_status run(work *w, goal g, size_t R, double *margin, sg_error *err) {
  const sg_attribute_request *p = &w->r->prompt;
  sg_status st = sgi_silencer_run(&w->s, R, w->silent, g == KEEP, w->out->target, w->out->against, margin, err);
  if (st) return st;
  if (w->s.runs > w->known) w->known = w->s.runs;
  return !p->progress || p->progress(p->user, w->s.runs, w->known) ? SG_OK : sgi_fail(err, SG_ERR_CANCELLED, "stopped");
}

/* The first number of members, largest effect first, with which the goal is reached; count + 1:
 * none. */
static sg_status grow(work *w, goal g, size_t *out, sg_error *err) {
  for (size_t i = 0; i < w->count; i++) w->order[i] = i;
  *out = w->count + 1;
  for (size_t k = 0; k <= w->count && *out > w->count;) {
    size_t R = 0, n[64];
    for (; R < w->s.rows && R < SGI_COUNT(n) && k <= w->count; R++) {
      n[R] = k;
      row(w, g, R, w->order, k);
      k = k == w->count ? k + 1 : k + k / 8 + 1 < w->count ? k + k / 8 + 1 : w->count;
    }
    sg_status st = run(w, g, R, w->margin, err);
    if (st) return st;
    for (size_t i = R; i-- > 0;)
      if (reached(g, w->margin[i])) *out = n[i];
  }
  return SG_OK;
}

typedef struct leaving {
  size_t member; /* its place in the set */
  double margin;
} leaving;

static int by_need(const void *a, const void *b) {
  const leaving *x = a, *y = b;
  if (x->margin != y->margin) return x->margin < y->margin ? 1 : -1;
  return x->member < y->member ? 1 : -1; /* of equal ones the smaller effect leaves first */
}

/* One round: how many of the set (n) are left; the same number where each is needed. */
static sg_status leave_out(work *w, goal g, size_t *n, leaving *can, sg_error *err) {
  size_t able = 0;
  for (size_t first = 0, R; first < *n; first += R) {
    R = *n - first < w->s.rows ? *n - first : w->s.rows;
    for (size_t i = 0; i < R; i++) {
      row(w, g, i, w->set, *n);
      flip(w, i, w->set[first + i]);
    }
    sg_status st = run(w, g, R, w->margin, err);
    if (st) return st;
    for (size_t i = 0; i < R; i++)
      if (reached(g, w->margin[i])) can[able++] = (leaving){first + i, g == KEEP ? w->margin[i] : -w->margin[i]};
  }
  if (!able) return SG_OK;
  qsort(can, able, sizeof *can, by_need);
  /* All of them, half, a quarter, ... one: the most that still reaches the goal. */
  size_t some[64], R = 0, most = 1;
  for (size_t k = able; k > 1 && R < w->s.rows && R < SGI_COUNT(some); k = (k + 1) / 2) {
    row(w, g, R, w->set, *n);
    for (size_t i = 0; i < k; i++) flip(w, R, w->set[can[i].member]);
    some[R++] = k;
    if (k == 2) break;
  }
  sg_status st = R ? run(w, g, R, w->margin, err) : SG_OK;
  if (st) return st;
  for (size_t i = R; i-- > 0;)
    if (reached(g, w->margin[i])) most = some[i] > most ? some[i] : most;
  for (size_t i = 0; i < most; i++) w->set[can[i].member] = SIZE_MAX;
  size_t left = 0;
  for (size_t i = 0; i < *n; i++)
    if (w->set[i] != SIZE_MAX) w->set[left++] = w->set[i];
  *n = left;
  return SG_OK;
}

static sg_status search(work *w, goal g, sg_minimal_set *out, sg_error *err) {
  size_t n;
  sg_status st = grow(w, g, &n, err);
  if (st || n > w->count) return st;
  out->found = true;
  out->first = n;
  leaving *can = sgi_alloc((n + 1) * sizeof *can);
  out->at = sgi_alloc((n + 1) * sizeof *out->at);
  if (!can || !out->at) st = sgi_fail_memory(err, n * sizeof *can, "a minimal set");
  for (size_t i = 0; i < n; i++) w->set[i] = i;
  for (size_t before = n + 1; n && n < before && !st;) {
    before = n;
    st = leave_out(w, g, &n, can, err);
  }
  sgi_free(can);
  if (st) return st;
  row(w, g, 0, w->set, n);
  st = run(w, g, 1, &out->margin, err);
  for (size_t i = 0; i < n && !st; i++) out->at[out->count++] = w->all[w->set[i]];
  if (!st && !reached(g, out->margin))
    st =
        sgi_fail(err, SG_ERR_INTERNAL, "a minimal set of %zu does not stand when run alone: margin %g", n, out->margin);
  return st;
}

/* The whole prompt, and nothing of the population. */
static sg_status ends(work *w, sg_error *err) {
  double margin[2];
  memset(w->silent, 0, w->count);
  sg_status st = run(w, LOSE, 1, &margin[0], err);
  if (!st) row(w, KEEP, 0, w->order, 0);
  if (!st) st = run(w, KEEP, 1, &margin[1], err);
  if (st) return st;
  w->out->margin = margin[0];
  w->out->silent = margin[1];
  return margin[0] > 0 ? SG_OK
                       : sgi_fail(err, SG_ERR_ARG,
                                  "token %d is not the answer at position %zu (margin %g): ask for the most probable "
                                  "one, or against one that is less",
                                  w->out->target, w->out->position, margin[0]);
}

static sg_status gather(work *w, sg_error *err) {
  const sg_exact *x = w->exact;
  size_t T = x->position + 1;
  w->count = x->neurons.count + x->heads.count;
  w->all = sgi_alloc((w->count + 1) * sizeof *w->all);
  w->at = sgi_alloc((w->count + 1) * sizeof *w->at);
  w->set = sgi_alloc((w->count + 1) * sizeof *w->set);
  w->order = sgi_alloc((w->count + 1) * sizeof *w->order);
  sg_term *members = sgi_alloc((w->count + 1) * sizeof *members);
  sg_status st = SG_OK;
  if (!w->all || !w->at || !w->set || !w->order || !members)
    st = sgi_fail_memory(err, w->count * sizeof *w->all, "minimal sets");
  if (!st) {
    memcpy(w->all, x->neurons.at, x->neurons.count * sizeof *w->all);
    if (x->heads.count) memcpy(w->all + x->neurons.count, x->heads.at, x->heads.count * sizeof *w->all);
    qsort(w->all, w->count, sizeof *w->all, by_effect);
    for (size_t i = 0; i < w->count; i++) members[i] = w->all[i].term;
    st = sgi_silencer_init(&w->s, w->model, w->r->prompt.tokens, T, members, w->count, w->r->heads, w->r->means,
                           w->r->prompt.max_bytes, w->at, err);
  }
  sgi_free(members);
  if (st) return st;
  w->silent = sgi_alloc(w->s.rows * (w->count + 1));
  w->margin = sgi_alloc((w->s.rows + 1) * sizeof *w->margin);
  return w->silent && w->margin ? SG_OK : sgi_fail_memory(err, w->s.rows * w->count, "minimal sets");
}

sg_status sg_minimal_create(const sg_model *m, const sg_minimal_request *r, sg_minimal **out, sg_error *err) {
  *out = NULL;
  work w = {.model = m, .r = r, .out = sgi_alloc(sizeof *w.out)};
  if (!w.out) return sgi_fail_memory(err, sizeof *w.out, "minimal sets");
  sg_exact_request q = {.prompt = r->prompt, .no_heads = !r->heads};
  sg_status st = r->means && r->means->model != m ? sgi_fail(err, SG_ERR_ARG, "the means are those of another model")
                                                  : sg_exact_create(m, &q, &w.exact, err);
  if (!st) st = gather(&w, err);
  if (!st) {
    *w.out = (sg_minimal){
        .position = w.exact->position, .target = w.exact->target, .against = w.exact->against, .population = w.count};
    st = ends(&w, err);
  }
  if (!st) st = search(&w, KEEP, &w.out->keep, err);
  if (!st) st = search(&w, LOSE, &w.out->lose, err);
  w.out->runs = w.s.runs;
  sg_exact_free(w.exact);
  sgi_silencer_deinit(&w.s);
  sgi_free(w.all);
  sgi_free(w.at);
  sgi_free(w.set);
  sgi_free(w.order);
  sgi_free(w.silent);
  sgi_free(w.margin);
  if (st)
    sg_minimal_free(w.out);
  else
    *out = w.out;
  return st;
}

void sg_minimal_free(sg_minimal *x) {
  if (!x) return;
  sgi_free(x->keep.at);
  sgi_free(x->lose.at);
  sgi_free(x);
}
