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

#include <string.h>

#include "math/kernels.h"
#include "read/run.h"

static const size_t DEFAULT_BYTES = (size_t)4 << 30;

sg_status sgi_frozen_bytes(const sg_model *m, size_t T, size_t *bytes, sg_error *err) {
  sg_status st = sgi_pass_bytes(&m->config, 1, T, true, bytes, err);
  if (st) return st;
  for (size_t i = 0; i < m->plan.n_steps; i++) {
    size_t own;
    if (!sgi_held_bytes(&m->plan.steps[i], T, &own) || !sgi_size_add(*bytes, own, bytes))
      return sgi_fail(err, SG_ERR_MEMORY, "a prompt of %zu tokens needs more than this machine can address", T);
  }
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

static void count(sgi_frozen *f, const sgi_held *h) {
  f->units = h->units > f->units ? h->units : f->units;
  f->heads = h->heads > f->heads ? h->heads : f->heads;
  f->wide = h->heads * h->d_head > f->wide ? h->heads * h->d_head : f->wide;
  f->has_bias = f->has_bias || h->bias;
  f->has_errors = f->has_errors || h->error;
  f->has_constants = f->has_constants || h->has_constants;
}

static sg_status collect(sgi_frozen *f, const watch *w, sg_error *err) {
  const sgi_plan *plan = &f->model->plan;
  for (size_t l = 0; l < f->L; l++) {
    for (size_t i = plan->first[l]; i < plan->first[l + 1]; i++) {
      sgi_held *h = &f->steps[i];
      sg_status st = sgi_pass_hold(f->pass, i, h, err);
      if (st) return st;
      count(f, h);
    }
    if (w->progress && !w->progress(w->user, w->L + l + 1, 2 * w->L)) return sgi_fail(err, SG_ERR_CANCELLED, "stopped");
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
                    .L = c->num_layers,
                    .V = c->vocab_size,
                    .n_steps = m->plan.n_steps,
                    .wide = c->hidden_size};
  size_t bytes;
  sg_status st = sgi_form_readable(c, "attribution", err);
  if (!st) st = sgi_prompt_check(m, tokens, T, err);
  if (!st) st = sgi_frozen_bytes(m, T, &bytes, err);
  if (st) return st;
  if (bytes > (max_bytes ? max_bytes : DEFAULT_BYTES))
    return sgi_fail(err, SG_ERR_MEMORY,
                    "a prompt of %zu tokens needs %zu MB, more than is allowed: shorten it or raise --max-memory", T,
                    bytes >> 20);
  f->tokens = sgi_alloc(T * sizeof *f->tokens);
  f->steps = sgi_alloc((f->n_steps + 1) * sizeof *f->steps);
  if (!f->tokens || !f->steps)
    return sgi_fail_memory(err, f->n_steps * sizeof *f->steps, "the frozen network of a prompt");
  memcpy(f->tokens, tokens, T * sizeof *tokens);
  st = sgi_pass_create(m, 1, T, true, &f->pass, err);
  sgi_batch batch = {.B = 1, .T = T, .inputs = f->tokens};
  watch w = {progress, user, f->L};
  if (!st) sgi_pass_watch(f->pass, in_pass, &w);
  if (!st) st = sgi_pass_forward(f->pass, &batch, NULL, err);
  if (!st) sgi_pass_watch(f->pass, NULL, NULL); /* w ends here, the pass does not */
  return st ? st : collect(f, &w, err);
}

sg_status sgi_frozen_hold(sgi_frozen *f, const sgi_hold *hold, sg_error *err) {
  sg_status st = hold && hold->steps ? hold->steps(hold->user, f, err) : SG_OK;
  f->units = 0;
  f->has_bias = f->has_errors = f->has_constants = false;
  for (size_t i = 0; i < f->n_steps; i++) count(f, &f->steps[i]);
  return st;
}

void sgi_frozen_deinit(sgi_frozen *f) {
  sgi_pass_free(f->pass);
  sgi_free(f->tokens);
  for (size_t i = 0; f->steps && i < f->n_steps; i++) sgi_held_deinit(&f->steps[i]);
  sgi_free(f->steps);
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
  const float *gain = f->model->w[sgi_final_norm_row(f->model)];
  sgi_slice a = sgi_embedding_of(f->model, (size_t)target);
  double r = sgi_pass_final_scale(f->pass)[t];
  for (size_t d = 0; d < f->D; d++) g[d] = (float)(r * gain[d] * (double)sgi_slice_at(&a, d));
  if (against < 0) return;
  sgi_slice b = sgi_embedding_of(f->model, (size_t)against);
  for (size_t d = 0; d < f->D; d++)
    g[d] = (float)(r * gain[d] * ((double)sgi_slice_at(&a, d) - (double)sgi_slice_at(&b, d)));
}

void sgi_frozen_unit_gradient(const sgi_frozen *f, size_t step, size_t t, const sgi_unit *u, float *g) {
  const sgi_held *h = &f->steps[step];
  double r = h->r[t] * u->gate;
  for (size_t d = 0; d < f->D; d++) g[d] = (float)(r * h->gain[d] * sgi_slice_at(&u->in, d));
}

/* ---- sweeps ---------------------------------------------------------------------------------- */

sg_status sgi_sweep_init(sgi_sweep *w, const sgi_frozen *f, size_t R, size_t rows, sg_error *err) {
  *w = (sgi_sweep){.f = f, .R = R, .rows = rows};
  size_t n = R * rows * f->D, room = 2 * R * rows * f->wide;
  w->g = sgi_alloc(n * sizeof *w->g);
  w->copy = sgi_form_of(&f->model->config)->chain ? NULL : sgi_alloc(n * sizeof *w->copy);
  w->work = sgi_alloc(room * sizeof *w->work);
  if (!w->g || !w->work || (!w->copy && !sgi_form_of(&f->model->config)->chain))
    return sgi_fail_memory(err, room * sizeof *w->work, "a sweep down the frozen network");
  return SG_OK;
}

void sgi_sweep_deinit(sgi_sweep *w) {
  sgi_free(w->g);
  sgi_free(w->copy);
  sgi_free(w->work);
  *w = (sgi_sweep){0};
}

void sgi_sweep_enter(sgi_sweep *w, size_t s) {
  w->after = w->g;
  if (!w->copy) return;
  if (w->f->steps[s].step->last) memcpy(w->copy, w->g, w->R * w->rows * w->f->D * sizeof *w->g);
  w->after = w->copy;
}

sg_status sgi_sweep_pull(sgi_sweep *w, size_t s, ptrdiff_t head, sg_error *err) {
  sg_status st = sgi_held_pull(&w->f->steps[s], w->R, w->rows, head, w->g, w->after, w->work);
  return st ? sgi_fail(err, st, "frozen backward pass: a matrix product failed") : SG_OK;
}
