/* One neuron along a prompt: docs/method-reading.md, neuron card. The numbers are those of the
 * forward pass's sites; only the input is computed here, since a pass does without it where the
 * neuron is not chosen. */
#include <string.h>

#include "ffn/beside.h"
#include "model/pass.h"
#include "read/neuron.h"
#include "read/run.h"

typedef struct watcher {
  size_t layer, channel, index, D;
  sgi_site_id beside; /* where the values of what stands beside the kind lie; SGI_SITE_NONE: the neuron is the kind's */
  bool experts;       /* the channel is an expert: chosen as one, its hidden units beside each other */
  sgi_unit unit;
  size_t *slot;       /* (T) of the chosen neuron or expert, counted from 1 over the row; 0: not chosen */
  const float *score; /* (T,width) as the router left them, until its indices come */
  size_t width;
  sg_activation *out;
} watcher;

static void take_inputs(watcher *w, const sgi_site *s) {
  for (size_t i = 0; i < s->n; i++) {
    const float *x = (const float *)s->data + i * w->D;
    w->out[s->first + i].input = w->unit.constant + sgi_unit_read_in(&w->unit, x, w->D);
  }
}

/* A choice of units: a slot of the neuron's own channel; one of channels: the slot of the
 * neuron's. */
static void take_indices(watcher *w, const sgi_site *s) {
  w->experts = sgi_site_row_of(s->id)->holds == SGI_AXIS_CHANNEL;
  size_t width = sgi_site_width(s), K = w->experts ? width : s->dims[1], from = w->experts ? 0 : w->channel * K;
  size_t wanted = w->experts ? w->channel : w->index;
  for (size_t i = 0; i < s->n; i++)
    for (size_t k = from; k < from + K; k++)
      if ((size_t)((const int32_t *)s->data)[i * width + k] == wanted) w->slot[s->first + i] = k + 1;
}

static void take_values(watcher *w, const sgi_site *s) {
  bool dense = !sgi_site_row_of(s->id)->chosen_by;
  size_t width = sgi_site_width(s), F = s->dims[1];
  for (size_t i = 0; i < s->n; i++) {
    sg_activation *a = &w->out[s->first + i];
    const float *row = (const float *)s->data + i * width;
    size_t slot = w->slot[s->first + i];
    a->chosen = dense || slot;
    if (!a->chosen) continue;
    a->value = (double)row[dense ? w->index : w->experts ? (slot - 1) * F + w->index : slot - 1];
  }
}

static void take_scores(watcher *w, const sgi_site *s) {
  for (size_t i = 0; i < s->n && w->score; i++) {
    size_t slot = w->slot[s->first + i];
    if (slot) w->out[s->first + i].score = (double)w->score[i * w->width + (w->experts ? w->channel : slot - 1)];
  }
}

/* Beside a kind: there at every position. */
static void take_beside(watcher *w, const sgi_site *s) {
  for (size_t i = 0; i < s->n; i++) {
    sg_activation *a = &w->out[s->first + i];
    a->chosen = true;
    a->value = (double)((const float *)s->data)[i * sgi_site_width(s) + w->index];
  }
}

static sg_status visit(void *user, const sgi_site *s, sg_error *err) {
  (void)err;
  watcher *w = user;
  if (s->layer != (ptrdiff_t)w->layer) return SG_OK;
  sgi_site_role role = sgi_site_row_of(s->id)->role;
  if (s->id == SGI_SITE_MLP_NORM) take_inputs(w, s);
  if (w->beside && s->id == w->beside) take_beside(w, s);
  if (w->beside) return SG_OK;
  if (role == SGI_SITE_SCORES) {
    w->score = s->data;
    w->width = sgi_site_width(s);
  }
  if (role == SGI_SITE_CHOICE) {
    take_indices(w, s);
    take_scores(w, s);
  }
  if (role == SGI_SITE_VALUES) take_values(w, s);
  return SG_OK;
}

sg_status sg_neuron_activations(const sg_model *m, const int32_t *tokens, size_t count, size_t layer, size_t channel,
                                size_t index, sg_activation *out, sg_error *err) {
  watcher w = {.layer = layer, .channel = channel, .index = index, .D = m->config.hidden_size, .out = out};
  sg_status st = sgi_prompt_check(m, tokens, count, err);
  if (!st) st = sgi_unit_find(m, layer, channel, index, &w.unit, err);
  if (st) return st;
  sgi_beside part = sgi_beside_of_channel(&m->layers[layer].config, (ptrdiff_t)channel);
  if (part != SGI_BESIDE_PARTS) w.beside = sgi_beside_site(part);
  sgi_pass *pass = NULL;
  if (!(w.slot = sgi_alloc(count * sizeof *w.slot))) return sgi_fail_memory(err, count, "a neuron's positions");
  memset(out, 0, count * sizeof *out);
  st = sgi_pass_create(m, 1, count, false, &pass, err);
  sgi_batch batch = {.B = 1, .T = count, .inputs = tokens};
  if (!st) st = sgi_pass_forward(pass, &batch, &(sgi_tap){.visit = visit, .user = &w, .err = err}, err);
  sgi_pass_free(pass);
  sgi_free(w.slot);
  return st;
}
