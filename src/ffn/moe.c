/* moe: the K experts of largest gate logit, each a glu of width F, weighted by the softmax over all
 * C experts (golden README no. 10; docs/method.md, moe). Rows are grouped by expert: no capacity
 * limit, no dropped token, nothing computed for experts that were not chosen. */
#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "ffn/ffn.h"
#include "ffn/glu_unit.h"
#include "math/gemm.h"
#include "math/rows.h"
#include "math/stored.h"
#include "math/topk.h"

enum { GATE, UP, UP_BIAS, DOWN, DOWN_BIAS };

static const float *bias_of(const sgi_ffn_call *call, int i) { return sgi_f32(call->w[i]); }

/* An expert's map: up (2F,D) or down (D,F). */
static sgi_weight map_of(const sgi_ffn_call *call, int i, size_t expert) {
  size_t rows = i == UP ? 2 * call->config->num_neurons : call->config->hidden_size;
  return sgi_weight_rows(call->w[i], expert * rows, rows);
}

typedef struct kept {
  float *logits;   /* (n,C) */
  float *p;        /* (n,C) */
  int32_t *index;  /* (n,K) */
  float *score;    /* (n,K) logits of the chosen */
  uint32_t *start; /* (C+1) rows [start[e], start[e+1]) of the grouped arrays belong to expert e */
  int32_t *token;  /* (n*K) token of a grouped row */
  int32_t *place;  /* (n,K) grouped row of a choice */
  float *x;        /* (n*K,D) grouped inputs */
  float *u;        /* (n*K,2F) */
  float *h;        /* (n*K,F; ldh) */
  float *y;        /* (n*K,D) expert outputs, not yet weighted */
  size_t ldh;
} kept;

static void layout(const sg_config *c, size_t n, sgi_arena *a, kept *k) {
  size_t C = c->num_channels, K = c->top_k, F = c->num_neurons, D = c->hidden_size;
  k->logits = SGI_TAKE(a, n * C, float);
  k->p = SGI_TAKE(a, n * C, float);
  k->index = SGI_TAKE(a, n * K, int32_t);
  k->score = SGI_TAKE(a, n * K, float);
  k->start = SGI_TAKE(a, C + 1, uint32_t);
  k->token = SGI_TAKE(a, n * K, int32_t);
  k->place = SGI_TAKE(a, n * K, int32_t);
  k->x = SGI_TAKE(a, n * K * D, float);
  k->u = SGI_TAKE(a, n * K * 2 * F, float);
  k->ldh = sgi_stride(F);
  k->h = SGI_TAKE(a, n * K * k->ldh, float);
  k->y = SGI_TAKE(a, n * K * D, float);
}

static void saved(const sg_config *c, size_t n, sgi_arena *a) { layout(c, n, a, &(kept){0}); }

typedef struct work {
  float *dy; /* (n*K,D), then dx of the grouped rows */
  float *dh; /* (n*K,F) */
  float *du; /* (n*K,2F; ldu) */
  float *dp; /* (n,C), then dlogits */
  size_t ldu;
} work;

static void layout_work(const sg_config *c, size_t n, sgi_arena *a, work *w) {
  size_t rows = n * c->top_k;
  w->dy = SGI_TAKE(a, rows * c->hidden_size, float);
  w->dh = SGI_TAKE(a, rows * c->num_neurons, float);
  w->ldu = sgi_stride(2 * c->num_neurons);
  w->du = SGI_TAKE(a, rows * w->ldu, float);
  w->dp = SGI_TAKE(a, n * c->num_channels, float);
}

/* A row of hidden activations put together for a tap, and the transposed weights of all experts
 * (gemm.h) where an expert's rows are many: of up while the hidden activations are made, of down
 * while the outputs are. */
typedef struct packed {
  float *row; /* (K,F) */
  float *wt;  /* NULL, or (C,in,out; ld) */
  size_t ld;
} packed;

