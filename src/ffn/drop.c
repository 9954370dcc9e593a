#include "ffn/drop.h"

#include <math.h>

#include "core/rng.h"

void sgi_drop_values(const sgi_drop *d, const sg_config *layer, const int32_t *index, float *x, size_t n) {
  sgi_rng r = sgi_rng_make(d->seed, SGI_STREAM_DROP, layer->layer);
  uint64_t below = (uint64_t)ldexp(d->share, 64);
  size_t C = layer->num_channels, K = layer->top_k, slices = d->slices ? d->slices : 1;
  size_t pools = d->slot ? d->pools : 1, pool = d->slot ? d->pool : 0;
#pragma omp parallel for schedule(static) if (n * C * K > 4096)
  for (size_t i = 0; i < n; i++) {
    uint64_t token = d->first + (d->slot ? (size_t)d->slot[i] / d->picks : i);
    uint64_t channel = ((token * pools + pool) * slices + d->slice) * C;
    for (size_t at = i * C * K; at < (i + 1) * C * K; at++)
      if (sgi_rng_at(&r, (channel + at / K % C) * layer->num_neurons + (uint64_t)index[at]) < below) x[at] = 0;
  }
}
