/* means.h: what neurons and heads do on average over a text. */
#ifndef SGI_MEANS_H
#define SGI_MEANS_H

#include "model/pass.h"

typedef struct sgi_layer_means {
  size_t channels, units;
  float *value;  /* (channels,units) of a neuron's value, 0 where it was not chosen */
  float *output; /* (D) what all neurons write at these values, without biases */
} sgi_layer_means;

struct sg_means {
  const sg_model *model;
  size_t D, L, width; /* width: heads times their size */
  uint64_t positions;
  sgi_layer_means *layers; /* (L) */
  float *z;                /* (L,width) of each head's mixed values */
  void *memory;
};

/* y (D) += a * mean value * output row of a neuron. */
void sgi_means_add(const struct sg_means *m, size_t layer, size_t channel, size_t index, double a, float *y);

#endif
