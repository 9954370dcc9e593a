/* routes_corpus.c: a recorded text: circuits like one of it, places where neurons fire together. */
#include "report/places.h"
#include "api.h"

enum { MAX_COUNT = 100, MAX_UNITS = 16 };

sg_status api_slot(const api_call *c, size_t *slot, sg_error *err) {
  const sgi_record_reader *r = c->e->recording;
  if (!r) return sgi_fail(err, SG_ERR_ARG, "no recording is open: start the explorer with --recording");
  ptrdiff_t layer;
  sg_status st = api_below(c->body, "layer", r->info.model_layers, &layer, err);
  if (!st && !r->info.n_layers)
    st = sgi_fail(err, SG_ERR_ARG, "the recording holds neurons alone and no circuits: its model has no router");
  if (st) return st;
  *slot = r->info.n_layers - 1;
  return st || layer < 0 ? st : sgi_recorded_slot(r->rec, (size_t)layer, slot, err);
}

/* "position", or the "nth" place where "find" ends. */
static sg_status query_of(const api_call *c, size_t *query, sg_error *err) {
  const sgi_record_reader *r = c->e->recording;
  ptrdiff_t position;
  const char *find = api_text(c->body, "find");
  if (api_has(c->body, "bos") || api_has(c->body, "pos"))
    return sgi_fail(err, SG_ERR_ARG, "request: \"bos\" and \"pos\" go with a prompt alone");
  size_t nth = api_has(c->body, "nth") ? api_size(c->body, "nth") : 1;
  sg_status st = api_below(c->body, "position", r->info.n_positions, &position, err);
  if (st) return st;
  if (!find == (position < 0)) return sgi_fail(err, SG_ERR_ARG, "request: give \"position\" or \"find\"");
  *query = position < 0 ? 0 : (size_t)position;
  return find ? api_of_field("find", sgi_find_place(r, find, nth, query, err), err) : SG_OK;
}

/* "pos" of the prompt. */
static sg_status prompt_query(api_call *c, size_t *query, sg_error *err) {
  static const char *const others[] = {"position", "find", "nth"};
  for (size_t i = 0; i < SGI_COUNT(others); i++)
    if (api_has(c->body, others[i]))
      return sgi_fail(err, SG_ERR_ARG, "request: give \"text\" or \"ids\", or \"%s\", not both", others[i]);
  sg_status st = api_prompt(c, err);
  return st ? st : api_place_at(c, "pos", query, err);
}

sg_status api_neighbors(api_call *c, json_t **answer, sg_error *err) {
  const sgi_record_reader *r = c->e->recording;
  sg_neighbor list[MAX_COUNT];
  sg_search *s = NULL;
  size_t slot, query, found = 0;
  ptrdiff_t channel;
  size_t count = api_within(c->body, "count", MAX_COUNT);
  bool prompt = api_has(c->body, "text") || api_has(c->body, "ids");
  sg_status st = api_slot(c, &slot, err);
  if (!st) st = api_below(c->body, "channel", r->slots[slot].channels, &channel, err);
  if (!st) st = prompt ? prompt_query(c, &query, err) : query_of(c, &query, err);
  if (st) return st;
  size_t which = channel < 0 ? SG_ALL_CHANNELS : (size_t)channel;
  st = sg_search_create(r->rec, r->info.layers[slot], which, -1, &s, err);
  double started = sgi_now();
  if (!st && prompt) st = sgi_prompt_nearest(&c->p, query, r, slot, s, count, list, &found, err);
  if (!st && !prompt) st = sg_search_nearest(s, query, count, list, &found, err);
  if (st) {
    sg_search_free(s);
    return st;
  }
  json_t *asked = prompt ? json_pack("{so sI}", "tokens", sgi_prompt_json(&c->p), "position", (json_int_t)query)
                         : sgi_place_json(r, query, false);
  if (!(*answer = sgi_neighbors_json(r, slot, which, asked, list, found, sgi_now() - started, false)))
    st = sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  sg_search_free(s);
  return st;
}

static sg_status take_units(const api_call *c, size_t slot, sg_neuron_id *units, size_t *n, sg_error *err) {
  const sgi_record_reader *r = c->e->recording;
  const json_t *list = json_object_get(c->body, "neurons");
  *n = json_array_size(list) < MAX_UNITS ? json_array_size(list) : MAX_UNITS;
  sg_status st = *n ? SG_OK : sgi_fail(err, SG_ERR_ARG, "request: \"neurons\" is needed");
  for (size_t i = 0; i < *n && !st; i++) {
    const json_t *o = json_array_get(list, i);
    ptrdiff_t channel, neuron;
    st = api_below(o, "channel", r->slots[slot].channels, &channel, err);
    if (!st) st = api_below(o, "neuron", r->slots[slot].pool, &neuron, err);
    if (!st) units[i] = (sg_neuron_id){(size_t)channel, (size_t)neuron};
  }
  return st;
}

sg_status api_together(api_call *c, json_t **answer, sg_error *err) {
  sg_neuron_id units[MAX_UNITS];
  sg_together t = {0};
  size_t slot, n, count = api_size(c->body, "count");
  sg_status st = api_slot(c, &slot, err);
  if (!st) st = take_units(c, slot, units, &n, err);
  if (!st) st = sg_fire_together(c->e->recording->rec, c->e->recording->info.layers[slot], units, n, &t, err);
  size_t shown = count < t.count ? count : t.count;
  if (!st && !(*answer = sgi_together_json(c->e->recording, slot, units, n, &t, shown, false)))
    st = sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  sgi_free(t.position);
  return st;
}

enum { MAX_FIRES = 200000 };

sg_status api_fires(api_call *c, json_t **answer, sg_error *err) {
  sg_neuron_id units[MAX_UNITS];
  sg_together t = {0};
  size_t slot, n, end, rest;
  size_t documents = api_size(c->body, "documents");
  sg_status st = api_slot(c, &slot, err);
  if (!st) st = take_units(c, slot, units, &n, err);
  if (!st) st = sg_fire_together(c->e->recording->rec, c->e->recording->info.layers[slot], units, n, &t, err);
  if (st) return st;
  const sgi_record_reader *r = c->e->recording;
  end = r->info.n_positions;
  if (documents && (size_t)documents < r->info.n_documents)
    sgi_recorded_document(r->rec, (size_t)documents, &end, &rest);
  json_t *list = json_array();
  size_t count = 0;
  for (; count < t.count && t.position[count] < end; count++)
    if (count < MAX_FIRES) json_array_append_new(list, json_integer((json_int_t)t.position[count]));
  *answer =
      json_pack("{sI sI so}", "layer", (json_int_t)r->info.layers[slot], "count", (json_int_t)count, "positions", list);
  sgi_free(t.position);
  return *answer ? SG_OK : sgi_fail(err, SG_ERR_MEMORY, "out of memory");
}
