#include "read/sinks.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "core/median.h"
#include "model/pass.h"

static const double SINK = 0.3;

typedef struct watcher {
  const sg_model *m;
  sgi_sinks *out;
  size_t *first_head; /* (L) number of a layer's first head */
  size_t T, H, d;
  float *first; /* (T,H) P[t,0] */
  float *v0;    /* (H,d) value of position 0 */
  double *norm; /* (T) of the stream behind a layer */
} watcher;

static bool wants(void *user, const sgi_site *s) {
  (void)user;
  return s->id == SGI_SITE_ATTN_PATTERN;
}

static double norm_of(const float *x, size_t n) {
  double sum = 0;
  for (size_t i = 0; i < n; i++) sum += (double)x[i] * (double)x[i];
  return sqrt(sum);
}

static void take_pattern(watcher *w, const sgi_site *s) {
  sgi_sink_head *head = w->out->heads + w->first_head[s->layer];
  for (size_t i = 0; i < s->n; i++)
    for (size_t h = 0; h < w->H; h++) {
      const float *row = (const float *)s->data + (i * w->H + h) * s->dims[1];
      double sum = 0;
      w->first[(s->first + i) * w->H + h] = row[0];
      if (s->first + i == 0) continue;
      for (size_t j = 0; j < s->dims[1] && w->out->logits; j++) sum += (double)row[j];
      head[h].share += (double)row[0];
      if (w->out->logits) head[h].logit += 1 - sum;
    }
}

/* Mixed values: what part of them position 0 gave. */
static void take_mixed(watcher *w, const sgi_site *s) {
  sgi_sink_head *head = w->out->heads + w->first_head[s->layer];
  for (size_t i = s->first == 0; i < s->n; i++)
    for (size_t h = 0; h < w->H; h++) {
      double o = norm_of((const float *)s->data + (i * w->H + h) * w->d, w->d);
      double from = (double)w->first[(s->first + i) * w->H + h] * norm_of(w->v0 + h * w->d, w->d);
      head[h].share_out += o > 0 ? from / o : 0;
    }
}

/* Of the positions behind the first the lower of the middle two. */
static void take_stream(watcher *w, const sgi_site *s) {
  size_t D = w->m->config.hidden_size;
  for (size_t i = 0; i < s->n; i++) w->norm[s->first + i] = norm_of((const float *)s->data + i * D, D);
  if (s->first + s->n < w->T) return;
  double own = w->norm[0];
  qsort(w->norm + 1, w->T - 1, sizeof *w->norm, sgi_ascending);
  double middle = w->norm[1 + (w->T - 2) / 2];
  w->out->norm_ratio[s->layer] += middle > 0 ? own / middle : 0;
}

static sg_status visit(void *user, const sgi_site *s, sg_error *err) {
  watcher *w = user;
  (void)err;
  switch (s->id) {
    case SGI_SITE_ATTN_V:
      if (s->first == 0) memcpy(w->v0, s->data, w->H * w->d * sizeof *w->v0);
      break;
    case SGI_SITE_ATTN_PATTERN: take_pattern(w, s); break;
    case SGI_SITE_ATTN_Z: take_mixed(w, s); break;
    case SGI_SITE_RESID_POST: take_stream(w, s); break;
    default: break;
  }
  return SG_OK;
}

static sg_status prepare(watcher *w, size_t longest, sg_error *err) {
  const sg_config *c = &w->m->config;
  sgi_sinks *o = w->out;
  o->n_layers = c->num_layers;
  o->logits = c->attention_sink[0] != 0;
  w->first_head = sgi_alloc(c->num_layers * sizeof *w->first_head);
  o->norm_ratio = sgi_alloc(c->num_layers * sizeof *o->norm_ratio);
  o->heads = sgi_alloc(c->num_layers * w->H * sizeof *o->heads);
  w->first = sgi_alloc(longest * w->H * sizeof *w->first);
  w->v0 = sgi_alloc(w->H * w->d * sizeof *w->v0);
  w->norm = sgi_alloc(longest * sizeof *w->norm);
  if (!w->first_head || !o->norm_ratio || !o->heads || !w->first || !w->v0 || !w->norm)
    return sgi_fail_memory(err, longest * w->H * sizeof *w->first, "shares of attention");
  for (size_t l = 0; l < c->num_layers; l++) {
    w->first_head[l] = o->n_heads;
    for (size_t h = 0; h < w->H && sgi_attention_of(w->m, l); h++)
      o->heads[o->n_heads++] = (sgi_sink_head){.layer = l, .head = h};
  }
  return o->n_heads ? SG_OK : sgi_fail(err, SG_ERR_UNSUPPORTED, "this model has no attention that could have a sink");
}

