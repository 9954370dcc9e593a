/* previous.h: what the stream says of the token before: directions p_v for "the previous token was
 * v", fitted on one half of a text and tested on the other; heads that look there, what they copy,
 * and who reads it (docs/method-comparison.md, previous tokens). */
#ifndef SGI_PREVIOUS_H
#define SGI_PREVIOUS_H

#include "model/model.h"

typedef struct sgi_previous_request {
  const int32_t *targets; /* (rows,T) a document a row, padding behind; the first half of the rows fits */
  size_t rows, T;
  const bool *skip; /* (V) tokens that are no v; NULL: none */
  size_t min_count; /* of v as a previous token in the half that fits */
  size_t most;      /* tokens v at most, the most frequent first */
  size_t rotations; /* of the control of compositions */
  uint64_t seed;
  size_t max_bytes;
  bool (*progress)(void *user, size_t done, size_t wanted); /* false cancels; NULL allowed */
  void *user;
} sgi_previous_request;

typedef struct sgi_previous_token {
  int32_t id, after;                 /* v, and what most often stands behind it */
  size_t fitted, tested, after_both; /* positions whose previous token is v in either half; of the tested ones those
                                        whose own token is `after` */
} sgi_previous_token;

/* AUC of x . p_v for "the previous token is v", against: all other positions; those whose own token
 * is `after`; the same, of positions with v only those, too (what the own token can not say). */
enum { SGI_PREVIOUS_ALL, SGI_PREVIOUS_AFTER, SGI_PREVIOUS_MATCHED, SGI_PREVIOUS_AUCS };

typedef struct sgi_previous_site {
  char name[SG_SITE_NAME];
  double auc[SGI_PREVIOUS_AUCS];   /* means over the tokens that have one */
  size_t count[SGI_PREVIOUS_AUCS]; /* of those */
} sgi_previous_site;

typedef struct sgi_previous_head {
  size_t layer, head;
  double looks;  /* mean weight on the position before, the first two positions left out */
  double cosine; /* of p_v at the layer's resid_mid with E_v M_lh, mean over v */
} sgi_previous_head;

/* |M_lh M_qk|_F / (|M_lh|_F |M_qk|_F) of a head and one of a higher layer, on its query and its key
 * side, and the mean where a random rotation stands between them. */
typedef struct sgi_composition {
  size_t layer, head, to_layer, to_head;
  double query, key, control;
} sgi_composition;

typedef struct sgi_previous {
  size_t fitted, tested; /* positions */
  size_t n_tokens, n_sites, n_heads, n_compositions;
  sgi_previous_token *tokens;
  sgi_previous_site *sites; /* of the stream, in order */
  double *auc;              /* (sites,tokens,SGI_PREVIOUS_AUCS); NaN where a side has fewer than SGI_PREVIOUS_LEAST */
  sgi_previous_head *heads;
  double *summed;                /* (L) as cosine, of the sum over the heads of a layer; NaN: no attention */
  sgi_composition *compositions; /* largest key over its control first */
} sgi_previous;
enum { SGI_PREVIOUS_LEAST = 10 };

/* New: sgi_previous_free. A text in which no token is frequent enough is SG_ERR_ARG. */
sg_status sgi_previous_make(const sg_model *m, const sgi_previous_request *r, sgi_previous **out, sg_error *err);
void sgi_previous_free(sgi_previous *p);

/* Features of sparse MLPs as tests of "the token before was v": for each the token that it tells
 * best, before it and its own, chosen by F1 on the first half and judged on the second. It is a
 * feature of the previous token where its F1 is above 0.8 there and 0.2 above that of its own
 * token. */
struct sgi_sparse_set;
typedef struct sgi_previous_feature {
  size_t layer, feature;
  uint32_t count;      /* positions of the second half where it acts */
  int32_t before, own; /* tokens; -1: it acts nowhere in the first half */
  double before_f1, own_f1;
} sgi_previous_feature;
typedef struct sgi_previous_layer {
  size_t layer, features, live; /* live: act in the first half */
  size_t previous, current;     /* features of the previous token, and of the own */
  double mean_before, mean_own; /* F1, over live ones */
} sgi_previous_layer;
typedef struct sgi_previous_features {
  size_t n_layers, n;
  sgi_previous_layer *layers; /* (n_layers) */
  sgi_previous_feature *at;   /* (n) by layer and number */
} sgi_previous_features;
/* Deinit in any case. */
sg_status sgi_previous_features_make(const sg_model *m, const struct sgi_sparse_set *set, const sgi_previous_request *r,
                                     sgi_previous_features *out, sg_error *err);
void sgi_previous_features_deinit(sgi_previous_features *f);

/* Area under the curve of scores (n) for positive (n) among member (n); order (n): indexes by
 * ascending score. NaN where there are fewer than SGI_PREVIOUS_LEAST of either. */
double sgi_previous_auc(const float *scores, const uint32_t *order, const bool *positive, const bool *member, size_t n);

#endif
