#include "card_record.h"

#include "model/model.h"
#include "read/kept.h"
#include "read/neuron_record.h"

/* Shares of the neuron's positions of one sign, by |value|, at which excerpts are shown. */
static const double quantiles[] = {1, 0.75, 0.5, 0.25};
enum { AROUND = 5, PER_QUANTILE = 2 };

sg_status sgi_fires_check(const sgi_prompt *p, const sg_recording *rec, const char *name, sg_error *err) {
  const sg_config *c = sg_model_config(p->model);
  const sgi_recording_info *i = sgi_recording_info_of(rec);
  bool same = i->vocab_size == c->vocab_size && i->model_layers == c->num_layers;
  for (size_t s = 0; s < i->n_layers && same; s++) {
    const sgi_sublayer *f = sgi_feedforward_of(p->model, i->layers[s]);
    same = f && (i->slots[s].pool == f->config->num_neurons || sgi_recording_kept(rec, i->layers[s]));
  }
  if (same) return SG_OK;
  return sgi_fail(err, SG_ERR_ARG,
                  "%s holds no neurons of this model: it was recorded from another one, or from one whose units are "
                  "experts",
                  name);
}

sg_status sgi_fires_known(const sg_recording *rec, size_t layer, sg_error *err) {
  size_t slot;
  if (sgi_recording_kept(rec, layer)) return SG_OK;
  if (!sgi_recording_indexed(rec)) return sgi_fail(err, SG_ERR_ARG, "the recording has no index");
  if (!sgi_recording_slot(rec, layer, &slot, NULL)) return SG_OK;
  return sgi_fail(err, SG_ERR_ARG, "layer %zu was not recorded", layer);
}

sg_status sgi_fires_read(sgi_fires *f, const sg_neuron_view *view, size_t partners, bool special, sg_error *err) {
  if (!(f->record = sgi_alloc(sizeof *f->record))) return sgi_fail_memory(err, sizeof *f->record, "a neuron's firings");
  return sgi_neuron_record_init(f->record, f->rec, f->layer, f->channel, f->index,
                                view->value ? view->value : view->reads, view->writes, partners, special, err);
}

void sgi_fires_deinit(sgi_fires *f) {
  if (f->record) sgi_neuron_record_deinit(f->record);
  sgi_free(f->record);
  f->record = NULL;
}

/* The i-th excerpt of n firings of one side, strongest first: the top ones, then those at the
 * quantiles, each firing once. False past the last. */
static bool excerpt_of(size_t n, size_t top, size_t i, size_t *at, double *quantile) {
  size_t shown = 0, next = 0; /* firings before next are shown or passed by */
  for (size_t q = 0; q < SGI_COUNT(quantiles); q++) {
    size_t from = q ? (size_t)((1 - quantiles[q]) * (double)n) : 0, end = from + (q ? PER_QUANTILE : top);
    for (size_t k = from > next ? from : next; k < end && k < n; k++) {
      *at = k;
      *quantile = quantiles[q];
      if (shown++ == i) return true;
      next = k + 1;
    }
  }
  return false;
}

static size_t excerpts_of(size_t n, size_t top) {
  size_t count = 0, at;
  double quantile;
  while (excerpt_of(n, top, count, &at, &quantile)) count++;
  return count;
}

bool sgi_fires_excerpt(const sgi_fires *f, size_t i, sgi_firing_excerpt *out) {
  const sgi_neuron_record *n = f->record;
  size_t in_favour = excerpts_of(n->n_for, f->excerpts), against = n->n_firings - n->n_for, at, count, start;
  *out = (sgi_firing_excerpt){.against = i >= in_favour};
  if (!out->against && !excerpt_of(n->n_for, f->excerpts, i, &at, &out->quantile)) return false;
  if (out->against && !excerpt_of(against, f->excerpts, i - in_favour, &at, &out->quantile)) return false;
  const sgi_neuron_firing *x = &n->firings[at + (out->against ? n->n_for : 0)];
  out->position = x->position;
  out->value = x->value;
  out->gate = x->score;
  out->place = sgi_recording_at(f->rec, x->position);
  sgi_recording_document(f->rec, out->place.document, &start, &count);
  out->first = x->position > start + AROUND ? x->position - AROUND : start;
  out->last = x->position + AROUND < start + count ? x->position + AROUND : start + count - 1;
  return true;
}

