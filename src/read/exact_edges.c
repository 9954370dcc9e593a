/* True direct effects on one neuron (exact.h, sgi_exact_edges).
 *
 *   1. rows of the stream that the neuron's step reads, each without one source    (n,D)
 *   2. the step's kind on these rows: what the neuron is worth in each             values
 *   3. variants of the run: the neuron's row times (own value - value) taken out   exact_runs.c
 *
 * Norm, router and gate are each row's own, so this is path patching of the way through the
 * residual stream; ways through a head count for the head. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "math/rows.h"
#include "read/exact.h"

typedef struct work {
  sgi_exact_base *b;
  size_t step, position;
  const sgi_unit *unit;
  sgi_exact_edge *edges;
  size_t count;
  float *rows; /* (count,D) first what each source wrote, then the stream without it */
  float *out;  /* (D) the neuron's output row */
} work;

static sg_status find(work *w, const sg_term *n, sg_error *err) {
  const sgi_frozen *f = &w->b->f;
  for (size_t s = 0; s < f->n_steps && n->position >= 0 && (size_t)n->position <= w->b->position; s++) {
    const sgi_held *h = &f->steps[s];
    const sgi_unit *u = sgi_held_units(h, (size_t)n->position);
    for (size_t j = 0; j < h->units && (size_t)n->layer == h->step->layer; j++)
      if (u[j].channel == n->channel && u[j].index == n->index && u[j].value != 0) {
        w->step = s;
        w->position = (size_t)n->position;
        w->unit = &u[j];
        return SG_OK;
      }
  }
  return sgi_fail(err, SG_ERR_ARG,
                  "neuron %d of channel %d in layer %d did not fire at position %d, or that is behind the position "
                  "that is read: nothing acts on it",
                  n->index, n->channel, n->layer, n->position);
}

static void add(work *w, sg_term t, const float *written) {
  const sgi_frozen *f = &w->b->f;
  memcpy(w->rows + w->count * f->D, written, f->D * sizeof *written);
  t.position = (int32_t)w->position;
  w->edges[w->count++].source = t;
}

/* Everything that is written at the position into the stream which the step reads, biases left
 * out. */
static sg_status sources(work *w, sg_error *err) {
  const sgi_frozen *f = &w->b->f;
  size_t below = f->steps[w->step].step->before, most = 1, d_head = 1;
  for (size_t s = 0; s < below; s++) {
    most += f->steps[s].units + f->steps[s].heads;
    d_head = f->steps[s].d_head > d_head ? f->steps[s].d_head : d_head;
  }
  w->edges = sgi_alloc(most * sizeof *w->edges);
  w->rows = sgi_alloc(most * f->D * sizeof *w->rows);
  w->out = sgi_alloc(f->D * sizeof *w->out);
  float *y = sgi_alloc(f->D * sizeof *y);
  double *z = sgi_alloc(d_head * sizeof *z);
  sg_status st = w->edges && w->rows && w->out && y && z
                     ? SG_OK
                     : sgi_fail_memory(err, most * f->D * sizeof *w->rows, "edges into a neuron");
  if (!st) {
    sg_term embed = {.kind = SG_TERM_EMBED, .layer = -1, .head = -1, .channel = -1, .index = -1};
    sgi_slice e = sgi_embedding_of(f->model, (size_t)f->tokens[w->position]);
    sgi_slice_copy(&e, y, f->D);
    add(w, embed, y);
  }
  for (size_t s = 0; s < below && !st; s++) {
    const sgi_held *h = &f->steps[s];
    const sgi_unit *u = sgi_held_units(h, w->position);
    int32_t layer = (int32_t)h->step->layer;
    for (size_t i = 0; i < h->heads; i++) {
      sgi_exact_head(h, i, w->position, z);
      sgi_exact_head_out(h, i, z, 1, y);
      add(w,
          (sg_term){.kind = SG_TERM_HEAD, .layer = layer, .head = (int32_t)i, .channel = -1, .index = -1, .source = -1},
          y);
    }
    for (size_t j = 0; j < h->units; j++) {
      if (u[j].value == 0) continue;
      sgi_unit_out(&u[j], y, f->D);
      sgi_kernel_table()->scale(y, (float)u[j].value, f->D);
      add(w,
          (sg_term){.kind = SG_TERM_NEURON,
                    .layer = layer,
                    .head = -1,
                    .channel = u[j].channel,
                    .index = u[j].index,
                    .value = u[j].value},
          y);
    }
  }
  sgi_free(y);
  sgi_free(z);
  return st;
}

