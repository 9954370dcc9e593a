/* monet_router.c: the two gates of a head (docs/method.md, monet). A score's place among all scores
 * of its head decides whether its sub-expert passes; a softmax over the raw scores of those that
 * pass weighs them. The normed score, its statistics and the threshold decide and take no gradient.
 * Sums over rows are one per head or column, in the order of the rows: their bits do not depend on
 * threads. */
#include <math.h>
#include <string.h>

#include "ffn/monet.h"
#include "math/gemm.h"
#include "math/kernels.h"
#include "math/stored.h"

static const double EPS = 1e-5, MOMENTUM = 0.1, LEAST_USED = 1e-6;

/* x with a share s of a normal above it; s = 1 is minus infinity. Newton's steps go up to it from 0
 * on the concave side. */
static double quantile_above(double s) {
  if (s >= 1) return -INFINITY;
  if (s > 0.5) return -quantile_above(1 - s);
  double x = 0;
  for (int i = 0; i < 60; i++) {
    double step = (0.5 * erfc(x / sqrt(2)) - s) * sqrt(2 * acos(-1)) * exp(x * x / 2);
    x += step;
    if (fabs(step) < 1e-14) break;
  }
  return x;
}

/* Mean and biased variance of a head's scores over all rows. */
static void statistics(const sg_config *c, size_t n, const float *z, float *mean, float *variance) {
  size_t H = c->num_channels, N = c->num_experts;
#pragma omp parallel for schedule(static) if (n * N > 4096)
  for (size_t h = 0; h < H; h++) {
    double sum = 0, squares = 0, count = (double)n * (double)N;
    for (size_t i = 0; i < n; i++) {
      const float *row = z + (i * H + h) * N;
      double part = 0, square = 0;
#pragma omp simd reduction(+ : part, square)
      for (size_t k = 0; k < N; k++) {
        part += (double)row[k];
        square += (double)row[k] * (double)row[k];
      }
      sum += part;
      squares += square;
    }
    mean[h] = (float)(sum / count);
    variance[h] = (float)fmax(0, squares / count - sum / count * (sum / count));
  }
}

/* Mean gate of every sub-expert. */
static void count_used(const sg_config *c, size_t n, const float *g, float *used) {
  size_t width = c->num_channels * c->num_experts;
  enum { COLUMNS = 32 };
#pragma omp parallel for schedule(static) if (n * width > 4096)
  for (size_t at = 0; at < width; at += COLUMNS) {
    size_t some = width - at < COLUMNS ? width - at : COLUMNS;
    double sum[COLUMNS] = {0};
    for (size_t i = 0; i < n; i++)
      for (size_t k = 0; k < some; k++) sum[k] += (double)g[i * width + at + k];
    for (size_t k = 0; k < some; k++) used[at + k] = (float)(sum[k] / (double)n);
  }
}

static const float *state_of(const sgi_ffn_call *call, int mean, int k) { return sgi_f32(call->w[mean + 2 * k]); }

sg_status sgi_monet_route(sgi_ffn_call *call, float *y, const float *x) {
  (void)y;
  const sg_config *c = call->config;
  const sgi_kernels *kern = sgi_kernel_table();
  size_t n = call->n, H = c->num_channels, N = c->num_experts;
  sgi_monet_shared s;
  if (!sgi_ffn_routes(c)) return SG_OK;
  sgi_monet_layout_shared(c, n, false, &call->shared, &s);
  float quantile = (float)quantile_above((double)c->top_k / (double)N);
  for (int k = 0; k < SGI_MONET_SIDES; k++) {
    float *g = s.g[k];
    sg_status st = sgi_stored_linear(g, H * N, x, c->hidden_size, call->w[MONET_W1 + k], n, call->scratch);
    if (st) return st;
    double at = sgi_lap_begin(call->scratch.profile);
    const float *mean = state_of(call, MONET_MEAN1, k), *variance = state_of(call, MONET_VAR1, k);
    if (call->training) {
      statistics(c, n, g, s.mean[k], s.variance[k]);
      mean = s.mean[k];
      variance = s.variance[k];
    }
#pragma omp parallel for schedule(static) if (n * H * N > 4096)
    for (size_t i = 0; i < n; i++)
      for (size_t h = 0; h < H; h++) {
        float *row = g + (i * H + h) * N;
        kern->gates(row, row, N, mean[h], (float)(1 / sqrt((double)variance[h] + EPS)), quantile);
      }
    if (call->training) count_used(c, n, g, s.used[k]);
    sgi_lap(call->scratch.profile, &at, "gates", 0, (call->training ? 16.0 : 8.0) * (double)(n * H * N));
  }
  return SG_OK;
}

/* ---- losses, statistics ---------------------------------------------------------------------- */

