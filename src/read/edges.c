#include "read/edges.h"

#include <string.h>

#include "math/kernels.h"

sgi_sources sgi_sources_of(const sgi_frozen *f) {
  sgi_sources s = {.T = f->T, .L = f->L, .units = f->units, .biases = f->bias ? f->L * f->T : 0};
  s.count = s.T + s.biases + f->L * f->T * f->units;
  return s;
}

sg_status sgi_edge_work_init(sgi_edge_work *w, const sgi_frozen *f, sg_error *err) {
  size_t W = f->H * f->d, wide = W > f->D ? W : f->D, bytes = 2 * SGI_EDGE_BATCH * f->T * wide * sizeof(float);
  *w = (sgi_edge_work){sgi_alloc(SGI_EDGE_BATCH * f->T * f->D * sizeof(float)), sgi_alloc(bytes)};
  return w->g && w->buffer ? SG_OK : sgi_fail_memory(err, bytes, "the sweeps of a graph");
}

void sgi_edge_work_deinit(sgi_edge_work *w) {
  sgi_free(w->g);
  sgi_free(w->buffer);
  *w = (sgi_edge_work){0};
}

/* What the sources of a layer write, read by the gradient of its resid_post. Single products are of float32 kernels: their rounding
 * is far below the bound on a sum of edges. */
static void layer_effects(const sgi_frozen *f, const sgi_sources *s, size_t layer, size_t R, size_t n, const float *g,
                          const bool *only, double *rows) {
  const sgi_kernels *kern = sgi_kernel_table();
#pragma omp parallel for collapse(2) schedule(static) if (R * n * f->units > 4096)
  for (size_t r = 0; r < R; r++)
    for (size_t t = 0; t < n; t++) {
      const float *gt = g + (r * n + t) * f->D;
      double *row = rows + r * s->count;
      const sgi_unit *u = sgi_frozen_units(f, layer, t);
      for (size_t j = 0; j < f->units; j++) {
        size_t i = sgi_source_neuron(s, layer, t, j);
        if (!only || only[i]) row[i] = u[j].value * (double)kern->dot(u[j].w_out, gt, f->D);
      }
      const double *b = sgi_frozen_bias(f, layer, t);
      for (size_t d = 0; b && d < f->D; d++) row[sgi_source_bias(s, layer, t)] += b[d] * gt[d];
    }
}

static void token_effects(const sgi_frozen *f, const sgi_sources *s, size_t R, size_t n, const float *g, double *rows) {
  const float *E = f->model->w[SGI_ROW_EMBED];
  for (size_t r = 0; r < R; r++)
    for (size_t t = 0; t < n; t++)
      rows[r * s->count + t] = sgi_dot_double(E + (size_t)f->tokens[t] * f->D, g + (r * n + t) * f->D, f->D);
}

/* Down one layer's attention. With a head asked for, the ways above its layer pass no head, those at it pass that one only, those
 * below any. */
static sg_status attention(const sgi_frozen *f, size_t layer, size_t R, size_t n, size_t part, sgi_edge_work *w) {
  ptrdiff_t head = -1;
  if (part == SGI_PART_NONE) return SG_OK;
  if (part >= SGI_PART_HEADS) {
    size_t at = (part - SGI_PART_HEADS) / f->H;
    if (layer > at) return SG_OK;
    if (layer == at) head = (ptrdiff_t)((part - SGI_PART_HEADS) % f->H);
  }
  return sgi_frozen_attention_back(f, layer, R, n, head, w->g, w->buffer);
}

sg_status sgi_edges(const sgi_frozen *f, const sgi_edge_target *targets, size_t R, size_t part, const bool *only,
                    double *rows, sgi_edge_work *w, sg_error *err) {
  sgi_sources s = sgi_sources_of(f);
  size_t layer = targets[0].layer, n = 0;
  /* A way through the asked head exists only from its layer down: sources above have none. */
  size_t from = part >= SGI_PART_HEADS ? (part - SGI_PART_HEADS) / f->H : f->L;
  memset(rows, 0, R * s.count * sizeof *rows);
  if (part >= SGI_PART_HEADS && from > layer) return SG_OK;
  for (size_t r = 0; r < R; r++)
    if (targets[r].position >= n) n = targets[r].position + 1;
  memset(w->g, 0, R * n * f->D * sizeof *w->g);
  for (size_t r = 0; r < R; r++) {
    float *g = w->g + (r * n + targets[r].position) * f->D;
    if (targets[r].unit)
      sgi_frozen_unit_gradient(f, layer, targets[r].position, targets[r].unit, g);
    else
      sgi_frozen_logit_gradient(f, targets[r].position, targets[r].token, -1, g);
  }
  sg_status st = layer < f->L ? attention(f, layer, R, n, part, w) : SG_OK;
  for (size_t l = layer; l-- > 0 && !st;) {
    if (l < from) layer_effects(f, &s, l, R, n, w->g, only, rows);
    st = attention(f, l, R, n, part, w);
  }
  if (st) return sgi_fail(err, st, "frozen backward pass: a matrix product failed");
  token_effects(f, &s, R, n, w->g, rows);
  return SG_OK;
}
