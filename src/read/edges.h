/* edges.h: all direct effects on the inputs of a few nodes, by one frozen backward sweep each. */
#ifndef SGI_EDGES_H
#define SGI_EDGES_H

#include "read/frozen.h"

/* Sources of a prompt, numbered: T tokens, L*T biases (where the network has any), L*T*units neurons. */
typedef struct sgi_sources {
  size_t T, L, units, biases, count;
} sgi_sources;
sgi_sources sgi_sources_of(const sgi_frozen *f);
static inline size_t sgi_source_bias(const sgi_sources *s, size_t layer, size_t t) { return s->T + layer * s->T + t; }
static inline size_t sgi_source_neuron(const sgi_sources *s, size_t layer, size_t t, size_t j) {
  return s->T + s->biases + (layer * s->T + t) * s->units + j;
}

typedef struct sgi_edge_target {
  size_t layer; /* of a neuron; L for a logit */
  size_t position;
  const sgi_unit *unit; /* neuron */
  int32_t token;        /* logit */
} sgi_edge_target;

enum { SGI_EDGE_BATCH = 16 };

/* Scratch of a sweep. */
typedef struct sgi_edge_work {
  float *g, *buffer;
} sgi_edge_work;
sg_status sgi_edge_work_init(sgi_edge_work *w, const sgi_frozen *f, sg_error *err);
void sgi_edge_work_deinit(sgi_edge_work *w);

/* rows (R,count) = direct effects of all sources on targets of one layer, R <= SGI_EDGE_BATCH. part 0: by all ways, 1: along the
 * residual stream alone, 2 + layer*H + head: ways whose last head is that one. only (count):
 * sources to look at, the others' entries are 0; NULL: all. */
enum { SGI_PART_ALL = 0, SGI_PART_NONE = 1, SGI_PART_HEADS = 2 };
sg_status sgi_edges(const sgi_frozen *f, const sgi_edge_target *targets, size_t R, size_t part, const bool *only,
                    double *rows, sgi_edge_work *w, sg_error *err);

#endif
