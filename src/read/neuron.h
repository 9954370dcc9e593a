/* neuron.h: one neuron from its weights. */
#ifndef SGI_NEURON_H
#define SGI_NEURON_H

#include "model/model.h"

/* Weights of a unit; SG_ERR_ARG with what there is where there is none of that number. */
sg_status sgi_unit_find(const sg_model *m, size_t layer, size_t channel, size_t index, sgi_unit *out, sg_error *err);

#endif
