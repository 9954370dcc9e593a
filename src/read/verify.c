/* True effects beside linear ones: the prompt once more without a neuron, and once more with all
 * gates held. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ffn/beside.h"
#include "read/run.h"
#include "read/verify.h"

enum { MOST_HELD = 4 };

typedef struct verifier {
  const sg_model *model;
  const sgi_reading *reading;
  char pattern[MOST_HELD][SG_SITE_NAME]; /* of the sites that choose units: scores and choices */
  const char *hold[MOST_HELD];
  size_t n_hold;
  sg_run *base;
  float *logits; /* (V) */
  double logit;
} verifier;

static sg_status run(const verifier *v, const sg_edit *edits, size_t n_edits, bool record, sg_run **out,
                     sg_error *err) {
  sg_run_request r = {.tokens = v->reading->tokens,
                      .count = v->reading->count,
                      .record = v->hold,
                      .n_record = record ? v->n_hold : 0,
                      .edits = edits,
                      .n_edits = n_edits,
                      .max_bytes = v->reading->max_bytes};
  return sg_run_create(v->model, &r, out, err);
}

/* What the reads add up to in a run. */
static sg_status logit_of(const verifier *v, const sg_run *r, double *out, sg_error *err) {
  sg_status st = SG_OK;
  *out = 0;
  for (size_t i = 0; i < v->reading->n_reads && !st; i++) {
    const sgi_read *read = &v->reading->reads[i];
    st = sg_run_logits(r, (ptrdiff_t)read->position, v->logits, err);
    if (!st) *out += read->sign * (double)v->logits[read->token];
  }
  return st;
}

static bool leaves(const sg_model *m, sgi_site_id id) {
  for (size_t l = 0; l < m->config.num_layers; l++)
    if (sgi_feedforward_of(m, l) && sgi_ffn_leaves(sgi_feedforward_of(m, l)->ffn, id)) return true;
  return false;
}

/* Which sites of the model choose units. */
static void find_router(verifier *v) {
  for (int i = 1; i < SGI_SITE_COUNT && v->n_hold < MOST_HELD; i++) {
    const sgi_site_row *row = sgi_site_row_of((sgi_site_id)i);
    if (row->role != SGI_SITE_SCORES && row->role != SGI_SITE_CHOICE) continue;
    if (!leaves(v->model, row->id)) continue;
    v->hold[v->n_hold] = v->pattern[v->n_hold];
    snprintf(v->pattern[v->n_hold++], SG_SITE_NAME, "layers.*.%s", row->name);
  }
}

static sg_edit without(const verifier *v, const sg_term *t) {
  const sgi_sublayer *s = sgi_feedforward_of(v->model, (size_t)t->layer);
  sgi_beside part = sgi_beside_of_channel(s->config, t->channel);
  bool own = part == SGI_BESIDE_PARTS, chosen = own && sgi_ffn_site(s->ffn, SGI_SITE_CHOICE) != SGI_SITE_NONE;
  sg_edit e = {.op = SG_EDIT_SET, .n_axes = chosen ? 3 : 2};
  sgi_site_full_name(e.site, t->layer, own ? sgi_ffn_site(s->ffn, SGI_SITE_VALUES) : sgi_beside_site(part));
  e.axes[0] = (sg_edit_axis){"pos", t->position, t->position};
  e.axes[1] = (sg_edit_axis){"neuron", t->index, t->index};
  if (chosen) e.axes[2] = (sg_edit_axis){"channel", t->channel, t->channel};
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
  sg_edit edits[1 + MOST_HELD] = {without(v, t)};
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

sg_status sgi_verify(const sg_model *m, const sgi_reading *reading, const sg_term *terms, size_t n, sg_true_effect *out,
                     sg_error *err) {
  verifier v = {.model = m, .reading = reading, .logits = sgi_alloc(m->config.vocab_size * sizeof *v.logits)};
  if (!v.logits) return sgi_fail_memory(err, m->config.vocab_size * sizeof *v.logits, "logits");
  find_router(&v);
  sg_status st = run(&v, NULL, 0, true, &v.base, err);
  if (!st) st = logit_of(&v, v.base, &v.logit, err);
  for (size_t i = 0; i < n && !st; i++)
    st = terms[i].kind == SG_TERM_NEURON
             ? one(&v, &terms[i], &out[i], err)
             : sgi_fail(err, SG_ERR_ARG, "term %zu is no neuron: only neurons are run again", i);
  sg_run_free(v.base);
  sgi_free(v.logits);
  return st;
}

sg_status sg_verify_terms(const sg_model *m, const sg_attribute_request *request, const sg_attribution *a,
                          const sg_term *terms, size_t n, sg_true_effect *out, sg_error *err) {
  sgi_read reads[] = {{a->position, a->target, 1}, {a->position, a->against, -1}};
  sgi_reading r = {.tokens = request->tokens,
                   .count = request->count,
                   .max_bytes = request->max_bytes,
                   .reads = reads,
                   .n_reads = a->against >= 0 ? 2 : 1};
  return sgi_verify(m, &r, terms, n, out, err);
}
