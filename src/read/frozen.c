/* The network of one prompt, held (docs/method-reading.md, frozen network).
 *
 * Idea. A model is not linear, but one prompt's run of it is, once everything that was *decided* in
 * it is held: which unit is open and how far (gate), where each head looks (pattern), how much a
 * norm scales. What is left is a linear map from the embedded tokens to any logit or any unit's
 * input, so effects can be taken apart and add up. This file runs the prompt once, keeps what was
 * decided, and offers the three linear steps backward that everything else is made of.
 *
 *   tokens                 T
 *   pass                   one row of T positions, made with backward: saved blocks of all layers
 *                          stay, so norms' scales and streams (layers[l]) are views, not copies
 *   patterns               [ layer | head | destination t | source s ]   (L,H,T,T), 0 for s > t
 *   unit                   [ layer | position | slot ]                    (L,T,units)
 *                            channel, index, value, gate, constant, w_in -> , w_out ->
 *   outputs[layer]         rows of w_out that a kind stores as columns, copied once; else NULL
 *   bias                   [ layer | position ] (D) in double; NULL where all are 0
 *
 * Steps backward, g being d(what is read) / d(the stream), R of them at once:
 *
 *   ffn_back        resid_post -> resid_mid   g += r2 gain2 * sum_u gate_u (w_out_u . g) w_in_u
 *   attention_back  resid_mid -> x_in         g += r1 gain1 * Wv^T P^T Wo^T g
 *   ..._gradient    where a sweep starts: at a logit, or at a unit's input
 *
 * The residual stream's own way is the g that is there already: hence +=.
 *
 * Invariants. The parts of a value add up to it: value = gate (w_in . xn) + constant holds for
 * every unit, whatever its activation (the gate is the ratio, not the slope). Pointers of units go
 * into the model or into outputs: neither may move while a frozen network lives. Memory is known
 * before anything is made (sgi_frozen_bytes), since T^2 patterns and all units of dense kinds are
 * more than most people expect; what is over max_bytes is refused with the size.
 *
 * Tried. Reading columns of w_out in place: one element a cache line, hence `outputs`. Not taken:
 * making patterns again from queries and keys in every sweep. */
#include "read/frozen.h"

#include <stdatomic.h>
#include <string.h>

#include "math/gemm.h"
#include "math/kernels.h"
#include "read/run.h"

static const size_t DEFAULT_BYTES = (size_t)4 << 30;

static bool product(size_t *out, size_t a, size_t b, size_t c, size_t d) {
  return sgi_size_mul(a, b, out) && sgi_size_mul(*out, c, out) && sgi_size_mul(*out, d, out);
}

sg_status sgi_frozen_bytes(const sg_model *m, size_t T, size_t *bytes, sg_error *err) {
  const sg_config *c = &m->config;
  size_t pass, units, patterns, bias, outputs, unit_bytes = m->ffn->unit_count(c) * sizeof(sgi_unit);
  sgi_unit first;
  bool copies = m->ffn->unit_at(c, m->w + sgi_layer_row(m, 0, SGI_LAYER_MLP), 0, 0, &first) && first.stride != 1;
  sg_status st = sgi_pass_bytes(c, 1, T, true, &pass, err);
  if (st) return st;
  if (!product(&units, unit_bytes, c->num_layers, T, 1) ||
      !product(&patterns, sizeof(float) * c->num_heads, c->num_layers, T, T) ||
      !product(&bias, sizeof(double) * c->hidden_size, c->num_layers, T, 1) || !sgi_size_add(pass, units, bytes) ||
      !product(&outputs, sizeof(float) * c->hidden_size, c->num_layers, c->num_channels ? c->num_channels : 1,
               c->num_neurons) ||
      !sgi_size_add(*bytes, patterns, bytes) || !sgi_size_add(*bytes, bias, bytes) ||
      !sgi_size_add(*bytes, copies ? outputs : 0, bytes))
    return sgi_fail(err, SG_ERR_MEMORY, "a prompt of %zu tokens needs more than this machine can address", T);
  return SG_OK;
}

