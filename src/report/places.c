#include "places.h"

#include <string.h>

#include "read/circuit.h"
#include "read/neighbors.h"

static bool ends_with(const sgi_recording *rec, size_t p, const int32_t *ids, size_t n) {
  if (p + 1 < n) return false;
  for (size_t k = 0; k < n; k++)
    if (sgi_recording_at(rec, p - k).input != ids[n - 1 - k]) return false;
  return sgi_recording_at(rec, p).place + 1 >= n;
}

sg_status sgi_find_place(const sgi_record_reader *r, const char *text, size_t nth, size_t *position, sg_error *err) {
  int32_t *ids;
  size_t n, seen = 0;
  if (!r->tok)
    return sgi_fail(err, SG_ERR_ARG,
                    "a place is found by its text through a tokenizer, and the recording has none: name its position");
  sg_status st = sg_tokenizer_encode(r->tok, text, strlen(text), &ids, &n, err);
  if (st) return st;
  for (size_t p = 0; n && p < r->info.n_positions && seen < nth; p++)
    if (ends_with(r->rec, p, ids, n) && ++seen == nth) *position = p;
  sg_buffer_free(ids);
  return n && seen == nth
             ? SG_OK
             : sgi_fail(err, SG_ERR_ARG, "\"%.80s\" was recorded %zu times; a blank in front belongs to a word's token",
                        text, seen);
}

json_t *sgi_place_json(const sgi_record_reader *r, size_t p, bool reference) {
  sgi_recorded at = sgi_recording_at(r->rec, p);
  json_t *best = json_array(), *ids = json_array();
  for (size_t i = 0; i < SGI_RECORD_PREDICTIONS; i++) {
    json_array_append_new(best, sgi_recorded_token(r, at.predictions[i], reference));
    json_array_append_new(ids, json_integer(at.predictions[i]));
  }
  return json_pack("{s:I, s:I, s:I, s:i, s:i, s:o, s:o, s:o, s:o}", "position", (json_int_t)p, "document",
                   (json_int_t)at.document, "place", (json_int_t)at.place, "input", at.input, "target", at.target,
                   "token", sgi_recorded_token(r, at.input, reference), "excerpt",
                   sgi_recorded_excerpt(r, p, SGI_EXCERPT_WIDTH, reference), "predictions", best, "prediction_ids",
                   ids);
}

json_t *sgi_neighbors_json(const sgi_record_reader *r, size_t slot, size_t channel, json_t *query,
                           const sgi_neighbor *list, size_t n, double seconds, bool reference) {
  json_t *all = channel == SGI_ALL_CHANNELS ? json_string("all") : json_integer((json_int_t)channel),
         *rows = json_array();
  for (size_t i = 0; i < n; i++) {
    json_t *row = sgi_place_json(r, list[i].position, reference);
    json_object_set_new(row, "distance", sgi_report_real(list[i].distance));
    json_array_append_new(rows, row);
  }
  return json_pack("{s:I, s:o, s:o, s:o, s:o}", "layer", (json_int_t)r->info.layers[slot], "channel", all, "query",
                   query, "neighbors", rows, "seconds", sgi_report_real(seconds));
}

sg_status sgi_prompt_nearest(const sgi_prompt *p, size_t position, const sgi_record_reader *r, size_t slot,
                             sgi_search *s, size_t n, sgi_neighbor *list, size_t *found, sg_error *err) {
  size_t m = r->slots[slot].channels * r->slots[slot].top_k;
  int32_t *index = sgi_alloc(p->count * m * sizeof *index);
  float *score = sgi_alloc(p->count * m * sizeof *score);
  sg_status st = index && score ? SG_OK : sgi_fail_memory(err, p->count * m * sizeof *score, "a prompt's circuits");
  if (!st) st = sgi_prompt_circuits(p->model, r->rec, p->tokens, p->count, r->info.layers[slot], index, score, err);
  if (n > r->info.n_positions) n = r->info.n_positions;
  if (!st) st = sgi_search_nearest_to(s, index + position * m, score + position * m, n, list, found, err);
  sgi_free(index);
  sgi_free(score);
  return st;
}

json_t *sgi_together_json(const sgi_record_reader *r, size_t slot, const sgi_neuron *units, size_t n_units,
                          const sgi_together *t, size_t n, bool reference) {
  json_t *rows = json_array(), *neurons = json_array();
  for (size_t i = 0; i < n_units; i++)
    json_array_append_new(neurons, json_pack("{s:I, s:I}", "channel", (json_int_t)units[i].channel, "neuron",
                                             (json_int_t)units[i].neuron));
  for (size_t i = 0; i < n; i++) json_array_append_new(rows, sgi_place_json(r, t->position[i], reference));
  return json_pack("{s:I, s:o, s:I, s:o, s:o, s:o}", "layer", (json_int_t)r->info.layers[slot], "neurons", neurons,
                   "count", (json_int_t)t->count, "expected", sgi_report_real(t->expected), "lift",
                   sgi_report_real(t->lift), "positions", rows);
}
