/* monet_experts.c: the experts, forwards and backwards (docs/method.md, monet). With c[i,j] = sum
 * over heads of g1 g2^T, which is never formed: a product with it goes through the heads, C q = sum
 * g1[h] (g2[h] q). Four matrix products a layer are large; between them every row has small ones of
 * its own (kernels.h: lift, drop, weigh). */
#include <string.h>

#include "ffn/monet.h"
#include "math/gemm.h"
#include "math/kernels.h"
#include "math/rows.h"
#include "math/stored.h"

/* Horizontal: s (n,N,m) what V reads. Vertical: of V11, V12, V21, V22. e: one for each bias. In
 * backward beside them the gradients, and what each axis' gates sum. */
typedef struct work {
  float *s[4], *ds[4]; /* (n,N,width) */
  float *s2[2], *e[2]; /* (n,N) sums of gates over heads; gradients through b */
  float *lifted[2];    /* (n,H,width) */
} work;

static void layout(const sg_config *c, size_t n, bool backward, sgi_arena *a, work *w) {
  size_t sides = sgi_monet_sides(c), parts = sides == 1 ? 1 : 4, width = sgi_monet_width(c);
  for (size_t i = 0; i < parts; i++) w->s[i] = SGI_TAKE(a, n * c->num_experts * width, float);
  for (size_t i = 0; i < sides; i++) w->s2[i] = SGI_TAKE(a, n * c->num_experts, float);
  for (size_t i = 0; i < parts && backward; i++) w->ds[i] = SGI_TAKE(a, n * c->num_experts * width, float);
  for (size_t i = 0; i < sides && backward; i++) w->e[i] = SGI_TAKE(a, n * c->num_experts, float);
  for (size_t i = 0; i < sides && backward; i++) w->lifted[i] = SGI_TAKE(a, n * c->num_channels * width, float);
}

/* Forward of vertical adds two products: the second is made beside the first. */
static float *layout_half(const sg_config *c, size_t n, sgi_arena *a) {
  return sgi_monet_vertical(c) ? SGI_TAKE(a, n * (c->hidden_size / 2), float) : NULL;
}

void sgi_monet_scratch(const sg_config *c, size_t n, bool backward, sgi_arena *a) {
  size_t D = c->hidden_size, F = c->num_experts * sgi_monet_width(c), most = 0;
  sgi_arena row = {.threads = a->threads};
  SGI_TAKE(&row, 2 * c->num_neurons, float); /* of a tap */
  layout(c, n, backward, a, &(work){0});
  layout_half(c, n, a);
  const size_t maps[][2] = {{D, c->num_channels * c->num_experts}, {D, F}, {F, D}, {D, c->num_experts}};
  for (size_t i = 0; i < SGI_COUNT(maps); i++) {
    sgi_arena one = {.threads = a->threads};
    sgi_linear_scratch(n, maps[i][0], maps[i][1], &one);
    if (one.used > most) most = one.used;
  }
  sgi_take(a, most > row.used ? most : row.used, 1);
}

static const sgi_weight *weight(const sgi_ffn_call *call, int i) { return sgi_monet_weight(call->config, call->w, i); }
static float *gradient(const sgi_ffn_call *call, int i) {
  return call->dw[(sgi_ffn_routes(call->config) ? MONET_ROUTER : 0) + i];
}

/* out (N) = the gates' sum over heads. */
static void sum_heads(float *out, const float *g, size_t H, size_t N) {
  memset(out, 0, N * sizeof *out);
  for (size_t h = 0; h < H; h++) sgi_kernel_table()->add(out, g + h * N, N);
}

static void squares(float *out, const float *act, size_t n) {
#pragma omp simd
  for (size_t i = 0; i < n; i++) out[i] = act[i] * act[i];
}

/* act = relu(act + bias); a NaN stays one. */
static void rectify(float *act, const float *bias, size_t n) {
#pragma omp simd
  for (size_t i = 0; i < n; i++) {
    float a = act[i] + bias[i];
    act[i] = a < 0 ? 0 : a;
  }
}

/* out = v with each of its N rows times its sum. */
static void scaled(float *out, const float *v, const float *sum, size_t N, size_t width, bool square) {
  for (size_t i = 0; i < N; i++)
    for (size_t r = 0; r < width; r++) {
      float x = v[i * width + r];
      out[i * width + r] = sum[i] * (square ? x * x : x);
    }
}

/* ---- forward --------------------------------------------------------------------------------- */

/* act = relu(U x + bias); mix = the squares under the gates of the axis that they do not stand on
 * (vertical), or that they stand on (horizontal). */
