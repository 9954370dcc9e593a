/* sparse_eval.h: what sparse MLPs keep of a model, over held-out rows, beside what simpler things
 * keep (docs/method-comparison.md, loss recovered). */
#ifndef SGI_SPARSE_EVAL_H
#define SGI_SPARSE_EVAL_H

#include "compare/sparse_set.h"

/* Rows of a text, each T long; a position counts where its target is not padding. */
typedef struct sgi_sparse_rows {
  size_t n, T;
  void (*get)(void *user, size_t row, int32_t *inputs, int32_t *targets, int32_t *starts); /* (T) each */
  void *user;
} sgi_sparse_rows;

/* What stands in a place's stead. */
typedef enum sgi_sparse_way {
  SGI_WAY_NONE,
  SGI_WAY_ZERO,   /* 0 */
  SGI_WAY_MEAN,   /* its mean over the same text */
  SGI_WAY_SPARSE, /* the sparse MLP */
  SGI_WAY_OWN,    /* its own hidden activations, the K largest by |h| |W2| at each position, K the L0 */
  SGI_WAY_LINEAR, /* a linear map of rank L0, by least squares over another text */
  SGI_WAYS
} sgi_sparse_way;
extern const char *const sgi_sparse_way_names[]; /* "none", "zero", "mean", "replaced", "own", "linear" */

typedef struct sgi_sparse_run {
  bool made;
  double loss, kl;                     /* KL(model || changed) per counted position */
  double recovered, recovered_of_mean; /* NaN where they are not defined */
} sgi_sparse_run;

typedef struct sgi_sparse_score {
  double l0, l1, mse, mse_zero, variance_explained;
  size_t dead;
  double *frequency;   /* (M) share of counted positions */
  double *mean_output; /* (D) */
  size_t kept;         /* K of OWN and rank of LINEAR */
  sgi_sparse_run run[SGI_WAYS];
} sgi_sparse_score;

typedef struct sgi_sparse_eval {
  double loss; /* of the model */
  uint64_t counted;
  size_t n;
  sgi_sparse_score *at;         /* (n) layers of the set */
  sgi_sparse_run all[SGI_WAYS]; /* all places at once */
  bool undefined;               /* some |loss_zero - loss| is below SGI_SPARSE_LEAST */
} sgi_sparse_eval;
#define SGI_SPARSE_LEAST 1e-3

typedef struct sgi_sparse_eval_request {
  const sg_model *model;
  const sgi_sparse_set *set;
  sgi_sparse_rows rows;
  bool own;                   /* the layers' own activations; only of SGI_PLACE_MLP and where units have values */
  const sgi_sparse_rows *fit; /* text that linear maps are fitted to; NULL: none */
  bool (*progress)(void *user, uint64_t done, uint64_t wanted); /* in rows; false cancels. NULL allowed. */
  void *user;
} sgi_sparse_eval_request;

/* New: sgi_sparse_eval_free. */
sg_status sgi_sparse_evaluate(const sgi_sparse_eval_request *r, sgi_sparse_eval **out, sg_error *err);
void sgi_sparse_eval_free(sgi_sparse_eval *e);

/* 1 - (changed - loss) / (without - loss); NaN where the two differ by less than
 * SGI_SPARSE_LEAST. */
double sgi_loss_recovered(double loss, double changed, double without);

#endif
