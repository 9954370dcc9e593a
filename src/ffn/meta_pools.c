/* meta_pools.c: the pools of a metarouter. A *visit* is a pool at a row that chose it; visits lie
 * pool by pool, rows in order, and the skeleton runs on the gathered rows of each pool in turn.
 *
 *   saved     one list for all: index, score, value, active (n,C,k K)
 *             pool (n,k); slot (n k) of visits, place (n,k) of picks, start (M+1)
 *             out (n k, D): p_e y_e of every visit
 *             blocks: what the skeleton keeps for each pool
 *   scratch   x (n k, D) gathered; the skeleton's own
 *
 * The list for all is what readers and taps see. What a tap changes goes back into the pools before
 * the next stage: scores, flags and values as they are; indices that name another pool move the
 * pick there, with the p that this pool has at the row. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ffn/meta.h"
#include "ffn/router.h"
#include "ffn/sparse_kind.h"
#include "math/gemm.h"
#include "math/kernels.h"

typedef struct kept {
  size_t C, K, k, M, F, D, visits; /* K: of one pool */
  int32_t *index;                  /* (n,C,k K) */
  float *score, *value;            /* (n,C,k K) */
  int32_t *active;                 /* (n,C,k K); NULL without gates */
  int32_t *pool, *slot, *place, *start;
  float *out;
  char *blocks;
  sg_config own; /* of one pool */
} kept;

typedef struct work {
  float *x;     /* (n k, D) */
  float *plain; /* (n k, C, K) values without p */
  float *dy, *dx;
  float *dz; /* (n,M) */
} work;

static void layout(const sg_config *c, size_t n, sgi_arena *a, kept *k) {
  sgi_meta_pool(c, &k->own);
  k->C = c->num_channels;
  k->K = k->own.top_k;
  k->k = c->options.meta_top_k;
  k->M = c->options.meta_experts;
  k->F = k->own.num_neurons;
  k->D = c->hidden_size;
  k->visits = n * k->k;
  size_t m = k->visits * k->C * k->K;
  k->index = SGI_TAKE(a, m, int32_t);
  k->score = SGI_TAKE(a, m, float);
  k->value = SGI_TAKE(a, m, float);
  k->active = sgi_jump_on(c) ? SGI_TAKE(a, m, int32_t) : NULL;
  k->pool = SGI_TAKE(a, k->visits, int32_t);
  k->slot = SGI_TAKE(a, k->visits, int32_t);
  k->place = SGI_TAKE(a, k->visits, int32_t);
  k->start = SGI_TAKE(a, k->M + 1, int32_t);
  k->out = SGI_TAKE(a, k->visits * k->D, float);
  sgi_arena blocks = {.threads = a->threads};
  sgi_sparse_saved_parts(&k->own, k->visits, k->M, &blocks);
  k->blocks = sgi_take(a, blocks.used, 1);
}

static void layout_work(const kept *k, size_t n, bool backward, sgi_arena *a, work *w) {
  w->x = SGI_TAKE(a, k->visits * k->D, float);
  w->plain = backward ? NULL : SGI_TAKE(a, k->visits * k->C * k->K, float);
  w->dy = backward ? SGI_TAKE(a, k->visits * k->D, float) : NULL;
  w->dx = backward ? SGI_TAKE(a, k->visits * k->D, float) : NULL;
  w->dz = SGI_TAKE(a, n * k->M, float);
}

void sgi_meta_saved(const sg_config *c, size_t n, sgi_arena *a) { layout(c, n, a, &(kept){0}); }

void sgi_meta_scratch(const sg_config *c, size_t n, bool backward, sgi_arena *a) {
  kept k;
  layout(c, n, &(sgi_arena){.threads = a->threads}, &k);
  sgi_arena gate = *a;
  sgi_linear_scratch(n, k.D, k.M, &gate);
  layout_work(&k, n, backward, a, &(work){0});
  sgi_arena back = *a;
  sgi_linear_scratch(n, k.D, k.M, &back);
  sgi_sparse_scratch(&k.own, k.visits, backward, a);
  if (gate.used > a->used) *a = gate;
  if (back.used > a->used) *a = back;
}

