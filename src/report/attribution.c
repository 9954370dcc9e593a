#include "attribution.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *sgi_term_kind(const sg_term *t) {
  static const char *const names[] = {"embedding", "head", "neuron", "bias"};
  return names[t->kind];
}

static json_t *term_json(const sgi_prompt *p, const sg_term *t) {
  json_t *o = json_pack("{ss}", "kind", sgi_term_kind(t));
  if (t->layer >= 0) json_object_set_new(o, "layer", json_integer(t->layer));
  if (t->kind == SG_TERM_HEAD) {
    json_object_set_new(o, "head", json_integer(t->head));
    if (t->source >= 0) json_object_set_new(o, "source", json_integer(t->source));
  }
  if (t->kind == SG_TERM_NEURON) {
    json_object_set_new(o, "channel", json_integer(t->channel));
    json_object_set_new(o, "index", json_integer(t->index));
  }
  json_object_set_new(o, "position", json_integer(t->position));
  json_object_set_new(o, "token",
                      json_integer(p->tokens[t->kind == SG_TERM_HEAD && t->source >= 0 ? t->source : t->position]));
  if (t->kind == SG_TERM_NEURON || (t->kind == SG_TERM_HEAD && t->value != 0))
    json_object_set_new(o, "value", sgi_report_real(t->value));
  json_object_set_new(o, "effect", sgi_report_real(t->effect));
  return o;
}

static json_t *terms_json(const sgi_prompt *p, const sg_terms *l, size_t limit, const sg_true_effect *truth,
                          size_t n_truth) {
  json_t *a = json_array();
  for (size_t i = 0; i < l->count && i < limit; i++) {
    json_t *o = term_json(p, &l->terms[i]);
    if (i < n_truth) {
      json_object_set_new(o, "true_effect", sgi_report_real(truth[i].effect));
      json_object_set_new(o, "gates_held", sgi_report_real(truth[i].gates_held));
      json_object_set_new(o, "rerouting", sgi_report_real(truth[i].rerouting));
      json_object_set_new(o, "gates_changed", json_integer((json_int_t)truth[i].gates_changed));
    }
    json_array_append_new(a, o);
  }
  return a;
}

json_t *sgi_attribution_json(const sgi_prompt *p, const sg_attribution *a, size_t top, const sg_true_effect *truth,
                             size_t n_truth) {
  json_t *total =
      json_pack("{so so so so}", "sum", sgi_report_real(a->inputs.sum), "residue", sgi_report_real(a->inputs.residue),
                "sum_abs", sgi_report_real(a->inputs.sum_abs), "terms", terms_json(p, &a->inputs, SIZE_MAX, NULL, 0));
  return json_pack("{so sI so so so so so so so so so so}", "tokens", sgi_prompt_json(p), "position",
                   (json_int_t)a->position, "target", sgi_token_json(p, a->target), "against",
                   sgi_token_json(p, a->against), "target_logit", sgi_report_real(a->target_logit), "sum",
                   sgi_report_real(a->direct.sum), "residue", sgi_report_real(a->direct.residue), "sum_abs",
                   sgi_report_real(a->direct.sum_abs), "terms", terms_json(p, &a->direct, SIZE_MAX, NULL, 0), "total",
                   total, "neurons", terms_json(p, &a->neurons, top, truth, n_truth), "heads",
                   terms_json(p, &a->heads, top, NULL, 0));
}

/* One token of a phrase: its logit, how likely it is after those before it, and how its sums
 * stand. */
static json_t *part_json(const sgi_prompt *p, const sg_phrase_part *x) {
  const sg_attribution *a = x->own;
  return json_pack("{so sb sI so so so so so so so so}", "token", sgi_token_json(p, x->token), "against", x->against,
                   "position", (json_int_t)x->position, "logit", sgi_report_real(a->target_logit), "log_probability",
                   sgi_report_real(x->log_probability), "sum", sgi_report_real(a->direct.sum), "residue",
                   sgi_report_real(a->direct.residue), "sum_abs", sgi_report_real(a->direct.sum_abs), "total_sum",
                   sgi_report_real(a->inputs.sum), "total_residue", sgi_report_real(a->inputs.residue), "total_sum_abs",
                   sgi_report_real(a->inputs.sum_abs));
}

static json_t *parts_word(const sgi_prompt *p, const sg_phrase *phrase, bool against) {
  int32_t ids[SG_PHRASE_MOST];
  size_t n = 0;
  for (size_t i = 0; i < phrase->n_parts; i++)
    if (phrase->parts[i].against == against) ids[n++] = phrase->parts[i].token;
  if (!n) return json_null();
  return sgi_word_json(p, ids, n, against ? phrase->against_log_probability : phrase->log_probability);
}

json_t *sgi_phrase_json(const sgi_prompt *p, const sg_phrase *phrase, size_t top, const sg_true_effect *truth,
                        size_t n_truth) {
  sgi_prompt whole = *p;
  whole.tokens = phrase->tokens;
  whole.count = phrase->count;
  json_t *o = sgi_attribution_json(&whole, &phrase->sum, top, truth, n_truth), *parts = json_array();
  for (size_t i = 0; i < phrase->n_parts; i++) json_array_append_new(parts, part_json(p, &phrase->parts[i]));
  json_object_set_new(o, "phrase",
                      json_pack("{so so so}", "target", parts_word(p, phrase, false), "against",
                                parts_word(p, phrase, true), "parts", parts));
  return o;
}

