/* recording_read.c: numbers out of a recording's mapped files. The files come from outside and are
 * too large to be checked whole when they are opened, so every number is held against its bounds
 * before it is used: one that lies outside marks the recording as damaged (the first such place is
 * kept), what depends on it reads as 0, and sgi_recording_check says so before anything is told. */
#include <math.h>
#include <stdio.h>
#include <stdarg.h>
#include <string.h>

#include "core/arena.h"
#include "core/half.h"
#include "read/recording_inside.h"

/* ---- damage ---------------------------------------------------------------------------------- */

void sgi_recording_spoil(const sgi_recording *r, const sgi_safetensors *file, const char *format, ...) {
  int none = 0;
  char what[160];
  va_list ap;
  if (!atomic_compare_exchange_strong(&r->damage->state, &none, 1)) return;
  va_start(ap, format);
  vsnprintf(what, sizeof what, format, ap);
  va_end(ap);
  snprintf(r->damage->text, sizeof r->damage->text, "%.200s: %s: the file is damaged; record anew",
           sgi_safetensors_path(file), what);
  atomic_store(&r->damage->state, 2);
}

sg_status sgi_recording_check(const sgi_recording *r, sg_error *err) {
  if (!atomic_load(&r->damage->state)) return SG_OK;
  while (atomic_load(&r->damage->state) != 2) continue; /* another thread writes the sentence */
  return sgi_fail(err, SG_ERR_FORMAT, "%s", r->damage->text);
}

/* ---- shards ---------------------------------------------------------------------------------- */

const shard *sgi_recording_shard(const sgi_recording *r, size_t position, size_t *row) {
  size_t low = 0, high = r->n_shards;
  while (high - low > 1) {
    size_t mid = low + (high - low) / 2;
    if (r->shards[mid].first <= position)
      low = mid;
    else
      high = mid;
  }
  *row = position - r->shards[low].first;
  return &r->shards[low];
}

/* A token id of the vocabulary. */
static int32_t token(const sgi_recording *r, const shard *s, const char *what, size_t row, int32_t id) {
  if (id >= 0 && (size_t)id < r->info.vocab_size) return id;
  sgi_recording_spoil(r, s->file, "%s of position %zu is %d, outside the vocabulary of %zu", what, row, id,
                      r->info.vocab_size);
  return 0;
}

static const int32_t no_predictions[SGI_RECORD_PREDICTIONS];

sgi_recorded sgi_recording_at(const sgi_recording *r, size_t position) {
  size_t row;
  const shard *s = sgi_recording_shard(r, position, &row);
  const int32_t *best = s->predictions + row * SGI_RECORD_PREDICTIONS;
  for (size_t i = 0; i < SGI_RECORD_PREDICTIONS; i++)
    if (token(r, s, "a prediction", row, best[i]) != best[i]) best = no_predictions;
  return (sgi_recorded){token(r, s, "input", row, s->input[row]), token(r, s, "target", row, s->target[row]),
                        (size_t)s->document[row], (size_t)s->place[row], best};
}

void sgi_recording_document(const sgi_recording *r, size_t document, size_t *first, size_t *count) {
  *first = r->document_first[document];
  *count = r->document_first[document + 1] - *first;
}

/* As the file has it. */
static int32_t unit_of(const sgi_slot *z, const layer_part *p, size_t i) {
  return wide(z) ? ((const int32_t *)p->index)[i] : ((const int16_t *)p->index)[i];
}

void sgi_recording_circuit(const sgi_recording *r, size_t slot, size_t position, int32_t *index, float *score) {
  const sgi_slot *z = &r->slots[slot];
  size_t row, m = z->channels * z->top_k;
  const shard *s = sgi_recording_shard(r, position, &row);
  const layer_part *p = &s->layers[slot];
  for (size_t i = 0; score && i < m; i++) {
    score[i] = p->score[row * m + i];
    if (isfinite(score[i])) continue;
    sgi_recording_spoil(r, s->file, "layer %zu: a score of position %zu is not finite", r->layers[slot], row);
    score[i] = 0;
  }
  for (size_t i = 0; score && z->thresholds && i < m; i++)
    if (!(score[i] > sgi_recording_threshold(z, i / z->top_k, unit_of(z, p, row * m + i)))) score[i] = 0;
  for (size_t i = 0; index && i < m; i++) {
    int32_t f = unit_of(z, p, row * m + i);
    index[i] = f >= 0 && (size_t)f < z->pool ? f : 0;
    if (index[i] != f)
      sgi_recording_spoil(r, s->file, "layer %zu: position %zu names neuron %d of %zu", r->layers[slot], row, f,
                          z->pool);
  }
}