/* ---- tensors --------------------------------------------------------------------------------- */

sg_status sgi_meta_tensors(const sg_config *c, const char *prefix, sgi_table *t, sg_error *err) {
  size_t D = c->hidden_size, M = c->options.meta_experts;
  sg_config own;
  sgi_meta_pool(c, &own);
  sg_status st = SG_OK;
  if (sgi_meta_gated(c))
    st = sgi_table_add(t, prefix, "meta.gate.weight", SGI_DIMS(M, D), true, SGI_INIT_LECUN, 1 / sqrt((double)D), err);
  for (size_t e = 0; e < M && !st; e++) {
    char inner[SGI_MAX_TENSOR_NAME];
    size_t before = t->count;
    snprintf(inner, sizeof inner, "%smeta.%zu.", prefix, e);
    st = sgi_sparse_tensors(&own, inner, t, err);
    if (!st && t->count - before != sgi_sparse_tensor_count(&own))
      st = sgi_fail(err, SG_ERR_INTERNAL, "%s has %zu tensors, expected %zu", inner, t->count - before,
                    sgi_sparse_tensor_count(&own));
  }
  return st;
}

static size_t tensors_of(const sg_config *c, const sg_config *own, size_t e) {
  return (sgi_meta_gated(c) ? 1 : 0) + e * sgi_sparse_tensor_count(own);
}

uint64_t sgi_meta_multiply_adds(const sg_config *c) {
  sg_config own;
  sgi_meta_pool(c, &own);
  uint64_t gate = sgi_meta_gated(c) ? (uint64_t)c->options.meta_experts * c->hidden_size : 0;
  return gate + c->options.meta_top_k * sgi_sparse_multiply_adds(&own);
}

/* ---- visits ---------------------------------------------------------------------------------- */

static size_t first_of(const kept *k, size_t e) { return (size_t)k->start[e]; }
static size_t count_of(const kept *k, size_t e) { return (size_t)(k->start[e + 1] - k->start[e]); }
static size_t row_of(const kept *k, size_t visit) { return (size_t)k->slot[visit] / k->k; }

/* From pool: a counting sort, rows in order. */
static void make_visits(const kept *k) {
  memset(k->start, 0, (k->M + 1) * sizeof *k->start);
  for (size_t i = 0; i < k->visits; i++) k->start[k->pool[i] + 1]++;
  for (size_t e = 0; e < k->M; e++) k->start[e + 1] += k->start[e];
  int32_t next[SGI_META_MOST];
  for (size_t e = 0; e < k->M; e++) next[e] = k->start[e];
  for (size_t i = 0; i < k->visits; i++) {
    int32_t v = next[k->pool[i]]++;
    k->slot[v] = (int32_t)i;
    k->place[i] = v;
  }
}

/* out (visits,D) = rows of x, each times its p where p (n,M) is given. */
static void gather(const kept *k, const float *x, const float *p, float *out) {
#pragma omp parallel for schedule(static) if (k->visits > 64)
  for (size_t v = 0; v < k->visits; v++) {
    memcpy(out + v * k->D, x + row_of(k, v) * k->D, k->D * sizeof *out);
    if (p) sgi_kernel_table()->scale(out + v * k->D, p[row_of(k, v) * k->M + (size_t)k->pool[k->slot[v]]], k->D);
  }
}

/* y (n,D) = the sum over each row's picks, in their order. */
static void scatter(const kept *k, size_t n, float *y, const float *from) {
#pragma omp parallel for schedule(static) if (n > 64)
  for (size_t i = 0; i < n; i++) {
    const int32_t *place = k->place + i * k->k;
    memcpy(y + i * k->D, from + (size_t)place[0] * k->D, k->D * sizeof *y);
    for (size_t q = 1; q < k->k; q++) sgi_kernel_table()->add(y + i * k->D, from + (size_t)place[q] * k->D, k->D);
  }
}

