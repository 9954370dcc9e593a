/* flops.h: what presets cost before anything is made. */
#ifndef SGI_REPORT_FLOPS_H
#define SGI_REPORT_FLOPS_H

#include "core/base.h"

typedef struct sgi_cost {
  char name[96]; /* "slimpajama;mlp;3", as in the paper's code */
  sg_config config;
  size_t batch, seq_len, parameters;
  uint64_t forward, head; /* FLOPs of a sequence, of the output head beside them */
  double budget;          /* of the isoflop study; else 0 */
} sgi_cost;

/* The i-th preset's name; NULL past the last. Borrowed for ever. */
const char *sgi_cost_preset(size_t i);
/* A preset with a feedforward kind. */
sg_status sgi_cost_of_preset(const char *preset, const char *kind, sgi_cost *out, sg_error *err);
/* Every budget and scale of the paper's isoflop study with each of n kinds (0: all), in order; each
 * is told of one after the other, an error of it ends it. */
sg_status sgi_cost_isoflop(const char *const *kinds, size_t n, void (*each)(void *user, const sgi_cost *cost),
                           void *user, sg_error *err);
/* Steps that a budget of training FLOPs pays for; false: not one. */
bool sgi_cost_steps(const sgi_cost *cost, double budget, uint64_t *steps);

#endif