/* Linear effects on the neuron's value, then the rows without the sources, normed. */
static sg_status prepare(work *w, sg_error *err) {
  const sgi_frozen *f = &w->b->f;
  const sgi_held *h = &f->steps[w->step];
  size_t D = f->D, n = w->count;
  const float *x = h->x + w->position * D;
  float *r = sgi_alloc(n * sizeof *r);
  if (!r) return sgi_fail_memory(err, n * sizeof *r, "edges into a neuron");
  sgi_frozen_unit_gradient(f, w->step, w->position, w->unit, w->out);
  for (size_t i = 0; i < n; i++) {
    float *row = w->rows + i * D;
    w->edges[i].source.effect = sgi_dot_double(row, w->out, D);
    for (size_t d = 0; d < D; d++) row[d] = x[d] - row[d];
  }
  sgi_rmsnorm(w->rows, r, w->rows, h->gain, n, D, sgi_norm_eps(&f->model->config));
  sgi_free(r);
  return SG_OK;
}

/* What the router that the layer uses makes of rows [first, first + some). Another layer's reads
 * another stream: its output is held. One that looks at earlier positions has the prompt's
 * there. */
static sg_status routed(work *w, size_t first, float *room, sgi_ffn_call *call) {
  const sgi_frozen *f = &w->b->f;
  const sgi_plan_step *step = f->steps[w->step].step;
  const sgi_ffn_ops *ffn = step->sub->ffn;
  size_t some = call->n;
  if (step->router == SIZE_MAX) return SG_OK;
  for (size_t i = 0; i < some; i++)
    ffn->shared_row(call->config, (sgi_shared_row){call->shared, some, i},
                    (sgi_shared_row){sgi_pass_shared(f->pass, step), f->T, w->position});
  if (!ffn->mixes || !ffn->mixes(call->config)) return SG_OK;
  call->routed = true;
  sgi_ffn_call prompt = *call;
  prompt.n = f->T;
  prompt.shared = sgi_pass_shared(f->pass, step);
  return ffn->vary_shared(&prompt, &(sgi_ffn_varied){.R = some,
                                                     .from = w->position,
                                                     .changed = 1,
                                                     .first = w->position,
                                                     .count = 1,
                                                     .xn = w->rows + first * f->D,
                                                     .room = room,
                                                     .block = call->shared,
                                                     .n = some,
                                                     .own = 1});
}

