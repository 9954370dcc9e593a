/* beside.c: always-on neurons and the sink MLP (beside.h). Both are h = act(x W_in^T), y += h
 * W_out: the neurons' output rows lie as rows, the MLP's as columns, as its names have them. */
#include "ffn/beside.h"

#include <math.h>
#include <string.h>

#include "ffn/activation.h"
#include "math/gemm.h"
#include "math/rows.h"
#include "math/stored.h"

enum { W_IN, W_OUT, TENSORS };

typedef struct kept {
  float *u, *h; /* (n,N) before and after the activation */
} kept;

typedef struct work {
  float *d; /* (n,N) gradient of h, then of u */
  float *y; /* (n,D) what the sink MLP adds, while it is looked at */
} work;

static const struct {
  const char *name;
  sgi_site_id site;
} parts[SGI_BESIDE_PARTS] = {{"always-on", SGI_SITE_ALWAYS}, {"sink MLP", SGI_SITE_SINK_NEURONS}};

size_t sgi_beside_neurons(const sg_config *c, sgi_beside part) {
  return part == SGI_ALWAYS_ON ? c->options.always_on : part == SGI_SINK_MLP ? c->options.sink_mlp : 0;
}

sgi_beside sgi_beside_of_channel(const sg_config *c, ptrdiff_t channel) {
  ptrdiff_t part = channel - (ptrdiff_t)sgi_unit_channels(c);
  return part < 0 || part >= SGI_BESIDE_PARTS ? SGI_BESIDE_PARTS : (sgi_beside)part;
}

sgi_beside sgi_beside_of_site(sgi_site_id id) {
  int part = 0;
  while (part < SGI_BESIDE_PARTS && parts[part].site != id) part++;
  return (sgi_beside)part;
}

sgi_site_id sgi_beside_site(sgi_beside part) { return parts[part].site; }
const char *sgi_beside_name(sgi_beside part) { return parts[part].name; }

static size_t widest(const sg_config *c) {
  return c->options.always_on > c->options.sink_mlp ? c->options.always_on : c->options.sink_mlp;
}

static sgi_activation activation_of(const sg_config *c, sgi_beside part) {
  return part == SGI_SINK_MLP ? SGI_GELU : sgi_activation_find(c->options.always_on_activation, NULL);
}

/* The part's tensors among those beside the kind. */
static size_t first_tensor(const sg_config *c, sgi_beside part) {
  return part == SGI_SINK_MLP && c->options.always_on ? TENSORS : 0;
}
static const sgi_weight *weight_of(const sgi_ffn_call *call, sgi_beside part, size_t which) {
  return call->beside[first_tensor(call->config, part) + which];
}
static float *gradient_of(const sgi_ffn_call *call, sgi_beside part, size_t which) {
  return call->beside_dw[first_tensor(call->config, part) + which];
}

sg_status sgi_beside_tensors(const sg_config *c, const char *prefix, sgi_table *t, sg_error *err) {
  size_t N = c->options.always_on, D = c->hidden_size;
  if (!N) return SG_OK;
  sg_status st =
      sgi_table_add(t, prefix, "always.w_in", SGI_DIMS(N, D), true, SGI_INIT_LECUN, 1 / sqrt((double)D), err);
  return st ? st
            : sgi_table_add(t, prefix, "always.w_out", SGI_DIMS(N, D), true, SGI_INIT_LECUN, 1 / sqrt((double)N), err);
}

sg_status sgi_sink_mlp_tensors(const sg_config *c, size_t width, sgi_table *t, sg_error *err) {
  size_t D = c->hidden_size;
  sg_status st = sgi_table_add(t, "model.sink_mlp.", "up_proj.weight", SGI_DIMS(width, D), true, SGI_INIT_LECUN,
                               1 / sqrt((double)D), err);
  return st ? st
            : sgi_table_add(t, "model.sink_mlp.", "down_proj.weight", SGI_DIMS(D, width), true, SGI_INIT_LECUN,
                            1 / sqrt((double)width), err);
}

/* ---- memory ---------------------------------------------------------------------------------- */

static void layout(const sg_config *c, size_t n, sgi_arena *a, kept k[SGI_BESIDE_PARTS]) {
  for (int i = 0; i < SGI_BESIDE_PARTS; i++) {
    size_t N = sgi_beside_neurons(c, (sgi_beside)i);
    k[i] = (kept){0};
    if (N) k[i] = (kept){SGI_TAKE(a, n * N, float), SGI_TAKE(a, n * N, float)};
  }
}

