/* routes_reading.c: why the model said it: attribution, graphs. */
#include <string.h>

#include "report/attribution.h"
#include "report/graph.h"
#include "api.h"
#include "core/json.h"

enum { MAX_BYTES = 1 << 30, MAX_TARGETS = 16, MOST_EXACT = 20000, EXACT_ROWS = 120000, MINIMAL_POSITIONS = 128 };

/* ---- attribute ------------------------------------------------------------------------------- */

enum { MOST_TRUE = 100 };

/* One logit, or a word's along it. */
typedef struct attribution {
  const api_call *c;
  sg_attribute_request r;
  sg_phrase_request words;
  sgi_word target, against;
  sg_attribution *own;
  sg_phrase *phrase;
  sg_true_effect truth[MOST_TRUE];
} attribution;

static sg_status verify(attribution *a, size_t n, sg_error *err) {
  const api_call *c = a->c;
  const sg_terms *l = a->phrase ? &a->phrase->sum.neurons : &a->own->neurons;
  sg_status st = SG_OK;
  for (size_t i = 0; i < n && !st; i++) {
    if (http_job_cancelled(c->job)) return sgi_fail(err, SG_ERR_CANCELLED, "stopped");
    http_job_progress(c->job, (double)i / (double)n, "running again without neurons");
    st = a->phrase ? sg_phrase_verify(c->p.model, &a->words, a->phrase, &l->terms[i], 1, &a->truth[i], err)
                   : sg_verify_terms(c->p.model, &a->r, a->own, &l->terms[i], 1, &a->truth[i], err);
  }
  return st;
}

static bool attributing(void *user, size_t done, size_t wanted) {
  const api_call *c = user;
  http_job_progress(c->job, wanted ? (double)done / (double)wanted : 0, "following the effects back");
  return !http_job_cancelled(c->job);
}

/* "part": token K of the word alone, along it. */
static sg_status take_part(api_call *c, attribution *a, size_t part, sg_error *err) {
  if (part > a->target.n || a->against.n)
    return sgi_fail(err, SG_ERR_ARG, "request: \"part\" must be a token of the target, from 1 to %zu, none against it",
                    a->target.n);
  size_t position = (size_t)a->r.position;
  sg_status st = sgi_word_extend(&c->p, position, &a->target, part - 1, err);
  a->r.position = (ptrdiff_t)(position + part - 1);
  a->r.target = a->target.ids[part - 1];
  a->r.tokens = c->p.tokens;
  a->r.count = c->p.count;
  return st;
}

static sg_status attribute(api_call *c, attribution *a, size_t part, sg_error *err) {
  size_t position;
  sg_status st = api_position(c, &position, err);
  if (!st) st = api_word(c, "target", position, &a->target, err);
  if (!st) st = api_word(c, "against", position, &a->against, err);
  if (st) return st;
  a->r = (sg_attribute_request){.tokens = c->p.tokens,
                                .count = c->p.count,
                                .position = (ptrdiff_t)position,
                                .target = a->target.n ? a->target.ids[0] : -1,
                                .against = a->against.n ? a->against.ids[0] : -1,
                                .max_bytes = MAX_BYTES,
                                .progress = attributing,
                                .user = c};
  if (part) st = take_part(c, a, part, err);
  if (part || (a->target.n < 2 && a->against.n < 2)) return st ? st : sg_attribute(c->p.model, &a->r, &a->own, err);
  if (!a->target.n) st = sgi_word_likeliest(&c->p, (ptrdiff_t)position, &a->target, err);
  a->words = (sg_phrase_request){.tokens = c->p.tokens,
                                 .count = c->p.count,
                                 .position = (ptrdiff_t)position,
                                 .target = a->target.ids,
                                 .against = a->against.ids,
                                 .n_target = a->target.n,
                                 .n_against = a->against.n,
                                 .max_bytes = MAX_BYTES,
                                 .progress = attributing,
                                 .user = c};
  return st ? st : sg_attribute_phrase(c->p.model, &a->words, &a->phrase, err);
}

static json_t *attribution_json(const attribution *a, size_t top, size_t n) {
  const sgi_prompt *p = &a->c->p;
  return a->phrase ? sgi_phrase_json(p, a->phrase, top, a->truth, n)
                   : sgi_attribution_json(p, a->own, top, a->truth, n);
}

static bool taking_out(void *user, size_t done, size_t wanted) {
  const api_call *c = user;
  http_job_progress(c->job, wanted ? (double)done / (double)wanted : 0, "taking out neurons and heads");
  return !http_job_cancelled(c->job);
}

/* A job may take seconds: a variant costs as many rows as there are positions behind its own, half
 * of all on average. What would be more rows than EXACT_ROWS is left out: neurons of the least
 * total effect, then all heads. */
static sg_status take_out(api_call *c, const sg_attribute_request *r, const sg_attribution *a, size_t most,
                          sg_exact **out, sg_error *err) {
  const sg_config *k = sg_model_config(c->p.model);
  size_t rows = a->position / 2 + 1, fit = EXACT_ROWS / rows;
  sg_exact_request q = {.prompt = *r, .most = most < fit ? most : fit};
  q.no_heads = k->num_layers * k->num_heads > fit / (a->position + 1);
  q.prompt.target = a->target;
  q.prompt.progress = taking_out;
  q.prompt.user = c;
  return sg_exact_create(c->p.model, &q, out, err);
}

