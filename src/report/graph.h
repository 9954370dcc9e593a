/* graph.h: attribution graphs as answers: of a model's neurons or of transcoders' features, as
 * JSON, and the words that files of a graph carry. */
#ifndef SGI_REPORT_GRAPH_H
#define SGI_REPORT_GRAPH_H

#include "prompt.h"

struct sgi_sparse_set;

/* sg_graph_create; with a set that of its features, errors as nodes. */
sg_status sgi_graph_of(const sgi_prompt *p, const struct sgi_sparse_set *set, const sg_graph_request *r, sg_graph **out,
                       sg_error *err);

/* {tokens, position, all_nodes, explored, node_share, edge_share, input_share, worst_residue,
 * features, error_share, nodes, edges, heads}: features, error_share and labels of nodes of a graph
 * of features (with its set) alone, heads where edges are split. New; NULL when memory is out. */
json_t *sgi_graph_json(const sgi_prompt *p, const sg_graph *g, const struct sgi_sparse_set *set);

/* Texts of tokens and outputs, and what each neuron or feature does in a few words. */
typedef struct sgi_graph_words {
  char **texts; /* of the prompt, then of the outputs */
  size_t n_texts, n_tokens;
  char *labels;       /* (n_nodes) of equal length */
  const char **nodes; /* (n_nodes) into it, NULL where there is none */
} sgi_graph_words;
/* Labels of neurons out of rec (NULL: their weights), of features by their weights. Free in any
 * case. */
sg_status sgi_graph_words_make(const sgi_prompt *p, const sg_graph *g, const struct sgi_sparse_set *set,
                               const sg_recording *rec, sgi_graph_words *out, sg_error *err);
void sgi_graph_words_free(sgi_graph_words *w);
/* l's texts and labels are w's; the rest stays. */
void sgi_graph_words_into(const sgi_graph_words *w, const sgi_prompt *p, sg_graph_labels *l);

#endif
