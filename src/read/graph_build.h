/* graph_build.h: the state of a graph while it is made, shared by its two steps. */
#ifndef SGI_GRAPH_BUILD_H
#define SGI_GRAPH_BUILD_H

#include "read/edges.h"

typedef struct sgi_builder {
  const sg_graph_request *request;
  sgi_frozen f;
  sgi_sources s;
  sgi_sweep work; /* SGI_EDGE_BATCH gradients of T positions */
  double *rows;   /* (SGI_EDGE_BATCH, count) */
  size_t n_logits;
  int32_t *logits;   /* (n_logits) tokens */
  size_t *logits_at; /* (n_logits) positions that they are read at */
  double *probability, *logit;
  size_t nodes;      /* sources, then logits */
  double *influence; /* (nodes) */
  double *sum, *abs; /* (nodes) of the edges into an explored node */
  bool *explored;    /* (nodes) */
  size_t n_explored;
  double input_flow; /* unpruned: influence that reached tokens and biases */
} sgi_builder;

/* sg_graph_create of a network that hold (NULL: nothing) holds in another way. */
sg_status sgi_graph_create(const sg_model *m, const sg_graph_request *r, const sgi_hold *hold, sg_graph **out,
                           sg_error *err);

/* The target that node i (a neuron or a logit) is, and its step. */
sgi_edge_target sgi_builder_target(const sgi_builder *b, size_t i);

/* Chooses logits and gives every node its influence: explores neurons layer by layer from the
 * top. */
sg_status sgi_builder_explore(sgi_builder *b, sg_error *err);
/* Keeps nodes and edges of most influence and writes the graph. */
sg_status sgi_builder_prune(sgi_builder *b, sg_graph *g, sg_error *err);

#endif
