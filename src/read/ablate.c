/* Loss of many rows under edits, and directions to steer along. */
#include <math.h>
#include <string.h>

#include "read/edit.h"
#include "read/neuron.h"
#include "read/parts.h"

typedef struct watch {
  sgi_editor editor;
} watch;

static sg_status visit(void *user, const sgi_site *s, sg_error *err) {
  return sgi_editor_visit(&((watch *)user)->editor, s, err);
}

static bool wants(void *user, const sgi_site *s) {
  char full[SG_SITE_NAME];
  sgi_site_name(full, s);
  return sgi_editor_wants(&((watch *)user)->editor, full);
}

sg_status sg_edit_loss(const sg_model *m, const int32_t *targets, size_t B, size_t T, const sg_edit *edits,
                       size_t n_edits, size_t max_bytes, sg_edited_loss *out, sg_error *err) {
  size_t n;
  sgi_metrics sum = {0};
  *out = (sg_edited_loss){0};
  if (!B || !T || !sgi_size_mul(B, T, &n) || n > SIZE_MAX / 8)
    return sgi_fail(err, SG_ERR_ARG, "%zu rows of %zu tokens: none, or too many", B, T);
  sg_status st = SG_OK;
  watch *w = sgi_alloc(sizeof *w);
  int32_t *inputs = sgi_alloc(n * sizeof *inputs);
  if (!w || !inputs) {
    st = sgi_fail_memory(err, n * sizeof *inputs, "rows of tokens");
  } else {
    sgi_parts_shift(m, targets, B, T, inputs);
    sgi_tap tap = {visit, w, err, wants, true};
    sgi_parts parts = {.B = B, .T = T, .inputs = inputs, .targets = targets, .max_bytes = max_bytes};
    if (n_edits) parts.tap = &tap;
    st = sgi_editor_begin(&w->editor, &m->config, T, edits, n_edits, err);
    if (!st) st = sgi_parts_run(m, &parts, &sum, err);
    if (!st) st = sgi_editor_end(&w->editor, err);
    for (size_t i = 0; i < n_edits && !st; i++) out->hits += w->editor.hits[i];
  }
  sgi_free(w);
  sgi_free(inputs);
  if (!st && !sum.targets) st = sgi_fail(err, SG_ERR_ARG, "the rows hold no target but padding");
  if (st) return st;
  out->loss = sum.nll / (double)sum.targets;
  out->accuracy = (double)sum.correct / (double)sum.targets;
  out->targets = sum.targets;
  return SG_OK;
}

sg_status sgi_unit_find(const sg_model *m, size_t layer, size_t channel, size_t index, sgi_unit *out, sg_error *err) {
  const sgi_sublayer *s;
  sg_status st = sgi_feedforward_find(m, layer, &s, err);
  if (st) return st;
  if (!s->ffn->unit_at)
    return sgi_fail(err, SG_ERR_UNSUPPORTED, "feedforward kind \"%s\" has no neurons to read one by one", s->ffn->name);
  const sg_config *c = s->config;
  if (sgi_sublayer_unit_at(s, channel, index, out)) return SG_OK;
  return sgi_fail(err, SG_ERR_ARG, "no neuron %zu in channel %zu: layer %zu has %zu in each of %zu channels", index,
                  channel, layer, c->num_neurons, sgi_unit_channels(c));
}

sg_status sg_direction_neuron(const sg_model *m, size_t layer, size_t channel, size_t index, float *out,
                              sg_error *err) {
  sgi_unit u;
  sg_status st = sgi_unit_find(m, layer, channel, index, &u, err);
  if (!st) sgi_unit_out(&u, out, m->config.hidden_size);
  return st;
}

sg_status sg_direction_token(const sg_model *m, int32_t target, int32_t against, float *out, sg_error *err) {
  size_t D = m->config.hidden_size, V = m->config.vocab_size;
  if (target < 0 || (size_t)target >= V || against < -1 || against >= (int32_t)V)
    return sgi_fail(err, SG_ERR_ARG, "token id %d is outside the vocabulary of %zu",
                    target < 0 || (size_t)target >= V ? target : against, V);
  const float *gain = m->w[sgi_final_norm_row(m)];
  sgi_slice a = sgi_embedding_of(m, (size_t)target), b = sgi_embedding_of(m, against < 0 ? 0 : (size_t)against);
  double sum = 0;
  for (size_t d = 0; d < D; d++) {
    double x = (double)sgi_slice_at(&a, d) - (against >= 0 ? (double)sgi_slice_at(&b, d) : 0);
    out[d] = (float)(x * gain[d]);
    sum += (double)out[d] * out[d];
  }
  if (!(sum > 0)) return sgi_fail(err, SG_ERR_ARG, "tokens %d and %d give no direction", target, against);
  for (size_t d = 0; d < D; d++) out[d] = (float)(out[d] / sqrt(sum));
  return SG_OK;
}
