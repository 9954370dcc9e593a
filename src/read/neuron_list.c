#include "read/neuron_list.h"

#include <math.h>
#include <string.h>

#include "core/arena.h"
#include "read/kept.h"
#include "read/label.h"
#include "read/neuron.h"

/* ---- the neurons ----------------------------------------------------------------------------- */

static size_t channels_of(const sg_config *c) { return sgi_unit_channels(c); }

static sg_status lay_out(sgi_neuron_list *l, sg_error *err) {
  size_t L = l->model->config.num_layers, bytes;
  for (size_t layer = 0; layer < L; layer++) {
    const sgi_sublayer *s = sgi_feedforward_of(l->model, layer);
    if (s && s->ffn->unit_at) l->count += channels_of(s->config) * s->config->num_neurons;
  }
  if (!l->count) return sgi_fail(err, SG_ERR_UNSUPPORTED, "no layer of this model has neurons");
  if (l->count > UINT32_MAX || !sgi_size_mul(l->count, sizeof *l->at, &bytes))
    return sgi_fail(err, SG_ERR_UNSUPPORTED, "%zu neurons are too many for a list", l->count);
  if (!(l->at = sgi_alloc(bytes))) return sgi_fail_memory(err, bytes, "a list of neurons");
  size_t n = 0;
  for (size_t layer = 0; layer < L; layer++) {
    const sgi_sublayer *s = sgi_feedforward_of(l->model, layer);
    if (!s || !s->ffn->unit_at) continue;
    for (size_t ch = 0; ch < channels_of(s->config); ch++)
      for (size_t i = 0; i < s->config->num_neurons; i++)
        l->at[n++] = (sgi_neuron_stat){.layer = (uint32_t)layer, .channel = (uint32_t)ch, .index = (uint32_t)i};
  }
  return SG_OK;
}

sg_status sgi_neuron_list_find(const sgi_neuron_list *l, size_t layer, size_t channel, size_t index, size_t *at,
                               sg_error *err) {
  sgi_unit u;
  sg_status st = sgi_unit_find(l->model, layer, channel, index, &u, err);
  if (st) return st;
  size_t low = 0, high = l->count;
  while (high - low > 1) {
    size_t mid = low + (high - low) / 2;
    const sgi_neuron_stat *n = &l->at[mid];
    bool behind = n->layer != layer       ? n->layer > layer
                  : n->channel != channel ? n->channel > channel
                                          : n->index > index;
    if (behind)
      high = mid;
    else
      low = mid;
  }
  *at = low;
  return SG_OK;
}

/* The first of a layer's neurons; count where it has none. */
static size_t first_of(const sgi_neuron_list *l, size_t layer) {
  size_t low = 0, high = l->count;
  while (low < high) {
    size_t mid = low + (high - low) / 2;
    if (l->at[mid].layer < layer)
      low = mid + 1;
    else
      high = mid;
  }
  return low;
}

/* ---- what is recorded ------------------------------------------------------------------------ */

typedef struct sweep {
  const sgi_neuron_list *l;
  const sgi_recording_info *info;
  const bool *silent; /* (V) tokens that say nothing */
  size_t slot;
  sgi_neuron_stat *first; /* of its layer */
  int32_t *index;         /* (C,K) */
  float *score, *value;
} sweep;

static size_t entries_of(const sgi_slot *z) { return z->channels * z->top_k; }

/* The circuit of a position; the score stands for the value where none is recorded. */
static const float *read_circuit(const sweep *w, size_t position) {
  sgi_recording_circuit(w->l->rec, w->slot, position, w->index, w->score);
  return sgi_recording_values(w->l->rec, w->slot, position, w->value) ? w->value : w->score;
}

static void add_positions(const sweep *w, size_t from, size_t to) {
  const sgi_slot *z = &w->info->slots[w->slot];
  for (size_t p = from; p < to; p++) {
    bool silent = w->silent[sgi_recording_at(w->l->rec, p).input];
    const float *x = read_circuit(w, p);
    for (size_t i = 0; i < entries_of(z); i++) {
      if (!sgi_recording_acts(z, w->score[i])) continue;
      sgi_neuron_stat *n = &w->first[i / z->top_k * z->pool + (size_t)w->index[i]];
      n->count++;
      if (silent) continue;
      double size = fabs((double)x[i]);
      n->sum += (double)x[i];
      n->all += size;
      if (size > n->largest) n->largest = size;
    }
  }
}

