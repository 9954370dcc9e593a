/* Attribution of a logit in the frozen network: docs/method-reading.md, attribution. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "math/kernels.h"
#include "read/attribute.h"
#include "read/run.h"

static const double TOLERANCE = 1e-5;

typedef struct work {
  const sgi_frozen *f;
  bool (*progress)(void *user, size_t done, size_t wanted); /* layers down */
  void *user;
  sg_attribution *a;
  sgi_sweep down; /* one gradient, of positions up to the read one */
  float *logits;  /* (V) */
} work;

static sg_status room(sg_terms *l, size_t capacity, sg_error *err) {
  l->terms = sgi_alloc(capacity * sizeof *l->terms);
  return l->terms ? SG_OK : sgi_fail_memory(err, capacity * sizeof *l->terms, "terms of an attribution");
}

static void add(sg_terms *l, sg_term t) {
  l->terms[l->count++] = t;
  l->sum += t.effect;
  l->sum_abs += fabs(t.effect);
}

static sg_term neuron(size_t layer, size_t t, const sgi_unit *u, double effect) {
  return (sg_term){.kind = SG_TERM_NEURON,
                   .layer = (int32_t)layer,
                   .head = -1,
                   .channel = u->channel,
                   .index = u->index,
                   .position = (int32_t)t,
                   .source = (int32_t)t,
                   .value = u->value,
                   .effect = effect};
}

static sg_term other(sg_term_kind kind, ptrdiff_t layer, ptrdiff_t head, size_t t, size_t source, double effect) {
  return (sg_term){.kind = kind,
                   .layer = (int32_t)layer,
                   .head = (int32_t)head,
                   .channel = -1,
                   .index = -1,
                   .position = (int32_t)t,
                   .source = (int32_t)source,
                   .effect = effect};
}

/* dz (d) = Wo of one head, transposed, times g (D). */
static void head_gradient(const sgi_held *h, size_t head, const float *g, double *dz) {
  const float *wo = h->w_out + head * h->d_head;
  size_t W = h->heads * h->d_head;
  for (size_t e = 0; e < h->d_head; e++) dz[e] = 0;
  for (size_t i = 0; i < h->D; i++)
    for (size_t e = 0; e < h->d_head; e++) dz[e] += (double)g[i] * wo[i * W + e];
}

static double value_dot(const sgi_held *h, size_t head, size_t s, const double *dz) {
  const float *v = h->v + (s * h->heads + head) * h->d_head;
  double sum = 0;
  for (size_t e = 0; e < h->d_head; e++) sum += dz[e] * v[e];
  return sum;
}

/* What the biases of a step write at t; with inner, the constants inside its units too. */
static double bias_effect(const sgi_held *h, size_t t, const float *g, bool inner) {
  const double *b = sgi_held_bias(h, t);
  double sum = 0;
  for (size_t d = 0; b && d < h->D; d++) sum += b[d] * g[d];
  for (size_t j = 0; inner && j < h->units; j++) {
    const sgi_unit *u = sgi_held_units(h, t) + j;
    if (u->constant != 0) sum += u->constant * sgi_unit_write(u, g, h->D);
  }
  return sum;
}

/* A bias of any step gives every step that writes unit by unit a term. */
static bool writes(const sgi_held *h) { return h->units || h->bias; }

static void direct_step(work *w, const sgi_held *h, const float *g, double *dz) {
  size_t p = w->a->position, layer = h->step->layer;
  sg_terms *l = &w->a->direct;
  for (size_t i = 0; i < h->heads; i++) {
    head_gradient(h, i, g, dz);
    const float *pattern = sgi_held_pattern(h, i, p);
    for (size_t s = 0; s <= p; s++) {
      sg_term t = other(SG_TERM_HEAD, (ptrdiff_t)layer, (ptrdiff_t)i, p, s, pattern[s] * value_dot(h, i, s, dz));
      t.value = pattern[s];
      add(l, t);
    }
  }
  const sgi_unit *u = sgi_held_units(h, p);
  for (size_t j = 0; j < h->units; j++) add(l, neuron(layer, p, &u[j], u[j].value * sgi_unit_write(&u[j], g, h->D)));
  if (w->f->has_bias && writes(h)) add(l, other(SG_TERM_BIAS, (ptrdiff_t)layer, -1, p, p, bias_effect(h, p, g, false)));
}

static double embedding_dot(const sgi_frozen *f, size_t t, const float *g) {
  sgi_slice e = sgi_embedding_of(f->model, (size_t)f->tokens[t]);
  return sgi_slice_dot(&e, g, f->D);
}

