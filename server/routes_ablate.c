/* routes_ablate.c: neurons scaled: the prompt run again, and what follows with gates held, for any
 * factors at once. */
#include <math.h>
#include <string.h>

#include "report/attribution.h"
#include "report/direction.h"
#include "report/continuation.h"
#include "api.h"
#include "core/base.h"
#include "report/sizes.h"

enum { MAX_BYTES = 1 << 30 };

static bool tick(void *user, size_t done, size_t wanted) {
  const api_call *c = user;
  http_job_progress(c->job, wanted ? (double)done / (double)wanted : 0, "following neurons through each other");
  return !http_job_cancelled(c->job);
}

/* Layers have sizes of their own: an edit of a unit that its layer does not have would change
 * nothing and say nothing. */
static sg_status within_layer(const sg_model *m, size_t layer, ptrdiff_t channel, ptrdiff_t neuron, sg_error *err) {
  sgi_sizes is = sgi_layer_sizes(m, layer);
  if (!is.neurons) return SG_OK; /* the edit itself is refused */
  if (sgi_neuron_beside(m, layer, channel))
    return sgi_neuron_check(m, layer, (size_t)channel, neuron < 0 ? 0 : (size_t)neuron, err);
  if (neuron >= 0 && (size_t)neuron >= is.neurons)
    return sgi_fail(err, SG_ERR_ARG, "request: \"neuron\" must be a whole number from 0 to %zu in layer %zu",
                    is.neurons - 1, layer);
  if (channel >= 0 && (size_t)channel >= is.channels)
    return sgi_fail(err, SG_ERR_ARG, "request: \"channel\" must be a whole number from 0 to %zu in layer %zu",
                    is.channels - 1, layer);
  return SG_OK;
}

/* {"layer", "channel", "neuron", "pos", "scale"} as the text of an edit: the client chooses
 * numbers, never a site. */
static sg_status edit_text(const api_call *c, const json_t *o, char out[API_EDIT_TEXT], sg_error *err) {
  const sg_config *k = sg_model_config(c->p.model);
  sgi_sizes most = sgi_largest_sizes(c->p.model);
  ptrdiff_t layer, channel, neuron, pos;
  sg_status st = api_below(o, "layer", k->num_layers, &layer, err);
  if (!st) st = api_below(o, "channel", most.channels + 1 + api_beside_channels(&most), &channel, err);
  if (!st) st = api_below(o, "neuron", api_most_neurons(&most), &neuron, err);
  if (!st) st = within_layer(c->p.model, (size_t)layer, channel, neuron, err);
  if (!st) st = api_below(o, "pos", c->p.count, &pos, err);
  if (st) return st;
  char axes[96] = "";
  size_t n = 0;
  if (pos >= 0) n += (size_t)snprintf(axes + n, sizeof axes - n, "pos=%td,", pos);
  bool by_channel;
  const char *site = sgi_neuron_site(c->p.model, (size_t)layer, channel, &by_channel);
  if (channel >= 0 && by_channel) n += (size_t)snprintf(axes + n, sizeof axes - n, "channel=%td,", channel);
  if (neuron >= 0) n += (size_t)snprintf(axes + n, sizeof axes - n, "neuron=%td,", neuron);
  if (n) axes[n - 1] = 0;
  snprintf(out, API_EDIT_TEXT, "layers.%td.%s%s%s%s*=%.9g", layer, site, n ? "[" : "", axes, n ? "]" : "",
           api_real(o, "scale"));
  return SG_OK;
}

/* {"layer", "toward", "away", "strength"}. */
static sg_status take_steer(const api_call *c, api_edits *out, sg_error *err) {
  const json_t *o = json_object_get(c->body, "steer");
  if (!o) return SG_OK;
  api_call part = {.body = o, .p = c->p};
  ptrdiff_t layer;
  double strength = api_real(o, "strength");
  const char *toward = api_text(o, "toward"), *away = api_text(o, "away");
  int32_t id;
  sg_status st = api_below(o, "layer", sg_model_config(c->p.model)->num_layers, &layer, err);
  if (!st) st = api_token(&part, "toward", -1, &id, err); /* an error names its field */
  if (!st) st = api_token(&part, "away", -1, &id, err);
  if (st) return st;
  snprintf(out->texts[out->count], API_EDIT_TEXT, "layers.%td.resid_post += %g toward %.40s%s%.40s", layer, strength,
           toward, away ? " away from " : "", away ? away : "");
  return sgi_direction_edit(&c->p, (size_t)layer, toward, away, strength, &out->edits[out->count++], err);
}

