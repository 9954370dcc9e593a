#include "recall.h"

#include <math.h>

#include "compare/enrich.h"
#include "compare/extract.h"
#include "compare/subject_text.h"
#include "data/data.h"

/* ---- facts of a file ------------------------------------------------------------------------- */

/* The prompts of f and what is known of them. sgi_subjects_deinit in any case. */
static sg_status ask(const sgi_recall_facts *f, sgi_subjects *out, sg_error *err) {
  *out = (sgi_subjects){0};
  if (!f->p->tokenizer) return sgi_fail(err, SG_ERR_ARG, "%s has no tokenizer.json: facts are text", f->p->directory);
  sg_status st = sgi_subjects_load(f->path, f->p->model, f->p->tokenizer, f->type, out, err);
  if (st) return st;
  sgi_subjects_limit(out, f->limit, f->seed);
  return sgi_subjects_know(f->p->model, out, f->path, f->progress, f->user, err);
}

static json_t *facts_json(const sgi_subjects *s) {
  return json_pack("{sI sI so so sI}", "prompts", (json_int_t)s->n, "known", (json_int_t)s->n_known, "accuracy",
                   sgi_report_real(s->n ? (double)s->n_known / (double)s->n : 0), "chance", sgi_report_real(s->chance),
                   "skipped", (json_int_t)s->skipped);
}

static json_t *knockout_json(const sgi_knockout *k) {
  json_t *sets = json_array();
  for (size_t i = 0; i < SGI_KNOCK_SETS; i++)
    json_array_append_new(
        sets,
        json_pack("{ss sI so so so}", "set", sgi_knock_names[i], "prompts", (json_int_t)k->count[i], "change",
                  sgi_report_reals(k->change + i * k->L, k->L), "error", sgi_report_reals(k->error + i * k->L, k->L),
                  "probability", sgi_report_reals(k->probability + i * k->L, k->L)));
  return json_pack("{sI sI sI so so}", "layers", (json_int_t)k->L, "window", (json_int_t)k->window, "prompts",
                   (json_int_t)k->prompts, "probability", sgi_report_real(k->clean), "sets", sets);
}

static json_t *cut_json(const sgi_enrich *e, size_t kind) {
  json_t *drop = json_array();
  for (size_t l = 0; l < e->L; l++) json_array_append_new(drop, sgi_report_real(e->uncut - e->cut[kind * e->L + l]));
  return json_pack("{so so so}", "rate", sgi_report_reals(e->cut + kind * e->L, e->L), "error",
                   sgi_report_reals(e->cut_error + kind * e->L, e->L), "drop", drop);
}

static json_t *enrich_json(const sgi_enrich *e) {
  json_t *places = json_array();
  for (size_t i = 0; i < SGI_ENRICH_PLACES; i++) {
    size_t at = i * (e->L + 1);
    json_array_append_new(places, json_pack("{ss so so so so}", "place", sgi_enrich_names[i], "rate",
                                            sgi_report_reals(e->rate + at, e->L + 1), "error",
                                            sgi_report_reals(e->rate_error + at, e->L + 1), "other",
                                            sgi_report_reals(e->other + at, e->L + 1), "other_error",
                                            sgi_report_reals(e->other_error + at, e->L + 1)));
  }
  return json_pack("{sI sI sI so so so so}", "prompts", (json_int_t)e->prompts, "window", (json_int_t)e->window,
                   "level", (json_int_t)e->level, "places", places, "uncut", sgi_report_real(e->uncut), "attention",
                   cut_json(e, 0), "feedforward", cut_json(e, 1));
}

static json_t *kind_json(const sgi_extract *x, size_t kind) {
  size_t at = kind * x->L;
  return json_pack("{so so so so so}", "rate", sgi_report_reals(x->rate + at, x->L), "rank",
                   sgi_report_reals(x->rank + at, x->L), "control", sgi_report_reals(x->control + at, x->L), "any",
                   sgi_report_real(x->any[kind]), "layers", sgi_report_real(x->layers[kind]));
}

static json_t *extract_json(const sgi_extract *x) {
  json_t *blocked = json_object(), *patched = json_object();
  for (size_t s = 0; s < SGI_EXTRACT_SETS; s++)
    json_object_set_new(blocked, sgi_extract_names[s], sgi_report_reals(x->blocked + s * x->L, x->L));
  for (size_t s = 0; s < SGI_EXTRACT_PATCHED; s++) {
    json_t *streams = json_array();
    for (size_t e = 0; e < x->L; e++)
      json_array_append_new(streams, sgi_report_reals(x->patched + (s * x->L + e) * x->L, x->L));
    json_object_set_new(patched, sgi_extract_names[s], streams);
  }
  return json_pack("{sI so so so so so}", "prompts", (json_int_t)x->prompts, "attention",
                   kind_json(x, SGI_EXTRACT_ATTENTION), "feedforward", kind_json(x, SGI_EXTRACT_FEEDFORWARD),
                   "attention_first", sgi_report_real(x->attention_first), "blocked", blocked, "patched", patched);
}