static void finish(sgi_sinks *o) {
  double n = (double)o->positions;
  o->even /= n;
  for (size_t k = 0; k < o->n_heads; k++) {
    sgi_sink_head *h = &o->heads[k];
    h->share /= n;
    h->share_out /= n;
    h->logit /= n;
    h->excess = h->share - o->even;
    o->sink_heads += h->share > SINK;
  }
  o->sink_heads /= (double)o->n_heads;
  for (size_t l = 0; l < o->n_layers; l++) o->norm_ratio[l] /= (double)o->rows;
}

/* One row of inputs, of at least two positions. */
static sg_status one_row(watcher *w, sgi_pass *p, const int32_t *inputs, size_t n, sg_error *err) {
  w->T = n;
  for (size_t t = 1; t < n; t++) w->out->even += 1 / (double)(t + 1);
  w->out->rows++;
  w->out->positions += n - 1;
  sgi_tap tap = {.visit = visit, .user = w, .err = err, .wants = wants};
  return sgi_pass_forward(p, &(sgi_batch){.B = 1, .T = n, .inputs = inputs}, &tap, err);
}

static sg_status begin(watcher *w, size_t longest, sgi_pass **p, sg_error *err) {
  sg_status st = sgi_form_readable(&w->m->config, "attention sinks", err);
  if (!st) st = prepare(w, longest, err);
  return st ? st : sgi_pass_create(w->m, 1, longest, false, p, err);
}

static void end(watcher *w, sgi_pass *p) {
  sgi_pass_free(p);
  sgi_free(w->first_head);
  sgi_free(w->first);
  sgi_free(w->v0);
  sgi_free(w->norm);
}

sg_status sgi_sinks_rows(const sg_model *m, const int32_t *inputs, size_t B, size_t T, sgi_sinks *out, sg_error *err) {
  *out = (sgi_sinks){0};
  watcher w = {.m = m, .out = out, .H = m->config.num_heads, .d = m->config.head_dim};
  sgi_pass *p = NULL;
  sg_status st = B && T > 1 ? begin(&w, T, &p, err)
                            : sgi_fail(err, SG_ERR_ARG, "%zu rows of %zu tokens: a sink needs two positions", B, T);
  for (size_t b = 0; b < B && !st; b++) st = one_row(&w, p, inputs + b * T, T, err);
  if (!st) finish(out);
  end(&w, p);
  return st;
}

sg_status sgi_sinks_run(const sg_model *m, const sgi_corpus *text, size_t rows, size_t seq_len,
                        bool (*progress)(void *user, size_t done, size_t total), void *user, sgi_sinks *out,
                        sg_error *err) {
  *out = (sgi_sinks){0};
  watcher w = {.m = m, .out = out, .H = m->config.num_heads, .d = m->config.head_dim};
  size_t documents = sgi_corpus_documents(text), n;
  int32_t *inputs = sgi_alloc(seq_len * sizeof *inputs);
  sgi_pass *p = NULL;
  sg_status st = inputs ? begin(&w, seq_len, &p, err) : sgi_fail_memory(err, seq_len * sizeof *inputs, "a document");
  for (size_t i = 0; i < documents && !st && (!rows || out->rows < rows); i++) {
    const int32_t *ids = sgi_corpus_document(text, i, &n);
    if (n > seq_len) n = seq_len;
    if (n < 2) continue;
    inputs[0] = m->config.bos_id;
    memcpy(inputs + 1, ids, (n - 1) * sizeof *inputs);
    st = one_row(&w, p, inputs, n, err);
    if (!st && progress && !progress(user, out->rows, rows && rows < documents ? rows : documents))
      st = sgi_fail(err, SG_ERR_CANCELLED, "stopped");
  }
  if (!st && !out->rows) st = sgi_fail(err, SG_ERR_ARG, "the text has no document of two tokens");
  if (!st) finish(out);
  end(&w, p);
  sgi_free(inputs);
  return st;
}

void sgi_sinks_deinit(sgi_sinks *s) {
  sgi_free(s->heads);
  sgi_free(s->norm_ratio);
  *s = (sgi_sinks){0};
}