static void layout_packed(const sg_config *c, size_t n, size_t in, size_t out, sgi_arena *a, packed *p) {
  *p = (packed){.row = SGI_TAKE(a, c->top_k * c->num_neurons, float), .ld = sgi_stride(out)};
  if (n * c->top_k / c->num_channels >= SGI_COPY_ROWS) p->wt = SGI_TAKE(a, c->num_channels * in * p->ld, float);
}

static void keep_larger(sgi_arena *a, const sgi_arena *b) {
  if (b->used > a->used) a->used = b->used;
}

/* Parts of a pass that take turns in one room: the products of the experts, of which the second
 * takes half of the first, and the gate with what backward works in. */
static void scratch(const sg_config *c, size_t n, bool backward, sgi_arena *a) {
  size_t D = c->hidden_size, F = c->num_neurons;
  sgi_arena up = *a, gate = *a;
  layout_packed(c, n, D, 2 * F, &up, &(packed){0});
  if (backward) layout_work(c, n, &gate, &(work){0});
  sgi_linear_scratch(n, D, c->num_channels, &gate);
  *a = up;
  keep_larger(a, &gate);
}

static sg_status check(const sg_config *c, sg_error *err) {
  if (c->top_k > c->num_channels || c->top_k > SGI_MAX_TOP_K)
    return sgi_fail(err, SG_ERR_ARG, "feedforward.top_k is %zu: at most num_channels = %zu (the experts) and %d",
                    c->top_k, c->num_channels, SGI_MAX_TOP_K);
  return SG_OK;
}

static sg_status tensors(const sg_config *c, const char *prefix, sgi_table *t, sg_error *err) {
  size_t C = c->num_channels, F = c->num_neurons, D = c->hidden_size;
  double in = 1 / sqrt((double)D), hidden = 1 / sqrt((double)F);
  sg_status st = sgi_table_add(t, prefix, "gate.weight", SGI_DIMS(C, D), true, SGI_INIT_LECUN, in, err);
  if (!st)
    st = sgi_table_add(t, prefix, "experts.gate_up_proj.weight", SGI_DIMS(C, 2 * F, D), true, SGI_INIT_LECUN, in, err);
  /* Stacked biases have two dimensions here and are vectors in the reference: not decayed (golden
   * README no. 23). */
  if (!st) st = sgi_table_add(t, prefix, "experts.gate_up_proj.bias", SGI_DIMS(C, 2 * F), false, SGI_INIT_ZERO, 0, err);
  if (!st)
    st = sgi_table_add(t, prefix, "experts.down_proj.weight", SGI_DIMS(C, D, F), true, SGI_INIT_LECUN, hidden, err);
  if (!st) st = sgi_table_add(t, prefix, "experts.down_proj.bias", SGI_DIMS(C, D), false, SGI_INIT_ZERO, 0, err);
  return st;
}

static uint64_t multiply_adds(const sg_config *c) {
  return (uint64_t)c->hidden_size * (c->num_channels + 3 * c->top_k * c->num_neurons);
}

/* Groups the choices by expert, tokens in order. */
static void group(const sg_config *c, size_t n, kept *k) {
  size_t C = c->num_channels, K = c->top_k;
  memset(k->start, 0, (C + 1) * sizeof *k->start);
  for (size_t i = 0; i < n * K; i++) k->start[k->index[i] + 1]++;
  for (size_t e = 0; e < C; e++) k->start[e + 1] += k->start[e];
  for (size_t i = 0; i < n * K; i++) {
    uint32_t at = k->start[k->index[i]]++;
    k->place[i] = (int32_t)at;
    k->token[at] = (int32_t)(i / K);
  }
  for (size_t e = C; e > 0; e--) k->start[e] = k->start[e - 1];
  k->start[0] = 0;
}

