/* aux.h: what training adds to the cross-entropy, layer by layer (docs/method.md, auxiliary
 * losses).
 *
 * A kind or an option adds up what it sees after a forward pass (ffn.h, `measure`); from the sums
 * follow the parts, and backward passes read from the same struct how the total depends on what
 * they counted. Sums belong to one pass: a micro-batch has its own, weighted by its share of the
 * batch's rows. */
#ifndef SGI_AUX_H
#define SGI_AUX_H

#include "core/base.h"

/* X(id, name, usual weight, what it is): the parts. */
#define SGI_AUX_PARTS(X) \
  X(SPARSITY, "sparsity", 1, "gates: (mean number acting / target_active - 1)^2") \
  X(UNIFORMITY, "uniformity", 0.001, "monet: how unevenly a batch uses sub-experts") \
  X(AMBIGUITY, "ambiguity", 0.001, "monet: how far a token's gates are from one sub-expert a head") \
  X(BALANCE, "balance", 0.01, "meta: how unevenly pools are chosen")

#define SGI_AUX_ID(id, ...) SGI_AUX_##id,
typedef enum sgi_aux_part { SGI_AUX_PARTS(SGI_AUX_ID) SGI_AUX_COUNT } sgi_aux_part;
#undef SGI_AUX_ID

/* Of a run: train.aux.*. */
typedef struct sgi_aux_weights {
  double part[SGI_AUX_COUNT];
  double target_active; /* gates: how many are to act, a mean over rows and layers; 0: half of the candidates */
} sgi_aux_weights;

typedef struct sgi_aux {
  sgi_aux_weights weights;
  double share; /* of the batch's rows that are in this pass */
  size_t rows;
  /* gates: layers that have any, how many act in them, how many there are, how many lie in the
   * window */
  size_t gate_layers;
  double active, candidates, in_window;
  /* monet: routers, the sums of their parts, and of the sub-experts that no row used */
  size_t routers;
  double uniformity, ambiguity, unused;
  /* metarouters: gates, the sums of their parts, and of the largest share of choices that a pool
   * has */
  size_t meta_gates;
  double balance, largest_pool;
} sgi_aux;

/* What is told of them: X(name, value). */
#define SGI_AUX_NUMBERS(X) \
  X("sparsity", sgi_aux_has(a, SGI_AUX_SPARSITY), sgi_aux_value(a, SGI_AUX_SPARSITY)) \
  X("mean_active", a->gate_layers, sgi_aux_mean_active(a)) \
  X("window", a->gate_layers, a->in_window / a->candidates) \
  X("uniformity", sgi_aux_has(a, SGI_AUX_UNIFORMITY), sgi_aux_value(a, SGI_AUX_UNIFORMITY)) \
  X("ambiguity", sgi_aux_has(a, SGI_AUX_AMBIGUITY), sgi_aux_value(a, SGI_AUX_AMBIGUITY)) \
  X("unused", a->routers, a->unused / (double)a->routers) \
  X("balance", sgi_aux_has(a, SGI_AUX_BALANCE), sgi_aux_value(a, SGI_AUX_BALANCE)) \
  X("largest_pool", a->meta_gates, a->largest_pool / (double)a->meta_gates)

static inline double sgi_aux_target(const sgi_aux *a) {
  return a->weights.target_active > 0 ? a->weights.target_active
                                      : a->candidates / (2.0 * (double)a->rows * (double)a->gate_layers);
}
/* How many act, a mean over rows and the layers that have gates. */
static inline double sgi_aux_mean_active(const sgi_aux *a) {
  return a->gate_layers ? a->active / ((double)a->rows * (double)a->gate_layers) : 0;
}
/* The part is there: some layer has what it is about. */
static inline bool sgi_aux_has(const sgi_aux *a, sgi_aux_part part) {
  return part == SGI_AUX_SPARSITY ? a->gate_layers > 0 : part == SGI_AUX_BALANCE ? a->meta_gates > 0 : a->routers > 0;
}
static inline double sgi_aux_value(const sgi_aux *a, sgi_aux_part part) {
  if (!sgi_aux_has(a, part)) return 0;
  if (part == SGI_AUX_UNIFORMITY) return a->uniformity / (double)a->routers;
  if (part == SGI_AUX_BALANCE) return a->balance / (double)a->meta_gates;
  if (part == SGI_AUX_AMBIGUITY) return a->ambiguity / (double)a->routers;
  double off = sgi_aux_mean_active(a) / sgi_aux_target(a) - 1;
  return off * off;
}
/* d total / d (mean number acting). */
static inline double sgi_aux_slope_active(const sgi_aux *a) {
  if (!a->gate_layers) return 0;
  double target = sgi_aux_target(a);
  return a->share * a->weights.part[SGI_AUX_SPARSITY] * 2 * (sgi_aux_mean_active(a) / target - 1) / target;
}

/* d total / d (the part of one router of monet). */
static inline double sgi_aux_slope_router(const sgi_aux *a, sgi_aux_part part) {
  return a->routers ? a->share * a->weights.part[part] / (double)a->routers : 0;
}

/* d total / d (the balance of one gate). */
static inline double sgi_aux_slope_gate(const sgi_aux *a) {
  return a->meta_gates ? a->share * a->weights.part[SGI_AUX_BALANCE] / (double)a->meta_gates : 0;
}

/* What all parts add to the loss. */
static inline double sgi_aux_total(const sgi_aux *a) {
  double sum = 0;
  for (int k = 0; k < SGI_AUX_COUNT; k++) sum += a->weights.part[k] * sgi_aux_value(a, (sgi_aux_part)k);
  return sum;
}

/* The usual weights. */
sgi_aux_weights sgi_aux_usual(void);
/* Numbers by place, in the order of SGI_AUX_NUMBERS; false where the model has nothing of the
 * kind. */
const char *sgi_aux_name(size_t i); /* NULL past the last */
bool sgi_aux_number(const sgi_aux *a, size_t i, double *out);

#endif
