/* meta_gate.c: which pools run for a row (docs/method.md, metarouter).
 *
 *   z = x G^T;  by sequence zbar_t = the mean of z_u over the first min(t + 1, W) positions u of
 * the document, so that no later token speaks to an earlier one; p = softmax(zbar) over all pools;
 * the k largest run.
 *
 * Backwards, with d_e = p_e dp_e (0 for what did not run) plus the balance's part:
 *   dzbar = d - p sum(d);  dz_u = the sum over t >= u of dzbar_t / min(t + 1, W) for u < W, else
 * 0. */
#include <math.h>
#include <string.h>

#include "ffn/meta.h"
#include "math/gemm.h"
#include "math/stored.h"

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* ---- configuration --------------------------------------------------------------------------- */

void sgi_meta_view(sg_config *v) {
  if (!sgi_meta_on(v) || v->pool_neurons) return;
  v->pool_neurons = v->num_neurons;
  v->pool_top_k = v->top_k;
  v->num_neurons *= v->options.meta_experts;
  v->top_k *= v->options.meta_top_k;
}

void sgi_meta_pool(const sg_config *c, sg_config *pool) {
  *pool = *c;
  if (c->pool_neurons) {
    pool->num_neurons = c->pool_neurons;
    pool->top_k = c->pool_top_k;
  }
  pool->pool_neurons = pool->pool_top_k = 0;
  pool->options.meta_experts = pool->options.meta_top_k = pool->options.meta_prefix = pool->options.meta_group = 0;
  pool->options.meta_choice[0] = '\0';
  pool->options.sink_mlp = pool->options.always_on = 0; /* beside the layer, not its pools */
}

sg_status sgi_meta_check(const sg_config *c, sg_error *err) {
  const sg_options *x = &c->options;
  size_t units;
  if (!memchr(x->meta_choice, 0, SG_NAME))
    return sgi_fail(err, SG_ERR_ARG, "feedforward.meta.choice must end within %d bytes", SG_NAME);
  if (!x->meta_experts) {
    const char *set = x->meta_top_k       ? "top_k"
                      : x->meta_choice[0] ? "choice"
                      : x->meta_prefix    ? "prefix"
                      : x->meta_group     ? "group"
                                          : NULL;
    return set ? sgi_fail(err, SG_ERR_ARG, "feedforward.meta.%s is set, but there is no feedforward.meta.experts", set)
               : SG_OK;
  }
  if (x->meta_experts > SGI_META_MOST)
    return sgi_fail(err, SG_ERR_ARG, "feedforward.meta.experts is %zu: at most %d", x->meta_experts, SGI_META_MOST);
  if (!x->meta_top_k || x->meta_top_k > x->meta_experts)
    return sgi_fail(err, SG_ERR_ARG,
                    "feedforward.meta.top_k is %zu: it must be from 1 to the %zu of feedforward.meta.experts",
                    x->meta_top_k, x->meta_experts);
  if (strcmp(x->meta_choice, "token") && strcmp(x->meta_choice, "sequence"))
    return sgi_fail(err, SG_ERR_ARG, "feedforward.meta.choice is \"%s\": choose token or sequence", x->meta_choice);
  if (sgi_meta_by_sequence(c) && !x->meta_prefix)
    return sgi_fail(err, SG_ERR_ARG,
                    "feedforward.meta.prefix is 0: a choice by sequence needs at least 1 position of a document");
  if (!sgi_meta_by_sequence(c) && x->meta_prefix)
    return sgi_fail(err, SG_ERR_ARG,
                    "feedforward.meta.prefix is %zu, but feedforward.meta.choice is \"token\": no token looks at "
                    "positions before it",
                    x->meta_prefix);
  if (x->meta_prefix > SGI_META_PREFIX || x->meta_group > SGI_META_GROUP)
    return sgi_fail(err, SG_ERR_ARG,
                    "feedforward.meta.prefix is %zu and feedforward.meta.group is %zu: at most %d and %d",
                    x->meta_prefix, x->meta_group, SGI_META_PREFIX, SGI_META_GROUP);
  if (c->router_group > 1)
    return sgi_fail(err, SG_ERR_ARG,
                    "feedforward.meta.experts is %zu and feedforward.router_group is %zu: pools that a metarouter "
                    "chooses can not share routers between layers",
                    x->meta_experts, c->router_group);
  if (!c->pool_neurons && (!sgi_size_mul(c->num_neurons, x->meta_experts, &units) || units > INT32_MAX / 2))
    return sgi_fail(err, SG_ERR_ARG,
                    "feedforward.meta.experts is %zu: the neurons of so many pools of %zu are too many to count",
                    x->meta_experts, c->num_neurons);
  return SG_OK;
}

