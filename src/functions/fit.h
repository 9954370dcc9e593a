/* fit.h: the functions of a layer, from a recording to what is written
 * (docs/method-functions.md). */
#ifndef SGI_FUNCTION_FIT_H
#define SGI_FUNCTION_FIT_H

#include "functions/layer.h"
#include "functions/rows.h"

typedef struct sgi_function_settings {
  size_t features, edges, cells; /* R, E, G */
  size_t samples, least;         /* of a neuron: at most, at least */
  size_t steps, batch;           /* of the joint fit */
  size_t outputs;                /* R_o; 0: output rows as they are */
  bool base, logic, symbols;
  uint64_t seed;
  sgi_function_progress progress;
  void *user;
} sgi_function_settings;
sgi_function_settings sgi_function_usual(void);

/* What became of a layer. */
typedef struct sgi_function_report {
  size_t units, functions, never; /* never: chosen nowhere in the recording's rows */
  size_t edges, symbolic, bits, gates, with_logic, tried_logic;
  double error_soft, error_hard;                          /* sums of 1 - R2 over neurons where gates were tried */
  double r2_fit, r2;                                      /* means over functions */
  double error_before, error_joint, error_symbols, error; /* of the layer's output, share of its variance, on fitted
                                                           * rows: neurons fitted alone; joint fit; named functions;
                                                           * with the shared basis, if any */
  double outputs_kept;
  double read_back;           /* largest difference of a formula read back, over its span */
  size_t bytes;               /* of functions and output rows */
  double flops, flops_matrix; /* of a token: what stands for the pool; the pool itself */
} sgi_function_report;

/* Fits a layer. out: deinit in any case; splines (NULL allowed) the same before named functions
 * took their edges' places, without a basis. */
sg_status sgi_function_fit(const sg_model *m, const sgi_function_documents *d, size_t layer,
                           const sgi_function_settings *s, sgi_function_layer *out, sgi_function_layer *splines,
                           sgi_function_report *report, sg_error *err);

#endif