static sg_status direct(work *w, double *dz, sg_error *err) {
  const sgi_frozen *f = w->f;
  size_t p = w->a->position, terms = 1;
  for (size_t s = 0; s < f->n_steps; s++) terms += f->steps[s].heads * (p + 1) + f->steps[s].units + 1;
  sg_terms *l = &w->a->direct;
  sg_status st = room(l, terms, err);
  if (st) return st;
  const float *g = w->down.g + p * f->D;
  add(l, other(SG_TERM_EMBED, -1, -1, p, p, embedding_dot(f, p, g)));
  for (size_t s = 0; s < f->n_steps; s++) direct_step(w, &f->steps[s], g, dz);
  return SG_OK;
}

/* Total effects of a step's heads, by source. */
static void total_heads(work *w, const sgi_held *h, double *dz, double *by_source) {
  size_t p = w->a->position;
  for (size_t i = 0; i < h->heads; i++) {
    for (size_t s = 0; s <= p; s++) by_source[s] = 0;
    for (size_t t = 0; t <= p; t++) {
      head_gradient(h, i, w->down.after + t * h->D, dz);
      const float *pattern = sgi_held_pattern(h, i, t);
      for (size_t s = 0; s <= t; s++) by_source[s] += pattern[s] * value_dot(h, i, s, dz);
    }
    for (size_t s = 0; s <= p; s++)
      add(&w->a->heads, other(SG_TERM_HEAD, (ptrdiff_t)h->step->layer, (ptrdiff_t)i, p, s, by_source[s]));
  }
}

static void total_neurons(work *w, const sgi_held *h) {
  size_t layer = h->step->layer;
  for (size_t t = 0; t <= w->a->position && writes(h); t++) {
    const float *g = w->down.after + t * h->D;
    const sgi_unit *u = sgi_held_units(h, t);
    for (size_t j = 0; j < h->units; j++)
      add(&w->a->neurons, neuron(layer, t, &u[j], u[j].value * sgi_unit_write(&u[j], g, h->D)));
    if (w->f->has_constants)
      add(&w->a->inputs, other(SG_TERM_BIAS, (ptrdiff_t)layer, -1, t, t, bias_effect(h, t, g, true)));
  }
}

static sg_status total_room(work *w, sg_error *err) {
  const sgi_frozen *f = w->f;
  size_t units = 0, heads = 0, rows = w->a->position + 1;
  for (size_t s = 0; s < f->n_steps; s++) {
    units += f->steps[s].units;
    heads += f->steps[s].heads;
  }
  sg_status st = room(&w->a->inputs, rows * (1 + f->n_steps), err);
  if (!st) st = room(&w->a->neurons, rows * units + 1, err);
  return st ? st : room(&w->a->heads, rows * heads + 1, err);
}

static sg_status total(work *w, double *dz, double *by_source, sg_error *err) {
  const sgi_frozen *f = w->f;
  sg_status st = total_room(w, err);
  for (size_t s = f->n_steps; s-- > 0 && !st;) {
    const sgi_held *h = &f->steps[s];
    sgi_sweep_enter(&w->down, s);
    total_neurons(w, h);
    total_heads(w, h, dz, by_source);
    st = sgi_sweep_pull(&w->down, s, -1, err);
    if (!st && w->progress && !w->progress(w->user, f->L - h->step->layer, f->L))
      return sgi_fail(err, SG_ERR_CANCELLED, "stopped");
  }
  for (size_t t = 0; t <= w->a->position && !st; t++)
    add(&w->a->inputs, other(SG_TERM_EMBED, -1, -1, t, t, embedding_dot(f, t, w->down.g + t * f->D)));
  return st;
}

int sgi_term_order(const void *a, const void *b) {
  const sg_term *x = a, *y = b;
  double u = fabs(x->effect), v = fabs(y->effect);
  if (u != v) return u < v ? 1 : -1;
  const int32_t kx[] = {(int32_t)x->kind, x->layer, x->position, x->head, x->channel, x->index, x->source};
  const int32_t ky[] = {(int32_t)y->kind, y->layer, y->position, y->head, y->channel, y->index, y->source};
  for (size_t i = 0; i < SGI_COUNT(kx); i++)
    if (kx[i] != ky[i]) return kx[i] < ky[i] ? -1 : 1;
  return 0;
}

static double log_probability(const float *logits, size_t V, int32_t id) {
  double max = -INFINITY, sum = 0;
  for (size_t i = 0; i < V; i++) max = fmax(max, (double)logits[i]);
  for (size_t i = 0; i < V; i++) sum += exp((double)logits[i] - max);
  return (double)logits[id] - max - log(sum);
}

static sg_status choose_target(work *w, int32_t target, int32_t against, double *log_p, sg_error *err) {
  sg_attribution *a = w->a;
  sg_status st = sgi_frozen_target(w->f, a->position, target, against, w->logits, &a->target, err);
  if (st) return st;
  a->against = against;
  a->target_logit = (double)w->logits[a->target] - (a->against >= 0 ? (double)w->logits[a->against] : 0);
  if (log_p) *log_p = log_probability(w->logits, w->f->V, a->target);
  return isfinite(a->target_logit) ? SG_OK
                                   : sgi_fail(err, SG_ERR_NUMERIC, "the logit of token %d is not finite", a->target);
}

