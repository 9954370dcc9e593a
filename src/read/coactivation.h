/* coactivation.h: how often neurons fire together in a recording, and sets that do so far above
 * chance. Counts come from the inverted index row by row, so memory is that of one row whatever the
 * pool's size. */
#ifndef SGI_COACTIVATION_H
#define SGI_COACTIVATION_H

#include "read/neighbors.h"

/* count (F): at how many positions each neuron of channel `other` fires where (channel, neuron)
 * does. Every recorded position counts. With other == channel the neuron's own count is 0, as in
 * the reference (golden README no. 31): ordered pairs of different neurons. index is scratch for
 * C*K entries. */
void sgi_coactivation_row(const sgi_recording *rec, size_t slot, size_t channel, size_t neuron, size_t other,
                          uint32_t *count, int32_t *index);

/* Writes a safetensors file with counts.layer{L}.channel{C} int32 (F,F) and
 * normalized.layer{L}.channel{C} float64, each row divided by its sum and rows without any left
 * 0. */
sg_status sgi_coactivation_write(const sgi_recording *rec, size_t slot, size_t channel, const char *path,
                                 sg_error *err);

typedef struct sgi_group_request {
  size_t slot, channel; /* SGI_ALL_CHANNELS: neurons of all channels */
  size_t min_count;     /* joint firings a pair, and the whole set, must have */
  double min_lift;      /* of every pair of a set: joint count over n * share * share */
  size_t max_size, max_groups;
} sgi_group_request;

enum { SGI_GROUP_MAX = SG_GROUP_MAX };
typedef sg_group sgi_group;

/* Greedy cliques: the pair with the largest z-score first, then whichever neuron keeps every pair
 * above min_lift and the joint count largest, as long as the set still fires min_count times
 * together. A neuron is in at most one set. Sets in the order found; out (max_groups). progress may
 * be NULL; false stops. */
sg_status sgi_coactivation_groups(const sgi_recording *rec, const sgi_group_request *q,
                                  bool (*progress)(void *user, size_t done, size_t total), void *user, sgi_group *out,
                                  size_t *found, sg_error *err);

#endif
