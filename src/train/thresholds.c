#include "train/thresholds.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/arena.h"

typedef struct watcher {
  ptrdiff_t layer;
  size_t C, K, rows; /* rows taken so far */
  size_t most;       /* rows of the whole batch */
  float *score;      /* (C, most*K) */
} watcher;

static sg_status visit(void *user, const sgi_site *s, sg_error *err) {
  watcher *w = user;
  (void)err;
  if (s->layer != w->layer || s->id != SGI_SITE_ROUTER_SCORES) return SG_OK;
  for (size_t i = 0; i < s->n; i++)
    for (size_t c = 0; c < w->C; c++)
      memcpy(w->score + (c * w->most + w->rows + i) * w->K, (const float *)s->data + (i * w->C + c) * w->K,
             w->K * sizeof *w->score);
  w->rows += s->n;
  return SG_OK;
}

static int ascending(const void *a, const void *b) {
  float x = *(const float *)a, y = *(const float *)b;
  return (x > y) - (x < y);
}

double sgi_quantile(float *x, size_t n, double q) {
  qsort(x, n, sizeof *x, ascending);
  double at = q * (double)(n - 1), low = floor(at);
  size_t i = (size_t)low, next = i + 1 < n ? i + 1 : i;
  return (double)x[i] + (at - low) * ((double)x[next] - (double)x[i]);
}

/* Row of the layer's thresholds, or NULL. */
static sgi_row *row_of(const sgi_trainer *t, size_t layer) {
  const sgi_sublayer *s = sgi_feedforward_of(t->model, layer);
  for (size_t i = 0; s && i < s->n_tensors; i++)
    if (t->model->table.rows[s->row[i]].threshold) return &t->model->table.rows[s->row[i]];
  return NULL;
}

static bool unset(const sgi_trainer *t, const sgi_row *row) {
  const float *theta = t->model->arena + row->offset;
  for (size_t i = 0; i < row->count; i++)
    if (theta[i] != 0) return false;
  return true;
}

static sg_status start_layer(sgi_trainer *t, size_t layer, const sgi_row *row, const sgi_batch *batch, sg_error *err) {
  const sg_config *c = &t->model->layers[layer].config;
  size_t C = c->num_channels, K = c->top_k, rows = t->settings.micro_batch;
  watcher w = {.layer = (ptrdiff_t)layer, .C = C, .K = K, .most = batch->B * batch->T};
  w.score = sgi_alloc(C * w.most * K * sizeof *w.score);
  if (!w.score) return sgi_fail_memory(err, C * w.most * K * sizeof *w.score, "scores of the first batch");
  sg_status st = SG_OK;
  for (size_t b = 0; b < batch->B && !st; b += rows) {
    size_t at = b * batch->T;
    sgi_batch part = {rows, batch->T, batch->inputs + at, batch->targets + at,
                      batch->starts ? batch->starts + at : NULL};
    st = sgi_pass_forward(t->pass, &part, &(sgi_tap){.visit = visit, .user = &w, .err = err}, err);
  }
  double target = t->settings.aux.target_active > 0 ? t->settings.aux.target_active : (double)(C * K) / 2;
  double q = fmin(fmax(1 - target / (double)(C * K), 0), 1);
  for (size_t ch = 0; ch < C && !st; ch++)
    t->model->arena[row->offset + ch] = (float)sgi_quantile(w.score + ch * w.most * K, w.most * K, q);
  sgi_free(w.score);
  return st;
}

sg_status sgi_thresholds_start(sgi_trainer *t, const sgi_batch *batch, sg_error *err) {
  sg_status st = SG_OK;
  for (size_t l = 0; l < t->model->config.num_layers && !st; l++) {
    const sgi_row *row = row_of(t, l);
    if (row && unset(t, row)) st = start_layer(t, l, row, batch, err);
  }
  return st;
}
