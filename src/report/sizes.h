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

#endif
