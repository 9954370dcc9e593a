/* feature_hold.h: a prompt's frozen network in which transcoders stand for the feedforward layers.
 * A layer's units are then the features that act (value h, gate 1, constant b_e), its bias is b_d,
 * and what the features miss of the layer's output is its error, a source of its own. Whatever is
 * read of a frozen network (edges, graphs, joint changes) is so read of features
 * (docs/method-comparison.md, circuits). */
#ifndef SGI_FEATURE_HOLD_H
#define SGI_FEATURE_HOLD_H

#include "compare/sparse_set.h"
#include "read/frozen.h"

/* The set has a transcoder of every feedforward layer of the model: else SG_ERR_ARG, which names
 * the layer. The set is borrowed as long as the network lives. */
sg_status sgi_features_check(const sg_model *m, const sgi_sparse_set *set, sg_error *err);
sgi_hold sgi_features_hold(const sgi_sparse_set *set);

/* sg_graph_create of features: their errors are nodes, graph.features is true. */
sg_status sgi_feature_graph(const sg_model *m, const sgi_sparse_set *set, const sg_graph_request *r, sg_graph **out,
                            sg_error *err);

/* Features scaled: what they write at a position (-1: everywhere) times scale. */
typedef struct sgi_feature_edit {
  size_t layer, feature;
  ptrdiff_t position;
  double scale;
} sgi_feature_edit;

/* With everything held: sg_joint, whose neurons are features. */
sg_status sgi_features_joint(const sg_model *m, const sgi_sparse_set *set, const sg_attribute_request *r,
                             const sgi_feature_edit *edits, size_t n_edits, sg_joint **out, sg_error *err);

/* The true run: mlp.out of the model as it runs then, plus (scale - 1) h W_d of each feature that
 * acts in that run; what the features miss stays. logits (V) at the position; met (n_edits) places
 * where a feature acted. Edits of one feature at one place act one after the other: factors
 * multiply. */
sg_status sgi_features_steer(const sg_model *m, const sgi_sparse_set *set, const int32_t *tokens, size_t T,
                             size_t position, const sgi_feature_edit *edits, size_t n_edits, float *logits, size_t *met,
                             sg_error *err);

#endif
