/* routes_prompt.c: what a prompt makes of the model: predictions, lens, attention, ablation. */
#include <math.h>
#include <string.h>

#include "report/lens.h"
#include "report/predict.h"
#include "api.h"

static bool tick(void *user, size_t done, size_t wanted) {
  const api_call *c = user;
  http_job_progress(c->job, wanted ? (double)done / (double)wanted : 0, "reading the prompt");
  return !http_job_cancelled(c->job);
}

sg_status api_run(const api_call *c, const char *const *record, size_t n_record, const sg_edit *edits, size_t n_edits,
                  sg_run **out, sg_error *err) {
  sg_run_request q = {.tokens = c->p.tokens,
                      .count = c->p.count,
                      .record = record,
                      .n_record = n_record,
                      .edits = edits,
                      .n_edits = n_edits,
                      .progress = tick,
                      .user = (void *)(uintptr_t)c};
  return sg_run_create(c->p.model, &q, out, err);
}

sg_status api_place_at(const api_call *c, const char *key, size_t *out, sg_error *err) {
  ptrdiff_t at = api_has(c->body, key) ? json_integer_value(json_object_get(c->body, key)) : -1;
  return api_of_field(key, sgi_prompt_at(&c->p, at, out, err), err);
}

sg_status api_position(const api_call *c, size_t *out, sg_error *err) { return api_place_at(c, "position", out, err); }

/* ---- predict --------------------------------------------------------------------------------- */

sg_status api_predict(api_call *c, json_t **answer, sg_error *err) {
  size_t top = api_size(c->body, "top");
  json_t *losses = json_array(), *all = json_array();
  sg_run *r = NULL;
  sg_status st = api_prompt(c, err);
  if (!st) st = api_run(c, NULL, 0, NULL, 0, &r, err);
  if (!st) json_array_append_new(losses, json_null());
  for (size_t t = 0; !st && t < c->p.count; t++) {
    sgi_prediction p = {0};
    st = http_job_cancelled(c->job) ? sgi_fail(err, SG_ERR_CANCELLED, "stopped")
                                    : sgi_predict(&p, &c->p, r, (ptrdiff_t)t, err);
    if (!st) json_array_append_new(all, sgi_prediction_json(&c->p, &p, top));
    if (!st && t + 1 < c->p.count) json_array_append_new(losses, sgi_report_real(-log(p.p[c->p.tokens[t + 1]])));
    sgi_prediction_free(&p);
    http_job_progress(c->job, (double)(t + 1) / (double)c->p.count, "predictions at each token");
  }
  sg_run_free(r);
  if (!st) *answer = json_pack("{so sO sO}", "tokens", sgi_prompt_json(&c->p), "losses", losses, "predictions", all);
  json_decref(losses);
  json_decref(all);
  return st || *answer ? st : sgi_fail(err, SG_ERR_MEMORY, "out of memory");
}

/* ---- margins --------------------------------------------------------------------------------- */

/* {"distance", "relative", "layer", "channel", "loses", "wins"} of the position's most fragile
 * choice. */
static json_t *margin_json(const api_call *c, const sg_margin *m, size_t t) {
  size_t L = sg_model_config(c->p.model)->num_layers, C = sg_margin_channels(c->p.model), T = c->p.count, best = 0;
  double least = INFINITY;
  for (size_t i = 0; i < L * C; i++) {
    const sg_margin *x = &m[(i / C * T + t) * C + i % C];
    if (x->stream > 0 && x->distance / x->stream < least) {
      least = x->distance / x->stream;
      best = i;
    }
  }
  if (!isfinite(least)) return json_null();
  const sg_margin *x = &m[(best / C * T + t) * C + best % C];
  return json_pack("{so so si si si si}", "distance", sgi_report_real(x->distance), "relative", sgi_report_real(least),
                   "layer", (int)(best / C), "channel", (int)(best % C), "loses", (int)x->loses, "wins", (int)x->wins);
}