/* ---- the skeleton on one pool ---------------------------------------------------------------- */

typedef struct pool_call {
  sgi_ffn_call call;
  sgi_drop drop;   /* what call.drop is, if anything is left out */
  size_t e, first; /* the pool, its first visit */
} pool_call;

/* The next pool that has rows, in order; false behind the last. Begin with a zeroed one. */
static bool next_pool(const sgi_ffn_call *call, const kept *k, sgi_arena scratch, pool_call *p) {
  size_t e = p->call.config ? p->e + 1 : 0;
  char *block = p->call.config ? p->call.saved.base + p->call.saved.size : k->blocks;
  while (e < k->M && !count_of(k, e)) e++;
  if (e == k->M) return false;
  sgi_arena size = {0};
  sgi_sparse_saved(&k->own, count_of(k, e), &size);
  size_t at = tensors_of(call->config, &k->own, e);
  *p = (pool_call){.e = e, .first = first_of(k, e)};
  p->call = (sgi_ffn_call){.config = &k->own,
                           .w = call->w + at,
                           .dw = call->dw ? call->dw + at : NULL,
                           .sink = call->sink ? call->sink + at : NULL,
                           .n = count_of(k, e),
                           .saved = {.base = block, .size = size.used},
                           .training = call->training,
                           .scratch = scratch,
                           .tap = call->tap,
                           .aux = call->aux};
  if (!call->drop) return true;
  p->drop = *call->drop;
  p->drop.slot = k->slot + p->first;
  p->drop.picks = k->k;
  p->drop.pool = e;
  p->drop.pools = k->M;
  p->call.drop = &p->drop;
  return true;
}

/* A stage takes its pieces out of the call's arenas, so it is handed a copy. */
static sg_status run_stage(int stage, const pool_call *p, float *y, const float *x) {
  sgi_ffn_call own = p->call;
  return sgi_sparse_stages[stage].run(&own, y, x);
}

/* Where the skeleton keeps a site of the pool's rows. */
static void *kept_of(const pool_call *p, sgi_site_id id) {
  sgi_left left = {0};
  sgi_sparse_left(&p->call, id, &left);
  return left.data;
}

enum { OUT_OF_POOL, INTO_POOL };

/* Entries of a pool's rows, 4 bytes each, between its own list and that for all. */
static void move(const kept *k, const pool_call *p, int way, void *all, void *own) {
  size_t bytes = k->K * sizeof(float);
#pragma omp parallel for schedule(static) if (p->call.n > 256)
  for (size_t j = 0; j < p->call.n; j++) {
    size_t slot = (size_t)k->slot[p->first + j], i = slot / k->k, q = slot % k->k;
    for (size_t ch = 0; ch < k->C; ch++) {
      char *here = (char *)all + ((i * k->C + ch) * k->k + q) * bytes, *there = (char *)own + (j * k->C + ch) * bytes;
      memcpy(way == INTO_POOL ? there : here, way == INTO_POOL ? here : there, bytes);
    }
  }
}

/* Units of a pool's rows have other numbers in the list for all. */
static void move_index(const kept *k, const pool_call *p, int way) {
  int32_t *own = kept_of(p, SGI_SITE_ROUTER_INDICES), shift = (int32_t)(p->e * k->F);
  size_t m = p->call.n * k->C * k->K;
  if (way == INTO_POOL) move(k, p, way, k->index, own);
  for (size_t i = 0; i < m; i++) own[i] += way == INTO_POOL ? -shift : shift;
  if (way == INTO_POOL) return;
  move(k, p, way, k->index, own);
  for (size_t i = 0; i < m; i++) own[i] -= shift;
}

/* ---- forward --------------------------------------------------------------------------------- */

static sg_status run_routers(sgi_ffn_call *call, const kept *k, const work *w, sgi_arena scratch) {
  sg_status st = SG_OK;
  for (pool_call p = {0}; !st && next_pool(call, k, scratch, &p);)
    st = run_stage(SGI_SPARSE_ROUTE, &p, NULL, w->x + p.first * k->D);
  return st;
}

