#include "read/edges.h"

#include <string.h>

#include "math/kernels.h"

static bool writes(const sgi_held *h) { return h->units || h->bias; }

sg_status sgi_sources_init(sgi_sources *s, const sgi_frozen *f, sg_error *err) {
  *s = (sgi_sources){.T = f->T, .count = f->T, .bias = sgi_alloc(3 * (f->n_steps + 1) * sizeof *s->bias)};
  if (!s->bias) return sgi_fail_memory(err, f->n_steps * sizeof *s->bias, "the sources of a graph");
  s->error = s->bias + f->n_steps + 1;
  s->neuron = s->error + f->n_steps + 1;
  for (size_t i = 0; i < f->n_steps; i++) {
    s->bias[i] = s->count;
    if (f->has_bias && writes(&f->steps[i])) s->count += f->T;
  }
  s->errors = s->count;
  for (size_t i = 0; i < f->n_steps; i++) {
    s->error[i] = s->count;
    if (f->steps[i].error) s->count += f->T;
  }
  s->neurons = s->count;
  for (size_t i = 0; i < f->n_steps; i++) {
    s->neuron[i] = s->count;
    s->count += f->T * f->steps[i].units;
  }
  s->bias[f->n_steps] = s->errors;
  s->error[f->n_steps] = s->neurons;
  s->neuron[f->n_steps] = s->count;
  return SG_OK;
}

void sgi_sources_deinit(sgi_sources *s) {
  sgi_free(s->bias);
  *s = (sgi_sources){0};
}

size_t sgi_source_step(const sgi_sources *s, const sgi_frozen *f, size_t source, size_t *rest) {
  const size_t *first = source < s->errors ? s->bias : source < s->neurons ? s->error : s->neuron;
  size_t i = 0;
  while (i + 1 < f->n_steps && first[i + 1] <= source) i++;
  *rest = source - first[i];
  return i;
}

/* What the sources of a step write, read by the gradient of the stream it adds to. Single products
 * are of float32 kernels: their rounding is far below the bound on a sum of edges. */
static void step_effects(const sgi_frozen *f, const sgi_sources *s, size_t step, const sgi_sweep *w, const bool *only,
                         double *rows) {
  const sgi_held *h = &f->steps[step];
  size_t R = w->R, n = w->rows;
#pragma omp parallel for collapse(2) schedule(static) if (R * n * h->units > 4096)
  for (size_t r = 0; r < R; r++)
    for (size_t t = 0; t < n; t++) {
      const float *gt = w->after + (r * n + t) * f->D;
      double *row = rows + r * s->count;
      const sgi_unit *u = sgi_held_units(h, t);
      for (size_t j = 0; j < h->units; j++) {
        size_t i = s->neuron[step] + t * h->units + j;
        if (!only || only[i]) row[i] = u[j].value * (double)sgi_slice_dot_float(&u[j].out, gt, f->D);
      }
      const double *b = sgi_held_bias(h, t);
      for (size_t d = 0; b && d < f->D; d++) row[s->bias[step] + t] += b[d] * gt[d];
      const double *e = sgi_held_error(h, t);
      for (size_t d = 0; e && d < f->D; d++) row[s->error[step] + t] += e[d] * gt[d];
    }
}

static void token_effects(const sgi_frozen *f, const sgi_sources *s, const sgi_sweep *w, double *rows) {
  for (size_t r = 0; r < w->R; r++)
    for (size_t t = 0; t < w->rows; t++) {
      sgi_slice e = sgi_embedding_of(f->model, (size_t)f->tokens[t]);
      rows[r * s->count + t] = sgi_slice_dot(&e, w->g + (r * w->rows + t) * f->D, f->D);
    }
}

/* The step whose head is asked for; n_steps where the layer has no heads. */
static size_t asked_step(const sgi_frozen *f, size_t part, ptrdiff_t *head) {
  *head = (ptrdiff_t)((part - SGI_PART_HEADS) % f->heads);
  return sgi_plan_find(&f->model->plan, (part - SGI_PART_HEADS) / f->heads, &sgi_sublayer_attention);
}

sg_status sgi_edges(const sgi_frozen *f, const sgi_sources *s, const sgi_edge_target *targets, size_t R, size_t part,
                    const bool *only, double *rows, sgi_sweep *w, sg_error *err) {
  size_t step = targets[0].step, n = 0;
  size_t top = step < f->n_steps ? f->steps[step].step->before : f->n_steps;
  memset(rows, 0, R * s->count * sizeof *rows);
  /* With a head asked for, ways above its step pass no head, at it that one only, below it any; and
   * only what is in the stream that it reads has a way through it. */
  ptrdiff_t head = -1;
  size_t at = f->n_steps, sources = f->n_steps;
  if (part >= SGI_PART_HEADS) {
    at = asked_step(f, part, &head);
    if (at >= top) return SG_OK;
    sources = f->steps[at].step->before;
  }
  for (size_t r = 0; r < R; r++)
    if (targets[r].position >= n) n = targets[r].position + 1;
  w->R = R;
  w->rows = n;
  memset(w->g, 0, R * n * f->D * sizeof *w->g);
  for (size_t r = 0; r < R; r++) {
    float *g = w->g + (r * n + targets[r].position) * f->D;
    if (targets[r].unit)
      sgi_frozen_unit_gradient(f, step, targets[r].position, targets[r].unit, g);
    else
      sgi_frozen_logit_gradient(f, targets[r].position, targets[r].token, -1, g);
  }
  for (size_t i = top; i-- > 0;) {
    const sgi_held *h = &f->steps[i];
    sgi_sweep_enter(w, i);
    if (i < sources && writes(h)) step_effects(f, s, i, w, only, rows);
    if (!h->heads || part == SGI_PART_NONE || (at < f->n_steps && i > at)) continue;
    sg_status st = sgi_sweep_pull(w, i, i == at ? head : -1, err);
    if (st) return st;
  }
  token_effects(f, s, w, rows);
  return SG_OK;
}