/* Weights of `maps` of the three once, inputs or outputs and hidden values of every row. */
static double experts_bytes(const sg_config *c, size_t n, size_t maps) {
  double D = (double)c->hidden_size, F = (double)c->num_neurons, m = (double)maps;
  return 4.0 * (m * (double)c->num_channels * D * F + (double)(n * c->top_k) * (D + m * F));
}

/* Up to BLOCK grouped rows of one expert: a thread's task. */
enum { BLOCK = 256 };
typedef struct block {
  size_t expert, at, rows;
} block;

static size_t block_count(const sg_config *c, const kept *k) {
  size_t count = 0;
  for (size_t e = 0; e < c->num_channels; e++) count += (k->start[e + 1] - k->start[e] + BLOCK - 1) / BLOCK;
  return count;
}

static block block_at(const kept *k, size_t i) {
  for (size_t e = 0;; e++) {
    size_t rows = k->start[e + 1] - k->start[e], blocks = (rows + BLOCK - 1) / BLOCK;
    if (i < blocks) return (block){e, k->start[e] + i * BLOCK, rows - i * BLOCK < BLOCK ? rows - i * BLOCK : BLOCK};
    i -= blocks;
  }
}

/* Many blocks: each on a thread. A few (decoding): each by all threads. */
static bool shared(const sg_config *c, size_t n) { return n * c->top_k <= 2 * BLOCK; }

/* B (k,n; ldb) or, with tb, (n,k; ldb). */
static sg_status product(bool shared, bool tb, size_t m, size_t n, size_t k, const float *a, size_t lda, const float *b,
                         size_t ldb, float *y) {
  return shared ? sgi_gemm(false, tb, m, n, k, a, lda, b, ldb, 0, y, n)
                : sgi_gemm1(false, tb, m, n, k, 1, a, lda, b, ldb, 0, y, n);
}

/* y = a W^T or, without tb, a W, with the map as it is stored. */
static sg_status map_product(bool shared, bool tb, size_t m, const float *a, size_t lda, const sgi_weight *w,
                             float *y) {
  size_t rows = w->rows, width = w->width;
  if (w->dtype == SGI_F32)
    return tb ? product(shared, true, m, rows, width, a, lda, w->data, width, y)
              : product(shared, false, m, width, rows, a, lda, w->data, width, y);
  if (!shared) return sgi_stored_product1(tb, m, a, lda, w, 0, y, tb ? rows : width);
  return tb ? sgi_stored_linear(y, rows, a, lda, w, m, (sgi_arena){0})
            : sgi_stored_linear_dx(y, width, a, lda, w, m, 0, (sgi_arena){0});
}

/* h = glu(x W_up). */
static sg_status block_hidden(const sgi_ffn_call *call, const kept *k, const void *room, block b, bool shared) {
  const packed *p = room;
  size_t F = call->config->num_neurons, D = call->config->hidden_size;
  sgi_weight up = map_of(call, UP, b.expert);
  float *u = k->u + b.at * 2 * F;
  const float *x = k->x + b.at * D;
  sg_status st = p->wt ? product(shared, false, b.rows, 2 * F, D, x, D, p->wt + b.expert * D * p->ld, p->ld, u)
                       : map_product(shared, true, b.rows, x, D, &up, u);
  for (size_t i = 0; i < b.rows && !st; i++)
    sgi_kernel_table()->glu(k->h + (b.at + i) * k->ldh, u + i * 2 * F, bias_of(call, UP_BIAS) + b.expert * 2 * F, 1, F);
  return st;
}

/* y = h W_down. */
static sg_status block_out(const sgi_ffn_call *call, const kept *k, const void *room, block b, bool shared) {
  const packed *p = room;
  size_t F = call->config->num_neurons, D = call->config->hidden_size;
  sgi_weight down = map_of(call, DOWN, b.expert);
  float *y = k->y + b.at * D;
  const float *h = k->h + b.at * k->ldh;
  sg_status st = p->wt ? product(shared, false, b.rows, D, F, h, k->ldh, p->wt + b.expert * F * p->ld, p->ld, y)
                       : map_product(shared, true, b.rows, h, k->ldh, &down, y);
  for (size_t i = 0; i < b.rows && !st; i++)
    sgi_kernel_table()->add(y + i * D, bias_of(call, DOWN_BIAS) + b.expert * D, D);
  return st;
}

