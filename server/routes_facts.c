/* routes_facts.c: known facts, and what one noun's gates carry of what follows it. */
#include <string.h>

#include "report/facts.h"
#include "report/patches.h"
#include "api.h"

enum { EFFORT = 1000 };

/* The file (new reference) and its facts of the request's type. */
static sg_status open_facts(const api_call *c, json_t **file, sg_facts **facts, const char **type, sg_error *err) {
  *file = NULL;
  if (!c->e->facts) return sgi_fail(err, SG_ERR_ARG, "no facts are open: start the explorer with --worlds or --facts");
  if (!c->p.tokenizer) return sgi_fail(err, SG_ERR_ARG, "this model has no tokenizer.json: facts are text");
  sg_status st = SG_OK;
  *type = api_text(c->body, "type");
  if (sgi_json_load(c->e->facts, file, err)) st = sgi_fail(err, SG_ERR_IO, "the file of facts could not be read again");
  if (!st) st = sgi_facts_of(*file, *type, facts, err);
  if (st == SG_ERR_FORMAT && err) err->code = st = SG_ERR_ARG;
  return st;
}

/* ---- facts ----------------------------------------------------------------------------------- */

sg_status api_facts(api_call *c, json_t **answer, sg_error *err) {
  json_t *file = NULL;
  sg_facts *f = NULL;
  const char *type = NULL;
  sg_status st = open_facts(c, &file, &f, &type, err);
  if (!st) st = sgi_facts_report(&c->p, file, f, type, answer, err);
  sg_facts_free(f);
  json_decref(file);
  return st;
}

/* ---- patched runs ---------------------------------------------------------------------------- */

static bool tick(void *user, size_t done, size_t wanted) {
  const api_call *c = user;
  http_job_progress(c->job, wanted ? (double)done / (double)wanted : 0, "running with other gates");
  return !http_job_cancelled(c->job);
}

/* Sets of layers: as the request names them, or each alone, then all. *out is new: (n,L). */
static sg_status take_sets(const api_call *c, size_t L, bool **out, size_t *n, sg_error *err) {
  const json_t *sets = json_object_get(c->body, "layers");
  *n = sets ? json_array_size(sets) : L + (L > 1);
  if (!(*out = sgi_alloc(*n * L))) return sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  for (size_t s = 0; s < *n; s++) {
    const json_t *set = json_array_get(sets, s);
    for (size_t l = 0; l < L && !sets; l++) (*out)[s * L + l] = s == L || s == l;
    for (size_t i = 0; i < json_array_size(set); i++) {
      const json_t *v = json_array_get(set, i);
      if ((size_t)json_integer_value(v) >= L)
        return sgi_fail(err, SG_ERR_ARG, "request: \"layers\" must hold numbers from 0 to %zu", L - 1);
      (*out)[s * L + (size_t)json_integer_value(v)] = true;
    }
  }
  return SG_OK;
}

/* The two nouns of the request, or those that share no answer, as the command takes them. */
static sg_status choose(const api_call *c, sgi_patches *p, sg_facts *f, sg_error *err) {
  static const char *const key[] = {"clean", "counterfactual"};
  const char *name[2];
  size_t pair[2], *chosen;
  p->nouns = p->n_distinct = sg_facts_count(f);
  for (size_t k = 0; k < 2; k++) name[k] = api_text(c->body, key[k]);
  if (!name[0] != !name[1]) return sgi_fail(err, SG_ERR_ARG, "request: give both nouns or none");
  for (size_t k = 0; k < 2 && name[0]; k++) {
    for (pair[k] = 0; pair[k] < p->nouns && strcmp(sg_facts_noun(f, pair[k]).text, name[k]);) pair[k]++;
    if (pair[k] == p->nouns) return sgi_fail(err, SG_ERR_ARG, "no fact is known of \"%.80s\"", name[k]);
  }
  if (name[0] && pair[0] == pair[1]) return sgi_fail(err, SG_ERR_ARG, "request: the two nouns must differ");
  if (name[0]) {
    size_t two[] = {pair[0] < pair[1] ? pair[0] : pair[1], pair[0] < pair[1] ? pair[1] : pair[0]};
    sg_facts_select(f, two, p->n_distinct = 2);
    return SG_OK;
  }
  if (!(chosen = sgi_alloc((p->nouns + 1) * sizeof *chosen))) return sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  sg_status st = sg_facts_distinct(f, (uint64_t)1000000 * EFFORT, chosen, &p->n_distinct, &p->proven, err);
  if (!st) sg_facts_select(f, chosen, p->n_distinct);
  sgi_free(chosen);
  return st;
}

static sg_status patch(api_call *c, sgi_patches *p, sg_facts *f, bool *layers, size_t n_sets, size_t answers,
                       json_t **answer, sg_error *err) {
  sg_interventions *runs = NULL;
  sg_intervention_request r = {.facts = f,
                               .tokenizer = c->p.tokenizer,
                               .top_answers = answers,
                               .layers = layers,
                               .n_sets = n_sets,
                               .at_last = p->at_last,
                               .words = api_flag(c->body, "words"),
                               .what = p->what,
                               .from_another = p->from_another,
                               .progress = tick,
                               .user = c};
  sg_status st = sg_interventions_run(c->p.model, &r, &runs, err);
  p->prompt = &c->p;
  p->facts = f;
  p->runs = runs;
  p->layers = layers;
  if (!st && !(*answer = sgi_patches_json(p))) st = sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  if (!st) api_keep(c, *answer);
  sg_interventions_free(runs);
  return st;
}

static sg_patch_what what_of(const char *name) {
  int i = 0; /* openapi.json lets no other name pass */
  while (i < SG_PATCH_EMBEDDING && strcmp(name, sgi_patch_what_names[i])) i++;
  return (sg_patch_what)i;
}

sg_status api_patch(api_call *c, json_t **answer, sg_error *err) {
  sgi_patches p = {.L = sg_model_config(c->p.model)->num_layers, .proven = true};
  json_t *file = NULL;
  sg_facts *f = NULL;
  bool *layers = NULL;
  size_t n_sets;
  const char *type;
  sg_status st = take_sets(c, p.L, &layers, &n_sets, err);
  if (!st && (*answer = api_kept(c))) goto end;
  if (!st) st = open_facts(c, &file, &f, &type, err);
  if (!st) st = choose(c, &p, f, err);
  p.at_last = !strcmp(api_text(c->body, "at"), "last");
  p.what = what_of(api_text(c->body, "what"));
  p.from_another = !strcmp(api_text(c->body, "from"), "another");
  if (!st && p.what == SG_PATCH_EMBEDDING) { /* which stands before the layers */
    if (api_has(c->body, "layers")) st = sgi_fail(err, SG_ERR_ARG, "request.layers: the embedding has none");
    memset(layers, 0, n_sets * p.L);
    n_sets = 1;
  }
  p.pairs = api_has(c->body, "clean");
  if (!st) st = patch(c, &p, f, layers, n_sets, api_size(c->body, "answers"), answer, err);
end:
  sg_facts_free(f);
  sgi_free(layers);
  json_decref(file);
  return st;
}
