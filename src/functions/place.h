/* place.h: a layer whose chosen neurons functions may stand for, and who looks at a forward pass
 * there: what the layer reads, whom it chooses, what each neuron's value is and the factor beside
 * it (docs/method-functions.md, targets). */
#ifndef SGI_FUNCTION_PLACE_H
#define SGI_FUNCTION_PLACE_H

#include "model/pass.h"

typedef struct sgi_function_place {
  const sgi_sublayer *sub;
  size_t layer, D, C, K;
  size_t F, pools, units;         /* units = pools * F */
  const sgi_weight *w_in, *w_out; /* (units,D) */
  bool factored;                  /* value = factor * own, own a function of x . w_in alone; else factor is 1 */
} sgi_function_place;

/* SG_ERR_UNSUPPORTED where the layer chooses no neurons by their number. */
sg_status sgi_function_place_of(const sg_model *m, size_t layer, sgi_function_place *out, sg_error *err);

/* The unit of entry e of a row (C*K) whose chosen neuron is index, of pools of F neurons. */
static inline size_t sgi_function_unit(size_t pools, size_t F, size_t K, size_t e, int32_t index) {
  return (pools > 1 ? e / K * F : 0) + (size_t)index;
}

/* One layer of a pass over one document; arrays for T positions. */
typedef struct sgi_function_seen {
  const sgi_function_place *place;
  float *x;                    /* (T,D) */
  int32_t *index, *acts;       /* (T,C,K) */
  float *score, *own, *factor; /* (T,C,K); factor 0: does not act */
  bool gated;                  /* acts was left */
} sgi_function_seen;

sg_status sgi_function_seen_make(const sgi_function_place *p, size_t T, sgi_function_seen *out, sg_error *err);
void sgi_function_seen_deinit(sgi_function_seen *s);
/* Takes what the site shows; true where own and factor are whole now, at the values' site. */
bool sgi_function_seen_visit(sgi_function_seen *s, const sgi_site *site);

#endif
