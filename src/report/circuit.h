/* circuit.h: what made a transcoder's feature act, or a logit, as documents: terms, paths, total
 * effects, each beside true removal; weights between features without a prompt; circuits held
 * against true runs (docs/method-comparison.md, circuits). */
#ifndef SGI_REPORT_CIRCUIT_H
#define SGI_REPORT_CIRCUIT_H

#include "text.h"

struct sgi_sparse_set;

/* ---- on a prompt ----------------------------------------------------------------------------- */

typedef struct sgi_circuit_request {
  const sgi_prompt *p;
  const struct sgi_sparse_set *set; /* transcoders of all layers below the target */
  bool of_feature;                  /* a feature is explained, else a logit */
  size_t layer, feature, position;
  int32_t token, against;  /* logit: -1: the most probable; -1: none */
  size_t verify;           /* so many of the largest features are taken out in a true run */
  size_t depth, branches;  /* steps of a path, 0: no paths; paths kept at each */
  bool positive, skip_bos; /* the largest contributions, not the largest absolute ones; position 0 left out */
  size_t max_bytes;
  bool (*go_on)(void *user); /* between true runs; false cancels */
  void *user;
} sgi_circuit_request;

/* {target, own_bias, terms: [{kind, contribution, layer, head, position, feature, invariant,
 * dependent, true}], residue, error_share, paths: {nodes, depths}, total: {embedding, b_e, b_d,
 * error}}: of terms the embedding, features largest first, heads by source, biases and errors by
 * layer; true null where it was not asked for; depths: the best paths of each number of steps, as
 * numbers of nodes from the target on. SG_ERR_INTERNAL where the terms are not a whole. New
 * reference. */
sg_status sgi_circuit_report(const sgi_circuit_request *r, json_t **out, sg_error *err);

/* "graph" of that document, of the graph behind the target: {nodes, edges, all_nodes, error_share,
 * input_share, worst_residue}. New reference; NULL when memory is out. */
json_t *sgi_circuit_graph_json(const sg_graph *g);

/* ---- without a prompt ------------------------------------------------------------------------ */

typedef struct sgi_circuit_weights_request {
  const sgi_prompt *p;
  const struct sgi_sparse_set *set;
  size_t layer, feature;
  bool one_head; /* through this head alone; else the stream and every head */
  size_t head_layer, head;
  size_t top; /* weights and tokens that are told */
  bool (*go_on)(void *user);
  void *user;
} sgi_circuit_weights_request;

/* {layer, feature, weights: [{layer, feature, head_layer, head, invariant}], deembedding: [{token,
 * value}]}: what a feature reads whatever the prompt, largest first; head null: the stream. New
 * reference. */
sg_status sgi_circuit_weights(const sgi_circuit_weights_request *r, json_t **out, sg_error *err);

/* ---- against true runs ----------------------------------------------------------------------- */

typedef struct sgi_circuit_score_request {
  const sg_model *model;
  const struct sgi_sparse_set *set;
  const sg_model *rival;    /* of the same tokens; NULL: none */
  const sgi_corpus *corpus; /* prompts are beginnings of its documents */
  size_t prompts, tokens;   /* so many at most, so long, the begin token among them */
  size_t removals;          /* features of a prompt that are taken out: as many largest as random */
  uint64_t seed;
  size_t max_bytes;
  bool (*progress)(void *user, size_t done, size_t wanted);
  void *user;
} sgi_circuit_score_request;

/* {prompts, tokens, loss, rival_loss, removals, rank, agreement, quotient, error_share, difference,
 * features, neurons, left: {features, features_no_errors, random, neurons, rival: [{k, left}]}}:
 * null for what was not made. New reference. */
sg_status sgi_circuit_score(const sgi_circuit_score_request *r, json_t **out, sg_error *err);

#endif