static sg_status allocate(sgi_frozen *f, const int32_t *tokens, sg_error *err) {
  size_t n = f->L * f->T;
  f->tokens = sgi_alloc(f->T * sizeof *f->tokens);
  f->layers = sgi_alloc(f->L * sizeof *f->layers);
  f->outputs = sgi_alloc(f->L * sizeof *f->outputs);
  f->patterns = sgi_alloc(n * f->H * f->T * sizeof *f->patterns);
  f->unit = sgi_alloc(n * f->units * sizeof *f->unit);
  f->bias = sgi_alloc(n * f->D * sizeof *f->bias);
  if (!f->tokens || !f->layers || !f->outputs || !f->patterns || !f->unit || !f->bias)
    return sgi_fail_memory(err, n * f->units * sizeof *f->unit, "the frozen network of a prompt");
  memcpy(f->tokens, tokens, f->T * sizeof *tokens);
  return sgi_pass_create(f->model, 1, f->T, true, &f->pass, err);
}

/* Where a kind stores output rows as columns, those of the units at hand are copied, so that reading one is one walk. */
static sg_status gather_outputs(sgi_frozen *f, size_t layer, sg_error *err) {
  const sg_config *c = &f->model->config;
  sgi_unit *u = f->unit + layer * f->T * f->units;
  if (!f->units || u->stride == 1) return SG_OK;
  size_t rows = (c->num_channels ? c->num_channels : 1) * c->num_neurons;
  float *out = f->outputs[layer] = sgi_alloc(rows * f->D * sizeof *out);
  bool *done = sgi_alloc(rows);
  if (!out || !done) {
    sgi_free(done);
    return sgi_fail_memory(err, rows * f->D * sizeof *out, "a layer's output rows");
  }
  for (size_t i = 0; i < f->T * f->units; i++) {
    size_t row = (size_t)u[i].channel * c->num_neurons + (size_t)u[i].index;
    for (size_t d = 0; d < f->D && !done[row]; d++) out[row * f->D + d] = u[i].w_out[d * u[i].stride];
    done[row] = true;
    u[i].w_out = out + row * f->D;
    u[i].stride = 1;
  }
  sgi_free(done);
  return SG_OK;
}

/* Layers of the pass, then of collect. */
typedef struct watch {
  bool (*progress)(void *user, size_t done, size_t wanted);
  void *user;
  size_t L;
} watch;
static bool in_pass(void *user, size_t done, size_t wanted) {
  const watch *w = user;
  return !w->progress || w->progress(w->user, done, 2 * wanted);
}

static sg_status collect(sgi_frozen *f, const watch *w, sg_error *err) {
  bool any_bias = false;
  for (size_t l = 0; l < f->L; l++) {
    sgi_pass_layer_view(f->pass, l, &f->layers[l]);
    for (size_t t = 0; t < f->T; t++) {
      for (size_t h = 0; h < f->H; h++) {
        sg_status st = sgi_pass_pattern(f->pass, l, t, h, (float *)sgi_frozen_pattern(f, l, h, t));
        if (st) return sgi_fail(err, st, "attention pattern of layer %zu", l);
      }
      sgi_unit *u = (sgi_unit *)sgi_frozen_units(f, l, t);
      double *bias = f->bias + (l * f->T + t) * f->D;
      sgi_pass_units(f->pass, l, t, u, bias);
      for (size_t d = 0; d < f->D; d++) any_bias = any_bias || bias[d] != 0;
      for (size_t j = 0; j < f->units; j++) f->has_constants = f->has_constants || u[j].constant != 0;
    }
    sg_status st = gather_outputs(f, l, err);
    if (st) return st;
    if (w->progress && !w->progress(w->user, w->L + l + 1, 2 * w->L)) return sgi_fail(err, SG_ERR_CANCELLED, "stopped");
  }
  f->has_constants = f->has_constants || any_bias;
  if (!any_bias) {
    sgi_free(f->bias);
    f->bias = NULL;
  }
  return SG_OK;
}

