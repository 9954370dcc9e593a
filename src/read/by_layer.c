/* by_layer.c: what programs ask of a recording. Inside, readers name a layer by its slot among the
 * recorded ones and check nothing twice; here a layer is the model's, and every argument and then
 * the recording itself is checked (docs/library.md). */
#include "core/arena.h"
#include "model/model.h"
#include "read/cka.h"
#include "read/coactivation.h"
#include "read/kept.h"
#include "read/usage.h"

sg_recording_info sg_recording_describe(const sg_recording *r) {
  if (!r) return (sg_recording_info){0};
  const sgi_recording_info *i = sgi_recording_info_of(r);
  return (sg_recording_info){.n_positions = i->n_positions,
                             .n_documents = i->n_documents,
                             .n_layers = i->n_layers,
                             .layers = i->layers,
                             .model_layers = i->model_layers,
                             .seq_len = i->seq_len,
                             .vocab_size = i->vocab_size,
                             .bos = i->bos,
                             .pad = i->pad,
                             .padding = i->padding,
                             .indexed = sgi_recording_indexed(r),
                             .model = i->model,
                             .model_hash = i->of.hash};
}

sg_status sg_recording_matches(const sg_recording *r, const sg_model *m, bool *known, sg_error *err) {
  sgi_bound bound;
  sg_status st = sgi_need(r, "the recording", err);
  if (!st) st = sgi_need(m, "the model", err);
  if (!st) st = sgi_recording_bind(r, m, "the recording", &bound, err);
  if (st) return st;
  if (known) *known = bound != SGI_UNKNOWN;
  return bound == SGI_OF_ANOTHER ? SG_ERR_ARG : SG_OK; /* the comparison wrote the sentence */
}

/* The slot of a layer, with its sizes. */
static sg_status find(const sg_recording *r, size_t layer, size_t *slot, const sgi_slot **size, sg_error *err) {
  sg_status st = sgi_need(r, "the recording", err);
  if (!st) st = sgi_recording_slot(r, layer, slot, err);
  if (!st) *size = &sgi_recording_info_of(r)->slots[*slot];
  return st;
}

static sg_status check_channel(const sgi_slot *z, size_t channel, bool all, sg_error *err) {
  if (channel < z->channels || (all && channel == SG_ALL_CHANNELS)) return SG_OK;
  return sgi_fail(err, SG_ERR_ARG, "channel %zu: the layer has channels 0 to %zu", channel, z->channels - 1);
}

static sg_status check_neuron(const sgi_slot *z, size_t channel, size_t neuron, sg_error *err) {
  sg_status st = check_channel(z, channel, false, err);
  if (st || neuron < z->pool) return st;
  return sgi_fail(err, SG_ERR_ARG, "neuron %zu: the layer has neurons 0 to %zu in each channel", neuron, z->pool - 1);
}

static sg_status check_position(const sg_recording *r, size_t position, sg_error *err) {
  size_t n = sgi_recording_info_of(r)->n_positions;
  return position < n ? SG_OK : sgi_fail(err, SG_ERR_ARG, "position %zu: the recording ends at %zu", position, n - 1);
}

static sg_status check_index(const sg_recording *r, sg_error *err) {
  if (sgi_recording_indexed(r)) return SG_OK;
  return sgi_fail(err, SG_ERR_ARG, "the recording has no inverted index: record it anew with one");
}

sg_status sg_recording_layer(const sg_recording *r, size_t layer, sg_recorded_layer *out, sg_error *err) {
  size_t slot;
  const sgi_slot *z;
  sg_status st = sgi_need(out, "the place for the layer's sizes", err);
  if (!st) st = find(r, layer, &slot, &z, err);
  if (!st) *out = *z;
  return st;
}

sg_status sg_recording_at(const sg_recording *r, size_t position, sg_recorded *out, sg_error *err) {
  sg_status st = sgi_need(r, "the recording", err);
  if (!st) st = sgi_need(out, "the place for a position", err);
  if (!st) st = check_position(r, position, err);
  if (st) return st;
  *out = sgi_recording_at(r, position);
  return sgi_recording_check(r, err);
}

