/* routes_superposition.c: whether neurons that fire together in the recorded text do what neither
 * does alone. */
#include <string.h>

#include "report/superposition.h"
#include "api.h"

static bool tick(void *user, size_t done, size_t total) {
  const api_call *c = user;
  http_job_progress(c->job, total ? (double)done / (double)total : 0, "running without neurons");
  return !http_job_cancelled(c->job);
}

/* "tokens": the document names those that only both neurons promote by their numbers, the page
 * shows them as text. Each once, in the order of the pairs. */
static sg_status add_tokens(const api_call *c, json_t *o, sg_error *err) {
  size_t V = sg_model_config(c->p.model)->vocab_size, k, i;
  bool *named = sgi_alloc(V * sizeof *named);
  if (!named) return sgi_fail_memory(err, V * sizeof *named, "tokens of pairs");
  memset(named, 0, V * sizeof *named);
  json_t *list = json_array(), *pair, *id;
  json_array_foreach(json_object_get(o, "pairs"), k, pair) {
    json_array_foreach(json_object_get(pair, "joint_only"), i, id) {
      bool *is = &named[json_integer_value(id)];
      if (!*is) json_array_append_new(list, sgi_token_json(&c->p, (int32_t)json_integer_value(id)));
      *is = true;
    }
  }
  json_object_set_new(o, "tokens", list); /* a failure is counted: jobs.c asks */
  sgi_free(named);
  return SG_OK;
}

sg_status api_superposition(api_call *c, json_t **answer, sg_error *err) {
  sgi_superposition_request r = {.model = c->p.model,
                                 .min_together = api_size(c->body, "min_together"),
                                 .min_lift = api_real(c->body, "min_lift"),
                                 .max_pairs = api_size(c->body, "pairs"),
                                 .max_places = api_size(c->body, "places"),
                                 .shuffled = api_flag(c->body, "shuffled"),
                                 .seed = api_size(c->body, "seed"),
                                 .progress = tick,
                                 .user = c};
  sg_status st = api_slot(c, &r.slot, err);
  if (st || (*answer = api_kept(c))) return st;
  r.recording = c->e->recording->rec;
  st = sgi_superposition_report(&r, answer, err);
  if (!st) st = add_tokens(c, *answer, err);
  if (!st) api_keep(c, *answer);
  return st;
}
