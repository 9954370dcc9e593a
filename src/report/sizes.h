/* sizes.h: how much a model's layers hold, for whoever names neurons by numbers. */
#ifndef SGI_REPORT_SIZES_H
#define SGI_REPORT_SIZES_H

#include "core/base.h"

/* Channels, of moe experts (1 or more), and neurons of each; heads of attention; chooses: units are
 * chosen, by channel. Zero neurons or heads: the layer has no such sublayer. */
typedef struct sgi_sizes {
  size_t channels, neurons, heads;
  bool chooses;
  size_t beside; /* neurons of a part that stands beside: the channels from `channels` on; 0: there is none */
} sgi_sizes;
sgi_sizes sgi_layer_sizes(const sg_model *model, size_t layer);
/* The most of any layer. */
sgi_sizes sgi_largest_sizes(const sg_model *model);
/* Parameters by what they belong to. */
typedef enum sgi_part_of {
  SGI_OF_EMBEDDING,
  SGI_OF_ATTENTION,
  SGI_OF_FEEDFORWARD,
  SGI_OF_NORMS,
  SGI_PARTS_OF
} sgi_part_of;
const char *sgi_part_of_name(sgi_part_of part);
void sgi_parameters_by_part(const sg_model *model, size_t out[SGI_PARTS_OF]);
/* The files that hold a model's weights: how many, and the types in them as "BF16, F32" (borrowed
 * from the model). */
size_t sgi_model_files(const sg_model *model);
const char *sgi_model_file_types(const sg_model *model);
/* SG_ERR_ARG, SG_ERR_UNSUPPORTED where the model has no such neuron. */
sg_status sgi_neuron_check(const sg_model *model, size_t layer, size_t channel, size_t index, sg_error *err);

/* The site of a layer where values of a channel's neurons are seen, "neurons"; *by_channel: it has
 * an axis of channels. A layer that the model does not have is left to who is handed the name. */
const char *sgi_neuron_site(const sg_model *model, size_t layer, ptrdiff_t channel, bool *by_channel);
/* What stands beside a kind has channels of its own: "always-on", "sink MLP"; NULL for those of the
 * kind. */
const char *sgi_neuron_beside(const sg_model *model, size_t layer, ptrdiff_t channel);

#endif
