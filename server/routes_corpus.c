/* routes_corpus.c: a recorded text: circuits like one of it, places where neurons fire together. */
#include "report/places.h"
#include "api.h"
#include "read/run.h"

enum { MAX_COUNT = 100, MAX_UNITS = 16 };

sg_status api_slot(const api_call *c, size_t *slot, sg_error *err) {
  const sgi_record_reader *r = c->e->recording;
  if (!r) return sgi_fail(err, SG_ERR_ARG, "no recording is open: start the explorer with --recording");
  json_int_t layer;
  sg_status st = api_int(c, "layer", 0, (json_int_t)r->info->model_layers - 1, -1, &layer, err);
  if (!st && !r->info->n_layers)
    st = sgi_fail(err, SG_ERR_ARG, "the recording holds neurons alone and no circuits: its model has no router");
  if (st) return st;
  *slot = r->info->n_layers - 1;
  return st || layer < 0 ? st : sgi_recording_slot(r->rec, (size_t)layer, slot, err);
}

/* "position", or the "nth" place where "find" ends. */
static sg_status query_of(const api_call *c, size_t *query, sg_error *err) {
  const sgi_record_reader *r = c->e->recording;
  json_int_t position, nth;
  const char *find;
  if (json_object_get(c->body, "bos") || json_object_get(c->body, "pos"))
    return sgi_fail(err, SG_ERR_ARG, "request: \"bos\" and \"pos\" go with a prompt alone");
  sg_status st = api_int(c, "position", 0, (json_int_t)r->info->n_positions - 1, -1, &position, err);
  if (!st) st = api_int(c, "nth", 1, 1000000, 1, &nth, err);
  if (!st) st = api_text(c, "find", 1024, &find, err);
  if (st) return st;
  if (!find == (position < 0)) return sgi_fail(err, SG_ERR_ARG, "request: give \"position\" or \"find\"");
  *query = position < 0 ? 0 : (size_t)position;
  return find ? sgi_find_place(r, find, (size_t)nth, query, err) : SG_OK;
}

/* "pos" of the prompt. */
static sg_status prompt_query(api_call *c, size_t *query, sg_error *err) {
  json_int_t pos;
  static const char *const others[] = {"position", "find", "nth"};
  for (size_t i = 0; i < SGI_COUNT(others); i++)
    if (json_object_get(c->body, others[i]))
      return sgi_fail(err, SG_ERR_ARG, "request: give \"text\" or \"ids\", or \"%s\", not both", others[i]);
  sg_status st = api_prompt(c, err);
  if (!st) st = api_int(c, "pos", -API_TOKENS, API_TOKENS, -1, &pos, err);
  return st ? st : sgi_prompt_position((ptrdiff_t)pos, c->p.count, query, err);
}

sg_status api_neighbors(api_call *c, json_t **answer, sg_error *err) {
  static const char *const keys[] = {"layer", "channel", "position", "find", "nth", "count", API_PROMPT_KEYS, "pos"};
  const sgi_record_reader *r = c->e->recording;
  sgi_neighbor list[MAX_COUNT];
  sgi_search *s = NULL;
  size_t slot, query, found = 0;
  json_int_t channel, count;
  sg_status st = api_keys(c, keys, SGI_COUNT(keys), err);
  if (!st) st = api_slot(c, &slot, err);
  if (!st) st = api_int(c, "channel", 0, (json_int_t)r->info->slots[slot].channels - 1, -1, &channel, err);
  if (!st) st = api_int(c, "count", 1, MAX_COUNT, 10, &count, err);
  bool prompt = json_object_get(c->body, "text") || json_object_get(c->body, "ids");
  if (!st) st = prompt ? prompt_query(c, &query, err) : query_of(c, &query, err);
  if (st) return st;
  size_t which = channel < 0 ? SGI_ALL_CHANNELS : (size_t)channel;
  st = sgi_search_create(r->rec, slot, which, -1, &s, err);
  double started = sgi_now();
  if (!st && prompt) st = sgi_prompt_nearest(&c->p, query, r, slot, s, (size_t)count, list, &found, err);
  if (!st && !prompt) st = sgi_search_nearest(s, query, (size_t)count, list, &found, err);
  if (st) {
    sgi_search_free(s);
    return st;
  }
  json_t *asked = prompt ? json_pack("{so sI}", "tokens", sgi_prompt_json(&c->p), "position", (json_int_t)query)
                         : sgi_place_json(r, query, false);
  if (!(*answer = sgi_neighbors_json(r, slot, which, asked, list, found, sgi_now() - started, false)))
    st = sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  sgi_search_free(s);
  return st;
}

