/* sizes.h: how much a model's layers hold, for whoever names neurons by numbers. */
#ifndef SGI_REPORT_SIZES_H
#define SGI_REPORT_SIZES_H

#include "core/base.h"

/* Channels, of moe experts (1 or more), and neurons of each; heads of attention; chooses: units are
 * chosen, by channel. Zero neurons or heads: the layer has no such sublayer. */
typedef struct sgi_sizes {
  size_t channels, neurons, heads;
  bool chooses;
} sgi_sizes;
sgi_sizes sgi_layer_sizes(const sg_model *model, size_t layer);
/* The most of any layer. */
sgi_sizes sgi_largest_sizes(const sg_model *model);
/* SG_ERR_ARG, SG_ERR_UNSUPPORTED where the model has no such neuron. */
sg_status sgi_neuron_check(const sg_model *model, size_t layer, size_t channel, size_t index, sg_error *err);

#endif
