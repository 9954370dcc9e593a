/* routes_features.c: features of transcoders: a feature's card, features scaled; which of two
 * models and which transcoders a call is about. */
#include "report/feature.h"
#include "api.h"

enum { MOST_FACTORS = 64, MOST_TOLD = 50 };

sg_status api_beside(api_call *c, sg_error *err) {
  if (!api_flag(c->body, "beside")) return SG_OK;
  if (!c->e->beside.model)
    return sgi_fail(err, SG_ERR_ARG,
                    "\"beside\": there is no second model here: start the explorer with --beside MODEL");
  c->p.model = c->e->beside.model;
  return SG_OK;
}

sg_status api_features(const api_call *c, bool wanted, const struct sgi_sparse_set **out, sg_error *err) {
  bool second = api_flag(c->body, "beside");
  *out = !wanted ? NULL : second ? c->e->beside.sparse.set : c->e->sparse.set;
  if (!wanted || *out) return SG_OK;
  return sgi_fail(err, SG_ERR_ARG, "there are no transcoders of this model here: start the explorer with %s TC",
                  second ? "--beside-sparse" : "--sparse");
}

/* ---- a card ---------------------------------------------------------------------------------- */

static bool reading(void *user, size_t done, size_t wanted) {
  const api_call *c = user;
  http_job_progress(c->job, wanted ? (double)done / (double)wanted : 0, "reading the recording");
  return !http_job_cancelled(c->job);
}

/* Of the first model: the second has none. */
static sg_status recording_of(const api_call *c, const sgi_record_reader **out, sg_error *err) {
  if (api_flag(c->body, "beside"))
    return sgi_fail(err, SG_ERR_ARG, "\"recorded\": the recording is the first model's: leave \"beside\" out");
  if (!(*out = c->e->recording))
    return sgi_fail(err, SG_ERR_ARG, "\"recorded\": no recording is open: start the explorer with --recording");
  return SG_OK;
}

sg_status api_feature(api_call *c, json_t **answer, sg_error *err) {
  sgi_feature_card card = {.p = &c->p,
                           .layer = api_size(c->body, "layer"),
                           .index = api_size(c->body, "index"),
                           .top = api_within(c->body, "top", MOST_TOLD),
                           .width = api_size(c->body, "width"),
                           .progress = reading,
                           .user = c};
  sg_status st = api_features(c, true, &card.set, err);
  if (!st && api_flag(c->body, "recorded")) st = recording_of(c, &card.rec, err);
  if (st) return st;
  json_t *kept = card.rec ? api_kept(c) : NULL;
  if (kept) {
    *answer = kept;
    return SG_OK;
  }
  st = sgi_feature_card_json(&card, answer, err);
  if (!st && card.rec) api_keep(c, *answer);
  return st;
}

/* ---- features scaled ------------------------------------------------------------------------- */

static bool running(void *user, size_t done, size_t wanted) {
  const api_call *c = user;
  http_job_progress(c->job, (double)done / (double)wanted, "running with features scaled");
  return !http_job_cancelled(c->job);
}

static sg_status take_factors(const api_call *c, sgi_feature_factor *out, size_t *n, sg_error *err) {
  const json_t *list = json_object_get(c->body, "edits");
  sg_status st = SG_OK;
  *n = json_array_size(list) < MOST_FACTORS ? json_array_size(list) : MOST_FACTORS;
  if (!*n) return sgi_fail(err, SG_ERR_ARG, "request: \"edits\" must be a list of 1 at least");
  for (size_t i = 0; i < *n && !st; i++) {
    const json_t *o = json_array_get(list, i);
    out[i] = (sgi_feature_factor){api_size(o, "layer"), api_size(o, "feature"), -1, api_real(o, "scale")};
    st = api_below(o, "position", c->p.count, &out[i].position, err);
  }
  return st;
}

sg_status api_scale(api_call *c, json_t **answer, sg_error *err) {
  sgi_feature_factor factors[MOST_FACTORS];
  sgi_feature_steer s = {
      .p = &c->p, .factors = factors, .top = api_within(c->body, "top", MOST_TOLD), .progress = running, .user = c};
  sg_status st = api_features(c, true, &s.set, err);
  if (!st) st = api_prompt(c, err);
  if (!st) st = api_position(c, &s.position, err);
  if (!st) st = api_token(c, "target", -1, &s.target, err);
  if (!st) st = take_factors(c, factors, &s.n_factors, err);
  return st ? st : sgi_feature_steer_json(&s, answer, err);
}
