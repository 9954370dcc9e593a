/* routes_neuron.c: one neuron: its weights, where it fires in the recording, what it does along the
 * prompt. */
#include "report/card.h"
#include "report/card_record.h"
#include "api.h"
#include "core/json.h"
#include "report/sizes.h"

enum { MAX_LINKS = 50 };

sg_status api_unit(const api_call *c, size_t *layer, size_t *channel, size_t *index, sg_error *err) {
  const sg_config *m = sg_model_config(c->p.model);
  sgi_sizes most = sgi_largest_sizes(c->p.model);
  ptrdiff_t l, ch, i;
  sg_status st = api_below(c->body, "layer", m->num_layers, &l, err);
  if (!st) st = api_below(c->body, "channel", most.channels + api_beside_channels(&most), &ch, err);
  if (!st) st = api_below(c->body, "index", api_most_neurons(&most), &i, err);
  if (st) return st;
  *layer = (size_t)l;
  *channel = (size_t)ch;
  *index = (size_t)i;
  return SG_OK;
}

/* "recorded" of the answer; where the recording knows nothing of the neuron, the reason as
 * "unrecorded". */
static sg_status add_recorded(const api_call *c, const sgi_card *k, size_t excerpts, bool special, json_t *answer,
                              sg_error *err) {
  const sgi_record_reader *r = c->e->recording;
  if (!r) return SG_OK;
  sgi_fires f = {
      .p = &c->p, .rec = r->rec, .layer = k->layer, .channel = k->channel, .index = k->index, .excerpts = excerpts};
  json_t *recorded = NULL;
  sg_error why = {0};
  sg_status st = sgi_fires_check(&c->p, r->rec, "the recording", &why);
  if (!st) st = sgi_fires_known(r->rec, k->layer, &why);
  const char *beside = sgi_neuron_beside(c->p.model, k->layer, (ptrdiff_t)k->channel);
  if (!st && beside) st = sgi_fail(&why, SG_ERR_ARG, "%s neurons act everywhere: no index lists where", beside);
  if (st) {
    json_object_set_new(answer, "unrecorded", json_string(why.text));
    return SG_OK;
  }
  st = sgi_fires_read(&f, &k->view, k->top, special, err);
  if (!st) st = sgi_fires_json(&f, &recorded, err);
  if (!st && json_object_set_new(answer, "recorded", recorded)) st = sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  sgi_fires_deinit(&f);
  return st;
}

/* "function" of the answer, where the open file of functions has the layer. */
static sg_status add_function(const api_call *c, const sgi_card *k, json_t *answer, sg_error *err) {
  json_t *function = NULL;
  sg_error why = {0};
  if (!c->e->functions) return SG_OK;
  sg_status st = sgi_functions_neuron_json(c->e->functions, k->layer, k->channel, k->index, &function, &why);
  if (st == SG_ERR_ARG) return SG_OK;
  if (st) return sgi_fail(err, st, "%s", why.text);
  return json_object_set_new(answer, "function", function) ? sgi_fail(err, SG_ERR_MEMORY, "out of memory") : SG_OK;
}

static sg_status make_card(const api_call *c, sgi_card *k, float *block, json_t **answer, sg_error *err) {
  size_t V = sg_model_config(c->p.model)->vocab_size;
  sg_neuron_link up[MAX_LINKS], down[MAX_LINKS];
  k->view = (sg_neuron_view){block, block + V, block + 2 * V, block + 3 * V};
  k->up = up;
  k->down = down;
  sg_status st = sg_neuron_read(c->p.model, k->layer, k->channel, k->index, &k->view, err);
  if (!st) st = sg_neuron_links(c->p.model, k->layer, k->channel, k->index, true, k->top, up, &k->n_up, err);
  if (!st) st = sg_neuron_links(c->p.model, k->layer, k->channel, k->index, false, k->top, down, &k->n_down, err);
  if (!st && !(*answer = sgi_card_json(&c->p, k))) st = sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  if (!st) st = add_function(c, k, *answer, err);
  return st ? st : add_recorded(c, k, api_size(c->body, "excerpts"), api_flag(c->body, "special"), *answer, err);
}

sg_status api_neuron(api_call *c, json_t **answer, sg_error *err) {
  sgi_card k = {.top = api_within(c->body, "top", MAX_LINKS)};
  sg_status st = api_unit(c, &k.layer, &k.channel, &k.index, err);
  if (st) return st;
  float *block = sgi_alloc(4 * sg_model_config(c->p.model)->vocab_size * sizeof *block);
  if (!block) return sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  st = make_card(c, &k, block, answer, err);
  sgi_free(block);
  return st;
}

sg_status api_activation(api_call *c, json_t **answer, sg_error *err) {
  size_t layer, channel, index;
  sg_activation *a = NULL;
  sg_status st = api_unit(c, &layer, &channel, &index, err);
  if (!st) st = api_prompt(c, err);
  if (!st && !(a = sgi_alloc(c->p.count * sizeof *a))) st = sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  if (!st) st = sg_neuron_activations(c->p.model, c->p.tokens, c->p.count, layer, channel, index, a, err);
  if (!st && !(*answer = sgi_activations_json(&c->p, layer, channel, index, a)))
    st = sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  sgi_free(a);
  return st;
}