static sg_status sweep_begin(sweep *w, sg_error *err) {
  size_t m = 1, V = w->info->vocab_size;
  for (size_t s = 0; s < w->info->n_layers; s++)
    if (entries_of(&w->info->slots[s]) > m) m = entries_of(&w->info->slots[s]);
  bool *silent = sgi_alloc(V * sizeof *silent);
  w->silent = silent;
  w->index = sgi_alloc(m * sizeof *w->index);
  w->score = sgi_alloc(m * sizeof *w->score);
  w->value = sgi_alloc(m * sizeof *w->value);
  if (!silent || !w->index || !w->score || !w->value)
    return sgi_fail_memory(err, m * sizeof *w->index + V, "a circuit");
  for (size_t v = 0; v < V; v++) silent[v] = sgi_label_special(w->l->model, w->l->tokenizer, v);
  return SG_OK;
}

static void sweep_end(sweep *w) {
  sgi_free((void *)(uintptr_t)w->silent);
  sgi_free(w->index);
  sgi_free(w->score);
  sgi_free(w->value);
}

static sg_status add_slots(sweep *w, sgi_list_progress progress, void *user, sg_error *err) {
  enum { PART = 8192 };
  size_t n = w->info->n_positions, wanted = n * w->info->n_layers;
  for (w->slot = 0; w->slot < w->info->n_layers; w->slot++) {
    size_t layer = w->info->layers[w->slot];
    if (!sgi_recording_neurons(w->l->rec, w->l->model, w->slot)) continue;
    w->first = w->l->at + first_of(w->l, layer);
    for (size_t p = 0; p < n; p += PART) {
      add_positions(w, p, p + PART < n ? p + PART : n);
      if (progress && !progress(user, w->slot * n + p, wanted)) return sgi_fail(err, SG_ERR_CANCELLED, "stopped");
    }
    for (sgi_neuron_stat *s = w->first; s < w->l->at + w->l->count && s->layer == layer; s++) {
      s->recorded = true;
      s->share = n ? (double)s->count / (double)n : 0;
    }
  }
  return SG_OK;
}

/* Neurons of one layer that are kept one by one. */
static void add_kept(const sgi_neuron_list *l, size_t layer) {
  const sgi_kept *k = sgi_recording_kept(l->rec, layer);
  size_t n = sgi_recording_info_of(l->rec)->n_positions;
  for (size_t u = 0; k && u < k->channels * k->neurons; u++) {
    sgi_neuron_stat *s = &l->at[first_of(l, layer) + u];
    uint32_t position;
    float value;
    s->recorded = true;
    s->count = k->count[u];
    s->share = (double)s->count / (double)n;
    s->sum = k->sum[u];
    s->all = k->all[u];
    for (int side = 0; side < 2; side++)
      if (sgi_kept_at(l->rec, k, u, side, 0, &position, &value) && fabs((double)value) > s->largest)
        s->largest = fabs((double)value);
  }
}

/* Shares of the kept |value| that fall on the token. */
static void kept_token(const sgi_neuron_list *l, const bool *silent, size_t i, int32_t token, double *score) {
  const sgi_kept *k = sgi_recording_kept(l->rec, l->at[i].layer);
  size_t u = l->at[i].channel * k->neurons + l->at[i].index;
  double on = 0, all = 0;
  uint32_t position;
  float value;
  for (int side = 0; side < 2; side++)
    for (size_t j = 0; sgi_kept_at(l->rec, k, u, side, j, &position, &value); j++) {
      int32_t read = sgi_recording_at(l->rec, position).input;
      if (silent[read]) continue;
      all += fabs((double)value);
      if (read == token) on += fabs((double)value);
    }
  score[i] = all > 0 ? on / all : 0;
}

static sg_status add_recorded(sgi_neuron_list *l, sgi_list_progress progress, void *user, sg_error *err) {
  if (!l->rec) return SG_OK;
  sweep w = {.l = l, .info = sgi_recording_info_of(l->rec)};
  sg_status st = sweep_begin(&w, err);
  if (!st) st = add_slots(&w, progress, user, err);
  sweep_end(&w);
  for (size_t layer = 0; layer < l->model->config.num_layers && !st; layer++) add_kept(l, layer);
  return st ? st : sgi_recording_check(l->rec, err);
}

/* ---- from the weights ------------------------------------------------------------------------ */

static double length(const float *x, size_t D) {
  double sum = 0;
  for (size_t d = 0; d < D; d++) sum += (double)x[d] * (double)x[d];
  return sqrt(sum);
}

static double product(const float *x, const float *y, size_t D) {
  double sum = 0;
  for (size_t d = 0; d < D; d++) sum += (double)x[d] * (double)y[d];
  return sum;
}

