/* graph_story.h: a graph in a sentence: the strongest way from the text to the output, and the
 * strongest that speaks against it. */
#ifndef SGI_GRAPH_STORY_H
#define SGI_GRAPH_STORY_H

#include "sgatlin.h"

enum { SGI_STORY_STEPS = 12 };

typedef struct sgi_story_path {
  size_t nodes[SGI_STORY_STEPS]; /* (n) from the text up; the last leads into the output */
  size_t n;
  double weight; /* of its last edge */
} sgi_story_path;

/* The output that a story begins with: of a word its first token, where the model decides for it;
 * else the most probable. n_nodes: there is none. */
size_t sgi_story_output(const sg_graph *g);
/* Of a word the token behind that of output, so that its story goes on; n_nodes: it ends. */
size_t sgi_story_next(const sg_graph *g, size_t output);
/* From the output along the strongest edge of the sign (1 or -1), then along each neuron's
 * strongest, until a token, a bias or an error is reached. n 0: no such edge. */
sgi_story_path sgi_story_find(const sg_graph *g, size_t output, int sign);

#endif