sg_status api_take_edits(const api_call *c, bool may_lack, api_edits *out, sg_error *err) {
  const json_t *list = json_object_get(c->body, "edits");
  size_t n = json_array_size(list), least = may_lack || json_object_get(c->body, "steer") ? 0 : 1;
  *out = (api_edits){0};
  if (n < least) return sgi_fail(err, SG_ERR_ARG, "request: \"edits\" must be a list of 1 at least, or give \"steer\"");
  out->texts = sgi_alloc((n + 1) * sizeof *out->texts);
  out->edits = sgi_alloc((n + 1) * sizeof *out->edits);
  if (!out->texts || !out->edits) return sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  sg_status st = SG_OK;
  for (size_t i = 0; i < n && !st; i++) {
    st = edit_text(c, json_array_get(list, i), out->texts[i], err);
    if (!st) st = sg_edit_parse(out->texts[i], &out->edits[i], err);
    out->count++;
  }
  return st ? st : take_steer(c, out, err);
}

void api_edits_free(api_edits *e) {
  for (size_t i = 0; e->edits && i < e->count; i++) sgi_free((void *)(uintptr_t)e->edits[i].vector);
  sgi_free(e->texts);
  sgi_free(e->edits);
  *e = (api_edits){0};
}

typedef struct ablation {
  api_edits list;
  size_t position, top;
  sgi_word watch;
  sgi_measure was, is;
  double linear;
  sg_run *plain, *edited;
  sgi_prediction before, after;
} ablation;

static json_t *ablation_json(const api_call *c, const ablation *a) {
  json_t *edits = json_array();
  for (size_t i = 0; i < a->list.count; i++)
    json_array_append_new(
        edits, json_pack("{so sI}", "edit", sgi_report_text(a->list.texts[i], strlen(a->list.texts[i])), "changed",
                         (json_int_t)sg_run_edit_hits(a->edited, i)));
  json_t *o = json_pack(
      "{so sI so so so so so so so so so}", "tokens", sgi_prompt_json(&c->p), "position", (json_int_t)a->position,
      "edits", edits, "target", sgi_token_json(&c->p, a->watch.ids[0]), "logit_change",
      sgi_report_real(a->is.logit - a->was.logit), "linear_change", sgi_report_real(a->linear), "probability_before",
      sgi_report_real(a->was.probability), "probability_after", sgi_report_real(a->is.probability), "kl",
      sgi_report_real(sgi_divergence(&a->before, &a->after)), "before", sgi_prediction_json(&c->p, &a->before, a->top),
      "after", sgi_prediction_json(&c->p, &a->after, a->top));
  if (a->watch.n > 1)
    json_object_set_new(o, "word", sgi_word_json(&c->p, a->watch.ids, a->watch.n, a->was.log_probability));
  return o;
}

/* "target", or the most probable token; the prompt then holds the word. */
static sg_status take_watch(api_call *c, size_t position, sgi_word *out, sg_error *err) {
  sg_status st = api_word(c, "target", position, out, err);
  if (!st && !out->n) st = sgi_word_likeliest(&c->p, (ptrdiff_t)position, out, err);
  if (!st && out->n > 1) st = sgi_word_extend(&c->p, position, out, out->n - 1, err);
  return st;
}

static bool gone(void *user) {
  const api_call *c = user;
  return http_job_cancelled(c->job);
}

static sg_status words_behind(const api_call *c, ablation *a, size_t top, sg_error *err) {
  void *user = (void *)(uintptr_t)c;
  sg_status st = sgi_predict_words(&a->before, &c->p, a->position, NULL, 0, top, gone, user, err);
  return st ? st : sgi_predict_words(&a->after, &c->p, a->position, a->list.edits, a->list.count, top, gone, user, err);
}