static sg_status take_units(const api_call *c, size_t slot, sgi_neuron *units, size_t *n, sg_error *err) {
  static const char *const keys[] = {"channel", "neuron"};
  const sgi_record_reader *r = c->e->recording;
  const json_t *list = json_object_get(c->body, "neurons");
  *n = json_array_size(list);
  if (!json_is_array(list) || !*n || *n > MAX_UNITS)
    return sgi_fail(err, SG_ERR_ARG, "request: \"neurons\" must be a list of 1 to %d", MAX_UNITS);
  sg_status st = SG_OK;
  for (size_t i = 0; i < *n && !st; i++) {
    api_call part = {.body = json_array_get(list, i)};
    json_int_t channel, neuron;
    if (!json_is_object(part.body)) return sgi_fail(err, SG_ERR_ARG, "request: \"neurons\" must be a list of objects");
    st = api_keys(&part, keys, SGI_COUNT(keys), err);
    if (!st) st = api_int(&part, "channel", 0, (json_int_t)r->info->slots[slot].channels - 1, 0, &channel, err);
    if (!st) st = api_int(&part, "neuron", 0, (json_int_t)r->info->slots[slot].pool - 1, 0, &neuron, err);
    if (!st) units[i] = (sgi_neuron){(size_t)channel, (size_t)neuron};
  }
  return st;
}

sg_status api_together(api_call *c, json_t **answer, sg_error *err) {
  static const char *const keys[] = {"layer", "neurons", "count"};
  sgi_neuron units[MAX_UNITS];
  sgi_together t = {0};
  size_t slot, n;
  json_int_t count = 0;
  sg_status st = api_keys(c, keys, SGI_COUNT(keys), err);
  if (!st) st = api_slot(c, &slot, err);
  if (!st) st = api_int(c, "count", 1, MAX_COUNT, 10, &count, err);
  if (!st) st = take_units(c, slot, units, &n, err);
  if (!st) st = sgi_fire_together(c->e->recording->rec, slot, units, n, &t, err);
  size_t shown = (size_t)count < t.count ? (size_t)count : t.count;
  if (!st && !(*answer = sgi_together_json(c->e->recording, slot, units, n, &t, shown, false)))
    st = sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  sgi_free(t.position);
  return st;
}

enum { MAX_FIRES = 200000 };

sg_status api_fires(api_call *c, json_t **answer, sg_error *err) {
  static const char *const keys[] = {"layer", "neurons", "documents"};
  sgi_neuron units[MAX_UNITS];
  sgi_together t = {0};
  size_t slot, n, end, rest;
  json_int_t documents;
  sg_status st = api_keys(c, keys, SGI_COUNT(keys), err);
  if (!st) st = api_slot(c, &slot, err);
  if (!st) st = api_int(c, "documents", 0, 1000000000, 0, &documents, err);
  if (!st) st = take_units(c, slot, units, &n, err);
  if (!st) st = sgi_fire_together(c->e->recording->rec, slot, units, n, &t, err);
  if (st) return st;
  const sgi_record_reader *r = c->e->recording;
  end = r->info->n_positions;
  if (documents && (size_t)documents < r->info->n_documents)
    sgi_recording_document(r->rec, (size_t)documents, &end, &rest);
  json_t *list = json_array();
  size_t count = 0;
  for (; count < t.count && t.position[count] < end; count++)
    if (count < MAX_FIRES) json_array_append_new(list, json_integer((json_int_t)t.position[count]));
  *answer = json_pack("{sI sI so}", "layer", (json_int_t)r->info->layers[slot], "count", (json_int_t)count, "positions",
                      list);
  sgi_free(t.position);
  return *answer ? SG_OK : sgi_fail(err, SG_ERR_MEMORY, "out of memory");
}