/* Tokens of positions [from, to), each with the neuron's value there: null where it did not
 * fire. */
static json_t *text_json(const sgi_fires *f, size_t from, size_t to, const double *value) {
  json_t *a = json_array();
  for (size_t i = from; i < to; i++) {
    json_t *o = sgi_token_json(f->p, sgi_recording_at(f->rec, i).input);
    json_object_set_new(o, "value", sgi_report_real(value[i - from]));
    json_array_append_new(a, o);
  }
  return a;
}

static sg_status excerpts_json(const sgi_fires *f, json_t *list, sg_error *err) {
  sgi_firing_excerpt e;
  sg_status st = SG_OK;
  for (size_t i = 0; !st && sgi_fires_excerpt(f, i, &e); i++) {
    double value[2 * AROUND + 1];
    size_t at = e.position;
    st = sgi_neuron_recorded_values(f->rec, f->layer, f->channel, f->index, e.first, e.last + 1 - e.first, value, err);
    if (st) break;
    json_array_append_new(
        list, json_pack("{ss so so so sI sI sI so so so so}", "side", e.against ? "against" : "for", "quantile",
                        sgi_report_real(e.quantile), "value", sgi_report_real(e.value), "gate", sgi_report_real(e.gate),
                        "position", (json_int_t)at, "document", (json_int_t)e.place.document, "place",
                        (json_int_t)e.place.place, "before", text_json(f, e.first, at, value), "token",
                        sgi_token_json(f->p, e.place.input), "after",
                        text_json(f, at + 1, e.last + 1, value + (at + 1 - e.first)), "target",
                        sgi_token_json(f->p, e.place.target)));
  }
  return st;
}

static json_t *partners_json(const sgi_neuron_record *n) {
  json_t *list = json_array();
  for (size_t i = 0; i < n->n_partners; i++)
    json_array_append_new(
        list, json_pack("{si si sI so}", "channel", (int)n->partners[i].channel, "index", (int)n->partners[i].index,
                        "together", (json_int_t)n->partners[i].together, "lift", sgi_report_real(n->partners[i].lift)));
  return list;
}

static json_t *histogram_json(const sgi_neuron_histogram *h) {
  json_t *counts = json_array();
  for (size_t i = 0; i < SGI_NEURON_BINS; i++) json_array_append_new(counts, json_integer((json_int_t)h->count[i]));
  return json_pack("{so so so}", "low", sgi_report_real(h->low), "high", sgi_report_real(h->high), "counts", counts);
}

sg_status sgi_fires_json(const sgi_fires *f, json_t **out, sg_error *err) {
  const sgi_neuron_record *n = f->record;
  json_t *list = json_array();
  sg_status st = excerpts_json(f, list, err);
  *out = st ? NULL
            : json_pack("{sI sI sI sb so sI so sI so sI sO so so so}", "count", (json_int_t)n->count, "for",
                        (json_int_t)n->n_for, "against", (json_int_t)(n->n_firings - n->n_for), "kept", (int)n->kept,
                        "density", sgi_report_real(n->density), "positions",
                        (json_int_t)sgi_recording_info_of(f->rec)->n_positions, "agreement",
                        sgi_report_real(n->agreement), "agreement_tokens", (json_int_t)n->agreement_tokens,
                        "written_agreement", sgi_report_real(n->written_agreement), "written_tokens",
                        (json_int_t)n->written_tokens, "excerpts", list, "partners", partners_json(n), "gates",
                        histogram_json(&n->gates), "values", histogram_json(&n->values));
  json_decref(list);
  return st || *out ? st : sgi_fail(err, SG_ERR_MEMORY, "out of memory");
}