/* ---- memory ---------------------------------------------------------------------------------- */

static void layout_shared(const sg_config *c, size_t n, bool backward, sgi_arena *a, sgi_meta_shared *s) {
  size_t M = c->options.meta_experts;
  s->z = sgi_meta_by_sequence(c) ? SGI_TAKE(a, n * M, float) : NULL;
  s->p = SGI_TAKE(a, n * M, float);
  s->choice = SGI_TAKE(a, n * c->options.meta_top_k, int32_t);
  s->dp = backward ? SGI_TAKE(a, n * M, float) : NULL;
}

sgi_meta_shared sgi_meta_shared_of(const sgi_ffn_call *call, bool backward) {
  sgi_arena block = call->shared;
  sgi_meta_shared s;
  layout_shared(call->config, call->n, backward, &block, &s);
  return s;
}

void sgi_meta_take_shared(const sg_config *c, size_t n, bool backward, sgi_arena *a) {
  if (sgi_meta_on(c)) layout_shared(c, n, backward, a, &(sgi_meta_shared){0});
}

void sgi_meta_clear(const sg_config *c, size_t n, sgi_arena block) {
  sgi_meta_shared s;
  if (!sgi_meta_on(c)) return;
  layout_shared(c, n, true, &block, &s);
  memset(s.dp, 0, n * c->options.meta_experts * sizeof *s.dp);
}

void sgi_meta_shared_row(const sg_config *c, sgi_shared_row to, sgi_shared_row from) {
  if (!sgi_meta_on(c)) return;
  size_t M = c->options.meta_experts, k = c->options.meta_top_k;
  sgi_meta_shared a, b;
  layout_shared(c, to.n, false, &to.block, &a);
  layout_shared(c, from.n, false, &from.block, &b);
  memcpy(a.p + to.row * M, b.p + from.row * M, M * sizeof *a.p);
  memcpy(a.choice + to.row * k, b.choice + from.row * k, k * sizeof *a.choice);
}

bool sgi_meta_mixes(const sg_config *c) { return sgi_meta_on(c) && sgi_meta_by_sequence(c) && sgi_meta_gated(c); }

/* The sums at each of the first positions: a sequence may be continued from any of them. */
size_t sgi_meta_past(const sg_config *c, size_t capacity) {
  return sgi_meta_mixes(c) ? least(c->options.meta_prefix, capacity) * c->options.meta_experts : 0;
}

/* ---- forward --------------------------------------------------------------------------------- */

/* Of one row: p from its logits in place, and the k largest; of equal ones the lower number. */
static void choose(const sg_config *c, float *p, int32_t *choice) {
  size_t M = c->options.meta_experts, k = c->options.meta_top_k;
  float sum = 0;
  for (size_t j = 0; j < k; j++) {
    size_t best = M;
    for (size_t e = 0; e < M; e++) {
      bool taken = false;
      for (size_t i = 0; i < j; i++) taken = taken || choice[i] == (int32_t)e;
      if (!taken && (best == M || p[e] > p[best])) best = e;
    }
    choice[j] = (int32_t)best;
  }
  float most = p[choice[0]];
  for (size_t e = 0; e < M; e++) sum += p[e] = expf(p[e] - most);
  for (size_t e = 0; e < M; e++) p[e] /= sum;
}