sg_status api_attribute(api_call *c, json_t **answer, sg_error *err) {
  size_t top = api_size(c->body, "top"), n = api_within(c->body, "verify", MOST_TRUE);
  sg_exact *x = NULL;
  sg_status st = api_prompt(c, err);
  if (st) return st;
  attribution *a = sgi_alloc(sizeof *a);
  if (!a) return sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  a->c = c;
  st = attribute(c, a, api_size(c->body, "part"), err);
  size_t found = st ? 0 : a->phrase ? a->phrase->sum.neurons.count : a->own->neurons.count;
  if (n > found) n = found;
  if (!st) st = verify(a, n, err);
  if (!st) st = a->phrase ? sg_phrase_check(a->phrase, err) : sg_attribution_check(a->own, err);
  /* Of one token: a word's are read one by one. */
  if (!st && api_flag(c->body, "true") && a->own) st = take_out(c, &a->r, a->own, api_size(c->body, "most"), &x, err);
  if (!st && !(*answer = attribution_json(a, top, n))) st = sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  if (!st && x && !sgi_exact_add(*answer, &c->p, x, top)) st = sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  sg_exact_free(x);
  sg_attribution_free(a->own);
  sg_phrase_free(a->phrase);
  sgi_word_free(&a->target);
  sgi_word_free(&a->against);
  sgi_free(a);
  return st;
}

/* ---- minimal --------------------------------------------------------------------------------- */

static bool running(void *user, size_t done, size_t wanted) {
  const api_call *c = user;
  http_job_progress(c->job, wanted ? (double)done / (double)wanted : 0, "running with neurons silent");
  return !http_job_cancelled(c->job);
}

sg_status api_minimal(api_call *c, json_t **answer, sg_error *err) {
  sg_minimal_request r = {.prompt = {.max_bytes = MAX_BYTES, .progress = running, .user = c}};
  sg_minimal *m = NULL;
  size_t position;
  sg_status st = api_prompt(c, err);
  if (!st) st = api_position(c, &position, err);
  if (!st) st = api_token(c, "target", -1, &r.prompt.target, err);
  if (!st) st = api_token(c, "against", -1, &r.prompt.against, err);
  if (st) return st;
  r.prompt.tokens = c->p.tokens;
  r.prompt.count = c->p.count;
  r.prompt.position = (ptrdiff_t)position;
  r.heads = api_flag(c->body, "heads");
  if (position >= MINIMAL_POSITIONS)
    return sgi_fail(err, SG_ERR_ARG,
                    "minimal sets are searched here up to position %d: shorten the text, or use the command",
                    MINIMAL_POSITIONS - 1);
  st = sg_minimal_create(c->p.model, &r, &m, err);
  if (!st && !(*answer = sgi_minimal_json(&c->p, m, false))) st = sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  sg_minimal_free(m);
  return st;
}

/* ---- graph ----------------------------------------------------------------------------------- */

static bool tick(void *user, size_t done, size_t wanted) {
  const api_call *c = user;
  http_job_progress(c->job, wanted ? (double)done / (double)wanted : 0, "neurons explored");
  return !http_job_cancelled(c->job);
}

static sg_status take_targets(api_call *c, ptrdiff_t position, sgi_targets *out, sg_error *err) {
  const json_t *list = json_object_get(c->body, "targets");
  const char *texts[MAX_TARGETS];
  size_t n = json_array_size(list) < MAX_TARGETS ? json_array_size(list) : MAX_TARGETS;
  *out = (sgi_targets){0};
  for (size_t i = 0; i < n; i++) {
    texts[i] = json_string_value(json_array_get(list, i));
    if (!c->p.tokenizer && strncmp(texts[i], "id:", 3))
      return sgi_fail(err, SG_ERR_ARG, "request: \"targets\": this model has no tokenizer.json: give id:N");
  }
  return n ? api_of_field("targets", sgi_targets_read(&c->p, texts, n, position, out, err), err) : SG_OK;
}

sg_status api_graph(api_call *c, json_t **answer, sg_error *err) {
  sgi_targets targets = {0};
  sg_graph_request r = {.max_nodes = api_size(c->body, "max_nodes"),
                        .node_threshold = api_real(c->body, "node_threshold"),
                        .edge_threshold = api_real(c->body, "edge_threshold"),
                        .heads = api_flag(c->body, "heads"),
                        .max_bytes = MAX_BYTES,
                        .progress = tick,
                        .user = c};
  const struct sgi_sparse_set *set = NULL;
  sg_graph *g = NULL;
  size_t position = 0;
  sg_status st = api_prompt(c, err);
  if (!st) st = api_position(c, &position, err);
  if (!st) st = take_targets(c, (ptrdiff_t)position, &targets, err);
  r.tokens = c->p.tokens;
  r.count = c->p.count;
  r.position = targets.n ? (ptrdiff_t)targets.position : (ptrdiff_t)position;
  r.targets = targets.ids;
  r.target_positions = targets.n ? targets.positions : NULL;
  r.n_targets = targets.n;
  if (!st) st = api_features(c, api_flag(c->body, "features"), &set, err);
  if (!st) st = sgi_graph_of(&c->p, set, &r, &g, err);
  sgi_targets_free(&targets);
  if (!st && !(*answer = sgi_graph_json(&c->p, g, set))) st = sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  sg_graph_free(g);
  return st;
}
