/* Losses of positions without some of the neurons that fire there: variants of one document's run
 * from the layer on (model/vary.h), so the prompt's own run is made once. */
#include <string.h>

#include "math/kernels.h"
#include "model/loss.h"
#include "model/pass.h"
#include "model/vary.h"
#include "read/superposition.h"

enum { ROWS = 256 };

struct sgi_without {
  const sg_model *model;
  const sgi_sublayer *sub;
  size_t layer, step, D;
  sgi_pass *pass;
  sgi_varier *variants;
  const int32_t *targets; /* of the document */
  float *delta;           /* (ROWS,D) */
  float *nll;             /* (ROWS) */
  int32_t *best, *target; /* (ROWS) */
  sgi_arena scratch;      /* of the loss */
};

sg_status sgi_without_create(const sg_model *m, size_t layer, size_t longest, sgi_without **out, sg_error *err) {
  *out = NULL;
  const sgi_sublayer *sub;
  sg_status st = sgi_feedforward_find(m, layer, &sub, err);
  if (!st) st = sgi_form_readable(&m->config, "losses without neurons", err);
  if (st) return st;
  sgi_without *w = sgi_alloc(sizeof *w);
  if (!w) return sgi_fail_memory(err, sizeof *w, "variants");
  *w = (sgi_without){.model = m, .sub = sub, .layer = layer, .D = m->config.hidden_size};
  w->step = sgi_plan_find(&m->plan, layer, &sgi_sublayer_feedforward);
  sgi_arena room = {0};
  sgi_loss_scratch(ROWS, w->D, m->config.vocab_size, &room);
  w->delta = sgi_alloc(ROWS * w->D * sizeof *w->delta);
  w->nll = sgi_alloc(ROWS * sizeof *w->nll);
  w->best = sgi_alloc(ROWS * sizeof *w->best);
  w->target = sgi_alloc(ROWS * sizeof *w->target);
  w->scratch = (sgi_arena){.base = sgi_alloc(room.used), .size = room.used};
  if (!w->delta || !w->nll || !w->best || !w->target || !w->scratch.base)
    st = sgi_fail_memory(err, room.used, "variants");
  if (!st) st = sgi_pass_create(m, 1, longest, true, &w->pass, err);
  if (st)
    sgi_without_free(w);
  else
    *out = w;
  return st;
}

void sgi_without_free(sgi_without *w) {
  if (!w) return;
  sgi_varier_free(w->variants);
  sgi_pass_free(w->pass);
  sgi_free(w->delta);
  sgi_free(w->nll);
  sgi_free(w->best);
  sgi_free(w->target);
  sgi_free(w->scratch.base);
  sgi_free(w);
}

sg_status sgi_without_document(sgi_without *w, const int32_t *inputs, const int32_t *targets, size_t T, sg_error *err) {
  sgi_varier_free(w->variants);
  w->variants = NULL;
  w->targets = targets;
  sg_status st = sgi_pass_forward(w->pass, &(sgi_batch){.B = 1, .T = T, .inputs = inputs}, NULL, err);
  return st ? st : sgi_varier_create(w->pass, ROWS, &w->variants, err);
}

static void unit_of(const sgi_without *w, uint32_t unit, sgi_unit *out) {
  size_t F = w->sub->config->num_neurons;
  w->sub->ffn->unit_at(w->sub->config, w->sub->weight + SGI_T_OWN, unit / F, unit % F, out);
}

/* delta -= value w_out of each. */
static void take_out(const sgi_without *w, const sgi_firing *f, size_t n, float *delta) {
  sgi_unit u;
  memset(delta, 0, w->D * sizeof *delta);
  for (size_t k = 0; k < n; k++) {
    if (f[k].value == 0) continue;
    unit_of(w, f[k].unit, &u);
    sgi_slice_add(&u.out, -f[k].value, delta, w->D);
  }
}

/* Losses of R variants at t. */
static sg_status losses(sgi_without *w, size_t t, size_t R, sg_error *err) {
  const float *xn;
  sg_status st = sgi_varier_run(w->variants, w->step, t, t, R, w->delta, &xn, err);
  if (st) return st;
  if (!xn) return sgi_fail(err, SG_ERR_INTERNAL, "a variant of layer %zu does not reach the head", w->layer);
  for (size_t i = 0; i < R; i++) w->target[i] = w->targets[t];
  st = sgi_loss(w->nll, w->best, NULL, NULL, xn, &w->model->weights[SGI_ROW_EMBED], w->target, -1, 0, R, w->D,
                w->model->config.vocab_size, w->scratch);
  return st ? sgi_fail(err, st, "losses of variants: a matrix product failed (%s)", sg_status_text(st)) : SG_OK;
}

/* The run itself is variant 0 of each batch, so that both sides are rounded alike. */
sg_status sgi_without_effects(sgi_without *w, size_t t, const sgi_firing *set, size_t size, size_t n, double *effect,
                              sg_error *err) {
  size_t most = sgi_varier_fit(w->variants, t, t);
  if (most > ROWS) most = ROWS;
  for (size_t first = 0, R; first < n; first += R) {
    R = n - first < most - 1 ? n - first : most - 1;
    take_out(w, NULL, 0, w->delta);
    for (size_t i = 0; i < R; i++) take_out(w, set + (first + i) * size, size, w->delta + (i + 1) * w->D);
    sg_status st = losses(w, t, R + 1, err);
    if (st) return st;
    for (size_t i = 0; i < R; i++) effect[first + i] = (double)w->nll[i + 1] - (double)w->nll[0];
  }
  return SG_OK;
}

void sgi_without_values(const sgi_without *w, size_t t, sgi_firing *f, size_t n) {
  sgi_gates g;
  if (!sgi_pass_gates(w->pass, w->layer, &g) || !g.value) return;
  for (size_t k = 0; k < n; k++) f[k].value = 0;
  for (size_t i = 0; i < g.channels * g.top_k; i++) {
    size_t at = t * g.channels * g.top_k + i;
    uint32_t unit = (uint32_t)((g.pool_per_channel ? i / g.top_k * g.pool : 0) + (size_t)g.index[at]);
    for (size_t k = 0; k < n; k++)
      if (f[k].unit == unit) f[k].value += g.value[at];
  }
}

void sgi_without_written(const sgi_without *w, const sgi_firing *f, size_t n, float *logits) {
  const float *gain = w->model->w[sgi_final_norm_row(w->model)];
  take_out(w, f, n, w->delta);
  for (size_t d = 0; d < w->D; d++) w->delta[d] *= -gain[d];
  for (size_t v = 0; v < w->model->config.vocab_size; v++) {
    sgi_slice e = sgi_embedding_of(w->model, v);
    logits[v] = (float)sgi_slice_dot(&e, w->delta, w->D);
  }
}