static sg_status route(sgi_ffn_call *call, const kept *k, const work *w, sgi_arena scratch, const float *x) {
  sgi_meta_shared s = sgi_meta_shared_of(call, false);
  memcpy(k->pool, s.choice, k->visits * sizeof *k->pool);
  make_visits(k);
  gather(k, x, NULL, w->x);
  sg_status st = run_routers(call, k, w, scratch);
  for (pool_call p = {0}; !st && next_pool(call, k, scratch, &p);) {
    move_index(k, &p, OUT_OF_POOL);
    move(k, &p, OUT_OF_POOL, k->score, kept_of(&p, SGI_SITE_ROUTER_SCORES));
  }
  return st;
}

/* The pool that all units of a pick belong to; M where there is none. */
static size_t pool_of_pick(const kept *k, size_t i, size_t q) {
  size_t e = (size_t)k->index[(i * k->C * k->k + q) * k->K] / k->F;
  for (size_t ch = 0; ch < k->C; ch++)
    for (size_t s = 0; s < k->K; s++)
      if ((size_t)k->index[((i * k->C + ch) * k->k + q) * k->K + s] / k->F != e) return k->M;
  return e;
}

/* What a tap made of scores and indices. */
static sg_status adopt(sgi_ffn_call *call, const kept *k, const work *w, sgi_arena scratch, const float *x) {
  bool moved = false;
  for (size_t i = 0; i < k->visits; i++) {
    size_t e = pool_of_pick(k, i / k->k, i % k->k);
    if (e == k->M)
      return sgi_fail(call->tap->err, SG_ERR_ARG,
                      "edit of layers.%zu.router.indices: at row %zu the units of pick %zu lie in several pools of "
                      "%zu neurons: change all of them",
                      call->config->layer, i / k->k, i % k->k, k->F);
    moved = moved || k->pool[i] != (int32_t)e;
    k->pool[i] = (int32_t)e;
  }
  sg_status st = SG_OK;
  if (moved) {
    make_visits(k);
    gather(k, x, NULL, w->x);
    st = run_routers(call, k, w, scratch);
  }
  for (pool_call p = {0}; !st && next_pool(call, k, scratch, &p);) {
    move_index(k, &p, INTO_POOL);
    move(k, &p, INTO_POOL, k->score, kept_of(&p, SGI_SITE_ROUTER_SCORES));
  }
  return st;
}

static sg_status act(sgi_ffn_call *call, const kept *k, const work *w, sgi_arena scratch, const float *x) {
  sg_status st = call->tap ? adopt(call, k, w, scratch, x) : SG_OK;
  for (pool_call p = {0}; !st && k->active && next_pool(call, k, scratch, &p);) {
    st = run_stage(SGI_SPARSE_ACT, &p, NULL, w->x + p.first * k->D);
    move(k, &p, OUT_OF_POOL, k->active, kept_of(&p, SGI_SITE_ROUTER_ACTIVE));
  }
  return st;
}

/* p of each of a pool's rows, in order: p (n,M). */
static float p_of(const kept *k, const pool_call *p, const float *all, size_t j) {
  return all[row_of(k, p->first + j) * k->M + p->e];
}

static sg_status neurons(sgi_ffn_call *call, const kept *k, const work *w, sgi_arena scratch) {
  sgi_meta_shared s = sgi_meta_shared_of(call, false);
  size_t each = k->C * k->K;
  sg_status st = SG_OK;
  for (pool_call p = {0}; !st && next_pool(call, k, scratch, &p);) {
    if (k->active && call->tap) move(k, &p, INTO_POOL, k->active, kept_of(&p, SGI_SITE_ROUTER_ACTIVE));
    st = run_stage(SGI_SPARSE_NEURONS, &p, NULL, w->x + p.first * k->D);
    float *own = kept_of(&p, SGI_SITE_CHOSEN_NEURONS), *plain = w->plain + p.first * each;
    memcpy(plain, own, p.call.n * each * sizeof *own);
    for (size_t j = 0; j < p.call.n; j++) sgi_kernel_table()->scale(own + j * each, p_of(k, &p, s.p, j), each);
    move(k, &p, OUT_OF_POOL, k->value, own);
  }
  return st;
}

