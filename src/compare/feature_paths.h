/* feature_paths.h: greedy paths back from a target, and the graph that they make together
 * (docs/method-comparison.md, circuits). */
#ifndef SGI_FEATURE_PATHS_H
#define SGI_FEATURE_PATHS_H

#include "compare/feature_net.h"

typedef enum sgi_path_kind { SGI_PATH_TARGET, SGI_PATH_FEATURE, SGI_PATH_HEAD, SGI_PATH_EMBEDDING } sgi_path_kind;

typedef struct sgi_path_node {
  sgi_path_kind kind;
  int32_t layer, head, feature; /* -1 where the kind has none */
  size_t position;              /* of a head: its source */
  double contribution;          /* of this step to the target; of the target its value */
  double invariant, dependent;  /* feature below a feature, or a head's: contribution = both and what is above */
  ptrdiff_t parent;             /* node before it; -1: none */
} sgi_path_node;

typedef enum sgi_path_order { SGI_PATH_ABSOLUTE, SGI_PATH_POSITIVE } sgi_path_order;

typedef struct sgi_paths {
  sgi_path_node *nodes; /* all that were kept at some depth; 0 is the target */
  size_t n_nodes;
  size_t depth, branches;
  size_t *last, *count; /* last (depth,branches): ends of the best paths of each depth; count (depth) */
  /* Of each node: what its direct terms say that the paths do not follow. */
  double *bias, *error, *rest; /* (n_nodes); rest: features, heads and embedding that are in no path */
  bool *expanded;              /* (n_nodes) its terms were listed */
} sgi_paths;

/* Deinit in any case. */
sg_status sgi_paths_find(const sgi_feature_net *n, const sgi_feature_target *target, const double *u,
                         const sgi_net_stream *at, double value, double own, size_t depth, size_t branches,
                         sgi_path_order order, bool skip_bos, sgi_paths *out, sg_error *err);
void sgi_paths_deinit(sgi_paths *p);

#endif
