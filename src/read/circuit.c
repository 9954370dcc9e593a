#include "read/circuit.h"

#include <string.h>

#include "model/pass.h"
#include "read/run.h"

typedef struct taker {
  size_t layer, width; /* C K */
  int32_t *index;
  float *score;
  const float *logits; /* of experts, until their indices come */
  size_t logits_width;
} taker;

static sg_status visit(void *user, const sgi_site *s, sg_error *err) {
  taker *t = user;
  if (s->layer != (ptrdiff_t)t->layer) return SG_OK;
  const sgi_site_row *row = sgi_site_row_of(s->id);
  if (row->role != SGI_SITE_SCORES && row->role != SGI_SITE_CHOICE) return SG_OK;
  bool scores = row->role == SGI_SITE_SCORES;
  if (scores && !row->chosen_by) { /* of every unit: those of the chosen when they are known */
    t->logits = s->data;
    t->logits_width = sgi_site_width(s);
    return SG_OK;
  }
  if (s->first || sgi_site_width(s) != t->width)
    return sgi_fail(err, SG_ERR_INTERNAL, "%s of layer %td has an unexpected shape", row->name, s->layer);
  memcpy(scores ? (void *)t->score : (void *)t->index, s->data, s->n * t->width * 4);
  for (size_t i = 0; !scores && t->logits && i < s->n * t->width; i++)
    t->score[i] = t->logits[i / t->width * t->logits_width + (size_t)t->index[i]];
  return SG_OK;
}

sg_status sgi_prompt_circuits(const sg_model *m, const sgi_recording *rec, const int32_t *tokens, size_t count,
                              size_t layer, int32_t *index, float *score, sg_error *err) {
  const sgi_recording_info *info = sgi_recording_info_of(rec);
  sgi_gates g;
  size_t slot;
  sg_status st = sgi_prompt_check(m, tokens, count, err);
  if (!st && layer >= m->config.num_layers)
    st = sgi_fail(err, SG_ERR_ARG, "layer %zu: the model has %zu, from 0", layer, m->config.num_layers);
  if (!st) st = sgi_recording_slot(rec, layer, &slot, err);
  if (st) return st;
  const sgi_slot *z = &info->slots[slot];
  sgi_layer_gates(m, layer, &g);
  if (g.channels != z->channels || g.top_k != z->top_k || g.pool != z->pool ||
      m->config.num_layers != info->model_layers || m->config.vocab_size != info->vocab_size)
    return sgi_fail(
        err, SG_ERR_ARG,
        "the recording is of another model: %zu layers, layer %zu of %zu channels of %zu units, %zu chosen, "
        "%zu tokens; this one has %zu, %zu, %zu, %zu, %zu",
        info->model_layers, layer, z->channels, z->pool, z->top_k, info->vocab_size, m->config.num_layers, g.channels,
        g.pool, g.top_k, m->config.vocab_size);
  taker t = {.layer = layer, .width = g.channels * g.top_k, .index = index, .score = score};
  sgi_pass *pass = NULL;
  st = sgi_pass_create(m, 1, count, false, &pass, err);
  sgi_batch batch = {.B = 1, .T = count, .inputs = tokens};
  if (!st) st = sgi_pass_forward(pass, &batch, &(sgi_tap){.visit = visit, .user = &t, .err = err}, err);
  sgi_pass_free(pass);
  return st;
}