static float *rows_at(float *x, size_t first, size_t width) { return x + first * width; }

/* dh = dy W_down, du = glu', dx = du W_up in dy's room. Each block has rows of its own in all
 * three: blocks run side by side. */
static sg_status block_backward(const sgi_ffn_call *call, const kept *k, const void *room, block b, bool shared) {
  const work *w = room;
  const sg_config *c = call->config;
  size_t F = c->num_neurons, D = c->hidden_size;
  float *dy = rows_at(w->dy, b.at, D), *dh = rows_at(w->dh, b.at, F), *du = rows_at(w->du, b.at, w->ldu);
  sgi_weight up = map_of(call, UP, b.expert), down = map_of(call, DOWN, b.expert);
  sg_status st = map_product(shared, false, b.rows, dy, D, &down, dh);
  if (st) return st;
  for (size_t i = 0; i < b.rows; i++)
    sgi_kernel_table()->glu_backward(du + i * w->ldu, dh + i * F, k->u + (b.at + i) * 2 * F, 1, F);
  return map_product(shared, false, b.rows, du, w->ldu, &up, dy);
}

typedef sg_status (*block_step)(const sgi_ffn_call *call, const kept *k, const void *room, block b, bool shared);

/* One step for all blocks; room: packed weights, or work of the backward one. A few are a loop of
 * their own, not a region with if(): in such a region each product would start its threads anew. */
static sg_status blocks(const sgi_ffn_call *call, const kept *k, const void *room, block_step step) {
  size_t count = block_count(call->config, k);
  atomic_int worst = SG_OK;
  if (shared(call->config, call->n)) {
    sg_status st = SG_OK;
    for (size_t i = 0; i < count && !st; i++) st = step(call, k, room, block_at(k, i), true);
    return st;
  }
#pragma omp parallel for schedule(dynamic, 1)
  for (size_t i = 0; i < count; i++) {
    sg_status st = step(call, k, room, block_at(k, i), false);
    if (st) atomic_store(&worst, st);
  }
  return (sg_status)atomic_load(&worst);
}

static sg_status gate(sgi_ffn_call *call, float *y, const float *x) {
  (void)y;
  const sg_config *c = call->config;
  size_t n = call->n, C = c->num_channels, D = c->hidden_size;
  kept k;
  layout(c, n, &call->saved, &k);
  return sgi_stored_linear(k.logits, C, x, D, call->w[GATE], n, call->scratch);
}

static sg_status choose(sgi_ffn_call *call, float *y, const float *x) {
  (void)y, (void)x;
  size_t n = call->n, C = call->config->num_channels, K = call->config->top_k;
  const sgi_kernels *kern = sgi_kernel_table();
  kept k;
  layout(call->config, n, &call->saved, &k);
  double at = sgi_lap_begin(call->scratch.profile);
#pragma omp parallel for schedule(static) if (n > 64)
  for (size_t i = 0; i < n; i++) {
    float max, *p = k.p + i * C;
    memcpy(p, k.logits + i * C, C * sizeof *p);
    float sum = kern->softmax_exp(p, C, 1, &max);
    kern->scale(p, 1 / sum, C);
    sgi_topk(k.score + i * K, k.index + i * K, k.logits + i * C, C, K);
  }
  sgi_lap(call->scratch.profile, &at, "gate, grouping", 0, 8.0 * (double)(n * C));
  return SG_OK;
}

