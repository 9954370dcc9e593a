/* svd.h: singular directions of a model's weights as maps of the stream: what a head's queries and
 * keys compare, what a head copies, what a feedforward layer reads and writes, the embedding
 * (docs/method-comparison.md, singular directions).
 *
 * Gains are folded into the matrices, the norms' inverse scales left out. Everything is in double
 * from the stored weights; decompositions are LAPACK's, through QR factors and never through
 * M^T M. */
#ifndef SGI_SVD_H
#define SGI_SVD_H

#include "model/model.h"

typedef enum sgi_svd_matrix {
  SGI_SVD_QK,
  SGI_SVD_OV,
  SGI_SVD_MLP_IN,
  SGI_SVD_MLP_OUT,
  SGI_SVD_EMBEDDING,
  SGI_SVD_CENTRED,
  SGI_SVD_MATRICES
} sgi_svd_matrix;

extern const char *const sgi_svd_matrix_names[SGI_SVD_MATRICES]; /* "qk", "ov", "mlp_in", ... */

typedef struct sgi_svd_which {
  sgi_svd_matrix matrix;
  size_t layer, head; /* of qk, ov; layer of mlp_in, mlp_out */
  size_t distance;    /* qk: positions from the query back to the key */
  ptrdiff_t channel;  /* mlp_in, mlp_out: of one channel's pool (moe: one expert); -1: all */
  size_t draw;        /* mlp_in, mlp_out: so many neurons drawn at random by seed; 0: all */
  uint64_t seed;
} sgi_svd_which;

/* What a side's directions are dotted with: normed streams before the gain (tokens by E u), what is
 * written (tokens by (E * g) v), neurons, tokens themselves. */
typedef enum sgi_svd_side { SGI_SVD_READ, SGI_SVD_WRITTEN, SGI_SVD_NEURONS, SGI_SVD_TOKENS } sgi_svd_side;

typedef struct sgi_svd {
  sgi_svd_which which;
  size_t n;             /* singular values, largest first */
  size_t rows, columns; /* of the matrix: lengths of left and right directions */
  sgi_svd_side on_left, on_right;
  double *values;       /* (n) */
  double *left, *right; /* (n,rows), (n,columns): direction by direction */
  double frobenius2;    /* the matrix's own sum of squares, which that of the values was checked against */
  size_t *subspace;     /* (n) number of the first direction of the run whose values lie closer than
                           SGI_SVD_TIE of the largest to their neighbours: within it any rotation is as right */
  uint32_t *unit;       /* neurons: (rows or columns) channel * neurons + index of each; else NULL */
  size_t per_channel;   /* neurons of a channel */
} sgi_svd;

#define SGI_SVD_TIE 0.01

/* "qk of layer 1, head 2" into out. */
enum { SGI_SVD_NAME = 96 };
void sgi_svd_name(const sgi_svd_which *w, char out[SGI_SVD_NAME]);

/* New: sgi_svd_free. A layer, head or channel that the model lacks is SG_ERR_ARG or
 * SG_ERR_UNSUPPORTED, numbers that are not finite SG_ERR_NUMERIC. */
sg_status sgi_svd_make(const sg_model *m, const sgi_svd_which *w, sgi_svd **out, sg_error *err);
void sgi_svd_free(sgi_svd *s);

/* Units of a layer's feedforward that have rows of their own: channels that share a pool count
 * once. */
sg_status sgi_svd_pool(const sg_model *m, size_t layer, size_t *channels, size_t *per_channel, sg_error *err);

/* The vocabulary as rows, for scores of tokens along directions. */
typedef struct sgi_svd_words {
  size_t V, D;
  const float *rows; /* (V,D) of the embedding */
  const float *gain; /* (D) of the final norm */
  double *norm[2];   /* (V) lengths of the rows E (SGI_SVD_READ) and E * g (SGI_SVD_WRITTEN) */
  float *own;        /* rows where they are stored in another type */
} sgi_svd_words;
sg_status sgi_svd_words_make(const sg_model *m, sgi_svd_words *out, sg_error *err);
void sgi_svd_words_deinit(sgi_svd_words *w);

/* scores (V) of all tokens along a direction (D) of a side that tokens have; by cosine with the
 * token's row instead of the product. */
void sgi_svd_scores(const sgi_svd_words *w, sgi_svd_side side, bool cosine, const double *direction, double *scores);
/* The n largest (or smallest) scores of tokens that skip (V, NULL: none) leaves; ties to the lower
 * id. Returns how many there are. */
size_t sgi_svd_nearest(const double *scores, const bool *skip, size_t V, bool smallest, size_t n, int32_t *ids);

/* A rotation of n dimensions, uniform over all (Haar), from a stream of random numbers: q (n,n),
 * row by row. */
sg_status sgi_svd_rotation(uint64_t seed, uint64_t sub, size_t n, double *q, sg_error *err);

#endif
