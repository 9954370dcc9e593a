/* sites.h: the sites of a forward pass in words, and a trace of them as a file. */
#ifndef SGI_REPORT_SITES_H
#define SGI_REPORT_SITES_H

#include "core/base.h"

/* Sites that a trace writes unasked, where they are named, and that are made only there. */
typedef enum sgi_sites_told { SGI_SITES_SHOWN, SGI_SITES_NAMED, SGI_SITES_ON_DEMAND } sgi_sites_told;
/* "layers.L.resid_mid (stream after attention), ..., ". Lasts. */
const char *sgi_sites_text(sgi_sites_told which);

typedef struct sgi_tracing {
  const int32_t *targets; /* (B,T); the model's bos goes in front of each row, its pad id is not counted */
  size_t B, T;
  bool grad;              /* also grad.TENSOR of the loss */
  const char *const *set; /* n_set texts "train.aux.NAME=VALUE": weights of what is added to it, with grad */
  size_t n_set;
  const char *const *only; /* n_only patterns over names; 0: the default set */
  size_t n_only;
  size_t max_bytes;
} sgi_tracing;
/* What can be seen of a request without a model is wrong: SG_ERR_ARG. */
sg_status sgi_tracing_check(const sgi_tracing *request, sg_error *err);
/* A safetensors file (docs/formats.md, trace), whole or not at all. */
sg_status sgi_tracing_save(const sg_model *model, const sgi_tracing *request, const char *path, sg_error *err);

#endif