/* U = -(1/(2HN)) sum log used; A = mean over rows of (1/(2H)) sum (1 - max g). */
void sgi_monet_measure(const sgi_ffn_call *call, sgi_aux *sum) {
  const sg_config *c = call->config;
  size_t n = call->n, H = c->num_channels, N = c->num_experts;
  sgi_arena block = call->shared;
  sgi_monet_shared s;
  if (!sgi_ffn_routes(c) || !call->training) return;
  sgi_monet_layout_shared(c, n, false, &block, &s);
  double uniformity = 0, ambiguity = 0, unused = 0;
  for (int k = 0; k < SGI_MONET_SIDES; k++) {
    for (size_t i = 0; i < H * N; i++) {
      uniformity -= log(fmax((double)s.used[k][i], LEAST_USED));
      unused += (double)s.used[k][i] <= LEAST_USED;
    }
    for (size_t i = 0; i < n * H; i++) {
      const float *g = s.g[k] + i * N;
      ambiguity += 1 - (double)g[sgi_kernel_table()->argmax(g, N)];
    }
  }
  sum->routers++;
  sum->uniformity += uniformity / (double)(2 * H * N);
  sum->ambiguity += ambiguity / (double)(2 * H * n);
  sum->unused += unused;
}

/* run = 0.9 run + 0.1 batch, with the unbiased variance. */
void sgi_monet_settle(const sgi_ffn_call *call, float *const *state) {
  const sg_config *c = call->config;
  double count = (double)call->n * (double)c->num_experts;
  sgi_arena block = call->shared;
  sgi_monet_shared s;
  sgi_monet_layout_shared(c, call->n, false, &block, &s);
  for (int k = 0; k < SGI_MONET_SIDES; k++) {
    float *mean = state[MONET_MEAN1 + 2 * k], *variance = state[MONET_VAR1 + 2 * k];
    for (size_t h = 0; h < c->num_channels; h++) {
      mean[h] += (float)(MOMENTUM * ((double)s.mean[k][h] - (double)mean[h]));
      variance[h] += (float)(MOMENTUM * ((double)s.variance[k][h] * count / (count - 1) - (double)variance[h]));
    }
  }
}

/* ---- backward -------------------------------------------------------------------------------- */

/* dU/dg = -1/(2HNn used), 0 where used is at the guard; dA/dg = -1/(2Hn) at a head's first largest
 * gate. Then through the softmax over those that pass: dz = g (dg - sum g dg), which is 0 where g
 * is. */
static void score_gradient(const sgi_ffn_call *call, const sgi_monet_shared *s, int k) {
  const sg_config *c = call->config;
  size_t n = call->n, H = c->num_channels, N = c->num_experts;
  double uniformity = call->aux ? sgi_aux_slope_router(call->aux, SGI_AUX_UNIFORMITY) / (double)(2 * H * N * n) : 0;
  double ambiguity = call->aux ? sgi_aux_slope_router(call->aux, SGI_AUX_AMBIGUITY) / (double)(2 * H * n) : 0;
#pragma omp parallel for schedule(static) if (n * H * N > 4096)
  for (size_t i = 0; i < n; i++)
    for (size_t h = 0; h < H; h++) {
      const float *g = s->g[k] + (i * H + h) * N, *used = s->used[k] + h * N;
      float *dg = s->dg[k] + (i * H + h) * N, mean = 0;
      for (size_t j = 0; uniformity != 0 && j < N; j++)
        if ((double)used[j] > LEAST_USED) dg[j] -= (float)(uniformity / (double)used[j]);
      if (ambiguity != 0) dg[sgi_kernel_table()->argmax(g, N)] -= (float)ambiguity;
#pragma omp simd reduction(+ : mean)
      for (size_t j = 0; j < N; j++) mean += g[j] * dg[j];
#pragma omp simd
      for (size_t j = 0; j < N; j++) dg[j] = g[j] * (dg[j] - mean);
    }
}

sg_status sgi_monet_route_backward(sgi_ffn_call *call, float *dx, const float *x) {
  const sg_config *c = call->config;
  size_t n = call->n, D = c->hidden_size, width = c->num_channels * c->num_experts;
  sgi_profile *profile = call->scratch.profile;
  sgi_arena block = call->shared;
  sgi_monet_shared s;
  sgi_monet_layout_shared(c, n, true, &block, &s);
  sg_status st = SG_OK;
  for (int k = 0; k < SGI_MONET_SIDES && !st; k++) {
    double at = sgi_lap_begin(profile);
    score_gradient(call, &s, k);
    sgi_lap(profile, &at, "gates backward", 0, 12.0 * (double)(n * width));
    st = sgi_stored_linear_dw(call->dw[MONET_W1 + k], s.dg[k], width, x, D, call->w[MONET_W1 + k], n, profile);
    if (!st) st = sgi_stored_linear_dx(dx, D, s.dg[k], width, call->w[MONET_W1 + k], n, 1, call->scratch);
  }
  return st;
}
