/* frozen.h: the network of one prompt with gates, attention patterns and norm scales held: a linear map from the embedded
 * tokens (and biases) to any logit or neuron input (docs/method-reading.md). */
#ifndef SGI_FROZEN_H
#define SGI_FROZEN_H

#include "model/pass.h"

typedef struct sgi_frozen {
  const sg_model *model;
  sgi_pass *pass; /* one row, all layers' blocks kept */
  int32_t *tokens;
  size_t T, D, H, d, L, V;
  size_t units;           /* acting at one row of one layer */
  sgi_pass_layer *layers; /* (L) */
  float *patterns;        /* (L,H,T,T) [destination, source], 0 above the diagonal */
  sgi_unit *unit;         /* (L,T,units) */
  float **outputs;        /* (L) copies of output rows, NULL where the kind has rows */
  double *bias;           /* (L,T,D); NULL where all are 0 */
  bool has_constants;     /* some unit has a constant, or a layer a bias */
} sgi_frozen;

/* Bytes that a prompt of T tokens needs. */
sg_status sgi_frozen_bytes(const sg_model *m, size_t T, size_t *bytes, sg_error *err);

/* Runs the prompt. tokens (T) copied; max_bytes 0: 4 GiB. Deinit in any case. */
sg_status sgi_frozen_init(sgi_frozen *f, const sg_model *m, const int32_t *tokens, size_t T, size_t max_bytes,
                          sg_error *err);
/* The same with progress (NULL allowed): after each layer of the pass, then of its reading, 2 L in all; false cancels. */
sg_status sgi_frozen_init_watched(sgi_frozen *f, const sg_model *m, const int32_t *tokens, size_t T, size_t max_bytes,
                                  bool (*progress)(void *user, size_t done, size_t wanted), void *user, sg_error *err);
void sgi_frozen_deinit(sgi_frozen *f);

static inline const sgi_unit *sgi_frozen_units(const sgi_frozen *f, size_t layer, size_t t) {
  return f->unit + (layer * f->T + t) * f->units;
}
static inline const double *sgi_frozen_bias(const sgi_frozen *f, size_t layer, size_t t) {
  return f->bias ? f->bias + (layer * f->T + t) * f->D : NULL;
}
static inline const float *sgi_frozen_pattern(const sgi_frozen *f, size_t layer, size_t head, size_t t) {
  return f->patterns + ((layer * f->H + head) * f->T + t) * f->T;
}
static inline const float *sgi_frozen_weight(const sgi_frozen *f, size_t layer, size_t row) {
  return f->model->w[sgi_layer_row(f->model, layer, row)];
}

/* Logits (V) of a position. */
sg_status sgi_frozen_logits(const sgi_frozen *f, size_t t, float *logits, sg_error *err);

/* logits (V) at position t and the token that is read: target, or with -1 the most probable one. SG_ERR_ARG where target or against is no
 * token (against -1: none). */
sg_status sgi_frozen_target(const sgi_frozen *f, size_t t, int32_t target, int32_t against, float *logits, int32_t *out,
                            sg_error *err);

/* g (D) = d(logit_target - logit_against) / d(residual stream after the last layer at position t); against -1: none. */
void sgi_frozen_logit_gradient(const sgi_frozen *f, size_t t, int32_t target, int32_t against, float *g);
/* g (D) = d(value of a unit less its constant) / d(resid_mid of its layer and position). */
void sgi_frozen_unit_gradient(const sgi_frozen *f, size_t layer, size_t t, const sgi_unit *u, float *g);

/* Sweeps of R gradients at once, g (R,rows,D) for positions 0 .. rows - 1.
 * Attention: resid_mid of the layer -> its x_in; work has 2*R*rows*max(D, H*d) floats. With one head >= 0 only that head's part
 * is given, without the residual stream's. */
sg_status sgi_frozen_attention_back(const sgi_frozen *f, size_t layer, size_t R, size_t rows, ptrdiff_t head, float *g,
                                    float *work);
/* Feedforward: resid_post -> resid_mid through all units' gates, in place; work has R*rows*D floats. */
void sgi_frozen_ffn_back(const sgi_frozen *f, size_t layer, size_t R, size_t rows, float *g, float *work);

/* w_out . g of a unit. */
double sgi_unit_write(const sgi_unit *u, const float *g, size_t D);
static inline double sgi_dot_double(const float *a, const float *b, size_t n) {
  double s = 0;
#pragma omp simd reduction(+ : s)
  for (size_t i = 0; i < n; i++) s += (double)a[i] * (double)b[i];
  return s;
}

#endif