/* The end of a report: the document of its result (NULL after a failure) with the facts in it. */
static sg_status finish(const sgi_recall_facts *f, sgi_subjects *s, sg_status st, json_t *result, json_t **out,
                        sg_error *err) {
  *out = result;
  if (result) {
    json_object_set_new(result, "facts", facts_json(s));
    json_object_set_new(result, "seed", json_integer((json_int_t)f->seed));
  }
  sgi_subjects_deinit(s);
  return st ? st : sgi_report_whole(out, "what was asked of facts", err);
}

const char *sgi_knockout_set(size_t i) { return i < SGI_KNOCK_SETS ? sgi_knock_names[i] : NULL; }

sg_status sgi_knockout_report(const sgi_recall_facts *f, size_t window, size_t draws, json_t **out, sg_error *err) {
  const sgi_knock_request r = {
      .window = window, .draws = draws, .seed = f->seed, .progress = f->progress, .user = f->user};
  sgi_subjects s;
  sgi_knockout *k = NULL;
  sg_status st = ask(f, &s, err);
  if (!st) st = sgi_knockout_run(f->p->model, &s, &r, &k, err);
  st = finish(f, &s, st, st ? NULL : knockout_json(k), out, err);
  sgi_knockout_free(k);
  return st;
}

static const int32_t *document(const void *source, size_t i, size_t *n) { return sgi_corpus_document(source, i, n); }

static sg_status read_documents(const sgi_recall_facts *f, const sgi_enrich_lists *lists, sgi_subjects *s,
                                const bool *stop, sgi_subject_named *named, sg_error *err) {
  const sgi_subject_text text = {.path = lists->path,
                                 .documents = sgi_corpus_documents(lists->documents),
                                 .document = document,
                                 .source = lists->documents,
                                 .go_on = lists->go_on,
                                 .user = f->user};
  return sgi_subjects_read_text(s, f->p->model, f->p->tokenizer, stop, &text, named, err);
}

static void add_attributes(json_t *o, const sgi_enrich_lists *lists, const sgi_subject_named *named) {
  json_object_set_new(o, "attributes", json_string(lists->documents ? "documents" : "facts"));
  if (lists->documents)
    json_object_set_new(o, "documents",
                        json_pack("{sI sI sI so}", "read", (json_int_t)sgi_corpus_documents(lists->documents), "naming",
                                  (json_int_t)named->documents, "subjects", (json_int_t)named->subjects, "attributes",
                                  sgi_report_real(named->tokens)));
}

sg_status sgi_enrich_report(const sgi_recall_facts *f, const sgi_enrich_lists *lists, json_t **out, sg_error *err) {
  size_t L = sg_model_config(f->p->model)->num_layers;
  sgi_subjects s;
  sgi_enrich *e = NULL;
  sgi_subject_named named = {0};
  *out = NULL;
  if (lists->read >= 0 && (size_t)lists->read >= L)
    return sgi_fail(err, SG_ERR_ARG, "--at %td: the model has layers 0 to %zu", lists->read, L - 1);
  sg_status st = ask(f, &s, err);
  bool *stop = st ? NULL : sgi_subjects_stop(f->p->model, f->p->tokenizer);
  const sgi_enrich_request r = {.stop = stop,
                                .top = lists->top,
                                .raw = lists->raw,
                                .window = lists->window,
                                .level = (size_t)(lists->read + 1),
                                .seed = f->seed,
                                .progress = f->progress,
                                .user = f->user};
  if (!st && !stop) st = sgi_fail(err, SG_ERR_MEMORY, "out of memory for a list of stop words");
  if (!st && lists->documents) st = read_documents(f, lists, &s, stop, &named, err);
  if (!st) st = sgi_enrich_run(f->p->model, &s, &r, &e, err);
  json_t *answer = st ? NULL : enrich_json(e);
  if (answer) add_attributes(answer, lists, &named);
  st = finish(f, &s, st, answer, out, err);
  sgi_free(stop);
  sgi_enrich_free(e);
  return st;
}

sg_status sgi_extract_report(const sgi_recall_facts *f, bool raw, json_t **out, sg_error *err) {
  const sgi_extract_request r = {.raw = raw, .seed = f->seed, .progress = f->progress, .user = f->user};
  sgi_subjects s;
  sgi_extract *x = NULL;
  sg_status st = ask(f, &s, err);
  if (!st) st = sgi_extract_run(f->p->model, &s, &r, &x, err);
  st = finish(f, &s, st, st ? NULL : extract_json(x), out, err);
  sgi_extract_free(x);
  return st;
}

/* ---- one prompt ------------------------------------------------------------------------------ */

typedef struct recall {
  const sgi_prompt *p;
  const sgi_recall_request *r;
  sgi_trials *trials;
  sgi_subject subject; /* tokens are the prompt's */
  double *probability; /* (SETS,L) */
  int32_t *rank;       /* (KINDS,L) */
  float *scores;       /* (KINDS,L,V) */
  size_t L, V;
} recall;

