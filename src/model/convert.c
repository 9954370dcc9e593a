#include "model/convert.h"

#include <stdio.h>
#include <string.h>

#include "model/config.h"

/* The kinds that can become another, for a message. */
static sg_status none(const sg_config *c, const char *to, sg_error *err) {
  char list[160] = "";
  for (size_t i = 0; sgi_ffn_at(i); i++) {
    size_t used = strlen(list);
    if (sgi_ffn_at(i)->convert_to)
      snprintf(list + used, sizeof list - used, "%s%s", used ? ", " : "", sgi_ffn_at(i)->name);
  }
  return sgi_fail(err, SG_ERR_ARG, "no layer can become one of %.40s: the model's are %s; expected: %s", to,
                  c->feedforward, list);
}

static sg_status one(sg_config *view, const sgi_ffn_convert *how, sg_feedforward *out, size_t *count, sg_error *err) {
  const sgi_ffn_ops *ffn = sgi_ffn_of(view);
  *out = sgi_config_feedforward(view);
  if (!ffn->convert_to) return SG_OK;
  ++*count;
  sg_status st = ffn->convert_to(view, how, out, err);
  sg_options beside = view->options; /* what stands beside the kind stays */
  beside.bias = out->options.bias;
  out->options = beside;
  return st;
}

sg_status sgi_convert_config(const sg_config *from, const sgi_ffn_convert *how, sg_config *to, sg_error *err) {
  sg_feedforward f;
  size_t count = 0;
  sg_config view = *from;
  *to = *from;
  sg_status st = one(&view, how, &f, &count, err);
  if (!st) sgi_config_set(to, &f);
  for (size_t i = 0; i < from->n_feedforwards && !st; i++) {
    sgi_config_set(&view, &from->feedforwards[i]);
    st = one(&view, how, &to->feedforwards[i], &count, err);
  }
  if (st) return st;
  return count ? sg_config_check(to, err) : none(from, how->to, err);
}

bool sgi_convert_is_loose(const sg_config *from, const sgi_ffn_convert *how) {
  for (size_t l = 0; l < from->num_layers; l++) {
    sg_config view;
    sgi_config_view(from, l, &view);
    const sgi_ffn_ops *ffn = sgi_ffn_of(&view);
    if (ffn && ffn->convert_loose && ffn->convert_loose(how)) return true;
  }
  return false;
}

void sgi_convert_scale(sg_model *m, size_t layer, float scale) {
  const sgi_sublayer *s = sgi_feedforward_of(m, layer);
  sgi_unit u;
  if (!s || !sgi_sublayer_unit_at(s, 0, 0, &u)) return;
  for (size_t i = SGI_T_OWN; i < s->n_tensors; i++) {
    const sgi_row *row = &m->table.rows[s->row[i]];
    for (size_t k = 0; k < row->count && s->weight[i] == u.out.weight; k++) m->arena[row->offset + k] *= scale;
  }
}

bool sgi_convert_differs(const sg_model *m, const sg_model *other, size_t layer) {
  const sgi_sublayer *a = sgi_feedforward_of(m, layer), *b = sgi_feedforward_of(other, layer);
  if (!a || !b) return false;
  sg_feedforward x = sgi_config_feedforward(a->config), y = sgi_config_feedforward(b->config);
  return strcmp(x.kind, y.kind) || strcmp(x.router, y.router) || strcmp(x.activation, y.activation) ||
         x.num_neurons != y.num_neurons || x.num_channels != y.num_channels || x.top_k != y.top_k ||
         x.key_dim != y.key_dim || x.router_group != y.router_group || x.expert_dim != y.expert_dim ||
         x.num_experts != y.num_experts || x.options.bias != y.options.bias;
}

/* Rows of the same name are the same tensor. */
static void copy_rest(const sg_model *m, sg_model *to) {
  for (size_t i = 0; i < to->table.count; i++) {
    ptrdiff_t row = sgi_table_find(&m->table, to->table.rows[i].name);
    if (row >= 0 && m->table.rows[row].count == to->table.rows[i].count)
      sgi_weight_to_float(to->arena + to->table.rows[i].offset, &m->weights[row]);
  }
}

static sg_status layer(const sg_model *m, const sgi_ffn_convert *how, sg_model *to, size_t l, sg_error *err) {
  const sgi_sublayer *from = &m->layers[l].feedforward, *x = &to->layers[l].feedforward;
  float *out[SGI_MAX_TENSORS];
  size_t router = sgi_config_router(from->config, l);
  for (size_t i = SGI_T_OWN; i < x->n_tensors; i++) out[i - SGI_T_OWN] = to->arena + to->table.rows[x->row[i]].offset;
  return from->ffn->convert(from->config, how, x->config, from->weight + SGI_T_OWN,
                            m->layers[router].feedforward.weight + SGI_T_OWN, out, err);
}

sg_status sgi_model_convert(const sg_model *m, const sgi_ffn_convert *how,
                            bool (*progress)(void *user, size_t done, size_t wanted), void *user, sg_model **out,
                            sg_error *err) {
  sg_config c;
  sg_model *to = NULL;
  *out = NULL;
  sg_status st = sgi_convert_config(&m->config, how, &c, err);
  if (!st) st = sgi_model_blank(&c, &to, err);
  if (!st) copy_rest(m, to);
  for (size_t l = 0; l < c.num_layers && !st; l++) {
    const sgi_sublayer *s = &m->layers[l].feedforward;
    if (s->n_tensors && s->ffn->convert && sgi_config_owner(&m->config, l, SG_FEEDFORWARD) == l)
      st = layer(m, how, to, l, err);
    if (!st && progress && !progress(user, l + 1, c.num_layers)) st = sgi_fail(err, SG_ERR_CANCELLED, "stopped");
  }
  if (st)
    sg_model_free(to);
  else
    *out = to;
  return st;
}
