#include "sizes.h"

#include "model/model.h"
#include "read/neuron.h"

sgi_sizes sgi_layer_sizes(const sg_model *m, size_t layer) {
  const sgi_sublayer *s = sgi_feedforward_of(m, layer);
  sgi_gates gates;
  size_t heads = sgi_attention_of(m, layer) ? sg_model_config(m)->num_heads : 0;
  if (!s) return (sgi_sizes){.channels = 1, .heads = heads};
  size_t channels = sgi_unit_channels(s->config);
  return (sgi_sizes){channels, s->config->num_neurons, heads, sgi_layer_gates(m, layer, &gates)};
}

sgi_sizes sgi_largest_sizes(const sg_model *m) {
  sgi_largest most = sgi_model_largest(m);
  return (sgi_sizes){most.channels, most.neurons, sg_model_config(m)->num_heads, sgi_model_chooses(m)};
}

sg_status sgi_neuron_check(const sg_model *m, size_t layer, size_t channel, size_t index, sg_error *err) {
  sgi_unit u;
  return sgi_unit_find(m, layer, channel, index, &u, err);
}
