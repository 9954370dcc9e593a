#include "into.h"

#include "attribution.h"
#include "read/exact.h"

static json_t *edges_json(const sg_term *n, const sgi_exact_edge *list, size_t count, size_t top) {
  json_t *edges = json_array();
  for (size_t i = 0; i < count && i < top; i++) {
    const sgi_exact_edge *e = &list[i];
    json_t *one = json_pack("{ss si so so so}", "kind", sgi_term_kind(&e->source), "position", (int)e->source.position,
                            "linear", sgi_report_real(e->source.effect), "value", sgi_report_real(n->value - e->value),
                            "effect", sgi_report_real(e->effect));
    if (e->source.layer >= 0) json_object_set_new(one, "layer", json_integer(e->source.layer));
    if (e->source.kind == SG_TERM_HEAD) json_object_set_new(one, "head", json_integer(e->source.head));
    if (e->source.kind == SG_TERM_NEURON) {
      json_object_set_new(one, "channel", json_integer(e->source.channel));
      json_object_set_new(one, "index", json_integer(e->source.index));
    }
    json_array_append_new(edges, one);
  }
  return edges;
}

static sg_status find(const sg_model *m, const sg_attribute_request *r, const sg_attribution *a, sg_term *neuron,
                      sgi_exact_edge **edges, size_t *count, sg_error *err) {
  sg_attribute_request q = *r;
  sgi_exact_base b;
  q.target = a->target;
  sg_status st = sgi_exact_begin(&b, m, &q, err);
  if (!st) st = sgi_exact_edges(&b, neuron, edges, count, err);
  sgi_exact_end(&b);
  for (size_t i = 0; i < a->neurons.count && !st; i++) {
    const sg_term *t = &a->neurons.terms[i];
    if (t->layer == neuron->layer && t->channel == neuron->channel && t->index == neuron->index &&
        t->position == neuron->position)
      *neuron = *t;
  }
  return st;
}

sg_status sgi_into_report(const sgi_prompt *p, const sg_attribute_request *r, const sg_attribution *a,
                          const sg_term *neuron, size_t top, json_t **out, sg_error *err) {
  sgi_exact_edge *edges = NULL;
  size_t count = 0;
  sg_term n = *neuron;
  sg_status st = find(p->model, r, a, &n, &edges, &count, err);
  if (!st)
    *out =
        json_pack("{si si si si so so sI so}", "layer", (int)n.layer, "channel", (int)n.channel, "index", (int)n.index,
                  "position", (int)n.position, "token", sgi_token_json(p, p->tokens[n.position]), "value",
                  sgi_report_real(n.value), "count", (json_int_t)count, "edges", edges_json(&n, edges, count, top));
  sgi_free(edges);
  return st ? st : sgi_report_whole(out, "the edges", err);
}