/* in, out (D) of a neuron of the list. */
static void rows_of(const sgi_neuron_list *l, const sgi_neuron_stat *n, float *in, float *out) {
  const sgi_sublayer *s = sgi_feedforward_of(l->model, n->layer);
  sgi_unit u;
  s->ffn->unit_at(s->config, s->weight + SGI_T_OWN, n->channel, n->index, &u);
  sgi_unit_in(&u, in, l->model->config.hidden_size);
  sgi_unit_out(&u, out, l->model->config.hidden_size);
}

typedef double (*row_number)(const sgi_neuron_list *l, const sgi_neuron_stat *n, const float *in, const float *out,
                             const void *user);

/* x[i] = f of the rows of neuron i. */
static sg_status each_row(const sgi_neuron_list *l, row_number f, const void *user, double *x, sg_error *err) {
  size_t D = l->model->config.hidden_size;
  bool failed = false;
#pragma omp parallel
  {
    float *rows = sgi_alloc(2 * D * sizeof *rows);
    if (!rows) {
#pragma omp atomic write
      failed = true;
    }
#pragma omp for schedule(static)
    for (size_t i = 0; i < l->count; i++) {
      if (!rows) continue;
      rows_of(l, &l->at[i], rows, rows + D);
      x[i] = f(l, &l->at[i], rows, rows + D, user);
    }
    sgi_free(rows);
  }
  return failed ? sgi_fail_memory(err, 2 * D * sizeof(float), "a neuron's rows") : SG_OK;
}

static double norm_of(const sgi_neuron_list *l, const sgi_neuron_stat *n, const float *in, const float *out,
                      const void *user) {
  (void)n;
  (void)user;
  return length(in, l->model->config.hidden_size) * length(out, l->model->config.hidden_size);
}

static double strength_of(const sgi_neuron_list *l, const sgi_neuron_stat *n, const float *in, const float *out,
                          const void *user) {
  (void)in;
  (void)user;
  return n->recorded ? n->largest * length(out, l->model->config.hidden_size) : NAN;
}

static sg_status add_sizes(sgi_neuron_list *l, sg_error *err) {
  double *x = sgi_alloc(l->count * sizeof *x);
  sg_status st = x ? each_row(l, norm_of, NULL, x, err) : sgi_fail_memory(err, l->count * sizeof *x, "a list");
  for (size_t i = 0; i < l->count && !st; i++) l->at[i].norm = x[i];
  if (!st) st = each_row(l, strength_of, NULL, x, err);
  for (size_t i = 0; i < l->count && !st; i++) l->at[i].strength = x[i];
  sgi_free(x);
  return st;
}

sg_status sgi_neuron_list_make(const sg_model *m, const sg_tokenizer *tok, const sgi_recording *rec,
                               sgi_list_progress progress, void *user, sgi_neuron_list *out, sg_error *err) {
  *out = (sgi_neuron_list){.model = m, .tokenizer = tok, .rec = rec};
  sg_status st = lay_out(out, err);
  if (!st) st = add_recorded(out, progress, user, err);
  return st ? st : add_sizes(out, err);
}

void sgi_neuron_list_deinit(sgi_neuron_list *l) {
  sgi_free(l->at);
  *l = (sgi_neuron_list){0};
}

/* ---- questions ------------------------------------------------------------------------------- */

static sg_status check_token(const sgi_neuron_list *l, int32_t token, sg_error *err) {
  if (token >= 0 && (size_t)token < l->model->config.vocab_size) return SG_OK;
  return sgi_fail(err, SG_ERR_ARG, "token %d: the vocabulary has %zu", (int)token, l->model->config.vocab_size);
}

/* x (D): the token's embedding as the layer's norm gives it. */
static void bare_token(const sg_model *m, size_t layer, int32_t token, float *x) {
  size_t D = m->config.hidden_size;
  const float *gain = sgi_feedforward_of(m, layer)->w[SGI_T_NORM];
  sgi_slice E = sgi_embedding_of(m, (size_t)token);
  sgi_slice_copy(&E, x, D);
  double r = sgi_has_norm(&m->config) ? 1 / sqrt(product(x, x, D) / (double)D + m->config.rms_norm_eps) : 1;
  for (size_t d = 0; d < D; d++) x[d] = (float)(r * (double)x[d] * (double)gain[d]);
}