static sg_status recall_open(recall *x, sg_error *err) {
  const sg_model *m = x->p->model;
  const sgi_recall_request *r = x->r;
  size_t N = r->position;
  if (N >= SGI_RECALL_POSITIONS || N >= x->p->count)
    return sgi_fail(err, SG_ERR_ARG, "position %zu: prompts are read here up to position %d", N,
                    SGI_RECALL_POSITIONS - 1);
  if (!r->first || r->first >= r->end || r->end > N)
    return sgi_fail(err, SG_ERR_ARG,
                    "the subject's positions %zu to %zu: expected some between the first token and position %zu",
                    r->first, r->end, N);
  x->L = sg_model_config(m)->num_layers;
  x->V = sg_model_config(m)->vocab_size;
  if (r->window > x->L)
    return sgi_fail(err, SG_ERR_ARG, "a window of %zu layers is wider than the model, which has %zu", r->window, x->L);
  x->subject = (sgi_subject){.tokens = x->p->tokens, .count = N + 1, .first = r->first, .end = r->end};
  x->subject.relation = sgi_alloc(N + 1);
  x->probability = sgi_alloc(SGI_KNOCK_SETS * x->L * sizeof *x->probability);
  x->rank = sgi_alloc(SGI_EXTRACT_KINDS * x->L * sizeof *x->rank);
  x->scores = sgi_alloc(SGI_EXTRACT_KINDS * x->L * x->V * sizeof *x->scores);
  if (!x->subject.relation || !x->probability || !x->rank || !x->scores)
    return sgi_fail_memory(err, SGI_EXTRACT_KINDS * x->L * x->V * sizeof *x->scores, "scores of tokens");
  for (size_t t = 1; t < N; t++) x->subject.relation[t] = t < r->first || t >= r->end;
  return sgi_trials_create(m, N + 1, &x->trials, err);
}

static void recall_close(recall *x) {
  sgi_trials_free(x->trials);
  sgi_free(x->subject.relation);
  sgi_free(x->probability);
  sgi_free(x->rank);
  sgi_free(x->scores);
}

static sg_status go_on(const recall *x, size_t done, sg_error *err) {
  return !x->r->progress || x->r->progress(x->r->user, done, 3) ? SG_OK : sgi_fail(err, SG_ERR_CANCELLED, "stopped");
}

static json_t *places_json(const recall *x, size_t kind) {
  json_t *rank = json_array(), *best = json_array();
  for (size_t l = 0; l < x->L; l++) {
    const float *scores = x->scores + (kind * x->L + l) * x->V;
    size_t first = 0;
    for (size_t v = 1; v < x->V; v++)
      if (scores[v] > scores[first]) first = v;
    int32_t at = x->rank[kind * x->L + l]; /* -1: the layer has none */
    json_array_append_new(rank, at < 0 ? json_null() : json_integer(at));
    json_array_append_new(best, at < 0 ? json_null() : sgi_token_json(x->p, (int32_t)first));
  }
  return json_pack("{so so}", "rank", rank, "best", best);
}

static json_t *recalled_json(const recall *x) {
  json_t *sets = json_array();
  double p0 = x->subject.probability;
  for (size_t s = 0; s < SGI_KNOCK_SETS; s++) {
    const double *p = x->probability + s * x->L;
    json_t *change = json_array();
    for (size_t l = 0; l < x->L && !isnan(p[0]); l++)
      json_array_append_new(change, sgi_report_real(100 * (p[l] - p0) / p0));
    json_array_append_new(sets, json_pack("{ss so}", "set", sgi_knock_names[s], "change", change));
  }
  return json_pack("{so sI s[II] so so sI so so so}", "tokens", sgi_prompt_json(x->p), "position",
                   (json_int_t)x->r->position, "subject", (json_int_t)x->r->first, (json_int_t)x->r->end, "answer",
                   sgi_token_json(x->p, x->subject.answer), "probability", sgi_report_real(p0), "window",
                   (json_int_t)(x->r->window ? x->r->window : sgi_knock_window(x->L)), "sets", sets, "attention",
                   places_json(x, SGI_EXTRACT_ATTENTION), "feedforward", places_json(x, SGI_EXTRACT_FEEDFORWARD));
}

sg_status sgi_recall_json(const sgi_prompt *p, const sgi_recall_request *r, json_t **out, sg_error *err) {
  recall x = {.p = p, .r = r};
  const sgi_knock_request knock = {.window = r->window, .draws = r->draws};
  const sgi_extract_request extract = {0};
  *out = NULL;
  sg_status st = recall_open(&x, err);
  sgi_extracted found = {.rank = x.rank, .scores = x.scores};
  if (!st) st = go_on(&x, 0, err);
  if (!st) st = sgi_subject_ask(x.trials, p->model, &x.subject, err);
  if (!st) st = go_on(&x, 1, err);
  if (!st) st = sgi_knock_prompt(x.trials, p->model, &x.subject, &knock, 0, x.probability, NULL, err);
  if (!st) st = go_on(&x, 2, err);
  if (!st) st = sgi_extract_prompt(x.trials, p->model, &x.subject, &extract, -1, &found, err);
  if (!st && !(*out = recalled_json(&x))) st = sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  recall_close(&x);
  return st;
}