static sg_status hidden(sgi_ffn_call *call, float *y, const float *x) {
  (void)y;
  const sg_config *c = call->config;
  size_t n = call->n, C = c->num_channels, K = c->top_k, D = c->hidden_size, F = c->num_neurons;
  kept k;
  packed p;
  layout(c, n, &call->saved, &k);
  layout_packed(c, n, D, 2 * F, &call->scratch, &p);
  if (call->w[UP]->rounds) p.wt = NULL;
  sgi_profile *profile = call->scratch.profile;
  double at = sgi_lap_begin(profile);
  group(c, n, &k);
#pragma omp parallel for schedule(static) if (n > 8)
  for (size_t i = 0; i < n * K; i++) memcpy(k.x + i * D, x + (size_t)k.token[i] * D, D * sizeof *x);
  sgi_lap(profile, &at, "gate, grouping", 0, 8.0 * (double)(n * K * D));
  for (size_t e = 0; p.wt && e < C; e++) {
    sgi_weight up = map_of(call, UP, e);
    sgi_stored_pack(p.wt + e * D * p.ld, &up);
  }
  sg_status st = blocks(call, &k, &p, block_hidden);
  sgi_lap(profile, &at, "experts", 2 * sgi_product_flops(n * K, D, F), experts_bytes(c, n, 2));
  return st;
}

static sg_status out(sgi_ffn_call *call, float *y, const float *x) {
  (void)x;
  const sg_config *c = call->config;
  size_t n = call->n, C = c->num_channels, K = c->top_k, D = c->hidden_size, F = c->num_neurons;
  const sgi_kernels *kern = sgi_kernel_table();
  kept k;
  packed p;
  layout(c, n, &call->saved, &k);
  layout_packed(c, n, F, D, &call->scratch, &p);
  if (call->w[DOWN]->rounds) p.wt = NULL;
  sgi_profile *profile = call->scratch.profile;
  double at = sgi_lap_begin(profile);
  for (size_t e = 0; p.wt && e < C; e++) {
    sgi_weight down = map_of(call, DOWN, e);
    sgi_stored_pack(p.wt + e * F * p.ld, &down);
  }
  sg_status st = blocks(call, &k, &p, block_out);
  if (st) return st;
  sgi_lap(profile, &at, "experts", sgi_product_flops(n * K, D, F), experts_bytes(c, n, 1));
#pragma omp parallel for schedule(static) if (n > 8)
  for (size_t i = 0; i < n; i++) {
    float weight[SGI_MAX_TOP_K];
    for (size_t j = 0; j < K; j++) weight[j] = k.p[i * C + (size_t)k.index[i * K + j]];
    memset(y + i * D, 0, D * sizeof *y);
    kern->gather_axpy(y + i * D, k.y, k.place + i * K, weight, K, D);
  }
  sgi_lap(profile, &at, "gate, grouping", 0, 4.0 * (double)(n * (K + 1) * D));
  return SG_OK;
}

static const sgi_stage stages[] = {{"gate, grouping", gate, {SGI_SITE_GATE_LOGITS}},
                                   {"gate, grouping", choose, {SGI_SITE_GATE_INDICES}},
                                   {"experts", hidden, {SGI_SITE_EXPERT_NEURONS}},
                                   {"experts", out, {SGI_SITE_NONE}},
                                   {.run = NULL}};

/* The hidden activations lie grouped by expert; a tap sees them in the order of the row's
 * experts. */
static void left(const sgi_ffn_call *call, sgi_site_id id, sgi_left *to) {
  const sg_config *c = call->config;
  sgi_arena saved_block = call->saved, room = call->scratch;
  kept k;
  packed p;
  layout(c, call->n, &saved_block, &k);
  layout_packed(c, call->n, c->hidden_size, 2 * c->num_neurons, &room, &p);
  if (id == SGI_SITE_GATE_LOGITS) to->data = k.logits;
  if (id == SGI_SITE_GATE_INDICES) to->data = k.index;
  if (id == SGI_SITE_EXPERT_NEURONS) *to = (sgi_left){.data = k.h, .ld = k.ldh, .place = k.place, .row = p.row};
}