/* zbar of one position, from the sum over those that count. */
static void mean(const sg_config *c, float *out, const float *sum, size_t position) {
  float count = (float)least(position + 1, c->options.meta_prefix);
  for (size_t e = 0; e < c->options.meta_experts; e++) out[e] = sum[e] / count;
}

static size_t position_of(const sgi_ffn_order *o, size_t i, size_t t) {
  return o->position ? (size_t)o->position[i] : t;
}

/* Document by document along each sequence; a sequence that goes on begins with the sums it
 * kept. */
static void means(const sgi_ffn_call *call, const sgi_meta_shared *s) {
  const sg_config *c = call->config;
  const sgi_ffn_order *o = &call->order;
  size_t M = c->options.meta_experts, W = c->options.meta_prefix, T = o->position ? o->T : call->n,
         kept = o->past_stride / M;
#pragma omp parallel for schedule(static) if (call->n > 4096)
  for (size_t b = 0; b < call->n / T; b++) {
    float sum[SGI_META_MOST] = {0}, *past = o->past ? o->past + b * o->past_stride : NULL;
    for (size_t t = 0; t < T; t++) {
      size_t i = b * T + t, at = position_of(o, i, t);
      if (!at) memset(sum, 0, sizeof sum);
      if (at && !t && past) memcpy(sum, past + (least(at, kept) - 1) * M, M * sizeof *sum);
      for (size_t e = 0; e < M && at < W; e++) sum[e] += s->z[i * M + e];
      if (past && at < kept) memcpy(past + at * M, sum, M * sizeof *sum);
      mean(c, s->p + i * M, sum, at);
    }
  }
}

sg_status sgi_meta_gate(sgi_ffn_call *call, const float *x) {
  const sg_config *c = call->config;
  size_t M = c->options.meta_experts, k = c->options.meta_top_k, D = c->hidden_size;
  if (call->routed || !sgi_meta_gated(c)) return SG_OK;
  sgi_meta_shared s = sgi_meta_shared_of(call, false);
  double at = sgi_lap_begin(call->scratch.profile);
  sg_status st = sgi_stored_linear(s.z ? s.z : s.p, M, x, D, call->w[0], call->n, call->scratch);
  if (st) return st;
  if (s.z) means(call, &s);
#pragma omp parallel for schedule(static) if (call->n > 1024)
  for (size_t i = 0; i < call->n; i++) choose(c, s.p + i * M, s.choice + i * k);
  sgi_lap(call->scratch.profile, &at, "metarouter", sgi_product_flops(call->n, D, M),
          4.0 * (double)call->n * (double)(D + 2 * M));
  return SG_OK;
}

/* ---- backward -------------------------------------------------------------------------------- */

/* f_e, the part of the choices that each pool has; returns sum f_e (mean of p_e). */
static double shares(const sg_config *c, size_t n, const sgi_meta_shared *s, double *f) {
  size_t M = c->options.meta_experts, k = c->options.meta_top_k;
  double sum[SGI_META_MOST] = {0}, balance = 0;
  for (size_t e = 0; e < M; e++) f[e] = 0;
  for (size_t i = 0; i < n * k; i++) f[s->choice[i]] += 1;
  for (size_t i = 0; i < n; i++)
    for (size_t e = 0; e < M; e++) sum[e] += (double)s->p[i * M + e];
  for (size_t e = 0; e < M; e++) {
    f[e] /= (double)(n * k);
    balance += f[e] * sum[e] / (double)n;
  }
  return balance;
}

