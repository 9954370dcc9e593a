#include "compare/features.h"

#include <stdio.h>
#include <string.h>

#include "ffn/beside.h"

static float *tensor(const sg_model *m, const char *name, const sgi_row **row) {
  ptrdiff_t i = sgi_table_find(&m->table, name);
  *row = i < 0 ? NULL : &m->table.rows[i];
  return i < 0 ? NULL : (float *)(uintptr_t)m->w[i];
}

static bool unit_at(const sgi_features *f, size_t row, sgi_unit *u) {
  const sgi_sublayer *s = f->sub;
  return s->ffn->unit_at && s->ffn->unit_at(s->config, s->weight + SGI_T_OWN, row / f->per, row % f->per, u);
}

sg_status sgi_features_of(sg_model *m, size_t s, sgi_features *out, sg_error *err) {
  const sg_config *c = &m->config;
  size_t layer = s / 2;
  char name[SGI_MAX_TENSOR_NAME];
  const sgi_row *row;
  *out = (sgi_features){.D = c->hidden_size};
  out->sub = s % 2 ? sgi_feedforward_of(m, layer) : sgi_attention_of(m, layer);
  if (!out->sub) return sgi_fail(err, SG_ERR_ARG, "layer %zu has no such sublayer", layer);
  out->step = sgi_plan_find(&m->plan, layer, out->sub->ops);
  if (s % 2 == 0) {
    out->n = out->most = c->num_heads * c->head_dim;
    snprintf(name, sizeof name, "model.layers.%zu.self_attn.o_proj.weight", layer);
    out->rows = tensor(m, name, &row);
    return out->rows ? SG_OK : sgi_fail(err, SG_ERR_ARG, "the model has no tensor %s: nothing to tune", name);
  }
  const sg_config *view = out->sub->config;
  sgi_unit u;
  if (sgi_beside_units(view))
    return sgi_fail(err, SG_ERR_UNSUPPORTED,
                    "layer %zu has %s beside its kind, whose output rows tuning does not "
                    "change: a way without tuning prunes it (--method untuned, loss, loss-once, depth or random)",
                    layer, view->options.sink_mlp ? "a sink MLP" : "always-on neurons");
  out->per = view->num_neurons;
  out->n = sgi_unit_channels(view) * view->num_neurons;
  out->most = out->sub->ffn->unit_count(view) + 1;
  if (!unit_at(out, 0, &u))
    return sgi_fail(err, SG_ERR_UNSUPPORTED, "feedforward kind \"%s\" has no output rows that could be tuned",
                    out->sub->ffn->name);
  snprintf(name, sizeof name, "model.layers.%zu.mlp.down_proj.bias", layer);
  float *b = tensor(m, name, &row);
  if (b && row->n_dims == 1 && row->count == out->D) {
    out->bias = b;
    out->n++;
  }
  return SG_OK;
}

float *sgi_features_element(const sgi_features *f, size_t row, size_t d) {
  if (f->rows) return f->rows + d * f->n + row;
  if (f->bias && row == f->n - 1) return f->bias + d;
  sgi_unit u = {0};
  unit_at(f, row, &u);
  return (float *)(uintptr_t)sgi_f32(u.out.weight) + u.out.at + d * u.out.stride;
}

size_t sgi_features_at(const sgi_features *f, const sgi_held *h, const float *z, size_t t, uint32_t *index,
                       float *value) {
  size_t count = 0;
  for (size_t i = 0; i < f->n && f->rows; i++) {
    index[i] = (uint32_t)i;
    value[i] = z[t * f->n + i];
  }
  if (f->rows) return f->n;
  const sgi_unit *unit = sgi_held_units(h, t);
  for (size_t i = 0; i < h->units; i++) {
    if (unit[i].value == 0) continue;
    index[count] = (uint32_t)((size_t)unit[i].channel * f->per + (size_t)unit[i].index);
    value[count++] = (float)unit[i].value;
  }
  if (f->bias) {
    index[count] = (uint32_t)(f->n - 1);
    value[count++] = 1;
  }
  return count;
}