json_t *sgi_effects_json(const sgi_prompt *p, const sg_exact_effect *at, size_t n) {
  json_t *terms = json_array();
  for (size_t i = 0; i < n; i++) {
    json_t *o = term_json(p, &at[i].term);
    json_object_set_new(o, "true_effect", sgi_report_real(at[i].effect));
    json_object_set_new(o, "missed", sgi_report_real(at[i].effect - at[i].term.effect));
    json_array_append_new(terms, o);
  }
  return terms;
}

static json_t *exact_list_json(const sgi_prompt *p, const sg_exact_list *l, size_t top) {
  return json_pack("{sI so so so so}", "count", (json_int_t)l->count, "sum_abs", sgi_report_real(l->sum_abs),
                   "rerouting", sgi_report_real(l->rerouting), "rank", sgi_report_real(l->rank), "terms",
                   sgi_effects_json(p, l->at, l->count < top ? l->count : top));
}

/* ---- true effects in lists that are there ---------------------------------------------------- */

static int by_place(const void *a, const void *b) {
  const sg_term *x = &((const sg_exact_effect *)a)->term, *y = &((const sg_exact_effect *)b)->term;
  const int32_t kx[] = {x->layer, x->position, x->channel, x->index};
  const int32_t ky[] = {y->layer, y->position, y->channel, y->index};
  for (size_t i = 0; i < SGI_COUNT(kx); i++)
    if (kx[i] != ky[i]) return kx[i] < ky[i] ? -1 : 1;
  return 0;
}

static int32_t field(const json_t *o, const char *key) { return (int32_t)json_integer_value(json_object_get(o, key)); }

static void add_to(json_t *terms, bool total, const sg_exact_effect *sorted, size_t n) {
  size_t i;
  json_t *o;
  json_array_foreach(terms, i, o) {
    const char *kind = json_string_value(json_object_get(o, "kind"));
    if (!kind || strcmp(kind, "neuron")) continue;
    sg_exact_effect wanted = {.term = {.layer = field(o, "layer"),
                                       .position = field(o, "position"),
                                       .channel = field(o, "channel"),
                                       .index = field(o, "index")}};
    const sg_exact_effect *e = bsearch(&wanted, sorted, n, sizeof wanted, by_place);
    if (!e) continue;
    if (!json_object_get(o, "true_effect")) json_object_set_new(o, "true_effect", sgi_report_real(e->effect));
    if (total) json_object_set_new(o, "missed", sgi_report_real(e->effect - e->term.effect));
  }
}

bool sgi_exact_add(json_t *a, const sgi_prompt *p, const sg_exact *x, size_t top) {
  size_t n = x->neurons.count;
  sg_exact_effect *sorted = sgi_alloc((n + 1) * sizeof *sorted);
  if (!a || !sorted) {
    sgi_free(sorted);
    return false;
  }
  memcpy(sorted, x->neurons.at, n * sizeof *sorted);
  qsort(sorted, n, sizeof *sorted, by_place);
  add_to(json_object_get(a, "terms"), false, sorted, n);
  add_to(json_object_get(a, "neurons"), true, sorted, n);
  sgi_free(sorted);
  json_t *o = json_pack("{so so sI}", "neurons", exact_list_json(p, &x->neurons, top), "heads",
                        exact_list_json(p, &x->heads, top), "left_out", (json_int_t)x->left_out);
  return !json_object_set_new(a, "true", o);
}

static json_t *minimal_set_json(const sgi_prompt *p, const sg_minimal_set *s) {
  if (!s->found) return json_null();
  return json_pack("{sI sI so so}", "count", (json_int_t)s->count, "first", (json_int_t)s->first, "margin",
                   sgi_report_real(s->margin), "terms", sgi_effects_json(p, s->at, s->count));
}

json_t *sgi_minimal_json(const sgi_prompt *p, const sg_minimal *m, bool means) {
  return json_pack("{so sI so so ss sI so so sI so so}", "tokens", sgi_prompt_json(p), "position",
                   (json_int_t)m->position, "target", sgi_token_json(p, m->target), "against",
                   sgi_token_json(p, m->against), "others", means ? "mean" : "zero", "population",
                   (json_int_t)m->population, "margin", sgi_report_real(m->margin), "silent",
                   sgi_report_real(m->silent), "runs", (json_int_t)m->runs, "keep", minimal_set_json(p, &m->keep),
                   "lose", minimal_set_json(p, &m->lose));
}

sg_status sgi_linear_change(const sgi_prompt *p, size_t position, int32_t target, const sg_edit *edits, size_t n_edits,
                            double *out, sg_error *err) {
  sg_attribute_request r = {
      .tokens = p->tokens, .count = p->count, .position = (ptrdiff_t)position, .target = target, .against = -1};
  sg_joint *j = NULL;
  sg_error none = {0};
  *out = NAN;
  sg_status st = sg_joint_create(p->model, &r, edits, n_edits, &j, &none);
  if (st == SG_ERR_ARG || st == SG_ERR_UNSUPPORTED || st == SG_ERR_MEMORY) return SG_OK;
  if (st)
    *err = none;
  else
    st = sg_joint_change(j, NULL, out, err);
  sg_joint_free(j);
  return st;
}

sg_status sgi_linear_changes(const sgi_prompt *p, size_t position, const sgi_word *w, const sg_edit *edits,
                             size_t n_edits, double *out, sg_error *err) {
  sg_status st = SG_OK;
  double sum = 0;
  for (size_t i = 0; i < w->n && !st; i++) {
    st = sgi_linear_change(p, position + i, w->ids[i], edits, n_edits, out, err);
    sum += *out;
  }
  *out = sum;
  return st;
}