static bool fragile(void *user, size_t done, size_t wanted) {
  const api_call *c = user;
  http_job_progress(c->job, wanted ? (double)done / (double)wanted : 0, "how firm the choice of neurons is");
  return !http_job_cancelled(c->job);
}

static sg_status margins(const api_call *c, json_t **out, sg_error *err) {
  size_t L = sg_model_config(c->p.model)->num_layers, C = sg_margin_channels(c->p.model), T = c->p.count;
  *out = json_null();
  if (!C) return SG_OK;
  sg_margin *m = sgi_alloc(L * C * T * sizeof *m);
  if (!m) return sgi_fail_memory(err, L * C * T * sizeof *m, "margins");
  sg_status st = sg_margins_watched(c->p.model, c->p.tokens, T, m, fragile, (void *)(uintptr_t)c, err);
  if (!st) {
    *out = json_array();
    for (size_t t = 0; t < T; t++) json_array_append_new(*out, margin_json(c, m, t));
  }
  sgi_free(m);
  return st;
}

sg_status api_margins(api_call *c, json_t **answer, sg_error *err) {
  json_t *list = NULL;
  sg_status st = api_prompt(c, err);
  if (!st) st = margins(c, &list, err);
  if (!st) *answer = json_pack("{so sO}", "tokens", sgi_prompt_json(&c->p), "margins", list);
  json_decref(list);
  return st || *answer ? st : sgi_fail(err, SG_ERR_MEMORY, "out of memory");
}

/* ---- lens ------------------------------------------------------------------------------------ */

static bool lens_goes_on(void *user, size_t done, size_t wanted) {
  const api_call *c = user;
  http_job_progress(c->job, (double)done / (double)wanted, "layers");
  return !http_job_cancelled(c->job);
}

sg_status api_lens(api_call *c, json_t **answer, sg_error *err) {
  sgi_word word = {0};
  sgi_lens_request q = {.p = &c->p, .top = api_size(c->body, "top"), .progress = lens_goes_on, .user = c};
  sg_status st = api_prompt(c, err);
  if (!st) st = api_position(c, &q.position, err);
  if (!st) st = api_word(c, "target", q.position, &word, err);
  if (word.n) q.target = &word;
  if (!st) st = sgi_lens_report(&q, answer, err);
  sgi_word_free(&word);
  return st;
}

/* ---- attention ------------------------------------------------------------------------------- */

sg_status api_attention(api_call *c, json_t **answer, sg_error *err) {
  const sg_config *k = sg_model_config(c->p.model);
  ptrdiff_t layer;
  char name[SG_SITE_NAME];
  const char *record = name;
  sg_run *r = NULL;
  sg_site site;
  sg_status st = api_below(c->body, "layer", k->num_layers, &layer, err);
  if (!st) st = api_prompt(c, err);
  if (st) return st;
  size_t T = c->p.count, H = k->num_heads;
  if (T > 256) return sgi_fail(err, SG_ERR_ARG, "attention patterns are shown for prompts of up to 256 tokens");
  snprintf(name, sizeof name, "layers.%td.attn.pattern", layer);
  st = api_run(c, &record, 1, NULL, 0, &r, err);
  if (!st && !sg_run_find(r, name, &site)) st = sgi_fail(err, SG_ERR_INTERNAL, "%s was not recorded", name);
  json_t *heads = json_array();
  for (size_t h = 0; h < H && !st; h++) {
    json_t *rows = json_array();
    for (size_t t = 0; t < T; t++) {
      json_t *row = json_array();
      for (size_t s = 0; s <= t; s++)
        json_array_append_new(row, sgi_report_real((double)site.data[(t * H + h) * T + s]));
      json_array_append_new(rows, row);
    }
    json_array_append_new(heads, rows);
  }
  if (!st)
    *answer = json_pack("{so sI sO}", "tokens", sgi_prompt_json(&c->p), "layer", (json_int_t)layer, "heads", heads);
  json_decref(heads);
  sg_run_free(r);
  return st || *answer ? st : sgi_fail(err, SG_ERR_MEMORY, "out of memory");
}