static sg_status run(work *w, int32_t target, int32_t against, double *log_p, sg_error *err) {
  const sgi_frozen *f = w->f;
  size_t p = w->a->position;
  sg_status st = sgi_sweep_init(&w->down, f, 1, p + 1, err);
  if (st) return st;
  w->logits = sgi_alloc(f->V * sizeof *w->logits);
  double *dz = sgi_alloc((f->wide + f->T) * sizeof *dz);
  if (!w->logits || !dz) st = sgi_fail_memory(err, f->V * sizeof *w->logits, "an attribution");
  if (!st) st = choose_target(w, target, against, log_p, err);
  if (!st) {
    sgi_frozen_logit_gradient(f, p, w->a->target, w->a->against, w->down.g + p * f->D);
    st = direct(w, dz, err);
  }
  if (!st) st = total(w, dz, dz + f->wide, err);
  sgi_free(dz);
  return st;
}

sg_status sgi_attribute_held(const sgi_frozen *f, size_t position, int32_t target, int32_t against,
                             bool (*progress)(void *user, size_t done, size_t wanted), void *user, double *log_p,
                             sg_attribution **out, sg_error *err) {
  *out = NULL;
  work w = {.f = f, .progress = progress, .user = user, .a = sgi_alloc(sizeof *w.a)};
  if (!w.a) return sgi_fail_memory(err, sizeof *w.a, "an attribution");
  w.a->position = position;
  sg_status st = run(&w, target, against, log_p, err);
  sgi_sweep_deinit(&w.down);
  sgi_free(w.logits);
  if (st) {
    sg_attribution_free(w.a);
    return st;
  }
  sg_terms *lists[] = {&w.a->direct, &w.a->inputs, &w.a->neurons, &w.a->heads};
  for (size_t i = 0; i < SGI_COUNT(lists) && f->model->watched; i++)
    if (!isfinite(lists[i]->sum_abs)) {
      sg_attribution_free(w.a);
      return sgi_fail(err, SG_ERR_NUMERIC, "an effect is NaN or infinite, though the logit is a number");
    }
  for (size_t i = 0; i < SGI_COUNT(lists); i++) {
    qsort(lists[i]->terms, lists[i]->count, sizeof *lists[i]->terms, sgi_term_order);
    if (i < 2) lists[i]->residue = lists[i]->sum - w.a->target_logit;
  }
  *out = w.a;
  return SG_OK;
}

/* The forward pass and its reading are two thirds, the way back is the last. */
static bool forth(void *user, size_t done, size_t wanted) {
  const sg_attribute_request *r = user;
  return !r->progress || r->progress(r->user, done, wanted + wanted / 2);
}
static bool back(void *user, size_t done, size_t wanted) {
  const sg_attribute_request *r = user;
  return !r->progress || r->progress(r->user, 2 * wanted + done, 3 * wanted);
}

sg_status sg_attribute(const sg_model *m, const sg_attribute_request *r, sg_attribution **out, sg_error *err) {
  *out = NULL;
  size_t position;
  sg_status st = sgi_prompt_check(m, r->tokens, r->count, err);
  if (!st) st = sgi_prompt_position(r->position, r->count, &position, err);
  if (st) return st;
  sgi_frozen f = {0};
  void *user = (void *)(uintptr_t)r;
  st = sgi_frozen_init_watched(&f, m, r->tokens, r->count, r->max_bytes, forth, user, err);
  if (!st) st = sgi_attribute_held(&f, position, r->target, r->against, back, user, NULL, out, err);
  sgi_frozen_deinit(&f);
  return st;
}

void sg_attribution_free(sg_attribution *a) {
  if (!a) return;
  sgi_free(a->direct.terms);
  sgi_free(a->inputs.terms);
  sgi_free(a->neurons.terms);
  sgi_free(a->heads.terms);
  sgi_free(a);
}

/* Total effects of few tokens may cancel inside each term, so rounding is judged by the larger of
 * both lists' sums. */
sg_status sg_attribution_check(const sg_attribution *a, sg_error *err) {
  const sg_terms *lists[] = {&a->direct, &a->inputs};
  double scale = fmax(a->direct.sum_abs, a->inputs.sum_abs);
  for (size_t i = 0; i < SGI_COUNT(lists); i++)
    if (!(fabs(lists[i]->residue) <= TOLERANCE * (i ? scale : a->direct.sum_abs)))
      return sgi_fail(
          err, SG_ERR_INTERNAL,
          "%s effects add up to %.9g, the logit is %.9g: a residue of %.2e, where at most %.0e of the sum of "
          "absolute terms (%.6g) is rounding",
          i ? "total" : "direct", lists[i]->sum, a->target_logit, lists[i]->residue, TOLERANCE,
          i ? scale : a->direct.sum_abs);
  return SG_OK;
}
