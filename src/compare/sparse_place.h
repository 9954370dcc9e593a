/* sparse_place.h: where in a model a sparse MLP reads and what it stands for, as sites of a forward
 * pass. */
#ifndef SGI_SPARSE_PLACE_H
#define SGI_SPARSE_PLACE_H

#include "model/pass.h"

/* SGI_PLACE_MLP: a transcoder, mlp.norm to mlp.out. All others: an SAE of that site. */
typedef enum sgi_sparse_site {
  SGI_PLACE_MLP,
  SGI_PLACE_RESID_PRE,
  SGI_PLACE_RESID_MID,
  SGI_PLACE_RESID_POST,
  SGI_PLACE_ATTN_OUT,
  SGI_PLACE_MLP_NORM,
  SGI_PLACE_MLP_OUT,
  SGI_PLACES
} sgi_sparse_site;
const char *sgi_sparse_site_name(sgi_sparse_site s); /* "mlp", "resid_pre", ... */
/* SGI_PLACES where there is none of that name. */
sgi_sparse_site sgi_sparse_site_find(const char *name);

typedef struct sgi_sparse_place {
  sgi_site_id in, out; /* equal for an SAE */
  ptrdiff_t layer;     /* of both sites: -1 for the stream in front of layer 0 */
} sgi_sparse_place;

/* SG_ERR_ARG where the model has no such layer, SG_ERR_UNSUPPORTED where the layer has no such
 * sublayer or is evaluated more than once. */
sg_status sgi_sparse_place_of(const sg_model *m, sgi_sparse_site site, size_t layer, sgi_sparse_place *out,
                              sg_error *err);

/* Who is shown a pass at places (n of them, ascending by layer). */
typedef struct sgi_sparse_watch {
  const sgi_sparse_place *places;
  size_t n;
  /* Rows [first, first + rows) of what place k reads, (rows,D), and then of what it stands for,
   * which may be changed; either NULL allowed. */
  sg_status (*input)(void *user, size_t k, const float *x, size_t first, size_t rows, sg_error *err);
  sg_status (*output)(void *user, size_t k, float *y, size_t first, size_t rows, sg_error *err);
  /* Every other site, before the two; NULL allowed. */
  sg_status (*other)(void *user, const sgi_site *site, sg_error *err);
  void *user;
  bool stop; /* the pass ends behind the last place: only for who looks */
  size_t seen, wanted;
} sgi_sparse_watch;

sg_status sgi_sparse_watch_pass(sgi_sparse_watch *w, sgi_pass *p, const sgi_batch *batch, sg_error *err);

#endif
