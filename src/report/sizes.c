#include "sizes.h"

#include <string.h>

#include "ffn/beside.h"
#include "model/model.h"
#include "model/pass.h"
#include "model/weights.h"
#include "read/neuron.h"

sgi_sizes sgi_layer_sizes(const sg_model *m, size_t layer) {
  const sgi_sublayer *s = sgi_feedforward_of(m, layer);
  sgi_gates gates;
  size_t heads = sgi_attention_of(m, layer) ? sg_model_config(m)->num_heads : 0;
  if (!s) return (sgi_sizes){.channels = 1, .heads = heads};
  size_t channels = sgi_unit_channels(s->config), always = sgi_beside_neurons(s->config, SGI_ALWAYS_ON),
         sink = sgi_beside_neurons(s->config, SGI_SINK_MLP);
  return (sgi_sizes){channels, s->config->num_neurons, heads, sgi_layer_gates(m, layer, &gates),
                     always > sink ? always : sink};
}

sgi_sizes sgi_largest_sizes(const sg_model *m) {
  sgi_largest most = sgi_model_largest(m);
  return (sgi_sizes){most.channels, most.neurons, sg_model_config(m)->num_heads, sgi_model_chooses(m), most.beside};
}

static sgi_beside beside_of(const sg_model *m, size_t layer, ptrdiff_t channel) {
  const sgi_sublayer *s = layer < m->config.num_layers ? sgi_feedforward_of(m, layer) : NULL;
  return s ? sgi_beside_of_channel(s->config, channel) : SGI_BESIDE_PARTS;
}

const char *sgi_neuron_site(const sg_model *m, size_t layer, ptrdiff_t channel, bool *by_channel) {
  sgi_beside part = beside_of(m, layer, channel);
  bool own = part == SGI_BESIDE_PARTS;
  *by_channel = own && layer < m->config.num_layers && sgi_layer_sizes(m, layer).chooses;
  return sgi_site_row_of(own ? SGI_SITE_NEURONS : sgi_beside_site(part))->name;
}

const char *sgi_neuron_beside(const sg_model *m, size_t layer, ptrdiff_t channel) {
  sgi_beside part = beside_of(m, layer, channel);
  return part == SGI_BESIDE_PARTS ? NULL : sgi_beside_name(part);
}

sg_status sgi_neuron_check(const sg_model *m, size_t layer, size_t channel, size_t index, sg_error *err) {
  sgi_unit u;
  return sgi_unit_find(m, layer, channel, index, &u, err);
}

const char *sgi_part_of_name(sgi_part_of part) {
  static const char *const names[SGI_PARTS_OF] = {"embedding", "attention", "feedforward", "norms"};
  return names[part];
}

static sgi_part_of part_of(const sg_model *m, size_t row) {
  if (row == SGI_ROW_EMBED) return SGI_OF_EMBEDDING;
  if (row == sgi_final_norm_row(m)) return SGI_OF_NORMS;
  size_t tensor;
  const sgi_sublayer *s = sgi_row_user(m, row, &tensor);
  if (tensor == SGI_T_NORM) return SGI_OF_NORMS;
  return s->ffn ? SGI_OF_FEEDFORWARD : SGI_OF_ATTENTION;
}

void sgi_parameters_by_part(const sg_model *m, size_t out[SGI_PARTS_OF]) {
  memset(out, 0, SGI_PARTS_OF * sizeof *out);
  for (size_t i = 0; i < m->table.count; i++) out[part_of(m, i)] += m->table.rows[i].count;
}

size_t sgi_model_files(const sg_model *m) { return sgi_weights_files(m->file); }
const char *sgi_model_file_types(const sg_model *m) { return sgi_weights_types(m->file); }
