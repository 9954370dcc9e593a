/* feature_net.h: the network of one prompt with transcoders in the place of its feedforward layers
 * and everything held that decides: attention patterns, norm scales, which features act
 * (docs/method-comparison.md, circuits). What a transcoder misses is its own node, the error.
 *
 * A *stream* is named by how much is in it: (ffn, attention) feedforward and attention layers. What
 * feature (l, j) reads is (l, l + 1); the logit (L, L); what head (l, h) reads (l, l). A row vector
 * u on a stream at a position is taken apart into what wrote there: the terms of u. */
#ifndef SGI_FEATURE_NET_H
#define SGI_FEATURE_NET_H

#include "compare/sparse_set.h"
#include "read/frozen.h"

#define SGI_NET_NONE SIZE_MAX /* a layer without that sublayer has no such step */

typedef struct sgi_feature_net {
  sgi_frozen f;
  const sgi_sparse_set *set;
  size_t L, T, D, M, heads;        /* M: most features of a layer; heads of a layer */
  size_t *attention, *feedforward; /* (L) steps, or SGI_NET_NONE */
  /* (L) transcoders; NULL: none, below a target only where the layer has no feedforward */
  const sgi_sparse_layer **layer;
  double *pre, *h;  /* (L,T,M) */
  float *error;     /* (L,T,D) mlp.out - y */
  float *out;       /* (L,T,D) mlp.out */
  float *embedding; /* (T,D) of the prompt's tokens */
} sgi_feature_net;

/* The model's layers are plain sequential ones, of which some may lack a sublayer; sets of
 * SGI_PLACE_MLP. Deinit in any case. */
sg_status sgi_feature_net_init(sgi_feature_net *n, const sg_model *m, const sgi_sparse_set *set, const int32_t *tokens,
                               size_t T, size_t max_bytes, sg_error *err);
void sgi_feature_net_deinit(sgi_feature_net *n);

/* Features of a layer, 0 where it has no transcoder. */
static inline size_t sgi_net_features(const sgi_feature_net *n, size_t l) {
  return n->layer[l] ? n->layer[l]->form.features : 0;
}

static inline double sgi_net_h(const sgi_feature_net *n, size_t l, size_t t, size_t i) {
  return n->h[(l * n->T + t) * n->M + i];
}

/* What is explained. */
typedef struct sgi_feature_target {
  bool logit;
  size_t position;
  size_t layer, feature;  /* not logit */
  int32_t token, against; /* logit: token -1 the most probable; against -1: none */
} sgi_feature_target;

typedef struct sgi_net_stream {
  size_t ffn, attention, position;
} sgi_net_stream;

/* u (D), the stream that it is on, the target's value in the pass and its own constant. SG_ERR_ARG
 * where there is no such layer, feature, position or token, or a layer below lacks a transcoder.
 * Fills in target->token. */
sg_status sgi_feature_target_find(const sgi_feature_net *n, sgi_feature_target *target, double *u, sgi_net_stream *at,
                                  double *value, double *own, sg_error *err);

/* Everything that stands at a stream's position, on u. Arrays are the caller's, NULL: not
 * wanted. */
typedef struct sgi_net_terms {
  double embedding;
  double *features;    /* (L,M): of layers below stream.ffn, 0 above */
  double *b_d, *error; /* (L) likewise */
  double *heads;       /* (L,heads,T) by source */
  double sum, sum_abs, error_abs;
} sgi_net_terms;
void sgi_net_terms_of(const sgi_feature_net *n, const double *u, const sgi_net_stream *at, sgi_net_terms *out);

/* u through a head at stream->position to its source: u' (D) on (layer, layer) at source. */
void sgi_net_pull(const sgi_feature_net *n, size_t layer, size_t head, size_t position, size_t source, const double *u,
                  double *out);
/* u for what feature (l, i) read at a position: scale r2 g2 * W_e[:,i]. */
void sgi_net_feature_in(const sgi_feature_net *n, size_t l, size_t t, size_t i, double scale, double *out);

/* Total effects on the target: one sweep down. All sums with `own` add up to the value. */
typedef struct sgi_net_totals {
  double *embedding; /* (T) */
  double *b_e, *b_d; /* (L) */
  double *error;     /* (L,T) */
  double *features;  /* (L,T,M), NULL allowed: effect of each feature at each position; no whole */
} sgi_net_totals;
sg_status sgi_net_totals_of(const sgi_feature_net *n, const double *u, const sgi_net_stream *at, sgi_net_totals *out,
                            sg_error *err);

/* Without a prompt: w (M of layer `from`) of its features into feature j of layer `to`, through the
 * stream (head_layer < 0) or a head (from < head_layer or equal is too late). */
sg_status sgi_net_invariant(const sg_model *m, const sgi_sparse_set *set, size_t from, size_t to, size_t feature,
                            ptrdiff_t head_layer, size_t head, double *w, sg_error *err);
/* The same the other way, through the stream: w (M of layer `to`) of one feature into each of layer
 * `to`. */
sg_status sgi_net_downstream(const sg_model *m, const sgi_sparse_set *set, size_t from, size_t feature, size_t to,
                             double *w, sg_error *err);
/* De-embedding without a prompt: out (V) = E (g2 W_e[:,j]), or through a head. */
sg_status sgi_net_deembed(const sg_model *m, const sgi_sparse_set *set, size_t layer, size_t feature,
                          ptrdiff_t head_layer, size_t head, float *out, sg_error *err);
/* E u (V). */
void sgi_net_on_embedding(const sg_model *m, const double *u, float *out);

#endif
