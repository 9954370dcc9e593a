/* routes_map.c: a recording's circuits as a map, and what stands at one place of it. */
#include <string.h>

#include "report/places.h"
#include "api.h"
#include "report/map.h"

/* The search for nearest circuits compares all pairs; time and memory of so many:
 * docs/explorer.md. */
enum { MAX_POINTS = 60000 };

typedef struct map_work {
  const api_call *c;
  const sgi_record_reader *r;
  size_t slot, documents, top;
  ptrdiff_t channel;
  bool by_target;
  sgi_map_form s;
  sgi_map_points at;
  float *xy;
  double seconds;
} map_work;

static bool tick(void *user, const char *what, size_t done, size_t wanted) {
  const map_work *w = user;
  bool layout = !strcmp(what, "layout");
  double part = (double)done / (double)wanted;
  http_job_progress(w->c->job, layout ? 0.3 + 0.7 * part : 0.3 * part,
                    layout ? "laying out the map" : "looking for the nearest circuits of each");
  return !http_job_cancelled(w->c->job);
}

/* Which circuits: layer, channel, by, top, documents. */
static sg_status take_points(map_work *w, sg_error *err) {
  const api_call *c = w->c;
  ptrdiff_t all = json_integer_value(json_object_get(c->body, "channel")); /* -1: of all channels */
  sg_status st = api_slot(c, &w->slot, err);
  w->r = c->e->recording;
  w->channel = -1;
  if (!st && all >= 0) st = api_below(c->body, "channel", w->r->slots[w->slot].channels, &w->channel, err);
  w->top = api_size(c->body, "top");
  w->by_target = !strcmp(api_text(c->body, "by"), "target");
  w->documents = api_size(c->body, "documents");
  return st;
}

static sg_status take_request(map_work *w, sg_error *err) {
  const api_call *c = w->c;
  sg_status st = take_points(w, err);
  w->s = (sgi_map_form){.neighbors = api_size(c->body, "neighbors"),
                        .epochs = api_size(c->body, "epochs"),
                        .seed = api_size(c->body, "seed"),
                        .min_dist = api_real(c->body, "min_dist"),
                        .progress = tick,
                        .user = w};
  return st;
}

static sg_status find_points(map_work *w, sg_error *err) {
  return sgi_map_find(w->r, w->top, w->documents, w->by_target, &w->at, err);
}

static size_t channel_of(const map_work *w) { return w->channel < 0 ? SG_ALL_CHANNELS : (size_t)w->channel; }

static sg_status compute(map_work *w, sg_error *err) {
  sg_status st = find_points(w, err);
  if (st) return st;
  if (w->at.n > MAX_POINTS || w->at.n <= w->s.neighbors)
    return sgi_fail(err, SG_ERR_ARG,
                    "%zu circuits are too %s for a map: from %zu to %d; change \"documents\" or \"top\"", w->at.n,
                    w->at.n > MAX_POINTS ? "many" : "few", w->s.neighbors + 1, MAX_POINTS);
  if (!(w->xy = sgi_alloc(2 * w->at.n * sizeof *w->xy))) return sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  double started = sgi_now();
  st = sgi_map_lay_out(w->r, w->slot, channel_of(w), &w->at, &w->s, w->xy, err);
  w->seconds = sgi_now() - started;
  return st;
}

/* ---- the answer ------------------------------------------------------------------------------ */

static json_t *token_row(const map_work *w, int32_t id) {
  json_t *text = sgi_recorded_token(w->r, id, false);
  const char *category = w->c->e->worlds && json_string_value(text)
                             ? sgi_known_world_category(w->c->e->worlds, json_string_value(text))
                             : NULL;
  return json_pack("{si so so}", "id", (int)id, "token", text, "category",
                   category ? json_string(category) : json_null());
}

/* Every token that is read or to come at a point, once. */
static json_t *tokens_json(const map_work *w) {
  size_t V = w->r->info.vocab_size;
  bool *seen = sgi_alloc(V * sizeof *seen);
  json_t *list = json_array();
  for (size_t i = 0; seen && i < 2 * w->at.n; i++) {
    sg_recorded at = sgi_recorded_at(w->r->rec, w->at.positions[i / 2]);
    int32_t id = i % 2 ? at.target : at.input;
    if (id < 0 || (size_t)id >= V || seen[id]) continue;
    seen[id] = true;
    json_array_append_new(list, token_row(w, id));
  }
  sgi_free(seen);
  return list;
}

