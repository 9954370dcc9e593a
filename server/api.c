#include "api.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/file_guard.h"
#include "core/json.h"
#include "report/context.h"
#include "schema.h"

/* How each is asked, and what with: openapi.json (schema.h). */
static const struct {
  const char *path;
  api_answer answer;
} routes[] = {
    {"/api/info", api_info},           {"/api/metrics", api_metrics},
    {"/api/predict", api_predict},     {"/api/continue", api_continue},
    {"/api/generate", api_generate},   {"/api/lens", api_lens},
    {"/api/margins", api_margins},     {"/api/attention", api_attention},
    {"/api/attribute", api_attribute}, {"/api/minimal", api_minimal},
    {"/api/ablate", api_ablate},       {"/api/joint", api_joint},
    {"/api/neuron", api_neuron},       {"/api/activation", api_activation},
    {"/api/labels", api_labels},       {"/api/name", api_name},
    {"/api/neurons", api_neurons},     {"/api/graph", api_graph},
    {"/api/neighbors", api_neighbors}, {"/api/together", api_together},
    {"/api/fires", api_fires},         {"/api/map", api_map},
    {"/api/locate", api_locate},       {"/api/place", api_place},
    {"/api/facts", api_facts},         {"/api/file", api_file},
    {"/api/documents", api_documents}, {"/api/document", api_document},
    {"/api/patch", api_patch},         {"/api/directions", api_directions},
    {"/api/recall", api_recall},       {"/api/study", api_study},
    {"/api/feature", api_feature},     {"/api/scale", api_scale},
    {"/api/factors", api_factors},     {"/api/superposition", api_superposition},
};

/* The model's and the recording's files are as they were; answers name no paths, the terminal
 * does. */
static sg_status whole_files(const explorer *e, sg_error *err) {
  static bool told;
  sg_error why = {0};
  if (!sgi_guard_look(true, &why)) return SG_OK;
  if (!told && e->warn) e->warn(why.text);
  told = true;
  return sgi_fail(
      err, SG_ERR_IO,
      "a file of the model or of the recording was cut or changed while the explorer serves it: start it again");
}

/* A prompt longer than the model was made for is read where the explorer was asked to; the answer
 * says so. */
static void warn_beyond(const api_call *c, json_t *answer) {
  char text[SGI_CONTEXT_TEXT];
  if (!c->p.model || !json_is_object(answer)) return;
  if (!sgi_context_text(sg_model_config(c->p.model), c->p.count, text)) return;
  json_object_set_new(answer, "warning", json_string(text)); /* a failure is counted: jobs.c asks */
}

/* Without a model there are its own calls: of a graph's file, or of a study. */
static sg_status needs(const explorer *e, const char *path, api_answer a, sg_error *err) {
  bool of_study = a == api_study || a == api_factors;
  if (e->model || a == api_info || (e->graph && a == api_file) || (e->study && of_study)) return SG_OK;
  return sgi_fail(err, SG_ERR_ARG, "this explorer shows %s: %s needs %s", e->study ? "a study" : "a graph from a file",
                  path,
                  of_study        ? "a study (sgatlin explore STUDY)"
                  : a == api_file ? "a graph's file (sgatlin explore GRAPH.json)"
                                  : "a model (sgatlin explore MODEL)");
}

sg_status api_handle(void *user, http_job *job, json_t **answer, sg_error *err) {
  explorer *e = user;
  api_call c = {.e = e, .job = job, .p = {.model = e->model, .tokenizer = e->tokenizer}};
  json_t *body = NULL;
  sg_status st = SG_OK;
  for (size_t i = 0; i < SGI_COUNT(routes); i++) {
    if (strcmp(routes[i].path, http_job_path(job))) continue;
    bool post;
    const json_t *call = schema_call(routes[i].path, &post, err);
    if (!call) return err->code;
    if (post != http_job_is_post(job))
      return sgi_fail(err, SG_ERR_ARG, "%s is asked for with %s", routes[i].path, post ? "POST" : "GET");
    if ((st = needs(e, routes[i].path, routes[i].answer, err))) return st;
    if ((st = schema_take(call, http_job_body(job), &body, err))) break;
    c.body = body;
    if ((st = api_beside(&c, err))) break;
    if ((st = whole_files(e, err))) break;
    bool sound = !e->recording || !sgi_recorded_check(e->recording->rec, NULL);
    st = routes[i].answer(&c, answer, err);
    if (!st) warn_beyond(&c, *answer);
    if (whole_files(e, err)) st = SG_ERR_IO; /* whatever it says was read of a file that is gone */
    if (!st && sound && e->recording) st = sgi_recorded_check(e->recording->rec, err); /* found by this answer */
  }
  sgi_free(c.p.tokens);
  json_decref(body);
  if (st) {
    json_decref(*answer);
    *answer = NULL;
  }
  return st;
}

/* ---- answers that are kept ------------------------------------------------------------------- */

enum { KEPT = 8 };

/* Path and body as text, keys in order. New: free. */
static char *request_text(const api_call *c) {
  json_t *o = json_pack("[sO]", http_job_path(c->job), c->body);
  char *text = o ? json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
  json_decref(o);
  return text;
}

json_t *api_kept(const api_call *c) {
  char *text = request_text(c);
  json_t *answer = text ? json_incref(json_object_get(c->e->kept, text)) : NULL;
  free(text);
  return answer;
}

void api_keep(const api_call *c, json_t *answer) {
  if (sgi_json_state() || sgi_json_failures()) return; /* it may not be whole */
  char *text = request_text(c);
  if (!c->e->kept) c->e->kept = json_object();
  if (json_object_size(c->e->kept) >= KEPT)
    json_object_del(c->e->kept, json_object_iter_key(json_object_iter(c->e->kept)));
  if (text) json_object_set(c->e->kept, text, answer);
  free(text);
}

