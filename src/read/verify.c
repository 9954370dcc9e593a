/* True effects beside linear ones: the prompt once more without a neuron, and once more with all gates held. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "read/run.h"

/* Sites of a router: what is chosen and with which score. A model has the first two, the last two, or none. */
static const char *const router_sites[] = {"layers.*.router.scores", "layers.*.router.indices", "layers.*.gate.logits",
                                           "layers.*.gate.indices"};

typedef struct verifier {
  const sg_model *model;
  const sg_attribute_request *request;
  const sg_attribution *a;
  const char *hold[2]; /* patterns of the model's router sites */
  size_t n_hold;
  sg_run *base;
  float *logits; /* (V) */
  double logit;
} verifier;

static sg_status run(const verifier *v, const sg_edit *edits, size_t n_edits, bool record, sg_run **out,
                     sg_error *err) {
  sg_run_request r = {.tokens = v->request->tokens,
                      .count = v->request->count,
                      .record = v->hold,
                      .n_record = record ? v->n_hold : 0,
                      .edits = edits,
                      .n_edits = n_edits,
                      .max_bytes = v->request->max_bytes};
  return sg_run_create(v->model, &r, out, err);
}

static sg_status logit_of(const verifier *v, const sg_run *r, double *out, sg_error *err) {
  sg_status st = sg_run_logits(r, (ptrdiff_t)v->a->position, v->logits, err);
  if (!st) *out = (double)v->logits[v->a->target] - (v->a->against >= 0 ? (double)v->logits[v->a->against] : 0);
  return st;
}

/* Which router sites the model has. */
static sg_status find_router(verifier *v, sg_error *err) {
  const char *all = "layers.0.*";
  sg_run_request one = {.tokens = &v->model->config.bos_id, .count = 1, .record = &all, .n_record = 1};
  sg_run *r = NULL;
  sg_status st = sg_run_create(v->model, &one, &r, err);
  for (size_t i = 0; i < SGI_COUNT(router_sites) && !st; i++) {
    bool has = false;
    for (size_t k = 0; k < sg_run_site_count(r); k++) has = has || sgi_match(router_sites[i], sg_run_site(r, k).name);
    if (has && v->n_hold < SGI_COUNT(v->hold)) v->hold[v->n_hold++] = router_sites[i];
  }
  sg_run_free(r);
  return st;
}

static sg_edit without(const verifier *v, const sg_term *t) {
  sg_edit e = {.op = SG_EDIT_SET, .n_axes = v->n_hold ? 3 : 2};
  snprintf(e.site, sizeof e.site, "layers.%d.neurons", t->layer);
  e.axes[0] = (sg_edit_axis){"pos", t->position, t->position};
  e.axes[1] = (sg_edit_axis){"neuron", t->index, t->index};
  if (v->n_hold) e.axes[2] = (sg_edit_axis){"channel", t->channel, t->channel};
  return e;
}

/* Units of row `row` in `index` that the base run did not choose there. */
static size_t new_units(const int32_t *index, const int32_t *base, size_t k) {
  size_t n = 0;
  for (size_t i = 0; i < k; i++) {
    bool found = false;
    for (size_t j = 0; j < k; j++) found = found || base[j] == index[i];
    n += !found;
  }
  return n;
}

static size_t changed_gates(const verifier *v, const sg_run *r) {
  size_t n = 0;
  for (size_t i = 0; i < sg_run_site_count(r); i++) {
    sg_site s = sg_run_site(r, i), b;
    if (!s.index || !sg_run_find(v->base, s.name, &b)) continue;
    size_t k = s.dims[s.n_dims - 1];
    for (size_t at = 0; at < s.count; at += k) n += new_units(s.index + at, b.index + at, k);
  }
  return n;
}

static sg_status one(const verifier *v, const sg_term *t, sg_true_effect *out, sg_error *err) {
  sg_edit edits[3] = {without(v, t)};
  sg_run *free_run = NULL, *held = NULL;
  double logit = 0;
  sg_status st = run(v, edits, 1, true, &free_run, err);
  if (!st) st = logit_of(v, free_run, &logit, err);
  if (!st) {
    *out =
        (sg_true_effect){.linear = t->effect, .effect = v->logit - logit, .gates_changed = changed_gates(v, free_run)};
    out->gates_held = out->effect;
  }
  for (size_t i = 0; i < v->n_hold; i++) {
    edits[1 + i] = (sg_edit){.op = SG_EDIT_TAKE, .from = v->base};
    snprintf(edits[1 + i].site, sizeof edits[1 + i].site, "%s", v->hold[i]);
  }
  if (!st && v->n_hold) {
    st = run(v, edits, 1 + v->n_hold, false, &held, err);
    if (!st) st = logit_of(v, held, &logit, err);
    if (!st) out->gates_held = v->logit - logit;
  }
  if (!st) out->rerouting = out->effect - out->gates_held;
  sg_run_free(free_run);
  sg_run_free(held);
  return st;
}

sg_status sg_verify_terms(const sg_model *m, const sg_attribute_request *request, const sg_attribution *a,
                          const sg_term *terms, size_t n, sg_true_effect *out, sg_error *err) {
  verifier v = {.model = m, .request = request, .a = a, .logits = sgi_alloc(m->config.vocab_size * sizeof *v.logits)};
  if (!v.logits) return sgi_fail_memory(err, m->config.vocab_size * sizeof *v.logits, "logits");
  sg_status st = find_router(&v, err);
  if (!st) st = run(&v, NULL, 0, true, &v.base, err);
  if (!st) st = logit_of(&v, v.base, &v.logit, err);
  for (size_t i = 0; i < n && !st; i++)
    st = terms[i].kind == SG_TERM_NEURON
             ? one(&v, &terms[i], &out[i], err)
             : sgi_fail(err, SG_ERR_ARG, "term %zu is no neuron: only neurons are run again", i);
  sg_run_free(v.base);
  sgi_free(v.logits);
  return st;
}