sg_status sgi_frozen_init(sgi_frozen *f, const sg_model *m, const int32_t *tokens, size_t T, size_t max_bytes,
                          sg_error *err) {
  return sgi_frozen_init_watched(f, m, tokens, T, max_bytes, NULL, NULL, err);
}

sg_status sgi_frozen_init_watched(sgi_frozen *f, const sg_model *m, const int32_t *tokens, size_t T, size_t max_bytes,
                                  bool (*progress)(void *user, size_t done, size_t wanted), void *user, sg_error *err) {
  const sg_config *c = &m->config;
  *f = (sgi_frozen){.model = m,
                    .T = T,
                    .D = c->hidden_size,
                    .H = c->num_heads,
                    .d = c->head_dim,
                    .L = c->num_layers,
                    .V = c->vocab_size};
  size_t bytes;
  sg_status st = sgi_prompt_check(m, tokens, T, err);
  if (!st && !m->ffn->units)
    st = sgi_fail(err, SG_ERR_UNSUPPORTED, "feedforward kind \"%s\" has no linear form to read", m->ffn->name);
  if (!st) st = sgi_frozen_bytes(m, T, &bytes, err);
  if (st) return st;
  if (bytes > (max_bytes ? max_bytes : DEFAULT_BYTES))
    return sgi_fail(err, SG_ERR_MEMORY,
                    "a prompt of %zu tokens needs %zu MB, more than is allowed: shorten it or raise --max-memory", T,
                    bytes >> 20);
  f->units = m->ffn->unit_count(c);
  st = allocate(f, tokens, err);
  sgi_batch batch = {.B = 1, .T = T, .inputs = f->tokens};
  watch w = {progress, user, f->L};
  if (!st) sgi_pass_watch(f->pass, in_pass, &w);
  if (!st) st = sgi_pass_forward(f->pass, &batch, NULL, err);
  if (!st) sgi_pass_watch(f->pass, NULL, NULL); /* w ends here, the pass does not */
  return st ? st : collect(f, &w, err);
}

void sgi_frozen_deinit(sgi_frozen *f) {
  sgi_pass_free(f->pass);
  sgi_free(f->tokens);
  sgi_free(f->layers);
  for (size_t l = 0; f->outputs && l < f->L; l++) sgi_free(f->outputs[l]);
  sgi_free(f->outputs);
  sgi_free(f->patterns);
  sgi_free(f->unit);
  sgi_free(f->bias);
  *f = (sgi_frozen){0};
}

sg_status sgi_frozen_logits(const sgi_frozen *f, size_t t, float *logits, sg_error *err) {
  return sgi_pass_logits(f->pass, t, 1, logits, err);
}

sg_status sgi_frozen_target(const sgi_frozen *f, size_t t, int32_t target, int32_t against, float *logits, int32_t *out,
                            sg_error *err) {
  int32_t V = (int32_t)f->V;
  if (target >= V || against >= V || target < -1 || against < -1)
    return sgi_fail(err, SG_ERR_ARG, "token id %d is outside the vocabulary of %d",
                    target >= V || target < -1 ? target : against, V);
  sg_status st = sgi_frozen_logits(f, t, logits, err);
  if (!st) *out = target >= 0 ? target : (int32_t)sgi_kernel_table()->argmax(logits, f->V);
  return st;
}

void sgi_frozen_logit_gradient(const sgi_frozen *f, size_t t, int32_t target, int32_t against, float *g) {
  const float *E = f->model->w[SGI_ROW_EMBED], *gain = f->model->w[sgi_final_norm_row(f->model)];
  const float *a = E + (size_t)target * f->D, *b = against < 0 ? NULL : E + (size_t)against * f->D;
  double r = sgi_pass_final_scale(f->pass)[t];
  for (size_t d = 0; d < f->D; d++) g[d] = (float)(r * gain[d] * ((double)a[d] - (b ? (double)b[d] : 0)));
}

