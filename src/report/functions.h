/* functions.h: neurons as functions of features: fitting a file of them, a neuron's formula, times,
 * and a formula's value, as documents (docs/method-functions.md). */
#ifndef SGI_REPORT_FUNCTIONS_H
#define SGI_REPORT_FUNCTIONS_H

#include "core/json.h"
#include "sgatlin.h"

typedef bool (*sgi_functions_progress)(void *user, const char *what, size_t done, size_t wanted);

typedef struct sgi_functions_request {
  const sg_model *model;
  const sg_recording *recording; /* of the model: the caller has seen to that */
  const char *model_path, *recording_path, *out;
  const size_t *layers; /* n_layers, ascending; 0: every recorded one whose neurons can be functions */
  size_t n_layers;
  size_t features, edges, cells, samples, least, positions, steps, outputs;
  bool base, logic, symbols;
  uint64_t seed;
  sgi_functions_progress progress; /* NULL allowed */
  void *user;
} sgi_functions_request;

/* Fits, measures on documents held out, writes req->out. The document is also what the file says
 * of itself (docs/formats.md, functions). */
sg_status sgi_functions_fit_json(const sgi_functions_request *req, json_t **out, sg_error *err);

typedef struct sgi_functions sgi_functions;
sg_status sgi_functions_open(const char *path, sgi_functions **out, sg_error *err);
void sgi_functions_close(sgi_functions *f); /* NULL allowed */
/* Whether it can be read beside the model (SG_ERR_ARG: other sizes), and *of_another with the
 * reason in err where it was made from another one. */
sg_status sgi_functions_bind(const sgi_functions *f, const sg_model *m, bool *of_another, sg_error *err);

/* What the fit said of the file. New reference. */
json_t *sgi_functions_json(const sgi_functions *f);
/* {layer, channel, index, stands, formula, samples, r2_fit, r2, edges: [{feature, form}], points:
 * [[feature, value, function]], bytes, matrix_bytes}; formula null where the neuron stayed a row.
 * channel of a pool that channels share: 0. */
sg_status sgi_functions_neuron_json(const sgi_functions *f, size_t layer, size_t channel, size_t index, json_t **out,
                                    sg_error *err);
/* Of the neuron with the most samples among those with a function, the first of equals. SG_ERR_ARG
 * where none has one. */
sg_status sgi_functions_busiest_json(const sgi_functions *f, json_t **out, sg_error *err);
/* That document as a figure: the function over its sampled points. */
sg_status sgi_functions_figure(const json_t *neuron, const char *path, sg_error *err);

typedef struct sgi_functions_bench_request {
  ptrdiff_t layer; /* -1: the first */
  size_t pool;     /* neurons of the large pool; 0: the layer's own alone */
  double seconds;
  const char *file; /* pools lie there while it runs */
  uint64_t seed;
  bool (*progress)(void *user, size_t done, size_t wanted); /* NULL allowed */
  void *user;
} sgi_functions_bench_request;
sg_status sgi_functions_bench_json(const sgi_functions *f, const sgi_functions_bench_request *req, json_t **out,
                                   sg_error *err);

/* A formula read: {terms, features, value (null without z)}; z (n) where it is wanted. */
sg_status sgi_functions_parse_json(const char *text, size_t length, const float *z, size_t n, json_t **out,
                                   sg_error *err);

#endif
