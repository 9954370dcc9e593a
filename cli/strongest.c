#include "strongest.h"

#include <math.h>

static bool wanted(const cli_call *c, const sg_term *t) {
  if (cli_is_set(c, "layer") && cli_size(c, "layer") != (size_t)t->layer) return false;
  return !cli_is_set(c, "channel") || cli_size(c, "channel") == (size_t)t->channel;
}

sg_status cli_strongest_find(const cli_call *c, const sgi_prompt *p, ptrdiff_t position, int32_t target,
                             cli_strongest *out, sg_error *err) {
  sg_attribute_request r = {
      .tokens = p->tokens, .count = p->count, .position = position, .target = target, .against = -1};
  sg_attribution *a = NULL;
  const sg_term *best = NULL;
  sg_status st = sg_attribute(p->model, &r, &a, err);
  for (size_t i = 0; !st && i < a->neurons.count; i++) {
    const sg_term *t = &a->neurons.terms[i];
    if (wanted(c, t) && (!best || fabs(t->effect) > fabs(best->effect))) best = t;
  }
  if (best)
    *out = (cli_strongest){.layer = (size_t)best->layer,
                           .channel = (size_t)best->channel,
                           .index = (size_t)best->index,
                           .position = (size_t)best->position,
                           .effect = best->effect,
                           .target = a->target,
                           .predicts = a->position};
  sg_attribution_free(a);
  if (st || best) return st;
  return sgi_fail(err, SG_ERR_ARG,
                  "no neuron of that layer and channel acts along the prompt: name one with --layer, --channel and "
                  "--neuron");
}

void cli_strongest_note(const sgi_prompt *p, const cli_strongest *s) {
  cli_note(
      "strongest neuron for %s at position %zu: --layer %zu --channel %zu --neuron %zu, which acts at position %zu "
      "(total effect %+.5f)",
      sgi_token_shown(p, s->target).s, s->predicts, s->layer, s->channel, s->index, s->position, s->effect);
}

json_t *cli_strongest_json(const sgi_prompt *p, const cli_strongest *s) {
  return json_pack("{so sI sI so}", "target", sgi_token_json(p, s->target), "predicts", (json_int_t)s->predicts,
                   "position", (json_int_t)s->position, "effect", sgi_report_real(s->effect));
}
