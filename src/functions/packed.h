/* packed.h: an expert in as few bytes as say it, in float32, as the bench runs it: a head of four
 * counts and the bias; an edge's feature and form with base and coefficients, or a, b and c; bits;
 * gates. */
#ifndef SGI_FUNCTION_PACKED_H
#define SGI_FUNCTION_PACKED_H

#include "functions/expert.h"

enum { SGI_PACKED_MOST = 8 + SGI_MOST_EDGES * (4 + 4 * (1 + SGI_MOST_COEFS)) + 8 * (SGI_MOST_BITS + SGI_MOST_GATES) };

/* Bytes of one neuron's function, without its output row. */
size_t sgi_packed_bytes(const sgi_expert *e, const sgi_grid *g);
/* A hard expert, into as many bytes; returns how many. */
size_t sgi_pack_expert(const sgi_expert *e, const sgi_grid *g, uint8_t *to);

typedef struct sgi_packed_cells {
  float lo, hi, per; /* cells of a unit of z */
  size_t n;
} sgi_packed_cells;
static inline sgi_packed_cells sgi_packed_cells_of(const sgi_grid *g) {
  return (sgi_packed_cells){(float)g->lo, (float)g->hi, (float)((double)g->cells / (g->hi - g->lo)), g->cells};
}

/* phi(z) in float32; g: of the grid it was packed with. */
float sgi_packed_value(const uint8_t *p, const sgi_packed_cells *g, const float *z);

#endif