sg_status sgi_monet_hidden(sgi_ffn_call *call, float *y, const float *x) {
  (void)y;
  const sg_config *c = call->config;
  const sgi_kernels *kern = sgi_kernel_table();
  size_t n = call->n, H = c->num_channels, N = c->num_experts, width = sgi_monet_width(c), F = N * width;
  sgi_arena block = call->shared, room = call->scratch;
  sgi_monet_shared g;
  sgi_monet_kept k;
  work w;
  sgi_monet_layout_shared(c, n, false, &block, &g);
  sgi_monet_layout(c, n, &call->saved, &k);
  layout(c, n, false, &room, &w);
  for (size_t side = 0; side < sgi_monet_sides(c); side++) {
    int u = side ? MONET_U2 : MONET_U;
    const float *bias = sgi_f32(weight(call, u + 1));
    sg_status st = sgi_stored_linear(k.act[side], F, x, c->hidden_size, weight(call, u), n, room);
    if (st) return st;
    double at = sgi_lap_begin(call->scratch.profile);
#pragma omp parallel for schedule(static) if (n * F > 4096)
    for (size_t i = 0; i < n; i++) {
      float *act = k.act[side] + i * F, *square = w.s[0] + i * F;
      rectify(act, bias, F);
      squares(square, act, F);
      kern->lift(k.mix[side] + i * H * width, g.g[side] + i * H * N, square, H, N, width);
    }
    sgi_lap(call->scratch.profile, &at, "experts, mixing", 2.0 * (double)(n * H * F), 12.0 * (double)(n * F));
  }
  return SG_OK;
}

/* What the output maps read. */
static void mixed(const sgi_ffn_call *call, const sgi_monet_shared *g, const sgi_monet_kept *k, const work *w) {
  const sg_config *c = call->config;
  const sgi_kernels *kern = sgi_kernel_table();
  size_t n = call->n, H = c->num_channels, N = c->num_experts, width = sgi_monet_width(c), F = N * width;
  bool vertical = sgi_monet_vertical(c);
  double at = sgi_lap_begin(call->scratch.profile);
#pragma omp parallel for schedule(static) if (n * F > 4096)
  for (size_t i = 0; i < n; i++) {
    const float *g1 = g->g[0] + i * H * N, *g2 = g->g[1] + i * H * N, *mix = k->mix[0] + i * H * width;
    sum_heads(w->s2[0] + i * N, vertical ? g1 : g2, H, N);
    if (!vertical) {
      kern->drop(w->s[0] + i * F, g2, mix, H, N, width, false);
      continue;
    }
    sum_heads(w->s2[1] + i * N, g2, H, N);
    scaled(w->s[0] + i * F, k->act[0] + i * F, w->s2[0] + i * N, N, width, true);
    kern->drop(w->s[1] + i * F, g1, k->mix[1] + i * H * width, H, N, width, false);
    kern->drop(w->s[2] + i * F, g2, mix, H, N, width, false);
    scaled(w->s[3] + i * F, k->act[1] + i * F, w->s2[1] + i * N, N, width, true);
  }
  sgi_lap(call->scratch.profile, &at, "experts, mixing", 2.0 * (double)(n * H * F * sgi_monet_sides(c)),
          4.0 * (double)(n * F) * (vertical ? 6 : 1));
}

/* y (n,width; D) += s2 (n,N) b (N,width). Biases are no FLOPs (docs/method.md, FLOPs). */
static sg_status add_constants(const float *s2, const sgi_weight *b, size_t n, float *y, size_t D, sgi_arena scratch) {
  double at = sgi_lap_begin(scratch.profile);
  sgi_arena quiet = scratch;
  quiet.profile = NULL;
  sg_status st = sgi_linear_dx(y, D, s2, b->rows, sgi_f32(b), n, b->width, b->rows, 1, quiet);
  sgi_lap(scratch.profile, &at, "experts, constants", 0, 4.0 * (double)(n * (2 * b->width + b->rows)));
  return st;
}

/* Half y (n,D/2; D) = V_a s_a + V_b s_b + b s2. */
static sg_status half(sgi_ffn_call *call, const work *w, float *room, sgi_arena scratch, size_t which, float *y) {
  const sg_config *c = call->config;
  size_t n = call->n, D = c->hidden_size, half = D / 2, F = c->num_experts * sgi_monet_width(c);
  sg_status st = sgi_stored_linear(y, D, w->s[2 * which], F, weight(call, MONET_V11 + 2 * (int)which), n, scratch);
  if (!st)
    st = sgi_stored_linear(room, half, w->s[2 * which + 1], F, weight(call, MONET_V12 + 2 * (int)which), n, scratch);
  if (st) return st;
#pragma omp parallel for schedule(static) if (n * half > 4096)
  for (size_t i = 0; i < n; i++) sgi_kernel_table()->add(y + i * D, room + i * half, half);
  return add_constants(w->s2[which], weight(call, MONET_B1 + (int)which), n, y, D, scratch);
}

