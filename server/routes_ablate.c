/* routes_ablate.c: neurons scaled: the prompt run again, and what follows with gates held, for any
 * factors at once. */
#include <math.h>
#include <string.h>

#include "../cli/attribution.h"
#include "../cli/predict.h"
#include "api.h"
#include "core/base.h"
#include "model/model.h"

enum { EDITS = 64, EDIT_TEXT = 160, MAX_BYTES = 1 << 30 };

static bool tick(void *user, size_t done, size_t wanted) {
  const api_call *c = user;
  http_job_progress(c->job, wanted ? (double)done / (double)wanted : 0, "following neurons through each other");
  return !http_job_cancelled(c->job);
}

/* Layers have sizes of their own: an edit of a unit that its layer does not have would change
 * nothing and say nothing. */
static sg_status within_layer(const sg_model *m, size_t layer, json_int_t channel, json_int_t neuron, sg_error *err) {
  const sgi_sublayer *s = sgi_feedforward_of(m, layer);
  if (!s) return SG_OK;                                                        /* the edit itself is refused */
  size_t neurons = s->config->num_neurons, channels = s->config->num_channels; /* of moe: experts; dense: 0 */
  if (neuron >= 0 && (size_t)neuron >= neurons)
    return sgi_fail(err, SG_ERR_ARG, "request: \"neuron\" must be a whole number from 0 to %zu in layer %zu",
                    neurons - 1, layer);
  if (channel >= 0 && channels && (size_t)channel >= channels)
    return sgi_fail(err, SG_ERR_ARG, "request: \"channel\" must be a whole number from 0 to %zu in layer %zu",
                    channels - 1, layer);
  return SG_OK;
}

/* {"layer", "channel", "neuron", "pos", "scale"} as the text of an edit: the client chooses
 * numbers, never a site. */
static sg_status edit_text(const api_call *c, const json_t *o, char out[EDIT_TEXT], sg_error *err) {
  static const char *const keys[] = {"layer", "channel", "neuron", "pos", "scale"};
  const sg_config *k = sg_model_config(c->p.model);
  sgi_largest most = sgi_model_largest(c->p.model);
  api_call part = {.body = o};
  json_int_t layer, channel, neuron, pos;
  double scale;
  if (!json_is_object(o)) return sgi_fail(err, SG_ERR_ARG, "request: \"edits\" must be a list of objects");
  sg_status st = api_keys(&part, keys, SGI_COUNT(keys), err);
  if (!st) st = api_int(&part, "layer", 0, (json_int_t)k->num_layers - 1, 0, &layer, err);
  if (!st) st = api_int(&part, "channel", 0, (json_int_t)most.channels, -1, &channel, err);
  if (!st) st = api_int(&part, "neuron", 0, (json_int_t)most.neurons - 1, -1, &neuron, err);
  if (!st) st = within_layer(c->p.model, (size_t)layer, channel, neuron, err);
  if (!st) st = api_int(&part, "pos", 0, (json_int_t)c->p.count - 1, -1, &pos, err);
  if (!st) st = api_real(&part, "scale", -100, 100, 0, &scale, err);
  if (st) return st;
  char axes[96] = "";
  size_t n = 0;
  if (pos >= 0) n += (size_t)snprintf(axes + n, sizeof axes - n, "pos=%lld,", (long long)pos);
  sgi_gates gates;
  if (channel >= 0 && sgi_layer_gates(c->p.model, (size_t)layer, &gates))
    n += (size_t)snprintf(axes + n, sizeof axes - n, "channel=%lld,", (long long)channel);
  if (neuron >= 0) n += (size_t)snprintf(axes + n, sizeof axes - n, "neuron=%lld,", (long long)neuron);
  if (n) axes[n - 1] = 0;
  snprintf(out, EDIT_TEXT, "layers.%lld.neurons%s%s%s*=%.9g", (long long)layer, n ? "[" : "", axes, n ? "]" : "",
           scale);
  return SG_OK;
}

static sg_status take_edits(const api_call *c, char (*texts)[EDIT_TEXT], sg_edit *edits, size_t *count, sg_error *err) {
  const json_t *list = json_object_get(c->body, "edits");
  *count = json_array_size(list);
  if (!json_is_array(list) || !*count || *count > EDITS)
    return sgi_fail(err, SG_ERR_ARG, "request: \"edits\" must be a list of 1 to %d", EDITS);
  sg_status st = SG_OK;
  for (size_t i = 0; i < *count && !st; i++) {
    st = edit_text(c, json_array_get(list, i), texts[i], err);
    if (!st) st = sg_edit_parse(texts[i], &edits[i], err);
  }
  return st;
}

typedef struct ablation {
  char texts[EDITS][EDIT_TEXT];
  sg_edit edits[EDITS];
  size_t count, position, top;
  int32_t target;
  double linear;
  sg_run *plain, *edited;
  cli_prediction before, after;
} ablation;