static void layout_work(const sg_config *c, size_t n, bool backward, sgi_arena *a, work *w) {
  *w = (work){0};
  if (backward) w->d = SGI_TAKE(a, n * widest(c), float);
  if (c->options.sink_mlp) w->y = SGI_TAKE(a, n * c->hidden_size, float);
}

void sgi_beside_saved(const sg_config *c, size_t n, sgi_arena *a) {
  kept k[SGI_BESIDE_PARTS];
  layout(c, n, a, k);
}

void sgi_beside_scratch(const sg_config *c, size_t n, bool backward, sgi_arena *a) {
  if (!sgi_beside_units(c)) return;
  layout_work(c, n, backward, a, &(work){0});
  sgi_linear_scratch(n, c->hidden_size, widest(c), a);
}

uint64_t sgi_beside_multiply_adds(const sg_config *c) { return (uint64_t)2 * sgi_beside_units(c) * c->hidden_size; }

/* What the parts kept lies behind what the kind did. */
static void kept_of(const sgi_ffn_call *call, kept k[SGI_BESIDE_PARTS]) {
  sgi_arena kind = {0}, block = call->saved;
  sgi_ffn_of(call->config)->saved(call->config, call->n, &kind);
  sgi_take(&block, kind.used, 1);
  layout(call->config, call->n, &block, k);
}

/* ---- forward --------------------------------------------------------------------------------- */

static sg_status hidden(sgi_ffn_call *call, sgi_beside part, const float *x) {
  const sg_config *c = call->config;
  size_t N = sgi_beside_neurons(c, part);
  if (!N) return SG_OK;
  kept k[SGI_BESIDE_PARTS];
  work w;
  kept_of(call, k);
  layout_work(c, call->n, false, &call->scratch, &w);
  sg_status st =
      sgi_stored_linear(k[part].u, N, x, c->hidden_size, weight_of(call, part, W_IN), call->n, call->scratch);
  if (st) return st;
  double at = sgi_lap_begin(call->scratch.profile);
  sgi_activate(activation_of(c, part), k[part].h, k[part].u, call->n * N);
  sgi_lap(call->scratch.profile, &at, "activation", 0, 8 * (double)(call->n * N));
  return SG_OK;
}

static sg_status always_in(sgi_ffn_call *call, float *y, const float *x) {
  (void)y;
  return hidden(call, SGI_ALWAYS_ON, x);
}

static sg_status always_out(sgi_ffn_call *call, float *y, const float *x) {
  (void)x;
  const sg_config *c = call->config;
  kept k[SGI_BESIDE_PARTS];
  if (!c->options.always_on) return SG_OK;
  kept_of(call, k);
  return sgi_stored_linear_dx(y, c->hidden_size, k[SGI_ALWAYS_ON].h, c->options.always_on,
                              weight_of(call, SGI_ALWAYS_ON, W_OUT), call->n, 1, call->scratch);
}

static sg_status sink_in(sgi_ffn_call *call, float *y, const float *x) {
  (void)y;
  return hidden(call, SGI_SINK_MLP, x);
}

static sg_status sink_out(sgi_ffn_call *call, float *y, const float *x) {
  (void)x, (void)y;
  const sg_config *c = call->config;
  kept k[SGI_BESIDE_PARTS];
  work w;
  if (!c->options.sink_mlp) return SG_OK;
  kept_of(call, k);
  layout_work(c, call->n, false, &call->scratch, &w);
  return sgi_stored_linear(w.y, c->hidden_size, k[SGI_SINK_MLP].h, c->options.sink_mlp,
                           weight_of(call, SGI_SINK_MLP, W_OUT), call->n, call->scratch);
}

static sg_status sink_add(sgi_ffn_call *call, float *y, const float *x) {
  (void)x;
  work w;
  if (!call->config->options.sink_mlp) return SG_OK;
  layout_work(call->config, call->n, false, &call->scratch, &w);
  sgi_sum(y, y, w.y, call->n * call->config->hidden_size);
  return SG_OK;
}

const sgi_stage sgi_beside_stages[] = {
    {"always-on neurons", always_in, {SGI_SITE_ALWAYS}},
    {"always-on neurons", always_out, {SGI_SITE_NONE}},
    {"sink MLP", sink_in, {SGI_SITE_SINK_NEURONS}},
    {"sink MLP", sink_out, {SGI_SITE_SINK_OUT}},
    {"sink MLP", sink_add, {SGI_SITE_NONE}},
    {.run = NULL},
};