/* Output rows are summed with values that hold p; then the pool has its own back, for the way
 * back. One that a tap changed is what it would have to be. */
static sg_status sum(sgi_ffn_call *call, const kept *k, const work *w, sgi_arena scratch, float *y, const float *x) {
  sgi_meta_shared s = sgi_meta_shared_of(call, false);
  size_t each = k->C * k->K;
  sg_status st = SG_OK;
  for (pool_call p = {0}; !st && next_pool(call, k, scratch, &p);) {
    float *own = kept_of(&p, SGI_SITE_CHOSEN_NEURONS), *plain = w->plain + p.first * each;
    if (call->tap) move(k, &p, INTO_POOL, k->value, own);
    st = run_stage(SGI_SPARSE_SUM, &p, k->out + p.first * k->D, x);
    for (size_t j = 0; j < p.call.n; j++)
      for (size_t i = j * each; i < (j + 1) * each; i++) {
        float weight = p_of(k, &p, s.p, j);
        own[i] = own[i] == plain[i] * weight ? plain[i] : weight > 0 ? own[i] / weight : 0;
      }
  }
  if (!st) scatter(k, call->n, y, k->out);
  return st;
}

sg_status sgi_meta_stage(int stage, sgi_ffn_call *call, float *y, const float *x) {
  if (stage == SGI_SPARSE_GATE) return sgi_meta_gate(call, x);
  kept k;
  work w;
  sgi_arena block = call->saved, scratch = call->scratch;
  layout(call->config, call->n, &block, &k);
  layout_work(&k, call->n, false, &scratch, &w);
  return stage == SGI_SPARSE_ROUTE     ? route(call, &k, &w, scratch, x)
         : stage == SGI_SPARSE_ACT     ? act(call, &k, &w, scratch, x)
         : stage == SGI_SPARSE_NEURONS ? neurons(call, &k, &w, scratch)
                                       : sum(call, &k, &w, scratch, y, x);
}

void sgi_meta_left(const sgi_ffn_call *call, sgi_site_id id, sgi_left *out) {
  sgi_arena block = call->saved;
  sgi_meta_shared s = sgi_meta_shared_of(call, false);
  kept k;
  layout(call->config, call->n, &block, &k);
  out->data = id == SGI_SITE_META_PROBABILITIES ? (void *)s.p
              : id == SGI_SITE_META_CHOICE      ? (void *)s.choice
              : id == SGI_SITE_ROUTER_SCORES    ? (void *)k.score
              : id == SGI_SITE_ROUTER_INDICES   ? (void *)k.index
              : id == SGI_SITE_ROUTER_ACTIVE    ? (void *)k.active
                                                : (void *)k.value;
}

/* ---- backward -------------------------------------------------------------------------------- */

/* y = sum_e p_e y_e: dy_e = p_e dy; p_e dp_e = dy . (p_e y_e), for the gate. */
sg_status sgi_meta_backward(sgi_ffn_call *call, float *dx, const float *dy, const float *x) {
  sgi_meta_shared s = sgi_meta_shared_of(call, true);
  kept k;
  work w;
  sgi_arena block = call->saved, scratch = call->scratch;
  layout(call->config, call->n, &block, &k);
  layout_work(&k, call->n, true, &scratch, &w);
#pragma omp parallel for schedule(static) if (call->n > 64)
  for (size_t i = 0; i < call->n; i++)
    for (size_t v = i * k.k; v < (i + 1) * k.k; v++)
      s.dp[i * k.M + (size_t)k.pool[v]] += sgi_kernel_table()->dot(dy + i * k.D, k.out + (size_t)k.place[v] * k.D, k.D);
  gather(&k, x, NULL, w.x);
  gather(&k, dy, s.p, w.dy);
  sg_status st = SG_OK;
  for (pool_call p = {0}; !st && next_pool(call, &k, scratch, &p);) {
    size_t at = p.first * k.D;
    sgi_ffn_call own = p.call;
    st = sgi_sparse_backward(&own, w.dx + at, w.dy + at, w.x + at);
  }
  if (st) return st;
  scatter(&k, call->n, dx, w.dx);
  return sgi_meta_gated(call->config) ? sgi_meta_gate_backward(call, w.dz, scratch, dx, x) : SG_OK;
}

