/* edges.h: all direct effects on the inputs of a few nodes, by one frozen backward sweep each. */
#ifndef SGI_EDGES_H
#define SGI_EDGES_H

#include "read/frozen.h"

/* Sources of a prompt, numbered: T tokens; for each step that writes unit by unit T biases (where
 * the network has any); for each that misses something T errors; then for each step that writes
 * unit by unit T * units neurons. */
typedef struct sgi_sources {
  size_t T, count, errors, neurons; /* errors, neurons: number of the first */
  size_t *bias, *error, *neuron;    /* (n_steps) number of a step's first; count where it has none */
} sgi_sources;
/* New: sgi_sources_deinit. */
sg_status sgi_sources_init(sgi_sources *s, const sgi_frozen *f, sg_error *err);
void sgi_sources_deinit(sgi_sources *s);
/* The step of a source behind the tokens, and what is left of its number there: position (biases,
 * errors), position * units + unit. */
size_t sgi_source_step(const sgi_sources *s, const sgi_frozen *f, size_t source, size_t *rest);

typedef struct sgi_edge_target {
  size_t step; /* of a neuron; n_steps for a logit */
  size_t position;
  const sgi_unit *unit; /* neuron */
  int32_t token;        /* logit */
} sgi_edge_target;

enum { SGI_EDGE_BATCH = 16 };

/* rows (R,count) = direct effects of all sources on targets of one step, R <= SGI_EDGE_BATCH. part
 * 0: by all ways, 1: along the residual stream alone, 2 + layer*H + head (H: f->heads): ways whose
 * last head is that one. only (count): sources to look at, the others' entries are 0; NULL: all. w
 * has room for SGI_EDGE_BATCH gradients of T positions. */
enum { SGI_PART_ALL = 0, SGI_PART_NONE = 1, SGI_PART_HEADS = 2 };
sg_status sgi_edges(const sgi_frozen *f, const sgi_sources *s, const sgi_edge_target *targets, size_t R, size_t part,
                    const bool *only, double *rows, sgi_sweep *w, sg_error *err);

#endif