void sgi_recording_acting(const sgi_recording *r, size_t slot, size_t position, int32_t *index) {
  const sgi_slot *z = &r->slots[slot];
  size_t row;
  const float *score = sgi_recording_shard(r, position, &row)->layers[slot].score + row * z->channels * z->top_k;
  sgi_recording_circuit(r, slot, position, index, NULL);
  for (size_t i = 0; z->thresholds && i < z->channels * z->top_k; i++)
    if (!(score[i] > sgi_recording_threshold(z, i / z->top_k, index[i]))) index[i] = -1;
}

bool sgi_recording_values(const sgi_recording *r, size_t slot, size_t position, float *value) {
  size_t row, m = r->slots[slot].channels * r->slots[slot].top_k;
  const shard *s = sgi_recording_shard(r, position, &row);
  const void *data = s->layers[slot].value;
  if (!data) return false;
  for (size_t i = 0; i < m; i++) {
    value[i] = r->half ? sgi_from_half(((const uint16_t *)data)[row * m + i]) : ((const float *)data)[row * m + i];
    if (isfinite(value[i])) continue;
    sgi_recording_spoil(r, s->file, "layer %zu: an activation of position %zu is not finite", r->layers[slot], row);
    value[i] = 0;
  }
  return true;
}

bool sgi_recording_value(const sgi_recording *r, size_t slot, size_t position, size_t channel, size_t neuron,
                         float *value) {
  const sgi_slot *z = &r->slots[slot];
  size_t row, m = z->channels * z->top_k;
  const shard *s = sgi_recording_shard(r, position, &row);
  const layer_part *p = &s->layers[slot];
  if (!p->value) return false;
  for (size_t i = row * m + channel * z->top_k, end = i + z->top_k; i < end; i++) {
    int32_t f = wide(z) ? ((const int32_t *)p->index)[i] : ((const int16_t *)p->index)[i];
    if (f < 0 || (size_t)f != neuron) continue;
    *value = r->half ? sgi_from_half(((const uint16_t *)p->value)[i]) : ((const float *)p->value)[i];
    if (isfinite(*value)) return true;
    sgi_recording_spoil(r, s->file, "layer %zu: an activation of position %zu is not finite", r->layers[slot], row);
    *value = 0;
    return true;
  }
  return false;
}

/* ---- inverted index -------------------------------------------------------------------------- */

bool sgi_recording_indexed(const sgi_recording *r) { return r->indexed; }

size_t sgi_recording_firings(const sgi_recording *r, size_t slot, size_t channel, size_t neuron) {
  const layer_index *x = &r->index[slot];
  size_t list = channel * r->slots[slot].pool + neuron;
  return (size_t)(x->start[list + 1] - x->start[list]);
}

/* Positions ascend and lie in the recording, scores are numbers. */
static bool sound(const sgi_recording *r, size_t slot, size_t list, const sgi_postings *p) {
  const layer_index *x = &r->index[slot];
  size_t F = r->slots[slot].pool;
  for (size_t k = 0; k < p->count; k++) {
    bool ascends = !k || p->position[k] > p->position[k - 1];
    if (p->position[k] < r->info.n_positions && ascends && isfinite(p->score[k])) continue;
    sgi_recording_spoil(r, x->file, "channel %zu neuron %zu, entry %zu: position %u (score %g) where %s is expected",
                        list / F, list % F, k, p->position[k], (double)p->score[k],
                        ascends ? "one of the recording" : "a later one");
    return false;
  }
  return true;
}

sgi_postings sgi_recording_postings(const sgi_recording *r, size_t slot, size_t channel, size_t neuron) {
  const layer_index *x = &r->index[slot];
  size_t list = channel * r->slots[slot].pool + neuron, from = (size_t)x->start[list];
  sgi_postings p = {(size_t)(x->start[list + 1] - x->start[list]), x->position + from, x->score + from};
  if (atomic_load_explicit(&x->looked_at[list], memory_order_relaxed)) return p;
  if (!sound(r, slot, list, &p)) return (sgi_postings){0, x->position, x->score};
  atomic_store_explicit(&x->looked_at[list], 1, memory_order_relaxed);
  return p;
}

double sgi_recording_norm(const sgi_recording *r, size_t slot, size_t channel, size_t position) {
  const layer_index *x = &r->index[slot];
  double norm = x->norms[channel * r->info.n_positions + position];
  if (norm >= 0 && isfinite(norm)) return norm;
  sgi_recording_spoil(r, x->file, "the norm of position %zu is %g", position, norm);
  return 0;
}
