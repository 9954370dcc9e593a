/* vary.h: many runs of one prompt that differ from it from one position on, at once.
 *
 * A vector added to the residual stream behind one step at one position t changes nothing below
 * that step and nothing before that position. So R such variants are rows beside each other that
 * share everything else with the prompt's own run (a pass with backward, whose blocks are kept):
 *
 *        position   0 .. t-1 | t | t+1 ..  read
 *   layer above     shared   | R | R       R        after the next attention all later positions
 *   layer of step   shared   | R | shared  shared   until then one position
 *   layers below    shared   | shared
 *
 * Above the last attention only the position that is read is run on. What reaches it is exact:
 * every gate, pattern and norm is the variant's own (docs/method-reading.md, exact effects). */
#ifndef SGI_VARY_H
#define SGI_VARY_H

#include "model/pass.h"

/* What a router that layers share left for R variants at positions [from, from + count). */
typedef struct sgi_varied_router {
  size_t from, count;
  sgi_arena block;
} sgi_varied_router;

/* Positions [from, from + changed) of R variants differ from the prompt's run; wanted is [first,
 * first + count). */
typedef struct sgi_vary {
  size_t R, from, changed, first, count;
  sgi_varied_router *router; /* of the step's group; NULL: its kind shares none */
} sgi_vary;

typedef struct sgi_varier sgi_varier;

/* Bytes of a varier for up to `rows` rows, variants times positions, of a prompt of T tokens: for
 * one thread, so that what is made of the number is the same for all. */
sg_status sgi_varier_bytes(const struct sg_model *m, size_t rows, size_t T, size_t *bytes, sg_error *err);
/* For the run that pass p (borrowed, with backward, of one sequence) made last. New:
 * sgi_varier_free. */
sg_status sgi_varier_create(sgi_pass *p, size_t rows, sgi_varier **out, sg_error *err);
void sgi_varier_free(sgi_varier *v);
/* Variants that fit beside each other. */
size_t sgi_varier_fit(const sgi_varier *v, size_t t, size_t read);

/* R variants whose stream behind step `step` at position t is the prompt's plus delta (R,D). *xn
 * (R,D): what the output head then reads at position read; NULL where nothing reaches it. Valid
 * until the next. */
sg_status sgi_varier_run(sgi_varier *v, size_t step, size_t t, size_t read, size_t R, const float *delta,
                         const float **xn, sg_error *err);

#endif
