#include "model/steps.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/arena.h"
#include "ffn/beside.h"
#include "model/config.h"

/* ---- layers ---------------------------------------------------------------------------------- */

/* The rows of the sink MLP, right behind the embedding, so that every layer can name them. */
enum { SGI_ROW_SINK_MLP = 1 };

static sg_status add_beside(const sgi_sublayer *s, const char *prefix, sgi_table *t, sg_error *err) {
  char mlp[80];
  snprintf(mlp, sizeof mlp, "%smlp.", prefix);
  return sgi_beside_tensors(s->config, mlp, t, err);
}

/* Width of the sink MLP that layers run; 0: none does. */
static size_t sink_mlp_width(const sg_config *c) {
  sg_config view;
  for (size_t l = 0; l < c->num_layers; l++) {
    if (!sgi_config_has(c, l, SG_FEEDFORWARD)) continue;
    sgi_config_view(c, l, &view);
    if (view.options.sink_mlp) return view.options.sink_mlp;
  }
  return 0;
}

bool sgi_sublayer_unit_at(const sgi_sublayer *s, size_t channel, size_t index, sgi_unit *out) {
  return s->ffn->unit_at(s->config, s->weight + SGI_T_OWN, channel, index, out) ||
         sgi_beside_unit_at(s->config, s->weight + s->beside, channel, index, out);
}

/* Adds the sublayer's tensors where they lie under this layer's name; else they are those of its
 * owner. */
static sg_status add_tensors(const sg_config *c, sgi_sublayer *s, const sgi_sublayer *owner, sgi_table *t,
                             sg_error *err) {
  if (owner != s) {
    s->n_tensors = owner->n_tensors;
    s->beside = owner->beside;
    memcpy(s->row, owner->row, sizeof s->row);
    return SG_OK;
  }
  char prefix[64];
  snprintf(prefix, sizeof prefix, "model.layers.%zu.", s->layer);
  size_t first = t->count;
  sg_status st = sgi_table_add(t, prefix, s->ops->norm, SGI_DIMS(c->hidden_size), false, SGI_INIT_ONE, 0, err);
  if (!st) st = s->ops->tensors(s->config, prefix, t, err);
  s->beside = t->count - first;
  if (!st && s->ffn) st = add_beside(s, prefix, t, err);
  if (st) return st;
  bool shares = s->ffn && s->config->options.sink_mlp;
  size_t own = t->count - first;
  s->n_tensors = own + (shares ? SGI_SINK_MLP_TENSORS : 0);
  if (s->n_tensors > SGI_MAX_TENSORS)
    return sgi_fail(err, SG_ERR_INTERNAL, "%s of layer %zu has %zu tensors: at most %d", s->ops->name, s->layer,
                    s->n_tensors, SGI_MAX_TENSORS);
  for (size_t i = 0; i < s->n_tensors; i++) s->row[i] = i < own ? first + i : SGI_ROW_SINK_MLP + i - own;
  return SG_OK;
}

static sg_status make_layer(const sg_config *c, sgi_layer *layers, size_t l, sgi_table *t, sg_error *err) {
  static const sgi_sublayer_ops *const both[] = {&sgi_sublayer_attention, &sgi_sublayer_feedforward};
  sgi_layer *x = &layers[l];
  sgi_config_view(c, l, &x->config);
  for (size_t i = 0; i < SGI_COUNT(both); i++) {
    sgi_sublayer *s = i ? &x->feedforward : &x->attention;
    size_t owner = sgi_config_owner(c, l, both[i]->bit);
    *s = (sgi_sublayer){.ops = both[i], .config = &x->config, .layer = l};
    if (i && !(s->ffn = sgi_ffn_find(x->config.feedforward, err))) return SG_ERR_ARG;
    bool has = sgi_config_has(c, l, both[i]->bit);
    if (has || sgi_config_holds(c, l, both[i]->bit)) {
      sg_status st = add_tensors(c, s, i ? &layers[owner].feedforward : &layers[owner].attention, t, err);
      if (st) return st;
    }
    if (!has) s->ops = NULL;
  }
  return SG_OK;
}

