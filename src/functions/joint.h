/* joint.h: a layer's functions and output rows fitted together to what the layer writes
 * (docs/method-functions.md, joint fit). */
#ifndef SGI_FUNCTION_JOINT_H
#define SGI_FUNCTION_JOINT_H

#include "functions/layer.h"
#include "functions/rows.h"

typedef struct sgi_joint_request {
  const sgi_function_place *place;
  const sgi_function_rows *rows;
  const float *z; /* (rows.n,R) */
  size_t steps, batch;
  bool base;
  uint64_t seed;
  sgi_function_progress progress;
  void *user;
} sgi_joint_request;

/* l: without a basis; splines, silus, weights of gates, biases and w_out move. */
sg_status sgi_function_joint(const sgi_joint_request *r, sgi_function_layer *l, sg_error *err);

/* mean |y' - y|^2 / mean |y - mean y|^2 over at most `most` rows, evenly taken, y' with the
 * functions of l. */
sg_status sgi_function_error(const sgi_joint_request *r, const sgi_function_layer *l, size_t most, double *out,
                             sg_error *err);

#endif
