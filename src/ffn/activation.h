/* activation.h: the activations a sparse kind may apply to gated values (docs/method.md,
 * sgatlin). */
#ifndef SGI_ACTIVATION_H
#define SGI_ACTIVATION_H

#include "core/base.h"

typedef enum sgi_activation {
  SGI_IDENTITY,
  SGI_GELU,
  SGI_RELU,
  SGI_RELU2,
  SGI_SWISH,
  SGI_NO_ACTIVATION
} sgi_activation;

/* SGI_NO_ACTIVATION with err filled when there is none of that name. */
sgi_activation sgi_activation_find(const char *name, sg_error *err);
/* y = act(x), dx = dy act'(x), over count elements. */
void sgi_activate(sgi_activation a, float *y, const float *x, size_t count);
void sgi_activate_backward(sgi_activation a, float *dx, const float *dy, const float *x, size_t count);

#endif
