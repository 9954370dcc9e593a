/* sparse_mlp.h: a sparse MLP that stands for a sublayer (transcoder) or for a place of the stream
 * (SAE): a wide hidden layer of which few features act at a position (docs/method-comparison.md,
 * sparse MLPs).
 *
 *     a = x W_e + b_e     h = f(a)     y = h W_d + b_d
 *     loss = mean over rows and D of (y - target)^2 + lambda S
 *
 * Features are rows here, of the encoder as of the decoder, so that a feature's two rows, its
 * moments and its gradient are all that it takes to train it. */
#ifndef SGI_SPARSE_MLP_H
#define SGI_SPARSE_MLP_H

#include "core/arena.h"
#include "math/kernels.h"

typedef enum sgi_sparse_activation { SGI_SPARSE_RELU, SGI_SPARSE_TOPK, SGI_SPARSE_JUMPRELU } sgi_sparse_activation;
/* How decoder rows are kept from making up for small h: UNIT rows of length 1; WEIGHTED S counts
 * h_j |W_d[j]|; FREE not at all. */
typedef enum sgi_sparse_decoder { SGI_DECODER_UNIT, SGI_DECODER_WEIGHTED, SGI_DECODER_FREE } sgi_sparse_decoder;

typedef struct sgi_sparse_form {
  size_t in, features, out; /* D of the input, M, D of the target */
  sgi_sparse_activation activation;
  sgi_sparse_decoder decoder;
  size_t top_k;     /* TOPK: features kept in a row */
  double bandwidth; /* JUMPRELU: width w of the rectangle around a threshold */
  double lambda;    /* RELU: of the L1, JUMPRELU: of the L0 */
  bool frozen;      /* W_e stays as it is: a baseline */
  bool mse_norm;    /* each squared error over the norm of its target row */
} sgi_sparse_form;

/* What is trained, in this order in every list of parts. */
typedef enum sgi_sparse_part {
  SGI_SPARSE_W_E,       /* (M,in): W_e transposed */
  SGI_SPARSE_B_E,       /* (M) */
  SGI_SPARSE_W_D,       /* (M,out) */
  SGI_SPARSE_B_D,       /* (out) */
  SGI_SPARSE_LOG_THETA, /* (M), JUMPRELU alone */
  SGI_SPARSE_PARTS
} sgi_sparse_part;

/* One set of arrays of those shapes: weights, gradient or a moment. log_theta NULL where there is
 * none. */
typedef struct sgi_sparse_arrays {
  float *at[SGI_SPARSE_PARTS];
} sgi_sparse_arrays;
size_t sgi_sparse_count(const sgi_sparse_form *f, sgi_sparse_part part); /* 0: the form has none */
void sgi_sparse_take(const sgi_sparse_form *f, sgi_arena *a, sgi_sparse_arrays *out);

/* What acts at rows of a batch: entries [start[r], start[r] + count[r]) of row r. Features ascend,
 * but for TOPK: largest first. */
typedef struct sgi_sparse_active {
  uint32_t *feature;
  float *h;
  size_t *start, *count; /* (n) */
} sgi_sparse_active;

/* Room for batches of up to `rows` rows and for all forms of these sizes. Sums, choices and the way
 * that a step is computed depend on the data and the sizes alone, so the bits do not depend on the
 * number of threads. */
typedef struct sgi_sparse_work sgi_sparse_work;
sg_status sgi_sparse_work_create(const sgi_sparse_form *f, size_t rows, bool training, sgi_sparse_work **out,
                                 sg_error *err);
void sgi_sparse_work_free(sgi_sparse_work *w);
size_t sgi_sparse_work_bytes(const sgi_sparse_form *f, size_t rows, bool training);

/* Forward: what acts (borrowed until the next call), and y (n,out) where it is not NULL. */
sg_status sgi_sparse_forward(sgi_sparse_work *w, const sgi_sparse_form *f, const sgi_sparse_arrays *p, const float *x,
                             size_t n, float *y, sgi_sparse_active *active, sg_error *err);

/* y (n,out) = sum of the acting features, without b_d where `bias` is false. */
void sgi_sparse_decode(const sgi_sparse_form *f, const sgi_sparse_arrays *p, const sgi_sparse_active *active, size_t n,
                       bool bias, float *y);

/* Pre-activations of one row: a (M), in the order of sums of a reader (double). */
void sgi_sparse_pre(const sgi_sparse_form *f, const sgi_sparse_arrays *p, const float *x, double *a);
/* h of a pre-activation on its own (TOPK: as if it were chosen). */
double sgi_sparse_open(const sgi_sparse_form *f, const sgi_sparse_arrays *p, size_t feature, double a);
/* Both of one row: pre-activations a (M), and what acts, h (M), 0 elsewhere; of equal ones the
 * lower feature is chosen (TOPK). */
void sgi_sparse_acting(const sgi_sparse_form *f, const sgi_sparse_arrays *p, const float *x, double *a, double *h);

typedef struct sgi_sparse_loss {
  double total, mse, penalty, l0; /* penalty: S, unscaled; l0: features at a row */
  size_t active;                  /* entries of the batch */
} sgi_sparse_loss;

/* Gradient of the loss of n rows with lambda * ramp, assigned to g. `fired` (M, NULL allowed) gets
 * `now` where a feature acted. dense: the products are whole matrices, for batches where much acts;
 * it turns to that by itself where its lists do not hold what acts. */
sg_status sgi_sparse_gradient(sgi_sparse_work *w, const sgi_sparse_form *f, const sgi_sparse_arrays *p, const float *x,
                              const float *target, size_t n, double ramp, bool dense, sgi_sparse_arrays *g,
                              uint64_t *fired, uint64_t now, sgi_sparse_loss *loss, sg_error *err);
/* Errors y - target (n,out) of the last gradient. Borrowed. */
const float *sgi_sparse_errors(const sgi_sparse_work *w);
/* A step with that many entries is computed faster with whole matrices. */
bool sgi_sparse_is_dense(const sgi_sparse_form *f, size_t rows, size_t active);

typedef struct sgi_sparse_rates {
  double lr, decay; /* decay: of W_e and W_d, already over the peak rate */
  double beta1, beta2, eps;
  uint64_t done; /* steps before this one */
} sgi_sparse_rates;
/* AdamW; leaves g zero. UNIT: the gradient's part along a decoder row is taken out first, and the
 * row has length 1 afterwards. */
void sgi_sparse_update(const sgi_sparse_form *f, sgi_sparse_arrays *p, sgi_sparse_arrays *g, sgi_sparse_arrays *m,
                       sgi_sparse_arrays *v, const sgi_sparse_rates *r);
/* UNIT: decoder rows to length 1; else nothing. */
void sgi_sparse_normalise(const sgi_sparse_form *f, sgi_sparse_arrays *p);

#endif