/* The neuron's value in each row: the kind runs some at a time, as if they were a prompt. */
static sg_status values(work *w, sg_error *err) {
  const sgi_frozen *f = &w->b->f;
  const sgi_sublayer *s = f->steps[w->step].step->sub;
  const sg_config *c = s->config;
  size_t n = w->count < w->b->fit ? w->count : w->b->fit, units = sgi_ffn_unit_count(s->ffn, c);
  sgi_arena block = {0}, room = {0}, shared = {0};
  sgi_ffn_saved(s->ffn, c, n, &block);
  sgi_ffn_scratch(s->ffn, c, n, false, &room);
  if (s->ffn->shared) s->ffn->shared(c, n, false, &shared);
  sgi_arena router = {.base = shared.used ? sgi_alloc(shared.used) : NULL, .size = shared.used};
  sgi_arena kept = {.base = sgi_alloc(block.used), .size = block.used};
  sgi_arena scratch = {.base = sgi_alloc(room.used ? room.used : 1), .size = room.used};
  sgi_unit *u = sgi_alloc(units * sizeof *u);
  double *bias = sgi_alloc(f->D * sizeof *bias);
  float *y = sgi_alloc(n * f->D * sizeof *y);
  size_t past = s->ffn->past ? n * s->ffn->past(c, 1) : 0;
  float *logits = past ? sgi_alloc(past * sizeof *logits) : NULL;
  sg_status st = kept.base && scratch.base && (router.base || !shared.used) && u && bias && y && (logits || !past)
                     ? SG_OK
                     : sgi_fail_memory(err, block.used + shared.used + room.used, "edges into a neuron");
  for (size_t first = 0; first < w->count && !st; first += n) {
    size_t some = w->count - first < n ? w->count - first : n;
    sgi_ffn_call call = {.config = c,
                         .w = s->weight + SGI_T_OWN,
                         .beside = s->weight + s->beside,
                         .n = some,
                         .saved = kept,
                         .shared = router,
                         .scratch = scratch};
    st = routed(w, first, logits, &call);
    if (!st) st = sgi_ffn_forward(s->ffn, &call, y, w->rows + first * f->D);
    if (st) sgi_fail(err, st, "edges into a neuron: layer %zu could not be run", s->layer);
    for (size_t i = 0; i < some && !st; i++) {
      sgi_ffn_units(s->ffn, &call, i, u, bias);
      w->edges[first + i].value = 0;
      for (size_t j = 0; j < units; j++)
        if (u[j].channel == w->unit->channel && u[j].index == w->unit->index) w->edges[first + i].value = u[j].value;
    }
  }
  sgi_free(kept.base);
  sgi_free(scratch.base);
  sgi_free(router.base);
  sgi_free(u);
  sgi_free(bias);
  sgi_free(y);
  sgi_free(logits);
  return st;
}

static void take(const void *user, size_t i, float *delta) {
  const work *w = user;
  memcpy(delta, w->out, w->b->f.D * sizeof *delta);
  sgi_kernel_table()->scale(delta, (float)(w->edges[i].value - w->unit->value), w->b->f.D);
}

static int by_effect(const void *a, const void *b) {
  const sgi_exact_edge *x = a, *y = b;
  double u = fabs(x->effect), v = fabs(y->effect);
  if (u != v) return u < v ? 1 : -1;
  const int32_t kx[] = {(int32_t)x->source.kind, x->source.layer, x->source.head, x->source.channel, x->source.index};
  const int32_t ky[] = {(int32_t)y->source.kind, y->source.layer, y->source.head, y->source.channel, y->source.index};
  for (size_t i = 0; i < SGI_COUNT(kx); i++)
    if (kx[i] != ky[i]) return kx[i] < ky[i] ? -1 : 1;
  return 0;
}

static sg_status effects(work *w, sg_error *err) {
  double *effect = sgi_alloc(w->count * sizeof *effect);
  if (!effect) return sgi_fail_memory(err, w->count * sizeof *effect, "edges into a neuron");
  sgi_unit_out(w->unit, w->out, w->b->f.D);
  sg_status st = sgi_exact_effects(w->b, w->step, w->position, w->count, take, w, effect, NULL, NULL, err);
  for (size_t i = 0; i < w->count && !st; i++) w->edges[i].effect = effect[i];
  sgi_free(effect);
  qsort(w->edges, w->count, sizeof *w->edges, by_effect);
  return st;
}

sg_status sgi_exact_edges(sgi_exact_base *b, const sg_term *neuron, sgi_exact_edge **out, size_t *count,
                          sg_error *err) {
  work w = {.b = b};
  *out = NULL;
  *count = 0;
  sg_status st = find(&w, neuron, err);
  if (!st) st = sources(&w, err);
  if (!st) st = prepare(&w, err);
  if (!st) st = values(&w, err);
  if (!st) st = effects(&w, err);
  sgi_free(w.rows);
  sgi_free(w.out);
  if (st) {
    sgi_free(w.edges);
    return st;
  }
  *out = w.edges;
  *count = w.count;
  return SG_OK;
}
