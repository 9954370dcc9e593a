#include "card.h"

#include <stdlib.h>

#include "model/model.h"

static int descending(const void *a, const void *b) {
  const sgi_ranked *x = a, *y = b;
  if (x->value != y->value) return x->value < y->value ? 1 : -1;
  return x->id < y->id ? -1 : x->id > y->id;
}

sgi_ranked *sgi_rank(const float *x, size_t n) {
  sgi_ranked *r = sgi_alloc(n * sizeof *r);
  for (size_t i = 0; r && i < n; i++) r[i] = (sgi_ranked){x[i], (int32_t)i};
  if (r) qsort(r, n, sizeof *r, descending);
  return r;
}

static json_t *ends_json(const sgi_prompt *p, const float *x, size_t top) {
  size_t V = sg_model_config(p->model)->vocab_size, n = top < V ? top : V;
  sgi_ranked *r = sgi_rank(x, V);
  json_t *most = json_array(), *least = json_array();
  for (size_t i = 0; r && i < n; i++)
    for (int end = 0; end < 2; end++) {
      const sgi_ranked *at = end ? &r[V - 1 - i] : &r[i];
      json_t *o = sgi_token_json(p, at->id);
      json_object_set_new(o, "value", sgi_report_real((double)at->value));
      json_array_append_new(end ? least : most, o);
    }
  sgi_free(r);
  return json_pack("{so so}", "top", most, "bottom", least);
}

static json_t *links_json(const sg_neuron_link *l, size_t n) {
  json_t *a = json_array();
  for (size_t i = 0; i < n; i++)
    json_array_append_new(a, json_pack("{si si si so}", "layer", (int)l[i].layer, "channel", (int)l[i].channel, "index",
                                       (int)l[i].index, "weight", sgi_report_real((double)l[i].weight)));
  return a;
}

/* {number, of}: the metarouter's pool that the neuron is of; NULL where the layer has none. */
static json_t *pool_json(const sg_model *m, size_t layer, size_t index) {
  const sgi_sublayer *s = sgi_feedforward_of(m, layer);
  if (!s || !s->config->pool_neurons) return NULL;
  return json_pack("{sI sI}", "number", (json_int_t)(index / s->config->pool_neurons), "of",
                   (json_int_t)s->config->options.meta_experts);
}

json_t *sgi_card_json(const sgi_prompt *p, const sgi_card *c) {
  json_t *o = json_pack("{sI sI sI so so so so}", "layer", (json_int_t)c->layer, "channel", (json_int_t)c->channel,
                        "index", (json_int_t)c->index, "reads", ends_json(p, c->view.reads, c->top), "writes",
                        ends_json(p, c->view.writes, c->top), "upstream", links_json(c->up, c->n_up), "downstream",
                        links_json(c->down, c->n_down));
  json_t *pool = pool_json(p->model, c->layer, c->index);
  if (o && pool) json_object_set_new(o, "pool", pool);
  if (o && c->view.opens) json_object_set_new(o, "opens", ends_json(p, c->view.opens, c->top));
  if (o && c->view.value) json_object_set_new(o, "value", ends_json(p, c->view.value, c->top));
  return o;
}

json_t *sgi_activations_json(const sgi_prompt *p, size_t layer, size_t channel, size_t index, const sg_activation *a) {
  bool gated = sg_margin_channels(p->model) > 0;
  json_t *chosen = json_array(), *gate = gated ? json_array() : json_null(), *input = json_array(),
         *value = json_array();
  for (size_t i = 0; i < p->count; i++) {
    json_array_append_new(chosen, json_boolean(a[i].chosen));
    if (gated) json_array_append_new(gate, sgi_report_real(a[i].score));
    json_array_append_new(input, sgi_report_real(a[i].input));
    json_array_append_new(value, sgi_report_real(a[i].value));
  }
  return json_pack("{so sI sI sI so so so so}", "tokens", sgi_prompt_json(p), "layer", (json_int_t)layer, "channel",
                   (json_int_t)channel, "index", (json_int_t)index, "chosen", chosen, "gate", gate, "input", input,
                   "value", value);
}
