/* router_shape.h: what the four routers have in common, for router.c (names, tensors, limits) and
 * router_pass.c (forward, backward). Scores (n, groups, width) = low_g up_g^T times a scale, with
 * low_g = x down_g^T (n,Q): the kinds differ in the number of groups and in whether a channel's
 * units are single (F of them) or pairs of sub-keys (two lists of S). */
#ifndef SGI_ROUTER_SHAPE_H
#define SGI_ROUTER_SHAPE_H

#include "ffn/router.h"

typedef struct sgi_router_shape {
  size_t groups, width; /* width of one group */
  size_t units;         /* of one list: S or F */
  float scale;
} sgi_router_shape;

sgi_router_shape sgi_router_shape_of(const sgi_router *r, const sg_config *c);

#endif