/* The products over all rows of an expert need dy, so they come before its room is taken; those of
 * du after. An expert without rows adds nothing. */
static sg_status experts_backward(const sgi_ffn_call *call, const kept *k, const work *w) {
  const sg_config *c = call->config;
  size_t C = c->num_channels, F = c->num_neurons, D = c->hidden_size;
  sg_status st = SG_OK;
  for (size_t e = 0; e < C && !st; e++) {
    size_t at = k->start[e], rows = k->start[e + 1] - at;
    sgi_column_sums(call->dw[DOWN_BIAS] + e * D, w->dy + at * D, D, rows, D);
    sgi_weight down = map_of(call, DOWN, e);
    st = sgi_stored_linear_dw(call->dw[DOWN] + e * D * F, w->dy + at * D, D, k->h + at * k->ldh, k->ldh, &down, rows,
                              NULL);
  }
  if (!st) st = blocks(call, k, w, block_backward);
  for (size_t e = 0; e < C && !st; e++) {
    size_t at = k->start[e], rows = k->start[e + 1] - at;
    sgi_column_sums(call->dw[UP_BIAS] + e * 2 * F, w->du + at * w->ldu, w->ldu, rows, 2 * F);
    sgi_weight up = map_of(call, UP, e);
    st = sgi_stored_linear_dw(call->dw[UP] + e * 2 * F * D, w->du + at * w->ldu, w->ldu, k->x + at * D, D, &up, rows,
                              NULL);
  }
  return st;
}

/* With y = sum p_e y_e: dy_e = p_e dy, dp_e = dy . y_e for the chosen and 0 for the others, and
 * through the softmax over all C: dlogit_e = p_e (dp_e - sum_j p_j dp_j), which is not 0 for
 * experts that were not chosen. */
static sg_status backward(sgi_ffn_call *call, float *dx, const float *dy, const float *x) {
  const sg_config *c = call->config;
  size_t n = call->n, C = c->num_channels, K = c->top_k, D = c->hidden_size;
  const sgi_kernels *kern = sgi_kernel_table();
  kept k;
  work w;
  layout(c, n, &call->saved, &k);
  layout_work(c, n, &call->scratch, &w);
  sgi_profile *profile = call->scratch.profile;
  double began = sgi_lap_begin(profile);
#pragma omp parallel for schedule(static) if (n > 8)
  for (size_t i = 0; i < n; i++) {
    const float *p = k.p + i * C;
    float *dp = w.dp + i * C, mean = 0;
    memset(dp, 0, C * sizeof *dp);
    for (size_t j = 0; j < K; j++) {
      size_t e = (size_t)k.index[i * K + j], at = (size_t)k.place[i * K + j];
      dp[e] = kern->dot(dy + i * D, k.y + at * D, D);
      mean += p[e] * dp[e];
      for (size_t d = 0; d < D; d++) w.dy[at * D + d] = p[e] * dy[i * D + d];
    }
    for (size_t e = 0; e < C; e++) dp[e] = p[e] * (dp[e] - mean);
  }
  sgi_lap(profile, &began, "gate, grouping backward", 0, 8.0 * (double)(n * K * D));
  sg_status st = experts_backward(call, &k, &w);
  sgi_lap(profile, &began, "experts backward", 6 * sgi_product_flops(n * K, D, c->num_neurons),
          2 * (experts_bytes(c, n, 2) + experts_bytes(c, n, 1)));
  sgi_profile_stage(profile, "gate, grouping backward");
  if (!st) st = sgi_linear_dw(call->dw[GATE], w.dp, C, x, D, n, D, C, call->scratch.profile);
  if (!st) st = sgi_stored_linear_dx(dx, D, w.dp, C, call->w[GATE], n, 0, call->scratch);
  if (st) return st;
  began = sgi_lap_begin(profile);
  float ones[SGI_MAX_TOP_K];
  for (size_t j = 0; j < K; j++) ones[j] = 1;
#pragma omp parallel for schedule(static) if (n > 8)
  for (size_t i = 0; i < n; i++) kern->gather_axpy(dx + i * D, w.dy, k.place + i * K, ones, K, D);
  sgi_lap(profile, &began, "gate, grouping backward", 0, 8.0 * (double)(n * K * D));
  return SG_OK;
}