sg_status sgi_monet_out(sgi_ffn_call *call, float *y, const float *x) {
  (void)x;
  const sg_config *c = call->config;
  size_t n = call->n, D = c->hidden_size, F = c->num_experts * sgi_monet_width(c);
  sgi_arena block = call->shared, room = call->scratch;
  sgi_monet_shared g;
  sgi_monet_kept k;
  work w;
  sgi_monet_layout_shared(c, n, false, &block, &g);
  sgi_monet_layout(c, n, &call->saved, &k);
  layout(c, n, false, &room, &w);
  float *beside = layout_half(c, n, &room);
  mixed(call, &g, &k, &w);
  if (sgi_monet_vertical(c)) {
    sg_status st = half(call, &w, beside, room, 0, y);
    return st ? st : half(call, &w, beside, room, 1, y + D / 2);
  }
  sg_status st = sgi_stored_linear(y, D, w.s[0], F, weight(call, MONET_V), n, room);
  return st ? st : add_constants(w.s2[0], weight(call, MONET_B), n, y, D, room);
}

/* ---- backward -------------------------------------------------------------------------------- */

/* dg (H,N) += e (N), for every head; where the gate is 0 nothing is asked. */
static void add_bias_gradient(float *dg, const float *g, const float *e, size_t H, size_t N) {
  for (size_t h = 0; h < H; h++)
    for (size_t j = 0; j < N; j++) dg[h * N + j] += g[h * N + j] != 0 ? e[j] : 0;
}

/* da = 2 relu(a) dv. */
static void through_square(float *dv, const float *act, size_t n) {
#pragma omp simd
  for (size_t i = 0; i < n; i++) dv[i] *= 2 * act[i];
}

/* A row of y = V s + b s2 with s = g2^T mix, mix = g1 act^2, from ds: what the gates get, and da in
 * ds' place. */
static void horizontal_row(const sg_config *c, size_t i, const sgi_monet_shared *g, const sgi_monet_kept *k,
                           const work *w) {
  const sgi_kernels *kern = sgi_kernel_table();
  size_t H = c->num_channels, N = c->num_experts, m = c->expert_dim, F = N * m;
  const float *g1 = g->g[0] + i * H * N, *g2 = g->g[1] + i * H * N, *act = k->act[0] + i * F;
  float *dg1 = g->dg[0] + i * H * N, *dg2 = g->dg[1] + i * H * N;
  float *ds = w->ds[0] + i * F, *hid = w->s[0] + i * F, *dmix = w->lifted[0] + i * H * m;
  squares(hid, act, F);
  kern->weigh(dg2, g2, ds, k->mix[0] + i * H * m, H, N, m);
  add_bias_gradient(dg2, g2, w->e[0] + i * N, H, N);
  kern->lift(dmix, g2, ds, H, N, m);
  kern->weigh(dg1, g1, hid, dmix, H, N, m);
  kern->drop(ds, g1, dmix, H, N, m, false);
  through_square(ds, act, F);
}

/* out (N) += sum over a row of v^2 dv. */
static void own_gradient(float *out, const float *act, const float *dv, size_t N, size_t width) {
  for (size_t i = 0; i < N; i++)
    for (size_t r = 0; r < width; r++) out[i] += act[i * width + r] * act[i * width + r] * dv[i * width + r];
}

/* One side of a row of the vertical form. Its squares v go to one half of y times the sum of this
 * axis' gates, ds_own, and to the other through C, ds_other: v = act^2, lifted = that axis' gates
 * applied to ds_other. */
static void vertical_side(const sg_config *c, size_t side, size_t i, const sgi_monet_shared *g, const sgi_monet_kept *k,
                          const work *w) {
  const sgi_kernels *kern = sgi_kernel_table();
  size_t H = c->num_channels, N = c->num_experts, width = sgi_monet_width(c), F = N * width, other = 1 - side;
  const float *gate = g->g[side] + i * H * N, *act = k->act[side] + i * F;
  float *dg = g->dg[side] + i * H * N, *e = w->e[side] + i * N;
  float *own = w->ds[side ? 3 : 0] + i * F, *crossed = w->ds[side ? 2 : 1] + i * F, *v = w->s[side ? 3 : 0] + i * F;
  squares(v, act, F);
  own_gradient(e, act, own, N, width);
  add_bias_gradient(dg, gate, e, H, N);
  kern->weigh(dg, gate, crossed, k->mix[other] + i * H * width, H, N, width);
  kern->weigh(dg, gate, v, w->lifted[side] + i * H * width, H, N, width);
  scaled(own, own, w->s2[side] + i * N, N, width, false);
  kern->drop(own, gate, w->lifted[side] + i * H * width, H, N, width, true);
  through_square(own, act, F);
}