void api_forget(explorer *e) {
  json_decref(e->kept);
  json_decref(e->labels);
  json_decref(e->examples);
  sgi_neurons_close(e->browser);
  e->browser = NULL;
  e->kept = e->labels = e->examples = NULL;
}

/* ---- fields ---------------------------------------------------------------------------------- */

size_t api_size(const json_t *o, const char *key) {
  json_int_t v = json_integer_value(json_object_get(o, key));
  return v > 0 ? (size_t)v : 0;
}

size_t api_within(const json_t *o, const char *key, size_t room) {
  size_t v = api_size(o, key);
  return v < room ? v : room;
}

double api_real(const json_t *o, const char *key) { return json_number_value(json_object_get(o, key)); }
bool api_flag(const json_t *o, const char *key) { return json_is_true(json_object_get(o, key)); }
bool api_has(const json_t *o, const char *key) { return json_object_get(o, key) != NULL; }
const char *api_text(const json_t *o, const char *key) { return json_string_value(json_object_get(o, key)); }

sg_status api_below(const json_t *o, const char *key, size_t limit, ptrdiff_t *out, sg_error *err) {
  *out = api_has(o, key) ? (ptrdiff_t)api_size(o, key) : -1;
  if (*out < (ptrdiff_t)limit) return SG_OK;
  if (!limit) return sgi_fail(err, SG_ERR_ARG, "request: \"%s\" can be none: there are none here", key);
  return sgi_fail(err, SG_ERR_ARG, "request: \"%s\" must be a whole number from 0 to %zu", key, limit - 1);
}

static sg_status no_tokenizer(sg_error *err) {
  return sgi_fail(err, SG_ERR_ARG, "this model has no tokenizer.json: give token ids instead of text");
}

sg_status api_of_field(const char *key, sg_status st, sg_error *err) {
  char text[sizeof err->text];
  if (!st || !err) return st;
  snprintf(text, sizeof text, "%s", err->text);
  return sgi_fail(err, st, "\"%s\": %s", key, text);
}

sg_status api_token(const api_call *c, const char *key, int32_t fallback, int32_t *out, sg_error *err) {
  const char *text = api_text(c->body, key);
  *out = fallback;
  if (!text) return SG_OK;
  if (!c->p.tokenizer && strncmp(text, "id:", 3)) return no_tokenizer(err);
  return api_of_field(key, sgi_prompt_token(&c->p, text, out, err), err);
}

sg_status api_word(const api_call *c, const char *key, size_t position, sgi_word *out, sg_error *err) {
  const char *text = api_text(c->body, key);
  *out = (sgi_word){0};
  if (!text) return SG_OK;
  if (!c->p.tokenizer && strncmp(text, "id:", 3)) return no_tokenizer(err);
  sg_status st = api_of_field(key, sgi_word_read(&c->p, text, (ptrdiff_t)position, out, err), err);
  if (!st && position + out->n > sg_model_config(c->p.model)->max_position)
    st = sgi_fail(err, SG_ERR_ARG, "\"%s\": prompt and word have %zu tokens, more than the model was made for", key,
                  position + out->n);
  return st;
}

static sg_status take_ids(api_call *c, const json_t *ids, size_t bos, sg_error *err) {
  size_t n = json_array_size(ids), V = sg_model_config(c->p.model)->vocab_size;
  if (n > API_TOKENS) return SG_OK; /* refused below, with the length */
  if (!(c->p.tokens = sgi_alloc((n + bos + 1) * sizeof *c->p.tokens)))
    return sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  if (bos) c->p.tokens[0] = sg_model_config(c->p.model)->bos_id;
  for (size_t i = 0; i < n; i++) {
    json_int_t id = json_integer_value(json_array_get(ids, i));
    if ((size_t)id >= V)
      return sgi_fail(err, SG_ERR_ARG, "request: \"ids\" must be whole numbers from 0 to %zu", V - 1);
    c->p.tokens[bos + i] = (int32_t)id;
  }
  c->p.count = n + bos;
  return SG_OK;
}

size_t api_most_tokens(const api_call *c) {
  size_t made_for = c->p.model ? sg_model_config(c->p.model)->max_position : API_TOKENS;
  return made_for < API_TOKENS && !c->e->beyond ? made_for : API_TOKENS;
}

sg_status api_prompt(api_call *c, sg_error *err) {
  const json_t *ids = json_object_get(c->body, "ids");
  const char *text = api_text(c->body, "text");
  if (!text == !ids) return sgi_fail(err, SG_ERR_ARG, "request: give \"text\" or \"ids\"");
  if (text && !c->p.tokenizer) return no_tokenizer(err);
  size_t front = json_is_false(json_object_get(c->body, "bos")) ? 0 : 1, n = json_array_size(ids) + front;
  sg_status st = text ? sgi_prompt_encode(&c->p, sgi_skip_mark(text), !front, &c->p.tokens, &c->p.count, err)
                      : take_ids(c, ids, front, err);
  if (text) n = c->p.count;
  if (!st && n > API_TOKENS)
    st = sgi_fail(err, SG_ERR_ARG, "the prompt has %zu tokens: the explorer reads at most %d", n, API_TOKENS);
  if (!st && !c->e->beyond && n > sg_model_config(c->p.model)->max_position)
    st = sgi_context_fail(sg_model_config(c->p.model), n,
                          "shorten the prompt, or start the explorer with --beyond-context", err);
  return !st && !c->p.count ? sgi_fail(err, SG_ERR_ARG, "the prompt has no token") : st;
}
