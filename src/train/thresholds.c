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
  int32_t *index;    /* (C, most*K) */
} watcher;

static sg_status visit(void *user, const sgi_site *s, sg_error *err) {
  watcher *w = user;
  (void)err;
  bool index = s->id == SGI_SITE_ROUTER_INDICES;
  if (s->layer != w->layer || (s->id != SGI_SITE_ROUTER_SCORES && !index)) return SG_OK;
  char *to = index ? (char *)w->index : (char *)w->score;
  size_t bytes = w->K * sizeof *w->score;
  for (size_t i = 0; i < s->n; i++)
    for (size_t c = 0; c < w->C; c++)
      memcpy(to + (c * w->most + w->rows + i) * bytes, (const char *)s->data + (i * w->C + c) * bytes, bytes);
  if (index) w->rows += s->n;
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

/* Row of the thresholds of the layer's pool number e, or NULL. */
static sgi_row *row_of(const sgi_trainer *t, size_t layer, size_t e) {
  const sgi_sublayer *s = sgi_feedforward_of(t->model, layer);
  for (size_t i = 0; s && i < s->n_tensors; i++)
    if (t->model->table.rows[s->row[i]].threshold && !e--) return &t->model->table.rows[s->row[i]];
  return NULL;
}

static bool unset(const sgi_trainer *t, const sgi_row *row) {
  const float *theta = t->model->arena + row->offset;
  for (size_t i = 0; i < row->count; i++)
    if (theta[i] != 0) return false;
  return true;
}

/* A channel's candidates in pool e, into room; those of all pools where this one was never
 * chosen. */
static size_t candidates(const watcher *w, size_t channel, size_t e, size_t F, float *room) {
  const float *score = w->score + channel * w->most * w->K;
  const int32_t *index = w->index + channel * w->most * w->K;
  size_t all = w->most * w->K, n = 0;
  for (size_t i = 0; i < all; i++)
    if ((size_t)index[i] / F == e) room[n++] = score[i];
  if (!n) memcpy(room, score, all * sizeof *room);
  return n ? n : all;
}

static sg_status start_layer(sgi_trainer *t, size_t layer, const sgi_batch *batch, sg_error *err) {
  const sg_config *c = &t->model->layers[layer].config;
  size_t C = c->num_channels, K = c->top_k, rows = t->settings.micro_batch;
  size_t F = c->pool_neurons ? c->pool_neurons : c->num_neurons;
  watcher w = {.layer = (ptrdiff_t)layer, .C = C, .K = K, .most = batch->B * batch->T};
  w.score = sgi_alloc(C * w.most * K * sizeof *w.score);
  w.index = sgi_alloc(C * w.most * K * sizeof *w.index);
  float *room = sgi_alloc(w.most * K * sizeof *room);
  sg_status st = SG_OK;
  if (!w.score || !w.index || !room)
    st = sgi_fail_memory(err, C * w.most * K * sizeof *w.score, "scores of the first batch");
  for (size_t b = 0; b < batch->B && !st; b += rows) {
    size_t at = b * batch->T;
    sgi_batch part = {rows, batch->T, batch->inputs + at, batch->targets + at,
                      batch->starts ? batch->starts + at : NULL};
    st = sgi_pass_forward(t->pass, &part, &(sgi_tap){.visit = visit, .user = &w, .err = err}, err);
  }
  double target = t->settings.aux.target_active > 0 ? t->settings.aux.target_active : (double)(C * K) / 2;
  double q = fmin(fmax(1 - target / (double)(C * K), 0), 1);
  const sgi_row *row;
  for (size_t e = 0; !st && (row = row_of(t, layer, e)); e++)
    for (size_t ch = 0; ch < C; ch++) {
      size_t n = candidates(&w, ch, e, F, room);
      t->model->arena[row->offset + ch] = (float)sgi_quantile(room, n, q);
    }
  sgi_free(w.score);
  sgi_free(w.index);
  sgi_free(room);
  return st;
}

sg_status sgi_thresholds_start(sgi_trainer *t, const sgi_batch *batch, sg_error *err) {
  sg_status st = SG_OK;
  for (size_t l = 0; l < t->model->config.num_layers && !st; l++) {
    const sgi_row *row = row_of(t, l, 0);
    if (row && unset(t, row)) st = start_layer(t, l, batch, err);
  }
  return st;
}