void sgi_beside_left(const sgi_ffn_call *call, sgi_site_id id, sgi_left *out) {
  kept k[SGI_BESIDE_PARTS];
  work w;
  sgi_arena scratch = call->scratch;
  kept_of(call, k);
  layout_work(call->config, call->n, false, &scratch, &w);
  out->data = id == SGI_SITE_SINK_OUT ? w.y : k[sgi_beside_of_site(id)].h;
}

/* ---- backward -------------------------------------------------------------------------------- */

/* With h = act(u), u = x W_in^T: dh = dy W_out^T, du = dh act'(u), dW_in += du^T x, dx += du
 * W_in. */
static sg_status part_backward(sgi_ffn_call *call, sgi_beside part, const kept *k, const work *w, float *dx,
                               const float *dy, const float *x) {
  const sg_config *c = call->config;
  size_t n = call->n, D = c->hidden_size, N = sgi_beside_neurons(c, part);
  sgi_profile *profile = call->scratch.profile;
  const sgi_weight *in = weight_of(call, part, W_IN), *out = weight_of(call, part, W_OUT);
  float *dw_in = gradient_of(call, part, W_IN), *dw_out = gradient_of(call, part, W_OUT);
  sg_status st;
  if (part == SGI_ALWAYS_ON) {
    st = sgi_stored_linear_dw(dw_out, k->h, N, dy, D, out, n, profile);
    if (!st) st = sgi_stored_linear(w->d, N, dy, D, out, n, call->scratch);
  } else {
    st = sgi_stored_linear_dw(dw_out, dy, D, k->h, N, out, n, profile);
    if (!st) st = sgi_stored_linear_dx(w->d, N, dy, D, out, n, 0, call->scratch);
  }
  if (st) return st;
  double at = sgi_lap_begin(profile);
  sgi_activate_backward(activation_of(c, part), w->d, w->d, k->u, n * N);
  sgi_lap(profile, &at, "activation backward", 0, 12 * (double)(n * N));
  st = sgi_stored_linear_dw(dw_in, w->d, N, x, D, in, n, profile);
  return st ? st : sgi_stored_linear_dx(dx, D, w->d, N, in, n, 1, call->scratch);
}

sg_status sgi_beside_backward(sgi_ffn_call *call, float *dx, const float *dy, const float *x) {
  kept k[SGI_BESIDE_PARTS];
  work w;
  sg_status st = SG_OK;
  kept_of(call, k);
  layout_work(call->config, call->n, true, &call->scratch, &w);
  for (int part = 0; part < SGI_BESIDE_PARTS && !st; part++) {
    if (!sgi_beside_neurons(call->config, (sgi_beside)part)) continue;
    sgi_profile_stage(call->scratch.profile,
                      part == SGI_ALWAYS_ON ? "always-on neurons backward" : "sink MLP backward");
    st = part_backward(call, (sgi_beside)part, &k[part], &w, dx, dy, x);
  }
  return st;
}

/* ---- reading --------------------------------------------------------------------------------- */

bool sgi_beside_unit_at(const sg_config *c, const sgi_weight *const *beside, size_t channel, size_t index,
                        sgi_unit *out) {
  sgi_beside part = channel > INT32_MAX ? SGI_BESIDE_PARTS : sgi_beside_of_channel(c, (ptrdiff_t)channel);
  size_t N = sgi_beside_neurons(c, part), D = c->hidden_size;
  if (index >= N) return false;
  const sgi_weight *const *w = beside + first_tensor(c, part);
  bool rows = part == SGI_ALWAYS_ON;
  *out = (sgi_unit){.channel = (int32_t)channel,
                    .index = (int32_t)index,
                    .in = {.weight = w[W_IN], .at = index * D, .stride = 1},
                    .out = {.weight = w[W_OUT], .at = rows ? index * D : index, .stride = rows ? 1 : N}};
  return true;
}

/* Every activation here is 0 at 0. */
void sgi_beside_held(const sgi_ffn_call *call, size_t row, sgi_unit *out) {
  const sg_config *c = call->config;
  kept k[SGI_BESIDE_PARTS];
  kept_of(call, k);
  for (int part = 0; part < SGI_BESIDE_PARTS; part++) {
    size_t N = sgi_beside_neurons(c, (sgi_beside)part);
    for (size_t i = 0; i < N; i++, out++) {
      double h = (double)k[part].h[row * N + i], u = (double)k[part].u[row * N + i];
      sgi_beside_unit_at(c, call->beside, sgi_beside_channel(c, (sgi_beside)part), i, out);
      out->value = h;
      out->gate = u != 0 ? h / u : 0;
      out->constant = u != 0 ? 0 : h;
    }
  }
}
