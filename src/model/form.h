/* form.h: how the sublayers of a layer are put together (docs/method.md, layer forms). */
#ifndef SGI_FORM_H
#define SGI_FORM_H

#include "core/base.h"

/* One behind the other, or a field f(x) = Attn(x r g1) + FFN(x r g2) that is followed for a unit of
 * time in n steps of an explicit Runge-Kutta method whose stage q reads u_q = x + reach[q] k_(q-1)
 * / n, with k_q = f(u_q), and whose step adds (sum of weight[q] k_q) / (whole n). */
enum { SGI_MAX_STAGES = 4 };
typedef struct sgi_layer_form {
  const char *name;
  bool chain;    /* one behind the other: the rest is not read */
  size_t stages; /* evaluations of a step */
  bool steps;    /* takes ode_steps */
  double reach[SGI_MAX_STAGES], weight[SGI_MAX_STAGES], whole;
} sgi_layer_form;

/* The form of a checked config; never NULL there. */
const sgi_layer_form *sgi_form_of(const sg_config *c);
/* Steps of a layer: 1 where the form has none. */
size_t sgi_form_steps(const sg_config *c);
/* Evaluations of a layer: stages times steps; of a chain: 1. */
size_t sgi_form_evaluations(const sg_config *c);
/* The form is one of those there are, and its steps are right for it. */
sg_status sgi_form_check(const sg_config *c, sg_error *err);
/* The layers of the model add to one stream at most once each (sequential, parallel), so that what
 * a logit is made of can be read as a sum; SG_ERR_UNSUPPORTED names the form. what: who asks,
 * "attribution". */
sg_status sgi_form_readable(const sg_config *c, const char *what, sg_error *err);

#endif
