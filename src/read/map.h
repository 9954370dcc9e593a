/* map.h: which vectors of a recording or a model a map shows, and the map as a picture. */
#ifndef SGI_MAP_H
#define SGI_MAP_H

#include "read/cka.h"
#include "read/umap.h"

/* Circuits as vectors: the gates of a slot and channel (or all channels) at `positions` (n),
 * coordinate c*F + i of channel c and neuron i. Only channels' chosen neurons are stored.
 * sgi_vectors_free. */
sg_status sgi_map_circuits(const sgi_recording *rec, size_t slot, size_t channel, const uint32_t *positions, size_t n,
                           sgi_vectors *out, sg_error *err);

/* Positions of the first `documents` documents (0: all) whose input (by_target: target) is one of
 * tokens (n_tokens); *positions new: sgi_free, and label (count) the token's place in tokens, new
 * too. */
sg_status sgi_map_positions(const sgi_recording *rec, const sgi_top_token *tokens, size_t n_tokens, size_t documents,
                            bool by_target, uint32_t **positions, int32_t **label, size_t *count, sg_error *err);

typedef struct sgi_map_picture {
  const float *xy;      /* (n,2) */
  const int32_t *label; /* (n) 0 .. n_labels-1: the colour */
  size_t n, n_labels;
  const char *const *names; /* (n_labels) UTF-8 without control characters: in the legend and as titles of points */
  const char *title;
} sgi_map_picture;

/* An SVG of its own: points, colours by label, a legend of the first 40 labels. Written whole or
 * not at all. */
sg_status sgi_map_svg(const sgi_map_picture *p, const char *path, sg_error *err);

#endif