sg_status sg_recording_document(const sg_recording *r, size_t document, size_t *first, size_t *count, sg_error *err) {
  sg_status st = sgi_need(r, "the recording", err);
  if (!st) st = sgi_need(first, "the place for the first position", err);
  if (!st) st = sgi_need(count, "the place for the count", err);
  if (st) return st;
  size_t n = sgi_recording_info_of(r)->n_documents;
  if (document >= n) return sgi_fail(err, SG_ERR_ARG, "document %zu: the recording ends at %zu", document, n - 1);
  sgi_recording_document(r, document, first, count);
  return SG_OK;
}

sg_status sg_recording_circuit(const sg_recording *r, size_t layer, size_t position, int32_t *index, float *score,
                               float *value, sg_error *err) {
  size_t slot;
  const sgi_slot *z;
  sg_status st = find(r, layer, &slot, &z, err);
  if (!st) st = check_position(r, position, err);
  if (!st && value && !z->has_values)
    st = sgi_fail(err, SG_ERR_ARG, "no gated activations were recorded of layer %zu: pass NULL for value", layer);
  if (st) return st;
  sgi_recording_circuit(r, slot, position, index, score);
  if (value) sgi_recording_values(r, slot, position, value);
  return sgi_recording_check(r, err);
}

sg_status sg_recording_postings(const sg_recording *r, size_t layer, size_t channel, size_t neuron, sg_postings *out,
                                sg_error *err) {
  size_t slot;
  const sgi_slot *z;
  sg_status st = sgi_need(out, "the place for the list", err);
  if (!st) st = find(r, layer, &slot, &z, err);
  if (!st) st = check_index(r, err);
  if (!st) st = check_neuron(z, channel, neuron, err);
  if (st) return st;
  *out = sgi_recording_postings(r, slot, channel, neuron);
  return sgi_recording_check(r, err);
}

/* ---- searches -------------------------------------------------------------------------------- */

sg_status sg_search_create(const sg_recording *r, size_t layer, size_t channel, int32_t skip_input, sg_search **out,
                           sg_error *err) {
  size_t slot;
  const sgi_slot *z;
  sg_status st = sgi_need(out, "the place for the search", err);
  if (st) return st;
  *out = NULL;
  st = find(r, layer, &slot, &z, err);
  return st ? st : sgi_search_create(r, slot, channel, skip_input, out, err);
}

void sg_search_free(sg_search *s) { sgi_search_free(s); }

static sg_status check_search(const sg_search *s, const sg_neighbor *out, const size_t *found, sg_error *err) {
  sg_status st = sgi_need(s, "the search", err);
  if (!st) st = sgi_need(out, "the place for neighbours", err);
  return st ? st : sgi_need(found, "the place for their number", err);
}

sg_status sg_search_nearest(sg_search *s, size_t position, size_t n, sg_neighbor *out, size_t *found, sg_error *err) {
  sg_status st = check_search(s, out, found, err);
  return st ? st : sgi_search_nearest(s, position, n, out, found, err);
}

sg_status sg_search_nearest_to(sg_search *s, const int32_t *index, const float *score, size_t n, sg_neighbor *out,
                               size_t *found, sg_error *err) {
  sg_status st = check_search(s, out, found, err);
  if (!st) st = sgi_need(index, "index", err);
  if (!st) st = sgi_need(score, "score", err);
  return st ? st : sgi_search_nearest_to(s, index, score, n, out, found, err);
}

sg_status sg_search_among(sg_search *s, const uint32_t *positions, size_t n, sg_error *err) {
  sg_status st = sgi_need(s, "the search", err);
  if (!st && n) st = sgi_need(positions, "positions", err);
  return st ? st : sgi_search_among(s, positions, n, err);
}

/* ---- neurons together ------------------------------------------------------------------------ */

sg_status sg_fire_together(const sg_recording *r, size_t layer, const sg_neuron_id *neurons, size_t n, sg_together *out,
                           sg_error *err) {
  size_t slot;
  const sgi_slot *z;
  sg_status st = sgi_need(out, "the place for the positions", err);
  if (st) return st;
  *out = (sg_together){0};
  st = find(r, layer, &slot, &z, err);
  if (!st && n) st = sgi_need(neurons, "neurons", err);
  if (!st) st = sgi_fire_together(r, slot, neurons, n, out, err);
  if (!st) return SG_OK;
  sgi_free(out->position);
  *out = (sg_together){0};
  return st;
}