static json_t *ablation_json(const api_call *c, const ablation *a) {
  json_t *edits = json_array();
  for (size_t i = 0; i < a->count; i++)
    json_array_append_new(
        edits, json_pack("{ss sI}", "edit", a->texts[i], "changed", (json_int_t)sg_run_edit_hits(a->edited, i)));
  double change = (double)a->after.logits[a->target] - (double)a->before.logits[a->target];
  return json_pack("{so sI so so so so so so so so so}", "tokens", cli_prompt_json(&c->p), "position",
                   (json_int_t)a->position, "edits", edits, "target", cli_token_json(&c->p, a->target), "logit_change",
                   cli_json_real(change), "linear_change", cli_json_real(a->linear), "probability_before",
                   cli_json_real(a->before.p[a->target]), "probability_after", cli_json_real(a->after.p[a->target]),
                   "kl", cli_json_real(cli_divergence(&a->before, &a->after)), "before",
                   cli_prediction_json(&c->p, &a->before, a->top), "after",
                   cli_prediction_json(&c->p, &a->after, a->top));
}

static sg_status ablate(api_call *c, ablation *a, sg_error *err) {
  static const char *const keys[] = {API_PROMPT_KEYS, "top", "position", "target", "edits"};
  json_int_t top;
  sg_status st = api_keys(c, keys, SGI_COUNT(keys), err);
  if (!st) st = api_int(c, "top", 1, 50, 8, &top, err);
  if (!st) st = api_prompt(c, err);
  if (!st) st = api_position(c, &a->position, err);
  if (!st) st = take_edits(c, a->texts, a->edits, &a->count, err);
  if (!st) st = api_run(c, NULL, 0, NULL, 0, &a->plain, err);
  if (!st) st = api_run(c, NULL, 0, a->edits, a->count, &a->edited, err);
  if (!st) st = cli_predict(&a->before, &c->p, a->plain, (ptrdiff_t)a->position, err);
  if (!st) st = cli_predict(&a->after, &c->p, a->edited, (ptrdiff_t)a->position, err);
  if (!st) st = api_token(c, "target", cli_prediction_best(&a->before), &a->target, err);
  if (!st) st = cli_linear_change(&c->p, a->position, a->target, a->edits, a->count, &a->linear, err);
  a->top = st ? 0 : (size_t)top;
  return st;
}

sg_status api_ablate(api_call *c, json_t **answer, sg_error *err) {
  ablation *a = sgi_alloc(sizeof *a);
  if (!a) return sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  sg_status st = ablate(c, a, err);
  if (!st) *answer = ablation_json(c, a);
  sg_run_free(a->plain);
  sg_run_free(a->edited);
  cli_prediction_free(&a->before);
  cli_prediction_free(&a->after);
  sgi_free(a);
  return st || *answer ? st : sgi_fail(err, SG_ERR_MEMORY, "out of memory");
}

/* ---- together -------------------------------------------------------------------------------- */

/* The chosen neurons that the edits meet, and the links between their values: the page solves for
 * any factors. */
static json_t *joint_json(const api_call *c, const sg_joint *j) {
  json_t *neurons = json_array(), *links = json_array();
  for (size_t i = 0; i < j->count; i++) {
    const sg_term *t = &j->neurons[i];
    json_array_append_new(neurons, json_pack("{si si si si so so}", "layer", (int)t->layer, "channel", (int)t->channel,
                                             "index", (int)t->index, "position", (int)t->position, "value",
                                             cli_json_real(t->value), "effect", cli_json_real(j->effect[i])));
    for (size_t k = 0; k < j->count; k++)
      if (j->links[i * j->count + k] != 0)
        json_array_append_new(
            links, json_pack("[IIo]", (json_int_t)i, (json_int_t)k, cli_json_real(j->links[i * j->count + k])));
  }
  return json_pack("{so sI so so so}", "tokens", cli_prompt_json(&c->p), "position", (json_int_t)j->position, "target",
                   cli_token_json(&c->p, j->target), "neurons", neurons, "links", links);
}

static sg_status joint(api_call *c, ablation *a, json_t **answer, sg_error *err) {
  static const char *const keys[] = {API_PROMPT_KEYS, "position", "target", "edits"};
  sg_attribute_request r = {.against = -1, .max_bytes = MAX_BYTES, .progress = tick, .user = c};
  sg_joint *j = NULL;
  sg_status st = api_keys(c, keys, SGI_COUNT(keys), err);
  if (!st) st = api_prompt(c, err);
  if (!st) st = api_position(c, &a->position, err);
  if (!st) st = take_edits(c, a->texts, a->edits, &a->count, err);
  if (!st) st = api_token(c, "target", -1, &r.target, err);
  if (st) return st;
  r.tokens = c->p.tokens;
  r.count = c->p.count;
  r.position = (ptrdiff_t)a->position;
  st = sg_joint_create(c->p.model, &r, a->edits, a->count, &j, err);
  if (!st && !(*answer = joint_json(c, j))) st = sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  sg_joint_free(j);
  return st;
}

sg_status api_joint(api_call *c, json_t **answer, sg_error *err) {
  ablation *a = sgi_alloc(sizeof *a);
  if (!a) return sgi_fail(err, SG_ERR_MEMORY, "out of memory");
  sg_status st = joint(c, a, answer, err);
  sgi_free(a);
  return st;
}