void sgi_meta_gate_measure(const sgi_ffn_call *call, sgi_aux *sum) {
  if (!sgi_meta_gated(call->config)) return;
  sgi_meta_shared s = sgi_meta_shared_of(call, false);
  double f[SGI_META_MOST], most = 0;
  sum->meta_gates++;
  sum->balance += (double)call->config->options.meta_experts * shares(call->config, call->n, &s, f);
  for (size_t e = 0; e < call->config->options.meta_experts; e++) most = fmax(most, f[e]);
  sum->largest_pool += most;
}

/* dz in place of dzbar. */
static void means_backward(const sgi_ffn_call *call, float *dz) {
  const sg_config *c = call->config;
  const sgi_ffn_order *o = &call->order;
  size_t M = c->options.meta_experts, W = c->options.meta_prefix, T = o->position ? o->T : call->n;
#pragma omp parallel for schedule(static) if (call->n > 4096)
  for (size_t b = 0; b < call->n / T; b++) {
    double sum[SGI_META_MOST] = {0};
    for (size_t t = T; t-- > 0;) {
      size_t i = b * T + t, at = position_of(o, i, t);
      for (size_t e = 0; e < M; e++) {
        sum[e] += (double)dz[i * M + e] / (double)least(at + 1, W);
        dz[i * M + e] = at < W ? (float)sum[e] : 0;
      }
      if (!at) memset(sum, 0, sizeof sum);
    }
  }
}

sg_status sgi_meta_gate_backward(sgi_ffn_call *call, float *dz, sgi_arena scratch, float *dx, const float *x) {
  const sg_config *c = call->config;
  size_t M = c->options.meta_experts, D = c->hidden_size, n = call->n;
  sgi_meta_shared s = sgi_meta_shared_of(call, true);
  double f[SGI_META_MOST], slope = call->aux ? sgi_aux_slope_gate(call->aux) : 0;
  shares(c, n, &s, f);
#pragma omp parallel for schedule(static) if (n > 1024)
  for (size_t i = 0; i < n; i++) {
    double d[SGI_META_MOST], sum = 0;
    for (size_t e = 0; e < M; e++) {
      double p = (double)s.p[i * M + e];
      sum += d[e] = (double)s.dp[i * M + e] + p * slope * (double)M * f[e] / (double)n;
    }
    for (size_t e = 0; e < M; e++) dz[i * M + e] = (float)(d[e] - (double)s.p[i * M + e] * sum);
  }
  if (s.z) means_backward(call, dz);
  sg_status st = sgi_stored_linear_dw(call->dw[0], dz, M, x, D, call->w[0], n, scratch.profile);
  return st ? st : sgi_stored_linear_dx(dx, D, dz, M, call->w[0], n, 1, scratch);
}

/* ---- variants of a prompt -------------------------------------------------------------------- */

sg_status sgi_meta_vary(const sgi_ffn_call *call, const sgi_ffn_varied *v) {
  const sg_config *c = call->config;
  size_t M = c->options.meta_experts, k = c->options.meta_top_k, W = c->options.meta_prefix, end = v->first + v->count;
  sgi_meta_shared prompt = sgi_meta_shared_of(call, false), own;
  sgi_arena block = v->block;
  layout_shared(c, v->n, false, &block, &own);
  float *z = v->room; /* (R,changed,M) */
  sg_status st = sgi_stored_linear(z, M, v->xn, c->hidden_size, call->w[0], v->R * v->changed, (sgi_arena){0});
  for (size_t r = 0; r < v->R && !st; r++) {
    float sum[SGI_META_MOST] = {0};
    for (size_t t = 0, row = r * v->own; t < end; t++) {
      bool is_changed = t >= v->from && t < v->from + v->changed;
      const float *from = is_changed ? z + (r * v->changed + t - v->from) * M : prompt.z + t * M;
      for (size_t e = 0; e < M && t < W; e++) sum[e] += from[e];
      if (t < v->from || t < v->first) continue;
      mean(c, own.p + row * M, sum, t);
      choose(c, own.p + row * M, own.choice + row * k);
      row++;
    }
  }
  return st;
}
