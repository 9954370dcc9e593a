#include "greater_than.h"

#include <string.h>

#include "compare/greater_than.h"
#include "text/greater_than.h"

enum { YEARS = SGI_SPAN_LAST_YEAR - SGI_SPAN_FIRST_YEAR + 1 };

typedef struct asking {
  const sgi_spans_ask *a;
  int32_t *tokens; /* (YEARS,T) */
  int32_t years[YEARS], pairs[SGI_SPAN_PAIRS];
  size_t T;
  char prompt[SGI_SPAN_TEXT];
} asking;

static sg_status encode(const asking *w, const char *text, int32_t **ids, size_t *n, sg_error *err) {
  return sgi_prompt_encode(w->a->p, text, false, ids, n, err);
}

/* The token of each pair of digits behind the first prompt. */
static sg_status find_pairs(asking *w, sg_error *err) {
  int32_t *front = NULL;
  size_t n = 0;
  sg_status st = encode(w, w->prompt, &front, &n, err);
  for (size_t i = 0; i < SGI_SPAN_PAIRS && !st; i++) {
    char text[SGI_SPAN_TEXT + 4];
    int32_t *ids = NULL;
    size_t m = 0;
    snprintf(text, sizeof text, "%s%02zu", w->prompt, i);
    st = encode(w, text, &ids, &m, err);
    bool one = !st && m == n + 1 && !memcmp(ids, front, n * sizeof *ids);
    for (size_t k = 0; k < i && one; k++) one = w->pairs[k] != ids[n];
    if (!st && !one)
      st = sgi_fail(err, SG_ERR_ARG,
                    "this tokenizer does not read \"%02zu\" behind \"%s\" as one token: the test is for models trained "
                    "on 'data greater-than' with its tokenizer.json",
                    i, w->prompt);
    if (!st) w->pairs[i] = ids[n];
    sgi_free(ids);
  }
  sgi_free(front);
  return st;
}

static sg_status make_prompts(asking *w, sg_error *err) {
  const sgi_spans_ask *a = w->a;
  if (!a->p->tokenizer) return sgi_fail(err, SG_ERR_ARG, "the test is in words: the model has no tokenizer.json");
  if (a->template >= SGI_SPAN_TEMPLATES || a->event >= sgi_span_events(a->template))
    return sgi_fail(err, SG_ERR_ARG,
                    "template %zu with event %zu: there are templates 0 to %d, and events 0 to %zu of it", a->template,
                    a->event, SGI_SPAN_TEMPLATES - 1,
                    sgi_span_events(a->template <SGI_SPAN_TEMPLATES ? a->template : 0) - 1);
  if (a->century < SGI_SPAN_FIRST_CENTURY || a->century > SGI_SPAN_LAST_CENTURY)
    return sgi_fail(err, SG_ERR_ARG, "years begin with %d to %d, not %zu", SGI_SPAN_FIRST_CENTURY,
                    SGI_SPAN_LAST_CENTURY, a->century);
  sg_status st = SG_OK;
  for (size_t i = 0; i < YEARS && !st; i++) {
    char text[SGI_SPAN_TEXT];
    int32_t *ids = NULL;
    size_t n = 0;
    w->years[i] = (int32_t)(SGI_SPAN_FIRST_YEAR + i);
    sgi_span_prompt(a->template, a->event, a->century, SGI_SPAN_FIRST_YEAR + i, text);
    if (!i) memcpy(w->prompt, text, sizeof text);
    st = encode(w, text, &ids, &n, err);
    if (!st && !i) {
      w->T = n;
      w->tokens = sgi_alloc(YEARS * n * sizeof *w->tokens);
      if (!w->tokens) st = sgi_fail_memory(err, YEARS * n * sizeof *w->tokens, "prompts");
    }
    if (!st && n != w->T)
      st = sgi_fail(err, SG_ERR_ARG,
                    "\"%s\" has %zu tokens, others %zu: this tokenizer does not keep two digits together", text, n,
                    w->T);
    if (!st) memcpy(w->tokens + i * w->T, ids, n * sizeof *ids);
    sgi_free(ids);
  }
  if (!st && w->T >= sg_model_config(a->p->model)->max_position)
    st = sgi_fail(err, SG_ERR_ARG, "prompts of %zu tokens are longer than the model was made for (%zu)", w->T,
                  sg_model_config(a->p->model)->max_position);
  return st ? st : find_pairs(w, err);
}

static json_t *curve_json(const sgi_span_curve *c) {
  if (!c->steps) return json_null();
  json_t *list = json_array();
  for (size_t i = 0; i < c->steps; i++)
    json_array_append_new(list, json_pack("{sI so}", "k", (json_int_t)c->k[i], "value", sgi_report_real(c->value[i])));
  return json_pack("{sI so so}", "count", (json_int_t)c->count, "plateau",
                   c->reached ? json_integer((json_int_t)c->plateau) : json_null(), "curve", list);
}

static json_t *set_json(const sgi_sparse_set *set, const sgi_spans *s) {
  json_t *layers = json_array();
  const sgi_sparse_form *f = &set->at[0].form;
  for (size_t k = 0; k < s->n; k++)
    json_array_append_new(
        layers, json_pack("{sI so so so so}", "layer", (json_int_t)s->at[k].layer, "l0", sgi_report_real(s->at[k].l0),
                          "replaced", sgi_report_real(s->at[k].replaced), "features", curve_json(&s->at[k].features),
                          "neurons", curve_json(&s->at[k].neurons)));
  return json_pack("{so ss so so so}", "transcoders", sgi_report_text(set->directory, strlen(set->directory)),
                   "activation", sgi_sparse_activations[f->activation], "lambda", sgi_report_real(f->lambda), "top_k",
                   f->activation == SGI_SPARSE_TOPK ? json_integer((json_int_t)f->top_k) : json_null(), "layers",
                   layers);
}

sg_status sgi_spans_json(const sgi_spans_ask *a, json_t **out, sg_error *err) {
  asking w = {.a = a};
  json_t *sets = json_array();
  double model = 0, accuracy = 0;
  *out = NULL;
  sg_status st = make_prompts(&w, err);
  for (size_t k = 0; k < a->n_sets && !st; k++) {
    sgi_spans *s = NULL;
    sgi_span_request r = {.model = a->p->model,
                          .set = a->sets[k],
                          .tokens = w.tokens,
                          .years = w.years,
                          .prompts = YEARS,
                          .T = w.T,
                          .pairs = w.pairs,
                          .max_bytes = a->max_bytes,
                          .progress = a->progress,
                          .user = a->user};
    st = sgi_spans_make(&r, &s, err);
    if (st) break;
    model = s->model;
    accuracy = s->accuracy;
    json_array_append_new(sets, set_json(a->sets[k], s));
    sgi_spans_free(s);
  }
  if (!st) {
    *out = json_pack("{so sI so so sO}", "prompt", sgi_report_text(w.prompt, strlen(w.prompt)), "prompts",
                     (json_int_t)YEARS, "model", sgi_report_real(model), "accuracy", sgi_report_real(accuracy), "sets",
                     sets);
    st = sgi_report_whole(out, "a sweep", err);
  }
  json_decref(sets);
  sgi_free(w.tokens);
  return st;
}