sg_status sgi_layers_make(const sg_config *c, sgi_table *t, sgi_layer **out, sg_error *err) {
  memset(t, 0, sizeof *t);
  size_t D = c->hidden_size;
  *out = sgi_alloc(c->num_layers * sizeof **out);
  if (!*out) return sgi_fail_memory(err, c->num_layers * sizeof **out, "a model's layers");
  sg_status st = sgi_table_add(t, "model.", "embed_tokens.weight", SGI_DIMS(c->vocab_size, D), true, SGI_INIT_NORMAL,
                               1 / sqrt((double)D), err);
  size_t width = sink_mlp_width(c);
  if (!st && width) st = sgi_sink_mlp_tensors(c, width, t, err);
  for (size_t l = 0; l < c->num_layers && !st; l++) st = make_layer(c, *out, l, t, err);
  if (!st) st = sgi_table_add(t, "model.", "norm.weight", SGI_DIMS(D), false, SGI_INIT_ONE, 0, err);
  if (!st) return SG_OK;
  sgi_table_deinit(t);
  sgi_free(*out);
  *out = NULL;
  return st;
}

/* ---- steps ----------------------------------------------------------------------------------- */

typedef struct maker {
  const sgi_layer *layers;
  const sgi_layer_form *form;
  size_t rounds; /* steps of the form */
  sgi_plan *plan;
} maker;

/* Of a group, its first layer's; a layer alone is its own. */
static size_t router_of(const maker *m, const sgi_sublayer *s, size_t layer) {
  const sgi_plan *p = m->plan;
  if (!s->ffn || !s->ffn->shared || (s->ffn->shares && !s->ffn->shares(s->config))) return SIZE_MAX;
  size_t source = sgi_config_router(s->config, layer);
  for (size_t i = 0; i < p->n_steps && source != layer; i++)
    if (p->steps[i].sub->ffn && p->steps[i].layer == source) return i;
  return p->n_steps;
}

static void add(maker *m, const sgi_sublayer *s, size_t layer, size_t step, size_t stage, size_t before, bool last) {
  sgi_plan *p = m->plan;
  sgi_plan_step x = {.sub = s,
                     .layer = layer,
                     .step = step,
                     .stage = stage,
                     .evaluation = p->n_evaluations,
                     .before = before,
                     .last = last};
  if (s->ops == &sgi_sublayer_attention) x.cache = p->n_attention++;
  x.router = router_of(m, s, layer);
  p->steps[p->n_steps++] = x;
  if (last) p->n_evaluations++;
}

static void add_layer(maker *m, size_t l) {
  const sgi_sublayer *a = &m->layers[l].attention, *f = &m->layers[l].feedforward;
  size_t before = m->plan->n_steps, evaluations = m->form->chain ? 1 : m->rounds * m->form->stages;
  for (size_t e = 0; e < evaluations; e++) {
    size_t step = e / m->form->stages, stage = e % m->form->stages;
    if (a->ops) add(m, a, l, step, stage, before, m->form->chain || !f->ops);
    if (f->ops) add(m, f, l, step, stage, m->form->chain ? m->plan->n_steps : before, true);
  }
}

sg_status sgi_plan_make(const sg_config *c, const sgi_layer *layers, sgi_plan *out, sg_error *err) {
  size_t L = c->num_layers, most = 2 * L * sgi_form_evaluations(c);
  *out =
      (sgi_plan){.steps = sgi_alloc(most * sizeof *out->steps), .first = sgi_alloc(2 * (L + 1) * sizeof *out->first)};
  if (!out->steps || !out->first) {
    sgi_plan_deinit(out);
    return sgi_fail_memory(err, most * sizeof *out->steps, "the steps of a pass");
  }
  out->evaluation = out->first + L + 1;
  maker m = {layers, sgi_form_of(c), sgi_form_steps(c), out};
  for (size_t l = 0; l < L; l++) {
    out->first[l] = out->n_steps;
    out->evaluation[l] = out->n_evaluations;
    add_layer(&m, l);
  }
  out->first[L] = out->n_steps;
  out->evaluation[L] = out->n_evaluations;
  return SG_OK;
}

void sgi_plan_deinit(sgi_plan *p) {
  sgi_free(p->steps);
  sgi_free(p->first);
  *p = (sgi_plan){0};
}

size_t sgi_plan_find(const sgi_plan *p, size_t layer, const sgi_sublayer_ops *ops) {
  for (size_t i = p->first[layer]; i < p->first[layer + 1]; i++)
    if (p->steps[i].sub->ops == ops) return i;
  return p->n_steps;
}