static void vertical_row(const sg_config *c, size_t i, const sgi_monet_shared *g, const sgi_monet_kept *k,
                         const work *w) {
  const sgi_kernels *kern = sgi_kernel_table();
  size_t H = c->num_channels, N = c->num_experts, width = sgi_monet_width(c), F = N * width;
  kern->lift(w->lifted[0] + i * H * width, g->g[1] + i * H * N, w->ds[2] + i * F, H, N, width);
  kern->lift(w->lifted[1] + i * H * width, g->g[0] + i * H * N, w->ds[1] + i * F, H, N, width);
  vertical_side(c, 0, i, g, k, w);
  vertical_side(c, 1, i, g, k, w);
}

/* dV += dy^T s, db += s2^T dy; ds = dy V, e = dy b^T. */
static sg_status outputs_backward(sgi_ffn_call *call, const work *w, sgi_arena scratch, const float *dy) {
  const sg_config *c = call->config;
  bool vertical = sgi_monet_vertical(c);
  size_t n = call->n, D = c->hidden_size, out = vertical ? D / 2 : D, N = c->num_experts, F = N * sgi_monet_width(c);
  sgi_profile *profile = call->scratch.profile;
  sg_status st = SG_OK;
  for (int i = 0; i < (vertical ? 4 : 1) && !st; i++) {
    int v = vertical ? MONET_V11 + i : MONET_V;
    const float *part = dy + (i >= 2 ? out : 0);
    st = sgi_stored_linear_dw(gradient(call, v), part, D, w->s[i], F, weight(call, v), n, profile);
    if (!st) st = sgi_stored_linear_dx(w->ds[i], F, part, D, weight(call, v), n, 0, scratch);
  }
  for (int i = 0; i < (vertical ? 2 : 1) && !st; i++) {
    int b = vertical ? MONET_B1 + i : MONET_B;
    const float *part = dy + (i ? out : 0);
    st = sgi_linear_dw(gradient(call, b), w->s2[i], N, part, D, n, out, N, profile);
    if (!st) st = sgi_linear(w->e[i], N, part, D, sgi_f32(weight(call, b)), n, out, N, scratch);
  }
  return st;
}

sg_status sgi_monet_backward(sgi_ffn_call *call, float *dx, const float *dy, const float *x) {
  const sg_config *c = call->config;
  size_t n = call->n, D = c->hidden_size, N = c->num_experts, F = N * sgi_monet_width(c);
  sgi_profile *profile = call->scratch.profile;
  sgi_arena block = call->shared, room = call->scratch;
  sgi_monet_shared g;
  sgi_monet_kept k;
  work w;
  sgi_monet_layout_shared(c, n, true, &block, &g);
  sgi_monet_layout(c, n, &call->saved, &k);
  layout(c, n, true, &room, &w);
  sgi_profile_stage(profile, "experts backward");
  mixed(call, &g, &k, &w);
  sg_status st = outputs_backward(call, &w, room, dy);
  if (st) return st;
  double at = sgi_lap_begin(profile);
#pragma omp parallel for schedule(static) if (n * F > 4096)
  for (size_t i = 0; i < n; i++) {
    if (sgi_monet_vertical(c))
      vertical_row(c, i, &g, &k, &w);
    else
      horizontal_row(c, i, &g, &k, &w);
  }
  sgi_lap(profile, &at, "experts, mixing backward", 8.0 * (double)(n * F * c->num_channels * sgi_monet_sides(c)),
          24.0 * (double)(n * F * sgi_monet_sides(c)));
  for (size_t side = 0; side < sgi_monet_sides(c) && !st; side++) {
    int u = side ? MONET_U2 : MONET_U;
    const float *da = w.ds[side ? 3 : 0];
    sgi_column_sums(gradient(call, u + 1), da, F, n, F);
    st = sgi_stored_linear_dw(gradient(call, u), da, F, x, D, weight(call, u), n, profile);
    if (!st) st = sgi_stored_linear_dx(dx, D, da, F, weight(call, u), n, side ? 1 : 0, room);
  }
  if (st || !sgi_ffn_routes(c)) return st;
  sgi_profile_stage(profile, "router backward");
  return sgi_monet_route_backward(call, dx, x);
}