sg_status sg_coactivation_row(const sg_recording *r, size_t layer, size_t channel, size_t neuron, size_t other,
                              uint32_t *count, sg_error *err) {
  size_t slot;
  const sgi_slot *z;
  sg_status st = find(r, layer, &slot, &z, err);
  if (!st) st = sgi_need(count, "the place for counts", err);
  if (!st) st = check_index(r, err);
  if (!st) st = check_neuron(z, channel, neuron, err);
  if (!st) st = check_channel(z, other, false, err);
  if (st) return st;
  size_t bytes = z->channels * z->top_k * sizeof(int32_t);
  int32_t *index = sgi_alloc(bytes);
  if (!index) return sgi_fail_memory(err, bytes, "a circuit");
  sgi_coactivation_row(r, slot, channel, neuron, other, count, index);
  sgi_free(index);
  return sgi_recording_check(r, err);
}

sg_status sg_coactivation_save(const sg_recording *r, size_t layer, size_t channel, const char *path, sg_error *err) {
  size_t slot;
  const sgi_slot *z;
  sg_status st = find(r, layer, &slot, &z, err);
  if (!st) st = sgi_need(path, "path", err);
  return st ? st : sgi_coactivation_write(r, slot, channel, path, err);
}

sg_status sg_coactivation_groups(const sg_recording *r, const sg_group_request *q, sg_group *out, size_t *found,
                                 sg_error *err) {
  size_t slot;
  const sgi_slot *z;
  sg_status st = sgi_need(q, "the request", err);
  if (!st) st = sgi_need(found, "the place for their number", err);
  if (!st) st = q->max_groups ? sgi_need(out, "the place for sets", err) : SG_OK;
  if (!st) st = find(r, q->layer, &slot, &z, err);
  if (!st) st = check_channel(z, q->channel, true, err);
  if (st) return st;
  sgi_group_request g = {slot, q->channel, q->min_count, q->min_lift, q->max_size, q->max_groups};
  st = sgi_coactivation_groups(r, &g, q->progress, q->user, out, found, err);
  return st ? st : sgi_recording_check(r, err);
}

/* ---- numbers of layers ----------------------------------------------------------------------- */

/* Of a layer whose neurons are kept one by one. */
static sg_usage kept_usage(const sgi_kept *k) {
  size_t n = k->channels * k->neurons;
  sg_usage u = {.plain = sgi_usage_of_counts(k->count, n)};
  for (size_t i = 0; i < n; i++) u.choices += k->count[i];
  return u;
}

sg_status sg_recording_usage(const sg_recording *r, size_t layer, sg_usage *out, sg_error *err) {
  size_t slot;
  const sgi_slot *z;
  sg_status st = sgi_need(out, "the place for the numbers", err);
  if (st) return st;
  const sgi_kept *kept = r ? sgi_recording_kept(r, layer) : NULL;
  if (kept)
    *out = kept_usage(kept);
  else if (!(st = find(r, layer, &slot, &z, err)))
    st = sgi_recording_usage(r, slot, out, err);
  return st ? st : sgi_recording_check(r, err);
}

sg_status sg_embedding_cka(const sg_recording *r, const sg_model *m, size_t layer, size_t channel,
                           const sg_top_token *tokens, size_t n, double *out, sg_error *err) {
  size_t slot;
  const sgi_slot *z;
  sg_status st = sgi_need(out, "the place for the number", err);
  if (!st) st = sgi_need(m, "the model", err);
  if (!st && n) st = sgi_need(tokens, "tokens", err);
  if (!st) st = find(r, layer, &slot, &z, err);
  if (!st) st = check_channel(z, channel, true, err);
  for (size_t i = 0; i < n && !st; i++) {
    if (tokens[i].id < 0) st = sgi_fail(err, SG_ERR_ARG, "token %zu of the list has the id %d", i, tokens[i].id);
    if (!st) st = check_position(r, tokens[i].first, err);
  }
  if (!st) st = sgi_embedding_cka(r, slot, channel, m, tokens, n, out, err);
  return st ? st : sgi_recording_check(r, err);
}