static void gates(const sg_config *c, size_t n, sgi_arena saved_block, sgi_gates *out) {
  kept k;
  layout(c, n, &saved_block, &k);
  *out = (sgi_gates){k.index, k.score, NULL, 1, c->top_k, c->num_channels, true};
}

/* Of a unit's two inputs the linear one: the other is its gate. */
static bool unit_at(const sg_config *c, const sgi_weight *const *w, size_t channel, size_t index, sgi_unit *out) {
  size_t F = c->num_neurons, D = c->hidden_size;
  if (channel >= c->num_channels || index >= F) return false;
  *out = (sgi_unit){(int32_t)channel, (int32_t)index, .constant = sgi_f32(w[UP_BIAS])[channel * 2 * F + F + index] + 1,
                    .in = {.weight = w[UP], .at = (channel * 2 * F + F + index) * D, .stride = 1},
                    .out = {.weight = w[DOWN], .at = channel * D * F + index, .stride = F}};
  return true;
}

static size_t unit_count(const sg_config *c) { return c->top_k * c->num_neurons; }

/* An expert's probability is held with its gates. */
static void units(const sgi_ffn_call *call, size_t row, sgi_unit *out, double *bias) {
  const sg_config *c = call->config;
  size_t C = c->num_channels, K = c->top_k, F = c->num_neurons, D = c->hidden_size;
  sgi_arena saved_block = call->saved;
  kept k;
  layout(c, call->n, &saved_block, &k);
  for (size_t d = 0; d < D; d++) bias[d] = 0;
  for (size_t j = 0; j < K; j++) {
    size_t e = (size_t)k.index[row * K + j], at = (size_t)k.place[row * K + j];
    double p = k.p[row * C + e];
    for (size_t f = 0; f < F; f++, out++) {
      *out = sgi_glu_unit(k.h[at * k.ldh + f], k.u[at * 2 * F + F + f], bias_of(call, UP_BIAS)[e * 2 * F + F + f], p);
      out->channel = (int32_t)e;
      out->index = (int32_t)f;
      out->in = (sgi_slice){.weight = call->w[UP], .at = (e * 2 * F + F + f) * D, .stride = 1};
      out->out = (sgi_slice){.weight = call->w[DOWN], .at = e * D * F + f, .stride = F};
    }
    for (size_t d = 0; d < D; d++) bias[d] += p * bias_of(call, DOWN_BIAS)[e * D + d];
  }
}

static void routes(const sg_config *c, sgi_routes *out) { *out = (sgi_routes){1, 1, c->num_channels, c->top_k, 1}; }

static sg_status route_rows(const sg_config *c, const sgi_weight *const *w, size_t channel, float *rows) {
  (void)channel;
  (void)c;
  sgi_weight_to_float(rows, w[GATE]);
  return SG_OK;
}

const sgi_ffn_ops sgi_ffn_moe = {
    .name = "moe",
    .default_activation = "sigmoid",
    .uses = SGI_USES_CHANNELS | SGI_USES_TOP_K,
    .preset = {.top_k = 2,
               .tinystories = {1024, 8},
               .slimpajama = {.times = 1, .over = 1, .multiple = 1, .num_channels = 16}},
    .check = check,
    .tensors = tensors,
    .saved = saved,
    .scratch = scratch,
    .multiply_adds = multiply_adds,
    .stages = stages,
    .left = left,
    .backward = backward,
    .gates = gates,
    .unit_count = unit_count,
    .units = units,
    .unit_at = unit_at,
    .routes = routes,
    .route_rows = route_rows,
};