/* Gates of all pools are one layer's. */
void sgi_meta_measure(const sgi_ffn_call *call, sgi_aux *total) {
  sgi_arena block = call->saved;
  kept k;
  layout(call->config, call->n, &block, &k);
  sgi_meta_gate_measure(call, total);
  size_t layers = total->gate_layers;
  for (pool_call p = {0}; next_pool(call, &k, (sgi_arena){0}, &p);) sgi_sparse_measure(&p.call, total);
  total->gate_layers = layers + (k.active ? 1 : 0);
}

/* ---- reading --------------------------------------------------------------------------------- */

void sgi_meta_gates(const sg_config *c, size_t n, sgi_arena block, sgi_gates *out) {
  kept k;
  layout(c, n, &block, &k);
  *out = (sgi_gates){k.index, k.score, k.value, k.C, c->top_k, c->num_neurons, sgi_ffn_of(c)->sparse->pool_per_channel};
}

size_t sgi_meta_unit_count(const sg_config *c) { return c->num_channels * c->top_k; }

bool sgi_meta_unit_at(const sg_config *c, const sgi_weight *const *w, size_t channel, size_t index, sgi_unit *out) {
  sg_config own;
  sgi_meta_pool(c, &own);
  size_t e = index / own.num_neurons;
  if (e >= c->options.meta_experts ||
      !sgi_sparse_unit_at(&own, w + tensors_of(c, &own, e), channel, index % own.num_neurons, out))
    return false;
  out->index = (int32_t)index;
  return true;
}

/* A pool's units, their gates times p. */
void sgi_meta_units(const sgi_ffn_call *call, size_t row, sgi_unit *out, double *bias) {
  const sg_config *c = call->config;
  sgi_arena block = call->saved;
  sgi_meta_shared s = sgi_meta_shared_of(call, false);
  kept k;
  layout(c, call->n, &block, &k);
  for (pool_call p = {0}; next_pool(call, &k, (sgi_arena){0}, &p);)
    for (size_t q = 0; q < k.k; q++) {
      size_t visit = (size_t)k.place[row * k.k + q];
      if (visit < p.first || visit >= p.first + p.call.n) continue;
      for (size_t ch = 0; ch < k.C; ch++)
        sgi_sparse_channel_units(&p.call, visit - p.first, ch, out + (ch * k.k + q) * k.K);
      double weight = (double)s.p[row * k.M + p.e];
      for (size_t ch = 0; ch < k.C; ch++)
        for (size_t j = 0; j < k.K; j++) {
          sgi_unit *u = out + (ch * k.k + q) * k.K + j;
          u->index += (int32_t)(p.e * k.F);
          u->value *= weight;
          u->gate *= weight;
          u->constant *= weight;
        }
    }
  for (size_t d = 0; d < k.D; d++) bias[d] = 0;
}

void sgi_meta_routes(const sg_config *c, sgi_routes *out) {
  sg_config own;
  sgi_meta_pool(c, &own);
  sgi_sparse_routes(&own, out);
  out->pools = c->options.meta_experts;
}

sg_status sgi_meta_route_rows(const sg_config *c, const sgi_weight *const *w, size_t channel, float *rows) {
  sg_config own;
  sgi_meta_pool(c, &own);
  size_t e = channel / own.num_channels;
  return sgi_sparse_route_rows(&own, w + tensors_of(c, &own, e), channel % own.num_channels, rows);
}