static sg_status ablate(api_call *c, ablation *a, sg_error *err) {
  size_t top = api_size(c->body, "top");
  sg_status st = api_prompt(c, err);
  if (!st) st = api_position(c, &a->position, err);
  if (!st) st = take_watch(c, a->position, &a->watch, err);
  if (!st) st = api_take_edits(c, false, &a->list, err);
  if (!st) st = api_run(c, NULL, 0, NULL, 0, &a->plain, err);
  if (!st) st = api_run(c, NULL, 0, a->list.edits, a->list.count, &a->edited, err);
  if (!st) st = sgi_predict(&a->before, &c->p, a->plain, (ptrdiff_t)a->position, err);
  if (!st) st = sgi_predict(&a->after, &c->p, a->edited, (ptrdiff_t)a->position, err);
  if (!st) st = words_behind(c, a, top, err);
  if (!st) st = sgi_word_measure(&c->p, a->plain, a->position, &a->watch, &a->was, err);
  if (!st) st = sgi_word_measure(&c->p, a->edited, a->position, &a->watch, &a->is, err);
  if (!st) st = sgi_linear_changes(&c->p, a->position, &a->watch, a->list.edits, a->list.count, &a->linear, err);
  a->top = st ? 0 : top;
  return st;
}

static void end(ablation *a) {
  sg_run_free(a->plain);
  sg_run_free(a->edited);
  sgi_prediction_free(&a->before);
  sgi_prediction_free(&a->after);
  sgi_word_free(&a->watch);
  api_edits_free(&a->list);
}

sg_status api_ablate(api_call *c, json_t **answer, sg_error *err) {
  ablation a = {0};
  sg_status st = ablate(c, &a, err);
  if (!st) *answer = ablation_json(c, &a);
  end(&a);
  return st || *answer ? st : sgi_fail(err, SG_ERR_MEMORY, "out of memory");
}

/* ---- together -------------------------------------------------------------------------------- */

/* The chosen neurons that the edits meet, and the links between their values: the page solves for
 * any factors. */
static json_t *joint_json(const api_call *c, const sg_joint *j, const sgi_word *watch) {
  json_t *neurons = json_array(), *links = json_array();
  for (size_t i = 0; i < j->count; i++) {
    const sg_term *t = &j->neurons[i];
    json_array_append_new(neurons, json_pack("{si si si si so so}", "layer", (int)t->layer, "channel", (int)t->channel,
                                             "index", (int)t->index, "position", (int)t->position, "value",
                                             sgi_report_real(t->value), "effect", sgi_report_real(j->effect[i])));
    for (size_t k = 0; k < j->count; k++)
      if (j->links[i * j->count + k] != 0)
        json_array_append_new(
            links, json_pack("[IIo]", (json_int_t)i, (json_int_t)k, sgi_report_real(j->links[i * j->count + k])));
  }
  return json_pack("{so sI so so so}", "tokens", sgi_prompt_json(&c->p), "position", (json_int_t)j->position, "target",
                   sgi_token_json(&c->p, watch->ids[0]), "neurons", neurons, "links", links);
}

/* Effects of the neurons of one token's answer, added to those of the last token's, which has them
 * all. */
static void add_effects(sg_joint *all, const sg_joint *own) {
  size_t k = 0;
  for (size_t i = 0; i < own->count; i++) {
    const sg_term *t = &own->neurons[i];
    while (k < all->count) { /* both lists are in one order */
      const sg_term *u = &all->neurons[k++];
      if (t->layer != u->layer || t->position != u->position || t->channel != u->channel || t->index != u->index)
        continue;
      all->effect[k - 1] += own->effect[i];
      break;
    }
  }
}

static sg_status joint(api_call *c, ablation *a, json_t **answer, sg_error *err) {
  sg_joint *all = NULL;
  sg_status st = api_prompt(c, err);
  if (!st) st = api_position(c, &a->position, err);
  if (!st) st = take_watch(c, a->position, &a->watch, err);
  if (!st) st = api_take_edits(c, false, &a->list, err);
  for (size_t i = a->watch.n; i-- > 0 && !st;) {
    sg_attribute_request r = {.tokens = c->p.tokens,
                              .count = c->p.count,
                              .position = (ptrdiff_t)(a->position + i),
                              .target = a->watch.ids[i],
                              .against = -1,
                              .max_bytes = MAX_BYTES,
                              .progress = tick,
                              .user = c};
    sg_joint *own = NULL;
    st = sg_joint_create(c->p.model, &r, a->list.edits, a->list.count, &own, err);
    if (!st && all) add_effects(all, own);
    if (all)
      sg_joint_free(own);
    else
      all = own;
  }
  if (!st) all->position = a->position;
  if (!st && !(*answer = joint_json(c, all, &a->watch))) st = sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  sg_joint_free(all);
  return st;
}

sg_status api_joint(api_call *c, json_t **answer, sg_error *err) {
  ablation a = {0};
  sg_status st = joint(c, &a, answer, err);
  end(&a);
  return st;
}
