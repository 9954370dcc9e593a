#include "read/graph_story.h"

size_t sgi_story_output(const sg_graph *g) {
  size_t best = g->n_nodes;
  for (size_t i = 0; i < g->n_nodes; i++) {
    const sg_node *n = &g->nodes[i], *b = best < g->n_nodes ? &g->nodes[best] : NULL;
    if (n->kind != SG_NODE_LOGIT) continue;
    if (!b || n->position < b->position || (n->position == b->position && n->probability > b->probability)) best = i;
  }
  return best;
}

size_t sgi_story_next(const sg_graph *g, size_t output) {
  size_t best = g->n_nodes;
  for (size_t i = 0; i < g->n_nodes; i++) {
    const sg_node *n = &g->nodes[i], *b = best < g->n_nodes ? &g->nodes[best] : NULL;
    if (n->kind != SG_NODE_LOGIT || n->position <= g->nodes[output].position) continue;
    if (!b || n->position < b->position || (n->position == b->position && n->probability > b->probability)) best = i;
  }
  return best;
}

/* Edges are sorted by target, then by |weight|: the first that fits is the strongest. sign 0:
 * any. */
static const sg_edge_link *strongest(const sg_graph *g, size_t target, int sign) {
  for (size_t e = 0; e < g->n_edges; e++) {
    const sg_edge_link *l = &g->edges[e];
    if (l->target != target) continue;
    if (!sign || (sign > 0 ? l->weight > 0 : l->weight < 0)) return l;
  }
  return NULL;
}

sgi_story_path sgi_story_find(const sg_graph *g, size_t output, int sign) {
  sgi_story_path p = {0};
  size_t down[SGI_STORY_STEPS];
  const sg_edge_link *e = strongest(g, output, sign);
  if (e) p.weight = e->weight;
  while (e && p.n < SGI_STORY_STEPS) {
    down[p.n++] = e->source;
    /* A value may be negative: what feeds a neuron most, whatever the sign, made it what it is. */
    e = g->nodes[e->source].kind == SG_NODE_NEURON ? strongest(g, e->source, 0) : NULL;
  }
  for (size_t i = 0; i < p.n; i++) p.nodes[i] = down[p.n - 1 - i];
  return p;
}
