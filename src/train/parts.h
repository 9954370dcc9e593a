/* parts.h: the gradient of a batch, summed as a tree that the batch fixes and not who computes it.
 *
 * A batch is cut into `parts` (a power of two) of equal size. The gradient of a part is summed from
 * zero in the order of its rows, and parts are summed as a binary tree: 0 and 1, 2 and 3, then
 * those sums. Each rank has some neighbouring parts; it sums what is whole of the tree among them,
 * its *nodes*, and sends them on. Every float has one owner, who adds the nodes of all ranks in the
 * tree's order. So one process and a hundred get the same bits (docs/method.md, ranks).
 *
 * Owners have neighbouring floats of the arena, a *shard* each, and keep the optimizer's moments of
 * these alone (ZeRO stage 1, arXiv:1910.02054); after the update each gives its weights to all.
 *
 * What backward has finished is sent while it goes on: a row's gradient is whole once the lowest
 * layer that uses it is done. */
#ifndef SGI_PARTS_H
#define SGI_PARTS_H

#include "model/model.h"
#include "ranks/ranks.h"

typedef struct sgi_parts sgi_parts;

/* Floats of a shard are those of neighbouring blocks of the norm (optim.h), so that the norm has
 * one order, too. bounds: (count + 1). */
void sgi_parts_bounds(size_t floats, size_t count, size_t *bounds);
/* The parts [*first, *end) of a rank. */
void sgi_parts_of(size_t parts, size_t count, size_t rank, size_t *first, size_t *end);
/* Floats that rank's sums take beside one arena of the gradient. */
size_t sgi_parts_floats(size_t floats, size_t parts, size_t count, size_t rank);

/* grad: the arena that holds the sum at the end, zero; borrowed, as are model and ranks. New:
 * sgi_parts_free. */
sg_status sgi_parts_create(const sg_model *m, sg_ranks *ranks, size_t parts, float *grad, sgi_parts **out,
                           sg_error *err);
void sgi_parts_free(sgi_parts *p);

/* One batch: begin; for each part of this rank, in order: take an arena (zero) that the part's
 * gradient is added to, `last` before its last backward pass, `layer` after each layer of that
 * pass, end; then finish. */
void sgi_parts_begin(sgi_parts *p);
float *sgi_parts_take(sgi_parts *p);
void sgi_parts_last(sgi_parts *p);
void sgi_parts_layer(sgi_parts *p, size_t layer);
/* What others have sent so far is taken in; called now and then. */
void sgi_parts_poll(sgi_parts *p);
void sgi_parts_end(sgi_parts *p);
/* The sum stands in this rank's shard of grad; everything else is zero. */
void sgi_parts_finish(sgi_parts *p);
/* After a failure in one process: as before begin. */
void sgi_parts_drop(sgi_parts *p);

#endif
