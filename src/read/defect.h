/* defect.h: how far a layer is from a step along a flow (docs/method.md, layer forms). */
#ifndef SGI_DEFECT_H
#define SGI_DEFECT_H

#include "model/pass.h"

enum { SGI_DEFECT_FORMS = 4, SGI_FLOW_STEPS = 64 };
/* The i-th form that is compared: sequential, euler, midpoint, rk4, each with one step. */
const char *sgi_defect_form(size_t i);

typedef struct sgi_defect {
  double of[SGI_DEFECT_FORMS]; /* |one step - flow| / |flow - x|; NaN where the layer moves nothing */
  /* share of the units chosen in a step of rk4 that its first stage had not chosen; NaN: none
   * chosen */
  double rerouted;
} sgi_defect;

/* out (L). The batch is run through the model as it is; each layer then from the stream that came
 * to it. progress (NULL allowed): evaluations of flows done, of those of all layers; false
 * cancels. */
sg_status sgi_ode_defect(const sg_model *m, const sgi_batch *batch, sgi_defect *out, sgi_pass_progress progress,
                         void *user, sg_error *err);

#endif