static json_t *topics_json(const sgi_known_world *t) {
  if (!t || !t->topic_of) return json_null();
  json_t *list = json_array(), *number;
  const char *name;
  json_object_foreach(t->topics, name, number) json_array_append_new(list, json_string(name));
  return list;
}

static json_t *answer_of(const map_work *w) {
  static const char *const names[] = {"x", "y", "label", "position", "document", "place", "input", "target", "topic"};
  const sgi_known_world *t = w->c->e->worlds;
  json_t *column[SGI_COUNT(names)], *labels = json_array();
  for (size_t k = 0; k < SGI_COUNT(names); k++) column[k] = json_array();
  for (size_t i = 0; i < w->at.n; i++) {
    sg_recorded at = sgi_recorded_at(w->r->rec, w->at.positions[i]);
    int32_t topic = t && t->topic_of && at.document < t->n_stories ? t->topic_of[at.document] : -1;
    json_int_t whole[] = {
        w->at.label[i], w->at.positions[i], (json_int_t)at.document, (json_int_t)at.place, at.input, at.target, topic};
    for (size_t k = 0; k < 2; k++) json_array_append_new(column[k], sgi_report_real((double)w->xy[2 * i + k]));
    for (size_t k = 0; k < SGI_COUNT(whole); k++) json_array_append_new(column[k + 2], json_integer(whole[k]));
  }
  for (size_t i = 0; i < w->at.n_tokens; i++) {
    json_t *row = token_row(w, w->at.tokens[i].id);
    json_object_set_new(row, "count", json_integer((json_int_t)w->at.tokens[i].count));
    json_array_append_new(labels, row);
  }
  json_t *o =
      json_pack("{sI sI ss sI so so so so}", "layer", (json_int_t)w->r->info.layers[w->slot], "channel",
                (json_int_t)w->channel, "by", w->by_target ? "target" : "input", "n", (json_int_t)w->at.n, "seconds",
                sgi_report_real(w->seconds), "labels", labels, "tokens", tokens_json(w), "topics", topics_json(t));
  for (size_t k = 0; k < SGI_COUNT(names); k++) json_object_set_new(o, names[k], column[k]);
  return o;
}

static void deinit(map_work *w) {
  sgi_map_points_free(&w->at);
  sgi_free(w->xy);
}

sg_status api_map(api_call *c, json_t **answer, sg_error *err) {
  map_work w = {.c = c};
  sg_status st = take_request(&w, err);
  if (st || (*answer = api_kept(c))) return st;
  st = compute(&w, err);
  if (!st && !(*answer = answer_of(&w))) st = sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  if (!st) api_keep(c, *answer);
  deinit(&w);
  return st;
}

/* ---- where a prompt's positions would lie ---------------------------------------------------- */

static bool locating(void *user, size_t done, size_t wanted) {
  const api_call *c = user;
  http_job_progress(c->job, (double)done / (double)wanted, "looking for the prompt's circuits");
  return !http_job_cancelled(c->job);
}

sg_status api_locate(api_call *c, json_t **answer, sg_error *err) {
  map_work w = {.c = c};
  sg_neighbor *near = NULL;
  json_t *at = json_array(), *distance = json_array();
  sg_status st = take_points(&w, err);
  if (!st) st = api_prompt(c, err);
  if (!st) st = find_points(&w, err);
  if (!st && !(near = sgi_alloc(c->p.count * sizeof *near))) st = sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  if (!st) st = sgi_map_locate(&c->p, w.r, w.slot, channel_of(&w), &w.at, locating, c, near, err);
  for (size_t t = 0; t < c->p.count && !st; t++) {
    bool found = near[t].position != SIZE_MAX;
    json_array_append_new(at, found ? json_integer((json_int_t)near[t].position) : json_null());
    json_array_append_new(distance, found ? sgi_report_real(near[t].distance) : json_null());
  }
  if (!st &&
      !(*answer = json_pack("{so sO sO}", "tokens", sgi_prompt_json(&c->p), "position", at, "distance", distance)))
    st = sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  json_decref(at);
  json_decref(distance);
  sgi_free(near);
  deinit(&w);
  return st;
}

sg_status api_place(api_call *c, json_t **answer, sg_error *err) {
  const sgi_record_reader *r = c->e->recording;
  ptrdiff_t position;
  if (!r) return sgi_fail(err, SG_ERR_ARG, "no recording is open: start the explorer with --recording");
  sg_status st = api_below(c->body, "position", r->info.n_positions, &position, err);
  if (!st && !(*answer = sgi_place_json(r, (size_t)position, false)))
    st = sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  return st ? st : sgi_recorded_check(r->rec, err);
}
