/* yardstick.h: what this machine multiplies at best: oneDNN's own float32 product of a square, and
 * of the shapes that a model's maps have, each by one call with all threads. A model is held
 * against the best of them. */
#ifndef SGI_YARDSTICK_H
#define SGI_YARDSTICK_H

#include "model/model.h"

enum { SGI_YARDSTICK_SHAPES = 8 };

/* y (m,n) = x (m,k) W (n,k)^T. */
typedef struct sgi_yardstick_shape {
  size_t m, n, k;
} sgi_yardstick_shape;

typedef struct sgi_yardstick sgi_yardstick;

/* The square, then the largest distinct maps of a model on so many rows; pools of which a token
 * takes a few are none. New: sgi_yardstick_free. */
sg_status sgi_yardstick_create(const sg_model *model, size_t rows, size_t rounds, sgi_yardstick **out, sg_error *err);
void sgi_yardstick_free(sgi_yardstick *y); /* NULL allowed */
/* Times each shape once (round below those of create). Allocates nothing. */
sg_status sgi_yardstick_round(sgi_yardstick *y, size_t round, double (*clock)(void), sg_error *err);
/* FLOPs a second of each shape, medians of the rounds, and of the best, whose shape is told. */
double sgi_yardstick_best(sgi_yardstick *y, sgi_yardstick_shape *shape);

#endif