void sgi_frozen_unit_gradient(const sgi_frozen *f, size_t layer, size_t t, const sgi_unit *u, float *g) {
  const float *gain = sgi_frozen_weight(f, layer, SGI_LAYER_NORM2);
  double r = f->layers[layer].r2[t] * u->gate;
  for (size_t d = 0; d < f->D; d++) g[d] = (float)(r * gain[d] * u->w_in[d]);
}

double sgi_unit_write(const sgi_unit *u, const float *g, size_t D) {
  if (u->stride == 1) return sgi_dot_double(u->w_out, g, D);
  double s = 0;
  for (size_t d = 0; d < D; d++) s += (double)u->w_out[d * u->stride] * g[d];
  return s;
}

/* dv (R,rows,W) from dz: dv[s] = sum over t >= s of P[t,s] dz[t], head by head. */
static sg_status mix_back(const sgi_frozen *f, size_t layer, size_t R, size_t rows, ptrdiff_t only, float *dv,
                          const float *dz) {
  size_t T = f->T, d = f->d, W = f->H * d;
  atomic_int worst = SG_OK;
#pragma omp parallel for collapse(2) schedule(static) if (R * f->H * rows > 512)
  for (size_t r = 0; r < R; r++)
    for (size_t h = 0; h < f->H; h++) {
      float *out = dv + r * rows * W + h * d;
      if (only >= 0 && (size_t)only != h) {
        for (size_t s = 0; s < rows; s++) memset(out + s * W, 0, d * sizeof *out);
        continue;
      }
      sg_status st = sgi_gemm1(true, false, rows, d, rows, 1, sgi_frozen_pattern(f, layer, h, 0), T,
                               dz + r * rows * W + h * d, W, 0, out, W);
      if (st) atomic_store(&worst, st);
    }
  return (sg_status)atomic_load(&worst);
}

sg_status sgi_frozen_attention_back(const sgi_frozen *f, size_t layer, size_t R, size_t rows, ptrdiff_t head, float *g,
                                    float *work) {
  size_t D = f->D, W = f->H * f->d, n = R * rows;
  const float *gain = sgi_frozen_weight(f, layer, SGI_LAYER_NORM1), *r1 = f->layers[layer].r1;
  float *dz = work, *dv = work + n * (W > D ? W : D);
  sg_status st = sgi_linear_dx(dz, W, g, D, sgi_frozen_weight(f, layer, SGI_LAYER_O), n, W, D, 0, (sgi_arena){0});
  if (!st) st = mix_back(f, layer, R, rows, head, dv, dz);
  if (!st) st = sgi_linear_dx(dz, D, dv, W, sgi_frozen_weight(f, layer, SGI_LAYER_V), n, D, W, 0, (sgi_arena){0});
  for (size_t i = 0; i < n && !st; i++) {
    float *to = g + i * D;
    const float *dx = dz + i * D;
    if (head >= 0) memset(to, 0, D * sizeof *to);
#pragma omp simd
    for (size_t d = 0; d < D; d++) to[d] += r1[i % rows] * gain[d] * dx[d];
  }
  return st;
}

void sgi_frozen_ffn_back(const sgi_frozen *f, size_t layer, size_t R, size_t rows, float *g, float *work) {
  size_t D = f->D;
  const float *gain = sgi_frozen_weight(f, layer, SGI_LAYER_NORM2), *r2 = f->layers[layer].r2;
#pragma omp parallel for schedule(static) if (R * rows > 8)
  for (size_t i = 0; i < R * rows; i++) {
    float *to = g + i * D, *sum = work + i * D;
    const sgi_unit *u = sgi_frozen_units(f, layer, i % rows);
    memset(sum, 0, D * sizeof *sum);
    for (size_t j = 0; j < f->units; j++) {
      float a = (float)(u[j].gate * sgi_unit_write(&u[j], to, D));
#pragma omp simd
      for (size_t d = 0; d < D; d++) sum[d] += a * u[j].w_in[d];
    }
#pragma omp simd
    for (size_t d = 0; d < D; d++) to[d] += r2[i % rows] * gain[d] * sum[d];
  }
}