/* The card's "reads" at the bare token. */
static sg_status bare_values(const sgi_neuron_list *l, size_t layer, int32_t token, double *score, sg_error *err) {
  size_t first = first_of(l, layer), D = l->model->config.hidden_size;
  float *x = sgi_alloc(D * sizeof *x);
  if (!x) return sgi_fail_memory(err, D * sizeof *x, "a token's reading");
  bare_token(l->model, layer, token, x);
  sg_status st = SG_OK;
  for (size_t i = first; i < l->count && l->at[i].layer == layer && !st; i++) {
    const sgi_neuron_stat *n = &l->at[i];
    sgi_unit u;
    st = sgi_unit_find(l->model, layer, n->channel, n->index, &u, err);
    if (!st) score[i] = sgi_unit_read_in(&u, x, D) + u.constant;
  }
  sgi_free(x);
  return st;
}

/* Sums of |value| on the token, over what was recorded of a slot. */
static void add_token(const sweep *w, int32_t token, double *score) {
  const sgi_slot *z = &w->info->slots[w->slot];
  for (size_t p = 0; p < w->info->n_positions && !w->silent[token]; p++) {
    if (sgi_recording_at(w->l->rec, p).input != token) continue;
    const float *x = read_circuit(w, p);
    for (size_t i = 0; i < entries_of(z); i++)
      score[i / z->top_k * z->pool + (size_t)w->index[i]] += fabs((double)x[i]);
  }
}

sg_status sgi_neuron_list_fires_on(const sgi_neuron_list *l, int32_t token, double *score, sg_error *err) {
  sg_status st = check_token(l, token, err);
  if (st) return st;
  memset(score, 0, l->count * sizeof *score);
  sweep w = {.l = l, .info = l->rec ? sgi_recording_info_of(l->rec) : NULL};
  if (l->rec) st = sweep_begin(&w, err);
  for (w.slot = 0; l->rec && !st && w.slot < w.info->n_layers; w.slot++)
    if (sgi_recording_neurons(l->rec, l->model, w.slot))
      add_token(&w, token, score + first_of(l, w.info->layers[w.slot]));
  for (size_t i = 0; i < l->count && !st; i++)
    if (l->rec && sgi_recording_kept(l->rec, l->at[i].layer))
      kept_token(l, w.silent, i, token, score);
    else if (l->at[i].recorded)
      score[i] = l->at[i].all > 0 ? score[i] / l->at[i].all : 0;
    else if (!i || l->at[i].layer != l->at[i - 1].layer)
      st = bare_values(l, l->at[i].layer, token, score, err);
  sweep_end(&w);
  if (!st && l->rec) st = sgi_recording_check(l->rec, err);
  return st;
}

typedef struct direction {
  const float *in, *out; /* (D) */
} direction;

static double raised(const sgi_neuron_list *l, const sgi_neuron_stat *n, const float *in, const float *out,
                     const void *user) {
  const direction *to = user;
  (void)in;
  if (n->recorded && !n->count) return NAN;
  double x = product(out, to->out, l->model->config.hidden_size);
  return n->recorded && n->sum < 0 ? -x : x;
}

sg_status sgi_neuron_list_raises(const sgi_neuron_list *l, int32_t token, double *score, sg_error *err) {
  const sg_model *m = l->model;
  size_t D = m->config.hidden_size;
  sg_status st = check_token(l, token, err);
  if (st) return st;
  float *to = sgi_alloc(D * sizeof *to);
  if (!to) return sgi_fail_memory(err, D * sizeof *to, "a direction");
  sgi_slice E = sgi_embedding_of(m, (size_t)token);
  sgi_slice_copy(&E, to, D);
  for (size_t d = 0; d < D; d++) to[d] *= m->w[sgi_final_norm_row(m)][d];
  st = each_row(l, raised, &(direction){NULL, to}, score, err);
  sgi_free(to);
  return st;
}

static double cosine(const float *x, const float *y, size_t D) {
  double size = length(x, D) * length(y, D);
  return size > 0 ? product(x, y, D) / size : 0;
}

static double likeness(const sgi_neuron_list *l, const sgi_neuron_stat *n, const float *in, const float *out,
                       const void *user) {
  const direction *to = user;
  size_t D = l->model->config.hidden_size;
  (void)n;
  return cosine(in, to->in, D) * cosine(out, to->out, D);
}

sg_status sgi_neuron_list_near(const sgi_neuron_list *l, size_t at, double *score, sg_error *err) {
  size_t D = l->model->config.hidden_size;
  float *rows = sgi_alloc(2 * D * sizeof *rows);
  if (!rows) return sgi_fail_memory(err, 2 * D * sizeof *rows, "a neuron's rows");
  rows_of(l, &l->at[at], rows, rows + D);
  sg_status st = each_row(l, likeness, &(direction){rows, rows + D}, score, err);
  sgi_free(rows);
  return st;
}
