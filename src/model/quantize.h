/* quantize.h: a model directory written with its weights in fewer bytes (docs/formats.md, weights
 * in fewer bytes). */
#ifndef SGI_QUANTIZE_H
#define SGI_QUANTIZE_H

#include "math/quantise.h"
#include "model/model.h"

typedef struct sgi_quantize_request {
  sgi_quantise how;
  const char *only; /* names of tensors, "*" and "?" as in a shell, several with commas; NULL: every map and pool */
  bool (*progress)(void *user, double done, double wanted); /* elements; NULL, or false to stop */
  void *user;
} sgi_quantize_request;

/* SG_ERR_ARG where the type has no such groups or no choice of scales. */
sg_status sgi_quantize_check(const sgi_quantise *how, sg_error *err);
/* Whether a request with these patterns changes the tensor. */
bool sgi_quantize_chooses(const char *only, const sgi_row *row);

typedef sg_quantized sgi_quantized;

/* Writes DIRECTORY/model.safetensors and config.json. What is not chosen stays as it is stored.
 * SG_ERR_ARG where nothing is chosen or no type has such groups, SG_ERR_NUMERIC naming the tensor
 * where a number has no place in the type. */
sg_status sgi_model_quantize(const sg_model *m, const sgi_quantize_request *r, const char *directory,
                             sgi_quantized *out, sg_error *err);

#endif
