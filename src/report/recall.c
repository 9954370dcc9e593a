#include "recall.h"

#include <math.h>

static json_t *numbers(const double *x, size_t n) {
  json_t *a = json_array();
  for (size_t i = 0; i < n; i++) json_array_append_new(a, sgi_report_real(x[i]));
  return a;
}

json_t *sgi_subjects_json(const sgi_subjects *s) {
  return json_pack("{sI sI so so sI}", "prompts", (json_int_t)s->n, "known", (json_int_t)s->n_known, "accuracy",
                   sgi_report_real(s->n ? (double)s->n_known / (double)s->n : 0), "chance", sgi_report_real(s->chance),
                   "skipped", (json_int_t)s->skipped);
}

json_t *sgi_knockout_json(const sgi_knockout *k) {
  json_t *sets = json_array();
  for (size_t i = 0; i < SGI_KNOCK_SETS; i++)
    json_array_append_new(
        sets, json_pack("{ss sI so so so}", "set", sgi_knock_names[i], "prompts", (json_int_t)k->count[i], "change",
                        numbers(k->change + i * k->L, k->L), "error", numbers(k->error + i * k->L, k->L), "probability",
                        numbers(k->probability + i * k->L, k->L)));
  return json_pack("{sI sI sI so so}", "layers", (json_int_t)k->L, "window", (json_int_t)k->window, "prompts",
                   (json_int_t)k->prompts, "probability", sgi_report_real(k->clean), "sets", sets);
}

static json_t *cut_json(const sgi_enrich *e, size_t kind) {
  json_t *drop = json_array();
  for (size_t l = 0; l < e->L; l++) json_array_append_new(drop, sgi_report_real(e->uncut - e->cut[kind * e->L + l]));
  return json_pack("{so so so}", "rate", numbers(e->cut + kind * e->L, e->L), "error",
                   numbers(e->cut_error + kind * e->L, e->L), "drop", drop);
}

json_t *sgi_enrich_json(const sgi_enrich *e) {
  json_t *places = json_array();
  for (size_t i = 0; i < SGI_ENRICH_PLACES; i++) {
    size_t at = i * (e->L + 1);
    json_array_append_new(
        places, json_pack("{ss so so so so}", "place", sgi_enrich_names[i], "rate", numbers(e->rate + at, e->L + 1),
                          "error", numbers(e->rate_error + at, e->L + 1), "other", numbers(e->other + at, e->L + 1),
                          "other_error", numbers(e->other_error + at, e->L + 1)));
  }
  return json_pack("{sI sI sI so so so so}", "prompts", (json_int_t)e->prompts, "window", (json_int_t)e->window,
                   "level", (json_int_t)e->level, "places", places, "uncut", sgi_report_real(e->uncut), "attention",
                   cut_json(e, 0), "feedforward", cut_json(e, 1));
}

static json_t *kind_json(const sgi_extract *x, size_t kind) {
  size_t at = kind * x->L;
  return json_pack("{so so so so so}", "rate", numbers(x->rate + at, x->L), "rank", numbers(x->rank + at, x->L),
                   "control", numbers(x->control + at, x->L), "any", sgi_report_real(x->any[kind]), "layers",
                   sgi_report_real(x->layers[kind]));
}

json_t *sgi_extract_json(const sgi_extract *x) {
  json_t *blocked = json_object(), *patched = json_object();
  for (size_t s = 0; s < SGI_EXTRACT_SETS; s++)
    json_object_set_new(blocked, sgi_extract_names[s], numbers(x->blocked + s * x->L, x->L));
  for (size_t s = 0; s < SGI_EXTRACT_PATCHED; s++) {
    json_t *streams = json_array();
    for (size_t e = 0; e < x->L; e++) json_array_append_new(streams, numbers(x->patched + (s * x->L + e) * x->L, x->L));
    json_object_set_new(patched, sgi_extract_names[s], streams);
  }
  return json_pack("{sI so so so so so}", "prompts", (json_int_t)x->prompts, "attention",
                   kind_json(x, SGI_EXTRACT_ATTENTION), "feedforward", kind_json(x, SGI_EXTRACT_FEEDFORWARD),
                   "attention_first", sgi_report_real(x->attention_first), "blocked", blocked, "patched", patched);
}
