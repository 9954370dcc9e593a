/* router.h: the four routers (docs/method.md, routers). A router gives, per row and channel, the K
 * largest of F scores in descending order; of equal scores the lower index (product routers: the
 * earlier candidate) first. */
#ifndef SGI_ROUTER_H
#define SGI_ROUTER_H

#include "core/arena.h"
#include "core/table.h"
#include "ffn/ffn.h"

typedef struct sgi_router {
  const char *name;
  bool product; /* F must be a square and K < sqrt(F) */
  /* Appends the router's two tensors: the map from x (w[0]), then the up map or the keys (w[1]). */
  sg_status (*tensors)(const sg_config *c, const char *prefix, sgi_table *t, sg_error *err);
} sgi_router;

/* NULL with err filled when there is none of that name. */
const sgi_router *sgi_router_find(const char *name, sg_error *err);

/* Limits on F, K and Q. */
sg_status sgi_router_check(const sgi_router *r, const sg_config *c, sg_error *err);
/* Multiply-adds of one token. */
uint64_t sgi_router_multiply_adds(const sgi_router *r, const sg_config *c);

/* What a forward pass keeps: the low-dimensional projection (n, width). */
void sgi_router_saved(const sgi_router *r, const sg_config *c, size_t n, sgi_arena *a);
/* The same of so many passes, of n rows together. */
void sgi_router_saved_parts(const sgi_router *r, const sg_config *c, size_t n, size_t parts, sgi_arena *a);
void sgi_router_scratch(const sgi_router *r, const sg_config *c, size_t n, bool backward, sgi_arena *a);

/* score, index (n,C,K) from x (n,D). w: the router's two tensors. */
sg_status sgi_router_forward(const sgi_router *r, const sg_config *c, size_t n, sgi_arena *saved, sgi_arena scratch,
                             const sgi_weight *const *w, const float *x, float *score, int32_t *index);
/* dx (n,D) += ..., dw[0], dw[1] += ..., from dscore (n,C,K). */
sg_status sgi_router_backward(const sgi_router *r, const sg_config *c, size_t n, sgi_arena *saved, sgi_arena scratch,
                              const sgi_weight *const *w, float *const *dw, const float *x, const int32_t *index,
                              const float *dscore, float *dx);

/* The scores of a channel as rows (parts,units,D) of a linear map of x (ffn.h, sgi_routes). */
void sgi_router_routes(const sgi_router *r, const sg_config *c, sgi_routes *out);
sg_status sgi_router_rows(const sgi_router *r, const sg_config *c, const sgi_weight *const *w, size_t channel,
                          float *rows);

#endif
